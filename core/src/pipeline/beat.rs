//! When the sources of one interval are polled, and how that went.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::lateness::Lateness;
use crate::time::Time;

/// A tick that is later than this was not made in time for want of a CPU, or because the process was stopped.
const LATE: Duration = Duration::from_millis(20);

/// How the sampling of one interval went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplingReport {
    /// As asked for.
    pub interval: Duration,
    /// Ticks at which the sources were polled.
    pub ticks: u64,
    /// Ticks that passed without a poll: the machine, a source or an output did not keep up.
    pub missed: u64,
    /// The mean time between two polls; `None` with fewer than two.
    pub mean_interval: Option<Duration>,
    /// 99 of 100 ticks were less late than this; `None` without ticks.
    pub late_p99: Option<Duration>,
}

/// The ticks of one interval.
pub(super) struct Beat {
    interval: Duration,
    schedule: Mutex<Schedule>,
}

struct Schedule {
    /// When the next tick is due; `None` while there are none.
    next: Option<Time>,
    /// The tick that is being made, by when it was due.
    due: Option<Time>,
    ticks: u64,
    missed: u64,
    /// The tick before; `None` at the start and after a pause.
    last: Option<Time>,
    /// The time between ticks, summed up over so many pairs.
    spanned: Duration,
    pairs: u64,
    lateness: Lateness,
    /// The last tick that was [`LATE`]: when it was due, and when it was made.
    late: Option<(Time, Time)>,
}

impl Beat {
    pub(super) fn new(interval: Duration) -> Self {
        let schedule = Schedule {
            next: None,
            due: None,
            ticks: 0,
            missed: 0,
            last: None,
            spanned: Duration::ZERO,
            pairs: 0,
            lateness: Lateness::new(),
            late: None,
        };
        Self { interval, schedule: Mutex::new(schedule) }
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Ticks at this time plus multiples of the interval.
    pub(super) fn start(&self, time: Time) {
        self.schedule().next = Some(time + self.interval);
    }

    /// No more ticks for now. The time that passes without is no interval.
    pub(super) fn pause(&self) {
        let mut schedule = self.schedule();
        (schedule.next, schedule.last) = (None, None);
    }

    /// No more ticks.
    pub(super) fn stop(&self) {
        self.schedule().next = None;
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.schedule().next
    }

    /// Whether a tick is due at `now`; if so, it is made now.
    pub(super) fn begin(&self, now: Time) -> bool {
        let mut schedule = self.schedule();
        schedule.due = schedule.next.filter(|next| *next <= now);
        if let Some(due) = schedule.due.filter(|due| now.since(*due) > LATE) {
            schedule.late = Some((due, now));
        }
        schedule.due.is_some()
    }

    /// The tick that was begun at `now`, if one was, has been made, or missed, and it is `after`.
    pub(super) fn end(&self, now: Time, after: Time, was_polled: bool) {
        let mut schedule = self.schedule();
        let Some(due) = schedule.due.take() else { return };
        if was_polled {
            schedule.ticks += 1;
            if let Some(last) = schedule.last.replace(now) {
                schedule.spanned += now.since(last);
                schedule.pairs += 1;
            }
            schedule.lateness.record(now.since(due));
        } else {
            schedule.missed += 1;
        }
        let interval = self.interval.as_nanos() as u64;
        let passed = after.since(due).as_nanos() as u64 / interval;
        schedule.missed += passed;
        // Paused or finished while polling: `next` stays empty.
        if schedule.next.is_some() {
            schedule.next = Some(due + Duration::from_nanos(interval * (passed + 1)));
        }
    }

    pub(super) fn report(&self) -> SamplingReport {
        let schedule = self.schedule();
        SamplingReport {
            interval: self.interval,
            ticks: schedule.ticks,
            missed: schedule.missed,
            mean_interval: (schedule.pairs > 0).then(|| schedule.spanned.div_f64(schedule.pairs as f64)),
            late_p99: schedule.lateness.quantile(0.99),
        }
    }

    /// For how long before `time` nothing ran here that was due: then the process may have been stopped. If the thread
    /// that makes the ticks is idle, the next one is overdue, too.
    pub(super) fn late_at(&self, time: Time, is_idle: bool) -> Option<Duration> {
        let schedule = self.schedule();
        // Whoever is stopped goes on with all its threads at once: the tick may have been made by now.
        let made = schedule.late.filter(|(_, made)| time <= *made + LATE).map(|(due, _)| due);
        let due = made.or(schedule.next.filter(|_| is_idle));
        due.map(|due| time.since(due)).filter(|late| *late > LATE)
    }

    pub(super) fn merge_lateness(&self, into: &mut Lateness) {
        into.merge(&self.schedule().lateness);
    }
}
