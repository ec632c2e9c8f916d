//! The CPU time of processes that ran already: a task-clock counter on each of their threads, which the kernel hands on
//! to everything that they create (perf_event_open(2), PERF_COUNT_SW_TASK_CLOCK).
//!
//! `/proc` cannot tell it as well: what a process uses between the last look and its end is lost when somebody else
//! reaps it, and its times come in ticks of 10 ms. The counters outlive the threads and count nanoseconds.

use alumet::Target;
use alumet::process::tick;
use perf_event::events::Software;
use perf_event::{Builder, Counter};

use crate::kernel::nanos;

/// The counters, and where they and the files stood when the run started.
///
/// The counters lack what a process uses while it ends (do_exit in kernel/exit.c takes them off first). The files know of
/// it once the parent has waited; so what they once knew more is added.
#[derive(Debug)]
pub struct TaskClock {
    counters: Vec<Counter>,
    start: Option<Start>,
    /// The most that the files have known more than the counters.
    more: u64,
    split: Split,
}

/// Nanoseconds at the start of the run.
#[derive(Debug, Clone, Copy)]
struct Start {
    clock: u64,
    user: u64,
    system: u64,
    /// By so much the files may say more than is true: the times of children that a process had waited for before are
    /// cut to ticks, one for each mode.
    rounding: u64,
}

impl TaskClock {
    /// Opens one on each thread. It counts kernel mode too, whatever `exclude_kernel` says, which makes it available
    /// without any privilege for one's own processes, unless `perf_event_paranoid` is above 2.
    ///
    /// # Errors
    /// Why a thread cannot be counted: then the sum would be wrong.
    pub fn open(target: &Target) -> std::io::Result<Self> {
        let mut builder = Builder::new(Software::TASK_CLOCK);
        builder.inherit(true).enabled(true);
        let cover = target.cover(|tid| builder.clone().observe_pid(tid).build());
        match cover.refused.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(Self { counters: cover.opened, start: None, more: 0, split: Split::default() }),
        }
    }

    /// User and system time since the first call, given what the files say of both, in nanoseconds, and how many of the
    /// processes have waited for children.
    ///
    /// # Errors
    /// A counter cannot be read.
    pub fn since_start(&mut self, user: u64, system: u64, parents: usize) -> std::io::Result<(u64, u64)> {
        let clock = self.counters.iter_mut().map(Counter::read).sum::<std::io::Result<u64>>()?;
        let rounding = 2 * nanos(tick()) * parents as u64;
        let start = self.start.get_or_insert(Start { clock, user, system, rounding });
        let files = (user.saturating_sub(start.user), system.saturating_sub(start.system));
        let clock = clock.saturating_sub(start.clock);
        self.more = self.more.max((files.0 + files.1).saturating_sub(start.rounding + clock));
        Ok(self.split.of(clock + self.more, files))
    }

    /// The files will say so much more that was used before the run.
    pub fn leave_out(&mut self, user: u64, system: u64) {
        if let Some(start) = &mut self.start {
            start.user += user;
            start.system += system;
        }
    }
}

/// Splits an exact total into user and system mode by the proportion of two coarse numbers. Both parts only grow, as
/// the kernel's own split does (cputime_adjust in kernel/sched/cputime.c).
#[derive(Debug, Clone, Copy, Default)]
struct Split {
    user: u64,
    system: u64,
}

impl Split {
    /// User and system time, whose sum is `total`. A total below the last one counts as that one.
    fn of(&mut self, total: u64, coarse: (u64, u64)) -> (u64, u64) {
        let (user, system) = coarse;
        let total = total.max(self.user + self.system);
        let share = if user + system == 0 { 0.0 } else { system as f64 / (user + system) as f64 };
        let most = total.saturating_sub(self.user).max(self.system);
        self.system = ((total as f64 * share) as u64).clamp(self.system, most);
        self.user = total.saturating_sub(self.system).max(self.user);
        (self.user, self.system)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_add_up_and_none_of_them_falls() {
        let mut split = Split::default();
        let mut before = (0, 0);
        for (total, coarse) in [
            (0, (0, 0)),
            (100, (0, 0)),
            (1000, (60, 40)),
            (1100, (90, 10)),
            (1200, (0, 100)),
            (2000, (100, 100)),
            (2000, (1, 0)),
        ] {
            let now = split.of(total, coarse);
            assert_eq!(now.0 + now.1, total);
            assert!(now.0 >= before.0 && now.1 >= before.1, "{before:?} {now:?}");
            before = now;
        }
        assert_eq!(split.of(4000, (100, 100)), (2000, 2000));
    }
}
