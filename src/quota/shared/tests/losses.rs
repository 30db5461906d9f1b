//! Redis loses what it knew, wholly or in part.

use super::*;

/// Long enough for a test to do something in it, on a busy machine.
const SHORT: Duration = Duration::from_millis(1500);

async fn replica(server: &Server, id: &str) -> Replica {
    Replica::with(server, id, LEASE, SHORT).await
}

/// Waits until more is granted.
async fn recovered(replica: &mut Replica, windows: &[WindowClaim]) -> Told {
    for _ in 0..100 {
        let told = replica.say(windows).await;
        if !told.recovering {
            return told;
        }
        pass(Duration::from_millis(50)).await;
    }
    panic!("it recovers for more than 5 s");
}

#[tokio::test]
async fn a_new_account_waits_for_nothing_but_a_new_server() {
    let server = Server::start();
    let day = || window(today(), 10).wish(2);
    let mut a = replica(&server, "a").await;
    // Somebody may have used it up on the server before this one.
    let told = a.say(&[day()]).await;
    assert!(told.recovering);
    assert!(!told.lost);
    assert_eq!(told.windows[0].requests(), (0, 0, 0, 0));
    let told = recovered(&mut a, &[day()]).await;
    assert_eq!(told.windows[0].requests(), (2, 0, 0, 0));

    a.account = "another".to_owned();
    a.acked = None;
    let told = a.say(&[day()]).await;
    assert!(!told.recovering);
    assert_eq!(told.windows[0].requests(), (2, 0, 0, 0));
}

#[tokio::test]
async fn a_server_that_comes_back_empty_is_told_everything_again() {
    let mut server = Server::start();
    let day = || window(today(), 20);
    let mut a = Replica::new(&server, "a").await;
    let mut b = Replica::new(&server, "b").await;
    let mut dead = Replica::with(&server, "dead", Duration::from_millis(100), SHORT).await;
    dead.tell(day().used(4).wish(2)).await;
    recovered(&mut dead, &[day().used(4).wish(2)]).await;
    drop(dead);
    pass(Duration::from_millis(200)).await;
    a.tell(day().used(3).wish(2)).await;
    b.tell(day().used(1).held(1)).await;
    let backup = b.client.backup(&[ACCOUNT]).await.unwrap().remove(0);
    server.kill();

    for replica in [&mut a, &mut b] {
        let claim = replica.claim(&[day()]);
        let error = replica.client.exchange(&[claim]).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        assert!(!replica.client.is_connected());
        assert!(replica.client.connect().await.is_err());
    }
    server.start_again();
    let mut a = Replica {
        client: replica(&server, "a").await.client,
        ..a
    };
    let mut b = Replica {
        client: replica(&server, "b").await.client,
        ..b
    };

    // A claim of what changed is not enough any more.
    let claim = a.claim(&[day().wish(9)]);
    let told = a.send(&claim).await;
    assert!(told.lost && told.recovering);
    assert_eq!(told.windows[0].requests(), (0, 0, 0, 0));
    let told = a.say_whole(&[day().used(4).held(1).wish(9)]).await;
    assert!(!told.lost && told.recovering);
    assert_eq!(told.windows[0].requests(), (0, 0, 0, 0));

    // A replica that is new grants itself nothing either.
    let mut new = replica(&server, "new").await;
    let told = new.say(&[day().wish(9)]).await;
    assert!(told.recovering);
    assert_eq!(told.windows[0].requests(), (0, 4, 1, 0));

    // The backup has an older claim of `a`, which is passed over, and that of `b` and of the dead.
    let restored = b.client.restore(&[(ACCOUNT, &backup)]).await.unwrap();
    assert_eq!(restored, [2]);
    let restored = b.client.restore(&[(ACCOUNT, &backup)]).await.unwrap();
    assert_eq!(restored, [0]);
    let claim = b.claim(&[day()]);
    assert!(!b.send(&claim).await.lost, "what it said was put back");
    let told = b.say_whole(&[day().used(2)]).await;
    assert_eq!(told.windows[0].requests(), (0, 4 + 6, 1, 0));

    let told = recovered(&mut new, &[day().wish(20)]).await;
    assert_eq!(told.windows[0].requests(), (7, 4 + 6 + 2, 1, 0));
}

#[tokio::test]
async fn who_comes_late_to_an_empty_server_stops_the_others() {
    let mut server = Server::start();
    let day = || window(today(), 20);
    let mut a = Replica::new(&server, "a").await;
    a.tell(day().used(15).wish(2)).await;
    server.kill();
    server.start_again();
    let mut new = replica(&server, "new").await;
    let told = recovered(&mut new, &[day().wish(3)]).await;
    assert_eq!(told.windows[0].requests(), (3, 0, 0, 0));

    let mut a = Replica {
        client: replica(&server, "a").await.client,
        ..a
    };
    let claim = a.claim(&[day().wish(1)]);
    assert!(a.send(&claim).await.lost);
    // What was granted meanwhile is kept, but not more.
    let told = new.say(&[day().used(1).wish(9)]).await;
    assert!(told.recovering);
    assert_eq!(told.windows[0].requests(), (2, 0, 0, 0));
    a.say_whole(&[day().used(15).held(2)]).await;
    let told = recovered(&mut new, &[day().used(1).wish(9)]).await;
    assert_eq!(told.windows[0].requests(), (2, 15, 2, 0));
}

#[tokio::test]
async fn flushed_data_are_noticed_on_the_same_server() {
    let server = Server::start();
    let day = || window(today(), 20);
    let mut a = replica(&server, "a").await;
    let mut b = replica(&server, "b").await;
    recovered(&mut a, &[day().used(3).wish(2)]).await;
    b.tell(day().used(4)).await;
    let _: () = server.ask(&["FLUSHALL"]).await;

    let claim = a.claim(&[day().wish(9)]);
    assert!(a.send(&claim).await.lost);
    let told = a.say_whole(&[day().used(3).wish(9)]).await;
    assert!(told.recovering && !told.lost);
    assert_eq!(told.windows[0].requests(), (0, 0, 0, 0));
    let claim = b.claim(&[day()]);
    assert!(b.send(&claim).await.lost);
    b.say_whole(&[day().used(4)]).await;
    let told = recovered(&mut a, &[day().wish(20)]).await;
    assert_eq!(told.windows[0].requests(), (13, 4, 0, 0));
}

#[tokio::test]
async fn a_server_that_kept_its_data_grants_nothing_more_for_the_grace_time() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let day = || window(today(), 20);
    let mut a = Replica::new(&server, "a").await;
    let mut b = Replica::new(&server, "b").await;
    a.tell(day().used(3).wish(5)).await;
    b.tell(day().used(4).held(2)).await;
    server.kill();
    server.start_again();
    let mut a = Replica {
        client: replica(&server, "a").await.client,
        ..a
    };
    let mut b = Replica {
        client: replica(&server, "b").await.client,
        ..b
    };

    // One of the credit is spent, another one is asked for in vain.
    let told = a.say(&[day().used(4).wish(5)]).await;
    assert!(told.recovering && !told.lost);
    assert_eq!(told.windows[0].requests(), (4, 4, 2, 0));
    let told = b.say(&[day().held(1).wish(5)]).await;
    assert!(told.recovering && !told.lost);
    // It gave one back, which is room it had.
    assert_eq!(told.windows[0].requests(), (1, 4, 0, 4));
    let told = recovered(&mut b, &[day().wish(20)]).await;
    assert_eq!(told.windows[0].requests(), (8, 4, 0, 4));
}

#[tokio::test]
async fn data_older_than_what_was_acknowledged_are_noticed() {
    let server = Server::start();
    let day = || window(today(), 20);
    let mut a = Replica::new(&server, "a").await;
    let mut b = Replica::new(&server, "b").await;
    a.tell(day().used(3)).await;
    let old = b.client.backup(&[ACCOUNT]).await.unwrap().remove(0);
    a.tell(day().used(5).wish(4)).await;
    let _: () = server.ask(&["FLUSHALL"]).await;
    b.client.restore(&[(ACCOUNT, &old)]).await.unwrap();
    assert_eq!(b.tell(day()).await.requests(), (0, 3, 0, 0));

    let claim = a.claim(&[day().wish(4)]);
    let told = a.send(&claim).await;
    assert!(told.lost);
    assert_eq!(told.acked.version, 1);
    a.say_whole(&[day().used(6)]).await;
    assert_eq!(b.tell(day()).await.requests(), (0, 6, 0, 0));
}

#[tokio::test]
async fn a_backup_has_every_kind_of_window() {
    let server = Server::start();
    let kinds = [
        today(),
        Kind::Rolling {
            every_ms: 3_600_000,
            slot_ms: 60_000,
        },
        Kind::Forever {
            start: UnixMillis(0),
        },
        Kind::Slots,
    ];
    let claims = |used| -> Vec<WindowClaim> {
        let windows = kinds.iter().enumerate();
        windows
            .map(|(n, kind)| {
                let of = WindowClaim {
                    id: format!("{n}"),
                    ..window(*kind, 20).held(2).wish(3)
                };
                match kind {
                    Kind::Rolling { .. } => of.used_at(now(), used),
                    Kind::Slots => of,
                    _ => of.used(used),
                }
            })
            .collect()
    };
    let mut a = Replica::with(&server, "a", Duration::from_millis(200), Duration::ZERO).await;
    let mut b = Replica::new(&server, "b").await;
    let mut c = Replica::new(&server, "c").await;
    a.say(&claims(5)).await;
    c.say(&claims(1)).await;
    pass(Duration::from_millis(400)).await;
    let before = b.say(&claims(0)).await;
    assert_eq!(before.windows[0].requests(), (3, 5 + 3 + 1, 2, 3));
    let backup = b.client.backup(&[ACCOUNT, "unknown"]).await.unwrap();
    assert_eq!(backup[1], Backup::default());
    let _: () = server.ask(&["FLUSHALL"]).await;
    let back = [(ACCOUNT, &backup[0]), ("unknown", &backup[1])];
    assert_eq!(b.client.restore(&back).await.unwrap(), [3, 0]);
    let after = b.say(&claims(0)).await;
    assert_eq!(before.windows, after.windows);
    assert_eq!(before.replicas, after.replicas);
    for key in server.ask::<Vec<String>>(&["KEYS", "*"]).await {
        assert!(server.ask::<i64>(&["PTTL", &key]).await > 0, "{key}");
    }
    // The dead one returns, and its credit is taken back.
    a.say(&claims(5)).await;
    let told = b.say(&claims(0)).await;
    assert_eq!(told.windows[0].requests(), (3, 6, 4, 5));
}
