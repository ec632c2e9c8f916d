//! What nobody should overlook: what it was decided by if not by energy, a threshold that was raised, runs that drift or
//! are far from the others.

use alumet::{Missing, Plugin};
use alumet_plugin_nvml::Nvml;
use alumet_plugin_perf::Perf;
use alumet_plugin_perf::refusal::concerns;
use alumet_plugin_procfs::Procfs;
use alumet_plugin_rapl::{Domain, Rapl};
use alumet_statistics::gate::Rule;

use super::column::Column;
use super::gates::Gates;
use super::words::{numbers, threshold};
use super::{Comparison, Design, Row};
use crate::quantity::{Quantity, Unfit};
use crate::repeat::peculiarities::{MATTERS, drift_of, outliers_of};

/// ` (no RAPL in this virtual machine)`, if that is known.
pub fn why(quantity: &Quantity, missing: &[Missing]) -> String {
    // A plugin has a reason for each thing that it lacks.
    let gap = |plugin: &str, is_it: &dyn Fn(&str) -> bool| {
        missing.iter().find(|gap| gap.plugin == plugin && is_it(&gap.what))
    };
    let energy_of =
        |domain: Domain| gap(Rapl::NAME, &|what| what == Rapl::MISSED || is_energy_of(what, domain));
    let gap = match quantity {
        // Packages first: the memory is little beside them. What else has a counter is no part of the sum.
        Quantity::Energy => energy_of(Domain::Package).or_else(|| energy_of(Domain::Dram)),
        Quantity::Cpu | Quantity::Memory => gap(Procfs::NAME, &|what| what == Procfs::MISSED),
        Quantity::Gpu => gap(Nvml::NAME, &is_gpu_energy),
        Quantity::Instructions | Quantity::Event(_) => {
            gap(Perf::NAME, &|what| concerns(what, quantity.name()))
        }
        Quantity::Time | Quantity::Carbon | Quantity::Cost => None,
    };
    gap.map(|gap| format!(" ({})", gap.reason)).unwrap_or_default()
}

/// Whether `energy of dram 0, package 0`, or such a gap, names this domain.
fn is_energy_of(what: &str, domain: Domain) -> bool {
    let is_it = |part: &str| part.split(' ').next() == Some(domain.as_str());
    what.strip_prefix("energy of ").is_some_and(|parts| parts.split(", ").any(is_it))
}

/// Whether it is the energy of a GPU, or all of a GPU, but not how closely it is known or whose it is.
fn is_gpu_energy(what: &str) -> bool {
    let is_energy =
        |(quantities, _): (&str, &str)| quantities.split(", ").any(|quantity| quantity == "energy");
    let is_all = what.starts_with("GPU") || what == "NVIDIA GPUs";
    is_all || !what.contains(" to better than ") && what.split_once(" of GPU ").is_some_and(is_energy)
}

/// What both versions are called, so that they can be told apart.
pub fn told_apart(comparison: &Comparison) -> [String; 2] {
    let titles = [&comparison.baseline, &comparison.change];
    match titles[0] == titles[1] {
        true => [format!("{} (baseline)", titles[0]), format!("{} (again)", titles[1])],
        false => titles.map(String::clone),
    }
}

/// All of them, on what decides.
pub fn remarks(
    comparison: &Comparison,
    columns: &[Column<'_>],
    gates: &Gates,
    missing: &[Missing],
) -> Vec<String> {
    let mut remarks = Vec::new();
    let is_by_energy = comparison.deciding().any(|row| row.quantity == Quantity::Energy);
    if gates.named.is_empty() && !is_by_energy {
        let energy = columns.iter().find(|column| column.quantity == Quantity::Energy);
        let how = match energy.and_then(|column| column.unfit.as_ref()) {
            Some(Unfit::Estimated) => "energy is only estimated",
            Some(Unfit::Mixed(_)) => "energy was not obtained in the same way in all runs",
            Some(_) => "energy was not measured wholly",
            None => "energy was not measured",
        };
        let names: Vec<_> = comparison.deciding().map(|row| row.quantity.label()).collect();
        remarks.push(format!(
            "{} decides, because {how}{}",
            names.join(" and "),
            why(&Quantity::Energy, missing)
        ));
    }
    if let Design::Stored { .. } = comparison.design {
        let raised: Vec<_> = comparison
            .deciding()
            .filter(|row| gates.threshold(&row.quantity) < Rule::STORED_THRESHOLD)
            .map(|row| row.quantity.label())
            .collect();
        if !raised.is_empty() {
            remarks.push(format!(
                "against runs of another session the threshold is {}: sessions differ by some 2 % ({})",
                threshold(Rule::STORED_THRESHOLD),
                raised.join(", ")
            ));
        }
    }
    let titles = told_apart(comparison);
    for row in comparison.deciding() {
        if row.decision().is_some_and(|decision| decision.change < -0.5) {
            let (label, [then, now]) = (row.quantity.label(), &titles);
            remarks.push(format!(
                "{label} of {now} is less than half of that of {then}: does it do the same work?"
            ));
        }
    }
    for column in columns {
        let is_it = |row: &&Row| row.quantity == column.quantity && (row.decides || row.guards);
        let Some(row) = comparison.rows.iter().find(is_it) else { continue };
        remarks.extend(column.remark(&titles, matches!(comparison.design, Design::Stored { .. })));
        for side in [0, 1].into_iter().filter(|_| row.decides) {
            let runs: Vec<_> = column.kept(side).collect();
            let values = &column.values()[side];
            let label = column.quantity.label();
            // Half of what is allowed would be a good part of it; without a threshold every count matters.
            let matters = MATTERS.min(gates.threshold(&column.quantity) / 2.0);
            remarks.extend(peculiarities(label, &titles[side], values, &runs, matters));
        }
    }
    remarks
}

/// Outliers and drift in these runs of one version, of what matters at least.
fn peculiarities(label: &str, title: &str, values: &[f64], runs: &[usize], matters: f64) -> Vec<String> {
    let mut remarks = Vec::new();
    let flagged = outliers_of(values, matters);
    if !flagged.is_empty() {
        let numbers = numbers(flagged.iter().map(|outlier| runs[outlier.run]));
        let runs = format!("{} {numbers}", if flagged.len() == 1 { "run" } else { "runs" });
        remarks.push(format!("{label} of {title}: far from the others, and kept: {runs}"));
    }
    remarks.extend(drift_of(label, title, values, matters));
    remarks
}

#[cfg(test)]
mod tests {
    use super::super::samples::comparison;
    use super::*;
    use alumet_statistics::decision::Verdict;

    #[test]
    fn an_event_that_was_not_measured_has_its_own_reason_and_not_that_of_another() {
        let gap = |what: &str, reason: &str| Missing {
            plugin: "perf".into(),
            what: what.into(),
            reason: reason.into(),
            remedy: String::new(),
        };
        let missing = [
            gap("branches, branch-misses", "no such counter"),
            gap("cycles, instructions", "it never got a counter"),
        ];
        assert_eq!(why(&Quantity::Instructions, &missing), " (it never got a counter)");
        assert_eq!(why(&Quantity::Event("branch-misses".into()), &missing), " (no such counter)");
        assert_eq!(why(&Quantity::Instructions, &missing[..1]), "");
        let none = [gap("hardware events", "no counters here")];
        assert_eq!(why(&Quantity::Instructions, &none), " (no counters here)");
    }

    #[test]
    fn an_energy_has_the_reason_of_what_it_is_the_sum_of_and_not_that_of_another_counter() {
        let gap = |plugin: &str, what: &str, reason: &str| Missing {
            plugin: plugin.into(),
            what: what.into(),
            reason: reason.into(),
            remedy: String::new(),
        };
        let rapl = |what: &str, reason: &str| gap("rapl", what, reason);
        let still = "its counter stood still for 3.0s";
        let others =
            [rapl("energy of psys", still), rapl("energy of core of package 0, uncore of package 0", still)];
        assert_eq!(why(&Quantity::Energy, &others), "", "they are no part of it");
        for what in [
            "energy",
            "energy of package 0",
            "energy of dram 0, package 1, die 0",
            "energy of package 0 for 2.0s of the run",
        ] {
            let missing =
                [&others[..], &[rapl("energy of dram 0", "no dram"), rapl(what, "not permitted")]].concat();
            assert_eq!(why(&Quantity::Energy, &missing), " (not permitted)", "{what}");
        }
        let memory = [&others[..], &[rapl("energy of dram 0", "no dram")]].concat();
        assert_eq!(why(&Quantity::Energy, &memory), " (no dram)");
        // Nor have CPU time and GPUs that of something else.
        let part = gap("procfs", "storage I/O", "not permitted");
        assert_eq!(why(&Quantity::Cpu, std::slice::from_ref(&part)), "");
        let all = gap("procfs", Procfs::MISSED, "no /proc");
        assert_eq!(why(&Quantity::Memory, &[part, all]), " (no /proc)");
        let of_gpu =
            |what: &str| why(&Quantity::Gpu, &[gap("nvml", "clock of GPU 0", "x"), gap("nvml", what, "y")]);
        let energies =
            ["GPU", "NVIDIA GPUs", "GPU 1 after 2s", "energy of GPU 0", "power, energy of GPU 0, 1"];
        assert_eq!(energies.map(of_gpu), [" (y)"; 5]);
        let others =
            ["energy of GPU 0 to better than ± 1 J of 2 J", "the application's share of the energy of GPU 0"];
        assert_eq!(others.map(of_gpu), [""; 2]);
    }

    #[test]
    fn versions_of_the_same_name_are_told_apart() {
        let mut comparison = comparison(Verdict::Pass);
        assert_eq!(told_apart(&comparison), ["./old --fast", "./new --fast"]);
        comparison.change.clone_from(&comparison.baseline);
        assert_eq!(told_apart(&comparison), ["./old --fast (baseline)", "./old --fast (again)"]);
    }
}
