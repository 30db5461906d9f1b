//! What an operator sees and does.

use api_gateway::simulator::{Act, Answer, Behavior, Simulator};
use serde_json::{Value, json};

use crate::support::gateway::chat;
use crate::support::{Gateway, global, model, provider};

async fn simulator(behavior: impl Into<Behavior>) -> Simulator {
    Simulator::start(behavior).await.unwrap()
}

/// A limit that resets at the next New Year, so never during a test.
fn limited(requests: u64) -> Value {
    json!({ "rate_limit": {
        "requests_per_period": requests,
        "tokens_per_period": 5000,
        "period_cron": "0 0 1 1 *",
    }})
}

/// The moment it next resets, in the time zone of the tests' gateways.
fn new_year(moment: &Value) -> bool {
    moment
        .as_str()
        .is_some_and(|moment| moment.ends_with("-01-01T00:00:00Z"))
}

#[tokio::test]
async fn the_gateway_tells_what_it_does_itself() {
    let a = simulator(Behavior::answering("a")).await;
    let key = "sk-one-0123456789abcdef";
    let settings = json!({
        "admin_key": "sk-admin-0123456789abcdef",
        "api_keys": [
            { "name": "one", "key": key, "rate_limit": { "rpd": 9 } },
            { "name": "off", "key": "sk-off-0123456789abcdef", "enabled": false },
        ],
    });
    let gateway = Gateway::start(&global(model([provider("a", &a, json!({}))]), settings));
    let client = gateway.client().with_key(key);
    for _ in 0..2 {
        let answer = client.post("/v1/chat/completions", &chat("hi")).await;
        assert_eq!(answer.status, 200);
    }
    let operator = gateway.client().with_key("sk-admin-0123456789abcdef");
    let mut stats = operator.get("/stats").await.json();
    let one = stats["clients"]["one"].take();
    assert_eq!(
        (
            &one["requests"],
            &one["limit_requests"],
            &one["remaining_requests"]
        ),
        (&json!(2), &json!(9), &json!(7)),
        "{one}"
    );
    assert!(stats["uptime_seconds"].take().is_u64());
    assert_eq!(
        stats,
        json!({
            "uptime_seconds": null,
            "version": env!("CARGO_PKG_VERSION"),
            "queues": { "m": {
                "waiting": 0, "longest": 0, "served": 0, "in_vain": 0,
                "left": 0, "refused": 0, "waited_ms": 0,
            } },
            "clients": { "one": null },
            "shared_state": null,
        })
    );
}

#[tokio::test]
async fn stats_count_what_each_provider_served() {
    let a = simulator(Answer::text("Hello!").usage(7, 13)).await;
    let config = json!({
        "m": { "providers": [
            provider("a", &a, limited(10)),
            provider("b", &a, json!({ "priority": 2 })),
        ]},
        "maker/other": { "providers": [provider("a", &a, json!({}))] },
    });
    let gateway = Gateway::start(&config);
    for _ in 0..3 {
        assert_eq!(gateway.chat("hi").await.status, 200);
    }

    let mut stats = gateway.client().get("/admin/stats").await.json();

    // The one window of each says the same as the provider itself.
    for (model, name) in [("m", "a"), ("m", "b"), ("maker/other", "a")] {
        let provider = stats[model][name].as_object_mut().unwrap();
        let windows = provider.remove("windows").unwrap();
        assert_eq!(windows.as_array().unwrap().len(), 1);
        assert_eq!(windows[0]["id"], "period");
        for key in [
            "requests",
            "tokens",
            "limit_requests",
            "next_reset",
            "in_flight",
        ] {
            assert_eq!(windows[0][key], provider[key], "{key}");
        }
    }
    let limits = stats["m"]["a"].as_object_mut().unwrap();
    let [last, next] = ["last_reset", "next_reset"].map(|key| limits.remove(key).unwrap());
    assert!(new_year(&next), "{next}");
    assert!(
        last.is_null() || last.as_str().unwrap().ends_with('Z'),
        "{last}"
    );
    let unlimited = json!({
        "requests": 0, "tokens": 0, "last_reset": null,
        "limit_requests": null, "limit_tokens": null, "next_reset": null,
        "requests_in_flight": 0, "in_flight": 0, "tokens_reserved": 0,
        "remaining_requests": null, "remaining_tokens": null,
        "concurrent": 0, "max_concurrent": null,
    });
    let expected = json!({
        "m": {
            "a": {
                "requests": 3, "tokens": 60,
                "limit_requests": 10, "limit_tokens": 5000,
                "requests_in_flight": 0, "in_flight": 0, "tokens_reserved": 0,
                "remaining_requests": 7, "remaining_tokens": 4940,
                "concurrent": 0, "max_concurrent": null,
            },
            "b": unlimited,
        },
        "maker/other": { "a": unlimited },
    });
    assert_eq!(stats, expected);
}

#[tokio::test]
async fn each_provider_says_whether_it_would_be_chosen_and_why_not() {
    let good = simulator(Answer::text("Hello!")).await;
    let busy = simulator(Act::rate_limited(120)).await;
    let gateway = Gateway::start(&model([
        provider(
            "last",
            &good,
            json!({ "priority": 9, "weight": 3, "max_context_length": 5000 }),
        ),
        provider("off", &good, json!({ "priority": 0, "enabled": false })),
        provider("busy", &busy, json!({ "priority": 1 })),
        provider("small", &good, {
            let mut small = limited(1);
            small["priority"] = json!(2);
            small
        }),
    ]));
    assert_eq!(
        gateway.chat("hi").await.header("x-gateway-provider"),
        Some("small")
    );

    let all = gateway.client().get("/admin/providers/m").await.json();

    let seen: Vec<(&str, &str)> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["name"].as_str().unwrap(),
                one["status"].as_str().unwrap(),
            )
        })
        .collect();
    // In the order in which they are tried.
    assert_eq!(
        seen,
        [
            ("off", "disabled"),
            ("busy", "cooling_down"),
            ("small", "quota_exhausted"),
            ("last", "available"),
        ]
    );
    let [off, busy, small, last] = [&all[0], &all[1], &all[2], &all[3]];
    assert_eq!(
        (&off["enabled"], &off["status_reason"]),
        (&json!(false), &Value::Null)
    );

    let until = busy["cooling_until"].as_str().unwrap();
    let reason = format!("simulated status 429 (until {until})");
    assert_eq!(busy["status_reason"], reason.as_str());
    assert_eq!((&busy["answered"], &busy["failed"]), (&json!(0), &json!(1)));
    assert_eq!(busy["last_failure"]["reason"], "simulated status 429");

    let reset = small["next_reset"].as_str().unwrap();
    let reason = format!("quota used up, resets at {reset}");
    assert_eq!(small["status_reason"], reason.as_str());
    assert_eq!(small["remaining_requests"], 0);
    assert_eq!(
        (&small["answered"], &small["failed"]),
        (&json!(1), &json!(0))
    );

    assert_eq!(
        [
            &last["model"],
            &last["priority"],
            &last["weight"],
            &last["max_context_length"],
            &last["status_reason"],
            &last["last_failure"],
        ],
        [
            &json!("simulated"),
            &json!(9),
            &json!(3),
            &json!(5000),
            &Value::Null,
            &Value::Null
        ]
    );
}

#[tokio::test]
async fn providers_are_shown_for_every_name_of_a_model() {
    let good = simulator(Answer::text("Hello!")).await;
    let at = |name: &str| json!([provider(name, &good, json!({}))]);
    let gateway = Gateway::start(&json!({
        "maker/one": { "providers": at("one"), "aliases": ["uno"] },
        "gpt-*": { "providers": at("pattern") },
    }));
    let client = gateway.client();
    for (asked, provider) in [
        ("maker/one", "one"),
        ("maker%2Fone", "one"),
        ("uno", "one"),
        ("gpt-*", "pattern"),
        ("gpt-5", "pattern"),
    ] {
        let answer = client.get(&format!("/admin/providers/{asked}")).await;
        assert_eq!(answer.json()[0]["name"], provider, "{asked}");
    }
    let unknown = client.get("/admin/providers/nope").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.json()["error"]["code"], "model_not_found");
}

#[tokio::test]
async fn a_reload_says_what_changed() {
    let good = simulator(Answer::text("Hello!")).await;
    let one = |more: Value| provider("one", &good, more);
    let two = provider("two", &good, json!({}));
    let gateway = Gateway::start(&model([one(json!({})), two.clone()]));
    assert_eq!(
        gateway.chat("hi").await.header("x-gateway-provider"),
        Some("one")
    );

    let config = model([
        one(json!({ "weight": 3 })),
        provider("three", &good, json!({})),
    ]);
    gateway.write_config(&config);
    let answer = gateway.client().post("/admin/reload", &json!({})).await;

    let said = |added: Value, updated: Value, removed: Value| {
        json!({
            "status": "ok",
            "message": "Configuration reloaded",
            "added": added, "updated": updated, "removed": removed, "warnings": [],
        })
    };
    let changes = said(json!(["m/three"]), json!(["m/one"]), json!(["m/two"]));
    let nothing = said(json!([]), json!([]), json!([]));
    assert_eq!(answer.status, 200);
    // The watcher may have been first: then there was nothing left to change.
    assert!(
        [&changes, &nothing].contains(&&answer.json()),
        "{}",
        answer.text()
    );
    gateway
        .wait_for_log("Configuration loaded added=1 updated=1 removed=1")
        .await;
    let again = gateway.client().post("/admin/reload", &json!({})).await;
    assert_eq!(again.json(), nothing);
    // What kept its name kept its count.
    assert_eq!(gateway.stats("one").await["requests"], 1);
    assert_eq!(gateway.stats("three").await["requests"], 0);
    assert_eq!(gateway.stats("two").await, Value::Null);
}

#[tokio::test]
async fn a_rejected_reload_names_every_mistake_and_changes_nothing() {
    let good = simulator(Answer::text("Hello!")).await;
    let right = model([provider("a", &good, json!({}))]);
    let gateway = Gateway::start(&right);
    let path = gateway.path("provider.json").display().to_string();
    let wrong = "{\n  \"m\": { \"providers\": [ { \"name\": \"a\", \"weight\": -1 } ] }\n}\n";
    std::fs::write(&path, wrong).unwrap();

    let answer = gateway.client().post("/admin/reload", &json!({})).await;

    assert_eq!(answer.status, 422);
    let told = answer.json();
    assert_eq!(told["status"], "error");
    assert_eq!(told["message"], "Configuration rejected, the old one stays");
    let errors: Vec<&str> = told["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error.as_str().unwrap())
        .collect();
    for (place, what) in [
        (":2:25: m.providers[0].endpoint", "http"),
        (":2:25: m.providers[0].api_key", "key"),
        (":2:25: m.providers[0].model", "name"),
        (":2:50: m.providers[0].weight", "-1"),
    ] {
        let start = format!("{path}{place}: ");
        assert!(
            errors
                .iter()
                .any(|error| error.starts_with(&start) && error.contains(what)),
            "{place} {what}: {errors:#?}"
        );
    }
    assert_eq!(errors.len(), 4, "{errors:#?}");

    assert_eq!(gateway.chat("hi").await.status, 200);
    let health = gateway.client().get("/health").await;
    assert_eq!(health.status, 200, "it still serves");
    assert_eq!(health.json()["status"], "degraded");
    // Open to everybody, so it tells no names and no values.
    let problem = "configuration rejected: 4 mistakes, the first in line 2, column 25; \
                   serving by the old one, see the log or POST /admin/reload";
    assert_eq!(health.json()["problems"], json!([problem]));

    gateway.write_config(&right);
    assert_eq!(
        gateway
            .client()
            .post("/admin/reload", &json!({}))
            .await
            .status,
        200
    );
    let health = gateway.client().get("/health").await.json();
    assert_eq!(
        (&health["status"], &health["problems"]),
        (&json!("healthy"), &json!([]))
    );
}

#[tokio::test]
async fn no_answer_shows_a_secret() {
    let message = "Incorrect API key provided: sk-secret-of-a, header was team-secret";
    let angry = simulator(Act::error(429, "x", message)).await;
    let config = model([provider(
        "a",
        &angry,
        json!({ "custom_headers": { "x-team": "team-secret" } }),
    )]);
    let secrets = ["sk-secret-of-a", "team-secret", "sk-client", "sk-admin"];
    let gateway = Gateway::start(&global(
        config,
        json!({ "api_key": "sk-client", "admin_key": "sk-admin" }),
    ));
    let client = gateway.client().with_key("sk-client");
    let admin = gateway.client().with_key("sk-admin");
    std::fs::write(
        gateway.path("provider.json"),
        r#"{ "_global": { "api_key": ["sk-client"] } }"#,
    )
    .unwrap();

    let answers = [
        client.post("/v1/chat/completions", &chat("hi")).await,
        client.get("/v1/models").await,
        client.get("/v1/models/m").await,
        admin.get("/admin/stats").await,
        admin.get("/admin/providers/m").await,
        admin.post("/admin/reload", &json!({})).await,
        client.get("/health").await,
        client.get("/").await,
    ];

    assert_eq!(
        answers.each_ref().map(|answer| answer.status),
        [502, 200, 200, 200, 200, 422, 200, 200]
    );
    let told = &answers[4].json()[0]["last_failure"]["reason"];
    assert_eq!(told, "Incorrect API key provided: ***, header was ***");
    for answer in &answers {
        for secret in secrets {
            assert!(!answer.text().contains(secret), "{}", answer.text());
        }
    }
}
