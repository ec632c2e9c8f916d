//! What runs are compared by: a handful of quantities that a person has words for, and any event.

use std::fmt;

use serde::{Serialize, Serializer};

use alumet::Bound;
use alumet::conventions::{CPU_TIME, DOMAIN, ENERGY, PART, SENSOR_CHIP};
use alumet_plugin_nvml::metrics::{MIG, USED};
use alumet_plugin_procfs::metrics::{MEMORY_PEAK, PEAK_SCOPE};

use crate::derived::Derived;
use crate::profile::{Key, MetricTotal, Run, Wall};
use crate::units::{GLUE, amount, bytes, count, grams, joules, money, seconds};

/// A quantity of which each run has one value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    /// The application's part of the energy of CPUs and memory, or all of it where it is not told apart.
    Energy,
    /// The energy of the GPUs that the application used.
    Gpu,
    /// From the start of the application to its end.
    Time,
    /// CPU time of the tree.
    Cpu,
    /// The peak of the tree's memory.
    Memory,
    /// Instructions of the tree.
    Instructions,
    /// The energy as carbon dioxide, at the rate that was asked for.
    Carbon,
    /// The energy as money, likewise.
    Cost,
    /// Another event, by the name that it was asked for.
    Event(String),
}

/// A run's value.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub value: f64,
    /// `measured`, `attributed` or `estimated`.
    pub provenance: String,
    pub method: String,
    /// Whether it is exact; `None` if parts of it are at least, and others at most, what they say.
    pub bound: Option<Bound>,
    /// Why no verdict may rest on it.
    pub unfit: Option<Unfit>,
}

/// Why no verdict may rest on a reading, or on those of several runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// It is CPU time in disguise.
    Estimated,
    /// A meter has lost a part.
    Partial,
    /// An event was counted for a part of the time.
    Scaled,
    /// It is not exact, for this reason; `None` if it may be off to either side.
    Bound(Option<Bound>, String),
    /// Energy in other units.
    Derived,
    /// It is that of all instances of a GPU.
    Shared,
    /// Not every run has it.
    Lacking,
    /// Not every run has it by the same method.
    Mixed,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bound(Some(bound), why) => return write!(f, "it is {} so much: {why}", bound.as_str()),
            Self::Bound(None, why) => return write!(f, "it may be more or less: {why}"),
            Self::Estimated => "it is estimated",
            Self::Partial => "a part of it was not measured",
            Self::Scaled => "it is multiplexed: its counts are scaled",
            Self::Derived => "it follows from the energy",
            Self::Shared => "a GPU is split into instances (MIG), and its energy is that of all of them",
            Self::Lacking => "some runs lack it",
            Self::Mixed => "it was not obtained in the same way in all runs",
        })
    }
}

impl Quantity {
    /// The usual ones, in the order in which they are shown.
    pub const USUAL: [Self; 6] =
        [Self::Energy, Self::Gpu, Self::Time, Self::Cpu, Self::Memory, Self::Instructions];
    /// Those that decide if nobody has said by what, the best first.
    pub const DECIDING: [Self; 3] = [Self::Energy, Self::Cpu, Self::Instructions];

    /// From the name that a person types.
    pub fn parse(name: &str) -> Self {
        let usual = Self::USUAL.into_iter().find(|quantity| quantity.name() == name);
        usual.unwrap_or_else(|| Self::Event(name.to_owned()))
    }

    /// As it is typed.
    pub fn name(&self) -> &str {
        match self {
            Self::Energy => "energy",
            Self::Gpu => "gpu",
            Self::Time => "time",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Instructions => "instructions",
            Self::Carbon => "carbon",
            Self::Cost => "cost",
            Self::Event(name) => name,
        }
    }

    /// As it heads a row.
    pub fn label(&self) -> &str {
        match self {
            Self::Energy => "Energy",
            Self::Gpu => "GPU energy",
            Self::Time => "Time",
            Self::Cpu => "CPU",
            Self::Memory => "Memory",
            Self::Instructions => "Instructions",
            Self::Carbon => "Carbon",
            Self::Cost => "Cost",
            Self::Event(name) => name,
        }
    }

    /// UCUM code.
    pub fn unit(&self) -> &'static str {
        match self {
            Self::Energy | Self::Gpu => "J",
            Self::Time | Self::Cpu => "s",
            Self::Memory => "By",
            Self::Carbon => "g",
            Self::Instructions | Self::Cost | Self::Event(_) => "1",
        }
    }

    /// A value for a person.
    pub fn in_words(&self, value: f64) -> String {
        match self {
            Self::Energy | Self::Gpu => joules(value),
            Self::Time | Self::Cpu => seconds(value),
            Self::Memory => bytes(value),
            Self::Instructions => count(value),
            Self::Carbon => format!("{} CO2e", grams(value)),
            Self::Cost => money(value),
            Self::Event(name) if name.ends_with("-clock") => seconds(value),
            Self::Event(_) => amount(value, "1"),
        }
    }

    /// What a run of this length with these totals says of it.
    pub fn of_run(&self, wall: &Wall, metrics: &[MetricTotal]) -> Option<Reading> {
        match self {
            Self::Energy => energy(metrics),
            Self::Gpu => gpu(metrics),
            Self::Time => Some(time(wall)),
            Self::Cpu => sum(metrics, |key| of_target(key, &CPU_TIME.name)),
            Self::Memory => {
                let is_peak = |key: &Key| {
                    of_target(key, &MEMORY_PEAK.name)
                        && key.labels.get(PEAK_SCOPE).is_some_and(|scope| scope == "tree")
                };
                let peak = metrics.iter().find(|metric| is_peak(&metric.key))?;
                let (bound, unfit) = bounded(&[peak]);
                Some(Reading { bound, unfit, ..measured(peak.amount.most(), &peak.key.method) })
            }
            Self::Instructions => event(metrics, "instructions").or_else(|| event(metrics, "instructions:u")),
            Self::Event(name) => event(metrics, name),
            // They are derived, not measured: see `derived`.
            Self::Carbon | Self::Cost => None,
        }
    }
}

/// What follows from the energy of a run, if that was asked for.
pub fn derived(run: &Run) -> Vec<(Quantity, Reading)> {
    let of = |derived: &Derived| {
        let quantity = match &*derived.metric {
            "energy.carbon" => Quantity::Carbon,
            "energy.cost" => Quantity::Cost,
            _ => return None,
        };
        let unfit = Some(Unfit::Derived);
        let (provenance, method) = (derived.provenance.to_owned(), derived.method.clone());
        let bound = Some(if derived.at_least { Bound::AtLeast } else { Bound::Exact });
        Some((quantity, Reading { value: derived.value, provenance, method, bound, unfit }))
    };
    run.derived.iter().filter_map(of).collect()
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

fn measured(value: f64, method: &str) -> Reading {
    Reading {
        value,
        provenance: "measured".into(),
        method: method.to_owned(),
        bound: Some(Bound::Exact),
        unfit: None,
    }
}

fn time(wall: &Wall) -> Reading {
    let bound = Some(wall.wall_bound);
    let unfit = (!wall.wall_bound.is_exact()).then(|| Unfit::Bound(bound, wall.wall_bound_reason.clone()));
    Reading { bound, unfit, ..measured(wall.wall_s, "CLOCK_MONOTONIC") }
}

fn of_target(key: &Key, metric: &str) -> bool {
    key.metric == metric && key.consumer == "target"
}

/// All that match, together; where it comes from is said by the first.
fn sum(metrics: &[MetricTotal], is_part: impl Fn(&Key) -> bool) -> Option<Reading> {
    let parts: Vec<_> = metrics.iter().filter(|metric| is_part(&metric.key)).collect();
    let first = &parts.first()?.key;
    let (bound, unfit) = bounded(&parts);
    Some(Reading {
        value: parts.iter().map(|part| part.amount.value()).sum(),
        provenance: first.provenance.to_string(),
        method: first.method.clone(),
        bound,
        unfit,
    })
}

/// Whether the sum of these is exact, and why it decides nothing if it is not.
fn bounded(parts: &[&MetricTotal]) -> (Option<Bound>, Option<Unfit>) {
    let bound = parts.iter().try_fold(Bound::Exact, |bound, part| bound.and(part.bound));
    let mut reasons: Vec<&str> =
        parts.iter().filter(|part| !part.bound.is_exact()).map(|part| &*part.bound_reason).collect();
    reasons.dedup();
    let unfit = (bound != Some(Bound::Exact)).then(|| Unfit::Bound(bound, reasons.join("; ")));
    (bound, unfit)
}

/// For serde: what is exact is not told.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
pub fn is_exact(bound: &Option<Bound>) -> bool {
    *bound == Some(Bound::Exact)
}

/// A number as every table shows it, with what is to be known of it at once: `~ 96 J` if it is estimated, `at least 96 J`
/// if it is a bound.
pub fn marked(provenance: &str, bound: Option<Bound>, value: &str) -> String {
    let mark = match bound {
        _ if provenance == "estimated" => "~",
        Some(bound) => bound.as_str(),
        None => "about",
    };
    if mark.is_empty() {
        value.to_owned()
    } else {
        format!("{}{GLUE}{value}", mark.replace(' ', &GLUE.to_string()))
    }
}

/// The application's part of a measured energy, or all of that, or an estimate of either.
fn energy(metrics: &[MetricTotal]) -> Option<Reading> {
    let part = |key: &Key, estimated: bool| {
        of_target(key, &ENERGY.name)
            && key.resource == "machine"
            && (key.provenance == "estimated") == estimated
    };
    let whole = |key: &Key, estimated: bool| {
        key.metric == ENERGY.name
            && key.consumer == "machine"
            && matches!(domain(key), Some("package" | "dram"))
            && (key.provenance == "estimated") == estimated
    };
    let of = |estimated| {
        let of_target = sum(metrics, |key| part(key, estimated));
        // Memory alone is not the machine.
        let is_package = |metric: &MetricTotal| domain(&metric.key) == Some("package");
        let has_package = metrics.iter().any(|metric| whole(&metric.key, estimated) && is_package(metric));
        of_target.or_else(|| sum(metrics, |key| whole(key, estimated)).filter(|_| has_package))
    };
    match of(false) {
        Some(reading) => {
            let is_part = |metric: &&MetricTotal| part(&metric.key, false) || whole(&metric.key, false);
            let is_whole = metrics.iter().filter(is_part).all(|metric| metric.uncertainty.is_some());
            // By which rule, and of which meters: energies by others are not comparable.
            let meters =
                metrics.iter().map(|metric| &metric.key).filter(|key| whole(key, false)).map(|key| {
                    format!("{} of {} {}", key.method, domain(key).unwrap_or_default(), key.resource_id)
                });
            let mut method: Vec<String> =
                if reading.provenance == "attributed" { vec![reading.method.clone()] } else { Vec::new() };
            method.extend(meters);
            Some(Reading { method: method.join(", "), ..partial(reading, !is_whole) })
        }
        None => Some(Reading { unfit: Some(Unfit::Estimated), ..of(true)? }),
    }
}

/// If a meter has lost a part, it is at least so much.
fn partial(reading: Reading, is_partial: bool) -> Reading {
    if !is_partial {
        return reading;
    }
    let bound = reading.bound.and_then(|bound| bound.and(Bound::AtLeast));
    Reading { bound, unfit: Some(Unfit::Partial), ..reading }
}

fn domain(key: &Key) -> Option<&str> {
    key.labels.get(DOMAIN).map(String::as_str)
}

/// Of the GPUs that the application was seen on: its parts, or the boards'.
fn gpu(metrics: &[MetricTotal]) -> Option<Reading> {
    let is_used = |key: &Key| {
        metrics.iter().any(|metric| {
            metric.key.metric == USED.name
                && metric.key.resource_id == key.resource_id
                && metric.amount.most() > 0.0
        })
    };
    // What a sensor tells of a GPU stands for itself.
    let is_energy = |key: &Key| {
        key.metric == ENERGY.name
            && key.resource == "gpu"
            && !key.labels.contains_key(SENSOR_CHIP)
            && is_used(key)
    };
    let is_board = |key: &Key| is_energy(key) && key.consumer == "machine" && !key.labels.contains_key(PART);
    let parts = sum(metrics, |key| is_energy(key) && key.consumer == "target");
    let reading = parts.or_else(|| sum(metrics, is_board))?;
    let boards = || metrics.iter().filter(|metric| is_board(&metric.key));
    let used = metrics.iter().filter(|metric| metric.key.metric == USED.name && is_used(&metric.key));
    let is_partial = boards().any(|board| board.uncertainty.is_none()) || boards().count() < used.count();
    let reading = partial(reading, is_partial);
    let is_shared = boards().any(|board| board.key.labels.contains_key(MIG));
    let unfit = if is_shared { Some(Unfit::Shared) } else { reading.unfit };
    Some(Reading { unfit, ..reading })
}

/// A count; on hybrid CPUs that of all types of cores.
fn event(metrics: &[MetricTotal], name: &str) -> Option<Reading> {
    let metric = format!("perf.{name}");
    let reading = sum(metrics, |key| of_target(key, &metric))?;
    let is_scaled = metrics.iter().any(|metric| {
        metric.key.metric == "perf_event.running"
            && metric.key.labels.get("perf.event").is_some_and(|event| event == name)
            && metric.amount.value() < 0.9995
    });
    let unfit = if is_scaled { Some(Unfit::Scaled) } else { reading.unfit };
    Some(Reading { unfit, ..reading })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Amount;

    fn metric(
        name: &str,
        consumer: &'static str,
        provenance: &'static str,
        label: (&str, &str),
        value: f64,
    ) -> MetricTotal {
        let key = Key {
            metric: name.into(),
            unit: "J".into(),
            kind: "counter".into(),
            provenance: provenance.into(),
            method: "m".into(),
            resource: if label.0 == "gpu" { "gpu" } else { "machine" }.into(),
            resource_id: if label.0 == "gpu" { label.1 } else { "" }.into(),
            consumer: consumer.into(),
            consumer_id: String::new(),
            labels: [(label.0.to_owned(), label.1.to_owned())].into(),
        };
        let amount = Amount::Counter { value };
        let (bound, bound_reason) = (Bound::Exact, String::new());
        MetricTotal { key, amount, uncertainty: Some(0.1), band: None, bound, bound_reason }
    }

    const PACKAGE: (&str, &str) = ("hw.energy.domain", "package");
    const TARGET: (&str, &str) = ("hw.energy.part", "target");

    #[test]
    fn the_applications_part_counts_more_than_the_machine_and_both_more_than_an_estimate() {
        let read = |metrics: &[MetricTotal]| {
            Quantity::Energy.of_run(&Wall::default(), metrics).map(|reading| (reading.value, reading.unfit))
        };
        let estimate = metric("hw.energy", "target", "estimated", TARGET, 7.0);
        let whole = metric("hw.energy", "machine", "measured", PACKAGE, 50.0);
        let part = metric("hw.energy", "target", "attributed", TARGET, 20.0);
        assert_eq!(read(std::slice::from_ref(&estimate)), Some((7.0, Some(Unfit::Estimated))));
        assert_eq!(read(&[estimate.clone(), whole.clone()]), Some((50.0, None)));
        assert_eq!(read(&[estimate, whole.clone(), part.clone()]), Some((20.0, None)));
        let method = Quantity::Energy.of_run(&Wall::default(), &[whole.clone(), part]).unwrap().method;
        assert_eq!(method, "m, m of package ");
        let lossy = MetricTotal { uncertainty: None, ..whole };
        assert_eq!(read(&[lossy]), Some((50.0, Some(Unfit::Partial))));
        for domain in ["psys", "dram"] {
            let alone = metric("hw.energy", "machine", "measured", ("hw.energy.domain", domain), 90.0);
            assert_eq!(read(&[alone]), None, "{domain}");
        }
    }

    #[test]
    fn a_scaled_count_is_unfit_and_one_that_was_not_counted_is_none() {
        let counted = metric("perf.cycles", "target", "measured", ("x", "y"), 9.0);
        let running = metric("perf_event.running", "target", "measured", ("perf.event", "cycles"), 0.5);
        let cycles = Quantity::parse("cycles");
        assert_eq!(cycles.of_run(&Wall::default(), std::slice::from_ref(&counted)).unwrap().unfit, None);
        assert!(cycles.of_run(&Wall::default(), &[counted, running]).unwrap().unfit.is_some());
        assert_eq!(Quantity::Instructions.of_run(&Wall::default(), &[]), None);
    }

    #[test]
    fn the_energy_of_a_gpu_that_lacks_something_or_is_everybodys_decides_nothing() {
        let of_gpu = |name: &str, consumer, value| metric(name, consumer, "measured", ("gpu", "0"), value);
        let used = of_gpu("hw.gpu.used_by_target", "target", 1.0);
        let board = of_gpu("hw.energy", "machine", 50.0);
        let read = |metrics: &[MetricTotal]| {
            Quantity::Gpu.of_run(&Wall::default(), metrics).map(|reading| (reading.value, reading.unfit))
        };
        assert_eq!(read(&[used.clone(), board.clone()]), Some((50.0, None)));
        let lost = MetricTotal { uncertainty: None, ..board.clone() };
        assert_eq!(read(&[used.clone(), lost]), Some((50.0, Some(Unfit::Partial))));
        let with = |label: &str| {
            let mut other = board.clone();
            other.key.labels.insert(label.to_owned(), "x".into());
            other
        };
        assert_eq!(read(&[used.clone(), with("hw.gpu.mig")]), Some((50.0, Some(Unfit::Shared))));
        // A Cray node's own word of its accelerator is the same energy again.
        assert_eq!(read(&[used.clone(), board.clone(), with("hw.sensor.chip")]), Some((50.0, None)));
        let mut other = used.clone();
        other.key.resource_id = "1".into();
        assert_eq!(read(&[used, other, board]), Some((50.0, Some(Unfit::Partial))), "nothing measures GPU 1");
    }

    #[test]
    fn a_sum_is_bounded_as_its_parts_are_and_a_bound_decides_nothing() {
        let time = |mode, bound, reason: &str| MetricTotal {
            bound,
            bound_reason: reason.into(),
            ..metric("process.cpu.time", "target", "measured", ("cpu.mode", mode), 1.0)
        };
        let read = |user: &MetricTotal, system: &MetricTotal| {
            let cpu = Quantity::Cpu.of_run(&Wall::default(), &[user.clone(), system.clone()]).unwrap();
            (cpu.bound, cpu.unfit.map(|unfit| unfit.to_string()))
        };
        let exact = time("user", Bound::Exact, "");
        let least = time("system", Bound::AtLeast, "a child ended unseen");
        let most = time("system", Bound::AtMost, "it may be alumet's");
        assert_eq!(read(&exact, &exact), (Some(Bound::Exact), None));
        let said = |text: &str| Some(text.to_owned());
        let expected = (Some(Bound::AtLeast), said("it is at least so much: a child ended unseen"));
        assert_eq!(read(&exact, &least), expected);
        assert_eq!(read(&least, &least), expected, "a reason is said once");
        let both = said("it may be more or less: it may be alumet's; a child ended unseen");
        assert_eq!(read(&most, &least), (None, both));
    }

    #[test]
    fn a_time_whose_end_was_seen_late_decides_nothing() {
        let late =
            Wall { wall_s: 2.0, wall_bound: Bound::AtMost, wall_bound_reason: "it was stopped".into() };
        let time = Quantity::Time.of_run(&late, &[]).unwrap();
        assert_eq!((time.value, time.bound), (2.0, Some(Bound::AtMost)));
        assert_eq!(time.unfit.unwrap().to_string(), "it is at most so much: it was stopped");
        let seen = Quantity::Time.of_run(&Wall { wall_s: 2.0, ..Wall::default() }, &[]).unwrap();
        assert_eq!((seen.bound, seen.unfit), (Some(Bound::Exact), None));
    }

    #[test]
    fn names_lead_to_quantities_and_back() {
        for quantity in Quantity::USUAL {
            assert_eq!(Quantity::parse(quantity.name()), quantity);
        }
        assert_eq!(Quantity::parse("cache-misses"), Quantity::Event("cache-misses".into()));
    }
}
