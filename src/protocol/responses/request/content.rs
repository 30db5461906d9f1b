//! The parts of messages and of tools' results, both ways.

use serde_json::{Map, Value, json};

use super::input::note_rest;
use crate::chat::{Failure, Media, MediaKind, Part, Source, Vendor};
use crate::protocol::media;
use crate::protocol::tree::{Fields, set};

/// Sounds that the dialect has a word for.
const SOUNDS: [(&str, &str); 4] = [
    ("wav", "audio/wav"),
    ("mp3", "audio/mpeg"),
    ("wav", "audio/x-wav"),
    ("mp3", "audio/mp3"),
];

/// Reads a string, or an array of parts.
pub(super) fn decode(
    holder: &mut Fields,
    name: &str,
    dropped: &mut Vec<String>,
) -> Result<Vec<Part>, Failure> {
    match holder.peek(name) {
        None => Ok(Vec::new()),
        Some(Value::String(_)) => Ok(vec![Part::Text(holder.required_text(name)?)]),
        Some(Value::Array(_)) => {
            let parts = holder.objects(name)?.into_iter();
            parts.map(|part| decode_part(part, dropped)).collect()
        }
        Some(_) => Err(holder.wrong(name, "must be a string or an array")),
    }
}

fn decode_part(mut fields: Fields, dropped: &mut Vec<String>) -> Result<Part, Failure> {
    let kind = fields.required_text("type")?;
    let part = match kind.as_str() {
        "input_text" | "output_text" | "text" => Part::Text(fields.required_text("text")?),
        "refusal" => Part::Refusal(fields.required_text("refusal")?),
        "input_image" => Part::Media(decode_image(&mut fields)?),
        "input_file" => Part::Media(decode_file(&mut fields)?),
        "input_audio" => Part::Media(decode_audio(&mut fields)?),
        // To leave out what somebody said would change what he said.
        _ => {
            let message = "content of this type has no counterpart in other dialects";
            return Err(Failure::inexpressible(&fields.path("type"), message));
        }
    };
    // What the model's own text brought along when it was an answer.
    fields.ignore(&["annotations", "logprobs"]);
    note_rest(dropped, fields);
    Ok(part)
}

fn decode_image(fields: &mut Fields) -> Result<Media, Failure> {
    // Chat completions have an object here, and some clients mix the two up.
    let url = match fields.peek("image_url") {
        Some(Value::Object(_)) => match fields.object("image_url")? {
            Some(mut image) => image.text("url")?,
            None => None,
        },
        _ => fields.text("image_url")?,
    };
    let mut image = match (url, fields.text("file_id")?) {
        (Some(url), _) => media::of_url(MediaKind::Image, &url),
        (None, Some(id)) => at_vendor(MediaKind::Image, id),
        (None, None) => return Err(fields.wrong("image_url", "is missing")),
    };
    // The default, which clients' libraries always write.
    image.detail = fields.text("detail")?.filter(|detail| detail != "auto");
    Ok(image)
}

fn decode_file(fields: &mut Fields) -> Result<Media, Failure> {
    let name = fields.text("filename")?;
    let data = fields.text("file_data")?;
    let (url, id) = (fields.text("file_url")?, fields.text("file_id")?);
    let mut file = match (data, url, id) {
        (Some(data), _, _) if data.starts_with("data:") => {
            media::of_url(MediaKind::Document, &data)
        }
        (Some(data), _, _) => Media {
            kind: MediaKind::Document,
            source: Source::Base64(data),
            mime: name.as_deref().and_then(media::mime_of_path),
            name: None,
            detail: None,
        },
        (None, Some(url), _) => media::of_url(MediaKind::Document, &url),
        (None, None, Some(id)) => at_vendor(MediaKind::Document, id),
        (None, None, None) => return Err(fields.wrong("file_data", "is missing")),
    };
    if let Some(mime) = &file.mime {
        file.kind = media::kind_of(mime);
    }
    file.name = name;
    Ok(file)
}

fn decode_audio(fields: &mut Fields) -> Result<Media, Failure> {
    let Some(mut audio) = fields.object("input_audio")? else {
        return Err(fields.wrong("input_audio", "is missing"));
    };
    let data = audio.required_text("data")?;
    let format = audio.required_text("format")?;
    let known = SOUNDS.iter().find(|(word, _)| *word == format);
    let mime = known.map_or_else(|| format!("audio/{format}"), |(_, mime)| (*mime).to_owned());
    Ok(Media {
        kind: MediaKind::Audio,
        source: Source::Base64(data),
        mime: Some(mime),
        name: None,
        detail: None,
    })
}

fn at_vendor(kind: MediaKind, id: String) -> Media {
    Media {
        kind,
        source: Source::File(Vendor::OpenAi, id),
        mime: None,
        name: None,
        detail: None,
    }
}

/// A part of what a user or a tool says.
pub(super) fn text(text: &str) -> Value {
    json!({"type": "input_text", "text": text})
}

/// A medium within what a user or a tool says.
pub(super) fn encode(media: &Media) -> Result<Value, Failure> {
    if let Source::File(vendor, _) = media.source
        && vendor != Vendor::OpenAi
    {
        let message = "a file that another vendor keeps cannot be sent to the provider";
        return Err(Failure::inexpressible("file_id", message));
    }
    match media.kind {
        MediaKind::Image => Ok(encode_image(media)),
        MediaKind::Document => Ok(encode_file(media)),
        MediaKind::Audio => encode_audio(media),
    }
}

fn encode_image(media: &Media) -> Value {
    // Not all that speak the dialect know that the default may be left out.
    let detail = media.detail.as_deref().unwrap_or("auto");
    match &media.source {
        Source::Base64(data) => {
            let mime = media.mime.as_deref().unwrap_or("image/png");
            let url = media::data_url(Some(mime), data);
            json!({"type": "input_image", "image_url": url, "detail": detail})
        }
        Source::Url(url) => json!({"type": "input_image", "image_url": url, "detail": detail}),
        Source::File(_, id) => json!({"type": "input_image", "file_id": id, "detail": detail}),
    }
}

fn encode_file(media: &Media) -> Value {
    let mut file = Map::from_iter([("type".to_owned(), "input_file".into())]);
    match &media.source {
        Source::Base64(data) => {
            let mime = media.mime.as_deref().unwrap_or("application/pdf");
            // Data needs a name, and its end tells the type.
            let name = media.name.as_deref().unwrap_or(match mime {
                "application/pdf" => "document.pdf",
                "text/plain" => "document.txt",
                _ => "document",
            });
            set(&mut file, "filename", Some(name));
            set(
                &mut file,
                "file_data",
                Some(media::data_url(Some(mime), data)),
            );
        }
        // The vendor refuses a name beside these.
        Source::Url(url) => set(&mut file, "file_url", Some(url.as_str())),
        Source::File(_, id) => set(&mut file, "file_id", Some(id.as_str())),
    }
    Value::Object(file)
}

fn encode_audio(media: &Media) -> Result<Value, Failure> {
    let mime = media.mime.as_deref().unwrap_or("audio/wav");
    let known = SOUNDS.iter().find(|(_, known)| *known == mime);
    match (&media.source, known) {
        (Source::Base64(data), Some((format, _))) => Ok(json!({
            "type": "input_audio",
            "input_audio": {"data": data, "format": format},
        })),
        _ => {
            let message = "the provider takes sound only as wav or mp3 within the request";
            Err(Failure::inexpressible("input_audio", message))
        }
    }
}
