//! An account that is shared with other gateways: what this one tells them, and what it wishes for.
//!
//! It tells absolute numbers (what it has used and holds) and wishes for some *credit*: room that it may
//! take without asking, which everybody else counts as used from then on. So a busy counter asks now and
//! then, and not for each request. Three rules keep the sum below every limit:
//!
//! 1. Nothing is taken beyond the credit.
//! 2. A commit beyond what was *pledged* (the credit, without what was committed since it was granted) is not
//!    released before the others have heard of it. If this process ends, what it held comes back to all,
//!    what it was pledged does not.
//! 3. A claim that asks for less credit gives the rest up when it is made, not when it is answered.
//!
//! Pure, like everything here: `sharing` carries claims to Redis and answers back.

use std::time::Duration;

use super::Ledger;
use super::room::Room;
use super::share::Share;
use crate::clock::UnixMillis;
use crate::quota::limit::{Amount, PerUnit, Unit};
use crate::quota::shared::{Acked, Claim, Kind, Told, WindowClaim};

/// How an account is shared.
#[derive(Clone, Debug)]
pub(in crate::quota) struct Lease {
    /// Its name for all gateways.
    account: String,
    /// Tells it from accounts of the same name that this gateway had before.
    life: u64,
    pub(super) terms: Terms,
    /// The version of the last claim that was made, and of the last that was answered.
    made: u64,
    answered: u64,
    acked: Option<Acked>,
    /// Whether the next claim has to say everything.
    pub(super) whole: bool,
    /// Whether the others cannot be heard.
    pub(super) away: bool,
    /// What was asked for and not there since the last claim.
    wanted: Amount,
    /// What was taken since the last claim, and the pace of that in each unit per second.
    taken: Amount,
    pace: [f64; 4],
    claimed_at: UnixMillis,
    answered_at: UnixMillis,
    replicas: u64,
    /// Requests at once.
    places: Share,
    /// Something changed that the others have not heard of.
    stirred: bool,
    /// Somebody waits for the next answer.
    urgent: bool,
    /// Redis waits for all who may know what it lost, and grants nothing.
    recovering: bool,
}

/// How counters are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::quota) struct Terms {
    /// How far ahead credit is wished for, at the present pace.
    pub(in crate::quota) ahead: Duration,
    /// Whether what is pledged may be used while the others cannot be heard.
    pub(in crate::quota) serves_alone: bool,
    /// Who was silent for this long is taken for dead.
    pub(in crate::quota) lease: Duration,
}

/// How a request finds a shared account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contact {
    pub(super) now: UnixMillis,
    pub(super) away: bool,
    pub(super) serves_alone: bool,
}

/// What changed is told after this time, if nobody waits for it. Until then what was taken of the credit counts
/// as used should this process die, and what is left of it is nobody else's.
const TELL_AFTER: Duration = Duration::from_millis(100);

/// What others use is looked at again after this time, where it stands in the way.
const STALE: Duration = Duration::from_millis(500);

/// How much of what is left one gateway takes ahead at most: this part of its equal share.
const PART_OF_SHARE: u64 = 4;

/// How far back the pace looks, in seconds: it follows a rush soon, and a lull slowly.
const MEMORY_OF_LESS: f64 = 0.2;
const MEMORY_OF_MORE: f64 = 0.5;

/// What the places are called among the windows.
const PLACES: &str = "places";

impl Lease {
    fn new(account: String, life: u64, terms: Terms) -> Lease {
        Lease {
            account,
            life,
            terms,
            made: 0,
            answered: 0,
            acked: None,
            whole: true,
            away: false,
            wanted: Amount::default(),
            taken: Amount::default(),
            pace: [0.0; 4],
            claimed_at: UnixMillis(0),
            answered_at: UnixMillis(0),
            replicas: 1,
            places: Share::default(),
            stirred: true,
            urgent: false,
            recovering: false,
        }
    }

    pub(super) fn contact(&self, now: UnixMillis) -> Contact {
        Contact {
            now,
            away: self.away,
            serves_alone: self.terms.serves_alone,
        }
    }

    /// A place among the requests at once was taken, or given back.
    pub(super) fn take_place(&mut self) {
        self.places.take(PerUnit([1, 0, 0, 0]));
    }

    pub(super) fn give_place_back(&mut self) {
        self.places.give_back(PerUnit([1, 0, 0, 0]));
    }

    /// Whether there is a place among the requests at once.
    pub(super) fn place(&self, now: UnixMillis) -> Room {
        // Who dies gives his places back, so none can be pledged for the time without contact.
        match self.places.credit(Unit::Requests) {
            _ if self.away => Room::Away,
            0 if self.places.may_ask(now) => Room::Unasked,
            0 => Room::Held,
            _ => Room::Free,
        }
    }

    /// Something was taken.
    pub(super) fn note_taken(&mut self, amount: Amount) {
        self.taken = self.taken.plus(amount);
        self.stirred = true;
    }

    /// Something changed that others should hear of when there is time.
    pub(super) fn stir(&mut self) {
        self.stirred = true;
    }

    /// Others should hear of it at once. Gives the version of the claim that will tell.
    pub(super) fn urge(&mut self) -> u64 {
        self.stirred = true;
        self.urgent = true;
        self.made + 1
    }

    /// The windows change, so that all of it is to be said again. A claim under way told of the old ones, in
    /// their order: its answer must not be taken for that of the new.
    pub(super) fn change(&mut self) {
        self.made += 1;
        self.whole = true;
        self.stirred = true;
    }

    /// Somebody found that others stand in the way: it is worth looking again.
    pub(super) fn look_again(&mut self, now: UnixMillis) {
        self.stirred |= self.answered_at.until(now) >= STALE;
    }

    fn learn_pace(&mut self, now: UnixMillis) {
        let seconds = self.claimed_at.until(now).as_secs_f64().max(0.000_1);
        let taken = std::mem::take(&mut self.taken);
        for (pace, taken) in self.pace.iter_mut().zip(taken.0) {
            let present = taken as f64 / seconds;
            let memory = match present > *pace {
                true => MEMORY_OF_LESS,
                false => MEMORY_OF_MORE,
            };
            *pace += (1.0 - (-seconds / memory).exp()) * (present - *pace);
        }
        self.claimed_at = now;
    }

    /// What to wish for of a unit of which `left` is left.
    pub(super) fn wish(&self, unit: Unit, left: u64, ahead: Duration) -> u64 {
        let ahead = (self.pace[unit as usize] * ahead.as_secs_f64()) as u64;
        let most = left / (PART_OF_SHARE * self.replicas.max(1));
        self.wanted[unit].saturating_add(ahead.min(most))
    }
}

impl Ledger {
    /// From now on other gateways count here, too.
    pub(in crate::quota) fn share(&mut self, account: String, life: u64, terms: Terms) {
        for meter in &mut self.meters {
            meter.share = Some(Share::default());
        }
        self.lease = Some(Box::new(Lease::new(account, life, terms)));
    }

    /// Somebody waits for room of this cost. Gives the version of the claim that will ask for it.
    pub(in crate::quota) fn want(&mut self, amount: Amount) -> Option<u64> {
        let lease = self.lease.as_mut()?;
        lease.wanted = lease.wanted.plus(amount);
        Some(lease.urge())
    }

    /// Whether a claim of this version was answered, or will not be before long.
    pub(in crate::quota) fn has_heard(&self, version: u64) -> bool {
        let lease = self.lease.as_ref();
        lease.is_none_or(|lease| lease.away || lease.answered >= version)
    }

    /// Whether somebody waits for the next answer.
    pub(in crate::quota) fn is_urgent(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.urgent)
    }

    /// Whether it is time for a claim.
    pub(in crate::quota) fn is_due(&self, now: UnixMillis) -> bool {
        let Some(lease) = &self.lease else {
            return false;
        };
        let silent = lease.claimed_at.until(now);
        // A clock that was set back must not keep us silent.
        let silent = if lease.claimed_at > now {
            TELL_AFTER
        } else {
            silent
        };
        lease.urgent
            || silent >= TELL_AFTER && self.has_to_tell()
            // Also who has nothing to say: so it is not taken for dead, and hears what others use.
            || silent >= lease.terms.lease / 3
    }

    /// Whether something changed that the others have not heard of, or something is set aside.
    pub(in crate::quota) fn has_to_tell(&self) -> bool {
        let Some(lease) = &self.lease else {
            return false;
        };
        let mut shares = self.meters.iter().filter_map(|meter| meter.share.as_ref());
        lease.stirred
            || lease.recovering
            || lease.places.has_credit()
            || shares.any(Share::has_credit)
    }

    /// What the others are to be told, and what is wished for.
    pub(in crate::quota) fn claim(&mut self, now: UnixMillis) -> Option<Claim> {
        self.roll(now);
        let lease = self.lease.as_mut()?;
        lease.learn_pace(now);
        lease.made += 1;
        let mut windows: Vec<WindowClaim> = self
            .meters
            .iter_mut()
            .map(|meter| meter.claim(lease))
            .collect();
        if let Some(most) = self.limits.max_concurrent {
            let others = lease.places.others_in_flight;
            let left = most.saturating_sub(self.open).saturating_sub(others);
            // Places come back by themselves, so there is no need for many ahead.
            let wish = lease.wish(Unit::Requests, left, Duration::from_millis(100));
            let wish = [wish, 0, 0, 0];
            lease.places.claim(wish, UnixMillis(0));
            windows.push(WindowClaim {
                id: PLACES.to_owned(),
                kind: Kind::Slots,
                caps: [Some(most), None, None, None],
                used: Vec::new(),
                held: [self.open, 0, 0, 0],
                wish,
                in_flight: self.open,
            });
        }
        lease.wanted = Amount::default();
        lease.stirred = false;
        lease.urgent = false;
        Some(Claim {
            account: lease.account.clone(),
            life: lease.life,
            version: lease.made,
            acked: lease.acked,
            whole: lease.whole,
            windows,
        })
    }

    /// The last claim was answered.
    pub(in crate::quota) fn told(&mut self, told: &Told, now: UnixMillis) {
        // A period that is over for them is over, however late our clock is.
        self.roll(told.time);
        let Some(lease) = &mut self.lease else {
            return;
        };
        lease.away = false;
        let is_first = lease.acked.is_none();
        lease.acked = Some(told.acked);
        lease.answered_at = now;
        lease.replicas = told.replicas;
        lease.recovering = told.recovering;
        if told.lost || told.acked.version != lease.made {
            lease.whole = true;
            lease.stirred = true;
            // Also where nobody waits: what is not counted there is missing.
            lease.urgent = true;
            self.claim_failed();
            return;
        }
        lease.whole = false;
        lease.answered = lease.made;
        let mut windows = told.windows.iter();
        for (meter, told) in self.meters.iter_mut().zip(&mut windows) {
            // A period that others are not in yet, or no more: by their clock, which is ours from now on.
            lease.stirred |= told.stale;
            if told.stale && is_first {
                // Begun by our own clock, which is ahead. Nothing was granted yet, so nothing was used.
                meter.begin_shared(self.next, now);
                continue;
            }
            let start = meter.claimed_start();
            if let Some(share) = &mut meter.share {
                share.answer(told, &meter.window.caps.0, start, now);
            }
        }
        if let Some(places) = windows.next() {
            let caps = [self.limits.max_concurrent, None, None, None];
            lease.places.answer(places, &caps, UnixMillis(0), now);
        }
    }

    /// The last claim was not answered.
    pub(in crate::quota) fn claim_failed(&mut self) {
        for meter in &mut self.meters {
            if let Some(share) = &mut meter.share {
                share.fail();
            }
        }
        if let Some(lease) = &mut self.lease {
            lease.stirred = true;
        }
    }

    /// The others cannot be heard.
    pub(in crate::quota) fn set_away(&mut self) {
        if let Some(lease) = &mut self.lease {
            lease.away = true;
        }
    }

    /// Wishes for nothing any more: the process ends.
    pub(in crate::quota) fn give_credit_up(&mut self) {
        if let Some(lease) = &mut self.lease {
            lease.terms.ahead = Duration::ZERO;
            lease.wanted = Amount::default();
        }
    }

    /// The version of the claim that they answered last; 0 if none.
    pub(in crate::quota) fn answered(&self) -> u64 {
        self.lease.as_ref().map_or(0, |lease| lease.answered)
    }
}
