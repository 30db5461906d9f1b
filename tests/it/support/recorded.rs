//! Answers of the vendors as they were written down: `tests/fixtures/dialects/<dialect>/<case>/`.

use std::path::{Path, PathBuf};

use api_gateway::simulator::{Dialect, Recording};

/// The folder of all recorded answers.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dialects")
}

/// The cases that a vendor has an answer to, in the order of their names.
pub fn cases(dialect: Dialect) -> Vec<String> {
    let folders = std::fs::read_dir(folder().join(dialect.name())).unwrap();
    let mut cases: Vec<String> = folders
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    cases.sort();
    cases
}

/// What a vendor answers in one case. Where nothing streams, nobody asks for it.
pub fn recording(dialect: Dialect, case: &str) -> Recording {
    let folder = folder().join(dialect.name()).join(case);
    let whole = std::fs::read(folder.join("response.json"))
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let stream = std::fs::read(folder.join("stream.sse")).unwrap_or_default();
    Recording::new(whole, stream)
}

/// After how many events of `hello` some of its text was said, and not all.
pub fn midway(dialect: Dialect) -> usize {
    match dialect {
        Dialect::OpenAi => 4,
        Dialect::Responses | Dialect::Anthropic => 6,
        Dialect::Gemini => 3,
    }
}

/// A stream in which the vendor itself says that it goes no further.
pub fn error_midway(dialect: Dialect) -> Recording {
    let error = dialect.error_event(503, "simulated overload");
    recording(dialect, "hello").ending_after(midway(dialect), &error)
}
