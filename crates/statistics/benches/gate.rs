//! How often the gate errs and how often it finds a change: a table of rates from simulated sessions, with more
//! repetitions than the tests have time for. `cargo bench -p alumet-statistics`, or with another number of repetitions
//! `cargo bench -p alumet-statistics -- 100000`.

use alumet_statistics::decision::{Decision, Verdict};
use alumet_statistics::sample::Invalid;
use alumet_statistics::simulation::{self, Noise, Session};

fn main() -> Result<(), Invalid> {
    let repetitions = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(20_000);
    let usual = Session::USUAL;
    let sessions = [
        ("usual", usual),
        ("AR(1) .3", Session { rho: 0.3, ..usual }),
        ("outliers in 5 % of pairs", Session { outliers: 0.025, ..usual }),
        ("outliers in 5 % of runs", Session { outliers: 0.05, ..usual }),
        ("CV 5 %", Session { cv: 0.05, ..usual }),
    ];
    let effects = [0.0, 0.02, 0.03, 0.05];
    println!(
        "{repetitions} sessions a line; shares in %; the standard error of 1 % is {:.2}",
        error(repetitions)
    );
    println!("{:<52} {:>6} {:>6} {:>6} {:>8}", "", "pass", "regr.", "incon.", "pairs");
    for pairs in [5, 10, 14, 20, 40] {
        for (name, session) in sessions {
            let session = Session { pairs, ..session };
            for effect in effects {
                let label = format!("{pairs} pairs, {name}, {:+.0} %", 100.0 * effect);
                row(&label, repetitions, |noise| simulation::gate(session, effect, noise))?;
            }
        }
    }
    for pairs in [10, 20, 40, 100] {
        for (name, session) in sessions {
            let session = Session { pairs, ..session };
            for effect in effects {
                let label = format!("up to {pairs} pairs, {name}, {:+.0} %", 100.0 * effect);
                row(&label, repetitions, |noise| simulation::adaptive(session, effect, noise))?;
            }
        }
    }
    println!("\n{:<58} {:>6} {:>6} {:>6}", "", "pass", "regr.", "incon.");
    for (name, session) in sessions {
        for correlation in [0.0, 0.5, 0.9] {
            for effects in [[0.0, 0.0], [0.03, 0.0], [0.05, 0.0], [0.0, 0.05], [0.0, 0.1]] {
                let [decides, time] = effects.map(|effect| 100.0 * effect);
                let label = format!("{name}, r = {correlation}, {decides:+.0} %, time {time:+.0} %");
                let two = simulation::Two { session, correlation, effects };
                verdicts(&format!("{label}, alone"), repetitions, |noise| two.unguarded(noise))?;
                verdicts(&format!("{label}, guarded"), repetitions, |noise| two.gate(noise))?;
                verdicts(&format!("{label}, up to 40"), repetitions / 10, |noise| {
                    let session = Session { pairs: 40, ..session };
                    simulation::Two { session, ..two }.adaptive(noise)
                })?;
                verdicts(&format!("{label}, stored"), repetitions, |noise| two.stored(0.02, noise))?;
            }
        }
    }
    for cv in [0.005, 0.01, 0.02] {
        for spread in [0.02, 0.02 * std::f64::consts::SQRT_2] {
            for effect in [0.0, 0.05, 0.08, 0.10] {
                let session = Session { cv, ..usual };
                let label = format!(
                    "stored, CV {} %, apart {:.1} %, {:+.0} %",
                    100.0 * cv,
                    100.0 * spread,
                    100.0 * effect
                );
                row(&label, repetitions, |noise| simulation::stored(session, effect, spread, noise))?;
            }
        }
    }
    Ok(())
}

/// The standard error of a rate of 1 %, in %.
fn error(repetitions: u32) -> f64 {
    100.0 * (0.01 * 0.99 / f64::from(repetitions)).sqrt()
}

/// A row without the number of pairs.
fn verdicts(
    label: &str,
    repetitions: u32,
    decide: impl Fn(&mut Noise) -> Result<Verdict, Invalid>,
) -> Result<(), Invalid> {
    let mut noise = Noise::new(1);
    let mut counts = [0_u32; 3];
    for _ in 0..repetitions {
        counts[decide(&mut noise)? as usize] += 1;
    }
    let share = |verdict: Verdict| 100.0 * f64::from(counts[verdict as usize]) / f64::from(repetitions);
    let [pass, regression, inconclusive] =
        [Verdict::Pass, Verdict::Regression, Verdict::Inconclusive].map(share);
    println!("{label:<58} {pass:>6.2} {regression:>6.2} {inconclusive:>6.2}");
    Ok(())
}

fn row(
    label: &str,
    repetitions: u32,
    decide: impl Fn(&mut Noise) -> Result<Decision, Invalid>,
) -> Result<(), Invalid> {
    let mut noise = Noise::new(1);
    let mut counts = [0_u32; 3];
    let mut pairs = 0;
    for _ in 0..repetitions {
        let decision = decide(&mut noise)?;
        counts[decision.verdict as usize] += 1;
        pairs += decision.runs[1];
    }
    let share = |verdict: Verdict| 100.0 * f64::from(counts[verdict as usize]) / f64::from(repetitions);
    println!(
        "{label:<52} {:>6.2} {:>6.2} {:>6.2} {:>8.1}",
        share(Verdict::Pass),
        share(Verdict::Regression),
        share(Verdict::Inconclusive),
        pairs as f64 / f64::from(repetitions)
    );
    Ok(())
}
