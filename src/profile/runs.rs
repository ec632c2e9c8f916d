//! The runs of a profile until it is written. Many wait in a file: the more memory alumet has, the more of it shows in
//! the next run. In memory is a number for each run and metric, for the summary.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::path::Path;

use alumet::Bound;
use alumet_statistics::describe::describe;
use serde::ser::{Error, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::headline::{self, Headlines};
use super::metric::{Key, MetricTotal};
use super::{Parameters, Run, Summary};

/// Runs, and their metrics for the summary.
#[derive(Debug)]
pub struct Runs {
    kept: Kept,
    count: usize,
    metrics: Metrics,
    headlines: Headlines,
}

#[derive(Debug)]
enum Kept {
    One(Box<Run>),
    /// Each a line of JSON.
    Lines(BufWriter<File>),
}

impl Runs {
    /// A single one.
    pub fn one(run: Run) -> Self {
        let (mut metrics, mut headlines) = (Metrics::default(), Headlines::default());
        metrics.add(&run);
        headlines.add(&run.headline, &run.parameters);
        Self { kept: Kept::One(Box::new(run)), count: 1, metrics, headlines }
    }

    /// None so far, to wait in a file without a name: beside the profile, where there must be room for them anyway, or
    /// where temporary files go if that is no place for one.
    pub fn beside(profile: &Path) -> io::Result<Self> {
        let file = tempfile::tempfile_in(alumet::file::parent(profile)).or_else(|_| tempfile::tempfile())?;
        let kept = Kept::Lines(BufWriter::new(file));
        Ok(Self { kept, count: 0, metrics: Metrics::default(), headlines: Headlines::default() })
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes up one of many.
    pub fn add(&mut self, run: &Run) -> io::Result<()> {
        if let Kept::Lines(lines) = &mut self.kept {
            serde_json::to_writer(&mut *lines, run)?;
            lines.write_all(b"\n")?;
            lines.flush()?;
        }
        self.count += 1;
        self.metrics.add(run);
        self.headlines.add(&run.headline, &run.parameters);
        Ok(())
    }

    /// The headlines over all runs.
    pub fn headline(&self) -> Vec<headline::Summary> {
        self.headlines.summary()
    }

    /// The metrics over all runs.
    pub fn summary(&self) -> Vec<Summary> {
        self.metrics.summary()
    }
}

/// The list of the runs.
impl Serialize for Runs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let lines = match &self.kept {
            Kept::One(run) => return [run].serialize(serializer),
            Kept::Lines(lines) => lines,
        };
        let mut file = lines.get_ref();
        file.rewind().map_err(S::Error::custom)?;
        let mut runs = serializer.serialize_seq(Some(self.count))?;
        for line in BufReader::new(file).lines().take(self.count) {
            let run = RawValue::from_string(line.map_err(S::Error::custom)?).map_err(S::Error::custom)?;
            runs.serialize_element(&run)?;
        }
        runs.end()
    }
}

/// The metrics of the application and the machine, those of each set of parameters on their own, in the order in which
/// they first occur: a value for each run.
#[derive(Debug, Default)]
struct Metrics {
    columns: Vec<(Key, Parameters, Vec<f64>, Option<Bound>)>,
    places: HashMap<(String, Parameters), usize>,
}

impl Metrics {
    fn add(&mut self, run: &Run) {
        let whole = |metric: &&MetricTotal| matches!(&*metric.key.consumer, "target" | "machine");
        for metric in run.metrics.iter().filter(whole) {
            let key = (metric.key.identity(), run.parameters.clone());
            let place = *self.places.entry(key).or_insert_with(|| {
                let exact = Some(Bound::Exact);
                self.columns.push((metric.key.clone(), run.parameters.clone(), Vec::new(), exact));
                self.columns.len() - 1
            });
            let (_, _, values, bound) = &mut self.columns[place];
            values.push(metric.amount.value());
            *bound = bound.and_then(|bound| bound.and(metric.bound));
        }
    }

    fn summary(&self) -> Vec<Summary> {
        let summary = |(key, parameters, values, bound): &(Key, Parameters, Vec<f64>, Option<Bound>)| {
            // Sums of finite numbers may not be; then there is nothing to say.
            let description = describe(values).ok()?;
            Some(Summary {
                key: key.clone(),
                parameters: parameters.clone(),
                n: description.n,
                mean: description.mean,
                median: description.median,
                min: description.min,
                max: description.max,
                stddev: description.stddev,
                bound: *bound,
                ci95: description.ci95.map(|interval| [interval.low, interval.high]),
            })
        };
        self.columns.iter().filter_map(summary).collect()
    }
}
