//! Estimates the energy of the machine's CPUs where nothing measures it: a model, and always named as such.
//!
//! [`cpus`] has what the machine says of its CPUs. A [`figure`] stands for them, by the best that is known: their own
//! ([`named`]), that of their [`generation`], of what a [`guest`] is shown, or of their [`class`]; the less, the wider its
//! [`band`]. [`curve`] has how power depends on the load; [`model`] is both, and [`transform`] applies it to the CPU times
//! of the machine.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod band;
pub mod class;
pub mod cpus;
pub mod curve;
pub mod figure;
pub mod generation;
pub mod guest;
pub mod model;
pub mod named;
pub mod transform;

use std::num::NonZeroU32;

use alumet::conventions::{BAND, DOMAIN, ENERGY, POWER};
use alumet::{Availability, Consumer, Host, Plugin, Provenance, Series, Setup, Watts};
use serde::{Deserialize, Serialize};
use tracing::info;

pub use band::Band;
use model::Model;
use transform::Estimate;

/// The settings of the plugin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Estimate also where energy is measured.
    pub always: bool,
    /// The thermal design power of one CPU package, instead of the published one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tdp: Option<Tdp>,
    /// The hardware threads of one CPU package, instead of the published ones: a virtual machine has a share of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<NonZeroU32>,
}

/// A thermal design power: more than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Watts", into = "Watts")]
pub struct Tdp(pub f64);

impl TryFrom<Watts> for Tdp {
    type Error = String;

    fn try_from(Watts(watts): Watts) -> Result<Self, String> {
        if watts > 0.0 {
            Ok(Self(watts))
        } else {
            Err(format!("no CPU has a thermal design power of {watts} W"))
        }
    }
}

impl From<Tdp> for Watts {
    fn from(tdp: Tdp) -> Self {
        Self(tdp.0)
    }
}

/// Whether a series measures what is estimated, or more: the energy or power of a package, of the machine, or of the battery
/// that feeds it.
///
/// ```
/// use alumet::Series;
/// use alumet::conventions::{BAND, DOMAIN, ENERGY, POWER};
/// use alumet_plugin_estimate::measures_cpus;
///
/// assert!(measures_cpus(&Series::new(ENERGY).resource("cpu_package", "0").label(DOMAIN, "package")));
/// assert!(measures_cpus(&Series::new(POWER).resource("machine", "")));
/// assert!(!measures_cpus(&Series::new(ENERGY).resource("dram", "0").label(DOMAIN, "dram")));
/// ```
pub fn measures_cpus(series: &Series) -> bool {
    [ENERGY.name, POWER.name].contains(&series.metric.name)
        && series.consumer == Consumer::Machine
        && series.provenance == Provenance::Measured
        && matches!(&*series.resource.kind, "cpu_package" | "machine" | "battery")
        && !matches!(series.label_value(DOMAIN), Some("core" | "uncore" | "dram"))
}

/// The plugin.
#[derive(Debug)]
pub struct Estimation;

impl Plugin for Estimation {
    const NAME: &'static str = "estimate";
    const ABOUT: &'static str = "energy of the CPUs by a model, where nothing measures it";
    const MISSED: &'static str = "an estimate of the energy";
    type Config = Config;

    fn probe(_: &Config, _: &Host) -> Availability {
        Availability::Available
    }

    fn start(config: Config, setup: &mut Setup<'_>) -> anyhow::Result<()> {
        if setup.target().is_none() {
            return Ok(());
        }
        let has_rival = setup.registry().all().iter().any(|series| measures_cpus(series));
        let model = Model::of(&config, setup.host());
        let (is_measured, always) = (has_rival, config.always);
        info!(model = %model.method, is_measured, always, "chose a model of the CPUs");
        let series = Series::new(ENERGY)
            .resource("cpu_package", "")
            .label(DOMAIN, "package")
            .label(BAND, model.band.label())
            .provenance(Provenance::Estimated)
            .method(model.method.clone());
        let series = setup.series(series)?;
        setup.transform(
            "energy",
            Estimate::new(model, series, config.always, has_rival, setup.gaps().clone()),
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alumet::Metric;

    #[test]
    fn a_design_power_is_more_than_nothing() {
        let tdp = |watts| Tdp::try_from(Watts(watts)).map(|tdp| f64::from(Watts::from(tdp)));
        assert_eq!(tdp(65.0), Ok(65.0));
        for watts in [0.0, -1.0] {
            assert_eq!(tdp(watts), Err(format!("no CPU has a thermal design power of {watts} W")));
        }
    }

    #[test]
    fn what_measures_a_package_the_machine_or_its_battery_measures_the_cpus() {
        let of = |metric: Metric, kind: &'static str| measures_cpus(&Series::new(metric).resource(kind, "0"));
        assert_eq!(["cpu_package", "machine", "battery"].map(|kind| of(ENERGY, kind)), [true; 3]);
        assert_eq!(["gpu", "dram", "sensor"].map(|kind| of(POWER, kind)), [false; 3]);
        assert!(of(POWER, "machine"));
        assert!(!of(Metric::counter("hw.gpu.time", "s", ""), "machine"));
        let energy = || Series::new(ENERGY).resource("cpu_package", "0");
        let with_domain = |domain: &'static str| measures_cpus(&energy().label(DOMAIN, domain));
        assert_eq!(
            ["package", "psys", "core", "uncore", "dram"].map(with_domain),
            [true, true, false, false, false]
        );
        assert!(!measures_cpus(&energy().consumer(Consumer::Target)));
        assert!(!measures_cpus(&energy().provenance(Provenance::Estimated)));
        assert!(!measures_cpus(&energy().provenance(Provenance::Attributed)));
    }
}
