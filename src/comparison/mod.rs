//! Versions of a program: what their runs came to, and what may be said of each against the first.
//!
//! [`settle`] reads the arguments; [`interleave`] runs versions in turn and [`stored`] reads runs that were kept, as
//! [`session`] says; [`judge`] makes of [`Side`]s [`Versions`](versions::Versions), which hold a [`Comparison`] of each to the
//! first, quantity by quantity ([`column`]), with [`remarks`]. Everything that a person or a pipeline reads is made from
//! these. `compare` speaks a person's words ([`grid`]): [`overview`] for the terminal, [`sheet`] for a pull request. `check` has those of
//! a gate: [`table`] and [`markdown`]. [`junit`], [`github`] and [`openmetrics`] are for pipelines, [`json`] and [`csv`] for
//! programs; all in the same [`words`]. [`written`] puts it where it belongs.

mod column;
pub mod csv;
mod gates;
pub mod github;
mod grid;
pub mod interleave;
pub mod json;
pub mod judge;
pub mod junit;
pub mod markdown;
pub mod openmetrics;
pub mod overview;
pub mod remarks;
#[cfg(test)]
mod samples;
pub mod session;
pub mod settle;
pub mod sheet;
pub mod stored;
pub mod table;
pub mod versions;
mod words;
pub mod written;

use alumet::Bound;
use alumet_statistics::decision::Verdict;
use alumet_statistics::describe::Description;
use alumet_statistics::interval::Interval;
use serde::Serialize;

use crate::fingerprint::Fingerprint;
use crate::mark::is_exact;
use crate::profile::Parameters;
use crate::quantity::Quantity;
use crate::repeat::readings::Readings;

/// One version with its runs.
#[derive(Debug, Clone, Default)]
pub struct Side {
    /// What it is called: by its name, else by its command or profile.
    pub title: String,
    /// The command as it was typed, or the name of the profile.
    pub command: String,
    /// What was put in the places of names in the command.
    pub parameters: Parameters,
    pub runs: Readings,
    /// In how many stored runs processes lived on; where runs are made, the first such ends them.
    pub left_behind: usize,
    /// How many runs have failed, which was accepted.
    pub accepted_failures: usize,
}

/// How the runs came to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Design {
    /// Runs of all versions in turn (A B, B A, ...), so that what drifts hits them alike.
    Interleaved {
        versions: usize,
        pairs: usize,
        warmups: usize,
        /// Whether the runs ended as soon as there was a verdict.
        adaptive: bool,
    },
    /// Runs of now, or of a second file, against those in a file.
    Stored { baseline_runs: usize, runs: usize },
    /// All runs of one version, then all of the next, as of the values of a parameter: nobody judges them.
    InBlocks { runs: usize },
}

impl Design {
    /// Whether runs belong together because they were made next to each other.
    pub fn is_paired(&self) -> bool {
        matches!(self, Self::Interleaved { .. })
    }

    /// How many pairs, or runs of now, and what they are called.
    pub fn size(&self) -> (usize, &'static str) {
        match self {
            Self::Interleaved { pairs, .. } => (*pairs, "pairs"),
            Self::Stored { runs, .. } | Self::InBlocks { runs } => (*runs, "runs"),
        }
    }
}

impl std::fmt::Display for Design {
    /// `1 pair`, `7 runs`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (made, what) = self.size();
        write!(f, "{made} {}", if made == 1 { what.trim_end_matches('s') } else { what })
    }
}

/// Why there are no more runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// All that were planned have been made.
    Complete,
    /// There was a verdict before.
    Decided,
    /// The time was up.
    OutOfTime,
    /// Somebody wanted it: then there is no verdict.
    Interrupted,
}

/// One version against the first.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// What A is called.
    pub baseline: String,
    /// What B is called.
    pub change: String,
    pub design: Design,
    pub ended: Ended,
    /// The machine that it was found on.
    #[serde(skip)]
    pub host: Fingerprint,
    /// Every quantity that both have, the usual order.
    pub rows: Vec<Row>,
    pub verdict: Verdict,
    /// How many pairs, or runs, it takes at least; there if there are fewer, which could decide nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needed: Option<usize>,
    /// What nobody should overlook: what it was decided by if not by energy, runs that drift, outliers.
    pub remarks: Vec<String>,
}

/// One quantity of both versions.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    #[serde(rename = "metric")]
    pub quantity: Quantity,
    pub unit: &'static str,
    /// `measured`, `attributed` or `estimated`.
    pub provenance: String,
    pub method: String,
    pub baseline: Described,
    pub change: Described,
    /// Between what the ratio of the means, change to baseline, lies (bootstrap, BCa): for those who care for sums, as
    /// of a bill, more than for the typical run. Absent if it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_of_means: Option<Interval>,
    /// Whether the verdict rests on it.
    pub decides: bool,
    /// Whether it may make a regression beside what decides: it passes unless it is shown to be worse. Where it is not
    /// judged, the verdict is no pass.
    pub guards: bool,
    /// Without it there is a reason why nothing can be said.
    #[serde(flatten)]
    pub judged: Judged,
}

/// The runs of one version in a few numbers, and what is to be known of these.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Described {
    #[serde(flatten)]
    pub numbers: Description,
    /// As in [`crate::quantity::Reading`].
    #[serde(skip_serializing_if = "is_exact")]
    pub bound: Option<Bound>,
}

/// What may be said of a row.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judged {
    Decision(alumet_statistics::decision::Decision),
    NotJudged(String),
}

impl Comparison {
    /// The rows that the verdict rests on.
    pub fn deciding(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.decides)
    }

    /// The rows that the verdict rests on, then those that speak against it.
    pub fn speaking(&self) -> impl Iterator<Item = &Row> {
        self.deciding().chain(self.rows.iter().filter(|row| row.speaks() && !row.decides))
    }

    /// Whether nothing could be decided, whatever the runs had said: that is never to pass for anything.
    pub fn is_void(&self) -> bool {
        let is_open = |row: &Row| row.decision().is_none();
        self.needed.is_some() || self.ended == Ended::Interrupted || self.deciding().any(is_open)
    }
}
