//! The frames of a client's stream, numbered.

use serde_json::{Map, Value};

use crate::protocol::sse;

/// Numbers the events.
#[derive(Debug, Default)]
pub(super) struct Wire {
    sequence: u64,
}

/// What an event says.
#[derive(Clone, Debug, Default)]
pub(super) struct Members(Map<String, Value>);

impl Members {
    /// Adds a member.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Members {
        self.0.insert(name.to_owned(), value.into());
        self
    }
}

impl Wire {
    /// Writes an event, its name both before and within the data.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, event: &str, members: Members) {
        let mut data = Members::default()
            .with("type", event)
            .with("sequence_number", self.sequence);
        self.sequence += 1;
        data.0.extend(members.0);
        sse::write(out, Some(event), &Value::Object(data.0));
    }
}
