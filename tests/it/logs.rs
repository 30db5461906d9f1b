//! What is logged, in which form, and what never is.

use api_gateway::simulator::{Act, Answer, Behavior, Simulator};
use serde_json::{Value, json};

use crate::support::gateway::{chat, chat_stream};
use crate::support::{Gateway, global, model, provider};

const CHAT: &str = "/v1/chat/completions";

async fn simulator(behavior: impl Into<Behavior>) -> Simulator {
    Simulator::start(behavior).await.unwrap()
}

/// A provider that fails as told before one that says "Hello!".
async fn failing_first(act: Act) -> (Value, [Simulator; 2]) {
    let [bad, good] = [
        simulator(act).await,
        simulator(Answer::text("Hello!")).await,
    ];
    let config = model([
        provider("bad", &bad, json!({ "retry": 1 })),
        provider("good", &good, json!({ "priority": 2 })),
    ]);
    (config, [bad, good])
}

/// A failure whose text the log shows.
fn no_such_model() -> Act {
    Act::error(404, "model_not_found", "two\nlines \"quoted\"")
}

async fn ask_as(gateway: &Gateway, id: &str) {
    let body = chat("hi").to_string();
    let headers = [("x-request-id", id)];
    let answer = gateway
        .client()
        .request("POST", CHAT, &headers, body.as_bytes())
        .await;
    assert_eq!(answer.header("x-request-id"), Some(id));
}

/// The lines that carry this request id, without their times.
fn lines_of(log: &str, id: &str) -> Vec<String> {
    let id = format!(" request_id={id} ");
    log.lines()
        .filter(|line| line.contains(&id))
        .map(|line| line.split_once(' ').unwrap().1.replace(&id, " "))
        .collect()
}

#[tokio::test]
async fn a_request_can_be_followed_by_its_id() {
    let (config, _simulators) = failing_first(Act::status(500)).await;
    let gateway = Gateway::start_with(&config, &[("LOG_LEVEL", "DEBUG")]);
    ask_as(&gateway, "other").await;
    ask_as(&gateway, "mine").await;
    ask_as(&gateway, "third").await;

    let log = gateway.wait_for_log("request_id=third path=").await;

    let lines = lines_of(&log, "mine");
    let (end, before) = lines.split_last().unwrap();
    let failed = "WARNING Attempt failed model=m provider=bad reason=\"HTTP 500 server_error\"";
    assert_eq!(
        before,
        [
            "DEBUG Request received path=/chat/completions",
            "INFO Selected provider model=m provider=bad attempt=1",
            failed,
            "INFO Selected provider model=m provider=bad attempt=2",
            failed,
            "WARNING Switching provider model=m to=good reason=\"HTTP 500 server_error\"",
            "INFO Selected provider model=m provider=good attempt=3",
        ]
    );
    let start = "INFO Request answered path=/chat/completions model=m provider=good status=200 \
                 attempts=3 input_tokens=10 output_tokens=20 total_tokens=30 duration_ms=";
    assert!(end.starts_with(start), "{end}");
}

#[tokio::test]
async fn a_refusal_is_followed_by_its_id_too() {
    let (config, _simulators) = failing_first(Act::rate_limited(120)).await;
    let gateway = Gateway::start(&config);
    ask_as(&gateway, "mine").await;
    let log = gateway.wait_for_log("Request answered").await;
    let lines = lines_of(&log, "mine");
    assert!(
        lines[2].starts_with("WARNING Provider is cooling down model=m provider=bad until=20"),
        "{lines:#?}"
    );
    assert_eq!(lines.len(), 6, "{lines:#?}");
}

#[tokio::test]
async fn refused_and_failed_requests_leave_a_line_as_well() {
    let (config, [bad, good]) = failing_first(Act::status(500)).await;
    good.set(Act::status(503));
    let config = global(config, json!({ "api_key": "sk-1" }));
    let gateway = Gateway::start(&config);
    let client = gateway.client().with_key("sk-1");
    let id = |id: &'static str| [("x-request-id", id)];
    let hi = chat("hi").to_string();

    gateway
        .client()
        .request("POST", CHAT, &id("keyless"), hi.as_bytes())
        .await;
    client.request("POST", CHAT, &id("broken"), b"{").await;
    client
        .request("POST", CHAT, &id("unknown"), br#"{"model":"nope"}"#)
        .await;
    client
        .request("POST", CHAT, &id("failed"), hi.as_bytes())
        .await;
    let log = gateway.wait_for_log("request_id=failed path=").await;

    for (id, line) in [
        ("keyless", "INFO Request refused: missing or wrong API key"),
        ("broken", "INFO Request failed path=/chat/completions"),
        (
            "unknown",
            "INFO Request failed path=/chat/completions model=nope",
        ),
        (
            "failed",
            "ERROR Request failed path=/chat/completions model=m provider=good status=502",
        ),
    ] {
        let lines = lines_of(&log, id);
        let last = lines.last().unwrap();
        assert!(last.starts_with(line), "{id}: {lines:#?}");
    }
    assert_eq!((bad.seen().requests, good.seen().requests), (2, 1));
}

#[tokio::test]
async fn the_words_that_monitoring_looks_for_are_there() {
    let (config, [_bad, good]) = failing_first(Act::status(500)).await;
    let gateway = Gateway::start(&config);
    ask_as(&gateway, "one").await;
    good.set(Act::status(500));
    ask_as(&gateway, "two").await;
    let file = gateway.path("data/usage/m/good.json");
    gateway
        .wait_for("usage file", || file.exists().then_some(()))
        .await;
    std::fs::remove_file(file).unwrap();
    let log = gateway.wait_for_log("Reset usage").await;
    for words in ["Selected provider", "Switching provider", " ERROR "] {
        assert!(log.contains(words), "{words:?} is missing:\n{log}");
    }
    // Whatever reads the output instead of the file sees the same.
    let shown = gateway
        .wait_for("the same on stdout", || {
            let shown = gateway.stdout();
            shown.contains("Reset usage").then_some(shown)
        })
        .await;
    assert!(shown.starts_with(&log), "{shown}");
}

#[tokio::test]
async fn every_line_tells_its_time_in_the_zone_of_the_operator_and_its_level() {
    let (config, _simulators) = failing_first(no_such_model()).await;
    let gateway = Gateway::start_with(&config, &[("TZ", "Asia/Shanghai")]);
    ask_as(&gateway, "one").await;
    let log = gateway.wait_for_log("Request answered").await;
    for line in log.lines() {
        let (time, rest) = line.split_once(' ').unwrap();
        // 2026-11-20T10:30:00.123+08:00
        assert_eq!(
            (time.len(), &time[10..11], &time[19..20], &time[23..]),
            (29, "T", ".", "+08:00"),
            "{line}"
        );
        let level = rest.split(' ').next().unwrap();
        assert!(
            ["DEBUG", "INFO", "WARNING", "ERROR"].contains(&level),
            "{line}"
        );
    }
    assert!(log.contains(r#"reason="two\nlines \"quoted\"""#), "{log}");
}

#[tokio::test]
async fn json_logs_are_one_object_per_line() {
    let (config, _simulators) = failing_first(no_such_model()).await;
    let gateway = Gateway::start_with(&config, &[("LOG_FORMAT", "json"), ("LOG_LEVEL", "DEBUG")]);
    ask_as(&gateway, "first").await;
    for name in ["true", "4"] {
        let unknown = json!({ "model": name });
        gateway.client().post(CHAT, &unknown).await;
    }
    ask_as(&gateway, "last").await;

    let log = gateway
        .wait_for_log("\"request_id\":\"last\",\"path\"")
        .await;
    let log = log.trim_end_matches(|c| c != '\n');

    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        for key in ["time", "level", "message"] {
            assert!(line[key].is_string(), "{key} of {line}");
        }
    }
    let of = |message: &str| -> Vec<&Value> {
        lines
            .iter()
            .filter(|line| line["message"] == message)
            .collect()
    };
    assert_eq!(of("Attempt failed")[0]["reason"], "two\nlines \"quoted\"");
    let mut answered = of("Request answered")[0].clone();
    for varying in ["time", "duration_ms"] {
        let value = answered.as_object_mut().unwrap().remove(varying).unwrap();
        assert!(varying == "time" || value.is_number(), "{varying}: {value}");
    }
    assert_eq!(
        answered,
        json!({
            "level": "INFO", "message": "Request answered",
            "request_id": "first", "path": "/chat/completions", "model": "m", "provider": "good",
            "status": 200, "attempts": 2,
            "input_tokens": 10, "output_tokens": 20, "total_tokens": 30,
        })
    );
    // Text stays text, whatever it looks like.
    let models: Vec<&Value> = of("Request failed")
        .iter()
        .map(|line| &line["model"])
        .collect();
    assert_eq!(models, [&json!("true"), &json!("4")]);
}

#[tokio::test]
async fn the_level_says_how_much_is_logged() {
    for (level, words, silent) in [
        ("WARNING", "Switching provider", "Selected provider"),
        ("warning", "Switching provider", "Request answered"),
        ("ERROR", " ERROR Request failed", "Switching provider"),
        ("INFO", "Request failed", " DEBUG "),
        ("DEBUG", " DEBUG ", " TRACE "),
    ] {
        let (config, [_bad, good]) = failing_first(Act::status(500)).await;
        // It says where it listens at INFO, so the port must be known before.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        let environment = [("LOG_LEVEL", level), ("PORT", port.as_str())];
        let gateway = Gateway::start_with(&config, &environment);
        ask_as(&gateway, "answered").await;
        good.set(Act::status(500));
        ask_as(&gateway, "failed").await;
        let log = gateway.wait_for_log("request_id=failed path=").await;
        assert!(log.contains(words), "{level}:\n{log}");
        assert!(!log.contains(silent), "{level}:\n{log}");
    }
}

#[tokio::test]
async fn requests_leave_no_line_when_told_not_to() {
    let (config, _simulators) = failing_first(Act::status(500)).await;
    let gateway = Gateway::start(&global(config, json!({ "log_requests": false })));
    ask_as(&gateway, "one").await;
    let mut stream = gateway.client().post_stream(CHAT, &chat_stream("hi")).await;
    stream.rest().await;
    gateway.client().post(CHAT, &json!({})).await;
    ask_as(&gateway, "last").await;
    // What went wrong is still told.
    gateway
        .wait_for_log("Switching provider request_id=last")
        .await;
    let mut gateway = gateway;
    gateway.stop();
    let log = gateway.log();
    for line in [
        "Selected provider",
        "Request answered",
        "Request failed",
        "Client left",
    ] {
        assert!(!log.contains(line), "{log}");
    }
}

#[tokio::test]
async fn the_file_is_opened_anew_after_it_was_rotated_away_and_no_line_is_lost() {
    let simulator = simulator(Answer::text("Hello!")).await;
    let mut gateway = Gateway::start(&model([provider("a", &simulator, json!({}))]));
    ask_as(&gateway, "n0").await;
    gateway.wait_for_log("request_id=n0 path=").await;
    std::fs::rename(gateway.path("logs/gateway.log"), gateway.path("logs/old")).unwrap();

    let since = std::time::Instant::now();
    let mut asked = 1;
    while !gateway.path("logs/gateway.log").exists() {
        assert!(since.elapsed().as_secs() < 10, "no new file");
        ask_as(&gateway, &format!("n{asked}")).await;
        asked += 1;
    }
    gateway.stop();

    let log = gateway.read("logs/old") + &gateway.log();
    for n in 0..asked {
        let line = format!("Request answered request_id=n{n} ");
        assert_eq!(log.matches(&line).count(), 1, "{line}");
    }
    assert!(log.ends_with("INFO Stopped\n"), "{log}");
}

/// What must never be read in a log, whoever said it.
const SECRETS: [&str; 9] = [
    "sk-secret-of-a",
    "sk-secret-of-b",
    "sk-client",
    "sk-admin",
    "sk-guessed",
    "team-secret",
    "the-prompt-itself",
    "the-answer-itself",
    "c2VjcmV0",
];

#[tokio::test]
async fn a_provider_that_quotes_the_prompt_as_it_fails_does_not_bring_it_into_the_log() {
    let quote = r#"{"error":{"message":"cannot read: the-prompt-itself","type":"server_error","code":"bad"}}"#;
    for status in [500, 200] {
        let a = simulator(Act::body(status, "application/json", quote)).await;
        let gateway = Gateway::start(&model([provider("a", &a, json!({}))]));
        let answer = gateway.chat("the-prompt-itself").await;
        assert_eq!(answer.status, 502);
        assert!(
            answer.text().contains("the-prompt-itself"),
            "it is the client's"
        );
        let log = gateway.wait_for_log("Request failed").await;
        assert!(log.contains("server_error bad"), "{log}");
        assert!(!log.contains("the-prompt-itself"), "{log}");
        let standing = gateway.standing("a").await;
        assert!(!standing.to_string().contains("the-prompt-itself"));
    }
}

#[tokio::test]
async fn no_key_and_no_prompt_is_ever_logged() {
    for level in ["DEBUG", "TRACE"] {
        let echo = "bad key sk-secret-of-a with team-secret";
        let a = simulator(Act::error(401, "invalid_api_key", echo)).await;
        let b = simulator(Answer::text("the-answer-itself")).await;
        let config = model([
            provider(
                "a",
                &a,
                json!({ "custom_headers": { "x-team": "team-secret" } }),
            ),
            provider("b", &b, json!({ "priority": 2 })),
        ]);
        let settings = json!({ "api_key": "sk-client", "admin_key": "sk-admin" });
        let mut gateway = Gateway::start_with(&global(config, settings), &[("LOG_LEVEL", level)]);
        let client = gateway
            .client()
            .with_key("sk-client")
            .with_header("cookie", "c2VjcmV0");
        let prompt = "the-prompt-itself";

        assert_eq!(client.post(CHAT, &chat(prompt)).await.status, 200);
        assert_eq!(client.post(CHAT, &chat_stream(prompt)).await.status, 200);
        // The rest goes wrong in every way.
        a.set(Act::error(500, "x", echo));
        b.set(Act::body(502, "text/html", "<p>the-answer-itself"));
        assert_eq!(client.post(CHAT, &chat(prompt)).await.status, 502);
        b.set(Act::body(200, "application/json", "{\"the-answer-itself"));
        assert_eq!(client.post(CHAT, &chat(prompt)).await.status, 502);
        b.set(Answer::text("the-answer-itself of many words").cut_after(2));
        assert_eq!(client.post(CHAT, &chat_stream(prompt)).await.status, 200);
        b.set(Act::error(
            400,
            "x",
            "`the-prompt-itself` is not what we serve",
        ));
        assert_eq!(client.post(CHAT, &chat(prompt)).await.status, 400);
        let broken = [("authorization", "Bearer sk-client")];
        let body = b"{\"model\":\"m\",\"messages\":[\"the-prompt-itself\",]}";
        let answer = gateway.client().request("POST", CHAT, &broken, body).await;
        assert_eq!(answer.status, 400);
        let guesser = gateway.client().with_key("sk-guessed");
        assert_eq!(guesser.post(CHAT, &chat(prompt)).await.status, 401);
        assert_eq!(guesser.get("/admin/stats?key=sk-guessed").await.status, 401);
        let admin = gateway.client().with_key("sk-admin");
        assert_eq!(admin.get("/admin/providers/m").await.status, 200);
        let wrong = r#"{ "_global": { "api_key": ["sk-client"], "admin_key": 7 },
            "m": { "providers": [{ "api_key": { "sk-secret-of-a": 1 } }] } }"#;
        std::fs::write(gateway.path("provider.json"), wrong).unwrap();
        assert_eq!(admin.post("/admin/reload", &json!({})).await.status, 422);
        gateway.stop();

        let stdout = gateway
            .wait_for("the end on stdout", || {
                let said = gateway.stdout();
                said.contains("Stopped").then_some(said)
            })
            .await;
        let (log, stderr) = (gateway.log(), gateway.read("stderr"));
        assert!(log.contains("Stopped"), "{log}");
        for (place, said) in [("the file", log), ("stdout", stdout), ("stderr", stderr)] {
            for secret in SECRETS {
                let line = said.lines().find(|line| line.contains(secret));
                assert_eq!(line, None, "{level}: {place} shows {secret}");
            }
        }
    }
}

#[tokio::test]
async fn the_file_is_opened_anew_at_a_signal_and_its_folder_made_again() {
    let simulator = simulator(Answer::text("Hello!")).await;
    let gateway = Gateway::start(&model([provider("a", &simulator, json!({}))]));
    std::fs::remove_dir_all(gateway.path("logs")).unwrap();
    gateway.signal("USR1");
    // No line is needed for that.
    let file = gateway.path("logs/gateway.log");
    gateway
        .wait_for("new file", || file.exists().then_some(()))
        .await;
    ask_as(&gateway, "after").await;
    gateway.wait_for_log("request_id=after path=").await;
}
