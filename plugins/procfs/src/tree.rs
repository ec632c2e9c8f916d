//! The application: the sums over its process tree while it runs, and the exact totals when it has ended.
//!
//! Three kinds of truth meet here, and each counter uses one rule for the whole run:
//! - CPU time comes from the application's cgroup where it has one. Otherwise it is the sum over living processes of
//!   their own time and that of children they have waited for, plus what alumet has reaped.
//! - Faults and I/O are that sum in any case.
//! - Context switches of ended children are not in any file: samples count what was seen, as a lower bound.
//!
//! At the end, everything but the cgroup's CPU time is replaced by the usage of the reaped processes, which is exact
//! (`wait4`(2)), plus the last reading of those that live on. No sample exceeds that, so each counter only grows.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use alumet::process::{Switches, peak_resident};
use alumet::target::{CpuStat, Target, Usage};
use alumet::{Batch, Consumer, Increase, Metric, Registry, Series, SeriesId, Source};

use crate::cadence::Cadence;
use crate::kernel::{cpu_nanos, nanos, page_size, tick};
use crate::metrics::{
    CPU_MODE, CPU_TIME, EVENTS, MEMORY, MEMORY_PEAK, PEAK_SCOPE, PROCESSES, PROMPT_EVENTS, THREADS,
};
use crate::per_process::PerProcess;
use crate::process::{Process, Reading, Wanted, add};
use crate::{Config, DETAILS_EVERY, THREADS_EVERY};

/// The counters of the tree, raw, CPU times in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counters {
    user: u64,
    system: u64,
    minor_faults: u64,
    major_faults: u64,
    voluntary: u64,
    involuntary: u64,
    read: u64,
    written: u64,
}

impl Counters {
    /// CPU time in user and in kernel mode, then [`EVENTS`].
    const COUNT: usize = Self::CPU + 6;
    /// The first two are CPU times.
    const CPU: usize = 2;

    fn as_array(&self) -> [u64; Self::COUNT] {
        [
            self.user,
            self.system,
            self.minor_faults,
            self.major_faults,
            self.voluntary,
            self.involuntary,
            self.read,
            self.written,
        ]
    }

    fn of_usage(usage: &Usage) -> Self {
        Self {
            user: nanos(usage.user),
            system: nanos(usage.system),
            minor_faults: usage.minor_faults,
            major_faults: usage.major_faults,
            voluntary: usage.voluntary,
            involuntary: usage.involuntary,
            read: usage.read,
            written: usage.written,
        }
    }

    /// Adds a process with the children that it has waited for, but for their switches, which no file tells.
    fn add_reading(&mut self, reading: &Reading, tick: Duration) {
        let tick = nanos(tick);
        let io = reading.io.unwrap_or_default();
        self.user += (reading.user_ticks + reading.children_user_ticks) * tick;
        self.system += (reading.system_ticks + reading.children_system_ticks) * tick;
        self.minor_faults += reading.minor_faults + reading.children_minor_faults;
        self.major_faults += reading.major_faults + reading.children_major_faults;
        self.read += io.read;
        self.written += io.written;
    }

    fn set_cpu(&mut self, cpu: CpuStat) {
        self.user = nanos(cpu.user);
        self.system = nanos(cpu.system);
    }

    fn set_switches(&mut self, switches: Switches) {
        self.voluntary = switches.voluntary;
        self.involuntary = switches.involuntary;
    }

    /// Without what was used before the gate opened. A CPU time too small for its mode is taken from the other one.
    fn without(&self, base: &Self) -> Self {
        let cpu = base.user + base.system;
        let (user, system) = if base.user <= self.user && base.system <= self.system {
            (self.user - base.user, self.system - base.system)
        } else {
            let user = self.user.saturating_sub(cpu);
            (user, self.system.saturating_sub(cpu - (self.user - user)))
        };
        Self {
            user,
            system,
            minor_faults: self.minor_faults.saturating_sub(base.minor_faults),
            major_faults: self.major_faults.saturating_sub(base.major_faults),
            voluntary: self.voluntary.saturating_sub(base.voluntary),
            involuntary: self.involuntary.saturating_sub(base.involuntary),
            read: self.read.saturating_sub(base.read),
            written: self.written.saturating_sub(base.written),
        }
    }
}

/// What the process at the gate has used: it is alumet's, not the application's.
#[derive(Debug, Default)]
struct Gate {
    counters: Counters,
    /// Bytes. `ru_maxrss` survives exec, so the usage of a smaller application shows this.
    peak_resident: u64,
}

/// The source.
#[derive(Debug)]
pub struct Tree {
    target: Arc<Target>,
    registry: Arc<Registry>,
    tick: Duration,
    counters: [(SeriesId, Increase); Counters::COUNT],
    memory: SeriesId,
    processes_count: SeriesId,
    threads_count: SeriesId,
    /// Those that were found, the oldest first: a parent is always read before its children, so that no child is
    /// counted both by itself and through a parent that has just waited for it.
    processes: Vec<Process>,
    known: HashSet<i32>,
    details: Cadence,
    threads: Cadence,
    /// Seen of processes that have ended.
    ended_switches: Switches,
    gate: Option<Gate>,
    peak_tree: u64,
    peak_process: u64,
    per_process: Option<PerProcess>,
    pids: Vec<i32>,
    buffer: Vec<u8>,
}

impl Tree {
    /// Registers the series.
    ///
    /// # Errors
    /// A metric contradicts one of another plugin.
    pub fn new(target: Arc<Target>, registry: &Arc<Registry>, config: &Config) -> anyhow::Result<Self> {
        let of_target = |metric: Metric| Series::new(metric).consumer(Consumer::Target);
        let cpu = ["user", "system"].map(|mode| (CPU_TIME, CPU_MODE, mode));
        let mut counters = Vec::with_capacity(Counters::COUNT);
        for (i, (metric, key, value)) in cpu.into_iter().chain(EVENTS).enumerate() {
            let by_cgroup = i < Counters::CPU && target.cgroup().is_ok();
            let method = if by_cgroup { "cgroup cpu.stat" } else { "/proc/PID, exact by wait4" };
            let series = registry.series(of_target(metric).label(key, value).method(method))?;
            counters.push((series, Increase::default()));
        }
        Ok(Self {
            target,
            registry: Arc::clone(registry),
            tick: tick(),
            counters: counters.try_into().expect("one for each counter"),
            memory: registry.series(of_target(MEMORY).method("/proc/PID/stat, sum over the tree"))?,
            processes_count: registry.series(of_target(PROCESSES).method("/proc"))?,
            threads_count: registry.series(of_target(THREADS).method("/proc/PID/stat"))?,
            processes: Vec::new(),
            known: HashSet::new(),
            details: Cadence::new(DETAILS_EVERY, config.interval.get()),
            threads: Cadence::new(THREADS_EVERY, config.interval.get()),
            ended_switches: Switches::default(),
            gate: None,
            peak_tree: 0,
            peak_process: 0,
            per_process: config.per_process.then(PerProcess::default),
            pids: Vec::new(),
            buffer: vec![0; 8192],
        })
    }

    /// Opens the processes that are new.
    fn look(&mut self) {
        self.pids.clear();
        self.target.members(&mut self.pids);
        let mut found = false;
        for pid in &self.pids {
            if self.known.contains(pid) {
                continue;
            }
            // One that ends meanwhile, or that hidepid hides, is counted when its parent or alumet reaps it.
            if let Ok(process) = Process::open(*pid, &mut self.buffer) {
                self.known.insert(*pid);
                self.processes.push(process);
                found = true;
            }
        }
        if found {
            self.processes.sort_by_key(|process| (process.start_ticks, process.pid));
        }
    }

    /// Reads all processes, forgets those that have gone, and sums up.
    fn read(&mut self, wanted: Wanted, out: &mut Batch) -> anyhow::Result<(Counters, Option<Gauges>)> {
        if wanted.details {
            // A process that is younger is in the totals all the same.
            self.look();
        }
        // First what was reaped: a process that is reaped while the others are read is then missing in this sum, which
        // the next one mends, and not in it twice.
        let mut sum = Counters::of_usage(&self.target.reaped());
        let mut switches = self.ended_switches;
        let mut gauges = None::<Gauges>;
        let mut gone = false;
        let at_gate = self.gate.is_none();
        for process in &mut self.processes {
            let Ok(reading) = process.read(wanted, &mut self.buffer) else {
                gone = true;
                add(&mut switches, process.last.switches);
                continue;
            };
            sum.add_reading(&reading, self.tick);
            add(&mut switches, reading.switches);
            if reading.alive {
                let resident = reading.resident_pages * page_size();
                let gauges = gauges.get_or_insert_default();
                gauges.resident += resident;
                gauges.processes += 1;
                gauges.threads += reading.threads;
                if !at_gate {
                    self.peak_process = self.peak_process.max(resident);
                }
            }
            if let Some(per_process) = &mut self.per_process {
                per_process.push(&self.registry, process, wanted, at_gate, out)?;
            }
        }
        if gone {
            self.forget_the_gone(out);
        }
        sum.set_switches(switches);
        if let Ok(cgroup) = self.target.cgroup() {
            sum.set_cpu(cgroup.cpu()?);
        }
        Ok((sum, gauges))
    }

    fn forget_the_gone(&mut self, out: &mut Batch) {
        let Self { processes, known, ended_switches, per_process, buffer, .. } = self;
        processes.retain_mut(|process| {
            let lives = process.read(Wanted::ALL, buffer).is_ok();
            if !lives {
                known.remove(&process.pid);
                add(ended_switches, process.last.switches);
                if let Some(per_process) = per_process {
                    per_process.retire(process.pid, out);
                }
            }
            lives
        });
    }

    fn push_counters(&mut self, counters: &Counters, details: bool, out: &mut Batch) {
        let base = self.gate.as_ref().map(|gate| gate.counters).unwrap_or_default();
        let counters = counters.without(&base).as_array();
        let n = if details { Counters::COUNT } else { Counters::CPU + PROMPT_EVENTS };
        for (i, ((series, increase), raw)) in self.counters.iter_mut().zip(counters).take(n).enumerate() {
            let increase = increase.to(raw) as f64;
            out.push(*series, if i < Counters::CPU { increase / 1e9 } else { increase });
        }
    }

    fn note_gate(&mut self, mut counters: Counters) {
        if self.target.cgroup().is_err() {
            // The ticks of the files are too coarse for it. Without a tick, the kernel calls all of it user time
            // (cputime_adjust in kernel/sched/cputime.c).
            counters.user = cpu_nanos(self.target.pid()).unwrap_or(0);
            counters.system = 0;
        }
        let status = std::fs::read(format!("/proc/{}/status", self.target.pid())).unwrap_or_default();
        self.gate = Some(Gate { counters, peak_resident: peak_resident(&status).unwrap_or(0) });
    }

    /// The peak of the largest process, in bytes, and how it was obtained.
    fn largest_peak(&self, reaped: &Usage) -> (u64, &'static str) {
        let gate = self.gate.as_ref().map_or(0, |gate| gate.peak_resident);
        let living = self.processes.iter().filter_map(|process| {
            peak_resident(&std::fs::read(format!("/proc/{}/status", process.pid)).ok()?)
        });
        let living = living.max().unwrap_or(0);
        // Between the gate and exec the process touches more pages: 70 were measured, and each fault maps up to 16.
        if living.max(reaped.peak_resident) > gate + 128 * page_size() {
            (living.max(reaped.peak_resident), "rusage")
        } else if living.max(self.peak_process) > 0 {
            (living.max(self.peak_process), "largest sample; too small for rusage")
        } else {
            (reaped.peak_resident, "rusage, an upper bound")
        }
    }
}

#[derive(Debug, Default)]
struct Gauges {
    resident: u64,
    processes: u64,
    threads: u64,
}

impl Source for Tree {
    fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let wanted = Wanted { details: self.details.is_due(), threads: self.threads.is_due() };
        let (counters, gauges) = self.read(wanted, out)?;
        if self.gate.is_none() {
            self.note_gate(counters);
            return Ok(());
        }
        self.push_counters(&counters, wanted.details, out);
        if let Some(gauges) = gauges {
            self.peak_tree = self.peak_tree.max(gauges.resident);
            out.push(self.memory, gauges.resident as f64);
            out.push(self.processes_count, gauges.processes as f64);
            out.push(self.threads_count, gauges.threads as f64);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let reaped = self.target.reaped();
        let mut exact = Counters::of_usage(&reaped);
        let mut switches = Switches { voluntary: exact.voluntary, involuntary: exact.involuntary };
        // Once more, for those that live on and are younger than the last look.
        self.look();
        let survivors = std::mem::take(&mut self.pids);
        for process in &mut self.processes {
            // One that ended just now is no longer reaped: what was read last counts.
            let reading = match process.read(Wanted::ALL, &mut self.buffer) {
                Ok(reading) => reading,
                Err(_) if survivors.contains(&process.pid) => process.last,
                Err(_) => continue,
            };
            exact.add_reading(&reading, self.tick);
            // What its ticks leave out; the kernel does not say of which mode it is.
            let ticks = (reading.user_ticks + reading.system_ticks) * nanos(self.tick);
            exact.user += cpu_nanos(process.pid).unwrap_or(0).saturating_sub(ticks);
            add(&mut switches, reading.switches);
        }
        exact.set_switches(switches);
        if let Ok(cgroup) = self.target.cgroup() {
            exact.set_cpu(cgroup.cpu()?);
        }
        self.push_counters(&exact, true, out);

        let (largest, method) = self.largest_peak(&reaped);
        let peak = |scope: &str, method: &'static str| {
            Series::new(MEMORY_PEAK).consumer(Consumer::Target).label(PEAK_SCOPE, scope).method(method)
        };
        out.push(self.registry.series(peak("largest_process", method))?, largest as f64);
        let (tree, method) = match self.target.cgroup().ok().and_then(|cgroup| cgroup.memory_peak()) {
            Some(bytes) => (bytes, "cgroup memory.peak"),
            // The tree was never smaller than its largest process.
            None => (self.peak_tree.max(largest), "largest sample, a lower bound"),
        };
        out.push(self.registry.series(peak("tree", method))?, tree as f64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_gate_used_is_taken_from_the_other_mode_if_it_must() {
        let base = Counters { user: 300, ..Counters::default() };
        let later = Counters { user: 100, system: 900, ..Counters::default() };
        let rest = later.without(&base);
        assert_eq!((rest.user, rest.system), (0, 700));
        let plain = Counters { user: 1000, system: 5, ..Counters::default() }.without(&base);
        assert_eq!((plain.user, plain.system), (700, 5));
    }
}
