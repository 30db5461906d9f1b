//! Who is granted how much.

use super::*;

#[tokio::test]
async fn what_one_was_granted_another_is_not() {
    let server = Server::start();
    let mut a = Replica::new(&server, "a").await;
    let mut b = Replica::new(&server, "b").await;
    let day = || window(today(), 10);

    assert_eq!(a.tell(day().wish(6)).await.requests(), (6, 0, 0, 0));
    assert_eq!(b.tell(day().wish(6)).await.requests(), (4, 0, 0, 6));
    // Spent credit is not credit any more, and what is not wished again comes back.
    assert_eq!(a.tell(day().used(2).held(1)).await.requests(), (0, 0, 0, 4));
    let told = b.say(&[day().wish(10)]).await;
    assert_eq!(told.windows[0].requests(), (7, 2, 1, 0));
    assert_eq!(told.windows[0].others_in_flight, 1);
    assert_eq!(told.replicas, 2);
    assert!(!told.recovering);
}

#[tokio::test]
async fn what_has_happened_is_counted_even_over_the_cap() {
    let server = Server::start();
    let mut a = Replica::new(&server, "a").await;
    let mut b = Replica::new(&server, "b").await;
    let day = || window(today(), 10);
    a.tell(day().used(8).held(8)).await;
    assert_eq!(b.tell(day().used(3).wish(1)).await.requests(), (0, 8, 8, 0));
    assert_eq!(a.tell(day().wish(1)).await.requests(), (0, 3, 0, 0));
}

#[tokio::test]
async fn each_unit_has_its_own_room_and_one_without_a_cap_has_all() {
    let server = Server::start();
    let mut a = Replica::new(&server, "a").await;
    let mut b = Replica::new(&server, "b").await;
    let day = |wish| WindowClaim {
        caps: [Some(10), Some(1000), None, Some(0)],
        wish,
        ..window(today(), 0)
    };
    let told = a.tell(day([3, 5000, 7, 1])).await;
    assert_eq!(told.granted, [3, 1000, 7, 0]);
    let told = b.tell(day([8, 1, u64::MAX, 1])).await;
    assert_eq!(told.granted, [7, 0, 1 << 53, 0]);
    assert_eq!(told.others_credit, [3, 1000, 0, 0]);
}

#[tokio::test]
async fn accounts_and_windows_are_apart() {
    let server = Server::start();
    let mut a = Replica::new(&server, "a").await;
    let mut b = Replica::new(&server, "b").await;
    let day = window(today(), 10).wish(10);
    let minute = WindowClaim {
        id: "minute".to_owned(),
        kind: Kind::Rolling {
            every_ms: 60_000,
            slot_ms: 1_000,
        },
        ..day.clone()
    };
    let told = a.say(&[day.clone(), minute.clone()]).await;
    let granted: Vec<_> = told.windows.iter().map(WindowTold::requests).collect();
    assert_eq!(granted, [(10, 0, 0, 0), (10, 0, 0, 0)]);
    b.account = "gpt-5/other".to_owned();
    assert_eq!(b.tell(day.clone()).await.requests(), (10, 0, 0, 0));
    b.account = ACCOUNT.to_owned();
    b.acked = None;
    assert_eq!(b.tell(minute).await.requests(), (0, 0, 0, 10));
}

#[tokio::test]
async fn many_claims_are_one_exchange() {
    let server = Server::start();
    let mut a = Replica::new(&server, "a").await;
    let claims: Vec<Claim> = (0..50)
        .map(|n| Claim {
            account: format!("model/{n}"),
            ..a.claim(&[window(today(), n).wish(100)])
        })
        .collect();
    let told = a.client.exchange(&claims).await.unwrap();
    let granted: Vec<u64> = told.iter().map(|told| told.windows[0].granted[0]).collect();
    assert_eq!(granted, (0..50).collect::<Vec<u64>>());
    assert_eq!(a.client.exchange(&[]).await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_repeated_claim_counts_once_and_is_told_the_same() {
    let server = Server::start();
    let mut a = Replica::new(&server, "a").await;
    let mut b = Replica::new(&server, "b").await;
    let day = || window(today(), 10);
    let claim = a.claim(&[day().used(2).held(1).wish(4)]);
    let first = a.send(&claim).await;
    let second = a.send(&claim).await;
    assert_eq!(first.windows, second.windows);
    assert_eq!(first.acked.version, second.acked.version);
    assert_eq!(b.tell(day()).await.requests(), (0, 2, 1, 4));
}

#[tokio::test]
async fn a_late_claim_changes_nothing() {
    let server = Server::start();
    let mut a = Replica::new(&server, "a").await;
    let mut b = Replica::new(&server, "b").await;
    let day = || window(today(), 10);
    let late = a.claim(&[day().used(1).held(5).wish(4)]);
    a.tell(day().used(3).held(2).wish(1)).await;
    let told = a.send(&late).await;
    assert_eq!(told.acked.version, 2);
    assert_eq!(told.windows[0].requests(), (1, 0, 0, 0));
    assert_eq!(b.tell(day()).await.requests(), (0, 3, 2, 1));
}

#[tokio::test]
async fn requests_at_once_are_held_and_never_used() {
    let server = Server::start();
    let mut a = Replica::new(&server, "a").await;
    let mut b = Replica::new(&server, "b").await;
    let slots = || window(Kind::Slots, 5);
    assert_eq!(
        a.tell(slots().held(2).wish(2)).await.requests(),
        (2, 0, 0, 0)
    );
    assert_eq!(b.tell(slots().wish(2)).await.requests(), (1, 0, 2, 2));
    assert_eq!(a.tell(slots()).await.requests(), (0, 0, 0, 1));
    assert_eq!(b.tell(slots().wish(9)).await.requests(), (5, 0, 0, 0));
}

/// What one replica of the model has of one window.
#[derive(Clone, Copy, Default)]
struct Share {
    used: u64,
    held: u64,
    credit: u64,
}

impl Share {
    fn all(self) -> u64 {
        self.used + self.held + self.credit
    }
}

/// Three replicas spend at random what they are granted, in windows of three kinds; sometimes a claim is
/// repeated or comes late. Redis must say exactly what the model says, and the caps hold at every moment.
#[tokio::test]
async fn random_claims_never_go_over_a_cap_and_reach_it() {
    const CAPS: [u64; 3] = [60, 90, 120];
    let server = Server::start();
    for seed in 0..8 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut replicas = Vec::new();
        for id in ["a", "b", "c"] {
            let mut replica = Replica::new(&server, id).await;
            replica.account = format!("seed/{seed}");
            replicas.push(replica);
        }
        let kinds = [
            today(),
            Kind::Rolling {
                every_ms: 3_600_000,
                slot_ms: 60_000,
            },
            Kind::Forever {
                start: UnixMillis(0),
            },
        ];
        let starts = kinds.map(|kind| match kind {
            Kind::Fixed { start, .. } | Kind::Forever { start } => start,
            _ => UnixMillis(now().0 / 60_000 * 60_000),
        });
        let mut shares = [[Share::default(); 3]; 3];
        let mut late: Vec<Option<Claim>> = vec![None; 3];
        for step in 0..300 {
            let who = random.usize(0..3);
            for share in &mut shares[who] {
                let taken = random.u64(0..=share.credit);
                share.credit -= taken;
                share.held += taken;
                let settled = random.u64(0..=share.held);
                share.held -= settled;
                share.used += random.u64(0..=settled);
            }
            let wishes: [u64; 3] = std::array::from_fn(|_| random.u64(0..20));
            let windows: Vec<WindowClaim> = (0..3)
                .map(|n| WindowClaim {
                    id: format!("window {n}"),
                    ..window(kinds[n], CAPS[n])
                        .used_at(starts[n], shares[who][n].used)
                        .held(shares[who][n].held)
                        .wish(wishes[n])
                })
                .collect();
            let claim = replicas[who].claim(&windows);
            let told = replicas[who].send(&claim).await;
            for n in 0..3 {
                let others = || (0..3).filter(|other| *other != who);
                let sum = |of: fn(&Share) -> u64| others().map(|at| of(&shares[at][n])).sum();
                let mine = shares[who][n];
                let taken: u64 = sum(|share| share.all()) + mine.used + mine.held;
                let granted = wishes[n].min(CAPS[n] - taken);
                let expected = (
                    granted,
                    sum(|share| share.used),
                    sum(|share| share.held),
                    sum(|share| share.credit),
                );
                assert_eq!(
                    told.windows[n].requests(),
                    expected,
                    "seed {seed}, step {step}, window {n}"
                );
                shares[who][n].credit = granted;
                let all: u64 = shares.iter().map(|of| of[n].all()).sum();
                assert!(all <= CAPS[n], "seed {seed}, step {step}, window {n}");
            }
            if random.u8(0..4) == 0 {
                let again = replicas[who].send(&claim).await;
                assert_eq!(told.windows, again.windows, "seed {seed}, step {step}");
            }
            if random.u8(0..4) == 0
                && let Some(late) = &late[who]
            {
                let told = replicas[who].send(late).await;
                assert_eq!(told.acked.version, claim.version);
            }
            late[who] = Some(claim);
        }
        // What the others do not want is there for one.
        for (who, wish) in [(0, 0), (1, 0), (2, 1000), (0, 1)] {
            let windows: Vec<WindowClaim> = (0..3)
                .map(|n| WindowClaim {
                    id: format!("window {n}"),
                    ..window(kinds[n], CAPS[n])
                        .used_at(starts[n], shares[who][n].used)
                        .wish(wish)
                })
                .collect();
            let told = replicas[who].say(&windows).await;
            for (share, told) in shares[who].iter_mut().zip(&told.windows) {
                share.held = 0;
                share.credit = told.granted[0];
            }
        }
        for (n, cap) in CAPS.into_iter().enumerate() {
            let all: u64 = shares.iter().map(|of| of[n].all()).sum();
            assert_eq!(all, cap, "seed {seed}, window {n}");
        }
    }
}
