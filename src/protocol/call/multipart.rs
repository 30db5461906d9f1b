//! Forms with files (`multipart/form-data`, RFC 7578): finds the model and lets the files be.

use memchr::memmem;

use super::scan::Found;
use crate::chat::Failure;
use crate::protocol::json::Span;

/// The longest boundary, in bytes (RFC 2046, 5.1.1).
const BOUNDARY_MAX: usize = 70;

/// What a form says. Its text fields count as the prompt; of files nothing is read.
pub(super) fn read(content_type: &str, body: &[u8]) -> Result<Found, Failure> {
    let boundary = boundary(content_type)
        .ok_or_else(|| Failure::invalid("the form's `Content-Type` names no boundary"))?;
    let delimiter = format!("--{boundary}");
    let mut found = Found {
        is_object: true,
        ..Found::default()
    };
    let broken = || Failure::invalid("the body is not a whole multipart form");
    let mut at = memmem::find(body, delimiter.as_bytes()).ok_or_else(broken)? + delimiter.len();
    let next = format!("\r\n{delimiter}");
    let next = memmem::Finder::new(next.as_bytes());
    while !body[at..].starts_with(b"--") {
        let head_end = memmem::find(&body[at..], b"\r\n\r\n").ok_or_else(broken)?;
        let head = String::from_utf8_lossy(&body[at..at + head_end]);
        let start = at + head_end + 4;
        let end = start + next.find(&body[start..]).ok_or_else(broken)?;
        let field = &body[start..end];
        match Disposition::of(&head) {
            Disposition::Field(name) if name == "model" => {
                let model = std::str::from_utf8(field).ok().map(str::to_owned);
                if found.model.replace((Span { start, end }, model)).is_some() {
                    found.duplicate = Some("model");
                }
            }
            Disposition::Field(name) if name == "stream" => {
                found.stream = Some((Span { start, end }, Some(field == b"true")));
            }
            Disposition::Field(name) if name == "prompt" => found.prompt.add(field),
            Disposition::Field(_) | Disposition::File => {}
        }
        at = end + next.needle().len();
    }
    Ok(found)
}

/// What the head of a part says of it.
enum Disposition {
    Field(String),
    File,
}

impl Disposition {
    fn of(head: &str) -> Disposition {
        let line = head.lines().find(|line| {
            let name = line.split(':').next().unwrap_or_default();
            name.trim().eq_ignore_ascii_case("content-disposition")
        });
        let line = line.unwrap_or_default();
        match (parameter(line, "filename"), parameter(line, "name")) {
            (None, Some(name)) => Disposition::Field(name.to_owned()),
            _ => Disposition::File,
        }
    }
}

fn boundary(content_type: &str) -> Option<&str> {
    parameter(content_type, "boundary")
        .filter(|boundary| (1..=BOUNDARY_MAX).contains(&boundary.len()))
}

/// A parameter of a header's value, with or without quotes.
fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    value.split(';').skip(1).find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let value = value.trim();
        let unquoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        key.trim()
            .eq_ignore_ascii_case(name)
            .then_some(unquoted.unwrap_or(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = "multipart/form-data; boundary=\"xx\"";
    const FORM: &str = "--xx\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\
        Content-Type: audio/wav\r\n\r\nRIFF\r\n\r\n--x\r\n--xx\r\n\
        content-disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--xx--\r\n";

    #[test]
    fn the_model_is_found_among_files() {
        let found = read(KIND, FORM.as_bytes()).unwrap();
        let (at, model) = found.model.unwrap();
        assert_eq!(model.as_deref(), Some("whisper-1"));
        assert_eq!(&FORM[at.start..at.end], "whisper-1");
    }

    #[test]
    fn a_file_called_model_is_not_the_model() {
        let form = FORM.replace("name=\"model\"", "name=\"model\"; filename=\"m\"");
        assert!(read(KIND, form.as_bytes()).unwrap().model.is_none());
    }

    #[test]
    fn broken_forms_are_refused() {
        for (kind, form) in [
            ("multipart/form-data", FORM),
            (KIND, ""),
            (KIND, "--xx\r\nno end"),
            (KIND, &FORM[..FORM.len() - 14]),
        ] {
            assert!(read(kind, form.as_bytes()).is_err(), "{form:?}");
        }
    }
}
