//! A counter that has counted and then stands still for longer than what it counts can.

use std::time::Duration;

use crate::time::Time;

/// Nothing that is on rests for so long: a counter of its energy that stands still has stopped to work.
const LONGEST_REST: Duration = Duration::from_secs(2);

/// For how long a counter stood still that cannot. Of one that has never moved nothing is known: it may be none at all, or
/// coarser than what was used.
///
/// ```
/// use std::time::Duration;
/// use alumet::{Standstill, Time};
///
/// let second = |n: u64| Time::from_nanos(n * 1_000_000_000);
/// let mut standstill = Standstill::default();
/// standstill.see(true, second(1));
/// (2..=4).for_each(|n| standstill.see(false, second(n)));
/// assert_eq!(standstill.length(), Duration::from_secs(3));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Standstill {
    /// The last reading that showed an advance, and the last at all since then.
    rest: Option<(Time, Time)>,
    /// Of all rests that were too long.
    sum: Duration,
    /// Whether the counter may have steps of any size, and so far: how often it has advanced, and after which longest time.
    steps: Option<(u32, Duration)>,
}

impl Standstill {
    /// So many advances show how far apart they are.
    const ADVANCES: u32 = 5;
    /// What is used may become so many times less.
    const TIMES: u32 = 10;

    /// Of a counter whose steps may be large: it rests too long if that is ten times as long as ever before.
    pub fn of_steps() -> Self {
        Self { steps: Some((0, Duration::ZERO)), ..Self::default() }
    }

    /// It was read now, and stood higher than before or not.
    pub fn see(&mut self, has_advanced: bool, now: Time) {
        let Some((since, until)) = &mut self.rest else {
            self.rest = has_advanced.then_some((now, now));
            return;
        };
        if !has_advanced {
            *until = now;
            return;
        }
        let since = *since;
        self.sum = self.length();
        self.rest = Some((now, now));
        if let Some((advances, longest)) = &mut self.steps {
            *advances += 1;
            *longest = now.since(since).max(*longest);
        }
    }

    /// What comes now is not to be compared with what was.
    pub fn interrupt(&mut self) {
        self.sum = self.length();
        self.rest = None;
    }

    /// For how long it stood still, all in all.
    pub fn length(&self) -> Duration {
        let rest = self.rest.map_or(Duration::ZERO, |(since, until)| until.since(since));
        let limit = match self.steps {
            None => LONGEST_REST,
            Some((advances, _)) if advances < Self::ADVANCES => Duration::MAX,
            Some((_, longest)) => LONGEST_REST.max(longest * Self::TIMES),
        };
        self.sum + if rest >= limit { rest } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was seen at which millisecond.
    fn seen(mut standstill: Standstill, readings: &[(u64, bool)]) -> u128 {
        for (millis, has_advanced) in readings {
            standstill.see(*has_advanced, Time::from_nanos(millis * 1_000_000));
        }
        standstill.length().as_millis()
    }

    #[test]
    fn a_counter_that_has_counted_rests_for_less_than_two_seconds() {
        let plain = Standstill::default;
        assert_eq!(seen(plain(), &[]), 0);
        assert_eq!(seen(plain(), &[(0, true), (1999, false)]), 0, "it may be late");
        assert_eq!(seen(plain(), &[(0, true), (1000, false), (2000, false)]), 2000);
        assert_eq!(seen(plain(), &[(0, false), (9000, false)]), 0, "it has never counted");
        assert_eq!(seen(plain(), &[(0, false), (500, true), (3500, false)]), 3000);
    }

    #[test]
    fn rests_add_up_and_what_ends_one_is_not_in_it() {
        let readings = [(0, true), (2000, false), (5000, true), (6000, true), (9000, false)];
        assert_eq!(seen(Standstill::default(), &readings), 2000 + 3000);
    }

    #[test]
    fn an_interruption_ends_a_rest() {
        let mut standstill = Standstill::default();
        let second = |n: u64| Time::from_nanos(n * 1_000_000_000);
        standstill.see(true, second(0));
        standstill.see(false, second(3));
        standstill.interrupt();
        standstill.see(false, second(20));
        assert_eq!(standstill.length(), Duration::from_secs(3));
    }

    #[test]
    fn a_counter_of_large_steps_rests_too_long_if_it_never_did_so_long() {
        let steps = |every: u64, advances: u64, rest: u64| {
            let mut readings: Vec<_> = (0..=advances).map(|n| (n * every, true)).collect();
            readings.push((advances * every + rest, false));
            seen(Standstill::of_steps(), &readings)
        };
        assert_eq!([steps(1000, 5, 9999), steps(1000, 5, 10_000)], [0, 10_000]);
        assert_eq!([steps(100, 5, 1999), steps(100, 5, 2000)], [0, 2000]);
        assert_eq!(steps(100, 4, 60_000), 0, "too few to know");
    }
}
