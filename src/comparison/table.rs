//! A gate's table for a terminal: the answer, the design, a row for each quantity, remarks, the verdict.

use alumet_statistics::decision::{Finding, Verdict};
use anstyle::{AnsiColor, Color, Style};
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use textwrap::core::display_width;

use super::{Comparison, Judged, Row, words};
use crate::terminal::{Look, shortened};
use crate::units::GLUE;

const FAINT: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
const RED: Style = colour(AnsiColor::Red);
const GREEN: Style = colour(AnsiColor::Green);
const YELLOW: Style = colour(AnsiColor::Yellow);

/// Below this width there is no room for columns.
const NARROW: usize = 60;

/// An event's name takes no more than this part of the width.
const LABEL: usize = 5;
/// What a title keeps however narrow the text is.
const TITLE: usize = 9;
/// The longest word of a finding, `difference`.
const WORD: usize = 10;

const fn colour(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(colour)))
}

/// The text.
pub fn render(comparison: &Comparison, look: Look) -> String {
    let answer = words::answer(comparison).map(|answer| paragraph(&answer, BOLD, look));
    let answer = answer.map_or_else(String::new, |answer| format!("\n{answer}"));
    let mut text = format!("{answer}\n{}\n", headline(comparison, look));
    let layout = (look.width >= NARROW).then(|| Layout::of(comparison, look.width));
    if !comparison.rows.is_empty() {
        let rows = layout.as_ref().map(|layout| rows(comparison, layout, look));
        text.push_str(&format!("{}\n", rows.unwrap_or_else(|| stacked(comparison, look))));
    }
    let room = layout.map_or(usize::MAX, |layout| layout.room);
    let reasons = comparison.rows.iter().filter_map(|row| reason_below(row, room));
    let below: Vec<_> = reasons.chain(comparison.remarks.iter().cloned()).collect();
    for remark in &below {
        text.push_str(&paragraph(&words::plain(remark), FAINT, look));
    }
    if !below.is_empty() {
        text.push('\n');
    }
    text.push_str(&verdict(comparison, look));
    text.push('\n');
    text.replace(GLUE, " ")
}

/// The design on the left, what decides on the right, or below.
fn headline(comparison: &Comparison, look: Look) -> String {
    let design = words::design(comparison);
    let decides = format!("decides: {}", words::deciding(comparison));
    let used = 2 + display_width(&design) + display_width(&decides);
    match look.width.saturating_sub(1).checked_sub(used).filter(|gap| *gap >= 3) {
        Some(gap) => format!("  {design}{}{decides}\n", " ".repeat(gap)),
        None => [design, decides].map(|part| paragraph(&part, Style::new(), look)).concat(),
    }
}

/// A row's values, its change and its word below each other.
fn stacked(comparison: &Comparison, look: Look) -> String {
    let mut text = paragraph(&format!("A: {}", words::plain(&comparison.baseline)), Style::new(), look);
    text.push_str(&paragraph(&format!("B: {}", words::plain(&comparison.change)), Style::new(), look));
    for row in &comparison.rows {
        let style = if row.speaks() { BOLD } else { Style::new() };
        text.push_str(&paragraph(&label(row, usize::MAX), style, look));
        let [baseline, change] = values(row);
        let mut lines = vec![format!("A {baseline}"), format!("B {change}")];
        lines.extend(row.decision().map(|decision| words::change_and_interval(&decision)));
        lines.push(finding(row, usize::MAX));
        let clear = word_style(row);
        for (at, line) in lines.iter().enumerate() {
            let style = clear.filter(|_| at + 1 == lines.len()).unwrap_or_default();
            let options = textwrap::Options::new(look.width.saturating_sub(1))
                .initial_indent("    ")
                .subsequent_indent("      ");
            for line in textwrap::wrap(line, options) {
                text.push_str(&format!("{}\n", painted_in(style, &line, look)));
            }
        }
    }
    text
}

fn painted_in(style: Style, text: &str, look: Look) -> String {
    if style == Style::new() { text.to_owned() } else { look.paint(style, text) }
}

/// The colour of a row's word, if it is beyond doubt.
fn word_style(row: &Row) -> Option<Style> {
    match row.decision()?.finding {
        Finding::Worse => Some(RED),
        Finding::Better => Some(GREEN),
        Finding::Same | Finding::Unclear => None,
    }
}

fn rows(comparison: &Comparison, layout: &Layout, look: Look) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(look.width.saturating_sub(2)).unwrap_or(u16::MAX));
    let [baseline, change] =
        words::titles(comparison, layout.title).map(|title| title.replace(' ', &GLUE.to_string()));
    table.set_header(["", &baseline, &change, &words::changes(comparison), ""]);
    for row in &comparison.rows {
        table.add_row(layout.cells(row));
    }
    for (column, constraint) in table.column_iter_mut().zip(layout.constraints()) {
        column.set_padding(layout.padding());
        column.set_constraint(constraint);
    }
    // Cells keep their width, so what is painted is painted afterwards: a row begins with its label, ends with its word.
    let mut rows = comparison.rows.iter().peekable();
    let mut lines = String::new();
    for line in table.lines() {
        let line = line.trim_end();
        let begins =
            |row: &&Row| line.trim_start().starts_with(&label(row, look.width)) && !line.starts_with("   ");
        let painted = match rows.next_if(begins) {
            Some(row) => painted(row, line, layout, look),
            None => line.to_owned(),
        };
        lines.push_str(&format!(" {painted}\n"));
    }
    lines
}

fn label(row: &Row, width: usize) -> String {
    let label = words::plain(row.quantity.label()).replace(' ', &GLUE.to_string());
    shortened(&label, width / LABEL)
}

/// A row's first line in colours.
fn painted(row: &Row, line: &str, layout: &Layout, look: Look) -> String {
    let label = label(row, look.width);
    let mut line = line.to_owned();
    let style = word_style(row);
    let word = finding(row, layout.room);
    if let (Some(style), Some(start)) = (style, line.strip_suffix(&word)) {
        line = format!("{start}{}", look.paint(style, &word));
    }
    if row.speaks() { line.replacen(&label, &look.paint(BOLD, &label), 1) } else { line }
}

/// How wide the columns are.
struct Layout {
    /// Of the text.
    width: usize,
    title: usize,
    /// Whether the interval stands beside the change, not below it.
    beside: bool,
    /// For the last column.
    room: usize,
}

impl Layout {
    fn of(comparison: &Comparison, width: usize) -> Self {
        let widest = |cells: &dyn Fn(&Row) -> Vec<String>| {
            let cells = comparison.rows.iter().flat_map(cells);
            cells.map(|cell| display_width(&cell)).max().unwrap_or_default()
        };
        let label = widest(&|row| vec![label(row, width)]);
        let value = widest(&|row| values(row).into()).max(TITLE);
        let finding = widest(&|row| row.decision().map(|_| words::finding(row)).into_iter().collect());
        // What two titles can have of a line with five columns.
        let rest = |beside, finding| {
            let gaps = 2 + 5 * usize::from(padding(beside).0 + padding(beside).1);
            width.saturating_sub(gaps + label + widest(&|row| changes(row, beside)) + finding)
        };
        let beside = rest(true, finding) >= 2 * value;
        // Titles are cut before a finding is broken.
        let whole = rest(beside, finding) / 2;
        let title = if whole >= value { whole } else { rest(false, WORD) / 2 };
        let title = title.max(value);
        let titles: usize =
            words::titles(comparison, title).iter().map(|one| display_width(one).max(value)).sum();
        Self { width, beside, title, room: rest(beside, 0).saturating_sub(titles) }
    }

    fn cells(&self, row: &Row) -> [String; 5] {
        let [baseline, change] = values(row);
        let changes = changes(row, self.beside).join("\n");
        [label(row, self.width), baseline, change, changes, finding(row, self.room)]
    }

    /// Only the last column is broken into lines.
    fn constraints(&self) -> [ColumnConstraint; 5] {
        let padding = self.padding();
        let least = u16::try_from(WORD).unwrap_or(u16::MAX) + padding.0 + padding.1;
        let last = ColumnConstraint::LowerBoundary(Width::Fixed(least));
        let whole = ColumnConstraint::ContentWidth;
        [whole, whole, whole, whole, last]
    }

    fn padding(&self) -> (u16, u16) {
        padding(self.beside)
    }
}

/// To the left and to the right of a cell.
fn padding(beside: bool) -> (u16, u16) {
    if beside { (1, 2) } else { (1, 1) }
}

/// Longer reasons are no matter for a cell, whatever room it has.
const REASON: usize = 32;

/// The row's word; the reason why there is none stands below where it has no room.
fn finding(row: &Row, room: usize) -> String {
    match reason_below(row, room) {
        Some(_) => "not judged".to_owned(),
        None => words::finding(row),
    }
}

fn reason_below(row: &Row, room: usize) -> Option<String> {
    let Judged::NotJudged(why) = &row.judged else { return None };
    let has_room = why.chars().count() <= REASON && display_width(&words::finding(row)) <= room;
    (!has_room).then(|| format!("{} is not judged: {why}", row.quantity.label()))
}

fn values(row: &Row) -> [String; 2] {
    [&row.baseline, &row.change].map(|side| words::value(row, side))
}

/// The lines of the cell of the change.
fn changes(row: &Row, beside: bool) -> Vec<String> {
    let Some(decision) = row.decision() else { return vec!["-".into()] };
    let lines: Vec<_> = std::iter::once(words::change(&decision)).chain(words::interval(&decision)).collect();
    if beside { vec![lines.join(&format!("{GLUE}{GLUE}"))] } else { lines }
}

fn verdict(comparison: &Comparison, look: Look) -> String {
    let word = words::verdict(comparison.verdict);
    let colour = match comparison.verdict {
        Verdict::Pass => GREEN,
        Verdict::Regression => RED,
        Verdict::Inconclusive => YELLOW,
    };
    let line = paragraph(&format!("{word}: {}", words::because(comparison)), Style::new(), look);
    line.replacen(word, &look.paint(colour.bold(), word), 1)
}

/// Wrapped lines.
fn paragraph(text: &str, style: Style, look: Look) -> String {
    let options =
        textwrap::Options::new(look.width.saturating_sub(1)).initial_indent("  ").subsequent_indent("  ");
    let lines = textwrap::wrap(text, options);
    lines.iter().map(|line| format!("{}\n", painted_in(style, line, look))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples::{HOSTILE, bounded, comparison, row, several, slower, unclear};
    use super::*;
    use crate::quantity::Quantity;

    const PLAIN: Look = Look { width: 100, colours: false };

    #[test]
    fn a_regression_is_a_table_a_remark_and_a_verdict() {
        let expected = "
  ./new --fast uses 6.9 % more energy than ./old --fast; same time

  10 pairs in ABBA order, 1 warm-up each                               decides: energy (attributed)

           ./old --fast   ./new --fast   change [91 %]
  Energy   11.3 J         12.1 J         +6.9 %  [+5.8, +8.1]   worse
  Time     4.02 s         4.00 s         −0.5 %  [−0.9, +0.1]   no difference over 2 %
  Memory   184 MB         184 MB         -                      not judged: some runs lack it

  Energy of ./new --fast: far from the others, and kept: run 4

  REGRESSION: energy is 6.9 % higher, more than the 2 % allowed (p = 0.001)

";
        assert_eq!(render(&comparison(Verdict::Regression), PLAIN), expected);
    }

    #[test]
    fn a_version_that_waits_longer_at_the_same_cpu_time_fails_and_the_first_line_says_by_how_much() {
        let expected = "
  ./new --fast is 1.40x slower than ./old --fast; same CPU

  10 pairs in ABBA order, 1 warm-up each              decides: CPU time (measured), guarded by time

         ./old --fast   ./new --fast   change [91 %]
  Time   4.02 s         4.00 s         +40.0 %  [+31.0, +51.0]   worse
  CPU    4.02 s         4.00 s         −0.5 %  [−0.9, +0.1]      no difference over 2 %

  REGRESSION: time is 40.0 % higher, beyond doubt more than the 2 % allowed (p = 0.002)

";
        assert_eq!(render(&slower(0.002), PLAIN), expected);
    }

    #[test]
    fn on_a_terminal_of_80_columns_no_finding_is_broken_and_reasons_stand_below() {
        let text = render(&comparison(Verdict::Regression), Look { width: 80, colours: false });
        let expected = "
          ./old --fast  ./new --fast  change [91 %]
  Energy  11.3 J        12.1 J        +6.9 %         worse
                                      [+5.8, +8.1]
  Time    4.02 s        4.00 s        −0.5 %         no difference over 2 %
                                      [−0.9, +0.1]
  Memory  184 MB        184 MB        -              not judged

  Memory is not judged: some runs lack it
";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn a_bound_is_marked_in_its_cell() {
        let text = render(&bounded(), PLAIN);
        assert!(text.contains("Memory   at least 184 MB   at most 184 MB   -"), "{text}");
        assert!(text.contains("-                      not judged\n"), "{text}");
        let why = "  Memory is not judged: it is at least so much: between two samples nobody sees it\n";
        assert!(text.contains(why), "{text}");
    }

    #[test]
    fn what_cannot_be_told_says_what_would_tell() {
        let mut quiet = comparison(Verdict::Inconclusive);
        quiet.remarks.clear();
        let text = render(&quiet, PLAIN);
        let expected = "
  Memory   184 MB         184 MB         -                      not judged: some runs lack it

  INCONCLUSIVE: energy changed by +0.9 % [−1.1, +2.9], which neither shows nor excludes more than
  2 %; about 80 pairs, a quieter machine or a wider threshold would tell

";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn a_narrow_text_has_the_interval_below_the_change_and_broken_words() {
        let mut narrow = several();
        let event = Quantity::Event("sched:sched_process_exec".into());
        narrow.rows.push(row(event, Judged::Decision(unclear())));
        narrow.remarks.clear();
        let expected = "
  ./new --fast uses 6.9 % more energy than ./old --fast;
  same time and CPU

  10 pairs in ABBA order, 1 warm-up each
  decides: energy (attributed) and CPU time (measured)

                ./old --…  ./new --…  change [91 %]
  Energy        11.3 J     12.1 J     +6.9 %         worse
                                      [+5.8, +8.1]
  CPU           4.02 s     4.00 s     −0.5 %         no
                                      [−0.9, +0.1]   difference
                                                     over 5 %
  Time          4.02 s     4.00 s     −0.5 %         no
                                      [−0.9, +0.1]   difference
                                                     over 2 %
  Memory        184 MB     184 MB     -              not judged
  sched:sched…  4.02       4.00       +0.9 %         cannot
                                      [−1.1, +2.9]   tell

  Memory is not judged: some runs lack it

  REGRESSION: energy is 6.9 % higher, more than the 2 %
  allowed (p = 0.001)

";
        assert_eq!(render(&narrow, Look { width: 60, colours: false }), expected);
    }

    #[test]
    fn a_very_narrow_text_has_a_row_below_each_other() {
        let expected = "
  A: ./old --fast
  B: ./new --fast
  Energy
    A 11.3 J
    B 12.1 J
    +6.9 % [+5.8, +8.1]
    worse
  Time
    A 4.02 s
    B 4.00 s
    −0.5 % [−0.9, +0.1]
    no difference over 2 %
  Memory
    A 184 MB
    B 184 MB
    not judged: some runs lack it

  Energy of ./new --fast: far from the
  others, and kept: run 4
";
        let text = render(&comparison(Verdict::Regression), Look { width: 40, colours: false });
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn only_what_is_clear_is_coloured_and_what_decides_is_bold() {
        let coloured = render(&several(), Look { width: 100, colours: true });
        let line =
            |label: &str| coloured.lines().skip(3).find(|line| line.contains(label)).unwrap().to_owned();
        let energy = line("Energy\u{1b}");
        assert!(energy.starts_with("  \u{1b}[1mEnergy\u{1b}[0m   11.3 J"), "{energy:?}");
        assert!(energy.ends_with("\u{1b}[31mworse\u{1b}[0m"), "{energy:?}");
        assert!(line("CPU\u{1b}").ends_with("   no difference over 5 %"));
        assert!(!line("Time").contains('\u{1b}'));
        assert!(line("REGRESSION").contains("\u{1b}[31mREGRESSION\u{1b}[0m: energy"));
        let mut plain = coloured;
        while let Some(start) = plain.find('\u{1b}') {
            let end = start + plain[start..].find('m').unwrap();
            plain.replace_range(start..=end, "");
        }
        assert_eq!(plain, render(&several(), PLAIN), "colours take no room");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_whatever_the_titles_are() {
        let mut hostile = several();
        hostile.baseline = HOSTILE.repeat(5);
        hostile.change = "日本語".repeat(30);
        hostile.remarks = vec![format!("Energy of {HOSTILE}")];
        for width in 30..=120 {
            let text = render(&hostile, Look { width, colours: false });
            let widest = text.lines().max_by_key(|line| display_width(line)).unwrap();
            assert!(display_width(widest) <= width, "{width}: {widest}\n{text}");
            assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
            let label = |line: &&str| *line == "  CPU" || line.starts_with("  CPU  ");
            // In a narrow sentence it may begin a line, too.
            let most = if width < NARROW { 2 } else { 1 };
            assert!((1..=most).contains(&text.lines().filter(label).count()), "{text}");
        }
    }

    #[test]
    fn without_a_row_there_is_no_table() {
        let empty = Comparison { rows: Vec::new(), remarks: Vec::new(), ..comparison(Verdict::Inconclusive) };
        let expected = "
  10 pairs in ABBA order, 1 warm-up each                                           decides: nothing

  INCONCLUSIVE: nothing was judged

";
        assert_eq!(render(&empty, PLAIN), expected);
    }
}
