//! What a source may spend: a reading of thousands of files or counters is made less often, whatever the interval.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::time::{Clock, RealClock, Time};

/// Keeps readings that are not cheap to a share of the time: those that take more than 10 ms of CPU time to a tenth of it,
/// unless said otherwise. Counters lose nothing by that: their next increase covers the readings that were left out.
#[derive(Debug)]
pub struct Allowance {
    cheap: Duration,
    times: u32,
    has_begun: bool,
    /// When the last reading that was not cheap ended, and what it took.
    last: Option<(Time, Duration)>,
}

impl Default for Allowance {
    fn default() -> Self {
        Self::new(Duration::from_millis(10), 10)
    }
}

impl Allowance {
    /// A reading that takes more than `cheap` is followed by none for `times` as long as it took.
    pub const fn new(cheap: Duration, times: u32) -> Self {
        Self { cheap, times, has_begun: false, last: None }
    }

    /// A reading begins, unless it is too early for one. Returns what [`Self::end`] wants to know.
    pub fn begin(&self) -> Option<Duration> {
        self.begin_after(self.times)
    }

    /// The same, where it is too early until `times` as long as the last reading took have passed.
    pub fn begin_after(&self, times: u32) -> Option<Duration> {
        let is_early = |(ended, cost): (Time, Duration)| RealClock.now() < ended + cost * times;
        (!self.last.is_some_and(is_early)).then(thread_cpu)
    }

    /// The reading that began with this has ended. The first one, for the baseline, does not count.
    pub fn end(&mut self, begun: Duration) {
        let cost = thread_cpu().saturating_sub(begun);
        if std::mem::replace(&mut self.has_begun, true) && cost > self.cheap {
            self.last = Some((RealClock.now(), cost));
        }
    }
}

/// CPU time and not real time: on a busy machine, a cheap reading may take long.
fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("this clock is part of Linux").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(cost: Duration) -> usize {
        let (mut allowance, mut n) = (Allowance::default(), 0);
        for _ in 0..20 {
            let Some(begun) = allowance.begin() else { continue };
            n += 1;
            while thread_cpu() < begun + cost {}
            allowance.end(begun);
        }
        n
    }

    #[test]
    fn a_cheap_reading_is_always_made_and_a_costly_one_seldom() {
        assert_eq!(readings(Duration::ZERO), 20);
        assert_eq!(readings(Duration::from_millis(20)), 2);
    }

    #[test]
    fn a_costly_reading_is_followed_by_none_for_so_many_times_as_long() {
        let mut allowance = Allowance::new(Duration::ZERO, 100);
        for _ in 0..2 {
            let begun = thread_cpu();
            while thread_cpu() < begun + Duration::from_millis(20) {}
            allowance.end(begun);
        }
        assert_eq!(allowance.begin(), None);
        // Whatever the machine does meanwhile, one that may come sooner comes first.
        while allowance.begin_after(1).is_none() {}
        let (ended, cost) = allowance.last.unwrap();
        let waited = RealClock.now().since(ended);
        assert!(waited >= cost && cost >= Duration::from_millis(20), "{waited:?} {cost:?}");
    }
}
