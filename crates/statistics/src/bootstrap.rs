//! The confidence interval of a ratio of means, for which no exact distribution exists: the bootstrap, seeded.
//!
//! The runs are drawn again, with replacement, and the ratio computed of each such resample. The interval lies
//! between two quantiles of these ratios, chosen so as to correct for bias and for a spread that changes with the
//! value (BCa: Efron, "Better bootstrap confidence intervals", JASA 82 (1987)). With `z₀ = Φ⁻¹(share of the resamples
//! below the ratio seen)` and the acceleration `a = Σ u³ / (6 (Σ u²)^1.5)` over the influences `u` of each run, the
//! end for the tail `p` is the quantile `Φ(z₀ + (z₀ + z_p) / (1 - a (z₀ + z_p)))`.
//!
//! The influence of run i on a mean is `(xᵢ - x̄) / n`; on a ratio of means that much of the mean, less that of the
//! denominator. Small samples vary less in resamples than in truth: five runs give an interval that is too narrow.

use statrs::distribution::{ContinuousCDF, Normal};

use super::interval::Interval;
use super::sample::{self, Invalid};

/// How many resamples are drawn at most, and how many at least when there are many runs.
const RESAMPLES: std::ops::RangeInclusive<usize> = 999..=9_999;

/// How many runs are drawn in all, where the bounds of [`RESAMPLES`] leave the choice: 0.2 s.
const DRAWS: usize = 20_000_000;

/// The interval of `mean(second) / mean(first)` of two samples that were drawn independently, at least two runs of
/// each.
pub fn ratio_of_means(first: &[f64], second: &[f64], level: f64, seed: u64) -> Result<Interval, Invalid> {
    let ratio = checked_ratio(first, second, level)?;
    let mut influences: Vec<f64> = influences(first).iter().map(|influence| -influence).collect();
    influences.extend(self::influences(second));
    let mut random = fastrand::Rng::with_seed(seed);
    let resample = || {
        let first = resampled_mean(first, &mut random);
        resampled_mean(second, &mut random) / first
    };
    Ok(bca(ratio, &influences, resamples(first.len() + second.len(), resample), level))
}

/// The interval of `mean(second) / mean(first)` of at least two pairs, which stay together.
pub fn ratio_of_paired_means(
    first: &[f64],
    second: &[f64],
    level: f64,
    seed: u64,
) -> Result<Interval, Invalid> {
    if first.len() != second.len() {
        return Err(Invalid::Unpaired { first: first.len(), second: second.len() });
    }
    let ratio = checked_ratio(first, second, level)?;
    let pairs = influences(first).into_iter().zip(influences(second));
    let influences: Vec<f64> = pairs.map(|(first, second)| second - first).collect();
    let mut random = fastrand::Rng::with_seed(seed);
    let resample = || {
        let mut sums = (0.0, 0.0);
        for _ in 0..first.len() {
            let pair = random.usize(..first.len());
            sums = (sums.0 + first[pair], sums.1 + second[pair]);
        }
        sums.1 / sums.0
    };
    Ok(bca(ratio, &influences, resamples(first.len(), resample), level))
}

fn checked_ratio(first: &[f64], second: &[f64], level: f64) -> Result<f64, Invalid> {
    sample::positive(first, 2)?;
    sample::positive(second, 2)?;
    sample::probability("the confidence level", level)?;
    let (first, second) = (mean(first), mean(second));
    let ratio = second / first;
    if first.is_finite() && second.is_finite() && ratio.is_normal() {
        Ok(ratio)
    } else {
        Err(Invalid::TooLarge)
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Of each run on the mean, as a share of the mean.
fn influences(values: &[f64]) -> Vec<f64> {
    let mean = mean(values);
    values.iter().map(|value| (value / mean - 1.0) / values.len() as f64).collect()
}

fn resampled_mean(values: &[f64], random: &mut fastrand::Rng) -> f64 {
    (0..values.len()).map(|_| values[random.usize(..values.len())]).sum::<f64>() / values.len() as f64
}

/// The ratios of the resamples, in ascending order.
fn resamples(runs: usize, mut resample: impl FnMut() -> f64) -> Vec<f64> {
    let count = (DRAWS / runs).clamp(*RESAMPLES.start(), *RESAMPLES.end());
    let mut ratios: Vec<f64> = (0..count).map(|_| resample()).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    ratios
}

fn bca(ratio: f64, influences: &[f64], ratios: Vec<f64>, level: f64) -> Interval {
    let standard = Normal::standard();
    let count = ratios.len() as f64;
    // Resamples that equal the ratio are half below it; a share of 0 or 1 would have no quantile.
    let below =
        ratios.partition_point(|other| *other < ratio) + ratios.partition_point(|other| *other <= ratio);
    let bias = standard.inverse_cdf((below as f64 / 2.0).clamp(0.5, count - 0.5) / count);
    let power = |exponent| influences.iter().map(|influence| influence.powi(exponent)).sum::<f64>();
    let squares = power(2);
    let acceleration = if squares > 0.0 { power(3) / (6.0 * squares.powf(1.5)) } else { 0.0 };
    let end = |tail: f64| {
        let z = bias + standard.inverse_cdf(tail);
        let share = standard.cdf(bias + z / (1.0 - acceleration * z).max(f64::MIN_POSITIVE));
        // Of so many resamples the quantile p is number p · (count + 1).
        ratios[((share * (count + 1.0)).round() as usize).clamp(1, ratios.len()) - 1]
    };
    let tail = (1.0 - level) / 2.0;
    Interval { low: end(tail), high: end(1.0 - tail), level }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::Noise;

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let (first, second) = ([10.0, 11.0, 9.5, 10.4, 10.2], [12.0, 12.6, 11.8, 12.1, 12.2]);
        let with = |seed| ratio_of_means(&first, &second, 0.95, seed).unwrap();
        assert_eq!(with(1), with(1));
        assert_ne!(with(1), with(2));
        assert!((with(1).low - with(2).low).abs() < 0.005);
        assert!(with(1).contains(60.7 / 51.1) && !with(1).contains(1.0));
    }

    #[test]
    fn pairs_keep_what_they_have_in_common() {
        let first: Vec<f64> = (0..10).map(|i| 10.0 + f64::from(i)).collect();
        let second: Vec<f64> = first.iter().map(|value| 1.1 * value).collect();
        let paired = ratio_of_paired_means(&first, &second, 0.95, 1).unwrap();
        let apart = ratio_of_means(&first, &second, 0.95, 1).unwrap();
        assert!(paired.high - paired.low < 1e-12 && apart.high - apart.low > 0.2, "{paired:?} {apart:?}");
    }

    /// Of so many independent pairs of samples 95 % are expected; BCa of 20 runs each misses by one or two percent.
    #[test]
    fn the_interval_covers_the_ratio_as_often_as_it_says() {
        let mut noise = Noise::new(5);
        let repetitions = 300;
        let covered = (0..repetitions).filter(|seed| {
            // Skewed, as times are.
            let mut sample =
                |scale: f64| -> Vec<f64> { (0..20).map(|_| scale * (0.3 * noise.normal()).exp()).collect() };
            let (first, second) = (sample(2.0), sample(3.0));
            // A tenth of the time: the quantiles need fewer resamples than are drawn of real runs.
            let ratio = checked_ratio(&first, &second, 0.95).unwrap();
            let mut influences: Vec<f64> = influences(&first).iter().map(|influence| -influence).collect();
            influences.extend(self::influences(&second));
            let mut random = fastrand::Rng::with_seed(*seed);
            let ratios = (0..499).map(|_| {
                let first = resampled_mean(&first, &mut random);
                resampled_mean(&second, &mut random) / first
            });
            bca(ratio, &influences, sample::sorted(&ratios.collect::<Vec<_>>()), 0.95).contains(1.5)
        });
        let covered = covered.count() as f64 / repetitions as f64;
        assert!((0.90..=0.98).contains(&covered), "{covered}");
    }

    #[test]
    fn the_work_is_bounded_for_many_runs() {
        assert_eq!(resamples(10, || 1.0).len(), 9_999);
        assert_eq!(resamples(5_000, || 1.0).len(), 4_000);
        assert_eq!(resamples(100_000, || 1.0).len(), 999);
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        assert_eq!(ratio_of_means(&[1.0], &[1.0, 2.0], 0.95, 0), Err(Invalid::TooFew { got: 1, needed: 2 }));
        assert!(ratio_of_means(&[1.0, 0.0], &[1.0, 2.0], 0.95, 0).is_err());
        assert!(ratio_of_means(&[1.0, 1.0], &[1.0, 2.0], 95.0, 0).is_err());
        assert!(ratio_of_paired_means(&[1.0, 1.0], &[1.0, 2.0, 3.0], 0.95, 0).is_err());
        assert_eq!(ratio_of_means(&[1e308; 9], &[1.0, 2.0], 0.95, 0), Err(Invalid::TooLarge));
        let same = ratio_of_means(&[2.0; 5], &[3.0; 5], 0.95, 0).unwrap();
        assert_eq!((same.low, same.high), (1.5, 1.5));
    }
}
