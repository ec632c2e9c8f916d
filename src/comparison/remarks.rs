//! What nobody should overlook: what it was decided by if not by energy, a threshold that was raised, runs that drift or
//! are far from the others.

use alumet::Missing;
use alumet_plugin_perf::refusal::concerns;

use super::column::Column;
use super::judge::Gates;
use super::words::threshold;
use super::{Comparison, Design};
use crate::quantity::{Quantity, Unfit};
use crate::statistics::gate::Rule;
use crate::statistics::{drift, outliers};
use crate::units::percent;

/// ` (no RAPL in this virtual machine)`, if that is known.
pub fn why(quantity: &Quantity, missing: &[Missing]) -> String {
    let gap = match quantity {
        Quantity::Energy => missing.iter().find(|gap| gap.plugin == "rapl"),
        Quantity::Cpu | Quantity::Memory => missing.iter().find(|gap| gap.plugin == "procfs"),
        Quantity::Gpu => missing.iter().find(|gap| gap.plugin == "nvml"),
        // Each event has a reason of its own.
        Quantity::Instructions | Quantity::Event(_) => {
            missing.iter().find(|gap| gap.plugin == "perf" && concerns(&gap.what, quantity.name()))
        }
        Quantity::Time | Quantity::Carbon | Quantity::Cost => None,
    };
    gap.map(|gap| format!(" ({})", gap.reason)).unwrap_or_default()
}

/// What both versions are called, so that they can be told apart.
fn sides(comparison: &Comparison) -> [String; 2] {
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
    for row in comparison.deciding() {
        if row.decision().is_some_and(|decision| decision.change < -0.5) {
            let label = row.quantity.label();
            remarks
                .push(format!("{label} is less than half of what it was: does it still do the same work?"));
        }
    }
    for column in
        columns.iter().filter(|column| comparison.deciding().any(|row| row.quantity == column.quantity))
    {
        for (title, values) in sides(comparison).iter().zip(column.values()) {
            remarks.extend(peculiarities(column.quantity.label(), title, values));
        }
    }
    remarks
}

/// Outliers and drift in the runs of one version.
fn peculiarities(label: &str, title: &str, values: &[f64]) -> Vec<String> {
    let mut remarks = Vec::new();
    let flagged = outliers::flagged(values);
    if !flagged.is_empty() {
        let runs: Vec<_> = flagged.iter().take(5).map(|outlier| (outlier.run + 1).to_string()).collect();
        let more = if flagged.len() > 5 { ", ..." } else { "" };
        let runs = format!("{} {}{more}", if flagged.len() == 1 { "run" } else { "runs" }, runs.join(", "));
        remarks.push(format!("{label} of {title}: far from the others, and kept: {runs}"));
    }
    remarks.extend(drift_of(label, title, values));
    remarks
}

/// A drift in the runs of one version.
pub fn drift_of(label: &str, title: &str, values: &[f64]) -> Option<String> {
    let drift = drift::notice(values).ok()??;
    let way = if drift.change > 0.0 { "more" } else { "less" };
    let by = percent(drift.change.abs());
    Some(format!("{label} of {title}: the second half of the runs costs {by} {way} than the first"))
}

#[cfg(test)]
mod tests {
    use super::super::samples::comparison;
    use super::*;
    use crate::statistics::decision::Verdict;

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
    fn versions_of_the_same_name_are_told_apart() {
        let mut comparison = comparison(Verdict::Pass);
        assert_eq!(sides(&comparison), ["./old --fast", "./new --fast"]);
        comparison.change.clone_from(&comparison.baseline);
        assert_eq!(sides(&comparison), ["./old --fast (baseline)", "./old --fast (again)"]);
    }
}
