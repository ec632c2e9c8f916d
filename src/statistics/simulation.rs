//! Sessions of runs as real machines give them, made by chance, to which the gate is held.
//!
//! A run costs `level · drift · noise`: multiplicative noise of a given coefficient of variation, independent or
//! AR(1) from run to run; a drift, linear from the first run to the last; and now and then an outlier. The runs of
//! two versions come in ABBA order.

use crate::statistics::decision::Decision;
use crate::statistics::gate::Rule;
use crate::statistics::sample::Invalid;
use crate::statistics::sequential::Plan;

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
