//! The order in which a request tries its candidates. Failover is no more than the next of them.

use std::sync::Arc;

use smallvec::SmallVec;

use super::candidate::Candidate;
use super::queue::Sought;
use super::route::Route;
use super::strategy::Strategy;
use crate::chat::{Failure, FailureKind};
use crate::clock::UnixMillis;
use crate::quota::{Exhausted, Lack};

/// The candidates of one request, tier by tier. A tier is left only when each of its members was tried
/// or cannot serve; the resting one that recovers first is tried when nobody else is left.
#[derive(Debug)]
pub struct Plan<'a> {
    route: &'a Route,
    prompt_tokens: u64,
    tier: usize,
    order: Vec<usize>,
    next: usize,
    resting: Vec<(UnixMillis, &'a Arc<Candidate>)>,
    /// Whether one of those was offered.
    disturbed: bool,
    /// Those that were offered and not sent back: none is tried twice.
    tried: SmallVec<[&'a Arc<Candidate>; 4]>,
    /// Those that others wait for: their room is not for this request, which has not waited.
    spared: Sought,
    /// Those that would be tried if they had room.
    full: Vec<&'a Arc<Candidate>>,
    /// A provider of this window said the prompt is too long, so none with a smaller one is asked.
    outgrown: Option<u64>,
    refusals: Refusals,
}

/// Why candidates were passed over.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    /// Somebody's quota has no room.
    pub exhausted: bool,
    /// The room is only held by requests in flight and may come back any moment.
    pub temporary: bool,
    /// Somebody's quota is shared with gateways that cannot be heard.
    pub away: bool,
    /// The earliest reset among the spent quotas.
    pub resets_at: Option<UnixMillis>,
    /// The prompt fits somebody's window only if it were larger; the largest such window.
    pub window: Option<u64>,
}

impl<'a> Plan<'a> {
    /// A plan for a prompt of about `prompt_tokens`.
    pub fn new(route: &'a Route, prompt_tokens: u64) -> Plan<'a> {
        Plan {
            route,
            prompt_tokens,
            tier: 0,
            order: Vec::new(),
            next: 0,
            resting: Vec::new(),
            disturbed: false,
            tried: SmallVec::new(),
            spared: 0,
            full: Vec::new(),
            outgrown: None,
            refusals: Refusals::default(),
        }
    }

    /// Passes over those that others wait for, until it begins again.
    pub fn spare(&mut self, sought: Sought) {
        self.spared = sought;
    }

    /// Those that would be tried if they had room, as who waits for them tells it to others.
    pub fn sought(&self) -> Sought {
        let all = self.route.candidates().enumerate();
        let full = all.filter(|(_, one)| self.full.iter().any(|full| Arc::ptr_eq(full, one)));
        full.fold(0, |sought, (at, _)| sought | bit(at))
    }

    /// Whether others wait for this one.
    fn is_spared(&self, candidate: &Arc<Candidate>) -> bool {
        let at = || {
            self.route
                .candidates()
                .position(|one| Arc::ptr_eq(one, candidate))
        };
        self.spared != 0 && at().is_some_and(|at| self.spared & bit(at) != 0)
    }

    /// The next candidate to try.
    pub fn next(&mut self, now: UnixMillis) -> Option<&'a Arc<Candidate>> {
        let next = self.find(now)?;
        self.tried.push(next);
        Some(next)
    }

    fn find(&mut self, now: UnixMillis) -> Option<&'a Arc<Candidate>> {
        loop {
            while let Some(&member) = self.order.get(self.next) {
                self.next += 1;
                let candidate = &self.route.tiers[self.tier - 1].candidates[member];
                if !outgrows(candidate, self.outgrown) {
                    return Some(candidate);
                }
            }
            if !self.enter_tier(now) {
                break;
            }
        }
        if self.disturbed {
            return None;
        }
        // A rest is a preference, not a veto: better the one that recovers first than nobody.
        let outgrown = self.outgrown;
        self.resting
            .retain(|(_, candidate)| !outgrows(candidate, outgrown));
        let soonest = self
            .resting
            .iter()
            .enumerate()
            .min_by_key(|(_, (until, _))| *until)?
            .0;
        self.disturbed = true;
        Some(self.resting.swap_remove(soonest).1)
    }

    /// Puts the members of the next tier in order; `false` when there is none.
    fn enter_tier(&mut self, now: UnixMillis) -> bool {
        let Some(tier) = self.route.tiers.get(self.tier) else {
            return false;
        };
        self.tier += 1;
        self.next = 0;
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        for (member, candidate) in tier.candidates.iter().enumerate() {
            if self.admits(candidate, now) {
                order.push(member);
            }
        }
        tier.wheel.order(&mut order);
        if self.route.strategy == Strategy::Quota {
            by_headroom(&mut order, &tier.candidates, now);
        }
        self.order = order;
        true
    }

    /// Whether a candidate may serve now; if not, notes why.
    fn admits(&mut self, candidate: &'a Arc<Candidate>, now: UnixMillis) -> bool {
        if self.tried.iter().any(|tried| Arc::ptr_eq(tried, candidate)) {
            return false;
        }
        if !candidate.fits(self.prompt_tokens) {
            let window = candidate.provider.max_context_length;
            self.refusals.window = self.refusals.window.max(window);
            return false;
        }
        if self.is_spared(candidate) {
            self.refusals.exhausted = true;
            self.refusals.temporary = true;
            self.full.push(candidate);
            return false;
        }
        match candidate.account.peek(now) {
            Ok(()) => {}
            // Only who asks others for their room knows whether there is some.
            Err(exhausted) if exhausted.lack == Lack::Lease => {}
            Err(exhausted) => {
                self.refusals.note(&exhausted);
                self.full.push(candidate);
                return false;
            }
        }
        if let Some(until) = candidate.health.resting_until(now) {
            self.resting.push((until, candidate));
            return false;
        }
        true
    }

    /// The candidate offered last had no room after all, so it was not tried.
    pub fn send_back(&mut self, exhausted: &Exhausted) {
        self.disturbed = false;
        self.full.extend(self.tried.pop());
        self.refusals.note(exhausted);
    }

    /// Those that were passed over for lack of room alone.
    pub fn full(&self) -> &[&'a Arc<Candidate>] {
        &self.full
    }

    /// Begins again with those that were not tried: there may be room now.
    pub fn reopen(&mut self) {
        self.tier = 0;
        self.next = 0;
        self.order.clear();
        self.resting.clear();
        self.disturbed = false;
        self.full.clear();
        self.spared = 0;
        self.refusals = Refusals {
            window: self.refusals.window,
            ..Refusals::default()
        };
    }

    /// A candidate failed. One that finds the prompt too long rules out those with no larger window.
    pub fn note(&mut self, candidate: &Candidate, failure: &Failure) {
        if failure.kind == FailureKind::ContextTooLong {
            self.outgrown = self.outgrown.max(candidate.provider.max_context_length);
        }
    }

    /// Why candidates were passed over, so far.
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }
}

/// Puts those first whose quota would be left over otherwise; who has no weight still serves last.
fn by_headroom(order: &mut [usize], candidates: &[Arc<Candidate>], now: UnixMillis) {
    if order.len() < 2 {
        return;
    }
    let mut ranked: SmallVec<[(bool, f64, usize); 8]> = order
        .iter()
        .map(|&member| {
            let candidate = &candidates[member];
            let headroom = candidate.account.headroom(now);
            (candidate.provider.weight == 0, -headroom, member)
        })
        .collect();
    // Stable: among equals the turns decide.
    ranked.sort_by(|one, other| one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)));
    for (place, (_, _, member)) in order.iter_mut().zip(ranked) {
        *place = member;
    }
}

/// Whether a prompt that was too long for a window of `outgrown` is so for this candidate, too.
fn outgrows(candidate: &Candidate, outgrown: Option<u64>) -> bool {
    match (candidate.provider.max_context_length, outgrown) {
        (Some(window), Some(outgrown)) => window <= outgrown,
        _ => false,
    }
}

/// A candidate's place in a set. Where there are more than bits, two share one, and wait for each other.
fn bit(at: usize) -> Sought {
    1 << (at % 64)
}

impl Refusals {
    fn note(&mut self, exhausted: &Exhausted) {
        self.exhausted = true;
        self.temporary |= exhausted.temporary;
        self.away |= exhausted.lack == Lack::Contact;
        self.resets_at = match (self.resets_at, exhausted.resets_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}
