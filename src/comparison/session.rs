//! What `compare` and `check` have in common: from commands and profiles to comparisons.

use std::ffi::OsString;

use alumet::target::Inherited;
use alumet::{Command, Missing};
use alumet_statistics::decision::Verdict;
use alumet_statistics::sequential;
use anyhow::Context;
use tracing::debug;

use super::interleave::{self, Interleaved};
use super::judge::{Circumstances, Other, compare};
use super::settle::Settled;
use super::stored::{Stored, same_machine};
use super::versions::Versions;
use super::{Design, Ended, Side};
use crate::cli::{Comparing, Launching, Outputs, Repeating, Settings};
use crate::config::Config;
use crate::exit::{FAILED, Failure, Status};
use crate::files::Claims;
use crate::fingerprint::Fingerprint;
use crate::measure::Measurement;
use crate::profile::Parameters;
use crate::quantity::events;
use crate::repeat::auxiliary;
use crate::repeat::parameters::{fill, filled};
use crate::repeat::series::{self, Stop};
use crate::repeat::{Runner, Session, Streams};
use crate::signals::Signals;
use crate::terminal::note;

/// Everything that is needed to run versions and compare them.
pub struct Bench<'a> {
    pub settled: Settled,
    pub comparing: &'a Comparing,
    pub launching: &'a Launching,
    pub repeating: &'a Repeating,
    /// Whether nobody but the caller may say how it is judged.
    pub is_gate: bool,
    /// What the comparison is to be written to.
    pub claims: Claims,
}

/// A version to be run.
pub struct Asked {
    /// What it is to be called.
    pub name: Option<String>,
    pub typed: Typed,
    /// What is put in the places of names in it.
    pub parameters: Parameters,
}

/// How it was typed.
#[derive(Clone)]
pub enum Typed {
    Line(OsString),
    Words(Vec<OsString>),
}

impl Asked {
    /// Without a name of its own.
    pub fn plain(typed: Typed) -> Self {
        Self { name: None, typed, parameters: Parameters::new() }
    }

    /// The command with its parameters.
    fn typed(&self) -> Typed {
        let filled = |word: &OsString| filled(word, &self.parameters);
        match &self.typed {
            Typed::Line(line) => Typed::Line(filled(line)),
            Typed::Words(words) => Typed::Words(words.iter().map(filled).collect()),
        }
    }

    /// The command with its parameters, as it was typed.
    pub fn text(&self) -> String {
        match self.typed() {
            Typed::Line(line) => line.to_string_lossy().into_owned(),
            Typed::Words(words) => words.join(&OsString::from(" ")).to_string_lossy().into_owned(),
        }
    }
}

impl Bench<'_> {
    /// Runs all versions in turn, and compares each to the first.
    pub async fn interleaved(
        &self,
        versions: &[Asked],
        settings: &Settings,
        inherited: &Inherited,
    ) -> Result<(Versions, Option<Status>), Failure> {
        let settled = &self.settled;
        settled.check_pairs()?;
        let outputs = self.comparing.outputs();
        let mut measurement = self.measurement(settings, &outputs)?;
        let signals = Signals::new().context("cannot watch for signals")?;
        let commands =
            versions.iter().map(|asked| self.command(asked, inherited)).collect::<Result<Vec<_>, _>>()?;
        self.claim(&mut measurement, &commands)?;
        let session = self.session(&signals, inherited, &outputs)?;
        let runners =
            versions.iter().zip(commands).map(|(asked, command)| self.runner(asked, command, &session));
        let runners = runners.collect::<Result<Vec<_>, _>>()?;
        measurement.measure_idle(&signals).await?;
        let looks = sequential::Plan::new(settled.rule, settled.pairs)
            .map_err(|invalid| Failure::usage(invalid.to_string()))?;
        let host = Fingerprint::of(&measurement.config.host());
        let judge = |runs: &Interleaved, alpha: f64, ended: Ended| -> Result<Versions, Failure> {
            let circumstances = Circumstances {
                ended,
                design: Design::Interleaved {
                    versions: runs.sides.len(),
                    pairs: runs.pairs(),
                    warmups: settled.warmups,
                    adaptive: settled.adaptive,
                },
                host: host.clone(),
                missing: &runs.missing,
            };
            let other = |side| Other { side, circumstances: circumstances.clone() };
            compare(
                &runs.sides[0],
                &runs.sides[1..].iter().map(other).collect::<Vec<_>>(),
                &settled.gates,
                alpha,
            )
        };
        let is_decided = |runs: &Interleaved| -> Result<bool, Failure> {
            // What cannot be compared at all need not be run ten times.
            if runs.pairs() == 1 {
                judge(runs, settled.rule.alpha(), Ended::Complete)?;
            }
            if !settled.adaptive {
                return Ok(runs.pairs() >= settled.pairs);
            }
            looks.is_over(runs.pairs(), |rule| {
                let versions = judge(runs, rule.alpha(), Ended::Complete)?;
                let is_open = versions.comparisons.iter().any(|one| one.verdict == Verdict::Inconclusive);
                let verdicts: Vec<_> = versions.comparisons.iter().map(|one| one.verdict).collect();
                let (pairs, alpha, goes_on) = (runs.pairs(), rule.alpha(), is_open);
                debug!(pairs, alpha, ?verdicts, goes_on, "looked at the pairs so far");
                Ok(if is_open { Verdict::Inconclusive } else { Verdict::Pass })
            })
        };
        let plan =
            interleave::Plan { warmups: settled.warmups, pairs: settled.pairs, max_time: settled.max_time };
        if settled.adaptive {
            debug!(pairs = ?looks.looks(), "planned to look after so many pairs");
        }
        let runs = interleave::make(&runners, plan, &measurement, is_decided).await;
        let cleaned = self.clean_up(versions, &session).await;
        let mut runs = runs?;
        for (side, asked) in runs.sides.iter_mut().zip(versions) {
            (side.command, side.parameters) = (asked.text(), asked.parameters.clone());
        }
        let ended = Self::stopped(&session, &runs.stopped, runs.pairs())?.or(cleaned?);
        let pairs = runs.pairs();
        if pairs == 0 {
            return Err(Failure {
                status: ended.unwrap_or(FAILED),
                message: "no pair of runs is complete".into(),
            });
        }
        let alpha = match settled.adaptive {
            true => looks.last_rule(pairs).alpha(),
            false => settled.rule.alpha(),
        };
        let how = match &runs.stopped {
            Some(_) => Ended::Interrupted,
            None if runs.is_out_of_time => Ended::OutOfTime,
            None if pairs < settled.pairs => Ended::Decided,
            None => Ended::Complete,
        };
        let mut versions = judge(&runs, alpha, how)?;
        versions.comparisons.iter_mut().for_each(|comparison| settled.remark_end(comparison));
        Ok((versions, ended))
    }

    /// Runs one version, to be compared to stored runs of the same machine.
    pub async fn beside(
        &self,
        baseline: &Stored,
        version: &Asked,
        settings: &Settings,
        inherited: &Inherited,
    ) -> Result<(Made, Option<Status>), Failure> {
        let outputs = self.comparing.outputs();
        let mut measurement = self.measurement(settings, &outputs)?;
        let host = Fingerprint::of(&measurement.config.host());
        same_machine(&format!("baseline {}", baseline.side.title), &baseline.host, &host)?;
        self.settled.check_runs(baseline)?;
        let signals = Signals::new().context("cannot watch for signals")?;
        let commands = [self.command(version, inherited)?];
        self.claim(&mut measurement, &commands)?;
        let session = self.session(&signals, inherited, &outputs)?;
        let [command] = commands;
        let runner = self.runner(version, command, &session)?;
        measurement.measure_idle(&signals).await?;
        let plan = series::Plan {
            warmups: self.settled.warmups,
            runs: self.settled.pairs,
            done: 0,
            min_time: None,
            max_time: self.settled.max_time,
            // Privileges may still be needed to write the result.
            is_last: false,
            may_leave_work: false,
        };
        let series = series::make(&runner, plan, &measurement, |_| Ok(())).await;
        let cleaned = self.clean_up(std::slice::from_ref(version), &session).await;
        let series = series?;
        let complete = series.readings.len();
        let interrupted = Self::stopped(&session, &series.stopped, complete)?.or(cleaned?);
        if complete == 0 {
            return Err(Failure {
                status: interrupted.unwrap_or(FAILED),
                message: "no run is complete".into(),
            });
        }
        let ended = match &series.stopped {
            Some(_) => Ended::Interrupted,
            None if series.is_out_of_time => Ended::OutOfTime,
            None => Ended::Complete,
        };
        let side = Side {
            title: runner.title.clone(),
            command: version.text(),
            runs: series.readings,
            accepted_failures: series.accepted_failures,
            ..Side::default()
        };
        Ok((Made { side, is_new: true, ended, host, missing: series.missing }, interrupted))
    }

    /// Compares runs to stored ones.
    pub fn against(&self, baseline: &Stored, others: &[Made]) -> Result<Versions, Failure> {
        let baseline_runs = baseline.side.runs.len();
        let mut all = Vec::new();
        for Made { side, ended, host, missing, .. } in others {
            let design = Design::Stored { baseline_runs, runs: side.runs.len() };
            let circumstances = Circumstances { design, ended: *ended, host: host.clone(), missing };
            all.push(Other { side, circumstances });
        }
        let alpha = self.settled.rule.alpha();
        let mut versions = compare(&baseline.side, &all, &self.settled.gates, alpha)?;
        let then = baseline.command.join(" ");
        for (comparison, made) in versions.comparisons.iter_mut().zip(others) {
            self.settled.remark_end(comparison);
            if made.is_new && then != made.side.command {
                comparison.remarks.push(format!("{} is of another command: {then}", baseline.side.title));
            }
        }
        Ok(versions)
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

    fn command(&self, asked: &Asked, inherited: &Inherited) -> Result<Command, Failure> {
        match asked.typed() {
            Typed::Line(line) => self.launching.command_line(&line, inherited),
            Typed::Words(words) => self.launching.command(&words, inherited),
        }
    }

    /// Checks that the commands exist and that no file which is to be written is in the way of anything.
    fn claim(&self, measurement: &mut Measurement<'_>, commands: &[Command]) -> Result<(), Failure> {
        let mut claims = self.claims.clone();
        for command in commands {
            command.check()?;
            claims.execute(&command.arguments()[0]);
        }
        measurement.claim(claims, Some(self.settled.pairs.saturating_mul(commands.len())))
    }

    fn runner<'s>(
        &self,
        asked: &Asked,
        mut command: Command,
        session: &'s Session<'s>,
    ) -> Result<Runner<'s>, Failure> {
        let title = match asked.typed() {
            Typed::Line(line) => line.to_string_lossy().into_owned(),
            Typed::Words(_) => command.display(),
        };
        session.streams.give(&mut command)?;
        let prepare = self.repeating.prepare.as_ref().map(|prepare| fill(prepare, &asked.parameters));
        Ok(Runner { session, title: asked.name.clone().unwrap_or(title), command, prepare })
    }

    /// Once, or for each of the parameters that are in it. The status to end with, if that fails: the runs are good all the
    /// same.
    async fn clean_up(&self, versions: &[Asked], session: &Session<'_>) -> Result<Option<Status>, Failure> {
        let Some(cleanup) = &self.repeating.cleanup else { return Ok(None) };
        let mut texts: Vec<String> = versions.iter().map(|asked| fill(cleanup, &asked.parameters)).collect();
        texts.dedup();
        let mut status = None;
        for text in texts {
            let stop = auxiliary::execute("--cleanup", &text, session).await?;
            if let Some(Stop::Broken(_, why)) = &stop {
                note(why);
            }
            status = status.or(stop.as_ref().map(Stop::status));
        }
        Ok(status)
    }

    /// A failed run is nothing to compare; after an interruption, what is complete is.
    fn stopped(
        session: &Session<'_>,
        stop: &Option<Stop>,
        complete: usize,
    ) -> Result<Option<Status>, Failure> {
        match stop {
            None => Ok(None),
            Some(stop @ Stop::Interrupted(signal)) => {
                note(&format!(
                    "interrupted by {signal}: {complete} complete runs are shown, without a verdict"
                ));
                Ok(Some(stop.status()))
            }
            Some(Stop::Broken(_, why)) => {
                Err(Failure::failed(format!("there is nothing valid to compare: {why}")))
            }
            Some(Stop::Failed(_, why)) => {
                let hidden = match session.streams {
                    Streams::Hidden(_) => "--app-output inherit shows its output, ",
                    Streams::Shown | Streams::Kept(_) => "",
                };
                Err(Failure::failed(format!(
                    "there is nothing valid to compare: {why} ({hidden}--ignore-failure goes on)"
                )))
            }
        }
    }
}

/// Runs that are to be compared to stored ones.
pub struct Made {
    pub side: Side,
    /// Whether they were made now.
    is_new: bool,
    pub ended: Ended,
    pub host: Fingerprint,
    pub missing: Vec<Missing>,
}

impl Made {
    /// Those of another profile, from the same machine.
    pub fn stored(baseline: &Stored, change: Stored) -> Result<Self, Failure> {
        same_machine(&baseline.side.title, &baseline.host, &change.host)?;
        // What it lacks, nobody has told.
        let (side, host) = (change.side, change.host);
        Ok(Self { side, is_new: false, ended: Ended::Complete, host, missing: Vec::new() })
    }
}

/// The configuration alone, where nothing is run.
pub fn configuration(settings: &Settings, launching: &Launching, is_gate: bool) -> Result<Config, Failure> {
    let resolve = if is_gate { Config::resolve_apart } else { Config::resolve };
    resolve(settings, &launching.flags())
}
