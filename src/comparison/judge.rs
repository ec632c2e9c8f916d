//! From the runs of two versions to what may be said of them.

use alumet::Missing;

use super::column::{Column, columns};
use super::remarks::{remarks, why};
use super::{Comparison, Design, Ended, Judged, Row, Side};
use crate::exit::Failure;
use crate::fingerprint::Fingerprint;
use crate::quantity::{Quantity, Unfit};
use crate::repeat::readings::Way;
use crate::repeat::table;
use crate::statistics::decision::{Decision, Verdict};
use crate::statistics::gate::Rule;

/// What decides, and by which thresholds.
#[derive(Debug, Clone, PartialEq)]
pub struct Gates {
    /// Those that were named, each with its threshold (.02 is 2 %). Without any, the best that was measured decides.
    pub named: Vec<(Quantity, f64)>,
    /// The threshold of all others.
    pub threshold: f64,
    /// Whether nothing but energy will do where nothing is named.
    pub require_measured: bool,
}

impl Gates {
    pub fn threshold(&self, quantity: &Quantity) -> f64 {
        let named = self.named.iter().find(|(name, _)| name == quantity);
        named.map_or(self.threshold, |(_, threshold)| *threshold)
    }
}

/// What is known besides the runs.
#[derive(Debug, Clone)]
pub struct Circumstances<'a> {
    pub design: Design,
    pub ended: Ended,
    pub host: Fingerprint,
    /// What was not measured: it says why there is no energy.
    pub missing: &'a [Missing],
}

/// Compares two versions at this error rate.
///
/// # Errors
/// There is nothing valid to compare.
pub fn compare(
    baseline: &Side,
    change: &Side,
    gates: &Gates,
    alpha: f64,
    circumstances: Circumstances<'_>,
) -> Result<Comparison, Failure> {
    nothing_left_behind([baseline, change])?;
    let columns = columns(baseline, change);
    let is_stored = matches!(circumstances.design, Design::Stored { .. });
    let is_about_energy =
        gates.named.is_empty() || gates.named.iter().any(|(name, _)| *name == Quantity::Energy);
    if is_stored && is_about_energy {
        same_energy(&columns, [baseline, change])?;
    }
    let deciding = deciding(&columns, gates, circumstances.missing)?;
    let mut rows = Vec::new();
    for column in &columns {
        let rule = rule(gates.threshold(&column.quantity), alpha)?;
        let decides = deciding.contains(&column.quantity);
        rows.extend(column.row(rule, is_stored, decides)?);
    }
    let mut decisions: Vec<Decision> =
        rows.iter().filter(|row| row.decides).filter_map(Row::decision).collect();
    let whole = rule(gates.threshold, alpha)?;
    let mut verdict = whole.together(&mut decisions);
    if circumstances.ended == Ended::Interrupted {
        verdict = Verdict::Inconclusive;
        decisions.iter_mut().for_each(|decision| decision.verdict = verdict);
    }
    let metrics = decisions.len();
    let needed = match circumstances.design {
        _ if decisions.iter().all(|decision| decision.is_possible(alpha, metrics)) => None,
        Design::Interleaved { .. } => Some(whole.fewest_pairs(metrics)),
        Design::Stored { baseline_runs, .. } => Some(whole.fewest_runs(baseline_runs, metrics)),
    };
    let judged = rows.iter_mut().filter(|row| row.decides).map(|row| &mut row.judged);
    judged.zip(decisions).for_each(|(judged, decision)| *judged = Judged::Decision(decision));
    let mut comparison = Comparison {
        baseline: baseline.title.clone(),
        change: change.title.clone(),
        design: circumstances.design,
        ended: circumstances.ended,
        host: circumstances.host,
        rows,
        verdict,
        needed,
        remarks: Vec::new(),
    };
    comparison.remarks = remarks(&comparison, &columns, gates, circumstances.missing);
    for side in [baseline, change].into_iter().filter(|side| side.accepted_failures > 0) {
        let accepted = table::accepted(side.accepted_failures, side.runs.len());
        comparison.remarks.push(format!("{}: {accepted}", side.title));
    }
    Ok(comparison)
}

impl Row {
    /// What was decided, if anything could be.
    pub fn decision(&self) -> Option<Decision> {
        match self.judged {
            Judged::Decision(decision) => Some(decision),
            Judged::NotJudged(_) => None,
        }
    }
}

/// Work that goes on after the run is not counted, and how much of it there is nobody knows, whichever version leaves it.
///
/// # Errors
/// Which versions do, and in how many of their runs.
fn nothing_left_behind(sides: [&Side; 2]) -> Result<(), Failure> {
    let leaving = sides.iter().filter(|side| side.left_behind > 0);
    let each: Vec<_> = leaving
        .map(|side| format!("{}: {}", side.title, table::left_behind(side.left_behind, side.runs.len())))
        .collect();
    match each.as_slice() {
        [] => Ok(()),
        each => Err(Failure::failed(format!("there is nothing valid to compare: {}", each.join("; ")))),
    }
}

fn rule(threshold: f64, alpha: f64) -> Result<Rule, Failure> {
    Rule::new(threshold, alpha).map_err(|invalid| Failure::usage(invalid.to_string()))
}

/// Energy that one side has and the other has not, or by another rule or meter, is no reason to decide by something else
/// in silence.
///
/// # Errors
/// In what it differs.
fn same_energy(columns: &[Column<'_>], sides: [&Side; 2]) -> Result<(), Failure> {
    let Some(column) = columns.iter().find(|column| column.quantity == Quantity::Energy) else {
        return Ok(());
    };
    let ways = [0, 1].map(|i| {
        let energy = column.sides[i].filter(|energy| energy.values.len() == sides[i].runs.len());
        energy.filter(|energy| energy.ways.iter().all(|way| way.unfit.is_none()))?.ways.first()
    });
    if ways[0].map(Way::skeleton) == ways[1].map(Way::skeleton) {
        return Ok(());
    }
    let [then, now] = ways.map(|way| way.map_or("not measured", |way| &way.method));
    let [baseline, change] = sides.map(|side| &side.title);
    Err(Failure::failed(format!(
        "energy was obtained in another way in {baseline} than in {change} ({then}; now {now}): --gate cpu compares \
         without it"
    )))
}

/// What the verdict rests on.
fn deciding(columns: &[Column<'_>], gates: &Gates, missing: &[Missing]) -> Result<Vec<Quantity>, Failure> {
    let find = |quantity: &Quantity| columns.iter().find(|column| column.quantity == *quantity);
    let refused = |quantity: &Quantity| match find(quantity) {
        None => Some(format!("{quantity} was not measured{}", why(quantity, missing))),
        Some(Column { unfit: Some(Unfit::Estimated), .. }) => {
            Some(format!("{quantity} was not measured but estimated{}", why(quantity, missing)))
        }
        Some(Column { unfit: Some(why), .. }) => Some(format!("{quantity} cannot decide: {why}")),
        Some(_) => None,
    };
    if !gates.named.is_empty() {
        for (quantity, _) in &gates.named {
            if let Some(why) = refused(quantity) {
                return Err(Failure::failed(format!("there is nothing valid to compare: {why}")));
            }
        }
        return Ok(gates.named.iter().map(|(quantity, _)| quantity.clone()).collect());
    }
    if gates.require_measured
        && let Some(why) = refused(&Quantity::Energy)
    {
        return Err(Failure::failed(format!("{why}, and --require-measured wants it to decide")));
    }
    let best = Quantity::DECIDING.into_iter().find(|quantity| refused(quantity).is_none());
    best.map(|quantity| vec![quantity]).ok_or_else(|| {
        let whys = Quantity::DECIDING.iter().filter_map(refused).collect::<Vec<_>>();
        Failure::failed(format!("there is nothing valid to compare: {}", whys.join("; ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::Reading;
    use crate::statistics::decision::Finding;

    fn host() -> Fingerprint {
        Fingerprint::of(&alumet::Host::new("/nowhere", "/nowhere"))
    }

    fn reading(value: f64, provenance: &str, unfit: Option<Unfit>) -> Reading {
        let bound = Some(alumet::Bound::Exact);
        Reading { value, provenance: provenance.into(), method: "m".into(), bound, unfit }
    }

    const WOBBLE: [f64; 10] = [1.003, 0.998, 1.001, 0.996, 1.002, 0.999, 1.004, 0.997, 1.0005, 0.9985];

    /// Ten runs, each with these quantities.
    fn side(title: &str, of_run: impl Fn(f64) -> Vec<(Quantity, Reading)>) -> Side {
        let mut side = Side { title: title.into(), ..Side::default() };
        WOBBLE.iter().for_each(|wobble| side.runs.add(of_run(*wobble)));
        side
    }

    fn auto() -> Gates {
        Gates { named: Vec::new(), threshold: 0.02, require_measured: false }
    }

    fn judged(a: &Side, b: &Side, gates: &Gates) -> Result<Comparison, Failure> {
        let missing =
            [Missing { plugin: "rapl".into(), reason: "no RAPL here".into(), ..Missing::default() }];
        let design = Design::Interleaved { pairs: 10, warmups: 1, adaptive: false };
        let ended = Ended::Complete;
        compare(a, b, gates, 0.05, Circumstances { design, ended, host: host(), missing: &missing })
    }

    fn measured(energy: f64, cpu: f64) -> impl Fn(f64) -> Vec<(Quantity, Reading)> {
        move |wobble| {
            vec![
                (Quantity::Energy, reading(energy * wobble, "attributed", None)),
                (Quantity::Cpu, reading(cpu / wobble, "measured", None)),
            ]
        }
    }

    #[test]
    fn measured_energy_decides_and_cpu_time_is_only_shown() {
        let (a, b) = (side("old", measured(10.0, 1.0)), side("new", measured(10.0, 1.3)));
        let comparison = judged(&a, &b, &auto()).unwrap();
        assert_eq!(comparison.verdict, Verdict::Pass);
        let of = |name: Quantity| comparison.rows.iter().find(|row| row.quantity == name).unwrap().clone();
        assert!(of(Quantity::Energy).decides && !of(Quantity::Cpu).decides);
        assert_eq!(of(Quantity::Cpu).decision().unwrap().finding, Finding::Worse);
        let worse = side("new", measured(10.6, 1.0));
        assert_eq!(judged(&a, &worse, &auto()).unwrap().verdict, Verdict::Regression);
    }

    #[test]
    fn an_estimate_never_decides_and_the_fallback_is_named_with_its_reason() {
        let estimated = |energy: f64| {
            side("x", move |wobble| {
                vec![
                    (Quantity::Energy, reading(energy * wobble, "estimated", Some(Unfit::Estimated))),
                    (Quantity::Cpu, reading(wobble, "measured", None)),
                ]
            })
        };
        let comparison = judged(&estimated(1.0), &estimated(9.0), &auto()).unwrap();
        assert_eq!(comparison.verdict, Verdict::Pass);
        assert_eq!(comparison.remarks[0], "CPU decides, because energy is only estimated (no RAPL here)");
        let strict = Gates { require_measured: true, ..auto() };
        let refused = judged(&estimated(1.0), &estimated(9.0), &strict).unwrap_err();
        assert_eq!(
            (refused.status, &*refused.message),
            (
                125,
                "energy was not measured but estimated (no RAPL here), and --require-measured wants it to decide"
            )
        );
    }

    #[test]
    fn an_estimate_that_some_runs_lack_is_still_an_estimate() {
        let estimated = side("x", |wobble| {
            let energy = (Quantity::Energy, reading(wobble, "estimated", Some(Unfit::Estimated)));
            let cpu = (Quantity::Cpu, reading(wobble, "measured", None));
            if wobble > 1.0 { vec![energy, cpu] } else { vec![cpu] }
        });
        let comparison = judged(&estimated, &estimated, &auto()).unwrap();
        assert!(comparison.remarks[0].contains("energy is only estimated"), "{:?}", comparison.remarks);
        assert!(matches!(&comparison.rows[0].judged, Judged::NotJudged(why) if why == "it is estimated"));
    }

    #[test]
    fn what_was_named_must_be_there_and_any_regression_of_it_counts() {
        let (a, b) = (side("old", measured(10.0, 1.0)), side("new", measured(10.0, 1.3)));
        let named = |names: &[&str]| Gates {
            named: names.iter().map(|name| (Quantity::parse(name), 0.02)).collect(),
            ..auto()
        };
        assert_eq!(judged(&a, &b, &named(&["energy", "cpu"])).unwrap().verdict, Verdict::Regression);
        assert_eq!(judged(&a, &b, &named(&["energy"])).unwrap().verdict, Verdict::Pass);
        let refused = judged(&a, &b, &named(&["energy", "memory"])).unwrap_err();
        assert!(refused.message.contains("memory was not measured"), "{}", refused.message);
        let wide = Gates { named: vec![(Quantity::Cpu, 0.5)], ..auto() };
        assert_eq!(judged(&a, &b, &wide).unwrap().verdict, Verdict::Pass);
    }

    #[test]
    fn what_is_no_number_to_compare_is_an_error_and_never_a_pass() {
        for value in [f64::NAN, 0.0, -1.0, f64::INFINITY] {
            let broken = side("new", |wobble| {
                vec![(Quantity::Cpu, reading(if wobble > 1.0035 { value } else { wobble }, "measured", None))]
            });
            let whole = side("old", |wobble| vec![(Quantity::Cpu, reading(wobble, "measured", None))]);
            let refused = judged(&whole, &broken, &auto()).unwrap_err();
            assert!(
                refused.status == 125 && refused.message.contains("cannot be compared"),
                "{}",
                refused.message
            );
        }
        let idle = side("x", |_| vec![(Quantity::Energy, reading(0.0, "measured", None))]);
        let refused = judged(&idle, &idle, &auto()).unwrap_err();
        assert!(refused.message.ends_with("several times, or --gate cpu decide"), "{}", refused.message);
        let nothing = side("x", |_| Vec::new());
        assert_eq!(judged(&nothing, &nothing, &auto()).unwrap_err().status, 125);
    }

    #[test]
    fn energies_by_different_rules_or_meters_are_not_compared_and_by_other_idle_powers_are() {
        let by = |method: &'static str| {
            side("x", move |wobble| {
                let energy = Reading { method: method.into(), ..reading(wobble, "attributed", None) };
                vec![(Quantity::Energy, energy), (Quantity::Cpu, reading(wobble, "measured", None))]
            })
        };
        let decides = |a, b| judged(&by(a), &by(b), &auto()).unwrap().rows[0].decides;
        let above = "above 5.52 W ± 0.11 W of idle power, RAPL through perf of package 0";
        assert!(decides(above, "above 5.61 W ± 0.08 W of idle power, RAPL through perf of package 0"));
        assert!(!decides(above, "idle power included, RAPL through perf of package 0"));
        assert!(!decides(above, "above 5.52 W ± 0.11 W of idle power, RAPL through powercap of package 0"));
    }

    #[test]
    fn work_that_either_version_leaves_behind_is_nothing_to_compare_whatever_the_other_does() {
        let leaves = |n| Side { left_behind: n, ..side("v", measured(10.0, 1.0)) };
        for (a, b) in [(0, 1), (1, 0), (1, 10), (10, 10)] {
            let refused = judged(&leaves(a), &leaves(b), &auto()).unwrap_err();
            assert_eq!(refused.status, 125);
            let named = refused.message.matches("of 10 runs left processes behind").count();
            assert_eq!(named, usize::from(a > 0) + usize::from(b > 0), "{}", refused.message);
        }
        assert!(judged(&leaves(0), &leaves(0), &auto()).is_ok());
    }

    #[test]
    fn a_quantity_that_some_runs_lack_is_not_judged() {
        let lacking = side("new", |wobble| {
            let mut run = measured(10.0, 1.0)(wobble);
            if wobble > 1.0035 {
                run.remove(0);
            }
            run
        });
        let comparison = judged(&side("old", measured(10.0, 1.0)), &lacking, &auto()).unwrap();
        assert!(!comparison.rows[0].decides && comparison.rows[1].decides);
    }
}
