//! One account: what is admitted, what is counted, when it returns to zero.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use proptest::prelude::*;

use super::{NOW, any_id, hourly, limits, minutes, scheduled, window};
use crate::clock::UnixMillis;
use crate::quota::{
    Account, Cycle, Exhausted, Lack, Limits, Quotas, Reservation, Rollover, Schedule, Unit, Window,
};

/// Requests and tokens: used, then held.
fn counts(account: &Account, now: UnixMillis) -> (u64, u64, u64, u64) {
    let main = account.standing(now).windows.remove(0);
    let [requests, tokens, ..] = main.used.0;
    let [requests_held, tokens_held, ..] = main.held.0;
    (requests, tokens, requests_held, tokens_held)
}

#[test]
fn guards_and_books_travel_between_threads() {
    fn sent<T: Send>() {}
    fn shared<T: Send + Sync>() {}
    sent::<Reservation>();
    shared::<Account>();
    shared::<Schedule>();
    shared::<Quotas>();
}

#[test]
fn a_reservation_is_held_then_used_then_exact() {
    let account = Account::detached(limits(10, 1000), NOW);
    let mut reservation = account.reserve(100, NOW).unwrap();
    assert_eq!(counts(&account, NOW), (0, 0, 1, 100));
    reservation.commit(NOW);
    reservation.commit(NOW);
    assert_eq!(counts(&account, NOW), (1, 100, 0, 0));
    reservation.settle(70, NOW);
    assert_eq!(counts(&account, NOW), (1, 70, 0, 0));
}

#[test]
fn dropping_gives_back_what_was_not_committed() {
    let account = Account::detached(limits(10, 1000), NOW);
    drop(account.reserve(100, NOW).unwrap());
    assert_eq!(counts(&account, NOW), (0, 0, 0, 0));

    let mut committed = account.reserve(100, NOW).unwrap();
    committed.commit(NOW);
    drop(committed);
    assert_eq!(counts(&account, NOW), (1, 100, 0, 0));

    account.reserve(100, NOW).unwrap().settle(5, NOW);
    assert_eq!(counts(&account, NOW), (2, 105, 0, 0));
}

#[test]
fn exhaustion_tells_what_until_when_and_whether_it_may_pass() {
    let account = Account::detached(hourly(2, 1000), NOW);
    let resets_at = Some(UnixMillis::from_secs(minutes(30).secs() / 60 * 60));
    let refused = |unit, temporary| Exhausted {
        lack: Lack::Room(unit),
        resets_at,
        temporary,
    };

    let first = account.reserve(600, NOW).unwrap();
    let error = account.reserve(600, NOW).unwrap_err();
    assert_eq!(error, refused(Unit::Tokens, true));
    let second = account.reserve(400, NOW).unwrap();
    let error = account.reserve(1, NOW).unwrap_err();
    assert_eq!(error, refused(Unit::Requests, true));
    assert!(account.peek(NOW).is_err());

    second.settle(400, NOW);
    let error = account.reserve(1, NOW).unwrap_err();
    assert_eq!(error, refused(Unit::Requests, true));
    first.settle(700, NOW);
    let error = account.reserve(1, NOW).unwrap_err();
    assert_eq!(error, refused(Unit::Requests, false));

    let account = Account::detached(limits(10, 5), NOW);
    account.reserve(1, NOW).unwrap().settle(5, NOW);
    let error = account.reserve(1, NOW).unwrap_err();
    assert_eq!(
        (error.lack, error.resets_at),
        (Lack::Room(Unit::Tokens), None)
    );
    assert!(!error.temporary);
}

#[test]
fn the_last_tokens_remain_usable_by_one_at_a_time() {
    let account = Account::detached(limits(10, 1000), NOW);
    account.reserve(1, NOW).unwrap().settle(990, NOW);
    // Alone, a large estimate may start; a second one may not, committed or not.
    let mut large = account.reserve(500, NOW).unwrap();
    assert!(account.reserve(1, NOW).unwrap_err().temporary);
    large.commit(NOW);
    assert!(account.reserve(1, NOW).is_err());
    large.settle(4, NOW);
    assert!(account.peek(NOW).is_ok());
    // A request that is committed but not settled is still in flight.
    let mut small = account.reserve(3, NOW).unwrap();
    small.commit(NOW);
    assert!(account.reserve(500, NOW).unwrap_err().temporary);
    drop(small);
    account.reserve(500, NOW).unwrap().settle(500, NOW);
    assert!(account.peek(NOW).is_err());
}

#[test]
fn what_running_answers_may_give_back_is_not_spent() {
    let account = Account::detached(hourly(10, 1000), NOW);
    let temporary = |now| account.reserve(1, now).unwrap_err().temporary;
    let mut large = account.reserve(1000, NOW).unwrap();
    large.commit(NOW);
    assert!(temporary(NOW));
    large.settle(30, NOW);
    // An answer that ends without a number keeps its estimate for good.
    let mut dropped = account.reserve(970, NOW).unwrap();
    dropped.commit(NOW);
    assert!(temporary(NOW));
    drop(dropped);
    assert!(!temporary(NOW));

    // Neither a reset nor a tick leaves anything behind.
    let later = minutes(31);
    for clear in [
        (|account, now| Account::reset(account, &[7], now)) as fn(&Account, UnixMillis),
        |account, _| {
            account.roll(minutes(31));
        },
    ] {
        let account = Account::detached(hourly(10, 1000), NOW);
        let mut old = account.reserve(1000, NOW).unwrap();
        old.commit(NOW);
        clear(&account, NOW);
        account.reserve(1000, later).unwrap().settle(1000, NOW);
        assert!(!account.reserve(1, later).unwrap_err().temporary);
        old.settle(1, NOW);
        assert!(!account.reserve(1, later).unwrap_err().temporary);
    }
}

#[test]
fn committed_answers_are_in_flight_until_they_end() {
    let account = Account::detached(limits(10, 1000), NOW);
    let mut committed = account.reserve(1, NOW).unwrap();
    committed.commit(NOW);
    let standing = account.standing(NOW);
    assert_eq!(
        (
            standing.windows[0].held[Unit::Requests],
            standing.windows[0].in_flight
        ),
        (0, 1)
    );
    committed.settle(1, NOW);
    assert_eq!(account.standing(NOW).windows[0].in_flight, 0);
}

#[test]
fn a_clock_set_back_names_the_reset_of_the_period_that_is_counted() {
    let ahead = minutes(31);
    let account = Account::detached(hourly(1, 1000), ahead);
    account.reserve(1, ahead).unwrap().settle(1, NOW);
    let noon = account.standing(ahead).windows[0].next_reset;
    // As a reload that edits the limits would, by a clock that was set back.
    account.set_limits(hourly(1, 2000), any_id, minutes(-600));
    let refused = account.reserve(1, minutes(-600)).unwrap_err();
    assert_eq!(refused.resets_at, noon);
}

#[test]
fn a_limit_of_zero_promises_no_reset() {
    for (requests, tokens) in [(0, 9), (9, 0)] {
        let account = Account::detached(hourly(requests, tokens), NOW);
        assert_eq!(account.peek(NOW).unwrap_err().resets_at, None);
    }
}

#[test]
fn a_limit_of_zero_admits_nothing_and_none_admits_everything() {
    for (requests, tokens) in [(Some(0), None), (None, Some(0))] {
        let none = window(requests, tokens, Cycle::Never);
        let account = Account::detached(none, NOW);
        assert!(account.peek(NOW).is_err());
        assert!(!account.reserve(0, NOW).unwrap_err().temporary);
    }
    let account = Account::detached(Limits::default(), NOW);
    let held: Vec<Reservation> = (0..100)
        .map(|_| account.reserve(u64::MAX, NOW).unwrap())
        .collect();
    for reservation in held {
        reservation.settle(u64::MAX, NOW);
    }
    assert_eq!(counts(&account, NOW), (100, u64::MAX, 0, 0));
}

#[test]
fn a_tick_resets_once_and_tells_once() {
    let account = Account::detached(hourly(1, 1000), NOW);
    account.reserve(10, NOW).unwrap().settle(10, NOW);
    assert_eq!(account.roll(minutes(29)), []);
    assert!(account.peek(minutes(29)).is_err());

    // A request finds the tick first; the ticker still hears of it.
    account.reserve(20, minutes(31)).unwrap().settle(20, NOW);
    let ended = Rollover {
        window: Window::ONLY.to_owned(),
        requests: 1,
        tokens: 10,
    };
    assert_eq!(account.roll(minutes(31)), [ended]);
    assert_eq!(account.roll(minutes(32)), []);
    assert_eq!(counts(&account, minutes(32)), (1, 20, 0, 0));

    // Many missed ticks are one reset.
    let ended = Rollover {
        window: Window::ONLY.to_owned(),
        requests: 1,
        tokens: 20,
    };
    assert_eq!(account.roll(minutes(600)), [ended]);
    assert_eq!(account.roll(minutes(600)), []);
}

#[test]
fn a_clock_set_back_neither_resets_nor_goes_back() {
    let account = Account::detached(hourly(1, 1000), NOW);
    account.reserve(10, minutes(31)).unwrap().settle(10, NOW);
    assert_eq!(account.roll(minutes(31)).len(), 1);
    let before = account.standing(minutes(31));

    for earlier in [minutes(10), minutes(-600)] {
        assert_eq!(account.roll(earlier), []);
        assert!(account.peek(earlier).is_err());
        assert_eq!(account.standing(earlier), before);
    }
    assert_eq!(account.roll(minutes(45)), []);
    assert_eq!(account.roll(minutes(91)).len(), 1);
}

#[test]
fn a_reservation_of_an_earlier_period_leaves_the_present_one_alone() {
    let account = Account::detached(hourly(3, 1000), NOW);
    let held = account.reserve(10, NOW).unwrap();
    let late = account.reserve(20, NOW).unwrap();
    let mut committed = account.reserve(30, NOW).unwrap();
    committed.commit(NOW);

    let later = minutes(31);
    let present = account.reserve(500, later).unwrap();
    assert_eq!(counts(&account, later), (0, 0, 1, 500));
    drop(held);
    late.settle(99, NOW);
    committed.settle(99, NOW);
    assert_eq!(counts(&account, later), (0, 0, 1, 500));
    present.settle(1, NOW);
    assert_eq!(counts(&account, later), (1, 1, 0, 0));
}

#[test]
fn editing_the_limits_keeps_the_count() {
    let account = Account::detached(hourly(10, 1000), NOW);
    account.reserve(10, NOW).unwrap().settle(10, NOW);
    let held = account.reserve(5, NOW).unwrap();

    account.set_limits(hourly(1, 1000), any_id, NOW);
    assert_eq!(counts(&account, NOW), (1, 10, 1, 5));
    assert!(account.peek(NOW).is_err());
    held.settle(5, NOW);
    assert_eq!(counts(&account, NOW), (2, 15, 0, 0));

    let next_reset = || {
        account.standing(NOW).windows[0]
            .next_reset
            .unwrap()
            .rfc3339()
    };
    for (cron, resets) in [
        ("@daily", "2026-11-21T00:00:00Z"),
        ("0 * * * *", "2026-11-20T11:00:00Z"),
        // It may have been counted within this minute: nobody knows.
        ("* * * * *", "2026-11-20T10:31:00Z"),
        ("0 * * * *", "2026-11-20T11:00:00Z"),
    ] {
        account.set_limits(scheduled(9, 1000, cron), any_id, NOW);
        assert_eq!(counts(&account, NOW), (2, 15, 0, 0), "{cron}");
        assert_eq!(next_reset(), resets);
        assert_eq!(account.roll(NOW), []);
    }
    let eleven = minutes(30);
    assert_eq!(counts(&account, eleven), (0, 0, 0, 0));
    assert_eq!(account.roll(eleven).len(), 1);
}

#[test]
fn two_hundred_threads_get_exactly_what_there_is() {
    let account = Account::detached(limits(1000, u64::MAX), NOW);
    let served = AtomicU64::new(0);
    let start = Barrier::new(200);
    thread::scope(|scope| {
        for thread in 0..200 {
            let (account, served, start) = (&account, &served, &start);
            scope.spawn(move || {
                start.wait();
                for turn in thread.. {
                    match account.reserve(10, NOW) {
                        Ok(reservation) if turn % 3 == 0 => drop(reservation),
                        Ok(mut reservation) => {
                            if turn % 2 == 0 {
                                reservation.commit(NOW);
                            }
                            reservation.settle(7, NOW);
                            served.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(exhausted) if exhausted.temporary => thread::yield_now(),
                        Err(_) => break,
                    }
                }
            });
        }
    });
    assert_eq!(served.into_inner(), 1000);
    assert_eq!(counts(&account, NOW), (1000, 7000, 0, 0));
}

/// What a request, a ticker or an operator may do.
#[derive(Clone, Debug)]
enum Step {
    Reserve(u64),
    Commit(usize),
    Settle(usize, u64),
    Drop(usize),
    Wait(i64),
    Limit(u64, u64),
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u64..60).prop_map(Step::Reserve),
        4 => (0_usize..8).prop_map(Step::Commit),
        3 => (0_usize..8, 0_u64..90).prop_map(|(i, tokens)| Step::Settle(i, tokens)),
        2 => (0_usize..8).prop_map(Step::Drop),
        1 => (-20_i64..40).prop_map(Step::Wait),
        1 => (0_u64..12, 0_u64..300).prop_map(|(r, t)| Step::Limit(r, t)),
        1 => Just(Step::Reset),
    ]
}

/// The engine as one would write it without a thought for speed: every reservation ever made is
/// kept, and each number is a sum over them.
#[derive(Default)]
struct Model {
    limits: (u64, u64),
    hour: i64,
    life: u32,
    made: Vec<Made>,
}

struct Made {
    hour: i64,
    estimate: u64,
    /// In which life it was counted, and with how many tokens.
    counted: Option<(u32, u64)>,
    guard: Option<Reservation>,
}

impl Model {
    fn present(&self) -> impl Iterator<Item = &Made> {
        self.made.iter().filter(|made| made.hour == self.hour)
    }

    fn counts(&self) -> (u64, u64, u64, u64) {
        let used = self.present().filter_map(|made| made.counted);
        let used: Vec<u64> = used
            .filter(|(life, _)| *life == self.life)
            .map(|(_, tokens)| tokens)
            .collect();
        let held = self
            .present()
            .filter(|m| m.counted.is_none() && m.guard.is_some());
        let held: Vec<u64> = held.map(|m| m.estimate).collect();
        (
            used.len() as u64,
            used.iter().sum(),
            held.len() as u64,
            held.iter().sum(),
        )
    }

    fn admits(&self, estimate: u64) -> bool {
        let (requests, tokens, requests_held, tokens_held) = self.counts();
        let alone = self.present().all(|made| made.guard.is_none());
        requests + requests_held < self.limits.0
            && tokens < self.limits.1
            && (alone || tokens + tokens_held + estimate <= self.limits.1)
    }

    /// The reservation that is `index`-th among those that have not ended.
    fn open(&mut self, index: usize) -> Option<&mut Made> {
        let mut open = self.made.iter_mut().filter(|made| made.guard.is_some());
        open.nth(index)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn whatever_happens_the_counts_are_those_of_the_naive_model(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let account = Account::detached(hourly(8, 200), NOW);
        let mut now = NOW;
        let mut model = Model { limits: (8, 200), hour: now.secs() / 3600, ..Model::default() };

        for step in steps {
            let life = model.life;
            match step {
                Step::Reserve(estimate) => {
                    let admits = model.admits(estimate);
                    prop_assert_eq!(account.peek(now).is_ok(), model.admits(1));
                    let reservation = account.reserve(estimate, now);
                    prop_assert_eq!(reservation.is_ok(), admits);
                    if let Ok(guard) = reservation {
                        model.made.push(Made {
                            hour: model.hour, estimate, counted: None, guard: Some(guard),
                        });
                        let (used, _, held, _) = model.counts();
                        prop_assert!(used + held <= model.limits.0);
                    }
                }
                Step::Commit(i) => if let Some(made) = model.open(i) {
                    made.counted = made.counted.or(Some((life, made.estimate)));
                    made.guard.as_mut().unwrap().commit(NOW);
                },
                Step::Settle(i, tokens) => if let Some(made) = model.open(i) {
                    made.counted = Some((made.counted.map_or(life, |(life, _)| life), tokens));
                    made.guard.take().unwrap().settle(tokens, NOW);
                },
                Step::Drop(i) => if let Some(made) = model.open(i) {
                    made.guard = None;
                },
                Step::Wait(by) => {
                    now = UnixMillis(now.0 + by * 60_000);
                    account.roll(now);
                    model.hour = model.hour.max(now.secs() / 3600);
                }
                Step::Limit(requests, tokens) => {
                    account.set_limits(hourly(requests, tokens), any_id, now);
                    model.limits = (requests, tokens);
                }
                Step::Reset => {
                    model.life += 1;
                    account.reset(&[u64::from(model.life)], now);
                }
            }
            prop_assert_eq!(counts(&account, now), model.counts());
        }
        let (requests, tokens, ..) = model.counts();
        model.made.clear();
        prop_assert_eq!(counts(&account, now), (requests, tokens, 0, 0));
        prop_assert_eq!(Arc::strong_count(&account), 1);
    }
}
