//! A real nginx in front of the gateway, with the configuration that `deploy/` offers.
//!
//! `tests/setup` installs nginx.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use api_gateway::simulator::{Answer, Simulator};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use crate::support::gateway::{chat, chat_stream};
use crate::support::http::Client;
use crate::support::{Gateway, SOON, model, ms, provider};

const CHAT: &str = "/v1/chat/completions";

/// An nginx process; dropping it ends it.
struct Nginx {
    process: Child,
    addr: SocketAddr,
    folder: TempDir,
}

impl Nginx {
    /// In front of these, of which there is one unless a test wants to see what a second one gets.
    async fn start(upstreams: &[SocketAddr]) -> Nginx {
        let folder = TempDir::new().unwrap();
        // Its workers are another user than its master, and keep large bodies here.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let addr = free_addr().await;
        let config = folder.path().join("nginx.conf");
        std::fs::write(&config, configuration(addr, upstreams, folder.path())).unwrap();
        let process = Command::new("nginx")
            .env(
                "PATH",
                format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap()),
            )
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(config)
            .args(["-g", "daemon off;"])
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("stderr")).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run nginx, run tests/setup: {error}"));
        let nginx = Nginx {
            process,
            addr,
            folder,
        };
        let since = Instant::now();
        while TcpStream::connect(addr).await.is_err() {
            assert!(
                since.elapsed() < SOON,
                "nginx did not start: {}",
                nginx.stderr()
            );
            tokio::time::sleep(ms(10)).await;
        }
        nginx
    }

    fn client(&self) -> Client {
        Client::new(self.addr)
    }

    fn stderr(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Told, not killed: its workers would outlive it.
        let id = self.process.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let _ = self.process.wait();
    }
}

/// The configuration as it is offered, at other addresses and with temporary files of its own.
fn configuration(listen: SocketAddr, upstreams: &[SocketAddr], folder: &Path) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/nginx.conf");
    let mut config = std::fs::read_to_string(path).unwrap();
    let folder = folder.display();
    let servers: String = upstreams
        .iter()
        .map(|upstream| format!("server {upstream};"))
        .collect();
    let own = format!(
        "http {{\nclient_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\
         fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;"
    );
    for (offered, ours) in [
        ("listen 80;", format!("listen {listen};")),
        ("server 127.0.0.1:6010;", servers),
        ("http {", own),
    ] {
        assert_eq!(config.matches(offered).count(), 1, "{offered}");
        config = config.replace(offered, &ours);
    }
    config
}

async fn free_addr() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// Provider, gateway, nginx.
async fn stack(answer: Answer) -> (Simulator, Gateway, Nginx) {
    let simulator = Simulator::start(answer).await.unwrap();
    let gateway = Gateway::start(&model([provider("a", &simulator, json!({}))]));
    let nginx = Nginx::start(&[gateway.addr()]).await;
    (simulator, gateway, nginx)
}

#[tokio::test]
async fn answers_pass_through_as_they_are() {
    let (simulator, gateway, nginx) = stack(Answer::text("Hello!")).await;

    let headers = [("x-request-id", "mine")];
    let body = chat("hi").to_string();
    let answer = nginx
        .client()
        .request("POST", CHAT, &headers, body.as_bytes())
        .await;

    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "Hello!");
    assert_eq!(answer.header("x-gateway-provider"), Some("a"));
    assert_eq!(answer.header("x-request-id"), Some("mine"));
    assert_eq!(simulator.seen().requests, 1);

    let unnamed = nginx.client().post(CHAT, &chat("hi")).await;
    assert_eq!(unnamed.header("x-request-id").unwrap().len(), 32);
    let nope = nginx.client().get("/nope").await;
    assert_eq!(
        (nope.status, &nope.json()["error"]["code"]),
        (404, &json!(null))
    );

    // More than nginx takes by default, and less than the gateway does.
    let large = nginx
        .client()
        .post(CHAT, &chat(&"x".repeat(3_000_000)))
        .await;
    assert_eq!(large.status, 200);

    // A page of the gateway's own stays one of its own behind nginx.
    let own = format!("http://{}", nginx.addr);
    for (origin, status) in [(own.as_str(), 200), ("http://evil.example", 403)] {
        let answer = nginx
            .client()
            .request("POST", "/admin/reload", &[("origin", origin)], b"")
            .await;
        assert_eq!(answer.status, status, "{origin}");
    }
    drop(gateway);
}

#[tokio::test]
async fn a_stream_arrives_while_the_provider_is_still_silent() {
    let (simulator, _gateway, nginx) = stack(Answer::words(5).stall_after(3)).await;

    let mut stream = nginx.client().post_stream(CHAT, &chat_stream("hi")).await;

    // The provider sends nothing after its third event, so these were not waiting for company.
    for n in 0..3 {
        assert!(stream.next_event().await.is_some(), "event {n}");
    }
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(simulator.seen().streams_open, 1);
}

#[tokio::test]
async fn a_whole_stream_arrives_whole() {
    let (_simulator, gateway, nginx) = stack(Answer::words(50)).await;
    let direct = gateway.client().post(CHAT, &chat_stream("hi")).await;
    let proxied = nginx.client().post(CHAT, &chat_stream("hi")).await;
    assert!(proxied.ended_cleanly);
    assert!(proxied.text().ends_with("data: [DONE]\n\n"));
    let count = |text: &str| text.matches("data: ").count();
    assert_eq!(count(proxied.text()), count(direct.text()));
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_through_nginx() {
    let (simulator, gateway, nginx) = stack(Answer::words(5).stall_after(3)).await;
    let mut stream = nginx.client().post_stream(CHAT, &chat_stream("hi")).await;
    assert!(stream.next_event().await.is_some());

    drop(stream);

    assert!(
        simulator.wait_until(|seen| seen.abandoned == 1, SOON).await,
        "the provider works on for nobody"
    );
    gateway.wait_for_log("Client left").await;
    assert_eq!(gateway.stats("a").await["requests_in_flight"], 0);
}

/// Takes requests and hangs up on each; counts them.
async fn dying() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((mut peer, _)) = listener.accept().await {
            let mut request = [0; 4096];
            if peer.read(&mut request).await.is_ok_and(|read| read > 0) {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    (addr, count)
}

#[tokio::test]
async fn nginx_repeats_no_request() {
    let [(first, to_first), (second, to_second)] = [dying().await, dying().await];
    let nginx = Nginx::start(&[first, second]).await;
    // One for each: a server that failed is left alone for a while.
    for (n, method) in ["POST", "GET"].iter().enumerate() {
        let body = chat("hi").to_string();
        let path = if *method == "POST" { CHAT } else { "/health" };
        let answer = nginx
            .client()
            .request(method, path, &[], body.as_bytes())
            .await;
        assert_eq!(answer.status, 502);
        let arrived = to_first.load(Ordering::SeqCst) + to_second.load(Ordering::SeqCst);
        assert_eq!(arrived, n + 1, "{method}");
    }
}
