//! A run in two or three lines: what it has cost, and nothing that is the same in every run.

use super::numbers::{Numbers, of_memory};
use crate::derived::{self, Span};
use crate::energy::{MachineEnergy, Part};
use crate::footprint::Rates;
use crate::gpu::GpuEnergy;
use crate::page::Page;
use crate::quantity::marked;
use crate::sensors;
use crate::units::{bytes, count, joules_between, seconds, watts};
use alumet::{Bound, Provenance};

/// The lines. The time is as the report says it.
pub fn lines(numbers: &Numbers<'_>, time: &str, rates: &Rates, page: &mut Page) {
    let mut facts = vec![("Time", time.to_owned())];
    if let Some(cpu) = numbers.cpu() {
        let cores = numbers.cores(cpu.value).map_or_else(String::new, |cores| format!(" ({cores})"));
        facts.push(("CPU", marked("", cpu.bound, &seconds(cpu.value)) + &cores));
    }
    facts.extend(numbers.peak().map(|peak| ("Memory", of_memory(peak))));
    facts.extend(energy(numbers));
    let gpu = GpuEnergy::of(numbers.metrics);
    facts.extend(gpu.map(|gpu| ("GPU", format!("{} ({})", gpu.total.in_words(), how(&gpu.total)))));
    let derived = rates.rows(numbers.metrics);
    facts.extend(derived.iter().map(|[label, value, _]| (&**label, value.clone())));
    page.facts(&facts);

    let counts = counts(numbers);
    if !counts.is_empty() {
        page.text.push_str("  ");
        let lines = textwrap::wrap(&counts.join(", "), page.look.width.saturating_sub(3)).join("\n  ");
        page.text.push_str(&format!("{lines}\n"));
    }
}

/// The application's part, and the machine's energy where both are known; what a sensor has measured where neither is.
fn energy(numbers: &Numbers<'_>) -> Vec<(&'static str, String)> {
    let counted = numbers.span.counted;
    let mut facts = Vec::new();
    let sensors = sensors::of(numbers.totals, numbers.metrics, counted);
    facts.extend(sensors.iter().map(|sensor| ("Sensor", format!("{} ({})", sensor.value, sensor.name))));
    let Some(energy) = MachineEnergy::of(numbers.metrics) else { return facts };
    let part = energy.headline();
    let mut notes =
        vec![if energy.is_split() || !energy.is_measured() { how(&part) } else { "whole machine".into() }];
    if energy.is_measured() && counted > 0.0 && part.bound == Some(Bound::Exact) {
        notes.push(watts(part.joules / counted));
    }
    facts.push(("Energy", format!("{} ({})", part.in_words(), notes.join(", "))));
    if energy.is_measured() && energy.is_split() {
        let idle = energy.idle().map_or_else(String::new, |idle| format!(" ({} idle)", idle.in_words()));
        facts.push(("Machine", energy.whole().in_words() + &idle));
    }
    facts
}

/// `attributed`, or `estimate, 40 … 170 J`.
fn how(part: &Part) -> String {
    match part.provenance {
        Provenance::Estimated => {
            let band = part.band.filter(|[_, high]| *high > 0.0);
            let band = band.map(|[low, high]| format!(", {}", joules_between(low, high)));
            format!("estimate{}", band.unwrap_or_default())
        }
        provenance => provenance.as_str().into(),
    }
}

/// What was counted, if there was any of it.
fn counts(numbers: &Numbers<'_>) -> Vec<String> {
    let mut counts = Vec::new();
    let derived = numbers.derived();
    for (modes, only) in [("", ""), (":u", " in user mode")] {
        let Some(instructions) = numbers.counted(&format!("instructions{modes}")) else { continue };
        let mut of_cycle = derived.iter().filter(|derived| {
            matches!(derived.kind, derived::Kind::PerCycle { .. }) && derived.kind.is_of_work(modes)
        });
        let per_cycle =
            of_cycle.next().map_or_else(String::new, |ratio| format!(" ({:.2} per cycle)", ratio.value));
        let value = marked("", Some(instructions.bound), &count(instructions.value));
        counts.push(format!("{value} instructions{only}{per_cycle}"));
    }
    let mut add = |all: Option<(f64, Option<Bound>)>, in_words: fn(f64) -> String, what: &str| {
        let all = all.filter(|(value, _)| *value > 0.0);
        counts.extend(all.map(|(value, bound)| {
            // One of them is not many.
            let what = if value == 1.0 { what.trim_end_matches("es").trim_end_matches('s') } else { what };
            format!("{} {what}", marked("", bound, &in_words(value)))
        }));
    };
    add(numbers.sum("process.paging.faults", ["minor", "major"], "page-faults"), count, "page faults");
    let switches = numbers.sum("process.context_switches", ["voluntary", "involuntary"], "context-switches");
    add(switches, count, "context switches");
    if let Some(kinds) = numbers.pair("process.disk.io", ["read", "write"]) {
        for kind in kinds {
            let what = if kind.kind == "write" { "written" } else { "read" };
            add(Some((kind.total.value, Some(kind.total.bound))), bytes, what);
        }
    }
    counts
}

/// Others that use less than this share of the machine's CPUs slow nobody down.
const NOTABLE: f64 = 0.1;

/// That others kept CPUs of the machine busy meanwhile, if they did.
pub fn company(numbers: &Numbers<'_>) -> Option<String> {
    let cpu = numbers.cpu()?.value;
    let share = numbers.share_of_machine(cpu)?;
    let Span { counted, cpus, .. } = numbers.span;
    let others = cpu / share * (1.0 - share) / counted;
    (counted > 0.0 && others >= NOTABLE * cpus)
        .then(|| format!("other programs kept {others:.2} of {cpus} CPUs busy meanwhile"))
}
