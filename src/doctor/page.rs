//! The findings as a person reads them: one screen.

use alumet::privilege::is_in_user_namespace;
use alumet_plugin_rapl::refusal::UDEV;

use super::{Findings, Source, Status};
use crate::page::Page;
use crate::terminal::Look;
use crate::units::{GLUE, joules, percent, seconds};

/// Where the second and the third column begin.
const COLUMNS: [usize; 2] = [14, 30];

/// The screen.
pub fn render(findings: &Findings, look: Look) -> String {
    let mut page = Page::new(look, COLUMNS);
    for source in &findings.sources {
        self::source(source, &mut page);
    }
    let cgroup = &findings.cgroup;
    match cgroup.delegated {
        true => page.row("cgroup", "available", "a cgroup for each application: no process is lost"),
        false => {
            let why = format!("{}; processes are followed by their parents instead", cgroup.reason);
            page.row("cgroup", "unavailable", &format!("{why}\n{}", cgroup.remedy));
        }
    }
    for meter in &findings.meters {
        let period = match meter.period_s {
            None => "advances too seldom to tell how often".to_owned(),
            Some(period) if period < 1.5 * meter.read_every_s => {
                format!("advances every {} or more often", seconds(meter.read_every_s))
            }
            Some(period) => format!("advances every {}", seconds(period)),
        };
        let step = meter.step_j.map(|step| format!(", in steps of {} and more", joules(step)));
        let text = format!("{period}{} ({})", step.unwrap_or_default(), meter.method);
        page.row("meter", &meter.name, &text);
    }
    let late = findings.timer.late_p99_us.map(|us| us / 1e6);
    let quality = match late {
        None => "unknown",
        Some(late) if late < 0.1 * findings.timer.interval_s => "good",
        Some(_) => "poor",
    };
    let late = late.map_or_else(
        || "no reading".into(),
        |late| format!("99 of 100 readings less than {} late", seconds(late)),
    );
    page.row("timer", quality, &format!("{} asked: {late}", seconds(findings.timer.interval_s)));
    let own = "of one core, for everything at the default intervals";
    page.row("overhead", &percent(findings.own_cpu), own);
    match &findings.idle {
        Ok(known) => page.row("idle power", "known", known),
        Err(why) => page.row("idle power", "not known", &why.replacen("not known: ", "", 1)),
    }
    if let Some(level) = findings.perf_event_paranoid {
        let rights = match (alumet::perfmon::is_permitted(), level) {
            (true, _) => "does not concern alumet: it has the right to count",
            (false, _) if is_in_user_namespace() => {
                "what users may count; in this user namespace, all are users"
            }
            (false, 3..) => "users may count nothing, on Debian and Ubuntu not even with CAP_PERFMON",
            (false, _) => "what users may count",
        };
        page.row("paranoid", &level.to_string(), &format!("perf_event_paranoid: {rights}"));
    }
    match findings.risks.is_empty() {
        true => page.row("risks", "none", "nothing here makes runs hard to repeat, as far as that shows"),
        false => page.row("risks", &findings.risks.len().to_string(), &findings.risks.join("\n")),
    }
    page.text.replace(GLUE, " ")
}

/// What a source can do here.
fn source(source: &Source, page: &mut Page) {
    let about = (source.status == Status::Available).then(|| source.about.clone());
    let lines: Vec<_> = about.into_iter().chain(told(source)).collect();
    page.row(source.name, source.status.in_words(), &lines.join("\n"));
}

/// Why a source, or part of it, is not available, and what would change that.
pub fn told(source: &Source) -> Vec<String> {
    let word = match source.status {
        Status::NotPermitted => "not permitted: ",
        _ => "unavailable: ",
    };
    let mut lines = vec![without(&source.reason, word), source.remedy.clone()];
    for missing in &source.missing {
        lines.push(format!("without {}: {}", missing.what, without(&missing.reason, "unavailable: ")));
    }
    // One remedy may help against several of them.
    for missing in &source.missing {
        if !lines.contains(&missing.remedy) {
            lines.push(missing.remedy.clone());
        }
    }
    if lines.iter().any(|line| line.contains("udev")) {
        lines.extend(UDEV.map(str::to_owned));
    }
    lines
}

/// The reason without the word that the status says already.
fn without(reason: &str, word: &str) -> String {
    reason.strip_prefix(word).unwrap_or(reason).to_owned()
}
