//! Runs versions in turn: A B, B A, A B, ..., in an order that is balanced for any number of them ([`turns`]). What changes
//! over time, heat or a neighbour, hits all of them alike.

use std::time::{Duration, Instant};

use alumet::Missing;
use alumet_statistics::turns;

use super::Side;
use crate::exit::Failure;
use crate::measure::Measurement;
use crate::repeat::progress::Progress;
use crate::repeat::series::{Stop, note_missing};
use crate::repeat::{Done, Runner, Session};

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
    let begun = Instant::now();
    let new_bar = |what, steps| {
        let limit = plan.max_time.map(|most| most.saturating_sub(begun.elapsed()));
        Progress::new(what, steps, limit, quiet, &session.streams)
    };
    let mut progress = match plan.warmups {
        0 => new_bar("pair", plan.pairs),
        warmups => new_bar("warm-up", warmups),
    };
    let mut result = Interleaved {
        sides: runners.iter().map(|runner| Side { title: runner.title.clone(), ..Side::default() }).collect(),
        missing: Vec::new(),
        stopped: None,
        is_out_of_time: false,
    };
    for round in 0..plan.warmups.saturating_add(plan.pairs) {
        let pair = (round + 1).checked_sub(plan.warmups).filter(|pair| *pair > 0);
        let made = match one_of_each(runners, round, pair, measurement).await? {
            Ok(made) => made,
            Err(stop) => {
                result.stopped = Some(stop);
                break;
            }
        };
        let Some(pair) = pair else {
            progress.step(&made[0].readings, plan.warmups);
            if round + 1 == plan.warmups {
                progress.end();
                progress = new_bar("pair", plan.pairs);
            }
            continue;
        };
        progress.step(&made[0].readings, plan.pairs);
        for (side, done) in result.sides.iter_mut().zip(made) {
            side.accepted_failures += usize::from(done.is_accepted_failure());
            side.runs.add(done.readings);
            side.runs.add_meantime(&done.measured.run.wall, &done.measured.run.metrics);
            note_missing(&mut result.missing, done.measured.missing);
        }
        if is_decided(&result)? {
            break;
        }
        if pair < plan.pairs && plan.max_time.is_some_and(|most| begun.elapsed() >= most) {
            result.is_out_of_time = true;
            break;
        }
    }
    progress.end();
    Ok(result)
}

/// Runs each version once. Returns why there are no such runs, if one fails or somebody interrupts.
async fn one_of_each(
    runners: &[Runner<'_>],
    round: usize,
    pair: Option<usize>,
    measurement: &Measurement<'_>,
) -> Result<Result<Vec<Done>, Stop>, Failure> {
    // A warm-up takes no turn away from the rounds that count.
    let order = turns::order(runners.len(), pair.map_or(round, |pair| pair - 1));
    let mut made: Vec<Option<Done>> = runners.iter().map(|_| None).collect();
    for i in order {
        let done = match runners[i].run(measurement, None, false).await? {
            Ok(done) => done,
            Err(stop) => return Ok(Err(stop)),
        };
        let which = match pair {
            Some(pair) => format!("run {pair} of {}", runners[i].title),
            None => format!("warm-up {} of {}", round + 1, runners[i].title),
        };
        if let Some(stop) = done.stop(measurement, &which).or_else(|| done.leaves_work(&which)) {
            return Ok(Err(stop));
        }
        made[i] = Some(done);
    }
    Ok(Ok(made.into_iter().flatten().collect()))
}
