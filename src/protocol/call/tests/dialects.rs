//! Requests of all dialects, forms, and members that a provider must not see.

use super::*;

#[test]
fn members_that_a_provider_must_not_see_are_taken_out() {
    let names = ["top_p", "seed"].map(str::to_owned);
    for (body, expected) in [
        (r#"{"model":"m","top_p":1,"seed":2}"#, r#"{"model":"n"}"#),
        (r#"{"top_p":1, "seed":2, "model":"m"}"#, r#"{"model":"n"}"#),
        (
            r#"{"top_p":1,"model":"m","seed":2,"x":{"seed":3}}"#,
            r#"{"model":"n","x":{"seed":3}}"#,
        ),
        (
            r#"{"x":1,"model":"m" , "seed":2}"#,
            r#"{"x":1,"model":"n" }"#,
        ),
    ] {
        let sent = open(body).encode("n", PLAIN, &names).concat();
        assert_eq!(String::from_utf8(sent).unwrap(), expected, "{body}");
    }
}

#[test]
fn each_dialect_has_its_own_names_for_the_same() {
    let opened = |endpoint, model, query, body: &str| {
        let opening = Opening {
            endpoint,
            model,
            query,
            content_type: None,
        };
        Call::open(opening, Bytes::copy_from_slice(body.as_bytes())).unwrap()
    };
    let call = opened(
        Endpoint::Messages,
        None,
        Some("beta=true"),
        r#"{"model":"m","max_tokens":7,"stream":true,"system":"abcd","messages":[]}"#,
    );
    assert_eq!((call.max_tokens, call.stream), (Some(7), true));
    assert_eq!(call.query.as_deref(), Some("beta=true"));
    let call = opened(
        Endpoint::Responses,
        None,
        None,
        r#"{"model":"m","max_output_tokens":7,"input":"abcdefgh","conversation":{"id":"c"}}"#,
    );
    assert_eq!((call.max_tokens, call.prompt_tokens), (Some(7), 3));
    assert_eq!(call.state, Some("conversation"));
    let stream = Endpoint::Gemini(Action::StreamGenerateContent);
    let body = r#"{"contents":[],"model":"other","generationConfig":{"maxOutputTokens":7,"candidateCount":2}}"#;
    for (query, array) in [
        (None, true),
        (Some("alt=sse"), false),
        (Some("a=b&alt=sse"), false),
    ] {
        let call = opened(stream, Some("m"), query, body);
        assert_eq!((&*call.model, call.stream, call.array), ("m", true, array));
        assert_eq!((call.choices, call.max_tokens), (2, Some(14)));
        assert_eq!(call.encode("x", STREAM, &[]).concat(), body.as_bytes());
    }
}

#[test]
fn the_model_of_a_form_changes_alone() {
    let form = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b--\r\n";
    let opening = Opening {
        endpoint: Endpoint::Passed(crate::protocol::Passed::Transcriptions),
        model: None,
        query: None,
        content_type: Some("multipart/form-data; boundary=b"),
    };
    let call = Call::open(opening, form.into()).unwrap();
    assert_eq!(call.model, "m");
    let sent = call
        .encode("whisper-1", PLAIN, &["seed".to_owned()])
        .concat();
    let expected = form.replace("\r\nm\r\n", "\r\nwhisper-1\r\n");
    assert_eq!(String::from_utf8(sent).unwrap(), expected);
}
