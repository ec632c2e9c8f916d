//! Sessions of runs as real machines give them, made by chance, to which the gate is held.
//!
//! A run costs `level · drift · noise`: multiplicative noise of a given coefficient of variation, independent or
//! AR(1) from run to run; a drift, linear from the first run to the last; and now and then an outlier. The runs of
//! two versions come in ABBA order.

use crate::decision::{Decision, Verdict};
use crate::gate::Rule;
use crate::sample::Invalid;
use crate::sequential::Plan;
use crate::turns;

/// Normally distributed numbers from a seed.
#[derive(Debug)]
pub struct Noise(fastrand::Rng);

impl Noise {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Mean 0, standard deviation 1 (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.0.f64()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.0.f64()).cos()
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.0.f64() < probability
    }
}

/// What a session is like.
#[derive(Debug, Clone, Copy)]
pub struct Session {
    /// The coefficient of variation of a run.
    pub cv: f64,
    /// How much more the last run costs than the first one, as a ratio - 1.
    pub drift: f64,
    /// The correlation of a run's noise with that of the run before.
    pub rho: f64,
    /// The share of runs that are outliers. Half of 5 % puts one into 5 % of the pairs.
    pub outliers: f64,
    /// Pairs of runs; with looks, the most there may be.
    pub pairs: usize,
}

/// How much more an outlier costs.
const OUTLIER: f64 = 0.15;

impl Session {
    /// CV 2 %, a drift of 4 %, ten pairs, nothing else.
    pub const USUAL: Self = Self { cv: 0.02, drift: 0.04, rho: 0.0, outliers: 0.0, pairs: 10 };

    /// The runs in their order, each at the level of its version.
    fn runs(self, level: impl Fn(usize) -> f64, count: usize, noise: &mut Noise) -> Vec<f64> {
        let mut previous = noise.normal();
        let run = |at: usize| {
            let drift = 1.0 + self.drift * at as f64 / (count - 1) as f64;
            previous = self.rho * previous + (1.0 - self.rho * self.rho).sqrt() * noise.normal();
            let outlier = if noise.chance(self.outliers) { 1.0 + OUTLIER } else { 1.0 };
            level(at) * drift * (self.cv * previous).exp() * outlier
        };
        (0..count).map(run).collect()
    }

    /// Pairs of a version at 100 and one that differs by `effect`, in ABBA order.
    pub fn interleaved(self, effect: f64, noise: &mut Noise) -> (Vec<f64>, Vec<f64>) {
        let is_b = |run: usize| matches!(run % 4, 1 | 2);
        let level = |run| if is_b(run) { 100.0 * (1.0 + effect) } else { 100.0 };
        let runs = self.runs(level, 2 * self.pairs, noise);
        let of = |b: bool| (0..runs.len()).filter(move |run| is_b(*run) == b).map(|run| runs[run]);
        (of(false).collect(), of(true).collect())
    }

    /// Rounds of several versions in turn: the first at 100, each other differs by its effect.
    pub fn in_turn(self, effects: &[f64], noise: &mut Noise) -> Vec<Vec<f64>> {
        let versions = effects.len() + 1;
        let turns: Vec<usize> = (0..self.pairs).flat_map(|round| turns::order(versions, round)).collect();
        let level =
            |run: usize| 100.0 * (1.0 + turns[run].checked_sub(1).map_or(0.0, |other| effects[other]));
        let runs = self.runs(level, turns.len(), noise);
        let of = |version: usize| turns.iter().zip(&runs).filter(move |(turn, _)| **turn == version);
        (0..versions).map(|version| of(version).map(|(_, run)| *run).collect()).collect()
    }

    /// All runs of the one, then all of the other: what the gate does not allow, as a control.
    pub fn one_after_the_other(self, effect: f64, noise: &mut Noise) -> (Vec<f64>, Vec<f64>) {
        let level = |run| if run >= self.pairs { 100.0 * (1.0 + effect) } else { 100.0 };
        let mut first = self.runs(level, 2 * self.pairs, noise);
        let second = first.split_off(self.pairs);
        (first, second)
    }

    /// Two sessions whose levels differ by a normally distributed ratio with this standard deviation, besides
    /// `effect`.
    pub fn apart(self, effect: f64, spread: f64, noise: &mut Noise) -> (Vec<f64>, Vec<f64>) {
        let level = 100.0 * (1.0 + effect) * (spread * noise.normal()).exp();
        (self.runs(|_| 100.0, self.pairs, noise), self.runs(|_| level, self.pairs, noise))
    }
}

/// What the runs of a session say of two metrics whose noise is correlated: energy or CPU time, which decides, and time.
#[derive(Debug, Clone, Copy)]
pub struct Two {
    /// What is simulated.
    pub session: Session,
    /// The correlation of the metrics' noise. What is an outlier in the one is in the other, too.
    pub correlation: f64,
    /// By how much the version differs in each.
    pub effects: [f64; 2],
}

impl Two {
    /// The runs of both versions, of either metric, in ABBA order.
    fn interleaved(self, noise: &mut Noise) -> [(Vec<f64>, Vec<f64>); 2] {
        let is_b = |run: usize| matches!(run % 4, 1 | 2);
        let runs = self.runs(
            [0, 1].map(|i| move |run| if is_b(run) { 1.0 + self.effects[i] } else { 1.0 }),
            2 * self.session.pairs,
            noise,
        );
        runs.map(|runs| {
            let of = |b: bool| (0..runs.len()).filter(move |run| is_b(*run) == b).map(|run| runs[run]);
            (of(false).collect(), of(true).collect())
        })
    }

    /// Two sessions, as [`Session::apart`]; the levels of both metrics differ with the same correlation.
    fn apart(self, spread: f64, noise: &mut Noise) -> [(Vec<f64>, Vec<f64>); 2] {
        let levels = self.correlated(noise).map(|normal| (spread * normal).exp());
        let first = self.runs([0, 1].map(|_| |_| 1.0), self.session.pairs, noise);
        let second = self.runs(
            [0, 1].map(|i| move |_| levels[i] * (1.0 + self.effects[i])),
            self.session.pairs,
            noise,
        );
        let [a, b] = first;
        let [c, d] = second;
        [(a, c), (b, d)]
    }

    fn correlated(self, noise: &mut Noise) -> [f64; 2] {
        let first = noise.normal();
        [first, self.correlation * first + (1.0 - self.correlation.powi(2)).sqrt() * noise.normal()]
    }

    fn runs(self, levels: [impl Fn(usize) -> f64; 2], count: usize, noise: &mut Noise) -> [Vec<f64>; 2] {
        let Session { cv, drift, rho, outliers, .. } = self.session;
        let mut previous = self.correlated(noise);
        let mut runs = [Vec::with_capacity(count), Vec::with_capacity(count)];
        for at in 0..count {
            let fresh = self.correlated(noise);
            let drift = 1.0 + drift * at as f64 / (count - 1) as f64;
            let outlier = if noise.chance(outliers) { 1.0 + OUTLIER } else { 1.0 };
            for i in 0..2 {
                previous[i] = rho * previous[i] + (1.0 - rho * rho).sqrt() * fresh[i];
                runs[i].push(100.0 * levels[i](at) * drift * (cv * previous[i]).exp() * outlier);
            }
        }
        runs
    }

    /// The verdict on pairs by the first metric alone.
    pub fn unguarded(self, noise: &mut Noise) -> Result<Verdict, Invalid> {
        let [(a, b), _] = self.interleaved(noise);
        Ok(Rule::default().paired(&a, &b)?.verdict)
    }

    /// The verdict of the default gate on pairs: the first metric decides, the second stands guard.
    pub fn gate(self, noise: &mut Noise) -> Result<Verdict, Invalid> {
        let [decides, guards] = self.interleaved(noise);
        let rule = Rule::default();
        let paired = |(a, b): &(Vec<f64>, Vec<f64>)| rule.paired(a, b);
        Ok(rule.together(&mut [paired(&decides)?], &mut [paired(&guards)?]))
    }

    /// The same against an earlier session.
    pub fn stored(self, spread: f64, noise: &mut Noise) -> Result<Verdict, Invalid> {
        let [decides, guards] = self.apart(spread, noise);
        let rule = Rule::default();
        let stored = |(a, b): &(Vec<f64>, Vec<f64>)| rule.stored(a, b);
        Ok(rule.together(&mut [stored(&decides)?], &mut [stored(&guards)?]))
    }

    /// The same with looks: the verdict of the one that ends the session.
    pub fn adaptive(self, noise: &mut Noise) -> Result<Verdict, Invalid> {
        let [decides, guards] = self.interleaved(noise);
        let plan = Plan::new(Rule::default(), self.session.pairs)?;
        let verdict = |rule: Rule, pairs: usize| {
            let paired = |(a, b): &(Vec<f64>, Vec<f64>)| rule.paired(&a[..pairs], &b[..pairs]);
            Ok(rule.together(&mut [paired(&decides)?], &mut [paired(&guards)?]))
        };
        let mut pairs = 1;
        while !plan.is_over(pairs, |rule| verdict(rule, pairs))? {
            pairs += 1;
        }
        verdict(plan.last_rule(pairs), pairs)
    }
}

/// The share of repetitions in which this is so.
pub fn rate(repetitions: u32, seed: u64, mut happens: impl FnMut(&mut Noise) -> bool) -> f64 {
    let mut noise = Noise::new(seed);
    let count = (0..repetitions).filter(|_| happens(&mut noise)).count();
    count as f64 / f64::from(repetitions)
}

/// The decision on a session by the usual rule.
pub fn gate(session: Session, effect: f64, noise: &mut Noise) -> Result<Decision, Invalid> {
    let (a, b) = session.interleaved(effect, noise);
    Rule::default().paired(&a, &b)
}

/// The decisions on several versions, each against the first, as one family or each for itself.
pub fn versions(
    rule: Rule,
    session: Session,
    effects: &[f64],
    is_family: bool,
    noise: &mut Noise,
) -> Result<Vec<Decision>, Invalid> {
    let runs = session.in_turn(effects, noise);
    let mut decisions =
        runs[1..].iter().map(|other| rule.paired(&runs[0], other)).collect::<Result<Vec<_>, _>>()?;
    if is_family {
        rule.correct(&mut decisions.iter_mut().collect::<Vec<_>>(), &mut []);
    }
    Ok(decisions)
}

/// The decision on a session against an earlier one, from which it differs by chance besides the effect.
pub fn stored(session: Session, effect: f64, spread: f64, noise: &mut Noise) -> Result<Decision, Invalid> {
    let (a, b) = session.apart(effect, spread, noise);
    Rule::default().stored(&a, &b)
}

/// The decision of the look that ends a session.
pub fn adaptive(session: Session, effect: f64, noise: &mut Noise) -> Result<Decision, Invalid> {
    let (a, b) = session.interleaved(effect, noise);
    let plan = Plan::new(Rule::default(), session.pairs)?;
    let mut pairs = 1;
    while !plan.is_over(pairs, |rule| Ok(rule.paired(&a[..pairs], &b[..pairs])?.verdict))? {
        pairs += 1;
    }
    plan.last_rule(pairs).paired(&a[..pairs], &b[..pairs])
}
