//! One quantity of both versions: its values in all runs, where they come from, and the row that it makes.

use alumet::Bound;

use super::{Described, Judged, Row, Side};
use crate::exit::Failure;
use crate::quantity::{Quantity, Unfit};
use crate::repeat::readings::{self, Way};
use crate::statistics::bootstrap;
use crate::statistics::describe::{self, describe};
use crate::statistics::gate::Rule;
use crate::statistics::interval::Interval;
use crate::statistics::sample::Invalid;

/// A quantity of both versions.
pub struct Column<'a> {
    pub quantity: Quantity,
    pub sides: [Option<&'a readings::Column>; 2],
    /// Why no verdict may rest on it.
    pub unfit: Option<Unfit>,
}

/// All quantities of any run: the usual ones first.
pub fn columns<'a>(baseline: &'a Side, change: &'a Side) -> Vec<Column<'a>> {
    let sides = [baseline, change];
    let mut all: Vec<&Quantity> =
        sides.iter().flat_map(|side| side.runs.columns()).map(|column| &column.quantity).collect();
    // What follows from the energy says nothing more.
    all.retain(|quantity| !matches!(quantity, Quantity::Carbon | Quantity::Cost));
    all.sort();
    all.dedup();
    all.into_iter().map(|quantity| Column::of(quantity, sides)).collect()
}

impl<'a> Column<'a> {
    fn of(quantity: &Quantity, sides: [&'a Side; 2]) -> Self {
        let columns = sides.map(|side| side.runs.column(quantity));
        let ways: Vec<&Way> = columns.iter().flatten().flat_map(|column| &column.ways).collect();
        let is_lacking = sides
            .iter()
            .zip(&columns)
            .any(|(side, column)| column.is_none_or(|column| column.values.len() < side.runs.len()));
        // By which rule and meters an energy, by which of the kernel's accounts, in which modes of the CPU.
        let mut different: Vec<&Way> = Vec::new();
        for way in &ways {
            if !different.iter().any(|known| known.is_same(way)) {
                different.push(way);
            }
        }
        // Why each of them is no number to decide by says more than that they differ.
        let bound =
            || ways.iter().find_map(|way| way.unfit.clone().filter(|why| matches!(why, Unfit::Bound(..))));
        let is_estimate = |way: &&Way| way.unfit == Some(Unfit::Estimated);
        let unfit = if !ways.is_empty() && ways.iter().all(is_estimate) {
            // Even if every run had it.
            Some(Unfit::Estimated)
        } else if is_lacking {
            Some(Unfit::Lacking)
        } else if let Some(bound) = bound() {
            Some(bound)
        } else if different.len() > 1 {
            Some(Unfit::Mixed(different.iter().map(|way| way.in_words()).collect::<Vec<_>>().join("; ")))
        } else {
            ways.iter().find_map(|way| way.unfit.clone())
        };
        Self { quantity: quantity.clone(), sides: columns, unfit }
    }

    pub fn values(&self) -> [&'a [f64]; 2] {
        self.sides.map(|column| column.map(|column| column.values.as_slice()).unwrap_or_default())
    }

    /// What is said of all of it. Where some are estimates, none is shown without a mark.
    fn way(&self) -> Option<&'a Way> {
        let ways = || self.sides.iter().flatten().flat_map(|column| &column.ways);
        ways().find(|way| way.provenance == "estimated").or(ways().next())
    }

    /// The row, if there is anything to show.
    pub fn row(&self, rule: Rule, is_stored: bool, decides: bool) -> Result<Option<Row>, Failure> {
        let [a, b] = self.values();
        let (Some(way), false, false) = (self.way(), a.is_empty(), b.is_empty()) else {
            return Ok(None);
        };
        let described = |side: usize| -> Result<Described, Failure> {
            let numbers = describe(self.values()[side]).map_err(|invalid| self.invalid(&invalid))?;
            let bound = self.sides[side].map_or(Some(Bound::Exact), readings::Column::bound);
            Ok(Described { numbers, bound })
        };
        let judged = match &self.unfit {
            Some(why) => Judged::NotJudged(why.to_string()),
            None => match if is_stored { rule.stored(a, b) } else { rule.paired(a, b) } {
                Ok(decision) => Judged::Decision(decision),
                // Who decides must be able to.
                Err(invalid) if decides => return Err(self.invalid(&invalid)),
                Err(invalid) => Judged::NotJudged(invalid.to_string()),
            },
        };
        Ok(Some(Row {
            quantity: self.quantity.clone(),
            unit: self.quantity.unit(),
            provenance: way.provenance.clone(),
            method: way.method.clone(),
            baseline: described(0)?,
            change: described(1)?,
            ratio_of_means: ratio_of_means(a, b, is_stored),
            decides,
            guards: false,
            judged,
        }))
    }

    fn invalid(&self, invalid: &Invalid) -> Failure {
        let remedy = match (invalid, &self.quantity) {
            (Invalid::NotPositive { value: 0.0, .. }, Quantity::Energy | Quantity::Gpu) => {
                "; a run is too short for the meter: let it do its work several times, or --gate cpu decide"
            }
            (Invalid::NotPositive { value: 0.0, .. }, _) => {
                "; let a run do its work several times, or --gate name something else"
            }
            _ => "",
        };
        Failure::failed(format!("{} cannot be compared: {invalid}{remedy}", self.quantity))
    }
}

/// So many runs are resampled in a moment.
const RESAMPLED: usize = 1000;
/// The same runs give the same interval.
const SEED: u64 = 1;

fn ratio_of_means(a: &[f64], b: &[f64], is_stored: bool) -> Option<Interval> {
    if a.len().max(b.len()) > RESAMPLED || a.len().min(b.len()) < Rule::FEWEST_RUNS {
        return None;
    }
    let ratio = if is_stored { bootstrap::ratio_of_means } else { bootstrap::ratio_of_paired_means };
    ratio(a, b, describe::LEVEL, SEED).ok()
}
