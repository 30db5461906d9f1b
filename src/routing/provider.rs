//! One upstream account, as configured.

use std::sync::Arc;
use std::time::Duration;

use crate::protocol::Dialect;
use crate::quota::{Count, Limits};
use crate::secret::Secret;

/// One upstream account: where it is, what it may be asked, and how patient we are with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// Unique within its model.
    pub name: String,
    /// Absolute `http` or `https` URL without a trailing slash; paths such as `/chat/completions` are appended.
    pub endpoint: String,
    /// How it speaks.
    pub dialect: Dialect,
    /// The key we present.
    pub api_key: Secret,
    /// The model's name at the provider. May hold one `*` when the model's own name is a pattern.
    pub model: String,
    /// Tier; smaller is tried first.
    pub priority: i64,
    /// Share within the tier; 0 serves only when nothing else in the tier is left.
    pub weight: u32,
    /// Its own quota.
    pub limits: Limits,
    /// The quota that it shares with other providers.
    pub group: Option<Group>,
    /// What counts as a request.
    pub count: Count,
    /// Extra attempts on this provider after the first failed.
    pub retry: u32,
    /// Bound on an attempt until its answer is complete, or for a stream until its first meaningful event.
    pub timeout: Duration,
    /// Bound on an attempt until the first byte of the answer (a stream: its first meaningful event).
    pub first_byte_timeout: Option<Duration>,
    /// Longest silence within a committed stream.
    pub stream_idle_timeout: Duration,
    /// Bound on resolving, connecting and the TLS handshake.
    pub connect_timeout: Duration,
    /// Whether it can stream.
    pub stream_support: bool,
    /// Whether it can answer without streaming.
    pub non_stream_support: bool,
    /// Whether it takes part at all.
    pub enabled: bool,
    /// Headers added upstream; they win over ours, `Authorization` included.
    pub custom_headers: Vec<(String, Secret)>,
    /// Largest request it takes, in tokens.
    pub max_context_length: Option<u64>,
    /// How its certificate is checked.
    pub tls: Tls,
}

/// A quota that several providers share, because they are one account at the vendor.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Tells it from every other group: those with the same one share their counts.
    pub id: String,
    /// What they may use together. The same for all of them.
    pub limits: Limits,
}

/// How a provider's certificate is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tls {
    /// Certificates of further authorities to trust, in DER. What they are and not where they lie: equal
    /// ones share one set-up, and renewed ones get another.
    pub authorities: Arc<[Vec<u8>]>,
    /// Trust any certificate.
    pub insecure_skip_verify: bool,
}
