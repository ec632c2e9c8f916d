//! Splits energy on its way, as soon as everything is known of an interval.

use std::collections::BTreeMap;
use std::sync::Arc;

use alumet::{
    Batch, Consumer, Contradiction, Metric, Point, Provenance, Registry, Series, SeriesId, Time, Transform,
};

use crate::split::Interval;
use crate::timeline::Timeline;

/// Energy; the parts have the label [`PART`].
pub const ENERGY: Metric = Metric::counter("hw.energy", "J", "energy");
/// `target`, `idle` or `other`; what a meter has measured has no such label.
pub const PART: &str = "hw.energy.part";

/// The transform.
#[derive(Debug, Default)]
pub struct Attribution {
    idle_power: Option<f64>,
    /// What the points of a series are, by the series' index.
    roles: Vec<Option<Role>>,
    parts: Option<[SeriesId; 3]>,
    has_started: bool,
    /// Whether a meter has said anything.
    has_energy: bool,
    /// Up to here everything was split.
    from: Time,
    energy: Timeline,
    target: Timeline,
    busy: Timeline,
    processes: BTreeMap<(i32, String), ProcessLine>,
}

/// What a series tells.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Role {
    Energy,
    Target,
    Busy,
    Process(i32, String),
    Nothing,
}

/// A process that is told apart.
#[derive(Debug)]
struct ProcessLine {
    cpu: Timeline,
    series: SeriesId,
    ended: bool,
}

impl Role {
    fn of(series: &Series) -> Self {
        let label = |key| series.label_value(key);
        match (&*series.metric.name, series.consumer) {
            // The packages contain cores and graphics; what is not of the CPU is measured by others.
            ("hw.energy", Consumer::Machine)
                if matches!(label("hw.energy.domain"), Some("package" | "dram")) =>
            {
                Self::Energy
            }
            ("process.cpu.time", Consumer::Target) => Self::Target,
            ("process.cpu.time", Consumer::Process(pid)) => {
                Self::Process(pid, label("process.executable.name").unwrap_or_default().to_owned())
            }
            ("system.cpu.time", Consumer::Machine)
                if matches!(label("cpu.mode"), Some("user" | "nice" | "system" | "interrupt")) =>
            {
                Self::Busy
            }
            _ => Self::Nothing,
        }
    }
}

impl Attribution {
    /// With what the machine uses when nothing runs, in watts, if that is known.
    pub fn new(idle_power: Option<f64>) -> Self {
        Self { idle_power, ..Self::default() }
    }

    fn method(&self) -> String {
        match self.idle_power {
            Some(watts) => format!("share of the busy CPU time, above {watts} W of idle power"),
            None => "share of the busy CPU time, idle power included".into(),
        }
    }

    fn part(&self, registry: &Registry, consumer: Consumer, part: &str) -> Result<SeriesId, Contradiction> {
        let series = Series::new(ENERGY).consumer(consumer).provenance(Provenance::Attributed);
        registry.series(series.label(PART, part.to_owned()).method(self.method()))
    }

    fn note(&mut self, point: &Point, batch: &Batch) -> Result<(), Contradiction> {
        let index = point.series.index();
        if index >= self.roles.len() {
            self.roles.resize(index + 1, None);
        }
        let role = self.roles[index].get_or_insert_with(|| Role::of(&batch.series(point.series))).clone();
        match role {
            Role::Nothing => {}
            Role::Energy => {
                self.has_energy = true;
                self.energy.add(point.time, point.value);
            }
            Role::Target => self.target.add(point.time, point.value),
            Role::Busy => self.busy.add(point.time, point.value),
            // Without a meter there is nothing to be given to them.
            Role::Process(..) if !self.has_energy => {}
            Role::Process(pid, name) => {
                if !self.processes.contains_key(&(pid, name.clone())) {
                    let series = Series::new(ENERGY)
                        .consumer(Consumer::Process(pid))
                        .provenance(Provenance::Attributed)
                        .label("process.executable.name", name.clone())
                        .method(self.method());
                    let series = batch.registry().series(series)?;
                    let line = ProcessLine { cpu: Timeline::starting(self.from), series, ended: false };
                    self.processes.insert((pid, name.clone()), line);
                }
                if let Some(line) = self.processes.get_mut(&(pid, name)) {
                    line.cpu.add(point.time, point.value);
                }
            }
        }
        Ok(())
    }

    /// Splits what was used until `to`.
    fn advance(&mut self, to: Time, out: &mut Batch) -> Result<(), Contradiction> {
        let length = to.since(self.from).as_secs_f64();
        self.from = to;
        let interval = Interval {
            energy: self.energy.take(to),
            length,
            target_cpu: self.target.take(to),
            busy_cpu: self.busy.take(to),
        };
        let split = interval.split(self.idle_power.unwrap_or(0.0));
        let [target, idle, other] = match self.parts {
            Some(parts) => parts,
            None => {
                let registry = Arc::clone(out.registry());
                let parts = [
                    self.part(&registry, Consumer::Target, "target")?,
                    self.part(&registry, Consumer::Machine, "idle")?,
                    self.part(&registry, Consumer::Machine, "other")?,
                ];
                *self.parts.insert(parts)
            }
        };
        let mut push = |series, value| out.push_point(Point { time: to, value, series, half_width_ns: 0 });
        push(target, split.target);
        if self.idle_power.is_some() {
            push(idle, split.idle);
        }
        push(other, split.other);
        let used: Vec<f64> = self.processes.values_mut().map(|line| line.cpu.take(to)).collect();
        let whole = interval.target_cpu.max(used.iter().sum());
        for (line, cpu) in self.processes.values().zip(used).filter(|(_, cpu)| *cpu > 0.0) {
            push(line.series, split.target * cpu / whole);
        }
        self.processes.retain(|_, line| {
            let stays = !line.ended || line.cpu.known_until() > to;
            if !stays {
                out.retire(line.series);
            }
            stays
        });
        Ok(())
    }
}

impl Transform for Attribution {
    fn apply(&mut self, batch: &mut Batch) -> anyhow::Result<()> {
        if !self.has_started
            && let Some(start) = batch.registry().start()
        {
            self.has_started = true;
            self.from = start.time;
            for timeline in [&mut self.energy, &mut self.target, &mut self.busy] {
                *timeline = Timeline::starting(start.time);
            }
        }
        for i in 0..batch.points().len() {
            let point = batch.points()[i];
            self.note(&point, batch)?;
        }
        for series in batch.retired() {
            if let Some(Some(Role::Process(pid, name))) = self.roles.get(series.index())
                && let Some(line) = self.processes.get_mut(&(*pid, name.clone()))
            {
                line.ended = true;
            }
        }
        for series in batch.retired().to_vec() {
            if let Some(role) = self.roles.get_mut(series.index()) {
                *role = None;
            }
        }
        if !self.has_energy {
            // Perhaps there is no meter: what waits for one takes no room.
            self.target.join();
            self.busy.join();
        }
        let known = [&self.energy, &self.target, &self.busy].map(Timeline::known_until).into_iter().min();
        match known.filter(|known| *known > self.from) {
            Some(known) => Ok(self.advance(known, batch)?),
            None => Ok(()),
        }
    }

    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let known = [&self.energy, &self.target, &self.busy].map(Timeline::known_until).into_iter().max();
        let some_is_left = self.energy.known_until() > self.from;
        match known.filter(|_| some_is_left) {
            Some(known) => Ok(self.advance(known, out)?),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many batches, each with CPU time of the application, of the machine and of a process, and perhaps with energy.
    fn held_after(batches: u64, with_energy: bool) -> (usize, usize) {
        let registry = Registry::new();
        let series = |metric: Metric| Series::new(metric);
        let cpu = || series(Metric::counter("process.cpu.time", "s", ""));
        let all = [
            cpu().consumer(Consumer::Target),
            cpu().consumer(Consumer::Process(1)).label("process.executable.name", "p"),
            series(Metric::counter("system.cpu.time", "s", "")).label("cpu.mode", "user"),
            series(ENERGY).label("hw.energy.domain", "package"),
        ];
        let ids = all.map(|series| registry.series(series).unwrap());
        let mut attribution = Attribution::new(None);
        for i in 1..=batches {
            let mut batch = Batch::new(Arc::clone(&registry));
            for id in &ids[..if with_energy { 4 } else { 3 }] {
                let time = Time::from_nanos(i * 1_000_000);
                batch.push_point(Point { time, value: 1.0, series: *id, half_width_ns: 0 });
            }
            attribution.apply(&mut batch).unwrap();
        }
        let held = [&attribution.energy, &attribution.target, &attribution.busy].map(Timeline::pieces);
        (held.into_iter().sum(), attribution.processes.len())
    }

    #[test]
    fn nothing_piles_up_whether_there_is_a_meter_or_not() {
        // One piece each of the application and the machine waits for a meter; nothing waits of processes.
        assert_eq!(held_after(1000, false), (2, 0));
        assert_eq!(held_after(1000, true), (0, 1));
    }
}
