//! What is forgotten, and when.

use super::*;

#[tokio::test]
async fn a_rolling_window_gives_back_slot_by_slot() {
    let server = Server::start();
    let mut a = Replica::new(&server, "a").await;
    let mut b = Replica::new(&server, "b").await;
    let (every_ms, slot_ms) = (600, 100);
    let rolling = || window(Kind::Rolling { every_ms, slot_ms }, 10);
    let slot_of = |time: UnixMillis| UnixMillis(time.0 / 100 * 100);
    let first = slot_of(a.say(&[rolling()]).await.time);
    a.tell(rolling().used_at(first, 4)).await;
    assert_eq!(b.tell(rolling().wish(10)).await.requests(), (6, 4, 0, 0));
    b.tell(rolling()).await;
    pass(Duration::from_millis(250)).await;
    let second = slot_of(a.say(&[rolling()]).await.time);
    assert!(second.0 > first.0);
    a.tell(rolling().used_at(second, 3)).await;

    // Each slot counts until it has been over for the length of the window, and not longer.
    let end = |slot: UnixMillis| slot.0 + 700;
    loop {
        let told = b.say(&[rolling().wish(10)]).await;
        let used: u64 = [(first, 4), (second, 3)]
            .iter()
            .filter(|(slot, _)| told.time.0 < end(*slot))
            .map(|(_, used)| used)
            .sum();
        assert_eq!(told.windows[0].requests(), (10 - used, used, 0, 0));
        if used == 0 {
            break;
        }
        pass(Duration::from_millis(10)).await;
    }
    // What is said of a slot that is forgotten is forgotten as well.
    a.tell(rolling().used_at(first, 9)).await;
    assert_eq!(b.tell(rolling().wish(10)).await.requests(), (10, 0, 0, 0));
    assert_eq!(a.tell(rolling()).await.requests(), (0, 0, 0, 10));
}

#[tokio::test]
async fn nothing_is_granted_in_a_period_that_is_not_the_present_one() {
    let server = Server::start();
    let mut a = Replica::new(&server, "a").await;
    let mut b = Replica::new(&server, "b").await;
    let present = now().0;
    let over = Kind::Fixed {
        start: UnixMillis(present - 2 * DAY),
        end: UnixMillis(present - DAY),
    };
    let yet = Kind::Fixed {
        start: UnixMillis(present + DAY),
        end: UnixMillis(present + 2 * DAY),
    };
    for kind in [over, yet] {
        let told = a.tell(window(kind, 10).used(4).held(2).wish(3)).await;
        assert!(told.stale);
        assert_eq!(told.requests(), (0, 0, 0, 0));
        // What was used there is known to those who ask for it.
        let told = b.tell(window(kind, 10).wish(3)).await;
        assert!(told.stale);
        assert_eq!(told.requests(), (0, 4, 2, 0));
    }
    let told = b.tell(window(today(), 10).wish(30)).await;
    assert!(!told.stale);
    assert_eq!(told.requests(), (10, 0, 0, 0));
}

#[tokio::test]
async fn a_new_period_begins_empty_and_the_old_one_still_settles() {
    let server = Server::start();
    let mut a = Replica::new(&server, "a").await;
    let mut b = Replica::new(&server, "b").await;
    let begins = now().0 + 400;
    let period = |start, end| Kind::Fixed {
        start: UnixMillis(start),
        end: UnixMillis(end),
    };
    let old = || window(period(begins - DAY, begins), 10);
    let new = || window(period(begins, begins + DAY), 10);
    a.tell(old().used(3).held(2).wish(4)).await;
    assert_eq!(b.tell(old().wish(9)).await.requests(), (1, 3, 2, 4));
    while b.say(&[new()]).await.windows[0].stale {
        pass(Duration::from_millis(20)).await;
    }
    // Neither what it used there nor what it holds there counts here.
    assert_eq!(b.tell(new().wish(9)).await.requests(), (9, 0, 0, 0));
    let before = UnixMillis(begins - DAY);
    let told = a.tell(new().used_at(before, 5).used(1).wish(9)).await;
    assert_eq!(told.requests(), (0, 0, 0, 9));
    assert_eq!(b.tell(new().wish(10)).await.requests(), (9, 1, 0, 0));
    assert_eq!(b.tell(old()).await.requests(), (0, 5, 0, 0));

    // One period is kept, and those before it are not: not even what is said of them later.
    let older = UnixMillis(begins - 2 * DAY);
    a.tell(new().used_at(older, 7)).await;
    let older = window(period(begins - 2 * DAY, begins - DAY), 10);
    assert_eq!(b.tell(older).await.requests(), (0, 0, 0, 0));
}

#[tokio::test]
async fn no_key_stays_for_ever() {
    let server = Server::start();
    let mut a = Replica::new(&server, "a").await;
    let forever = Kind::Forever {
        start: UnixMillis(0),
    };
    let minute = Kind::Rolling {
        every_ms: 60_000,
        slot_ms: 1_000,
    };
    for (kind, days) in [(Kind::Slots, 1), (minute, 1), (today(), 1), (forever, 400)] {
        a.account = format!("{kind:?}");
        let told = a.say(&[window(kind, 10).held(1)]).await;
        a.acked = None;
        // The hash of usage is made after the keys' expiry was set.
        let used = match kind {
            Kind::Rolling { .. } => window(kind, 10).used_at(told.time, 1),
            Kind::Slots => window(kind, 10),
            _ => window(kind, 10).used(1),
        };
        a.say(&[used]).await;
        a.acked = None;
        assert!(told.acked.until.0 - told.time.0 >= days * DAY - 60_000);
    }
    let keys: Vec<String> = server.ask(&["KEYS", "*"]).await;
    assert_eq!(keys.len(), 7, "{keys:?}");
    for key in keys {
        let left: i64 = server.ask(&["PTTL", &key]).await;
        assert!(
            (1..=401 * DAY).contains(&left),
            "{key} expires in {left} ms"
        );
    }
}

#[tokio::test]
async fn what_expired_in_its_time_is_no_loss() {
    let server = Server::start();
    let mut a = Replica::with(&server, "a", LEASE, Duration::ZERO).await;
    let told = a.say(&[window(today(), 10).used(3)]).await;
    let _: () = server.ask(&["FLUSHALL"]).await;
    a.acked = Some(Acked {
        until: told.time,
        ..told.acked
    });
    let told = a.say(&[window(today(), 10).wish(3)]).await;
    assert!(!told.recovering);
    assert_eq!(told.windows[0].requests(), (3, 0, 0, 0));
}
