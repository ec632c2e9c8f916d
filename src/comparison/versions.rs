//! Versions of a program side by side: what the runs of each have cost, and each of the others against the first. Without
//! words: those for a person are in `overview`, those of a gate in `table`.

use alumet_statistics::decision::Verdict;
use alumet_statistics::describe::describe;
use serde::Serialize;

use super::{Comparison, Described, Design, Ended, Side};
use crate::fingerprint::Fingerprint;
use crate::profile::Parameters;
use crate::quantity::Quantity;
use crate::repeat::readings;

/// Any number of versions. The first is what the others are compared to.
#[derive(Debug, Clone, Serialize)]
pub struct Versions {
    /// The machine that they ran on.
    pub host: Fingerprint,
    #[serde(rename = "versions")]
    pub all: Vec<Version>,
    /// Each of the others against the first, in their order.
    pub comparisons: Vec<Comparison>,
    /// The worst of all; none of runs that nobody wanted to judge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// One version.
#[derive(Debug, Clone, Serialize)]
pub struct Version {
    /// What it is called: by its name, else by its command or profile.
    pub name: String,
    /// The command as it was typed, or the name of the profile.
    pub command: String,
    /// What was put in the places of names in the command.
    #[serde(skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    /// What its runs have cost, the usual quantities first.
    pub quantities: Vec<Known>,
}

/// A quantity of one version.
#[derive(Debug, Clone, Serialize)]
pub struct Known {
    #[serde(rename = "metric")]
    pub quantity: Quantity,
    pub unit: &'static str,
    /// `measured`, `attributed` or `estimated`.
    pub provenance: String,
    pub method: String,
    #[serde(flatten)]
    pub described: Described,
}

impl Version {
    /// What is known of it by itself.
    pub fn of(side: &Side) -> Self {
        Self {
            name: side.title.clone(),
            command: side.command.clone(),
            parameters: side.parameters.clone(),
            quantities: side.runs.columns().into_iter().filter_map(Known::of).collect(),
        }
    }

    pub fn quantity(&self, quantity: &Quantity) -> Option<&Known> {
        self.quantities.iter().find(|known| known.quantity == *quantity)
    }
}

impl Known {
    /// Nothing where sums of the values are no numbers.
    fn of(column: &readings::Column) -> Option<Self> {
        // Where some are estimates, none is shown without a mark.
        let is_estimate = |way: &&readings::Way| way.provenance == "estimated";
        let way = column.ways.iter().find(is_estimate).or(column.ways.first())?;
        Some(Self {
            unit: column.quantity.unit(),
            provenance: way.provenance.clone(),
            method: way.method.clone(),
            described: Described { numbers: describe(&column.values).ok()?, bound: column.bound() },
            quantity: column.quantity.clone(),
        })
    }
}

impl Versions {
    /// The quantities of any version, the usual ones first.
    pub fn quantities(&self) -> Vec<&Quantity> {
        let known = self.all.iter().flat_map(|version| &version.quantities);
        let mut all: Vec<_> = known.map(|known| &known.quantity).collect();
        all.sort();
        all.dedup();
        all
    }

    /// How the runs came to be, and why there are no more; nothing of a version alone.
    pub fn design(&self) -> Option<(&Design, Ended)> {
        self.comparisons.first().map(|comparison| (&comparison.design, comparison.ended))
    }

    /// What nobody should overlook, each once.
    pub fn remarks(&self) -> Vec<&str> {
        let mut remarks: Vec<&str> = Vec::new();
        for remark in self.comparisons.iter().flat_map(|comparison| &comparison.remarks) {
            if !remarks.contains(&remark.as_str()) {
                remarks.push(remark);
            }
        }
        remarks
    }
}

/// The worst of these.
pub fn worst(comparisons: &[Comparison]) -> Verdict {
    let any = |verdict| comparisons.iter().any(|comparison| comparison.verdict == verdict);
    if any(Verdict::Regression) {
        Verdict::Regression
    } else if any(Verdict::Inconclusive) || comparisons.is_empty() {
        Verdict::Inconclusive
    } else {
        Verdict::Pass
    }
}
