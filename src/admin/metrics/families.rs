//! Metrics as they are told: families of samples, in text or JSON.

use std::collections::BTreeMap;

use prometheus::TextEncoder;
use prometheus::proto::{self, LabelPair, MetricFamily, MetricType};
use serde_json::{Map, Value, json};

/// What a metric is called, and what it is.
#[derive(Clone, Copy)]
pub(super) struct Metric {
    name: &'static str,
    kind: MetricType,
    help: &'static str,
}

/// A number that goes up and down.
pub(super) const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric {
        name,
        kind: MetricType::GAUGE,
        help,
    }
}

/// A number that only grows.
pub(super) const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric {
        name,
        kind: MetricType::COUNTER,
        help,
    }
}

/// One number of a metric.
struct Sample {
    labels: Vec<(&'static str, String)>,
    value: f64,
}

/// All that was read at one moment, by name.
#[derive(Default)]
pub(super) struct Families(BTreeMap<&'static str, (Metric, Vec<Sample>)>);

impl Families {
    /// Adds a number. The same labels must not come twice.
    pub(super) fn add(&mut self, metric: Metric, labels: &[(&'static str, &str)], value: f64) {
        let owned = labels.iter().map(|(name, value)| (*name, (*value).into()));
        let sample = Sample {
            labels: owned.collect(),
            value,
        };
        let (_, samples) = self.0.entry(metric.name).or_insert((metric, Vec::new()));
        samples.push(sample);
    }

    /// In the text format of Prometheus.
    pub(super) fn text(&self) -> prometheus::Result<String> {
        let families: Vec<MetricFamily> = self.0.values().map(family).collect();
        TextEncoder::new().encode_to_string(&families)
    }

    /// The same as JSON, by name.
    pub(super) fn json(&self) -> Value {
        let family = |(metric, samples): &(Metric, Vec<Sample>)| {
            let samples: Vec<Value> = samples
                .iter()
                .map(|sample| {
                    let labels = sample.labels.iter();
                    let labels: Map<String, Value> = labels
                        .map(|(name, value)| ((*name).to_owned(), json!(value)))
                        .collect();
                    json!({ "labels": labels, "value": number(sample.value) })
                })
                .collect();
            let kind = format!("{:?}", metric.kind).to_lowercase();
            json!({ "type": kind, "help": metric.help, "samples": samples })
        };
        let all = self.0.iter();
        all.map(|(name, told)| ((*name).to_owned(), family(told)))
            .collect::<Map<String, Value>>()
            .into()
    }
}

fn family((metric, samples): &(Metric, Vec<Sample>)) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(metric.name.to_owned());
    family.set_help(metric.help.to_owned());
    family.set_field_type(metric.kind);
    let one = |sample: &Sample| {
        let labels = sample.labels.iter().map(|(name, value)| {
            let mut label = LabelPair::default();
            label.set_name((*name).to_owned());
            label.set_value(value.clone());
            label
        });
        let mut one = proto::Metric::from_label(labels.collect());
        if metric.kind == MetricType::COUNTER {
            let mut counter = proto::Counter::default();
            counter.set_value(sample.value);
            one.set_counter(counter);
        } else {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(sample.value);
            one.set_gauge(gauge);
        }
        one
    };
    family.set_metric(samples.iter().map(one).collect());
    family
}

/// Whole numbers without a fraction, as people write them.
fn number(value: f64) -> Value {
    /// Up to here every whole number can be told from the next.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value.fract() == 0.0 && value.abs() < EXACT {
        true => json!(value as i64),
        false => json!(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Families, counter, gauge};

    #[test]
    fn both_forms_say_the_same() {
        let mut families = Families::default();
        families.add(
            gauge("b", "Half a \\ thing."),
            &[("model", "a\"b\\c\n")],
            0.5,
        );
        families.add(counter("a", "Things."), &[], 3.0);
        families.add(gauge("b", ""), &[("model", "x")], 1_795_170_615.0);
        assert_eq!(
            families.text().unwrap(),
            "# HELP a Things.\n# TYPE a counter\na 3\n\
             # HELP b Half a \\\\ thing.\n# TYPE b gauge\n\
             b{model=\"a\\\"b\\\\c\\n\"} 0.5\nb{model=\"x\"} 1795170615\n"
        );
        assert_eq!(
            families.json(),
            json!({
                "a": { "type": "counter", "help": "Things.", "samples": [
                    { "labels": {}, "value": 3 },
                ] },
                "b": { "type": "gauge", "help": "Half a \\ thing.", "samples": [
                    { "labels": { "model": "a\"b\\c\n" }, "value": 0.5 },
                    { "labels": { "model": "x" }, "value": 1_795_170_615 },
                ] },
            })
        );
    }
}
