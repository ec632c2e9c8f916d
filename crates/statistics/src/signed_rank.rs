//! The signed-rank test of paired differences (Wilcoxon, "Individual comparisons by ranking methods", 1945).
//!
//! `W⁺ = Σ rank(|dᵢ|)` over the positive `dᵢ`. If the differences are symmetric about 0, each sign is a fair coin
//! whatever the ranks are; so `W⁺` is a sum of independent terms, rank or 0, and its distribution is built one term
//! at a time. With midranks for ties this stays exact, given the ties that there are.
//!
//! Zeros take part in the ranking, their ranks are then left out of both sums (Pratt, "Remarks on zeros and ties in
//! the Wilcoxon signed rank procedures", 1959). Dropping them before ranking, as Wilcoxon did, can make a result less
//! significant when every difference grows; here a p-value never rises with the differences, and so a verdict never
//! turns back when the threshold goes on.

use super::sample::{self, Invalid, Ranks, TIE};
use super::tails::Tails;

/// Up to so many differences the distribution is exact (at most half a million additions each); beyond, normal: its
/// mean and variance are those of the very ranks, ties and zeros included, its p-values near .05 are then off by less
/// than .0005.
pub const EXACT: usize = 100;

/// Tests whether the differences are symmetric about `shift`. `greater` is the p-value against "at most the shift",
/// `less` the one against "at least the shift".
pub fn test(differences: &[f64], shift: f64) -> Result<Tails, Invalid> {
    sample::finite(differences, 1)?;
    let differences: Vec<f64> = differences.iter().map(|difference| difference - shift).collect();
    sample::finite(&differences, 1)?;
    let sizes: Vec<f64> = differences.iter().map(|difference| difference.abs()).collect();
    let Ranks { ranks, unit } = sample::ranks(&sizes);
    let ranked = || ranks.iter().copied().zip(&differences);
    let kept: Vec<usize> =
        ranked().filter(|(_, difference)| difference.abs() > TIE).map(|(rank, _)| rank).collect();
    let observed: usize = ranked().filter(|(_, difference)| **difference > TIE).map(|(rank, _)| rank).sum();
    if differences.len() <= EXACT {
        return Ok(Tails::exact(&null(&kept), observed));
    }
    let mean = unit * kept.iter().map(|rank| *rank as f64).sum::<f64>() / 2.0;
    let variance = kept.iter().map(|rank| (unit * *rank as f64).powi(2)).sum::<f64>() / 4.0;
    Ok(Tails::normal(unit * observed as f64, mean, variance))
}

/// The least p-value that `n` differences can have: that of all on one side, 2⁻ⁿ.
pub fn least(n: usize) -> f64 {
    0.5_f64.powf(n as f64)
}

/// With how many of the 2ⁿ choices among the ranks their sum is s.
fn null(ranks: &[usize]) -> Vec<f64> {
    let mut ways = vec![0.0; ranks.iter().sum::<usize>() + 1];
    ways[0] = 1.0;
    let mut reached = 0;
    for rank in ranks {
        reached += rank;
        for sum in (*rank..=reached).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    ways
}

/// With how many of the 2ⁿ signs of `n` differences without ties and zeros W⁺ = w.
pub(super) fn untied(n: usize) -> Vec<f64> {
    null(&(1..=n).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest `w` with P(W⁺ ≤ w) ≤ `alpha`.
    fn critical(n: usize, alpha: f64) -> Option<usize> {
        let mut below = 0.0;
        let mut within = |ways: &f64| {
            below += ways;
            below <= alpha * 2f64.powi(n as i32)
        };
        untied(n).iter().take_while(|ways| within(ways)).count().checked_sub(1)
    }

    /// McCornack, "Extended tables of the Wilcoxon matched pair signed rank statistic", JASA 60 (1965), columns of the
    /// one-sided .05 and .025.
    #[test]
    fn the_critical_values_are_those_of_the_tables() {
        let table = [
            (5, Some(0), None),
            (6, Some(2), Some(0)),
            (7, Some(3), Some(2)),
            (8, Some(5), Some(3)),
            (9, Some(8), Some(5)),
            (10, Some(10), Some(8)),
            (15, Some(30), Some(25)),
            (20, Some(60), Some(52)),
            (25, Some(100), Some(89)),
            (30, Some(151), Some(137)),
            (50, Some(466), Some(434)),
        ];
        for (n, at_5_percent, at_2_5_percent) in table {
            assert_eq!((critical(n, 0.05), critical(n, 0.025)), (at_5_percent, at_2_5_percent), "n = {n}");
        }
    }

    /// Depression scores before and after a tranquilizer, from Hollander and Wolfe, Nonparametric Statistical Methods
    /// (1973), table 3.1: W⁺ = 40 of 45, one-sided p = 10 / 512.
    #[test]
    #[expect(clippy::approx_constant, reason = "3.14 is a score here")]
    fn a_worked_example_comes_out_as_in_the_book() {
        let before = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30];
        let after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29];
        let differences: Vec<f64> = before.iter().zip(after).map(|(before, after)| before - after).collect();
        assert_eq!(test(&differences, 0.0).unwrap().greater, 10.0 / 512.0);
    }

    #[test]
    fn four_pairs_cannot_reach_5_percent_and_five_can() {
        assert_eq!(test(&[1.0, 2.0, 3.0, 4.0], 0.0).unwrap().greater, 1.0 / 16.0);
        assert_eq!(test(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.0).unwrap().greater, 1.0 / 32.0);
    }

    #[test]
    fn pairs_that_are_all_alike_say_nothing() {
        for n in [1, 10, 1000] {
            let tails = test(&vec![0.0; n], 0.0).unwrap();
            assert_eq!((tails.less, tails.greater), (1.0, 1.0));
        }
    }

    /// Signs alone decide when all sizes are equal: P(at least 9 heads of 10) = 11 / 1024.
    #[test]
    fn ties_are_exact() {
        let mut differences = [1.0; 10];
        differences[3] = -1.0;
        assert_eq!(test(&differences, 0.0).unwrap().greater, 11.0 / 1024.0);
    }

    #[test]
    fn the_p_value_never_rises_with_the_differences() {
        let differences = [0.0, 2.0, 3.0, 4.0, 6.0, 7.0, 8.0, 9.0, 11.0, 14.0, 15.0, 17.0, -18.0];
        let p = |shift: f64| test(&differences, shift).unwrap().greater;
        let shifts = (-40..40).map(|half| f64::from(half) / 2.0);
        let p: Vec<f64> = shifts.map(p).collect();
        assert!(p.windows(2).all(|pair| pair[0] <= pair[1]), "{p:?}");
    }

    #[test]
    fn the_two_directions_mirror_each_other_and_the_shift_moves_the_null() {
        let differences = [0.3, -0.1, 0.7, 0.2, 0.9, -0.4, 0.25];
        let mirrored = differences.map(|difference| -difference);
        let (one, other) = (test(&differences, 0.5).unwrap(), test(&mirrored, -0.5).unwrap());
        assert_eq!((one.less, one.greater), (other.greater, other.less));
        assert!(one.greater > test(&differences, 0.0).unwrap().greater);
    }

    #[test]
    fn the_normal_distribution_takes_over_where_it_agrees() {
        let differences = |n: usize| -> Vec<f64> {
            (1..=n).map(|i| if i % 7 < 3 { -(i as f64) } else { 1.28 * i as f64 }).collect()
        };
        let exact = test(&differences(EXACT), 0.0).unwrap();
        let mut sizes: Vec<(f64, bool)> = differences(EXACT).iter().map(|d| (d.abs(), *d > 0.0)).collect();
        sizes.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(sizes.windows(2).all(|pair| pair[0].0 < pair[1].0), "no ties");
        let observed: usize =
            sizes.iter().zip(1..).filter(|((_, positive), _)| *positive).map(|(_, rank)| rank).sum();
        let n = EXACT as f64;
        let (mean, variance) = (n * (n + 1.0) / 4.0, n * (n + 1.0) * (2.0 * n + 1.0) / 24.0);
        let normal = Tails::normal(observed as f64, mean, variance);
        assert!((exact.greater - normal.greater).abs() < 5e-4, "{exact:?} {normal:?}");
        assert!(test(&differences(100_000), 0.0).unwrap().greater < 1e-9);
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        assert!(test(&[], 0.0).is_err());
        assert!(test(&[f64::NAN], 0.0).is_err());
        assert!(test(&[1.0], f64::INFINITY).is_err());
    }
}
