//! What a person reads when the application has ended: two or three lines, or with `-v` the whole of it.

mod full;
mod numbers;
mod remarks;
mod short;

use alumet::{Consumer, Kind, Missing, Report, Total, Totals};

use self::numbers::{Numbers, in_words};
pub use self::remarks::{is_lacking, not_measured, trouble};
use crate::breakdown::{self, Breakdown, By};
use crate::derived::{Derived, Span};
use crate::followed::Followed;
use crate::footprint::Rates;
use crate::mark::marked;
use crate::outcome::Outcome;
use crate::page::{FAINT, Page, WARNING};
use crate::profile::metric::MetricTotal;
use crate::terminal::{Look, shortened};
use crate::units::{GLUE, amount, seconds};

/// What is to be said.
pub struct Summary<'a> {
    pub report: &'a Report,
    pub totals: &'a Totals,
    /// What was not measured, with reasons.
    pub missing: &'a [Missing],
    /// What of that was known before the run: it is so on this machine, and not a matter of this run.
    pub known: &'a [Missing],
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
        let numbers = Numbers { totals: &totals, metrics: &metrics, span: Span::of(self.report) };
        let time = marked("", Some(self.report.wall_bound), &seconds(numbers.span.wall));
        let mut page = Page::of_summary(look);
        self.headline(&mut page);
        match self.verbose {
            true => full::rows(&numbers, &time, &self.rates, &mut page),
            false => short::lines(&numbers, &time, &self.rates, &mut page),
        }
        if self.events {
            events(&numbers, &mut page);
        }
        for (wanted, by) in [(self.per_process, By::Process), (self.per_thread, By::Thread)] {
            if wanted {
                self.breakdown(by, &totals, &mut page);
            }
        }
        page.text.push('\n');
        remarks::warnings(self, &mut page);
        match self.verbose {
            true => remarks::full(self, &mut page),
            false => remarks::short(self, &numbers, &mut page),
        }
        page.text.push('\n');
        page.text.replace(GLUE, " ")
    }

    /// What was run and how it ended. That it ended well is no news.
    fn headline(&self, page: &mut Page) {
        let (text, style) = match (self.outcome.timed_out, self.report.exit) {
            _ if self.attached && self.outcome.ended => ("ended".into(), FAINT),
            _ if self.attached => ("still runs".into(), FAINT),
            (Some(limit), _) => (format!("was ended after {}", humantime::format_duration(limit)), WARNING),
            (None, Some(exit)) if exit.is_success() && !self.verbose => return,
            (None, Some(exit)) if exit.is_success() => (exit.to_string(), FAINT),
            (None, Some(exit)) => (exit.to_string(), WARNING),
            (None, None) => ("still runs".into(), WARNING),
        };
        let room = page.look.width.saturating_sub(text.chars().count() + 5).max(10);
        let command = shortened(&self.outcome.title.replace(char::is_control, "\u{fffd}"), room);
        let gap = " ".repeat(room.saturating_sub(textwrap::core::display_width(&command)) + 3);
        page.text.push_str(&format!("  {command}{gap}{}\n\n", page.look.paint(style, &text)));
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
}

/// Every event, as with `perf stat`.
fn events(numbers: &Numbers<'_>, page: &mut Page) {
    let derived = numbers.derived();
    let mut rows = Vec::new();
    for (total, metric) in numbers.totals.iter().zip(numbers.metrics) {
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
        remarks.extend(numbers.scaled(&metric.key));
        if !total.bound.is_exact() {
            remarks.push(total.bound_reason.to_string());
        }
        let value = marked("", Some(total.bound), &amount(total.value, &series.metric.unit));
        rows.push([value, event.to_owned(), remarks.join(", ")]);
    }
    if !rows.is_empty() {
        page.text.push('\n');
        page.table(&rows);
    }
}
