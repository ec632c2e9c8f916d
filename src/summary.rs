//! What a person reads when the application has ended.

use std::time::Duration;

use alumet::conventions::is_busy_time;
use alumet::{Bound, Consumer, ElementReport, ElementState, Kind, Missing, Report, Total, Totals};
use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, ColumnConstraint, Table, presets};

use crate::breakdown::{self, Breakdown, By};
use crate::derived::{self, Derived, Span, derive};
use crate::energy::MachineEnergy;
use crate::followed::Followed;
use crate::footprint::Rates;
use crate::gpu;
use crate::measure::Outcome;
use crate::profile::{Key, MetricTotal, Wall};
use crate::quantity::{Quantity, Reading, marked, multiplexed, peak};
use crate::sensors;
use crate::terminal::{Look, shortened};
use crate::units::{GLUE, amount, bytes, count, hertz, percent, seconds};

/// Where the first and the second text of a row begin.
const VALUE_AT: usize = 12;
const MORE_AT: usize = 30;
const TOP: usize = 10;

const LABEL: Style = Style::new().bold();
pub const FAINT: Style = Style::new().dimmed();
pub const WARNING: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow)));

/// What is to be said.
pub struct Summary<'a> {
    pub report: &'a Report,
    pub totals: &'a Totals,
    /// What was not measured, with reasons.
    pub missing: &'a [Missing],
    pub outcome: &'a Outcome<'a>,
    /// What energy is to be converted to.
    pub rates: Rates,
    /// Where the idle power comes from, if one is known.
    pub idle: Option<&'a str>,
    /// Whether the processes ran already.
    pub attached: bool,
    /// Whether somebody has asked for certain events.
    pub events: bool,
    pub per_process: bool,
    pub per_thread: bool,
    /// Rows in each break-down.
    pub top: usize,
    /// How the processes of the application were found.
    pub followed: &'a Followed,
    pub verbose: bool,
}

impl Summary<'_> {
    /// The text.
    pub fn render(&self, look: Look) -> String {
        let totals = self.totals.get();
        let metrics = MetricTotal::all(&totals);
        let numbers = Numbers { totals: &totals, metrics: &metrics };
        let mut page = Page::new(look);
        self.headline(&mut page);
        self.rows(&numbers, &mut page);
        if self.events {
            self.events(&numbers, &mut page);
        }
        for (wanted, by) in [(self.per_process, By::Process), (self.per_thread, By::Thread)] {
            if wanted {
                self.breakdown(by, &totals, &mut page);
            }
        }
        page.text.push('\n');
        self.remarks(&mut page);
        page.text.push('\n');
        page.text.replace(GLUE, " ")
    }

    fn headline(&self, page: &mut Page) {
        let (text, style) = match (self.outcome.timed_out, self.report.exit) {
            _ if self.attached && self.outcome.ended => ("ended".into(), FAINT),
            _ if self.attached => ("still runs".into(), FAINT),
            (Some(limit), _) => (format!("was ended after {}", humantime::format_duration(limit)), WARNING),
            (None, Some(exit)) if exit.is_success() => (exit.to_string(), FAINT),
            (None, Some(exit)) => (exit.to_string(), WARNING),
            (None, None) => ("still runs".into(), WARNING),
        };
        let room = page.look.width.saturating_sub(text.chars().count() + 5).max(20);
        let command = shortened(&self.outcome.title.replace(char::is_control, "\u{fffd}"), room);
        let gap = " ".repeat(room.saturating_sub(textwrap::core::display_width(&command)) + 3);
        page.text.push_str(&format!("  {command}{gap}{}\n\n", page.look.paint(style, &text)));
    }

    fn rows(&self, numbers: &Numbers<'_>, page: &mut Page) {
        let report = self.report;
        let span = Span::of(report);
        let energy = MachineEnergy::of(numbers.metrics);
        // Meters are read at the marks, not when the application ends.
        let energy = energy.iter().flat_map(|energy| energy.rows(span.counted));
        for [label, value, more] in energy.chain(sensors::rows(numbers.totals, numbers.metrics, span.counted))
        {
            page.row(&label, &value, &more);
        }
        let time = marked("", Some(report.wall_bound), &seconds(span.wall));
        page.row("Time", &time, &numbers.cpu(&span));
        if let Some([peak, more]) = numbers.memory() {
            page.row("Memory", &peak, &more);
        }
        self.work(numbers, page);
        let faults = numbers.pair("process.paging.faults", ["minor", "major"]);
        Self::row_of_two("Faults", faults, numbers.counted("page-faults"), "", page);
        let switches = numbers.pair("process.context_switches", ["voluntary", "involuntary"]);
        let migrations = numbers
            .event("cpu-migrations")
            .map_or_else(String::new, |n| format!(", {} between CPUs", count(n)));
        Self::row_of_two("Switches", switches, numbers.counted("context-switches"), &migrations, page);
        if let Some((value, more)) = gpu::row(numbers.metrics, span.counted) {
            page.row("GPU", &value, &more);
        }
        for [label, value, more] in self.rates.rows(numbers.metrics) {
            page.row(&label, &value, &more);
        }
        if let Some([read, written]) = numbers.pair("process.disk.io", ["read", "write"]) {
            page.row(
                "Storage",
                &read.counted(bytes),
                &format!("{}{}", written.counted(bytes), because([&read, &written])),
            );
        }
    }

    /// What the CPU has done, where it has counters for that.
    fn work(&self, numbers: &Numbers<'_>, page: &mut Page) {
        let derived = derive(numbers.metrics, &Span::of(self.report));
        for (modes, only) in [("", None), (":u", Some("in user mode alone"))] {
            let Some(instructions) = numbers.counted(&format!("instructions{modes}")) else { continue };
            let mut more: Vec<_> = derived
                .iter()
                .filter(|derived| derived.kind.is_of_work(modes))
                .filter_map(in_words)
                .collect();
            more.extend(only.map(str::to_owned));
            more.extend(numbers.metric(instructions).and_then(|metric| scaled(numbers.metrics, &metric.key)));
            let value = format!("{} instructions", count(instructions.value));
            page.row("Work", &value, &more.join(", "));
        }
    }

    /// A row of a quantity that comes in two kinds. Where these are not known wholly, an inherited counter may know the
    /// sum of them.
    fn row_of_two(
        label: &str,
        kinds: Option<[Part<'_>; 2]>,
        counted: Option<&Total>,
        more: &str,
        page: &mut Page,
    ) {
        let Some([first, second]) = kinds else { return };
        let lacks = [&first, &second].iter().any(|part| part.total.bound == Bound::AtLeast);
        match counted.filter(|all| lacks && all.value > first.total.value + second.total.value) {
            Some(all) => {
                let seen = format!("{} and {}{more}", first.counted(count), second.counted(count));
                page.row(label, &marked("", Some(all.bound), &count(all.value)), &seen);
            }
            None => {
                let second_and_why = format!("{}{more}{}", second.counted(count), because([&first, &second]));
                page.row(label, &first.counted(count), &second_and_why);
            }
        }
    }

    /// Every event, as with `perf stat`.
    fn events(&self, numbers: &Numbers<'_>, page: &mut Page) {
        let totals = numbers.totals;
        let derived = derive(numbers.metrics, &Span::of(self.report));
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        for (total, metric) in totals.iter().zip(numbers.metrics) {
            let series = &total.series;
            let Some(event) = series.metric.name.strip_prefix("perf.") else { continue };
            let whole = matches!(series.consumer, Consumer::Target | Consumer::Machine);
            if series.metric.kind == Kind::Gauge || !whole {
                continue;
            }
            let mut remarks: Vec<String> = Vec::new();
            if series.consumer == Consumer::Machine {
                remarks.push("whole machine".into());
            }
            remarks.extend(series.label_value("hw.cpu.core_type").map(|pmu| format!("on {pmu}")));
            let beside = |derived: &&Derived| derived.kind.event().as_deref() == Some(event);
            remarks.extend(derived.iter().filter(beside).filter_map(in_words));
            remarks.extend(scaled(numbers.metrics, &metric.key));
            if !total.bound.is_exact() {
                remarks.push(total.bound_reason.to_string());
            }
            let value = marked("", Some(total.bound), &amount(total.value, &series.metric.unit));
            let cells = [value, event.to_owned(), remarks.join(", ")];
            table.add_row(cells);
        }
        for (i, column) in table.column_iter_mut().enumerate() {
            column.set_cell_alignment(if i == 0 { CellAlignment::Right } else { CellAlignment::Left });
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        if table.row_count() == 0 {
            return;
        }
        page.text.push('\n');
        for line in table.lines() {
            page.text.push_str(&format!(" {}\n", line.trim_end()));
        }
    }

    /// Those that used the most CPU time.
    fn breakdown(&self, by: By, totals: &[Total], page: &mut Page) {
        let Breakdown { lines, hidden } = breakdown::table(by, totals, self.top, page.look.width);
        page.text.push('\n');
        lines.iter().for_each(|line| page.text.push_str(&format!(" {line}\n")));
        let hidden = hidden + if by == By::Process || !self.per_process { self.totals.omitted() } else { 0 };
        if hidden > 0 {
            page.remark(&format!("and {hidden} more that were seen at a reading"), FAINT);
        }
        page.remark(
            match by {
                By::Process => {
                    "Memory is the largest sample. Processes that lived between two readings are in the totals only."
                }
                By::Thread => "Threads that lived between two readings are in the totals only.",
            },
            FAINT,
        );
    }

    /// How good the numbers are, what is missing, and what went wrong.
    fn remarks(&self, page: &mut Page) {
        let report = self.report;
        if !report.survivors.is_empty() && self.outcome.ended {
            let names: Vec<_> =
                report.survivors.iter().take(TOP).map(|s| format!("{} ({})", s.name, s.pid)).collect();
            let more = report.survivors.len().saturating_sub(TOP);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            page.remark(&format!("still running, left alone: {}{more}", names.join(", ")), WARNING);
        }
        if !report.wall_bound.is_exact() {
            let (bound, reason) = (report.wall_bound.as_str(), &report.wall_bound_reason);
            page.remark(&format!("the time is {bound} so much: {reason}"), WARNING);
        }
        if let Some(kills) = &report.oom_kills {
            page.remark(&format!("out of memory: {kills}"), WARNING);
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
        if let Some(idle) = self.idle {
            page.remark(idle, FAINT);
        }
        let missing: Vec<String> = self.missing.iter().map(what_and_why).collect();
        if !missing.is_empty() {
            page.remark(&format!("not measured: {}", missing.join(" · ")), FAINT);
        }
        if self.attached {
            page.remark("counted from the moment of attaching on", FAINT);
        }
        if self.verbose {
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
        parts.push(self.followed.limits.clone());
        format!("{}; alumet itself used {} CPU{share}", parts.join("; "), seconds(cpu))
    }
}

/// What went wrong with an element of the pipeline, if anything did.
pub fn trouble(element: &ElementReport) -> Option<String> {
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

/// `1.94 per cycle`, `4.02 GHz`, `2.1 % branch misses`, `1.93 CPUs used`; nothing for what has a row of its own.
fn in_words(derived: &Derived) -> Option<String> {
    let value = derived.value;
    let words = match &derived.kind {
        derived::Kind::AboveIdle | derived::Kind::Footprint => return None,
        derived::Kind::CpusUsed => format!("{value:.2} CPUs used"),
        derived::Kind::PerCycle { .. } => format!("{value:.2} per cycle"),
        derived::Kind::Frequency => hertz(value),
        derived::Kind::Misses { event, .. } => {
            format!("{} {}", percent(value), event.replace("-misses", " misses"))
        }
    };
    Some(marked(derived.provenance, derived.bound, &words))
}

/// That an event had to share its counter, if it had.
fn scaled(metrics: &[MetricTotal], event: &Key) -> Option<String> {
    let share = multiplexed(metrics, event)?;
    // Almost all of it is not all of it.
    let share = if share > 0.99 { format!("99{GLUE}%") } else { percent(share) };
    Some(format!("multiplexed: counted {share} of the time, scaled"))
}

pub fn what_and_why(missing: &Missing) -> String {
    let remedy = if missing.remedy.is_empty() { String::new() } else { format!(": {}", missing.remedy) };
    format!("{} ({}{remedy})", missing.what, missing.reason)
}

/// Text under construction.
pub struct Page {
    pub text: String,
    look: Look,
}

impl Page {
    /// An empty line.
    pub fn new(look: Look) -> Self {
        Self { text: "\n".into(), look }
    }

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
    pub fn remark(&mut self, text: &str, style: Style) {
        // Names may hold anything.
        let text = &text.replace(char::is_control, "\u{fffd}");
        let options = textwrap::Options::new(self.look.width.saturating_sub(1))
            .initial_indent("  ")
            .subsequent_indent("  ");
        for line in textwrap::wrap(text, options) {
            self.text.push_str(&format!("{}\n", self.look.paint(style, &line)));
        }
    }
}

/// Looks numbers up by metric and the value of a label.
struct Numbers<'a> {
    totals: &'a [Total],
    /// The same, for the rules that hold for stored runs as well.
    metrics: &'a [MetricTotal],
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

    /// The same total as in files: they are in the same order.
    fn metric(&self, total: &Total) -> Option<&MetricTotal> {
        let place = self.totals.iter().position(|other| std::ptr::eq(other, total))?;
        self.metrics.get(place)
    }

    /// The two kinds of a metric of the application.
    fn pair(&self, metric: &str, kinds: [&'static str; 2]) -> Option<[Part<'_>; 2]> {
        let part = |kind| Some(Part { kind, total: self.find(Consumer::Target, metric, kind)? });
        Some([part(kinds[0])?, part(kinds[1])?])
    }

    /// An event of the whole tree.
    fn counted(&self, name: &str) -> Option<&Total> {
        self.find(Consumer::Target, &format!("perf.{name}"), "")
    }

    fn event(&self, name: &str) -> Option<f64> {
        self.counted(name).map(|total| total.value)
    }

    fn cpu(&self, span: &Span) -> String {
        let Some(parts) = self.pair("process.cpu.time", ["user", "system"]) else {
            return "CPU time not measured".into();
        };
        let Some(Reading { value: cpu, bound, .. }) = Quantity::Cpu.of_run(&Wall::default(), self.metrics)
        else {
            return "CPU time not measured".into();
        };
        let [user, system] = parts.each_ref().map(|part| part.total.value);
        let all = marked("", bound, &seconds(cpu));
        let mut text = format!("CPU {all} ({} user, {} system)", seconds(user), seconds(system));
        if let Some((cores, _)) = span.cpus_used(cpu) {
            let busy = if cores < 0.1 {
                format!("{} of a core", percent(cores))
            } else {
                format!("{cores:.2} cores")
            };
            text.push_str(&format!(", {busy} busy"));
        }
        // The machine's time comes in ticks of 10 ms, so short runs have no share.
        let busy = self.totals.iter().filter(|total| is_busy_time(&total.series));
        let busy: f64 = busy.map(|total| total.value).sum();
        if busy >= 1.0 {
            text.push_str(&format!(", {} of the machine's busy time", percent((cpu / busy).min(1.0))));
        }
        text + &because([&parts[0], &parts[1]])
    }

    /// The peak of memory, and what there is to say about it.
    fn memory(&self) -> Option<[String; 2]> {
        let in_words = |peak: &MetricTotal| marked("", Some(peak.bound), &bytes(peak.amount.most()));
        let [largest, tree, cached] =
            ["largest_process", "tree", "cgroup"].map(|scope| peak(self.metrics, scope));
        // It may be smaller: what others have brought into the cache is theirs.
        let cached =
            cached.filter(|cached| tree.is_none_or(|tree| cached.amount.most() > tree.amount.most()));
        let cached = cached
            .map_or_else(String::new, |peak| format!("; {} with page cache", bytes(peak.amount.most())));
        let Some(tree) = tree else {
            let why = "largest process; what they have together was not sampled";
            return Some([in_words(largest?), format!("{why}{cached}")]);
        };
        let value = in_words(tree);
        let samples = self.find(Consumer::Target, "process.memory.usage", "").map_or(0, |total| total.points);
        let of_tree = match (tree.bound, samples) {
            (Bound::Exact, _) => return Some([format!("{value} peak"), format!("its only process{cached}")]),
            (Bound::AtMost, _) => return Some([value, format!("{}{cached}", tree.bound_reason)]),
            (Bound::AtLeast, 0) => "peak of the tree, which was not sampled".to_owned(),
            (Bound::AtLeast, 1) => "peak of the tree, from 1 sample".to_owned(),
            (Bound::AtLeast, n) => format!("peak of the tree, from {} samples", count(n as f64)),
        };
        let largest =
            largest.map_or_else(String::new, |peak| format!("; largest process {}", in_words(peak)));
        Some([value, format!("{of_tree}{largest}{cached}")])
    }
}

/// One of the two kinds that a metric comes in.
struct Part<'a> {
    kind: &'static str,
    total: &'a Total,
}

impl Part<'_> {
    /// `41k minor`.
    fn counted(&self, in_words: impl Fn(f64) -> String) -> String {
        let value = in_words(self.total.value);
        let kind = match self.kind {
            "write" => "written",
            kind => kind,
        };
        format!("{} {kind}", marked("", Some(self.total.bound), &value))
    }
}

/// Why they are not exact, if that is so.
fn because(parts: [&Part<'_>; 2]) -> String {
    let mut reasons: Vec<&str> = parts.iter().map(|part| &*part.total.bound_reason).collect();
    reasons.retain(|reason| !reason.is_empty());
    reasons.dedup();
    reasons.iter().map(|reason| format!("; {reason}")).collect()
}
