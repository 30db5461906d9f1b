//! What becomes of the share of a replica that is silent.

use super::*;

/// A lease that is over soon.
const SHORT: Duration = Duration::from_millis(250);

async fn dying(server: &Server, id: &str) -> Replica {
    Replica::with(server, id, SHORT, Duration::ZERO).await
}

#[tokio::test]
async fn what_the_dead_held_comes_back_and_their_credit_counts_as_used() {
    let server = Server::start();
    let mut a = dying(&server, "a").await;
    let mut b = Replica::new(&server, "b").await;
    let day = || window(today(), 20);
    a.tell(day().used(2).held(3).wish(5)).await;
    assert_eq!(b.tell(day()).await.requests(), (0, 2, 3, 5));
    pass(SHORT * 2).await;

    let told = b.say(&[day().wish(20)]).await;
    assert_eq!(told.windows[0].requests(), (13, 7, 0, 0));
    assert_eq!(told.windows[0].others_in_flight, 0);
    assert_eq!(told.replicas, 1);
}

#[tokio::test]
async fn who_returns_puts_its_true_numbers_in_place_of_the_credit() {
    let server = Server::start();
    let mut a = dying(&server, "a").await;
    let mut b = Replica::new(&server, "b").await;
    let day = || window(today(), 20);
    let spent = a.claim(&[day().used(2).held(3).wish(5)]);
    a.send(&spent).await;
    for used in [4, 6] {
        pass(SHORT * 2).await;
        let told = b.tell(day()).await;
        assert_eq!(told.others_held, [0; 4]);
        // A repeated claim does not bring anybody back.
        let repeated = a.claim(&[]);
        let late = Claim {
            version: repeated.version - 1,
            ..repeated
        };
        assert_eq!(a.send(&late).await.replicas, 2);
        a.version -= 1;
        assert_eq!(b.tell(day()).await, told);

        assert_eq!(
            a.tell(day().used(used).held(1).wish(2)).await.requests(),
            (2, 0, 0, 0)
        );
        assert_eq!(b.tell(day()).await.requests(), (0, used, 1, 2));
    }
}

#[tokio::test]
async fn a_rolling_window_forgets_the_credit_of_the_dead_as_well() {
    let server = Server::start();
    let mut a = dying(&server, "a").await;
    let mut b = Replica::new(&server, "b").await;
    let second = || {
        let kind = Kind::Rolling {
            every_ms: 600,
            slot_ms: 100,
        };
        window(kind, 20)
    };
    a.tell(second().wish(5)).await;
    pass(SHORT * 2).await;
    assert_eq!(b.tell(second()).await.requests(), (0, 5, 0, 0));
    pass(Duration::from_millis(750)).await;
    assert_eq!(b.tell(second()).await.requests(), (0, 0, 0, 0));
    // Nothing is left to be taken back.
    a.tell(second()).await;
    assert_eq!(b.tell(second().wish(30)).await.requests(), (20, 0, 0, 0));
}

#[tokio::test]
async fn slots_of_the_dead_come_back_with_their_credit() {
    let server = Server::start();
    let mut a = dying(&server, "a").await;
    let mut b = Replica::new(&server, "b").await;
    let slots = || window(Kind::Slots, 5);
    a.tell(slots().held(2).wish(2)).await;
    assert_eq!(b.tell(slots().wish(9)).await.requests(), (1, 0, 2, 2));
    pass(SHORT * 2).await;
    assert_eq!(b.tell(slots().wish(9)).await.requests(), (5, 0, 0, 0));
    // It had its slots all along; nobody is granted more until there is room.
    assert_eq!(
        a.tell(slots().held(2).wish(1)).await.requests(),
        (0, 0, 0, 5)
    );
    assert_eq!(b.tell(slots().wish(9)).await.requests(), (3, 0, 2, 0));
}

#[tokio::test]
async fn who_is_silent_for_a_day_is_out_of_the_way_and_still_counted() {
    let server = Server::start();
    let mut a = dying(&server, "a").await;
    let mut b = Replica::new(&server, "b").await;
    let day = || window(today(), 20);
    a.tell(day().used(2).wish(5)).await;
    pass(SHORT * 2).await;
    b.tell(day()).await;
    let key = format!("{{gateway:{ACCOUNT}}}");
    let age = "local r = cmsgpack.unpack(redis.call('HGET', KEYS[1], ':a')) r[2] = r[2] - 90000000
        redis.call('HSET', KEYS[1], ':a', cmsgpack.pack(r))";
    let (records, departed) = (format!("{key}:r"), format!("{key}:d"));
    let _: () = server.ask(&["EVAL", age, "1", &records]).await;

    assert_eq!(b.tell(day()).await.requests(), (0, 7, 0, 0));
    assert_eq!(b.tell(day()).await.requests(), (0, 7, 0, 0));
    assert!(!server.ask::<bool>(&["HEXISTS", &records, ":a"]).await);
    assert!(server.ask::<bool>(&["HEXISTS", &departed, ":a"]).await);
    assert!(server.ask::<i64>(&["PTTL", &departed]).await > 0);

    // A restored one goes the same way.
    let backup = b.client.backup(&[ACCOUNT]).await.unwrap().remove(0);
    let _: () = server.ask(&["FLUSHALL"]).await;
    b.client.restore(&[(ACCOUNT, &backup)]).await.unwrap();
    assert_eq!(b.tell(day()).await.requests(), (0, 7, 0, 0));
    assert!(server.ask::<bool>(&["HEXISTS", &departed, ":a"]).await);

    let told = a.say(&[day().used(4).held(1)]).await;
    assert_eq!(told.replicas, 2);
    assert_eq!(b.tell(day()).await.requests(), (0, 4, 1, 0));
    assert!(!server.ask::<bool>(&["HEXISTS", &departed, ":a"]).await);
}
