//! Did what the clients said reach the providers? Each case asks for something that must not be lost.

use api_gateway::simulator::{Dialect, Recorded, Simulator};
use serde_json::{Value, json};

use crate::sdk_fixtures::KEY;

/// What was lost on the way to these providers; nothing if all is fine.
pub fn lost(providers: &[(Dialect, String, Simulator)], all_clients: bool) -> String {
    let mut lost = String::new();
    for (dialect, name, provider) in providers {
        let (_, case) = name.split_once('/').unwrap();
        let requests = provider.requests();
        for request in &requests {
            let Err(what) = each(*dialect, case, request) else {
                continue;
            };
            let complaint = format!("{name}: {what}\n");
            if !lost.contains(&complaint) {
                let body = String::from_utf8_lossy(&request.body);
                lost += &format!("{complaint}  {body:.2000}\n");
            }
        }
        if case == "parameters" && all_clients {
            for what in some(*dialect, &requests) {
                lost += &format!("{name}: no request has {what}\n");
            }
        }
    }
    lost
}

/// What every request of a case must have, whoever asked.
fn each(dialect: Dialect, case: &str, request: &Recorded) -> Result<(), String> {
    let body = &request.json();
    let generates = !["count-tokens", "embeddings"].contains(&case) && !counts(request);
    let named = match dialect {
        Dialect::Gemini => request.path.contains("/models/simulated:"),
        _ => body["model"] == "simulated",
    };
    ensure(named, "asks for another model")?;
    let told = request.headers.iter().any(|(_, value)| value.contains(KEY));
    ensure(
        !told && !request.path.contains(KEY),
        "tells the key of the client",
    )?;
    if !generates {
        return Ok(());
    }
    ensure(
        system_of(dialect, body).contains("You are brief."),
        "no system text",
    )?;
    let streams = request.path.contains(":streamGenerateContent") || body["stream"] == true;
    match case {
        "streams-only" => ensure(streams, "is no stream")?,
        "plain-only" => ensure(!streams, "is a stream")?,
        "image" => {
            let whole = body.to_string().contains("iVBORw0KGgo")
                && body.to_string().contains("jx0gAAAABJRU5ErkJggg==");
            ensure(whole, "the image is not what it was")?;
        }
        "schema" => {
            let schema = schema_of(dialect, body);
            ensure(
                schema["required"] == json!(["name", "age", "tags", "address"]),
                "no schema",
            )?;
        }
        "thinking" => ensure(thinks(dialect, body), "does not ask for thinking")?,
        "parameters" => {
            let most = most_of(dialect, body);
            ensure(most == &json!(64), &format!("at most {most} tokens"))?;
        }
        _ => {}
    }
    if case == "choice" {
        let choice = choice_of(dialect, body);
        ensure(choice == "weather", &format!("the tool chosen is {choice}"))?;
    }
    if case.starts_with("tools") {
        let names = tools_of(dialect, body);
        ensure(
            names == ["weather", "book_table", "now"],
            &format!("the tools are {names:?}"),
        )?;
    }
    if case == "tools-answer" {
        ensure(body.to_string().contains("°C"), "no result of a tool")?;
    }
    Ok(())
}

/// What not every SDK can say, and is missing in all requests.
fn some(dialect: Dialect, requests: &[Recorded]) -> Vec<&'static str> {
    let bodies: Vec<Value> = requests.iter().map(Recorded::json).collect();
    let config = |body: &Value| match dialect {
        Dialect::Gemini => body["generationConfig"].clone(),
        _ => body.clone(),
    };
    let any = |what: &dyn Fn(&Value) -> bool| bodies.iter().any(|body| what(&config(body)));
    let mut missing = Vec::new();
    if !any(&|body| body["temperature"].as_f64() == Some(0.5)) {
        missing.push("the temperature");
    }
    let top_p = |body: &Value| body["top_p"].as_f64().or_else(|| body["topP"].as_f64());
    // Anthropic takes only one of the two.
    if dialect != Dialect::Anthropic && !any(&|body| top_p(body) == Some(0.9)) {
        missing.push("top_p");
    }
    let stops = ["stop", "stop_sequences", "stopSequences"];
    let stop = |body: &Value| stops.iter().any(|name| body[*name] == json!(["END"]));
    if dialect != Dialect::Responses && !any(&stop) {
        missing.push("the stop sequence");
    }
    missing
}

fn counts(request: &Recorded) -> bool {
    ["countTokens", "count_tokens", "input_tokens"]
        .iter()
        .any(|call| request.path.contains(call))
}

fn ensure(holds: bool, what: &str) -> Result<(), String> {
    match holds {
        true => Ok(()),
        false => Err(what.into()),
    }
}

/// Where the system's text is, as JSON.
fn system_of(dialect: Dialect, body: &Value) -> String {
    let turns = |list: &Value| -> Vec<Value> {
        let of_system = |turn: &&Value| turn["role"] == "system" || turn["role"] == "developer";
        list.as_array()
            .into_iter()
            .flatten()
            .filter(of_system)
            .cloned()
            .collect()
    };
    match dialect {
        Dialect::OpenAi => json!(turns(&body["messages"])).to_string(),
        Dialect::Responses => format!("{}{}", body["instructions"], json!(turns(&body["input"]))),
        Dialect::Anthropic => body["system"].to_string(),
        Dialect::Gemini => body["systemInstruction"].to_string(),
    }
}

fn schema_of(dialect: Dialect, body: &Value) -> &Value {
    match dialect {
        Dialect::OpenAi => &body["response_format"]["json_schema"]["schema"],
        Dialect::Responses => &body["text"]["format"]["schema"],
        Dialect::Anthropic => &body["output_config"]["format"]["schema"],
        Dialect::Gemini => &body["generationConfig"]["responseJsonSchema"],
    }
}

fn thinks(dialect: Dialect, body: &Value) -> bool {
    match dialect {
        Dialect::OpenAi => body["reasoning_effort"].is_string(),
        Dialect::Responses => body["reasoning"].is_object(),
        Dialect::Anthropic => ["enabled", "adaptive"]
            .iter()
            .any(|kind| body["thinking"]["type"] == *kind),
        Dialect::Gemini => {
            let thinking = &body["generationConfig"]["thinkingConfig"];
            thinking["includeThoughts"] == true || thinking["include_thoughts"] == true
        }
    }
}

fn most_of(dialect: Dialect, body: &Value) -> &Value {
    match dialect {
        Dialect::OpenAi => match &body["max_tokens"] {
            Value::Null => &body["max_completion_tokens"],
            most => most,
        },
        Dialect::Responses => &body["max_output_tokens"],
        Dialect::Anthropic => &body["max_tokens"],
        Dialect::Gemini => &body["generationConfig"]["maxOutputTokens"],
    }
}

/// The one tool that must be called.
fn choice_of(dialect: Dialect, body: &Value) -> &Value {
    match dialect {
        Dialect::OpenAi => &body["tool_choice"]["function"]["name"],
        Dialect::Responses | Dialect::Anthropic => &body["tool_choice"]["name"],
        Dialect::Gemini => &body["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"][0],
    }
}

fn tools_of(dialect: Dialect, body: &Value) -> Vec<String> {
    let list = match dialect {
        Dialect::Gemini => &body["tools"][0]["functionDeclarations"],
        _ => &body["tools"],
    };
    let name = |tool: &Value| match dialect {
        Dialect::OpenAi => tool["function"]["name"].clone(),
        _ => tool["name"].clone(),
    };
    let names = list.as_array().into_iter().flatten().map(name);
    names
        .map(|name| name.as_str().unwrap_or_default().to_owned())
        .collect()
}
