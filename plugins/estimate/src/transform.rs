//! Adds the estimate to the machine's CPU times on their way.

use alumet::conventions::{SYSTEM_CPU_TIME, is_busy_time};
use alumet::{Batch, Consumer, Gaps, Series, SeriesId, Time, Transform};

use crate::measures_cpus;
use crate::model::Model;

/// What somebody can do whose CPUs nobody knows.
const REMEDY: &str =
    "name its thermal design power and threads, as in --set estimate.tdp=65W --set estimate.threads=12";

/// The transform.
#[derive(Debug)]
pub struct Estimate {
    model: Model,
    series: SeriesId,
    /// Whether it is wanted whatever is measured.
    always: bool,
    /// Whether a meter is there that may measure: then the estimate waits for the end, in case that it does not.
    has_rival: bool,
    /// Whether anything was measured.
    is_measured: bool,
    /// What the points of a series are, by the series' index.
    roles: Vec<Option<Role>>,
    since: Option<Time>,
    held: f64,
    gaps: Gaps,
}

/// What a series tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Busy,
    Idle,
    Meter,
    Nothing,
}

impl Role {
    fn of(series: &Series) -> Self {
        match (&*series.metric.name, series.consumer) {
            _ if measures_cpus(series) => Self::Meter,
            _ if is_busy_time(series) => Self::Busy,
            (name, Consumer::Machine) if name == SYSTEM_CPU_TIME.name => Self::Idle,
            _ => Self::Nothing,
        }
    }
}

impl Estimate {
    /// By this model, for this series.
    pub fn new(model: Model, series: SeriesId, always: bool, has_rival: bool, gaps: Gaps) -> Self {
        Self {
            model,
            series,
            always,
            has_rival,
            is_measured: false,
            roles: Vec::new(),
            since: None,
            held: 0.0,
            gaps,
        }
    }
}

impl Transform for Estimate {
    fn apply(&mut self, batch: &mut Batch) -> anyhow::Result<()> {
        let (mut busy, mut idle, mut until) = (0.0, 0.0, None);
        for i in 0..batch.points().len() {
            let point = batch.points()[i];
            let index = point.series.index();
            if index >= self.roles.len() {
                self.roles.resize(index + 1, None);
            }
            match *self.roles[index].get_or_insert_with(|| Role::of(&batch.series(point.series))) {
                Role::Busy => busy += point.value,
                Role::Idle => idle += point.value,
                // A sensor that shows 0 W shows nothing.
                Role::Meter => self.is_measured |= point.value > 0.0,
                Role::Nothing => continue,
            }
            until = until.max(Some(point.time));
        }
        for series in batch.retired() {
            if let Some(role) = self.roles.get_mut(series.index()) {
                *role = None;
            }
        }
        let Some(until) = until.filter(|_| busy + idle > 0.0) else { return Ok(()) };
        let start = batch.registry().start().map_or(until, |start| start.time);
        let time = until.since(self.since.replace(until).unwrap_or(start));
        let energy = self.model.energy(busy / (busy + idle), time);
        if self.always || !self.has_rival {
            batch.push_point(alumet::Point {
                time: until,
                value: energy,
                series: self.series,
                half_width_ns: 0,
            });
        } else {
            self.held += energy;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        if self.is_measured {
            return Ok(());
        }
        if self.held > 0.0 {
            out.push(self.series, self.held);
        }
        if let Some(reason) = self.model.unknown.as_ref().filter(|_| self.since.is_some()) {
            self.gaps.add("a closer estimate of the energy", reason, REMEDY);
        }
        if self.since.is_none() {
            let are_read = self.roles.iter().flatten().any(|role| matches!(role, Role::Busy | Role::Idle));
            let (reason, remedy) = if are_read {
                let reason = "the machine's CPU times have not advanced: the run was shorter than their tick";
                (reason, "repeat or lengthen the run")
            } else {
                ("it is made from the machine's CPU time, which is not measured", "")
            };
            self.gaps.add("an estimate of the energy", reason, remedy);
        }
        Ok(())
    }
}
