//! The end of a stream that was handed on as it came, and broke.

use serde_json::{Value, json};

use super::StreamEncoder;
use super::error;
use crate::chat::{Event, Failure};
use crate::protocol::codec::{Encoder, Reply};
use crate::protocol::relay::Interrupted;
use crate::protocol::sse;

/// What went by of a stream: its events have one response, and are numbered.
#[derive(Default)]
pub(crate) struct Interruption {
    /// As the first event had it.
    response: Option<Value>,
    /// The number of the next event.
    next: u64,
}

impl Interrupted for Interruption {
    fn note(&mut self, data: &[u8]) {
        self.next += 1;
        if self.response.is_none()
            && let Ok(mut event) = serde_json::from_slice::<Value>(data)
            && event["response"].is_object()
        {
            let number = event["sequence_number"].as_u64();
            self.next = number.map_or(self.next, |number| number + 1);
            self.response = Some(event["response"].take());
        }
    }

    fn broken(&mut self, failure: &Failure) -> Vec<u8> {
        let mut out = Vec::new();
        let Some(mut response) = self.response.take() else {
            StreamEncoder::new(Reply::default()).encode(Event::Failed(failure.clone()), &mut out);
            return out;
        };
        response["status"] = "failed".into();
        response["error"] = error::object(failure);
        let event = json!({
            "type": "response.failed",
            "sequence_number": self.next,
            "response": response,
        });
        sse::write(&mut out, Some("response.failed"), &event);
        out
    }
}
