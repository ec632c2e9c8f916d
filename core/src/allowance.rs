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
    /// A reading has taken longer than `cheap`, by the clock: since then it is looked how much CPU time each takes. To ask
    /// for that is a system call, which cheap readings are spared. The first reading, for the baseline, never counts.
    is_watched: bool,
    /// When the last reading that was not cheap ended, and what it took.
    last: Option<(Time, Duration)>,
}

/// A reading has begun then: by the clock, and by the CPU time of the thread if that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun(Time, Option<Duration>);

impl Default for Allowance {
    fn default() -> Self {
        Self::new(Duration::from_millis(10), 10)
    }
}

impl Allowance {
    /// A reading that takes more than `cheap` is followed by none for `times` as long as it took.
    pub const fn new(cheap: Duration, times: u32) -> Self {
        Self { cheap, times, is_watched: false, last: None }
    }

    /// A reading begins, unless it is too early for one. Returns what [`Self::end`] wants to know.
    pub fn begin(&self) -> Option<Begun> {
        self.begin_after(self.times)
    }

    /// The same, where it is too early until `times` as long as the last reading took have passed.
    pub fn begin_after(&self, times: u32) -> Option<Begun> {
        let now = RealClock.now();
        (!self.is_early(now, times)).then(|| Begun(now, self.is_watched.then(thread_cpu)))
    }

    fn is_early(&self, now: Time, times: u32) -> bool {
        self.last.is_some_and(|(ended, cost)| now < ended + cost * times)
    }

    /// The reading that began with this has ended.
    pub fn end(&mut self, Begun(time, cpu): Begun) {
        let now = RealClock.now();
        self.note(now, now.since(time), cpu.map(|cpu| thread_cpu().saturating_sub(cpu)));
    }

    /// A reading has ended that took so long, and so much CPU time if that was looked at.
    fn note(&mut self, ended: Time, took: Duration, cost: Option<Duration>) {
        self.is_watched |= took > self.cheap;
        if let Some(cost) = cost.filter(|cost| *cost > self.cheap) {
            self.last = Some((ended, cost));
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

    fn spend(cost: Duration) {
        let end = thread_cpu() + cost;
        while thread_cpu() < end {}
    }

    fn readings(cost: Duration) -> usize {
        let (mut allowance, mut n) = (Allowance::default(), 0);
        for _ in 0..20 {
            let Some(begun) = allowance.begin() else { continue };
            n += 1;
            spend(cost);
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
    fn a_reading_that_takes_long_only_because_it_waits_is_no_costly_one() {
        let mut allowance = Allowance::default();
        for _ in 0..3 {
            let begun = allowance.begin().unwrap();
            std::thread::sleep(Duration::from_millis(11));
            allowance.end(begun);
        }
        assert_eq!(allowance.last, None);
    }

    #[test]
    fn a_costly_reading_is_followed_by_none_for_so_many_times_as_long() {
        let mut allowance = Allowance::new(Duration::ZERO, 100);
        for _ in 0..2 {
            let begun = allowance.begin().unwrap();
            spend(Duration::from_millis(20));
            allowance.end(begun);
        }
        assert_eq!(allowance.begin(), None);
        // Whatever the machine does meanwhile, one that may come sooner comes first.
        while allowance.begin_after(1).is_none() {}
        let (ended, cost) = allowance.last.unwrap();
        let waited = RealClock.now().since(ended);
        assert!(waited >= cost && cost >= Duration::from_millis(20), "{waited:?} {cost:?}");
    }

    #[test]
    fn it_is_too_early_until_exactly_so_many_times_as_long_have_passed() {
        let (at, ms) = (|ms: u64| Time::from_nanos(ms * 1_000_000), Duration::from_millis);
        let mut allowance = Allowance::new(ms(10), 10);
        allowance.note(at(900), ms(10), None);
        assert!(!allowance.is_watched && !allowance.is_early(at(900), 10));
        allowance.note(at(1000), ms(11), None);
        allowance.note(at(1000), ms(10), Some(ms(10)));
        assert!(allowance.is_watched && !allowance.is_early(at(1000), 10), "it was cheap");
        allowance.note(at(1000), ms(30), Some(ms(20)));
        let early = [1000, 1199, 1200].map(|now| allowance.is_early(at(now), 10));
        assert_eq!(early, [true, true, false]);
        assert!(allowance.is_early(at(1039), 2) && !allowance.is_early(at(1040), 2));
        // A cheap one after it changes nothing.
        allowance.note(at(1300), ms(10), Some(ms(10)));
        assert!(allowance.is_watched && !allowance.is_early(at(1300), 10));
    }
}
