//! A JUnit report: one test case for each metric that decides or stands guard, as Jenkins, GitLab and GitHub's actions read it.
//!
//! The format is that of Apache Ant's task, of which these readers know a common part: `testsuites` and `testsuite` with
//! `tests`, `failures` and `errors`, only the second with `skipped` (Jenkins' `junit-10.xsd` refuses it in the first),
//! `testcase` with `classname` and `name`, within it `failure` or `skipped` with `message`, and `system-out`. `time` is the
//! mean time of a run in seconds, and of a suite the sum. `classname` is the version's title, so that the history of one benchmark is not that of another.
//!
//! Writing it takes an escape for five characters and the removal of those that XML 1.0 has no way to write; no crate
//! does both without a clock or a generator of identifiers in tow.

use alumet_statistics::decision::Verdict;

use super::versions::{Known, Version, Versions};
use super::{Comparison, Described, Row, words};
use crate::mark::marked;
use crate::quantity::Quantity;
use crate::units::GLUE;

/// The document. What cannot be told is skipped, or fails if that is wanted. Of runs that nobody judged there is a test case
/// for each version, which passes.
pub fn render(versions: &Versions, inconclusive_fails: bool) -> String {
    let judged = versions.comparisons.iter().filter(|_| versions.verdict.is_some()).flat_map(|comparison| {
        let rows = comparison.rows.iter().filter(|row| row.decides || row.guards);
        rows.map(|row| Case::of(comparison, row, inconclusive_fails))
    });
    let shown =
        versions.all.iter().filter(|_| versions.verdict.is_none()).map(|one| Case::shown(one, versions));
    let cases: Vec<Case> = judged.chain(shown).collect();
    let number = |outcome| cases.iter().filter(|case| case.outcome == outcome).count();
    let counts = format!(
        "name=\"alumet\" tests=\"{}\" failures=\"{}\" errors=\"0\"",
        cases.len(),
        number(Outcome::Failed)
    );
    let skipped = number(Outcome::Skipped);
    let of_all = cases.iter().map(|case| case.time).sum::<Option<f64>>().filter(|_| !cases.is_empty());
    let of_all = attribute_of_time(of_all);
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}{of_all}>\n  \
         <testsuite {counts} skipped=\"{skipped}\"{of_all}>\n"
    );
    cases.iter().for_each(|case| text.push_str(&case.element()));
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    Skipped,
}

struct Case {
    /// The version.
    class: String,
    name: String,
    outcome: Outcome,
    verdict: Verdict,
    /// How long a run takes, in seconds.
    time: Option<f64>,
    /// Why it fails or is skipped.
    message: String,
    /// All the numbers.
    output: String,
}

impl Case {
    fn of(comparison: &Comparison, row: &Row, inconclusive_fails: bool) -> Self {
        let verdict = row.verdict();
        let outcome = match verdict {
            Verdict::Pass => Outcome::Passed,
            Verdict::Regression => Outcome::Failed,
            Verdict::Inconclusive if inconclusive_fails || comparison.is_void() => Outcome::Failed,
            Verdict::Inconclusive => Outcome::Skipped,
        };
        let reason = words::reason(comparison, row);
        let advice = words::advice(comparison).filter(|_| verdict == Verdict::Inconclusive);
        let message: Vec<_> = std::iter::once(reason).chain(advice).collect();
        Self {
            class: words::plain(&comparison.change),
            name: words::plain(row.quantity.name()),
            outcome,
            verdict,
            time: comparison
                .rows
                .iter()
                .find(|row| row.quantity == Quantity::Time)
                .map(|row| row.change.numbers.mean),
            message: plain(&message.join("; ")),
            output: plain(&output(comparison, row)),
        }
    }

    /// The runs of a version, which nobody judged.
    fn shown(version: &Version, versions: &Versions) -> Self {
        let quantity = |known: &Known| {
            let value = known.quantity.in_words(known.described.numbers.median);
            format!("{}: {}", known.quantity, marked(&known.provenance, known.described.bound, &value))
        };
        let lines = version.quantities.iter().map(quantity).chain([words::machine(&versions.host)]);
        Self {
            class: words::plain(&version.command),
            name: words::plain(&version.name),
            outcome: Outcome::Passed,
            verdict: Verdict::Pass,
            time: version.quantity(&Quantity::Time).map(|time| time.described.numbers.mean),
            message: String::new(),
            output: plain(&lines.collect::<Vec<_>>().join("\n")),
        }
    }

    fn element(&self) -> String {
        let (message, output) = (attribute(&self.message), escaped(&self.output));
        let kind = words::verdict(self.verdict);
        let outcome = match self.outcome {
            Outcome::Passed => String::new(),
            Outcome::Failed => {
                format!("      <failure type=\"{kind}\" message=\"{message}\">{output}</failure>\n")
            }
            Outcome::Skipped => format!("      <skipped message=\"{message}\"/>\n"),
        };
        format!(
            "    <testcase classname=\"{}\" name=\"{}\"{}>\n{outcome}      <system-out>{output}</system-out>\n    \
             </testcase>\n",
            attribute(&self.class),
            attribute(&self.name),
            attribute_of_time(self.time)
        )
    }
}

fn attribute_of_time(seconds: Option<f64>) -> String {
    seconds.map_or_else(String::new, |seconds| format!(" time=\"{seconds:.6}\""))
}

/// Everything that is known of the row, line by line.
fn output(comparison: &Comparison, row: &Row) -> String {
    let side = |side: &Described| {
        let spread = side.numbers.stddev;
        let spread = spread.map(|stddev| format!(", standard deviation {}", row.quantity.in_words(stddev)));
        format!("{}{}", words::value(row, side), spread.unwrap_or_default())
    };
    let difference = match row.decision() {
        Some(decision) => {
            let change = words::change_and_interval(&decision);
            format!("{change}, threshold {}", words::threshold(decision.threshold))
        }
        None => words::finding(row),
    };
    [
        words::reason(comparison, row),
        format!("baseline: {} ({})", side(&row.baseline), words::plain(&comparison.baseline)),
        format!("change: {} ({})", side(&row.change), words::plain(&comparison.change)),
        format!("difference: {difference}"),
        format!("{} by {}", row.provenance, row.method),
        words::design(comparison),
        words::machine(&comparison.host),
    ]
    .into_iter()
    .chain(comparison.remarks.iter().map(|remark| words::plain(remark)))
    .collect::<Vec<_>>()
    .join("\n")
}

fn plain(text: &str) -> String {
    text.replace(GLUE, " ")
}

/// Text for an attribute, whose line breaks a reader would take for spaces (XML 1.0, 3.3.3).
fn attribute(text: &str) -> String {
    escaped(text).replace('\t', "&#9;").replace('\n', "&#10;").replace('\r', "&#13;")
}

/// Text for an element: the five characters with predefined entities (XML 1.0, 4.6), and U+FFFD for those that no
/// document may have (2.2, `Char`).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' | '\n' | '\r' => out.push(c),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::Ended;
    use super::super::samples::{HOSTILE, comparison, several, slower, three, unguarded, versions};
    use super::*;

    fn junit(comparison: &Comparison, inconclusive_fails: bool) -> String {
        render(&versions(vec![comparison.clone()]), inconclusive_fails)
    }

    #[test]
    fn a_regression_is_a_failure_with_its_numbers() {
        let expected = "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites name=\"alumet\" tests=\"1\" failures=\"1\" errors=\"0\" time=\"4.001000\">
  <testsuite name=\"alumet\" tests=\"1\" failures=\"1\" errors=\"0\" skipped=\"0\" time=\"4.001000\">
    <testcase classname=\"./new --fast\" name=\"energy\" time=\"4.001000\">
      <failure type=\"REGRESSION\" message=\"energy is 6.9 % higher, more than the 2 % allowed (p = 0.001)\">NUMBERS\
</failure>
      <system-out>NUMBERS</system-out>
    </testcase>
  </testsuite>
</testsuites>
";
        let numbers = "\
energy is 6.9 % higher, more than the 2 % allowed (p = 0.001)
baseline: 11.3 J, standard deviation 113 mJ (./old --fast)
change: 12.1 J, standard deviation 121 mJ (./new --fast)
difference: +6.9 % [+5.8, +8.1], threshold 2 %
attributed by m
10 pairs in ABBA order, 1 warm-up each
AMD EPYC 9254, Linux 6.8, governor performance
Energy of ./new --fast: far from the others, and kept: run 4";
        assert_eq!(junit(&comparison(Verdict::Regression), false), expected.replace("NUMBERS", numbers));
    }

    #[test]
    fn a_guard_is_a_test_case_that_fails_if_it_is_worse_and_passes_unless_it_is_shown_to_be() {
        let text = junit(&slower(0.002), false);
        assert!(text.contains("tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\""), "{text}");
        let failure = "name=\"time\" time=\"4.001000\">\n      <failure type=\"REGRESSION\" message=\"time is 40.0 % higher, beyond doubt more";
        assert!(text.contains(failure), "{text}");
        let doubtful = junit(&slower(0.08), false);
        assert!(doubtful.contains("failures=\"0\" errors=\"0\" skipped=\"1\""), "{doubtful}");
        let mut quiet = comparison(Verdict::Pass);
        quiet.rows[1].guards = true;
        let text = junit(&quiet, true);
        assert!(text.contains("tests=\"2\" failures=\"0\" errors=\"0\" skipped=\"0\""), "{text}");
        assert!(text.contains("time is not shown to be more than 2 % higher"), "{text}");
    }

    #[test]
    fn what_cannot_be_told_is_skipped_or_fails_as_wanted() {
        let unclear = comparison(Verdict::Inconclusive);
        let skipped = junit(&unclear, false);
        let message = "message=\"energy changed by +0.9 % [−1.1, +2.9], which neither shows nor excludes more than \
                       2 %; about 80 pairs, a quieter machine or a wider threshold would tell\"";
        assert!(skipped.contains("tests=\"1\" failures=\"0\" errors=\"0\" skipped=\"1\""), "{skipped}");
        assert!(skipped.contains(&format!("<skipped {message}/>")), "{skipped}");
        let failed = junit(&unclear, true);
        assert!(failed.contains("tests=\"1\" failures=\"1\" errors=\"0\" skipped=\"0\""), "{failed}");
        assert!(failed.contains(&format!("<failure type=\"INCONCLUSIVE\" {message}>")), "{failed}");
    }

    #[test]
    fn what_could_decide_nothing_fails_whatever_is_wanted() {
        let interrupted = Comparison { ended: Ended::Interrupted, ..comparison(Verdict::Inconclusive) };
        let text = junit(&interrupted, false);
        let message = "message=\"interrupted after 10 pairs, which is no verdict\"";
        assert!(text.contains(&format!("<failure type=\"INCONCLUSIVE\" {message}>")), "{text}");
        let few = Comparison { needed: Some(11), ..comparison(Verdict::Inconclusive) };
        let text = junit(&few, false);
        assert!(text.contains("<failure") && text.contains("at least 11 pairs are needed"), "{text}");
    }

    #[test]
    fn each_metric_that_decides_is_a_case_and_no_other() {
        let text = junit(&several(), true);
        let names = text.lines().filter_map(|line| line.split(" name=\"").nth(1)?.split('"').next());
        assert_eq!(names.skip(2).collect::<Vec<_>>(), ["energy", "cpu"]);
        assert!(text.contains("tests=\"2\" failures=\"1\""), "{text}");
        let pass = junit(&comparison(Verdict::Pass), true);
        assert!(!pass.contains("<failure") && !pass.contains("<skipped"), "{pass}");
        let none = junit(&Comparison { rows: Vec::new(), ..several() }, true);
        assert!(
            none.contains("<testsuite name=\"alumet\" tests=\"0\"") && !none.contains("<testcase"),
            "{none}"
        );
    }

    #[test]
    fn no_element_has_an_attribute_that_the_schema_of_jenkins_refuses() {
        // junit-10.xsd of Jenkins' xunit-plugin; of those that it knows, what is used here.
        let known = |element: &str| -> &[&str] {
            match element {
                "testsuites" => &["name", "time", "tests", "failures", "errors"],
                "testsuite" => &["name", "time", "tests", "failures", "errors", "skipped"],
                "testcase" => &["name", "time", "classname"],
                "failure" | "skipped" => &["type", "message"],
                _ => &[],
            }
        };
        for comparison in [several(), unguarded(), comparison(Verdict::Pass), slower(0.002)] {
            let text = junit(&comparison, false);
            let tags = text.split('<').skip(2).filter(|tag| !tag.starts_with('/'));
            for tag in tags.map(|tag| tag.split('>').next().unwrap()) {
                let (element, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
                // Every other part between quotes is a value.
                let names = attributes.split('"').step_by(2).filter_map(|part| part.trim().strip_suffix('='));
                for name in names {
                    assert!(known(element).contains(&name), "{element} {name}");
                }
            }
            let all: usize = text.matches(" time=\"").count();
            assert_eq!(all, 2 + text.matches("<testcase").count(), "{text}");
        }
    }

    #[test]
    fn the_five_characters_are_escaped_and_the_forbidden_ones_replaced() {
        assert_eq!(escaped("<a & 'b' > \"c\"]]>"), "&lt;a &amp; &apos;b&apos; &gt; &quot;c&quot;]]&gt;");
        assert_eq!(
            escaped("a\0\u{8}\u{b}\u{1b}\u{fffe}\t\n\u{85}é🦀"),
            "a\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\t\n\u{85}é🦀"
        );
        assert_eq!(attribute("a\tb\nc\rd"), "a&#9;b&#10;c&#13;d");
    }

    #[test]
    fn a_guard_that_cannot_stand_is_skipped_with_its_reason_or_fails() {
        let skipped = junit(&unguarded(), false);
        assert!(skipped.contains("tests=\"2\" failures=\"0\" errors=\"0\" skipped=\"1\""), "{skipped}");
        assert!(
            skipped.contains("<skipped message=\"time stands no guard: it is at most so much"),
            "{skipped}"
        );
        assert!(junit(&unguarded(), true).contains("failures=\"1\""));
    }

    #[test]
    fn a_hostile_title_stays_a_title() {
        let mut hostile = comparison(Verdict::Regression);
        (hostile.baseline, hostile.change) = (HOSTILE.into(), HOSTILE.into());
        hostile.rows[0].quantity = Quantity::Event("a\"<b>".into());
        let text = junit(&hostile, false);
        let class = "classname=\"sh -c &apos;&lt;b&gt;|`x` ::error::\u{fffd}[31m]]&gt;&amp;&quot;%,*_@me #1\u{fffd}\
                     &apos;\" name=\"a&quot;&lt;b&gt;\"";
        assert!(text.contains(class), "{text}");
        assert!(!text.contains("<b>") && !text.contains("]]>") && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn every_version_has_its_cases_and_runs_that_nobody_judged_pass() {
        let text = render(&three(), false);
        // New: energy. Beta: CPU, and time on guard.
        assert!(text.contains("tests=\"3\" failures=\"2\""), "{text}");
        for case in ["classname=\"new\" name=\"energy\"", "classname=\"beta\" name=\"time\""] {
            assert!(text.contains(&format!("{case} time=\"4.001000\">\n      <failure")), "{case}: {text}");
        }
        let text = render(&Versions { verdict: None, ..three() }, true);
        assert!(text.contains("tests=\"3\" failures=\"0\" errors=\"0\" skipped=\"0\""), "{text}");
        assert!(
            text.contains("<testcase classname=\"old\" name=\"old\" time=\"4.020000\">\n      <system-out>energy: 11.3 J\n"),
            "{text}"
        );
    }
}
