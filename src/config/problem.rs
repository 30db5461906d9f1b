//! What is wrong with a configuration file, in words for the person who wrote it.
//!
//! A problem never holds the value of a secret; whoever makes one sees to that.

use std::fmt;

/// One thing to correct, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the caller named it.
    pub file: String,
    /// Counted from 1; 0 when the problem belongs to no place in the file.
    pub line: usize,
    /// Characters, counted from 1; 0 when the problem belongs to no place in the file.
    pub column: usize,
    /// The way through the file's values, `gpt-4o.providers[1].weight`; empty for the file as a whole.
    pub path: String,
    /// What was found and what was expected.
    pub message: String,
    /// What to try: the nearest known name, or the likely remedy.
    pub hint: Option<String>,
}

/// Why a file was not accepted: every reason at once, in the file's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            let line_break = if i == 0 { "" } else { "\n" };
            write!(f, "{line_break}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Rejected {}
