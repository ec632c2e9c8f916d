//! The table of any number of versions for a terminal, in a person's words: a line for each version, a column for each
//! quantity. What has no room beside the others comes in a further table, and where there is room for one quantity at most,
//! there is a block for each. Below are sentences, how it was found out, and remarks.

use alumet_statistics::decision::Finding;
use anstyle::{AnsiColor, Color, Style};
use textwrap::core::display_width;

use super::grid::{self, Cell, Column};
use super::versions::Versions;
use super::words;
use crate::terminal::{Look, shortened};
use crate::units::GLUE;

const FAINT: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
const RED: Style = colour(AnsiColor::Red);
const GREEN: Style = colour(AnsiColor::Green);

const fn colour(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(colour)))
}

/// Before every line.
const INDENT: usize = 2;
/// Between a value and what differs.
const GAP: usize = 2;
/// Between two columns.
const GUTTER: usize = 3;
/// A name has no more columns than this in a line with all quantities, and no less than that in a block.
const NAME: std::ops::RangeInclusive<usize> = 8..=28;

/// The text.
pub fn render(versions: &Versions, look: Look) -> String {
    let columns = grid::columns(versions);
    let mut text = String::from("\n");
    if !columns.is_empty() {
        text.push_str(&match groups(versions, &columns, look) {
            Some(groups) => groups.iter().map(|group| line_for_each(versions, group, look) + "\n").collect(),
            None => blocks(versions, &columns, look) + "\n",
        });
    }
    let mut part = |lines: Vec<String>, style: Style| {
        lines.iter().for_each(|line| text.push_str(&paragraph(line, style, look)));
        if !lines.is_empty() {
            text.push('\n');
        }
    };
    part(grid::sentences(versions), BOLD);
    let remarks = versions.remarks().into_iter().map(words::plain);
    part(grid::how(versions).into_iter().chain(grid::reasons(versions)).chain(remarks).collect(), FAINT);
    text.replace(GLUE, " ")
}

/// The columns that have room beside each other; nothing if these are hardly ever two.
fn groups<'c, 'v>(
    versions: &Versions,
    columns: &'c [Column<'v>],
    look: Look,
) -> Option<Vec<&'c [Column<'v>]>> {
    let names = words::names(versions, *NAME.end());
    let name = names.iter().map(|name| display_width(name)).max().unwrap_or_default();
    let room = look.width.checked_sub(INDENT + name + 1)?;
    let mut groups = Vec::new();
    let mut rest = columns;
    while !rest.is_empty() {
        let mut used = 0;
        let fits = |column: &&Column<'_>| {
            used += GUTTER + Widths::of(column).all();
            used <= room
        };
        let (group, others) = rest.split_at(rest.iter().take_while(fits).count());
        if group.is_empty() {
            return None;
        }
        groups.push(group);
        rest = others;
    }
    // More tables than that are no better than blocks, in which there may be room for intervals.
    (groups.len() <= columns.len().div_ceil(2)).then_some(groups)
}

/// These quantities of a version in one line.
fn line_for_each(versions: &Versions, columns: &[Column<'_>], look: Look) -> String {
    let names = words::names(versions, *NAME.end());
    let widths: Vec<Widths> = columns.iter().map(Widths::of).collect();
    let name = names.iter().map(|name| display_width(name)).max().unwrap_or_default();
    let mut head = " ".repeat(INDENT + name);
    for (column, width) in columns.iter().zip(&widths) {
        let label = label(column, width.all());
        let gap = " ".repeat(width.all() - display_width(&label));
        let style = if column.speaks { BOLD } else { Style::new() };
        head.push_str(&format!("{}{}{gap}", " ".repeat(GUTTER), paint(look, style, &label)));
    }
    let mut lines = format!("{}\n", head.trim_end());
    for (place, version) in names.iter().enumerate() {
        let mut line = format!("{}{}", " ".repeat(INDENT), padded(version, name));
        for (column, width) in columns.iter().zip(&widths) {
            let cell = &column.cells[place];
            let gap = " "
                .repeat(width.all() - width.value - GAP.min(width.gap()) - display_width(&cell.difference));
            line.push_str(&" ".repeat(GUTTER));
            line.push_str(&padded(&cell.value, width.value));
            line.push_str(&" ".repeat(width.gap()));
            line.push_str(&painted(cell, look));
            line.push_str(&gap);
        }
        lines.push_str(&format!("{}\n", line.trim_end()));
    }
    lines
}

/// A block for each quantity, with a line for each version, or with two where that is too wide, too.
fn blocks(versions: &Versions, columns: &[Column<'_>], look: Look) -> String {
    let longest = versions.all.iter().map(|version| display_width(&version.name)).max().unwrap_or_default();
    let least = longest.min(*NAME.start());
    let mut text = String::new();
    for column in columns {
        let style = if column.speaks { BOLD } else { Style::new() };
        let label = label(column, look.width.saturating_sub(INDENT + 1));
        text.push_str(&format!("{}{}\n", " ".repeat(INDENT), paint(look, style, &label)));
        let width = Widths::of(column);
        let interval =
            column.cells.iter().map(|cell| display_width(&cell.interval)).max().unwrap_or_default();
        let indent = " ".repeat(2 * INDENT);
        let room =
            |with: usize| look.width.checked_sub(2 * INDENT + 1 + GAP + with).filter(|room| *room >= least);
        let beside = room(width.all() + 1 + interval).filter(|_| interval > 0);
        match beside.or(room(width.all())) {
            Some(most) => {
                let names = words::names(versions, most.min(*NAME.end()));
                let name = names.iter().map(|name| display_width(name)).max().unwrap_or_default();
                for (version, cell) in names.iter().zip(&column.cells) {
                    let value = padded(&cell.value, width.value);
                    let between = match beside {
                        Some(_) if !cell.interval.is_empty() => format!(" {}", cell.interval),
                        _ => String::new(),
                    };
                    let line = format!(
                        "{indent}{}{}{value}{}{}{between}",
                        padded(version, name),
                        " ".repeat(GAP),
                        " ".repeat(width.gap()),
                        painted(cell, look),
                    );
                    text.push_str(&format!("{}\n", line.trim_end()));
                }
            }
            None => {
                let names = words::names(versions, look.width.saturating_sub(2 * INDENT + 1));
                for (version, cell) in names.iter().zip(&column.cells) {
                    text.push_str(&format!("{indent}{version}\n{indent}  {}\n", cell.value));
                    if !cell.difference.is_empty() {
                        text.push_str(&format!("{indent}  {}\n", painted(cell, look)));
                    }
                }
            }
        }
    }
    text
}

/// How wide a column is.
struct Widths {
    value: usize,
    difference: usize,
    label: usize,
}

/// An event's name takes no more than this in a line with others.
const LABEL: usize = 24;

impl Widths {
    fn of(column: &Column<'_>) -> Self {
        let widest = |of: &dyn Fn(&Cell) -> &str| {
            column.cells.iter().map(|cell| display_width(of(cell))).max().unwrap_or_default()
        };
        let label = display_width(column.quantity.label()).min(LABEL);
        Self { value: widest(&|cell| &cell.value), difference: widest(&|cell| &cell.difference), label }
    }

    /// Before what differs, if anything does.
    fn gap(&self) -> usize {
        if self.difference > 0 { GAP } else { 0 }
    }

    fn all(&self) -> usize {
        self.label.max(self.value + self.gap() + self.difference)
    }
}

fn label(column: &Column<'_>, room: usize) -> String {
    shortened(&words::plain(column.quantity.label()), room)
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(display_width(text))))
}

fn paint(look: Look, style: Style, text: &str) -> String {
    if style == Style::new() { text.to_owned() } else { look.paint(style, text) }
}

/// What differs, in colour where it is beyond doubt.
fn painted(cell: &Cell, look: Look) -> String {
    let style = match cell.finding {
        Some(Finding::Worse) => RED,
        Some(Finding::Better) => GREEN,
        _ => Style::new(),
    };
    paint(look, style, &cell.difference)
}

/// Wrapped lines. Names are not broken at their hyphens.
fn paragraph(text: &str, style: Style, look: Look) -> String {
    let options = textwrap::Options::new(look.width.saturating_sub(1))
        .initial_indent("  ")
        .subsequent_indent("  ")
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::wrap(text, options).iter().map(|line| format!("{}\n", paint(look, style, line))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples::{HOSTILE, bounded, three, versions};
    use super::super::{Design, Ended};
    use super::*;
    use alumet_statistics::decision::Verdict;

    fn plain(width: usize) -> Look {
        Look { width, colours: false }
    }

    #[test]
    fn versions_are_lines_quantities_columns_and_sentences_say_the_rest() {
        let expected = "
         Time                   CPU                    Energy                  Memory
  old    4.02 s                 4.02 s                 11.3 J                  184 MB
  new    4.00 s  no difference  4.00 s  no difference  12.1 J  1.07x worse     184 MB
  beta   4.00 s  1.40x slower   4.00 s  no difference  12.1 J  unclear (1.01x)  -
";
        let text = render(&three(), plain(120));
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let table: String = text.lines().take(5).map(|line| format!("{line}\n")).collect();
        assert_eq!(words(&table), words(expected), "{text}");
        let below = "
  new uses 6.9 % more energy than old [+5.8, +8.1 %]; same time and CPU
  beta is 1.40x slower than old [1.31, 1.51]; same CPU

  10 rounds in balanced order, 1 warm-up each; decides: energy (attributed); threshold 2 %; or decides: CPU time
  (measured), guarded by time; threshold 2 %
  Memory is not judged: some runs lack it

";
        assert!(text.ends_with(below), "{text}");
    }

    #[test]
    fn a_narrow_terminal_has_a_block_for_each_quantity_and_a_very_narrow_one_two_lines_for_each_version() {
        let text = render(&three(), plain(40));
        let block = "
  Time
    old   4.02 s
    new   4.00 s  no difference
    beta  4.00 s  1.40x slower
  CPU
";
        assert!(text.contains(block), "{text}");
        let mut long = bounded();
        long.baseline = "./build/release/old".into();
        long.change = "./build/release/new".into();
        let text = render(&versions(vec![long]), plain(24));
        assert!(text.contains("  Memory\n    ./build/release/old\n      at least 184 MB\n"), "{text}");
    }

    #[test]
    fn what_has_no_room_beside_the_others_comes_in_a_further_table() {
        let text = render(&three(), plain(64));
        let heads: Vec<_> =
            text.lines().filter(|line| line.contains("Time ") || line.contains("Energy ")).collect();
        let heads: Vec<_> =
            heads.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(heads[..2], ["Time CPU", "Energy Memory"], "{text}");
    }

    #[test]
    fn there_is_room_for_intervals_in_a_block_that_is_wide_enough() {
        let text = render(&three(), plain(50));
        assert!(text.contains("    beta  4.00 s  1.40x slower [+31.0, +51.0]\n"), "{text}");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_whatever_the_names_are() {
        let mut hostile = three();
        for (version, name) in
            hostile.all.iter_mut().zip([HOSTILE.repeat(5), "日本語".repeat(30), "x".into()])
        {
            version.name = name;
        }
        for width in 40..=140 {
            let text = render(&hostile, plain(width));
            let widest = text.lines().max_by_key(|line| display_width(line)).unwrap();
            assert!(display_width(widest) <= width, "{width}: {widest}\n{text}");
            assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
        }
    }

    #[test]
    fn only_what_is_beyond_doubt_is_coloured_and_colours_take_no_room() {
        let mut coloured = render(&three(), Look { width: 120, colours: true });
        assert!(
            coloured.contains("\u{1b}[31m1.40x slower\u{1b}[0m") && !coloured.contains("31munclear"),
            "{coloured:?}"
        );
        while let Some(start) = coloured.find('\u{1b}') {
            let end = start + coloured[start..].find('m').unwrap();
            coloured.replace_range(start..=end, "");
        }
        assert_eq!(coloured, render(&three(), plain(120)));
    }

    #[test]
    fn what_cannot_be_told_says_what_would_tell_and_an_interruption_is_said_once() {
        let mut open = three();
        let first = open.comparisons[0].clone();
        open.comparisons[1].rows[0].decides = true;
        open.comparisons[1].verdict = Verdict::Inconclusive;
        let text = render(&open, plain(120));
        assert!(
            text.contains("beta: energy changed by +0.9 % [−1.1, +2.9], which neither shows nor excludes"),
            "{text}"
        );
        assert!(text.contains("about 80 pairs"), "{text}");
        for comparison in &mut open.comparisons {
            comparison.ended = Ended::Interrupted;
            comparison.verdict = Verdict::Inconclusive;
        }
        let text = render(&open, plain(120));
        assert_eq!(text.matches("interrupted after 10 pairs, which is no verdict").count(), 1, "{text}");
        // Runs in blocks are judged by nobody.
        let mut blocks = versions(vec![first]);
        blocks.comparisons[0].design = Design::InBlocks { runs: 3 };
        blocks.verdict = None;
        let text = render(&blocks, plain(120));
        assert!(
            text.contains("3 runs of each, one after the other, against old") && !text.contains("than old"),
            "{text}"
        );
    }
}
