//! Where comparisons are written to: files, the pipeline that alumet runs in, and the terminal.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use alumet::file::descriptor;

use super::versions::Versions;
use super::{Comparison, csv, github, json, junit, markdown, openmetrics, overview, sheet, table, words};
use crate::cli::{AppOutput, Comparing, Repeating, Tables};
use crate::exit::{FAILED, Failure, Status};
use crate::files::kind::TABLE;
use crate::files::{self, Claims, Kind, cannot_write};
use crate::terminal::{Look, as_page, note, say_as_it_is};
use crate::units::GLUE;

/// In whose words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// `1.40x slower`.
    Person,
    /// `REGRESSION`.
    Gate,
}

/// The files that a comparison is to be written to. `read` are those with stored runs.
pub fn claims(comparing: &Comparing, repeating: &Repeating, read: &[&Path]) -> Result<Claims, Failure> {
    let mut claims = Claims::default();
    claims.write("--json", Kind::Comparison, comparing.json.as_deref()).write(
        "--app-output",
        Kind::AppOutput,
        repeating.app_output.as_ref().and_then(AppOutput::file),
    );
    comparing.tables.claim(&mut claims);
    for path in read {
        claims.read("a profile", Some(path));
    }
    claims.check()?;
    Ok(claims)
}

impl Tables {
    fn all(&self) -> [(&'static str, Kind, Option<&Path>); 4] {
        [
            ("--markdown", Kind::Table, self.markdown.as_deref()),
            ("--csv", Kind::Rows, self.csv.as_deref()),
            ("--junit", Kind::Verdict, self.junit.as_deref()),
            ("--openmetrics", Kind::Metrics, self.openmetrics.as_deref()),
        ]
    }

    /// Whether any was asked for.
    pub fn is_asked(&self) -> bool {
        self.all().iter().any(|(_, _, path)| path.is_some())
    }

    /// Adds them to what is to be written.
    pub fn claim(&self, claims: &mut Claims) {
        for (option, kind, path) in self.all() {
            claims.write(option, kind, path);
        }
    }

    /// Writes them. Returns whether all are whole.
    pub fn write(&self, versions: &Versions, voice: Voice, inconclusive_fails: bool) -> bool {
        let text = |kind: Kind| match kind {
            Kind::Rows => csv::render(versions),
            Kind::Verdict => Ok(junit::render(versions, inconclusive_fails).into_bytes()),
            Kind::Metrics => Ok(openmetrics::render(versions).into_bytes()),
            _ => Ok((TABLE.to_owned() + &in_markdown(versions, voice)).into_bytes()),
        };
        let mut written = true;
        for (_, kind, path) in self.all() {
            written &= path.is_none_or(|path| write_file(path, kind, || text(kind)));
        }
        written
    }
}

fn in_markdown(versions: &Versions, voice: Voice) -> String {
    match voice {
        Voice::Person => sheet::render(versions),
        Voice::Gate => versions.comparisons.iter().map(markdown::render).collect::<Vec<_>>().join("\n"),
    }
}

/// Writes a file, or says why it cannot be.
fn write_file(path: &Path, kind: Kind, text: impl Fn() -> io::Result<Vec<u8>>) -> bool {
    let written = text().and_then(|text| files::replace(path, kind, |file| file.write_all(&text)));
    if let Err(error) = &written {
        note(&cannot_write(kind, path, error));
    }
    written.is_ok()
}

/// Writes everything. Returns the status to end with.
pub fn write(
    versions: &Versions,
    comparing: &Comparing,
    voice: Voice,
    interrupted: Option<Status>,
) -> Result<Status, Failure> {
    let comparisons = &versions.comparisons;
    let inconclusive_fails = comparing.inconclusive.as_deref() == Some("fail");
    let json = || json::render(versions);
    let mut written = comparing.json.as_ref().is_none_or(|path| write_file(path, Kind::Comparison, json));
    written &= comparing.tables.write(versions, voice, inconclusive_fails);
    let tables = comparing.tables.all().map(|(_, _, path)| path);
    let documents = tables.into_iter().chain([comparing.json.as_deref()]).flatten();
    let is_stdout_taken = documents.into_iter().any(|path| descriptor(path) == Some(libc::STDOUT_FILENO));
    // Nothing else goes to a stdout that is to hold a document.
    let print = |text: &str| match is_stdout_taken {
        true => {
            say_as_it_is(text);
            Ok(())
        }
        false => crate::stdout::print(text),
    };
    let actions = std::env::var("GITHUB_ACTIONS").ok();
    let summary = std::env::var_os("GITHUB_STEP_SUMMARY").map(PathBuf::from);
    let pipeline = github::Environment { actions: actions.as_deref(), summary: summary.as_deref() };
    // The verdict stands whatever becomes of this.
    if let Err(error) = pipeline.summarise(&in_markdown(versions, voice)) {
        note(&error.to_string());
    }
    // Last: a stdout that fails takes nothing else with it.
    if !comparing.quiet {
        let look = Look::of_stdout();
        let text = match voice {
            Voice::Person => overview::render(versions, look),
            Voice::Gate => comparisons.iter().map(|comparison| table::render(comparison, look)).collect(),
        };
        if let Err(failure) = print(&as_page(&text, look)) {
            note(&failure.message);
            written = false;
        }
    }
    if written {
        let annotations = pipeline.annotations(comparisons, inconclusive_fails);
        if let Err(failure) = print(&annotations) {
            note(&failure.message);
        }
    }
    let status = interrupted.unwrap_or_else(|| comparing.status(comparisons));
    if let Some((comparison, needed)) = comparisons.iter().find_map(|one| Some((one, one.needed?)))
        && status == FAILED
    {
        let made = &comparison.design;
        note(&format!(
            "there is nothing valid to compare: {made} could decide nothing, it takes {needed} at least"
        ));
    }
    let is_open = |comparison: &&Comparison| comparison.deciding().any(|row| row.decision().is_none());
    if let Some(open) = comparisons.iter().find(is_open).filter(|_| status == FAILED) {
        note(&format!("there is nothing valid to compare: {}", words::because(open)).replace(GLUE, " "));
    }
    Ok(if written { status } else { FAILED })
}
