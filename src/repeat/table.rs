//! What repeated runs came to, for a person.

use alumet_statistics::describe::describe;
use comfy_table::{CellAlignment, ColumnConstraint, Table, presets};

use super::peculiarities::{MATTERS, drift_of, others, outliers_of, spread};
use super::readings::Column;
use super::series::Series;
use crate::mark::marked;
use crate::page::{FAINT, Page, WARNING};
use crate::profile::Parameters;
use crate::quantity::{Quantity, Unfit};
use crate::summary::not_measured;
use crate::terminal::{Look, shortened};
use crate::units::GLUE;

/// The text: a line with the command, a row for each quantity, and remarks. Those that are the same in every series are only
/// there if they are asked for (`verbose`).
pub fn render(
    title: &str,
    parameters: &Parameters,
    series: &Series,
    warmups: usize,
    verbose: bool,
    look: Look,
) -> String {
    let mut page = Page::of_summary(look);
    let runs = match series.readings.len() {
        1 => "1 run".to_owned(),
        n => format!("{n} runs"),
    };
    let warmups = match warmups {
        0 => String::new(),
        1 => ", 1 warm-up".into(),
        n => format!(", {n} warm-ups"),
    };
    let about = format!("{runs}{warmups}");
    let room = look.width.saturating_sub(about.len() + 5).max(20);
    let values = parameters.iter().map(|(name, value)| format!("   {name} = {value}")).collect::<String>();
    let title = shortened(&format!("{title}{values}").replace(char::is_control, "\u{fffd}"), room);
    let gap = " ".repeat(room.saturating_sub(textwrap::core::display_width(&title)) + 3);
    page.text.push_str(&format!("  {title}{gap}{}\n\n", look.paint(FAINT, &about)));
    let columns = series.readings.columns();
    if !columns.is_empty() {
        let wide = table(&columns);
        let has_room = wide.lines().all(|line| textwrap::core::display_width(line) < look.width);
        page.text.push_str(&if has_room { wide } else { stacked(&columns) });
        page.text.push('\n');
    }
    for column in &columns {
        let drift = drift_of(column.quantity.label(), title.trim(), &column.values, MATTERS);
        drift.iter().for_each(|text| page.remark(text, WARNING));
    }
    let apart = spread(&series.readings).into_iter().chain(others(&series.readings.meantime));
    apart.for_each(|text| page.remark(&text, WARNING));
    if series.readings.column(&Quantity::Time).is_some_and(|time| time.values.iter().all(|s| *s < 0.005)) {
        page.remark("the runs are shorter than 5 ms: what starts a process is a large part of them", FAINT);
    }
    for column in &columns {
        let doubts = column.ways.iter().filter_map(|way| way.unfit.as_ref());
        let mut doubts: Vec<_> =
            doubts.filter(|unfit| !matches!(unfit, Unfit::Estimated | Unfit::Derived)).collect();
        doubts.dedup();
        for unfit in doubts {
            page.remark(&format!("{}: {unfit}", column.quantity.label()), FAINT);
        }
    }
    let energy = series.readings.column(&Quantity::Energy);
    if let Some(way) =
        energy.and_then(|energy| energy.ways.first()).filter(|way| verbose && way.provenance != "measured")
    {
        page.remark(&format!("energy is {}: {}", way.provenance, way.method), FAINT);
    }
    if series.left_behind > 0 {
        page.remark(&left_behind(series.left_behind, series.readings.len()), WARNING);
    }
    if series.accepted_failures > 0 {
        page.remark(&accepted(series.accepted_failures, series.readings.len()), WARNING);
    }
    series.trouble.iter().for_each(|text| page.remark(text, WARNING));
    if !series.missing.is_empty() {
        page.remark(&not_measured(&series.missing, verbose), FAINT);
    }
    page.text.push('\n');
    page.text.replace(GLUE, " ")
}

/// What is wrong with that.
pub const UNCOUNTED: &str = "whose work is not counted: --wait-all waits for it";

/// Of so many runs.
pub fn left_behind(n: usize, of: usize) -> String {
    format!("{n} of {of} runs left processes behind, {UNCOUNTED}")
}

/// Of so many runs.
pub fn accepted(n: usize, of: usize) -> String {
    format!("{n} of {of} runs failed, which --ignore-failure accepts")
}

/// A quantity in words.
struct Cells {
    label: String,
    mean: String,
    median: String,
    range: String,
    n: usize,
    outliers: String,
}

impl Cells {
    /// Nothing where sums of the values are no numbers.
    fn of(column: &Column) -> Option<Self> {
        let Column { quantity, values, ways, .. } = column;
        let description = describe(values).ok()?;
        let is_estimated = ways.iter().any(|way| way.provenance == "estimated");
        let provenance = if is_estimated { "estimated" } else { "" };
        let words = |value| marked(provenance, column.bound(), &quantity.in_words(value));
        let mean = match description.stddev {
            Some(stddev) => format!("{} ±{GLUE}{}", words(description.mean), quantity.in_words(stddev)),
            None => words(description.mean),
        };
        Some(Self {
            label: quantity.label().to_owned(),
            mean,
            median: words(description.median),
            range: format!("{} … {}", words(description.min), words(description.max)),
            n: description.n,
            outliers: flagged(values),
        })
    }
}

fn table(columns: &[&Column]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.add_row(["", "mean ± sd", "median", "min … max", "n", ""]);
    for cells in columns.iter().filter_map(|column| Cells::of(column)) {
        let Cells { label, mean, median, range, n, outliers } = cells;
        table.add_row([label, mean, median, range, n.to_string(), outliers]);
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        let alignment = if i == 4 { CellAlignment::Right } else { CellAlignment::Left };
        column.set_cell_alignment(alignment);
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    table.lines().map(|line| format!(" {}\n", line.trim_end())).collect()
}

/// The same below each other, where the table is too wide. How many runs there are stands above, unless some lack it.
fn stacked(columns: &[&Column]) -> String {
    let all = columns.iter().map(|column| column.values.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Cells { label, mean, median, range, n, outliers } in
        columns.iter().filter_map(|column| Cells::of(column))
    {
        text.push_str(&format!("  {label}\n    {mean}\n    median {median}\n    {range}\n"));
        if n != all {
            text.push_str(&format!("    of {n} runs\n"));
        }
        if !outliers.is_empty() {
            text.push_str(&format!("    {outliers}\n"));
        }
    }
    text
}

/// `1 outlier (run 4)`.
fn flagged(values: &[f64]) -> String {
    let outliers = outliers_of(values, MATTERS);
    let runs: Vec<_> = outliers.iter().take(3).map(|outlier| (outlier.run + 1).to_string()).collect();
    let more = if outliers.len() > 3 { ", …" } else { "" };
    match outliers.len() {
        0 => String::new(),
        1 => format!("1 outlier (run {})", runs[0]),
        n => format!("{n} outliers (runs {}{more})", runs.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::Reading;
    use alumet::Bound;

    fn series(of_runs: &[(f64, f64)]) -> Series {
        let reading = |value, provenance: &str| Reading {
            value,
            provenance: provenance.into(),
            method: "a rule".into(),
            bound: Some(Bound::Exact),
            unfit: None,
        };
        let run = |(energy, time): &(f64, f64)| {
            vec![
                (Quantity::Energy, reading(*energy, "attributed")),
                (Quantity::Time, reading(*time, "measured")),
            ]
        };
        let mut series = Series::default();
        of_runs.iter().for_each(|of_run| series.readings.add(run(of_run)));
        series
    }

    #[test]
    fn each_quantity_has_a_row_and_outliers_are_named_and_kept() {
        let mut runs: Vec<_> = (0..9).map(|i| (11.0 + 0.02 * f64::from(i), 4.0)).collect();
        runs.insert(3, (14.0, 4.0));
        let look = Look { width: 90, colours: false };
        let text = render("./bench", &Parameters::new(), &series(&runs), 1, true, look);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>().join(" "), "./bench 10 runs, 1 warm-up");
        assert_eq!(
            lines[4].split_whitespace().collect::<Vec<_>>().join(" "),
            "Energy 11.4 J ± 925 mJ 11.1 J 11 J … 14 J 10 1 outlier (run 4)"
        );
        assert!(lines[5].contains("Time") && !lines[5].contains("outlier"), "{text}");
        assert!(text.contains("energy is attributed: a rule"), "{text}");
    }

    #[test]
    fn where_the_table_is_too_wide_the_numbers_are_below_each_other() {
        let look = Look { width: 40, colours: false };
        let text = render(
            "./bench --with many --options",
            &Parameters::new(),
            &series(&[(11.0, 4.0), (12.0, 4.1)]),
            0,
            true,
            look,
        );
        let energy = "  Energy\n    11.5 J ± 707 mJ\n    median 11.5 J\n    11 J … 12 J\n  Time\n";
        assert!(text.contains(energy), "{text}");
        assert!(text.lines().all(|line| textwrap::core::display_width(line) <= 40), "{text}");
    }

    #[test]
    fn what_cannot_be_believed_is_said_once() {
        let mut series = series(&[(1.0, 1.0), (1.1, 1.0)]);
        for value in [2e6, 2.1e6] {
            let memory = Reading {
                value,
                provenance: "measured".into(),
                method: "m".into(),
                bound: Some(Bound::AtMost),
                unfit: Some(Unfit::Bound(Some(Bound::AtMost), "it may be alumet's".into())),
            };
            series.readings.add(vec![(Quantity::Memory, memory)]);
        }
        let text = render("x", &Parameters::new(), &series, 0, true, Look { width: 120, colours: false });
        let doubt = "Memory: it is at most so much: it may be alumet's";
        assert_eq!(text.matches(doubt).count(), 1, "{text}");
        assert!(
            text.contains("at most 2.05 MB ±") && text.contains("at most 2 MB … at most 2.10 MB"),
            "{text}"
        );
    }

    #[test]
    fn of_no_run_there_is_nothing_but_the_title() {
        let text = render(
            "./bench",
            &Parameters::new(),
            &Series::default(),
            0,
            true,
            Look { width: 80, colours: false },
        );
        assert_eq!(text.split_whitespace().collect::<Vec<_>>().join(" "), "./bench 0 runs");
    }
}
