//! The break-down of the tree by process: series that come with a process and are retired with it.

use std::sync::Arc;

use alumet::conventions::CPU_TIME;
use alumet::{Batch, Consumer, Contradiction, Increase, Metric, Registry, Series, SeriesId};

use crate::kernel::{cpu_nanos, page_size};
use crate::metrics::{DISK_IO, EVENTS, MEMORY, PROMPT_EVENTS, THREADS};
use crate::process::{Process, Reading, Wanted};

/// The series of one process under one name. A process that executes another program gets new ones.
#[derive(Debug)]
pub struct ProcessSeries {
    name: String,
    counters: [(SeriesId, Increase); 7],
    memory: SeriesId,
    threads: SeriesId,
}

impl ProcessSeries {
    /// Registers the series. Their counters start at `from`, or at zero for a process that was born in the run.
    ///
    /// # Errors
    /// A metric contradicts one of another plugin.
    pub fn new(registry: &Registry, process: &Process, from: [u64; 7]) -> Result<Self, Contradiction> {
        let name = process.name();
        let series = |metric: Metric| {
            Series::new(metric)
                .consumer(Consumer::Process(process.pid))
                .label("process.executable.name", &*name)
        };
        let cpu = series(CPU_TIME).method("CPU clock of the process");
        let events = EVENTS.map(|(metric, key, value)| {
            let with_children = metric.name == DISK_IO.name;
            let method = if with_children {
                "/proc/PID/io, with children that it has waited for"
            } else {
                "/proc/PID"
            };
            series(metric).label(key, value).method(method)
        });
        let mut counters = Vec::with_capacity(1 + EVENTS.len());
        for (series, from) in [cpu].into_iter().chain(events).zip(from) {
            counters.push((registry.series(series)?, Increase::from(from)));
        }
        Ok(Self {
            counters: counters.try_into().expect("one for each counter"),
            // What it shares with others counts in full for each of them.
            memory: registry.series(series(MEMORY).method("/proc/PID/stat, resident"))?,
            threads: registry.series(series(THREADS).method("/proc/PID"))?,
            name,
        })
    }

    /// Pushes what the last reading says; it was of what was wanted.
    pub fn push(&mut self, process: &Process, wanted: Wanted, out: &mut Batch) {
        let reading = &process.last;
        let raw = raw_counters(process.pid, reading);
        let n = if wanted.details || !reading.alive { raw.len() } else { 1 + PROMPT_EVENTS };
        for (i, ((series, increase), raw)) in self.counters.iter_mut().zip(raw).take(n).enumerate() {
            let increase = increase.to(raw) as f64;
            out.push(*series, if i == 0 { increase / 1e9 } else { increase });
        }
        if reading.alive {
            out.push(self.memory, reading.resident_pages as f64 * page_size() as f64);
            out.push(self.threads, reading.threads as f64);
        }
    }

    /// The process has ended.
    pub fn retire(self, out: &mut Batch) {
        self.counters.iter().for_each(|(series, _)| out.retire(*series));
        out.retire(self.memory);
        out.retire(self.threads);
    }

    /// Where the counters stand.
    fn marks(&self, process: &Process) -> [u64; 7] {
        raw_counters(process.pid, &process.last)
    }
}

/// The raw counters of a process, CPU time in nanoseconds and then the order of [`EVENTS`].
fn raw_counters(pid: i32, reading: &Reading) -> [u64; 7] {
    let io = reading.io.unwrap_or_default();
    [
        cpu_nanos(pid).unwrap_or(0),
        reading.minor_faults,
        reading.major_faults,
        reading.switches.voluntary,
        reading.switches.involuntary,
        // This includes children that were waited for: the kernel does not tell them apart.
        io.read,
        io.written,
    ]
}

/// The break-down as a whole.
#[derive(Debug, Default)]
pub struct PerProcess {
    series: std::collections::HashMap<i32, ProcessSeries>,
}

impl PerProcess {
    /// Pushes one process. `at_gate` says that the run has not started: what the process has used so far is not the
    /// application's.
    ///
    /// # Errors
    /// A metric contradicts one of another plugin.
    pub fn push(
        &mut self,
        registry: &Arc<Registry>,
        process: &Process,
        wanted: Wanted,
        at_gate: bool,
        out: &mut Batch,
    ) -> Result<(), Contradiction> {
        let known = self.series.remove(&process.pid);
        let mut series = match known {
            Some(series) if process.is_named(&series.name) => series,
            Some(renamed) => {
                let marks = renamed.counters.map(|(_, increase)| increase.mark());
                renamed.retire(out);
                ProcessSeries::new(registry, process, marks)?
            }
            None => {
                let mut series = ProcessSeries::new(registry, process, [0; 7])?;
                if at_gate {
                    let marks = series.marks(process);
                    for ((_, increase), mark) in series.counters.iter_mut().zip(marks) {
                        *increase = Increase::from(mark);
                    }
                }
                series
            }
        };
        series.push(process, wanted, out);
        self.series.insert(process.pid, series);
        Ok(())
    }

    /// A process has ended.
    pub fn retire(&mut self, pid: i32, out: &mut Batch) {
        if let Some(series) = self.series.remove(&pid) {
            series.retire(out);
        }
    }
}
