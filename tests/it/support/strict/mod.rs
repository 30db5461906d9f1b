//! Would the vendor accept this request? What a provider of each dialect answers with 400, as far as it is known.
//!
//! The rules are the vendors', and at times more than these: a vendor that forgives today may not tomorrow.
//! Signatures must be those of the recorded answers, because a vendor recognizes its own.

use api_gateway::simulator::{Dialect, Simulator};
use base64::Engine;
use serde_json::{Map, Value};

mod anthropic;
mod gemini;
mod openai;
mod responses;
mod schema;
#[cfg(test)]
mod tests;

/// What is wrong, and where.
pub type Checked = Result<(), String>;

/// What these providers would have refused of what they were asked, with the reasons; nothing if all is fine.
pub fn refused(providers: &[(Dialect, String, Simulator)]) -> String {
    let mut refused = String::new();
    for (dialect, name, provider) in providers {
        for request in provider.requests() {
            let checked = check(*dialect, &request.path, &request.headers, &request.body);
            let Err(error) = checked else {
                continue;
            };
            let complaint = format!("{name} {}: {error}\n", request.path);
            // One request of a kind is enough to see what is wrong.
            if !refused.contains(&complaint) {
                let body = String::from_utf8_lossy(&request.body);
                refused += &format!("{complaint}  {body:.2000}\n");
            }
        }
    }
    refused
}

/// Checks a request to a provider of this dialect.
pub fn check(dialect: Dialect, path: &str, headers: &[(String, String)], body: &[u8]) -> Checked {
    let header = |name: &str| {
        let found = headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    };
    let (bare, query) = path.split_once('?').unwrap_or((path, ""));
    let json = header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    ensure(json, "content-type", "is not JSON")?;
    ensure(
        header("cookie").is_none(),
        "cookie",
        "is none of the provider's business",
    )?;
    ensure(!query.contains("key="), "query", "holds a key")?;
    let key = match dialect {
        Dialect::OpenAi | Dialect::Responses => header("authorization"),
        Dialect::Anthropic => header("x-api-key").or_else(|| header("authorization")),
        Dialect::Gemini => header("x-goog-api-key"),
    };
    ensure(key.is_some(), "credentials", "are missing")?;
    let body: Value = serde_json::from_slice(body).map_err(|error| format!("body: {error}"))?;
    let spoken = Dialect::of_path(bare);
    let embeds = bare.ends_with("/embeddings") && dialect == Dialect::Responses;
    ensure(
        spoken == Some(dialect) || embeds,
        "path",
        "is of another API",
    )?;
    match dialect {
        _ if bare.ends_with("/embeddings") => openai::embeddings(&body),
        Dialect::OpenAi if bare.ends_with("/chat/completions") => openai::chat(&body),
        Dialect::OpenAi => openai::completion(&body),
        Dialect::Responses => responses::request(&body, bare.ends_with("/input_tokens")),
        Dialect::Anthropic => {
            let version = header("anthropic-version").ok_or("anthropic-version is missing")?;
            anthropic::request(&body, version, bare.ends_with("/count_tokens"))
        }
        Dialect::Gemini => gemini::request(bare, query, &body),
    }
}

fn ensure(holds: bool, at: &str, what: &str) -> Checked {
    match holds {
        true => Ok(()),
        false => Err(format!("{at}: {what}")),
    }
}

/// The members of an object that has no others than these.
fn object<'a>(
    value: &'a Value,
    at: &str,
    known: &[&str],
) -> Result<&'a Map<String, Value>, String> {
    let members = value.as_object().ok_or(format!("{at}: is no object"))?;
    for name in members.keys() {
        ensure(
            known.contains(&name.as_str()),
            at,
            &format!("unknown field {name:?}"),
        )?;
    }
    Ok(members)
}

/// The items of a list that is not empty.
fn list<'a>(value: &'a Value, at: &str) -> Result<&'a [Value], String> {
    let items = value.as_array().ok_or(format!("{at}: is no list"))?;
    ensure(!items.is_empty(), at, "is empty")?;
    Ok(items)
}

/// A text that says something.
fn text<'a>(value: &'a Value, at: &str) -> Result<&'a str, String> {
    let text = value.as_str().ok_or(format!("{at}: is no text"))?;
    ensure(!text.trim().is_empty(), at, "is blank")?;
    Ok(text)
}

/// One of these words.
fn one_of<'a>(value: &'a Value, at: &str, words: &[&str]) -> Result<&'a str, String> {
    let word = value.as_str().ok_or(format!("{at}: is no text"))?;
    ensure(
        words.contains(&word),
        at,
        &format!("{word:?} is none of {words:?}"),
    )?;
    Ok(word)
}

/// A number within these bounds, if there is one.
fn within(parent: &Value, name: &str, least: f64, most: f64) -> Checked {
    let value = &parent[name];
    let fits = |number: f64| (least..=most).contains(&number);
    let fine = value.is_null() || value.as_f64().is_some_and(fits);
    ensure(fine, name, &format!("{value} is out of range"))
}

/// A name of a tool: letters, digits and these others, up to `longest`.
fn name<'a>(value: &'a Value, at: &str, others: &str, longest: usize) -> Result<&'a str, String> {
    let name = text(value, at)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
    let fine = name.len() <= longest && name.chars().all(fits);
    ensure(fine, at, &format!("{name:?} is no name"))?;
    Ok(name)
}

/// Bytes in base64, in the standard alphabet only.
fn base64(value: &Value, at: &str) -> Checked {
    let decoded = base64::engine::general_purpose::STANDARD.decode(text(value, at)?);
    ensure(decoded.is_ok(), at, "is no base64")
}

/// An address of an image: on the web, or its bytes.
fn image_url(value: &Value, at: &str) -> Checked {
    let url = text(value, at)?;
    match url.split_once(";base64,") {
        Some((mime, data)) => {
            ensure(mime.starts_with("data:image/"), at, "is no image")?;
            base64(&Value::from(data), at)
        }
        None => ensure(url.starts_with("http"), at, "is no address"),
    }
}

/// Whether a member of this name is anywhere in it, other than in schemas and arguments.
fn holds(value: &Value, name: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| holds(item, name)),
        Value::Object(members) => members.iter().any(|(key, value)| {
            let opaque = ["parameters", "input_schema", "schema", "input"].contains(&key.as_str());
            key == name || !opaque && holds(value, name)
        }),
        _ => false,
    }
}
