//! Notices that the later runs of a session cost more or less than the earlier ones: heat, frequency, a busier
//! machine.
//!
//! The first half of the runs is compared with the second half by the rank-sum test in both directions; of an odd
//! number the run in the middle is left out. Runs that are independent and do not drift are noticed in at most
//! [`FALSE_NOTICES`] of all sessions. It takes ten runs: of fewer, no order is as rare as that.

use super::sample::{self, Invalid};
use super::{hodges_lehmann, rank_sum};

/// The p-value from which on a drift is noticed, hence how often one is noticed that is none.
pub const FALSE_NOTICES: f64 = 0.01;

/// A drift over a session.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drift {
    /// How the second half differs from the first half: its ratio - 1 (Hodges and Lehmann's shift of the logarithms).
    /// A linear drift from the first run to the last is twice as large.
    pub change: f64,
    /// The two-sided p-value.
    pub p: f64,
}

/// The drift of runs in the order in which they ran, if there is one to notice.
pub fn notice(runs: &[f64]) -> Result<Option<Drift>, Invalid> {
    sample::positive(runs, 1)?;
    let half = runs.len() / 2;
    if half == 0 {
        return Ok(None);
    }
    let [first, second] = sample::logarithms(&runs[..half], &runs[runs.len() - half..])?;
    let p = rank_sum::test(&first, &second, 0.0)?.two_sided();
    if p > FALSE_NOTICES {
        return Ok(None);
    }
    let change = hodges_lehmann::shift(&first, &second, 0.95)?.value.exp_m1();
    Ok(Some(Drift { change, p }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drift_is_noticed_with_its_size() {
        let runs: Vec<f64> = (0..21).map(|run| 100.0 * 1.002f64.powi(run)).collect();
        let drift = notice(&runs).unwrap().unwrap();
        // From the middle of one half to the middle of the other: eleven runs.
        assert!((drift.change - (1.002f64.powi(11) - 1.0)).abs() < 1e-9, "{drift:?}");
        let cooling: Vec<f64> = runs.iter().rev().copied().collect();
        assert!(notice(&cooling).unwrap().unwrap().change < 0.0);
    }

    #[test]
    fn runs_in_no_order_and_fewer_than_ten_are_not_noticed() {
        assert_eq!(notice(&[5.0, 1.0, 4.0, 2.0, 3.0, 3.5, 2.5, 4.5, 1.5, 5.5]), Ok(None));
        assert_eq!(notice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]), Ok(None));
        assert!(notice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]).unwrap().is_some());
        assert_eq!(notice(&[1.0]), Ok(None));
        assert!(notice(&[]).is_err());
        assert!(notice(&[1.0, -1.0]).is_err());
    }
}
