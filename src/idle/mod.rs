//! What the machine uses when nothing runs: measured just before a run ([`window`]), or once for this machine
//! ([`saved`]).

pub mod saved;
pub mod window;

use std::sync::Arc;
use std::time::Duration;

use alumet::conventions::DOMAIN;
use alumet::{Missing, Plugin, PluginEntry, Provenance, Series, Watts};
use alumet_plugin_attribution::Attribute;
use alumet_plugin_procfs::Procfs;
use alumet_plugin_rapl::{Rapl, is_machine_energy, is_package_energy};
use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::config::{Config, Origin, Selection};
use crate::exit::{Failure, Status};
use crate::fingerprint::Fingerprint;
use crate::signals::Signals;
use crate::supervise::next_end;
use crate::units::{GLUE, seconds, watts};
use saved::Known;
use window::NotIdle;

/// An idle power, and what it was measured with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Idle {
    /// Of packages and memory together, in watts.
    pub power_w: f64,
    /// One standard deviation of the power between two readings, in watts.
    pub spread_w: f64,
    /// For how long, in seconds.
    pub duration_s: f64,
    /// How many CPUs were busy meanwhile, on average.
    pub busy_cpus: f64,
    /// How the meter was read.
    pub method: String,
    /// What was added up, as in `package 0`.
    pub domains: Vec<String>,
}

impl Idle {
    /// Whether its numbers can be powers: a file may hold anything.
    pub fn is_plausible(&self) -> bool {
        [self.power_w, self.spread_w].iter().all(|watts| (0.0..=Watts::MOST).contains(watts))
    }

    /// `5.52 W ± 0.11 W`.
    pub fn in_words(&self) -> String {
        format!("{} ±{GLUE}{}", watts(self.power_w), watts(self.spread_w))
    }
}

/// The machine's busy time comes in ticks of 10 ms, and its power in steps of a millisecond.
pub const SHORTEST: Duration = Duration::from_millis(100);
/// What is said of less.
pub const TOO_SHORT: &str = "it takes 100ms at least to see whether the machine idles";

/// What is known of the idle power for a run.
#[derive(Debug)]
pub enum Found {
    Idle {
        idle: Idle,
        /// For a person.
        from: String,
        origin: Origin,
    },
    /// It was looked for, and there is a reason why it is not known.
    Unknown(Missing),
    Nothing,
}

/// Measures it, if that was asked for (`--idle`). The application must not exist yet.
///
/// # Errors
/// What it takes is left out, or somebody wants alumet to end.
pub async fn before_the_run(config: &Config, signals: &Signals) -> Result<Found, Failure> {
    let Some(duration) = config.general.idle.map(|idle| idle.0) else { return Ok(Found::Nothing) };
    for plugin in [PluginEntry::of::<Rapl>(), PluginEntry::of::<Procfs>(), PluginEntry::of::<Attribute>()] {
        if config.selection(&plugin) == Selection::Out {
            let name = plugin.name;
            return Err(Failure::usage(format!(
                "--idle needs the {name} plugin, which --plugins or --without leaves out"
            )));
        }
    }
    let says = |key| {
        let is_it = |(section, name, _, origin): &(&str, &str, &toml::Value, &Origin)| {
            *section == Attribute::NAME && *name == key && matches!(origin, Origin::Flag(_))
        };
        config.entries().any(|entry| is_it(&entry))
    };
    if says("idle_power") || says("idle_spread") {
        return Err(Failure::usage(
            "--idle measures what attribution.idle_power says: leave one of them out",
        ));
    }
    if duration < SHORTEST {
        return Err(Failure::usage(format!("--idle: {TOO_SHORT}")));
    }
    let measured = tokio::select! {
        measured = window::measure(config, duration) => measured?,
        signal = next_end(signals) => {
            let signal = signal.context("cannot watch for signals")?;
            return Err(Failure {
                status: Status::by(signal),
                message: format!("ended by {signal} before the application started"),
            });
        }
    };
    Ok(match measured {
        Ok(idle) => Found::Idle {
            from: format!("measured for {} before the run", seconds(idle.duration_s)),
            origin: Origin::Flag("--idle".into()),
            idle,
        },
        Err(NotIdle::Busy(cpus)) => unknown(
            format!("the machine was not quiet before the run: {cpus:.2} CPUs were busy"),
            "run `alumet doctor --save-idle` once while it is",
        ),
        Err(NotIdle::Lossy(lost)) => {
            let why = format!("not known without all of the machine's energy: {}", lost_in_words(&lost));
            // What cannot be read in the run either has its remedy there.
            unknown(why, if lost.remedy.is_empty() { "measure it again" } else { "" })
        }
        // Then no energy is measured in the run either, and that is said there.
        Err(NotIdle::NoMeter(..)) => Found::Nothing,
    })
}

/// The saved one, if none is known otherwise and it fits the meters that are among these series.
pub fn saved_for(config: &Config, series: &[Arc<Series>]) -> Found {
    let is_known = config.section(Attribute::NAME).contains_key("idle_power");
    let Some((method, domains)) = meters(series).filter(|_| !is_known) else { return Found::Nothing };
    let host = Fingerprint::of(&config.host());
    match saved::find(config.general.idle_profile.as_deref(), &host, &method, &domains) {
        Known::Fits(saved, path) => Found::Idle {
            from: format!("measured {}, from {}", saved.measured, path.display()),
            origin: Origin::File(path.display().to_string()),
            idle: saved.idle,
        },
        Known::Unfit(path, why) => {
            unknown(format!("{} is not used: {why}", path.display()), "run `alumet doctor --save-idle`")
        }
        Known::Nothing => Found::Nothing,
    }
}

/// What a meter has lost: `energy of dram 0, its counter stood still for 2.0s`.
pub fn lost_in_words(lost: &Missing) -> String {
    format!("{}, {}", lost.what, lost.reason)
}

fn unknown(reason: String, remedy: &str) -> Found {
    Found::Unknown(Missing {
        plugin: Attribute::NAME.into(),
        what: "energy above idle".into(),
        reason,
        remedy: remedy.into(),
    })
}

/// How the machine's energy is metered, and what is added up; `None` if nothing meters a package.
pub fn meters(series: &[Arc<Series>]) -> Option<(String, Vec<String>)> {
    let meters: Vec<_> = series
        .iter()
        .filter(|series| is_machine_energy(series) && series.provenance == Provenance::Measured)
        .collect();
    let method = meters.iter().find(|series| is_package_energy(series))?.method.to_string();
    Some((method, meters.iter().map(|series| domain(series)).collect()))
}

/// `package 0`.
fn domain(series: &Series) -> String {
    let domain = series.label_value(DOMAIN).unwrap_or_default();
    format!("{domain} {}", series.resource.id).trim_end().to_owned()
}
