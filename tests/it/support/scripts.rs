//! Runs the scripts that use official SDKs, which `tests/setup` installs.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The languages of the official SDKs.
#[derive(Clone, Copy, Debug)]
pub enum Language {
    Python,
    Node,
}

impl Language {
    pub const ALL: [Language; 2] = [Language::Python, Language::Node];

    /// The command for `tests/sdk/NAME.py` or `.mjs`.
    pub fn script(self, name: &str) -> Command {
        let scripts = root().join("tests/sdk");
        let mut command = match self {
            Language::Python => {
                let mut command = Command::new(installed("target/sdk-python/bin/python"));
                command.arg(scripts.join(format!("{name}.py")));
                command
            }
            Language::Node => {
                let mut command = Command::new("node");
                command.arg("--test-reporter=dot");
                command.arg(scripts.join(format!("{name}.mjs")));
                command.env("SDK_DIR", installed("target/sdk-node"));
                command
            }
        };
        // Keys and addresses of whoever runs the tests are nothing to the scripts.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            let vendors = ["OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_"];
            if vendors.iter().any(|vendor| name.starts_with(vendor)) {
                command.env_remove(name);
            }
        }
        command
            .env("NO_PROXY", "127.0.0.1")
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

/// Runs these at the same time, and gives the output of those that failed.
pub fn run_all(commands: Vec<Command>) -> Result<(), String> {
    let running: Vec<_> = commands
        .into_iter()
        .map(|mut command| std::thread::spawn(move || (command.output(), command)))
        .collect();
    let mut failures = String::new();
    for thread in running {
        let (output, command) = thread.join().unwrap();
        let output = output.unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        if !output.status.success() {
            failures += &format!(
                "--- {:?}\n{}{}",
                command.get_args().last().unwrap(),
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
            );
        }
    }
    match failures.is_empty() {
        true => Ok(()),
        false => Err(failures),
    }
}

/// The folder of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A path that `tests/setup` makes.
pub fn installed(path: &str) -> PathBuf {
    let path = root().join(path);
    assert!(
        path.exists(),
        "{} is missing: run tests/setup",
        path.display()
    );
    path
}
