//! Runs that were kept: profiles that `exec --json` has written, as one side of a comparison.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use alumet::target::Exit;
use serde::Deserialize;
use serde_json::error::Category;

use super::Side;
use crate::config::IgnoreFailure;
use crate::exit::Failure;
use crate::fingerprint::Fingerprint;
use crate::profile::{MetricTotal, Parameters, SCHEMA};
use crate::quantity::Quantity;
use crate::statistics::gate::Rule;

/// What is read of a profile: later versions may have more.
#[derive(Debug, Deserialize)]
struct Profile {
    host: Fingerprint,
    runs: Vec<Run>,
}

/// To be read first: nothing else can be expected of another format.
#[derive(Debug, Deserialize)]
struct Head {
    schema: String,
}

#[derive(Debug, Deserialize)]
struct Run {
    wall_s: f64,
    exit: Option<ExitStatus>,
    #[serde(default)]
    timed_out: bool,
    #[serde(default)]
    parameters: Parameters,
    #[serde(default)]
    survivors: Vec<serde::de::IgnoredAny>,
    metrics: Vec<MetricTotal>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ExitStatus {
    Code(i32),
    Signal(i32),
}

/// The runs of a profile, and where they were made.
#[derive(Debug)]
pub struct Stored {
    pub side: Side,
    pub host: Fingerprint,
}

/// Reads a profile with runs to compare with.
///
/// # Errors
/// There is none to compare with: one line that names the file.
pub fn read(path: &Path, events: &[Quantity], ignored: &IgnoreFailure) -> Result<Stored, Failure> {
    let name = path.display();
    let fail = |why: String| Failure::failed(format!("{name}: {why}"));
    let open = || {
        File::open(path).map_err(|error| fail(format!("cannot be read: {}", alumet::file::reason(&error))))
    };
    if path.is_dir() {
        return Err(fail("is a directory, no profile".into()));
    }
    let head: Head = serde_json::from_reader(BufReader::new(open()?))
        .map_err(|error| fail(format!("is no profile: {}", plain(&error))))?;
    if head.schema != SCHEMA {
        return Err(fail(format!(
            "has the format `{}`, but this alumet reads `{SCHEMA}`: make it anew",
            head.schema
        )));
    }
    let profile: Profile = serde_json::from_reader(BufReader::new(open()?))
        .map_err(|error| fail(format!("is no profile: {}", plain(&error))))?;
    let mut accepted_failures = 0;
    for (number, run) in (1..).zip(&profile.runs) {
        let exit = match run.exit {
            Some(ExitStatus::Code(code)) => Exit::Code(code),
            Some(ExitStatus::Signal(signal)) => Exit::Signal(signal),
            None => Exit::Code(0),
        };
        if run.timed_out || !ignored.accepts(exit) {
            let why = if run.timed_out { "was ended by a time limit".to_owned() } else { exit.to_string() };
            return Err(fail(format!("run {number} {why}, and is nothing to compare with")));
        }
        accepted_failures += usize::from(!exit.is_success());
        if run.parameters != profile.runs[0].parameters {
            return Err(fail("has runs with different parameters: keep one set of them in a file".into()));
        }
    }
    let needed = Rule::FEWEST_RUNS;
    if profile.runs.len() < needed {
        let n = profile.runs.len();
        return Err(fail(format!(
            "has {n} of the {needed} runs that it takes at least: `alumet exec -r 10 --json {name} ...` makes ten"
        )));
    }
    let quantities: Vec<Quantity> = Quantity::USUAL.iter().chain(events).cloned().collect();
    let readings = |run: &Run| {
        let of = |quantity: &Quantity| Some((quantity.clone(), quantity.of_run(run.wall_s, &run.metrics)?));
        quantities.iter().filter_map(of).collect()
    };
    let side = Side {
        title: name.to_string(),
        runs: profile.runs.iter().map(readings).collect(),
        left_behind: profile.runs.iter().filter(|run| !run.survivors.is_empty()).count(),
        accepted_failures,
    };
    Ok(Stored { side, host: profile.host })
}

/// Why it could not be read.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!("line {}, column {}", error.line(), error.column());
    match error.classify() {
        Category::Eof => format!("it ends too early ({place})"),
        Category::Data => format!("it is JSON, but not what `exec --json` writes ({place})"),
        Category::Syntax | Category::Io => text,
    }
}

/// Runs from another machine say nothing about this one.
///
/// # Errors
/// It differs: in what.
pub fn same_machine(title: &str, then: &Fingerprint, now: &Fingerprint) -> Result<(), Failure> {
    let differences = then.differences(now);
    if differences.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!("{title} is from another machine: {}", differences.join(", "))))
}
