//! Energy of CPUs and their memory, from the RAPL counters (running average power limit) of Intel's and AMD's CPUs.
//!
//! There are two ways to them: [`perf`] and [`powercap`]. Each finds [`Meter`]s; the [`source`] reads them, [`counter`]
//! and [`tally`] make energy and power of what they show, [`uncertainty`] says how sure a total is. [`domain`] knows what
//! the counters are about and which of them add up to the machine, [`refusal`] why there are none.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod counter;
pub mod domain;
pub mod found;
mod meter;
pub mod metrics;
pub mod perf;
pub mod powercap;
pub mod refusal;
pub mod source;
pub mod tally;
mod topology;
pub mod uncertainty;
pub mod units;

use std::collections::BTreeSet;
use std::time::Duration;

use alumet::{Availability, Host, Interval, Plugin, Setup, Unavailable};
use serde::{Deserialize, Serialize};
use tracing::info;

use domain::Part;
pub use domain::{Domain, is_machine_energy, is_package_energy};
use found::Found;
pub use meter::{Meter, Register};
use refusal::Refusal;

/// The settings of the plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How the counters are read.
    pub backend: Backend,
    /// Time between two readings; 30 s at most, or less where a counter could wrap twice meanwhile, which nobody would see.
    pub interval: Interval,
}

impl Default for Config {
    fn default() -> Self {
        Self { backend: Backend::default(), interval: Interval::from_millis(100) }
    }
}

/// A way to the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// perf, or powercap where that cannot be had.
    #[default]
    Auto,
    /// perf alone.
    Perf,
    /// powercap alone.
    Powercap,
}

/// The counters advance no more often than this, however soon they wrap.
const SHORTEST: Duration = uncertainty::PERIOD;

/// The plugin.
#[derive(Debug)]
pub struct Rapl;

impl Plugin for Rapl {
    const NAME: &'static str = "rapl";
    const ABOUT: &'static str = "energy of CPUs and memory";
    const MISSED: &'static str = "energy";
    type Config = Config;

    fn probe(config: &Config, host: &Host) -> Availability {
        match open(config.backend, host) {
            Ok(_) => Availability::Available,
            Err(Refusal { reason, remedy, .. }) => Availability::unavailable(reason, remedy),
        }
    }

    fn start(config: Config, setup: &mut Setup<'_>) -> anyhow::Result<()> {
        let (found, way) = open(config.backend, setup.host())
            .map_err(|Refusal { reason, remedy, .. }| Unavailable { reason, remedy })?;
        for gap in found.gaps() {
            setup.gaps().add(gap.what, gap.reason, gap.remedy);
        }
        if !found.has_package() && !found.lacks_some() {
            setup.gaps().add("energy", "no package of the CPU has a counter here", "");
        }
        let read_every = found.meters.iter().map(Meter::read_every).min().unwrap_or(config.interval.get());
        let interval = Interval::new(config.interval.get().min(read_every.max(SHORTEST)))?;
        let source = source::Rapl::new(found, way, setup)?;
        setup.source("energy", interval, source);
        Ok(())
    }
}

/// How the counters are read.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    /// In words.
    pub method: &'static str,
    /// Opens all that there are.
    open: fn(&Host) -> Result<Found, Refusal>,
    /// What there are counters of, by this way, whether they can be opened or not.
    pub parts: fn(&Host) -> BTreeSet<Part>,
}

const PERF: Way = Way { method: "RAPL through perf", open: perf::open, parts: perf::parts };
const POWERCAP: Way = Way { method: "RAPL through powercap", open: powercap::open, parts: powercap::parts };

/// The counters, and how they are read.
fn open(backend: Backend, host: &Host) -> Result<(Found, Way), Refusal> {
    let by = |way: Way| {
        let found = (way.open)(host);
        log(way, &found);
        found.map(|found| (found, way))
    };
    let chosen = match backend {
        Backend::Perf => by(PERF),
        Backend::Powercap => by(POWERCAP),
        // A way that leads to all of the machine's energy comes before one that does not.
        Backend::Auto => match by(PERF) {
            Ok((found, way)) if found.is_machine() => Ok((found, way)),
            Ok(partial) => {
                let is_better =
                    |found: &Found| found.is_machine() || !partial.0.has_package() && found.has_package();
                Ok(by(POWERCAP).ok().filter(|(found, _)| is_better(found)).unwrap_or(partial))
            }
            Err(perf) => by(POWERCAP).map_err(|other| Refusal::of_both(perf, other, host)),
        },
    };
    match &chosen {
        Ok((found, way)) => {
            info!(way = way.method, meters = found.meters.len(), "chose a way to the counters")
        }
        Err(refusal) => info!(reason = refusal.reason, "no way leads to the counters"),
    }
    chosen
}

/// What one of the ways has come to.
fn log(way: Way, found: &Result<Found, Refusal>) {
    let way = way.method;
    match found {
        Ok(found) => {
            for meter in &found.meters {
                info!(way, meter = %meter.part, "found a meter");
            }
            for (part, refusal) in &found.refused {
                info!(way, meter = %part, reason = refusal.reason, "a meter was refused");
            }
        }
        Err(refusal) => info!(way, reason = refusal.reason, "this way has no meter"),
    }
}
