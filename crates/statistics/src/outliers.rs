//! Runs far from the others: flagged, never dropped.
//!
//! The modified Z score of Iglewicz and Hoaglin ("How to detect and handle outliers", 1993) puts median and median
//! absolute deviation in the place of mean and standard deviation, which the outliers themselves would move: `z =
//! .6745 · (x - median) / MAD`. Where more than half of the runs are equal, MAD is 0; then the mean absolute
//! deviation takes its place, `z = (x - median) / (1.2533 · mean |x - median|)`. Both divisors are the standard
//! deviation of a normal distribution. Runs that are all equal have no outliers.

use super::sample::{self, Invalid};

/// From this score on, as Iglewicz and Hoaglin advise, a run is flagged.
pub const LIMIT: f64 = 3.5;

/// Of fewer runs, one in five series without any peculiarity would have a flag.
pub const FEWEST_RUNS: usize = 10;

/// A run far from the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlier {
    /// Its index.
    pub run: usize,
    /// Its modified Z score, negative where it is lower than the others.
    pub score: f64,
}

/// As [`outliers`], for a person: none of fewer than [`FEWEST_RUNS`] runs.
pub fn flagged(values: &[f64]) -> Vec<Outlier> {
    if values.len() < FEWEST_RUNS { Vec::new() } else { outliers(values).unwrap_or_default() }
}

/// Those of at least one run whose score exceeds [`LIMIT`], in their order.
pub fn outliers(values: &[f64]) -> Result<Vec<Outlier>, Invalid> {
    sample::finite(values, 1)?;
    let median = sample::median(&sample::sorted(values));
    let distances: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
    let mad = sample::median(&sample::sorted(&distances));
    let deviation =
        if mad > 0.0 { mad / 0.6745 } else { 1.2533 * distances.iter().sum::<f64>() / values.len() as f64 };
    if !deviation.is_finite() {
        return Err(Invalid::TooLarge);
    }
    let scored =
        values.iter().enumerate().map(|(run, value)| Outlier { run, score: (value - median) / deviation });
    Ok(scored.filter(|outlier| outlier.score.abs() > LIMIT).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flagged(values: &[f64]) -> Vec<usize> {
        outliers(values).unwrap().iter().map(|outlier| outlier.run).collect()
    }

    #[test]
    fn a_run_far_above_or_below_is_flagged_with_its_score() {
        assert!(flagged(&[10.0, 10.1, 9.9, 10.2, 9.8]).is_empty());
        let found = outliers(&[10.0, 10.1, 9.9, 10.2, 9.8, 11.5, 8.9]).unwrap();
        assert_eq!(found.iter().map(|outlier| outlier.run).collect::<Vec<_>>(), [5, 6]);
        assert!((found[0].score - 0.6745 * 1.5 / 0.2).abs() < 1e-9 && found[1].score < 0.0);
    }

    #[test]
    fn several_outliers_do_not_hide_each_other() {
        assert_eq!(flagged(&[10.0, 10.1, 9.9, 10.2, 9.8, 10.0, 50.0, 50.0, 50.0]), [6, 7, 8]);
    }

    #[test]
    fn equal_runs_leave_a_measure_of_spread_or_have_no_outliers() {
        assert!(flagged(&[2.0; 10]).is_empty());
        let mut one_apart = [2.0; 10];
        one_apart[4] = 2.3;
        assert_eq!(flagged(&one_apart), [4]);
        // Counts that differ by a tick here and there are no outliers.
        assert!(flagged(&[2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.01, 1.99, 2.01, 1.99]).is_empty());
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        assert!(outliers(&[]).is_err());
        assert!(outliers(&[1.0, f64::NAN]).is_err());
        assert_eq!(outliers(&[-1.7e308, 1.7e308, 1.7e308]), Err(Invalid::TooLarge));
    }
}
