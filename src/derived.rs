//! What counts say together: CPUs used, instructions per cycle, frequency, miss ratios. Each only where both of its parts
//! were counted, over the same modes of the CPU and on one type of cores.

use alumet::{Bound, Provenance, Report};
use serde::Serialize;

use crate::energy::MachineEnergy;
use crate::mark::is_exact;
use crate::profile::metric::MetricTotal;

/// A number that two counts make up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Derived {
    /// `perf.instructions_per_cycle`, ...
    pub metric: String,
    /// UCUM code.
    pub unit: &'static str,
    pub value: f64,
    /// Where it comes from: the weakest of what it is made of.
    pub provenance: &'static str,
    /// One standard deviation, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncertainty: Option<f64>,
    /// Whether it is exact, as in [`crate::quantity::Reading`].
    #[serde(skip_serializing_if = "is_exact")]
    pub bound: Option<Bound>,
    /// The two, as in `perf.instructions / perf.cycles`.
    pub method: String,
    /// What it says; so a row takes what is its own.
    #[serde(skip)]
    pub kind: Kind,
}

/// What a derived number says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// How many CPUs were used on average.
    CpusUsed,
    /// The machine's energy above idle.
    AboveIdle,
    /// What energy was converted to.
    Footprint,
    /// How fast the CPU's clock was while the application ran.
    Frequency,
    /// Instructions per cycle, in these modes of the CPU (`""`, `":u"`, ...).
    PerCycle { modes: String },
    /// The share of accesses that were misses, by the name of the misses without modifiers, in these modes.
    Misses { event: String, modes: String },
}

impl Kind {
    /// The event that a person reads it beside, with its modifiers; of what is no count's, none.
    pub fn event(&self) -> Option<String> {
        match self {
            Self::CpusUsed => Some("task-clock".into()),
            Self::AboveIdle | Self::Footprint => None,
            Self::Frequency => Some("cycles".into()),
            Self::PerCycle { modes } => Some(format!("instructions{modes}")),
            Self::Misses { event, modes } => Some(format!("{event}{modes}")),
        }
    }

    /// Whether it says something of the work that the CPU did in these modes.
    pub fn is_of_work(&self, in_modes: &str) -> bool {
        match self {
            Self::CpusUsed | Self::AboveIdle | Self::Footprint => false,
            Self::Frequency => in_modes.is_empty(),
            Self::PerCycle { modes } | Self::Misses { modes, .. } => modes == in_modes,
        }
    }
}

impl Derived {
    /// Of counts, which are measured.
    fn of_counts(
        metric: impl Into<String>,
        unit: &'static str,
        value: f64,
        bound: Option<Bound>,
        method: String,
        kind: Kind,
    ) -> Self {
        Self {
            metric: metric.into(),
            unit,
            value,
            provenance: Provenance::Measured.as_str(),
            uncertainty: None,
            bound,
            method,
            kind,
        }
    }
}

/// The times of a run that CPU time is related to, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// To the application's end.
    pub wall: f64,
    /// To the end mark: so long was counted what lived on then.
    pub counted: f64,
    pub some_live_on: bool,
    /// How many CPUs there are.
    pub cpus: f64,
}

impl Span {
    pub fn of(report: &Report) -> Self {
        // SAFETY: sysconf takes a number and touches no memory.
        let cpus = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) };
        Self {
            wall: report.wall.as_secs_f64(),
            counted: report.end.since(report.start.time).as_secs_f64(),
            some_live_on: !report.survivors.is_empty(),
            cpus: cpus.max(1) as f64,
        }
    }

    /// How many CPUs this CPU time kept busy, by which time (in seconds), and that in words. What outlives the application's first process,
    /// if only for a moment, uses CPU time after its end.
    pub fn cpus_used(&self, cpu: f64) -> Option<(f64, f64, &'static str)> {
        let is_counted_on = self.some_live_on || cpu > self.cpus * self.wall;
        let (span, name) =
            if is_counted_on { (self.counted, "the time to the end mark") } else { (self.wall, "wall_s") };
        // The last counters are read just after the mark.
        (span > 0.0).then(|| ((cpu / span).min(self.cpus), span, name))
    }
}

/// Everything that these totals, of a run of this length, make up.
pub fn derive(metrics: &[MetricTotal], span: &Span) -> Vec<Derived> {
    let mut all = Vec::new();
    if let Some((clock, bound)) = of_target(metrics, "task-clock")
        && let Some((used, _, span)) = span.cpus_used(clock)
    {
        let method = format!("perf.task-clock / {span}");
        all.push(Derived::of_counts("perf.cpus_used", "1", used, Some(bound), method, Kind::CpusUsed));
    }
    all.extend(MachineEnergy::of(metrics).and_then(|energy| energy.above_idle()).map(|above| Derived {
        metric: "energy.above_idle".into(),
        unit: "J",
        value: above.joules,
        provenance: above.provenance.as_str(),
        uncertainty: above.uncertainty,
        bound: above.bound,
        method: above.method,
        kind: Kind::AboveIdle,
    }));
    // Counted in user mode alone, cycles do not fill the time of the clock.
    all.extend(ratio(metrics, "cycles", "task-clock", "perf.frequency", "Hz", Kind::Frequency));
    for modifiers in modifiers_of(metrics) {
        let with = |event: &str| format!("{event}{modifiers}");
        let (instructions, cycles) = (with("instructions"), with("cycles"));
        let per_cycle = Kind::PerCycle { modes: modifiers.clone() };
        let metric = with("perf.instructions_per_cycle");
        all.extend(ratio(metrics, &instructions, &cycles, &metric, "1", per_cycle));
        for total in metrics {
            let Some(misses) = event_of(total).and_then(|event| event.strip_suffix(&modifiers)) else {
                continue;
            };
            let Some(all_of_them) = whole_of(misses) else { continue };
            let metric = format!("perf.{misses}.ratio{modifiers}");
            let kind = Kind::Misses { event: misses.to_owned(), modes: modifiers.clone() };
            all.extend(ratio(metrics, &with(misses), &with(&all_of_them), &metric, "1", kind));
        }
    }
    all
}

/// What misses are a part of: `L1-dcache-loads` for `L1-dcache-load-misses`.
fn whole_of(misses: &str) -> Option<String> {
    Some(match misses.strip_suffix("-misses")? {
        "branch" => "branches".into(),
        "cache" => "cache-references".into(),
        accesses if accesses.ends_with("prefetch") => format!("{accesses}es"),
        accesses => format!("{accesses}s"),
    })
}

/// `""`, `":u"`, ...: how the events of the application were restricted.
fn modifiers_of(metrics: &[MetricTotal]) -> Vec<String> {
    let mut found: Vec<String> = metrics
        .iter()
        .filter_map(|total| event_of(total)?.split_once(':').map(|(_, m)| format!(":{m}")))
        .filter(|modifiers| modifiers[1..].chars().all(|c| "ukhGH".contains(c)))
        .collect();
    found.push(String::new());
    found.sort();
    found.dedup();
    found
}

/// The name of the event that the application's total is of.
fn event_of(metric: &MetricTotal) -> Option<&str> {
    let is_whole = metric.key.consumer == "target" && metric.key.labels.is_empty();
    metric.key.metric.strip_prefix("perf.").filter(|_| is_whole)
}

fn of_target(metrics: &[MetricTotal], event: &str) -> Option<(f64, Bound)> {
    let metric = metrics.iter().find(|metric| event_of(metric) == Some(event))?;
    Some((metric.amount.value(), metric.bound))
}

fn ratio(
    metrics: &[MetricTotal],
    part: &str,
    whole: &str,
    metric: &str,
    unit: &'static str,
    kind: Kind,
) -> Option<Derived> {
    let (of, of_bound) = of_target(metrics, part)?;
    let (all, all_bound) = of_target(metrics, whole).filter(|(whole, _)| *whole > 0.0)?;
    // The larger what it is divided by, the smaller it is.
    let bound = of_bound.and(all_bound.flipped());
    let method = format!("perf.{part} / perf.{whole}");
    Some(Derived::of_counts(metric, unit, of / all, bound, method, kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alumet::{Batch, Consumer, Metric, Output, Registry, Series, Totals};

    fn totals(counts: &[(&'static str, f64)]) -> Vec<MetricTotal> {
        let registry = Registry::new();
        let mut batch = Batch::new(std::sync::Arc::clone(&registry));
        for (name, value) in counts {
            let series = Series::new(Metric::counter(name, "1", "")).consumer(Consumer::Target);
            batch.push(registry.series(series).unwrap(), *value);
        }
        let mut totals = Totals::new();
        totals.write(&batch).unwrap();
        MetricTotal::all(&totals.get())
    }

    const SPAN: Span = Span { wall: 2.0, counted: 2.1, some_live_on: false, cpus: 2.0 };

    #[test]
    fn cpu_time_that_was_used_after_the_end_is_related_to_the_time_in_which_it_was_counted() {
        assert_eq!(SPAN.cpus_used(3.0), Some((1.5, 2.0, "wall_s")));
        let to_the_mark = "the time to the end mark";
        let lived_on = Span { some_live_on: true, ..SPAN };
        assert_eq!(lived_on.cpus_used(2.1), Some((1.0, 2.1, to_the_mark)));
        // Six children of a shell that ended at once, on two CPUs: 8 ms of CPU time by 4 ms after the start.
        let short = Span { wall: 0.003, counted: 0.005, ..SPAN };
        assert_eq!(short.cpus_used(0.008), Some((1.6, 0.005, to_the_mark)));
        assert_eq!(short.cpus_used(0.011), Some((2.0, 0.005, to_the_mark)), "no more than there are");
        assert_eq!(Span { wall: 0.0, counted: 0.0, ..SPAN }.cpus_used(0.0), None);
    }

    fn derived(counts: &[(&'static str, f64)]) -> Vec<(String, f64)> {
        derive(&totals(counts), &SPAN).into_iter().map(|d| (d.metric, d.value)).collect()
    }

    #[test]
    fn each_number_needs_both_of_its_parts() {
        assert_eq!(derived(&[("perf.instructions", 8.0)]), []);
        assert_eq!(derived(&[("perf.branch-misses", 8.0), ("perf.cycles", 0.0)]), []);
        let all = derived(&[
            ("perf.task-clock", 4.0),
            ("perf.cycles", 8e9),
            ("perf.instructions", 16e9),
            ("perf.branches", 200.0),
            ("perf.branch-misses", 10.0),
            ("perf.L1-dcache-loads", 100.0),
            ("perf.L1-dcache-load-misses", 3.0),
        ]);
        let expected = [
            ("perf.cpus_used", 2.0),
            ("perf.frequency", 2e9),
            ("perf.instructions_per_cycle", 2.0),
            ("perf.branch-misses.ratio", 0.05),
            ("perf.L1-dcache-load-misses.ratio", 0.03),
        ];
        assert_eq!(all, expected.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn each_number_says_what_it_is_about() {
        let all = derive(
            &totals(&[
                ("perf.task-clock", 4.0),
                ("perf.cycles", 8e9),
                ("perf.instructions", 16e9),
                ("perf.cycles:u", 4e9),
                ("perf.instructions:u", 4e9),
                ("perf.branches:u", 200.0),
                ("perf.branch-misses:u", 10.0),
            ]),
            &SPAN,
        );
        let of_work = |modes: &str| {
            let of_work = all.iter().filter(|derived| derived.kind.is_of_work(modes));
            of_work.map(|derived| derived.kind.event().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(of_work(""), ["cycles", "instructions"]);
        assert_eq!(of_work(":u"), ["instructions:u", "branch-misses:u"]);
        assert_eq!(of_work(":k"), [""; 0]);
        assert_eq!((all.len(), all[0].kind.event().as_deref()), (5, Some("task-clock")));
        assert!(Kind::AboveIdle.event().is_none() && !Kind::AboveIdle.is_of_work(""));
    }

    #[test]
    fn user_mode_is_compared_with_user_mode_alone() {
        assert_eq!(derived(&[("perf.instructions:u", 8.0), ("perf.cycles", 4.0)]), []);
        let both = derived(&[("perf.instructions:u", 8.0), ("perf.cycles:u", 4.0), ("perf.task-clock", 1.0)]);
        assert_eq!(
            both,
            [("perf.cpus_used".to_owned(), 0.5), ("perf.instructions_per_cycle:u".to_owned(), 2.0)]
        );
    }
}
