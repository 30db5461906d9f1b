//! A Redis server of a test's own. Nobody else's is touched, and nothing of it stays.

#![allow(dead_code, reason = "each test uses some of it")]

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use super::{SOON, ms};

/// A running server. Dropping it kills it.
pub struct Redis {
    process: Option<Child>,
    port: u16,
    folder: TempDir,
    keeps: bool,
}

impl Redis {
    /// One that forgets everything when it is killed.
    pub fn start() -> Redis {
        Redis::begin(false)
    }

    /// One that writes everything down before it answers.
    pub fn keeping() -> Redis {
        Redis::begin(true)
    }

    fn begin(keeps: bool) -> Redis {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut redis = Redis {
            process: None,
            port,
            folder: TempDir::new().unwrap(),
            keeps,
        };
        redis.launch();
        redis
    }

    /// Starts it again where it was, and waits until it listens.
    pub fn launch(&mut self) {
        let append = if self.keeps { "yes" } else { "no" };
        let process = Command::new("redis-server")
            .args(["--port", &self.port.to_string()])
            .args(["--bind", "127.0.0.1", "--save", "", "--daemonize", "no"])
            .args(["--appendonly", append, "--appendfsync", "always"])
            .arg("--dir")
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let process = process.unwrap_or_else(|error| {
            panic!("redis-server: {error}; run: apt-get install -y redis-server")
        });
        self.process = Some(process);
        let since = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(since.elapsed() < 2 * SOON, "redis-server does not listen");
            std::thread::sleep(ms(5));
        }
    }

    /// `kill -9`, and waits for the end.
    pub fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// What a configuration calls it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Redis {
    /// What it answers to a command.
    pub fn say(&self, words: &[&str]) -> String {
        let said = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(words)
            .output()
            .unwrap();
        String::from_utf8_lossy(&said.stdout).into_owned()
    }
}
