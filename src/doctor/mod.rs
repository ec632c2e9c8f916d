//! What can be measured on this machine, how well, and what would make it better: what `alumet doctor` finds out.
//!
//! It tries: everything is started on an application that does nothing, and the [`meters`] are watched for a second.
//! [`machine`] has what makes runs hard to repeat here, [`cgroup`] who can give an application one of its own, [`page`] the
//! screen.

mod cgroup;
mod machine;
mod meters;
pub mod page;

use std::time::Duration;

use alumet::{Availability, Command, Missing, Plugin, PluginEntry, Provenance, Report, Total, Totals};
use alumet_plugin_attribution::Attribute;
use alumet_plugin_csv::Csv;
use alumet_plugin_estimate::{Estimation, measures_cpus};
use alumet_plugin_rapl::Rapl;
use serde::Serialize;

use crate::config::{Config, Selection};
use crate::exit::Failure;
use crate::fingerprint::Fingerprint;
use crate::idle;
use crate::idle::saved::Known;
use crate::plugins;
use cgroup::Cgroup;
use meters::Meter;

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

/// A source of measurements.
#[derive(Debug, Serialize)]
pub struct Source {
    pub name: &'static str,
    pub about: String,
    pub status: Status,
    /// Why it is not available; empty if it is, or if single things are missing.
    pub reason: String,
    pub remedy: String,
    /// What is missing although it is available.
    pub missing: Vec<Missing>,
}

/// How far a source is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Available,
    /// Some of it is missing.
    Partly,
    NotPermitted,
    Unavailable,
    /// A model that nobody needs where something measures.
    NotNeeded,
    Excluded,
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
    let Trial { mut sources, report, cgroup, own_cpu, series, is_measured } = Trial::run(config).await?;
    for source in &mut sources {
        let own = report.missing.iter().filter(|missing| missing.plugin == source.name);
        source.missing = own.cloned().collect();
        if source.status == Status::Available && !source.missing.is_empty() {
            source.status = Status::Partly;
        }
    }
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

/// Everything started as a run would, on an application that sleeps.
struct Trial {
    sources: Vec<Source>,
    report: Report,
    cgroup: Cgroup,
    own_cpu: f64,
    series: Vec<std::sync::Arc<alumet::Series>>,
    /// Whether anything has measured what would be estimated otherwise.
    is_measured: bool,
}

impl Trial {
    async fn run(config: &Config) -> Result<Self, Failure> {
        let mut agent = alumet::Agent::on(config.host(), std::sync::Arc::new(alumet::RealClock));
        let launched = agent.launch(&Command::new(["sleep", "1"]));
        let target = std::sync::Arc::clone(launched.map_err(|error| {
            Failure::failed(format!("nothing can be tried without an application that sleeps: {error}"))
        })?);
        let cgroup = Cgroup::of(&target);
        let mut sources = Vec::new();
        for plugin in &plugins::ALL {
            // They bring no measurements.
            if [Csv::NAME, Attribute::NAME].contains(&plugin.name) {
                continue;
            }
            sources.push(source(plugin, config, &mut agent)?);
        }
        let totals = Totals::new();
        agent.setup().output("totals", totals.clone());
        agent.own_from(own_cpu());
        let series = agent.setup().registry().all();
        let report = agent.start().await.map_err(|error| Failure::failed(error.to_string()))?.wait().await;
        let own_cpu = report.own.cpu.as_secs_f64() / report.wall.as_secs_f64();
        let measures = |total: &Total| total.max > 0.0 && measures_cpus(&total.series);
        let is_measured = totals.get().iter().any(measures);
        Ok(Self { sources, report, cgroup, own_cpu, series, is_measured })
    }
}

/// Starts a plugin and says what came of it.
fn source(plugin: &PluginEntry, config: &Config, agent: &mut alumet::Agent) -> Result<Source, Failure> {
    let section = config.section(plugin.name);
    let source = |status, reason: String, remedy: String| Source {
        name: plugin.name,
        about: plugin.about.to_owned(),
        status,
        reason,
        remedy,
        missing: Vec::new(),
    };
    if config.selection(plugin) == Selection::Out {
        return Ok(source(Status::Excluded, "left out by --plugins or --without".into(), String::new()));
    }
    let Err(error) = agent.start_plugin(plugin.name, |setup| plugin.start(section.clone(), setup)) else {
        return Ok(source(Status::Available, String::new(), String::new()));
    };
    Ok(match plugin.probe(section, &config.host())? {
        Availability::Unavailable(Missing { reason, remedy, .. }) => {
            let forbidden = reason.starts_with("not permitted");
            source(if forbidden { Status::NotPermitted } else { Status::Unavailable }, reason, remedy)
        }
        Availability::Available => source(Status::Unavailable, format!("{error:#}"), String::new()),
    })
}

/// The CPU time of this process so far.
fn own_cpu() -> Duration {
    let clock = nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID;
    nix::time::clock_gettime(clock).map_or(Duration::ZERO, Into::into)
}
