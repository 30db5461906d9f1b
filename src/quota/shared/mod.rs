//! The same quotas for several gateways, by way of Redis or Valkey.
//!
//! Each gateway is a *replica* with an id of its own. It never asks Redis to add something; it tells
//! absolute numbers about itself in a [`Claim`]: what it has used in each period, what it holds for
//! requests under way, and how much room it wishes ahead. The answer, [`Told`], says what the others have
//! and how much of the wish was granted. Numbers that are absolute, with a version for each replica
//! and account, make every exchange repeatable: a lost answer, a claim sent twice or late, and data that Redis
//! lost are all healed by the next claim.
//!
//! # What is promised
//!
//! - *Used + held + credit of all live replicas never grows over a cap by a grant.* What a replica has
//!   used or holds is accepted even over the cap, since it has happened.
//! - *Credit* is granted room. Its owner may spend it without asking again, for as long as its lease
//!   lasts since the claim was *sent*; everybody else counts it as used. A replica that is silent for its lease is
//!   dead: what it held comes back, its credit counts as used. When it returns, its true numbers
//!   take the place of that.
//! - A claim replaces the one before, so what is still wanted of older credit is wished again; that
//!   is granted as long as no cap was lowered, nothing was forced over it, and no data was lost. Until the
//!   answer is here, the older credit is still being spent: spend only what was wished again.
//! - *Rolling* windows are as exact as their slots: usage counts for the window's length after its slot has ended.
//!
//! # When Redis loses data
//!
//! A claim says which claim of this replica was the last to be acknowledged. Redis *recovers* for
//! the grace time after a loss was noticed: it takes claims and grants nothing more, so that everybody has said
//! what was used before anybody gets more; unspent credit of before is kept where Redis still knows of it. It
//! is noticed by
//!
//! 1. another `run_id` of the server than at the account's last claim: it was restarted or replaced, and its
//!    data may be older than it was;
//! 2. a stored version older than the acknowledged one: told as [`Told::lost`], and the claim
//!    is not taken unless it is [whole](Claim::whole);
//! 3. an account that is not there, on a server that runs for less than the grace time. On a server that runs
//!    for longer it is a new one and waits for nothing: every replica that knew it has had the time to say so,
//!    and one that comes later still is found by rule 2.
//!
//! What a dead replica had used is known to nobody but Redis. So live ones fetch a [`Backup`]
//! now and then and put it back whenever they are told of a loss or a recovery; the newest version of each replica wins.
//!
//! # What is not
//!
//! - A replica cut off for longer than the grace time while Redis loses everything, of which nobody has a backup, is not
//!   counted until it is back; meanwhile others may be granted what it has used.
//! - Claims go to one server: no cluster of several nodes, though all keys of an account share a hash tag.
//! - Numbers over 2^53 are taken for 2^53.
//! - Replicas need ids that outlive a restart together with their counts, or a new id for each start. What an
//!   id without a memory used stays counted.

mod claim;
mod client;
#[cfg(test)]
mod tests;

pub use claim::{Acked, Claim, Kind, Told, WindowClaim, WindowTold};
pub use client::{Backup, Client, Error, GRACE, Settings, is_url};
