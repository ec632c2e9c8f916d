//! Where comparisons are written to: the terminal, files, and the pipeline that alumet runs in.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use alumet::file::reason;

use crate::cli::{Comparing, Repeating};
use crate::comparison::{Comparison, github, json, junit, markdown, openmetrics, table};
use crate::exit::{FAILED, Failure};
use crate::files;
use crate::terminal::{Look, note};

/// Checks the files that were asked for, before anything runs. `read` are those that must not be written over.
pub fn check(
    comparing: &Comparing,
    repeating: &Repeating,
    comparisons: usize,
    read: &[&Path],
) -> Result<(), Failure> {
    let files = [
        (&comparing.json, "the comparison"),
        (&comparing.markdown, "the table"),
        (&comparing.junit, "the verdict"),
        (&comparing.openmetrics, "the metrics"),
        (&repeating.app_output, "the application's output"),
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
    // The verdict of an earlier comparison must not stand for this one, whatever becomes of it.
    for path in
        [&comparing.json, &comparing.markdown, &comparing.junit, &comparing.openmetrics].into_iter().flatten()
    {
        files::remove(path).map_err(|error| {
            Failure::failed(format!("cannot replace {}: {}", path.display(), reason(&error)))
        })?;
    }
    Ok(())
}

/// Writes everything. Returns the status to end with.
pub fn write(
    comparisons: &[Comparison],
    comparing: &Comparing,
    interrupted: Option<u8>,
) -> Result<u8, Failure> {
    let inconclusive_fails = comparing.inconclusive.as_deref() == Some("fail");
    let mut written = true;
    let mut file = |path: &Option<PathBuf>, what: &str, text: &dyn Fn() -> io::Result<Vec<u8>>| {
        let Some(path) = path else { return };
        if let Err(error) = text().and_then(|text| files::replace(path, |file| file.write_all(&text))) {
            note(&format!("cannot write {what} to {}: {}", path.display(), reason(&error)));
            written = false;
        }
    };
    file(&comparing.json, "the comparison", &|| match comparisons {
        [comparison] => document(comparison),
        several => {
            let documents = several.iter().map(document).collect::<io::Result<Vec<_>>>()?;
            Ok([b"[\n".as_slice(), &documents.join(&b",\n"[..]), b"]\n"].concat())
        }
    });
    file(&comparing.markdown, "the table", &|| {
        Ok(comparisons.iter().map(markdown::render).collect::<Vec<_>>().join("\n").into_bytes())
    });
    if let [comparison] = comparisons {
        let junit = || Ok(junit::render(comparison, inconclusive_fails).into_bytes());
        file(&comparing.junit, "the verdict", &junit);
        let metrics = || Ok(openmetrics::render(comparison).into_bytes());
        file(&comparing.openmetrics, "the metrics", &metrics);
    }
    // Last: a stdout that fails takes nothing else with it.
    if !comparing.quiet {
        let look = Look::of_stdout();
        let text: String = comparisons.iter().map(|comparison| table::render(comparison, look)).collect();
        super::print(&text)?;
    }
    let actions = std::env::var("GITHUB_ACTIONS").ok();
    let summary = std::env::var_os("GITHUB_STEP_SUMMARY").map(PathBuf::from);
    let environment = github::Environment { actions: actions.as_deref(), summary: summary.as_deref() };
    for comparison in comparisons {
        // The verdict stands whatever becomes of this.
        if let Err(error) =
            github::report(comparison, inconclusive_fails, environment, &mut io::stdout().lock())
        {
            note(&error.to_string());
        }
    }
    let status = interrupted.unwrap_or_else(|| comparing.status(comparisons));
    if let Some((comparison, needed)) = comparisons.iter().find_map(|one| Some((one, one.needed?)))
        && status == FAILED
    {
        let (made, what) = comparison.design.size();
        note(&format!(
            "there is nothing valid to compare: {made} {what} could decide nothing, it takes {needed} at least"
        ));
    }
    Ok(if written { status } else { FAILED })
}

fn document(comparison: &Comparison) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    json::write(comparison, &mut text)?;
    Ok(text)
}
