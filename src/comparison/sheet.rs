//! The table of any number of versions as Markdown, in a person's words: for a pull request, or for notes.

use super::grid;
use super::markdown::{code, prose};
use super::versions::Versions;
use super::words;
use crate::units::GLUE;

/// The text: sentences, the table, how it was found out, and what was compared.
pub fn render(versions: &Versions) -> String {
    let mut text = String::new();
    for sentence in grid::sentences(versions) {
        text.push_str(&format!("- {}.\n", prose(&sentence)));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let columns = grid::columns(versions);
    let names = words::names(versions, NAME);
    if !columns.is_empty() {
        let bold = |text: &str, is_bold: bool| if is_bold { format!("**{text}**") } else { text.to_owned() };
        let labels: Vec<_> = columns
            .iter()
            .map(|column| bold(&prose(&words::plain(column.quantity.label())), column.speaks))
            .collect();
        text.push_str(&format!("| | {} |\n|---{}|\n", labels.join(" | "), "|---".repeat(columns.len())));
        for (place, name) in names.iter().enumerate() {
            let cells = columns.iter().map(|column| {
                let cell = &column.cells[place];
                let differs =
                    bold(&prose(&cell.difference), column.speaks && cell.finding.is_some_and(is_clear));
                let parts = [prose(&cell.value), differs, prose(&cell.interval)];
                let parts: Vec<_> =
                    parts.into_iter().filter(|part| !part.is_empty() && part != "****").collect();
                parts.join(" ")
            });
            text.push_str(&format!("| {} | {} |\n", code(name), cells.collect::<Vec<_>>().join(" | ")));
        }
        text.push('\n');
    }
    let remarks: Vec<_> =
        grid::reasons(versions).into_iter().chain(versions.remarks().into_iter().map(words::plain)).collect();
    remarks.iter().for_each(|remark| text.push_str(&format!("- {}\n", prose(remark))));
    if !remarks.is_empty() {
        text.push('\n');
    }
    let how = grid::how(versions).map(|how| format!("{}. ", prose(&how))).unwrap_or_default();
    text.push_str(&format!("{how}{}.\n", prose(&words::machine(&versions.host))));
    for (name, version) in names.iter().zip(&versions.all) {
        if words::plain(&version.command) != *name {
            text.push_str(&format!("{}: {}.\n", code(name), code(&version.command)));
        }
    }
    text.replace(GLUE, " ")
}

/// Longer names are cut.
const NAME: usize = 60;

fn is_clear(finding: alumet_statistics::decision::Finding) -> bool {
    use alumet_statistics::decision::Finding;
    matches!(finding, Finding::Worse | Finding::Better)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{HOSTILE, three};
    use super::*;

    #[test]
    fn sentences_then_a_line_for_each_version_with_intervals_then_how() {
        let expected = "\
- new uses 6.9 % more energy than old [+5.8, +8.1 %]; same time and CPU.
- beta is 1.40x slower than old [1.31, 1.51]; same CPU.

| | **Time** | **CPU** | **Energy** | Memory |
|---|---|---|---|---|
| <code>old</code> | 4.02 s | 4.02 s | 11.3 J | 184 MB |
| <code>new</code> | 4.00 s no difference [−0.9, +0.1] | 4.00 s no difference [−0.9, +0.1] | 12.1 J **1.07x worse** [+5.8, +8.1] | 184 MB |
| <code>beta</code> | 4.00 s **1.40x slower** [+31.0, +51.0] | 4.00 s no difference [−0.9, +0.1] | 12.1 J unclear (1.01x) [−1.1, +2.9] | - |

- Memory is not judged: some runs lack it

10 rounds in balanced order";
        let text = render(&three());
        assert!(text.starts_with(expected), "{text}");
        assert!(text.ends_with("AMD EPYC 9254, Linux 6.8, governor performance.\n"), "{text}");
    }

    #[test]
    fn a_hostile_name_is_no_markup_and_a_command_stands_beside_a_name() {
        let mut hostile = three();
        hostile.all[1].name = HOSTILE.into();
        hostile.all[2].command = "./beta | x".into();
        let text = render(&hostile);
        assert!(text.contains("<code>beta</code>: <code>./beta &#124; x</code>.\n"), "{text}");
        let table: Vec<_> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert!(table.len() == 5 && table.iter().all(|line| line.matches('|').count() == 6), "{text}");
        assert!(!text.contains("<b>") && !text.contains('`'), "{text}");
    }
}
