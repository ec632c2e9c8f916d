//! One energy that is split, over the run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alumet::conventions::{BAND, DOMAIN, ENERGY, PART, UNCERTAINTY};
use alumet::process::tick;
use alumet::{
    Batch, BoundNotice, Consumer, Contradiction, Point, Provenance, Registry, Series, SeriesId, Time,
};

use crate::role::Split as What;
use crate::split::{Interval, Split};
use crate::timeline::Timeline;
use crate::uncertainty::{Doubts, of_busy_time};

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
    /// Up to these times all is known, but not split yet. Where the application is followed by its parents, some of its
    /// CPU time is known only when it has ended: it has its share of the energy of these last intervals.
    held: [Time; 2],
    energy: Timeline,
    target: Timeline,
    busy: Timeline,
    processes: BTreeMap<(i32, String), ProcessLine>,
    sum: Split,
    /// CPU time of the application and of anybody, as far as energy was split by it.
    target_sum: f64,
    busy_sum: f64,
    /// The counters that make up the energy, and how sure each of them is that has said so.
    counters: BTreeSet<SeriesId>,
    doubts: BTreeMap<SeriesId, f64>,
    /// Of which of them, and of the application's time, the total is not exact.
    energy_bounds: BTreeMap<SeriesId, BoundNotice>,
    target_bounds: BTreeMap<SeriesId, BoundNotice>,
}

/// A process that is told apart.
#[derive(Debug)]
struct ProcessLine {
    cpu: Timeline,
    /// Once it was given any energy.
    series: Option<SeriesId>,
    ended: bool,
}

/// So many processes that have ended wait for a meter that has not said anything yet.
const WAITING: usize = 1000;

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
            held: [start; 2],
            energy,
            target,
            busy,
            processes: BTreeMap::new(),
            sum: Split::default(),
            target_sum: 0.0,
            busy_sum: 0.0,
            counters: BTreeSet::new(),
            doubts: BTreeMap::new(),
            energy_bounds: BTreeMap::new(),
            target_bounds: BTreeMap::new(),
        }
    }

    /// What it measures.
    pub fn what(&self) -> &What {
        &self.what
    }

    /// So much energy was used, in joules, as this series says. Memory alone is not the machine: until there is a point of
    /// a package, nothing is split.
    pub fn add_energy(&mut self, point: &Point, series: impl FnOnce() -> Arc<Series>) {
        if self.whole.is_none() {
            self.whole = Some(series()).filter(|series| series.label_value(DOMAIN) != Some("dram"));
        }
        self.counters.insert(point.series);
        self.energy.add(point.time, point.value);
    }

    /// So sure is the total of one of the counters.
    pub fn add_uncertainty(&mut self, point: &Point) {
        self.doubts.insert(point.series, point.value);
    }

    /// So the total of one of the counters is to be understood.
    pub fn bound_energy(&mut self, notice: &BoundNotice) {
        self.energy_bounds.insert(notice.series, notice.clone());
    }

    /// And that of the application's time.
    pub fn bound_target(&mut self, notice: &BoundNotice) {
        self.target_bounds.insert(notice.series, notice.clone());
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

    /// So much CPU time a process has used.
    pub fn add_process(&mut self, key: (i32, String), point: &Point) {
        let from = self.from;
        let line = self.processes.entry(key).or_insert_with(|| ProcessLine {
            cpu: Timeline::starting(from),
            series: None,
            ended: false,
        });
        line.cpu.add(point.time, point.value);
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
            self.energy.join();
            self.target.join();
            self.busy.join();
            self.processes.values_mut().for_each(|line| line.cpu.join());
            if self.processes.len() > WAITING {
                self.processes.retain(|_, line| !line.ended);
            }
        }
        if !self.has_time {
            self.energy.join();
        }
        let known = [&self.energy, &self.target, &self.busy].map(Timeline::known_until).into_iter().min();
        let Some(known) = known.filter(|known| *known > self.held[1]) else { return Ok(()) };
        let [split, next] = self.held;
        self.held = [next, known];
        if split > self.from { self.advance(split, out) } else { Ok(()) }
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
        self.push_bounds(out);
        self.push_uncertainties(out)
    }

    /// Says of the parts what is said of the whole. Whoever has used more time than was seen has a larger part, and the
    /// others a smaller one.
    fn push_bounds(&self, out: &mut Batch) {
        let Some([target, idle, other]) = self.parts else { return };
        let (whole, time) = (inexact(&self.energy_bounds), inexact(&self.target_bounds));
        let processes = self.processes.values().filter_map(|line| line.series);
        for series in [target, other].into_iter().chain(self.idle.map(|_| idle)).chain(processes) {
            if let Some(BoundNotice { bound, reason, .. }) = whole {
                out.bound(series, *bound, reason.clone());
            }
        }
        if let (None, Some(BoundNotice { bound, reason, .. })) = (whole, time) {
            out.bound(target, *bound, reason.clone());
            out.bound(other, bound.flipped(), reason.clone());
        }
    }

    /// Splits what was used until `to`.
    fn advance(&mut self, to: Time, out: &mut Batch) -> Result<(), Contradiction> {
        // Who has no time known to be his gets no energy, and nobody else gets it for his.
        if !self.has_time || self.whole.is_none() {
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
        self.target_sum += interval.target_cpu;
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
        let of_process = |pid, name: &String| {
            let series = self.whole.as_ref().map(|whole| self.series(whole, Consumer::Process(pid)));
            series.map(|series| series.label("process.executable.name", name.clone()))
        };
        let new: Vec<_> = self
            .processes
            .iter()
            .zip(&used)
            .map(
                |(((pid, name), line), cpu)| {
                    if line.series.is_some() || *cpu <= 0.0 { None } else { of_process(*pid, name) }
                },
            )
            .collect();
        for ((line, cpu), series) in self.processes.values_mut().zip(used).zip(new) {
            if let Some(series) = series {
                line.series = Some(out.registry().series(series)?);
            }
            if let Some(series) = line.series.filter(|_| cpu > 0.0) {
                let value = split.target * cpu / whole;
                out.push_point(Point { time: to, value, series, half_width_ns: 0 });
            }
        }
        self.processes.retain(|_, line| {
            let stays = !line.ended || line.cpu.known_until() > to;
            if let Some(series) = line.series.filter(|_| !stays) {
                out.retire(series);
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
        let is_bounded = inexact(&self.energy_bounds).or(inexact(&self.target_bounds)).is_some();
        if self.parts.is_none() || is_bounded || self.doubts.len() != self.counters.len() {
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
        let whole_energy = self.sum.target + self.sum.idle + self.sum.other;
        let share = if self.busy_sum > 0.0 { (self.target_sum / self.busy_sum).min(1.0) } else { 0.0 };
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
        // No part can be further from the truth than the whole is large.
        let most = |doubt: f64| doubt.min(whole_energy);
        push(TARGET, most(doubts.of_part(share, share, active)))?;
        if let Some(Idle { power, .. }) = self.idle {
            // Where there was less than the idle power would use, idle is all that was measured.
            let is_clamped = self.sum.idle < 0.999 * power * length;
            let meters = if is_clamped { doubts.whole } else { 0.0 };
            push(IDLE, most(doubts.idle.hypot(meters)))?;
        }
        push(OTHER, most(doubts.of_part(1.0 - share, share, active)))
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
        // A part of what is estimated may be off by as much.
        match whole.label_value(BAND).filter(|_| self.what == What::Estimated) {
            Some(band) => series.label(BAND, band),
            None => series,
        }
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

/// Of totals that are not exact, the first.
fn inexact(bounds: &BTreeMap<SeriesId, BoundNotice>) -> Option<&BoundNotice> {
    bounds.values().find(|notice| !notice.bound.is_exact())
}

/// How many CPUs count busy time.
fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
