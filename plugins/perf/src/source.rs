//! The events of the whole tree, and those of the machine: read at every tick, and exactly at the marks.

use alumet::{Allowance, Batch, Consumer, Gaps, Metric, Registry, Series, SeriesId, Source};
use std::sync::Arc;

use crate::counted::Counted;
use crate::event::{Class, Event};
use crate::metrics::{EVENT, RUNNING, metric};
use crate::open::Opened;
use crate::refusal::Refusal;
use crate::tally::Times;

/// The source.
#[derive(Debug)]
pub struct Events {
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
}

impl Events {
    /// Registers the series.
    ///
    /// # Errors
    /// A metric contradicts one of another plugin.
    pub fn new(opened: Vec<Opened>, registry: &Arc<Registry>, gaps: &Gaps) -> anyhow::Result<Self> {
        let line = |Opened { event, counters, user_only, .. }: Opened| -> anyhow::Result<Line> {
            let series = registry.series(series(&event, metric(&event), user_only))?;
            let counters = counters.into_iter().map(|parts| Counted::new(&event, parts)).collect();
            Ok(Line { event, series, counters })
        };
        Ok(Self {
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
    /// Reads all counters. Returns the increase, unless it was never counted so far.
    fn read(&mut self) -> std::io::Result<Option<f64>> {
        let mut increase = 0.0;
        for counted in &mut self.counters {
            increase += counted.read()?;
        }
        Ok(self.times().share().map(|_| increase))
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

impl Source for Events {
    fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let Some(begun) = self.allowance.begin() else { return Ok(()) };
        for line in &mut self.lines {
            if let Some(increase) = line.read()? {
                out.push(line.series, increase * line.event.scale);
            }
        }
        self.allowance.end(begun);
        Ok(())
    }

    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let mut never_counted = Vec::new();
        for line in &mut self.lines {
            let increase = line.read()?;
            let share = line.times().share();
            match (increase, share) {
                (Some(increase), Some(_)) => {
                    let rest: f64 = line.counters.iter_mut().map(|counted| counted.tally.rest()).sum();
                    out.push(line.series, (increase + rest) * line.event.scale);
                }
                _ => never_counted.push(line.event.title()),
            }
            if line.takes_turns() {
                let running = series(&line.event, RUNNING, false).label(EVENT, &line.event.name);
                out.push(self.registry.series(running)?, share.unwrap_or(0.0));
            }
        }
        if !never_counted.is_empty() {
            let Refusal { reason, remedy } = Refusal::never_counted();
            self.gaps.add(never_counted.join(", "), reason, remedy);
        }
        Ok(())
    }
}
