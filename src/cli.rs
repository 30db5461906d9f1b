//! The command line: arguments, and what the process says and returns.
//!
//! Flags win over the environment, the environment over defaults.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use chrono_tz::Tz;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::config::{Rejected, Source, zone_of};
use crate::demo;
use crate::server::{self, Settings, Stopped};
use crate::telemetry::log::{self as logging, Format};

/// The configuration is not valid (`EX_CONFIG` of sysexits.h).
const INVALID_CONFIG: u8 = 78;

/// How long `healthcheck` waits, for all addresses together.
const HEALTH_PATIENCE: Duration = Duration::from_secs(5);

/// One gateway in front of many AI API accounts.
#[derive(Debug, Parser)]
#[command(
    name = "api-gateway",
    version,
    about,
    disable_help_subcommand = true,
    // Else `--config x check` would check another file without a word.
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve by the configuration file (the default)
    Serve(ServeArgs),
    /// Serve simulated providers: needs no key, no file, no network
    Demo(DemoArgs),
    /// Judge the configuration file and say everything that is wrong with it
    Check(ConfigArgs),
    /// Ask the running gateway whether it is healthy; exit code 0 if so
    Healthcheck(HealthArgs),
}

#[derive(Clone, Debug, Args)]
struct LogArgs {
    /// DEBUG, INFO, WARNING or ERROR
    #[arg(long, env = "LOG_LEVEL", default_value = "INFO", value_parser = logging::level)]
    log_level: log::LevelFilter,
    /// text or json
    #[arg(long, env = "LOG_FORMAT", default_value = "text", value_parser = format)]
    log_format: Format,
}

#[derive(Clone, Debug, Args)]
struct ConfigArgs {
    /// The configuration file
    #[arg(
        long,
        short,
        env = "CONFIG_PATH",
        default_value = "config/provider.json"
    )]
    config: PathBuf,
    /// Take unknown keys in it for errors
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Debug, Args)]
struct ServeArgs {
    /// Address to listen on [default: 0.0.0.0 when an api_key is set, else 127.0.0.1]
    #[arg(long, env = "HOST")]
    host: Option<String>,
    /// Port to listen on
    #[arg(long, env = "PORT", default_value_t = 6010)]
    port: u16,
    #[command(flatten)]
    source: ConfigArgs,
    /// Where counters are kept
    #[arg(long, env = "DATA_DIR", default_value = "data")]
    data_dir: PathBuf,
    /// Where gateway.log is written
    #[arg(long, env = "LOG_DIR", default_value = "logs")]
    log_dir: PathBuf,
    /// Worker threads [default: one for each core]
    #[arg(long, env = "WORKERS", value_parser = clap::value_parser!(u16).range(1..))]
    workers: Option<u16>,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Clone, Debug, Args)]
struct DemoArgs {
    /// Port to listen on
    #[arg(long, env = "PORT", default_value_t = 6010)]
    port: u16,
    /// Send a request a second, so that there is something to see
    #[arg(long)]
    traffic: bool,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Clone, Debug, Args)]
struct HealthArgs {
    /// Where the gateway listens
    #[arg(long, env = "HOST", default_value = "127.0.0.1")]
    host: String,
    /// Its port
    #[arg(long, env = "PORT", default_value_t = 6010)]
    port: u16,
}

/// Runs the program.
pub fn run() -> ExitCode {
    let matches = without_empty_variables(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => serve(args),
        Command::Demo(args) => demo(args),
        Command::Check(args) => check(args),
        Command::Healthcheck(args) => healthcheck(&args),
    }
}

/// The same command line, to which a variable that is empty is as good as unset: that is what `PORT=` in
/// an env file or a compose file means.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let heed = |argument: clap::Arg| {
        let value = argument.get_env().and_then(std::env::var_os);
        match value.is_some_and(|value| value.is_empty()) {
            true => argument.env(None::<&'static str>),
            false => argument,
        }
    };
    command
        .mut_args(heed)
        .mut_subcommands(without_empty_variables)
}

fn format(word: &str) -> Result<Format, String> {
    match word.to_ascii_lowercase().as_str() {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err("expected text or json".to_owned()),
    }
}

/// The zone of the log's times: `TZ` where it names one.
fn zone() -> Tz {
    let text = std::env::var("TZ").unwrap_or_default();
    // What it names in vain is a mistake that the configuration tells.
    zone_of(&text).unwrap_or(Tz::UTC)
}

fn serve(args: ServeArgs) -> ExitCode {
    let LogArgs {
        log_level,
        log_format,
    } = args.log;
    if let Err(error) = logging::start(log_level, log_format, zone(), Some(&args.log_dir)) {
        return fail(&format!(
            "cannot log to {}: {error}",
            args.log_dir.display()
        ));
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let settings = Settings {
        host: args.host.filter(|host| !host.is_empty()),
        port: args.port,
        config: args.source.config,
        strict: args.source.strict,
        data_dir: args.data_dir,
        workers: args.workers.map_or(cores, usize::from),
    };
    let served = actix_rt::System::new().block_on(server::serve(settings, |addr| {
        log::info!(
            "api-gateway {} listening on http://{addr}",
            env!("CARGO_PKG_VERSION")
        );
    }));
    ended(served)
}

fn demo(args: DemoArgs) -> ExitCode {
    let LogArgs {
        log_level,
        log_format,
    } = args.log;
    let folder = match tempfile::Builder::new()
        .prefix("api-gateway-demo-")
        .tempdir()
    {
        Ok(folder) => folder,
        Err(error) => return fail(&format!("cannot make a folder for the demo: {error}")),
    };
    let logs = folder.path().join("logs");
    if let Err(error) = logging::start(log_level, log_format, zone(), Some(&logs)) {
        return fail(&format!("cannot log to {}: {error}", logs.display()));
    }
    ended(actix_rt::System::new().block_on(demo::run(folder.path(), args.port, args.traffic, say)))
}

/// Says how it ended, as the last line on a terminal that shows the log, too.
fn ended(served: Result<(), Stopped>) -> ExitCode {
    logging::flush();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stopped::Config(rejected)) => invalid(&rejected),
        Err(Stopped::Other(error)) => fail(&format!("{error:#}")),
    }
}

fn check(args: ConfigArgs) -> ExitCode {
    match Source::new(args.config.clone(), args.strict).load() {
        Ok(config) => {
            for warning in &config.warnings {
                say(&format!("warning: {warning}"));
            }
            let providers: usize = config
                .models
                .iter()
                .map(|model| model.providers.len())
                .sum();
            say(&format!(
                "{} is valid: {} models, {providers} providers, {} warnings",
                args.config.display(),
                config.models.len(),
                config.warnings.len(),
            ));
            ExitCode::SUCCESS
        }
        Err(rejected) => invalid(&rejected),
    }
}

fn invalid(rejected: &Rejected) -> ExitCode {
    for problem in &rejected.problems {
        complain(&problem.to_string());
    }
    ExitCode::from(INVALID_CONFIG)
}

fn healthcheck(args: &HealthArgs) -> ExitCode {
    let healthy = addresses(&args.host, args.port)
        .map_err(|error| error.to_string())
        .and_then(|addrs| find_healthy(&addrs));
    match healthy {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => fail(&format!("unhealthy: {reason}")),
    }
}

/// Where a gateway that was told to listen on `host` can be reached.
fn addresses(host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
    // An address to listen on everywhere is no address to connect to.
    let host = match host {
        "" | "0.0.0.0" => "127.0.0.1",
        "::" | "[::]" => "::1",
        host => host.trim_start_matches('[').trim_end_matches(']'),
    };
    Ok((host, port).to_socket_addrs()?.collect())
}

/// Asks each address in turn, as a gateway listens on only one of those that a name such as `localhost`
/// has. If none is healthy, says why the first is not.
fn find_healthy(addrs: &[SocketAddr]) -> Result<(), String> {
    let patience = HEALTH_PATIENCE / addrs.len().max(1) as u32;
    let mut reason = None;
    for addr in addrs {
        let found = match ask_health(*addr, patience) {
            Ok(answer) if answer.starts_with("HTTP/1.1 200") => return Ok(()),
            Ok(answer) => answer.lines().next().unwrap_or("no answer").to_owned(),
            Err(error) => error.to_string(),
        };
        reason.get_or_insert(found);
    }
    Err(reason.unwrap_or_else(|| "the name has no address".to_owned()))
}

fn ask_health(addr: SocketAddr, patience: Duration) -> std::io::Result<String> {
    let mut connection = TcpStream::connect_timeout(&addr, patience)?;
    connection.set_read_timeout(Some(patience))?;
    connection
        .write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}

fn fail(message: &str) -> ExitCode {
    complain(&format!("api-gateway: {message}"));
    ExitCode::FAILURE
}

/// To stdout; whoever closed it does not want to know.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn every_address_of_a_name_is_asked_for_its_health() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addrs = [&closed, &listener].map(|listener| listener.local_addr().unwrap());
        drop(closed);
        let server = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            assert!(peer.read(&mut [0; 1024]).unwrap() > 0);
            peer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        });
        assert_eq!(find_healthy(&addrs), Ok(()));
        server.join().unwrap();
        assert!(find_healthy(&addrs[..1]).unwrap_err().contains("refused"));
        assert!(find_healthy(&[]).is_err());
    }
}
