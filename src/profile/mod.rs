//! The profile: one JSON document with everything that runs came to. Its schema is `docs/src/profile.schema.json`.
//! [`runs`] keeps the runs and sums them up.

mod headline;
mod runs;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

use alumet::conventions::{ENERGY, UNCERTAINTY};
use alumet::target::{self, Among, Exit};
use alumet::{Bound, Kind, Missing, Provenance, Report, Total, Totals};
use alumet_plugin_estimate::Band;
use serde::{Deserialize, Serialize};

use crate::derived::{Derived, Span, derive};
use crate::files::{self, Kind as FileKind};
use crate::fingerprint::Fingerprint;
use crate::followed::Followed;
use crate::footprint::Rates;
use crate::quantity::is_exact;

pub use headline::Headline;
pub use runs::Runs;

/// The name of this version of the format.
pub const SCHEMA: &str = "alumet.profile/2";
/// All that can be read: the first version has no headlines.
pub const READABLE: [&str; 2] = ["alumet.profile/1", SCHEMA];

#[derive(Debug, Serialize)]
pub struct Profile {
    pub schema: &'static str,
    pub alumet: &'static str,
    pub host: Fingerprint,
    pub command: Vec<String>,
    /// The configuration of the plugins that took part.
    pub options: BTreeMap<String, toml::Table>,
    pub sources: Vec<SourceStatus>,
    /// What could not be measured, or not wholly.
    pub missing: Vec<Missing>,
    pub runs: Runs,
    /// The headlines over all runs.
    pub headline: Vec<headline::Summary>,
    pub summary: Vec<Summary>,
}

/// Whether a plugin took part, and if not, why.
#[derive(Debug, Clone, Serialize)]
pub struct SourceStatus {
    pub name: String,
    pub status: Status,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Available,
    Unavailable,
    Failed,
}

impl SourceStatus {
    pub fn available(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            status: Status::Available,
            reason: String::new(),
            remedy: String::new(),
        }
    }

    pub fn unavailable(name: &str, missing: &Missing) -> Self {
        let Missing { reason, remedy, .. } = missing.clone();
        Self { name: name.to_owned(), status: Status::Unavailable, reason, remedy }
    }

    pub fn failed(name: &str, reason: String) -> Self {
        Self { name: name.to_owned(), status: Status::Failed, reason, remedy: String::new() }
    }
}

/// Values by name.
pub type Parameters = BTreeMap<String, String>;

#[derive(Debug, Serialize)]
pub struct Run {
    /// What was put in the place of the names in the command.
    #[serde(skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    /// RFC 3339, UTC: the start mark.
    pub started: String,
    #[serde(flatten)]
    pub wall: Wall,
    pub exit: Option<ExitStatus>,
    /// Processes that the kernel has killed meanwhile for want of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_kills: Option<OomKills>,
    /// Whether alumet ended it because of its time limit.
    pub timed_out: bool,
    /// What a person looks for first.
    pub headline: Vec<Headline>,
    pub metrics: Vec<MetricTotal>,
    pub derived: Vec<Derived>,
    /// Ended processes whose totals were left out, because others used more CPU time.
    pub omitted_processes: usize,
    /// How the processes were found.
    pub followed: Followed,
    /// Processes that lived on when the application had ended.
    pub survivors: Vec<Survivor>,
    pub suspended_s: f64,
    #[serde(rename = "self")]
    pub own: Own,
}

/// How long a run took.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Wall {
    pub wall_s: f64,
    /// At most so long, if the end was seen late.
    #[serde(default, skip_serializing_if = "Bound::is_exact")]
    pub wall_bound: Bound,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub wall_bound_reason: String,
}

impl Wall {
    pub fn of(report: &Report) -> Self {
        Self {
            wall_s: report.wall.as_secs_f64(),
            wall_bound: report.wall_bound,
            wall_bound_reason: report.wall_bound_reason.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ExitStatus {
    Code(i32),
    Signal(i32),
}

#[derive(Debug, Serialize)]
pub struct OomKills {
    pub count: u64,
    /// `application`, the name of a cgroup that others are in, too, or `machine`.
    pub among: Cow<'static, str>,
}

impl OomKills {
    fn of(kills: &target::OomKills) -> Self {
        let among = match &kills.among {
            Among::Application => "application".into(),
            Among::Cgroup(name) => name.clone().into(),
            Among::Machine => "machine".into(),
        };
        Self { count: kills.count, among }
    }
}

#[derive(Debug, Serialize)]
pub struct Survivor {
    pub pid: i32,
    pub name: String,
}

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

/// What the measuring process has cost, and how well it kept its times.
#[derive(Debug, Serialize)]
pub struct Own {
    pub cpu_s: f64,
    pub ticks: u64,
    pub missed: u64,
    pub late_p99_us: Option<f64>,
    pub rss_bytes: u64,
}

/// A metric of the application or the machine over all runs.
#[derive(Debug, Serialize)]
pub struct Summary {
    #[serde(flatten)]
    pub key: Key,
    #[serde(skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    pub n: usize,
    pub mean: f64,
    pub median: f64,
    pub min: f64,
    pub max: f64,
    /// Absent where one run says nothing of it.
    pub stddev: Option<f64>,
    /// Whether all of them are exact, as in [`crate::quantity::Reading`].
    #[serde(skip_serializing_if = "is_exact")]
    pub bound: Option<Bound>,
    /// The 95 % confidence interval of the mean; absent likewise.
    pub ci95: Option<[f64; 2]>,
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

impl Run {
    pub fn of(report: &Report, totals: &Totals, rates: Rates, timed_out: bool, followed: Followed) -> Self {
        let sampling = &report.sampling;
        let metrics = MetricTotal::all(&totals.get());
        let derived = derive(&metrics, &Span::of(report)).into_iter().chain(rates.derive(&metrics));
        let derived = derived.collect();
        let mut run = Self {
            parameters: Parameters::new(),
            started: humantime::format_rfc3339_nanos(report.start.wall.max(UNIX_EPOCH)).to_string(),
            wall: Wall::of(report),
            exit: report.exit.map(|exit| match exit {
                Exit::Code(code) => ExitStatus::Code(code),
                Exit::Signal(signal) => ExitStatus::Signal(signal),
            }),
            oom_kills: report.oom_kills.as_ref().map(OomKills::of),
            timed_out,
            headline: Vec::new(),
            metrics,
            derived,
            omitted_processes: totals.omitted(),
            followed,
            survivors: report
                .survivors
                .iter()
                .map(|s| Survivor { pid: s.pid, name: s.name.clone() })
                .collect(),
            suspended_s: report.suspended.as_secs_f64(),
            own: Own {
                cpu_s: report.own.cpu.as_secs_f64(),
                ticks: sampling.iter().map(|sampling| sampling.ticks).sum(),
                missed: sampling.iter().map(|sampling| sampling.missed).sum(),
                late_p99_us: report.late_p99.map(|late| late.as_secs_f64() * 1e6),
                rss_bytes: report.own.peak_resident,
            },
        };
        run.headline = Headline::all(&run);
        run
    }
}

impl Profile {
    /// Writes the document whole: a regular file is replaced at once, so that nobody ever reads half of it.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        files::replace(path, FileKind::Profile, |file| {
            let mut text = BufWriter::new(file);
            serde_json::to_writer_pretty(&mut text, self)?;
            text.write_all(b"\n")?;
            text.flush()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breakdown::{By, table};
    use alumet::{Batch, Consumer, Metric, Output, Registry, Series};
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
