//! Runs that were kept: profiles that `exec --json` has written, as one side of a comparison.
//!
//! A profile is read once, for it may come through a pipe, and run by run, for it may be long: what is not compared is
//! not kept. Nothing in it is believed that alumet would not have written.

use std::collections::HashSet;
use std::io::BufReader;
use std::path::Path;

use alumet::file::open;
use alumet::target::Exit;
use alumet_statistics::gate::Rule;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use super::Side;
use crate::config::IgnoreFailure;
use crate::exit::Failure;
use crate::fingerprint::Fingerprint;
use crate::profile::metric::{Amount, MetricTotal};
use crate::profile::wall::Wall;
use crate::profile::{Parameters, READABLE, SCHEMA};
use crate::quantity::Quantity;

/// What is read of a run: later versions may have more.
#[derive(Debug, Deserialize)]
struct Run {
    #[serde(flatten)]
    wall: Wall,
    exit: Option<ExitStatus>,
    #[serde(default)]
    timed_out: bool,
    #[serde(default)]
    parameters: Parameters,
    #[serde(default)]
    survivors: Vec<IgnoredAny>,
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
    /// The command whose runs they are.
    pub command: Vec<String>,
}

/// Reads a profile with runs to compare with.
///
/// # Errors
/// There is none to compare with: one line that names the file.
pub fn read(path: &Path, events: &[Quantity], ignored: &IgnoreFailure) -> Result<Stored, Failure> {
    let name = path.display().to_string();
    let fail = |why: String| Failure::failed(format!("{name}: {why}"));
    let file =
        open(path).map_err(|error| fail(format!("cannot be read: {}", alumet::file::reason(&error))))?;
    let quantities = Quantity::USUAL.iter().chain(events).cloned().collect();
    let side = Side { title: name.clone(), command: name.clone(), ..Side::default() };
    let mut profile = Profile { quantities, ignored, side, parameters: None, refused: None };
    let mut document = serde_json::Deserializer::from_reader(BufReader::new(file));
    let read = profile.deserialize(&mut document).and_then(|read| document.end().map(|()| read));
    let (host, command) = match (read, profile.refused) {
        (_, Some(why)) => return Err(fail(why)),
        (Err(error), None) => return Err(fail(format!("is no profile: {}", plain(&error)))),
        (Ok(read), None) => read,
    };
    let (n, needed) = (profile.side.runs.len(), Rule::FEWEST_RUNS);
    if n < needed {
        return Err(fail(format!(
            "has {n} of the {needed} runs that it takes at least: `alumet exec -r 10 --json {name} ...` makes ten"
        )));
    }
    Ok(Stored { side: profile.side, host, command })
}

/// A profile that is being read.
struct Profile<'a> {
    quantities: Vec<Quantity>,
    ignored: &'a IgnoreFailure,
    side: Side,
    /// Of the first run.
    parameters: Option<Parameters>,
    /// Why it is none to compare with.
    refused: Option<String>,
}

impl<'de> DeserializeSeed<'de> for &mut Profile<'_> {
    type Value = (Fingerprint, Vec<String>);

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Profile<'_> {
    type Value = (Fingerprint, Vec<String>);

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a profile")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut schema, mut host, mut command, mut has_runs) = (None, None, Vec::new(), false);
        while let Some(key) = map.next_key::<String>()? {
            match &*key {
                // Nothing else can be expected of another format.
                "schema" => {
                    let found: String = map.next_value()?;
                    if !READABLE.contains(&&*found) {
                        return Err(self.refuse(format!(
                            "has the format `{found}`, but this alumet reads `{SCHEMA}`: make it anew"
                        )));
                    }
                    schema = Some(found);
                }
                "host" => host = Some(map.next_value()?),
                "command" => command = map.next_value()?,
                "runs" if has_runs => return Err(A::Error::duplicate_field("runs")),
                "runs" => {
                    map.next_value_seed(Runs(self))?;
                    has_runs = true;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        schema.ok_or_else(|| A::Error::missing_field("schema"))?;
        if !has_runs {
            return Err(A::Error::missing_field("runs"));
        }
        Ok((host.ok_or_else(|| A::Error::missing_field("host"))?, command))
    }
}

/// The list of its runs.
struct Runs<'a, 'b>(&'a mut Profile<'b>);

impl<'de> DeserializeSeed<'de> for Runs<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Runs<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of runs")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut runs: A) -> Result<(), A::Error> {
        while let Some(run) = runs.next_element()? {
            self.0.add(run).map_err(|why| self.0.refuse(why))?;
        }
        Ok(())
    }
}

impl Profile<'_> {
    fn refuse<E: Error>(&mut self, why: String) -> E {
        let error = E::custom(&why);
        self.refused = Some(why);
        error
    }

    /// Takes up a run, or says why it is nothing to compare with.
    fn add(&mut self, run: Run) -> Result<(), String> {
        let number = self.side.runs.len() + 1;
        let failed = |why: &str| Err(format!("run {number} {why}, and is nothing to compare with"));
        let exit = match run.exit {
            _ if run.timed_out => return failed("was ended by a time limit"),
            Some(ExitStatus::Code(code)) => Exit::Code(code),
            Some(ExitStatus::Signal(signal)) => Exit::Signal(signal),
            None => return failed("has not ended"),
        };
        if !self.ignored.accepts(exit) {
            return failed(&exit.to_string());
        }
        let took = (run.wall.wall_s <= 0.0).then(|| format!("it took {} s", run.wall.wall_s));
        if let Some(why) = took.or_else(|| unlikely(&run.metrics)) {
            return Err(format!("run {number} is none that alumet has written: {why}"));
        }
        if *self.parameters.get_or_insert_with(|| run.parameters.clone()) != run.parameters {
            return Err("has runs with different parameters: keep one set of them in a file".into());
        }
        let of = |quantity: &Quantity| Some((quantity.clone(), quantity.of_run(&run.wall, &run.metrics)?));
        self.side.runs.add(self.quantities.iter().filter_map(of).collect());
        self.side.runs.add_meantime(&run.wall, &run.metrics);
        self.side.left_behind += usize::from(!run.survivors.is_empty());
        self.side.accepted_failures += usize::from(!exit.is_success());
        Ok(())
    }
}

/// What no run of alumet has among the metrics that quantities are made of.
fn unlikely(metrics: &[MetricTotal]) -> Option<String> {
    let mut known = HashSet::new();
    for MetricTotal { key, amount, .. } in metrics {
        let (unit, kind) = match &*key.metric {
            "hw.energy" => (Some("J"), "counter"),
            "process.cpu.time" => (Some("s"), "counter"),
            "process.memory.peak" => (Some("By"), "gauge"),
            // An event has the unit of its PMU.
            name if name.starts_with("perf.") => (None, "counter"),
            _ => continue,
        };
        if !matches!(&*key.consumer, "target" | "machine") {
            continue;
        }
        let (metric, is_counter) = (&key.metric, matches!(amount, Amount::Counter { .. }));
        if let Some(unit) = unit.filter(|unit| *unit != key.unit) {
            return Some(format!("{metric} is in {}, not in {unit}", key.unit));
        }
        if key.kind != kind || is_counter != (kind == "counter") {
            return Some(format!("{metric} is no {kind}"));
        }
        if !matches!(&*key.provenance, "measured" | "attributed" | "estimated") {
            return Some(format!("{metric} is `{}`", key.provenance));
        }
        if is_counter && amount.value() < 0.0 {
            return Some(format!("{metric} is negative"));
        }
        if !known.insert((key.identity(), &key.method)) {
            return Some(format!("{metric} of the same thing is there twice"));
        }
    }
    None
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
