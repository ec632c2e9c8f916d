//! Looks the numbers of a run up, for the texts about them.

use alumet::conventions::is_busy_time;
use alumet::{Bound, Consumer, Total};

use crate::derived::{self, Derived, Span, derive};
use crate::mark::marked;
use crate::profile::metric::{Key, MetricTotal};
use crate::profile::wall::Wall;
use crate::quantity::{Quantity, Reading, multiplexed, peak};
use crate::units::{GLUE, bytes, hertz, percent, seconds};

/// The totals of a run.
pub struct Numbers<'a> {
    pub totals: &'a [Total],
    /// The same, for the rules that hold for stored runs as well.
    pub metrics: &'a [MetricTotal],
    pub span: Span,
}

impl Numbers<'_> {
    pub fn find(&self, consumer: Consumer, metric: &str, label: &str) -> Option<&Total> {
        self.totals.iter().find(|total| {
            let series = &total.series;
            series.consumer == consumer
                && series.metric.name == metric
                && (label.is_empty() || series.labels.iter().any(|(_, value)| value == label))
        })
    }

    /// The same total as in files: they are in the same order.
    pub fn metric(&self, total: &Total) -> Option<&MetricTotal> {
        let place = self.totals.iter().position(|other| std::ptr::eq(other, total))?;
        self.metrics.get(place)
    }

    /// The two kinds of a metric of the application.
    pub fn pair(&self, metric: &str, kinds: [&'static str; 2]) -> Option<[OfKind<'_>; 2]> {
        let part = |kind| Some(OfKind { kind, total: self.find(Consumer::Target, metric, kind)? });
        Some([part(kinds[0])?, part(kinds[1])?])
    }

    /// The same as one number. Where the kinds are not known wholly, an inherited counter may know the sum of them.
    pub fn sum(&self, metric: &str, kinds: [&'static str; 2], event: &str) -> Option<(f64, Option<Bound>)> {
        let [first, second] = self.pair(metric, kinds)?;
        let all = first.total.value + second.total.value;
        match self.counted(event).filter(|counted| self.knows_more(counted, [&first, &second])) {
            Some(counted) => Some((counted.value, Some(counted.bound))),
            None => Some((all, first.total.bound.and(second.total.bound))),
        }
    }

    /// Whether this counter of all of it has seen what its kinds lack.
    pub fn knows_more(&self, counted: &Total, kinds: [&OfKind<'_>; 2]) -> bool {
        let lacks = kinds.iter().any(|kind| kind.total.bound == Bound::AtLeast);
        lacks && counted.value > kinds.iter().map(|kind| kind.total.value).sum()
    }

    /// An event of the whole tree.
    pub fn counted(&self, name: &str) -> Option<&Total> {
        self.find(Consumer::Target, &format!("perf.{name}"), "")
    }

    /// CPU time of the tree, in seconds.
    pub fn cpu(&self) -> Option<Reading> {
        Quantity::Cpu.of_run(&Wall::default(), self.metrics)
    }

    /// `1.96 cores`, or a share of one.
    pub fn cores(&self, cpu: f64) -> Option<String> {
        let (cores, span, _) = self.span.cpus_used(cpu)?;
        let cores = match cores < 0.1 {
            true => format!("{} of a core", percent(cores)),
            false => format!("{cores:.2}{GLUE}cores"),
        };
        // What outlives the application is counted for longer than it took.
        let is_longer = span > self.span.wall;
        Some(if is_longer { format!("{cores} over {}", seconds(span)) } else { cores })
    }

    /// For how long the machine's CPUs were busy, in seconds, where that says something: the machine's time comes in ticks of
    /// 10 ms, so short runs have none.
    pub fn busy(&self) -> Option<f64> {
        let busy: f64 =
            self.totals.iter().filter(|total| is_busy_time(&total.series)).map(|total| total.value).sum();
        (busy >= 1.0).then_some(busy)
    }

    /// The peak of the tree, or of its largest process where they were not sampled together.
    pub fn peak(&self) -> Option<&MetricTotal> {
        peak(self.metrics, "tree").or_else(|| peak(self.metrics, "largest_process"))
    }

    /// What follows from the numbers.
    pub fn derived(&self) -> Vec<Derived> {
        derive(self.metrics, &self.span)
    }

    /// That an event had to share its counter, if it had.
    pub fn scaled(&self, event: &Key) -> Option<String> {
        let share = multiplexed(self.metrics, event)?;
        // Almost all of it is not all of it.
        let share = if share > 0.99 { format!("99{GLUE}%") } else { percent(share) };
        Some(format!("multiplexed: counted {share} of the time, scaled"))
    }
}

/// A peak of memory for a person.
pub fn of_memory(peak: &MetricTotal) -> String {
    marked("", Some(peak.bound), &bytes(peak.amount.most()))
}

/// One of the two kinds that a metric comes in.
pub struct OfKind<'a> {
    pub kind: &'static str,
    pub total: &'a Total,
}

impl OfKind<'_> {
    /// `41k minor`.
    pub fn counted(&self, in_words: impl Fn(f64) -> String) -> String {
        let value = in_words(self.total.value);
        let kind = match self.kind {
            "write" => "written",
            kind => kind,
        };
        format!("{} {kind}", marked("", Some(self.total.bound), &value))
    }
}

/// Why they are not exact, if that is so.
pub fn because(parts: [&OfKind<'_>; 2]) -> String {
    let mut reasons: Vec<&str> = parts.iter().map(|part| &*part.total.bound_reason).collect();
    reasons.retain(|reason| !reason.is_empty());
    reasons.dedup();
    reasons.iter().map(|reason| format!("; {reason}")).collect()
}

/// `1.94 per cycle`, `4.02 GHz`, `2.1 % branch misses`, `1.93 CPUs used`; nothing for what has a row of its own.
pub fn in_words(derived: &Derived) -> Option<String> {
    let value = derived.value;
    let words = match &derived.kind {
        derived::Kind::AboveIdle | derived::Kind::Footprint => return None,
        derived::Kind::CpusUsed => format!("{value:.2} CPUs used"),
        derived::Kind::PerCycle { .. } => format!("{value:.2} per cycle"),
        derived::Kind::Frequency => hertz(value),
        derived::Kind::Misses { event, .. } => {
            format!("{} {}", percent(value), event.replace("-misses", " misses"))
        }
    };
    Some(marked(derived.provenance, derived.bound, &words))
}
