//! Runs versions in turn: A B, B A, A B, ... What changes over time, heat or a neighbour, hits all of them alike.

use std::time::{Duration, Instant};

use alumet::Missing;

use super::Side;
use crate::exit::Failure;
use crate::measure::Measurement;
use crate::repeat::progress::Progress;
use crate::repeat::series::{Series, Stop};
use crate::repeat::{Runner, Session};

/// How many pairs (or rounds, of more than two versions).
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub warmups: usize,
    pub pairs: usize,
    /// No further pair is started after this time.
    pub max_time: Option<Duration>,
}

/// What the runs came to.
pub struct Interleaved {
    /// One for each version, with equally many runs.
    pub sides: Vec<Side>,
    pub missing: Vec<Missing>,
    pub stopped: Option<Stop>,
    /// Whether the time was up before all pairs were made.
    pub is_out_of_time: bool,
    /// For each version, in how many runs processes lived on.
    pub left_behind: Vec<usize>,
    /// For each version, how many runs have failed, which was accepted.
    pub accepted_failures: Vec<usize>,
}

impl Interleaved {
    /// How many pairs are complete.
    pub fn pairs(&self) -> usize {
        self.sides.iter().map(|side| side.runs.len()).min().unwrap_or(0)
    }
}

/// Makes the runs, until there are enough or `is_decided` says so after a pair.
pub async fn make(
    runners: &[Runner<'_>],
    plan: Plan,
    measurement: &Measurement<'_>,
    is_decided: impl Fn(&Interleaved) -> Result<bool, Failure>,
) -> Result<Interleaved, Failure> {
    let session: &Session<'_> = runners[0].session;
    let quiet = measurement.config.general.quiet;
    let mut series: Vec<Series> = runners.iter().map(|_| Series::default()).collect();
    let mut progress = Progress::new("pair", plan.pairs, quiet, &session.streams);
    let begun = Instant::now();
    let mut result = Interleaved {
        sides: runners.iter().map(|runner| Side { title: runner.title.clone(), runs: Vec::new() }).collect(),
        missing: Vec::new(),
        stopped: None,
        is_out_of_time: false,
        left_behind: Vec::new(),
        accepted_failures: Vec::new(),
    };
    'pairs: for round in 0..plan.warmups.saturating_add(plan.pairs) {
        let pair = (round + 1).checked_sub(plan.warmups).filter(|pair| *pair > 0);
        let mut order: Vec<usize> = (0..runners.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        let mut shown = Vec::new();
        for i in order {
            let done = match runners[i].run(measurement, None, false).await? {
                Ok(done) => done,
                Err(stop) => {
                    result.stopped = Some(stop);
                    break 'pairs;
                }
            };
            let which = match pair {
                Some(pair) => format!("run {pair} of {}", runners[i].title),
                None => format!("warm-up {} of {}", round + 1, runners[i].title),
            };
            result.stopped = done.stop(measurement, &which);
            if result.stopped.is_some() {
                break 'pairs;
            }
            if i == 0 {
                shown.clone_from(&done.readings);
            }
            if pair.is_some() {
                series[i].add(done, false);
            }
        }
        let Some(pair) = pair else { continue };
        take(&mut result, &series);
        progress.step(&shown, plan.pairs);
        if is_decided(&result)? {
            break;
        }
        if pair < plan.pairs && plan.max_time.is_some_and(|most| begun.elapsed() >= most) {
            result.is_out_of_time = true;
            break;
        }
    }
    progress.end();
    take(&mut result, &series);
    result.left_behind = series.iter().map(|series| series.left_behind).collect();
    result.accepted_failures = series.iter().map(|series| series.accepted_failures).collect();
    Ok(result)
}

/// Takes the pairs that are complete.
fn take(result: &mut Interleaved, series: &[Series]) {
    let complete = series.iter().map(|series| series.readings.len()).min().unwrap_or(0);
    for (side, series) in result.sides.iter_mut().zip(series) {
        let new = &series.readings[side.runs.len().min(complete)..complete];
        side.runs.extend(new.iter().cloned());
    }
    let known: Vec<Missing> = series.iter().flat_map(|series| series.missing.iter().cloned()).collect();
    result.missing = known;
    result.missing.dedup();
}
