//! From what the kernel says of one counter to how much it has counted since the last look.
//!
//! More events than the CPU has counters take turns. The kernel then tells for how long an event was wanted and for how
//! long it was really counted (perf_event_open(2), PERF_FORMAT_TOTAL_TIME_ENABLED and _RUNNING), and each increase is
//! scaled by the proportion *of its interval*: so increases never fall below 0, and they add up to the total.

use std::time::Duration;

/// One reading. Of an inherited counter, the sums over all threads that had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Events counted.
    pub count: u64,
    /// For how long they were wanted, in nanoseconds.
    pub enabled: u64,
    /// For how long they were counted, in nanoseconds.
    pub running: u64,
}

/// What a counter has come to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// The first reading; `None` before it.
    first: Option<Reading>,
    /// Up to here it has been told.
    mark: Reading,
    last: Reading,
    /// All increases so far.
    sum: f64,
}

impl Tally {
    /// The increase to this reading; 0 for the first one, which is the baseline. What was wanted but not counted at all
    /// is told together with the next piece that was.
    pub fn to(&mut self, now: Reading) -> f64 {
        self.last = now;
        if self.first.is_none() {
            self.first = Some(now);
            self.mark = now;
            return 0.0;
        }
        let count = now.count.saturating_sub(self.mark.count) as f64;
        let enabled = now.enabled.saturating_sub(self.mark.enabled);
        let running = now.running.saturating_sub(self.mark.running);
        let increase = match (enabled, running) {
            // Some counters keep no times: that of the root cgroup, for one.
            (0, 0) => count,
            (_, 0) => return 0.0,
            (enabled, running) if enabled <= running => count,
            (enabled, running) => count * enabled as f64 / running as f64,
        };
        self.mark = now;
        self.sum += increase;
        increase
    }

    /// At the end: what was wanted since it was counted last, at the mean rate of the run.
    pub fn rest(&mut self) -> f64 {
        let told = self.mark.enabled.saturating_sub(self.first.unwrap_or_default().enabled);
        let untold = self.last.enabled.saturating_sub(self.mark.enabled);
        self.mark = self.last;
        if told == 0 { 0.0 } else { self.sum * untold as f64 / told as f64 }
    }

    /// For how long it was wanted and counted since the first reading.
    pub fn times(&self) -> Times {
        let first = self.first.unwrap_or_default();
        Times {
            enabled: self.last.enabled.saturating_sub(first.enabled),
            running: self.last.running.saturating_sub(first.running),
        }
    }
}

/// For how long an event was wanted and for how long it was counted, in nanoseconds; adds up over counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    enabled: u64,
    running: u64,
}

impl Times {
    /// For how long it was wanted. For an event of threads, the CPU time for which they were observed.
    pub fn enabled(&self) -> Duration {
        Duration::from_nanos(self.enabled)
    }

    /// The share of the time for which it was counted: all of it if it was not wanted at any time, for nothing ran;
    /// `None` if it was wanted and never counted.
    pub fn share(&self) -> Option<f64> {
        match (self.enabled, self.running) {
            (0, _) => Some(1.0),
            (_, 0) => None,
            (enabled, running) => Some((running as f64 / enabled as f64).min(1.0)),
        }
    }
}

impl std::ops::AddAssign for Times {
    fn add_assign(&mut self, other: Self) {
        self.enabled += other.enabled;
        self.running += other.running;
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
        assert_eq!(tally.to(at(1000, 10, 10)), 0.0);
        assert_eq!(tally.to(at(1005, 20, 20)), 5.0);
        assert_eq!(tally.times().share(), Some(1.0));
    }

    #[test]
    fn an_increase_is_scaled_by_its_own_interval() {
        let mut tally = Tally::default();
        tally.to(at(0, 0, 0));
        // Counted for half of the first interval, for all of the second.
        assert_eq!(tally.to(at(100, 1000, 500)), 200.0);
        assert_eq!(tally.to(at(200, 2000, 1500)), 100.0);
        assert_eq!(tally.times().share(), Some(0.75));
        assert_eq!(tally.rest(), 0.0);
    }

    #[test]
    fn what_was_not_counted_for_a_while_is_made_up_for_by_the_next_piece() {
        let mut tally = Tally::default();
        tally.to(at(0, 0, 0));
        assert_eq!(tally.to(at(0, 1000, 0)), 0.0);
        assert_eq!(tally.times().share(), None);
        assert_eq!(tally.to(at(10, 2000, 500)), 40.0);
        // And at the end by the mean rate.
        assert_eq!(tally.to(at(10, 3000, 500)), 0.0);
        assert_eq!(tally.rest(), 20.0);
        assert_eq!(tally.rest(), 0.0);
    }

    #[test]
    fn a_counter_without_times_counts_all_the_same() {
        let mut tally = Tally::default();
        tally.to(at(7, 0, 0));
        assert_eq!(tally.to(at(9, 0, 0)), 2.0);
        assert_eq!(tally.times().share(), Some(1.0));
        assert_eq!(tally.rest(), 0.0);
    }

    #[test]
    fn where_nothing_ran_nothing_is_missing() {
        let mut tally = Tally::default();
        tally.to(at(0, 0, 0));
        assert_eq!((tally.to(at(0, 0, 0)), tally.times().share()), (0.0, Some(1.0)));
    }

    #[test]
    fn a_counter_that_never_ran_is_not_zero_but_unknown() {
        let mut tally = Tally::default();
        tally.to(at(0, 0, 0));
        tally.to(at(0, 5000, 0));
        assert_eq!((tally.times().share(), tally.rest()), (None, 0.0));
    }

    proptest::proptest! {
        #[test]
        fn increases_are_finite_and_never_negative(readings in proptest::collection::vec(proptest::prelude::any::<(u32, u32, u32)>(), 1..20)) {
            let (mut tally, mut now) = (Tally::default(), Reading::default());
            for (count, enabled, running) in readings {
                now.count += u64::from(count);
                now.enabled += u64::from(enabled);
                now.running += u64::from(running.min(enabled));
                let increase = tally.to(now);
                proptest::prop_assert!(increase.is_finite() && increase >= 0.0);
            }
            let rest = tally.rest();
            proptest::prop_assert!(rest.is_finite() && rest >= 0.0);
        }
    }
}
