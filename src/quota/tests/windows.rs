//! Several windows, groups, places and crashes, against an engine that keeps every request ever made.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::gateway::Gateway;
use super::{NOW, cron};
use crate::clock::UnixMillis;
use crate::quota::{
    Account, Caps, Cost, Cycle, Exhausted, Lack, Limits, PerUnit, Reservation, Unit, Window,
};

const EVERY: i64 = 10 * 60_000;
/// One part in sixty.
const SLOT: i64 = EVERY / 60;

/// What may be changed of the limits.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    an_hour: u64,
    tokens_a_day: u64,
    in_ten_minutes: u64,
    at_once: u64,
    of_group: u64,
}

impl Numbers {
    fn limits(self) -> Limits {
        let caps = |requests, tokens| -> Caps { PerUnit([requests, tokens, None, None]) };
        let window = |id: &str, caps, cycle| Window {
            id: id.into(),
            caps,
            cycle,
        };
        let every = Duration::from_millis(EVERY.unsigned_abs());
        let windows = vec![
            window(
                "day",
                caps(None, Some(self.tokens_a_day)),
                cron("0 0 * * *"),
            ),
            window("hour", caps(Some(self.an_hour), None), cron("0 * * * *")),
            window(
                "rolling",
                caps(Some(self.in_ten_minutes), None),
                Cycle::Rolling(every),
            ),
        ];
        Limits::new(windows, Some(self.at_once))
    }

    fn of_group(self) -> Limits {
        let window = Window {
            id: Window::ONLY.into(),
            caps: PerUnit([Some(self.of_group), None, None, None]),
            cycle: cron("0 * * * *"),
        };
        Limits::new(vec![window], None)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Reserve(usize, u64),
    Commit(usize),
    Settle(usize, u64),
    Drop(usize),
    Wait(i64),
    Limit(Numbers),
    Tick,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let numbers = (0_u64..9, 0_u64..400, 0_u64..7, 0_u64..6, 0_u64..12);
    prop_oneof![
        12 => (0_usize..2, 0_u64..60).prop_map(|(who, tokens)| Step::Reserve(who, tokens)),
        8 => (0_usize..8).prop_map(Step::Commit),
        6 => (0_usize..8, 0_u64..90).prop_map(|(i, tokens)| Step::Settle(i, tokens)),
        4 => (0_usize..8).prop_map(Step::Drop),
        4 => (0_i64..20).prop_map(Step::Wait),
        1 => numbers.prop_map(|(an_hour, tokens_a_day, in_ten_minutes, at_once, of_group)| {
            Step::Limit(Numbers { an_hour, tokens_a_day, in_ten_minutes, at_once, of_group })
        }),
        2 => Just(Step::Tick),
        1 => Just(Step::Crash),
    ]
}

/// A request as one remembers it who never forgets.
struct Made {
    who: usize,
    reserved: UnixMillis,
    estimate: u64,
    /// When it was counted, and what for.
    counted: Option<(UnixMillis, u64)>,
    guard: Option<Reservation>,
    /// Whether the process that held it is gone.
    lost: bool,
}

impl Made {
    fn is_held(&self) -> bool {
        !self.lost && self.counted.is_none() && self.guard.is_some()
    }

    fn is_open(&self) -> bool {
        !self.lost && self.guard.is_some()
    }
}

#[derive(Default)]
struct Model {
    made: Vec<Made>,
}

impl Model {
    fn of(&self, who: usize) -> impl Iterator<Item = &Made> {
        self.made.iter().filter(move |made| made.who == who)
    }

    fn in_period(made: &Made, length: i64, now: UnixMillis) -> bool {
        made.reserved.0.div_euclid(length) == now.0.div_euclid(length)
    }

    /// Requests used and held in the present hour, of these.
    fn hour<'m>(made: impl Iterator<Item = &'m Made>, now: UnixMillis) -> (u64, u64) {
        let made: Vec<_> = made
            .filter(|m| Model::in_period(m, 3_600_000, now))
            .collect();
        let used = made.iter().filter(|made| made.counted.is_some()).count();
        let held = made.iter().filter(|made| made.is_held()).count();
        (used as u64, held as u64)
    }

    /// Tokens used, held, and of these used those that may come back; and whether anything is in flight.
    fn day(&self, who: usize, now: UnixMillis) -> (u64, u64, u64, bool) {
        let made: Vec<_> = self
            .of(who)
            .filter(|made| Model::in_period(made, 86_400_000, now))
            .collect();
        let used = made.iter().filter_map(|made| Some(made.counted?.1)).sum();
        let held = made
            .iter()
            .filter(|m| m.is_held())
            .map(|m| m.estimate)
            .sum();
        let open = made.iter().filter(|m| m.is_open() && m.counted.is_some());
        let unsettled = open.map(|made| made.estimate).sum();
        (
            used,
            held,
            unsettled,
            made.iter().any(|made| made.is_open()),
        )
    }

    fn rolling(&self, who: usize, now: UnixMillis) -> (u64, u64) {
        let counts = |at: UnixMillis| at.0.div_euclid(SLOT) * SLOT + SLOT + EVERY > now.0;
        let used = self
            .of(who)
            .filter(|m| m.counted.is_some_and(|(at, _)| counts(at)));
        let held = self.of(who).filter(|made| made.is_held());
        (used.count() as u64, held.count() as u64)
    }

    fn open(&self, who: usize) -> u64 {
        self.of(who).filter(|made| made.is_open()).count() as u64
    }

    fn admits(&self, who: usize, estimate: u64, limits: Numbers, now: UnixMillis) -> bool {
        let fits = |(used, held): (u64, u64), cap: u64| used + held < cap;
        let (tokens, tokens_held, _, in_flight) = self.day(who, now);
        fits(Model::hour(self.of(who), now), limits.an_hour)
            && fits(Model::hour(self.made.iter(), now), limits.of_group)
            && fits(self.rolling(who, now), limits.in_ten_minutes)
            && self.open(who) < limits.at_once
            && tokens < limits.tokens_a_day
            && (!in_flight || tokens + tokens_held + estimate <= limits.tokens_a_day)
    }

    fn nth_open(&mut self, index: usize) -> Option<&mut Made> {
        let mut open = self.made.iter_mut().filter(|made| made.is_open());
        open.nth(index)
    }
}

/// A process with two providers of one account.
struct Process {
    gateway: Gateway,
    accounts: [Arc<Account>; 2],
    group: Arc<Account>,
}

impl Process {
    fn of(gateway: Gateway, numbers: Numbers, now: UnixMillis) -> Process {
        let account = |name| gateway.quotas.account("m", name, numbers.limits(), now);
        let accounts = [account("a"), account("b")];
        let group = gateway.quotas.group("g", numbers.of_group(), now);
        for account in &accounts {
            account.join(Some(group.clone()));
        }
        Process {
            gateway,
            accounts,
            group,
        }
    }

    /// By window: requests and tokens used, then held.
    fn counts(account: &Account, now: UnixMillis) -> BTreeMap<String, [u64; 4]> {
        let windows = account.standing(now).windows.into_iter().map(|window| {
            let [requests, tokens, ..] = window.used.0;
            let [requests_held, tokens_held, ..] = window.held.0;
            let counts = [requests, tokens, requests_held, tokens_held];
            (window.window.id.to_string(), counts)
        });
        windows.collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn whatever_happens_each_window_counts_as_the_naive_model_does(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut numbers = Numbers {
            an_hour: 6, tokens_a_day: 300, in_ten_minutes: 5, at_once: 4, of_group: 9,
        };
        let mut now = NOW;
        let mut process = Process::of(Gateway::start(), numbers, now);
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Reserve(who, estimate) => {
                    let admits = model.admits(who, estimate, numbers, now);
                    let made = process.accounts[who].reserve(estimate, now);
                    prop_assert_eq!(made.is_ok(), admits, "{:?}", made.err());
                    if let Ok(guard) = made {
                        model.made.push(Made {
                            who, reserved: now, estimate, counted: None, guard: Some(guard), lost: false,
                        });
                        let (used, held) = Model::hour(model.made.iter(), now);
                        prop_assert!(used + held <= numbers.of_group);
                    }
                }
                Step::Commit(i) => if let Some(made) = model.nth_open(i) {
                    made.counted = made.counted.or(Some((now, made.estimate)));
                    made.guard.as_mut().unwrap().commit(now);
                },
                Step::Settle(i, tokens) => if let Some(made) = model.nth_open(i) {
                    let at = made.counted.map_or(now, |(at, _)| at);
                    made.counted = Some((at, tokens));
                    made.guard.take().unwrap().settle(tokens, now);
                },
                Step::Drop(i) => if let Some(made) = model.nth_open(i) {
                    made.guard = None;
                },
                Step::Wait(minutes) => now = UnixMillis(now.0 + minutes * 60_000 + 137),
                Step::Limit(new) => {
                    numbers = new;
                    for name in ["a", "b"] {
                        process.gateway.quotas.account("m", name, numbers.limits(), now);
                    }
                    process.gateway.quotas.group("g", numbers.of_group(), now);
                }
                Step::Tick => drop(process.gateway.quotas.maintain(now)),
                Step::Crash => {
                    let next = process.gateway.crashed(now);
                    for made in &mut model.made {
                        made.lost = true;
                    }
                    process = Process::of(next, numbers, now);
                }
            }
            for who in 0..2 {
                let counts = Process::counts(&process.accounts[who], now);
                let (used, held) = Model::hour(model.of(who), now);
                prop_assert_eq!([counts["hour"][0], counts["hour"][2]], [used, held]);
                let (used, held) = model.rolling(who, now);
                prop_assert_eq!([counts["rolling"][0], counts["rolling"][2]], [used, held]);
                let (tokens, tokens_held, ..) = model.day(who, now);
                prop_assert_eq!([counts["day"][1], counts["day"][3]], [tokens, tokens_held]);
                prop_assert_eq!(process.accounts[who].standing(now).open, model.open(who));
            }
            let of_group = Process::counts(&process.group, now);
            let (used, held) = Model::hour(model.made.iter(), now);
            prop_assert_eq!([of_group["period"][0], of_group["period"][2]], [used, held]);
        }
        // Nothing is left reserved when all have ended.
        model.made.clear();
        for account in process.accounts.iter().chain([&process.group]) {
            let standing = account.standing(now);
            prop_assert_eq!(standing.open, 0);
            prop_assert!(standing.windows.iter().all(|w| w.held.is_zero() && w.in_flight == 0));
        }
    }
}

fn rolling(requests: u64) -> Limits {
    let window = Window {
        id: "minute".into(),
        caps: PerUnit([Some(requests), None, None, None]),
        cycle: Cycle::Rolling(Duration::from_secs(60)),
    };
    Limits::new(vec![window], None)
}

fn at(secs: i64) -> UnixMillis {
    UnixMillis(NOW.0 + secs * 1000)
}

#[test]
fn a_rolling_window_says_when_it_has_room() {
    let account = Account::detached(rolling(2), NOW);
    for secs in [0, 30] {
        account.reserve(1, at(secs)).unwrap().settle(1, at(secs));
    }
    let refused = account.reserve(1, at(40)).unwrap_err();
    let expected = Exhausted {
        lack: Lack::Room(Unit::Requests),
        resets_at: Some(at(61)),
        temporary: false,
    };
    assert_eq!(refused, expected);
    assert!(account.reserve(1, at(60)).is_err());
    assert!(account.reserve(1, at(61)).is_ok());
    assert!(account.reserve(1, at(61)).is_ok());
    assert_eq!(
        account.roll(at(300)),
        [],
        "nothing to tell of what leaves bit by bit"
    );
}

#[test]
fn a_rolling_window_is_remembered_through_a_crash() {
    let gateway = Gateway::start();
    let account = |gateway: &Gateway, secs| gateway.quotas.account("m", "p", rolling(3), at(secs));
    for secs in [0, 20, 40] {
        account(&gateway, 0)
            .reserve(1, at(secs))
            .unwrap()
            .settle(1, at(secs));
    }
    let restarted = gateway.crashed(at(50));
    let account = account(&restarted, 50);
    let refused = account.reserve(1, at(50)).unwrap_err();
    assert_eq!(refused.resets_at, Some(at(61)));
    let held: Vec<Reservation> = [61, 81]
        .map(|secs| account.reserve(1, at(secs)).unwrap())
        .into();
    assert!(account.reserve(1, at(82)).is_err());
    drop(held);
}

#[test]
fn who_edits_the_form_of_a_limit_keeps_what_was_counted() {
    let gateway = Gateway::start();
    let daily = |id: &str, requests| {
        let window = Window {
            id: id.into(),
            caps: PerUnit([Some(requests), None, None, None]),
            cycle: cron("0 0 * * *"),
        };
        Limits::new(vec![window], None)
    };
    let account = |gateway: &Gateway, limits| gateway.quotas.account("m", "p", limits, NOW);
    account(&gateway, daily("period", 9))
        .reserve(1, NOW)
        .unwrap()
        .settle(1, NOW);
    let used = |account: &Account| account.standing(NOW).windows[0].used[Unit::Requests];
    // The same day under another name, then a window of another kind; and each of it after a crash.
    for limits in [
        daily("day", 9),
        daily("day", 2),
        rolling(5),
        daily("minute", 4),
    ] {
        assert_eq!(used(&account(&gateway, limits.clone())), 1, "{limits:?}");
        assert_eq!(
            used(&account(&gateway.crashed(NOW), limits.clone())),
            1,
            "{limits:?}"
        );
    }
    // Where there are more than before, the longest takes over what was counted, and the others begin at zero.
    let window = |id: &str, cycle| Window {
        id: id.into(),
        caps: PerUnit([Some(2), None, None, None]),
        cycle,
    };
    let others = vec![
        window("hour", cron("0 * * * *")),
        window("week", cron("0 0 * * 1")),
    ];
    let account = account(&gateway, Limits::new(others, None));
    let standing = account.standing(NOW);
    let used = standing
        .windows
        .iter()
        .map(|w| (&*w.window.id, w.used[Unit::Requests]));
    assert_eq!(used.collect::<Vec<_>>(), [("week", 1), ("hour", 0)]);
}

#[test]
fn two_windows_are_one_write() {
    let gateway = Gateway::start();
    let numbers = Numbers {
        an_hour: 6,
        tokens_a_day: 300,
        in_ten_minutes: 5,
        at_once: 4,
        of_group: 9,
    };
    let process = Process::of(gateway, numbers, NOW);
    let lines = || {
        let text = std::fs::read_to_string(process.gateway.segment()).unwrap();
        text.lines().count()
    };
    let before = lines();
    let mut reservation = process.accounts[0].reserve(7, NOW).unwrap();
    let receipt = reservation.commit(NOW);
    assert_eq!(lines(), before);
    drop(receipt);
    assert_eq!(lines(), before + 4, "three windows and the group's");
    drop(reservation.settle(Cost::from(5), NOW));
    assert_eq!(lines(), before + 8);
}
