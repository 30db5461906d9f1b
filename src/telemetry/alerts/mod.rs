//! What somebody should look at: told once, in the log and to a webhook.
//!
//! [`Watch`] decides from what is seen once a second, and is pure. What it tells is logged here, and waits in
//! an [`Outbox`] for [`deliver`], which calls the webhook. Neither ever holds up anything else.

mod alert;
mod hook;
mod watch;

use std::sync::Arc;

use parking_lot::Mutex;

use crate::clock::UnixMillis;
use crate::quota::Window;
pub use alert::{Alert, Event};
pub use hook::{Outbox, deliver};
pub use watch::{Reading, Sight, Trouble, Watch};

/// What was told, and what waits for the webhook.
#[derive(Debug, Default)]
pub struct Alerts {
    watch: Mutex<Watch>,
    /// What waits for the webhook.
    pub outbox: Arc<Outbox>,
}

impl Alerts {
    /// Tells what is new since the last look. To be called about once a second.
    pub fn look(&self, sight: &Sight<'_>, has_webhook: bool, now: UnixMillis) {
        for alert in self.watch.lock().look(sight, now) {
            log(&alert);
            if has_webhook {
                self.outbox.push(alert);
            }
        }
    }
}

/// A line in the log, unless whoever noticed it has logged it already.
fn log(alert: &Alert) {
    let model = alert.model.as_deref();
    let provider = alert.provider.as_deref();
    let window = alert.window.as_deref().filter(|id| *id != Window::ONLY);
    let unit = alert.unit.map(|unit| unit.name());
    let resets_at = alert.resets_at.map(UnixMillis::rfc3339);
    let (used, limit) = (alert.used, alert.limit);
    match alert.event {
        Event::Quota => log::warn!(
            model = model, provider = provider, window = window, unit = unit,
            percent = alert.percent, used = used, limit = limit, resets_at = resets_at.as_deref();
            "Quota alert"
        ),
        Event::Forecast => {
            let exhausted_at = alert.exhausted_at.map(UnixMillis::rfc3339);
            log::warn!(
                model = model, provider = provider, window = window, unit = unit,
                exhausted_at = exhausted_at.as_deref(), used = used, limit = limit,
                resets_at = resets_at.as_deref();
                "Quota forecast"
            );
        }
        Event::ModelUnserved => log::warn!(model = model; "Model has no provider"),
        Event::ModelServed => log::info!(model = model; "Model has a provider again"),
        Event::ConfigRejected
        | Event::ConfigAccepted
        | Event::SharedStateAway
        | Event::SharedStateBack
        | Event::DiskFailing
        | Event::DiskWell => {}
    }
}
