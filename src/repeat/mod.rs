//! One command run again and again: [`Runner`] makes a run, [`series`] many of them. [`parameters`] fills in what varies,
//! [`auxiliary`] executes what is to happen around the runs, [`drain`] takes output that nobody wants to see, [`progress`] draws how far it is, [`readings`] keeps what was
//! read, [`peculiarities`] are what nobody should overlook in it, and [`table`] says what the runs came to.

pub mod auxiliary;
mod drain;
pub mod parameters;
pub mod peculiarities;
pub mod progress;
pub mod readings;
pub mod series;
pub mod table;

use std::fmt::Display;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alumet::Command;
use alumet::target::{Exit, Inherited, OomKills};

use crate::cli::{AppOutput, Launching, Repeating};
use crate::exit::{FAILED, Failure, Status, TIMEOUT};
use crate::files::Kind;
use crate::launching;
use crate::measure::{Measured, Measurement};
use crate::quantity::{Quantity, Reading, derived};
use crate::signals::Signals;
use series::Stop;

/// Where the output of the application goes.
#[derive(Debug, Clone)]
pub enum Streams {
    /// Where alumet's own goes.
    Shown,
    /// Into this file.
    Kept(Arc<OwnedFd>),
    /// Away.
    Hidden(Arc<OwnedFd>),
}

impl Streams {
    /// As was asked for; into a pipe, which the least programs take for a reason to do less, unless anything was.
    pub fn of(repeating: &Repeating) -> Result<Self, Failure> {
        let fail = |what: &dyn Display, error: &std::io::Error| {
            Failure::failed(format!("cannot write to {what}: {}", alumet::file::reason(error)))
        };
        let to =
            if repeating.show_output { Some(&AppOutput::Inherit) } else { repeating.app_output.as_ref() };
        Ok(match to {
            Some(AppOutput::Inherit) => Self::Shown,
            Some(AppOutput::File(path)) => {
                let file = alumet::file::start_over(path, |bytes| Kind::AppOutput.is_of(bytes));
                let file = file.map_err(|error| fail(&path.display(), &error))?;
                Self::Kept(Arc::new(file.into()))
            }
            Some(AppOutput::Null) => {
                let null = File::options().write(true).open("/dev/null");
                let null = null.map_err(|error| fail(&"/dev/null", &error))?;
                Self::Hidden(Arc::new(null.into()))
            }
            Some(AppOutput::Pipe) | None => {
                Self::Hidden(Arc::new(drain::pipe().map_err(|error| fail(&"a pipe", &error))?))
            }
        })
    }

    /// Gives them to a command. Nobody types anything into one of many runs.
    pub fn give(&self, command: &mut Command) -> Result<(), Failure> {
        let fail = |error: std::io::Error| {
            Failure::failed(format!("cannot redirect: {}", alumet::file::reason(&error)))
        };
        command.stream(0, File::open("/dev/null").map_err(fail)?);
        for number in [1, 2] {
            if let Self::Kept(output) | Self::Hidden(output) = self {
                command.stream(number, output.try_clone().map_err(fail)?);
            }
        }
        Ok(())
    }
}

impl AppOutput {
    /// The file, if it is one of the user's.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Pipe | Self::Null | Self::Inherit => None,
        }
    }
}

/// What all runs of a session have in common.
pub struct Session<'a> {
    pub launching: &'a Launching,
    pub inherited: &'a Inherited,
    pub signals: &'a Signals,
    pub streams: Streams,
    /// The events that were asked for: they are compared like the usual quantities.
    pub events: Vec<Quantity>,
}

/// A command that can be run.
pub struct Runner<'a> {
    pub session: &'a Session<'a>,
    /// As it was typed.
    pub title: String,
    pub command: Command,
    /// Executed before each run.
    pub prepare: Option<String>,
}

/// A run that counts.
pub struct Done {
    pub measured: Measured,
    pub readings: Vec<(Quantity, Reading)>,
    pub exit: Option<Exit>,
    pub oom_kills: Option<OomKills>,
    pub timed_out: Option<Duration>,
}

impl Runner<'_> {
    /// Runs it once; a run that counts has a number. Returns why there is no run, if there is none.
    pub async fn run(
        &self,
        measurement: &Measurement<'_>,
        number: Option<usize>,
        is_last: bool,
    ) -> Result<Result<Done, Stop>, Failure> {
        if let Some(prepare) = &self.prepare
            && let Some(stop) = auxiliary::execute("--prepare", prepare, self.session).await?
        {
            return Ok(Err(stop));
        }
        let mut measurement = measurement.again(number);
        let ended = launching::run(&mut measurement, &self.command, self.session.signals, is_last).await?;
        if let Some(signal) = ended.ending.asked() {
            return Ok(Err(Stop::Interrupted(signal)));
        }
        let timed_out = ended.timed_out;
        let measured = measurement.into_run(&ended.target, &ended.report, timed_out.is_some());
        let (wall, metrics) = (&measured.run.wall, &measured.run.metrics);
        let quantities = Quantity::USUAL.iter().chain(&self.session.events);
        let mut readings: Vec<_> = quantities
            .filter_map(|quantity| Some((quantity.clone(), quantity.of_run(wall, metrics)?)))
            .collect();
        readings.extend(derived(&measured.run.derived));
        Ok(Ok(Done {
            measured,
            readings,
            exit: ended.report.exit,
            oom_kills: ended.report.oom_kills,
            timed_out,
        }))
    }
}

impl Done {
    /// Why the runs cannot go on after this one, if so.
    pub fn stop(&self, measurement: &Measurement<'_>, which: &str) -> Option<Stop> {
        let broken = |status, why: &str| Some(Stop::Broken(status, format!("{which} {why}")));
        if !self.measured.is_written {
            return broken(FAILED, "could not be written whole");
        }
        if let Some(what) = &self.measured.uncounted {
            return broken(FAILED, &format!("lacks what was asked for: {what}"));
        }
        if let Some(limit) = self.timed_out {
            let limit = humantime::format_duration(limit);
            return broken(TIMEOUT, &format!("was ended by --timeout after {limit}"));
        }
        match self.exit {
            Some(exit) if measurement.config.general.ignore_failure.accepts(exit) => None,
            Some(exit) => {
                let why = self.oom_kills.as_ref().map_or_else(String::new, |kills| format!(": {kills}"));
                Some(Stop::Failed(Status::of(exit), format!("{which} {exit}{why}")))
            }
            None => broken(FAILED, "has not ended"),
        }
    }

    /// Why it is nothing to compare if processes lived on, which may do the work of this run and of later ones: also of
    /// a warm-up.
    pub fn leaves_work(&self, which: &str) -> Option<Stop> {
        let leaves = !self.measured.run.survivors.is_empty();
        leaves.then(|| Stop::Broken(FAILED, format!("{which} left processes behind, {}", table::UNCOUNTED)))
    }

    /// Whether it has failed, which is accepted.
    pub fn is_accepted_failure(&self) -> bool {
        self.exit.is_some_and(|exit| !exit.is_success())
    }
}

/// More runs than this are a mistake.
pub fn within(flag: &str, number: usize) -> Result<(), Failure> {
    const MOST: usize = 1_000_000;
    match number > MOST {
        true => Err(Failure::usage(format!("{flag}: {number} is more than {MOST}"))),
        false => Ok(()),
    }
}
