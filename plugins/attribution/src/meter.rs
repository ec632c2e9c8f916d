//! One energy that is split, over the run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alumet::process::tick;
use alumet::{Batch, Consumer, Contradiction, Metric, Point, Provenance, Registry, Series, SeriesId, Time};

use crate::role::Split as What;
use crate::split::{Interval, Split};
use crate::timeline::Timeline;
use crate::uncertainty::{Doubts, of_busy_time};

/// Energy; the parts have the label [`PART`].
pub const ENERGY: Metric = Metric::counter("hw.energy", "J", "energy");
/// Of the total of a part, with its labels: one standard deviation.
pub const UNCERTAINTY: Metric =
    Metric::gauge("hw.energy.uncertainty", "J", "standard uncertainty of the energy of the run");
/// `target`, `idle` or `other`; what a meter has measured has no such label.
pub const PART: &str = "hw.energy.part";

const TARGET: (Consumer, &str) = (Consumer::Target, "target");
const IDLE: (Consumer, &str) = (Consumer::Machine, "idle");
const OTHER: (Consumer, &str) = (Consumer::Machine, "other");

/// What the machine uses when nothing runs: packages and memory together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Idle {
    /// Watts.
    pub power: f64,
    /// One standard deviation of it, in watts.
    pub spread: f64,
}

/// An energy, the application's time, everybody's time, and what has become of them.
#[derive(Debug)]
pub struct Meter {
    what: What,
    idle: Option<Idle>,
    /// A series of the energy, once there was a point of one.
    whole: Option<Arc<Series>>,
    /// Whether anything is known of the application's time.
    has_time: bool,
    parts: Option<[SeriesId; 3]>,
    start: Time,
    /// Up to here everything was split.
    from: Time,
    energy: Timeline,
    target: Timeline,
    busy: Timeline,
    processes: BTreeMap<(i32, String), ProcessLine>,
    sum: Split,
    busy_sum: f64,
    /// The counters that make up the energy, and how sure each of them is that has said so.
    counters: BTreeSet<SeriesId>,
    doubts: BTreeMap<SeriesId, f64>,
}

/// A process that is told apart.
#[derive(Debug)]
struct ProcessLine {
    cpu: Timeline,
    series: SeriesId,
    ended: bool,
}

impl Meter {
    /// One that has not said anything yet.
    pub fn new(what: What, idle: Option<Idle>, start: Time) -> Self {
        // Nobody knows what the others use when they idle.
        let idle = idle.filter(|_| what == What::Measured);
        let [energy, target, busy] = [0; 3].map(|_| Timeline::starting(start));
        Self {
            what,
            idle,
            whole: None,
            has_time: false,
            parts: None,
            start,
            from: start,
            energy,
            target,
            busy,
            processes: BTreeMap::new(),
            sum: Split::default(),
            busy_sum: 0.0,
            counters: BTreeSet::new(),
            doubts: BTreeMap::new(),
        }
    }

    /// What it measures.
    pub fn what(&self) -> &What {
        &self.what
    }

    /// So much energy was used, in joules, as this series says.
    pub fn add_energy(&mut self, point: &Point, series: impl FnOnce() -> Arc<Series>) {
        self.whole.get_or_insert_with(series);
        self.counters.insert(point.series);
        self.energy.add(point.time, point.value);
    }

    /// So sure is the total of one of the counters.
    pub fn add_uncertainty(&mut self, point: &Point) {
        self.doubts.insert(point.series, point.value);
    }

    /// So much time the application has used, in seconds.
    pub fn add_target(&mut self, point: &Point) {
        self.has_time = true;
        self.target.add(point.time, point.value);
    }

    /// So much time anybody has used, in seconds.
    pub fn add_busy(&mut self, point: &Point) {
        self.busy.add(point.time, point.value);
    }

    /// So much CPU time a process has used. Without energy there is nothing to be given to it.
    ///
    /// # Errors
    /// The metric contradicts one of another plugin.
    pub fn add_process(
        &mut self,
        key: (i32, String),
        point: &Point,
        registry: &Registry,
    ) -> Result<(), Contradiction> {
        let Some(whole) = &self.whole else { return Ok(()) };
        if !self.processes.contains_key(&key) {
            let (pid, name) = &key;
            let series =
                self.series(whole, Consumer::Process(*pid)).label("process.executable.name", name.clone());
            let line = ProcessLine {
                cpu: Timeline::starting(self.from),
                series: registry.series(series)?,
                ended: false,
            };
            self.processes.insert(key.clone(), line);
        }
        if let Some(line) = self.processes.get_mut(&key) {
            line.cpu.add(point.time, point.value);
        }
        Ok(())
    }

    /// No more will be said of this process.
    pub fn end_process(&mut self, key: &(i32, String)) {
        if let Some(line) = self.processes.get_mut(key) {
            line.ended = true;
        }
    }

    /// Splits what is known of everything.
    ///
    /// # Errors
    /// The metric contradicts one of another plugin.
    pub fn split_known(&mut self, out: &mut Batch) -> Result<(), Contradiction> {
        // Perhaps there is no meter, or no time that is known: what waits for one takes no room.
        if self.whole.is_none() {
            self.target.join();
            self.busy.join();
        }
        if !self.has_time {
            self.energy.join();
        }
        let known = [&self.energy, &self.target, &self.busy].map(Timeline::known_until).into_iter().min();
        match known.filter(|known| *known > self.from) {
            Some(known) => self.advance(known, out),
            None => Ok(()),
        }
    }

    /// Splits what is left, and says how sure the totals are.
    ///
    /// # Errors
    /// The metric contradicts one of another plugin.
    pub fn finish(&mut self, out: &mut Batch) -> Result<(), Contradiction> {
        let known = [&self.energy, &self.target, &self.busy].map(Timeline::known_until).into_iter().max();
        let some_is_left = self.energy.known_until() > self.from;
        if let Some(known) = known.filter(|_| some_is_left) {
            self.advance(known, out)?;
        }
        self.push_uncertainties(out)
    }

    /// Splits what was used until `to`.
    fn advance(&mut self, to: Time, out: &mut Batch) -> Result<(), Contradiction> {
        // Who has no time known to be his gets no energy, and nobody else gets it for his.
        if !self.has_time {
            return Ok(());
        }
        let interval = Interval {
            energy: self.energy.take(to),
            length: to.since(self.from).as_secs_f64(),
            target_cpu: self.target.take(to),
            busy_cpu: self.busy.take(to),
        };
        self.from = to;
        let split = interval.split(self.idle.map_or(0.0, |idle| idle.power));
        self.sum += split;
        self.busy_sum += interval.busy_cpu.max(interval.target_cpu);
        let Some([target, idle, other]) = self.parts(out.registry())? else { return Ok(()) };
        let mut push = |series, value| out.push_point(Point { time: to, value, series, half_width_ns: 0 });
        push(target, split.target);
        if self.idle.is_some() {
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

    fn parts(&mut self, registry: &Registry) -> Result<Option<[SeriesId; 3]>, Contradiction> {
        if let (None, Some(whole)) = (self.parts, &self.whole) {
            let part = |(consumer, part)| registry.series(self.series(whole, consumer).label(PART, part));
            self.parts = Some([part(TARGET)?, part(IDLE)?, part(OTHER)?]);
        }
        Ok(self.parts)
    }

    /// How sure the parts are, if it is known how sure the whole is.
    fn push_uncertainties(&self, out: &mut Batch) -> Result<(), Contradiction> {
        let Some(whole) = &self.whole else { return Ok(()) };
        if self.parts.is_none() || self.doubts.len() != self.counters.len() {
            return Ok(());
        }
        let length = self.from.since(self.start).as_secs_f64();
        let doubts = Doubts {
            // As if all counters erred to the same side: their readings are as far from the marks.
            whole: self.doubts.values().sum(),
            idle: self.idle.map_or(0.0, |idle| idle.spread * length),
            share: match self.what {
                What::Measured | What::Estimated => of_busy_time(self.busy_sum, tick(), cpus()),
                What::Gpu(_) => 0.0,
            },
        };
        let active = self.sum.target + self.sum.other;
        let method = match self.what {
            What::Measured | What::Estimated => {
                "of the run's total: the meters', the idle power's spread, and the ticks of the busy time"
            }
            What::Gpu(_) => {
                "of the run's total: the meter's alone; how exact the share is, the driver does not say"
            }
        };
        let mut push = |(consumer, part): (Consumer, &'static str), value: f64| {
            let series = Series { metric: UNCERTAINTY, ..self.series(whole, consumer).label(PART, part) };
            out.registry().series(series.method(method)).map(|series| out.push(series, value))
        };
        push(TARGET, doubts.of_part(self.sum.target, active))?;
        if self.idle.is_some() {
            push(IDLE, doubts.idle.min(self.sum.idle))?;
        }
        push(OTHER, doubts.of_part(self.sum.other, active))
    }

    /// A part of this energy.
    fn series(&self, whole: &Series, consumer: Consumer) -> Series {
        let mut series =
            Series::new(ENERGY).consumer(consumer).method(self.method(whole)).provenance(match self.what {
                What::Measured | What::Gpu(_) => Provenance::Attributed,
                What::Estimated => Provenance::Estimated,
            });
        if let What::Gpu(_) = self.what {
            series.resource = whole.resource.clone();
            series.labels = whole.labels.clone();
        }
        series
    }

    /// The rule.
    fn method(&self, whole: &Series) -> String {
        let time = match self.what {
            What::Measured | What::Estimated => "busy CPU time",
            What::Gpu(_) => "GPU time",
        };
        match (&self.what, self.idle) {
            (What::Estimated, _) => format!("share of the {time}, idle power included; {}", whole.method),
            (_, Some(Idle { power, spread })) if spread > 0.0 => {
                format!("share of the {time}, above {power:.2} W ± {spread:.2} W of idle power")
            }
            (_, Some(Idle { power, .. })) => format!("share of the {time}, above {power} W of idle power"),
            (_, None) => format!("share of the {time}, idle power included"),
        }
    }

    /// How many pieces wait for something, and how many processes are told apart.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize) {
        let held = [&self.energy, &self.target, &self.busy].map(Timeline::pieces);
        (held.into_iter().sum(), self.processes.len())
    }
}

/// How many CPUs count busy time.
fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
