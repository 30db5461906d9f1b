//! Clients with keys of their own wait in lanes of their own.

use super::*;

/// The same for two clients with keys of their own, of which the first may have limits.
fn keyed(a: &Simulator, limits: Value, queue: Value) -> Value {
    let mut first = json!({ "name": "a", "key": A });
    let limits = limits.as_object().unwrap().clone();
    first.as_object_mut().unwrap().extend(limits);
    let settings = json!({
        "queue": queue,
        "admin_key": ADMIN,
        "api_keys": [first, { "name": "b", "key": B }],
    });
    global(model([provider("a", a, one())]), settings)
}

#[tokio::test]
async fn a_flood_of_one_client_does_not_keep_another_waiting() {
    let a = recording(Behavior::answering("a").slowly(ms(60))).await;
    let gateway = Gateway::start(&keyed(&a, json!({}), patient()));
    let admin = gateway.client().with_key(ADMIN);
    a.set(Behavior::hanging());
    let first = begin(&gateway, Some(A), &chat("first")).await;
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    let mut running: Vec<_> = (0..30).map(|_| ask(&gateway, Some(A), "of a")).collect();
    waiting(&admin, 30).await;
    running.push(ask(&gateway, Some(B), "of b"));
    waiting(&admin, 31).await;
    a.set(Behavior::answering("a").slowly(ms(10)));
    drop(first);
    for answer in running {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    let asked = asked(&a);
    let place = asked.iter().position(|text| text == "of b").unwrap();
    // After the one that was being answered, and at most one of the flood.
    assert!((1..=2).contains(&place), "{place}: {asked:?}");
    assert_eq!(asked.len(), 32);
    let figures = waiting(&admin, 0).await;
    assert_eq!(
        (&figures["served"], &figures["longest"]),
        (&json!(31), &json!(31))
    );
    let clients = admin.get("/stats").await.json()["clients"].clone();
    assert_eq!(clients["a"]["requests"], 31);
    assert_eq!(clients["b"]["requests"], 1);
}

#[tokio::test]
async fn a_full_queue_has_a_place_for_who_waits_least() {
    let a = recording(Behavior::hanging()).await;
    let queue = json!({ "max_wait": 30, "max_waiting": 4 });
    let gateway = Gateway::start(&keyed(&a, json!({}), queue));
    let admin = gateway.client().with_key(ADMIN);
    let first = begin(&gateway, Some(A), &chat("first")).await;
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    let mut flood = Vec::new();
    for number in 1..=4 {
        flood.push(ask(&gateway, Some(A), &format!("a{number}")));
        waiting(&admin, number).await;
    }
    let other = ask(&gateway, Some(B), "b");
    // The last of the flood has to go for it.
    let sent_away = flood.pop().unwrap().await.unwrap();
    assert_eq!(sent_away.status, 429);
    assert!(sent_away.header("retry-after").is_some());
    waiting(&admin, 4).await;
    a.set(Behavior::answering("a"));
    drop(first);
    assert_eq!(other.await.unwrap().status, 200);
    for answer in flood {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    assert_eq!(asked(&a), ["first", "a1", "b", "a2", "a3"]);
    waiting(&admin, 0).await;
}

#[tokio::test]
async fn who_waits_holds_a_place_of_his_own_limit_and_gives_it_back() {
    let a = recording(Behavior::hanging()).await;
    let limits = json!({
        "max_concurrent": 2,
        "rate_limit": { "requests_per_period": 3, "period_cron": RARELY },
    });
    let queue = json!({ "max_wait": 0.5, "max_waiting": 4 });
    let gateway = Gateway::start(&keyed(&a, limits, queue));
    let admin = gateway.client().with_key(ADMIN);
    let first = begin(&gateway, Some(A), &chat("first")).await;
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    let second = ask(&gateway, Some(A), "waits in vain");
    waiting(&admin, 1).await;
    let third = ask(&gateway, Some(A), "more than two").await.unwrap();
    assert_eq!(third.status, 429);
    let said = third.json()["error"]["message"].clone();
    assert!(said.as_str().unwrap().contains("at once"), "{said}");
    assert_eq!(second.await.unwrap().status, 429);
    drop(first);
    a.set(Behavior::answering("a"));
    let since = Instant::now();
    loop {
        let clients = admin.get("/stats").await.json()["clients"].clone();
        if clients["a"]["concurrent"] == 0 {
            // What waited in vain is not charged, and who left after he was served is.
            assert_eq!(clients["a"]["requests"], 1, "{clients}");
            assert_eq!(clients["a"]["tokens_reserved"], 0, "{clients}");
            break;
        }
        assert!(since.elapsed() < SOON, "still held: {clients}");
        tokio::time::sleep(ms(5)).await;
    }
    for status in [200, 200, 429] {
        let answer = ask(&gateway, Some(A), "again").await.unwrap();
        assert_eq!(answer.status, status);
    }
}
