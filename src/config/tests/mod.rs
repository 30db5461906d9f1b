//! What files mean and what is said about wrong ones.
//!
//! `tests/fixtures/config/invalid` holds pairs: `name.json` and `name.txt`, the exact report.
//! `valid` holds files that are accepted, with their warnings in a `.txt` where there are any. A
//! name that ends with `.strict.json` is read strictly. `UPDATE_FIXTURES=1` writes the `.txt` files
//! anew, for review.

mod properties;
mod quotas;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::*;
use crate::quota::{Count, Cycle, Limits, PerUnit, Schedule, Window};
use crate::routing::{self, Tls};

/// An authority of nobody's.
static CA: LazyLock<String> = LazyLock::new(|| {
    let certified = rcgen::generate_simple_self_signed(["ca.example".to_owned()]);
    certified.unwrap().cert.pem()
});

fn env(name: &str) -> Option<String> {
    match name {
        "KEY" => Some("k-from-env".into()),
        "HOST" => Some("env.example.com".into()),
        "KEYS" => Some("key-2, key-3,\n".into()),
        "CLIENTS" => Some("a-client-key-of-many-1,a-client-key-of-many-2".into()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

/// Reads `text` where only the file `ca.pem` is beside it.
fn judge(
    text: &str,
    file: &str,
    strict: bool,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, Rejected> {
    let folder = Path::new(file).parent().unwrap();
    let beside = |path: &Path| match path.strip_prefix(folder).ok().and_then(Path::to_str) {
        Some("ca.pem") => Ok(CA.as_bytes().to_vec()),
        Some("no-ca.pem") => Ok(b"{}".to_vec()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let outside = Outside {
        env,
        file: &beside,
        // 25 November 2026.
        now: UnixMillis::from_secs(1_795_564_800),
    };
    parse(text, file, strict, &outside)
}

fn read(text: &str) -> Result<Config, Rejected> {
    judge(text, "provider.json", false, &env)
}

/// A file with one provider, which has the required fields and `more`.
fn with_provider(more: &str) -> String {
    format!(
        r#"{{"m": {{"providers": [{{"name": "p", "endpoint": "http://h", "api_key": "k", "model": "m", {more}}}]}}}}"#
    )
}

#[track_caller]
fn provider(more: &str) -> Provider {
    let mut config = read(&with_provider(more)).unwrap();
    config.models.remove(0).providers.remove(0)
}

#[track_caller]
fn problems(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn a_minimal_file_has_the_documented_defaults() {
    let config = read(&with_provider("")).unwrap();
    assert_eq!(
        config.global,
        Global {
            api_key: None,
            admin_key: None,
            log_requests: true,
            max_body_bytes: 33_554_432,
            max_attempts: None,
            deadline: Duration::from_secs(300),
            timezone: Tz::UTC,
            model_redirects: Vec::new(),
            expose_headers: true,
            clients: Vec::new(),
            queue: None,
            state: None,
            alerts: Alerts::default(),
        }
    );
    let [model] = &config.models[..] else {
        panic!("one model");
    };
    assert_eq!((model.name.as_str(), model.hidden), ("m", false));
    assert_eq!(
        model.providers,
        [Provider {
            name: "p".into(),
            endpoint: "http://h".into(),
            dialect: crate::protocol::Dialect::default(),
            api_key: Secret::new("k"),
            model: "m".into(),
            priority: 1,
            weight: 10,
            limits: Limits::default(),
            group: None,
            count: Count::Success,
            retry: 3,
            timeout: Duration::from_secs(60),
            first_byte_timeout: None,
            stream_idle_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            stream_support: true,
            non_stream_support: true,
            enabled: true,
            custom_headers: Vec::new(),
            max_context_length: None,
            tls: Tls::default(),
        }]
    );
    assert!(config.warnings.is_empty());
}

#[test]
fn a_full_file_says_everything() {
    let path = fixtures("valid").join("full.json");
    let text = fs::read_to_string(path).unwrap();
    let config = judge(&text, "/etc/gateway/provider.json", true, &env).unwrap();
    let global = &config.global;
    assert_eq!(global.api_key, Some(Secret::new("k-from-env")));
    assert_eq!(global.admin_key, Some(Secret::new("admin")));
    assert!(!global.log_requests && !global.expose_headers);
    assert_eq!(
        (global.max_body_bytes, global.max_attempts),
        (1000, Some(5))
    );
    assert_eq!(global.deadline, Duration::from_millis(1500));
    assert_eq!(global.timezone, Tz::Asia__Shanghai);
    assert_eq!(global.model_redirects, [("gpt-4".into(), "gpt-4o".into())]);

    assert_eq!(
        (global.clients.len(), &*global.clients[0].name),
        (2, "client")
    );
    assert_eq!(
        global.queue,
        Some(Queue {
            max_wait: Duration::from_millis(2500),
            max_waiting: 7,
        })
    );
    assert_eq!(
        global.state,
        Some(SharedState {
            url: Secret::new("rediss://user:k-from-env@redis.example.com:6380/1"),
            on_error: OnError::Refuse,
            prefix: "gw".into(),
            lease: Duration::from_secs(5),
        })
    );
    assert_eq!(
        global.alerts,
        Alerts {
            quota: vec![50, 100],
            webhook: Some(Secret::new("https://hooks.example.com/a?token=k-from-env")),
        }
    );

    let [gpt, any] = &config.models[..] else {
        panic!("two models");
    };
    let strategies = (gpt.strategy, any.strategy);
    let expected = (
        routing::Strategy::WeightedRoundRobin,
        routing::Strategy::Quota,
    );
    assert_eq!(strategies, expected);
    assert_eq!(gpt.aliases, ["gpt-latest", "my-gpt"]);
    assert!(gpt.hidden);
    let full = &gpt.providers[0];
    assert_eq!(full.endpoint, "https://env.example.com/v1");
    assert_eq!((full.priority, full.weight, full.retry), (0, 0, 7));
    assert_eq!(full.count, Count::Attempts);
    assert_eq!(
        full.limits,
        Limits::new(
            vec![Window {
                id: Window::ONLY.into(),
                caps: PerUnit([Some(0), Some(1000), None, None]),
                cycle: Cycle::Cron(
                    Schedule::parse("*/30 * * * *", Tz::America__Los_Angeles).unwrap()
                ),
            }],
            Some(4)
        )
    );
    let group = full.group.as_ref().unwrap();
    assert_eq!(group.id, "account/gpt-4o-2024-11-20");
    assert_eq!(group.limits.max_concurrent, Some(8));
    assert_eq!(full.timeout, Duration::from_secs_f64(0.5));
    assert_eq!(full.first_byte_timeout, Some(Duration::from_secs(4)));
    assert_eq!(full.stream_idle_timeout, Duration::from_secs(3));
    assert_eq!(full.connect_timeout, Duration::from_secs(2));
    assert!(!full.stream_support && full.non_stream_support && full.enabled);
    assert_eq!(
        full.custom_headers,
        [
            ("X-Team".into(), Secret::new("a")),
            ("Authorization".into(), Secret::new("Token k-from-env")),
        ]
    );
    assert_eq!(full.max_context_length, Some(128_000));
    assert_eq!(full.tls.authorities.len(), 1);
    assert!(full.tls.insecure_skip_verify);

    let plain = &gpt.providers[1];
    assert_eq!((plain.retry, plain.timeout), (1, Duration::from_secs(120)));
    assert_eq!(plain.stream_idle_timeout, Duration::from_secs(30));
    assert_eq!(plain.connect_timeout, Duration::from_secs(5));
    let daily = Schedule::parse("0 0 * * *", Tz::Asia__Shanghai).unwrap();
    assert_eq!(plain.limits.windows()[0].cycle, Cycle::Cron(daily));

    let enabled: Vec<_> = gpt.providers[2..].iter().map(|p| p.enabled).collect();
    assert_eq!(enabled, [true, false]);
    assert_eq!(gpt.providers[2].limits.windows().len(), 2);

    assert_eq!(
        (any.name.as_str(), any.providers[0].model.as_str()),
        ("*", "*")
    );
}

#[test]
fn without_a_zone_of_its_own_the_file_is_in_the_zone_of_the_environment() {
    let zone = |tz: &'static str, text: &str| {
        let env = move |name: &str| (name == "TZ").then(|| tz.to_owned());
        judge(text, "f", false, &env).map(|config| config.global.timezone)
    };
    assert_eq!(zone("", "{}"), Ok(Tz::UTC));
    assert_eq!(zone("Europe/Berlin", "{}"), Ok(Tz::Europe__Berlin));
    assert_eq!(zone(":Asia/Tokyo", "{}"), Ok(Tz::Asia__Tokyo));
    let named = r#"{"_global": {"timezone": "Asia/Tokyo"}}"#;
    assert_eq!(zone("Nowhere", named), Ok(Tz::Asia__Tokyo));
    assert_eq!(
        zone("Europe/Berln", "{}").unwrap_err().to_string(),
        "f: found `Europe/Berln` in the environment variable TZ, expected an IANA time zone such \
         as Europe/Berlin (did you mean `Europe/Berlin`?)"
    );
}

#[test]
fn null_is_as_good_as_absent_where_a_value_is_optional() {
    let text = r#""weight": null, "rate_limit": null, "custom_headers": null, "tls": null,
        "max_context_length": null, "timeout": null, "enabled": null, "quota_group": null"#;
    assert_eq!(provider(text), provider(""));
    let limits = r#""rate_limit": {"requests_per_period": null, "period_cron": null, "RPM": null}"#;
    let nothing_said = provider(r#""rate_limit": {}"#).limits;
    assert_eq!(provider(limits).limits, nothing_said);
    assert!(nothing_said.windows()[0].cycle.schedule().is_some());
    assert!(read(r#"{"_global": null}"#).is_ok());
}

#[test]
fn a_provider_that_is_switched_off_may_wait_for_its_variables() {
    let text = |enabled| {
        format!(
            r#"{{"m": {{"providers": [{{"name": "p", "enabled": {enabled}, "endpoint": "${{A}}/v1",
                "api_key": "${{B}}", "model": "${{C}}", "custom_headers": {{"X-Key": "${{D}}"}}}}]}}}}"#
        )
    };
    let config = read(&text(false)).unwrap();
    assert!(!config.models[0].providers[0].enabled);
    assert_eq!(read(&text(true)).unwrap_err().problems.len(), 4);
}

#[test]
fn a_byte_order_mark_is_accepted_and_not_counted() {
    assert!(read("\u{feff}{}").is_ok());
    assert!(problems("\u{feff}x").starts_with("provider.json:1:1:"));
}

#[test]
fn columns_are_characters() {
    let text = "{\n  \"modèle é\": 1}";
    assert!(problems(text).starts_with("provider.json:2:15: [\"modèle é\"]: found 1"));
}

#[test]
fn a_bad_cron_expression_is_refused_with_its_place() {
    let limit = |cron| with_provider(&format!(r#""rate_limit": {{"period_cron": "{cron}"}}"#));
    let rejected = read(&limit("61 * * * *")).unwrap_err();
    let problem = &rejected.problems[0];
    assert_eq!(problem.path, "m.providers[0].rate_limit.period_cron");
    assert_eq!((problem.line, problem.column), (1, 120));
    assert!(
        problem
            .message
            .starts_with("found \"61 * * * *\", expected a cron expression")
    );
    assert!(read(&limit("0 0 * *")).is_err());
    assert!(read(&limit("@daily")).is_ok());
}

#[test]
fn no_problem_shows_a_secret() {
    for file in [
        "secrets.json",
        "misplaced-keys.json",
        "keys.json",
        "clients.json",
        "settings.json",
        "settings-other.json",
        "settings-none.json",
        "settings-kinds.json",
    ] {
        let text = fs::read_to_string(fixtures("invalid").join(file)).unwrap();
        let rejected = read(&text).unwrap_err();
        assert!(rejected.problems.len() > 2);
        let shown = format!("{rejected} {rejected:?}");
        assert!(!shown.to_lowercase().contains("secret"), "{shown}");
        assert!(!shown.contains("31337"), "{shown}");
        assert!(!shown.contains("k-from-env"), "{shown}");
    }
}

#[test]
fn an_unreadable_file_is_rejected_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("provider.json");
    let report = || {
        let source = Source::new(path.clone(), false);
        let report = source.load().unwrap_err().to_string();
        report.replace(path.to_str().unwrap(), "F")
    };
    assert!(report().starts_with("F: cannot be read: "));
    fs::write(
        &path,
        "{\né"
            .as_bytes()
            .iter()
            .chain(b"\xff")
            .copied()
            .collect::<Vec<u8>>(),
    )
    .unwrap();
    assert_eq!(
        report(),
        "F:2:2: found bytes that are not UTF-8, expected UTF-8"
    );
}

#[test]
fn what_is_no_regular_file_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    for path in [folder.path(), &pipe] {
        let report = Source::new(path.to_owned(), false).load().unwrap_err();
        let expected = format!("{}: cannot be read: it is no regular file", path.display());
        assert_eq!(report.to_string(), expected);
    }
}

#[test]
fn the_example_loads_and_warns_only_of_its_placeholders() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/provider.example.json");
    let text = fs::read_to_string(path).unwrap();
    let config = judge(&text, "provider.example.json", true, &|_| None).unwrap();
    assert_eq!(config.models.len(), 3);
    assert!(config.models.iter().all(|model| model.providers.len() == 2));
    let keys = [
        "OPENAI_API_KEY",
        "OPENAI_API_KEY_2",
        "DEEPSEEK_API_KEY",
        "DEEPSEEK_API_KEY_2",
        "GEMINI_API_KEY",
        "GEMINI_API_KEY_2",
    ];
    assert_eq!(config.warnings.len(), keys.len());
    for warning in &config.warnings {
        assert!(warning.message.contains("placeholder"), "{warning}");
    }
    let with_keys = judge(&text, "f", true, &|name| {
        keys.contains(&name).then(|| format!("k-{name}"))
    });
    assert_eq!(with_keys.unwrap().warnings, []);
}

/// Somebody will copy them and expect them to hold.
#[test]
fn the_limits_of_well_known_providers_load_without_a_warning() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/quotas-presets.md");
    let page = fs::read_to_string(path).unwrap();
    let env = |name: &str| {
        let is_key = !["TZ", "REDIS_URL"].contains(&name);
        is_key.then(|| format!("k-{name}"))
    };
    let mut files: Vec<String> = page
        .split("```json\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect();
    let limits = page.split('`').filter(|span| span.starts_with("{\""));
    files.extend(limits.map(|limit| with_provider(&format!("\"rate_limit\": {limit}"))));
    assert!(files.len() > 20);
    for file in files {
        let config = judge(&file, "f", true, &env).unwrap();
        assert_eq!(config.warnings, [], "{file}");
    }
}

#[test]
fn fixtures_are_judged_as_they_say() {
    for (folder, valid) in [("valid", true), ("invalid", false)] {
        let mut files: Vec<PathBuf> = fs::read_dir(fixtures(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "json")
            })
            .collect();
        files.sort();
        assert!(files.len() > 3);
        for path in files {
            let name = path.file_name().unwrap().to_str().unwrap();
            let text = fs::read_to_string(&path).unwrap();
            let outcome = judge(&text, name, name.ends_with(".strict.json"), &env);
            assert_eq!(outcome.is_ok(), valid, "{folder}/{name}: {outcome:?}");
            let report = match outcome {
                Ok(config) => Rejected {
                    problems: config.warnings,
                },
                Err(rejected) => rejected,
            };
            compare(&path.with_extension("txt"), &report.to_string());
        }
    }
}

/// Compares a report with the file that holds the expected one; nothing is expected where there is none.
#[track_caller]
fn compare(path: &Path, report: &str) {
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected.trim_end() != report {
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            fs::write(path, format!("{report}\n")).unwrap();
        } else {
            panic!(
                "{}:\n{report}\nis not as expected:\n{expected}",
                path.display()
            );
        }
    }
}

fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/config")
        .join(folder)
}
