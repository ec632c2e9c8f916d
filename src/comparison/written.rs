//! Where comparisons are written to: files, the pipeline that alumet runs in, and the terminal.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use alumet::file::reason;

use super::{Comparison, github, json, junit, markdown, openmetrics, table, words};
use crate::cli::{AppOutput, Comparing, Repeating};
use crate::exit::{FAILED, Failure, Status};
use crate::files;
use crate::terminal::{Look, for_locale, note, without_commands};
use crate::units::GLUE;

/// Checks the files that were asked for and takes away what an earlier comparison has left in them, before anything else
/// can fail. `read` are those that must not be written over.
pub fn prepare(
    comparing: &Comparing,
    repeating: &Repeating,
    comparisons: usize,
    read: &[&Path],
) -> Result<(), Failure> {
    let app_output = repeating.app_output.as_ref().and_then(AppOutput::file);
    let files = [
        (comparing.json.as_deref(), "the comparison"),
        (comparing.markdown.as_deref(), "the table"),
        (comparing.junit.as_deref(), "the verdict"),
        (comparing.openmetrics.as_deref(), "the metrics"),
        (app_output, "the application's output"),
    ];
    let mut named: Vec<&Path> = read.to_vec();
    for (path, what) in files {
        let Some(path) = path else { continue };
        if let Some(other) = named.iter().find(|other| files::same(other, path)) {
            return Err(Failure::usage(format!(
                "{} is named twice; give each file its own name",
                other.display()
            )));
        }
        files::check(path, what)?;
        named.push(path);
    }
    if comparisons > 1 && (comparing.junit.is_some() || comparing.openmetrics.is_some()) {
        return Err(Failure::usage("--junit and --openmetrics are for two versions"));
    }
    let written = [&comparing.json, &comparing.markdown, &comparing.junit, &comparing.openmetrics];
    written.into_iter().flatten().try_for_each(|path| files::remove(path))
}

/// Writes everything. Returns the status to end with.
pub fn write(
    comparisons: &[Comparison],
    comparing: &Comparing,
    interrupted: Option<Status>,
) -> Result<Status, Failure> {
    let inconclusive_fails = comparing.inconclusive.as_deref() == Some("fail");
    let mut written = true;
    let mut file = |path: &Option<PathBuf>, what: &str, text: &dyn Fn() -> io::Result<Vec<u8>>| {
        let Some(path) = path else { return };
        if let Err(error) = text().and_then(|text| files::replace(path, |file| file.write_all(&text))) {
            note(&format!("cannot write {what} to {}: {}", path.display(), reason(&error)));
            written = false;
        }
    };
    file(&comparing.json, "the comparison", &|| json::render(comparisons));
    file(&comparing.markdown, "the table", &|| {
        Ok(comparisons.iter().map(markdown::render).collect::<Vec<_>>().join("\n").into_bytes())
    });
    if let [comparison] = comparisons {
        let junit = || Ok(junit::render(comparison, inconclusive_fails).into_bytes());
        file(&comparing.junit, "the verdict", &junit);
        let metrics = || Ok(openmetrics::render(comparison).into_bytes());
        file(&comparing.openmetrics, "the metrics", &metrics);
    }
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
        if let Err(failure) = crate::command::print(&for_locale(&without_commands(&text))) {
            note(&failure.message);
            written = false;
        }
    }
    if written {
        let annotations = pipeline.annotations(comparisons, inconclusive_fails);
        if let Err(failure) = crate::command::print(&annotations) {
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
