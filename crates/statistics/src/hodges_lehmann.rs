//! How much: the estimates that belong to the rank tests, with their distribution-free confidence intervals (Hodges
//! and Lehmann, "Estimates of location based on rank tests", 1963).
//!
//! Of one sample, the median of all n(n+1)/2 means of two of its values, each with itself included (Walsh averages).
//! Of two samples, the median of all differences, one value from each. The interval runs from the (c+1)-th of these
//! numbers from below to the (c+1)-th from above, `c` being the largest count with P(statistic ≤ c) ≤ (1 - level) / 2
//! in the test's null distribution: it holds the shifts that the two-sided test does not reject. With ties it covers
//! at least as often as it says.
//!
//! 100,000 runs have five billion averages, so none are kept: in sorted values it takes one pass to count those up to
//! a given number, and so the exact one is found in at most 64 passes (`selection`). Beyond the sizes for which the
//! tests are exact, `c` comes from the normal distribution.

use statrs::distribution::{ContinuousCDF, Normal};

use super::interval::Interval;
use super::sample::{self, Invalid};
use super::selection::nth;
use super::{rank_sum, signed_rank};

/// A location or a shift, in the unit of the values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Its confidence interval.
    pub interval: Interval,
}

/// The centre of one sample of at least one value.
pub fn one_sample(values: &[f64], level: f64) -> Result<Estimate, Invalid> {
    sample::finite(values, 1)?;
    sample::probability("the confidence level", level)?;
    let sorted = sample::sorted(values);
    let n = sorted.len() as f64;
    let cut = if sorted.len() <= signed_rank::EXACT {
        Cut::exact(&signed_rank::untied(sorted.len()), level)
    } else {
        Cut::normal(n * (n + 1.0) / 4.0, n * (n + 1.0) * (2.0 * n + 1.0) / 24.0, level)
    };
    let pairs = sorted.len() as u64 * (sorted.len() as u64 + 1) / 2;
    let range = (sorted[0], sorted[sorted.len() - 1]);
    Ok(cut.estimate(pairs, |rank| nth(rank, range, |limit| averages_up_to(&sorted, limit))))
}

/// By how much the second of two samples is above the first.
pub fn shift(first: &[f64], second: &[f64], level: f64) -> Result<Estimate, Invalid> {
    sample::finite(first, 1)?;
    sample::finite(second, 1)?;
    sample::probability("the confidence level", level)?;
    let (first, second) = (sample::sorted(first), sample::sorted(second));
    let (m, n) = (first.len() as f64, second.len() as f64);
    let cut = if rank_sum::is_exact(first.len(), second.len()) {
        Cut::exact(&rank_sum::untied(first.len(), second.len()), level)
    } else {
        Cut::normal(m * n / 2.0, m * n * (m + n + 1.0) / 12.0, level)
    };
    let range = (second[0] - first[first.len() - 1], second[second.len() - 1] - first[0]);
    if !(range.1 - range.0).is_finite() {
        return Err(Invalid::TooLarge);
    }
    let pairs = first.len() as u64 * second.len() as u64;
    Ok(cut.estimate(pairs, |rank| nth(rank, range, |limit| differences_up_to(&first, &second, limit))))
}

/// How many of the ordered numbers the interval leaves out on each side, and the confidence that this gives.
struct Cut {
    outside: u64,
    level: f64,
}

impl Cut {
    /// From the null distribution, whose weights need not add up to 1.
    fn exact(weights: &[f64], level: f64) -> Self {
        let all: f64 = weights.iter().sum();
        let (mut outside, mut below) = (0, weights[0] / all);
        for weight in &weights[1..] {
            let next = below + weight / all;
            if next > (1.0 - level) / 2.0 {
                break;
            }
            (outside, below) = (outside + 1, next);
        }
        Self { outside, level: (1.0 - 2.0 * below).max(0.0) }
    }

    fn normal(mean: f64, variance: f64, level: f64) -> Self {
        let quantile = Normal::standard().inverse_cdf((1.0 - level) / 2.0);
        Self { outside: (mean + quantile * variance.sqrt() - 0.5).floor().max(0.0) as u64, level }
    }

    /// From the ordered numbers, `nth(1)` being the smallest of `all`.
    fn estimate(self, all: u64, nth: impl Fn(u64) -> f64) -> Estimate {
        let middle = nth(all.div_ceil(2));
        let value = if all % 2 == 1 { middle } else { 0.5 * middle + 0.5 * nth(all / 2 + 1) };
        let interval =
            Interval { low: nth(self.outside + 1), high: nth(all - self.outside), level: self.level };
        Estimate { value, interval }
    }
}

/// How many means of two of the ascending values, each with itself included, are at most this. Rounding keeps the
/// order of sums, so the values that make a mean too large with one value do so with every larger one.
fn averages_up_to(sorted: &[f64], limit: f64) -> u64 {
    let mut end = sorted.len();
    let mut count = 0;
    for (start, value) in sorted.iter().enumerate() {
        while end > start && 0.5 * value + 0.5 * sorted[end - 1] > limit {
            end -= 1;
        }
        if end <= start {
            break;
        }
        count += (end - start) as u64;
    }
    count
}

/// How many differences, one of the second values less one of the first, both ascending, are at most this.
fn differences_up_to(first: &[f64], second: &[f64], limit: f64) -> u64 {
    let mut end = 0;
    let mut count = 0;
    for value in first {
        while end < second.len() && second[end] - value <= limit {
            end += 1;
        }
        count += end as u64;
    }
    count
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn random(n: usize, seed: u64) -> Vec<f64> {
        let mut random = fastrand::Rng::with_seed(seed);
        // Few digits: ties, zeros and both signs occur.
        (0..n).map(|_| f64::from(random.i32(-50..=50)) / 8.0 + f64::from(random.u8(0..2)) * 1e-9).collect()
    }

    #[test]
    fn every_number_found_by_counting_is_the_one_found_by_sorting() {
        for n in [1, 2, 3, 10, 31] {
            let sorted = sample::sorted(&random(n, n as u64));
            let mut averages = Vec::new();
            for (i, one) in sorted.iter().enumerate() {
                averages.extend(sorted[i..].iter().map(|other| 0.5 * one + 0.5 * other));
            }
            let averages = sample::sorted(&averages);
            let range = (sorted[0], sorted[n - 1]);
            for (at, average) in averages.iter().enumerate() {
                assert_eq!(nth(at as u64 + 1, range, |limit| averages_up_to(&sorted, limit)), *average);
            }
            assert_eq!(one_sample(&sorted, 0.95).unwrap().value, sample::median(&averages));

            let other = sample::sorted(&random(n + 4, 7));
            let differences: Vec<f64> =
                sorted.iter().flat_map(|a| other.iter().map(move |b| b - a)).collect();
            let differences = sample::sorted(&differences);
            assert_eq!(shift(&sorted, &other, 0.95).unwrap().value, sample::median(&differences));
        }
    }

    #[test]
    fn the_interval_is_what_the_test_does_not_reject() {
        let values = [0.31, 1.21, -0.42, 2.13, 0.94, 1.55, 0.07, 0.68, 1.02, 3.3];
        let estimate = one_sample(&values, 0.95).unwrap();
        // 8 is the critical value for ten values: P(W⁺ ≤ 8) = 25 / 1024.
        assert_eq!(estimate.interval.level, 1.0 - 50.0 / 1024.0);
        let p = |shift: f64| signed_rank::test(&values, shift).unwrap().two_sided();
        assert!(p(estimate.interval.low - 1e-9) <= 0.05 && p(estimate.interval.low + 1e-9) > 0.05);
        assert!(p(estimate.interval.high + 1e-9) <= 0.05 && p(estimate.interval.high - 1e-9) > 0.05);

        let other = [1.9, 2.2, 0.4, 3.1, 2.8, 1.7];
        let interval = shift(&values, &other, 0.95).unwrap().interval;
        let p = |shift: f64| rank_sum::test(&values, &other, shift).unwrap().two_sided();
        assert!(p(interval.low - 1e-9) <= 0.05 && p(interval.low + 1e-9) > 0.05);
        assert!(p(interval.high + 1e-9) <= 0.05 && p(interval.high - 1e-9) > 0.05);
    }

    #[test]
    fn too_few_values_have_an_interval_that_admits_a_lower_confidence() {
        let five = one_sample(&[1.0, 2.0, 3.0, 4.0, 6.0], 0.95).unwrap();
        assert_eq!(five.interval, Interval { low: 1.0, high: 6.0, level: 1.0 - 2.0 / 32.0 });
        assert_eq!(one_sample(&[2.0], 0.95).unwrap().interval.level, 0.0);
    }

    #[test]
    fn the_interval_of_many_values_continues_that_of_few() {
        let half = |n: usize| {
            let values: Vec<f64> = (0..n).map(|i| (i as f64 + 0.5) / n as f64).collect();
            let interval = one_sample(&values, 0.95).unwrap().interval;
            (interval.high - interval.low) * (n as f64).sqrt() / 2.0
        };
        let (few, many) = (half(signed_rank::EXACT), half(signed_rank::EXACT + 1));
        assert!((few / many - 1.0).abs() < 0.01, "{few} {many}");
    }

    #[test]
    fn a_hundred_thousand_runs_take_no_time() {
        let start = Instant::now();
        let (first, second) = (random(100_000, 1), random(100_000, 2));
        let centre = one_sample(&first, 0.95).unwrap();
        assert!(centre.value.abs() < 0.05 && centre.interval.contains(centre.value), "{centre:?}");
        let moved: Vec<f64> = second.iter().map(|value| value + 0.25).collect();
        let moved = shift(&first, &moved, 0.95).unwrap();
        assert!((moved.value - 0.25).abs() < 0.05 && moved.interval.contains(moved.value), "{moved:?}");
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }

    #[test]
    fn one_wild_run_hardly_moves_the_estimate() {
        let mut values = random(20, 3);
        let before = one_sample(&values, 0.95).unwrap().value;
        values[0] = 1e300;
        assert!((one_sample(&values, 0.95).unwrap().value - before).abs() < 2.0);
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        assert!(one_sample(&[], 0.95).is_err());
        assert!(one_sample(&[f64::INFINITY], 0.95).is_err());
        assert!(one_sample(&[1.0], 1.0).is_err());
        assert!(shift(&[1.0], &[f64::NAN], 0.95).is_err());
        assert_eq!(shift(&[-1e308], &[1e308], 0.95), Err(Invalid::TooLarge));
    }
}
