//! From a counter's raw readings to its increases.

/// The increase of a software counter from one reading to the next.
///
/// A reading below the last one counts as no increase and does not lower the mark: counters that the kernel sums over
/// CPUs or processes without a lock may step back for a moment (proc(5) says so of `iowait`), and nothing is counted
/// twice when they recover. Hardware counters that wrap need a rule of their own.
///
/// ```
/// let mut faults = alumet::Increase::from(100);
/// assert_eq!([faults.to(130), faults.to(129), faults.to(140)], [30, 0, 10]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Increase {
    mark: u64,
}

impl From<u64> for Increase {
    /// The next reading is compared with `reading`.
    fn from(reading: u64) -> Self {
        Self { mark: reading }
    }
}

impl Increase {
    /// The highest reading so far.
    pub fn mark(&self) -> u64 {
        self.mark
    }

    /// The increase to this reading.
    pub fn to(&mut self, reading: u64) -> u64 {
        let increase = reading.saturating_sub(self.mark);
        self.mark += increase;
        increase
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_increase_is_from_the_mark_on_and_never_negative() {
        let mut increase = Increase::from(7);
        assert_eq!(increase.mark(), 7);
        assert_eq!([9, 9, 5, 12].map(|reading| increase.to(reading)), [2, 0, 0, 3]);
        assert_eq!(increase.mark(), 12);
    }
}
