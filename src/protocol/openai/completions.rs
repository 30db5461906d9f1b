//! Legacy completions towards providers that know conversations alone: the prompt is what a user says.

use serde_json::{Map, Value, json};

use super::decode::{decode_members, stop};
use super::response::finish_reason;
use super::{error_event, usage};
use crate::chat::{Block, Event, Failure, Finish, Part, Request, Response, Role, Turn, Usage};
use crate::protocol::codec::{Encoder, Reply};
use crate::protocol::sse;
use crate::protocol::tree::Fields;

/// Reads a request.
///
/// # Errors
/// It is wrong, or asks for what only a legacy model can do.
pub(crate) fn decode_completion(body: Value) -> Result<Request, Failure> {
    let mut fields = Fields::root(body)?;
    let prompt = match fields.take("prompt") {
        Some(Value::String(text)) => text,
        Some(Value::Array(mut items)) if items.len() == 1 && items[0].is_string() => {
            match items.pop() {
                Some(Value::String(text)) => text,
                _ => String::new(),
            }
        }
        Some(Value::Array(_)) => {
            let message = "this provider takes one text as the prompt, no list and no tokens";
            return Err(Failure::inexpressible("prompt", message));
        }
        Some(_) => return Err(fields.wrong("prompt", "must be a string")),
        None => return Err(fields.wrong("prompt", "is missing")),
    };
    let only_legacy = [
        (
            "suffix",
            fields.take("suffix").is_some_and(|suffix| suffix != ""),
        ),
        ("echo", fields.flag("echo")? == Some(true)),
        (
            "best_of",
            fields.count("best_of")?.is_some_and(|best_of| best_of > 1),
        ),
        ("logprobs", fields.take("logprobs").is_some()),
    ];
    if let Some((name, _)) = only_legacy.iter().find(|(_, given)| *given) {
        let message = format!("this provider has no legacy completions, and nothing like `{name}`");
        return Err(Failure::inexpressible(name, message));
    }
    let stop = stop(&mut fields)?;
    // All other members are those of chat completions.
    let mut request = decode_members(fields)?;
    request.stop = stop;
    request.turns = vec![Turn::new(Role::User, vec![Part::Text(prompt)])];
    Ok(request)
}

/// Writes an answer.
pub(crate) fn encode_completion(response: Response, reply: &Reply) -> Value {
    let texts = response.parts.iter().filter_map(|part| match part {
        Part::Text(text) | Part::Refusal(text) => Some(text.as_str()),
        _ => None,
    });
    let text: String = texts.collect();
    let mut body = object(reply, choice(&text, Some(&response.finish)));
    if let Some(usage) = &response.usage {
        body.insert("usage".into(), usage::to_tree(usage));
    }
    Value::Object(body)
}

fn choice(text: &str, finish: Option<&Finish>) -> Value {
    let reason = finish.map(|finish| match finish_reason(finish.reason) {
        "tool_calls" => "stop",
        reason => reason,
    });
    json!([{ "text": text, "index": 0, "logprobs": null, "finish_reason": reason }])
}

fn object(reply: &Reply, choices: Value) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("id".into(), format!("cmpl-{}", reply.id).into());
    object.insert("object".into(), "text_completion".into());
    object.insert("created".into(), reply.created.into());
    object.insert("model".into(), reply.model.clone().into());
    object.insert("choices".into(), choices);
    object
}

/// Writes a stream of a legacy completion.
pub(crate) struct CompletionEncoder {
    reply: Reply,
    /// Whether what grows is text: thoughts and calls have no place here.
    is_text: bool,
    finish: Finish,
    usage: Option<Usage>,
    ended: bool,
}

impl CompletionEncoder {
    /// At the beginning of a stream.
    pub(crate) fn new(reply: Reply) -> CompletionEncoder {
        CompletionEncoder {
            reply,
            is_text: false,
            finish: Finish::default(),
            usage: None,
            ended: false,
        }
    }

    fn chunk(&self, choices: Value, usage: Option<Value>, out: &mut Vec<u8>) {
        let mut object = object(&self.reply, choices);
        if let Some(usage) = usage {
            object.insert("usage".into(), usage);
        }
        sse::write(out, None, &Value::Object(object));
    }
}

impl Encoder for CompletionEncoder {
    fn encode(&mut self, event: Event, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        match event {
            Event::Begin(block) => self.is_text = matches!(block, Block::Text | Block::Refusal),
            Event::Delta(text) if self.is_text => self.chunk(choice(&text, None), None, out),
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Finish(finish) => self.finish = finish,
            Event::Close => {
                self.chunk(choice("", Some(&self.finish)), None, out);
                if let Some(usage) = self.usage.filter(|_| self.reply.include_usage) {
                    self.chunk(json!([]), Some(usage::to_tree(&usage)), out);
                }
                out.extend_from_slice(b"data: [DONE]\n\n");
                self.ended = true;
            }
            Event::Failed(failure) => {
                out.extend_from_slice(&error_event(&failure));
                self.ended = true;
            }
            Event::Start
            | Event::Delta(_)
            | Event::Signature(_)
            | Event::Logprobs(_)
            | Event::Untold
            | Event::End => {}
        }
    }
}
