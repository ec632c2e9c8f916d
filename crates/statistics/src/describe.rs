//! One version's runs in a few numbers.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::interval::Interval;
use super::sample::{self, Invalid};

/// The confidence of the interval of the mean.
pub const LEVEL: f64 = 0.95;

/// What repeated runs amount to, in the unit of the values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Description {
    /// How many runs.
    pub n: usize,
    /// `x̄ = Σ x / n`.
    pub mean: f64,
    /// The sample standard deviation `s = √(Σ (x - x̄)² / (n - 1))`; none of a single run.
    pub stddev: Option<f64>,
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// `x̄ ± t · s / √n`, with `t` the quantile (1 + [`LEVEL`]) / 2 of Student's distribution with n - 1 degrees of
    /// freedom; none of a single run. It takes the runs for independent and the mean for normally distributed.
    pub ci95: Option<Interval>,
}

/// Describes at least one run.
pub fn describe(values: &[f64]) -> Result<Description, Invalid> {
    sample::finite(values, 1)?;
    let n = values.len();
    let mean = values.iter().sum::<f64>() / n as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    if !mean.is_finite() || !squares.is_finite() {
        return Err(Invalid::TooLarge);
    }
    let stddev = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
    let sorted = sample::sorted(values);
    Ok(Description {
        n,
        mean,
        stddev,
        median: sample::median(&sorted),
        min: sorted[0],
        max: sorted[n - 1],
        ci95: stddev.map(|stddev| {
            let half = t_quantile((1.0 + LEVEL) / 2.0, n - 1) * stddev / (n as f64).sqrt();
            Interval { low: mean - half, high: mean + half, level: LEVEL }
        }),
    })
}

/// The quantile of Student's distribution with this many degrees of freedom, at least one.
fn t_quantile(probability: f64, freedom: usize) -> f64 {
    let distribution = StudentsT::new(0.0, 1.0, freedom as f64).expect("degrees of freedom are positive");
    distribution.inverse_cdf(probability)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The quantiles .975 of Student's t as they stand in NIST/SEMATECH, e-Handbook of Statistical Methods, 1.3.6.7.2.
    #[test]
    fn the_quantiles_of_student_are_those_of_the_table() {
        for (freedom, quantile) in
            [(1, 12.706), (2, 4.303), (4, 2.776), (9, 2.262), (29, 2.045), (100, 1.984)]
        {
            let ours = t_quantile(0.975, freedom);
            assert!((ours - quantile).abs() < 6e-4, "{freedom}: {ours}");
        }
        assert!((t_quantile(0.975, 99_999) - 1.95999).abs() < 1e-4);
    }

    #[test]
    fn runs_are_described_by_where_they_are_and_how_they_spread() {
        let five = describe(&[3.0, 1.0, 2.0, 5.0, 4.0]).unwrap();
        assert_eq!((five.n, five.mean, five.median, five.min, five.max), (5, 3.0, 3.0, 1.0, 5.0));
        assert_eq!(five.stddev, Some(2.5f64.sqrt()));
        let ci95 = five.ci95.unwrap();
        assert!((ci95.low - 1.036757).abs() < 1e-6 && (ci95.high - 4.963243).abs() < 1e-6, "{ci95:?}");
        assert_eq!(describe(&[1.0, 2.0, 4.0, 9.0]).unwrap().median, 3.0);
    }

    #[test]
    fn a_single_run_has_no_spread_and_none_is_an_error() {
        let one = describe(&[7.0]).unwrap();
        assert_eq!((one.mean, one.median, one.stddev, one.ci95), (7.0, 7.0, None, None));
        assert_eq!(describe(&[]), Err(Invalid::TooFew { got: 0, needed: 1 }));
        assert_eq!(describe(&[1e200, -1e200]), Err(Invalid::TooLarge));
        assert!(describe(&[f64::NAN]).is_err());
    }
}
