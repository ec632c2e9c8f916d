//! What a run has cost in energy, from the machine's meters.

use alumet::{Consumer, Series, Total};
use alumet_plugin_rapl::is_machine_energy;
use alumet_plugin_rapl::metrics::{DOMAIN, ENERGY, POWER, UNCERTAINTY};

use crate::units::{joules, uncertain, watts};

/// Below this, the counters' steps of about 1 ms are more than 1 % of the run.
const SHORT: f64 = 0.1;

/// The energy of the whole machine, as far as it has meters.
#[derive(Debug, PartialEq)]
pub struct MachineEnergy {
    joules: f64,
    /// One standard deviation; `None` if it is not known, because something is missing.
    uncertainty: Option<f64>,
    /// The largest power between two readings, and whether it is that of one counter alone.
    peak: Option<(f64, bool)>,
    domains: Vec<String>,
    method: String,
    /// The application's part, in joules, and the rule that made it.
    target: Option<(f64, String)>,
}

impl MachineEnergy {
    /// `None` if nothing of it was measured.
    pub fn of(totals: &[Total]) -> Option<Self> {
        let parts: Vec<&Total> = totals.iter().filter(|total| is_machine_energy(&total.series)).collect();
        let first = parts.first()?;
        let beside = |part: &Total, metric: &str| {
            let same =
                |other: &Series| other.resource == part.series.resource && other.labels == part.series.labels;
            totals.iter().find(|total| total.series.metric.name == metric && same(&total.series))
        };
        let sum = |metric: &str, value: fn(&Total) -> f64| {
            parts.iter().map(|part| beside(part, metric).map(value)).sum::<Option<f64>>()
        };
        let mut domains: Vec<_> =
            parts.iter().filter_map(|part| part.series.label_value(DOMAIN)).map(str::to_owned).collect();
        domains.sort();
        domains.dedup();
        // `package` is what a person expects first.
        domains.reverse();
        let is_of_target = |total: &&Total| {
            total.series.metric.name == ENERGY.name && total.series.consumer == Consumer::Target
        };
        let target = totals.iter().find(is_of_target);
        Some(Self {
            target: target.map(|total| (total.value, total.series.method.to_string())),
            joules: sum(&ENERGY.name, |total| total.value)?,
            // As if all counters erred to the same side: their readings are as far from the marks.
            uncertainty: sum(&UNCERTAINTY.name, |total| total.last),
            peak: sum(&POWER.name, |total| total.max).map(|peak| (peak, parts.len() == 1)),
            domains,
            method: first.series.method.to_string(),
        })
    }

    /// Label, value, and the rest of each row.
    pub fn rows(&self, wall: f64) -> Vec<[String; 3]> {
        let value = match self.uncertainty {
            Some(uncertainty) => uncertain(self.joules, uncertainty),
            None => format!("at least {}", joules(self.joules)),
        };
        let is_short = wall < SHORT;
        let short = if is_short { "; too short for the sensor (less than 100 ms)" } else { "" };
        let measured = format!("{} measured: {}{short}", self.domains.join(" + "), self.method);
        let mut rows = match &self.target {
            Some((target, rule)) => vec![
                [
                    "Energy".to_owned(),
                    format!("{} attributed", joules(*target)),
                    format!("this application: {rule}"),
                ],
                ["Machine".to_owned(), value, measured],
            ],
            None => vec![["Energy".to_owned(), value, format!("machine: {measured}")]],
        };
        if let Some((peak, is_of_one)) = self.peak.filter(|_| wall > 0.0 && self.uncertainty.is_some()) {
            let at_most = if is_of_one { "" } else { "at most " };
            let mean = format!("{} mean", watts(self.joules / wall));
            // In one interval there is no peak.
            let peak = if is_short { String::new() } else { format!("{at_most}{} peak", watts(peak)) };
            rows.push(["Power".to_owned(), mean, peak]);
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::GLUE;
    use alumet::{Batch, Output, Registry, Totals};

    fn rows(values: &[(&alumet::Metric, &str, &str, f64)], wall: f64) -> Vec<String> {
        let registry = Registry::new();
        let mut batch = Batch::new(std::sync::Arc::clone(&registry));
        for (metric, domain, socket, value) in values {
            let series = Series::new((*metric).clone()).method("RAPL through perf");
            let series = series.resource("cpu_package", *socket).label(DOMAIN, *domain);
            batch.push(registry.series(series).unwrap(), *value);
        }
        let mut totals = Totals::new();
        totals.write(&batch).unwrap();
        let energy = MachineEnergy::of(&totals.get());
        let rows = energy.iter().flat_map(|energy| energy.rows(wall));
        rows.map(|row| row.join(" | ").replace(GLUE, " ")).collect()
    }

    #[test]
    fn packages_and_memory_are_the_machine_and_nothing_else() {
        assert_eq!(rows(&[(&ENERGY, "core", "0", 5.0), (&ENERGY, "psys", "0", 9.0)], 1.0), [""; 0]);
        let all = [
            (&ENERGY, "package", "0", 300.0),
            (&ENERGY, "core", "0", 250.0),
            (&ENERGY, "package", "1", 200.0),
            (&ENERGY, "dram", "0", 20.0),
            (&UNCERTAINTY, "package", "0", 1.5),
            (&UNCERTAINTY, "package", "1", 1.0),
            (&UNCERTAINTY, "dram", "0", 0.4),
            (&POWER, "package", "0", 60.0),
            (&POWER, "package", "0", 40.0),
            (&POWER, "package", "1", 30.0),
            (&POWER, "dram", "0", 8.0),
        ];
        assert_eq!(
            rows(&all, 8.0),
            [
                "Energy | 520 J ± 3 | machine: package + dram measured: RAPL through perf",
                "Power | 65 W mean | at most 98 W peak",
            ]
        );
    }

    #[test]
    fn what_is_not_whole_is_at_least_so_much_and_short_runs_are_named() {
        assert_eq!(
            rows(&[(&ENERGY, "package", "0", 0.52), (&POWER, "package", "0", 60.0)], 0.01),
            [
                "Energy | at least 520 mJ | machine: package measured: RAPL through perf; too short for the sensor (less than 100 ms)"
            ]
        );
    }
}
