//! Answers that were written down beforehand, in whatever dialect.

use super::answer::{Answer, Fault};
use super::dialect::Dialect;
use super::openai::Reply;
use super::request::Request;
use super::script::Act;

/// An answer in a vendor's own bytes: whole for who asks plainly, and as a stream.
///
/// Who wants a stream says `"stream": true`, or asks for Gemini's `:streamGenerateContent`.
#[derive(Clone, Debug)]
pub struct Recording {
    whole: Vec<u8>,
    stream: String,
    /// Only its manner counts: headers, pauses, writes, faults.
    pub(super) manner: Answer,
}

impl Recording {
    /// These bytes.
    ///
    /// # Panics
    /// When the stream is no text.
    pub fn new(whole: impl Into<Vec<u8>>, stream: impl Into<Vec<u8>>) -> Recording {
        Recording {
            whole: whole.into(),
            stream: String::from_utf8(stream.into()).expect("a recorded stream is text"),
            manner: Answer::text(""),
        }
    }

    /// In this manner: `recording.with(|answer| answer.in_pieces(3))`.
    pub fn with(mut self, manner: impl FnOnce(Answer) -> Answer) -> Recording {
        self.manner = manner(self.manner);
        self
    }

    /// Closes the connection after this many events; a plain answer breaks in its middle.
    pub fn cut_after(self, events: usize) -> Recording {
        self.with(|answer| answer.cut_after(events))
    }

    /// Sends writes of `size` bytes, which respect no boundary.
    pub fn in_pieces(self, size: usize) -> Recording {
        self.with(|answer| answer.in_pieces(size))
    }

    /// Sends `last` after this many events, and ends there with a proper body.
    pub fn ending_after(mut self, events: usize, last: &str) -> Recording {
        let kept: String = split(&self.stream).into_iter().take(events).collect();
        self.stream = kept + last;
        self
    }

    pub(super) fn reply(&self, request: &Request) -> Reply {
        let path = request.path();
        let Some(dialect) = Dialect::of_path(path).filter(|_| request.received.method == "POST")
        else {
            return Reply::Instead(Box::new(Act::error(404, "unknown_url", "no such path")));
        };
        let asked = match request.asked() {
            Ok(asked) => asked,
            Err(error) => {
                return Reply::Instead(Box::new(Act::error_of(dialect, 400, &error.to_string())));
            }
        };
        if path.ends_with(":streamGenerateContent") {
            // Without this wish Google sends a list, which nobody wants.
            if !request.received.path.contains("alt=sse") {
                return Reply::Whole([b"[", &self.whole[..], b"]"].concat());
            }
        } else if dialect == Dialect::Gemini || asked.stream != Some(true) {
            return Reply::Whole(self.whole.clone());
        }
        let mut events: Vec<String> = split(&self.stream).into_iter().map(String::from).collect();
        match &self.manner.fault {
            Some((_, Fault::Error(_))) | None => {}
            Some((after, _)) => events.truncate(*after),
        }
        Reply::Events(events)
    }
}

impl From<Recording> for Act {
    fn from(recording: Recording) -> Act {
        Act::Recorded(Box::new(recording))
    }
}

/// The events of a stream, each with the empty line behind it, whichever line ends it has.
fn split(stream: &str) -> Vec<&str> {
    let end = match stream.contains("\r\n\r\n") {
        true => "\r\n\r\n",
        false => "\n\n",
    };
    stream.split_inclusive(end).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events_of, exchange, post};
    use super::super::{Behavior, Dialect, Simulator};
    use super::*;
    use serde_json::{Value, json};

    const STREAM: &str = "event: a\ndata: {\"n\":1}\n\nevent: b\ndata: {\"n\":2}\n\ndata: é\n\n";

    async fn simulator(recording: Recording) -> Simulator {
        Simulator::start(recording).await.unwrap()
    }

    fn recording() -> Recording {
        Recording::new(r#"{"whole":true}"#, STREAM)
    }

    fn stream_of(received: &str) -> String {
        let (_, mut rest) = received.split_once("\r\n\r\n").unwrap();
        let mut text = String::new();
        while let Some((size, after)) = rest.split_once("\r\n") {
            let size = usize::from_str_radix(size, 16).unwrap();
            text.push_str(&after[..size]);
            rest = &after[(size + 2).min(after.len())..];
        }
        text
    }

    #[tokio::test]
    async fn who_asks_for_a_stream_gets_it_on_every_path() {
        let simulator = simulator(recording()).await;
        let plain = json!({"model": "m"});
        let streamed = json!({"model": "m", "stream": true});
        let cases: [(&str, &Value, bool); 10] = [
            ("/v1/chat/completions", &plain, false),
            ("/v1/chat/completions", &streamed, true),
            ("/v1/responses", &streamed, true),
            ("/v1/messages?beta=true", &streamed, true),
            ("/v1/messages", &plain, false),
            ("/v1/messages/count_tokens", &plain, false),
            ("/v1/models/a/b:generateContent", &plain, false),
            (
                "/v1/models/m:streamGenerateContent?alt=sse",
                &json!({}),
                true,
            ),
            ("/v1/models/m:countTokens", &json!({}), false),
            ("/v1/models/m:batchEmbedContents", &json!({}), false),
        ];
        for (path, body, streams) in cases {
            let (received, _) = exchange(&simulator, &post(path, body)).await;
            assert!(received.starts_with("HTTP/1.1 200"), "{path}: {received}");
            assert_eq!(received.contains("text/event-stream"), streams, "{path}");
            match streams {
                true => assert_eq!(stream_of(&received), STREAM, "{path}"),
                false => assert!(received.ends_with(r#"{"whole":true}"#), "{path}"),
            }
        }
        for path in ["/v1/models/m:other", "/v1/message", "/v1/m:generateContent"] {
            let (received, _) = exchange(&simulator, &post(path, &plain)).await;
            assert!(received.starts_with("HTTP/1.1 404"), "{path}");
        }
        let list = "/v1/models/m:streamGenerateContent";
        let (received, _) = exchange(&simulator, &post(list, &plain)).await;
        assert!(received.ends_with(r#"[{"whole":true}]"#));
    }

    #[tokio::test]
    async fn streams_break_where_they_are_told_to() {
        let request = post("/v1/messages", &json!({"stream": true}));
        let cut = simulator(recording().cut_after(1)).await;
        let (received, _) = exchange(&cut, &request).await;
        assert!(received.ends_with("event: a\ndata: {\"n\":1}\n\n\r\n"));

        let ended = simulator(recording().ending_after(1, "data: last\n\n")).await;
        let (received, _) = exchange(&ended, &request).await;
        assert_eq!(
            stream_of(&received),
            "event: a\ndata: {\"n\":1}\n\ndata: last\n\n"
        );
        assert!(received.ends_with("0\r\n\r\n"));

        let crlf = Recording::new("{}", "data: 1\r\n\r\ndata: 2\r\n\r\n").ending_after(1, "");
        let (received, _) = exchange(&simulator(crlf).await, &request).await;
        assert_eq!(stream_of(&received), "data: 1\r\n\r\n");
    }

    #[tokio::test]
    async fn pieces_add_up() {
        let text = "data: é世\n\n";
        let simulator = simulator(Recording::new("{}", text).in_pieces(1)).await;
        let mut socket = tokio::net::TcpStream::connect(simulator.addr())
            .await
            .unwrap();
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let request = post("/v1/messages", &json!({"stream": true}));
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut received = Vec::new();
        while !received.ends_with(b"0\r\n\r\n") {
            assert_ne!(socket.read_buf(&mut received).await.unwrap(), 0);
        }
        let chunks = received.windows(3).filter(|three| three == b"1\r\n");
        assert_eq!(chunks.count(), text.len());
    }

    #[tokio::test]
    async fn a_key_is_known_in_the_header_of_any_vendor() {
        let behavior = Behavior::new(recording()).requiring_key("k");
        let simulator = Simulator::start(behavior).await.unwrap();
        let cases = [
            ("authorization: Bearer k", true),
            ("x-api-key: k", true),
            ("x-goog-api-key: k", true),
            ("x-api-key: Bearer k", false),
            ("authorization: k", false),
            ("x-goog-api-key: other", false),
        ];
        for (header, known) in cases {
            let request = post("/v1/messages", &json!({})).replacen("host: sim", header, 1);
            let (received, _) = exchange(&simulator, &request).await;
            let expected = if known {
                "HTTP/1.1 200"
            } else {
                "HTTP/1.1 401"
            };
            assert!(received.starts_with(expected), "{header}");
            assert_eq!(
                received.contains("authentication_error"),
                !known,
                "{header}"
            );
        }
    }

    #[tokio::test]
    async fn errors_have_the_form_of_their_vendor() {
        let simulator = Simulator::start(Behavior::hanging()).await.unwrap();
        let request = post("/v1/chat/completions", &json!({}));
        let cases = [
            (Dialect::OpenAi, 404, r#""code":"model_not_found""#),
            (Dialect::Responses, 500, r#""type":"server_error""#),
            (
                Dialect::Anthropic,
                529,
                r#"{"type":"error","error":{"type":"overloaded_error""#,
            ),
            (
                Dialect::Gemini,
                400,
                r#"{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}"#,
            ),
        ];
        for (dialect, status, part) in cases {
            simulator.set(Act::error_of(dialect, status, "no"));
            let (received, _) = exchange(&simulator, &request).await;
            assert!(
                received.starts_with(&format!("HTTP/1.1 {status}")),
                "{received}"
            );
            assert!(received.contains(part), "{received}");
        }
        simulator.set(Act::rate_limited_by(Dialect::Gemini, 7));
        let (received, _) = exchange(&simulator, &request).await;
        assert!(received.contains(r#""retryDelay":"7s""#) && !received.contains("retry-after"));
        simulator.set(Act::rate_limited_by(Dialect::Anthropic, 7));
        let (received, _) = exchange(&simulator, &request).await;
        assert!(received.contains("retry-after: 7\r\n"));
    }

    #[test]
    fn events_that_break_a_stream_are_framed_like_it() {
        let event = |dialect: Dialect| dialect.error_event(503, "busy");
        assert!(event(Dialect::OpenAi).starts_with("data: {\"error\":"));
        assert!(event(Dialect::Anthropic).starts_with("event: error\ndata: {\"type\":\"error\""));
        assert!(event(Dialect::Responses).starts_with("event: error\ndata: {\"type\":\"error\""));
        assert!(event(Dialect::Gemini).ends_with("\r\n\r\n"));
    }

    #[test]
    fn openai_streams_are_read_by_the_helper_of_the_other_tests() {
        let (events, whole) = events_of("\r\n\r\n9\r\ndata: 1\n\n\r\n0\r\n\r\n");
        assert!(whole && events == ["1"]);
    }
}
