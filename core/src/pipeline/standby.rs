//! Takes a sampler over whose thread does not come back: from a source that hangs, or from an output that is slow.
//!
//! One thread waits on one timer (timerfd_create(2)), which samplers set ahead of time and move on before it fires: that
//! wakes nobody. It is started at the first tick, so that a short run has none.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::sampler::Sampler;
use crate::time::{Clock, RealClock, Time};

pub(super) struct Standby {
    /// Made at the first tick. Without one, what hangs is noticed at the end of the run only.
    timer: OnceLock<Option<TimerFd>>,
    state: Mutex<State>,
    /// A poll that takes longer hangs.
    hang_after: Duration,
}

#[derive(Default)]
struct State {
    /// Each sampler, and when it has to be looked at: real time, whatever the clock of the run.
    alarms: Vec<(Weak<Sampler>, Option<Time>)>,
    /// For when the timer is set.
    set: Option<Time>,
    has_thread: bool,
    has_ended: bool,
}

impl State {
    fn next(&self) -> Option<Time> {
        self.alarms.iter().filter_map(|(_, alarm)| *alarm).min()
    }
}

impl Standby {
    pub(super) fn new(hang_after: Duration) -> Arc<Self> {
        Arc::new(Self { timer: OnceLock::new(), state: Mutex::default(), hang_after })
    }

    fn timer(&self) -> Option<&TimerFd> {
        let make = || TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC).ok();
        self.timer.get_or_init(make).as_ref()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number by which this sampler is known here.
    pub(super) fn enlist(&self, sampler: Weak<Sampler>) -> usize {
        let mut state = self.state();
        state.alarms.push((sampler, None));
        state.alarms.len() - 1
    }

    /// How long a poll may take.
    pub(super) fn hang_after(&self) -> Duration {
        self.hang_after
    }

    /// A tick begins: the sampler is looked at if it takes longer than a poll may. To set a timer is a system call, so it is
    /// set for later than needed, and seldom.
    pub(super) fn guard(self: &Arc<Self>, sampler: usize) {
        let now = RealClock.now();
        let mut state = self.state();
        let alarm = state.alarms[sampler].1;
        if alarm.is_none_or(|alarm| alarm < now + self.hang_after) {
            self.set(&mut state, sampler, Some(now + self.hang_after * 2));
        }
        if !std::mem::replace(&mut state.has_thread, true) {
            drop(state);
            let standby = Arc::clone(self);
            // As without a timer.
            let _ = std::thread::Builder::new().name("alumet-standby".into()).spawn(move || standby.watch());
        }
    }

    /// The sampler is looked at after this time.
    pub(super) fn look_after(&self, sampler: usize, time: Duration) {
        self.set(&mut self.state(), sampler, Some(RealClock.now() + time));
    }

    /// It need not be looked at for now.
    pub(super) fn release(&self, sampler: usize) {
        self.set(&mut self.state(), sampler, None);
    }

    /// Ends the thread.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.has_ended = true;
        if state.has_thread {
            self.set_timer(&mut state, Some(RealClock.now()));
        }
    }

    fn set(&self, state: &mut State, sampler: usize, alarm: Option<Time>) {
        state.alarms[sampler].1 = alarm;
        let next = state.next();
        if next != state.set && !state.has_ended {
            self.set_timer(state, next);
        }
    }

    fn set_timer(&self, state: &mut State, to: Option<Time>) {
        state.set = to;
        let Some(timer) = self.timer() else { return };
        // Cannot fail with these arguments (timerfd_settime(2)); zero would disarm it.
        let _ = match to {
            Some(to) => {
                let at = TimeSpec::from_duration(Duration::from_nanos(to.as_nanos().max(1)));
                timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            }
            None => timer.unset(),
        };
    }

    fn watch(&self) {
        let Some(timer) = self.timer() else { return };
        loop {
            match timer.wait() {
                Ok(()) | Err(Errno::EINTR) => {}
                Err(_) => return,
            }
            let now = RealClock.now();
            let mut state = self.state();
            if state.has_ended {
                return;
            }
            let due: Vec<_> = state
                .alarms
                .iter_mut()
                .enumerate()
                .filter_map(|(i, (sampler, alarm))| {
                    alarm.take_if(|alarm| *alarm <= now).map(|_| (i, Weak::clone(sampler)))
                })
                .collect();
            drop(state);
            for (i, sampler) in due {
                let next = sampler.upgrade().and_then(|sampler| sampler.relieve(self.hang_after));
                let mut state = self.state();
                // Its thread may have said better meanwhile.
                state.alarms[i].1 = state.alarms[i].1.or(next.map(|next| RealClock.now() + next));
            }
            let mut state = self.state();
            let next = state.next();
            self.set_timer(&mut state, next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Standby {
        /// When each sampler is looked at.
        pub(in crate::pipeline) fn alarms(&self) -> Vec<Option<Time>> {
            self.state().alarms.iter().map(|(_, alarm)| *alarm).collect()
        }
    }

    const LIMIT: Duration = Duration::from_secs(100);

    fn standby(samplers: usize) -> Arc<Standby> {
        let standby = Standby::new(LIMIT);
        (0..samplers).for_each(|number| assert_eq!(standby.enlist(Weak::new()), number));
        standby
    }

    fn set(standby: &Standby) -> Option<Time> {
        standby.state().set
    }

    #[test]
    fn the_timer_is_set_for_twice_as_long_as_a_poll_may_take_and_seldom_moved() {
        let standby = standby(2);
        let alarm = || standby.alarms()[1];
        let before = RealClock.now();
        standby.guard(1);
        let first = alarm().unwrap();
        assert!(first >= before + LIMIT * 2 && first <= RealClock.now() + LIMIT * 2);
        assert_eq!((standby.alarms()[0], set(&standby)), (None, Some(first)));
        std::thread::sleep(Duration::from_millis(1));
        standby.guard(1);
        assert_eq!(alarm(), Some(first), "there is more than enough left");
        standby.look_after(1, LIMIT / 2);
        standby.guard(1);
        assert!(alarm().unwrap() > first, "too little was left");
        standby.end();
    }

    #[test]
    fn the_timer_is_set_for_whoever_comes_first_and_for_nobody_once_all_are_released() {
        let standby = standby(2);
        standby.look_after(0, LIMIT * 2);
        standby.look_after(1, LIMIT);
        assert_eq!(set(&standby), standby.alarms()[1]);
        standby.release(1);
        assert_eq!(set(&standby), standby.alarms()[0]);
        assert!(set(&standby).is_some());
        standby.release(0);
        assert_eq!(set(&standby), None);
        assert_eq!(standby.hang_after(), LIMIT);
    }

    #[test]
    fn at_the_end_its_thread_ends_and_nobody_sets_the_timer_any_more() {
        let standby = standby(1);
        standby.guard(0);
        standby.end();
        let last = set(&standby);
        standby.look_after(0, LIMIT);
        assert_eq!(set(&standby), last);
        let end = RealClock.now() + Duration::from_secs(30);
        while Arc::strong_count(&standby) > 1 {
            assert!(RealClock.now() < end, "its thread goes on");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
