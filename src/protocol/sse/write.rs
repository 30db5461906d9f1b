//! Writing frames.

use memchr::memchr2;

/// Writes a frame: an event's name if the dialect has those, and its data on one line.
///
/// The three line ends of Unicode are escaped: google-genai takes U+0085, U+2028 and U+2029 for ends of lines and fails.
pub(crate) fn write(out: &mut Vec<u8>, event: Option<&str>, data: &serde_json::Value) {
    if let Some(event) = event {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(event.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    write_json(out, data);
    out.extend_from_slice(b"\n\n");
}

/// Writes JSON on one line that no reader of lines takes for two.
pub(crate) fn write_json(out: &mut Vec<u8>, data: &serde_json::Value) {
    let start = out.len();
    // Writing a tree to memory cannot fail.
    let _ = serde_json::to_writer(&mut *out, data);
    if let Some(escaped) = escape_line_ends(&out[start..]) {
        out.truncate(start);
        out.extend_from_slice(&escaped);
    }
}

/// JSON with the line ends of Unicode, which can only be within its strings, as escapes; `None` if it has none.
pub(crate) fn escape_line_ends(json: &[u8]) -> Option<Vec<u8>> {
    const ENDS: [(&[u8], &[u8]); 3] = [
        (b"\xC2\x85", b"\\u0085"),
        (b"\xE2\x80\xA8", b"\\u2028"),
        (b"\xE2\x80\xA9", b"\\u2029"),
    ];
    memchr2(0xC2, 0xE2, json)?;
    let is_there = |end: &[u8]| memchr::memmem::find(json, end).is_some();
    if !ENDS.iter().any(|(end, _)| is_there(end)) {
        return None;
    }
    let mut escaped = Vec::with_capacity(json.len() + 16);
    let mut rest = json;
    while let Some(byte) = rest.first() {
        match ENDS.iter().find(|(end, _)| rest.starts_with(end)) {
            Some((end, escape)) => {
                escaped.extend_from_slice(escape);
                rest = &rest[end.len()..];
            }
            None => {
                escaped.push(*byte);
                rest = &rest[1..];
            }
        }
    }
    Some(escaped)
}
