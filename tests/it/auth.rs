//! Who may come in.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use api_gateway::simulator::{Answer, Simulator};
use serde_json::{Value, json};

use crate::support::gateway::chat;
use crate::support::http::{Client, Response};
use crate::support::{Gateway, global, model, provider};

const CHAT: &str = "/v1/chat/completions";

/// Every route that is not open.
const CLOSED: [(&str, &str); 15] = [
    ("GET", "/v1/models"),
    ("HEAD", "/v1/models"),
    ("GET", "/models"),
    ("GET", "/v1/models/m"),
    ("GET", "/models/m"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/embeddings"),
    ("GET", "/metrics"),
    ("GET", "/admin/stats"),
    ("HEAD", "/admin/stats"),
    ("GET", "/admin/providers/m"),
    ("GET", "/stats"),
    ("POST", "/admin/reload"),
];

/// Whether a route is for operators.
fn is_admin(path: &str) -> bool {
    path.starts_with("/admin/") || ["/stats", "/metrics"].contains(&path)
}

async fn gateway(settings: Value) -> (Gateway, Simulator) {
    let simulator = Simulator::start(Answer::text("Hello!")).await.unwrap();
    let config = model([provider("a", &simulator, json!({}))]);
    (Gateway::start(&global(config, settings)), simulator)
}

/// A request with a body that every route takes.
async fn ask(gateway: &Gateway, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let body = match path.ends_with("embeddings") {
        true => json!({ "model": "m", "input": "hi" }),
        false => chat("hi"),
    };
    let body = body.to_string();
    gateway
        .client()
        .request(method, path, headers, body.as_bytes())
        .await
}

#[tokio::test]
async fn the_key_is_taken_from_the_header_of_any_dialect() {
    let (gateway, simulator) = gateway(json!({ "api_key": "sk-Right" })).await;
    let forms = [
        ("authorization", "Bearer sk-Right"),
        ("Authorization", "bearer sk-Right"),
        ("AUTHORIZATION", "BEARER sk-Right"),
        ("x-api-key", "sk-Right"),
        ("X-Api-Key", "sk-Right"),
        ("x-goog-api-key", "sk-Right"),
    ];
    for form in forms {
        for (method, path) in CLOSED {
            let answer = ask(&gateway, method, path, &[form]).await;
            assert_eq!(answer.status, 200, "{form:?} {method} {path}");
        }
    }
    // Chat by two paths, completions, embeddings.
    assert_eq!(simulator.seen().requests, 4 * forms.len() as u64);
}

#[tokio::test]
async fn whatever_is_wrong_with_a_key_the_refusal_is_the_same() {
    let (gateway, simulator) = gateway(json!({ "api_key": "sk-Right" })).await;
    let expected = json!({ "error": {
        "message": "missing or wrong API key; send it as `Authorization: Bearer <key>`",
        "type": "invalid_request_error",
        "param": null,
        "code": "invalid_api_key",
    }});
    let wrong: [&[(&str, &str)]; 16] = [
        &[],
        &[("authorization", "Bearer sk-Wrong")],
        &[("authorization", "Bearer sk-right")],
        &[("authorization", "Bearer SK-RIGHT")],
        &[("authorization", "Bearer sk-Right1")],
        &[("authorization", "Bearer sk-Righ")],
        &[("authorization", "Bearer  sk-Right")],
        &[("authorization", "Bearer")],
        &[("authorization", "Bearer ")],
        &[("authorization", "sk-Right")],
        &[("authorization", "Basic sk-Right")],
        &[("authorization", "")],
        &[("authorization", "Bearer \u{fc}")],
        &[("x-api-key", "")],
        &[("x-api-key", "Bearer sk-Right")],
        &[("x-goog-api-key", "sk-right")],
    ];
    for headers in wrong {
        for (method, path) in CLOSED {
            let answer = ask(&gateway, method, path, headers).await;
            assert_eq!(answer.status, 401, "{headers:?} {method} {path}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            // Whoever shows Google's kind of key is told in Google's words.
            let is_googles = headers.iter().any(|(name, _)| *name == "x-goog-api-key");
            let is_shared = path.contains("/models");
            if method != "HEAD" && !(is_googles && is_shared) {
                assert_eq!(answer.json(), expected, "{headers:?} {method} {path}");
            }
        }
    }
    // Only Gemini's paths take a key from the URL.
    for (path, status) in [
        ("/v1beta/models?key=sk-Right", 200),
        ("/v1/models?key=sk-Right", 200),
        ("/v1/models?key=sk-right", 401),
        ("/models?key=sk-Right", 401),
        ("/admin/stats?key=sk-Right", 401),
    ] {
        assert_eq!(gateway.client().get(path).await.status, status, "{path}");
    }
    assert_eq!(simulator.seen().requests, 0);
}

#[tokio::test]
async fn open_routes_stay_open() {
    let (gateway, _simulator) = gateway(json!({ "api_key": "sk-1", "admin_key": "sk-2" })).await;
    for path in ["/", "/health", "/healthz", "/livez", "/readyz"] {
        for headers in [&[][..], &[("authorization", "Bearer wrong")]] {
            let answer = ask(&gateway, "GET", path, headers).await;
            assert_eq!(answer.status, 200, "{path}");
            for secret in ["sk-", "127.0.0.1", "simulated"] {
                assert!(!answer.text().contains(secret), "{path} tells {secret}");
            }
        }
    }
}

#[tokio::test]
async fn the_key_is_checked_before_the_body_is_read() {
    let (gateway, simulator) = gateway(json!({ "api_key": "sk-1" })).await;
    for path in [CHAT, "/v1/completions", "/v1/embeddings", "/admin/reload"] {
        for framing in ["content-length: 10000000000", "transfer-encoding: chunked"] {
            let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n");
            // Nothing of the body is ever sent, so an answer can only come from the head.
            let mut stream = gateway.client().raw(head.as_bytes()).await;
            stream.await_head().await;
            assert_eq!(stream.status(), 401, "{path} {framing}");
        }
    }
    assert_eq!(simulator.seen().requests, 0);
}

#[tokio::test]
async fn the_admin_key_is_for_the_admin_alone() {
    let (gateway, _simulator) =
        gateway(json!({ "api_key": "sk-client", "admin_key": "sk-admin" })).await;
    for (method, path) in CLOSED {
        let (right, wrong) = match is_admin(path) {
            true => ("sk-admin", "sk-client"),
            false => ("sk-client", "sk-admin"),
        };
        for (key, status) in [(right, 200), (wrong, 401)] {
            let answer = ask(&gateway, method, path, &[("x-api-key", key)]).await;
            assert_eq!(answer.status, status, "{key} {method} {path}");
        }
    }
}

#[tokio::test]
async fn an_admin_key_alone_closes_the_admin_alone() {
    let (gateway, _simulator) = gateway(json!({ "api_key": "", "admin_key": "sk-admin" })).await;
    for (method, path) in CLOSED {
        let keyless = ask(&gateway, method, path, &[]).await;
        let expected = if is_admin(path) { 401 } else { 200 };
        assert_eq!(keyless.status, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn a_new_key_counts_from_the_reload_on() {
    let (gateway, simulator) = gateway(json!({ "api_key": "sk-old" })).await;
    let config = model([provider("a", &simulator, json!({}))]);
    gateway.write_config(&global(config, json!({ "api_key": "sk-new" })));
    // Whether the watcher or this request was first does not matter: one of the keys is right.
    for key in ["sk-old", "sk-new"] {
        ask(&gateway, "POST", "/admin/reload", &[("x-api-key", key)]).await;
    }
    for (key, status) in [("sk-new", 200), ("sk-old", 401)] {
        for (method, path) in CLOSED {
            let answer = ask(&gateway, method, path, &[("x-api-key", key)]).await;
            assert_eq!(answer.status, status, "{key} {method} {path}");
        }
    }
}

#[tokio::test]
async fn without_a_key_a_foreign_page_can_neither_administer_nor_spend() {
    let (gateway, simulator) = gateway(json!({})).await;
    let own = gateway.addr().to_string();
    let port = gateway.addr().port();
    let local = format!("localhost:{port}");
    let refused = json!({ "error": {
        "message": "this address may not use /admin while no admin_key is set",
        "type": "invalid_request_error",
        "param": null,
        "code": null,
    }});
    for (host, origin, status) in [
        (own.as_str(), None, 200),
        (&local, None, 200),
        (&own, Some(format!("http://{own}")), 200),
        (&local, Some(format!("http://{local}")), 200),
        (&own, Some("https://evil.example".to_owned()), 403),
        (&own, Some("null".to_owned()), 403),
        (&own, Some(format!("http://{local}")), 403),
        (&own, Some("http://127.0.0.1:1".to_owned()), 403),
        // A name of the attacker's own that resolves to this machine.
        ("evil.example", None, 403),
        ("evil.example", Some("http://evil.example".to_owned()), 403),
        ("localhost.evil.example", None, 403),
        ("", None, 403),
    ] {
        for (method, path) in CLOSED {
            let from_page = origin.is_some();
            let origin = origin
                .as_ref()
                .map_or(String::new(), |origin| format!("origin: {origin}\r\n"));
            let body = match path.ends_with("embeddings") {
                true => json!({ "model": "m", "input": "hi" }).to_string(),
                false => chat("hi").to_string(),
            };
            let request = format!(
                "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{origin}connection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let answer = gateway
                .client()
                .raw(request.as_bytes())
                .await
                .until_closed()
                .await;
            let admin = is_admin(path);
            // A program sends no origin, and may call by whatever name it knows.
            let expected = if admin || from_page { status } else { 200 };
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {expected} ")),
                "{host} {origin:?} {method} {path}: {answer}"
            );
            if expected == 403 && admin && method != "HEAD" {
                assert!(answer.ends_with(&refused.to_string()), "{answer}");
            }
        }
    }
    assert!(simulator.seen().requests > 0);
}

/// The addresses that this machine listens on at `port`, as the kernel has them.
fn listening(port: u16) -> Vec<String> {
    let end = format!(":{port:04X}");
    let mut found = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in std::fs::read_to_string(table).unwrap_or_default().lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if let [_, local, _, "0A", ..] = fields[..]
                && let Some(address) = local.strip_suffix(&end)
            {
                found.push(address.to_owned());
            }
        }
    }
    found
}

#[tokio::test]
async fn without_a_key_only_this_machine_is_listened_to() {
    for (settings, host, address, kernels) in [
        (json!({}), "", "127.0.0.1", "0100007F"),
        (json!({ "admin_key": "sk-1" }), "", "127.0.0.1", "0100007F"),
        (json!({ "api_key": "sk-1" }), "", "0.0.0.0", "00000000"),
        (
            json!({ "api_key": "sk-1" }),
            "127.0.0.1",
            "127.0.0.1",
            "0100007F",
        ),
        (json!({}), "0.0.0.0", "0.0.0.0", "00000000"),
    ] {
        let simulator = Simulator::start(Answer::text("Hello!")).await.unwrap();
        let config = global(
            model([provider("a", &simulator, json!({}))]),
            settings.clone(),
        );
        let gateway = Gateway::start_with(&config, &[("HOST", host)]);
        let addr: SocketAddr = gateway.addr();
        assert_eq!(addr.ip().to_string(), address, "{settings} HOST={host:?}");
        assert_eq!(
            listening(addr.port()),
            [kernels],
            "{settings} HOST={host:?}"
        );
        let warning = "no api_key is set";
        let keyless = settings.get("api_key").is_none();
        let log = gateway.wait_for_log("listening on").await;
        assert_eq!(log.contains(warning), keyless, "{settings}");
    }
}

/// An address of this machine that is not loopback, if it has one.
fn own_address() -> Option<IpAddr> {
    // Nothing is sent: the kernel merely says from where it would be.
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

#[tokio::test]
async fn a_key_that_a_reload_loses_opens_the_gateway_only_to_this_machine() {
    // Where HOST was named, its word counts.
    for (host, status) in [("", 403), ("0.0.0.0", 200)] {
        let simulator = Simulator::start(Answer::text("Hello!")).await.unwrap();
        let keyless = model([provider("a", &simulator, json!({}))]);
        let keyed = global(keyless.clone(), json!({ "api_key": "sk-1" }));
        let gateway = Gateway::start_with(&keyed, &[("HOST", host)]);
        let port = gateway.addr().port();
        let other = own_address().map(|ip| Client::new(SocketAddr::new(ip, port)));
        let authorized = gateway.client().with_key("sk-1");
        gateway.write_config(&keyless);
        authorized.post("/admin/reload", &json!({})).await;
        gateway
            .wait_for_log("WARNING no api_key is set any more")
            .await;

        assert_eq!(gateway.chat("hi").await.status, 200, "HOST={host:?}");
        let Some(other) = other else { continue };
        for path in ["/v1/models", "/admin/stats"] {
            let answer = other.get(path).await;
            assert_eq!(answer.status, status, "HOST={host:?} {path}");
            if status == 403 {
                let message = &answer.json()["error"]["message"];
                assert!(message.as_str().unwrap().contains("only this machine"));
            }
        }
        assert_eq!(other.get("/health").await.status, 200, "it tells nothing");
    }
}

#[tokio::test]
async fn a_refused_path_is_not_logged_without_end() {
    let (gateway, _simulator) = gateway(json!({ "api_key": "sk-1" })).await;
    let path = format!("/v1/models/{}", "x".repeat(5000));
    assert_eq!(gateway.client().get(&path).await.status, 401);
    let log = gateway.wait_for_log("Request refused").await;
    let line = log.lines().find(|line| line.contains("Request refused"));
    assert!(line.unwrap().len() < 500, "{log}");
}
