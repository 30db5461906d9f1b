//! Who may use how much: limits, groups, keys, clients, and where it is counted.

use super::*;

#[test]
fn a_rate_limit_may_be_written_in_many_ways() {
    let text = fs::read_to_string(fixtures("valid").join("limits.json")).unwrap();
    let config = read(&text).unwrap();
    let shown = |provider: &str| {
        let mut providers = config.models[0].providers.iter();
        let limits = &providers.find(|p| p.name == provider).unwrap().limits;
        let window = |window: &Window| {
            let caps = window.caps.0.map(|cap| match cap {
                Some(cap) => cap.to_string(),
                None => "-".to_owned(),
            });
            let cycle = match &window.cycle {
                Cycle::Never => "never".to_owned(),
                Cycle::Rolling(every) => format!("{every:?}"),
                Cycle::Cron(schedule) => format!("{} {}", schedule.expression(), schedule.zone()),
            };
            format!("{} = {} per {cycle}", window.id, caps.join(" "))
        };
        let windows: Vec<String> = limits.windows().iter().map(window).collect();
        (windows, limits.max_concurrent)
    };
    for (provider, windows, max_concurrent) in [
        ("number", &["minute = 60 - - - per 60s"][..], None),
        (
            "words",
            &[
                "month = 7 - - - per 0 0 1 * * America/Los_Angeles",
                "day = 0 - - - per 0 0 * * * America/Los_Angeles",
                "minute = 10 1000 - - per 60s",
            ],
            Some(2),
        ),
        (
            "all-words",
            &[
                "month = 17 18 - - per 0 0 1 * * Asia/Shanghai",
                "week = 5 10 - - per 0 0 * * 1 Asia/Shanghai",
                "day = 4 9 13 16 per 0 0 * * * Asia/Shanghai",
                "hour = 3 8 12 15 per 3600s",
                "minute = 2 7 11 14 per 60s",
                "second = 1 6 - - per 1s",
            ],
            None,
        ),
        (
            "long-words",
            &[
                "week = 5 10 - - per 0 0 * * 1 Asia/Shanghai",
                "day = 4 9 - - per 0 0 * * * Asia/Shanghai",
                "hour = 3 8 - - per 3600s",
                "minute = 2 7 - - per 60s",
                "second = 1 6 - - per 1s",
            ],
            Some(0),
        ),
        (
            "mixed",
            &[
                "period = 100 - - - per 0 */6 * * * Asia/Shanghai",
                "minute = - 5 - - per 60s",
            ],
            None,
        ),
        (
            "windows",
            &[
                "month = 1000 - - - per 0 0 1 * * UTC",
                "0 0 * * * UTC = 5 - - - per 0 0 * * * UTC",
                "0 0 * * * = 2 - - - per 0 0 * * * Asia/Shanghai",
                "0 * * * * = 9 - - - per 0 * * * * Asia/Shanghai",
                "90s = - 1000 - - per 90s",
                "1m = 10 - 5 6 per 60s",
                "500ms = - 10 - - per 500ms",
            ],
            Some(4),
        ),
    ] {
        let windows = windows.iter().map(|window| (*window).to_owned()).collect();
        assert_eq!(shown(provider), (windows, max_concurrent), "{provider}");
    }
}

#[test]
fn the_members_of_a_group_have_the_same_limits() {
    let text = fs::read_to_string(fixtures("valid").join("groups.json")).unwrap();
    let config = read(&text).unwrap();
    let limits = |more: &str| provider(&format!(r#""rate_limit": {more}"#)).limits;
    let nothing = || Limits::new(Vec::new(), None);
    let at_once = |most| Limits::new(Vec::new(), Some(most));
    let shared = limits(r#"{"rpm": 5, "max_worker": 9}"#);
    let a = || Some(("a".to_owned(), shared.clone()));
    let expected = [
        ("takes", at_once(2), a()),
        ("says", at_once(3), a()),
        ("says-again", nothing(), a()),
        ("both", limits(r#"{"rpm": 1, "max_worker": 1}"#), a()),
        ("per-model", nothing(), Some(("a/m".into(), limits("7")))),
        ("per-other", nothing(), Some(("a/o".into(), limits("8")))),
        ("alone", limits(r#"{"rpm": 1, "max_worker": 4}"#), None),
        ("takes-too", nothing(), a()),
        ("nobody-says", nothing(), Some(("b".into(), limits("{}")))),
        ("nor-here", nothing(), Some(("b".into(), nothing()))),
    ];
    let providers = config.models.into_iter().flat_map(|model| model.providers);
    for (provider, (name, limits, group)) in providers.zip(expected) {
        assert_eq!(provider.name, name);
        assert_eq!(provider.limits, limits, "{name}");
        let found = provider.group.map(|group| (group.id, group.limits));
        assert_eq!(found, group, "{name}");
    }
}

#[test]
fn each_key_of_a_provider_is_a_provider() {
    let text = fs::read_to_string(fixtures("valid").join("keys.json")).unwrap();
    let config = read(&text).unwrap();
    let providers = &config.models[0].providers;
    let by_digest = |key| format!("p#{}", KeyDigest::of(key).short(6));
    let shown: Vec<_> = providers
        .iter()
        .map(|p| (p.name.clone(), p.api_key.expose(), p.enabled))
        .collect();
    assert_eq!(
        shown,
        [
            (by_digest("key-1"), "key-1", true),
            (by_digest("key-2"), "key-2", true),
            (by_digest("key-3"), "key-3", true),
            ("p#b".into(), "key-4", true),
            (by_digest("key-5"), "key-5", false),
            (by_digest("sk-your-key"), "sk-your-key", true),
            ("p#later".into(), "", false),
            ("off#c".into(), "", false),
            ("waits".into(), "", false),
        ]
    );
    assert!(providers[..7].iter().all(|provider| provider.weight == 3));
}

#[test]
fn clients_may_have_keys_of_their_own() {
    let text = fs::read_to_string(fixtures("valid").join("clients.json")).unwrap();
    let clients = read(&text).unwrap().global.clients;
    let plain = |key: &str| Client {
        name: format!("key-{}", KeyDigest::of(key).short(8)),
        key: KeyDigest::of(key),
        models: Vec::new(),
        limits: Limits::default(),
        expires_at: None,
        enabled: true,
    };
    let keys = [
        "a-key-that-is-long-enough",
        "a-client-key-of-many-1",
        "a-client-key-of-many-2",
        "short",
        "your-api-key",
    ];
    assert_eq!(clients[..5], keys.map(plain));
    let [team, digest, yesterday] = &clients[5..] else {
        panic!("{clients:?}");
    };
    assert_eq!(team.name, "team");
    assert!(team.key.matches("k-from-env-of-the-team-1"));
    assert_eq!(team.models.len(), 9);
    assert_eq!(team.limits.max_concurrent, Some(2));
    let window = &team.limits.windows()[0];
    assert_eq!(window.caps, PerUnit([Some(100), None, None, None]));
    assert_eq!(
        window.cycle.schedule().map(Schedule::zone),
        Some(Tz::Europe__Berlin)
    );
    // The end of the day in Berlin.
    let end = UnixMillis::from_secs(1_798_758_000);
    assert_eq!((team.expires_at, team.enabled), (Some(end), true));

    assert!(digest.key.matches("foo") && !digest.enabled);
    assert_eq!(digest.expires_at, Some(UnixMillis(1_798_801_200_500)));
    assert!(yesterday.expires_at.is_some());
}

#[test]
fn a_queue_is_there_where_it_is_asked_for() {
    let queue = |text: &str| {
        let config = read(&format!(r#"{{"_global": {{"queue": {text}}}}}"#));
        config.unwrap().global.queue
    };
    for none in ["null", "false"] {
        assert_eq!(queue(none), None);
    }
    for plain in ["true", "{}"] {
        assert_eq!(queue(plain), Some(Queue::default()));
    }
    let queue = queue(r#"{"max_wait": 1}"#).unwrap();
    let expected = (Duration::from_secs(1), Queue::default().max_waiting);
    assert_eq!((queue.max_wait, queue.max_waiting), expected);
}

#[test]
fn shared_state_may_be_named_by_the_environment() {
    let state = |url: &'static str, text: &str| {
        let env = move |name: &str| (name == "REDIS_URL").then(|| url.to_owned());
        let text = format!(r#"{{"_global": {{"state": {text}}}}}"#);
        judge(&text, "f", false, &env).map(|config| config.global.state)
    };
    let plain = |url: &str| {
        Some(SharedState {
            url: Secret::new(url),
            on_error: OnError::Local,
            prefix: "api-gateway".into(),
            lease: Duration::from_secs(15),
        })
    };
    let file = r#"{"backend": "file"}"#;
    let valkey = r#"{"backend": "valkey"}"#;
    let named = r#"{"backend": "redis", "url": "redis://b"}"#;
    assert_eq!(state("", "null"), Ok(None));
    assert_eq!(state("", file), Ok(None));
    assert_eq!(state("redis://a", "null"), Ok(plain("redis://a")));
    assert_eq!(state("redis://a", valkey), Ok(plain("redis://a")));
    assert_eq!(state("redis://a", named), Ok(plain("redis://b")));
    assert_eq!(state("redis://a", file), Ok(None));
    let wrong = state("http://secret", "null").unwrap_err().to_string();
    assert_eq!(
        wrong,
        "f: found a URL that is neither redis nor rediss in the environment variable REDIS_URL, \
         expected a URL such as redis://host:6379 or rediss://user:password@host:6379/0"
    );
    let wrong = state("http://secret", valkey).unwrap_err();
    assert_eq!(wrong.problems.len(), 1);
}
