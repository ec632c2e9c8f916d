//! The profile: one JSON document with everything that runs came to. Its schema is `docs/src/profile.schema.json`.
//! [`runs`] keeps the runs and sums them up; a [`run`] is [`metric`]s and what follows from them, with [`headline`]s.

mod headline;
pub mod metric;
mod run;
mod runs;
pub mod wall;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use alumet::{Bound, Missing};
use serde::Serialize;

use crate::files::{self, Kind as FileKind};
use crate::fingerprint::Fingerprint;
use crate::mark::is_exact;

pub use headline::Parameters;
use metric::Key;
pub use run::Run;
pub use runs::Runs;

/// The name of this version of the format.
pub const SCHEMA: &str = "alumet.profile/2";
/// All that can be read: the first version has no headlines.
pub const READABLE: [&str; 2] = ["alumet.profile/1", SCHEMA];

#[derive(Debug, Serialize)]
pub struct Profile {
    pub schema: &'static str,
    pub alumet: &'static str,
    pub host: Fingerprint,
    pub command: Vec<String>,
    /// The configuration of the plugins that took part.
    pub options: BTreeMap<String, toml::Table>,
    pub sources: Vec<SourceStatus>,
    /// What could not be measured, or not wholly.
    pub missing: Vec<Missing>,
    pub runs: Runs,
    /// The headlines over all runs.
    pub headline: Vec<headline::Summary>,
    pub summary: Vec<Summary>,
}

/// Whether a plugin took part, and if not, why.
#[derive(Debug, Clone, Serialize)]
pub struct SourceStatus {
    pub name: String,
    pub status: Status,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Available,
    Unavailable,
    Failed,
}

impl SourceStatus {
    pub fn available(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            status: Status::Available,
            reason: String::new(),
            remedy: String::new(),
        }
    }

    pub fn unavailable(name: &str, missing: &Missing) -> Self {
        let Missing { reason, remedy, .. } = missing.clone();
        Self { name: name.to_owned(), status: Status::Unavailable, reason, remedy }
    }

    pub fn failed(name: &str, reason: String) -> Self {
        Self { name: name.to_owned(), status: Status::Failed, reason, remedy: String::new() }
    }
}

/// A metric of the application or the machine over all runs.
#[derive(Debug, Serialize)]
pub struct Summary {
    #[serde(flatten)]
    pub key: Key,
    #[serde(skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    pub n: usize,
    pub mean: f64,
    pub median: f64,
    pub min: f64,
    pub max: f64,
    /// Absent where one run says nothing of it.
    pub stddev: Option<f64>,
    /// Whether all of them are exact, as in [`crate::quantity::Reading`].
    #[serde(skip_serializing_if = "is_exact")]
    pub bound: Option<Bound>,
    /// The 95 % confidence interval of the mean; absent likewise.
    pub ci95: Option<[f64; 2]>,
}

impl Profile {
    /// Writes the document whole: a regular file is replaced at once, so that nobody ever reads half of it.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        files::replace(path, FileKind::Profile, |file| {
            let mut text = BufWriter::new(file);
            serde_json::to_writer_pretty(&mut text, self)?;
            text.write_all(b"\n")?;
            text.flush()
        })
    }
}
