//! `api-gateway demo`: it takes seconds to see it work, and nothing is left behind.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::gateway::program;
use crate::support::http::Client;
use crate::support::{SOON, ms};

/// A demo in a folder for temporary files of its own.
struct Demo {
    process: Child,
    temporary: TempDir,
    said: Arc<Mutex<String>>,
}

impl Demo {
    async fn start(arguments: &[&str]) -> (Demo, Client) {
        let temporary = TempDir::new().unwrap();
        let mut process = program(temporary.path(), &[&["demo"], arguments].concat())
            .env("TMPDIR", temporary.path())
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (output, heard) = (process.stdout.take().unwrap(), said.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let mut heard = heard.lock().unwrap();
                heard.push_str(&line);
                heard.push('\n');
            }
        });
        let demo = Demo {
            process,
            temporary,
            said,
        };
        demo.wait_for("Ctrl-C").await;
        let port = demo.word_after("http://localhost:");
        let addr = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
        (demo, Client::new(addr))
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    async fn wait_for(&self, text: &str) {
        let since = Instant::now();
        while !self.said().contains(text) {
            assert!(since.elapsed() < SOON, "no {text:?} in:\n{}", self.said());
            tokio::time::sleep(ms(10)).await;
        }
    }

    fn word_after(&self, text: &str) -> String {
        let said = self.said();
        let (_, rest) = said.split_once(text).unwrap();
        rest.split_whitespace().next().unwrap().to_owned()
    }

    async fn interrupt(&mut self) -> ExitStatus {
        let id = self.process.id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-INT", &id])
            .status();
        assert!(sent.unwrap().success());
        let since = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(since.elapsed() < SOON, "it does not stop:\n{}", self.said());
            tokio::time::sleep(ms(5)).await;
        }
    }

    fn left_behind(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.temporary.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn question(stream: bool) -> Value {
    json!({
        "model": "gpt-4o",
        "stream": stream,
        "messages": [{ "role": "user", "content": "Hello" }],
    })
}

#[tokio::test]
async fn it_answers_switches_providers_and_leaves_nothing_behind() {
    let (mut demo, client) = Demo::start(&[]).await;

    let mut providers = Vec::new();
    for _ in 0..4 {
        let answer = client.post("/v1/chat/completions", &question(false)).await;
        assert_eq!(answer.status, 200);
        let provider = answer.header("x-gateway-provider").unwrap().to_owned();
        let text = answer.json()["choices"][0]["message"]["content"].clone();
        assert!(text.as_str().unwrap().contains(&format!("`{provider}`")));
        providers.push(provider);
    }
    // Its first provider fails every other time, starting with the first.
    demo.wait_for("Switching provider").await;
    assert!(
        providers.iter().any(|name| name == "quick"),
        "{providers:?}"
    );

    let mut stream = client
        .post_stream("/v1/chat/completions", &question(true))
        .await;
    assert_eq!(stream.status(), 200);
    let events = stream.rest().await;
    assert!(events.len() > 5, "{events:?}");
    assert_eq!(events.last().unwrap(), "[DONE]");

    let stats = client.get("/admin/stats").await.json();
    let served: u64 = ["flaky", "quick", "slow"]
        .iter()
        .map(|name| stats["gpt-4o"][name]["requests"].as_u64().unwrap())
        .sum();
    assert_eq!(served, 5);

    assert_eq!(demo.left_behind().len(), 1);
    assert!(demo.interrupt().await.success());
    assert_eq!(demo.left_behind(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn its_configuration_can_be_edited_live() {
    let (demo, client) = Demo::start(&[]).await;
    let config = PathBuf::from(demo.word_after("to edit live:"));
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(text.contains("\"gpt-4o\": {"), "{text}");

    std::fs::write(&config, text.replace("\"gpt-4o\": {", "\"my-own\": {")).unwrap();

    let since = Instant::now();
    while client.get("/v1/models/my-own").await.status != 200 {
        assert!(since.elapsed() < SOON, "not noticed:\n{}", demo.said());
        tokio::time::sleep(ms(20)).await;
    }
    assert_eq!(client.get("/v1/models/gpt-4o").await.status, 404);
}

#[tokio::test]
async fn it_makes_traffic_if_wanted() {
    let (mut demo, client) = Demo::start(&["--traffic"]).await;
    demo.wait_for("Request answered").await;
    let stats = client.get("/admin/stats").await.json();
    let answered = ["flaky", "quick", "slow"]
        .iter()
        .any(|name| stats["gpt-4o"][name]["requests"].as_u64() > Some(0));
    assert!(answered, "{stats}");
    assert!(demo.interrupt().await.success());
    assert_eq!(demo.left_behind(), Vec::<PathBuf>::new());
}
