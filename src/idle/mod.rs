//! What the machine uses when nothing runs: measured just before a run ([`window`]), or once for this machine
//! ([`saved`]).

pub mod saved;
pub mod window;

use std::sync::Arc;

use alumet::{Provenance, Series};
use alumet_plugin_rapl::is_machine_energy;
use alumet_plugin_rapl::metrics::DOMAIN;
use serde::{Deserialize, Serialize};

use crate::units::{GLUE, watts};

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
        [self.power_w, self.spread_w].iter().all(|watts| watts.is_finite() && *watts >= 0.0)
    }

    /// `5.52 W ± 0.11 W`.
    pub fn in_words(&self) -> String {
        format!("{} ±{GLUE}{}", watts(self.power_w), watts(self.spread_w))
    }
}

/// How the machine's energy is metered, and what is added up; `None` if nothing meters it.
pub fn meters(series: &[Arc<Series>]) -> Option<(String, Vec<String>)> {
    let meters: Vec<_> = series
        .iter()
        .filter(|series| is_machine_energy(series) && series.provenance == Provenance::Measured)
        .collect();
    let method = meters.first()?.method.to_string();
    Some((method, meters.iter().map(|series| domain(series)).collect()))
}

/// `package 0`.
fn domain(series: &Series) -> String {
    let domain = series.label_value(DOMAIN).unwrap_or_default();
    format!("{domain} {}", series.resource.id).trim_end().to_owned()
}
