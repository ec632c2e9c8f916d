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
