//! Streams every point to a CSV file: one point a row, whole lines only, in the file within a second.
//!
//! [`row`] renders rows, [`mod@file`] gets them to the disk.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod file;
pub mod row;

use std::path::PathBuf;
use std::time::Duration;

use alumet::{Availability, Batch, Host, Output, Plugin, Setup};
use anyhow::Context;
use serde::{Deserialize, Serialize};

use file::LineFile;
use row::Rows;

/// The settings of the plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The file to write; without one the plugin does nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
}

/// The plugin.
#[derive(Debug)]
pub struct Csv;

impl Plugin for Csv {
    const NAME: &'static str = "csv";
    const ABOUT: &'static str = "streams every point to a CSV file (-o FILE)";
    type Config = Config;

    fn probe(_: &Config, _: &Host) -> Availability {
        Availability::Available
    }

    fn start(config: Config, setup: &mut Setup<'_>) -> anyhow::Result<()> {
        if let Some(path) = config.path {
            setup.output("file", CsvOutput::create(path)?);
        }
        Ok(())
    }
}

/// Writes points as CSV rows.
///
/// The columns are those of [`row::HEADER`]. What a failed write leaves over of the current line is written first
/// when writing works again, so the file always consists of whole lines.
#[derive(Debug)]
pub struct CsvOutput {
    rows: Rows,
    file: LineFile,
    /// So many points are in the file, if nobody has taken them out again.
    points: usize,
}

impl CsvOutput {
    /// Creates the file, or empties one of an earlier run; `-` is stdout.
    ///
    /// # Errors
    /// It cannot be opened for writing, is being written by another process, or holds something else than series.
    pub fn create(path: PathBuf) -> anyhow::Result<Self> {
        let file = LineFile::create(&path, row::is_series)
            .with_context(|| format!("cannot write series to {}", path.display()))?;
        Ok(Self { rows: Rows::default(), file, points: 0 })
    }
}

impl Output for CsvOutput {
    fn write(&mut self, batch: &Batch) -> anyhow::Result<()> {
        for point in batch.points() {
            self.rows.push(batch, point, self.file.buffer());
        }
        for series in batch.retired() {
            self.rows.forget(*series);
        }
        self.points += batch.points().len();
        self.file.write_lines().inspect_err(|lost| self.points = self.points.saturating_sub(lost.points))?;
        Ok(())
    }

    /// Whoever reads the other end of a pipe waits for it.
    fn max_age(&self) -> Duration {
        if self.file.is_own() { Duration::from_secs(1) } else { Duration::from_millis(100) }
    }

    /// The header alone, if nothing was measured.
    fn finish(&mut self) -> anyhow::Result<()> {
        self.rows.header(self.file.buffer());
        Ok(self.file.finish(self.points)?)
    }
}
