//! What a provider is asked.

use serde_json::{Map, Value, json};

use super::messages::{Writer, text_block};
use super::schema;
use super::thinking::{self, Thinking};
use crate::chat::{Failure, Format, Request, Tool, ToolChoice};
use crate::protocol::{Addressee, Outbound, tree};

/// The vendor has no mode for JSON without a schema.
const JSON_ONLY: &str = "Respond with a single JSON object.";

/// Writes a request for a provider.
///
/// # Errors
/// The vendor has no words for something that the client would miss in the answer.
pub(crate) fn encode_request(request: &Request, to: Addressee<'_>) -> Result<Outbound, Failure> {
    if request.choices > 1 {
        let message = "this provider gives one answer at a time";
        return Err(Failure::inexpressible("n", message));
    }
    if request.logprobs.is_some() {
        let message = "this provider does not tell how likely its words are";
        return Err(Failure::inexpressible("logprobs", message));
    }
    let max_tokens = thinking::bound(request, to.dialect);
    let max_tokens = max_tokens.max(1);
    let mut draft = Draft::of(request, to, max_tokens)?;
    draft.set("max_tokens", max_tokens);
    draft.sampling(request);
    let (blank, stop): (Vec<_>, Vec<_>) =
        request.stop.iter().partition(|text| text.trim().is_empty());
    if !stop.is_empty() {
        draft.set(
            "stop_sequences",
            stop.into_iter().cloned().collect::<Value>(),
        );
    }
    // The vendor refuses them.
    draft.drop_if(!blank.is_empty(), "stop");
    if let Some(user) = &request.user {
        draft.set("metadata", json!({"user_id": user}));
    }
    if request.stream {
        draft.set("stream", true);
    }
    Ok(draft.finish())
}

/// The body that asks a provider how long the request is.
///
/// # Errors
/// As for the request itself.
pub(crate) fn count_request(request: &Request, to: Addressee<'_>) -> Result<Value, Failure> {
    let max_tokens = thinking::bound(request, to.dialect);
    Ok(Draft::of(request, to, max_tokens)?.finish().body)
}

/// A body that is being written.
#[derive(Debug)]
struct Draft {
    members: Map<String, Value>,
    thinking: Thinking,
    dropped: Vec<&'static str>,
}

impl Draft {
    /// All that counts: what is said, what may be called, and how the model is to think.
    fn of(request: &Request, to: Addressee<'_>, max_tokens: u64) -> Result<Draft, Failure> {
        let mut writer = Writer::default();
        for turn in &request.turns {
            writer.turn(turn)?;
        }
        let mut draft = Draft {
            members: Map::new(),
            thinking: Thinking::of(request, to.dialect, max_tokens),
            dropped: std::mem::take(&mut writer.dropped),
        };
        draft.set("model", to.model);
        let mode = (request.format == Format::JsonObject).then_some(JSON_ONLY);
        let told = request.system.iter().chain(&writer.system);
        let system = told.map(String::as_str).chain(mode).filter_map(text_block);
        let system: Vec<_> = system.collect();
        if !system.is_empty() {
            draft.set("system", system);
        }
        draft.set("messages", writer.take_messages());
        draft.tools(request)?;
        draft.think(request);
        draft.output_config(request);
        Ok(draft)
    }

    fn tools(&mut self, request: &Request) -> Result<(), Failure> {
        let offered = |tool: &&Tool| match &request.tool_choice {
            Some(ToolChoice::Allowed(_, names)) => names.contains(&tool.name),
            _ => true,
        };
        let tools: Vec<_> = request
            .tools
            .iter()
            .filter(offered)
            .map(write_tool)
            .collect();
        if tools.is_empty() {
            return match &request.tool_choice {
                Some(ToolChoice::Allowed(true, _)) => {
                    let message = "`tool_choice` allows no tool that is offered";
                    Err(Failure::inexpressible("tool_choice", message))
                }
                _ => Ok(()),
            };
        }
        self.set("tools", tools);
        let one_by_one = request.parallel_tools == Some(false);
        let mut choice = match &request.tool_choice {
            Some(ToolChoice::None) => {
                self.set("tool_choice", json!({"type": "none"}));
                return Ok(());
            }
            Some(ToolChoice::Auto) => json!({"type": "auto"}),
            // The tools were chosen already.
            Some(ToolChoice::Allowed(false, _)) | None if one_by_one => json!({"type": "auto"}),
            Some(ToolChoice::Allowed(false, _)) | None => return Ok(()),
            Some(ToolChoice::Any | ToolChoice::Allowed(true, _)) => json!({"type": "any"}),
            Some(ToolChoice::Tool(name)) => json!({"type": "tool", "name": name}),
        };
        if one_by_one {
            choice["disable_parallel_tool_use"] = true.into();
        }
        self.set("tool_choice", choice);
        Ok(())
    }

    fn think(&mut self, request: &Request) {
        let thinking = match self.thinking {
            Thinking::Unsaid => return,
            Thinking::Excluded => return self.dropped.push("effort"),
            Thinking::Disabled => json!({"type": "disabled"}),
            // Newer models keep their thoughts to themselves unless they are asked for them.
            Thinking::Adaptive if request.include_thoughts => {
                json!({"type": "adaptive", "display": "summarized"})
            }
            Thinking::Adaptive => json!({"type": "adaptive"}),
            Thinking::Budget(tokens) => json!({"type": "enabled", "budget_tokens": tokens}),
        };
        self.set("thinking", thinking);
    }

    fn output_config(&mut self, request: &Request) {
        let mut config = Map::new();
        // Beside a budget a word would say the same again, to models that do not know it.
        if self.thinking == Thinking::Adaptive {
            tree::set(
                &mut config,
                "effort",
                request.effort.and_then(thinking::word),
            );
        }
        if let Format::JsonSchema { schema, .. } = &request.format {
            config.insert(
                "format".into(),
                json!({"type": "json_schema", "schema": schema::of_answer(schema)}),
            );
        }
        if !config.is_empty() {
            self.set("output_config", config);
        }
    }

    /// How the next token is drawn, which is not for the client to say when the model thinks.
    fn sampling(&mut self, request: &Request) {
        let sampling = &request.sampling;
        let thinks = self.thinking.is_on();
        if thinks {
            self.drop_if(sampling.temperature.is_some(), "temperature");
            self.drop_if(sampling.top_p.is_some(), "top_p");
            self.drop_if(sampling.top_k.is_some(), "top_k");
        } else {
            let temperature = sampling.temperature.map(|value| value.clamp(0.0, 1.0));
            // Newer models refuse both at once.
            let top_p = sampling.top_p.filter(|_| temperature.is_none());
            self.drop_if(sampling.top_p.is_some() && top_p.is_none(), "top_p");
            tree::set(&mut self.members, "temperature", temperature);
            tree::set(
                &mut self.members,
                "top_p",
                top_p.map(|value| value.clamp(0.0, 1.0)),
            );
            tree::set(&mut self.members, "top_k", sampling.top_k);
        }
        self.drop_if(sampling.seed.is_some(), "seed");
        self.drop_if(sampling.presence_penalty.is_some(), "presence_penalty");
        self.drop_if(sampling.frequency_penalty.is_some(), "frequency_penalty");
    }

    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.members.insert(name.to_owned(), value.into());
    }

    fn drop_if(&mut self, is_left_out: bool, what: &'static str) {
        if is_left_out {
            self.dropped.push(what);
        }
    }

    fn finish(self) -> Outbound {
        Outbound {
            body: self.members.into(),
            dropped: self.dropped,
        }
    }
}

fn write_tool(tool: &Tool) -> Value {
    let mut members = Map::new();
    members.insert("name".into(), tool.name.as_str().into());
    tree::set(&mut members, "description", tool.description.as_deref());
    members.insert(
        "input_schema".into(),
        schema::of_arguments(tool.schema.as_ref()),
    );
    // `false` is what goes without saying, and older servers do not know the word.
    if tool.strict == Some(true) {
        members.insert("strict".into(), true.into());
    }
    members.into()
}
