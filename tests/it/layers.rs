//! The architecture as `src/lib.rs` states it, checked against the sources.
//!
//! Reads text, not syntax: comments are passed over, and a path is what follows `crate::`.

use std::path::{Path, PathBuf};

/// One line of code.
struct Line {
    file: String,
    number: usize,
    text: String,
}

/// Every file of `src/NAME` or `src/NAME.rs` that is part of the product, without its comments.
fn code_of(module: &str) -> Vec<Line> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![src.join(format!("{module}.rs"))];
    collect(&src.join(module), &mut files);
    let lines: Vec<Line> = files.iter().flat_map(|file| code(file)).collect();
    assert!(!lines.is_empty(), "the module {module} has no code");
    lines
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.file_stem().is_some_and(|name| name == "tests") {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}

fn code(file: &Path) -> Vec<Line> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let name = file.strip_prefix(root).unwrap().display().to_string();
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let is_code = |text: &&str| !text.trim_start().starts_with("//");
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, text)| is_code(text))
        .map(|(at, text)| Line {
            file: name.clone(),
            number: at + 1,
            // A comment behind code begins with a blank; an URL's slashes do not.
            text: text.split(" // ").next().unwrap_or_default().to_owned(),
        })
        .collect()
}

/// The modules of `src/lib.rs`, in their order.
fn modules() -> Vec<String> {
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let modules: Vec<String> = code(&lib)
        .iter()
        .filter_map(|line| line.text.strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect();
    assert!(modules.len() > 10, "{modules:?}");
    modules
}

/// What follows each `crate::` on a line, up to the end of the name.
fn uses(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("crate::").map(|(at, path)| {
        let rest = &text[at + path.len()..];
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        rest.split(|c| !is_name(c)).next().unwrap_or_default()
    })
}

/// Fails with every breach at once, each with its place.
fn assert_none(rule: &str, breaches: impl Iterator<Item = (Line, String)>) {
    let found: Vec<String> = breaches
        .map(|(line, why)| format!("{}:{}: {why}: {}", line.file, line.number, line.text.trim()))
        .collect();
    assert!(found.is_empty(), "{rule}\n{}", found.join("\n"));
}

/// Lines of these modules that contain one of these words.
fn mentions(
    modules: &[&str],
    words: &'static [&'static str],
) -> impl Iterator<Item = (Line, String)> {
    let lines: Vec<Line> = modules.iter().flat_map(|module| code_of(module)).collect();
    lines.into_iter().filter_map(|line| {
        let word = words.iter().find(|word| has_word(&line.text, word))?;
        Some((line, format!("`{word}`")))
    })
}

/// Whether a word occurs that is no part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_name) && !text[at + word.len()..].starts_with(is_name)
    })
}

#[test]
fn modules_use_only_modules_declared_above_them() {
    let modules = modules();
    let breaches = modules.iter().enumerate().flat_map(|(at, module)| {
        let known = &modules[..=at];
        code_of(module).into_iter().filter_map(move |line| {
            let below = uses(&line.text)
                .find(|used| !known.iter().any(|known| known == used))?
                .to_owned();
            Some((line, format!("`{module}` uses `{below}`")))
        })
    });
    assert_none(
        "a module uses only modules that src/lib.rs declares above it, each by its own path",
        breaches,
    );
}

#[test]
fn only_upstream_knows_awc() {
    let modules = modules();
    let others: Vec<&str> = modules
        .iter()
        .map(String::as_str)
        .filter(|module| *module != "upstream")
        .collect();
    assert_none(
        "calls out go through `upstream`; nobody else names awc",
        mentions(&others, &["awc"]),
    );
}

#[test]
fn only_the_door_knows_actix_web() {
    let modules = modules();
    let others: Vec<&str> = modules
        .iter()
        .map(String::as_str)
        .filter(|module| !["http", "admin", "routes", "server"].contains(module))
        .collect();
    assert_none(
        "HTTP comes in through `http`, `admin`, `routes` and `server`; nobody else names actix_web",
        mentions(&others, &["actix_web"]),
    );
}

#[test]
fn the_core_is_pure() {
    const IMPURE: &[&str] = &[
        "clock::now",
        "now()",
        "Instant",
        "SystemTime",
        "Utc::now",
        "Local::now",
        "log",
        "println",
        "eprintln",
        "tokio",
        "actix_rt",
        "std::fs",
        "std::io",
        "std::net",
        "std::env",
        "std::thread",
        "std::process",
    ];
    assert_none(
        "`chat`, `protocol` and `routing` read no clock, log nothing and do no IO",
        mentions(&["chat", "protocol", "routing"], IMPURE),
    );
}

#[test]
fn only_some_files_of_quotas_do_io() {
    const IMPURE: &[&str] = &[
        "clock::now",
        "Instant",
        "SystemTime",
        "log",
        "tokio",
        "std::fs",
        "std::io",
        "std::net",
        "std::env",
        "std::thread",
        "redis",
    ];
    let breaches = mentions(&["quota"], IMPURE).filter(|(line, _)| {
        let may = ["journal.rs", "store.rs", "sharing.rs", "shared/client.rs"]
            .iter()
            .any(|end| line.file.ends_with(end));
        !may
    });
    assert_none(
        "`quota` reads no clock, logs nothing, and does IO in its journal, its store and what shares it alone",
        breaches,
    );
}
