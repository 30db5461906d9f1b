//! Nobody learns the key of another, and no client is an operator.

use super::*;

#[tokio::test]
async fn a_key_and_its_digest_are_shown_nowhere() {
    let a = simulator(Behavior::answering("a")).await;
    // The digest of ALICE.
    let digest = "8fe37735603b21746fc3c1ffd6d8f03e730b6af0a923fa3380bc36d19f852d3f";
    let config = keyed(
        model([provider("a", &a, json!({}))]),
        json!([
            alice(json!({ "rate_limit": { "rpm": 2 } })),
            { "name": "by-digest", "key_sha256": DIGEST },
            "sk-text-0123456789abcdef",
        ]),
    );
    let mut gateway = Gateway::start_with(&config, &[("LOG_LEVEL", "DEBUG")]);
    let mut answers = Vec::new();
    for key in [
        ALICE,
        ALICE,
        ALICE,
        "sk-digest-0123456789abcde",
        "sk-text-0123456789abcdef",
    ] {
        answers.push(asks(&gateway, key).await);
    }
    a.set(Behavior::status(500));
    answers.push(asks(&gateway, "sk-digest-0123456789abcde").await);
    let mut question = chat("hi");
    question["model"] = json!("unknown");
    let client = gateway.client().with_key(ALICE);
    answers.push(client.post(CHAT, &question).await);
    // A key that somebody else has written into a list is a mistake; it is not repeated either.
    let mut twice = config.clone();
    twice["_global"]["api_keys"] =
        json!([alice(json!({})), ALICE, { "name": "x", "key_sha256": format!("{digest}0") }]);
    gateway.write_config(&twice);
    let rejected = operator(&gateway).post("/admin/reload", &json!({})).await;
    assert_eq!(rejected.status, 422);
    answers.push(rejected);
    for path in ["/stats", "/admin/stats", "/admin/providers/m", "/health"] {
        answers.push(operator(&gateway).get(path).await);
    }
    gateway.write_config(&config);
    gateway.wait_for_log("Request failed").await;
    assert!(gateway.stop().success());
    let mut shown: String = answers.iter().map(Response::text).collect();
    for answer in &answers {
        shown += &format!("{:?}", answer.headers);
    }
    shown += &gateway.log();
    shown += &gateway.stdout();
    shown += &gateway.read("stderr");
    for file in walk(&gateway.path("data")) {
        shown += &file.display().to_string();
        shown += &String::from_utf8_lossy(&std::fs::read(&file).unwrap());
    }
    for secret in [
        ALICE,
        "sk-digest-0123456789abcde",
        "sk-text-0123456789abcdef",
        ADMIN,
        digest,
        DIGEST,
        "0123456789abcde",
    ] {
        let at = shown.find(secret);
        assert_eq!(at, None, "{secret}: {}", &shown[at.unwrap_or(0)..][..80]);
    }
    let log = gateway.log();
    let of_alice = log.lines().filter(|line| line.contains("client=alice"));
    assert_eq!(of_alice.count(), 4, "{log}");
    assert!(log.contains("client=by-digest") && log.contains("client=key-"));
}

#[tokio::test]
async fn no_provider_ever_sees_the_key_of_a_client() {
    let a = Simulator::start(Behavior::answering("a")).await.unwrap();
    let gemini = Act::from(recording(Dialect::Gemini, "hello"));
    let gemini = Simulator::start(gemini).await.unwrap();
    let anthropic = Act::from(recording(Dialect::Anthropic, "hello"));
    let anthropic = Simulator::start(anthropic).await.unwrap();
    let of = |name: &str, at: &Simulator, protocol: &str| json!({ "providers": [provider(name, at, json!({ "protocol": protocol }))] });
    let config = json!({
        "m": of("a", &a, "openai"),
        "g": of("g", &gemini, "gemini"),
        "c": of("c", &anthropic, "anthropic"),
    });
    let gateway = Gateway::start_with(
        &keyed(config, json!([alice(json!({}))])),
        &[("LOG_LEVEL", "DEBUG")],
    );
    for model in ["m", "g", "c"] {
        for (path, body) in dialects(model) {
            for header in ["authorization", "x-api-key", "x-goog-api-key"] {
                let value = match header {
                    "authorization" => format!("Bearer {ALICE}"),
                    _ => ALICE.to_owned(),
                };
                let client = gateway.client().with_header(header, &value);
                assert_eq!(
                    client.post(&path, &body).await.status,
                    200,
                    "{model} {path}"
                );
            }
        }
        for (query, status) in [("key", 200), ("alt=json&key", 200), ("Key", 401)] {
            let (path, body) = &dialects(model)[3];
            let path = format!("{path}?{query}={ALICE}");
            let answer = gateway.client().post(&path, body).await;
            assert_eq!(answer.status, status, "{path}");
        }
        // Elsewhere a key in the URL opens nothing.
        let path = format!("{CHAT}?key={ALICE}");
        let answer = gateway.client().post(&path, &dialects(model)[0].1).await;
        assert_eq!(answer.status, 401);
    }
    for (simulator, name) in [(&a, "a"), (&gemini, "g"), (&anthropic, "c")] {
        let requests = simulator.requests();
        assert!(requests.len() >= 14, "{name}");
        for request in requests {
            let seen = format!("{request:?} {:?}", request.body);
            assert!(!seen.contains("sk-alice"), "{seen}");
            assert!(seen.contains(&format!("sk-secret-of-{name}")), "{seen}");
        }
    }
    gateway.wait_for_log("Request refused").await;
    assert!(!gateway.log().contains("sk-"), "{}", gateway.log());
}

#[tokio::test]
async fn a_key_of_a_client_does_not_open_what_is_the_operators() {
    let a = simulator(Behavior::answering("a")).await;
    let routes = [
        ("GET", "/admin/stats"),
        ("GET", "/admin/providers/m"),
        ("POST", "/admin/reload"),
        ("GET", "/stats"),
    ];
    for (settings, client_status, operator) in [
        (json!({}), 403, None),
        (json!({ "admin_key": ADMIN }), 401, Some(ADMIN)),
        (
            json!({ "api_key": "sk-shared-0123456789abcdef" }),
            401,
            Some("sk-shared-0123456789abcdef"),
        ),
    ] {
        let config = global(model([provider("a", &a, json!({}))]), {
            let mut settings = settings.clone();
            settings["api_keys"] = json!([ALICE, bob(json!({}))]);
            settings
        });
        let gateway = Gateway::start(&config);
        for (method, path) in routes {
            for key in [Some(ALICE), Some(BOB), Some("wrong"), None] {
                let client = gateway.client();
                let client = key.into_iter().fold(client, Client::with_key);
                let answer = client.request(method, path, &[], b"").await;
                assert_eq!(answer.status, client_status, "{settings} {path} {key:?}");
                assert!(!answer.text().contains("simulated"));
            }
            if let Some(key) = operator {
                let client = gateway.client().with_key(key);
                let answer = client.request(method, path, &[], b"").await;
                assert_eq!(answer.status, 200, "{settings} {path}");
            }
        }
        assert_eq!(gateway.chat("hi").await.status, 401);
        assert_eq!(asks(&gateway, ALICE).await.status, 200);
        assert_eq!(asks(&gateway, BOB).await.status, 200);
        // An admin key alone is no client's.
        let shared = operator.map_or(401, |key| if key == ADMIN { 401 } else { 200 });
        let key = operator.unwrap_or("none");
        assert_eq!(asks(&gateway, key).await.status, shared);
    }
}
