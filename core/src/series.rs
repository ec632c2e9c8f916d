//! A stream of points about one thing: a metric, the resource it is about, its consumer, labels and provenance.

use std::borrow::Cow;
use std::fmt;

use crate::metric::Metric;

/// Names a [`Series`] in the [`Registry`](crate::Registry); small and `Copy`, which is what sources push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId(pub(crate) u32);

impl SeriesId {
    /// A small number, for tables indexed by series. Numbers of retired series are used again.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a number comes from. Part of the series, shown in every output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Provenance {
    /// Read from a meter or from the kernel's accounting.
    Measured,
    /// A measured quantity, split by a stated rule.
    Attributed,
    /// The result of a model.
    Estimated,
}

impl Provenance {
    /// The word that outputs print.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Attributed => "attributed",
            Self::Estimated => "estimated",
        }
    }
}

/// The part of the machine that a series is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resource {
    /// `machine`, `cpu_package`, `cpu_core`, `dram`, `gpu`, ...
    pub kind: Cow<'static, str>,
    /// Which of them; empty where there is only one.
    pub id: String,
}

/// Who consumes what the series counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Consumer {
    /// Everything that runs on the machine.
    Machine,
    /// The application: its whole process tree.
    Target,
    /// One process, by pid.
    Process(i32),
    /// One thread, by tid.
    Thread(i32),
}

impl Consumer {
    /// `machine`, `target`, `process` or `thread`.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Target => "target",
            Self::Process(_) => "process",
            Self::Thread(_) => "thread",
        }
    }

    /// The pid or tid; `None` where there is only one such consumer.
    pub const fn id(self) -> Option<i32> {
        match self {
            Self::Machine | Self::Target => None,
            Self::Process(id) | Self::Thread(id) => Some(id),
        }
    }
}

/// A metric, what it is about, and where its numbers come from. Built once, when a thing is discovered, and interned
/// in the [`Registry`](crate::Registry).
///
/// ```
/// use alumet::{Consumer, Metric, Series};
///
/// const CPU_TIME: Metric = Metric::counter("process.cpu.time", "s", "CPU time used");
/// let series = Series::new(CPU_TIME).consumer(Consumer::Target).label("cpu.mode", "user").method("rusage");
/// assert_eq!(series.to_string(), "process.cpu.time{cpu.mode=user} of the target");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Series {
    /// What is measured.
    pub metric: Metric,
    /// What it is about; the machine unless said otherwise.
    pub resource: Resource,
    /// Who consumes it; the machine unless said otherwise.
    pub consumer: Consumer,
    /// Further distinctions, in the order in which they were given.
    pub labels: Vec<(Cow<'static, str>, String)>,
    /// Measured unless said otherwise.
    pub provenance: Provenance,
    /// How the numbers are obtained, in a few words ("rusage", "RAPL through powercap"); may be empty.
    pub method: Cow<'static, str>,
}

impl Series {
    /// A measured series of the whole machine.
    pub fn new(metric: Metric) -> Self {
        Self {
            metric,
            resource: Resource { kind: Cow::Borrowed("machine"), id: String::new() },
            consumer: Consumer::Machine,
            labels: Vec::new(),
            provenance: Provenance::Measured,
            method: Cow::Borrowed(""),
        }
    }

    /// About this part of the machine; `id` is empty where there is only one.
    #[must_use]
    pub fn resource(mut self, kind: impl Into<Cow<'static, str>>, id: impl Into<String>) -> Self {
        self.resource = Resource { kind: kind.into(), id: id.into() };
        self
    }

    /// Consumed by this.
    #[must_use]
    pub fn consumer(mut self, consumer: Consumer) -> Self {
        self.consumer = consumer;
        self
    }

    /// One more label.
    #[must_use]
    pub fn label(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.labels.push((key.into(), value.into()));
        self
    }

    /// From this kind of source.
    #[must_use]
    pub fn provenance(mut self, provenance: Provenance) -> Self {
        self.provenance = provenance;
        self
    }

    /// Obtained in this way.
    #[must_use]
    pub fn method(mut self, method: impl Into<Cow<'static, str>>) -> Self {
        self.method = method.into();
        self
    }

    /// The value of the label `key`, if there is one.
    pub fn label_value(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.metric.name)?;
        for (i, (key, value)) in self.labels.iter().enumerate() {
            write!(f, "{}{key}={value}", if i == 0 { '{' } else { ',' })?;
        }
        if !self.labels.is_empty() {
            f.write_str("}")?;
        }
        write!(f, " of the {}", self.consumer.kind())?;
        self.consumer.id().map_or(Ok(()), |id| write!(f, " {id}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_named_with_its_labels_and_whose_it_is() {
        let series = |consumer| Series::new(Metric::gauge("g", "1", "")).consumer(consumer);
        assert_eq!(series(Consumer::Machine).to_string(), "g of the machine");
        assert_eq!(series(Consumer::Target).label("a", "b").to_string(), "g{a=b} of the target");
        let two = series(Consumer::Process(7)).label("a", "b").label("c", "d");
        assert_eq!(two.to_string(), "g{a=b,c=d} of the process 7");
        assert_eq!(series(Consumer::Thread(-8)).to_string(), "g of the thread -8");
    }

    #[test]
    fn processes_and_threads_have_a_number() {
        let all = [Consumer::Machine, Consumer::Target, Consumer::Process(3), Consumer::Thread(4)];
        assert_eq!(all.map(Consumer::id), [None, None, Some(3), Some(4)]);
        assert_eq!(all.map(Consumer::kind), ["machine", "target", "process", "thread"]);
    }

    #[test]
    fn where_a_number_comes_from_has_a_name() {
        let all = [Provenance::Measured, Provenance::Attributed, Provenance::Estimated];
        assert_eq!(all.map(Provenance::as_str), ["measured", "attributed", "estimated"]);
    }
}
