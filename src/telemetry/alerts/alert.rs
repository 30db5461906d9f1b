//! One alert, as a webhook gets it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::chat::Unit;
use crate::clock::UnixMillis;
use crate::quota::{CLIENTS, GROUPS};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A share of a limit was used.
    Quota,
    /// A limit will be used up before it is renewed.
    Forecast,
    /// Every provider of a model rests or is spent.
    ModelUnserved,
    /// That has passed.
    ModelServed,
    /// The configuration file is not valid.
    ConfigRejected,
    /// It is valid again.
    ConfigAccepted,
    /// What several gateways share is out of reach.
    SharedStateAway,
    /// It is within reach again.
    SharedStateBack,
    /// Counts cannot be written.
    DiskFailing,
    /// They can be again.
    DiskWell,
}

impl Event {
    /// What programs know it by.
    pub fn name(self) -> &'static str {
        match self {
            Event::Quota => "quota",
            Event::Forecast => "quota_forecast",
            Event::ModelUnserved => "model_unserved",
            Event::ModelServed => "model_served",
            Event::ConfigRejected => "config_rejected",
            Event::ConfigAccepted => "config_accepted",
            Event::SharedStateAway => "shared_state_away",
            Event::SharedStateBack => "shared_state_back",
            Event::DiskFailing => "disk_failing",
            Event::DiskWell => "disk_well",
        }
    }
}

/// Something that somebody should look at. Holds names of the configuration and numbers: no secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What happened.
    pub event: Event,
    /// When it was noticed.
    pub at: UnixMillis,
    /// Which model it is about.
    pub model: Option<String>,
    /// Which provider.
    pub provider: Option<String>,
    /// Which of its windows.
    pub window: Option<Arc<str>>,
    /// What is counted there.
    pub unit: Option<Unit>,
    /// The percentage that was reached.
    pub percent: Option<u8>,
    /// What was used.
    pub used: Option<u64>,
    /// Out of how much.
    pub limit: Option<u64>,
    /// When the count returns to zero.
    pub resets_at: Option<UnixMillis>,
    /// When all of it will be used.
    pub exhausted_at: Option<UnixMillis>,
}

impl Alert {
    /// One that is about nothing in particular.
    pub(super) fn new(event: Event, at: UnixMillis) -> Alert {
        Alert {
            event,
            at,
            model: None,
            provider: None,
            window: None,
            unit: None,
            percent: None,
            used: None,
            limit: None,
            resets_at: None,
            exhausted_at: None,
        }
    }

    /// The body for a webhook. `text` is what chat programs show.
    pub(super) fn json(&self) -> Value {
        json!({
            "event": self.event.name(),
            "at": self.at.rfc3339(),
            "model": self.model,
            "provider": self.provider,
            "window": self.window.as_deref(),
            "unit": self.unit.map(Unit::name),
            "percent": self.percent,
            "used": self.used,
            "limit": self.limit,
            "resets_at": self.resets_at.map(UnixMillis::rfc3339),
            "exhausted_at": self.exhausted_at.map(UnixMillis::rfc3339),
            "text": self.text(),
        })
    }

    fn text(&self) -> String {
        let model = self.model.as_deref().unwrap_or_default();
        let text = match self.event {
            Event::Quota => {
                let (used, limit) = (self.used.unwrap_or(0), self.limit.unwrap_or(0));
                let percent = self.percent.unwrap_or(0);
                format!(
                    "{}: {percent}% of the {} are used ({used} of {limit}){}",
                    self.whose(),
                    self.what(),
                    self.renewal()
                )
            }
            Event::Forecast => {
                let at = self.exhausted_at.map(UnixMillis::rfc3339);
                format!(
                    "{}: at this pace the {} are used up at {}{}",
                    self.whose(),
                    self.what(),
                    at.unwrap_or_default(),
                    self.renewal()
                )
            }
            Event::ModelUnserved => format!("{model}: every provider is resting or used up"),
            Event::ModelServed => format!("{model}: a provider is available again"),
            Event::ConfigRejected => {
                "the configuration file is not valid, the old one stays".into()
            }
            Event::ConfigAccepted => "the configuration file is valid again".into(),
            Event::SharedStateAway => "the shared state cannot be reached".into(),
            Event::SharedStateBack => "the shared state is reached again".into(),
            Event::DiskFailing => "usage cannot be written to disk".into(),
            Event::DiskWell => "usage is written to disk again".into(),
        };
        format!("api-gateway: {text}")
    }

    fn whose(&self) -> String {
        let model = self.model.as_deref().unwrap_or_default();
        let provider = self.provider.as_deref().unwrap_or_default();
        match model {
            GROUPS => format!("group {provider}"),
            CLIENTS => format!("client {provider}"),
            model => format!("{model}/{provider}"),
        }
    }

    fn what(&self) -> String {
        let unit = self.unit.map_or("", Unit::name).replace('_', " ");
        let window = self.window.as_deref().unwrap_or_default();
        format!("{unit} of window {window:?}")
    }

    fn renewal(&self) -> String {
        self.resets_at
            .map_or_else(String::new, |at| format!(", it resets at {}", at.rfc3339()))
    }
}
