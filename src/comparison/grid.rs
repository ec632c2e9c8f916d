//! What a person's table has in its cells: a line for each version, a column for each quantity.

use alumet_statistics::decision::{Finding, Verdict};
use alumet_statistics::gate::Rule;

use super::versions::Versions;
use super::{Comparison, Ended, Judged, Row, words};
use crate::mark::marked;
use crate::quantity::Quantity;

/// One quantity of all versions.
pub struct Column<'a> {
    pub quantity: &'a Quantity,
    /// Whether a verdict rests on it, or would but for it be another one.
    pub speaks: bool,
    /// One for each version.
    pub cells: Vec<Cell>,
}

/// A quantity of one version.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// `11.3 J`, or `-` where it has none.
    pub value: String,
    /// `1.07x worse`; nothing of the first version, and of what was not judged.
    pub difference: String,
    /// Between what the change lies: `[+5.8, +8.1]`.
    pub interval: String,
    /// Whether it is beyond doubt, and in which way.
    pub finding: Option<Finding>,
}

/// The columns, the time first: it is what a person asks for.
pub fn columns(versions: &Versions) -> Vec<Column<'_>> {
    let mut quantities = versions.quantities();
    let order = |quantity: &&Quantity| match quantity {
        Quantity::Time => 0,
        Quantity::Cpu => 1,
        _ => 2,
    };
    quantities.sort_by_key(order);
    let column = |quantity| {
        let rows = rows(versions, quantity);
        let speaks = rows.iter().flatten().any(|row| row.speaks());
        Column { quantity, speaks, cells: cells(versions, quantity, &rows) }
    };
    quantities.into_iter().map(column).collect()
}

/// This quantity of each comparison that has it.
fn rows<'a>(versions: &'a Versions, quantity: &Quantity) -> Vec<Option<&'a Row>> {
    let of = |comparison: &'a Comparison| comparison.rows.iter().find(|row| row.quantity == *quantity);
    versions.comparisons.iter().map(of).collect()
}

fn cells(versions: &Versions, quantity: &Quantity, rows: &[Option<&Row>]) -> Vec<Cell> {
    let cell = |(place, version): (usize, &super::versions::Version)| {
        // What was compared may be fewer runs than there are.
        let row = rows.get(place.saturating_sub(1)).copied().flatten();
        let value = match row {
            Some(row) if place == 0 => words::value(row, &row.baseline),
            Some(row) => words::value(row, &row.change),
            None => version.quantity(quantity).map_or_else(
                || "-".to_owned(),
                |known| {
                    let value = quantity.in_words(known.described.numbers.median);
                    marked(&known.provenance, known.described.bound, &value)
                },
            ),
        };
        let row = row.filter(|_| place > 0);
        let decision = row.and_then(Row::decision);
        Cell {
            value,
            difference: row.and_then(words::difference).unwrap_or_default(),
            interval: decision.as_ref().and_then(words::interval).unwrap_or_default(),
            finding: decision.map(|decision| decision.finding),
        }
    };
    versions.all.iter().enumerate().map(cell).collect()
}

/// Why something was not judged, each once. That an estimate is none to judge by shows in its mark.
pub fn reasons(versions: &Versions) -> Vec<String> {
    let mut reasons: Vec<String> = Vec::new();
    for row in versions.comparisons.iter().flat_map(|comparison| &comparison.rows) {
        let Judged::NotJudged(why) = &row.judged else { continue };
        let reason = format!("{} is not judged: {}", words::plain(row.quantity.label()), words::plain(why));
        if row.provenance != "estimated" && !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons
}

/// What there is to say of each version against the first, in sentences: what differs and what does not, and what cannot
/// be told. Nothing where nobody wanted it to be judged.
pub fn sentences(versions: &Versions) -> Vec<String> {
    /// Longer names are cut in a sentence.
    const NAME: usize = 40;
    let names = words::names(versions, NAME);
    if versions.verdict.is_none() {
        return Vec::new();
    }
    let mut sentences: Vec<String> = Vec::new();
    for (comparison, name) in versions.comparisons.iter().zip(&names[1..]) {
        let answer = words::sentence(comparison, &[names[0].clone(), name.clone()]);
        let because = || match comparison.ended {
            Ended::Interrupted => words::because(comparison),
            _ => format!("{name}: {}", words::because(comparison)),
        };
        let is_open = comparison.verdict == Verdict::Inconclusive;
        let said = match answer {
            Some(answer) if comparison.ended == Ended::Interrupted => vec![because(), answer],
            Some(answer) if is_open => vec![answer, because()],
            Some(answer) => vec![answer],
            None => vec![because()],
        };
        // An interruption is that of all.
        let new: Vec<_> = said.into_iter().filter(|sentence| !sentences.contains(sentence)).collect();
        sentences.extend(new);
    }
    sentences
}

/// How it was found out: the design, what decides, by which threshold; nothing of a version alone.
pub fn how(versions: &Versions) -> Option<String> {
    let (design, ended) = versions.design()?;
    let design = words::designed(design, ended);
    if versions.verdict.is_none() {
        let first = words::plain(&versions.all[0].name);
        return Some(format!(
            "{design}, against {first}: what drifts in the meantime looks like a difference, so only more than {} counts as \
             one; alumet compare with -L lets them take turns",
            words::threshold(Rule::STORED_THRESHOLD)
        ));
    }
    let mut decide: Vec<String> = Vec::new();
    for comparison in &versions.comparisons {
        let one = format!("decides: {}; {}", words::deciding(comparison), words::thresholds(comparison));
        if !decide.contains(&one) {
            decide.push(one);
        }
    }
    Some(format!("{design}; {}", decide.join("; or ")))
}
