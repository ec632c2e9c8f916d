//! What runs are compared by: a handful of quantities that a person has words for, and any event.

use std::fmt;

use serde::{Serialize, Serializer};

use alumet::conventions::CPU_TIME;
use alumet::{Bound, Provenance};
use alumet_plugin_procfs::metrics::{MEMORY_PEAK, PEAK_SCOPE};

use crate::derived::Derived;
use crate::energy::{MachineEnergy, Part, weaker};
use crate::gpu::GpuEnergy;
use crate::profile::metric::{Key, MetricTotal};
use crate::profile::wall::Wall;
use crate::units::{amount, bytes, count, grams, joules, money, seconds};

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
    /// An event was counted for a part of the time.
    Scaled,
    /// It is not exact, for this reason; `None` if it may be off to either side.
    Bound(Option<Bound>, String),
    /// Of too many runs it is only a bound, because alumet saw their ends late, which says nothing about what was run.
    Late(String),
    /// Energy in other units.
    Derived,
    /// Not every run has it.
    Lacking,
    /// Not every run has it in the same way: in which ways they have it.
    Mixed(String),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bound(Some(bound), why) => return write!(f, "it is {} so much: {why}", bound.as_str()),
            Self::Mixed(ways) => {
                return write!(f, "it was not obtained in the same way in all runs ({ways})");
            }
            Self::Late(why) => return f.write_str(why),
            Self::Bound(None, why) => return write!(f, "it may be more or less: {why}"),
            Self::Estimated => "it is estimated",
            Self::Scaled => "it is multiplexed: its counts are scaled",
            Self::Derived => "it follows from the energy",
            Self::Lacking => "some runs lack it",
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
            Self::Gpu => GpuEnergy::of(metrics).map(|energy| of_part(energy.total)),
            Self::Time => Some(time(wall)),
            Self::Cpu => sum(metrics, |key| of_target(key, &CPU_TIME.name)),
            Self::Memory => {
                let peak = peak(metrics, "tree")?;
                let (bound, unfit) = bounded(&[peak]);
                Some(Reading { bound, unfit, ..measured(peak.amount.most(), &peak.key.method) })
            }
            Self::Instructions => event(metrics, "instructions"),
            Self::Event(name) => event(metrics, name),
            // They are derived, not measured: see `derived`.
            Self::Carbon | Self::Cost => None,
        }
    }
}

/// What follows from the energy of a run, if that was asked for.
pub fn derived(all: &[Derived]) -> Vec<(Quantity, Reading)> {
    let of = |derived: &Derived| {
        let quantity = match &*derived.metric {
            "energy.carbon" => Quantity::Carbon,
            "energy.cost" => Quantity::Cost,
            _ => return None,
        };
        let unfit = Some(Unfit::Derived);
        let (provenance, method) = (derived.provenance.to_owned(), derived.method.clone());
        let bound = derived.bound;
        Some((quantity, Reading { value: derived.value, provenance, method, bound, unfit }))
    };
    all.iter().filter_map(of).collect()
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
    key.is(metric, "target")
}

/// The application's peak of memory, of this scope.
pub fn peak<'a>(metrics: &'a [MetricTotal], scope: &str) -> Option<&'a MetricTotal> {
    metrics.iter().find(|metric| {
        of_target(&metric.key, &MEMORY_PEAK.name) && metric.key.label(PEAK_SCOPE) == Some(scope)
    })
}

/// For which share of the time an event was counted, if that was not all of it.
pub fn multiplexed(metrics: &[MetricTotal], event: &Key) -> Option<f64> {
    let name = event.metric.strip_prefix("perf.")?;
    let is_it = |metric: &&MetricTotal| {
        metric.key.metric == "perf_event.running"
            && metric.key.label("perf.event") == Some(name)
            && metric.key.label("hw.cpu.core_type") == event.label("hw.cpu.core_type")
    };
    // A count that was never scaled has a share of exactly 1.
    metrics.iter().find(is_it).map(|running| running.amount.value()).filter(|share| *share < 1.0)
}

/// All that match, together.
fn sum(metrics: &[MetricTotal], is_part: impl Fn(&Key) -> bool) -> Option<Reading> {
    let parts: Vec<_> = metrics.iter().filter(|metric| is_part(&metric.key)).collect();
    let provenances = parts.iter().map(|part| part.key.provenance());
    let provenance = provenances.reduce(weaker)?;
    let mut methods: Vec<&str> = parts.iter().map(|part| &*part.key.method).collect();
    methods.sort_unstable();
    methods.dedup();
    let (bound, unfit) = bounded(&parts);
    Some(Reading {
        value: parts.iter().map(|part| part.amount.value()).sum(),
        provenance: provenance.as_str().into(),
        method: methods.join(", "),
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

/// The application's part of the machine's energy, or all of that where it is not told apart.
fn energy(metrics: &[MetricTotal]) -> Option<Reading> {
    let energy = MachineEnergy::of(metrics)?;
    Some(Reading { method: energy.way(), ..of_part(energy.headline()) })
}

/// What such an energy is worth.
fn of_part(part: Part) -> Reading {
    let unfit = match part.bound {
        _ if part.provenance == Provenance::Estimated => Some(Unfit::Estimated),
        Some(Bound::Exact) => None,
        bound => Some(Unfit::Bound(bound, part.bound_reason)),
    };
    Reading {
        value: part.joules,
        provenance: part.provenance.as_str().into(),
        method: part.method,
        bound: part.bound,
        unfit,
    }
}

/// A count of all modes of the CPU, or of user mode alone where nothing else may be counted. How it was counted is part
/// of its method, for the one is not to be compared with the other.
fn event(metrics: &[MetricTotal], name: &str) -> Option<Reading> {
    let is_plain = !name.contains([':', '/']);
    count_of(metrics, name).or_else(|| {
        let reading = count_of(metrics, &format!("{name}:u")).filter(|_| is_plain)?;
        // Whether user mode was asked for, or all that is allowed, it is the same count.
        let method = reading.method.trim_end_matches(", user mode only");
        Some(Reading { method: format!("{method}, in user mode alone"), ..reading })
    })
}

/// An event of this very name; on hybrid CPUs that of all types of cores.
fn count_of(metrics: &[MetricTotal], name: &str) -> Option<Reading> {
    let metric = format!("perf.{name}");
    let reading = sum(metrics, |key| of_target(key, &metric))?;
    let of_event = metrics.iter().filter(|total| of_target(&total.key, &metric));
    let is_scaled = of_event.into_iter().any(|total| multiplexed(metrics, &total.key).is_some());
    let unfit = if is_scaled { Some(Unfit::Scaled) } else { reading.unfit };
    Some(Reading { unfit, ..reading })
}

/// The events that were asked for, as they are compared.
pub fn events(lists: &[String]) -> Vec<Quantity> {
    let specs = lists.iter().filter_map(|list| alumet_plugin_perf::event::parse(list).ok()).flatten();
    specs.map(|spec| spec.name()).filter(|name| name != "instructions").map(Quantity::Event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::metric::Amount;

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

    fn lacking() -> Option<Unfit> {
        Some(Unfit::Bound(Some(Bound::AtLeast), "a part of it was not measured".into()))
    }

    const PACKAGE: (&str, &str) = ("hw.energy.domain", "package");
    const TARGET: (&str, &str) = ("hw.energy.part", "target");

    #[test]
    fn the_applications_part_counts_more_than_the_machine_and_both_more_than_an_estimate() {
        let read = |metrics: &[MetricTotal]| {
            Quantity::Energy.of_run(&Wall::default(), metrics).map(|reading| (reading.value, reading.unfit))
        };
        let estimate = [
            metric("hw.energy", "target", "estimated", TARGET, 7.0),
            metric("hw.energy", "machine", "estimated", PACKAGE, 9.0),
        ];
        let whole = metric("hw.energy", "machine", "measured", PACKAGE, 50.0);
        let part = metric("hw.energy", "target", "attributed", TARGET, 20.0);
        assert_eq!(read(&estimate), Some((7.0, Some(Unfit::Estimated))));
        assert_eq!(read(&[&estimate[..], std::slice::from_ref(&whole)].concat()), Some((50.0, None)));
        assert_eq!(read(&[&estimate[..], &[whole.clone(), part.clone()]].concat()), Some((20.0, None)));
        let method = Quantity::Energy.of_run(&Wall::default(), &[whole.clone(), part]).unwrap().method;
        assert_eq!(method, "m, m of package ");
        let lossy = MetricTotal { uncertainty: None, ..whole };
        assert_eq!(read(std::slice::from_ref(&lossy)), Some((50.0, lacking())));
        let part = metric("hw.energy", "target", "attributed", TARGET, 20.0);
        assert_eq!(read(&[lossy, part]), Some((20.0, lacking())), "a part of what lacks something");
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
    fn a_count_of_user_mode_is_told_from_one_of_all_modes() {
        let method = |name: &str| {
            let counted = metric(name, "target", "measured", ("x", "y"), 9.0);
            Quantity::Instructions.of_run(&Wall::default(), &[counted]).unwrap().method
        };
        assert_eq!(method("perf.instructions"), "m");
        assert_eq!(method("perf.instructions:u"), "m, in user mode alone");
        let user = metric("perf.cycles:u", "target", "measured", ("x", "y"), 9.0);
        let cycles = Quantity::parse("cycles").of_run(&Wall::default(), std::slice::from_ref(&user)).unwrap();
        assert_eq!(cycles.method, "m, in user mode alone");
        assert_eq!(Quantity::parse("cycles:k").of_run(&Wall::default(), &[user]), None);
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
        assert_eq!(read(&[used.clone(), lost]), Some((50.0, lacking())));
        let with = |label: &str| {
            let mut other = board.clone();
            other.key.labels.insert(label.to_owned(), "x".into());
            other
        };
        let (_, shared) = read(&[used.clone(), with("hw.gpu.mig")]).unwrap();
        let why = "it is at most so much: a GPU is split into instances (MIG), and its energy is that of all of them";
        assert_eq!(shared.map(|unfit| unfit.to_string()).as_deref(), Some(why));
        // A Cray node's own word of its accelerator is the same energy again.
        assert_eq!(read(&[used.clone(), board.clone(), with("hw.sensor.chip")]), Some((50.0, None)));
        let mut other = used.clone();
        other.key.resource_id = "1".into();
        assert_eq!(read(&[used, other, board]), Some((50.0, lacking())), "nothing measures GPU 1");
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
    fn a_stored_run_says_of_every_quantity_what_it_said_when_it_was_live() {
        let gpu = |name: &str, consumer, id, value| metric(name, consumer, "measured", ("gpu", id), value);
        let bounded = MetricTotal {
            bound: Bound::AtLeast,
            bound_reason: "a child ended unseen".into(),
            ..metric("process.cpu.time", "target", "measured", ("cpu.mode", "user"), 1.0)
        };
        let mut part = gpu("hw.energy", "target", "0", 20.0);
        part.key.provenance = "attributed".into();
        let metrics = [
            metric("hw.energy", "machine", "measured", PACKAGE, 50.0),
            metric("hw.energy", "target", "attributed", TARGET, 20.0),
            gpu("hw.gpu.used_by_target", "target", "0", 1.0),
            gpu("hw.gpu.used_by_target", "target", "1", 1.0),
            gpu("hw.energy", "machine", "0", 30.0),
            gpu("hw.energy", "machine", "1", 40.0),
            part,
            bounded,
            metric("process.memory.peak", "target", "measured", (PEAK_SCOPE, "tree"), 1e6),
            metric("perf.instructions:u", "target", "measured", ("x", "y"), 9.0),
        ];
        let text = serde_json::to_string(&metrics).unwrap();
        let stored: Vec<MetricTotal> = serde_json::from_str(&text).unwrap();
        for quantity in Quantity::USUAL {
            let live = quantity.of_run(&Wall::default(), &metrics);
            assert!(live.is_some(), "{quantity}");
            assert_eq!(live, quantity.of_run(&Wall::default(), &stored), "{quantity}");
        }
        assert_eq!(
            Quantity::Gpu.of_run(&Wall::default(), &metrics).unwrap().value,
            20.0 + 40.0,
            "GPU by GPU"
        );
    }

    #[test]
    fn names_lead_to_quantities_and_back() {
        for quantity in Quantity::USUAL {
            assert_eq!(Quantity::parse(quantity.name()), quantity);
        }
        assert_eq!(Quantity::parse("cache-misses"), Quantity::Event("cache-misses".into()));
    }
}
