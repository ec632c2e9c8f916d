//! What a person reads when the application has ended.

use std::time::Duration;

use alumet::{Consumer, ElementReport, ElementState, Missing, Report, Total, Totals};
use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, ColumnConstraint, Table, presets};

use crate::plugins::NOT_YET;
use crate::terminal::Look;
use crate::units::{GLUE, bytes, count, percent, seconds};

/// Where the first and the second text of a row begin.
const VALUE_AT: usize = 12;
const MORE_AT: usize = 30;
const TOP: usize = 10;

const LABEL: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const WARNING: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow)));

/// What is to be said.
pub struct Summary<'a> {
    pub command: &'a str,
    pub report: &'a Report,
    pub totals: &'a Totals,
    /// What was not measured, with reasons.
    pub missing: &'a [Missing],
    pub timed_out: Option<Duration>,
    pub per_process: bool,
    /// How the processes of the application were found.
    pub followed: &'a str,
    pub verbose: bool,
}

impl Summary<'_> {
    /// The text.
    pub fn render(&self, look: Look) -> String {
        let totals = self.totals.get();
        let numbers = Numbers { totals: &totals };
        let mut page = Page { text: "\n".into(), look };
        self.headline(&mut page);
        self.rows(&numbers, &mut page);
        if self.per_process {
            self.processes(&totals, &mut page);
        }
        page.text.push('\n');
        self.remarks(&mut page);
        page.text.push('\n');
        page.text.replace(GLUE, " ")
    }

    fn headline(&self, page: &mut Page) {
        let (text, style) = match (self.timed_out, self.report.exit) {
            (Some(limit), _) => (format!("was ended after {}", humantime::format_duration(limit)), WARNING),
            (None, Some(exit)) if exit.is_success() => (exit.to_string(), FAINT),
            (None, Some(exit)) => (exit.to_string(), WARNING),
            (None, None) => ("still runs".into(), WARNING),
        };
        let room = page.look.width.saturating_sub(text.chars().count() + 5).max(20);
        let command = shortened(&self.command.replace(char::is_control, "\u{fffd}"), room);
        let gap = " ".repeat(room.saturating_sub(textwrap::core::display_width(&command)) + 3);
        page.text.push_str(&format!("  {command}{gap}{}\n\n", page.look.paint(style, &text)));
    }

    fn rows(&self, numbers: &Numbers<'_>, page: &mut Page) {
        let wall = self.report.wall.as_secs_f64();
        page.row("Time", &seconds(wall), &numbers.cpu(wall));
        if let Some(peak) = numbers.gauge_max("process.memory.peak", "tree") {
            page.row("Memory", &format!("{} peak", bytes(peak)), &numbers.memory());
        }
        if let Some(minor) = numbers.target("process.paging.faults", "minor") {
            let major = numbers.target("process.paging.faults", "major").unwrap_or(0.0);
            page.row("Faults", &format!("{} minor", count(minor)), &format!("{} major", count(major)));
        }
        if let Some(voluntary) = numbers.target("process.context_switches", "voluntary") {
            let involuntary = numbers.target("process.context_switches", "involuntary").unwrap_or(0.0);
            let more = format!("{} involuntary", count(involuntary));
            page.row("Switches", &format!("{} voluntary", count(voluntary)), &more);
        }
        if let Some(read) = numbers.target("process.disk.io", "read") {
            let written = numbers.target("process.disk.io", "write").unwrap_or(0.0);
            page.row("Storage", &format!("{} read", bytes(read)), &format!("{} written", bytes(written)));
        }
    }

    /// The processes that used the most CPU time.
    fn processes(&self, totals: &[Total], page: &mut Page) {
        let mut rows: Vec<ProcessRow> = Vec::new();
        for total in totals {
            let Consumer::Process(pid) = total.series.consumer else { continue };
            let name = total.series.label_value("process.executable.name").unwrap_or_default();
            let row = match rows.iter_mut().find(|row| row.pid == pid && row.name == name) {
                Some(row) => row,
                None => {
                    rows.push(ProcessRow { pid, name: name.to_owned(), ..ProcessRow::default() });
                    let last = rows.len() - 1;
                    &mut rows[last]
                }
            };
            match &*total.series.metric.name {
                "process.cpu.time" => row.cpu += total.value,
                "process.memory.usage" => row.memory = row.memory.max(total.max),
                "process.paging.faults" => row.faults += total.value,
                "process.context_switches" => row.switches += total.value,
                _ => {}
            }
        }
        rows.sort_by(|a, b| b.cpu.total_cmp(&a.cpu).then(a.pid.cmp(&b.pid)));
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["  PID", "Command", "CPU", "Memory", "Faults", "Switches"]);
        for row in rows.iter().take(TOP) {
            // The other columns need up to 47.
            let room = page.look.width.saturating_sub(47).max(8);
            let name = shortened(&row.name.replace(char::is_control, "\u{fffd}"), room);
            let cells = [
                row.pid.to_string(),
                name,
                seconds(row.cpu),
                bytes(row.memory),
                count(row.faults),
                count(row.switches),
            ];
            table.add_row(cells);
        }
        for (i, column) in table.column_iter_mut().enumerate() {
            column.set_cell_alignment(if i == 1 { CellAlignment::Left } else { CellAlignment::Right });
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        page.text.push('\n');
        for line in table.lines() {
            page.text.push_str(&format!(" {}\n", line.trim_end()));
        }
        let hidden = rows.len().saturating_sub(TOP) + self.totals.omitted();
        if hidden > 0 {
            page.remark(&format!("and {hidden} more that were seen at a reading"), FAINT);
        }
        page.remark(
            "Memory is the largest sample. Processes that lived between two readings are in the totals only.",
            FAINT,
        );
    }

    /// How good the numbers are, what is missing, and what went wrong.
    fn remarks(&self, page: &mut Page) {
        let report = self.report;
        if !report.survivors.is_empty() {
            let names: Vec<_> =
                report.survivors.iter().take(TOP).map(|s| format!("{} ({})", s.name, s.pid)).collect();
            let more = report.survivors.len().saturating_sub(TOP);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            page.remark(&format!("still running, left alone: {}{more}", names.join(", ")), WARNING);
        }
        if report.suspended > Duration::from_millis(1) {
            let time = seconds(report.suspended.as_secs_f64());
            page.remark(&format!("the machine was suspended for {time} of the run"), WARNING);
        }
        for element in &report.elements {
            if let Some(text) = trouble(element) {
                page.remark(&text, WARNING);
            }
        }
        page.remark(&self.quality(), FAINT);
        let mut missing: Vec<String> = self.missing.iter().map(what_and_why).collect();
        missing.push(format!("{} (no plugin for them in this version)", NOT_YET.join(", ")));
        page.remark(&format!("not measured: {}", missing.join(" · ")), FAINT);
        if self.verbose {
            page.remark(&format!("processes found through {}", self.followed), FAINT);
            for element in &report.elements {
                let points = crate::units::whole(element.points);
                page.remark(&format!("{} {}: {points} points", element.kind, element.name), FAINT);
            }
        }
    }

    fn quality(&self) -> String {
        let report = self.report;
        let mut parts = Vec::new();
        for sampling in &report.sampling {
            let asked = sampling.ticks + sampling.missed;
            let interval = seconds(sampling.interval.as_secs_f64());
            let got = sampling.mean_interval.map(|mean| format!(", {} got", seconds(mean.as_secs_f64())));
            parts.push(match asked {
                0 => format!("read at start and end (shorter than the {interval} between two samples)"),
                _ => format!(
                    "{} of {asked} samples, {interval} asked{}",
                    sampling.ticks,
                    got.unwrap_or_default()
                ),
            });
        }
        if parts.is_empty() {
            parts.push("nothing was sampled".into());
        }
        let cpu = report.own.cpu.as_secs_f64();
        let wall = report.wall.as_secs_f64();
        // Of a short run most would be the start of alumet, which happens before and after it.
        let share =
            if wall >= 1.0 { format!(", {} of one core", percent(cpu / wall)) } else { String::new() };
        format!("{}; alumet itself used {} CPU{share}", parts.join("; "), seconds(cpu))
    }
}

/// What went wrong with an element of the pipeline, if anything did.
fn trouble(element: &ElementReport) -> Option<String> {
    let error = element.last_error.as_deref()?;
    let name = &element.name;
    Some(match element.state {
        ElementState::Hung => format!("{name}: {error}; the others went on without it"),
        ElementState::Failed => format!("{name} was left out: {error}"),
        ElementState::Active | ElementState::Stopped => {
            let times = if element.errors == 1 { "once".into() } else { format!("{} times", element.errors) };
            format!("{name} failed {times}, at last: {error}")
        }
    })
}

fn what_and_why(missing: &Missing) -> String {
    let remedy = if missing.remedy.is_empty() { String::new() } else { format!(": {}", missing.remedy) };
    format!("{} ({}{remedy})", missing.what, missing.reason)
}

fn shortened(text: &str, room: usize) -> String {
    if textwrap::core::display_width(text) <= room {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        if textwrap::core::display_width(&short) + 2 > room {
            break;
        }
        short.push(c);
    }
    short + "…"
}

/// Text under construction.
struct Page {
    text: String,
    look: Look,
}

impl Page {
    /// `  Label    value          more`, with `more` wrapped below itself.
    fn row(&mut self, label: &str, value: &str, more: &str) {
        let gap = |text: &str, to: usize| " ".repeat(to.saturating_sub(text.chars().count()).max(2));
        let mut head = format!("{}{}", self.look.paint(LABEL, label), gap(label, VALUE_AT - 2));
        head.push_str(value);
        if !more.is_empty() {
            head.push_str(&gap(value, MORE_AT - VALUE_AT));
        }
        let room = self.look.width.saturating_sub(MORE_AT + 1).max(20);
        let lines = textwrap::wrap(more, room);
        let indent = format!("\n{}", " ".repeat(MORE_AT));
        self.text.push_str(&format!("  {head}{}\n", lines.join(&indent)));
    }

    /// A wrapped line.
    fn remark(&mut self, text: &str, style: Style) {
        let options = textwrap::Options::new(self.look.width.saturating_sub(1))
            .initial_indent("  ")
            .subsequent_indent("  ");
        for line in textwrap::wrap(text, options) {
            self.text.push_str(&format!("{}\n", self.look.paint(style, &line)));
        }
    }
}

#[derive(Debug, Default)]
struct ProcessRow {
    pid: i32,
    name: String,
    cpu: f64,
    memory: f64,
    faults: f64,
    switches: f64,
}

/// Looks numbers up by metric and the value of a label.
struct Numbers<'a> {
    totals: &'a [Total],
}

impl Numbers<'_> {
    fn find(&self, consumer: Consumer, metric: &str, label: &str) -> Option<&Total> {
        self.totals.iter().find(|total| {
            let series = &total.series;
            series.consumer == consumer
                && series.metric.name == metric
                && (label.is_empty() || series.labels.iter().any(|(_, value)| value == label))
        })
    }

    fn target(&self, metric: &str, label: &str) -> Option<f64> {
        self.find(Consumer::Target, metric, label).map(|total| total.value)
    }

    fn gauge_max(&self, metric: &str, label: &str) -> Option<f64> {
        self.find(Consumer::Target, metric, label).map(|total| total.max)
    }

    fn cpu(&self, wall: f64) -> String {
        let Some(user) = self.target("process.cpu.time", "user") else {
            return "CPU time not measured".into();
        };
        let system = self.target("process.cpu.time", "system").unwrap_or(0.0);
        let cpu = user + system;
        let mut text = format!("CPU {} ({} user, {} system)", seconds(cpu), seconds(user), seconds(system));
        if wall > 0.0 {
            let cores = cpu / wall;
            let busy = if cores < 0.1 {
                format!("{} of a core", percent(cores))
            } else {
                format!("{cores:.2} cores")
            };
            text.push_str(&format!(", {busy} busy"));
        }
        // The machine's time comes in ticks of 10 ms, so short runs have no share.
        let busy: f64 = ["user", "nice", "system", "interrupt"]
            .iter()
            .filter_map(|mode| self.find(Consumer::Machine, "system.cpu.time", mode))
            .map(|total| total.value)
            .sum();
        if busy >= 1.0 {
            text.push_str(&format!(", {} of the machine's busy time", percent((cpu / busy).min(1.0))));
        }
        text
    }

    /// What there is to say about the peak of memory besides its value.
    fn memory(&self) -> String {
        let Some(largest) = self.find(Consumer::Target, "process.memory.peak", "largest_process") else {
            return String::new();
        };
        let Some(tree) = self.find(Consumer::Target, "process.memory.peak", "tree") else {
            return String::new();
        };
        let at_most = if largest.series.method.contains("upper bound") { "at most " } else { "" };
        let samples = self.find(Consumer::Target, "process.memory.usage", "").map_or(0, |total| total.points);
        let of_tree = match &*tree.series.method {
            "cgroup memory.peak" => "tree".to_owned(),
            _ if samples == 0 => "tree, at least: it was not sampled".to_owned(),
            _ if samples == 1 => "tree, from 1 sample".to_owned(),
            _ => format!("tree, from {} samples", count(samples as f64)),
        };
        format!("{of_tree}; largest process {at_most}{}", bytes(largest.value))
    }
}
