//! The gateway as its users run it: the built binary, a folder, a port.

#![allow(dead_code, reason = "each test uses some of it")]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use api_gateway::simulator::Simulator;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::http::{Client, Response};
use super::{SOON, ms};

/// A gateway process in a folder of its own. Dropping it kills it.
pub struct Gateway {
    process: Option<Child>,
    addr: SocketAddr,
    folder: TempDir,
    environment: Vec<(String, String)>,
    /// What it wrote to stdout.
    said: Arc<Mutex<String>>,
}

/// A provider of a configuration, called `name`, at a simulator. `more` adds or replaces keys.
pub fn provider(name: &str, at: &Simulator, more: Value) -> Value {
    let mut provider = json!({
        "name": name,
        "endpoint": at.endpoint(),
        "api_key": format!("sk-secret-of-{name}"),
        "model": "simulated",
        "retry": 0,
    });
    merge(&mut provider, more);
    provider
}

/// A configuration with one model, `m`.
pub fn model(providers: impl IntoIterator<Item = Value>) -> Value {
    let providers: Vec<Value> = providers.into_iter().collect();
    json!({ "m": { "providers": providers } })
}

/// The same configuration with these global settings.
pub fn global(mut config: Value, settings: Value) -> Value {
    merge(&mut config, json!({ "_global": settings }));
    config
}

fn merge(into: &mut Value, more: Value) {
    let empty = Map::new();
    let more = more.as_object().unwrap_or(&empty).clone();
    into.as_object_mut().unwrap().extend(more);
}

impl Gateway {
    /// Starts with this configuration and returns once it listens.
    pub fn start(config: &Value) -> Gateway {
        Gateway::start_with(config, &[])
    }

    /// Starts with further environment variables.
    pub fn start_with(config: &Value, environment: &[(&str, &str)]) -> Gateway {
        let folder = TempDir::new().unwrap();
        let mut gateway = Gateway {
            process: None,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            folder,
            environment: environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            said: Arc::default(),
        };
        gateway.write_config(config);
        gateway.launch();
        gateway
    }

    /// Starts the process again, in the same folder, after it has ended.
    pub fn launch(&mut self) {
        assert!(self.process.is_none(), "it is still running");
        let mut process = self.command().spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (tell, told) = mpsc::channel();
        let said = self.said.clone();
        // Reads to the end, so that the gateway never waits for somebody to take its output.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                said.lock().unwrap().push_str(&format!("{line}\n"));
                if let Some((_, addr)) = line.split_once("listening on http://") {
                    // A line of JSON goes on after it.
                    let _ = tell.send(addr.trim_end_matches(['"', '}']).to_owned());
                }
            }
        });
        self.process = Some(process);
        if let Some((_, port)) = self.environment.iter().find(|(name, _)| name == "PORT") {
            self.addr.set_port(port.parse().unwrap());
            return self.await_port();
        }
        match told.recv_timeout(2 * SOON) {
            Ok(addr) => self.addr = addr.parse().unwrap(),
            Err(_) => panic!("it did not start:\n{}{}", self.log(), self.read("stderr")),
        }
    }

    /// Waits until its port, which was given, is open: at some levels of the log it does not say so.
    fn await_port(&self) {
        let since = Instant::now();
        while std::net::TcpStream::connect(self.addr).is_err() {
            assert!(
                since.elapsed() < 2 * SOON,
                "it did not start: {}",
                self.log()
            );
            std::thread::sleep(ms(5));
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_api-gateway"));
        command
            .env_remove("TZ")
            .envs([("HOST", "127.0.0.1"), ("PORT", "0"), ("WORKERS", "2")])
            .env("CONFIG_PATH", self.path("provider.json"))
            .env("DATA_DIR", self.path("data"))
            .env("LOG_DIR", self.path("logs"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(
                File::options()
                    .create(true)
                    .append(true)
                    .open(self.path("stderr"))
                    .unwrap(),
            );
        command
    }

    /// Changes an environment variable for the next [`launch`](Self::launch).
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::new(self.addr)
    }

    /// Asks model `m` something and waits for the whole answer.
    pub async fn chat(&self, text: &str) -> Response {
        self.client()
            .post("/v1/chat/completions", &chat(text))
            .await
    }

    /// `/admin/stats` of model `m`, provider `name`.
    pub async fn stats(&self, name: &str) -> Value {
        let stats = self.client().get("/admin/stats").await.json();
        stats["m"][name].clone()
    }

    /// `/admin/providers/m`, the entry called `name`.
    pub async fn standing(&self, name: &str) -> Value {
        let all = self.client().get("/admin/providers/m").await.json();
        let all = all.as_array().unwrap().clone();
        all.into_iter()
            .find(|provider| provider["name"] == name)
            .unwrap()
    }

    /// A path in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file in its folder; empty when there is none.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.read("logs/gateway.log")
    }

    /// Waits until the log holds `text`; lines are written some milliseconds after they are logged.
    pub async fn wait_for_log(&self, text: &str) -> String {
        self.wait_for(&format!("{text:?} in the log"), || {
            let log = self.log();
            log.contains(text).then_some(log)
        })
        .await
    }

    /// Waits until `look` finds something.
    pub async fn wait_for<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        let since = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(
                since.elapsed() < SOON,
                "no {what} within {SOON:?}; log:\n{}",
                self.log()
            );
            tokio::time::sleep(ms(10)).await;
        }
    }

    /// Writes the configuration file in place.
    pub fn write_config(&self, config: &Value) {
        std::fs::write(self.path("provider.json"), format!("{config:#}")).unwrap();
    }

    /// Sends a signal, such as `HUP`.
    pub fn signal(&self, name: &str) {
        let id = self.process.as_ref().unwrap().id();
        let sent = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{name} {id}"))
            .status();
        assert!(sent.unwrap().success());
    }

    /// `kill -9`, and waits for the end.
    pub fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait_exit(3 * SOON)
    }

    /// Waits until the process has ended.
    pub fn wait_exit(&mut self, at_most: Duration) -> ExitStatus {
        let mut process = self.process.take().unwrap();
        let since = Instant::now();
        loop {
            if let Some(status) = process.try_wait().unwrap() {
                return status;
            }
            if since.elapsed() > at_most {
                process.kill().unwrap();
                panic!("still running after {at_most:?}; log:\n{}", self.log());
            }
            std::thread::sleep(ms(5));
        }
    }

    /// What it wrote to stdout so far.
    pub fn stdout(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            println!(
                "--- log of the gateway\n{}{}",
                self.log(),
                self.read("stderr")
            );
        }
    }
}

/// A chat request to model `m`.
pub fn chat(text: &str) -> Value {
    json!({ "model": "m", "messages": [{ "role": "user", "content": text }] })
}

/// The same, streamed.
pub fn chat_stream(text: &str) -> Value {
    let mut request = chat(text);
    request["stream"] = json!(true);
    request
}

/// Every variable that is a flag, too.
pub const VARIABLES: [&str; 8] = [
    "HOST",
    "PORT",
    "CONFIG_PATH",
    "DATA_DIR",
    "LOG_DIR",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "WORKERS",
];

/// The command line program itself, for a run that ends by itself.
pub fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_api-gateway"));
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null());
    for name in VARIABLES.iter().chain(&["TZ"]) {
        command.env_remove(name);
    }
    command
}
