//! Shapes of real traffic: `tests/fixtures/openai/<case>/`, a stream and the plain answer it makes.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

struct Case {
    name: String,
    endpoint: Endpoint,
    stream: Vec<u8>,
    response: Vec<u8>,
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/openai");
    let folders = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let cases: Vec<_> = folders
        .filter(|path| path.is_dir())
        .map(Case::read)
        .collect();
    assert!(cases.len() >= 14);
    cases
}

impl Case {
    fn read(folder: PathBuf) -> Case {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        Case {
            endpoint: match name.starts_with("completions") {
                true => Endpoint::Completions,
                false => CHAT,
            },
            stream: fs::read(folder.join("stream.sse")).unwrap(),
            response: fs::read(folder.join("response.json")).unwrap(),
            name,
        }
    }

    fn usage(&self) -> Option<Usage> {
        judge(self.endpoint, Some("application/json"), &self.response).unwrap()
    }
}

#[test]
fn streams_are_gathered_into_their_answers() {
    for case in cases() {
        let (answer, usage) = gathered(case.endpoint, [&case.stream[..]]).unwrap();
        assert_eq!(answer, json(&case.response), "{}", case.name);
        match case.usage() {
            Some(told) => assert_eq!(usage, told, "{}", case.name),
            None => assert!(usage.estimated, "{}", case.name),
        }
    }
}

#[test]
fn streams_pass_untouched() {
    for case in cases() {
        for client_asked in [true, false] {
            if client_asked && case.usage().is_none() {
                continue;
            }
            let relay = Relay::new(case.endpoint, client_asked, client_asked, 7);
            let (out, relay) = relayed(relay, [&case.stream[..]]);
            assert_eq!(out.as_bytes(), &case.stream[..], "{}", case.name);
            let seen = relay.seen();
            assert!(
                seen.meaningful && seen.finished && seen.failure.is_none(),
                "{}",
                case.name
            );
            assert_eq!(seen.usage, case.usage(), "{}", case.name);
            assert!(seen.output_tokens() > 0, "{}", case.name);
        }
    }
}

#[test]
fn hidden_usage_leaves_no_chunk_without_choices_behind() {
    for case in cases() {
        let relay = Relay::new(case.endpoint, false, true, 7);
        let (out, relay) = relayed(relay, [&case.stream[..]]);
        assert_eq!(relay.seen().usage, case.usage(), "{}", case.name);
        let shown = out.contains("\"choices\":[],") && out.contains("\"usage\":{");
        assert!(!shown || case.name == "azure-filters", "{}", case.name);
        let (again, _) = gathered(case.endpoint, [out.as_bytes()]).unwrap();
        assert_eq!(
            again["choices"],
            json(&case.response)["choices"],
            "{}",
            case.name
        );
    }
}

#[test]
fn owed_usage_is_told_once() {
    for case in cases().iter().filter(|case| case.usage().is_none()) {
        let relay = Relay::new(case.endpoint, true, true, 7);
        let (out, relay) = relayed(relay, [&case.stream[..]]);
        assert_eq!(out.matches("\"usage\":{").count(), 1, "{}", case.name);
        assert!(out.ends_with("data: [DONE]\n\n"), "{}", case.name);
        let (answer, usage) = gathered(case.endpoint, [out.as_bytes()]).unwrap();
        assert_eq!(usage.total, relay.usage().total, "{}", case.name);
        assert_eq!(answer["id"], json(&case.response)["id"], "{}", case.name);
    }
}

#[test]
fn answers_survive_being_streamed() {
    for case in cases() {
        let stream = synthesize(case.endpoint, &case.response, true, 7).unwrap();
        let (mut answer, _) = gathered(case.endpoint, [&stream[..]]).unwrap();
        let response = json(&case.response);
        if case.usage().is_none() {
            answer.as_object_mut().unwrap().remove("usage");
        }
        assert_eq!(answer, response, "{}", case.name);
    }
}
