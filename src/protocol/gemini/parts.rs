//! The parts of an answer as a client gets them, piece by piece or whole.
//!
//! Proofs of thinking stand on the part that follows it, as clients keep that one and throw thoughts away. One that
//! nothing follows stands on an empty text, as Google does it.

use serde_json::{Map, Value, json};

use super::sign;
use crate::chat::{Logprob, Signed, ToolCall, Vendor};
use crate::protocol::tree::{self, set};

/// Writes parts.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Proofs that wait for the part that follows: as text, and whether a call may carry it.
    waiting: Vec<(String, bool)>,
    /// Whether there was a call.
    called: bool,
}

impl Parts {
    /// A piece of text.
    pub(super) fn text(&mut self, text: &str, out: &mut Vec<Value>) {
        if !text.is_empty() {
            let proof = self.last_waiting(out);
            out.push(with_proof(
                json!({"text": text}),
                proof.map(|(proof, _)| proof),
            ));
        }
    }

    /// A piece of thoughts.
    pub(super) fn thought(&mut self, text: &str, out: &mut Vec<Value>) {
        if !text.is_empty() {
            self.flush(out);
            out.push(json!({"text": text, "thought": true}));
        }
    }

    /// The proof of the thinking that ends here.
    pub(super) fn proof(&mut self, signed: &Signed) {
        // On a call Google's own would be taken for the call's.
        let fits_calls = signed.origin != Vendor::Google;
        self.waiting.push((sign::for_client(signed), fits_calls));
    }

    /// Thoughts that nobody can read.
    pub(super) fn redacted(&mut self, signed: &Signed) {
        let proof = sign::redacted_for_client(signed);
        self.waiting.push((proof, true));
    }

    /// A call, whole.
    pub(super) fn call(&mut self, call: &ToolCall, out: &mut Vec<Value>) {
        let own = call.signature.as_ref();
        let proof = match self.last_waiting(out) {
            Some((proof, true)) if own.is_none() => Some(proof),
            Some((proof, _)) => {
                out.push(empty(Some(proof)));
                None
            }
            None => None,
        };
        // The conversation may go on with Google itself, which wants a proof on the first call of a turn.
        let first = !std::mem::replace(&mut self.called, true);
        let dummy = || first.then(|| sign::DUMMY.to_owned());
        let proof = own.map(sign::for_client).or(proof).or_else(dummy);
        let mut said = Map::new();
        set(
            &mut said,
            "id",
            Some(call.id.as_str()).filter(|id| !id.is_empty()),
        );
        said.insert("name".into(), call.name.as_str().into());
        said.insert("args".into(), tree::arguments(&call.arguments));
        out.push(with_proof(json!({"functionCall": said}), proof));
    }

    /// Whatever still waits, as nothing follows.
    pub(super) fn flush(&mut self, out: &mut Vec<Value>) {
        let waiting = self.waiting.drain(..);
        out.extend(waiting.map(|(proof, _)| empty(Some(proof))));
    }

    /// A part has room for one proof: those before the last get parts of their own.
    fn last_waiting(&mut self, out: &mut Vec<Value>) -> Option<(String, bool)> {
        let last = self.waiting.pop();
        self.flush(out);
        last
    }
}

/// A text that says nothing.
pub(super) fn empty(proof: Option<String>) -> Value {
    with_proof(json!({"text": ""}), proof)
}

fn with_proof(mut part: Value, proof: Option<String>) -> Value {
    if let Some(proof) = proof {
        part["thoughtSignature"] = proof.into();
    }
    part
}

/// `logprobsResult`.
pub(super) fn logprobs(logprobs: &[Logprob]) -> Value {
    let candidate = |token: &str, logprob: f64| json!({"token": token, "logProbability": logprob});
    let chosen = logprobs.iter().map(|at| candidate(&at.token, at.logprob));
    let chosen: Vec<_> = chosen.collect();
    let top = logprobs.iter().map(|at| {
        let top = at
            .top
            .iter()
            .map(|(token, logprob)| candidate(token, *logprob));
        json!({"candidates": top.collect::<Vec<_>>()})
    });
    let top: Vec<_> = top.collect();
    json!({"chosenCandidates": chosen, "topCandidates": top})
}

/// An answer, or a piece of one, with what every one of them tells.
pub(super) fn answer(
    candidate: Value,
    reply: &crate::protocol::codec::Reply,
) -> Map<String, Value> {
    let mut answer = Map::new();
    answer.insert("candidates".into(), json!([candidate]));
    answer.insert("modelVersion".into(), reply.model.as_str().into());
    answer.insert("responseId".into(), reply.id.as_str().into());
    answer
}
