//! How answers are framed: heads, reasons, chunks.

use super::script::Behavior;

/// The head of a response, up to the headers that frame its body.
pub(super) fn head(
    status: u16,
    behavior: &Behavior,
    content_type: Option<&str>,
    headers: &[(String, String)],
) -> Vec<u8> {
    let mut head = Vec::with_capacity(1024);
    let mut line = |parts: [&str; 4]| {
        for part in parts {
            head.extend_from_slice(part.as_bytes());
        }
    };
    let mut digits = itoa::Buffer::new();
    line(["HTTP/1.1 ", digits.format(status), " ", reason(status)]);
    line(["\r\nserver: ", &behavior.name, "\r\n", ""]);
    if let Some(content_type) = content_type {
        line(["content-type: ", content_type, "\r\n", ""]);
    }
    for (name, value) in headers {
        line([name, ": ", value, "\r\n"]);
    }
    head
}

/// Appends one chunk in chunked coding.
pub(super) fn push_chunk(out: &mut Vec<u8>, chunk: &[u8]) {
    out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
    out.extend_from_slice(chunk);
    out.extend_from_slice(b"\r\n");
}

/// What is said beside a status.
pub(super) fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        529 => "Overloaded",
        _ => "Scripted",
    }
}
