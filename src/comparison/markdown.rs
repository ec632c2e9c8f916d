//! A gate's table for a comment in a pull request: GitHub Flavored Markdown, which GitLab reads as well.
//!
//! Text that is not ours is written with numeric character references: what they stand for is never taken as markup
//! (GitHub Flavored Markdown Spec, 6.2 "Entity and numeric character references").

use super::{Comparison, Row, words};
use crate::units::GLUE;

/// Titles longer than this are cut: a comment has room for 65,536 characters.
const TITLE: usize = 200;

/// The text: the verdict, the table, what was compared and how.
pub fn render(comparison: &Comparison) -> String {
    let verdict = words::verdict(comparison.verdict);
    let mut text = format!("**{verdict}**: {}\n\n", prose(&words::because(comparison)));
    if let Some(answer) = words::answer(comparison) {
        text.push_str(&format!("{}.\n\n", prose(&answer)));
    }
    if !comparison.rows.is_empty() {
        let changes = prose(&words::changes(comparison));
        text.push_str(&format!(
            "| | baseline | this change | {changes} | verdict |\n|---|---|---|---|---|\n"
        ));
        comparison.rows.iter().for_each(|row| text.push_str(&line(row)));
        text.push('\n');
    }
    for remark in &comparison.remarks {
        text.push_str(&format!("- {}\n", prose(&words::plain(remark))));
    }
    if !comparison.remarks.is_empty() {
        text.push('\n');
    }
    let parts = [words::design(comparison), words::thresholds(comparison), words::test(comparison)];
    let [baseline, change] = [&comparison.baseline, &comparison.change].map(|title| code(title));
    text.push_str(&format!(
        "{}. {}.\nBaseline: {baseline}; this change: {change}.\n",
        prose(&parts.join(", ")),
        prose(&words::machine(&comparison.host))
    ));
    text.replace(GLUE, " ")
}

/// `| **Energy** (measured) | 11.3 J | 12.1 J | **+6.9 %** [+5.8, +8.1] | worse |`; only what decides is bold.
fn line(row: &Row) -> String {
    let bold = |text: &str| if row.speaks() { format!("**{text}**") } else { text.to_owned() };
    let label = bold(&prose(&words::plain(row.quantity.label())));
    let provenance = match row.provenance.as_str() {
        "measured" if !row.decides => String::new(),
        provenance => format!(" ({})", prose(&words::plain(provenance))),
    };
    let change = row.decision().map(|decision| {
        let interval = words::interval(&decision).map(|interval| prose(&interval));
        let parts: Vec<_> = std::iter::once(bold(&words::change(&decision))).chain(interval).collect();
        parts.join(" ")
    });
    let change = change.unwrap_or_default();
    let [before, after] = [&row.baseline, &row.change].map(|side| prose(&words::value(row, side)));
    format!("| {label}{provenance} | {before} | {after} | {change} | {} |\n", prose(&words::finding(row)))
}

/// A title as code. Not between backticks, within which nothing can be escaped.
pub fn code(title: &str) -> String {
    let cut: String = title.chars().take(TITLE).collect();
    let more = if cut.len() < title.len() { "…" } else { "" };
    format!("<code>{}{more}</code>", escaped(&words::plain(&cut)))
}

/// Outside of code, `@name` would be a mention and `#1` a reference, which are found after markup has been resolved: an
/// empty comment parts them.
pub fn prose(text: &str) -> String {
    escaped(text).replace("&#64;", "&#64;<!-- -->").replace("&#35;", "&#35;<!-- -->")
}

/// Without any character that could be markup, or part of an address.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for (i, c) in text.char_indices() {
        // Brackets make a link only with the round ones, and those only with the square ones: one kind suffices.
        let is_markup =
            matches!(c, '&' | '<' | '>' | '|' | '`' | '*' | '_' | '\\' | '~' | '@' | '#' | '!' | '$' | '"')
                || (c == ']' && text[i + 1..].starts_with(['(', '[', ':']))
                || (c == ':' && text[i + 1..].starts_with("//"));
        if is_markup {
            out.push_str(&format!("&#{};", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::Judged;
    use super::super::samples::{HOSTILE, bounded, comparison, row, several, slower};
    use super::*;
    use crate::quantity::Quantity;
    use alumet_statistics::decision::Verdict;

    #[test]
    fn a_comment_has_the_verdict_the_table_and_how_it_was_found() {
        let expected = "\
**REGRESSION**: energy is 6.9 % higher, more than the 2 % allowed (p = 0.001)

./new --fast uses 6.9 % more energy than ./old --fast; same time.

| | baseline | this change | change [91 %] | verdict |
|---|---|---|---|---|
| **Energy** (attributed) | 11.3 J | 12.1 J | **+6.9 %** [+5.8, +8.1] | worse |
| Time | 4.02 s | 4.00 s | −0.5 % [−0.9, +0.1] | no difference over 2 % |
| Memory | 184 MB | 184 MB |  | not judged: some runs lack it |

- Energy of ./new --fast: far from the others, and kept: run 4

10 pairs in ABBA order, 1 warm-up each, threshold 2 %, Wilcoxon signed-rank p = 0.001. AMD EPYC 9254, Linux 6.8, \
governor performance.
Baseline: <code>./old --fast</code>; this change: <code>./new --fast</code>.
";
        assert_eq!(render(&comparison(Verdict::Regression)), expected);
    }

    #[test]
    fn a_bound_is_marked_and_not_judged() {
        let line = "| Memory | at least 184 MB | at most 184 MB |  | not judged: it is at least so much: between two samples \
                    nobody sees it |";
        assert!(render(&bounded()).contains(line), "{}", render(&bounded()));
    }

    #[test]
    fn a_guard_that_fails_it_is_bold_and_the_answer_comes_before_the_table() {
        let text = render(&slower(0.002));
        assert!(
            text.contains("| **Time** | 4.02 s | 4.00 s | **+40.0 %** [+31.0, +51.0] | worse |"),
            "{text}"
        );
        let answer = text.find("./new --fast is 1.40x slower than ./old --fast; same CPU.\n").unwrap();
        assert!(answer < text.find("| | baseline").unwrap(), "{text}");
    }

    #[test]
    fn every_row_that_decides_is_bold() {
        let text = render(&several());
        assert!(
            text.contains("| **CPU** (measured) | 4.02 s | 4.00 s | **−0.5 %** [−0.9, +0.1] |"),
            "{text}"
        );
        assert!(
            text.contains("thresholds energy 2 %, CPU time 5 %, Wilcoxon signed-rank with Holm's correction")
        );
    }

    #[test]
    fn an_estimate_is_marked() {
        let estimated = Row {
            provenance: "estimated".into(),
            ..row(Quantity::Energy, Judged::NotJudged("it is estimated".into()))
        };
        assert_eq!(
            line(&estimated).replace(GLUE, " "),
            "| Energy (estimated) | &#126; 11.3 J | &#126; 12.1 J |  | not judged: it is estimated |\n"
        );
    }

    #[test]
    fn a_hostile_title_breaks_no_table_and_becomes_no_markup() {
        let mut hostile = comparison(Verdict::Pass);
        hostile.change = HOSTILE.into();
        hostile.remarks = vec![format!("Energy of {HOSTILE}: [x](javascript:y) https://x.org")];
        hostile.rows[1].quantity = Quantity::Event("a|b`<i>".into());
        let text = render(&hostile);
        assert!(text.ends_with(
            "this change: <code>sh -c '&#60;b&#62;&#124;&#96;x&#96; ::error::\u{fffd}[31m]]&#62;&#38;&#34;%,&#42;&#95;\
             &#64;me &#35;1\u{fffd}'</code>.\n"
        ), "{text}");
        assert!(text.contains("&#95;&#64;<!-- -->me &#35;<!-- -->1"), "{text}");
        assert!(text.contains("[x&#93;(javascript:y) https&#58;//x.org\n"), "{text}");
        assert!(text.contains("\n| a&#124;b&#96;&#60;i&#62; | 4.02 |"), "{text}");
        let cells = text.lines().filter(|line| line.starts_with('|')).map(|line| line.matches('|').count());
        assert!(cells.into_iter().all(|bars| bars == 6), "{text}");
    }

    #[test]
    fn a_long_title_is_cut_and_without_a_row_there_is_no_table() {
        let empty = Comparison {
            rows: Vec::new(),
            remarks: Vec::new(),
            change: "x".repeat(100_000),
            ..comparison(Verdict::Inconclusive)
        };
        let text = render(&empty);
        assert!(text.starts_with("**INCONCLUSIVE**: nothing was judged\n\n10 pairs"), "{text}");
        assert!(text.len() < 500 && text.contains("xx…</code>"), "{text}");
    }
}
