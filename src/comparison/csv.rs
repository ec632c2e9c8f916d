//! The table of any number of versions as CSV: a row for each version and quantity, with a header that is the same for every
//! comparison but for a column `parameter_NAME` for each parameter, as hyperfine has them.

use std::io;

use alumet::Bound;
use alumet_plugin_csv::row::guarded;
use alumet_statistics::decision::Finding;

use super::versions::Versions;
use super::{Comparison, Judged, Row};

/// The text.
pub fn render(versions: &Versions) -> io::Result<Vec<u8>> {
    let mut parameters: Vec<&String> = versions.all.iter().flat_map(|one| one.parameters.keys()).collect();
    parameters.sort();
    parameters.dedup();
    let mut table = csv::Writer::from_writer(Vec::new());
    let names = parameters.iter().map(|name| format!("parameter_{name}"));
    let head =
        ["version", "command"].map(str::to_owned).into_iter().chain(names).chain(AFTER.map(str::to_owned));
    table.write_record(head)?;
    for (place, version) in versions.all.iter().enumerate() {
        let comparison = place.checked_sub(1).and_then(|other| versions.comparisons.get(other));
        for known in &version.quantities {
            let row = comparison
                .and_then(|comparison| comparison.rows.iter().find(|row| row.quantity == known.quantity));
            let numbers = row.map_or(&known.described, |row| &row.change);
            let value = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
            let bound = match numbers.bound {
                Some(Bound::Exact) => "",
                Some(Bound::AtLeast) => "at_least",
                Some(Bound::AtMost) => "at_most",
                None => "neither",
            };
            let numbers = &numbers.numbers;
            let values =
                parameters.iter().map(|name| version.parameters.get(*name).map_or("", String::as_str));
            let names = [known.quantity.name(), known.unit, &known.provenance, bound];
            let texts = [&*version.name, &*version.command].into_iter().chain(values).chain(names);
            let mut record: Vec<String> = texts.map(|text| guarded(text).into_owned()).collect();
            record.push(numbers.n.to_string());
            record.extend(
                [
                    Some(numbers.mean),
                    numbers.stddev,
                    Some(numbers.median),
                    Some(numbers.min),
                    Some(numbers.max),
                ]
                .map(value),
            );
            record.extend(difference(comparison, row));
            table.write_record(&record)?;
        }
    }
    table.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

const AFTER: [&str; 16] = [
    "metric",
    "unit",
    "provenance",
    "bound",
    "n",
    "mean",
    "stddev",
    "median",
    "min",
    "max",
    "baseline",
    "change",
    "change_low",
    "change_high",
    "finding",
    "not_judged",
];

/// Of the first version nothing: the change to it, between what it lies, its word, or why there is none.
fn difference(comparison: Option<&Comparison>, row: Option<&Row>) -> [String; 6] {
    let mut cells: [String; 6] = Default::default();
    let (Some(comparison), Some(row)) = (comparison, row) else { return cells };
    cells[0] = guarded(&comparison.baseline).into_owned();
    match &row.judged {
        Judged::Decision(decision) => {
            cells[1] = decision.change.to_string();
            if decision.interval.level > 0.5 {
                cells[2] = decision.interval.low.to_string();
                cells[3] = decision.interval.high.to_string();
            }
            cells[4] = match decision.finding {
                Finding::Worse => "worse",
                Finding::Better => "better",
                Finding::Same => "same",
                Finding::Unclear => "unclear",
            }
            .into();
        }
        Judged::NotJudged(why) => cells[5] = guarded(why).into_owned(),
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::super::samples::three;
    use super::*;

    fn rows(versions: &Versions) -> Vec<std::collections::HashMap<String, String>> {
        let text = render(versions).unwrap();
        csv::Reader::from_reader(&text[..]).deserialize().map(|row| row.unwrap()).collect()
    }

    #[test]
    fn there_is_a_row_for_each_version_and_quantity_with_the_change_to_the_first() {
        let rows = rows(&three());
        assert_eq!(rows.len(), 4 + 4 + 3);
        let of = |version: &str, metric: &str| {
            rows.iter().find(|row| row["version"] == version && row["metric"] == metric).unwrap()
        };
        let old = of("old", "energy");
        assert_eq!((&*old["median"], &*old["n"], &*old["change"], &*old["baseline"]), ("11.3", "3", "", ""));
        let new = of("new", "energy");
        assert_eq!((&*new["unit"], &*new["provenance"], &*new["change"]), ("J", "attributed", "0.069"));
        assert_eq!(
            (&*new["change_low"], &*new["change_high"], &*new["finding"]),
            ("0.058", "0.081", "worse")
        );
        assert_eq!(
            (&*of("new", "time")["change"], &*of("new", "memory")["not_judged"]),
            ("-0.005", "some runs lack it")
        );
    }

    #[test]
    fn every_parameter_has_a_column_and_a_command_is_no_formula() {
        let mut versions = three();
        versions.all[0].parameters.insert("n".into(), "-1".into());
        versions.all[1].command = "=cmd()".into();
        let rows = rows(&versions);
        assert_eq!((&*rows[0]["parameter_n"], &*rows[4]["parameter_n"]), ("'-1", ""));
        assert_eq!(rows[4]["command"], "'=cmd()");
    }
}
