//! One series of a run, as it is written and read, and as everything that is said of a run is made from it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use alumet::conventions::{ENERGY, UNCERTAINTY};
use alumet::{Bound, Kind, Provenance, Total};
use alumet_plugin_estimate::Band;
use serde::{Deserialize, Serialize};

/// One series of a run: `value` for a counter, `mean`, `min` and `max` for a gauge.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MetricTotal {
    #[serde(flatten)]
    pub key: Key,
    #[serde(flatten)]
    pub amount: Amount,
    /// One standard deviation of an energy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertainty: Option<f64>,
    /// Between which values an estimate may lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub band: Option<[f64; 2]>,
    /// Whether the amount is what it says.
    #[serde(default, skip_serializing_if = "Bound::is_exact")]
    pub bound: Bound,
    /// Why it is not, in words for a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bound_reason: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    pub metric: String,
    pub unit: String,
    pub kind: Cow<'static, str>,
    pub provenance: Cow<'static, str>,
    pub method: String,
    pub resource: String,
    pub resource_id: String,
    pub consumer: Cow<'static, str>,
    pub consumer_id: String,
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    Counter { value: f64 },
    Gauge { mean: f64, min: f64, max: f64 },
}

impl Key {
    /// Whether it is this metric of this kind of consumer.
    pub fn is(&self, metric: &str, consumer: &str) -> bool {
        self.metric == metric && self.consumer == consumer
    }

    /// Whether it is this metric of the very thing that `other` is about.
    pub fn is_beside(&self, other: &Self, metric: &str) -> bool {
        self.metric == metric
            && (&self.resource, &self.resource_id) == (&other.resource, &other.resource_id)
            && (&self.consumer, &self.consumer_id) == (&other.consumer, &other.consumer_id)
            && self.labels == other.labels
            && self.provenance == other.provenance
    }

    /// The value of a label, if there is one.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }

    /// Where it comes from.
    pub fn provenance(&self) -> Provenance {
        let all = [Provenance::Measured, Provenance::Attributed, Provenance::Estimated];
        // What no version has written is refused when it is read; nothing is weaker than an estimate.
        all.into_iter().find(|one| one.as_str() == self.provenance).unwrap_or(Provenance::Estimated)
    }

    /// What makes it the same in several runs: the method may tell how often it was sampled.
    pub fn identity(&self) -> String {
        let Self { metric, provenance, resource, resource_id, consumer, consumer_id, labels, .. } = self;
        format!("{metric}\0{provenance}\0{resource}\0{resource_id}\0{consumer}\0{consumer_id}\0{labels:?}")
    }
}

impl Amount {
    /// The total of a counter, the mean of a gauge.
    pub fn value(self) -> f64 {
        match self {
            Self::Counter { value } => value,
            Self::Gauge { mean, .. } => mean,
        }
    }

    /// The total of a counter, the largest value of a gauge.
    pub fn most(self) -> f64 {
        match self {
            Self::Counter { value } => value,
            Self::Gauge { max, .. } => max,
        }
    }
}

impl MetricTotal {
    fn of(total: &Total) -> Self {
        let series = &total.series;
        let kind = series.metric.kind.as_str();
        let amount = match series.metric.kind {
            Kind::Counter => Amount::Counter { value: total.value },
            Kind::Gauge => Amount::Gauge { mean: total.value, min: total.min, max: total.max },
        };
        let key = Key {
            metric: series.metric.name.to_string(),
            unit: series.metric.unit.to_string(),
            kind: kind.into(),
            provenance: series.provenance.as_str().into(),
            method: series.method.to_string(),
            resource: series.resource.kind.to_string(),
            resource_id: series.resource.id.clone(),
            consumer: series.consumer.kind().into(),
            consumer_id: series.consumer.id().map(|id| id.to_string()).unwrap_or_default(),
            labels: series.labels.iter().map(|(key, value)| (key.to_string(), value.clone())).collect(),
        };
        let (bound, bound_reason) = (total.bound, total.bound_reason.to_string());
        let band = Band::of(series).map(|band| band.around(total.value));
        Self { key, amount, uncertainty: None, band, bound, bound_reason }
    }

    /// All of these, each energy with how sure it is.
    pub fn all(totals: &[Total]) -> Vec<Self> {
        // Few, while there may be an energy of each of 20,000 processes.
        let is_uncertainty = |total: &&Total| total.series.metric.name == UNCERTAINTY.name;
        let uncertainties: Vec<(Key, f64)> =
            totals.iter().filter(is_uncertainty).map(|total| (Self::of(total).key, total.last)).collect();
        totals.iter().map(|total| Self::of(total).with(&uncertainties)).collect()
    }

    /// An energy with how sure it is, as these uncertainties say.
    fn with(self, uncertainties: &[(Key, f64)]) -> Self {
        if self.key.metric != ENERGY.name {
            return self;
        }
        let beside = uncertainties.iter().find(|(key, _)| key.is_beside(&self.key, &UNCERTAINTY.name));
        Self { uncertainty: beside.map(|(_, uncertainty)| *uncertainty), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breakdown::{By, table};
    use alumet::{Batch, Consumer, Metric, Output, Registry, Series, Totals};
    use nix::time::{ClockId, clock_gettime};

    /// Of so many processes, each with an energy and a time.
    fn totals(processes: i32) -> Vec<Total> {
        let registry = Registry::new();
        let mut batch = Batch::new(std::sync::Arc::clone(&registry));
        for pid in 0..processes {
            for metric in [ENERGY, Metric::counter("process.cpu.time", "s", "")] {
                let series = Series::new(metric).consumer(Consumer::Process(pid));
                batch.push(registry.series(series).unwrap(), f64::from(pid));
            }
        }
        let mut totals = Totals::new();
        totals.write(&batch).unwrap();
        totals.get()
    }

    /// The least CPU time of a few tries: other processes take none of it.
    fn cost(f: impl Fn()) -> f64 {
        let now = || std::time::Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
        let once = || {
            let before = now();
            f();
            (now() - before).as_secs_f64()
        };
        (0..5).map(|_| once()).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn four_times_as_many_processes_take_about_four_times_as_long() {
        let (few, many) = (totals(2_000), totals(8_000));
        let of_table = |totals: &[Total]| cost(|| drop(table(By::Process, totals, 10, 80)));
        let of_profile = |totals: &[Total]| cost(|| drop(MetricTotal::all(totals)));
        for (what, ratio) in [
            ("the table", of_table(&many) / of_table(&few)),
            ("the profile", of_profile(&many) / of_profile(&few)),
        ] {
            // Each process compared with each other one: 16.
            assert!(ratio < 9.0, "{what}: {ratio}");
        }
    }
}
