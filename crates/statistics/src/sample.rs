//! The numbers that every room here starts from: what they must be, their logarithms, their median, their ranks.

/// Why numbers cannot be judged.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Invalid {
    /// Too few numbers for what was asked.
    #[error("there are {got} runs, but at least {needed} are needed")]
    TooFew {
        /// How many there are.
        got: usize,
        /// How many it takes.
        needed: usize,
    },
    /// Infinite, or not a number.
    #[error("run {run} has the value {value}, which is not a finite number")]
    NotFinite {
        /// Counted from 1.
        run: usize,
        /// Its value.
        value: f64,
    },
    /// Zero or negative, where a ratio is asked for.
    #[error("run {run} has the value {value}: ratios need values above 0")]
    NotPositive {
        /// Counted from 1.
        run: usize,
        /// Its value.
        value: f64,
    },
    /// Two versions with different numbers of runs, where pairs are asked for.
    #[error("{first} runs of the one and {second} runs of the other are no pairs")]
    Unpaired {
        /// Runs of the first version.
        first: usize,
        /// Runs of the second version.
        second: usize,
    },
    /// Finite numbers whose squares or sums are not.
    #[error("the values are too large to be summed")]
    TooLarge,
    /// A setting outside of what it may be.
    #[error("{name} is {value}, but must be {range}")]
    Setting {
        /// What was set.
        name: &'static str,
        /// To what.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
}

/// Two logarithms of ratios that differ by no more are equal: what rounding does to a ratio and its logarithm, and to
/// the difference of two of them, is less (each errs by half a unit in the last place), and a single count of 10¹² is
/// more.
pub const TIE: f64 = 8.0 * f64::EPSILON;

/// Accepts at least `needed` numbers that are all finite.
pub fn finite(values: &[f64], needed: usize) -> Result<(), Invalid> {
    if values.len() < needed {
        return Err(Invalid::TooFew { got: values.len(), needed });
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(Invalid::NotFinite { run: at + 1, value: values[at] }),
        None => Ok(()),
    }
}

/// Accepts at least `needed` numbers that are all finite and above 0.
pub fn positive(values: &[f64], needed: usize) -> Result<(), Invalid> {
    finite(values, needed)?;
    match values.iter().position(|value| *value <= 0.0) {
        Some(at) => Err(Invalid::NotPositive { run: at + 1, value: values[at] }),
        None => Ok(()),
    }
}

/// Accepts a probability strictly between 0 and 1.
pub fn probability(name: &'static str, value: f64) -> Result<(), Invalid> {
    if value > 0.0 && value < 1.0 {
        return Ok(());
    }
    Err(Invalid::Setting { name, value, range: "above 0 and below 1" })
}

/// `ln x` of each, all in the same unit: that of the first. The logarithms of large numbers would be large, and their
/// differences less exact than the numbers.
pub fn logarithms(first: &[f64], second: &[f64]) -> Result<[Vec<f64>; 2], Invalid> {
    positive(first, 1)?;
    positive(second, 1)?;
    let unit = first[0];
    Ok([first, second].map(|values| values.iter().map(|value| log_ratio(unit, *value)).collect()))
}

/// `ln (second / first)`.
fn log_ratio(first: f64, second: f64) -> f64 {
    // Equal ratios must become equal logarithms, which the difference of two logarithms does not promise.
    let ratio = second / first;
    if ratio.is_normal() { ratio.ln() } else { second.ln() - first.ln() }
}

/// `ln (second / first)` of each pair.
pub fn log_ratios(first: &[f64], second: &[f64]) -> Result<Vec<f64>, Invalid> {
    positive(first, 1)?;
    positive(second, 1)?;
    if first.len() != second.len() {
        return Err(Invalid::Unpaired { first: first.len(), second: second.len() });
    }
    Ok(first.iter().zip(second).map(|(a, b)| log_ratio(*a, *b)).collect())
}

/// The numbers in ascending order.
pub fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// The median of numbers in ascending order, of which there is at least one.
pub fn median(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { 0.5 * sorted[half - 1] + 0.5 * sorted[half] }
}

/// Ranks counted from 1, in integers.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranks {
    /// For each number its rank, in units.
    pub ranks: Vec<usize>,
    /// The unit: 1, or ½ where an even number of equal numbers share the mean of their ranks.
    pub unit: f64,
}

/// The ranks of the numbers, of which equal ones (see [`TIE`]) share the mean of theirs (midranks).
pub fn ranks(values: &[f64]) -> Ranks {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0; values.len()];
    let mut before = 0;
    for tied in order.chunk_by(|a, b| values[*b] - values[*a] <= TIE) {
        for at in tied {
            ranks[*at] = 2 * before + 1 + tied.len();
        }
        before += tied.len();
    }
    if ranks.iter().any(|doubled| doubled % 2 == 1) {
        return Ranks { ranks, unit: 0.5 };
    }
    ranks.iter_mut().for_each(|doubled| *doubled /= 2);
    Ranks { ranks, unit: 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_share_the_mean_of_their_ranks() {
        assert_eq!(ranks(&[3.0, 1.0, 2.0]), Ranks { ranks: vec![3, 1, 2], unit: 1.0 });
        assert_eq!(ranks(&[5.0, 1.0, 5.0, 0.0, 5.0]), Ranks { ranks: vec![4, 2, 4, 1, 4], unit: 1.0 });
        assert_eq!(ranks(&[5.0, 1.0, 5.0, 0.0]), Ranks { ranks: vec![7, 4, 7, 2], unit: 0.5 });
        assert_eq!(ranks(&[0.0, -0.0]).unit, 0.5);
        assert_eq!(ranks(&[1.1_f64.ln(), -(1.0 / 1.1_f64).ln()]).unit, 0.5, "but for rounding errors");
    }

    #[test]
    fn equal_ratios_have_equal_logarithms_whatever_their_size() {
        let ratios = log_ratios(&[1.0, 3.0, 1e300, 1e-300], &[1.1, 3.3, 1.1e300, 1.1e-300]).unwrap();
        assert!(ratios.iter().all(|ratio| (ratio - 1.1_f64.ln()).abs() < 1e-15), "{ratios:?}");
        assert_eq!(log_ratios(&[2.0, 5.0], &[4.0, 10.0]).unwrap(), [2f64.ln(); 2]);
        assert_eq!(log_ratios(&[0.3], &[0.3]).unwrap(), [0.0]);
        let extreme = log_ratios(&[1e-300], &[1e300]).unwrap()[0];
        assert!((extreme - 600.0 * 10f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn what_is_no_number_is_named_with_its_run() {
        assert_eq!(finite(&[], 1), Err(Invalid::TooFew { got: 0, needed: 1 }));
        let error = finite(&[1.0, f64::INFINITY], 1).unwrap_err();
        assert_eq!(error.to_string(), "run 2 has the value inf, which is not a finite number");
        assert_eq!(positive(&[1.0, 0.0], 1), Err(Invalid::NotPositive { run: 2, value: 0.0 }));
        assert_eq!(log_ratios(&[1.0], &[1.0, 2.0]).unwrap_err(), Invalid::Unpaired { first: 1, second: 2 });
        assert!(matches!(log_ratios(&[f64::NAN], &[1.0]), Err(Invalid::NotFinite { run: 1, .. })));
        assert!(probability("level", f64::NAN).is_err());
    }
}
