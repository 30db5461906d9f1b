//! Shared counters against a server in a few lines: whatever is lost, late or dead, the sum is never over.

use std::time::Duration;

use proptest::prelude::*;

use super::{NOW, cron};
use crate::clock::UnixMillis;
use crate::quota::ledger::{Hold, Ledger, Terms};
use crate::quota::limit::{Cost, Cycle, Lack, Limits, PerUnit, Window};
use crate::quota::shared::{Acked, Claim, Told, WindowTold};

const REQUESTS: u64 = 6;
const TOKENS: u64 = 200;
const GATEWAYS: usize = 3;
const ESTIMATE_MAX: u64 = 40;

fn limits() -> Limits {
    let window = Window {
        id: "day".into(),
        caps: PerUnit([Some(REQUESTS), Some(TOKENS), None, None]),
        cycle: cron("0 0 * * *"),
    };
    Limits::new(vec![window], None)
}

/// What the server knows of one gateway.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    used: [u64; 4],
    held: [u64; 4],
    credit: [u64; 4],
    in_flight: u64,
    dead: bool,
}

impl Record {
    /// What nobody else may use.
    fn taken(&self, unit: usize) -> u64 {
        let held = if self.dead { 0 } else { self.held[unit] };
        self.used[unit] + held + self.credit[unit]
    }
}

/// The server: what the script does, for one window of which everybody is in the same period.
#[derive(Default)]
struct Server(Vec<Record>);

impl Server {
    fn exchange(&mut self, who: usize, claim: &Claim) -> Told {
        let window = &claim.windows[0];
        let used = window.used.last().map_or([0; 4], |(_, used)| *used);
        let others: Vec<Record> = self
            .0
            .iter()
            .enumerate()
            .filter_map(|(number, record)| (number != who).then_some(*record))
            .collect();
        let mut granted = window.wish;
        for unit in 0..4 {
            if let Some(cap) = window.caps[unit] {
                let taken: u64 = others.iter().map(|other| other.taken(unit)).sum();
                let left = cap
                    .saturating_sub(taken)
                    .saturating_sub(used[unit] + window.held[unit]);
                granted[unit] = granted[unit].min(left);
            }
        }
        self.0[who] = Record {
            used,
            held: window.held,
            credit: granted,
            in_flight: window.in_flight,
            dead: false,
        };
        let sum = |of: &dyn Fn(&Record, usize) -> u64| -> [u64; 4] {
            std::array::from_fn(|unit| others.iter().map(|other| of(other, unit)).sum())
        };
        let alive = |other: &Record| !other.dead;
        Told {
            time: NOW,
            acked: Acked {
                version: claim.version,
                until: UnixMillis(i64::MAX),
            },
            replicas: others.iter().filter(|other| alive(other)).count() as u64 + 1,
            recovering: false,
            lost: false,
            windows: vec![WindowTold {
                stale: false,
                granted,
                others_used: sum(&|other, unit| {
                    other.used[unit] + if other.dead { other.credit[unit] } else { 0 }
                }),
                others_held: sum(&|other, unit| if other.dead { 0 } else { other.held[unit] }),
                others_credit: sum(&|other, unit| if other.dead { 0 } else { other.credit[unit] }),
                others_in_flight: others
                    .iter()
                    .filter(|o| alive(o))
                    .map(|o| o.in_flight)
                    .sum(),
            }],
        }
    }
}

/// A request of a gateway, and whether its answer was released.
struct Made {
    hold: Hold,
    estimate: u64,
    /// The claim that has to be answered before it is released.
    heard_by: Option<u64>,
    committed: bool,
}

struct Gateway {
    ledger: Ledger,
    made: Vec<Made>,
    /// A claim that is on its way, and its answer once the server has seen it.
    on_the_way: Option<(Claim, Option<Told>)>,
    /// What clients have got that are served.
    released: (u64, u64),
    dead: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Ask(usize, u64),
    Commit(usize, usize),
    Settle(usize, usize, u64),
    Drop(usize, usize),
    Claim(usize),
    Arrive(usize),
    Answer(usize),
    LoseIt(usize),
    Die(usize),
    Wait(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..GATEWAYS;
    prop_oneof![
        12 => (who.clone(), 0..=ESTIMATE_MAX).prop_map(|(who, tokens)| Step::Ask(who, tokens)),
        8 => (who.clone(), 0_usize..6).prop_map(|(who, i)| Step::Commit(who, i)),
        5 => (who.clone(), 0_usize..6, 0_u64..40).prop_map(|(who, i, t)| Step::Settle(who, i, t)),
        3 => (who.clone(), 0_usize..6).prop_map(|(who, i)| Step::Drop(who, i)),
        8 => who.clone().prop_map(Step::Claim),
        8 => who.clone().prop_map(Step::Arrive),
        8 => who.clone().prop_map(Step::Answer),
        1 => who.clone().prop_map(Step::LoseIt),
        1 => who.prop_map(Step::Die),
        4 => (0_u8..100).prop_map(Step::Wait),
    ]
}

impl Gateway {
    fn new(serves_alone: bool) -> Gateway {
        let mut ledger = Ledger::new(|| 0, limits(), NOW);
        let terms = Terms {
            ahead: Duration::from_millis(if serves_alone { 2000 } else { 100 }),
            serves_alone,
            lease: Duration::from_secs(15),
        };
        ledger.share("m/a".to_owned(), 0, terms);
        Gateway {
            ledger,
            made: Vec::new(),
            on_the_way: None,
            released: (0, 0),
            dead: false,
        }
    }

    /// Releases what may be released by now.
    fn release(&mut self) {
        for made in self.made.iter_mut().filter(|made| made.committed) {
            if made
                .heard_by
                .is_some_and(|version| self.ledger.has_heard(version))
            {
                made.heard_by = None;
                self.released.0 += 1;
            }
        }
    }

    /// What it has sent that counts, if it lives.
    fn requests(&self) -> u64 {
        let held = self.made.iter().filter(|made| !made.committed).count() as u64;
        self.ledger.standing_own().0 + held
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn the_sum_of_all_gateways_is_never_over(
        serves_alone in any::<bool>(),
        steps in prop::collection::vec(step(), 1..400),
    ) {
        let mut gateways: Vec<Gateway> = (0..GATEWAYS).map(|_| Gateway::new(serves_alone)).collect();
        let mut server = Server(vec![Record::default(); GATEWAYS]);
        let mut now = NOW;
        for step in steps {
            let (Step::Ask(who, _) | Step::Commit(who, _) | Step::Settle(who, ..) | Step::Drop(who, _)
                | Step::Claim(who) | Step::Arrive(who) | Step::Answer(who) | Step::LoseIt(who)
                | Step::Die(who)) = step else {
                if let Step::Wait(millis) = step {
                    now = UnixMillis(now.0 + i64::from(millis));
                }
                continue;
            };
            let gateway = &mut gateways[who];
            if gateway.dead {
                continue;
            }
            match step {
                Step::Ask(_, tokens) => {
                    let cost = Cost::from(tokens);
                    match gateway.ledger.admit(cost, now) {
                        Ok(()) => {
                            let hold = gateway.ledger.take(cost);
                            gateway.made.push(Made { hold, estimate: tokens, heard_by: None, committed: false });
                        }
                        Err(_) => drop(gateway.ledger.want(cost.of_one())),
                    }
                }
                Step::Commit(_, i) => {
                    if let Some(made) = gateway.made.iter_mut().filter(|made| !made.committed).nth(i) {
                        let counting = gateway.ledger.commit(&mut made.hold, now);
                        made.committed = true;
                        made.heard_by = counting.heard_by;
                        if made.heard_by.is_none() {
                            gateway.released.0 += 1;
                        }
                    }
                }
                // No more than was estimated: what is more is beyond anybody's power.
                Step::Settle(_, i, tokens) => if i < gateway.made.len() && gateway.made[i].committed
                    && gateway.made[i].heard_by.is_none()
                {
                    let made = gateway.made.swap_remove(i);
                    let tokens = tokens.min(made.estimate);
                    gateway.ledger.settle(&made.hold, Cost::from(tokens), now);
                },
                Step::Drop(_, i) => if i < gateway.made.len() && !gateway.made[i].committed {
                    let made = gateway.made.swap_remove(i);
                    gateway.ledger.end(&made.hold);
                },
                Step::Claim(_) => if gateway.on_the_way.is_none() {
                    gateway.on_the_way = gateway.ledger.claim(now).map(|claim| (claim, None));
                },
                Step::Arrive(_) => if let Some((claim, told @ None)) = &mut gateway.on_the_way {
                    *told = Some(server.exchange(who, claim));
                },
                Step::Answer(_) => if let Some((_, Some(told))) = &gateway.on_the_way {
                    gateway.ledger.told(told, now);
                    gateway.on_the_way = None;
                },
                // Whether it had arrived or not, there is no answer.
                Step::LoseIt(_) => if gateway.on_the_way.take().is_some() {
                    gateway.ledger.claim_failed();
                },
                Step::Die(_) => {
                    gateway.dead = true;
                    server.0[who].dead = true;
                }
                Step::Wait(_) => {}
            }
            gateway.release();
            let requests: u64 = gateways
                .iter()
                .map(|gateway| match gateway.dead {
                    true => gateway.released.0,
                    false => gateway.requests(),
                })
                .sum();
            prop_assert!(requests <= REQUESTS, "{} requests", requests);
            for unit in 0..2 {
                let taken: u64 = server.0.iter().map(|record| record.taken(unit)).sum();
                // Who is alone may start with an estimate that is too large for what is left.
                let most = [REQUESTS, TOKENS + ESTIMATE_MAX][unit];
                prop_assert!(taken <= most, "{} of unit {}", taken, unit);
            }
        }
    }
}

#[test]
fn what_one_leaves_another_can_have_to_the_last() {
    let mut gateways: Vec<Gateway> = (0..GATEWAYS).map(|_| Gateway::new(false)).collect();
    let mut server = Server(vec![Record::default(); GATEWAYS]);
    let mut now = NOW;
    let mut served = 0;
    for round in 0..400 {
        now = UnixMillis(now.0 + 60);
        let who = round % GATEWAYS;
        let ledger = &mut gateways[who].ledger;
        let cost = Cost::from(1);
        if ledger
            .admit(cost, now)
            .is_err_and(|e| e.lack == Lack::Lease)
        {
            // As whoever waits for room does it.
            ledger.want(cost.of_one());
            if let Some(claim) = ledger.claim(now) {
                ledger.told(&server.exchange(who, &claim), now);
            }
        }
        if ledger.admit(cost, now).is_ok() {
            let mut hold = ledger.take(cost);
            ledger.commit(&mut hold, now);
            ledger.settle(&hold, cost, now);
            served += 1;
        }
        for (who, gateway) in gateways.iter_mut().enumerate() {
            if gateway.ledger.is_due(now)
                && let Some(claim) = gateway.ledger.claim(now)
            {
                gateway.ledger.told(&server.exchange(who, &claim), now);
            }
        }
    }
    assert_eq!(served, REQUESTS);
}

fn rolling() -> Limits {
    let window = Window {
        id: "minute".into(),
        caps: PerUnit([None, Some(1_000), None, None]),
        cycle: Cycle::Rolling(Duration::from_secs(60)),
    };
    Limits::new(vec![window], None)
}

fn shared(limits: Limits, now: UnixMillis) -> Ledger {
    let mut ledger = Ledger::new(|| 0, limits, now);
    let terms = Terms {
        ahead: Duration::ZERO,
        serves_alone: false,
        lease: Duration::from_secs(10),
    };
    ledger.share("m/a".to_owned(), 0, terms);
    ledger
}

#[test]
fn an_answer_longer_than_its_window_gives_no_credit_back() {
    let mut server = Server(vec![Record::default()]);
    let mut ledger = shared(rolling(), NOW);
    let mut ask = |ledger: &mut Ledger, tokens, now| {
        ledger.want(PerUnit([1, tokens, 0, 0]));
        let claim = ledger.claim(now).unwrap();
        let told = server.exchange(0, &claim);
        ledger.told(&told, now);
    };
    let estimate = Cost::from(900);
    ask(&mut ledger, 900, NOW);
    ledger.admit(estimate, NOW).unwrap();
    let mut hold = ledger.take(estimate);
    ledger.commit(&mut hold, NOW);
    let late = NOW.after(Duration::from_secs(70));
    ledger.roll(late);
    // All that is there now is granted.
    ask(&mut ledger, 1_000, late);
    assert!(ledger.admit(Cost::from(1_000), late).is_ok());
    let _other = ledger.take(Cost::from(1_000));
    ledger.settle(&hold, Cost::from(10), late);
    assert!(ledger.admit(Cost::from(500), late).is_err());
}

#[test]
fn a_clock_that_was_ahead_at_start_does_not_wait_for_the_others() {
    let ahead = NOW.after(Duration::from_secs(3 * 86_400));
    let mut ledger = shared(limits(), ahead);
    ledger.want(PerUnit([1, 1, 1, 0]));
    let claim = ledger.claim(ahead).unwrap();
    let mut told = Server(vec![Record::default()]).exchange(0, &claim);
    told.windows[0].stale = true;
    told.windows[0].granted = [0; 4];
    ledger.told(&told, NOW);
    let today = UnixMillis(NOW.0 - NOW.0 % 86_400_000);
    assert_eq!(ledger.claim(NOW).unwrap().windows[0].used[0].0, today);
}

#[test]
fn what_was_committed_while_a_claim_was_under_way_is_not_pledged_twice() {
    let mut server = Server(vec![Record::default(); 2]);
    let mut ledger = shared(limits(), NOW);
    ledger.want(PerUnit([4, 40, 0, 0]));
    let claim = ledger.claim(NOW).unwrap();
    ledger.told(&server.exchange(0, &claim), NOW);
    let mut take = || ledger.take(Cost::from(10));
    let mut held = [take(), take()];
    let mut since = [take(), take()];
    // The claim calls all four held, and wishes for two more.
    ledger.want(PerUnit([2, 20, 0, 0]));
    let claim = ledger.claim(NOW).unwrap();
    let told = server.exchange(0, &claim);
    for hold in &mut since {
        ledger.commit(hold, NOW);
    }
    ledger.told(&told, NOW);
    // What the answer pledges is used up by those two already.
    for hold in &mut held {
        assert!(ledger.commit(hold, NOW).heard_by.is_some());
    }
}

#[test]
fn what_a_claim_under_way_calls_held_is_not_released_before_the_others_count_it() {
    let mut server = Server(vec![Record::default(); 2]);
    let mut ledger = shared(limits(), NOW);
    ledger.want(PerUnit([2, 20, 0, 0]));
    let claim = ledger.claim(NOW).unwrap();
    ledger.told(&server.exchange(0, &claim), NOW);
    let mut holds = [10, 10].map(|tokens| ledger.take(Cost::from(tokens)));
    ledger.want(PerUnit([2, 20, 0, 0]));
    // Who takes this claim gives what it calls held back to all, should this gateway end.
    assert_eq!(ledger.claim(NOW).unwrap().windows[0].held[0], 2);
    let counting = ledger.commit(&mut holds[0], NOW);
    assert!(counting.heard_by.is_some());
}

#[test]
fn an_answer_is_not_taken_for_other_windows_than_it_was_asked_for() {
    let window = |id: &str, requests, cycle| Window {
        id: id.into(),
        caps: PerUnit([Some(requests), None, None, None]),
        cycle,
    };
    let every = |secs| Cycle::Rolling(Duration::from_secs(secs));
    let (hour, minute) = (
        window("hour", 100, every(3600)),
        window("minute", 1, every(60)),
    );
    let mut ledger = shared(Limits::new(vec![hour, minute.clone()], None), NOW);
    ledger.want(PerUnit([50, 0, 0, 0]));
    let claim = ledger.claim(NOW).unwrap();
    let answer = |granted| WindowTold {
        granted: [granted, 0, 0, 0],
        ..WindowTold::default()
    };
    let told = Told {
        time: NOW,
        acked: Acked {
            version: claim.version,
            until: UnixMillis(i64::MAX),
        },
        replicas: 1,
        recovering: false,
        lost: false,
        windows: vec![answer(50), answer(1)],
    };
    // Meanwhile the hour leaves the configuration, and the minute takes its place.
    ledger.set_limits(Limits::new(vec![minute], None), || 0, NOW);
    ledger.told(&told, NOW);
    let lacking = ledger.admit(Cost::from(1), NOW).unwrap_err();
    assert_eq!(lacking.lack, Lack::Lease);
    assert!(ledger.is_urgent(), "it asks again");
}
