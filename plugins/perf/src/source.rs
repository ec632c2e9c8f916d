//! The events of the whole tree, and those of the machine: read at every tick, and exactly at the marks.
//!
//! An event that has to share its counter is scaled by its times since the start, and the run's count by those of the
//! whole run: so the total is the same at every interval. Each point is the growth of the scaled count; where the count
//! has fallen, for another share makes another count, points are 0 until it has grown beyond what was told, and the last
//! one corrects what is left of that, if need be downwards.

use std::iter::zip;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alumet::{Allowance, Batch, Consumer, Gaps, Metric, Registry, Series, SeriesId, Source, Target};
use perf_event::Counter;

use crate::counted::Counted;
use crate::event::{Class, Event};
use crate::metrics::{EVENT, OBSERVED, RUNNING, metric};
use crate::open::{Opened, Outcome};
use crate::refusal::{self, Refusal};
use crate::tally::Reading;
use crate::turns::{self, Told};

/// The source.
#[derive(Debug)]
pub struct Events {
    target: Arc<Target>,
    lines: Vec<Line>,
    /// An event of the kernel's own on the same threads, where none is among the lines.
    witness: Vec<Counted>,
    /// How long the first and the last reading of all counters took.
    reading: [Duration; 2],
    allowance: Allowance,
    registry: Arc<Registry>,
    gaps: Gaps,
}

/// One event.
#[derive(Debug)]
struct Line {
    event: Event,
    series: SeriesId,
    /// For each thread or CPU.
    counters: Vec<Counted>,
    told: Told,
}

impl Events {
    /// Registers the series of the events that were opened.
    ///
    /// # Errors
    /// A metric contradicts one of another plugin.
    pub fn new(
        outcome: Outcome,
        target: Arc<Target>,
        registry: &Arc<Registry>,
        gaps: &Gaps,
    ) -> anyhow::Result<Self> {
        let line = |Opened { event, counters, user_only, .. }: Opened| -> anyhow::Result<Line> {
            let series = registry.series(series(&event, metric(&event), user_only))?;
            let counters = counted(&event, counters);
            Ok(Line { event, series, counters, told: Told::default() })
        };
        let witness = outcome.witness.map(|(event, counters)| counted(&event, counters));
        Ok(Self {
            target,
            lines: outcome.opened.into_iter().map(line).collect::<anyhow::Result<_>>()?,
            witness: witness.unwrap_or_default(),
            reading: [Duration::ZERO; 2],
            allowance: Allowance::default(),
            registry: Arc::clone(registry),
            gaps: gaps.clone(),
        })
    }

    /// Reads all counters.
    fn read(&mut self) -> std::io::Result<()> {
        let begun = Instant::now();
        self.lines.iter_mut().try_for_each(Line::read)?;
        self.witness.iter_mut().try_for_each(Counted::read)?;
        let [first, last] = &mut self.reading;
        let time = begun.elapsed();
        if first.is_zero() {
            *first = time;
        }
        *last = time;
        Ok(())
    }

    /// For how long an event that never waits was counted, in nanoseconds.
    fn time_of_the_kernels_own(&self) -> Option<u64> {
        let own = self.lines.iter().filter(|line| line.is_of_the_kernel()).map(Line::total);
        let beside = (!self.witness.is_empty()).then(|| sum(&self.witness));
        own.chain(beside).map(|total| total.running).max()
    }

    /// The CPU time of the tree that the counters have seen: what one was wanted for at most. None if all of them count
    /// the whole machine.
    fn observed(&self) -> Option<Duration> {
        let of_target = self.lines.iter().filter(|line| !line.event.is_machine_wide());
        let wanted = of_target.map(|line| line.total().enabled).chain(self.time_of_the_kernels_own());
        wanted.max().map(Duration::from_nanos)
    }

    /// The share of the time for which each line was counted.
    fn shares(&self) -> Vec<Option<f64>> {
        let threads = self.lines.iter().map(|line| line.counters.len()).max().unwrap_or_default();
        let apart = self.reading.iter().sum::<Duration>().as_nanos() as u64 * threads as u64;
        // What was launched starts and ends as a whole, but what was attached to runs while it is read.
        let apart = if self.target.is_attached() { apart } else { 0 };
        let totals: Vec<_> = self.lines.iter().map(|line| (&line.event, line.total())).collect();
        turns::shares(&totals, self.time_of_the_kernels_own(), apart)
    }
}

fn counted(event: &Event, counters: Vec<Vec<Counter>>) -> Vec<Counted> {
    counters.into_iter().map(|parts| Counted::new(event, parts)).collect()
}

fn sum(counters: &[Counted]) -> Reading {
    let mut sum = Reading::default();
    counters.iter().for_each(|counted| sum += counted.total());
    sum
}

fn series(event: &Event, metric: Metric, user_only: bool) -> Series {
    let method = match (event.is_machine_wide(), user_only) {
        (true, _) => "perf_event_open on the PMU's CPUs",
        (false, false) => "perf_event_open, inherited",
        (false, true) => "perf_event_open, inherited, user mode only",
    };
    let consumer = if event.is_machine_wide() { Consumer::Machine } else { Consumer::Target };
    let series = Series::new(metric).consumer(consumer).method(method);
    match &event.core_type {
        Some(pmu) => series.label("hw.cpu.core_type", pmu),
        None => series,
    }
}

impl Line {
    fn read(&mut self) -> std::io::Result<()> {
        self.counters.iter_mut().try_for_each(Counted::read)
    }

    fn total(&self) -> Reading {
        sum(&self.counters)
    }

    /// Whether it may have to share a counter of the CPU with others.
    fn takes_turns(&self) -> bool {
        matches!(self.event.class, Class::Hardware | Class::Cache | Class::Raw | Class::Pmu)
    }

    /// Whether there is something to tell. That an event of the CPU had no turn so far is not known before the end.
    fn has_begun(&self) -> bool {
        let Reading { count, running, .. } = self.total();
        !self.takes_turns() || running > 0 || count > 0
    }

    /// Whether it counts the application's threads without a counter of the CPU.
    fn is_of_the_kernel(&self) -> bool {
        !self.takes_turns() && !self.event.is_machine_wide()
    }
}

impl Source for Events {
    fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let Some(begun) = self.allowance.begin() else { return Ok(()) };
        let read = self.read();
        let shares = self.shares();
        for (line, share) in zip(&mut self.lines, shares) {
            if let Some(share) = share.filter(|_| line.has_begun()) {
                let increase = line.told.increase(line.total(), share);
                out.push(line.series, increase * line.event.scale);
            }
        }
        self.allowance.end(begun);
        self.target.note_counted(self.observed().unwrap_or_default());
        Ok(read?)
    }

    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        self.read()?;
        let mut never_counted = Vec::new();
        let shares = self.shares();
        for (line, share) in self.lines.iter().zip(&shares) {
            match share {
                Some(share) => {
                    out.push(line.series, line.told.rest(line.total(), *share) * line.event.scale);
                }
                None => never_counted.push(&line.event),
            }
            if line.takes_turns() {
                let running = series(&line.event, RUNNING, false).label(EVENT, &line.event.name);
                out.push(self.registry.series(running)?, share.unwrap_or(0.0));
            }
        }
        if let Some(observed) = self.observed() {
            let series = Series::new(OBSERVED).consumer(Consumer::Target).method("time enabled");
            out.push(self.registry.series(series)?, observed.as_secs_f64());
        }
        if !never_counted.is_empty() {
            let Refusal { reason, remedy } = Refusal::never_counted();
            self.gaps.add(refusal::list(&never_counted), reason, remedy);
        }
        Ok(())
    }
}
