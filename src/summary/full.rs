//! The whole of a run: a row for each quantity, with how it was found out.

use alumet::{Bound, Consumer, Total};

use super::numbers::{Numbers, OfKind, because, in_words, of_memory};
use crate::energy::MachineEnergy;
use crate::footprint::Rates;
use crate::mark::marked;
use crate::page::Page;
use crate::quantity::peak;
use crate::units::{bytes, count, percent, seconds};
use crate::{gpu, sensors};

/// All rows. The time is as the report says it.
pub fn rows(numbers: &Numbers<'_>, time: &str, rates: &Rates, page: &mut Page) {
    // Meters are read at the marks, not when the application ends.
    let counted = numbers.span.counted;
    let energy = MachineEnergy::of(numbers.metrics);
    let energy = energy.iter().flat_map(|energy| energy.rows(counted));
    let sensors = sensors::of(numbers.totals, numbers.metrics, counted);
    for [label, value, more] in energy.chain(sensors.iter().map(sensors::Sensor::row)) {
        page.row(&label, &value, &more);
    }
    page.row("Time", time, &cpu(numbers));
    if let Some([peak, more]) = memory(numbers) {
        page.row("Memory", &peak, &more);
    }
    work(numbers, page);
    let faults = numbers.pair("process.paging.faults", ["minor", "major"]);
    row_of_two(numbers, "Faults", faults, numbers.counted("page-faults"), "", page);
    let switches = numbers.pair("process.context_switches", ["voluntary", "involuntary"]);
    let migrations = numbers
        .counted("cpu-migrations")
        .map_or_else(String::new, |n| format!(", {} between CPUs", count(n.value)));
    row_of_two(numbers, "Switches", switches, numbers.counted("context-switches"), &migrations, page);
    if let Some((value, more)) = gpu::row(numbers.metrics, counted) {
        page.row("GPU", &value, &more);
    }
    for [label, value, more] in rates.rows(numbers.metrics) {
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
fn work(numbers: &Numbers<'_>, page: &mut Page) {
    let derived = numbers.derived();
    for (modes, only) in [("", None), (":u", Some("in user mode alone"))] {
        let Some(instructions) = numbers.counted(&format!("instructions{modes}")) else { continue };
        let mut more: Vec<_> =
            derived.iter().filter(|derived| derived.kind.is_of_work(modes)).filter_map(in_words).collect();
        more.extend(only.map(str::to_owned));
        more.extend(numbers.metric(instructions).and_then(|metric| numbers.scaled(&metric.key)));
        let value = format!("{} instructions", count(instructions.value));
        page.row("Work", &value, &more.join(", "));
    }
}

/// A row of a quantity that comes in two kinds.
fn row_of_two(
    numbers: &Numbers<'_>,
    label: &str,
    kinds: Option<[OfKind<'_>; 2]>,
    counted: Option<&Total>,
    more: &str,
    page: &mut Page,
) {
    let Some([first, second]) = kinds else { return };
    match counted.filter(|all| numbers.knows_more(all, [&first, &second])) {
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

fn cpu(numbers: &Numbers<'_>) -> String {
    let kinds = numbers.pair("process.cpu.time", ["user", "system"]);
    let Some((kinds, cpu)) = kinds.zip(numbers.cpu()) else {
        return "CPU time not measured".into();
    };
    let [user, system] = kinds.each_ref().map(|kind| kind.total.value);
    let all = marked("", cpu.bound, &seconds(cpu.value));
    let mut text = format!("CPU {all} ({} user, {} system)", seconds(user), seconds(system));
    if let Some(cores) = numbers.cores(cpu.value) {
        text.push_str(&format!(", {cores} busy"));
    }
    if let Some(busy) = numbers.busy() {
        text.push_str(&format!(", {} of the machine's busy time", percent((cpu.value / busy).min(1.0))));
    }
    text + &because([&kinds[0], &kinds[1]])
}

/// The peak of memory, and what there is to say about it.
fn memory(numbers: &Numbers<'_>) -> Option<[String; 2]> {
    let [largest, tree, cached] =
        ["largest_process", "tree", "cgroup"].map(|scope| peak(numbers.metrics, scope));
    // It may be smaller: what others have brought into the cache is theirs.
    let cached = cached.filter(|cached| tree.is_none_or(|tree| cached.amount.most() > tree.amount.most()));
    let cached =
        cached.map_or_else(String::new, |peak| format!("; {} with page cache", bytes(peak.amount.most())));
    let Some(tree) = tree else {
        let why = "largest process; what they have together was not sampled";
        return Some([of_memory(largest?), format!("{why}{cached}")]);
    };
    let value = of_memory(tree);
    let samples = numbers.find(Consumer::Target, "process.memory.usage", "").map_or(0, |total| total.points);
    let of_tree = match (tree.bound, samples) {
        (Bound::Exact, _) => return Some([format!("{value} peak"), format!("its only process{cached}")]),
        (Bound::AtMost, _) => return Some([value, format!("{}{cached}", tree.bound_reason)]),
        (Bound::AtLeast, 0) => "peak of the tree, which was not sampled".to_owned(),
        (Bound::AtLeast, 1) => "peak of the tree, from 1 sample".to_owned(),
        (Bound::AtLeast, n) => format!("peak of the tree, from {} samples", count(n as f64)),
    };
    let largest = largest.map_or_else(String::new, |peak| format!("; largest process {}", of_memory(peak)));
    Some([value, format!("{of_tree}{largest}{cached}")])
}
