//! The two that are compared: how each is started, and what it costs.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpStream;

/// The kernel's tick for CPU times in `/proc`, on every Linux that matters.
const TICK: Duration = Duration::from_millis(10);

/// A running proxy; dropping it ends it.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    process: Child,
}

impl Proxy {
    /// nginx with one worker, kept upstream connections, no buffering and no access log.
    pub(crate) fn nginx(folder: &Path, upstream: SocketAddr) -> Proxy {
        let addr = free_port();
        let folder = folder.display();
        let config = format!(
            "daemon off; master_process off; worker_rlimit_nofile 16384; pid {folder}/nginx.pid;\n\
             error_log stderr crit;\n\
             events {{ worker_connections 8192; }}\n\
             http {{\n\
               access_log off; client_body_buffer_size 256k; client_max_body_size 32m;\n\
               client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;\n\
               uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; keepalive_requests 100000000;\n\
               upstream provider {{ server {upstream}; keepalive 256; keepalive_requests 100000000; }}\n\
               server {{ listen {addr} backlog=4096; location / {{\n\
                 proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
                 proxy_buffering off; }} }}\n\
             }}\n"
        );
        let path = format!("{folder}/nginx.conf");
        std::fs::write(&path, config).unwrap();
        Proxy::start(addr, pinned("nginx").args(["-e", "stderr", "-c", &path]))
    }

    /// The gateway with two providers, a client key, quotas and its log.
    pub(crate) fn gateway(folder: &Path, endpoint: &str) -> Proxy {
        let addr = free_port();
        let provider = |name: &str, weight: u32| {
            json!({
                "name": name, "endpoint": endpoint, "api_key": "sk-provider", "model": "simulated",
                "weight": weight,
                "rate_limit": { "requests_per_period": 1_000_000_000, "tokens_per_period": 1_000_000_000_000_u64 },
            })
        };
        let config = json!({
            "_global": { "api_key": "sk-bench" },
            "m": { "providers": [provider("a", 7), provider("b", 3)] },
        });
        let path = folder.join("provider.json");
        std::fs::write(&path, config.to_string()).unwrap();
        let mut command = pinned(env!("CARGO_BIN_EXE_api-gateway"));
        command
            .env("HOST", "127.0.0.1")
            .env("PORT", addr.port().to_string())
            .env("CONFIG_PATH", path)
            .env("DATA_DIR", folder.join("data"))
            .env("LOG_DIR", folder.join("logs"))
            .env("LOG_LEVEL", "INFO")
            .env("WORKERS", "1")
            .stdout(Stdio::null());
        Proxy::start(addr, &mut command)
    }

    fn start(addr: SocketAddr, command: &mut Command) -> Proxy {
        let process = command.stdin(Stdio::null()).spawn();
        Proxy {
            addr,
            process: process.unwrap_or_else(|error| panic!("cannot run {command:?}: {error}")),
        }
    }

    /// Waits until it accepts connections.
    pub(crate) async fn wait_until_ready(&self) {
        for _ in 0..500 {
            if TcpStream::connect(self.addr).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nothing listens on {} after 5 s", self.addr);
    }

    /// CPU time it has used, user and system.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        // The second field is the name in parentheses and may hold blanks; utime and stime are 14 and 15.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        let ticks: u32 = fields[11].parse::<u32>().unwrap() + fields[12].parse::<u32>().unwrap();
        TICK * ticks
    }

    /// Memory in use, in MB.
    pub(crate) fn memory_mb(&self) -> f64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<f64>()
            .unwrap()
            / 1024.0
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The command on the first CPU, where `taskset` exists, so that the load does not disturb it.
fn pinned(program: &str) -> Command {
    if Command::new("taskset").arg("--version").output().is_err() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", "0", program]);
    command
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}
