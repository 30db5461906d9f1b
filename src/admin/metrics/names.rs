//! Every metric: its name, its kind, and what it is, in one place.

use super::families::{Metric, counter, gauge};

pub(super) const BUILD: Metric = gauge(
    "gateway_build_info",
    "Which version runs. Always 1; the version is the label.",
);
pub(super) const UPTIME: Metric = gauge("gateway_uptime_seconds", "How long the process has run.");
pub(super) const RELOADS: Metric = counter(
    "gateway_config_reloads_total",
    "Configurations that were loaded after the first.",
);
pub(super) const REJECTED: Metric = gauge(
    "gateway_config_rejected",
    "1 while the configuration file is not valid and an older one is served by.",
);
pub(super) const SHARED: Metric = gauge(
    "gateway_shared_state_up",
    "Whether the counters that several gateways share are within reach. Only where they are shared.",
);

pub(super) const ALERTS_LOST: Metric = counter(
    "gateway_alerts_lost_total",
    "Alerts that the webhook did not get: too many waited, or it did not take them.",
);

pub(super) const LIMIT: Metric = gauge(
    "gateway_quota_limit",
    "What may be used in one period. Only where there is a limit.",
);
pub(super) const USED: Metric = gauge(
    "gateway_quota_used",
    "What was used in the present period, by all gateways that share it.",
);
pub(super) const HELD: Metric = gauge(
    "gateway_quota_held",
    "What is held by requests that have no answer yet.",
);
pub(super) const REMAINING: Metric = gauge(
    "gateway_quota_remaining",
    "The limit without what was used. What is held is part of it.",
);
pub(super) const RESET: Metric = gauge(
    "gateway_quota_reset_timestamp_seconds",
    "When the counts return to zero next.",
);
pub(super) const EXHAUSTION: Metric = gauge(
    "gateway_quota_forecast_exhaustion_timestamp_seconds",
    "When the window is used up at the present pace. Only where that is before the counts return to zero.",
);
pub(super) const CONFIDENCE: Metric = gauge(
    "gateway_quota_forecast_confidence",
    "From 0, a guess, to 1: how long the pace was watched, and how steady it is.",
);
pub(super) const PER_HOUR: Metric = gauge(
    "gateway_quota_forecast_per_hour",
    "What is used in an hour at the present pace, of the unit that runs out first.",
);
pub(super) const CONCURRENT: Metric = gauge(
    "gateway_concurrent",
    "Requests that have not ended, running streams included.",
);
pub(super) const CONCURRENT_LIMIT: Metric = gauge(
    "gateway_concurrent_limit",
    "Most requests at once. Only where there is a limit.",
);

pub(super) const ELIGIBLE: Metric = gauge(
    "gateway_provider_eligible",
    "1 if the provider would be asked now; 0 if it is disabled, resting, or out of quota.",
);
pub(super) const COOLDOWN: Metric = gauge(
    "gateway_provider_cooldown_until_timestamp_seconds",
    "When the provider's rest ends. Only while it rests.",
);

pub(super) const WAITING: Metric =
    gauge("gateway_queue_waiting", "Requests that wait for room now.");
pub(super) const LONGEST: Metric = gauge(
    "gateway_queue_longest",
    "Most requests that ever waited at once.",
);
pub(super) const SERVED: Metric = counter(
    "gateway_queue_served_total",
    "Requests that waited and found room.",
);
pub(super) const IN_VAIN: Metric = counter(
    "gateway_queue_in_vain_total",
    "Requests that waited for as long as they may and found no room.",
);
pub(super) const LEFT: Metric = counter(
    "gateway_queue_left_total",
    "Requests whose client left while they waited.",
);
pub(super) const REFUSED: Metric = counter(
    "gateway_queue_refused_total",
    "Requests that found the queue full.",
);
pub(super) const WAITED: Metric = counter(
    "gateway_queue_waited_seconds_total",
    "How long the requests that found room have waited, all together.",
);
