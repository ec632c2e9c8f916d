//! A sensor: open files, the series that it makes points of, and what went wrong with it.

use std::fs::File;

use alumet::conventions::{ENERGY, POWER, SENSOR_CHIP, SENSOR_NAME, UNCERTAINTY};
use alumet::{Batch, Bound, Series, SeriesId, Standstill, Time};

use crate::found::{Channel, Quantity};
use crate::reading::{Trouble, number};

/// More than this no machine draws, in watts: what says so does not work.
const MOST_WATTS: f64 = 100e3;
/// A counter may be as late as this with what it has counted, in seconds: some advance seldom, and then by much.
const LATE: f64 = 1.0;

impl Channel {
    /// The series of how sure the total of a counter of this chip is.
    pub fn uncertainty(&self, chip: &str) -> Option<Series> {
        let method =
            "of the run's total: the mean advance of the counter / √3; the sensor's calibration is not in it";
        let series = Series { metric: UNCERTAINTY, ..self.series(chip) };
        self.quantity.is_energy().then(|| series.method(method))
    }

    /// The series of a sensor of this chip.
    pub fn series(&self, chip: &str) -> Series {
        let metric = if self.quantity.is_energy() { ENERGY } else { POWER };
        let (kind, id) = self.resource.clone();
        let series = Series::new(metric).resource(kind, id).method(self.method.clone());
        series.label(SENSOR_CHIP, chip).label(SENSOR_NAME, self.name.as_str())
    }
}

/// One sensor.
#[derive(Debug)]
pub struct Sensor {
    name: String,
    series: SeriesId,
    quantity: Quantity,
    /// Whether it is of what draws power as long as it can be asked: the machine, a package, the battery that they run on.
    is_on: bool,
    file: File,
    times: Option<File>,
    per_unit: f64,
    written: &'static str,
    /// The last reading of a counter, and when it was.
    last: Option<(u64, Time)>,
    good: u64,
    failed: u64,
    /// Why the last of those failed.
    trouble: Option<Trouble>,
    /// So often a counter stood lower than before.
    backwards: u64,
    /// So often it stood so much higher than before that it cannot be.
    leaps: u64,
    /// So often a counter stood higher than before.
    advances: u32,
    /// Of a counter of what was used. What a battery has left is told in steps that depend on its state.
    standstill: Standstill,
    /// What it has counted.
    total: f64,
    /// For how sure the total is.
    uncertainty: Option<SeriesId>,
}

impl Sensor {
    /// The sensor of a channel whose files are open.
    pub fn new(
        channel: &Channel,
        (file, times): (File, Option<File>),
        series: SeriesId,
        uncertainty: Option<SeriesId>,
    ) -> Self {
        Self {
            name: channel.title(),
            series,
            quantity: channel.quantity,
            is_on: matches!(channel.resource.0, "machine" | "cpu_package" | "battery"),
            file,
            times,
            per_unit: channel.per_unit,
            written: channel.written,
            last: None,
            good: 0,
            failed: 0,
            trouble: None,
            backwards: 0,
            leaps: 0,
            advances: 0,
            standstill: Standstill::of_steps(),
            total: 0.0,
            uncertainty,
        }
    }

    /// What it measures and its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads it. Where that fails there is no point; the next increase of a counter covers the time.
    pub fn poll(&mut self, time: Time, out: &mut Batch) {
        match self.value(time) {
            Ok(value) => {
                self.good += 1;
                if let Some(value) = value {
                    self.total += value / self.per_unit;
                    out.push(self.series, value / self.per_unit);
                }
            }
            Err(trouble) => {
                self.failed += 1;
                self.trouble = Some(trouble);
            }
        }
    }

    /// Why the total of a counter lacks something.
    fn loss(&self) -> Option<&'static str> {
        if !self.standstill.length().is_zero() {
            return Some("its counter stood still");
        }
        (self.backwards + self.leaps > 0).then_some("its counter was reset or wrapped")
    }

    /// Says that the total of a counter lacks something, or how sure it is. It may be as old, at both edges, as the time between two of its
    /// advances, in which it uses as much as it advances: a standard deviation of `advance / √6` each. One that advances
    /// more often than it is read is surer than that.
    pub fn finish(&self, out: &mut Batch) {
        if let Some(reason) = self.loss() {
            out.bound(self.series, Bound::AtLeast, reason);
        } else if let Some(series) = self.uncertainty.filter(|_| self.advances > 0 && self.failed == 0) {
            out.push(series, self.total / f64::from(self.advances) / 3f64.sqrt());
        }
    }

    /// There is nothing new to read, as of a counter that stands still.
    pub fn rest(&mut self, time: Time) {
        if self.quantity == Quantity::EnergyUsed {
            self.standstill.see(false, time);
        }
    }

    /// What happens until the next reading is not to be counted.
    pub fn interrupt(&mut self) {
        self.last = None;
        self.standstill.interrupt();
    }

    fn value(&mut self, time: Time) -> Result<Option<f64>, Trouble> {
        if self.quantity.is_energy() {
            let now = number(&self.file, self.written)?;
            return Ok(self.increase(now, time));
        }
        let mut value = number::<i64>(&self.file, self.written)? as f64;
        if let Some(times) = &self.times {
            value *= number::<i64>(times, self.written)? as f64;
        }
        if self.quantity == Quantity::PowerDrawn {
            value = value.abs();
        }
        // A current may flow backwards; a power that the driver states does not.
        let least = if self.times.is_some() { -MOST_WATTS } else { 0.0 };
        if value == 0.0 && self.is_on {
            return Err(Trouble::Zero);
        }
        if (least..=MOST_WATTS).contains(&(value / self.per_unit)) {
            Ok(Some(value))
        } else {
            Err(Trouble::NoPower)
        }
    }

    /// How much was used since the last reading. A counter that stands lower than then has wrapped, at a width that nobody
    /// states, or has begun anew: what was used meanwhile is not known; likewise if it has gone on by more than can be. One
    /// that stands where it stood tells nothing: its step may be coarse, or it may not work at all.
    fn increase(&mut self, now: u64, time: Time) -> Option<f64> {
        let (before, since) = self.last.replace((now, time))?;
        let (from, to) = match self.quantity {
            Quantity::EnergyLeft => (now, before),
            _ => (before, now),
        };
        let Some(increase) = to.checked_sub(from) else {
            self.backwards += 1;
            self.standstill.interrupt();
            return None;
        };
        let most = MOST_WATTS * (time.since(since).as_secs_f64() + LATE);
        if increase as f64 / self.per_unit > most {
            self.leaps += 1;
            self.standstill.interrupt();
            return None;
        }
        if self.quantity == Quantity::EnergyUsed {
            self.standstill.see(increase > 0, time);
        }
        self.advances += u32::from(increase > 0);
        (increase > 0).then_some(increase as f64)
    }

    /// What was not measured, in words.
    pub fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        if let Some(trouble) = self.trouble {
            let all = self.good + self.failed;
            let share = format!("{} of {all} readings failed: ", self.failed);
            gaps.push(format!("{}{trouble}", if self.good > 0 { &share } else { "" }));
        }
        let intervals = |n: u64| if n == 1 { "1 interval".into() } else { format!("{n} intervals") };
        if self.leaps > 0 {
            let n = intervals(self.leaps);
            gaps.push(format!("not counted in {n}: the counter went on by more than a machine can use"));
        }
        if !self.standstill.length().is_zero() {
            gaps.push(format!("not counted for {:.1?}: the counter stood still", self.standstill.length()));
        }
        if self.backwards > 0 {
            let n = intervals(self.backwards);
            gaps.push(format!("not counted in {n}: the counter was reset or wrapped"));
        } else if self.leaps == 0 && self.quantity.is_energy() && self.good > 1 && self.advances == 0 {
            gaps.push("it did not advance: the run was too short for it, or it does not work here".into());
        }
        gaps
    }
}
