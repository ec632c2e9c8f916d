//! The rank-sum test of two samples (Wilcoxon 1945; Mann and Whitney, "On a test of whether one of two random
//! variables is stochastically larger than the other", 1947).
//!
//! If nothing differs, every choice of which ranks belong to one of the samples is as likely as every other. The
//! number of choices for each rank sum is counted by adding one rank at a time; with midranks for ties the count
//! stays exact, given the ties that there are.

use super::sample::{self, Invalid, Ranks};
use super::tails::Tails;

/// While the smaller sample times all runs is at most this (31 runs on both sides, 5 against 395), the distribution is
/// exact, at a cost of at most ten million additions; beyond, normal, with the variance of the very ranks.
pub const EXACT: usize = 2000;

/// Tests whether the second sample, less `shift`, comes from where the first one does. `greater` is the p-value
/// against "the second is at most the shift above the first", `less` the one against "at least".
pub fn test(first: &[f64], second: &[f64], shift: f64) -> Result<Tails, Invalid> {
    sample::finite(first, 1)?;
    sample::finite(second, 1)?;
    let all: Vec<f64> = first.iter().copied().chain(second.iter().map(|value| value - shift)).collect();
    sample::finite(&all, 2)?;
    let Ranks { ranks, unit } = sample::ranks(&all);
    let of_second: usize = ranks[first.len()..].iter().sum();
    if is_exact(first.len(), second.len()) {
        // Fewer choices of the smaller sample: its sum is high when that of the other is low.
        if second.len() <= first.len() {
            return Ok(Tails::exact(&null(&ranks, second.len()), of_second));
        }
        let of_first = ranks[..first.len()].iter().sum();
        let tails = Tails::exact(&null(&ranks, first.len()), of_first);
        return Ok(Tails { less: tails.greater, greater: tails.less });
    }
    // A sum of m ranks drawn without replacement from all N.
    let (m, n) = (second.len() as f64, first.len() as f64);
    let total = m + n;
    let mean = (total + 1.0) / 2.0;
    let spread: f64 = ranks.iter().map(|rank| (unit * *rank as f64 - mean).powi(2)).sum();
    let variance = m * n / (total * (total - 1.0)) * spread;
    Ok(Tails::normal(unit * of_second as f64, m * mean, variance))
}

/// The least p-value that samples of these sizes can have: that of all of one above all of the other, one in
/// `(m + n)! / (m! n!)` choices of ranks.
pub fn least(first: usize, second: usize) -> f64 {
    let (fewer, more) = (first.min(second), first.max(second));
    (1..=fewer).map(|i| i as f64 / (more + i) as f64).product()
}

/// Whether the distribution for samples of these sizes is computed exactly.
pub(super) fn is_exact(first: usize, second: usize) -> bool {
    first.min(second) * (first + second) <= EXACT
}

/// In how many ways `chosen` of the ranks sum to s, as far as such sums go.
fn null(ranks: &[usize], chosen: usize) -> Vec<f64> {
    let mut ascending = ranks.to_vec();
    ascending.sort_unstable();
    let highest = |of: usize, seen: usize| ascending[seen - of..seen].iter().sum::<usize>();
    let width = highest(chosen, ranks.len()) + 1;
    let mut ways = vec![vec![0.0; width]; chosen + 1];
    ways[0][0] = 1.0;
    for (seen, rank) in ascending.iter().enumerate() {
        // Fewer than this cannot become enough with the ranks that are left.
        let fewest = (chosen + seen + 1).saturating_sub(ranks.len()).max(1);
        for count in (fewest..=chosen.min(seen + 1)).rev() {
            let (fewer, these) = ways.split_at_mut(count);
            let without = &fewer[count - 1][..=highest(count - 1, seen)];
            for (with, without) in these[0][*rank..].iter_mut().zip(without) {
                *with += without;
            }
        }
    }
    ways.swap_remove(chosen)
}

/// In how many ways U = u, without ties: of the pairs, one from each sample, the number in which the second is higher.
pub(super) fn untied(first: usize, second: usize) -> Vec<f64> {
    // U has the same distribution whichever sample it is counted for.
    let chosen = first.min(second);
    let ranks: Vec<usize> = (1..=first + second).collect();
    null(&ranks, chosen).split_off(chosen * (chosen + 1) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn critical(first: usize, second: usize, alpha: f64) -> Option<usize> {
        let ways = untied(first, second);
        let all: f64 = ways.iter().sum();
        let mut below = 0.0;
        let mut within = |way: &f64| {
            below += way / all;
            below <= alpha
        };
        ways.iter().take_while(|way| within(way)).count().checked_sub(1)
    }

    /// Critical values of U, one-sided .05 and .025, from Milton, "An extended table of critical values for the
    /// Mann-Whitney (Wilcoxon) two-sample statistic", JASA 59 (1964).
    #[test]
    fn the_critical_values_are_those_of_the_tables() {
        let table = [
            ((3, 3), Some(0), None),
            ((4, 4), Some(1), Some(0)),
            ((5, 5), Some(4), Some(2)),
            ((5, 10), Some(11), Some(8)),
            ((8, 8), Some(15), Some(13)),
            ((10, 10), Some(27), Some(23)),
            ((12, 15), Some(55), Some(49)),
            ((20, 20), Some(138), Some(127)),
        ];
        for ((first, second), at_5_percent, at_2_5_percent) in table {
            let ours = (critical(first, second, 0.05), critical(first, second, 0.025));
            assert_eq!(ours, (at_5_percent, at_2_5_percent), "{first} and {second}");
            assert_eq!(critical(second, first, 0.05), at_5_percent);
        }
    }

    /// Permeability of membranes, from Hollander and Wolfe, Nonparametric Statistical Methods (1973), table 4.1: U =
    /// 35 of 50, one-sided p = .1272.
    #[test]
    fn a_worked_example_comes_out_as_in_the_book() {
        let term = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
        let weeks = [1.15, 0.88, 0.90, 0.74, 1.21];
        assert!((test(&weeks, &term, 0.0).unwrap().greater - 0.1272).abs() < 5e-5);
        assert!((test(&term, &weeks, 0.0).unwrap().less - 0.1272).abs() < 5e-5);
    }

    #[test]
    fn all_choices_are_counted() {
        assert_eq!(untied(5, 7).iter().sum::<f64>(), 792.0);
        assert_eq!(untied(5, 7).len(), 36);
        assert_eq!(untied(2, 1), [1.0, 1.0, 1.0]);
    }

    #[test]
    fn the_least_p_value_is_that_of_samples_that_do_not_overlap() {
        for (first, second) in [(5, 5), (5, 9), (12, 6)] {
            let low: Vec<f64> = (0..first).map(|i| i as f64).collect();
            let high: Vec<f64> = (0..second).map(|i| 100.0 + i as f64).collect();
            let p = test(&low, &high, 0.0).unwrap().greater;
            assert!((p / least(first, second) - 1.0).abs() < 1e-12, "{first} {second}: {p}");
        }
        assert_eq!(least(5, 5), 1.0 / 252.0);
    }

    #[test]
    fn samples_that_are_all_alike_say_nothing() {
        for n in [5, 500] {
            assert_eq!(test(&vec![1.0; n], &vec![1.0; n], 0.0).unwrap().two_sided(), 1.0);
        }
    }

    #[test]
    fn the_normal_distribution_takes_over_where_it_agrees() {
        let sample =
            |n: usize, by: f64| -> Vec<f64> { (0..n).map(|i| by + ((i * 37) % 101) as f64).collect() };
        let exact = test(&sample(31, 0.0), &sample(31, 12.0), 0.0).unwrap();
        let normal = test(&sample(32, 0.0), &sample(32, 12.0), 0.0).unwrap();
        assert!(is_exact(31, 31) && !is_exact(32, 32));
        assert!((exact.greater - normal.greater).abs() < 0.02, "{exact:?} {normal:?}");
        let many = test(&sample(100_000, 0.0), &sample(100_000, 1.0), 0.0).unwrap();
        assert!(
            many.greater < 1e-9
                && test(&sample(100_000, 0.0), &sample(100_000, 1.0), 1.0).unwrap().greater > 0.4
        );
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        assert!(test(&[], &[1.0], 0.0).is_err());
        assert!(test(&[1.0], &[], 0.0).is_err());
        assert!(test(&[1.0], &[f64::NAN], 0.0).is_err());
    }
}
