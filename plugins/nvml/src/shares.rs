//! The time that processes have used of a GPU, from the loads that the driver tells by process: by this, the energy of
//! the board can be split.
//!
//! A load is a share of the driver's own sample period (1/6 s to 1 s), and comes when that has ended. It is taken for the
//! time since the answer before; the last one, until the end of the run.

use std::time::Duration;

use alumet::{Batch, Consumer, Contradiction, Point, Registry, SeriesId, Time};

use crate::about::About;
use crate::metrics::GPU_TIME;

/// The longest sample period of the driver: who had no load for as long was not at work.
const LONGEST_SAMPLE: Duration = Duration::from_secs(1);

/// Time on one GPU.
#[derive(Debug)]
pub struct Shares {
    of_target: SeriesId,
    of_all: SeriesId,
    /// Up to here it was told.
    told: Option<Time>,
    /// Whether the driver tells loads at all: whether it has told any.
    is_known: bool,
    /// The last loads: of the application, and of all.
    last: [f64; 2],
}

impl Shares {
    /// None so far.
    ///
    /// # Errors
    /// The metric contradicts one of another plugin.
    pub fn new(about: &About, registry: &Registry) -> Result<Self, Contradiction> {
        let time = |consumer| {
            let series = about.series(GPU_TIME).consumer(consumer);
            registry.series(series.method("NVML, load by process times the time between two samples"))
        };
        Ok(Self {
            of_target: time(Consumer::Target)?,
            of_all: time(Consumer::Machine)?,
            told: None,
            is_known: false,
            last: [0.0; 2],
        })
    }

    /// Nobody of the application is on the GPU now.
    pub fn nobody(&mut self, now: Time, out: &mut Batch) {
        // Before the driver has told any load, nobody knows whether it ever will.
        if self.is_known {
            self.last = [0.0; 2];
            self.push(now, self.last, out);
        } else {
            self.told = Some(now);
        }
    }

    /// Whether anything is known of who was at work.
    pub fn are_known(&self) -> bool {
        self.is_known
    }

    /// The driver has told loads: of the application's processes together, and of all. Until it tells of some, that nobody
    /// has any says nothing.
    pub fn loads(&mut self, now: Time, of_target: f64, of_all: f64, out: &mut Batch) {
        if of_all <= 0.0 && !self.is_known {
            self.told = Some(now);
            return;
        }
        match self.told {
            Some(told) if !self.is_known => self.push(told, [0.0; 2], out),
            _ => {}
        }
        self.is_known = true;
        self.last = [of_target, of_all];
        self.go_on(now, out);
    }

    /// The run has ended.
    pub fn finish(&mut self, now: Time, out: &mut Batch) {
        if self.is_known {
            self.go_on(now, out);
        }
    }

    /// The last loads were those until now.
    fn go_on(&mut self, now: Time, out: &mut Batch) {
        let since = self.told.or_else(|| out.registry().start().map(|start| start.time));
        let elapsed = now.since(since.unwrap_or(now)).as_secs_f64();
        self.push(now, self.last.map(|load| load * elapsed), out);
    }

    /// The driver has told of no load since the last answer.
    pub fn silence(&mut self, now: Time, out: &mut Batch) {
        if self.is_known && self.told.is_some_and(|told| now.since(told) > LONGEST_SAMPLE) {
            self.last = [0.0; 2];
            self.push(now, self.last, out);
        }
    }

    fn push(&mut self, time: Time, values: [f64; 2], out: &mut Batch) {
        self.told = Some(time);
        for (series, value) in [self.of_target, self.of_all].into_iter().zip(values) {
            out.push_point(Point { time, value, series, half_width_ns: 0 });
        }
    }
}
