//! The metrics of this plugin, named as in the OpenTelemetry semantic conventions (hardware) where they have a name.

use alumet::Metric;

/// Label: [`DOMAIN`].
pub const ENERGY: Metric = Metric::counter("hw.energy", "J", "energy consumed");
/// The mean over the time between two readings; labels as for [`ENERGY`].
pub const POWER: Metric = Metric::gauge("hw.power", "W", "power consumed");
/// Of the run's total of [`ENERGY`], with its labels: one standard deviation.
pub const UNCERTAINTY: Metric =
    Metric::gauge("hw.energy.uncertainty", "J", "standard uncertainty of the energy of the run");

/// The label that tells the domains apart: `package`, `core`, `uncore`, `dram` or `psys`.
pub const DOMAIN: &str = "hw.energy.domain";
/// The label that tells the dies of a package apart, where each has counters of its own.
pub const DIE: &str = "hw.cpu.die";
