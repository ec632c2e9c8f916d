//! What a run has cost in energy: of the machine's CPUs and memory, and the application's part of it.
//!
//! These are the only rules for it: over the totals of a run, whether it has just ended or was kept.

use alumet::conventions::{DOMAIN, ENERGY, PART, POWER};
use alumet::{Bound, Missing, Provenance};
use alumet_plugin_rapl::Domain;

use crate::mark::marked;
use crate::profile::metric::{Key, MetricTotal};
use crate::units::{joules, percent, uncertain, watts};

/// A run of less, in seconds, has no peak of its own: it has one interval.
const SHORT: f64 = 0.1;
/// An energy that is less sure than this share of itself is too short for the sensor.
const COARSE: f64 = 0.01;
/// Why an energy without an uncertainty is a bound.
pub const LACKING: &str = "a part of it was not measured";

/// An energy that a part of the run has used.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub joules: f64,
    /// One standard deviation; `None` if it is not known.
    pub uncertainty: Option<f64>,
    pub provenance: Provenance,
    /// How it was found out.
    pub method: String,
    /// Whether it is exact; `None` if some of it is at least, and some at most, what it says.
    pub bound: Option<Bound>,
    /// Why it is not.
    pub bound_reason: String,
    /// Between which values an estimate lies.
    pub band: Option<[f64; 2]>,
}

impl Part {
    /// This total.
    pub fn of(total: &MetricTotal) -> Self {
        let (provenance, uncertainty) = (total.key.provenance(), total.uncertainty);
        // A meter that lost something does not know how sure it is; a model never knows.
        let is_lacking = uncertainty.is_none() && provenance != Provenance::Estimated;
        let (bound, bound_reason) = match total.bound {
            Bound::Exact if is_lacking => (Some(Bound::AtLeast), LACKING.to_owned()),
            bound if is_lacking => (bound.and(Bound::AtLeast), total.bound_reason.clone()),
            bound => (Some(bound), total.bound_reason.clone()),
        };
        Self {
            joules: total.amount.value(),
            uncertainty: uncertainty.filter(|_| bound == Some(Bound::Exact)),
            provenance,
            method: total.key.method.clone(),
            bound,
            bound_reason,
            band: total.band,
        }
    }

    /// Both, as if they erred to the same side; what an estimate is in is an estimate, and what is attributed is not
    /// measured.
    pub fn and(self, other: Self) -> Self {
        let bound = self.bound.zip(other.bound).and_then(|(a, b)| a.and(b));
        let is_said = other.bound_reason.is_empty() || self.bound_reason.contains(&other.bound_reason);
        let reasons = [self.bound_reason, if is_said { String::new() } else { other.bound_reason }];
        let is_same = self.method == other.method;
        Self {
            joules: self.joules + other.joules,
            uncertainty: self.uncertainty.zip(other.uncertainty).map(|(a, b)| a + b),
            provenance: weaker(self.provenance, other.provenance),
            method: if is_same { self.method } else { format!("{}, {}", self.method, other.method) },
            bound,
            bound_reason: listed(reasons),
            band: self.band.zip(other.band).map(|(a, b)| [a[0] + b[0], a[1] + b[1]]),
        }
    }

    /// A part of this: where the whole lacks something, the part does.
    fn part_of(self, whole: &Self) -> Self {
        if whole.bound == Some(Bound::Exact) || self.bound == whole.bound {
            return self;
        }
        let bound = self.bound.zip(whole.bound).and_then(|(a, b)| a.and(b));
        let bound_reason = listed([self.bound_reason, whole.bound_reason.clone()]);
        Self { bound, bound_reason, uncertainty: None, ..self }
    }

    /// Whether it is no more than a bound.
    pub fn is_bound(&self) -> bool {
        self.bound != Some(Bound::Exact)
    }

    /// `12.4 J ± 0.2`, `~ 12 J` if it is estimated, `at least 12 J` if something is missing.
    pub fn in_words(&self) -> String {
        match self.uncertainty {
            Some(uncertainty) if !self.is_bound() => uncertain(self.joules, uncertainty),
            _ => marked(self.provenance.as_str(), self.bound, &joules(self.joules)),
        }
    }
}

/// That of the two which says less.
pub fn weaker(a: Provenance, b: Provenance) -> Provenance {
    [Provenance::Estimated, Provenance::Attributed].into_iter().find(|it| a == *it || b == *it).unwrap_or(a)
}

fn listed(reasons: [String; 2]) -> String {
    let reasons: Vec<_> = reasons.into_iter().filter(|reason| !reason.is_empty()).collect();
    reasons.join("; ")
}

/// The application's energy on a resource (`machine`, for CPUs and memory), if it was told apart.
pub fn of_target(metrics: &[MetricTotal], resource: (&str, &str)) -> Option<Part> {
    let of_target = |metric: &&MetricTotal| {
        metric.key.is(&ENERGY.name, "target") && (&*metric.key.resource, &*metric.key.resource_id) == resource
    };
    // A measured energy counts more than a model of the same.
    let all = metrics.iter().filter(of_target);
    all.min_by_key(|metric| metric.key.provenance() == Provenance::Estimated).map(Part::of)
}

/// The domain of a RAPL counter, or of what stands for one, whose energy this is.
fn domain(key: &Key) -> Option<Domain> {
    let label = key.label(DOMAIN).filter(|_| key.is(&ENERGY.name, "machine"))?;
    Domain::ALL.into_iter().find(|domain| domain.as_str() == label)
}

/// The energy of the whole machine, as far as it has meters or a model.
#[derive(Debug, PartialEq)]
pub struct MachineEnergy {
    whole: Part,
    /// The largest power between two readings, and whether it is that of one counter alone.
    peak: Option<(f64, bool)>,
    domains: Vec<String>,
    /// The meters, each with its domain and place.
    meters: Vec<String>,
    /// The application's part.
    target: Option<Part>,
    /// What the machine would have used anyway.
    idle: Option<Part>,
}

impl MachineEnergy {
    /// `None` if no package of it was measured or estimated: memory alone is not the machine.
    pub fn of(metrics: &[MetricTotal]) -> Option<Self> {
        let of = |provenance| {
            let is_it = |metric: &&MetricTotal| {
                domain(&metric.key).is_some_and(Domain::is_counted) && metric.key.provenance() == provenance
            };
            let parts: Vec<&MetricTotal> = metrics.iter().filter(is_it).collect();
            let has_package = parts.iter().any(|part| domain(&part.key) == Some(Domain::Package));
            has_package.then_some(parts)
        };
        let parts = of(Provenance::Measured).or_else(|| of(Provenance::Estimated))?;
        // As if all counters erred to the same side: their readings are as far from the marks.
        let whole = parts.iter().map(|part| Part::of(part)).reduce(Part::and)?;
        // They are named one by one.
        let whole = Part { method: parts[0].key.method.clone(), ..whole };
        let powers = parts.iter().map(|part| {
            let beside = metrics.iter().find(|metric| metric.key.is_beside(&part.key, &POWER.name));
            beside.map(|power| power.amount.most())
        });
        let mut domains: Vec<_> =
            parts.iter().filter_map(|part| part.key.label(DOMAIN)).map(str::to_owned).collect();
        domains.sort();
        domains.dedup();
        // `package` is what a person expects first.
        domains.reverse();
        let meters = parts.iter().map(|part| {
            let Key { method, resource_id, .. } = &part.key;
            format!("{method} of {} {resource_id}", part.key.label(DOMAIN).unwrap_or_default())
        });
        let is_idle = |metric: &&MetricTotal| {
            metric.key.metric == ENERGY.name
                && metric.key.label(PART) == Some("idle")
                && metric.key.resource == "machine"
        };
        let is_estimated = whole.provenance == Provenance::Estimated;
        let target = of_target(metrics, ("machine", ""))
            .filter(|target| (target.provenance == Provenance::Estimated) == is_estimated)
            .map(|target| target.part_of(&whole));
        Some(Self {
            peak: powers.sum::<Option<f64>>().map(|peak| (peak, parts.len() == 1)),
            domains,
            meters: meters.collect(),
            target,
            idle: metrics.iter().find(is_idle).map(Part::of),
            whole,
        })
    }

    /// Whether it was measured, and not estimated.
    pub fn is_measured(&self) -> bool {
        self.whole.provenance != Provenance::Estimated
    }

    /// Whether the application's part is told apart.
    pub fn is_split(&self) -> bool {
        self.target.is_some()
    }

    /// All of it.
    pub fn whole(&self) -> &Part {
        &self.whole
    }

    /// What the machine would have used anyway, if that is known.
    pub fn idle(&self) -> Option<&Part> {
        self.idle.as_ref()
    }

    /// The application's part, or all of it where it is not told apart.
    pub fn headline(&self) -> Part {
        self.target.clone().unwrap_or_else(|| self.whole.clone())
    }

    /// By which rule the headline was found, and of which meters: energies by others are not comparable.
    pub fn way(&self) -> String {
        if !self.is_measured() {
            return self.headline().method;
        }
        let rule = self.target.as_ref().map(|target| &target.method);
        rule.into_iter().chain(&self.meters).cloned().collect::<Vec<_>>().join(", ")
    }

    /// What the machine has used above its idle power, if that is known. It is as unsure as the one and the other are,
    /// which do not err together.
    pub fn above_idle(&self) -> Option<Part> {
        let idle = self.idle.as_ref()?;
        let above = self.whole.joules - idle.joules;
        Some(Part {
            // Not a rounding error above or below nothing.
            joules: if above <= 1e-9 * self.whole.joules { 0.0 } else { above },
            uncertainty: self.whole.uncertainty.zip(idle.uncertainty).map(|(all, idle)| all.hypot(idle)),
            provenance: Provenance::Attributed,
            method: "hw.energy of the machine - hw.energy of what was idle".into(),
            bound: self.whole.bound.zip(idle.bound).and_then(|(all, idle)| all.and(idle.flipped())),
            bound_reason: listed([self.whole.bound_reason.clone(), idle.bound_reason.clone()]),
            band: None,
        })
    }

    /// Whether the machine used less than its idle power says: then nothing was above it, and nobody has a part.
    fn is_below_idle(&self) -> bool {
        self.above_idle().is_some_and(|above| above.joules == 0.0)
    }

    /// What is to be said of it, if its meter is too coarse for so short a run or so little energy.
    pub fn too_short(&self) -> Option<Missing> {
        let share = self.whole.uncertainty.filter(|_| self.whole.joules > 0.0)? / self.whole.joules;
        (share > COARSE).then(|| Missing {
            what: format!("energy to better than {} of it", percent(share)),
            reason: "too short for the sensor".into(),
            remedy: "lengthen or repeat the run".into(),
            ..Missing::default()
        })
    }

    /// Label, value, and the rest of each row.
    pub fn rows(&self, wall: f64) -> Vec<[String; 3]> {
        if !self.is_measured() {
            return self.estimated().into();
        }
        let value = self.whole.in_words();
        let idle = self.idle.as_ref().zip(self.above_idle());
        let idle = idle.map_or_else(String::new, |(idle, above)| {
            format!(", of which {} idle and {} above", idle.in_words(), above.in_words())
        });
        let below = if self.is_below_idle() {
            ": it used no more than the idle power, so nobody has a part"
        } else {
            ""
        };
        let why = match &*self.whole.bound_reason {
            "" | LACKING => String::new(),
            why => format!("; {why}"),
        };
        let measured =
            format!("{} measured: {}{idle}{below}{why}", self.domains.join(" + "), self.whole.method);
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
        if let Some((peak, is_of_one)) = self.peak.filter(|_| wall > 0.0 && self.whole.uncertainty.is_some())
        {
            let mean = |joules: f64| format!("{} mean", watts(joules / wall));
            let peak = watts(peak.max(self.whole.joules / wall));
            let mut machine: Vec<String> = Vec::new();
            if self.target.is_some() {
                machine.push(format!("machine {}", mean(self.whole.joules)));
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
        let whose = match &self.target {
            Some(_) => format!("machine {}", self.whole.in_words()),
            None => "of the machine".to_owned(),
        };
        let how = format!("estimated from {}; {whose}", self.whole.method);
        [["Energy".to_owned(), self.headline().in_words(), how]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::GLUE;
    use alumet::conventions::UNCERTAINTY;
    use alumet::{Batch, Consumer, Metric, Output, Registry, Series, Totals};

    fn totals(series: &[(Series, f64)]) -> Vec<MetricTotal> {
        let registry = Registry::new();
        let mut batch = Batch::new(std::sync::Arc::clone(&registry));
        for (series, value) in series {
            batch.push(registry.series(series.clone()).unwrap(), *value);
        }
        let mut totals = Totals::new();
        totals.write(&batch).unwrap();
        MetricTotal::all(&totals.get())
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
