//! Whether a request fits: in every window, among those at once, and by what the provider said.

use std::time::Duration;

use super::lease::Contact;
use super::meter::{Meter, NEVER, Used};
use super::share::Share;
use super::{ESTIMATE_MAX, Ledger};
use crate::clock::UnixMillis;
use crate::quota::limit::{Amount, Cost, Exhausted, Lack, UNITS, Unit};

/// Whether an amount fits under a limit, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Room {
    Free,
    /// Others may leave us room, if they are asked.
    Unasked,
    /// What is missing is held by others and may be given back.
    Held,
    /// Others cannot be asked.
    Away,
    /// When it will be there again; [`NEVER`] if it never is.
    Spent(UnixMillis),
}

impl Ledger {
    /// Whether one request of this cost would be admitted.
    pub(in crate::quota) fn admit(&mut self, cost: Cost, now: UnixMillis) -> Result<(), Exhausted> {
        let amount = cost.at_most(ESTIMATE_MAX).of_one();
        let mut worst: Option<(Lack, Room)> = None;
        let mut note = |lack: Lack, room: Room| {
            if worst.is_none_or(|(_, known)| known < room) {
                worst = Some((lack, room));
            }
        };
        let contact = self.lease.as_ref().map(|lease| lease.contact(now));
        for meter in &self.meters {
            if let Some((unit, room)) = meter.room(amount, contact) {
                note(Lack::Room(unit), room);
            }
        }
        match self.limits.max_concurrent {
            Some(0) => note(Lack::Place, Room::Spent(NEVER)),
            Some(most) if self.open >= most => note(Lack::Place, Room::Held),
            Some(_) => {
                if let Some(lease) = &self.lease {
                    note(Lack::Place, lease.place(now));
                }
            }
            None => {}
        }
        if let Some((unit, until)) = self.learned.lacking(amount, now) {
            // The next answer may say that there is more.
            let room = match self.waiting[unit] {
                0 => Room::Spent(until),
                _ => Room::Held,
            };
            note(Lack::Allowance(unit), room);
        }
        // What is spent for good is the reason that matters to the caller.
        let Some((lack, room)) = worst.filter(|(_, room)| *room != Room::Free) else {
            return Ok(());
        };
        if let Some(lease) = &mut self.lease {
            lease.look_again(now);
        }
        let (lack, resets_at) = match room {
            Room::Unasked => (Lack::Lease, None),
            Room::Away => (Lack::Contact, None),
            Room::Spent(at) => (lack, Some(at).filter(|at| *at != NEVER)),
            Room::Held | Room::Free => (lack, self.first_reset()),
        };
        Err(Exhausted {
            lack,
            resets_at,
            temporary: !matches!(room, Room::Spent(_)),
        })
    }

    /// When the first window returns to zero.
    fn first_reset(&self) -> Option<UnixMillis> {
        let resets = self.meters.iter().filter_map(Meter::next_reset);
        resets.min()
    }

    /// How much is left of the scarcest window, by how much time is left to use it: 1 is on schedule.
    pub(in crate::quota) fn headroom(&self, now: UnixMillis) -> f64 {
        let least = self.meters.iter().map(|meter| meter.headroom(now));
        let least = least.fold(f64::INFINITY, f64::min);
        // What is unlimited is neither ahead of its schedule nor behind it.
        if least.is_finite() { least } else { 1.0 }
    }
}

impl Meter {
    /// Whether a request of `asked` fits, and the unit that it does not fit by.
    pub(super) fn room(&self, asked: Amount, contact: Option<Contact>) -> Option<(Unit, Room)> {
        let mut worst: Option<(Unit, Room)> = None;
        for unit in UNITS {
            let Some(cap) = self.window.caps[unit] else {
                continue;
            };
            let room = self.room_of(unit, cap, asked[unit], contact);
            if room != Room::Free && worst.is_none_or(|(_, known)| known < room) {
                worst = Some((unit, room));
            }
        }
        worst
    }

    /// An estimate of tokens that is too large for what is left must not make the rest unusable, so who
    /// is alone may start as long as anything is left.
    fn room_of(&self, unit: Unit, cap: u64, asked: u64, contact: Option<Contact>) -> Room {
        let own = self.used()[unit];
        let others = self.share.as_ref().map_or(0, |s| s.others_used[unit]);
        // What running answers may give back is not spent.
        let surely_used = own
            .saturating_add(others)
            .saturating_sub(self.unsettled[unit]);
        if surely_used >= cap {
            return Room::Spent(self.has_room_at(unit, cap, asked).unwrap_or(NEVER));
        }
        if let (Some(share), Some(contact)) = (&self.share, contact) {
            return self.shared_room(unit, asked, share, contact);
        }
        let held = self.held[unit];
        let is_alone = unit != Unit::Requests && self.in_flight == 0;
        if own < cap && (held.saturating_add(asked) <= cap - own || is_alone) {
            return Room::Free;
        }
        Room::Held
    }

    /// The same where others count, too: what was granted may be taken, the rest has to be asked for.
    fn shared_room(&self, unit: Unit, asked: u64, share: &Share, contact: Contact) -> Room {
        if contact.away {
            // What is held will be committed: all of it must have been pledged.
            let left = share.pledged(unit).saturating_sub(self.held[unit]);
            return match contact.serves_alone && asked <= left {
                true => Room::Free,
                false => Room::Away,
            };
        }
        let credit = share.credit(unit);
        let is_alone = unit != Unit::Requests && self.in_flight == 0;
        if asked <= credit || is_alone && credit > 0 && share.has_the_rest(unit) {
            Room::Free
        } else if share.may_ask(contact.now) {
            Room::Unasked
        } else {
            Room::Held
        }
    }

    /// When a request of `asked` fits again, if nothing is used until then; `None` if it never does.
    fn has_room_at(&self, unit: Unit, cap: u64, asked: u64) -> Option<UnixMillis> {
        if cap == 0 {
            return None; // a reset gives nothing to a limit of 0
        }
        match &self.used {
            Used::Period { .. } => self.next_reset(),
            Used::Slots(slots) => {
                let others = self
                    .share
                    .as_ref()
                    .map_or(0, |share| share.others_used[unit]);
                let target = cap.saturating_sub(asked.min(cap)).saturating_sub(others);
                slots.falls_to(unit, target).or_else(|| slots.empty_at())
            }
        }
    }

    /// How much of the window is left, by how much time is left to use it: 1 is on schedule, more means that
    /// some would be left over. Of the unit that is scarcest.
    pub(super) fn headroom(&self, now: UnixMillis) -> f64 {
        let time_left = match &self.used {
            Used::Period { start, end, .. } if *end < NEVER => {
                let whole = start.until(*end).max(Duration::from_millis(1));
                let left = now.until(*end).as_secs_f64() / whole.as_secs_f64();
                // The last minutes of a period must not make the smallest rest look like plenty.
                left.clamp(0.01, 1.0)
            }
            _ => 1.0,
        };
        let mut least = f64::INFINITY;
        for unit in UNITS {
            if let Some(cap) = self.window.caps[unit] {
                let others = self.share.as_ref().map_or(0, |share| {
                    share.others_used[unit].saturating_add(share.others_held[unit])
                });
                let taken = self.used()[unit]
                    .saturating_add(self.held[unit])
                    .saturating_add(others);
                let left = cap.saturating_sub(taken) as f64 / (cap.max(1)) as f64;
                least = least.min(left / time_left);
            }
        }
        least
    }
}
