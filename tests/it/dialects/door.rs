//! The paths of all dialects: what is told there of mistakes, and in which words.

use super::*;
use crate::support::global;

#[tokio::test]
async fn each_path_has_the_errors_of_its_dialect() {
    let simulator = Simulator::start(recording(Dialect::OpenAi, "hello"))
        .await
        .unwrap();
    let config = model([provider("a", &simulator, json!({}))]);
    let gateway = Gateway::start(&global(config, json!({ "api_key": "sk-1" })));
    let known = gateway.client().with_key("sk-1");
    for client in Dialect::ALL {
        let (path, mut body) = ask(client, false);
        let keyless = gateway.client().post(path, &body).await;
        let path_of_other = path.replace("/m:", "/other:");
        body["model"] = json!("other");
        let unknown = known.post(&path_of_other, &body).await;
        let broken = known.request("POST", path, &[], b"{\"model\":").await;
        let zipped = [("content-encoding", "gzip")];
        let zipped = known.request("POST", path, &zipped, b"\x1f\x8b").await;
        for (answer, status) in [(keyless, 401), (unknown, 404), (broken, 400), (zipped, 415)] {
            assert_eq!(answer.status, status, "{client:?}");
            let said = answer.json();
            match client {
                Dialect::Anthropic => {
                    assert_eq!(said["type"], "error");
                    assert_eq!(said["request_id"].as_str(), answer.header("request-id"));
                }
                Dialect::Gemini => assert_eq!(said["error"]["code"], status),
                Dialect::OpenAi | Dialect::Responses => {
                    let names: Vec<&String> = said["error"].as_object().unwrap().keys().collect();
                    assert_eq!(names, ["message", "type", "param", "code"]);
                }
            }
        }
    }
    assert_eq!(simulator.seen().requests, 0);
}

#[tokio::test]
async fn gemini_s_urls_have_several_forms() {
    let (gateway, simulators) = gateway(vec![hello(Dialect::Gemini)]).await;
    let (_, body) = ask(Dialect::Gemini, false);
    for path in [
        "/v1beta/models/m:generateContent",
        "/v1/models/m:generateContent",
        "/v1beta/models/m/generateContent",
        "/v1beta/models/%6D:generateContent",
    ] {
        assert_eq!(
            gateway.client().post(path, &body).await.status,
            200,
            "{path}"
        );
    }
    let asked = &simulators[0].requests()[0].path;
    assert_eq!(asked, "/v1/models/simulated:generateContent");
    let unknown = gateway.client().post("/v1beta/models/m:dance", &body).await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.json()["error"]["status"], "NOT_FOUND");
}

#[tokio::test]
async fn lists_of_models_have_three_shapes() {
    let (gateway, _simulators) = gateway(vec![hello(Dialect::OpenAi)]).await;
    let list = async |path: &str, header: (&str, &str)| {
        let client = gateway.client().with_header(header.0, header.1);
        client.get(path).await.json()
    };
    let openai = list("/v1/models", ("accept", "*/*")).await;
    assert_eq!(
        (&openai["object"], &openai["data"][0]["id"]),
        (&json!("list"), &json!("m"))
    );
    let anthropic = list("/v1/models", ("anthropic-version", "2023-06-01")).await;
    assert_eq!(
        (&anthropic["has_more"], &anthropic["data"][0]["type"]),
        (&json!(false), &json!("model"))
    );
    for path in ["/v1beta/models", "/v1/models"] {
        let google = list(path, ("x-goog-api-key", "k")).await;
        assert_eq!(google["models"][0]["name"], "models/m", "{path}");
    }
    let one = list("/v1beta/models/m", ("accept", "*/*")).await;
    assert_eq!(one["name"], "models/m");
    let none = gateway.client().get("/v1beta/models/other").await;
    assert_eq!(
        (none.status, &none.json()["error"]["status"]),
        (404, &json!("NOT_FOUND"))
    );
}

#[tokio::test]
async fn nothing_is_kept_of_responses() {
    let (gateway, simulators) =
        gateway(vec![hello(Dialect::Responses), hello(Dialect::OpenAi)]).await;
    for (method, path) in [
        ("GET", "/v1/responses/resp_1"),
        ("DELETE", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("GET", "/v1/responses/resp_1/input_items"),
    ] {
        let answer = gateway.client().request(method, path, &[], b"").await;
        assert_eq!(answer.status, 404, "{method} {path}");
    }
    let (path, mut body) = ask(Dialect::Responses, false);
    body["previous_response_id"] = json!("resp_1");
    let answer = gateway.client().post(path, &body).await;
    assert_eq!(
        answer.status, 400,
        "two providers, and it is not known whose it is"
    );
    assert_eq!(answer.json()["error"]["param"], "previous_response_id");
    assert_eq!(simulators[0].seen().requests, 0);
    // One provider knows its own; one of another dialect knows none.
    for (dialect, status) in [(Dialect::Responses, 200), (Dialect::OpenAi, 400)] {
        let (gateway, _simulators) = super::gateway(vec![hello(dialect)]).await;
        assert_eq!(gateway.client().post(path, &body).await.status, status);
    }
}

#[tokio::test]
async fn what_a_client_of_anthropic_asks_beside_the_body_reaches_anthropic_alone() {
    let (gateway, simulators) = gateway(vec![hello(Dialect::Anthropic)]).await;
    let (path, body) = ask(Dialect::Anthropic, false);
    let headers = [
        ("content-type", "application/json"),
        ("anthropic-version", "2026-10-21"),
        ("anthropic-beta", "one,two"),
        ("x-api-key", "of-the-client"),
    ];
    let body = body.to_string();
    let client = gateway.client();
    let path = format!("{path}?beta=true&key=secret");
    let answer = client
        .request("POST", &path, &headers, body.as_bytes())
        .await;
    assert_eq!(answer.status, 200);
    let seen = simulators[0].requests().pop().unwrap();
    assert_eq!(seen.path, "/v1/messages?beta=true");
    assert_eq!(seen.header("anthropic-version"), Some("2026-10-21"));
    assert_eq!(seen.header("anthropic-beta"), Some("one,two"));
    assert_eq!(seen.header("x-api-key"), Some("sk-secret-of-a"));
    let expected = body.replace("\"m\"", "\"simulated\"");
    assert_eq!(seen.body, expected.as_bytes());
    // To another it is an ordinary request.
    let (gateway, simulators) = super::gateway(vec![hello(Dialect::OpenAi)]).await;
    gateway
        .client()
        .request("POST", &path, &headers, body.as_bytes())
        .await;
    let seen = simulators[0].requests().pop().unwrap();
    assert_eq!(seen.path, "/v1/chat/completions");
    assert_eq!(seen.header("anthropic-beta"), None);
}
