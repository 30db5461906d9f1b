//! When a provider is asked to think, and how.

use super::*;

fn asked(request: &Request, dialect: &Dialect) -> (Value, Value) {
    let body = written_for(request, dialect).body;
    (body["thinking"].clone(), body["output_config"].clone())
}

#[test]
fn an_effort_is_a_word_or_a_budget() {
    let adaptive = json!({"type": "adaptive"});
    for (effort, word, budget) in [
        (Effort::Minimal, "low", 1024),
        (Effort::Low, "low", 2048),
        (Effort::Medium, "medium", 8192),
        (Effort::High, "high", 16_384),
        (Effort::XHigh, "xhigh", 32_768),
        (Effort::Max, "max", 49_152),
    ] {
        let mut request = hello();
        request.effort = Some(effort);
        request.max_tokens = Some(64_000);
        let plain = Dialect::plain(Protocol::Anthropic);
        let expected = (adaptive.clone(), json!({"effort": word}));
        assert_eq!(asked(&request, &plain), expected);
        let budget = json!({"type": "enabled", "budget_tokens": budget});
        assert_eq!(asked(&request, &budgets()), (budget, Value::Null));
    }
}

#[test]
fn no_effort_is_said_as_such_and_nothing_where_nothing_was_said() {
    for dialect in [Dialect::plain(Protocol::Anthropic), budgets()] {
        let mut request = hello();
        assert_eq!(asked(&request, &dialect), (Value::Null, Value::Null));
        request.effort = Some(Effort::None);
        let disabled = json!({"type": "disabled"});
        assert_eq!(asked(&request, &dialect), (disabled, Value::Null));
    }
}

#[test]
fn thoughts_of_any_length_are_for_the_model_to_measure() {
    let mut request = hello();
    request.include_thoughts = true;
    let plain = Dialect::plain(Protocol::Anthropic);
    let adaptive = json!({"type": "adaptive", "display": "summarized"});
    assert_eq!(asked(&request, &plain), (adaptive, Value::Null));
    assert_eq!(asked(&request, &budgets()), (Value::Null, Value::Null));
}

#[test]
fn a_budget_leaves_room_for_the_answer() {
    for (max_tokens, budget) in [
        (Some(64_000), Some(16_384)),
        (Some(10_000), Some(9999)),
        (Some(1025), Some(1024)),
        (Some(1024), None),
        (Some(1), None),
        // Our own bound makes room for both.
        (None, Some(16_384)),
    ] {
        let mut request = hello();
        request.effort = Some(Effort::High);
        request.max_tokens = max_tokens;
        let out = written_for(&request, &budgets());
        let budget = budget.map_or(Value::Null, Value::from);
        assert_eq!(
            out.body["thinking"]["budget_tokens"], budget,
            "{max_tokens:?}"
        );
        assert_eq!(
            out.dropped.contains(&"effort"),
            budget.is_null(),
            "{max_tokens:?}"
        );
    }
}

#[test]
fn who_thinks_is_not_told_how_to_draw() {
    let mut request = hello();
    request.sampling.temperature = Some(0.5);
    request.sampling.top_k = Some(3);
    request.effort = Some(Effort::Low);
    for dialect in [Dialect::plain(Protocol::Anthropic), budgets()] {
        let out = written_for(&request, &dialect);
        assert!(out.body.get("temperature").is_none() && out.body.get("top_k").is_none());
        assert_eq!(out.dropped, ["temperature", "top_k"]);
    }
    request.effort = Some(Effort::None);
    let body = written(&request).body;
    assert_eq!(
        (&body["temperature"], &body["top_k"]),
        (&json!(0.5), &json!(3))
    );
}

#[test]
fn who_must_call_does_not_think() {
    for (choice, thinks) in [
        (None, true),
        (Some(ToolChoice::Auto), true),
        (Some(ToolChoice::None), true),
        (Some(ToolChoice::Allowed(false, vec!["f".into()])), true),
        (Some(ToolChoice::Any), false),
        (Some(ToolChoice::Tool("f".into())), false),
        (Some(ToolChoice::Allowed(true, vec!["f".into()])), false),
    ] {
        for dialect in [Dialect::plain(Protocol::Anthropic), budgets()] {
            let mut request = hello();
            request.tools = vec![tool("f")];
            request.tool_choice = choice.clone();
            request.effort = Some(Effort::High);
            request.sampling.temperature = Some(0.5);
            let body = written_for(&request, &dialect).body;
            assert_eq!(body.get("thinking").is_some(), thinks, "{choice:?}");
            assert_eq!(body.get("temperature").is_none(), thinks, "{choice:?}");
            assert!(thinks || body.get("output_config").is_none());
        }
    }
}

#[test]
fn who_goes_on_with_a_begun_answer_does_not_think() {
    let mut request = asking(vec![
        user(vec![Part::text("a poem")]),
        assistant(vec![Part::text("Roses")]),
    ]);
    request.effort = Some(Effort::High);
    let out = written(&request);
    assert!(out.body.get("thinking").is_none());
    assert_eq!(out.body["messages"][1]["content"][0]["text"], "Roses");
}

#[test]
fn a_running_chain_of_calls_must_have_its_thoughts() {
    let own = || thought("hm", Some(signed(Vendor::Anthropic, "EqQB")));
    let redacted = || Part::Redacted(signed(Vendor::Anthropic, "EmwK"));
    let used = || call("1", "f", "{}");
    let answered = || user(vec![result("1", "ok")]);
    let ask = || user(vec![Part::text("do it")]);
    for (why, turns, thinks) in [
        ("nothing was called", vec![ask()], true),
        (
            "the call has its thoughts",
            vec![ask(), assistant(vec![own(), used()]), answered()],
            true,
        ),
        (
            "unreadable thoughts are thoughts",
            vec![ask(), assistant(vec![redacted(), used()]), answered()],
            true,
        ),
        (
            "the call has none",
            vec![ask(), assistant(vec![Part::text("so"), used()]), answered()],
            false,
        ),
        (
            "they have no signature",
            vec![
                ask(),
                assistant(vec![thought("hm", None), used()]),
                answered(),
            ],
            false,
        ),
        (
            "they are of another vendor",
            vec![
                ask(),
                assistant(vec![
                    thought("hm", Some(signed(Vendor::Google, "x"))),
                    used(),
                ]),
                answered(),
            ],
            false,
        ),
        (
            "they come after the call",
            vec![ask(), assistant(vec![used(), own()]), answered()],
            false,
        ),
        (
            "an earlier step of the chain has none",
            vec![
                ask(),
                assistant(vec![used()]),
                answered(),
                assistant(vec![own(), used()]),
                answered(),
            ],
            false,
        ),
        (
            "a word beside the results does not end the chain",
            vec![
                ask(),
                assistant(vec![used()]),
                user(vec![result("1", "ok"), Part::text("careful")]),
            ],
            false,
        ),
        (
            "the chain is over",
            vec![
                ask(),
                assistant(vec![used()]),
                answered(),
                assistant(vec![Part::text("done")]),
                ask(),
            ],
            true,
        ),
    ] {
        let mut request = asking(turns);
        request.effort = Some(Effort::Medium);
        request.max_tokens = Some(20_000);
        let out = written_for(&request, &budgets());
        assert_eq!(out.body.get("thinking").is_some(), thinks, "{why}");
        // With a word for it the vendor does not look.
        assert_eq!(written(&request).body["thinking"]["type"], "adaptive");
    }
}

#[test]
fn only_thoughts_that_the_vendor_signed_are_sent() {
    let request = asking(vec![
        user(vec![Part::text("a")]),
        assistant(vec![
            thought("unsigned", None),
            thought("foreign", Some(signed(Vendor::OpenAi, "x"))),
            Part::Redacted(signed(Vendor::Google, "y")),
            thought("own", Some(signed(Vendor::Anthropic, "EqQB"))),
            Part::Redacted(signed(Vendor::Anthropic, "EmwK")),
            Part::text("b"),
        ]),
        user(vec![Part::text("c")]),
        assistant(vec![thought("unsigned", None)]),
        user(vec![Part::text("d")]),
    ]);
    let out = written(&request);
    assert_eq!(
        out.body["messages"],
        json!([
            {"role": "user", "content": [{"type": "text", "text": "a"}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "own", "signature": "EqQB"},
                {"type": "redacted_thinking", "data": "EmwK"},
                {"type": "text", "text": "b"}]},
            {"role": "user", "content": [{"type": "text", "text": "c"}, {"type": "text", "text": "d"}]},
        ])
    );
    assert_eq!(out.dropped, ["thinking"]);
}
