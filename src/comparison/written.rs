//! Where comparisons are written to: files, the pipeline that alumet runs in, and the terminal.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use alumet::file::descriptor;

use super::{Comparison, github, json, junit, markdown, openmetrics, table, words};
use crate::cli::{AppOutput, Comparing, Repeating};
use crate::exit::{FAILED, Failure, Status};
use crate::files::kind::TABLE;
use crate::files::{self, Claims, Kind, cannot_write};
use crate::terminal::{Look, as_page, note, say_as_it_is};
use crate::units::GLUE;

/// The files that a comparison is to be written to. `read` are those with stored runs.
pub fn claims(
    comparing: &Comparing,
    repeating: &Repeating,
    comparisons: usize,
    read: &[&Path],
) -> Result<Claims, Failure> {
    let mut claims = Claims::default();
    claims
        .write("--json", Kind::Comparison, comparing.json.as_deref())
        .write("--markdown", Kind::Table, comparing.markdown.as_deref())
        .write("--junit", Kind::Verdict, comparing.junit.as_deref())
        .write("--openmetrics", Kind::Metrics, comparing.openmetrics.as_deref())
        .write("--app-output", Kind::AppOutput, repeating.app_output.as_ref().and_then(AppOutput::file));
    for path in read {
        claims.read("a profile", Some(path));
    }
    claims.check()?;
    if comparisons > 1 && (comparing.junit.is_some() || comparing.openmetrics.is_some()) {
        return Err(Failure::usage("--junit and --openmetrics are for two versions"));
    }
    Ok(claims)
}

/// Writes everything. Returns the status to end with.
pub fn write(
    comparisons: &[Comparison],
    comparing: &Comparing,
    interrupted: Option<Status>,
) -> Result<Status, Failure> {
    let inconclusive_fails = comparing.inconclusive.as_deref() == Some("fail");
    let mut written = true;
    let mut is_stdout_taken = false;
    let mut file = |path: &Option<PathBuf>, kind: Kind, text: &dyn Fn() -> io::Result<Vec<u8>>| {
        let Some(path) = path else { return };
        is_stdout_taken |= descriptor(path) == Some(libc::STDOUT_FILENO);
        if let Err(error) = text().and_then(|text| files::replace(path, kind, |file| file.write_all(&text))) {
            note(&cannot_write(kind, path, &error));
            written = false;
        }
    };
    file(&comparing.json, Kind::Comparison, &|| json::render(comparisons));
    file(&comparing.markdown, Kind::Table, &|| {
        let tables: Vec<_> = comparisons.iter().map(markdown::render).collect();
        Ok((TABLE.to_owned() + &tables.join("\n")).into_bytes())
    });
    if let [comparison] = comparisons {
        let junit = || Ok(junit::render(comparison, inconclusive_fails).into_bytes());
        file(&comparing.junit, Kind::Verdict, &junit);
        let metrics = || Ok(openmetrics::render(comparison).into_bytes());
        file(&comparing.openmetrics, Kind::Metrics, &metrics);
    }
    // Nothing else goes to a stdout that is to hold a document.
    let print = |text: &str| match is_stdout_taken {
        true => {
            say_as_it_is(text);
            Ok(())
        }
        false => crate::command::print(text),
    };
    let actions = std::env::var("GITHUB_ACTIONS").ok();
    let summary = std::env::var_os("GITHUB_STEP_SUMMARY").map(PathBuf::from);
    let pipeline = github::Environment { actions: actions.as_deref(), summary: summary.as_deref() };
    // The verdict stands whatever becomes of this.
    if let Err(error) = pipeline.summarise(comparisons) {
        note(&error.to_string());
    }
    // Last: a stdout that fails takes nothing else with it.
    if !comparing.quiet {
        let look = Look::of_stdout();
        let text: String = comparisons.iter().map(|comparison| table::render(comparison, look)).collect();
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
