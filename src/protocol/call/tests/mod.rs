//! Requests: what is read from them, and how they are changed.

mod dialects;

use super::*;
use crate::chat::FailureKind;
use crate::protocol::openai::Endpoint as OpenAi;

const CHAT: Endpoint = Endpoint::OpenAi(OpenAi::ChatCompletions);

const PLAIN: Shape = Shape {
    stream: false,
    ask_usage: true,
};
const STREAM: Shape = Shape {
    stream: true,
    ask_usage: true,
};
const STREAM_ONLY: Shape = Shape {
    stream: true,
    ask_usage: false,
};

fn open(body: &str) -> Call {
    Call::open(CHAT, Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

fn encoded(body: &str, model: &str, shape: Shape) -> String {
    String::from_utf8(open(body).encode(model, shape, &[]).concat()).unwrap()
}

#[test]
fn what_the_gateway_needs_is_read() {
    let call = open(
        r#"{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true},"max_tokens":9,"messages":[]}"#,
    );
    assert_eq!(call.endpoint, CHAT);
    assert_eq!(call.model, "gpt-4o");
    assert!(call.stream);
    assert!(call.include_usage);
    assert_eq!(call.max_tokens, Some(9));
}

#[test]
fn names_may_be_written_with_escapes() {
    let call = open(r#"{"mod\u0065l":"gpt\u002d4","str\u0065am":true}"#);
    assert_eq!(call.model, "gpt-4");
    assert!(call.stream);
    assert_eq!(
        call.encode("gpt-4", STREAM_ONLY, &[]).concat(),
        call.body,
        "the same name, however written, stays as it is"
    );
    assert_eq!(
        call.encode("x", STREAM_ONLY, &[]).concat(),
        br#"{"mod\u0065l":"x","str\u0065am":true}"#
    );
}

#[test]
fn the_bound_on_the_answer_counts_every_choice() {
    for (members, expected) in [
        ("", None),
        (r#","max_tokens":10"#, Some(10)),
        (r#","max_tokens":10,"max_completion_tokens":20"#, Some(20)),
        (r#","max_tokens":10,"max_completion_tokens":null"#, Some(10)),
        (r#","max_tokens":10,"n":3"#, Some(30)),
        (r#","max_tokens":10,"n":0"#, Some(10)),
        (r#","max_tokens":10,"n":null"#, Some(10)),
        (
            r#","max_tokens":18446744073709551615,"n":2"#,
            Some(u64::MAX),
        ),
        (r#","max_tokens":-1"#, None),
        (r#","max_tokens":"10""#, None),
        (r#","n":3"#, None),
    ] {
        let call = open(&format!(r#"{{"model":"m"{members}}}"#));
        assert_eq!(call.max_tokens, expected, "{members}");
    }
}

#[test]
fn what_cannot_be_understood_is_the_clients_failure() {
    for (body, message, param) in [
        (
            "",
            "the body is not valid JSON: expected a value at line 1 column 1",
            None,
        ),
        (
            "{\"model\": \"m\",\n \"messages\": [}",
            "the body is not valid JSON: expected a value at line 2 column 15",
            None,
        ),
        (
            "{\"model\":\"m\"} x",
            "the body is not valid JSON: expected nothing more at line 1 column 15",
            None,
        ),
        ("[1]", "the body must be a JSON object", None),
        ("{}", "`model` is missing", Some("model")),
        (
            r#"{"model":""}"#,
            "`model` must not be empty",
            Some("model"),
        ),
        (
            r#"{"model":null}"#,
            "`model` must be a string",
            Some("model"),
        ),
        (
            r#"{"model":["m"]}"#,
            "`model` must be a string",
            Some("model"),
        ),
        (
            r#"{"model":"\ud800"}"#,
            "`model` must be a string",
            Some("model"),
        ),
        (
            r#"{"model":"a","model":"b"}"#,
            "`model` is given more than once",
            Some("model"),
        ),
        (
            r#"{"model":"a","m\u006fdel":"b"}"#,
            "`model` is given more than once",
            Some("model"),
        ),
        (
            r#"{"model":"a","stream":true,"stream":false}"#,
            "`stream` is given more than once",
            Some("stream"),
        ),
        (
            r#"{"model":"a","stream":"yes"}"#,
            "`stream` must be true or false",
            Some("stream"),
        ),
        (
            r#"{"model":"a","Model":"b"}"#,
            "`model` must be written in small letters: some providers read it in any",
            Some("model"),
        ),
        (
            r#"{"MOD\u0045L":"a"}"#,
            "`model` must be written in small letters: some providers read it in any",
            Some("model"),
        ),
        (
            r#"{"STREAM":true,"model":"a"}"#,
            "`stream` must be written in small letters: some providers read it in any",
            Some("stream"),
        ),
        (
            r#"{"model":"a","ſtream":true}"#,
            "`stream` must be written in small letters: some providers read it in any",
            Some("stream"),
        ),
        (
            r#"{"model":"a","stream":1}"#,
            "`stream` must be true or false",
            Some("stream"),
        ),
        (
            r#"{"model":"a","max_tokens":1,"max_tokens":9}"#,
            "`max_tokens` is given more than once",
            Some("max_tokens"),
        ),
        (
            r#"{"model":"a","stream_options":{"include_usage":true,"include_usage":false}}"#,
            "`stream_options.include_usage` is given more than once",
            Some("stream_options.include_usage"),
        ),
    ] {
        let failure = Call::open(CHAT, Bytes::copy_from_slice(body.as_bytes())).unwrap_err();
        assert_eq!(failure.kind, FailureKind::InvalidRequest);
        assert_eq!(
            (failure.message.as_str(), failure.param.as_deref()),
            (message, param),
            "{body}"
        );
    }
}

#[test]
fn the_rest_is_left_to_the_provider() {
    for body in [
        r#"{"model":"m"}"#,
        r#"{"model":"m","messages":7}"#,
        r#"{"model":"m","stream":null,"stream_options":"x"}"#,
        r#"{"model":"m","x":1,"x":2}"#,
    ] {
        assert!(!open(body).stream, "{body}");
    }
}

#[test]
fn each_prompt_of_a_list_has_choices_of_its_own() {
    let opened = |endpoint, members: &str| {
        let body = format!(r#"{{"model":"m","max_tokens":5,{members}}}"#);
        let call = Call::open(endpoint, body.into()).unwrap();
        (call.choices, call.max_tokens)
    };
    for (members, choices) in [
        (r#""prompt":"a""#, 1),
        (r#""prompt":["a"]"#, 1),
        (r#""prompt":["a","b","c"]"#, 3),
        (r#""prompt":["a","b"],"n":2"#, 4),
        (r#""prompt":[1,2,3]"#, 1),
        (r#""prompt":[[1,2],[3]]"#, 2),
        (r#""prompt":[]"#, 1),
    ] {
        let expected = (choices, Some(5 * choices));
        assert_eq!(
            opened(Endpoint::OpenAi(OpenAi::Completions), members),
            expected,
            "{members}"
        );
    }
    assert_eq!(opened(CHAT, r#""prompt":["a","b"]"#), (1, Some(5)));
}

#[test]
fn only_the_model_changes() {
    let body = "{ \"temperature\" : 0.10, \"model\":\t\"m\" ,\n\"seed\":12345678901234567890123,\"x\":{\"model\":\"m\"} }";
    assert_eq!(
        encoded(body, "a\"b\\c", PLAIN),
        body.replacen("\"m\"", r#""a\"b\\c""#, 1)
    );
}

#[test]
fn what_stays_is_not_copied() {
    let call = open(r#"{"model":"m","messages":[]}"#);
    let [whole] = &call.encode("m", PLAIN, &[])[..] else {
        panic!("nothing changes")
    };
    assert_eq!(whole.as_ptr(), call.body.as_ptr());
    let [before, model, after] = &call.encode("x", PLAIN, &[])[..] else {
        panic!("one change")
    };
    assert_eq!(before.as_ptr(), call.body.as_ptr());
    assert_eq!(model, "\"x\"");
    assert_eq!(after.as_ptr_range().end, call.body.as_ptr_range().end);
}

#[test]
fn streaming_is_turned_on_and_off() {
    for (body, shape, expected) in [
        (
            r#"{"model":"m"}"#,
            STREAM,
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"model":"m"}"#,
            STREAM_ONLY,
            r#"{"model":"m","stream":true}"#,
        ),
        (
            r#"{"stream": false, "model":"m"}"#,
            STREAM_ONLY,
            r#"{"stream": true, "model":"m"}"#,
        ),
        (
            r#"{"stream":null,"model":"m"}"#,
            STREAM_ONLY,
            r#"{"stream":true,"model":"m"}"#,
        ),
        (
            r#"{"stream":null,"model":"m"}"#,
            PLAIN,
            r#"{"stream":null,"model":"m"}"#,
        ),
        (
            r#"{"stream": true, "model":"m"}"#,
            PLAIN,
            r#"{"stream": false, "model":"m"}"#,
        ),
        (
            r#"{"stream":true,"stream_options":{"include_usage":true},"model":"m"}"#,
            PLAIN,
            r#"{"stream":false,"model":"m"}"#,
        ),
        (
            "{\"stream\":true, \"model\":\"m\" , \"stream_options\" : {} }",
            PLAIN,
            "{\"stream\":false, \"model\":\"m\"  }",
        ),
        (
            r#"{"stream_options":null,"model":"m","stream":true}"#,
            PLAIN,
            r#"{"model":"m","stream":false}"#,
        ),
        // Not ours to mend: the provider refuses it.
        (
            r#"{"model":"m","stream_options":{}}"#,
            PLAIN,
            r#"{"model":"m","stream_options":{}}"#,
        ),
    ] {
        assert_eq!(encoded(body, "m", shape), expected, "{body}");
    }
}

#[test]
fn usage_is_asked_for_and_not() {
    for (options, asked, not_asked) in [
        (
            r#","stream_options":{"include_usage":true}"#,
            None,
            Some(""),
        ),
        (
            r#","stream_options":{"include_usage": false }"#,
            Some(r#","stream_options":{"include_usage": true }"#),
            Some(""),
        ),
        (
            r#","stream_options":{}"#,
            Some(r#","stream_options":{"include_usage":true}"#),
            None,
        ),
        (
            r#","stream_options":null"#,
            Some(r#","stream_options":{"include_usage":true}"#),
            None,
        ),
        (
            r#","stream_options":{ "a":1}"#,
            Some(r#","stream_options":{"include_usage":true, "a":1}"#),
            None,
        ),
        (
            r#","stream_options":{"a":1 , "include_usage":null}"#,
            Some(r#","stream_options":{"a":1 , "include_usage":true}"#),
            Some(r#","stream_options":{"a":1 }"#),
        ),
        (
            r#","stream_options":{"include_usage":true,"a":1}"#,
            None,
            Some(r#","stream_options":{"a":1}"#),
        ),
        (r#","stream_options":"x""#, None, None),
    ] {
        let body = |options: &str| format!(r#"{{"stream":true,"model":"m"{options}}}"#);
        let given = body(options);
        assert_eq!(
            encoded(&given, "m", STREAM),
            body(asked.unwrap_or(options)),
            "asking: {given}"
        );
        assert_eq!(
            encoded(&given, "m", STREAM_ONLY),
            body(not_asked.unwrap_or(options)),
            "not asking: {given}"
        );
    }
}

#[test]
fn everything_may_change_at_once() {
    assert_eq!(
        encoded(
            r#"{"stream_options":{"a":0},"n":1,"model":"m","stream":false}"#,
            "other",
            STREAM
        ),
        r#"{"stream_options":{"include_usage":true,"a":0},"n":1,"model":"other","stream":true}"#
    );
    assert_eq!(
        encoded(
            r#"{"model":"m","stream_options":{"include_usage":true},"stream":true}"#,
            "other",
            PLAIN
        ),
        r#"{"model":"other","stream":false}"#
    );
    assert_eq!(
        encoded(
            r#"{"stream":true,"model":"m","stream_options":{"include_usage":true}}"#,
            "other",
            PLAIN
        ),
        r#"{"stream":false,"model":"other"}"#
    );
}

#[test]
fn embeddings_never_stream() {
    let body = Bytes::from_static(br#"{"model":"m","input":"x","stream":"?"}"#);
    let call = Call::open(Endpoint::OpenAi(OpenAi::Embeddings), body.clone()).unwrap();
    assert!(!call.stream);
    assert_eq!(call.encode("m", STREAM, &[]), [body]);
}

#[test]
fn prompts_are_estimated() {
    let image = format!("data:image/png;base64,{}", "iVBORw0K".repeat(1000));
    let bare = "UklGRiQA".repeat(1000);
    let empty = r#"[{"role":"user","content":""}]"#.len() as u64;
    for (content, expected) in [
        (r#""""#.to_string(), empty.div_ceil(4)),
        (
            format!("\"{}\"", "word".repeat(100)),
            100 + empty.div_ceil(4),
        ),
        (
            format!("\"{}\"", "你好".repeat(50)),
            110 + empty.div_ceil(4),
        ),
        (
            format!(r#"[{{"image_url":{{"url":"{image}"}}}}]"#),
            1000 + 13,
        ),
        (
            format!(r#"[{{"input_audio": {{"data": "{bare}","format":"wav"}}}}]"#),
            1000 + 18,
        ),
        (
            format!(
                r#"[{{"file":{{"file_data":"{bare}"}}}},{{"file":{{"file_data":"{image}"}}}}]"#
            ),
            2000 + 20,
        ),
    ] {
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}],"user":"{bare}"}}"#
        );
        assert_eq!(
            open(&body).prompt_tokens,
            expected,
            "{}",
            &content[..content.len().min(60)]
        );
    }
}

#[test]
fn text_that_looks_like_media_is_text() {
    let pasted = format!(
        r#"<img src=\"data:image/png;base64,{}\">"#,
        "iVBORw0K".repeat(100)
    );
    let body = format!(r#"{{"model":"m","messages":"{pasted}"}}"#);
    assert!(open(&body).prompt_tokens > 200);
    let words = r#"{"model":"m","messages":{"data":"it is a long text that someone has put under this name, with blanks in it"}}"#;
    assert!(open(words).prompt_tokens < 100);
}

#[test]
fn tokens_are_counted_one_by_one() {
    let tokens = |input: &str| {
        let body = format!(r#"{{"model":"m","input":{input}}}"#);
        Call::open(Endpoint::OpenAi(OpenAi::Embeddings), body.into())
            .unwrap()
            .prompt_tokens
    };
    assert_eq!(tokens("[1,22,333]"), 3);
    assert_eq!(tokens("[ [1,2], [3] ]"), 3);
    assert_eq!(tokens(r#"["abcd"]"#), 2);
    assert_eq!(tokens("[]"), 1);
}

#[test]
fn a_prompt_is_not_printed() {
    let shown = format!("{:?}", open(r#"{"model":"m","messages":"secret"}"#));
    assert!(!shown.contains("secret"), "{shown}");
}
