//! Data URLs and media types. Payloads stay as they came: an image of megabytes is not decoded to be encoded again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::chat::{Media, MediaKind, Source};

/// Splits `data:image/png;charset=x;base64,AAAA` into the media type and the payload; `None` if it is no base64
/// data URL.
pub(crate) fn split_data_url(url: &str) -> Option<(Option<&str>, &str)> {
    let (head, payload) = url.strip_prefix("data:")?.split_once(',')?;
    let (kind, coding) = head.rsplit_once(';').unwrap_or(("", head));
    if !coding.trim().eq_ignore_ascii_case("base64") {
        return None;
    }
    let mime = kind.split(';').next().unwrap_or_default().trim();
    Some((Some(mime).filter(|mime| !mime.is_empty()), payload))
}

/// A data URL of a payload.
pub(crate) fn data_url(mime: Option<&str>, payload: &str) -> String {
    let mime = mime.unwrap_or("application/octet-stream");
    format!("data:{mime};base64,{payload}")
}

/// A medium at a URL, which may be a data URL.
pub(crate) fn of_url(kind: MediaKind, url: &str) -> Media {
    let (source, mime) = match split_data_url(url) {
        Some((mime, payload)) => (Source::Base64(payload.to_owned()), mime.map(usual)),
        None => (Source::Url(url.to_owned()), mime_of_path(url)),
    };
    Media {
        kind,
        source,
        mime,
        name: None,
        detail: None,
    }
}

/// A media type by its usual name.
pub(crate) fn usual(mime: &str) -> String {
    match mime.to_ascii_lowercase().as_str() {
        "image/jpg" => "image/jpeg".to_owned(),
        usual => usual.to_owned(),
    }
}

/// The text of a file that is nothing but text.
pub(crate) fn text_of_file(media: &Media) -> Option<String> {
    let is_text = media.mime.as_deref()?.starts_with("text/");
    let Source::Base64(payload) = &media.source else {
        return None;
    };
    let bytes = STANDARD.decode(payload).ok().filter(|_| is_text)?;
    String::from_utf8(bytes).ok()
}

/// What a medium of this type is.
pub(crate) fn kind_of(mime: &str) -> MediaKind {
    match mime.split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        _ => MediaKind::Document,
    }
}

/// The media type that the end of a URL's path speaks of.
pub(crate) fn mime_of_path(url: &str) -> Option<String> {
    let path = url.split(['?', '#']).next()?;
    let (_, end) = path.rsplit('/').next()?.rsplit_once('.')?;
    let mime = match end.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "heic" => "image/heic",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        _ => return None,
    };
    Some(mime.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_urls_may_have_parameters() {
        for (url, expected) in [
            (
                "data:image/png;base64,AAAA",
                Some((Some("image/png"), "AAAA")),
            ),
            (
                "data:image/png;charset=x;base64,AA-_",
                Some((Some("image/png"), "AA-_")),
            ),
            ("data:;base64,AAAA", Some((None, "AAAA"))),
            ("data:base64,AAAA", Some((None, "AAAA"))),
            ("data:text/plain,hello", None),
            ("https://example.com/a,b", None),
        ] {
            assert_eq!(split_data_url(url), expected, "{url}");
        }
    }

    #[test]
    fn the_end_of_a_url_tells_its_type() {
        for (url, expected) in [
            ("https://example.com/a.PNG?size=1", Some("image/png")),
            ("https://example.com/a.b/c", None),
            ("https://example.com/", None),
        ] {
            assert_eq!(mime_of_path(url).as_deref(), expected, "{url}");
        }
    }
}
