//! The events of the whole tree, and those of the machine: read at every tick, and exactly at the marks.

use alumet::{Allowance, Batch, Consumer, Gaps, Metric, Registry, Series, SeriesId, Source, Target};
use std::sync::Arc;
use std::time::Duration;

use crate::counted::Counted;
use crate::event::{Class, Event};
use crate::metrics::{EVENT, OBSERVED, RUNNING, metric};
use crate::open::Opened;
use crate::refusal::Refusal;
use crate::tally::Times;

/// The source.
#[derive(Debug)]
pub struct Events {
    target: Arc<Target>,
    lines: Vec<Line>,
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
    /// Counted, and not yet pushed.
    untold: f64,
}

impl Events {
    /// Registers the series.
    ///
    /// # Errors
    /// A metric contradicts one of another plugin.
    pub fn new(
        opened: Vec<Opened>,
        target: Arc<Target>,
        registry: &Arc<Registry>,
        gaps: &Gaps,
    ) -> anyhow::Result<Self> {
        let line = |Opened { event, counters, user_only, .. }: Opened| -> anyhow::Result<Line> {
            let series = registry.series(series(&event, metric(&event), user_only))?;
            let counters = counters.into_iter().map(|parts| Counted::new(&event, parts)).collect();
            Ok(Line { event, series, counters, untold: 0.0 })
        };
        Ok(Self {
            target,
            lines: opened.into_iter().map(line).collect::<anyhow::Result<_>>()?,
            allowance: Allowance::default(),
            registry: Arc::clone(registry),
            gaps: gaps.clone(),
        })
    }
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
    /// Reads all counters.
    fn read(&mut self) -> std::io::Result<()> {
        for counted in &mut self.counters {
            self.untold += counted.read()?;
        }
        Ok(())
    }

    /// Pushes the increase, unless it was never counted so far.
    fn push(&mut self, out: &mut Batch) {
        if self.times().share().is_some() {
            out.push(self.series, std::mem::take(&mut self.untold) * self.event.scale);
        }
    }

    fn times(&self) -> Times {
        let mut times = Times::default();
        self.counters.iter().for_each(|counted| times += counted.tally.times());
        times
    }

    /// Whether it may have to share a counter of the CPU with others.
    fn takes_turns(&self) -> bool {
        matches!(self.event.class, Class::Hardware | Class::Cache | Class::Raw | Class::Pmu)
    }
}

impl Events {
    /// The CPU time of the tree that the counters have seen: what one was wanted for at most.
    fn observed(&self) -> Duration {
        let of_target = self.lines.iter().filter(|line| !line.event.is_machine_wide());
        of_target.map(|line| line.times().enabled()).max().unwrap_or_default()
    }
}

impl Source for Events {
    fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let Some(begun) = self.allowance.begin() else { return Ok(()) };
        let read = self.lines.iter_mut().try_for_each(|line| {
            line.read()?;
            line.push(out);
            Ok(())
        });
        self.allowance.end(begun);
        self.target.note_counted(self.observed());
        read
    }

    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let mut never_counted = Vec::new();
        for line in &mut self.lines {
            line.read()?;
            let times = line.times();
            let share = times.share();
            if share.is_some() {
                line.untold += line.counters.iter_mut().map(|counted| counted.tally.rest()).sum::<f64>();
                line.push(out);
            } else {
                never_counted.push(line.event.title());
            }
            if line.takes_turns() {
                let running = series(&line.event, RUNNING, false).label(EVENT, &line.event.name);
                out.push(self.registry.series(running)?, share.unwrap_or(0.0));
            }
        }
        if self.lines.iter().any(|line| !line.event.is_machine_wide()) {
            let series = Series::new(OBSERVED).consumer(Consumer::Target).method("time enabled");
            out.push(self.registry.series(series)?, self.observed().as_secs_f64());
        }
        if !never_counted.is_empty() {
            let Refusal { reason, remedy } = Refusal::never_counted();
            self.gaps.add(never_counted.join(", "), reason, remedy);
        }
        Ok(())
    }
}
