//! What GitHub Actions shows: an annotation at the run, and the table in the summary of the step.
//!
//! The workflow commands and the summary file are those of GitHub's "Workflow commands for GitHub Actions"; their
//! escapes are in none of its pages, but in `packages/core/src/command.ts` of actions/toolkit.

use std::io::{self, Write};
use std::path::Path;

use alumet::file::reason;
use alumet_statistics::decision::Verdict;

use super::{Comparison, words};
use crate::terminal::is_on;
use crate::units::GLUE;

/// What the environment says of a run by GitHub Actions.
#[derive(Debug, Clone, Copy, Default)]
pub struct Environment<'a> {
    /// The value of `GITHUB_ACTIONS`.
    pub actions: Option<&'a str>,
    /// The value of `GITHUB_STEP_SUMMARY`.
    pub summary: Option<&'a Path>,
}

impl Environment<'_> {
    fn is_actions(self) -> bool {
        self.actions.is_some_and(is_on)
    }

    /// Appends this to the step's summary, apart from what other tools have written, if this is a run by GitHub Actions.
    ///
    /// # Errors
    /// It could not be written. That is for a warning: the verdict stands.
    pub fn summarise(self, markdown: &str) -> io::Result<()> {
        // A runner without a summary sets no file.
        let path = self.summary.filter(|path| self.is_actions() && !path.as_os_str().is_empty());
        let Some(path) = path else { return Ok(()) };
        append(path, &format!("### alumet\n\n{markdown}\n")).map_err(|error| {
            let why = format!("cannot write the step's summary to {}: {}", path.display(), reason(&error));
            io::Error::new(error.kind(), why)
        })
    }

    /// A line for each, if this is a run by GitHub Actions: for stdout, from which, as from stderr, the log takes commands
    /// at the beginning of a line.
    pub fn annotations(self, comparisons: &[Comparison], inconclusive_fails: bool) -> String {
        let all = comparisons.iter().filter(|_| self.is_actions());
        all.map(|comparison| annotation(comparison, inconclusive_fails)).collect()
    }
}

/// One line: an error for a regression, a warning where nothing can be told, else a notice.
pub fn annotation(comparison: &Comparison, inconclusive_fails: bool) -> String {
    let level = match comparison.verdict {
        Verdict::Regression => "error",
        Verdict::Inconclusive if inconclusive_fails || comparison.is_void() => "error",
        Verdict::Inconclusive => "warning",
        Verdict::Pass => "notice",
    };
    let title = format!("{} of {}", words::verdict(comparison.verdict), words::plain(&comparison.change));
    let message = words::because(comparison);
    format!("::{level} title={}::{}\n", property(&title), data(&message)).replace(GLUE, " ")
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    alumet::file::append(path)?.write_all(text.as_bytes())
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::Ended;
    use super::super::samples::{HOSTILE, comparison, slower};
    use super::*;

    #[test]
    fn a_regression_is_an_error_a_pass_a_notice() {
        assert_eq!(
            annotation(&comparison(Verdict::Regression), false),
            "::error title=REGRESSION of ./new --fast::energy is 6.9 %25 higher, more than the 2 %25 allowed (p = \
             0.001)\n"
        );
        assert_eq!(
            annotation(&comparison(Verdict::Pass), true),
            "::notice title=PASS of ./new --fast::energy is not more than 2 %25 higher (p = 0.003)\n"
        );
    }

    #[test]
    fn what_cannot_be_told_is_a_warning_or_an_error_as_wanted() {
        let of = |fails| annotation(&comparison(Verdict::Inconclusive), fails);
        assert!(of(false).starts_with("::warning title=INCONCLUSIVE of ./new --fast::energy changed by"));
        assert!(of(true).starts_with("::error title=INCONCLUSIVE"));
        let interrupted = Comparison { ended: Ended::Interrupted, ..comparison(Verdict::Inconclusive) };
        assert_eq!(
            annotation(&interrupted, false),
            "::error title=INCONCLUSIVE of ./new --fast::interrupted after 10 pairs, which is no verdict\n"
        );
    }

    #[test]
    fn a_version_that_is_slower_at_equal_cost_is_an_error_that_says_so() {
        let expected = "::error title=REGRESSION of ./new --fast::time is 40.0 %25 higher, beyond doubt more than the 2 %25 \
                        allowed (p = 0.002)\n";
        assert_eq!(annotation(&slower(0.002), false), expected);
    }

    #[test]
    fn a_hostile_title_gives_no_second_command() {
        let mut hostile = comparison(Verdict::Pass);
        hostile.change = HOSTILE.into();
        assert_eq!(
            annotation(&hostile, false),
            "::notice title=PASS of sh -c '<b>|`x` %3A%3Aerror%3A%3A\u{fffd}[31m]]>&\"%25%2C*_@me #1\u{fffd}'::energy \
             is not more than 2 %25 higher (p = 0.003)\n"
        );
        assert_eq!(data("50 %\r\n::error::x"), "50 %25%0D%0A::error::x");
    }

    #[test]
    fn outside_of_github_actions_nothing_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("summary.md");
        let pass = [comparison(Verdict::Pass)];
        for actions in [None, Some(""), Some("false"), Some("0")] {
            let environment = Environment { actions, summary: Some(&path) };
            environment.summarise("table").unwrap();
            assert!(environment.annotations(&pass, false).is_empty() && !path.exists());
        }
    }

    #[test]
    fn the_summary_is_appended_to_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("summary.md");
        std::fs::write(&path, "before\n").unwrap();
        let environment = Environment { actions: Some("true"), summary: Some(&path) };
        let pass = [comparison(Verdict::Pass)];
        environment.summarise("| table |\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before\n### alumet\n\n| table |\n\n");
        assert_eq!(environment.annotations(&pass, false), annotation(&pass[0], false));
        Environment { summary: Some(Path::new("")), ..environment }.summarise("table").unwrap();
    }

    #[test]
    fn a_summary_that_cannot_be_written_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let environment = Environment { actions: Some("true"), summary: Some(directory.path()) };
        let error = environment.summarise("table").unwrap_err();
        assert!(error.to_string().starts_with("cannot write the step's summary to /"), "{error}");
    }
}
