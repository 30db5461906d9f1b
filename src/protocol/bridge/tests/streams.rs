//! Recorded streams of every dialect, for clients of every dialect, however the network and the server cut them.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::protocol::Seen;

/// One way of an answer: who asked, who answered, what.
#[derive(Clone, Debug)]
struct Way {
    client: Protocol,
    provider: Protocol,
    case: String,
    stream: Bytes,
}

fn ways() -> Vec<Way> {
    let mut ways = Vec::new();
    for provider in Protocol::ALL {
        for (case, folder) in recorded(provider) {
            let stream: Bytes = std::fs::read(folder.join("stream.sse")).unwrap().into();
            for client in Protocol::ALL {
                ways.push(Way {
                    client,
                    provider,
                    case: case.clone(),
                    stream: stream.clone(),
                });
            }
        }
    }
    ways
}

/// Any of them but the longest, which would take too long so often.
fn way() -> impl Strategy<Value = Way> {
    let short = ways().into_iter().filter(|way| way.case != "long");
    prop::sample::select(short.collect::<Vec<_>>())
}

/// What the client got, what was seen, and what would tell it that the stream broke.
fn relayed<'c>(way: &Way, chunks: impl IntoIterator<Item = &'c [u8]>) -> (String, Seen, String) {
    let call = hello(way.client, true);
    let dialect = Dialect::plain(way.provider);
    let bridge = Bridge::new(&call, &dialect, || reply(&call)).unwrap();
    let mut relay = bridge.relay(true);
    let mut out = VecDeque::new();
    for chunk in chunks {
        relay.push(Bytes::copy_from_slice(chunk), &mut out);
    }
    relay.finish(&mut out);
    let seen = relay.seen().clone();
    let broken = relay.broken(&Failure::upstream("broke off")).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let got: Vec<u8> = out.iter().flat_map(|bytes| bytes.to_vec()).collect();
    (text(&got), seen, text(&broken))
}

/// The plain answer that a stream is gathered into.
fn gathered(way: &Way, stream: &[u8]) -> Value {
    let call = hello(way.client, false);
    let dialect = Dialect::plain(way.provider);
    let bridge = Bridge::new(&call, &dialect, || reply(&call)).unwrap();
    let mut gather = bridge.gather();
    gather.push(Bytes::copy_from_slice(stream)).unwrap();
    let whole = bridge.gathered(gather).unwrap();
    serde_json::from_slice(&whole.body).unwrap()
}

/// Whether it looks whole to a client of this dialect.
fn looks_whole(client: Protocol, got: &str) -> bool {
    let marks: &[&str] = match client {
        Protocol::OpenAi => &["[DONE]", "\"finish_reason\":\"", "\"finish_reason\": \""],
        Protocol::Responses => &["event: response.completed", "event: response.incomplete"],
        Protocol::Anthropic => &[
            "event: message_stop",
            "\"stop_reason\":\"",
            "\"stop_reason\": \"",
        ],
        Protocol::Gemini => &["\"finishReason\"", "\"blockReason\""],
    };
    marks.iter().any(|mark| got.contains(mark))
}

/// The arguments of the calls that a client takes for complete.
fn complete_calls(client: Protocol, got: &str) -> Vec<String> {
    let data = got.lines().filter_map(|line| line.strip_prefix("data: "));
    let events = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    let calls = events.flat_map(|event| match client {
        Protocol::Responses if event["type"] == "response.output_item.done" => {
            vec![event["item"]["arguments"].clone()]
        }
        Protocol::Gemini => {
            let parts = event["candidates"][0]["content"]["parts"]
                .as_array()
                .cloned();
            let args = parts.unwrap_or_default().into_iter();
            args.map(|part| part["functionCall"]["args"].to_string().into())
                .collect()
        }
        _ => Vec::new(),
    });
    calls
        .filter_map(|call| Some(call.as_str()?.to_owned()))
        .collect()
}

/// Cuts bytes at these places.
fn cut<'b>(bytes: &'b [u8], at: &[usize]) -> Vec<&'b [u8]> {
    let mut at: Vec<usize> = at.iter().map(|at| at % (bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

#[test]
fn every_recorded_stream_reaches_every_client() {
    for way in ways() {
        let (got, seen, _) = relayed(&way, [&way.stream[..]]);
        let name = format!("{:?} from {:?}: {}", way.client, way.provider, way.case);
        if seen.failure.is_some() {
            continue; // some were recorded as failures
        }
        assert!(seen.finished, "{name}");
        assert!(looks_whole(way.client, &got), "{name}: {got}");
        assert!(seen.usage.is_some(), "{name}");
    }
}

#[test]
fn between_equal_dialects_streams_are_the_providers_own() {
    for way in ways().iter().filter(|way| way.client == way.provider) {
        let (got, ..) = relayed(way, [&way.stream[..]]);
        let own = String::from_utf8(way.stream.to_vec()).unwrap();
        match way.client {
            // What only we asked for is left out.
            Protocol::OpenAi => assert!(got.len() <= own.len()),
            // Framed anew, as Google's clients read nothing else.
            Protocol::Gemini => {
                assert_eq!(got.matches("data: ").count(), own.matches("data:").count())
            }
            _ => assert_eq!(got, own, "{}", way.case),
        }
    }
}

#[test]
fn gemini_s_array_holds_the_provider_s_own_payloads() {
    let asked = json!({ "contents": [{ "parts": [{ "text": "hi" }] }] });
    let opening = Opening {
        endpoint: Endpoint::of_conversations(Protocol::Gemini, true),
        model: Some("m"),
        query: None,
        content_type: None,
    };
    let call = Call::open(opening, asked.to_string().into()).unwrap();
    let dialect = Dialect::plain(Protocol::Gemini);
    let bridge = Bridge::new(&call, &dialect, || reply(&call)).unwrap();
    let events = [
        "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"x\":1}]}",
        "{\"candidates\":[{\"finishReason\":\"STOP\"}]}",
    ];
    let stream = events.map(|event| format!("data: {event}\r\n\r\n"));
    let text = |out: VecDeque<Bytes>| {
        let bytes: Vec<u8> = out.iter().flat_map(|bytes| bytes.to_vec()).collect();
        String::from_utf8(bytes).unwrap()
    };
    let (mut relay, mut out) = (bridge.relay(true), VecDeque::new());
    relay.push(stream.concat().into(), &mut out);
    relay.finish(&mut out);
    assert_eq!(text(out), format!("[{},\r\n{}]", events[0], events[1]));
    let (mut relay, mut out) = (bridge.relay(true), VecDeque::new());
    relay.push(stream[0].clone().into(), &mut out);
    relay.finish(&mut out);
    out.extend(relay.broken(&Failure::upstream("broke off")));
    let got: Value = serde_json::from_str(&text(out)).unwrap();
    assert_eq!(got[1]["error"]["message"], "broke off");
}

#[test]
fn a_picture_is_an_answer_to_a_client_of_gemini() {
    let picture = json!({ "candidates": [{ "content": { "parts": [
        { "inlineData": { "mimeType": "image/png", "data": "AAAA" } },
    ] } }] });
    for client in Protocol::ALL {
        let way = Way {
            client,
            provider: Protocol::Gemini,
            case: String::new(),
            stream: format!("data: {picture}\n\n").into(),
        };
        let (_, seen, _) = relayed(&way, [&way.stream[..]]);
        assert_eq!(seen.meaningful, client == Protocol::Gemini, "{client:?}");
    }
}

#[test]
fn half_a_call_never_looks_like_one() {
    let is_tried = |way: &&Way| way.client != way.provider && way.case.starts_with("tools-p");
    for way in ways().iter().filter(is_tried) {
        for end in (0..way.stream.len()).step_by(13) {
            let (got, ..) = relayed(way, [&way.stream[..end]]);
            // A program runs a call as soon as it looks complete.
            for call in complete_calls(way.client, &got) {
                let is_whole = serde_json::from_str::<Value>(&call).is_ok();
                let name = format!("{:?} from {:?} at {end}", way.client, way.provider);
                assert!(is_whole && !call.contains("_raw"), "{name}: {call}");
            }
        }
    }
}

#[test]
fn one_byte_at_a_time_is_enough() {
    for way in ways().iter().filter(|way| way.case != "long") {
        let (whole, ..) = relayed(way, [&way.stream[..]]);
        let (bytes, ..) = relayed(way, way.stream.chunks(1));
        assert_eq!(
            bytes, whole,
            "{:?} from {:?}: {}",
            way.client, way.provider, way.case
        );
    }
}

/// The same stream as another server might frame it.
fn reframed(stream: &str, how: usize) -> String {
    let plain = stream.replace("\r\n", "\n");
    match how {
        0 => plain.replace('\n', "\r\n"),
        1 => plain.replace('\n', "\r"),
        2 => plain.replace("data: ", "data:"),
        3 => format!(
            ": hello\n\n{}",
            plain.replace("\n\n", "\n: still here\n\n: and here\n\n")
        ),
        4 => plain.replace("data: ", "id: 7\nretry: 100\ndata: "),
        // JSON on several lines, cut where a blank may stand.
        5 => plain.replace("data: {", "data: {\ndata: "),
        6 => format!("\u{feff}{plain}"),
        _ => plain.trim_end().to_owned(),
    }
}

#[test]
fn the_framing_of_a_stream_does_not_matter() {
    for way in ways().iter().filter(|way| way.case != "long") {
        let own = String::from_utf8(way.stream.to_vec()).unwrap();
        let (whole, seen, _) = relayed(way, [own.as_bytes()]);
        for how in 0..8 {
            let other = reframed(&own, how);
            let name = format!(
                "{:?} from {:?}: {} as {how}",
                way.client, way.provider, way.case
            );
            let (got, other_seen, _) = relayed(way, [other.as_bytes()]);
            assert_eq!(other_seen.finished, seen.finished, "{name}");
            if way.client != way.provider {
                assert_eq!(got, whole, "{name}");
            }
            if seen.failure.is_none() {
                let (one, two) = (
                    gathered(way, own.as_bytes()),
                    gathered(way, other.as_bytes()),
                );
                assert_eq!(one, two, "{name}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_cuts_of_the_network_do_not_matter(
        way in way(),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let (whole, ..) = relayed(&way, [&way.stream[..]]);
        let (pieces, ..) = relayed(&way, cut(&way.stream, &cuts));
        prop_assert_eq!(pieces, whole);
    }

    #[test]
    fn what_breaks_off_never_looks_whole(way in way(), at: usize) {
        let begun = &way.stream[..at % way.stream.len()];
        let (got, seen, broken) = relayed(&way, [begun]);
        if !seen.finished {
            prop_assert!(!looks_whole(way.client, &got), "{}", got);
            prop_assert!(!looks_whole(way.client, &broken), "{}", broken);
            prop_assert!(broken.contains("broke off"), "{}", broken);
        }
    }

    #[test]
    fn nonsense_never_panics(
        client in prop::sample::select(Protocol::ALL.to_vec()),
        way in way(),
        at: usize,
        junk in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut damaged = way.stream.to_vec();
        let at = at % damaged.len();
        damaged.splice(at..(at + junk.len()).min(way.stream.len()), junk);
        let call = hello(client, true);
        let dialect = Dialect::plain(way.provider);
        let bridge = Bridge::new(&call, &dialect, || reply(&call)).unwrap();
        let mut out = VecDeque::new();
        let mut relay = bridge.relay(true);
        relay.push(damaged.clone().into(), &mut out);
        relay.finish(&mut out);
        let mut gather = bridge.gather();
        if gather.push(damaged.clone().into()).is_ok() {
            let _ = bridge.gathered(gather);
        }
        let _ = bridge.whole(None, damaged.into());
    }
}
