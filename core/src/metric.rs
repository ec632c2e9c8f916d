//! What is measured: a name, a unit, a kind and one sentence.
//!
//! Names follow the OpenTelemetry semantic conventions where one exists, units are UCUM codes (`s`, `J`, `By`,
//! `{fault}`). A plugin declares its metrics as constants and builds [`Series`](crate::Series) on them.

use std::borrow::Cow;

/// How the values of a metric are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Each point is the *increase* since the series' previous point (the first: since the start of the run), so the
    /// sum of all points is the run's total.
    Counter,
    /// Each point is the value at an instant.
    Gauge,
}

impl Kind {
    /// The word that outputs print.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// A measurable quantity.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Metric {
    /// For example `process.cpu.time`.
    pub name: Cow<'static, str>,
    /// UCUM code, for example `s`.
    pub unit: Cow<'static, str>,
    /// Counter or gauge.
    pub kind: Kind,
    /// One sentence for a person.
    pub description: Cow<'static, str>,
}

impl Metric {
    /// A metric whose points are increases.
    pub const fn counter(name: &'static str, unit: &'static str, description: &'static str) -> Self {
        Self::constant(name, unit, Kind::Counter, description)
    }

    /// A metric whose points are instantaneous values.
    pub const fn gauge(name: &'static str, unit: &'static str, description: &'static str) -> Self {
        Self::constant(name, unit, Kind::Gauge, description)
    }

    const fn constant(name: &'static str, unit: &'static str, kind: Kind, description: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            unit: Cow::Borrowed(unit),
            kind,
            description: Cow::Borrowed(description),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_word_of_its_own() {
        assert_eq!([Kind::Counter, Kind::Gauge].map(Kind::as_str), ["counter", "gauge"]);
        assert_eq!(Metric::counter("a", "s", "").kind.as_str(), "counter");
        assert_eq!(Metric::gauge("a", "s", "").kind.as_str(), "gauge");
    }
}
