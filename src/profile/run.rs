//! What one run has come to.

use std::borrow::Cow;
use std::time::UNIX_EPOCH;

use alumet::target::{self, Among, Exit};
use alumet::{Report, Totals};
use serde::Serialize;

use super::headline::{Headline, Parameters};
use super::metric::MetricTotal;
use super::wall::Wall;
use crate::derived::{Derived, Span, derive};
use crate::followed::Followed;
use crate::footprint::Rates;

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

/// What the measuring process has cost, and how well it kept its times.
#[derive(Debug, Serialize)]
pub struct Own {
    pub cpu_s: f64,
    pub ticks: u64,
    pub missed: u64,
    pub late_p99_us: Option<f64>,
    pub rss_bytes: u64,
}

impl Run {
    pub fn of(report: &Report, totals: &Totals, rates: Rates, timed_out: bool, followed: Followed) -> Self {
        let sampling = &report.sampling;
        let metrics = MetricTotal::all(&totals.get());
        let derived = derive(&metrics, &Span::of(report)).into_iter().chain(rates.derive(&metrics));
        let wall = Wall::of(report);
        let derived: Vec<_> = derived.collect();
        Self {
            parameters: Parameters::new(),
            started: humantime::format_rfc3339_nanos(report.start.wall.max(UNIX_EPOCH)).to_string(),
            headline: Headline::all(&wall, &metrics, &derived),
            wall,
            exit: report.exit.map(|exit| match exit {
                Exit::Code(code) => ExitStatus::Code(code),
                Exit::Signal(signal) => ExitStatus::Signal(signal),
            }),
            oom_kills: report.oom_kills.as_ref().map(OomKills::of),
            timed_out,
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
        }
    }
}
