//! Splits energy on its way, as soon as everything is known of an interval.

use alumet::{Batch, BoundNotice, Point, SeriesId, Time, Transform};

use crate::meter::{Idle, Meter};
use crate::role::{Role, Split};

/// The transform.
#[derive(Debug)]
pub struct Attribution {
    idle: Option<Idle>,
    /// What the points of a series are, by the series' index.
    roles: Vec<Option<Role>>,
    start: Option<Time>,
    meters: Vec<Meter>,
}

impl Attribution {
    /// With what the machine uses when nothing runs, if that is known.
    pub fn new(idle: Option<Idle>) -> Self {
        let meters = [Split::Measured, Split::Estimated];
        Self {
            idle,
            roles: Vec::new(),
            start: None,
            meters: meters.map(|what| Meter::new(what, idle, Time::default())).into(),
        }
    }

    fn meter(&mut self, what: &Split) -> &mut Meter {
        let at = self.meters.iter().position(|meter| meter.what() == what).unwrap_or_else(|| {
            self.meters.push(Meter::new(what.clone(), self.idle, self.start.unwrap_or_default()));
            self.meters.len() - 1
        });
        &mut self.meters[at]
    }

    fn role(&mut self, series: SeriesId, batch: &Batch) -> Role {
        let index = series.index();
        if index >= self.roles.len() {
            self.roles.resize(index + 1, None);
        }
        self.roles[index].get_or_insert_with(|| Role::of(&batch.series(series))).clone()
    }

    fn note(&mut self, point: &Point, batch: &Batch) {
        match self.role(point.series, batch) {
            Role::Nothing => {}
            Role::Energy(what) => self.meter(&what).add_energy(point, || batch.series(point.series)),
            Role::Uncertainty(what) => self.meter(&what).add_uncertainty(point),
            Role::Target(time) => {
                time.splits().iter().for_each(|what| self.meter(what).add_target(point));
            }
            Role::Busy(time) => time.splits().iter().for_each(|what| self.meter(what).add_busy(point)),
            Role::Process(pid, name) => {
                for what in [Split::Measured, Split::Estimated] {
                    self.meter(&what).add_process((pid, name.clone()), point);
                }
            }
        }
    }
}

impl Attribution {
    /// What is said of a whole is to be said of its parts.
    fn note_bound(&mut self, notice: &BoundNotice, batch: &Batch) {
        match self.role(notice.series, batch) {
            Role::Energy(what) => self.meter(&what).bound_energy(notice),
            Role::Target(time) => time.splits().iter().for_each(|what| self.meter(what).bound_target(notice)),
            _ => {}
        }
    }
}

impl Transform for Attribution {
    fn apply(&mut self, batch: &mut Batch) -> anyhow::Result<()> {
        if self.start.is_none()
            && let Some(start) = batch.registry().start()
        {
            self.start = Some(start.time);
            let (idle, start) = (self.idle, start.time);
            self.meters.iter_mut().for_each(|meter| *meter = Meter::new(meter.what().clone(), idle, start));
        }
        for i in 0..batch.points().len() {
            let point = batch.points()[i];
            self.note(&point, batch);
        }
        for notice in batch.bounds().to_vec() {
            self.note_bound(&notice, batch);
        }
        for series in batch.retired().to_vec() {
            if let Some(role) = self.roles.get_mut(series.index())
                && let Some(Role::Process(pid, name)) = role.take()
            {
                let key = (pid, name);
                self.meters.iter_mut().for_each(|meter| meter.end_process(&key));
            }
        }
        self.meters.iter_mut().try_for_each(|meter| meter.split_known(batch))?;
        Ok(())
    }

    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        self.meters.iter_mut().try_for_each(|meter| meter.finish(out))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use alumet::{Consumer, Metric, Registry, Series};

    use super::*;
    use alumet::conventions::{DOMAIN, ENERGY};

    /// So many batches, each with the first `n` of: CPU time of the application, of the machine and of a process, and energy;
    /// all but the first `skipped` of them.
    fn held_after(batches: u64, skipped: usize, n: usize) -> (usize, usize) {
        let registry = Registry::new();
        let series = |metric: Metric| Series::new(metric);
        let cpu = || series(Metric::counter("process.cpu.time", "s", ""));
        let all = [
            cpu().consumer(Consumer::Target),
            cpu().consumer(Consumer::Process(1)).label("process.executable.name", "p"),
            series(Metric::counter("system.cpu.time", "s", "")).label("cpu.mode", "user"),
            series(ENERGY).label(DOMAIN, "package"),
        ];
        let ids = all.map(|series| registry.series(series).unwrap());
        let mut attribution = Attribution::new(None);
        for i in 1..=batches {
            let mut batch = Batch::new(Arc::clone(&registry));
            for id in &ids[skipped..n] {
                let time = Time::from_nanos(i * 1_000_000);
                batch.push_point(Point { time, value: 1.0, series: *id, half_width_ns: 0 });
            }
            attribution.apply(&mut batch).unwrap();
        }
        attribution.meters[0].held()
    }

    #[test]
    fn nothing_piles_up_whether_there_is_a_meter_or_not() {
        // One piece each of the application, the machine and a process waits for a meter.
        assert_eq!(held_after(1000, 0, 3), (2, 1));
        // Two intervals are held back for what shows only at the end.
        assert_eq!(held_after(1000, 0, 4), (6, 1));
        // Of the energy waits one piece for a time that is never known; the machine's time is only in order.
        assert_eq!(held_after(1000, 3, 4), (1, 0));
    }

    #[test]
    fn of_processes_that_have_ended_no_more_than_a_thousand_wait_for_a_meter() {
        let waiting = |processes: i32| {
            let registry = Registry::new();
            let mut attribution = Attribution::new(None);
            let ids: Vec<_> = (1..=processes)
                .map(|pid| {
                    let series = Series::new(Metric::counter("process.cpu.time", "s", ""));
                    registry.series(series.consumer(Consumer::Process(pid))).unwrap()
                })
                .collect();
            let mut batch = Batch::new(Arc::clone(&registry));
            for id in &ids {
                batch.push_point(Point {
                    time: Time::from_nanos(1),
                    value: 1.0,
                    series: *id,
                    half_width_ns: 0,
                });
            }
            // One lives on.
            ids[1..].iter().for_each(|id| batch.retire(*id));
            attribution.apply(&mut batch).unwrap();
            attribution.meters[0].held().1
        };
        assert_eq!([waiting(1000), waiting(1001)], [1000, 1]);
    }
}
