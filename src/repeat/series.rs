//! Many runs of one command, until there are enough of them.

use std::time::{Duration, Instant};

use super::progress::Progress;
use super::readings::{Readings, alike};
use super::{Done, Runner};
use crate::exit::{Failure, Status};
use crate::measure::Measurement;
use crate::profile::{Run, SourceStatus};
use crate::signals::Signal;
use alumet::Missing;

/// How many runs there are to be.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub warmups: usize,
    pub runs: usize,
    /// So many were made before, with other parameters: numbers go on.
    pub done: usize,
    /// And as many more as it takes to fill this time.
    pub min_time: Option<Duration>,
    /// No further run is started after this time.
    pub max_time: Option<Duration>,
    /// Whether nothing more will be launched when this has been done.
    pub is_last: bool,
    /// Whether a run may leave work to processes that live on; then it is noted.
    pub may_leave_work: bool,
}

impl Plan {
    /// Why the runs cannot go on after this one, if so.
    fn stop(&self, done: &Done, measurement: &Measurement<'_>, which: &str) -> Option<Stop> {
        let left = || (!self.may_leave_work).then(|| done.leaves_work(which)).flatten();
        done.stop(measurement, which).or_else(left)
    }
}

/// What the runs came to.
#[derive(Default)]
pub struct Series {
    pub readings: Readings,
    /// What was missing in any run.
    pub missing: Vec<Missing>,
    pub sources: Vec<SourceStatus>,
    pub trouble: Vec<String>,
    /// In how many runs processes lived on when the application had ended.
    pub left_behind: usize,
    /// How many runs have failed, which was accepted.
    pub accepted_failures: usize,
    /// Whether the time was up before all runs were made.
    pub is_out_of_time: bool,
    /// Why it ended early.
    pub stopped: Option<Stop>,
}

/// Why no further run was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The application failed: the status to end with, and in words.
    Failed(Status, String),
    /// Something else did, and no --ignore-failure lets the runs go on.
    Broken(Status, String),
    /// Somebody has asked for it, by this signal.
    Interrupted(Signal),
}

impl Stop {
    /// How to end; never with 0.
    pub fn status(&self) -> Status {
        match self {
            Self::Failed(status, _) | Self::Broken(status, _) => *status,
            Self::Interrupted(signal) => Status::by(*signal),
        }
    }
}

impl Series {
    /// Takes up a run.
    pub fn add(&mut self, done: Done) {
        self.accepted_failures += usize::from(done.is_accepted_failure());
        self.left_behind += usize::from(!done.measured.run.survivors.is_empty());
        self.readings.add(done.readings);
        self.readings.add_meantime(&done.measured.run.wall, &done.measured.run.metrics);
        note_missing(&mut self.missing, done.measured.missing);
        for trouble in done.measured.trouble {
            if !self.trouble.contains(&trouble) {
                self.trouble.push(trouble);
            }
        }
        self.sources = done.measured.sources;
    }
}

/// Adds what was missing in one more run. How long a gap was is no reason to say it again.
pub fn note_missing(known: &mut Vec<Missing>, of_run: Vec<Missing>) {
    for gap in of_run {
        if !known.iter().any(|other| other.plugin == gap.plugin && alike(&other.reason, &gap.reason)) {
            known.push(gap);
        }
    }
}

/// Makes the runs. What is complete when one fails or somebody interrupts is kept: the whole of each run where `keep`
/// says so.
pub async fn make(
    runner: &Runner<'_>,
    plan: Plan,
    measurement: &Measurement<'_>,
    mut keep: impl FnMut(&mut Run) -> Result<(), Failure>,
) -> Result<Series, Failure> {
    let mut series = Series::default();
    let quiet = measurement.config.general.quiet;
    let streams = &runner.session.streams;
    if plan.warmups > 0 {
        let mut progress = Progress::new("warm-up", plan.warmups, None, quiet, streams);
        for number in 1..=plan.warmups {
            match runner.run(measurement, None, false).await? {
                Ok(done) => {
                    progress.step(&done.readings, plan.warmups);
                    series.stopped = plan.stop(&done, measurement, &format!("warm-up {number}"));
                }
                Err(stop) => series.stopped = Some(stop),
            }
            if series.stopped.is_some() {
                progress.end();
                return Ok(series);
            }
        }
        progress.end();
    }
    let mut progress = Progress::new("run", plan.runs, plan.max_time, quiet, streams);
    let begun = Instant::now();
    let mut number = 0;
    loop {
        number += 1;
        let is_last = plan.is_last && number >= plan.runs && plan.min_time.is_none();
        let mut done = match runner.run(measurement, Some(plan.done + number), is_last).await? {
            Ok(done) => done,
            Err(stop) => {
                series.stopped = Some(stop);
                break;
            }
        };
        let is_time_filled = plan.min_time.is_none_or(|least| begun.elapsed() >= least);
        let is_time_up = plan.max_time.is_some_and(|most| begun.elapsed() >= most);
        progress.step(&done.readings, expected(number, plan, begun.elapsed()));
        series.stopped = plan.stop(&done, measurement, &format!("run {number}"));
        if series.stopped.is_some() {
            break;
        }
        let kept = keep(&mut done.measured.run);
        // It was measured, whether there is a place for it or not.
        series.add(done);
        if let Err(failure) = kept {
            series.stopped = Some(Stop::Broken(failure.status, failure.message));
            break;
        }
        if number >= plan.runs && is_time_filled {
            break;
        }
        if is_time_up {
            series.is_out_of_time = true;
            break;
        }
    }
    progress.end();
    Ok(series)
}

/// How many runs there will be, as it looks after so many.
fn expected(number: usize, plan: Plan, elapsed: Duration) -> usize {
    let by_time = plan.min_time.map_or(0, |least| {
        (number as f64 * least.as_secs_f64() / elapsed.as_secs_f64().max(1e-6)).ceil() as usize
    });
    plan.runs.max(by_time).max(number)
}
