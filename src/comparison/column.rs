//! One quantity of both versions: its values in all runs, where they come from, and the row that it makes.

use std::borrow::Cow;

use alumet::Bound;
use alumet_statistics::bootstrap;
use alumet_statistics::describe::{self, describe};
use alumet_statistics::gate::{Metrics, Rule};
use alumet_statistics::interval::Interval;
use alumet_statistics::sample::Invalid;

use super::words::numbers;
use super::{Described, Judged, Row, Side};
use crate::exit::Failure;
use crate::quantity::{Quantity, Unfit};
use crate::repeat::readings::{self, Way};

/// A quantity of both versions.
pub struct Column<'a> {
    pub quantity: Quantity,
    pub sides: [Option<&'a readings::Column>; 2],
    /// Of either version, the runs that are left out: their places among its values.
    left_out: [Vec<usize>; 2],
    /// Why no verdict may rest on it.
    pub unfit: Option<Unfit>,
}

/// All quantities of any run: the usual ones first.
pub fn columns<'a>(
    baseline: &'a Side,
    change: &'a Side,
    rule: Rule,
    metrics: Metrics,
    is_stored: bool,
) -> Vec<Column<'a>> {
    let sides = [baseline, change];
    let mut all: Vec<&Quantity> =
        sides.iter().flat_map(|side| side.runs.columns()).map(|column| &column.quantity).collect();
    // What follows from the energy says nothing more.
    all.retain(|quantity| !matches!(quantity, Quantity::Carbon | Quantity::Cost));
    all.sort();
    all.dedup();
    all.into_iter()
        .map(|quantity| Column::of(quantity, sides).without_late(rule, metrics, is_stored))
        .collect()
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
        let is_estimate = |way: &&Way| way.unfit == Some(Unfit::Estimated);
        let unfit = if !ways.is_empty() && ways.iter().all(is_estimate) {
            // Even if every run had it.
            Some(Unfit::Estimated)
        } else if is_lacking {
            Some(Unfit::Lacking)
        } else if let Some(bound) = bound(&ways) {
            // Why each of them is no number to decide by says more than that they differ.
            Some(bound.clone())
        } else if different.len() > 1 {
            Some(Unfit::Mixed(different.iter().map(|way| way.in_words()).collect::<Vec<_>>().join("; ")))
        } else {
            ways.iter().find_map(|way| way.unfit.clone())
        };
        Self { quantity: quantity.clone(), sides: columns, left_out: Default::default(), unfit }
    }

    /// Without the runs whose end alumet saw late: that is its own failure, and says nothing about what was run. Of a pair
    /// both are left out. Where too few are left to find a regression, all are shown, and decide nothing.
    fn without_late(mut self, rule: Rule, metrics: Metrics, is_stored: bool) -> Self {
        let [Some(a), Some(b)] = self.sides else { return self };
        if !matches!(self.unfit, Some(Unfit::Bound(..))) || a.late.is_empty() && b.late.is_empty() {
            return self;
        }
        let late = if is_stored {
            [a.late.clone(), b.late.clone()]
        } else {
            let mut both = [&*a.late, &*b.late].concat();
            both.sort_unstable();
            both.dedup();
            [both.clone(), both]
        };
        let left = [a.values.len() - late[0].len(), b.values.len() - late[1].len()];
        if rule.can_decide(left, is_stored, metrics) {
            self.left_out = late;
            // No other way of time is unfit.
            self.unfit = None;
        } else if let Some(Unfit::Bound(Some(bound), why)) = &self.unfit {
            let of = |side: usize| {
                format!("{} of {}", late[side].len(), self.sides[side].map_or(0, |it| it.values.len()))
            };
            let how_many = match is_stored {
                true => format!("{} runs of the baseline and {} of the change", of(0), of(1)),
                false => format!("{} pairs", of(0)),
            };
            self.unfit = Some(Unfit::Late(format!(
                "it is {} so much in {how_many}, and too few are left: {why}",
                bound.as_str()
            )));
        }
        self
    }

    /// The values of either version, without those that are left out.
    pub fn values(&self) -> [Cow<'a, [f64]>; 2] {
        [0, 1].map(|side| {
            let values = self.sides[side].map(|column| &*column.values).unwrap_or_default();
            match self.left_out[side].is_empty() {
                true => Cow::Borrowed(values),
                false => self.kept(side).map(|place| values[place]).collect(),
            }
        })
    }

    /// The places of these values among all of them.
    pub fn kept(&self, side: usize) -> impl Iterator<Item = usize> {
        let all = self.sides[side].map_or(0, |column| column.values.len());
        (0..all).filter(move |place| self.left_out[side].binary_search(place).is_err())
    }

    /// What was left out, and why.
    pub fn remark(&self, titles: &[String; 2], is_stored: bool) -> Option<String> {
        let ways: Vec<&Way> = self.sides.iter().flatten().flat_map(|column| &column.ways).collect();
        let why = bound(&ways).filter(|_| self.left_out.iter().any(|runs| !runs.is_empty()))?;
        let of = |places: &[usize], what: &str| {
            format!("{what}{} {}", if places.len() == 1 { "" } else { "s" }, numbers(places.iter().copied()))
        };
        let which = match is_stored {
            false => of(&self.left_out[0], "pair"),
            true => {
                let sides = self.left_out.iter().zip(titles).filter(|(places, _)| !places.is_empty());
                let each: Vec<_> =
                    sides.map(|(places, title)| format!("{} of {title}", of(places, "run"))).collect();
                each.join(" and ")
            }
        };
        Some(format!("{} of {which} is left out: there {why}", self.quantity.label()))
    }

    /// What is said of all of it. Where some are estimates, none is shown without a mark.
    fn way(&self) -> Option<&'a Way> {
        let ways = || self.sides.iter().flatten().flat_map(|column| &column.ways);
        ways().find(|way| way.provenance == "estimated").or(ways().next())
    }

    /// The row, if there is anything to show.
    pub fn row(&self, rule: Rule, is_stored: bool, decides: bool) -> Result<Option<Row>, Failure> {
        let values = self.values();
        let [a, b] = values.each_ref().map(|values| &**values);
        let (Some(way), false, false) = (self.way(), a.is_empty(), b.is_empty()) else {
            return Ok(None);
        };
        let described = |side: usize| -> Result<Described, Failure> {
            let numbers = describe(&values[side]).map_err(|invalid| self.invalid(&invalid))?;
            let all = self.sides[side].filter(|_| self.left_out[side].is_empty());
            let bound = all.map_or(Some(Bound::Exact), readings::Column::bound);
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

/// Why the first of these that is no more than a bound is unfit.
fn bound<'w>(ways: &[&'w Way]) -> Option<&'w Unfit> {
    ways.iter().filter_map(|way| way.unfit.as_ref()).find(|why| matches!(why, Unfit::Bound(..)))
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
