//! What the application's energy means in carbon dioxide and in money, where somebody has said at which rate.

use alumet::Missing;
use serde::{Deserialize, Serialize};

use crate::derived::{self, Derived};
use crate::energy::{LACKING, MachineEnergy, Part};
use crate::gpu::GpuEnergy;
use crate::mark::marked;
use crate::profile::metric::MetricTotal;
use crate::units::{grams, money};

const JOULES_PER_KWH: f64 = 3.6e6;
/// No kilowatt hour costs more.
const MOST: f64 = 1e9;

/// An amount per kilowatt hour; not negative.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "f64")]
pub struct Rate(f64);

/// On the command line it is text.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number")]
enum Written {
    Number(f64),
    Text(String),
}

impl TryFrom<Written> for Rate {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let (rate, text) = match written {
            Written::Number(rate) => (Some(rate), rate.to_string()),
            Written::Text(text) => (text.trim().parse().ok(), text),
        };
        match rate.filter(|rate: &f64| (0.0..=MOST).contains(rate)) {
            Some(rate) => Ok(Self(rate)),
            None => Err(format!("{text} is no amount per kWh")),
        }
    }
}

impl From<Rate> for f64 {
    fn from(rate: Rate) -> Self {
        rate.0
    }
}

/// What was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// Grams of CO2 equivalent.
    pub carbon: Option<Rate>,
    /// In any currency.
    pub price: Option<Rate>,
}

/// The application's energy: its part of the CPUs', and of the GPUs that it was seen on.
fn parts(metrics: &[MetricTotal]) -> Vec<(&'static str, Part)> {
    let cpus = MachineEnergy::of(metrics).map(|energy| ("CPU", energy.headline()));
    cpus.into_iter().chain(GpuEnergy::of(metrics).map(|energy| ("GPU", energy.total))).collect()
}

impl Rates {
    /// As numbers for files.
    pub fn derive(&self, metrics: &[MetricTotal]) -> Vec<Derived> {
        let parts = parts(metrics);
        let Some(all) = parts.iter().map(|(_, part)| part.clone()).reduce(Part::and) else {
            return Vec::new();
        };
        let derived = |rate: Option<Rate>, metric: &str, unit, per: &str| {
            rate.map(|Rate(rate)| Derived {
                metric: metric.to_owned(),
                unit,
                value: all.joules / JOULES_PER_KWH * rate,
                provenance: all.provenance.as_str(),
                uncertainty: all.uncertainty.map(|joules| joules / JOULES_PER_KWH * rate),
                bound: all.bound,
                method: format!("hw.energy of {} × {rate} {per}", whose(&parts)),
                kind: derived::Kind::Footprint,
            })
        };
        let carbon = derived(self.carbon, "energy.carbon", "g", "g CO2e per kWh");
        let cost = derived(self.price, "energy.cost", "1", "per kWh");
        carbon.into_iter().chain(cost).collect()
    }

    /// Label, value and the rest of each row.
    pub fn rows(&self, metrics: &[MetricTotal]) -> Vec<[String; 3]> {
        let parts = parts(metrics);
        let why: Vec<&str> = parts
            .iter()
            .map(|(_, part)| &*part.bound_reason)
            .filter(|why| !matches!(*why, "" | LACKING))
            .collect();
        let why = why.iter().map(|why| format!("; {why}")).collect::<String>();
        let derived = self.derive(metrics).into_iter().map(|derived| {
            let (label, value, rate) = match derived.unit {
                "g" => ("Carbon", format!("{} CO2e", grams(derived.value)), self.carbon),
                _ => ("Cost", money(derived.value), self.price),
            };
            let per = if derived.unit == "g" { " g CO2e per kWh" } else { " per kWh" };
            let rate = rate.map_or(0.0, f64::from);
            let what = format!("at {rate}{per}, for {}{why}", whose(&parts));
            [label.to_owned(), marked(derived.provenance, derived.bound, &value), what]
        });
        derived.collect()
    }

    /// What was asked for and cannot be told.
    pub fn missing(&self, metrics: &[MetricTotal]) -> Option<Missing> {
        let asked = [(self.carbon, "carbon"), (self.price, "cost")];
        let asked: Vec<_> =
            asked.into_iter().filter(|(rate, _)| rate.is_some()).map(|(_, what)| what).collect();
        (!asked.is_empty() && parts(metrics).is_empty()).then(|| Missing {
            what: asked.join(" and "),
            reason: "no energy is known".into(),
            ..Missing::default()
        })
    }
}

/// `CPU (attributed) + GPU (measured)`.
fn whose(parts: &[(&str, Part)]) -> String {
    let one = |(name, part): &(&str, Part)| format!("{name} ({})", part.provenance.as_str());
    let mut names: Vec<_> = parts.iter().map(one).collect();
    names.dedup();
    names.join(" + ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::GLUE;
    use alumet::conventions::{DOMAIN, ENERGY, UNCERTAINTY};
    use alumet::{Batch, Bound, Consumer, Metric, Output, Provenance, Registry, Series, Totals};

    /// Half a kilowatt hour of the CPUs, and as much of a GPU that the application has used.
    fn totals(provenance: Provenance, is_whole: bool, is_mig: bool) -> Vec<MetricTotal> {
        let registry = Registry::new();
        let energy = || Series::new(ENERGY);
        let uncertainty = || Series::new(UNCERTAINTY);
        let package = |series: Series| series.provenance(provenance).label(DOMAIN, "package");
        let gpu = |series: Series| {
            let series = series.resource("gpu", "0");
            if is_mig { series.label("hw.gpu.mig", "enabled") } else { series }
        };
        let used = Series::new(Metric::gauge("hw.gpu.used_by_target", "1", "")).consumer(Consumer::Target);
        let mut all = vec![
            (package(energy()), 1.8e6),
            (gpu(used), 1.0),
            (gpu(energy()), 1.8e6),
            (gpu(uncertainty()), 18e3),
        ];
        if is_whole {
            all.push((package(uncertainty()), 18e3));
        }
        let mut batch = Batch::new(std::sync::Arc::clone(&registry));
        all.into_iter().for_each(|(series, value)| batch.push(registry.series(series).unwrap(), value));
        let mut totals = Totals::new();
        totals.write(&batch).unwrap();
        MetricTotal::all(&totals.get())
    }

    #[test]
    fn a_kilowatt_hour_costs_what_was_said_and_estimates_stay_estimates() {
        let rates = Rates { carbon: Some(Rate(56.0)), price: Some(Rate(0.25)) };
        let rows = |provenance, is_whole, is_mig| -> Vec<String> {
            let rows = rates.rows(&totals(provenance, is_whole, is_mig)).into_iter();
            rows.map(|row| row.join(" | ").replace(GLUE, " ")).collect()
        };
        assert_eq!(
            rows(Provenance::Measured, true, false),
            [
                "Carbon | 56 g CO2e | at 56 g CO2e per kWh, for CPU (measured) + GPU (measured)",
                "Cost | 0.25000 | at 0.25 per kWh, for CPU (measured) + GPU (measured)",
            ]
        );
        assert!(
            rows(Provenance::Estimated, false, false)[0]
                .starts_with("Carbon | ~ 56 g CO2e | at 56 g CO2e per kWh, for CPU (estimated)")
        );
        let derived = rates.derive(&totals(Provenance::Measured, true, false));
        assert_eq!((derived[0].value, derived[1].value), (56.0, 0.25));
        assert_eq!((derived[0].provenance, derived[0].bound), ("measured", Some(Bound::Exact)));
        assert!((derived[0].uncertainty.unwrap() - 0.56).abs() < 1e-9);

        // What was not measured is missing here, too; and of a GPU that others use it is no more than that.
        let lacking = &rows(Provenance::Measured, false, false)[0];
        assert!(lacking.starts_with("Carbon | at least 56 g CO2e | "), "{lacking}");
        assert_eq!(
            rows(Provenance::Measured, true, true)[1],
            "Cost | at most 0.25000 | at 0.25 per kWh, for CPU (measured) + GPU (measured); a GPU is split into \
             instances (MIG), and its energy is that of all of them"
        );
        let derived = rates.derive(&totals(Provenance::Measured, true, true));
        assert_eq!((derived[0].uncertainty, derived[0].bound), (None, Some(Bound::AtMost)));
    }

    #[test]
    fn without_energy_there_is_neither_and_that_is_said() {
        let rates = Rates { carbon: Some(Rate(56.0)), price: None };
        assert!(rates.derive(&[]).is_empty());
        assert_eq!(rates.missing(&[]).unwrap().what, "carbon");
        assert_eq!(Rates::default().missing(&[]), None);
        let read = |rate| Rate::try_from(Written::Number(rate));
        assert!(read(-1.0).is_err() && read(f64::NAN).is_err());
    }
}
