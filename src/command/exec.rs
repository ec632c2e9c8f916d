//! `alumet exec`: launches an application, measures it, reports, and ends with its status. Once, or again and again.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use alumet::target::Inherited;
use anyhow::Context;

use crate::cli::{AppOutput, Exec};
use crate::comparison::judge::side_by_side;
use crate::comparison::written::Voice;
use crate::comparison::{Side, overview};
use crate::config::{IgnoreFailure, Timeout};
use crate::exit::{FAILED, Failure, SUCCESS, Status, TIMEOUT};
use crate::files::{Claims, Kind, cannot_write};
use crate::fingerprint::Fingerprint;
use crate::launching;
use crate::measure::{Measurement, block_on, write_profile};
use crate::outcome::Outcome;
use crate::profile::{Parameters, Run, Runs};
use crate::quantity::events;
use crate::repeat::parameters::{fill, filled, in_words};
use crate::repeat::series::{self, Plan, Stop, note_missing};
use crate::repeat::{Runner, Session, Streams, auxiliary, table, within};
use crate::signals::{self, Signals};
use crate::supervise::Ending;
use crate::terminal::{Look, note, say};

/// The least number of runs, if a time is to be filled.
const RUNS_OF_A_TIME: usize = 10;

impl Exec {
    fn is_repeated(&self) -> bool {
        self.runs.is_some()
            || self.min_time.is_some()
            || self.repeating.warmup.is_some()
            || self.repeating.prepare.is_some()
            || self.repeating.cleanup.is_some()
            || self.varying.is_asked()
    }
}

pub fn run(arguments: &Exec) -> Result<Status, Failure> {
    arguments.launching.check_words(&arguments.command)?;
    let texts = arguments.command.iter().map(OsString::as_os_str);
    let prepare = arguments.repeating.prepare.as_ref().map(OsStr::new);
    let combinations = arguments.varying.combinations(texts.chain(prepare))?;
    if !arguments.is_repeated() && arguments.tables.is_asked() {
        return Err(Failure::usage(
            "--markdown, --csv, --junit and --openmetrics are for several runs: say how many with -r",
        ));
    }
    let measurement = Measurement::new(&arguments.settings, &arguments.outputs, arguments.launching.flags())?;
    let inherited = signals::block()?;
    if arguments.is_repeated() {
        return block_on(repeat(arguments, &combinations, measurement, inherited));
    }
    if arguments.repeating.app_output.is_some() {
        return Err(Failure::usage("--app-output is for repeated runs: redirect the output of a single one"));
    }
    block_on(launch(arguments, measurement, inherited))
}

async fn launch(
    arguments: &Exec,
    mut measurement: Measurement<'_>,
    inherited: Inherited,
) -> Result<Status, Failure> {
    let signals = Signals::new().context("cannot watch for signals")?;
    let command = arguments.launching.command(&arguments.command, &inherited)?;
    let mut claims = Claims::default();
    claims.execute(&command.arguments()[0]);
    measurement.claim(claims, None)?;
    measurement.measure_idle(&signals).await?;
    let ended = launching::run(&mut measurement, &command, &signals, true).await?;
    let outcome = Outcome {
        title: ended.target.display(),
        command: words(arguments),
        ended: ended.target.has_exited(),
        timed_out: ended.timed_out,
    };
    let ignored = measurement.config.general.ignore_failure.clone();
    let written = measurement.report(&ended.target, &ended.report, &outcome);
    Ok(match ended.report.exit {
        _ if !written => FAILED,
        _ if let Ending::NotWaited(signal) = ended.ending => Status::by(signal),
        _ if outcome.timed_out.is_some() => TIMEOUT,
        Some(exit) if ignored.accepts(exit) => SUCCESS,
        Some(exit) => Status::of(exit),
        None => FAILED,
    })
}

fn words(arguments: &Exec) -> Vec<String> {
    arguments.command.iter().map(|word| word.to_string_lossy().into_owned()).collect()
}

async fn repeat(
    arguments: &Exec,
    combinations: &[Parameters],
    mut measurement: Measurement<'_>,
    inherited: Inherited,
) -> Result<Status, Failure> {
    let signals = Signals::new().context("cannot watch for signals")?;
    let min_time = arguments.min_time.clone().map(Timeout::try_from).transpose();
    let min_time = min_time.map_err(|why| Failure::usage(format!("--min-time: {why}")))?.map(|time| time.0);
    let runs = arguments.runs.unwrap_or(if min_time.is_some() { RUNS_OF_A_TIME } else { 1 });
    if runs == 0 {
        return Err(Failure::usage("--runs: there must be one at least"));
    }
    within("--runs", runs)?;
    within("--warmup", arguments.repeating.warmup.unwrap_or(0))?;
    let commands = combinations
        .iter()
        .map(|parameters| {
            let words: Vec<_> = arguments.command.iter().map(|word| filled(word, parameters)).collect();
            arguments.launching.command(&words, &inherited)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let app_output = arguments.repeating.app_output.as_ref().and_then(AppOutput::file);
    let mut claims = Claims::default();
    claims.write("--app-output", Kind::AppOutput, app_output);
    arguments.tables.claim(&mut claims);
    for command in &commands {
        command.check()?;
        claims.execute(&command.arguments()[0]);
    }
    measurement.claim(claims, Some(runs.saturating_mul(commands.len())))?;
    let session = Session {
        launching: &arguments.launching,
        inherited: &inherited,
        signals: &signals,
        streams: Streams::of(&arguments.repeating)?,
        events: events(&arguments.outputs.event),
    };
    measurement.measure_idle(&signals).await?;
    let mut plan = Plan {
        warmups: arguments.repeating.warmup.unwrap_or(0),
        runs,
        done: 0,
        min_time,
        max_time: None,
        is_last: false,
        may_leave_work: true,
    };
    let quiet = measurement.config.general.quiet;
    let json = arguments.outputs.json.as_deref();
    let no_profile = |error: &std::io::Error| {
        Failure::failed(cannot_write(Kind::Profile, json.unwrap_or(Path::new("")), error))
    };
    let mut runs = json.map(Runs::beside).transpose().map_err(|error| no_profile(&error))?;
    let (mut missing, mut sources, mut stopped) = (Vec::new(), Vec::new(), None);
    let mut sides: Vec<Side> = Vec::new();
    for (i, (parameters, mut command)) in combinations.iter().zip(commands).enumerate() {
        session.streams.give(&mut command)?;
        let prepare = arguments.repeating.prepare.as_ref().map(|prepare| fill(prepare, parameters));
        let runner = Runner { session: &session, title: command.display(), command, prepare };
        plan.is_last = i + 1 == combinations.len() && arguments.repeating.cleanup.is_none();
        let keep = |run: &mut Run| {
            run.parameters.clone_from(parameters);
            let kept = runs.as_mut().map_or(Ok(()), |runs| runs.add(run));
            kept.map_err(|error| no_profile(&error))
        };
        let series = series::make(&runner, plan, &measurement, keep).await;
        // What was prepared is cleaned up, whatever became of the runs.
        let cleaned = match &arguments.repeating.cleanup {
            Some(cleanup) => auxiliary::execute("--cleanup", &fill(cleanup, parameters), &session).await,
            None => Ok(None),
        };
        let mut series = series?;
        if !quiet && !series.readings.is_empty() {
            let verbose = arguments.outputs.verbose;
            say(&table::render(&runner.title, parameters, &series, plan.warmups, verbose, Look::of_stderr()));
        }
        match (cleaned?, &series.stopped) {
            (Some(Stop::Broken(_, why)), Some(_)) => note(&why),
            (Some(stop), None) => series.stopped = Some(stop),
            _ => {}
        }
        plan.done += series.readings.len();
        if !series.readings.is_empty() {
            let title = if parameters.is_empty() { runner.title.clone() } else { in_words(parameters) };
            sides.push(Side {
                title,
                command: runner.title.clone(),
                parameters: parameters.clone(),
                runs: std::mem::take(&mut series.readings),
                ..Side::default()
            });
        }
        note_missing(&mut missing, series.missing);
        (sources, stopped) = (series.sources, series.stopped);
        if stopped.is_some() {
            break;
        }
    }
    match &stopped {
        Some(Stop::Failed(_, why) | Stop::Broken(_, why)) => {
            let has_failed = matches!(&stopped, Some(Stop::Failed(..)));
            let hidden = match session.streams {
                Streams::Hidden(_) if has_failed => "; its output was hidden: --app-output inherit shows it",
                _ => "",
            };
            let is_asked = measurement.config.general.ignore_failure != IgnoreFailure::None;
            let advice = if has_failed && !is_asked { " (--ignore-failure goes on)" } else { "" };
            note(&format!("{why}: no further runs are made{hidden}{advice}"));
        }
        Some(Stop::Interrupted(signal)) => {
            let complete = match plan.done {
                1 => "1 complete run is".to_owned(),
                n => format!("{n} complete runs are"),
            };
            note(&format!("interrupted by {signal}: {complete} reported"));
        }
        None => {}
    }
    let status = stopped.as_ref().map_or(SUCCESS, Stop::status);
    let mut written = true;
    if sides.len() > 1 || !sides.is_empty() && arguments.tables.is_asked() {
        let versions = side_by_side(&sides, Fingerprint::of(&measurement.config.host()))?;
        if sides.len() > 1 && !quiet {
            say(&overview::render(&versions, Look::of_stderr()));
        }
        written = arguments.tables.write(&versions, Voice::Person, false);
    }
    if let Some((path, runs)) = json.zip(runs).filter(|(_, runs)| !runs.is_empty())
        && !write_profile(path, &measurement.config, words(arguments), &sources, &missing, runs)
    {
        written = false;
    }
    Ok(if written { status } else { FAILED })
}
