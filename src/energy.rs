//! What a run has cost in energy: of the machine's CPUs and memory, and the application's part of it.

use alumet::conventions::{DOMAIN, ENERGY, PART, POWER, UNCERTAINTY};
use alumet::{Consumer, Missing, Provenance, Series, Total};
use alumet_plugin_rapl::{is_machine_energy, is_package_energy};

use crate::units::{GLUE, joules, percent, uncertain, watts};

/// A run of less, in seconds, has no peak of its own: it has one interval.
const SHORT: f64 = 0.1;
/// An energy that is less sure than this share of itself is too short for the sensor.
const COARSE: f64 = 0.01;

/// One standard deviation of a total of energy, if that is known.
pub fn uncertainty(totals: &[Total], of: &Series) -> Option<f64> {
    beside(totals, of, &UNCERTAINTY.name).map(|total| total.last)
}

/// The total of another metric of the same thing.
fn beside<'a>(totals: &'a [Total], of: &Series, metric: &str) -> Option<&'a Total> {
    let is_it = |other: &Series| {
        other.metric.name == metric
            && other.resource == of.resource
            && other.consumer == of.consumer
            && other.labels == of.labels
            && other.provenance == of.provenance
    };
    totals.iter().find(|total| is_it(&total.series))
}

/// An energy that a part of the run has used.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub joules: f64,
    /// One standard deviation; `None` if it is not known.
    pub uncertainty: Option<f64>,
    pub provenance: Provenance,
    /// How it was found out.
    pub method: String,
}

impl Part {
    /// This total.
    pub fn of(totals: &[Total], total: &Total) -> Self {
        Self {
            joules: total.value,
            uncertainty: uncertainty(totals, &total.series),
            provenance: total.series.provenance,
            method: total.series.method.to_string(),
        }
    }

    /// Whether something of it was not measured, so that it is at least so much.
    pub fn is_lacking(&self) -> bool {
        self.uncertainty.is_none() && self.provenance != Provenance::Estimated
    }

    /// `12.4 J ± 0.2`, or `~ 12 J` if it is estimated.
    pub fn in_words(&self) -> String {
        match (self.provenance, self.uncertainty) {
            (Provenance::Estimated, _) => about(self.joules),
            (_, Some(uncertainty)) => uncertain(self.joules, uncertainty),
            // Then a part of it was not measured.
            (_, None) => format!("at least {}", joules(self.joules)),
        }
    }
}

/// An energy that nobody has measured.
fn about(value: f64) -> String {
    format!("~{GLUE}{}", joules(value))
}

/// The application's energy on a resource (`machine`, for CPUs and memory), if it was told apart.
pub fn of_target(totals: &[Total], resource: (&str, &str)) -> Option<Part> {
    let of_target = |total: &&Total| {
        let series = &total.series;
        series.metric.name == ENERGY.name
            && series.consumer == Consumer::Target
            && (&*series.resource.kind, &*series.resource.id) == resource
    };
    // A measured energy counts more than a model of the same.
    let all = totals.iter().filter(of_target);
    let best = all.min_by_key(|total| total.series.provenance == Provenance::Estimated)?;
    Some(Part::of(totals, best))
}

/// The energy of the whole machine, as far as it has meters or a model.
#[derive(Debug, PartialEq)]
pub struct MachineEnergy {
    joules: f64,
    /// One standard deviation; `None` if it is not known, because something is missing.
    uncertainty: Option<f64>,
    /// The largest power between two readings, and whether it is that of one counter alone.
    peak: Option<(f64, bool)>,
    domains: Vec<String>,
    provenance: Provenance,
    method: String,
    /// The application's part.
    target: Option<Part>,
    /// What the machine would have used anyway.
    idle: Option<Part>,
}

impl MachineEnergy {
    /// `None` if no package of it was measured or estimated.
    pub fn of(totals: &[Total]) -> Option<Self> {
        let of = |provenance| {
            let is_it =
                |total: &&Total| is_machine_energy(&total.series) && total.series.provenance == provenance;
            let parts: Vec<&Total> = totals.iter().filter(is_it).collect();
            parts.iter().any(|part| is_package_energy(&part.series)).then_some((provenance, parts))
        };
        let (provenance, parts) = of(Provenance::Measured).or_else(|| of(Provenance::Estimated))?;
        let sum = |metric: &str, value: fn(&Total) -> f64| {
            let values = parts.iter().map(|part| beside(totals, &part.series, metric).map(value));
            values.sum::<Option<f64>>()
        };
        let mut domains: Vec<_> =
            parts.iter().filter_map(|part| part.series.label_value(DOMAIN)).map(str::to_owned).collect();
        domains.sort();
        domains.dedup();
        // `package` is what a person expects first.
        domains.reverse();
        let is_idle = |total: &&Total| {
            total.series.metric.name == ENERGY.name
                && total.series.label_value(PART) == Some("idle")
                && total.series.resource.kind == "machine"
        };
        Some(Self {
            joules: sum(&ENERGY.name, |total| total.value)?,
            // As if all counters erred to the same side: their readings are as far from the marks.
            uncertainty: sum(&UNCERTAINTY.name, |total| total.last),
            peak: sum(&POWER.name, |total| total.max).map(|peak| (peak, parts.len() == 1)),
            domains,
            provenance,
            method: parts[0].series.method.to_string(),
            target: of_target(totals, ("machine", "")).filter(|target| {
                (target.provenance == Provenance::Estimated) == (provenance == Provenance::Estimated)
            }),
            idle: totals.iter().find(is_idle).map(|total| Part::of(totals, total)),
        })
    }

    /// Whether it was measured, and not estimated.
    pub fn is_measured(&self) -> bool {
        self.provenance != Provenance::Estimated
    }

    /// The application's part, or all of it where it is not told apart.
    pub fn headline(&self) -> Part {
        self.target.clone().unwrap_or_else(|| self.whole())
    }

    /// All of it.
    fn whole(&self) -> Part {
        Part {
            joules: self.joules,
            uncertainty: self.uncertainty,
            provenance: self.provenance,
            method: self.method.clone(),
        }
    }

    /// What the machine has used above its idle power, if that is known. It is as unsure as the one and the other are,
    /// which do not err together.
    pub fn above_idle(&self) -> Option<Part> {
        let idle = self.idle.as_ref()?;
        let above = self.joules - idle.joules;
        Some(Part {
            // Not a rounding error above or below nothing.
            joules: if above <= 1e-9 * self.joules { 0.0 } else { above },
            uncertainty: self.uncertainty.zip(idle.uncertainty).map(|(all, idle)| all.hypot(idle)),
            provenance: Provenance::Attributed,
            method: "hw.energy of the machine - hw.energy of what was idle".into(),
        })
    }

    /// Whether the machine used less than its idle power says: then nothing was above it, and nobody has a part.
    fn is_below_idle(&self) -> bool {
        self.above_idle().is_some_and(|above| above.joules == 0.0)
    }

    /// What is to be said of it, if its meter is too coarse for so short a run or so little energy.
    pub fn too_short(&self) -> Option<Missing> {
        let share = self.uncertainty.filter(|_| self.joules > 0.0)? / self.joules;
        (share > COARSE).then(|| Missing {
            what: format!("energy to better than {} of it", percent(share)),
            reason: "too short for the sensor".into(),
            remedy: "lengthen or repeat the run".into(),
            ..Missing::default()
        })
    }

    /// Label, value, and the rest of each row.
    pub fn rows(&self, wall: f64) -> Vec<[String; 3]> {
        if self.provenance == Provenance::Estimated {
            return self.estimated().into();
        }
        let value = self.whole().in_words();
        let idle = self.idle.as_ref().zip(self.above_idle());
        let idle = idle.map_or_else(String::new, |(idle, above)| {
            format!(", of which {} idle and {} above", idle.in_words(), above.in_words())
        });
        let below = if self.is_below_idle() {
            ": it used no more than the idle power, so nobody has a part"
        } else {
            ""
        };
        let measured = format!("{} measured: {}{idle}{below}", self.domains.join(" + "), self.method);
        let mut rows = match &self.target {
            Some(target) => vec![
                [
                    "Energy".to_owned(),
                    target.in_words(),
                    format!("attributed to this application: {}", target.method),
                ],
                ["Machine".to_owned(), value, measured],
            ],
            None => vec![["Energy".to_owned(), value, format!("machine: {measured}")]],
        };
        if let Some((peak, is_of_one)) = self.peak.filter(|_| wall > 0.0 && self.uncertainty.is_some()) {
            let mean = |joules: f64| format!("{} mean", watts(joules / wall));
            let peak = watts(peak.max(self.joules / wall));
            let mut machine: Vec<String> = Vec::new();
            if self.target.is_some() {
                machine.push(format!("machine {}", mean(self.joules)));
            }
            // In one interval there is no peak.
            if wall >= SHORT {
                machine.push(if is_of_one { format!("{peak} peak") } else { format!("peak at most {peak}") });
            }
            rows.push(["Power".to_owned(), mean(self.headline().joules), machine.join(", ")]);
        }
        rows
    }

    fn estimated(&self) -> [[String; 3]; 1] {
        let (value, whose) = match &self.target {
            Some(target) => (target.joules, format!("machine {}", about(self.joules))),
            None => (self.joules, "of the machine".to_owned()),
        };
        [["Energy".to_owned(), about(value), format!("estimated from {}; {whose}", self.method)]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alumet::{Batch, Metric, Output, Registry, Totals};

    fn totals(series: &[(Series, f64)]) -> Vec<Total> {
        let registry = Registry::new();
        let mut batch = Batch::new(std::sync::Arc::clone(&registry));
        for (series, value) in series {
            batch.push(registry.series(series.clone()).unwrap(), *value);
        }
        let mut totals = Totals::new();
        totals.write(&batch).unwrap();
        totals.get()
    }

    fn rows(series: &[(Series, f64)], wall: f64) -> Vec<String> {
        let energy = MachineEnergy::of(&totals(series));
        let rows = energy.iter().flat_map(|energy| energy.rows(wall));
        rows.map(|row| row.join(" | ").replace(GLUE, " ")).collect()
    }

    fn of(metric: &Metric, domain: &'static str, socket: &str, value: f64) -> (Series, f64) {
        let series = Series::new(metric.clone()).method("RAPL through perf");
        (series.resource("cpu_package", socket).label(DOMAIN, domain), value)
    }

    fn part(metric: &Metric, consumer: Consumer, part: &'static str, value: f64) -> (Series, f64) {
        let series = Series::new(metric.clone()).consumer(consumer).provenance(Provenance::Attributed);
        (series.label(PART, part).method("by a rule"), value)
    }

    #[test]
    fn packages_and_memory_are_the_machine_and_nothing_else() {
        for domain in ["core", "psys", "dram"] {
            assert_eq!(rows(&[of(&ENERGY, domain, "0", 5.0)], 1.0), [""; 0], "{domain} is not all of it");
        }
        let all = [
            of(&ENERGY, "package", "0", 300.0),
            of(&ENERGY, "core", "0", 250.0),
            of(&ENERGY, "package", "1", 200.0),
            of(&ENERGY, "dram", "0", 20.0),
            of(&UNCERTAINTY, "package", "0", 1.5),
            of(&UNCERTAINTY, "package", "1", 1.0),
            of(&UNCERTAINTY, "dram", "0", 0.4),
            of(&POWER, "package", "0", 60.0),
            of(&POWER, "package", "0", 40.0),
            of(&POWER, "package", "1", 30.0),
            of(&POWER, "dram", "0", 8.0),
        ];
        assert_eq!(
            rows(&all, 8.0),
            [
                "Energy | 520 J ± 3 | machine: package + dram measured: RAPL through perf",
                "Power | 65 W mean | peak at most 98 W",
            ]
        );
    }

    #[test]
    fn the_applications_part_comes_first_and_what_was_idle_stands_beside_the_machine() {
        let all = [
            of(&ENERGY, "package", "0", 520.0),
            of(&UNCERTAINTY, "package", "0", 1.0),
            part(&ENERGY, Consumer::Target, "target", 412.0),
            part(&UNCERTAINTY, Consumer::Target, "target", 2.6),
            part(&ENERGY, Consumer::Machine, "idle", 84.0),
            part(&UNCERTAINTY, Consumer::Machine, "idle", 2.0),
            part(&ENERGY, Consumer::Machine, "other", 24.0),
        ];
        assert_eq!(
            rows(&all, 8.0),
            [
                "Energy | 412 J ± 3 | attributed to this application: by a rule",
                "Machine | 520 J ± 1 | package measured: RAPL through perf, of which 84 J ± 2 idle and 436 J ± 3 above",
            ]
        );
    }

    #[test]
    fn who_runs_below_the_idle_power_is_told_why_there_is_no_part_of_it() {
        let all = [
            of(&ENERGY, "package", "0", 30.0),
            of(&UNCERTAINTY, "package", "0", 1.0),
            part(&ENERGY, Consumer::Target, "target", 0.0),
            part(&UNCERTAINTY, Consumer::Target, "target", 1.0),
            // All of it, but for what rounding makes of many intervals.
            part(&ENERGY, Consumer::Machine, "idle", 30.0 - 1e-12),
            part(&UNCERTAINTY, Consumer::Machine, "idle", 1.0),
        ];
        let machine = &rows(&all, 8.0)[1];
        let says =
            "30 J ± 1 idle and 0 J ± 2 above: it used no more than the idle power, so nobody has a part";
        assert!(machine.ends_with(says), "{machine}");
    }

    #[test]
    fn what_is_not_whole_is_at_least_so_much() {
        assert_eq!(
            rows(&[of(&ENERGY, "package", "0", 0.52), of(&POWER, "package", "0", 60.0)], 0.01),
            ["Energy | at least 520 mJ | machine: package measured: RAPL through perf"]
        );
    }

    #[test]
    fn an_energy_that_is_less_sure_than_a_hundredth_is_too_short_for_the_sensor() {
        let too_short = |uncertainty: f64| {
            let all = [of(&ENERGY, "package", "0", 50.0), of(&UNCERTAINTY, "package", "0", uncertainty)];
            MachineEnergy::of(&totals(&all)).unwrap().too_short().map(|gap| gap.what.replace(GLUE, " "))
        };
        assert_eq!(too_short(1.5).as_deref(), Some("energy to better than 3.0 % of it"));
        assert_eq!(too_short(0.5), None);
    }

    #[test]
    fn an_estimate_is_never_shown_like_a_measurement_nor_beside_one() {
        let estimated = |(series, value): (Series, f64)| {
            (series.provenance(Provenance::Estimated).method("a curve; −45 % … +80 %"), value)
        };
        let model = [
            estimated(of(&ENERGY, "package", "0", 98.0)),
            estimated(part(&ENERGY, Consumer::Target, "target", 96.0)),
        ];
        assert_eq!(
            rows(&model, 8.0),
            ["Energy | ~ 96 J | estimated from a curve; −45 % … +80 %; machine ~ 98 J"]
        );
        let both = [&model[..], &[of(&ENERGY, "package", "1", 50.0), of(&UNCERTAINTY, "package", "1", 1.0)]]
            .concat();
        assert_eq!(rows(&both, 8.0), ["Energy | 50 J ± 1 | machine: package measured: RAPL through perf"]);
    }
}
