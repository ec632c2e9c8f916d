//! The statistics against an independent implementation: reference.json, which reference.py beside it wrote with
//! SciPy and by enumerating.

use serde_json::Value;

use super::tails::Tails;
use super::{bootstrap, describe, hodges_lehmann, rank_sum, signed_rank};

fn rows(table: &str) -> Vec<Value> {
    let tables: Value = serde_json::from_str(include_str!("reference.json")).unwrap();
    let rows = tables[table].as_array().unwrap().clone();
    assert!(!rows.is_empty());
    rows
}

fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap()
}

fn numbers(row: &Value, key: &str) -> Vec<f64> {
    row[key].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

#[track_caller]
fn close(ours: f64, row: &Value, key: &str, tolerance: f64) {
    assert!((ours - number(row, key)).abs() <= tolerance, "{key}: {ours} is not as in {row}");
}

/// An exact distribution agrees to the last digits, the normal one to what its approximation here is good for.
#[track_caller]
fn tails(ours: Tails, row: &Value, exact: bool) {
    let tolerance = if exact { 1e-12 } else { 1e-9 };
    close(ours.less, row, "less", tolerance);
    close(ours.greater, row, "greater", tolerance);
}

#[test]
fn descriptions_are_those_of_the_reference() {
    for row in rows("describe") {
        let ours = describe::describe(&numbers(&row, "values")).unwrap();
        close(ours.mean, &row, "mean", 1e-12);
        close(ours.stddev.unwrap(), &row, "stddev", 1e-12);
        close(ours.median, &row, "median", 1e-12);
        close(ours.ci95.unwrap().low, &row, "low", 1e-9);
        close(ours.ci95.unwrap().high, &row, "high", 1e-9);
    }
}

#[test]
fn signed_rank_tests_are_those_of_the_reference_with_ties_zeros_and_many_values() {
    let mut normal = 0;
    for row in rows("signed_rank") {
        let differences = numbers(&row, "differences");
        let exact = differences.len() <= signed_rank::EXACT;
        normal += usize::from(!exact);
        tails(signed_rank::test(&differences, number(&row, "shift")).unwrap(), &row, exact);
    }
    assert_ne!(normal, 0);
}

#[test]
fn rank_sum_tests_are_those_of_the_reference_with_ties_and_many_values() {
    let mut normal = 0;
    for row in rows("rank_sum") {
        let (first, second) = (numbers(&row, "first"), numbers(&row, "second"));
        let exact = rank_sum::is_exact(first.len(), second.len());
        normal += usize::from(!exact);
        tails(rank_sum::test(&first, &second, number(&row, "shift")).unwrap(), &row, exact);
    }
    assert_ne!(normal, 0);
}

#[test]
fn estimates_and_their_intervals_are_those_of_the_reference() {
    let compare = |ours: hodges_lehmann::Estimate, row: &Value| {
        close(ours.value, row, "value", 1e-12);
        close(ours.interval.low, row, "low", 1e-12);
        close(ours.interval.high, row, "high", 1e-12);
        close(ours.interval.level, row, "level", 1e-12);
    };
    for row in rows("one_sample") {
        compare(hodges_lehmann::one_sample(&numbers(&row, "values"), number(&row, "asked")).unwrap(), &row);
    }
    for row in rows("shift") {
        let (first, second) = (numbers(&row, "first"), numbers(&row, "second"));
        compare(hodges_lehmann::shift(&first, &second, number(&row, "asked")).unwrap(), &row);
    }
}

/// To 3 % of the interval's width, which is what chance leaves of 9,999 resamples.
#[test]
fn bootstrap_intervals_are_those_of_the_reference() {
    for row in rows("ratio") {
        let (first, second) = (numbers(&row, "first"), numbers(&row, "second"));
        let paired = row["paired"].as_bool().unwrap();
        let interval = if paired { bootstrap::ratio_of_paired_means } else { bootstrap::ratio_of_means };
        let ours = interval(&first, &second, 0.95, 1).unwrap();
        let tolerance = 0.03 * (number(&row, "high") - number(&row, "low"));
        close(ours.low, &row, "low", tolerance);
        close(ours.high, &row, "high", tolerance);
    }
}
