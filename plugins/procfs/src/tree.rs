//! The application: the sums over its process tree while it runs, and the exact totals when it has ended.
//!
//! Three kinds of truth meet here, and each counter uses one rule for the whole run:
//! - CPU time comes from the application's cgroup where it has one. Otherwise it is the sum over living processes of
//!   their own time and that of children they have waited for, plus what alumet has reaped.
//! - Faults and I/O are that sum in any case.
//! - Context switches of ended children are not in any file: samples count what was seen, as a lower bound.
//!
//! Of an application that ran already, what it had used before is taken off. Its CPU time comes from a task clock where
//! that can be had; everything else is what was seen of it, a lower bound, for others reap it.
//!
//! At the end of an application that was launched, everything but the cgroup's CPU time is replaced by the usage of the reaped processes, which is exact
//! (`wait4`(2)), plus the last reading of those that live on. No sample exceeds that, so each counter only grows.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use alumet::conventions::{CPU_MODE, CPU_TIME};
use alumet::process::{Switches, peak_resident, tick};
use alumet::target::Target;
use alumet::{
    Allowance, Batch, Bound, Cadence, Consumer, Increase, Metric, Registry, Series, SeriesId, Source,
};

use crate::clock::TaskClock;
use crate::counters::Counters;
use crate::kernel::{cpu_nanos, nanos, page_size, ticks_since_boot};
use crate::metrics::{EVENTS, IO_EVENTS, MEMORY, MEMORY_PEAK, PEAK_SCOPE, PROCESSES, PROMPT_EVENTS, THREADS};
use crate::per_process::PerProcess;
use crate::per_thread::PerThread;
use crate::process::{Process, Reading, Wanted, add};
use crate::{Config, DETAILS_EVERY, THREADS_EVERY};

/// Why a peak may be that of alumet's own memory, which the process had before it was the application.
const OWN: &str = "it is too small, or the run too short, to be told from alumet's own";
/// Why a peak is one of samples.
const SAMPLED: &str = "between two samples nobody sees it";
/// Why a count of processes attached to lacks something.
const UNSEEN: &str = "what ended unseen is missing";

/// What was used before the run: by the process at the gate, which is alumet's and not the application's, or by the
/// processes attached to.
#[derive(Debug, Default)]
struct Before {
    counters: Counters,
    /// Bytes. `ru_maxrss` survives exec, so the usage of a smaller application shows this.
    peak_resident: u64,
}

/// Where the CPU time comes from.
#[derive(Debug)]
enum Cpu {
    Cgroup,
    Clock(TaskClock),
    Files,
}

/// The source.
#[derive(Debug)]
pub struct Tree {
    target: Arc<Target>,
    registry: Arc<Registry>,
    tick: Duration,
    cpu: Cpu,
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
    allowance: Allowance,
    /// Seen of processes that have ended.
    ended_switches: Switches,
    /// Of those attached to, what was seen last of those that have ended and that no parent in the tree tells of.
    ended: Counters,
    /// Processes that are older than this, in clock ticks since boot, have used something before the run; 0 if none has.
    since_ticks: u64,
    /// Whether the I/O of the application may be read; of one that was launched it is in the usage at the end.
    has_io: bool,
    before: Option<Before>,
    peak_tree: u64,
    peak_process: u64,
    per_process: Option<PerProcess>,
    per_thread: Option<PerThread>,
    pids: Vec<i32>,
    buffer: Vec<u8>,
}

impl Tree {
    /// Registers the series.
    ///
    /// # Errors
    /// A metric contradicts one of another plugin.
    pub fn new(target: Arc<Target>, registry: &Arc<Registry>, config: &Config) -> anyhow::Result<Self> {
        let clock = if target.is_attached() { TaskClock::open(&target).ok() } else { None };
        let cpu_source = match clock {
            _ if target.cgroup().is_ok() => Cpu::Cgroup,
            Some(clock) => Cpu::Clock(clock),
            None => Cpu::Files,
        };
        let of_target = |metric: Metric| Series::new(metric).consumer(Consumer::Target);
        let cpu = ["user", "system"].map(|mode| (CPU_TIME, CPU_MODE, mode));
        let mut counters = Vec::with_capacity(Counters::COUNT);
        for (i, (metric, key, value)) in cpu.into_iter().chain(EVENTS).enumerate() {
            let method = match &cpu_source {
                Cpu::Cgroup if i < Counters::CPU => "cgroup cpu.stat",
                Cpu::Clock(..) if i < Counters::CPU => {
                    "task-clock of all threads, inherited, and what /proc/PID knows more"
                }
                _ if target.is_attached() => "/proc/PID, what was seen",
                _ => "/proc/PID, exact by wait4",
            };
            let series = registry.series(of_target(metric).label(key, value).method(method))?;
            counters.push((series, Increase::default()));
        }
        Ok(Self {
            registry: Arc::clone(registry),
            tick: tick(),
            cpu: cpu_source,
            counters: counters.try_into().expect("one for each counter"),
            memory: registry.series(of_target(MEMORY).method("/proc/PID/stat, sum over the tree"))?,
            processes_count: registry.series(of_target(PROCESSES).method("/proc"))?,
            threads_count: registry.series(of_target(THREADS).method("/proc/PID/stat"))?,
            processes: Vec::new(),
            known: HashSet::new(),
            details: Cadence::new(DETAILS_EVERY, config.interval.get()),
            threads: Cadence::new(THREADS_EVERY, config.interval.get()),
            allowance: Allowance::default(),
            ended_switches: Switches::default(),
            ended: Counters::default(),
            since_ticks: if target.is_attached() { ticks_since_boot() } else { 0 },
            has_io: !target.is_attached() || may_read_io(target.pid()),
            target,
            before: None,
            peak_tree: 0,
            peak_process: 0,
            per_process: config.per_process.then(PerProcess::default),
            per_thread: config.per_thread.then(PerThread::default),
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
                // Found late, but older than the run.
                if let Some(before) = &mut self.before
                    && process.start_ticks < self.since_ticks
                {
                    let mut older = Counters::default();
                    older.add_reading(&process.last, self.tick);
                    older.user += below_ticks(process.pid, &process.last, self.tick);
                    older.add_switches(process.last.switches);
                    if let Cpu::Clock(clock) = &mut self.cpu {
                        clock.leave_out(std::mem::take(&mut older.user), std::mem::take(&mut older.system));
                    }
                    before.counters.add(&older);
                }
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
        let mut gone = Vec::new();
        let at_start = self.before.is_none();
        // Looked at before: what is read afterwards is the application's.
        let has_executed = self.target.has_executed();
        for process in &mut self.processes {
            let Ok(reading) = process.read(wanted, &mut self.buffer) else {
                gone.push(process.pid);
                add(&mut switches, process.last.switches);
                continue;
            };
            sum.add_reading(&reading, self.tick);
            if self.target.is_attached() {
                sum.user += below_ticks(process.pid, &reading, self.tick);
            }
            add(&mut switches, reading.switches);
            if reading.alive && has_executed {
                let resident = reading.resident_pages * page_size();
                let gauges = gauges.get_or_insert_default();
                gauges.resident += resident;
                gauges.processes += 1;
                gauges.threads += reading.threads;
                if !at_start {
                    self.peak_process = self.peak_process.max(resident);
                }
            }
            if let Some(per_process) = &mut self.per_process {
                let is_older = process.start_ticks < self.since_ticks;
                per_process.push(&self.registry, process, wanted, at_start || is_older, out)?;
            }
        }
        if !gone.is_empty() {
            self.forget(&gone, out);
        }
        sum.add(&self.ended);
        if let Some(per_thread) = self.per_thread.as_mut().filter(|_| wanted.threads || at_start) {
            // At the start, everybody is older than the run.
            let since = if at_start { u64::MAX } else { self.since_ticks };
            per_thread.push(&self.registry, &self.processes, since, &mut self.buffer, out)?;
        }
        sum.set_switches(switches);
        self.set_cpu(&mut sum)?;
        Ok((sum, gauges))
    }

    /// Replaces what the files say of CPU time by what is known better.
    fn set_cpu(&mut self, sum: &mut Counters) -> anyhow::Result<()> {
        match &mut self.cpu {
            Cpu::Files => {}
            Cpu::Clock(clock) => {
                let has_children = |last: &Reading| last.children_user_ticks + last.children_system_ticks > 0;
                let parents = self.processes.iter().filter(|process| has_children(&process.last)).count();
                (sum.user, sum.system) = clock.since_start(sum.user, sum.system, parents)?
            }
            Cpu::Cgroup => {
                if let Ok(cgroup) = self.target.cgroup() {
                    let cpu = cgroup.cpu()?;
                    (sum.user, sum.system) = (nanos(cpu.user), nanos(cpu.system));
                }
            }
        }
        Ok(())
    }

    fn forget(&mut self, gone: &[i32], out: &mut Batch) {
        let gone: Vec<_> = self.processes.extract_if(.., |process| gone.contains(&process.pid)).collect();
        for process in &gone {
            self.known.remove(&process.pid);
            add(&mut self.ended_switches, process.last.switches);
            if let Some(per_process) = &mut self.per_process {
                per_process.retire(process.pid, out);
            }
        }
        if self.target.is_attached() {
            gone.iter().for_each(|process| self.note_end(&process.last));
        }
    }

    /// Adds what a process attached to was seen to use, unless its parent tells: once it has waited for the child, what
    /// the child used is in its own numbers (proc_pid_stat(5), `cutime`).
    fn note_end(&mut self, last: &Reading) {
        let parent = self.processes.iter_mut().find(|process| process.pid == last.parent);
        let told = parent.is_some_and(|parent| {
            // The child has gone, so the parent has waited. If it has gone too, its last reading knows if it was final.
            parent.read(Wanted::ALL, &mut self.buffer).is_ok() || !parent.last.alive
        });
        if !told {
            self.ended.add_reading(last, self.tick);
        }
    }

    /// Reads and pushes; the first time, notes where everything stands.
    fn sample(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let wanted = Wanted { details: self.details.is_due(), threads: self.threads.is_due() };
        let (counters, gauges) = self.read(wanted, out)?;
        if self.before.is_none() {
            self.note_start(counters);
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

    fn push_counters(&mut self, counters: &Counters, details: bool, out: &mut Batch) {
        let base = self.before.as_ref().map(|before| before.counters).unwrap_or_default();
        let counters = counters.without(&base).as_array();
        let n = match (details, self.has_io) {
            (false, _) => Counters::CPU + PROMPT_EVENTS,
            // It comes last.
            (true, false) => Counters::COUNT - IO_EVENTS,
            (true, true) => Counters::COUNT,
        };
        for (i, ((series, increase), raw)) in self.counters.iter_mut().zip(counters).take(n).enumerate() {
            let increase = increase.to(raw) as f64;
            out.push(*series, if i < Counters::CPU { increase / 1e9 } else { increase });
        }
    }

    fn note_start(&mut self, mut counters: Counters) {
        if self.target.is_attached() {
            self.before = Some(Before { counters, peak_resident: 0 });
            return;
        }
        if self.target.cgroup().is_err() {
            // The ticks of the files are too coarse for it. Without a tick, the kernel calls all of it user time
            // (cputime_adjust in kernel/sched/cputime.c).
            counters.user = cpu_nanos(self.target.pid()).unwrap_or(0);
            counters.system = 0;
        }
        let status = std::fs::read(format!("/proc/{}/status", self.target.pid())).unwrap_or_default();
        self.before = Some(Before { counters, peak_resident: peak_resident(&status).unwrap_or(0) });
    }

    /// The totals of an application that was launched and has been reaped.
    fn exact(&mut self) -> anyhow::Result<Counters> {
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
            exact.user += below_ticks(process.pid, &reading, self.tick);
            add(&mut switches, reading.switches);
        }
        exact.set_switches(switches);
        self.set_cpu(&mut exact)?;
        Ok(exact)
    }

    /// The peak of the largest process, in bytes, and how it was obtained.
    fn largest_peak(&self) -> Peak {
        if self.target.is_attached() {
            // The kernel's own mark may be from before the run.
            return Peak::sampled(self.peak_process, "largest sample");
        }
        let reaped = self.target.reaped();
        let gate = self.before.as_ref().map_or(0, |before| before.peak_resident);
        let living = self.processes.iter().filter_map(|process| {
            peak_resident(&std::fs::read(format!("/proc/{}/status", process.pid)).ok()?)
        });
        let living = living.max().unwrap_or(0);
        // Between the gate and exec the process touches more pages: 70 were measured, and each fault maps up to 16.
        if living.max(reaped.peak_resident) > gate + 128 * page_size() {
            Peak::exact(living.max(reaped.peak_resident), "rusage")
        } else if living.max(self.peak_process) > 0 {
            Peak::sampled(living.max(self.peak_process), "largest sample; too small for rusage")
        } else {
            Peak { bytes: reaped.peak_resident, method: "rusage", bound: Bound::AtMost, reason: OWN }
        }
    }
}

/// A peak of memory.
#[derive(Debug, Clone, Copy)]
struct Peak {
    bytes: u64,
    method: &'static str,
    bound: Bound,
    reason: &'static str,
}

impl Peak {
    fn exact(bytes: u64, method: &'static str) -> Self {
        Self { bytes, method, bound: Bound::Exact, reason: "" }
    }

    fn sampled(bytes: u64, method: &'static str) -> Self {
        Self { bytes, method, bound: Bound::AtLeast, reason: SAMPLED }
    }
}

/// The CPU time of a process that its ticks leave out, in nanoseconds; the kernel does not say of which mode it is.
fn below_ticks(pid: i32, reading: &Reading, tick: Duration) -> u64 {
    let ticks = (reading.user_ticks + reading.system_ticks) * nanos(tick);
    cpu_nanos(pid).unwrap_or(0).saturating_sub(ticks)
}

/// Whether the I/O of a process may be read: it is one's own, or one is privileged (proc_pid_io(5)).
pub(crate) fn may_read_io(pid: i32) -> bool {
    std::fs::read(format!("/proc/{pid}/io")).is_ok()
}

#[derive(Debug, Default)]
struct Gauges {
    resident: u64,
    processes: u64,
    threads: u64,
}

impl Source for Tree {
    fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let Some(begun) = self.allowance.begin() else { return Ok(()) };
        let result = self.sample(out);
        self.allowance.end(begun);
        result
    }

    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let exact = if self.target.is_attached() { self.read(Wanted::ALL, out)?.0 } else { self.exact()? };
        self.push_counters(&exact, true, out);

        if self.target.is_attached() {
            let seen = self.counters.iter().skip(Counters::CPU);
            seen.for_each(|(series, _)| out.bound(*series, Bound::AtLeast, UNSEEN));
        }

        let largest = self.largest_peak();
        let tree = match self.target.cgroup().ok().and_then(|cgroup| cgroup.memory_peak()) {
            Some(bytes) => Peak::exact(bytes, "cgroup memory.peak"),
            None if largest.bound == Bound::AtMost && largest.bytes >= self.peak_tree => largest,
            // The tree was never smaller than its largest process.
            None => Peak::sampled(self.peak_tree.max(largest.bytes), "largest sample"),
        };
        for (scope, peak) in [("largest_process", largest), ("tree", tree)] {
            let series = Series::new(MEMORY_PEAK).consumer(Consumer::Target).label(PEAK_SCOPE, scope);
            let series = self.registry.series(series.method(peak.method))?;
            out.push(series, peak.bytes as f64);
            out.bound(series, peak.bound, peak.reason);
        }
        Ok(())
    }
}
