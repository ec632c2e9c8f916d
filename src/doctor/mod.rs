//! What can be measured on this machine, how well, and what would make it better: what `alumet doctor` finds out.
//!
//! It tries: everything is [started](trial) on an application that does nothing, and the [`meters`] are watched for a second.
//! [`machine`] has what makes runs hard to repeat here, [`cgroup`] who can give an application one of its own, [`page`] the
//! screen.

mod cgroup;
mod machine;
mod meters;
pub mod page;
pub mod trial;

use std::time::Duration;

use alumet::{Plugin, Provenance, Report, Total, Totals};
use alumet_plugin_estimate::{Estimation, measures_cpus};
use alumet_plugin_rapl::Rapl;
use serde::Serialize;

use crate::config::Config;
use crate::exit::Failure;
use crate::fingerprint::Fingerprint;
use crate::idle;
use crate::idle::saved::Known;
use cgroup::Cgroup;
use meters::Meter;
pub use trial::{Source, Status, Trial};

/// The name of this version of the format.
const SCHEMA: &str = "alumet.doctor/1";

/// Everything that was found out.
#[derive(Debug, Serialize)]
pub struct Findings {
    pub schema: &'static str,
    pub alumet: &'static str,
    pub host: Fingerprint,
    pub sources: Vec<Source>,
    pub meters: Vec<Meter>,
    pub timer: Timer,
    /// alumet's own CPU time at the default intervals, as a share of one core.
    pub own_cpu: f64,
    pub cgroup: Cgroup,
    /// `perf_event_paranoid`, where the kernel has that.
    pub perf_event_paranoid: Option<i32>,
    /// The idle profile that a run would use, or why none.
    pub idle: Result<String, String>,
    /// What makes runs here hard to repeat.
    pub risks: Vec<String>,
}

/// How punctual readings are.
#[derive(Debug, Serialize)]
pub struct Timer {
    /// The shortest default interval, in seconds.
    pub interval_s: f64,
    /// 99 of 100 readings were less late than this, in microseconds.
    pub late_p99_us: Option<f64>,
}

impl Findings {
    /// Whether anything can be measured.
    pub fn any(&self) -> bool {
        let works = |source: &Source| matches!(source.status, Status::Available | Status::Partly);
        self.sources.iter().any(|source| works(source) && source.name != Estimation::NAME)
    }
}

/// Looks, for about two seconds.
pub async fn look(config: &Config) -> Result<Findings, Failure> {
    let Watched { mut sources, report, cgroup, own_cpu, series, is_measured } = Watched::run(config).await?;
    let meters = meters::watch(config).await?;
    let metered = idle::meters(&series);
    let stands_still = metered.is_some() && !meters.iter().any(|meter| meter.is_of_a_package);
    for source in &mut sources {
        match source.name {
            Rapl::NAME if stands_still => {
                source.status = Status::Unavailable;
                source.reason = "its counters stand still".into();
                source.missing.clear();
            }
            Estimation::NAME if is_measured => {
                source.status = Status::NotNeeded;
                let by_rapl = metered.is_some() && !stands_still;
                source.reason = if by_rapl { "energy is measured" } else { "a sensor measures it" }.into();
                source.remedy.clear();
                source.missing.clear();
            }
            _ => {}
        }
    }
    // Of a model, what it rests on is what matters.
    let model = series.iter().find(|series| series.provenance == Provenance::Estimated);
    if let (Some(source), Some(model)) = (sources.iter_mut().find(|s| s.name == Estimation::NAME), model) {
        source.about = format!("from {}", model.method);
    }
    let host = Fingerprint::of(&config.host());
    let saved = metered.filter(|_| !stands_still).map(|(method, domains)| {
        idle::saved::find(config.general.idle_profile.as_deref(), &host, &method, &domains)
    });
    let idle = match saved {
        Some(Known::Fits(saved, path)) => {
            Ok(format!("{}, measured {} ({})", saved.idle.in_words(), saved.measured, path.display()))
        }
        Some(Known::Unfit(path, why)) => Err(format!("{} is not used: {why}", path.display())),
        Some(Known::Nothing) => Err("not known: `alumet doctor --save-idle` measures it once".into()),
        None => Err("not known: nothing measures this machine's energy".into()),
    };
    Ok(Findings {
        schema: SCHEMA,
        alumet: env!("CARGO_PKG_VERSION"),
        meters,
        timer: Timer {
            interval_s: report.sampling.first().map_or(0.0, |sampling| sampling.interval.as_secs_f64()),
            late_p99_us: report.late_p99.map(|late| late.as_secs_f64() * 1e6),
        },
        own_cpu,
        cgroup,
        perf_event_paranoid: alumet::perfmon::paranoid(),
        idle,
        risks: machine::risks(&config.host(), &host, &report),
        host,
        sources,
    })
}

/// What comes of a run in which all plugins have started.
struct Watched {
    sources: Vec<Source>,
    report: Report,
    cgroup: Cgroup,
    own_cpu: f64,
    series: Vec<std::sync::Arc<alumet::Series>>,
    /// Whether anything has measured what would be estimated otherwise.
    is_measured: bool,
}

impl Watched {
    async fn run(config: &Config) -> Result<Self, Failure> {
        let Trial { mut agent, target, mut sources } = Trial::start(config)?;
        let cgroup = Cgroup::of(&target);
        let totals = Totals::new();
        agent.setup().output("totals", totals.clone());
        agent.own_from(own_cpu());
        let series = agent.setup().registry().all();
        let report = agent.start().await.map_err(Failure::from)?.wait().await;
        sources.iter_mut().for_each(|source| source.lacks(&report.missing));
        let own_cpu = report.own.cpu.as_secs_f64() / report.wall.as_secs_f64();
        let measures = |total: &Total| total.max > 0.0 && measures_cpus(&total.series);
        let is_measured = totals.get().iter().any(measures);
        Ok(Self { sources, report, cgroup, own_cpu, series, is_measured })
    }
}

/// The CPU time of this process so far.
fn own_cpu() -> Duration {
    let clock = nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID;
    nix::time::clock_gettime(clock).map_or(Duration::ZERO, Into::into)
}
