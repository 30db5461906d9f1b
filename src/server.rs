//! Assembly: configuration, state, workers, signals, the way out.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer};
use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_cron_scheduler::{Job, JobScheduler};

use crate::clock;
use crate::config::{OnError, Rejected, SharedState, Source, Watcher};
use crate::http::{Door, Worker};
use crate::quota::{Quotas, Sharing, shared};
use crate::routes;
use crate::state::Gateway;
use crate::telemetry::{self, alerts};
use crate::upstream::Client;

/// Streams that are still running when the process is told to stop may run on for this long.
const DRAIN: Duration = Duration::from_secs(120);

/// Idle client connections are kept this long; nginx keeps its own for 60 s, so it closes first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// A client must have sent its request's head by then.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes that a client has not taken for this long end its connection.
const READ_PATIENCE: Duration = Duration::from_secs(300);

/// Connections that wait to be accepted; thousands may come at once.
const BACKLOG: u32 = 4096;

/// Housekeeping is never further apart.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Where and how to serve.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address or name to listen on. `None`: all addresses when a key is set, else this machine only.
    pub host: Option<String>,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// The configuration file.
    pub config: PathBuf,
    /// Whether unknown keys in it are errors.
    pub strict: bool,
    /// Where counters are kept.
    pub data_dir: PathBuf,
    /// Worker threads.
    pub workers: usize,
}

/// Why a gateway did not start or stopped by itself.
#[derive(Debug)]
pub enum Stopped {
    /// The configuration has mistakes.
    Config(Rejected),
    /// Anything else.
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Stopped {
    fn from(error: anyhow::Error) -> Stopped {
        Stopped::Other(error)
    }
}

/// Serves until told to stop. `ready` is called once connections are accepted.
///
/// # Errors
/// The configuration is not valid, the port or the data folder is taken.
pub async fn serve(settings: Settings, ready: impl FnOnce(SocketAddr)) -> Result<(), Stopped> {
    let source = Source::new(settings.config.clone(), settings.strict);
    let config = source.load().map_err(Stopped::Config)?;
    for warning in &config.warnings {
        log::warn!("{warning}");
    }
    let keyed = config.global.api_key.is_some() || !config.global.clients.is_empty();
    let door = Door {
        host: settings.host.clone().unwrap_or_else(|| default_host(keyed)),
        chosen: settings.host.is_some(),
    };
    let host = door.host.as_str();
    if !keyed {
        log::warn!("no api_key is set: whoever reaches {host} can use every provider");
    }

    let quotas = match &config.global.state {
        Some(state) => shared(state)?,
        None => Quotas::open(&settings.data_dir, clock::now()).with_context(|| {
            format!("cannot use the data folder {}", settings.data_dir.display())
        })?,
    };
    let gateway = Arc::new(Gateway::new(source.clone(), config, quotas));
    let listener = listen(host, settings.port)?;
    let addr = listener
        .local_addr()
        .context("the listener has no address")?;

    // Before anybody can know that we are there: unhandled, a signal would end the process.
    let signals = signals().context("signals cannot be handled")?;

    let reloading = gateway.clone();
    let _watcher = Watcher::start(source, Box::new(move |news| reloading.apply(news)));
    let _housekeeping = housekeeping(gateway.clone()).await?;

    let serving = gateway.clone();
    let server = HttpServer::new(move || {
        let worker = Worker {
            gateway: serving.clone(),
            client: Client::default(),
            door: door.clone(),
        };
        App::new()
            .app_data(Rc::new(worker))
            .configure(routes::routes)
    })
    .on_connect(|connection, _| {
        // A client that never reads would hold its provider for ever: nothing is polled for it, so only
        // the kernel can tell.
        if let Some(socket) = connection.downcast_ref::<tokio::net::TcpStream>() {
            let patience = Some(READ_PATIENCE);
            if let Err(error) = socket2::SockRef::from(socket).set_tcp_user_timeout(patience) {
                log::debug!("a connection without a bound on unread bytes: {error}");
            }
        }
    })
    // With the default, a client that hangs up during silence is noticed only when something is written
    // to it, and its provider works on for nobody.
    .h1_allow_half_closed(false)
    .tcp_nodelay(true)
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEAD_TIMEOUT)
    .workers(settings.workers)
    .backlog(BACKLOG)
    .shutdown_timeout(DRAIN.as_secs())
    .disable_signals()
    .listen(listener)
    .context("cannot listen")?
    .run();

    let [hangup, user, terminate, interrupt] = signals;
    actix_rt::spawn(reload_on(hangup, gateway.clone()));
    actix_rt::spawn(reopen_on(user));
    let alerting = gateway.clone();
    let webhook = move || alerting.snapshot().global.alerts.webhook.clone();
    actix_rt::spawn(alerts::deliver(gateway.alerts.outbox.clone(), webhook));
    let told_twice = stop_on([terminate, interrupt], gateway.clone(), server.handle());
    ready(addr);
    let served = tokio::select! {
        served = server => served,
        () = told_twice => Ok(()),
    };
    gateway
        .quotas
        .flush(clock::now())
        .context("cannot write usage")?;
    log::info!("Stopped");
    served.context("serving failed").map_err(Stopped::Other)
}

/// Counters that several gateways share. They need not be within reach yet.
fn shared(state: &SharedState) -> anyhow::Result<Quotas> {
    let settings = shared::Settings {
        url: state.url.expose().to_owned(),
        ca: None,
        prefix: state.prefix.clone(),
        // Another one for each start: what a process leaves behind is found by its silence.
        replica: format!("{:016x}", fastrand::u64(..)),
        lease: state.lease,
        grace: shared::GRACE,
    };
    let serves_alone = state.on_error == OnError::Local;
    let (sharing, running) =
        Sharing::start(settings, serves_alone, clock::now).map_err(anyhow::Error::msg)?;
    log::info!("Quotas are shared with other gateways");
    Ok(Quotas::shared(sharing, running))
}

/// Without a key only this machine may call.
fn default_host(keyed: bool) -> String {
    if keyed { "0.0.0.0" } else { "127.0.0.1" }.to_owned()
}

fn listen(host: &str, port: u16) -> anyhow::Result<TcpListener> {
    use std::net::ToSocketAddrs;

    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let mut failed = None;
    let addrs = (bare, port)
        .to_socket_addrs()
        .with_context(|| format!("cannot resolve HOST {host}"))?;
    for addr in addrs {
        match bind(addr) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = Some(error),
        }
    }
    let failed = failed.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into());
    Err(failed)
        .with_context(|| format!("cannot listen on {host}:{port}; set PORT to use another port"))
}

fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};

    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG.cast_signed())?;
    Ok(socket.into())
}

/// Once a second: resets that are due, and counters to disk. The scheduler only wakes us; which period a
/// moment belongs to is computed from the moment, so a tick that comes late or never loses nothing.
async fn housekeeping(gateway: Arc<Gateway>) -> anyhow::Result<JobScheduler> {
    let tick = Arc::new(Notify::new());
    let ticked = tick.clone();
    let job = Job::new_async("* * * * * *", move |_, _| {
        let tick = tick.clone();
        Box::pin(async move { tick.notify_one() })
    })?;
    actix_rt::spawn(async move {
        loop {
            // The scheduler goes by the wall clock: when that is set back, it is silent for as long.
            let _ = timeout(LONGEST_REST, ticked.notified()).await;
            let gateway = gateway.clone();
            // Awaited, so that a slow disk does not pile up runs.
            let done = actix_rt::task::spawn_blocking(move || gateway.maintain());
            if done.await.is_err() {
                log::error!("housekeeping failed");
            }
        }
    });
    let scheduler = JobScheduler::new().await?;
    scheduler.add(job).await?;
    scheduler.start().await?;
    Ok(scheduler)
}

/// The signals we follow: SIGHUP, SIGUSR1, SIGTERM, SIGINT.
fn signals() -> io::Result<[Signal; 4]> {
    Ok([
        signal(SignalKind::hangup())?,
        signal(SignalKind::user_defined1())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    ])
}

/// Each signal reloads. Those that come during a reload are one more, however many they are: a thread for
/// each would keep the others' work on the disk waiting for as long as they last.
async fn reload_on(mut hangup: Signal, gateway: Arc<Gateway>) {
    while hangup.recv().await.is_some() {
        let gateway = gateway.clone();
        // The outcome is logged where it is applied.
        let _ = actix_rt::task::spawn_blocking(move || gateway.reload()).await;
    }
}

/// Each signal opens the log file again, as nginx does: rotation scripts send it.
async fn reopen_on(mut user: Signal) {
    while user.recv().await.is_some() {
        telemetry::log::reopen();
    }
}

/// SIGTERM and SIGINT stop the server once its streams have finished. Returns at a second one, which does
/// not wait for them: the server, busy stopping, would not hear that.
async fn stop_on(signals: [Signal; 2], gateway: Arc<Gateway>, server: ServerHandle) {
    let [mut terminate, mut interrupt] = signals;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    log::info!("Stopping: running streams may finish, a second signal ends them");
    gateway.drain();
    actix_rt::spawn(server.stop(true));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
