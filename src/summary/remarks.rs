//! What is to be said beside the numbers: what went wrong, what is missing, how good they are.

use std::time::Duration;

use alumet::{Bound, ElementKind, ElementReport, ElementState, Missing};

use super::numbers::{Numbers, OfKind};
use super::{Summary, short};
use crate::energy::MachineEnergy;
use crate::gpu::GpuEnergy;
use crate::page::{FAINT, Page, WARNING};
use crate::units::{percent, seconds, whole};

/// How many survivors are named.
const NAMED: usize = 10;
/// A share of samples that were missed, or the difference of an interval from what was asked for, that is worth a word.
const NOTABLE: f64 = 0.05;

/// What must be known, however short the rest is.
pub fn warnings(summary: &Summary<'_>, page: &mut Page) {
    let report = summary.report;
    if !report.survivors.is_empty() && summary.outcome.ended {
        let names: Vec<_> =
            report.survivors.iter().take(NAMED).map(|s| format!("{} ({})", s.name, s.pid)).collect();
        let more = report.survivors.len().saturating_sub(NAMED);
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
}

/// The rest of the whole summary.
pub fn full(summary: &Summary<'_>, page: &mut Page) {
    page.remark(&quality(summary), FAINT);
    if let Some(idle) = summary.idle {
        page.remark(idle, FAINT);
    }
    if !summary.missing.is_empty() {
        page.remark(&not_measured(summary.missing, true), FAINT);
    }
    if summary.attached {
        page.remark("counted from the moment of attaching on", FAINT);
    }
    for element in &summary.report.elements {
        page.remark(&format!("{} {}: {} points", element.kind, element.name, whole(element.points)), FAINT);
    }
}

/// What distinguishes this run from others, and what is not measured here at all, by name.
pub fn short(summary: &Summary<'_>, numbers: &Numbers<'_>, page: &mut Page) {
    if numbers.cpu().is_some_and(|cpu| cpu.bound != Some(Bound::Exact)) {
        page.remark(&summary.followed.limits, FAINT);
    }
    for reason in reasons(numbers) {
        page.remark(&reason, FAINT);
    }
    sampling(summary).iter().chain(&short::company(numbers)).for_each(|text| page.remark(text, FAINT));
    let (here, now): (Vec<_>, Vec<_>) = summary.missing.iter().partition(|gap| summary.known.contains(gap));
    now.iter().for_each(|gap| page.remark(&format!("not measured: {}", what_and_why(gap)), FAINT));
    let mut names: Vec<&str> = here.iter().map(|gap| &*gap.what).collect();
    names.dedup();
    let left = match names.is_empty() {
        true => String::new(),
        false => format!("not measured: {}; `alumet doctor` says why", names.join(", ")),
    };
    let own = seconds(summary.report.own.cpu.as_secs_f64());
    page.remark_and(&left, &format!("alumet used {own} CPU"), FAINT);
}

/// Why the numbers that are shown are no more than bounds, those with the same reason together. Memory of several processes
/// always is one, and does not say it.
fn reasons(numbers: &Numbers<'_>) -> Vec<String> {
    let of = |what, metric: &str, kinds| {
        let kinds: [OfKind<'_>; 2] = numbers.pair(metric, kinds)?;
        let reasons = kinds.iter().map(|kind| kind.total.bound_reason.to_string());
        reasons.into_iter().find(|reason| !reason.is_empty()).map(|reason| (what, reason))
    };
    let energy = MachineEnergy::of(numbers.metrics).map(|energy| ("energy", energy.headline().bound_reason));
    let gpu = GpuEnergy::of(numbers.metrics).map(|gpu| ("GPU", gpu.total.bound_reason));
    let memory = numbers.peak().filter(|peak| peak.bound == Bound::AtMost);
    let all = [
        of("page faults", "process.paging.faults", ["minor", "major"]),
        of("context switches", "process.context_switches", ["voluntary", "involuntary"]),
        of("storage", "process.disk.io", ["read", "write"]),
        memory.map(|peak| ("memory", peak.bound_reason.clone())),
        energy,
        gpu,
    ];
    let mut grouped: Vec<(String, String)> = Vec::new();
    for (what, reason) in all.into_iter().flatten().filter(|(_, reason)| !reason.is_empty()) {
        match grouped.iter_mut().find(|(_, known)| *known == reason) {
            Some((names, _)) => names.push_str(&format!(", {what}")),
            None => grouped.push((what.to_owned(), reason)),
        }
    }
    grouped.into_iter().map(|(names, reason)| format!("{names}: {reason}")).collect()
}

/// Samples that were missed, or an interval that was not kept.
fn sampling(summary: &Summary<'_>) -> Vec<String> {
    let of = |sampling: &alumet::SamplingReport| {
        let (ticks, missed) = (sampling.ticks as f64, sampling.missed as f64);
        let interval = seconds(sampling.interval.as_secs_f64());
        (missed > NOTABLE * (ticks + missed)).then(|| {
            let (missed, all) = (whole(sampling.missed), whole(sampling.ticks + sampling.missed));
            format!("{missed} of {all} samples every {interval} were missed")
        })
    };
    summary.report.sampling.iter().filter_map(of).collect()
}

fn quality(summary: &Summary<'_>) -> String {
    let report = summary.report;
    let mut parts = Vec::new();
    for sampling in &report.sampling {
        let asked = sampling.ticks + sampling.missed;
        let interval = seconds(sampling.interval.as_secs_f64());
        let actual = sampling.mean_interval.map(|mean| format!(" (actual {})", seconds(mean.as_secs_f64())));
        parts.push(match asked {
            0 => format!("read at start and end (shorter than the interval of {interval})"),
            _ => format!(
                "{} of {asked} samples, interval {interval}{}",
                sampling.ticks,
                actual.unwrap_or_default()
            ),
        });
    }
    if parts.is_empty() {
        parts.push("nothing was sampled".into());
    }
    let cpu = report.own.cpu.as_secs_f64();
    let wall = report.wall.as_secs_f64();
    // Of a short run most would be the start of alumet, which happens before and after it.
    let share = if wall >= 1.0 { format!(", {} of one core", percent(cpu / wall)) } else { String::new() };
    parts.push(summary.followed.limits.clone());
    format!("{}; alumet itself used {} CPU{share}", parts.join("; "), seconds(cpu))
}

/// Whether an output lacks something: that is told in a line of its own, with how much.
pub fn is_lacking(element: &ElementReport) -> bool {
    element.kind == ElementKind::Output && (element.lost > 0 || element.errors > 0)
}

/// What went wrong with an element of the pipeline, if anything did that is not told elsewhere.
pub fn trouble(element: &ElementReport) -> Option<String> {
    if is_lacking(element) {
        return None;
    }
    let error = element.last_error.as_deref()?;
    let name = &element.name;
    Some(match element.state {
        ElementState::Hung => format!("{name}: {error}; the others went on without it"),
        ElementState::Failed => format!("{name} was left out: {error}"),
        ElementState::Active | ElementState::Stopped => match element.errors {
            1 => format!("{name} failed once: {error}"),
            n => format!("{name} failed {n} times, at last: {error}"),
        },
    })
}

/// What was not measured: in whole with reasons, else by name.
pub fn not_measured(missing: &[Missing], verbose: bool) -> String {
    if verbose {
        let all: Vec<_> = missing.iter().map(what_and_why).collect();
        return format!("not measured: {}", all.join(" · "));
    }
    let mut names: Vec<&str> = missing.iter().map(|gap| &*gap.what).collect();
    names.dedup();
    format!("not measured: {}; -v says why", names.join(", "))
}

/// `GPU (no NVIDIA driver)`, with what would change that.
fn what_and_why(missing: &Missing) -> String {
    let remedy = if missing.remedy.is_empty() { String::new() } else { format!(": {}", missing.remedy) };
    format!("{} ({}{remedy})", missing.what, missing.reason)
}
