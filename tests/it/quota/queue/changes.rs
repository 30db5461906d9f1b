//! Reloads and the end of the process while requests wait.

use super::*;

#[tokio::test]
async fn a_reload_loses_nobody_who_waits_and_more_room_is_used_at_once() {
    let a = recording(Behavior::hanging()).await;
    let gateway = Gateway::start(&config(&a, one(), patient()));
    let first = begin(&gateway, None, &chat("0")).await;
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    let mut running = Vec::new();
    for number in 1..=4 {
        running.push(ask(&gateway, None, &number.to_string()));
        waiting(&gateway.client(), number).await;
    }
    a.set(Behavior::answering("a").slowly(ms(200)));
    let reload = async |config: &Value| {
        gateway.write_config(config);
        let answer = gateway.client().post("/admin/reload", &json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    // Something else has changed; they still wait, with those who came after it behind them.
    reload(&config(
        &a,
        json!({ "max_concurrent": 1, "weight": 7 }),
        patient(),
    ))
    .await;
    running.push(ask(&gateway, None, "5"));
    waiting(&gateway.client(), 5).await;
    assert_eq!(a.seen().requests, 1);
    // The first is never answered, so these are served by the room that was added.
    reload(&config(&a, json!({ "max_concurrent": 3 }), patient())).await;
    for answer in running {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    // The order in which two that go at once arrive is not ours.
    let asked = asked(&a);
    assert_eq!((asked.len(), asked[0].as_str()), (6, "0"));
    assert_eq!(asked[5], "5", "{asked:?}");
    assert_eq!(a.seen().peak_in_flight, 3);
    drop(first);
    all_is_over(&gateway).await;
}

#[tokio::test]
async fn who_waits_for_a_provider_that_a_reload_removes_is_still_served() {
    let a = recording(Behavior::hanging()).await;
    let b = recording(Behavior::answering("b")).await;
    let gateway = Gateway::start(&config(&a, one(), patient()));
    let first = begin(&gateway, None, &chat("0")).await;
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    let waits = ask(&gateway, None, "1");
    waiting(&gateway.client(), 1).await;
    a.set(Behavior::answering("a"));
    let other = global(
        model([provider("b", &b, json!({}))]),
        json!({ "queue": false }),
    );
    gateway.write_config(&other);
    let answer = gateway.client().post("/admin/reload", &json!({})).await;
    assert_eq!(answer.status, 200);
    // Whoever comes now finds the new provider free and the queue switched off.
    let new = gateway.chat("2").await;
    assert_eq!(new.header("x-gateway-provider"), Some("b"));
    drop(first);
    let answer = waits.await.unwrap();
    assert_eq!(
        (answer.status, answer.header("x-gateway-provider")),
        (200, Some("a"))
    );
    waiting(&gateway.client(), 0).await;
}

#[tokio::test]
async fn those_who_wait_when_the_gateway_is_stopped_are_served_first() {
    let a = recording(Behavior::answering("a").slowly(ms(200))).await;
    let mut gateway = Gateway::start(&config(&a, one(), patient()));
    let mut running = vec![ask(&gateway, None, "0")];
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    for number in 1..=3 {
        running.push(ask(&gateway, None, &number.to_string()));
        waiting(&gateway.client(), number).await;
    }
    gateway.signal("TERM");
    for answer in running {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.ended_cleanly);
    }
    let status = tokio::task::spawn_blocking(move || {
        let status = gateway.wait_exit(2 * SOON);
        (status, gateway)
    });
    let (status, _gateway) = status.await.unwrap();
    assert!(status.success());
    assert_eq!(asked(&a), ["0", "1", "2", "3"]);
}
