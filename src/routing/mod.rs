//! Who serves a request.
//!
//! Pure: a request's model name becomes a [`Route`], whose tiers a [`Plan`] walks in order of priority
//! and weight. Moments and random draws are arguments; nothing here calls anybody.

mod candidate;
mod health;
mod name;
mod plan;
mod provider;
mod queue;
mod retry;
mod route;
mod strategy;
mod target;
mod wheel;

pub use candidate::{ANSWER_TOKENS_DEFAULT, Candidate, Ineligible};
pub use health::{Cooldown, Health};
pub use name::Name;
pub use plan::{Plan, Refusals};
pub use provider::{Group, Provider, Tls};
pub use queue::{Queue, QueueReport, Sought, Ticket, Waited};
pub use retry::{LONGEST_PAUSE, RetryBudget, pause};
pub use route::{Found, Route, Routes, Tier, capture};
pub use strategy::Strategy;
pub use target::{Dial, Target};
pub use wheel::Wheel;
