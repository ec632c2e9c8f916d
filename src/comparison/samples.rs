//! Comparisons with numbers that are easy to recognise, for the tests of what is made from one.

use alumet::Bound;
use alumet_statistics::decision::{Decision, Finding, Verdict};
use alumet_statistics::describe::describe;
use alumet_statistics::interval::Interval;

use super::versions::{Known, Version, Versions, worst};
use super::{Comparison, Described, Design, Ended, Judged, Row};
use crate::fingerprint::Fingerprint;
use crate::profile::Parameters;
use crate::quantity::Quantity;

/// Of ten pairs, with a threshold of 2 %, not yet judged.
pub fn decision(change: f64, low: f64, high: f64) -> Decision {
    Decision {
        runs: [10, 10],
        change,
        interval: Interval { low, high, level: 0.916 },
        threshold: 0.02,
        p_worse: 0.4,
        p_better: 0.6,
        p_over: 0.8,
        p_not_worse: 0.2,
        p_not_better: 0.1,
        least_p: 1.0 / 1024.0,
        verdict: Verdict::Inconclusive,
        finding: Finding::Unclear,
    }
}

pub fn worse() -> Decision {
    Decision {
        p_worse: 0.001,
        verdict: Verdict::Regression,
        finding: Finding::Worse,
        ..decision(0.069, 0.058, 0.081)
    }
}

pub fn same() -> Decision {
    Decision {
        p_not_worse: 0.003,
        verdict: Verdict::Pass,
        finding: Finding::Same,
        ..decision(-0.005, -0.009, 0.001)
    }
}

pub fn unclear() -> Decision {
    decision(0.009, -0.011, 0.029)
}

fn description(mean: f64) -> Described {
    let numbers = describe(&[0.99 * mean, mean, 1.01 * mean]).unwrap();
    Described { numbers, bound: Some(Bound::Exact) }
}

pub fn row(quantity: Quantity, judged: Judged) -> Row {
    let [baseline, change] = match quantity {
        Quantity::Energy => [11.3, 12.1],
        Quantity::Memory => [184e6, 184e6],
        _ => [4.02, 4.001],
    };
    Row {
        unit: quantity.unit(),
        provenance: if quantity == Quantity::Energy { "attributed" } else { "measured" }.into(),
        method: "m".into(),
        baseline: description(baseline),
        change: description(change),
        ratio_of_means: Some(Interval { low: 1.01, high: 1.12, level: 0.95 }),
        decides: false,
        guards: false,
        judged,
        quantity,
    }
}

/// Energy decides, with this verdict; time is not different and memory not judged.
pub fn comparison(verdict: Verdict) -> Comparison {
    let decision = match verdict {
        Verdict::Regression => worse(),
        Verdict::Pass => same(),
        Verdict::Inconclusive => unclear(),
    };
    Comparison {
        baseline: "./old --fast".into(),
        change: "./new --fast".into(),
        design: Design::Interleaved { versions: 2, pairs: 10, warmups: 1, adaptive: false },
        ended: Ended::Complete,
        host: Fingerprint {
            cpu_model: Some("AMD EPYC 9254".into()),
            cpus: 48,
            architecture: "x86_64".into(),
            kernel: "6.8".into(),
            memory_bytes: Some(1 << 36),
            governor: Some("performance".into()),
            virtualisation: "none".into(),
        },
        rows: vec![
            Row { decides: true, ..row(Quantity::Energy, Judged::Decision(decision)) },
            row(Quantity::Time, Judged::Decision(same())),
            row(Quantity::Memory, Judged::NotJudged("some runs lack it".into())),
        ],
        verdict,
        needed: None,
        remarks: vec!["Energy of ./new --fast: far from the others, and kept: run 4".into()],
    }
}

/// Energy regresses; CPU time, which decides too, does not by its own threshold.
pub fn several() -> Comparison {
    let mut comparison = comparison(Verdict::Regression);
    let cpu = Decision { threshold: 0.05, ..same() };
    comparison.rows.insert(1, Row { decides: true, ..row(Quantity::Cpu, Judged::Decision(cpu)) });
    comparison
}

/// CPU time decides and passes; time is on guard and 40 % worse, of which there is this much doubt.
pub fn slower(p_over: f64) -> Comparison {
    let verdict = if p_over <= 0.05 { Verdict::Regression } else { Verdict::Inconclusive };
    let mut comparison = comparison(Verdict::Pass);
    let time =
        Decision { p_over, verdict, finding: Finding::Worse, p_worse: 0.001, ..decision(0.4, 0.31, 0.51) };
    comparison.rows = vec![
        Row { guards: true, ..row(Quantity::Time, Judged::Decision(time)) },
        Row { decides: true, ..row(Quantity::Cpu, Judged::Decision(same())) },
    ];
    comparison.verdict = verdict;
    comparison.remarks.clear();
    comparison
}

/// Energy decides; the peaks of memory are bounds, which decide nothing.
pub fn bounded() -> Comparison {
    let mut comparison = comparison(Verdict::Pass);
    let why = "it is at least so much: between two samples nobody sees it";
    let mut memory = row(Quantity::Memory, Judged::NotJudged(why.into()));
    memory.baseline.bound = Some(Bound::AtLeast);
    memory.change.bound = Some(Bound::AtMost);
    comparison.rows[2] = memory;
    comparison
}

/// Energy decides and passes; of time too little is known for a guard.
pub fn unguarded() -> Comparison {
    let mut comparison = comparison(Verdict::Pass);
    let why = "it is at most so much in 6 of 10 pairs, and too few are left: alumet was stopped";
    comparison.rows[1] = Row { guards: true, ..row(Quantity::Time, Judged::NotJudged(why.into())) };
    comparison.verdict = Verdict::Inconclusive;
    comparison.remarks.clear();
    comparison
}

/// Versions whose comparisons are these.
pub fn versions(comparisons: Vec<Comparison>) -> Versions {
    let version = |name: &str, comparison: &Comparison, of: fn(&Row) -> Described| {
        let known = |row: &Row| Known {
            quantity: row.quantity.clone(),
            unit: row.unit,
            provenance: row.provenance.clone(),
            method: row.method.clone(),
            described: of(row),
        };
        let quantities = comparison.rows.iter().map(known).collect();
        Version { name: name.into(), command: name.into(), parameters: Parameters::new(), quantities }
    };
    let first = &comparisons[0];
    let mut all = vec![version(&first.baseline, first, |row| row.baseline)];
    all.extend(comparisons.iter().map(|one| version(&one.change, one, |row| row.change)));
    Versions { host: first.host.clone(), all, verdict: Some(worst(&comparisons)), comparisons }
}

/// Three: the second costs more energy, the third takes longer.
pub fn three() -> Versions {
    let (mut new, mut beta) = (comparison(Verdict::Regression), slower(0.002));
    for (comparison, name) in [(&mut new, "new"), (&mut beta, "beta")] {
        (comparison.baseline, comparison.change) = ("old".into(), name.into());
        comparison.design = Design::Interleaved { versions: 3, pairs: 10, warmups: 1, adaptive: false };
        comparison.remarks.clear();
    }
    let cpu = row(Quantity::Cpu, Judged::Decision(same()));
    new.rows.insert(2, cpu);
    let energy = row(Quantity::Energy, Judged::Decision(unclear()));
    beta.rows.insert(0, energy);
    versions(vec![new, beta])
}

/// A title that attacks every format.
pub const HOSTILE: &str = "sh -c '<b>|`x`\n::error::\u{1b}[31m]]>&\"%,*_@me #1\u{202e}'";
