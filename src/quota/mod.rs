//! How much each provider may still be asked.
//!
//! An [`Account`] has the counters of one provider: a request [reserves](Account::reserve) before
//! it is sent, and its [`Reservation`] is committed before the answer is released, settled when
//! the real number of tokens is known, and given back if it is dropped before. A [`Receipt`] says that
//! it was counted and has that written down. [`Quotas`] is the book of all accounts and remembers them on disk.
//!
//! Several gateways that share their accounts speak through [`shared`].
//!
//! Pure but for `journal`, `store`, `shared::client` and those that call them; nothing here reads a clock
//! or logs. What is stored and why nothing is lost: `docs/quotas.md`.

mod account;
mod bell;
mod entry;
mod file_name;
mod hearing;
mod joint;
mod journal;
mod ledger;
mod limit;
mod local;
mod period;
mod quotas;
mod reservation;
pub mod shared;
mod sharing;
mod store;
#[cfg(test)]
mod tests;
mod usage_file;

pub use account::Account;
pub use ledger::{Forecast, LearnedStanding, Rollover, Standing, WindowStanding};
pub use limit::{
    Amount, Caps, Cost, Count, Cycle, Exhausted, Lack, Limits, PerUnit, UNITS, Unit, Window,
};
pub use period::{Period, Schedule};
pub use quotas::{CLIENTS, Event, GROUPS, Owner, Quotas};
pub use reservation::{Receipt, Reservation};
pub use sharing::{Running, Sharing};
pub use store::{Flushed, OpenError};
