//! The break-down of the tree by thread: series that come with a thread and are retired with it.
//!
//! A thread that executes a program while others live takes the place of the main thread, with its pid and its start, but
//! brings its own counters along (de_thread in fs/exec.c), of which its own series has told already. So what the threads
//! of a process have used together is held to what the process has.

use std::collections::HashMap;
use std::io;

use alumet::conventions::CPU_TIME;
use alumet::process::{Stat, Switches, tick};
use alumet::target::threads;
use alumet::text;
use alumet::{Batch, Consumer, Contradiction, Increase, Registry, Series, SeriesId};

use crate::kernel::{cpu_nanos, nanos};
use crate::metrics::{EVENTS, THREAD_EVENTS};
use crate::process::{ProcFile, Process};

/// CPU time in nanoseconds, then the first of the [`EVENTS`].
const COUNTERS: usize = 1 + THREAD_EVENTS;

/// The break-down as a whole.
#[derive(Debug, Default)]
pub struct PerThread {
    living: HashMap<i32, Thread>,
    /// By pid.
    spent: HashMap<i32, Spent>,
}

/// CPU time of a process in nanoseconds: by its own clock before the run, and what the series of its threads have told of.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    before: u64,
    told: u64,
}

/// A thread: its files, kept open, and its series under the name that it has.
#[derive(Debug)]
struct Thread {
    process: i32,
    stat: ProcFile,
    status: ProcFile,
    /// Nanoseconds on a CPU, as the first number (Documentation/scheduler/sched-stats.rst); some kernels have it not.
    schedstat: Option<ProcFile>,
    name: String,
    counters: [(SeriesId, Increase); COUNTERS],
}

/// What its files say.
struct Reading {
    name: String,
    start_ticks: u64,
    counters: [u64; COUNTERS],
}

impl PerThread {
    /// Reads all threads of these processes and pushes what they have used since the last time. What one that is older
    /// than `since_ticks` (in clock ticks since boot) had used when it was seen first is not counted.
    ///
    /// # Errors
    /// A metric contradicts one of another plugin.
    pub fn push(
        &mut self,
        registry: &Registry,
        processes: &[Process],
        since_ticks: u64,
        buffer: &mut [u8],
        out: &mut Batch,
    ) -> Result<(), Contradiction> {
        let mut before = std::mem::take(&mut self.living);
        let mut known = std::mem::take(&mut self.spent);
        for process in processes {
            let cpu = || cpu_nanos(process.pid).unwrap_or(u64::MAX);
            let is_older = process.start_ticks < since_ticks;
            let mut spent = known
                .remove(&process.pid)
                .unwrap_or_else(|| Spent { before: if is_older { cpu() } else { 0 }, told: 0 });
            // The main thread comes last: what it may have used is what the others have not.
            let mut tids: Vec<_> = threads(process.pid).collect();
            tids.sort_by_key(|tid| *tid == process.pid);
            for tid in tids {
                let thread = match before.remove(&tid).filter(|thread| thread.process == process.pid) {
                    Some(thread) => Some(thread),
                    None => Thread::open(process.pid, tid, registry, since_ticks, buffer)?,
                };
                let Some(mut thread) = thread else { continue };
                let Ok(reading) = thread.read(buffer) else {
                    thread.retire(out);
                    continue;
                };
                // Read afterwards, so it is never less than what the threads say.
                let most = cpu().saturating_sub(spent.before + spent.told);
                spent.told += thread.push(tid, reading, most, registry, out)?;
                self.living.insert(tid, thread);
            }
            self.spent.insert(process.pid, spent);
        }
        before.into_values().for_each(|thread| thread.retire(out));
        Ok(())
    }
}

impl Thread {
    /// `None` if it has just ended.
    fn open(
        process: i32,
        tid: i32,
        registry: &Registry,
        since_ticks: u64,
        buffer: &mut [u8],
    ) -> Result<Option<Self>, Contradiction> {
        let file = |name| ProcFile::open(format!("/proc/{process}/task/{tid}/{name}"));
        let (Ok(mut stat), Ok(mut status)) = (file("stat"), file("status")) else { return Ok(None) };
        let mut schedstat = file("schedstat").ok();
        let Ok(reading) = read(&mut stat, &mut status, schedstat.as_mut(), buffer) else { return Ok(None) };
        let from = if reading.start_ticks < since_ticks { reading.counters } else { Default::default() };
        let counters = counters(registry, process, tid, &reading.name, from)?;
        Ok(Some(Self { process, stat, status, schedstat, name: reading.name, counters }))
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Reading> {
        read(&mut self.stat, &mut self.status, self.schedstat.as_mut(), buffer)
    }

    /// Pushes a reading, with no more CPU time than `most`, in nanoseconds; returns how much. A thread that has changed its
    /// name gets new series.
    fn push(
        &mut self,
        tid: i32,
        reading: Reading,
        most: u64,
        registry: &Registry,
        out: &mut Batch,
    ) -> Result<u64, Contradiction> {
        if reading.name != self.name {
            let marks = self.counters.map(|(_, increase)| increase.mark());
            let renamed = counters(registry, self.process, tid, &reading.name, marks)?;
            std::mem::replace(&mut self.counters, renamed).iter().for_each(|(series, _)| out.retire(*series));
            self.name = reading.name;
        }
        let marks = self.counters.map(|(_, increase)| increase.mark());
        // Another thread's counters: more than there is, or less than there was.
        let is_replaced = reading.counters[0].saturating_sub(marks[0]) > most
            || reading.counters.iter().zip(marks).any(|(now, mark)| *now < mark);
        let mut told = 0;
        for (i, ((series, increase), raw)) in self.counters.iter_mut().zip(reading.counters).enumerate() {
            let mut more = increase.to(raw);
            if is_replaced {
                *increase = Increase::from(raw);
                more = if i == 0 { more.min(most) } else { 0 };
            }
            if i == 0 {
                told = more;
            }
            let more = more as f64;
            out.push(*series, if i == 0 { more / 1e9 } else { more });
        }
        Ok(told)
    }

    fn retire(self, out: &mut Batch) {
        self.counters.iter().for_each(|(series, _)| out.retire(*series));
    }
}

fn read(
    stat: &mut ProcFile,
    status: &mut ProcFile,
    schedstat: Option<&mut ProcFile>,
    buffer: &mut [u8],
) -> io::Result<Reading> {
    let on_cpu = schedstat.and_then(|file| {
        let text = std::str::from_utf8(file.read(buffer).ok()?).ok()?;
        text.split_ascii_whitespace().next()?.parse().ok()
    });
    let switches = Switches::parse(status.read(buffer)?).map_err(io::Error::other)?;
    let stat = Stat::parse(stat.read(buffer)?).map_err(io::Error::other)?;
    let cpu = on_cpu.unwrap_or_else(|| (stat.user_ticks + stat.system_ticks) * nanos(tick()));
    Ok(Reading {
        name: text::name(stat.comm),
        start_ticks: stat.start_ticks,
        counters: [cpu, stat.minor_faults, stat.major_faults, switches.voluntary, switches.involuntary],
    })
}

fn counters(
    registry: &Registry,
    process: i32,
    tid: i32,
    name: &str,
    from: [u64; COUNTERS],
) -> Result<[(SeriesId, Increase); COUNTERS], Contradiction> {
    let cpu = Series::new(CPU_TIME).method("/proc/PID/task/TID/schedstat");
    let events = EVENTS.into_iter().take(THREAD_EVENTS);
    let events =
        events.map(|(metric, key, value)| Series::new(metric).label(key, value).method("/proc/PID/task/TID"));
    let mut counters = Vec::with_capacity(COUNTERS);
    for (series, from) in [cpu].into_iter().chain(events).zip(from) {
        let series = series
            .consumer(Consumer::Thread(tid))
            .label("thread.name", name)
            .label("process.pid", process.to_string());
        counters.push((registry.series(series)?, Increase::from(from)));
    }
    Ok(counters.try_into().expect("one for each counter"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> i32 {
        std::process::id() as i32
    }

    fn open(registry: &Registry, since_ticks: u64) -> Thread {
        Thread::open(own(), own(), registry, since_ticks, &mut [0; 8192]).unwrap().unwrap()
    }

    /// When this process has started, in ticks.
    fn start() -> u64 {
        let text = std::fs::read("/proc/self/stat").unwrap();
        Stat::parse(&text).unwrap().start_ticks
    }

    #[test]
    fn what_a_thread_had_used_when_it_was_seen_first_counts_if_it_is_younger() {
        let registry = Registry::new();
        let marks = |since| open(&registry, since).counters.map(|(_, increase)| increase.mark());
        assert_eq!(marks(start()), [0; COUNTERS]);
        assert!(marks(start() + 1)[1] > 0, "it has had faults");
    }

    /// What a reading of a thread pushes: CPU time in nanoseconds, then the events; and what it says that it has told.
    fn pushed(
        thread: &mut Thread,
        name: &str,
        counters: [u64; COUNTERS],
        most: u64,
    ) -> ([f64; COUNTERS], u64, usize) {
        let registry = Registry::new();
        let mut out = Batch::new(std::sync::Arc::clone(&registry));
        let reading = Reading { name: name.into(), start_ticks: 0, counters };
        let told = thread.push(own(), reading, most, &registry, &mut out).unwrap();
        let mut values: Vec<f64> = out.points().iter().map(|point| point.value).collect();
        values[0] = (values[0] * 1e9).round();
        (values.try_into().unwrap(), told, out.retired().len())
    }

    #[test]
    fn another_threads_counters_are_held_to_what_the_process_has() {
        let registry = Registry::new();
        let mut thread = open(&registry, 0);
        let name = thread.name.clone();
        thread.counters = thread.counters.map(|(series, _)| (series, Increase::from(100)));
        let all = u64::MAX;
        assert_eq!(
            pushed(&mut thread, &name, [150, 110, 120, 130, 140], all),
            ([50.0, 10.0, 20.0, 30.0, 40.0], 50, 0)
        );
        assert_eq!(
            pushed(&mut thread, &name, [200, 110, 120, 130, 140], 50),
            ([50.0, 0.0, 0.0, 0.0, 0.0], 50, 0)
        );
        // More than there is: those of the thread whose place it has taken.
        assert_eq!(
            pushed(&mut thread, &name, [900, 500, 500, 500, 500], 60),
            ([60.0, 0.0, 0.0, 0.0, 0.0], 60, 0)
        );
        assert_eq!(
            pushed(&mut thread, &name, [910, 501, 502, 503, 504], all),
            ([10.0, 1.0, 2.0, 3.0, 4.0], 10, 0)
        );
        // Less than there was.
        assert_eq!(
            pushed(&mut thread, &name, [920, 501, 502, 503, 2], all),
            ([10.0, 0.0, 0.0, 0.0, 0.0], 10, 0)
        );
        assert_eq!(
            pushed(&mut thread, &name, [925, 501, 502, 503, 4], all),
            ([5.0, 0.0, 0.0, 0.0, 2.0], 5, 0)
        );
    }

    #[test]
    fn a_thread_with_a_new_name_goes_on_where_it_was() {
        let registry = Registry::new();
        let mut thread = open(&registry, 0);
        let mut out = Batch::new(std::sync::Arc::clone(&registry));
        thread.counters = thread.counters.map(|(series, _)| (series, Increase::from(100)));
        let reading = Reading { name: "new".into(), start_ticks: 0, counters: [150, 100, 101, 100, 100] };
        thread.push(own(), reading, u64::MAX, &registry, &mut out).unwrap();
        assert_eq!(out.retired().len(), COUNTERS);
        let named = |id| out.series(id).label_value("thread.name").map(str::to_owned);
        assert!(out.points().iter().all(|point| named(point.series).as_deref() == Some("new")));
        assert_eq!(out.points()[2].value, 1.0);
    }

    #[test]
    fn without_schedstat_the_time_comes_in_ticks() {
        let tid = nix::unistd::gettid();
        let path = |name: &str| format!("/proc/self/task/{tid}/{name}");
        let file = |name: &str| ProcFile::open(path(name)).unwrap();
        let (mut stat, mut status) = (file("stat"), file("status"));
        let ticks = || {
            let text = std::fs::read(path("stat")).unwrap();
            let stat = Stat::parse(&text).unwrap();
            (stat.user_ticks, stat.system_ticks)
        };
        // Some of both.
        let mut x = 1u64;
        while ticks().0 < 3 || ticks().1 < 2 {
            (0..100_000u64).for_each(|i| x = std::hint::black_box(x.wrapping_mul(i | 1)));
        }
        let (before, got, after) =
            (ticks(), read(&mut stat, &mut status, None, &mut [0; 8192]).unwrap().counters[0], ticks());
        let nanos = |(user, system): (u64, u64)| (user + system) * nanos(tick());
        assert!((nanos(before)..=nanos(after)).contains(&got), "{before:?} {got} {after:?}");
    }

    #[test]
    fn the_threads_of_a_process_have_no_more_together_than_it_has_since_the_run_began() {
        let registry = Registry::new();
        let processes = [Process::open(own(), 0, &mut [0; 8192]).unwrap()];
        let spent = |since: u64| {
            let mut threads = PerThread::default();
            let mut out = Batch::new(std::sync::Arc::clone(&registry));
            for _ in 0..2 {
                threads.push(&registry, &processes, since, &mut [0; 8192], &mut out).unwrap();
            }
            threads.spent[&own()]
        };
        let young = spent(start());
        assert!(young.before == 0 && young.told > 0 && young.told <= cpu_nanos(own()).unwrap());
        let old = spent(start() + 1);
        assert!(old.before > 0 && old.before <= cpu_nanos(own()).unwrap());
    }
}
