//! Providers that are not there: scripted answers and faults on a loopback port.
//!
//! A [`Simulator`] is a real HTTP/1.1 server that speaks the provider's side of the OpenAI API
//! (`/chat/completions`, `/completions`, `/embeddings`, `/models`). It answers well by default, and
//! as badly as a [`Behavior`] asks: statuses, silence, resets, streams that break at a chosen event.
//! The demo, the tests and the benchmark use it, so it can be both fast and malicious; that is why it
//! writes its bytes itself instead of using a web framework that would refuse to misbehave.
//!
//! The dialects of other vendors are spoken from [recordings](Recording).
//!
//! It knows nothing of the gateway, and it is no model: it does not read what it is asked beyond the
//! fields that shape an answer (`model`, `stream`, `n`, and so on).
//!
//! Start reading at [`Act`], which lists everything that can happen to a request.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

mod answer;
mod counters;
mod dialect;
mod embeddings;
mod head;
mod openai;
mod recording;
mod request;
mod script;
mod server;

#[cfg(test)]
mod tests;

pub use answer::{Answer, Streaming, ToolCall, UsageInStream, Writes};
pub use counters::{Recorded, Seen};
pub use dialect::Dialect;
pub use recording::Recording;
pub use script::{Act, Behavior};

use counters::Counters;
use script::Script;

/// Connections that may wait to be accepted: thousands arrive at once in a load test.
const BACKLOG: u32 = 4096;

/// A running provider that is not there. Dropping it closes its port and its connections.
pub struct Simulator {
    shared: Arc<Shared>,
    addr: SocketAddr,
    scheme: &'static str,
    acceptor: JoinHandle<()>,
}

/// What all connections of one simulator share.
struct Shared {
    script: parking_lot::Mutex<Script>,
    counters: Counters,
}

impl Simulator {
    /// Starts on a free port of 127.0.0.1. Needs a tokio runtime around it, and runs on that one.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(behavior: impl Into<Behavior>) -> io::Result<Simulator> {
        Simulator::start_on(any_port(), behavior).await
    }

    /// Starts on a given address, such as that of a simulator that was [stopped](Self::stop).
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn start_on(
        addr: SocketAddr,
        behavior: impl Into<Behavior>,
    ) -> io::Result<Simulator> {
        Simulator::launch(addr, behavior.into(), None)
    }

    /// Starts on a free port and speaks TLS with the certificate of `config`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start_tls(
        behavior: impl Into<Behavior>,
        config: rustls::ServerConfig,
    ) -> io::Result<Simulator> {
        let tls = TlsAcceptor::from(Arc::new(config));
        Simulator::launch(any_port(), behavior.into(), Some(tls))
    }

    fn launch(
        addr: SocketAddr,
        behavior: Behavior,
        tls: Option<TlsAcceptor>,
    ) -> io::Result<Simulator> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        let listener = socket.listen(BACKLOG)?;
        let addr = listener.local_addr()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared {
            script: parking_lot::Mutex::new(Script::new(behavior)),
            counters: Counters::default(),
        });
        let acceptor = tokio::spawn(accept(listener, tls, Arc::clone(&shared)));
        Ok(Simulator {
            shared,
            addr,
            scheme,
            acceptor,
        })
    }

    /// The base URL to configure as a provider's endpoint: `http://127.0.0.1:PORT/v1`.
    pub fn endpoint(&self) -> String {
        format!("{}://{}/v1", self.scheme, self.addr)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Behaves differently from the next request on. Acts that are still [queued](Self::next) come first.
    pub fn set(&self, behavior: impl Into<Behavior>) {
        self.shared.script.lock().set(behavior.into());
    }

    /// Queues an act: the next request without one gets it, once.
    pub fn next(&self, act: impl Into<Act>) {
        self.shared.script.lock().queue(act.into());
    }

    /// What happened so far.
    pub fn seen(&self) -> Seen {
        self.shared.counters.seen()
    }

    /// The last 1000 requests, oldest first.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.counters.recorded()
    }

    /// Whether [requests](Self::requests) are kept; they are unless this says otherwise. Turn it off for load.
    pub fn record(&self, on: bool) {
        self.shared.counters.record(on);
    }

    /// Waits until `what` holds, and says whether it came to hold within `at_most`.
    pub async fn wait_until(&self, what: impl Fn(&Seen) -> bool, at_most: Duration) -> bool {
        self.shared.counters.wait_until(what, at_most).await
    }

    /// Closes the port and all connections, and returns once that is done.
    pub async fn stop(mut self) {
        self.acceptor.abort();
        // The only way to end is to be aborted, so the result says nothing.
        let _ = (&mut self.acceptor).await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

fn any_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// Accepts until aborted. The set owns the connections' tasks, so they end with this one.
async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // An error concerns one connection that is gone, or file descriptors that will come back.
                let Ok((socket, _)) = accepted else {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                };
                connections.spawn(connection(socket, tls.clone(), Arc::clone(&shared)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(socket: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    // Without it the second of two small writes waits for the peer's delayed acknowledgement.
    let _ = socket.set_nodelay(true);
    match tls {
        None => server::serve(socket, &shared).await,
        Some(tls) => {
            // A handshake that fails is the peer's to report.
            if let Ok(socket) = tls.accept(socket).await {
                server::serve(socket, &shared).await;
            }
        }
    }
}
