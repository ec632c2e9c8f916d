//! Time as the pipeline knows it: CLOCK_MONOTONIC everywhere, and one wall-clock anchor per run.
//!
//! A stepping wall clock changes nothing: timestamps are the anchor plus monotonic time, and the time for which the machine
//! was suspended meanwhile.

use std::fmt::Debug;
use std::ops::Add;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// An instant of the clock of a run, in nanoseconds; for the real clock, CLOCK_MONOTONIC (clock_gettime(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// `nanos` nanoseconds after the clock's zero.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's zero.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this; zero if it is not earlier.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The instant halfway to `later`.
    pub const fn middle(self, later: Self) -> Self {
        Self(self.0 + later.0.saturating_sub(self.0) / 2)
    }
}

impl Add<Duration> for Time {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// The start mark of a run: the same instant on the monotonic and on the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// On the run's clock.
    pub time: Time,
    /// On the wall clock.
    pub wall: SystemTime,
}

impl Anchor {
    /// Now, on both clocks. A thread that is interrupted between reading the one and the other tries again, a few times.
    pub(crate) fn now(clock: &dyn Clock) -> Self {
        const CLOSE: Duration = Duration::from_micros(10);
        let mut best = (Duration::MAX, Self { time: clock.now(), wall: clock.wall() });
        for _ in 0..5 {
            let (before, wall, after) = (clock.now(), clock.wall(), clock.now());
            let apart = after.since(before);
            if apart < best.0 {
                best = (apart, Self { time: before.middle(after), wall });
            }
            if apart < CLOSE {
                break;
            }
        }
        best.1
    }

    /// Nanoseconds from the start mark to `time`; 0 for a time before it.
    pub fn nanos(&self, time: Time) -> u64 {
        time.0.saturating_sub(self.time.0)
    }

    /// Nanoseconds from the Unix epoch to `time`, on the wall clock as it was at the start mark, in a run without a suspend:
    /// [`Batch::unix_nanos`](crate::Batch::unix_nanos) knows of those.
    pub fn unix_nanos(&self, time: Time) -> u64 {
        let start = self.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(start.as_nanos()).unwrap_or(u64::MAX).saturating_add(self.nanos(time))
    }
}

/// How long the machine had been suspended, and when that was seen first: the state at the start mark, then each suspend
/// of the run.
#[derive(Debug, Default)]
pub(crate) struct Suspends(RwLock<Vec<(Time, Duration)>>);

impl Suspends {
    /// The two clocks that tell are not read at the same instant.
    const SHORTEST: Duration = Duration::from_millis(1);

    /// At `now` it has been suspended for so long since it booted.
    pub(crate) fn note(&self, now: Time, suspended: Duration) {
        let is_news = |seen: &[(Time, Duration)]| {
            seen.last().is_none_or(|(_, last)| suspended >= *last + Self::SHORTEST)
        };
        if !is_news(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Another sampler may have been faster.
        if is_news(&seen) {
            let since = seen.last().map_or(now, |(time, _)| now.max(*time));
            seen.push((since, suspended));
        }
    }

    /// For how long between the start mark and `time`.
    pub(crate) fn until(&self, time: Time) -> Duration {
        let seen = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let before = seen.iter().rev().find(|(since, _)| *since <= time);
        let at_start = seen.first().map(|(_, suspended)| *suspended);
        before
            .zip(at_start)
            .map_or(Duration::ZERO, |((_, suspended), at_start)| suspended.saturating_sub(at_start))
    }
}

/// Where the pipeline takes its time from. There is the [`RealClock`], and for tests a
/// [`ManualClock`](crate::testing::ManualClock).
pub trait Clock: Send + Sync + Debug {
    /// Now.
    fn now(&self) -> Time;

    /// Now, on the wall clock.
    fn wall(&self) -> SystemTime;

    /// How long the machine has been suspended since it booted.
    fn suspended(&self) -> Duration {
        Duration::ZERO
    }

    /// Sleeps until `deadline` or until the bell rings, whichever is first; without a deadline until the bell rings.
    fn sleep(&self, bell: &Arc<Bell>, deadline: Option<Time>);

    /// A thread that will sleep on this clock is about to start.
    fn enter(&self) {}

    /// Such a thread has ended.
    fn leave(&self) {}
}

/// The kernel's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealClock;

fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).expect("this clock is part of Linux").into()
}

impl Clock for RealClock {
    fn now(&self) -> Time {
        Time::default() + read(ClockId::CLOCK_MONOTONIC)
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    /// CLOCK_BOOTTIME runs on during a suspend, CLOCK_MONOTONIC does not (clock_gettime(2)).
    fn suspended(&self) -> Duration {
        // A thread that is interrupted between the two sees less: the most is right.
        let once = |_| read(ClockId::CLOCK_BOOTTIME).saturating_sub(read(ClockId::CLOCK_MONOTONIC));
        (0..3).map(once).max().unwrap_or_default()
    }

    /// The condition variable waits on a futex with an absolute CLOCK_MONOTONIC timeout, so waking is one system call
    /// and the schedule does not drift.
    fn sleep(&self, bell: &Arc<Bell>, deadline: Option<Time>) {
        let mut rung = bell.lock();
        while !*rung {
            match deadline.map(|deadline| deadline.since(self.now())) {
                Some(Duration::ZERO) => break,
                Some(left) => {
                    rung = bell.changed.wait_timeout(rung, left).unwrap_or_else(PoisonError::into_inner).0;
                }
                None => rung = bell.changed.wait(rung).unwrap_or_else(PoisonError::into_inner),
            }
        }
        *rung = false;
    }
}

/// Wakes a sleeping sampler before its time.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Mutex<bool>,
    pub(crate) changed: Condvar,
}

impl Bell {
    /// Wakes the sleeper; if nobody sleeps, the next sleep ends at once.
    pub fn ring(&self) {
        *self.lock() = true;
        self.changed.notify_all();
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, bool> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_the_start_mark_is_at_it() {
        let anchor = Anchor { time: Time::from_nanos(50), wall: UNIX_EPOCH + Duration::from_secs(1) };
        assert_eq!(anchor.nanos(Time::from_nanos(20)), 0);
        assert_eq!(anchor.unix_nanos(Time::from_nanos(57)), 1_000_000_007);
    }

    #[test]
    fn a_rung_bell_ends_the_next_sleep_at_once() {
        let bell = Arc::new(Bell::default());
        bell.ring();
        RealClock.sleep(&bell, None);
        assert!(!*bell.lock());
    }

    #[test]
    fn a_sleep_does_not_end_before_its_deadline() {
        let deadline = RealClock.now() + Duration::from_millis(3);
        RealClock.sleep(&Arc::new(Bell::default()), Some(deadline));
        assert!(RealClock.now() >= deadline);
    }

    #[test]
    fn a_suspend_counts_from_when_it_was_seen_and_what_is_too_short_is_the_clocks_jitter() {
        let (at, ms) = (|ms: u64| Time::from_nanos(ms * 1_000_000), Duration::from_millis);
        let suspends = Suspends::default();
        assert_eq!(suspends.until(at(9)), ms(0), "nothing is known");
        suspends.note(at(10), ms(5000));
        suspends.note(at(20), ms(5000) + Duration::from_micros(999));
        suspends.note(at(30), ms(5001));
        // A sampler that was at an earlier instant and comes later.
        suspends.note(at(25), ms(5300));
        suspends.note(at(40), ms(4000));
        let until = [5, 10, 29, 30, 90].map(|time| suspends.until(at(time)));
        assert_eq!(until, [0, 0, 0, 300, 300].map(ms));
    }

    /// A clock whose readings are scripted: each call takes the next.
    #[derive(Debug)]
    struct Scripted(Mutex<Vec<u64>>);

    impl Clock for Scripted {
        fn now(&self) -> Time {
            Time::from_nanos(self.0.lock().unwrap().remove(0))
        }

        fn wall(&self) -> SystemTime {
            UNIX_EPOCH + Duration::from_nanos(self.0.lock().unwrap().remove(0))
        }

        fn sleep(&self, _: &Arc<Bell>, _: Option<Time>) {}
    }

    #[test]
    fn the_anchor_is_where_both_clocks_were_read_closest_together() {
        // The first readings, which are not used; then before, wall clock, after.
        let rounds =
            [[100_000, 5, 150_000], [200_000, 6, 220_000], [300_000, 7, 330_000], [400_000, 8, 450_000]];
        let script = |rounds: &[[u64; 3]]| Scripted(Mutex::new([&[0, 0], rounds.as_flattened()].concat()));
        let nanos = |anchor: Anchor| (anchor.time.as_nanos(), anchor.unix_nanos(anchor.time));
        let far = [[500_000, 9, 550_000]];
        assert_eq!(nanos(Anchor::now(&script(&[&rounds[..], &far].concat()))), (210_000, 6));
        // Of two that are equally close the first one is it.
        let equal = [[500_000, 9, 520_000]];
        assert_eq!(nanos(Anchor::now(&script(&[&rounds[..], &equal].concat()))), (210_000, 6));
        // Once they were close, no more is read.
        let close = [[500_000, 9, 500_002]];
        assert_eq!(nanos(Anchor::now(&script(&[&rounds[..1], &close].concat()))), (500_001, 9));
    }

    #[test]
    fn a_clock_that_knows_of_no_suspend_was_never_suspended() {
        assert_eq!(Scripted(Mutex::default()).suspended(), Duration::ZERO);
    }

    #[test]
    fn the_real_clock_knows_for_how_long_the_machine_was_suspended() {
        let apart = || read(ClockId::CLOCK_BOOTTIME).saturating_sub(read(ClockId::CLOCK_MONOTONIC));
        let (before, told) = ((0..10).map(|_| apart()).max().unwrap(), RealClock.suspended());
        assert!(told.abs_diff(before) < Duration::from_millis(500), "{told:?} {before:?}");
    }
}
