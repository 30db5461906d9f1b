//! A `redis-server` of a test's own.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// Ends with the test.
pub(super) struct Server {
    child: Child,
    pub(super) port: u16,
    pub(super) dir: TempDir,
    args: Vec<String>,
}

impl Server {
    /// One that keeps nothing on disk.
    pub(super) fn start() -> Server {
        Server::with(&[])
    }

    /// One with further arguments.
    pub(super) fn with(args: &[&str]) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        // Another process may take the port in between: then the server ends, and the next port is tried.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            if let Some(child) = spawn(port, &dir, &args) {
                return Server {
                    child,
                    port,
                    dir,
                    args,
                };
            }
        }
        panic!("redis-server did not start on any of 10 ports");
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it without a chance to save anything.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was.
    pub(super) fn start_again(&mut self) {
        for _ in 0..10 {
            if let Some(child) = spawn(self.port, &self.dir, &self.args) {
                self.child = child;
                return;
            }
        }
        panic!("redis-server did not start again on port {}", self.port);
    }

    /// A connection that is not a replica's.
    pub(super) async fn raw(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// The answer to one command.
    pub(super) async fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut self.raw().await).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that accepts connections; `None` when it ended instead.
fn spawn(port: u16, dir: &TempDir, args: &[String]) -> Option<Child> {
    let spawned = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--daemonize", "no", "--dir"])
        .arg(dir.path())
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("this test needs redis-server: apt-get install redis-server")
        }
        Err(error) => panic!("redis-server: {error}"),
    };
    for _ in 0..500 {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some(child);
        }
        thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("redis-server did not listen within 5 s");
}
