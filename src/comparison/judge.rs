//! From the runs of versions to what may be said of them.

use std::collections::BTreeMap;

use alumet::Missing;
use alumet_statistics::decision::{Decision, Verdict};
use alumet_statistics::gate::{self, Metrics, Rule};

use super::column::{Column, columns};
use super::gates::Gates;
use super::remarks::{remarks, told_apart, why};
use super::versions::{Version, Versions, worst};
use super::{Comparison, Design, Ended, Judged, Row, Side};
use crate::exit::Failure;
use crate::fingerprint::Fingerprint;
use crate::quantity::{Quantity, Unfit};
use crate::repeat::peculiarities::{others as others_of, spread};
use crate::repeat::readings::{Meantime, Way};
use crate::repeat::table;

/// What is judged beside what decides, where nothing was named: a program that waits is no better for using less.
const GUARD: Quantity = Quantity::Time;

/// What is known besides the runs.
#[derive(Debug, Clone)]
pub struct Circumstances<'a> {
    pub design: Design,
    pub ended: Ended,
    pub host: Fingerprint,
    /// What was not measured: it says why there is no energy.
    pub missing: &'a [Missing],
}

/// A version that is to be compared, and what is known besides its runs.
#[derive(Debug, Clone)]
pub struct Other<'a> {
    pub side: &'a Side,
    pub circumstances: Circumstances<'a>,
}

/// Compares versions to the first at this error rate, which is that of all of them together.
///
/// # Errors
/// There is nothing valid to compare.
pub fn compare(
    baseline: &Side,
    others: &[Other<'_>],
    gates: &Gates,
    alpha: f64,
) -> Result<Versions, Failure> {
    let whole = rule(gates.threshold, alpha)?;
    let metrics = gates.metrics(others.len());
    let mut all = Vec::new();
    for Other { side: change, circumstances } in others {
        nothing_left_behind([baseline, change])?;
        let is_stored = !circumstances.design.is_paired();
        let columns = columns(baseline, change, whole, metrics, is_stored);
        let deciding = deciding(&columns, [baseline, change], gates, is_stored, circumstances.missing)?;
        let mut rows = Vec::new();
        for column in &columns {
            let rule = rule(gates.threshold(&column.quantity), alpha)?;
            let decides = deciding.contains(&column.quantity);
            rows.extend(column.row(rule, is_stored, decides)?);
        }
        for row in rows.iter_mut().filter(|row| gates.named.is_empty() && !row.decides) {
            row.guards = row.quantity == GUARD;
        }
        all.push((columns, rows));
    }
    let error = whole.error_of(correct(whole, all.iter_mut().map(|(_, rows)| rows)));
    let mut meantime = Meantime::default();
    let sides = std::iter::once(baseline).chain(others.iter().map(|other| other.side));
    sides.clone().for_each(|side| meantime += side.runs.meantime);
    let mut comparisons = Vec::new();
    for (other, (columns, rows)) in others.iter().zip(all) {
        let Other { side: change, circumstances } = other;
        let mut comparison = Comparison {
            baseline: baseline.title.clone(),
            change: change.title.clone(),
            design: circumstances.design.clone(),
            ended: circumstances.ended,
            host: circumstances.host.clone(),
            rows,
            verdict: Verdict::Inconclusive,
            needed: None,
            remarks: Vec::new(),
        };
        comparison.decide();
        let decisions: Vec<Decision> = comparison.deciding().filter_map(Row::decision).collect();
        comparison.needed = match circumstances.design {
            _ if decisions.iter().all(|decision| decision.is_possible(error)) => None,
            Design::Stored { baseline_runs, .. } => Some(whole.fewest_runs(baseline_runs, metrics)),
            Design::Interleaved { .. } | Design::InBlocks { .. } => Some(whole.fewest_pairs(metrics)),
        };
        comparison.remarks = remarks(&comparison, &columns, gates, circumstances.missing);
        comparison.remarks.extend(others_of(&meantime));
        let titles = told_apart(&comparison);
        for (side, title) in [baseline, change].into_iter().zip(&titles) {
            comparison.remarks.extend(spread(&side.runs).map(|spread| format!("{title}: {spread}")));
        }
        for (side, title) in
            [baseline, change].into_iter().zip(&titles).filter(|(side, _)| side.accepted_failures > 0)
        {
            let accepted = table::accepted(side.accepted_failures, side.runs.len());
            comparison.remarks.push(format!("{title}: {accepted}"));
        }
        comparisons.push(comparison);
    }
    let host = others.first().map(|other| other.circumstances.host.clone()).unwrap_or_default();
    let verdict = Some(worst(&comparisons));
    Ok(Versions { host, all: sides.map(Version::of).collect(), comparisons, verdict })
}

/// Puts versions side by side whose runs were made one after the other, and judges nothing: what drifts looks like a
/// difference, as between sessions, so no smaller one is called so than between these.
///
/// # Errors
/// Something of one version is no number.
pub fn side_by_side(sides: &[Side], host: Fingerprint) -> Result<Versions, Failure> {
    let rule = Rule::default();
    let mut comparisons = Vec::new();
    let others = sides.get(1..).unwrap_or_default();
    for change in others {
        let baseline = &sides[0];
        let metrics = Metrics { deciding: others.len(), guards: 0 };
        let columns = columns(baseline, change, rule, metrics, true);
        let rows = columns.iter().map(|column| column.row(rule, true, false));
        comparisons.push(Comparison {
            baseline: baseline.title.clone(),
            change: change.title.clone(),
            design: Design::InBlocks { runs: baseline.runs.len().min(change.runs.len()) },
            ended: Ended::Complete,
            host: host.clone(),
            rows: rows.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect(),
            verdict: Verdict::Inconclusive,
            needed: None,
            remarks: Vec::new(),
        });
    }
    correct(rule, comparisons.iter_mut().map(|comparison| &mut comparison.rows));
    Ok(Versions { host, all: sides.iter().map(Version::of).collect(), comparisons, verdict: None })
}

/// Judges the rows of all versions anew: those on which verdicts rest as one family, and of whatever else is shown those of
/// each quantity. Returns how many the former are.
fn correct<'r>(rule: Rule, versions: impl Iterator<Item = &'r mut Vec<Row>>) -> Metrics {
    let (mut deciding, mut guards) = (Vec::new(), Vec::new());
    let mut others: BTreeMap<&Quantity, Vec<&mut Decision>> = BTreeMap::new();
    for Row { quantity, judged, decides, guards: guards_it, .. } in versions.flatten() {
        let Judged::Decision(decision) = judged else { continue };
        match (*decides, *guards_it) {
            (true, _) => deciding.push(decision),
            (false, true) => guards.push(decision),
            (false, false) => others.entry(quantity).or_default().push(decision),
        }
    }
    rule.correct(&mut deciding, &mut guards);
    others.into_values().for_each(|mut family| rule.correct(&mut family, &mut []));
    Metrics { deciding: deciding.len(), guards: guards.len() }
}

impl Comparison {
    /// The verdict that the rows deserve.
    fn decide(&mut self) {
        if self.ended == Ended::Interrupted {
            for row in self.rows.iter_mut().filter(|row| row.decides || row.guards) {
                if let Judged::Decision(decision) = &mut row.judged {
                    decision.verdict = Verdict::Inconclusive;
                }
            }
            return;
        }
        let of = |is_it: fn(&Row) -> bool| -> Vec<Verdict> {
            self.rows
                .iter()
                .filter(|row| is_it(row))
                .filter_map(Row::decision)
                .map(|one| one.verdict)
                .collect()
        };
        self.verdict = gate::verdict(&of(|row| row.decides), &of(|row| row.guards));
        // Where nobody saw whether it got worse, nothing passes.
        let is_open = self.rows.iter().any(|row| (row.decides || row.guards) && row.decision().is_none());
        if is_open && self.verdict == Verdict::Pass {
            self.verdict = Verdict::Inconclusive;
        }
    }
}

impl Row {
    /// What was decided, if anything could be.
    pub fn decision(&self) -> Option<Decision> {
        match self.judged {
            Judged::Decision(decision) => Some(decision),
            Judged::NotJudged(_) => None,
        }
    }

    /// What the gate says of it alone: nothing where it could not be judged.
    pub fn verdict(&self) -> Verdict {
        self.decision().map_or(Verdict::Inconclusive, |decision| decision.verdict)
    }

    /// Whether the verdict rests on it, or would but for it be another one.
    pub fn speaks(&self) -> bool {
        self.decides || self.guards && self.verdict() != Verdict::Pass
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

/// In what a quantity of the one version differs from that of the other, which is no reason to decide by something else
/// in silence: the one has it and the other has not, or by another rule, meter or account, or of other modes of the CPU.
fn another_way(columns: &[Column<'_>], sides: [&Side; 2], quantity: &Quantity) -> Option<String> {
    let column = columns.iter().find(|column| column.quantity == *quantity)?;
    let ways = [0, 1].map(|i| {
        let of_side = column.sides[i].filter(|column| column.values.len() == sides[i].runs.len());
        of_side.filter(|column| column.ways.iter().all(|way| way.unfit.is_none()))?.ways.first()
    });
    let is_same = match ways {
        [Some(then), Some(now)] => then.is_same(now),
        [None, None] => true,
        // Of CPU time and instructions `deciding` says itself that they are missing.
        _ => *quantity != Quantity::Energy,
    };
    if is_same {
        return None;
    }
    let [then, now] = ways.map(|way| way.map_or_else(|| "not measured".to_owned(), Way::in_words));
    let [baseline, change] = sides.map(|side| &side.title);
    let other = if *quantity == Quantity::Cpu { Quantity::Time } else { Quantity::Cpu };
    Some(format!(
        "{quantity} was obtained in another way in {baseline} than in {change} ({then}; now {now}): --gate {other} \
         compares without it"
    ))
}

/// What the verdict rests on.
fn deciding(
    columns: &[Column<'_>],
    sides: [&Side; 2],
    gates: &Gates,
    is_stored: bool,
    missing: &[Missing],
) -> Result<Vec<Quantity>, Failure> {
    let find = |quantity: &Quantity| columns.iter().find(|column| column.quantity == *quantity);
    let refused = |quantity: &Quantity| match find(quantity) {
        None => Some(format!("{quantity} was not measured{}", why(quantity, missing))),
        Some(Column { unfit: Some(Unfit::Estimated), .. }) => {
            Some(format!("{quantity} was not measured but estimated{}", why(quantity, missing)))
        }
        // That is alumet's failure, and more runs may make up for it: it is no reason to compare nothing.
        Some(Column { unfit: Some(Unfit::Late(_)), .. }) => None,
        Some(Column { unfit: Some(why), .. }) => Some(format!("{quantity} cannot decide: {why}")),
        Some(_) => None,
    };
    if !gates.named.is_empty() {
        for (quantity, _) in &gates.named {
            if let Some(why) = another_way(columns, sides, quantity).filter(|_| is_stored) {
                return Err(Failure::failed(why));
            }
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
    for quantity in Quantity::DECIDING {
        // Of runs in turn a meter may lose one: then a remark says what decides instead.
        let may_fall_back = !is_stored && quantity == Quantity::Energy;
        if let Some(why) = another_way(columns, sides, &quantity).filter(|_| !may_fall_back) {
            return Err(Failure::failed(why));
        }
        if refused(&quantity).is_none() {
            return Ok(vec![quantity]);
        }
    }
    let whys = Quantity::DECIDING.iter().filter_map(refused).collect::<Vec<_>>();
    Err(Failure::failed(format!("there is nothing valid to compare: {}", whys.join("; "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::FAILED;
    use crate::quantity::Reading;
    use alumet_statistics::decision::Finding;

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

    fn one(
        a: &Side,
        b: &Side,
        gates: &Gates,
        circumstances: Circumstances<'_>,
    ) -> Result<Comparison, Failure> {
        let mut versions = compare(a, &[Other { side: b, circumstances }], gates, 0.05)?;
        assert_eq!(versions.verdict, Some(versions.comparisons[0].verdict));
        Ok(versions.comparisons.remove(0))
    }

    fn judged(a: &Side, b: &Side, gates: &Gates) -> Result<Comparison, Failure> {
        let missing = [Missing {
            plugin: "rapl".into(),
            what: "energy".into(),
            reason: "no RAPL here".into(),
            ..Missing::default()
        }];
        let design = Design::Interleaved { versions: 2, pairs: 10, warmups: 1, adaptive: false };
        let ended = Ended::Complete;
        let circumstances = Circumstances { design, ended, host: host(), missing: &missing };
        one(a, b, gates, circumstances)
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
                FAILED,
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
                refused.status == FAILED && refused.message.contains("cannot be compared"),
                "{}",
                refused.message
            );
        }
        let idle = side("x", |_| vec![(Quantity::Energy, reading(0.0, "measured", None))]);
        let refused = judged(&idle, &idle, &auto()).unwrap_err();
        assert!(refused.message.ends_with("several times, or --gate cpu decide"), "{}", refused.message);
        let nothing = side("x", |_| Vec::new());
        assert_eq!(judged(&nothing, &nothing, &auto()).unwrap_err().status, FAILED);
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

    /// A side of which every run has this of CPU time, memory and instructions.
    fn by(methods: [&'static str; 3]) -> Side {
        side("x", move |wobble| {
            let quantities = [Quantity::Cpu, Quantity::Memory, Quantity::Instructions];
            let reading =
                |method: &str| Reading { method: method.into(), ..reading(wobble, "measured", None) };
            quantities.into_iter().zip(methods.map(reading)).collect()
        })
    }

    /// The same of now against an earlier session.
    fn judged_stored(a: &Side, b: &Side, gates: &Gates) -> Result<Comparison, Failure> {
        let design = Design::Stored { baseline_runs: 10, runs: 10 };
        let circumstances = Circumstances { design, ended: Ended::Complete, host: host(), missing: &[] };
        one(a, b, gates, circumstances)
    }

    #[test]
    fn what_was_obtained_in_another_way_is_not_compared_whatever_it_is() {
        const USUAL: [&str; 3] = ["cgroup cpu.stat", "cgroup memory.peak", "perf"];
        for judge in [judged, judged_stored] {
            let usual = by(USUAL);
            assert!(judge(&usual, &usual, &auto()).unwrap().rows.iter().all(|row| row.decision().is_some()));
            // What decides is refused, with what differs.
            let other = by(["/proc/PID, exact by wait4", USUAL[1], USUAL[2]]);
            let refused = judge(&usual, &other, &auto()).unwrap_err();
            let what = "cpu was obtained in another way in x than in x (cgroup cpu.stat; now /proc/PID, exact by wait4)";
            assert!(refused.status == FAILED && refused.message.starts_with(what), "{}", refused.message);
            // What only is shown says why it is not judged.
            let other = by([USUAL[0], "largest sample of 12", USUAL[2]]);
            let comparison = judge(&usual, &other, &auto()).unwrap();
            let why =
                "it was not obtained in the same way in all runs (cgroup memory.peak; largest sample of 12)";
            assert!(
                matches!(&comparison.rows[1].judged, Judged::NotJudged(text) if text == why),
                "{comparison:?}"
            );
            // Instructions of all modes, and of user mode alone.
            let gates = Gates { named: vec![(Quantity::Instructions, 0.05)], ..auto() };
            let refused =
                judge(&usual, &by([USUAL[0], USUAL[1], "perf, in user mode alone"]), &gates).unwrap_err();
            assert_eq!(refused.status, FAILED);
            assert!(refused.message.contains("perf; ") && refused.message.contains("in user mode alone"));
        }
        // Numbers in a method are none of the way.
        let samples = |n| by(["a", n, "c"]);
        let comparison = judged(&samples("largest of 12"), &samples("largest of 9"), &auto()).unwrap();
        assert!(comparison.rows[1].decision().is_some());
    }

    #[test]
    fn no_gate_decides_by_a_bound() {
        let peak = |bound: alumet::Bound, value: f64| {
            side("x", move |wobble| {
                let unfit = Some(Unfit::Bound(Some(bound), "nobody sees it".into()));
                let memory = Reading { bound: Some(bound), ..reading(value * wobble, "measured", unfit) };
                vec![(Quantity::Memory, memory), (Quantity::Cpu, reading(wobble, "measured", None))]
            })
        };
        let gates = Gates { named: vec![(Quantity::Memory, 0.02)], ..auto() };
        let exact = side("x", |wobble| vec![(Quantity::Memory, reading(50e6 * wobble, "measured", None))]);
        for bound in [alumet::Bound::AtLeast, alumet::Bound::AtMost] {
            for baseline in [&exact, &peak(bound, 50e6)] {
                let refused = judged(baseline, &peak(bound, 200e6), &gates).unwrap_err();
                let why = format!("memory cannot decide: it is {} so much: nobody sees it", bound.as_str());
                assert!(refused.status == FAILED && refused.message.ends_with(&why), "{}", refused.message);
            }
        }
        // Where it does not decide, it keeps its mark.
        let comparison =
            judged(&peak(alumet::Bound::AtLeast, 50e6), &peak(alumet::Bound::AtLeast, 90e6), &auto());
        let memory =
            comparison.unwrap().rows.into_iter().find(|row| row.quantity == Quantity::Memory).unwrap();
        assert_eq!((memory.baseline.bound, memory.decides), (Some(alumet::Bound::AtLeast), false));
    }

    #[test]
    fn time_stands_guard_unless_something_was_named_and_fails_what_only_waits() {
        let waits = |time: f64| {
            side("x", move |wobble| {
                let quantities = [(Quantity::Time, time / wobble), (Quantity::Cpu, wobble)];
                quantities.map(|(quantity, value)| (quantity, reading(value, "measured", None))).into()
            })
        };
        let verdict = |time, gates: &Gates| judged(&waits(1.0), &waits(time), gates).unwrap().verdict;
        assert_eq!(verdict(1.1, &auto()), Verdict::Regression);
        assert_eq!(verdict(1.0, &auto()), Verdict::Pass);
        assert_eq!(verdict(0.7, &auto()), Verdict::Pass);
        let named = Gates { named: vec![(Quantity::Cpu, 0.02)], ..auto() };
        assert_eq!(verdict(1.1, &named), Verdict::Pass, "then the named alone decide");
        let stored = judged_stored(&waits(1.0), &waits(1.3), &auto()).unwrap();
        assert_eq!(stored.verdict, Verdict::Regression);
        let guard = stored.rows.iter().find(|row| row.guards).unwrap();
        assert_eq!((&guard.quantity, guard.decides, guard.speaks()), (&Quantity::Time, false, true));
    }

    /// The time of a run whose end alumet saw late.
    fn seen_late(time: f64) -> Reading {
        let bound = Some(alumet::Bound::AtMost);
        let unfit = Some(Unfit::Bound(bound, "it was stopped".into()));
        Reading { bound, unfit, ..reading(time, "measured", None) }
    }

    /// Ten runs that take so long at the same CPU time. Of some of them alumet saw the end late, by a second.
    fn timed(title: &str, time: f64, late: &[usize]) -> Side {
        let mut side = Side { title: title.into(), ..Side::default() };
        for (place, wobble) in WOBBLE.into_iter().enumerate() {
            let time = match late.contains(&place) {
                true => seen_late(1.0 + time),
                false => reading(time / wobble, "measured", None),
            };
            side.runs.add(vec![(Quantity::Time, time), (Quantity::Cpu, reading(wobble, "measured", None))]);
        }
        side
    }

    fn time_of(comparison: &Comparison) -> &Row {
        comparison.rows.iter().find(|row| row.quantity == Quantity::Time).unwrap()
    }

    #[test]
    fn a_run_whose_end_was_seen_late_is_left_out_and_takes_no_guard_away() {
        for (a, b) in [(&[][..], &[6][..]), (&[6], &[]), (&[6], &[6]), (&[2], &[6])] {
            for judge in [judged, judged_stored] {
                let verdict = |time| judge(&timed("old", 1.0, a), &timed("new", time, b), &auto()).unwrap();
                let slower = verdict(1.3);
                assert_eq!(slower.verdict, Verdict::Regression, "{a:?} {b:?}");
                let same = verdict(1.0);
                assert_eq!(same.verdict, Verdict::Pass, "{a:?} {b:?}: {:?}", same.remarks);
                let row = time_of(&same);
                assert!(row.guards && row.baseline.bound == Some(alumet::Bound::Exact), "{row:?}");
                assert!(row.change.numbers.max < 1.1, "{row:?}");
            }
        }
        let remarks = |judge: fn(&Side, &Side, &Gates) -> Result<Comparison, Failure>| {
            let remarks = judge(&timed("old", 1.0, &[2]), &timed("new", 1.0, &[6]), &auto()).unwrap().remarks;
            remarks.into_iter().find(|remark| remark.starts_with("Time")).unwrap()
        };
        let why = "is left out: there it is at most so much: it was stopped";
        assert_eq!(remarks(judged), format!("Time of pairs 3, 7 {why}"));
        assert_eq!(remarks(judged_stored), format!("Time of run 3 of old and run 7 of new {why}"));
    }

    #[test]
    fn nothing_passes_where_too_few_are_left_whose_end_was_seen_in_time() {
        // Those that are left may object, if they cannot make a regression.
        let three = judged(&timed("old", 1.0, &[0, 1]), &timed("new", 1.1, &[2]), &auto()).unwrap();
        assert_eq!(
            (three.verdict, time_of(&three).verdict()),
            (Verdict::Inconclusive, Verdict::Inconclusive)
        );
        assert_eq!(time_of(&three).decision().unwrap().runs, [7, 7]);
        let pairs = judged(&timed("old", 1.0, &[0, 1, 2]), &timed("new", 1.0, &[3, 4, 5]), &auto()).unwrap();
        let late = [0, 1, 2, 3, 4, 5, 6, 7];
        let stored = judged_stored(&timed("old", 1.0, &late), &timed("new", 1.0, &[]), &auto()).unwrap();
        let says = [
            (pairs, "so much in 6 of 10 pairs, and too few are left"),
            (stored, "in 8 of 10 runs of the baseline and 0 of 10 of"),
        ];
        for (comparison, says) in says {
            assert_eq!((comparison.verdict, comparison.is_void()), (Verdict::Inconclusive, false));
            let row = time_of(&comparison);
            assert!(
                row.guards && row.speaks() && row.baseline.bound == Some(alumet::Bound::AtMost),
                "{row:?}"
            );
            assert!(matches!(&row.judged, Judged::NotJudged(why) if why.contains(says)), "{row:?}");
        }
        // What decides and is worse is a regression all the same.
        let worse = side("new", |wobble| {
            vec![(Quantity::Time, seen_late(2.0)), (Quantity::Cpu, reading(1.3 * wobble, "measured", None))]
        });
        assert_eq!(judged(&timed("old", 1.0, &[]), &worse, &auto()).unwrap().verdict, Verdict::Regression);
    }

    #[test]
    fn time_that_was_named_decides_by_the_runs_whose_end_was_seen_in_time_and_opens_no_gate() {
        let gates = Gates { named: vec![(Quantity::Time, 0.02)], ..auto() };
        let late = [0, 1, 2, 3, 4, 5];
        for judge in [judged, judged_stored] {
            let of = |time, late: &[usize]| {
                judge(&timed("old", 1.0, &[]), &timed("new", time, late), &gates).unwrap()
            };
            assert_eq!(of(1.3, &[4]).verdict, Verdict::Regression);
            assert_eq!(of(1.0, &[4]).verdict, Verdict::Pass);
            for time in [1.0, 1.3] {
                let open = of(time, &late);
                assert_eq!(
                    (open.verdict, open.is_void(), time_of(&open).decides),
                    (Verdict::Inconclusive, true, true)
                );
            }
        }
        // A first pair of that kind is no reason to make no other.
        let mut one = Side::default();
        one.runs.add(vec![(Quantity::Time, seen_late(1.0))]);
        assert_eq!(judged(&one, &one, &gates).unwrap().verdict, Verdict::Inconclusive);
    }

    #[test]
    fn work_that_either_version_leaves_behind_is_nothing_to_compare_whatever_the_other_does() {
        let leaves = |n| Side { left_behind: n, ..side("v", measured(10.0, 1.0)) };
        for (a, b) in [(0, 1), (1, 0), (1, 10), (10, 10)] {
            let refused = judged(&leaves(a), &leaves(b), &auto()).unwrap_err();
            assert_eq!(refused.status, FAILED);
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
