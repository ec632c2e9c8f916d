//! From what the kernel says of one counter to what it has counted.
//!
//! More events than the CPU has counters take turns. The kernel then tells for how long an event was wanted and for how
//! long it was really counted (perf_event_open(2), PERF_FORMAT_TOTAL_TIME_ENABLED and _RUNNING). [`turns`](crate::turns)
//! says what share of the time that is.

use std::ops::AddAssign;

/// One reading, or what has come since an earlier one. Of an inherited counter, the sums over all threads that had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Events counted.
    pub count: u64,
    /// For how long they were wanted, in nanoseconds.
    pub enabled: u64,
    /// For how long they were counted, in nanoseconds.
    pub running: u64,
}

impl Reading {
    fn since(self, earlier: Self) -> Self {
        Self {
            count: self.count.saturating_sub(earlier.count),
            enabled: self.enabled.saturating_sub(earlier.enabled),
            running: self.running.saturating_sub(earlier.running),
        }
    }
}

impl AddAssign for Reading {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.enabled += other.enabled;
        self.running += other.running;
    }
}

/// What a counter has come to since its first reading, which is the baseline.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    first: Option<Reading>,
    last: Reading,
}

impl Tally {
    /// Takes up a reading.
    pub fn to(&mut self, now: Reading) {
        self.first.get_or_insert(now);
        self.last = now;
    }

    /// Everything since the first reading.
    pub fn total(&self) -> Reading {
        self.last.since(self.first.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(count: u64, enabled: u64, running: u64) -> Reading {
        Reading { count, enabled, running }
    }

    #[test]
    fn the_first_reading_is_the_baseline() {
        let mut tally = Tally::default();
        assert_eq!(tally.total(), Reading::default());
        tally.to(at(1000, 10, 10));
        assert_eq!(tally.total(), Reading::default());
        tally.to(at(1005, 25, 22));
        tally.to(at(1012, 35, 31));
        assert_eq!(tally.total(), at(12, 25, 21));
    }

    #[test]
    fn readings_of_threads_add_up() {
        let mut sum = at(1, 20, 300);
        sum += at(4000, 50_000, 600_000);
        assert_eq!(sum, at(4001, 50_020, 600_300));
    }
}
