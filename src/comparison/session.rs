//! What `compare` and `check` have in common: the arguments' meaning, and from runs to an exit status.

use std::ffi::OsString;
use std::time::Duration;

use alumet::target::Inherited;
use anyhow::Context;

use super::interleave::{self, Interleaved};
use super::judge::{Circumstances, Gates, compare};
use super::stored::{Stored, same_machine};
use super::{Comparison, Design, Side};
use crate::cli::{Comparing, Launching, Outputs, Repeating, Settings};
use crate::command::exec::{events, within};
use crate::config::{Config, Timeout};
use crate::exit::{FAILED, Failure, TIMEOUT};
use crate::fingerprint::Fingerprint;
use crate::measure::Measurement;
use crate::quantity::Quantity;
use crate::repeat::auxiliary;
use crate::repeat::series::{self, Stop};
use crate::repeat::{Runner, Session, Streams};
use crate::signals::Signals;
use crate::statistics::decision::Verdict;
use crate::statistics::gate::Rule;
use crate::statistics::sequential;
use crate::terminal::note;

/// A regression.
pub const REGRESSION: u8 = 3;
/// Neither a regression nor a pass.
pub const INCONCLUSIVE: u8 = 4;

const PAIRS: usize = 10;
const ADAPTIVE_PAIRS: usize = 40;
/// With a lower cap, early looks cost more than they gain.
const FEWEST_ADAPTIVE_PAIRS: usize = 20;

/// The arguments, resolved.
pub struct Settled {
    pub gates: Gates,
    pub alpha: f64,
    pub pairs: usize,
    pub adaptive: bool,
    pub max_time: Option<Duration>,
    pub warmups: usize,
}

impl Comparing {
    /// What the arguments mean, for so many versions that are each compared to the first.
    pub fn settle(&self, repeating: &Repeating, comparisons: usize) -> Result<Settled, Failure> {
        let threshold = share("--threshold", &self.threshold)?;
        let alpha: f64 = self.alpha.trim().parse().unwrap_or(f64::NAN);
        if !(1e-6..0.5).contains(&alpha) {
            return Err(Failure::usage(format!(
                "--alpha: `{}` is no probability between 0.000001 and 0.5",
                self.alpha
            )));
        }
        let pairs = self.pairs.unwrap_or(if self.adaptive { ADAPTIVE_PAIRS } else { PAIRS });
        let fewest = if self.adaptive { FEWEST_ADAPTIVE_PAIRS } else { Rule::FEWEST_RUNS };
        if pairs < fewest {
            let with = if self.adaptive { " with --adaptive" } else { "" };
            return Err(Failure::usage(format!(
                "--pairs: {pairs} cannot decide anything; it takes {fewest} at least{with}"
            )));
        }
        within("--pairs", pairs)?;
        within("--warmup", repeating.warmup.unwrap_or(0))?;
        let max_time = self.max_time.clone().map(Timeout::try_from).transpose();
        let max_time = max_time.map_err(|why| Failure::usage(format!("--max-time: {why}")))?;
        let mut named: Vec<(Quantity, f64)> = Vec::new();
        for gate in self.gate.iter().flat_map(|list| list.split(',')).map(str::trim) {
            let (name, own) = match gate.split_once('=') {
                Some((name, own)) => (name.trim(), share("--gate", own)?),
                None => (gate, threshold),
            };
            if name.is_empty() {
                return Err(Failure::usage(format!("--gate: `{gate}` names nothing")));
            }
            if named.iter().any(|(known, _)| known.name() == name) {
                return Err(Failure::usage(format!("--gate: `{name}` is there twice")));
            }
            if let Some(usual) = Quantity::USUAL.iter().find(|usual| usual.name() == name.to_lowercase())
                && usual.name() != name
            {
                return Err(Failure::usage(format!("--gate: `{name}`: it is written `{}`", usual.name())));
            }
            named.push((Quantity::parse(name), own));
        }
        if self.require_measured && named.iter().any(|(quantity, _)| *quantity != Quantity::Energy) {
            return Err(Failure::usage(
                "--require-measured wants energy to decide, and --gate something else",
            ));
        }
        // Each further version is a further chance to err, and so is each further gate.
        let alpha = alpha / comparisons.max(1) as f64;
        let least = least_pairs(alpha, named.len());
        if pairs < least {
            return Err(Failure::usage(format!(
                "--pairs: {pairs} cannot decide anything with so many gates and versions, and this --alpha; it takes \
                 {least} at least"
            )));
        }
        let gates = Gates { named, threshold, require_measured: self.require_measured };
        Ok(Settled {
            gates,
            alpha,
            pairs,
            adaptive: self.adaptive,
            max_time: max_time.map(|time| time.0),
            warmups: repeating.warmup.unwrap_or(1),
        })
    }

    /// The outputs of each run: none but its totals.
    pub fn outputs(&self) -> Outputs {
        let named = self.gate.iter().flat_map(|list| list.split(','));
        let named = named.map(|gate| gate.split('=').next().unwrap_or_default().trim());
        // An event that is to decide is counted.
        let gated: Vec<_> = named
            .filter(|name| !name.is_empty() && matches!(Quantity::parse(name), Quantity::Event(_)))
            .map(str::to_owned)
            .collect();
        let mut event = self.event.clone();
        event.extend(
            gated
                .into_iter()
                .filter(|name| !self.event.iter().any(|list| list.split(',').any(|e| e == name))),
        );
        Outputs {
            event,
            output: None,
            json: None,
            carbon: None,
            price: None,
            per_process: false,
            per_thread: false,
            top: 10,
            quiet: self.quiet,
            verbose: false,
        }
    }

    /// The status of several comparisons: the worst verdict counts.
    pub fn status(&self, comparisons: &[Comparison]) -> u8 {
        let any = |verdict| comparisons.iter().any(|comparison| comparison.verdict == verdict);
        // Where nothing could be decided whatever the runs had said, nothing passes.
        let undecidable = comparisons.iter().any(|comparison| !comparison.is_decidable);
        if undecidable && !any(Verdict::Regression) {
            return INCONCLUSIVE;
        }
        match (any(Verdict::Regression), any(Verdict::Inconclusive), self.inconclusive.as_deref()) {
            (true, ..) => REGRESSION,
            (false, true, None) => INCONCLUSIVE,
            (false, true, Some("fail")) => REGRESSION,
            _ => 0,
        }
    }
}

/// So many pairs that all point one way are as unlikely as the error allows: `2⁻ⁿ ≤ α / gates` (Holm's first step).
fn least_pairs(alpha: f64, gates: usize) -> usize {
    let pairs = (gates.max(1) as f64 / alpha).log2() - 1e-9;
    (pairs.ceil() as usize).max(Rule::FEWEST_RUNS)
}

/// `2%`, `2` or `0.5 %` as a share.
fn share(flag: &str, text: &str) -> Result<f64, Failure> {
    let number = text.trim();
    let number = number.strip_suffix('%').unwrap_or(number).trim_end();
    match number.parse::<f64>() {
        // A thousand times as much is no threshold.
        Ok(percent) if (0.0..=1e5).contains(&percent) => Ok(percent / 100.0),
        _ => Err(Failure::usage(format!("{flag}: `{text}` is no percentage; write it as in `2%`"))),
    }
}

/// Everything that is needed to run versions and compare them.
pub struct Bench<'a> {
    pub settled: Settled,
    pub comparing: &'a Comparing,
    pub launching: &'a Launching,
    pub repeating: &'a Repeating,
    /// Whether nobody but the caller may say how it is judged.
    pub is_gate: bool,
}

/// A version to be run: how it was typed.
pub enum Typed {
    Line(OsString),
    Words(Vec<OsString>),
}

impl Bench<'_> {
    /// Runs all versions in turn, and compares each to the first.
    pub async fn interleaved(
        &self,
        versions: &[Typed],
        settings: &Settings,
        inherited: &Inherited,
    ) -> Result<(Vec<Comparison>, Option<u8>), Failure> {
        let outputs = self.comparing.outputs();
        let mut measurement = self.measurement(settings, &outputs)?;
        let signals = Signals::new().context("cannot watch for signals")?;
        let session = self.session(&signals, inherited, &outputs)?;
        let runners =
            versions.iter().map(|typed| self.runner(typed, &session)).collect::<Result<Vec<_>, _>>()?;
        measurement.measure_idle(&signals).await?;
        let settled = &self.settled;
        let rule = Rule::new(settled.gates.threshold, settled.alpha)
            .map_err(|invalid| Failure::usage(invalid.to_string()))?;
        let looks = sequential::Plan::new(rule, settled.pairs)
            .map_err(|invalid| Failure::usage(invalid.to_string()))?;
        let host = Fingerprint::of(&measurement.config.host());
        let judge = |runs: &Interleaved, alpha: f64| -> Result<Vec<Comparison>, Failure> {
            let circumstances = Circumstances {
                design: Design::Interleaved {
                    pairs: runs.pairs(),
                    warmups: settled.warmups,
                    adaptive: settled.adaptive,
                },
                host: host.clone(),
                missing: &runs.missing,
            };
            let others = runs.sides[1..].iter();
            others
                .map(|side| compare(&runs.sides[0], side, &settled.gates, alpha, circumstances.clone()))
                .collect()
        };
        let is_decided = |runs: &Interleaved| -> Result<bool, Failure> {
            match looks.rule(runs.pairs()).filter(|_| settled.adaptive && runs.pairs() < settled.pairs) {
                Some(rule) => {
                    let comparisons = judge(runs, rule.alpha())?;
                    Ok(comparisons.iter().all(|comparison| comparison.verdict != Verdict::Inconclusive))
                }
                // What cannot be compared at all need not be run ten times.
                None if runs.pairs() == 1 => judge(runs, settled.alpha).map(|_| false),
                None => Ok(false),
            }
        };
        let plan =
            interleave::Plan { warmups: settled.warmups, pairs: settled.pairs, max_time: settled.max_time };
        let runs = interleave::make(&runners, plan, &measurement, is_decided).await;
        let cleaned = self.clean_up(&session).await;
        let runs = runs?;
        let ended = self.stopped(&runs.stopped, runs.pairs())?.or(cleaned?);
        let pairs = runs.pairs();
        if pairs == 0 {
            return Err(Failure {
                status: ended.unwrap_or(FAILED),
                message: "no pair of runs is complete".into(),
            });
        }
        let alpha = match settled.adaptive {
            true => looks.rule(pairs).unwrap_or_else(|| looks.last_rule(pairs)).alpha(),
            false => settled.alpha,
        };
        let mut comparisons = judge(&runs, alpha)?;
        if runs.is_out_of_time {
            let text = format!("the time was up after {pairs} of at most {} pairs", settled.pairs);
            comparisons.iter_mut().for_each(|comparison| comparison.remarks.push(text.clone()));
        }
        for comparison in &mut comparisons {
            comparison.is_decidable = pairs >= least_pairs(alpha, settled.gates.named.len());
        }
        Ok((comparisons, ended))
    }

    /// Runs one version, and compares it to stored runs of the same machine.
    pub async fn against(
        &self,
        baseline: &Stored,
        version: &Typed,
        settings: &Settings,
        inherited: &Inherited,
    ) -> Result<(Comparison, Option<u8>), Failure> {
        let outputs = self.comparing.outputs();
        let mut measurement = self.measurement(settings, &outputs)?;
        let host = Fingerprint::of(&measurement.config.host());
        same_machine(&format!("baseline {}", baseline.side.title), &baseline.host, &host)?;
        let signals = Signals::new().context("cannot watch for signals")?;
        let session = self.session(&signals, inherited, &outputs)?;
        let runner = self.runner(version, &session)?;
        measurement.measure_idle(&signals).await?;
        let plan = series::Plan {
            warmups: self.settled.warmups,
            runs: self.settled.pairs,
            done: 0,
            min_time: None,
            max_time: self.settled.max_time,
            // Privileges may still be needed to write the result.
            is_last: false,
        };
        let series = series::make(&runner, plan, &measurement, false).await;
        let cleaned = self.clean_up(&session).await;
        let series = series?;
        let complete = series.readings.len();
        let ended = self.stopped(&series.stopped, complete)?.or(cleaned?);
        if complete == 0 {
            return Err(Failure { status: ended.unwrap_or(FAILED), message: "no run is complete".into() });
        }
        let side = Side {
            title: runner.title.clone(),
            runs: series.readings,
            left_behind: series.left_behind,
            accepted_failures: series.accepted_failures,
        };
        let design = Design::Stored { baseline_runs: baseline.side.runs.len(), runs: side.runs.len() };
        let circumstances = Circumstances { design, host, missing: &series.missing };
        let mut comparison =
            compare(&baseline.side, &side, &self.settled.gates, self.settled.alpha, circumstances)?;
        // Of two samples, fewer orders are as rare as that; this is what pairs would take.
        comparison.is_decidable = complete >= least_pairs(self.settled.alpha, self.settled.gates.named.len());
        if series.is_out_of_time {
            let text = format!("the time was up after {complete} of {} runs", self.settled.pairs);
            comparison.remarks.push(text);
        }
        Ok((comparison, ended))
    }

    fn measurement<'o>(&self, settings: &Settings, outputs: &'o Outputs) -> Result<Measurement<'o>, Failure> {
        let new = if self.is_gate { Measurement::apart } else { Measurement::new };
        new(settings, outputs, self.launching.flags())
    }

    fn session<'s>(
        &'s self,
        signals: &'s Signals,
        inherited: &'s Inherited,
        outputs: &Outputs,
    ) -> Result<Session<'s>, Failure> {
        Ok(Session {
            launching: self.launching,
            inherited,
            signals,
            streams: Streams::of(self.repeating)?,
            events: events(&outputs.event),
        })
    }

    fn runner<'s>(&self, typed: &Typed, session: &'s Session<'s>) -> Result<Runner<'s>, Failure> {
        let (mut command, title) = match typed {
            Typed::Line(line) => {
                (self.launching.command_line(line, session.inherited)?, line.to_string_lossy().into_owned())
            }
            Typed::Words(words) => {
                let command = self.launching.command(words, session.inherited)?;
                let title = command.display();
                (command, title)
            }
        };
        session.streams.give(&mut command)?;
        Ok(Runner { session, title, command, prepare: self.repeating.prepare.clone() })
    }

    /// The status to end with, if that fails: the runs are good all the same.
    async fn clean_up(&self, session: &Session<'_>) -> Result<Option<u8>, Failure> {
        let Some(cleanup) = &self.repeating.cleanup else { return Ok(None) };
        let stop = auxiliary::execute("--cleanup", cleanup, session).await?;
        if let Some(Stop::Failed(_, why)) = &stop {
            note(why);
        }
        Ok(stop.as_ref().map(Stop::status))
    }

    /// A failed run is nothing to compare; after an interruption, what is complete is.
    fn stopped(&self, stop: &Option<Stop>, complete: usize) -> Result<Option<u8>, Failure> {
        match stop {
            None => Ok(None),
            Some(stop @ Stop::Interrupted(signal)) => {
                note(&format!("interrupted by {signal}: {complete} complete runs are compared"));
                Ok(Some(stop.status()))
            }
            Some(Stop::Failed(status, why)) => {
                let advice = match *status == TIMEOUT || why.starts_with("--") {
                    true => "",
                    false => " (--show-output shows its output, --ignore-failure goes on)",
                };
                Err(Failure::failed(format!("there is nothing valid to compare: {why}{advice}")))
            }
        }
    }
}

/// Two profiles, each from the same machine.
pub fn profiles(baseline: &Stored, change: &Stored, settled: &Settled) -> Result<Comparison, Failure> {
    same_machine(&baseline.side.title, &baseline.host, &change.host)?;
    let design = Design::Stored { baseline_runs: baseline.side.runs.len(), runs: change.side.runs.len() };
    let circumstances = Circumstances { design, host: change.host.clone(), missing: &[] };
    compare(&baseline.side, &change.side, &settled.gates, settled.alpha, circumstances)
}

/// The configuration alone, where nothing is run.
pub fn configuration(settings: &Settings, launching: &Launching, is_gate: bool) -> Result<Config, Failure> {
    let resolve = if is_gate { Config::resolve_apart } else { Config::resolve };
    resolve(settings, &launching.flags())
}
