//! What a replica tells about itself, and what it is told of the others. Plain data.
//!
//! Numbers of four are requests, tokens, input tokens and output tokens, in this order.

use crate::clock::UnixMillis;

/// All that one replica says about one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The account's name, unique among all of the prefix.
    pub account: String,
    /// Which one of this replica's accounts of that name it is, if it had several: each counts from zero, so
    /// that none may take the place of what another said.
    pub life: u64,
    /// Grows with every claim of this replica for this account. A repeated claim has the version
    /// it had, and the same content.
    pub version: u64,
    /// What the latest answer said in [`Told::acked`]; `None` before the first.
    pub acked: Option<Acked>,
    /// Whether [`WindowClaim::used`] has all that this replica has used, and not only what changed.
    pub whole: bool,
    /// Its windows; one that is left out holds nothing any more, and what was used in it stays counted.
    pub windows: Vec<WindowClaim>,
}

/// Up to where Redis knows what a replica said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acked {
    /// The version of the newest claim that is stored.
    pub version: u64,
    /// Until when it is kept; that it is gone later is no loss.
    pub until: UnixMillis,
}

/// What one replica says about one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowClaim {
    /// Unique within the account, the same on all replicas, and another one for a window of another shape.
    pub id: String,
    /// How it forgets.
    pub kind: Kind,
    /// How much of each unit may be used; `None` where it is only counted.
    pub caps: [Option<u64>; 4],
    /// Own usage by the start of its period or slot: absolute numbers, those that changed since the
    /// claim that was acknowledged, or all of them in a whole claim.
    pub used: Vec<(UnixMillis, [u64; 4])>,
    /// What own requests under way have reserved and not used yet.
    pub held: [u64; 4],
    /// How much may be used or held beyond that before the next claim.
    pub wish: [u64; 4],
    /// Own requests that have not ended.
    pub in_flight: u64,
}

/// How a window forgets what was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// At the end of its period. Usage of the period before is kept for what still settles there.
    Fixed {
        /// When the period began.
        start: UnixMillis,
        /// When the next one begins.
        end: UnixMillis,
    },
    /// Each slot, `every_ms` after it has ended.
    Rolling {
        /// The window's length.
        every_ms: u64,
        /// The length of the slots in which usage is counted; they start at multiples of it.
        slot_ms: u64,
    },
    /// Never.
    Forever {
        /// When counting began.
        start: UnixMillis,
    },
    /// As soon as it is no longer held: requests at once. Nothing is ever used in it.
    Slots,
}

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What time it is for Redis.
    pub time: UnixMillis,
    /// To be said in the next claim. Its version is the claim's own, unless that was
    /// [lost](Told::lost) or came after a newer one.
    pub acked: Acked,
    /// Live replicas, this one among them.
    pub replicas: u64,
    /// Whether Redis lost data, or may have, and grants nothing more until everybody has spoken.
    /// A [backup](super::Backup) is welcome.
    pub recovering: bool,
    /// Whether Redis does not know what it acknowledged, so that the claim was not taken. The next one must be
    /// [whole](Claim::whole), with a higher version.
    pub lost: bool,
    /// One for each window of the claim, in the same order.
    pub windows: Vec<WindowTold>,
}

/// What a replica is told about one window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowTold {
    /// Whether the period of a fixed window is not the present one by [`Told::time`]. Nothing is granted.
    pub stale: bool,
    /// How much of the wish is now this replica's, until its next claim. Of a unit without a cap: all.
    pub granted: [u64; 4],
    /// What is used and counts now, without this replica's own. Has the credit of dead replicas.
    pub others_used: [u64; 4],
    /// What other live replicas hold.
    pub others_held: [u64; 4],
    /// What other live replicas may use without asking.
    pub others_credit: [u64; 4],
    /// Requests of other live replicas that have not ended.
    pub others_in_flight: u64,
}
