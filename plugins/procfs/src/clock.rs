//! The CPU time of processes that ran already: a task-clock counter on each of their threads, which the kernel hands on
//! to everything that they create (perf_event_open(2), PERF_COUNT_SW_TASK_CLOCK).
//!
//! `/proc` cannot tell it as well: what a process uses between the last look and its end is lost when somebody else
//! reaps it, and its times come in ticks of 10 ms. The counters outlive the threads and count nanoseconds.

use alumet::{Target, perfmon};
use perf_event::events::Software;
use perf_event::{Builder, Counter};

/// The counters, and where they stood when the run started.
///
/// The counters lack what a process uses while it ends (do_exit in kernel/exit.c takes them off first). The files know of
/// it once the parent has waited; so what they once knew more is added.
#[derive(Debug)]
pub struct TaskClock {
    counters: Vec<Counter>,
    start: Option<u64>,
    /// The most that the files have known more than the counters.
    more: u64,
}

impl TaskClock {
    /// Opens one on each thread. It counts kernel mode too, whatever `exclude_kernel` says, which makes it available
    /// without any privilege for one's own processes, unless `perf_event_paranoid` is above 2.
    ///
    /// # Errors
    /// Why a thread cannot be counted: then the sum would be wrong.
    pub fn open(target: &Target) -> std::io::Result<Self> {
        perfmon::survivable()?;
        let mut builder = Builder::new(Software::TASK_CLOCK);
        builder.inherit(true).enabled(true);
        let cover = target.cover(|tid| builder.clone().observe_pid(tid).build());
        match cover.refused.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(Self { counters: cover.opened, start: None, more: 0 }),
        }
    }

    /// Nanoseconds since the first call, given those that the files know of.
    ///
    /// # Errors
    /// A counter cannot be read.
    pub fn since_start(&mut self, files: u64) -> std::io::Result<u64> {
        let clock = self.counters.iter_mut().map(Counter::read).sum::<std::io::Result<u64>>()?;
        let clock = clock.saturating_sub(*self.start.get_or_insert(clock));
        self.more = self.more.max(files.saturating_sub(clock));
        Ok(clock + self.more)
    }
}
