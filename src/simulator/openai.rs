//! An answer in OpenAI's form: whole, or as the events of a stream.
//!
//! The text is written by hand rather than through a tree of values: a benchmark should measure what
//! stands in front of the simulator. Ids and times are constant, so equal requests get equal bytes.

use std::fmt::{self, Display, Write};

use serde_json::{Value, json};

use super::answer::{Answer, Fault, Streaming, UsageInStream};
use super::embeddings;
use super::request::{Asked, Request};
use super::script::{Act, Behavior};

/// When everything was created, in seconds since 1970.
const CREATED: u64 = 1_700_000_000;
/// What every answer says of the machine that gave it.
const FINGERPRINT: &str = "fp_simulated";

/// A 200 with a body, or something else to do.
pub(super) enum Reply {
    Whole(Vec<u8>),
    /// The text of each event, its empty line included.
    Events(Vec<String>),
    Instead(Box<Act>),
}

/// Which of the two ways to complete a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Api {
    Chat,
    Legacy,
}

/// Renders `answer` for the path and body of `request`.
pub(super) fn reply(answer: &Answer, behavior: &Behavior, request: &Request) -> Reply {
    let path = request.path();
    let post = request.received.method == "POST";
    if path.ends_with("/chat/completions") && post {
        completion(Api::Chat, answer, request)
    } else if path.ends_with("/completions") && post {
        completion(Api::Legacy, answer, request)
    } else if path.ends_with("/embeddings") && post {
        match request.asked() {
            Ok(asked) => Reply::Whole(embeddings::render(answer, &asked).into_bytes()),
            Err(error) => bad_json(&error),
        }
    } else if let Some((_, id)) = path.rsplit_once("/models").filter(|_| !post) {
        models(behavior, id.trim_start_matches('/'))
    } else {
        Reply::Instead(Box::new(Act::error(404, "unknown_url", "no such path")))
    }
}

fn completion(api: Api, answer: &Answer, request: &Request) -> Reply {
    let asked = match request.asked() {
        Ok(asked) => asked,
        Err(error) => return bad_json(&error),
    };
    if answer.reject_stream_options && asked.stream_options.is_some() {
        let message = "Unrecognized request argument supplied: stream_options";
        return Reply::Instead(Box::new(Act::error(400, "unknown_parameter", message)));
    }
    let streams = match answer.streaming {
        Streaming::AsAsked => asked.stream.unwrap_or(false),
        Streaming::Never => false,
        Streaming::Always => true,
    };
    if streams {
        Reply::Events(events(api, answer, &asked))
    } else if let Some((_, Fault::Error(error))) = &answer.fault {
        Reply::Whole(error.to_string().into_bytes())
    } else {
        Reply::Whole(whole(api, answer, &asked).into_bytes())
    }
}

fn bad_json(error: &serde_json::Error) -> Reply {
    Reply::Instead(Box::new(Act::error(
        400,
        "invalid_json",
        &error.to_string(),
    )))
}

// === plain answers ===

fn whole(api: Api, answer: &Answer, asked: &Asked<'_>) -> String {
    let mut choices = String::new();
    for index in 0..choice_count(asked) {
        let comma = if index == 0 { "" } else { "," };
        let finish = Json(finish_reason(answer));
        let logprobs = Logprobs(wants_logprobs(api, asked).then_some(&answer.text));
        let content = match api {
            Api::Chat => format!(r#""message":{}"#, message(answer)),
            Api::Legacy => format!(r#""text":{}"#, Json(&answer.text)),
        };
        push(
            &mut choices,
            format_args!(
                r#"{comma}{{"index":{index},{content},"logprobs":{logprobs},"finish_reason":{finish}}}"#
            ),
        );
    }
    let usage = match answer.usage {
        Some((prompt, completion)) => format!(r#","usage":{}"#, Usage(prompt, completion)),
        None => String::new(),
    };
    let object = match api {
        Api::Chat => "chat.completion",
        Api::Legacy => "text_completion",
    };
    format!(
        r#"{{"id":"{}","object":"{object}","created":{CREATED},"model":{},"choices":[{choices}]{usage},"service_tier":"default","system_fingerprint":"{FINGERPRINT}"}}"#,
        id(api),
        Json(model(answer, asked)),
    )
}

fn message(answer: &Answer) -> String {
    let silent = answer.text.is_empty() || answer.refusal.is_some();
    let content = Nullable((!silent).then_some(answer.text.as_str()));
    let refusal = Nullable(answer.refusal.as_deref());
    let mut message =
        format!(r#"{{"role":"assistant","content":{content},"refusal":{refusal},"annotations":[]"#);
    if let Some(reasoning) = &answer.reasoning {
        push(
            &mut message,
            format_args!(r#","reasoning_content":{}"#, Json(reasoning)),
        );
    }
    if !answer.tool_calls.is_empty() {
        let calls: Vec<Value> = answer
            .tool_calls
            .iter()
            .map(|call| {
                json!({
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                })
            })
            .collect();
        push(
            &mut message,
            format_args!(r#","tool_calls":{}"#, Value::Array(calls)),
        );
    }
    message.push('}');
    message
}

// === streams ===

/// What one event adds to one choice.
struct Step {
    /// `"delta":{…}` or `"text":"…"`.
    adds: String,
    /// The text it adds to, for `logprobs`.
    text: Option<String>,
    last: bool,
}

fn events(api: Api, answer: &Answer, asked: &Asked<'_>) -> Vec<String> {
    let includes_usage = asked
        .stream_options
        .as_ref()
        .is_some_and(|options| options.include_usage);
    let own_event = match answer.usage_in_stream {
        UsageInStream::WhenAsked => includes_usage,
        UsageInStream::Always => true,
        UsageInStream::WithFinish | UsageInStream::Never => false,
    };
    let usage = answer
        .usage
        .map(|(prompt, completion)| Usage(prompt, completion).to_string());
    let object = match api {
        Api::Chat => "chat.completion.chunk",
        Api::Legacy => "text_completion",
    };
    let head = format!(
        r#"data: {{"id":"{}","object":"{object}","created":{CREATED},"model":{},"service_tier":"default","system_fingerprint":"{FINGERPRINT}","choices":["#,
        id(api),
        Json(model(answer, asked)),
    );

    let mut events = Vec::new();
    for step in steps(api, answer) {
        for index in 0..choice_count(asked) {
            let mut event = head.clone();
            let finish = Nullable(step.last.then(|| finish_reason(answer)));
            let text = step.text.as_ref().filter(|_| wants_logprobs(api, asked));
            push(
                &mut event,
                format_args!(
                    r#"{{"index":{index},{},"logprobs":{},"finish_reason":{finish}}}]"#,
                    step.adds,
                    Logprobs(text)
                ),
            );
            match &usage {
                Some(usage) if step.last && answer.usage_in_stream == UsageInStream::WithFinish => {
                    push(&mut event, format_args!(r#","usage":{usage}"#));
                }
                Some(_) if own_event => event.push_str(r#","usage":null"#),
                _ => {}
            }
            event.push_str("}\n\n");
            events.push(event);
        }
    }
    if let Some(usage) = usage.filter(|_| own_event) {
        events.push(format!("{head}],\"usage\":{usage}}}\n\n"));
    }
    if !answer.skip_done {
        events.push("data: [DONE]\n\n".into());
    }
    if let Some((after, fault)) = &answer.fault {
        events.truncate(*after);
        if let Fault::Error(error) = fault {
            events.push(format!("data: {error}\n\n"));
        }
    }
    events
}

fn steps(api: Api, answer: &Answer) -> Vec<Step> {
    let step = |adds: String| Step {
        adds,
        text: None,
        last: false,
    };
    let mut steps = Vec::new();
    if api == Api::Legacy {
        for part in parts(&answer.text, answer.chunk_count) {
            steps.push(Step {
                text: Some(part.clone()),
                ..step(format!(r#""text":{}"#, Json(&part)))
            });
        }
        steps.push(Step {
            last: true,
            ..step(r#""text":"""#.into())
        });
        return steps;
    }

    let delta = |field: &str, text: &str| step(format!(r#""delta":{{"{field}":{}}}"#, Json(text)));
    steps.push(step(
        r#""delta":{"role":"assistant","content":"","refusal":null}"#.into(),
    ));
    for part in parts(answer.reasoning.as_deref().unwrap_or_default(), None) {
        steps.push(delta("reasoning_content", &part));
    }
    if let Some(refusal) = &answer.refusal {
        steps.extend(
            parts(refusal, None)
                .iter()
                .map(|part| delta("refusal", part)),
        );
    } else {
        for part in parts(&answer.text, answer.chunk_count) {
            steps.push(Step {
                text: Some(part.clone()),
                ..delta("content", &part)
            });
        }
    }
    for (index, call) in answer.tool_calls.iter().enumerate() {
        steps.push(step(format!(
            r#""delta":{{"tool_calls":[{{"index":{index},"id":{},"type":"function","function":{{"name":{},"arguments":""}}}}]}}"#,
            Json(&call.id),
            Json(&call.name),
        )));
        for part in parts(&call.arguments, Some(2)) {
            steps.push(step(format!(
                r#""delta":{{"tool_calls":[{{"index":{index},"function":{{"arguments":{}}}}}]}}"#,
                Json(&part),
            )));
        }
    }
    steps.push(Step {
        last: true,
        ..step(r#""delta":{}"#.into())
    });
    steps
}

/// Cuts a text into `count` parts of nearly equal length, or after each word.
fn parts(text: &str, count: Option<usize>) -> Vec<String> {
    let Some(count) = count else {
        return text.split_inclusive(' ').map(String::from).collect();
    };
    let chars: Vec<char> = text.chars().collect();
    let count = count.clamp(1, chars.len().max(1));
    (0..count)
        .map(|i| &chars[i * chars.len() / count..(i + 1) * chars.len() / count])
        .filter(|part| !part.is_empty())
        .map(|part| part.iter().collect())
        .collect()
}

// === models ===

fn models(behavior: &Behavior, id: &str) -> Reply {
    let describe = |id: &str| json!({"id": id, "object": "model", "created": CREATED, "owned_by": behavior.name});
    let body = if id.is_empty() {
        let data: Vec<Value> = behavior.models.iter().map(|id| describe(id)).collect();
        json!({"object": "list", "data": data})
    } else if behavior.models.iter().any(|known| known == id) {
        describe(id)
    } else {
        return Reply::Instead(Box::new(Act::error(
            404,
            "model_not_found",
            "no such model",
        )));
    };
    Reply::Whole(body.to_string().into_bytes())
}

// === small parts ===

fn id(api: Api) -> &'static str {
    match api {
        Api::Chat => "chatcmpl-simulated",
        Api::Legacy => "cmpl-simulated",
    }
}

/// The model that the answer claims to be from.
pub(super) fn model<'a>(answer: &'a Answer, asked: &'a Asked<'_>) -> &'a str {
    answer.model.as_deref().unwrap_or(&asked.model)
}

fn choice_count(asked: &Asked<'_>) -> usize {
    asked.n.unwrap_or(1).clamp(1, 128)
}

fn wants_logprobs(api: Api, asked: &Asked<'_>) -> bool {
    // A switch in the one API, a number in the other, which has another form of logprobs that we do not speak.
    api == Api::Chat && asked.logprobs == Some(Value::Bool(true))
}

fn finish_reason(answer: &Answer) -> &str {
    match &answer.finish_reason {
        Some(reason) => reason,
        None if answer.tool_calls.is_empty() => "stop",
        None => "tool_calls",
    }
}

/// Appends formatted text.
fn push(text: &mut String, more: fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(more);
}

/// A text as a JSON string.
struct Json<'a>(&'a str);

impl Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self.0).map_err(|_| fmt::Error)?)
    }
}

/// A text as a JSON string, or `null`.
struct Nullable<'a>(Option<&'a str>);

impl Display for Nullable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(text) => Json(text).fmt(f),
            None => f.write_str("null"),
        }
    }
}

/// The log probabilities of a text's words, all alike; `null` when not wanted.
struct Logprobs<'a>(Option<&'a String>);

impl Display for Logprobs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(text) = self.0 else {
            return f.write_str("null");
        };
        f.write_str(r#"{"content":["#)?;
        for (index, word) in text.split_inclusive(' ').enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let token = Json(word);
            write!(
                f,
                r#"{comma}{{"token":{token},"logprob":-0.25,"bytes":null,"top_logprobs":[]}}"#
            )?;
        }
        f.write_str(r#"],"refusal":null}"#)
    }
}

/// Prompt and completion tokens as a usage object.
struct Usage(u64, u64);

impl Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Usage(prompt, completion) = *self;
        let total = prompt + completion;
        write!(
            f,
            r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total},"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#
        )
    }
}
