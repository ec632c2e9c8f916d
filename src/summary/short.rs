//! A run in two or three lines: what it has cost, and nothing that is the same in every run.

use super::numbers::{Numbers, of_memory};
use crate::derived::{self, Span};
use crate::energy::{MachineEnergy, Part};
use crate::footprint::Rates;
use crate::gpu::GpuEnergy;
use crate::mark::marked;
use crate::page::Page;
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
    let mut add = |all: Option<(f64, Option<Bound>)>, in_words: fn(f64) -> String, [one, many]: [&str; 2]| {
        let all = all.filter(|(value, _)| *value > 0.0);
        counts.extend(all.map(|(value, bound)| {
            let what = if value == 1.0 { one } else { many };
            format!("{} {what}", marked("", bound, &in_words(value)))
        }));
    };
    let faults = numbers.sum("process.paging.faults", ["minor", "major"], "page-faults");
    add(faults, count, ["page fault", "page faults"]);
    let switches = numbers.sum("process.context_switches", ["voluntary", "involuntary"], "context-switches");
    add(switches, count, ["context switch", "context switches"]);
    if let Some(kinds) = numbers.pair("process.disk.io", ["read", "write"]) {
        for kind in kinds {
            let what = if kind.kind == "write" { "written" } else { "read" };
            add(Some((kind.total.value, Some(kind.total.bound))), bytes, [what; 2]);
        }
    }
    counts
}

/// Others that use less than this share of the machine's CPUs slow nobody down.
const NOTABLE: f64 = 0.1;

/// That others kept CPUs of the machine busy meanwhile, if they did.
pub fn company(numbers: &Numbers<'_>) -> Option<String> {
    let cpu = numbers.cpu()?.value;
    let Span { counted, cpus, .. } = numbers.span;
    let others = (numbers.busy()? - cpu) / counted;
    (counted > 0.0 && others >= NOTABLE * cpus)
        .then(|| format!("other programs kept {others:.2} of {cpus} CPUs busy meanwhile"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::metric::MetricTotal;
    use alumet::conventions::{CPU_MODE, CPU_TIME, SYSTEM_CPU_TIME};
    use alumet::{Batch, Consumer, Metric, Output, Registry, Series, Totals};

    /// A run of two seconds on two CPUs, with this CPU time, on a machine that was busy for so long.
    fn of_run<T>(cpu: f64, busy: f64, ask: impl FnOnce(&Numbers<'_>) -> T) -> T {
        let target =
            |metric: Metric, key, value| Series::new(metric).consumer(Consumer::Target).label(key, value);
        let faults = Metric::counter("process.paging.faults", "1", "");
        let switches = Metric::counter("process.context_switches", "1", "");
        let registry = Registry::new();
        let mut batch = Batch::new(std::sync::Arc::clone(&registry));
        for (series, value) in [
            (target(CPU_TIME, CPU_MODE, "user"), cpu),
            (target(CPU_TIME, CPU_MODE, "system"), 0.0),
            (target(faults.clone(), "t", "minor"), 1.0),
            (target(faults, "t", "major"), 0.0),
            (target(switches.clone(), "t", "voluntary"), 2.0),
            (target(switches, "t", "involuntary"), 0.0),
            (Series::new(SYSTEM_CPU_TIME).label(CPU_MODE, "user"), busy),
            (Series::new(SYSTEM_CPU_TIME).label(CPU_MODE, "steal"), 9.0),
        ] {
            batch.push(registry.series(series).unwrap(), value);
        }
        let mut totals = Totals::new();
        totals.write(&batch).unwrap();
        let totals = totals.get();
        let span = Span { wall: 2.0, counted: 2.0, some_live_on: false, cpus: 2.0 };
        ask(&Numbers { metrics: &MetricTotal::all(&totals), totals: &totals, span })
    }

    #[test]
    fn others_are_named_if_they_used_a_tenth_of_the_cpus_also_beside_one_that_used_none() {
        let kept = |n: &str| Some(format!("other programs kept {n} of 2 CPUs busy meanwhile"));
        assert_eq!(of_run(0.0, 3.0, company), kept("1.50"));
        assert_eq!(of_run(1.0, 1.5, company), kept("0.25"));
        assert_eq!(of_run(1.0, 1.2, company), None);
        assert_eq!(of_run(0.1, 0.9, company), None, "ticks say nothing of so little");
    }

    #[test]
    fn one_of_something_is_not_many_and_none_is_not_told() {
        assert_eq!(of_run(1.0, 1.0, counts), ["1 page fault", "2 context switches"]);
    }
}
