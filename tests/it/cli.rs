//! The command line: what it says and what it returns.

use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use api_gateway::simulator::{Answer, Simulator};
use serde_json::json;
use tempfile::TempDir;

use crate::support::gateway::{VARIABLES, program};
use crate::support::{Gateway, model, provider};

const VALID: &str = r#"{
  "m": { "providers": [
    { "name": "a", "endpoint": "https://a.example/v1", "api_key": "sk-1", "model": "x" }
  ] }
}"#;

const WARNED: &str = r#"{
  "m": { "providers": [
    { "name": "a", "endpoint": "https://a.example/v1", "api_key": "sk-1", "model": "x",
      "prioritty": 2 }
  ] }
}"#;

const INVALID: &str = r#"{
  "m": { "providers": [
    { "name": "a", "endpoint": "ftp://a.example", "api_key": "sk-secret", "model": "x",
      "weight": -1 },
    { "name": "a", "endpoint": "https://a.example/v1", "api_key": "${T3_UNSET}", "model": "x" }
  ] }
}"#;

fn folder(config: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("provider.json"), config).unwrap();
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    run_with(folder, arguments, &[])
}

fn run_with(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    program(folder, arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn check_is_content_with_a_valid_file() {
    let folder = folder(VALID);
    let checked = run(folder.path(), &["check", "--config", "provider.json"]);
    assert_eq!(code(&checked), 0);
    assert_eq!(
        stdout(&checked),
        "provider.json is valid: 1 models, 1 providers, 0 warnings\n"
    );
    assert_eq!(stderr(&checked), "");
}

#[test]
fn check_is_content_with_the_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checked = run(root, &["check", "-c", "config/provider.example.json"]);
    assert_eq!((code(&checked), stderr(&checked)), (0, ""));
}

#[test]
fn check_shows_warnings_and_takes_them_for_errors_when_strict() {
    let folder = folder(WARNED);
    let warning = "provider.json:4:7: m.providers[0].prioritty: found an unknown key";
    let hint = "(did you mean `priority`?)";

    let lax = run(folder.path(), &["check", "-c", "provider.json"]);
    assert_eq!((code(&lax), stderr(&lax)), (0, ""));
    assert_eq!(
        stdout(&lax),
        format!(
            "warning: {warning}, ignored {hint}\n\
             provider.json is valid: 1 models, 1 providers, 1 warnings\n"
        )
    );

    let strict = run(folder.path(), &["check", "--strict", "-c", "provider.json"]);
    assert_eq!((code(&strict), stdout(&strict)), (78, ""));
    assert_eq!(stderr(&strict), format!("{warning} {hint}\n"));
}

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let folder = folder(INVALID);
    let places = [
        "provider.json:3:32: m.providers[0].endpoint: ",
        "provider.json:4:17: m.providers[0].weight: ",
        "provider.json:5:15: m.providers[1].name: ",
        "provider.json:5:67: m.providers[1].api_key: ",
    ];
    for command in [&["check"][..], &["serve", "--port", "0"], &["--port", "0"]] {
        let arguments = [command, &["--config", "provider.json"]].concat();
        let run = run(folder.path(), &arguments);
        assert_eq!(code(&run), 78, "{arguments:?}");
        let lines: Vec<&str> = stderr(&run).lines().collect();
        assert_eq!(lines.len(), places.len(), "{lines:#?}");
        for (line, place) in lines.iter().zip(places) {
            assert!(line.starts_with(place), "{line} instead of {place}");
        }
        assert!(!stderr(&run).contains("sk-secret"));
        assert!(!stdout(&run).contains("listening"));
    }
    assert!(!folder.path().join("data").exists(), "nothing was begun");
}

#[test]
fn without_a_file_it_says_what_to_do() {
    let folder = TempDir::new().unwrap();
    for command in [&[][..], &["serve"], &["check"]] {
        let run = run(folder.path(), command);
        assert_eq!(code(&run), 78, "{command:?}");
        let said = stderr(&run);
        assert!(said.starts_with("config/provider.json: "), "{said}");
        for remedy in [
            "config/provider.example.json",
            "--config",
            "CONFIG_PATH",
            "api-gateway demo",
        ] {
            assert!(said.contains(remedy), "{remedy}: {said}");
        }
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn flags_win_over_the_environment() {
    let folder = folder(VALID);
    let environment = [("CONFIG_PATH", "nowhere.json")];
    let by_environment = run_with(folder.path(), &["check"], &environment);
    assert_eq!(code(&by_environment), 78);
    assert!(stderr(&by_environment).starts_with("nowhere.json: "));
    let arguments = ["check", "--config", "provider.json"];
    assert_eq!(code(&run_with(folder.path(), &arguments, &environment)), 0);
}

#[test]
fn what_cannot_be_meant_is_a_usage_error() {
    let folder = folder(VALID);
    for (arguments, environment, word) in [
        (&["--colour"][..], None, "--colour"),
        (&["serv"], None, "serve"),
        (&["check", "--port", "1"], None, "--port"),
        (&["--port", "70000"], None, "70000"),
        (&[], Some(("PORT", "http")), "http"),
        (&[], Some(("WORKERS", "0")), "WORKERS"),
        (
            &[],
            Some(("LOG_LEVEL", "LOUD")),
            "DEBUG, INFO, WARNING or ERROR",
        ),
        (&["--log-format", "xml"], None, "text or json"),
        // Flags that the command would not see.
        (&["--config", "provider.json", "check"], None, "check"),
        (&["--port", "0", "serve"], None, "serve"),
    ] {
        let environment: Vec<(&str, &str)> = environment.into_iter().collect();
        let run = run_with(folder.path(), arguments, &environment);
        assert_eq!(code(&run), 2, "{arguments:?}: {}", stderr(&run));
        if word != "WORKERS" {
            assert!(
                stderr(&run).contains(word),
                "{arguments:?}: {}",
                stderr(&run)
            );
        }
        assert_eq!(stdout(&run), "");
    }
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let folder = folder(VALID);
    std::fs::create_dir(folder.path().join("config")).unwrap();
    std::fs::write(folder.path().join("config/provider.json"), "{").unwrap();
    let empty = VARIABLES.map(|name| (name, ""));
    for command in [&[][..], &["serve"], &["check"]] {
        // It gets as far as the file that is the default.
        let run = run_with(folder.path(), command, &empty);
        assert_eq!(code(&run), 78, "{command:?}: {}", stderr(&run));
        assert!(stderr(&run).starts_with("config/provider.json:1:1: "));
    }
    let help = run_with(folder.path(), &["--help"], &empty);
    assert_eq!((code(&help), stderr(&help)), (0, ""));
}

#[test]
fn help_names_every_command_and_every_variable() {
    let folder = TempDir::new().unwrap();
    let help = run(folder.path(), &["--help"]);
    assert_eq!((code(&help), stderr(&help)), (0, ""));
    let lines: Vec<&str> = stdout(&help).lines().map(str::trim_start).collect();
    for command in ["serve ", "demo ", "check ", "healthcheck "] {
        assert!(
            lines.iter().any(|line| line.starts_with(command)),
            "{command}: {lines:#?}"
        );
    }
    for variable in VARIABLES {
        let shown = format!("[env: {variable}=");
        assert!(stdout(&help).contains(&shown), "{variable}");
    }
    for command in ["serve", "demo", "check", "healthcheck"] {
        let help = run(folder.path(), &[command, "--help"]);
        assert_eq!(code(&help), 0, "{command}");
    }
    let version = run(folder.path(), &["--version"]);
    let expected = format!("api-gateway {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((code(&version), stdout(&version)), (0, expected.as_str()));
}

#[test]
fn a_port_that_is_taken_is_a_failure_with_a_remedy() {
    let folder = folder(VALID);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for arguments in [&["--config", "provider.json"][..], &["demo"]] {
        let run = run_with(folder.path(), arguments, &[("PORT", &port)]);
        assert_eq!(code(&run), 1);
        assert_eq!(
            stderr(&run),
            format!(
                "api-gateway: cannot listen on 127.0.0.1:{port}; set PORT to use another port: \
                 Address already in use (os error 98)\n"
            )
        );
    }
}

#[test]
fn a_host_that_is_not_ours_is_a_failure() {
    let folder = folder(VALID);
    let arguments = [
        "--config",
        "provider.json",
        "--port",
        "0",
        "--host",
        "192.0.2.1",
    ];
    let run = run(folder.path(), &arguments);
    assert_eq!(code(&run), 1);
    assert!(
        stderr(&run).starts_with("api-gateway: cannot listen on 192.0.2.1:0"),
        "{}",
        stderr(&run)
    );
}

#[tokio::test]
async fn healthcheck_tells_by_its_exit_code() {
    let simulator = Simulator::start(Answer::text("Hello!")).await.unwrap();
    let mut gateway = Gateway::start(&model([provider("a", &simulator, json!({}))]));
    let folder = TempDir::new().unwrap();
    let port = gateway.addr().port().to_string();
    // Everywhere to listen on is nowhere to connect to: the image sets it.
    for host in ["127.0.0.1", "0.0.0.0", "localhost", ""] {
        let healthy = run_with(
            folder.path(),
            &["healthcheck"],
            &[("HOST", host), ("PORT", &port)],
        );
        assert_eq!(
            (code(&healthy), stdout(&healthy), stderr(&healthy)),
            (0, "", ""),
            "{host:?}"
        );
    }
    let flags = ["healthcheck", "--host", "127.0.0.1", "--port", &port];
    assert_eq!(code(&run(folder.path(), &flags)), 0);

    gateway.stop();
    let gone = run(folder.path(), &flags);
    assert_eq!(
        (code(&gone), stderr(&gone)),
        (
            1,
            "api-gateway: unhealthy: Connection refused (os error 111)\n"
        )
    );
}

#[test]
fn healthcheck_is_not_fooled_by_another_server() {
    let folder = TempDir::new().unwrap();
    for (answer, reason) in [
        (
            "HTTP/1.1 503 Service Unavailable\r\n\r\n",
            "HTTP/1.1 503 Service Unavailable",
        ),
        ("", "no answer"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let server = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut peer, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            assert!(peer.read(&mut request).unwrap() > 0);
            peer.write_all(answer.as_bytes()).unwrap();
        });
        let run = run(folder.path(), &["healthcheck", "--port", &port]);
        server.join().unwrap();
        assert_eq!(
            (code(&run), stderr(&run)),
            (1, format!("api-gateway: unhealthy: {reason}\n").as_str())
        );
    }
}
