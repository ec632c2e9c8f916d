//! The p-values of a test in both directions, from the distribution that its statistic has if nothing differs.

use statrs::distribution::{ContinuousCDF, Normal};

/// How probable what was seen, or something more extreme, is under the null hypothesis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tails {
    /// P(statistic ≤ observed): small when the values are lower than the null hypothesis has it.
    pub less: f64,
    /// P(statistic ≥ observed): small when the values are higher.
    pub greater: f64,
}

impl Tails {
    /// From the whole null distribution: `weights[s]` is proportional to P(statistic = s).
    pub(super) fn exact(weights: &[f64], observed: usize) -> Self {
        let all: f64 = weights.iter().sum();
        let less = weights[..=observed].iter().sum::<f64>() / all;
        let greater = weights[observed..].iter().sum::<f64>() / all;
        Self { less: less.min(1.0), greater: greater.min(1.0) }
    }

    /// From the normal distribution with this mean and variance, corrected for continuity by half a rank.
    pub(super) fn normal(observed: f64, mean: f64, variance: f64) -> Self {
        if variance <= 0.0 {
            return Self { less: 1.0, greater: 1.0 };
        }
        let (distance, deviation) = (observed - mean, variance.sqrt());
        let standard = Normal::standard();
        Self {
            less: standard.cdf((distance + 0.5) / deviation),
            greater: standard.sf((distance - 0.5) / deviation),
        }
    }

    /// The p-value in either direction: twice the smaller one, at most 1.
    pub fn two_sided(self) -> f64 {
        (2.0 * self.less.min(self.greater)).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tails_hold_what_was_observed() {
        let tails = Tails::exact(&[1.0, 2.0, 1.0], 1);
        assert_eq!((tails.less, tails.greater, tails.two_sided()), (0.75, 0.75, 1.0));
        let tails = Tails::exact(&[1.0, 2.0, 1.0], 2);
        assert_eq!((tails.less, tails.greater, tails.two_sided()), (1.0, 0.25, 0.5));
    }

    #[test]
    fn a_normal_tail_starts_half_a_rank_before_the_observed_one() {
        let tails = Tails::normal(2.46, 0.0, 1.0);
        assert!((tails.greater - 0.025).abs() < 1e-4, "{tails:?}");
        assert_eq!(Tails::normal(0.0, 0.0, 0.0).two_sided(), 1.0);
    }
}
