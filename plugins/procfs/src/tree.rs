//! The application: the sums over its process tree while it runs, and the exact totals when it has ended.
//!
//! What its processes have used is in the `ledger`, each of them once; of its `cpu` time there are further witnesses.
//! Whoever descends from the application is of the tree, in whichever cgroup it is, however it was orphaned, and whoever
//! reaps it.
//!
//! Of an application that ran already, what it had used before is taken off. Its CPU time comes from a task clock where
//! that can be had; everything else is what was seen of it, a lower bound, for others reap it.
//!
//! At the end of an application that was launched, the reaped processes tell all (`wait4`(2)), but for those that nobody
//! waits for. Where such have been, or may have been, the totals that lack them are at least so much, and say why.

use std::sync::Arc;

use alumet::conventions::{CPU_MODE, CPU_TIME};
use alumet::target::Target;
use alumet::{
    Allowance, Batch, Bound, Cadence, Consumer, Gaps, Increase, Metric, Registry, Series, SeriesId, Source,
};

use crate::counters::Counters;
use crate::cpu::{Cpu, Finding};
use crate::elsewhere::Elsewhere;
use crate::kernel::{nanos, ticks_since_boot};
use crate::ledger::Ledger;
use crate::memory::Memory;
use crate::metrics::{EVENTS, IO_EVENTS, PROCESSES, PROMPT_EVENTS, THREADS};
use crate::per_process::PerProcess;
use crate::per_thread::PerThread;
use crate::process::Wanted;
use crate::{Config, DETAILS_EVERY, THREADS_EVERY};

/// Why a total of processes attached to lacks something.
const UNSEEN: &str = "what ended unseen is missing";

/// The source.
#[derive(Debug)]
pub struct Tree {
    target: Arc<Target>,
    registry: Arc<Registry>,
    ledger: Ledger,
    cpu: Cpu,
    counters: [(SeriesId, Increase); Counters::COUNT],
    memory: Memory,
    processes_count: SeriesId,
    threads_count: SeriesId,
    details: Cadence,
    threads: Cadence,
    allowance: Allowance,
    /// Whether the I/O of the application may be read; of one that was launched it is in the usage at the end.
    has_io: bool,
    has_started: bool,
    elsewhere: Elsewhere,
    per_process: Option<PerProcess>,
    per_thread: Option<PerThread>,
    buffer: Vec<u8>,
}

/// Why totals are less than the truth, of CPU time and of all others.
#[derive(Debug, Default)]
struct Loss {
    cpu: Option<String>,
    events: Option<String>,
}

impl Tree {
    /// Registers the series.
    ///
    /// # Errors
    /// A metric contradicts one of another plugin.
    pub fn new(
        target: Arc<Target>,
        registry: &Arc<Registry>,
        gaps: &Gaps,
        config: &Config,
    ) -> anyhow::Result<Self> {
        let cpu = Cpu::of(&target);
        let of_target = |metric: Metric| Series::new(metric).consumer(Consumer::Target);
        let modes = ["user", "system"].map(|mode| (CPU_TIME, CPU_MODE, mode));
        let mut counters = Vec::with_capacity(Counters::COUNT);
        for (i, (metric, key, value)) in modes.into_iter().chain(EVENTS).enumerate() {
            let method = if i < Counters::CPU { cpu.method() } else { "/proc/PID and wait4" };
            let series = registry.series(of_target(metric).label(key, value).method(method))?;
            counters.push((series, Increase::default()));
        }
        let since_ticks = if target.is_attached() { ticks_since_boot() } else { 0 };
        Ok(Self {
            registry: Arc::clone(registry),
            cpu,
            counters: counters.try_into().expect("one for each counter"),
            memory: Memory::new(Arc::clone(&target), registry)?,
            processes_count: registry.series(of_target(PROCESSES).method("/proc"))?,
            threads_count: registry.series(of_target(THREADS).method("/proc/PID/stat"))?,
            ledger: Ledger::new(Arc::clone(&target), since_ticks),
            details: Cadence::new(DETAILS_EVERY, config.interval.get()),
            threads: Cadence::new(THREADS_EVERY, config.interval.get()),
            allowance: Allowance::default(),
            has_io: !target.is_attached() || may_read_io(target.pid()),
            target,
            has_started: false,
            elsewhere: Elsewhere::new(gaps),
            per_process: config.per_process.then(PerProcess::default),
            per_thread: config.per_thread.then(PerThread::default),
            buffer: vec![0; 8192],
        })
    }

    /// Reads all processes, forgets those that have gone, and sums up.
    fn read(&mut self, wanted: Wanted, out: &mut Batch) -> anyhow::Result<(Counters, Option<Gauges>)> {
        let mut gauges = None::<Gauges>;
        let at_start = !self.has_started;
        // Looked at before: what is read afterwards is the application's.
        let has_executed = self.target.has_executed();
        let Self { ledger, memory, elsewhere, per_process, per_thread, registry, buffer, .. } = self;
        memory.begin();
        let since = ledger.since_ticks();
        let (sum, gone) = ledger.read(wanted, buffer, |process| {
            let pid = process.pid;
            if let Some(name) = process.new_name() {
                elsewhere.see(pid, name);
            }
            let reading = &process.last;
            if reading.alive && has_executed {
                memory.add(process.pid, reading);
                let gauges = gauges.get_or_insert_default();
                gauges.processes += 1;
                gauges.threads += reading.threads;
            }
            per_process.as_mut().map_or(Ok(()), |per_process| {
                per_process.push(registry, process, wanted, at_start || process.start_ticks < since, out)
            })
        })?;
        if let Some(per_process) = per_process {
            gone.iter().for_each(|process| per_process.retire(process.pid, out));
        }
        if let Some(per_thread) = per_thread.as_mut().filter(|_| wanted.threads || at_start) {
            // At the start, everybody is older than the run.
            let since = if at_start { u64::MAX } else { since };
            per_thread.push(registry, ledger.processes(), since, buffer, out)?;
        }
        Ok((sum, gauges))
    }

    /// Reads and pushes; the first time, notes where everything stands.
    fn sample(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let wanted = Wanted { details: self.details.is_due(), threads: self.threads.is_due(), anew: false };
        if wanted.details {
            // A process that is younger is in the totals all the same.
            self.ledger.look(!self.has_started, &mut self.buffer);
        }
        let (mut counters, gauges) = self.read(wanted, out)?;
        if !self.has_started {
            return self.start();
        }
        self.cpu.improve(&self.target, &mut counters)?;
        self.push_counters(&counters, wanted.details, out);
        if let Some(gauges) = gauges {
            self.memory.push(&mut self.buffer, out);
            out.push(self.processes_count, gauges.processes as f64);
            out.push(self.threads_count, gauges.threads as f64);
        }
        Ok(())
    }

    fn start(&mut self) -> anyhow::Result<()> {
        self.has_started = true;
        self.ledger.start();
        self.cpu.start(&self.target)?;
        if !self.target.is_attached() {
            self.memory.at_gate();
        }
        Ok(())
    }

    fn push_counters(&mut self, counters: &Counters, details: bool, out: &mut Batch) {
        let n = match (details, self.has_io) {
            (false, _) => Counters::CPU + PROMPT_EVENTS,
            // It comes last.
            (true, false) => Counters::COUNT - IO_EVENTS,
            (true, true) => Counters::COUNT,
        };
        for (i, ((series, increase), raw)) in
            self.counters.iter_mut().zip(counters.as_array()).take(n).enumerate()
        {
            let increase = increase.to(raw) as f64;
            out.push(*series, if i < Counters::CPU { increase / 1e9 } else { increase });
        }
    }

    /// What the totals lack, given what the processes know.
    fn loss(&self, files: &Counters) -> Loss {
        if self.target.is_attached() {
            return Loss { cpu: (!self.cpu.has_clock()).then(|| UNSEEN.into()), events: Some(UNSEEN.into()) };
        }
        let finding = self.cpu.compare(files, self.ledger.rounding());
        // Only a cgroup that nobody has left knows of those whom nobody waits for.
        let cgroup_has_all = self.cpu.has_cgroup() && !matches!(finding, Finding::LeftCgroup(_));
        let ignoring = self.ledger.ignoring();
        let is_lacking = *self.ledger.untold() != Counters::default()
            || matches!(finding, Finding::NobodyWaited(_))
            || (ignoring.is_some() && !cgroup_has_all);
        if !is_lacking {
            return Loss::default();
        }
        let why = match ignoring {
            Some(name) => {
                format!("{name} ignores SIGCHLD, so what its children have used is told to nobody (wait(2))")
            }
            None => "nobody has waited for some processes, so what they have used is told to nobody".into(),
        };
        let of_time = match finding {
            Finding::NobodyWaited(nanos) => format!(": they had {:.3} s of the CPU time", nanos as f64 / 1e9),
            _ => String::new(),
        };
        Loss { cpu: (!cgroup_has_all).then(|| why.clone()), events: Some(why + &of_time) }
    }

    /// Says which totals are less than the truth, and why.
    fn push_loss(&self, loss: &Loss, out: &mut Batch) {
        for (i, (series, _)) in self.counters.iter().enumerate() {
            let why = if i < Counters::CPU { &loss.cpu } else { &loss.events };
            if let Some(why) = why {
                out.bound(*series, Bound::AtLeast, why.clone());
            }
        }
    }
}

/// Whether the I/O of a process may be read: it is one's own, or one is privileged (proc_pid_io(5)).
pub(crate) fn may_read_io(pid: i32) -> bool {
    std::fs::read(format!("/proc/{pid}/io")).is_ok()
}

#[derive(Debug, Default)]
struct Gauges {
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
        if !self.target.is_attached() {
            // Once more, for those that live on and are younger than the last look.
            self.ledger.look(true, &mut self.buffer);
        }
        let (files, _) = self.read(Wanted::ALL, out)?;
        let mut best = files;
        self.cpu.improve(&self.target, &mut best)?;
        let mut loss = self.loss(&files);
        if !self.target.is_attached() {
            self.cpu.raise(&mut best, &mut loss.cpu, nanos(self.target.counted()));
        }
        self.push_counters(&best, true, out);
        self.push_loss(&loss, out);
        self.memory.finish(loss.events.is_none(), out)?;
        Ok(())
    }
}
