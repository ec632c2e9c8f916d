//! What is peculiar about the runs of one version: drift, spread, outliers, and what else the machine did.
//!
//! What is beyond doubt need not matter: among a thousand runs a drift of 0.04 % is significant. Nor is what matters always
//! beyond doubt. So each rule here asks for a size.

use alumet_statistics::describe::describe;
use alumet_statistics::outliers::{self, Outlier};
use alumet_statistics::{drift, sample};

use super::readings::{Meantime, Readings};
use crate::quantity::{Quantity, Unfit};
use crate::units::percent;

/// What matters where nobody has named a threshold: half of the usual one.
pub const MATTERS: f64 = 0.01;

/// A standard deviation of so much of the mean: ten pairs of such runs can tell a difference of 2 % in one of five cases.
const SPREAD: f64 = 0.05;
/// Of fewer runs a spread says little.
const FEWEST: usize = 3;

/// What others do with so much of the CPUs changes what a run costs.
const OTHERS: f64 = 0.1;
/// The machine's time comes in ticks of 10 ms: of less than a second it is too coarse.
const LEAST_BUSY: f64 = 1.0;

/// A drift: the halves of the runs differ beyond doubt, and by what matters at least.
pub fn drift_of(label: &str, title: &str, values: &[f64], matters: f64) -> Option<String> {
    let drift = drift::notice(values).ok()??;
    let way = if drift.change > 0.0 { "more" } else { "less" };
    let by = percent(drift.change.abs());
    (drift.change.abs() >= matters)
        .then(|| format!("{label} of {title}: the second half of the runs costs {by} {way} than the first"))
}

/// Runs far from the others, by what matters at least.
pub fn outliers_of(values: &[f64], matters: f64) -> Vec<Outlier> {
    if values.is_empty() {
        return Vec::new();
    }
    let median = sample::median(&sample::sorted(values));
    let is_far = |outlier: &Outlier| (values[outlier.run] - median).abs() >= matters * median.abs();
    outliers::flagged(values).into_iter().filter(is_far).collect()
}

/// How much the quantities vary that are to be compared, where that is so much that little can be told by them.
pub fn spread(runs: &Readings) -> Option<String> {
    let mut varying: Vec<String> = Vec::new();
    for column in runs.columns() {
        let is_compared = matches!(
            column.quantity,
            Quantity::Energy | Quantity::Gpu | Quantity::Time | Quantity::Cpu | Quantity::Instructions
        );
        // An estimate varies with the CPU time.
        let is_estimate = column.ways.iter().any(|way| way.unfit == Some(Unfit::Estimated));
        if !is_compared || is_estimate || column.values.len() < FEWEST {
            continue;
        }
        let Ok(numbers) = describe(&column.values) else { continue };
        let share = numbers.stddev.map_or(0.0, |stddev| stddev / numbers.mean);
        if share >= SPREAD {
            varying.push(format!("{} by {}", column.quantity.label(), percent(share)));
        }
    }
    match varying.as_slice() {
        [] => None,
        [one] => {
            Some(format!("{} from run to run (standard deviation)", one.replacen(" by ", " varies by ", 1)))
        }
        [first, rest @ ..] => Some(format!(
            "{}, {} from run to run (standard deviation)",
            first.replacen(" by ", " varies by ", 1),
            rest.join(", ")
        )),
    }
}

/// What others had of the CPUs during the runs.
pub fn others(meantime: &Meantime) -> Vec<String> {
    let Meantime { own, busy, stolen, all } = *meantime;
    let mut remarks = Vec::new();
    let other = (busy - own).max(0.0);
    if busy >= LEAST_BUSY && other >= OTHERS * all {
        remarks.push(format!(
            "other programs had {} of the CPU time in which the machine was busy during the runs",
            percent(other / busy)
        ));
    }
    if stolen >= LEAST_BUSY && stolen >= OTHERS * all {
        remarks.push(format!(
            "the host has taken {} of this virtual machine's CPU time away during the runs",
            percent(stolen / all)
        ));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::Reading;
    use alumet::Bound;

    fn runs(quantity: &Quantity, values: &[f64], unfit: Option<Unfit>) -> Readings {
        let mut runs = Readings::default();
        for value in values {
            let (provenance, method) = ("measured".into(), "m".into());
            let bound = Some(Bound::Exact);
            let reading = Reading { value: *value, provenance, method, bound, unfit: unfit.clone() };
            runs.add(vec![(quantity.clone(), reading)]);
        }
        runs
    }

    #[test]
    fn a_drift_that_is_beyond_doubt_is_remarked_if_it_matters_too() {
        let steps = |by: f64| (0..40).map(|i| 100.0 + by * f64::from(i / 20)).collect::<Vec<_>>();
        assert_eq!(drift_of("Time", "x", &steps(0.04), MATTERS), None);
        let said = drift_of("Time", "x", &steps(4.0), MATTERS).unwrap();
        assert_eq!(
            said.replace('\u{a0}', " "),
            "Time of x: the second half of the runs costs 4.0 % more than the first"
        );
        // Where somebody wants to know it more closely, less matters.
        assert!(drift_of("Instructions", "x", &steps(0.04), 0.0001).is_some());
    }

    #[test]
    fn a_spread_of_24_percent_is_remarked_and_one_of_2_percent_or_of_an_estimate_is_not() {
        let wide = [100.0, 130.0, 74.0, 110.0, 86.0];
        let said = spread(&runs(&Quantity::Time, &wide, None)).unwrap();
        assert!(
            said.starts_with("Time varies by 2") && said.ends_with("from run to run (standard deviation)"),
            "{said}"
        );
        assert_eq!(spread(&runs(&Quantity::Time, &[100.0, 102.0, 98.0, 101.0], None)), None);
        assert_eq!(spread(&runs(&Quantity::Time, &wide[..2], None)), None);
        assert_eq!(spread(&runs(&Quantity::Memory, &wide, None)), None);
        assert_eq!(spread(&runs(&Quantity::Energy, &wide, Some(Unfit::Estimated))), None);
    }

    #[test]
    fn an_outlier_by_a_trifle_is_none() {
        let mut values = [100.0, 100.01, 100.0, 99.99, 100.0, 100.01, 100.0, 99.99, 100.0, 100.1];
        assert!(outliers_of(&values, MATTERS).is_empty());
        values[9] = 110.0;
        assert_eq!(outliers_of(&values, MATTERS)[0].run, 9);
        assert!(outliers_of(&[], MATTERS).is_empty());
    }

    #[test]
    fn what_others_had_of_the_machine_is_said_where_it_is_much() {
        let said = |own, busy, stolen, all| {
            others(&Meantime { own, busy, stolen, all }).join("; ").replace('\u{a0}', " ")
        };
        assert_eq!(
            said(3.6, 10.0, 0.0, 20.0),
            "other programs had 64 % of the CPU time in which the machine was busy during the runs"
        );
        // A program that waits on an idle machine has little of what little there is.
        assert_eq!(said(0.1, 1.2, 0.0, 100.0), "");
        assert_eq!(said(9.5, 10.0, 0.0, 20.0), "");
        assert_eq!(said(0.1, 0.5, 0.0, 1.0), "", "too coarse");
        assert!(said(5.0, 5.0, 4.0, 20.0).contains("taken 20 % of"));
    }
}
