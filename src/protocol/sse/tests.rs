//! Streams cut into frames, and frames written.

use proptest::prelude::*;

use super::*;

fn frames(chunks: &[&[u8]]) -> Vec<Frame> {
    let mut reader = FrameReader::new();
    let mut frames = Vec::new();
    for chunk in chunks {
        reader.push(Bytes::copy_from_slice(chunk));
        while let Some(frame) = reader.next_frame().unwrap() {
            frames.push(frame);
        }
    }
    frames.extend(reader.finish());
    frames
}

fn check(stream: &str, expected: &[(&str, Option<&str>)]) {
    let frames = frames(&[stream.as_bytes()]);
    let seen: Vec<_> = frames
        .iter()
        .map(|frame| {
            let data = frame
                .data()
                .map(|data| String::from_utf8_lossy(&data).into_owned());
            (String::from_utf8_lossy(frame.bytes()).into_owned(), data)
        })
        .collect();
    let seen: Vec<_> = seen
        .iter()
        .map(|(b, d)| (b.as_str(), d.as_deref()))
        .collect();
    assert_eq!(seen, expected, "{stream:?}");
}

#[test]
fn frames_end_with_their_blank_line() {
    check(
        "data: a\n\ndata: b\n\n",
        &[("data: a\n\n", Some("a")), ("data: b\n\n", Some("b"))],
    );
    check(
        "data:a\r\n\r\ndata:b\r\n\r\n",
        &[("data:a\r\n\r\n", Some("a")), ("data:b\r\n\r\n", Some("b"))],
    );
    check(
        "data: a\r\rdata: b\r\r",
        &[("data: a\r\r", Some("a")), ("data: b\r\r", Some("b"))],
    );
    check(
        "data: a\n\r\ndata: b\r\n\n",
        &[("data: a\n\r\n", Some("a")), ("data: b\r\n\n", Some("b"))],
    );
    check(
        "\n\ndata: a\n\n",
        &[("\n", None), ("\n", None), ("data: a\n\n", Some("a"))],
    );
}

#[test]
fn data_lines_are_found_and_joined() {
    check(
        "data: a\ndata:b\ndata\n\n",
        &[("data: a\ndata:b\ndata\n\n", Some("a\nb\n"))],
    );
    check("data:  two\n\n", &[("data:  two\n\n", Some(" two"))]);
    check("data:\n\n", &[("data:\n\n", Some(""))]);
    check("database: x\n\n", &[("database: x\n\n", None)]);
    check(
        "event: e\nid: 1\ndata: a\n\n",
        &[("event: e\nid: 1\ndata: a\n\n", Some("a"))],
    );
    check(": note\ndata: a\n\n", &[(": note\ndata: a\n\n", Some("a"))]);
    check("\u{feff}data: a\n\n", &[("\u{feff}data: a\n\n", Some("a"))]);
}

#[test]
fn the_last_frame_may_lack_its_blank_line() {
    for (stream, closing) in [
        ("data: a", "\n\n"),
        ("data: a\n", "\n"),
        ("data: a\r\n", "\n"),
        ("data: a\r", "\n\n"),
        ("data: a\r\n\r", ""),
        ("data: a\n\r", ""),
    ] {
        let frames = frames(&[stream.as_bytes()]);
        assert_eq!(frames.len(), 1, "{stream:?}");
        assert_eq!(frames[0].data().as_deref(), Some(&b"a"[..]), "{stream:?}");
        assert_eq!(frames[0].closing(), closing.as_bytes(), "{stream:?}");
    }
    assert_eq!(frames(&[b"data: a\r\r", b"\n"]).len(), 2);
}

#[test]
fn comments_are_told_apart() {
    let only = |stream: &str| frames(&[stream.as_bytes()])[0].is_comment_only();
    assert!(only(": ping\n\n"));
    assert!(only(":\r\n: more\r\n\r\n"));
    assert!(only("\n"));
    assert!(!only(": ping\ndata: a\n\n"));
    assert!(!only("event: ping\n\n"));
}

#[test]
fn what_is_written_is_one_line_to_every_reader() {
    let mut out = Vec::new();
    let text = "a\u{85}b\u{2028}c\u{2029}d\né你";
    write(&mut out, Some("e"), &serde_json::json!({ "t": text }));
    let frames = frames(&[&out]);
    let data = frames[0].data().unwrap();
    assert_eq!(
        data.as_ref(),
        r#"{"t":"a\u0085b\u2028c\u2029d\né你"}"#.as_bytes()
    );
    let read: serde_json::Value = serde_json::from_slice(&data).unwrap();
    assert_eq!(read["t"], text);
}

#[test]
fn a_frame_within_one_chunk_is_not_copied() {
    let chunk = Bytes::from_static(b"data: a\n\ndata: b\n\n");
    let mut reader = FrameReader::new();
    reader.push(chunk.clone());
    reader.next_frame().unwrap();
    let second = reader.next_frame().unwrap().unwrap();
    assert_eq!(second.bytes().as_ptr(), chunk[9..].as_ptr());
}

#[test]
fn a_stream_of_lone_carriage_returns_is_not_delayed() {
    let mut reader = FrameReader::new();
    reader.push(Bytes::from_static(b"data: a\r\r"));
    assert!(reader.next_frame().unwrap().is_some());
}

#[test]
fn frames_are_bounded_also_when_they_come_in_pieces() {
    let piece = Bytes::from(vec![b'x'; FRAME_MAX / 4]);
    let mut reader = FrameReader::new();
    for _ in 0..4 {
        reader.push(piece.clone());
        assert_eq!(reader.next_frame(), Ok(None));
    }
    reader.push(Bytes::from_static(b"\n\n"));
    assert_eq!(reader.next_frame(), Err(Oversized));

    let mut reader = FrameReader::new();
    reader.push(Bytes::from(
        [vec![b'x'; FRAME_MAX], b"\n\n".to_vec()].concat(),
    ));
    assert_eq!(reader.next_frame(), Err(Oversized));
}

proptest! {
    #[test]
    fn cuts_do_not_matter(
        stream in r"(data: ?|: |data|é你|[a-z]|\n|\r|\r\n){0,40}",
        cuts in prop::collection::vec(0usize..200, 0..12),
    ) {
        let bytes = stream.as_bytes();
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.push(bytes.len());
        cuts.sort_unstable();
        let mut start = 0;
        let mut chunks = Vec::new();
        for cut in cuts {
            chunks.push(&bytes[start..cut]);
            start = cut;
        }
        let whole = frames(&[bytes]);
        prop_assert_eq!(&frames(&chunks), &whole);
        let joined: Vec<u8> = whole.iter().flat_map(|frame| frame.bytes().to_vec()).collect();
        prop_assert_eq!(&joined[..], bytes, "nothing is lost");
    }

    #[test]
    fn data_is_the_same_by_either_way(line in r"data:[ a-z:]{0,8}", end in r"\n\n|\r\n\r\n|\r\r|\n|") {
        let stream = format!("{line}{end}");
        for frame in frames(&[stream.as_bytes()]) {
            let slow: Vec<u8> = lines(frame.bytes()).filter_map(data_of).flatten().copied().collect();
            prop_assert_eq!(frame.data_line(), Some(&slow[..]));
        }
    }
}
