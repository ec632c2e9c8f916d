//! The gate: whether version B costs more than version A, by so much that it matters.
//!
//! Costs are compared as ratios: `dᵢ = ln(Bᵢ / Aᵢ)` for pairs of runs, `ln B` against `ln A` for two samples. `t` is
//! `ln(1 + threshold)`, `Δ` the Hodges-Lehmann estimate, and every p-value is that of the exact one-sided rank test.
//!
//! - REGRESSION: the test rejects "B costs at most as much as A", and `Δ > t`.
//! - PASS: the test rejects "B costs more than the threshold more", `Δ > t`.
//! - INCONCLUSIVE: neither. More runs can change that, waiting cannot.
//!
//! The threshold is what is allowed, so exactly so much is no regression and passes: 105 against 100 at 5 %. Counts do
//! not vary and meet thresholds exactly, so nothing is left to rounding errors: `t` is larger than the logarithm by
//! `MARGIN`, and differences that are equal but for rounding errors are ties ([`sample::TIE`]).
//!
//! Both can never hold: where more than half of the means of two differences exceed `t`, "more than `t`" is not
//! unlikely. Each error has at most the probability α, whatever the distribution, if the pairs are independent and
//! their `dᵢ` symmetric (for two samples: if they differ by a shift alone). The second condition of a regression
//! makes its error much rarer still, as long as `Δ` is known better than the threshold.
//!
//! With several metrics, any regression fails and all must pass, and several versions are one family: see [`Rule::correct`].

use super::decision::{Decision, FEWEST_RUNS, Finding, Verdict, rejects};
use super::sample::{self, Invalid};
use super::tails::Tails;
use super::{hodges_lehmann, holm, rank_sum, signed_rank};

/// What is above the threshold by less is at it: 7 parts in 10¹⁵ of the cost.
const MARGIN: f64 = 4.0 * sample::TIE;

/// So much of the error is for what stands guard beside what decides, if anything does. At ten pairs that costs what
/// decides nothing: the largest error of its test below 5 % is 4.2 %.
const GUARDS: f64 = 0.1;

/// The rule of a gate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    threshold: f64,
    alpha: f64,
}

impl Default for Rule {
    /// 2 % at α = 5 %.
    fn default() -> Self {
        Self { threshold: 0.02, alpha: 0.05 }
    }
}

impl Rule {
    /// So many runs of each version are needed for a decision.
    pub const FEWEST_RUNS: usize = FEWEST_RUNS;

    /// The least threshold against runs of another session. A session's level differs from the last one's by some 2 %,
    /// which no number of runs averages out.
    pub const STORED_THRESHOLD: f64 = 0.05;

    /// A rule with a threshold (.02 is 2 %) and an error α below ½.
    pub fn new(threshold: f64, alpha: f64) -> Result<Self, Invalid> {
        if !(threshold.is_finite() && threshold >= 0.0) {
            return Err(Invalid::Setting { name: "the threshold", value: threshold, range: "0 or more" });
        }
        if !(alpha > 0.0 && alpha < 0.5) {
            return Err(Invalid::Setting { name: "alpha", value: alpha, range: "above 0 and below 0.5" });
        }
        Ok(Self { threshold, alpha })
    }

    /// The error probability.
    pub fn alpha(self) -> f64 {
        self.alpha
    }

    /// The confidence of the interval that says the same as the tests: each of its ends errs with α, as each of them
    /// does. Where no change lies outside of it, "B costs at most as much" (or "at least") is rejected, and where the
    /// threshold does, "at least the threshold more" (Schuirmann, "A comparison of the two one-sided tests procedure and
    /// the power approach", 1987). At 1 - α, an interval around no change could stand beside a regression.
    fn level(self) -> f64 {
        1.0 - 2.0 * self.alpha
    }

    /// The same rule with another error, which must be a valid one.
    pub(super) fn at(self, alpha: f64) -> Self {
        Self { alpha, ..self }
    }

    /// So many pairs it takes at least to find a regression in one of these metrics.
    pub fn fewest_pairs(self, metrics: Metrics) -> usize {
        self.fewest(metrics, signed_rank::least)
    }

    /// So many runs it takes at least against so many of another session.
    pub fn fewest_runs(self, stored: usize, metrics: Metrics) -> usize {
        self.fewest(metrics, |runs| rank_sum::least(stored, runs))
    }

    /// Whether so many runs of A and of B, paired or of two sessions, can find a regression in one of these metrics.
    pub fn can_decide(self, [a, b]: [usize; 2], is_stored: bool, metrics: Metrics) -> bool {
        let runs = a.min(b);
        let least = || if is_stored { rank_sum::least(a, b) } else { signed_rank::least(runs) };
        runs >= FEWEST_RUNS && rejects(least(), self.error_of(metrics))
    }

    fn fewest(self, metrics: Metrics, least: impl Fn(usize) -> f64) -> usize {
        let error = self.error_of(metrics);
        (FEWEST_RUNS..).find(|runs| rejects(least(*runs), error)).unwrap_or(usize::MAX)
    }

    /// The error that the first of these metrics may spend on a regression (Holm's first step).
    pub fn error_of(self, metrics: Metrics) -> f64 {
        metrics.share() * self.alpha / metrics.deciding.max(1) as f64
    }

    /// Judges pairs of runs: the i-th of A and the i-th of B ran next to each other, in an order that alternates.
    pub fn paired(self, a: &[f64], b: &[f64]) -> Result<Decision, Invalid> {
        let differences = sample::log_ratios(a, b)?;
        let estimate = hodges_lehmann::one_sample(&differences, self.level())?;
        let least = signed_rank::least(a.len());
        self.decide([a.len(), b.len()], least, estimate, |shift| signed_rank::test(&differences, shift))
    }

    /// Judges the runs B of now against the runs A of an earlier session, with a threshold of at least
    /// [`Rule::STORED_THRESHOLD`].
    pub fn stored(self, a: &[f64], b: &[f64]) -> Result<Decision, Invalid> {
        let rule = Self { threshold: self.threshold.max(Self::STORED_THRESHOLD), ..self };
        let [first, second] = sample::logarithms(a, b)?;
        let estimate = hodges_lehmann::shift(&first, &second, rule.level())?;
        let least = rank_sum::least(a.len(), b.len());
        rule.decide([a.len(), b.len()], least, estimate, |shift| rank_sum::test(&first, &second, shift))
    }

    fn decide(
        self,
        runs: [usize; 2],
        least_p: f64,
        estimate: hodges_lehmann::Estimate,
        test: impl Fn(f64) -> Result<Tails, Invalid>,
    ) -> Result<Decision, Invalid> {
        let (at_none, at_threshold) = (test(0.0)?, test(margin(self.threshold))?);
        let decision = Decision {
            runs,
            change: estimate.value.exp_m1(),
            interval: estimate.interval.map(f64::exp_m1),
            threshold: self.threshold,
            p_worse: at_none.greater,
            p_better: at_none.less,
            p_over: at_threshold.greater,
            p_not_worse: at_threshold.less,
            p_not_better: test(-margin(self.threshold))?.greater,
            least_p,
            verdict: Verdict::Inconclusive,
            finding: Finding::Unclear,
        };
        if !decision.change.is_finite() || !decision.interval.high.is_finite() {
            return Err(Invalid::TooLarge);
        }
        Ok(self.judged(decision, Metrics { deciding: 1, guards: 0 }))
    }

    /// The decision with the words that its numbers deserve, as one of these.
    fn judged(self, mut decision: Decision, metrics: Metrics) -> Decision {
        let rejects = |p: f64| rejects(p, self.alpha);
        // What could not fail must not pass.
        let enough = decision.is_possible(self.error_of(metrics));
        let change = decision.change.ln_1p();
        let margin = margin(decision.threshold);
        let worse = enough && rejects(decision.p_worse) && change > margin;
        let better = enough && rejects(decision.p_better) && change < -margin;
        let passes = enough && rejects(decision.p_not_worse);
        decision.verdict = match (worse, passes) {
            (true, _) => Verdict::Regression,
            (false, true) => Verdict::Pass,
            (false, false) => Verdict::Inconclusive,
        };
        decision.finding = match (worse, better) {
            (true, _) => Finding::Worse,
            (false, true) => Finding::Better,
            _ if passes && rejects(decision.p_not_better) => Finding::Same,
            _ => Finding::Unclear,
        };
        decision
    }

    /// One verdict on several metrics of the same runs, whose decisions were made by this rule: some decide, others stand
    /// guard beside them. See [`Rule::correct`] and [`verdict`].
    pub fn together(self, deciding: &mut [Decision], guards: &mut [Decision]) -> Verdict {
        let of =
            |decisions: &[Decision]| decisions.iter().map(|decision| decision.verdict).collect::<Vec<_>>();
        self.correct(
            &mut deciding.iter_mut().collect::<Vec<_>>(),
            &mut guards.iter_mut().collect::<Vec<_>>(),
        );
        verdict(&of(deciding), &of(guards))
    }

    /// Judges decisions anew as one family: of all metrics on which verdicts rest, of all versions that are compared to the
    /// same one, and of what stands guard beside them. All were made by this rule.
    ///
    /// "Worse" and "better" are claims about some metric of some version, and the more of these there are, the more chances
    /// for a false one: so `p_worse` and `p_better` are replaced by Holm's adjusted ones over all of them, and the words
    /// judged anew. The probability of any false regression stays at most α, and that of any false improvement, however the
    /// metrics depend on each other, and the versions, which share the runs of the first. k claims need `2⁻ⁿ ≤ α / k`: two
    /// take 6 pairs, three to six take 7.
    ///
    /// A guard need not be shown to be as good as before, but what is shown to be worse passes nothing. It makes a
    /// regression if it is worse by more than the threshold beyond doubt: the test rejects "at most the threshold more"
    /// with a tenth of the error, which what decides goes without. Where its own word is "worse" and no more, the verdict
    /// is open.
    ///
    /// "Pass" is a claim about all metrics that decide, and false if a single one is over the threshold; that one passes
    /// with at most α. So no adjustment is due (intersection-union: Berger, "Multiparameter hypothesis testing and
    /// acceptance sampling", 1982), nor for "no difference", which claims none. Only with fewer runs than could find a
    /// regression, nothing passes either.
    pub fn correct(self, deciding: &mut [&mut Decision], guards: &mut [&mut Decision]) {
        let metrics = Metrics { deciding: deciding.len(), guards: guards.len() };
        let adjusted = |decisions: &[&mut Decision], share: f64, p: fn(&Decision) -> f64| {
            let adjusted = holm::adjusted(&decisions.iter().map(|decision| p(decision)).collect::<Vec<_>>());
            adjusted.into_iter().map(move |p| (p / share).min(1.0)).collect::<Vec<_>>()
        };
        let share = metrics.share();
        let worse = adjusted(deciding, share, |decision| decision.p_worse);
        let better = adjusted(deciding, share, |decision| decision.p_better);
        for ((decision, p_worse), p_better) in deciding.iter_mut().zip(worse).zip(better) {
            **decision = self.judged(Decision { p_worse, p_better, ..**decision }, metrics);
        }
        // Its word is one claim among those of the other versions, too.
        let claims = Metrics { deciding: guards.len(), guards: 0 };
        let worse = adjusted(guards, 1.0, |guard| guard.p_worse);
        let better = adjusted(guards, 1.0, |guard| guard.p_better);
        let over = adjusted(guards, GUARDS, |guard| guard.p_over);
        for (((guard, p_worse), p_better), p_over) in guards.iter_mut().zip(worse).zip(better).zip(over) {
            **guard = self.judged(Decision { p_worse, p_better, p_over, ..**guard }, claims);
            let is_sure = guard.finding == Finding::Worse && rejects(p_over, self.alpha);
            guard.verdict = match guard.finding {
                Finding::Worse if is_sure => Verdict::Regression,
                Finding::Worse => Verdict::Inconclusive,
                _ => Verdict::Pass,
            };
        }
    }
}

/// The verdict on one version: any regression fails, and all must pass.
pub fn verdict(deciding: &[Verdict], guards: &[Verdict]) -> Verdict {
    let both = || deciding.iter().chain(guards);
    if both().any(|verdict| *verdict == Verdict::Regression) {
        Verdict::Regression
    } else if !deciding.is_empty() && both().all(|verdict| *verdict == Verdict::Pass) {
        Verdict::Pass
    } else {
        Verdict::Inconclusive
    }
}

/// How many metrics there are to judge, of all versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metrics {
    /// On which the verdict rests.
    pub deciding: usize,
    /// Which may only make a regression.
    pub guards: usize,
}

impl Metrics {
    /// How much of the error is for what decides.
    fn share(self) -> f64 {
        if self.guards > 0 { 1.0 - GUARDS } else { 1.0 }
    }
}

/// The threshold as the logarithm of a ratio, and a little more.
fn margin(threshold: f64) -> f64 {
    threshold.ln_1p() + MARGIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::Noise;

    const A: [f64; 10] = [100.0, 101.0, 99.5, 100.4, 98.9, 100.7, 99.2, 100.1, 99.8, 100.3];

    /// A with each run changed by a factor, and a wobble that A does not have.
    fn changed(factor: f64) -> Vec<f64> {
        let wobble = [1.003, 0.998, 1.001, 0.996, 1.002, 0.999, 1.004, 0.997, 1.0005, 0.9985];
        A.iter().zip(wobble).map(|(a, wobble)| a * factor * wobble).collect()
    }

    fn words(decision: Decision) -> (Verdict, Finding) {
        (decision.verdict, decision.finding)
    }

    #[test]
    fn a_clear_change_is_worse_or_better_and_a_clear_none_is_the_same() {
        let judge = |factor| words(Rule::default().paired(&A, &changed(factor)).unwrap());
        assert_eq!(judge(1.05), (Verdict::Regression, Finding::Worse));
        assert_eq!(judge(1.0), (Verdict::Pass, Finding::Same));
        assert_eq!(judge(0.95), (Verdict::Pass, Finding::Better));
        assert_eq!(judge(0.9812), (Verdict::Pass, Finding::Unclear));
        assert_eq!(judge(1.02), (Verdict::Inconclusive, Finding::Unclear));
    }

    #[test]
    fn a_real_change_below_the_threshold_passes() {
        let decision = Rule::default().paired(&A, &changed(1.01)).unwrap();
        assert!(decision.p_worse <= 0.05, "{decision:?}");
        assert_eq!(words(decision), (Verdict::Pass, Finding::Same));
    }

    #[test]
    fn the_change_is_a_ratio_and_lies_in_its_interval() {
        let decision = Rule::default().paired(&A, &changed(1.05)).unwrap();
        assert!((decision.change - 0.05).abs() < 0.001 && decision.interval.contains(0.05), "{decision:?}");
        assert_eq!(decision.interval.level, 1.0 - 2.0 * 43.0 / 1024.0);
        assert_eq!((decision.p_worse, decision.p_not_worse), (1.0 / 1024.0, 1.0));
    }

    #[test]
    fn the_interval_says_the_same_as_the_tests() {
        let mut noise = Noise::new(1);
        for _ in 0..2000 {
            let mut side = |change: f64| (0..10).map(|_| change * (0.02 * noise.normal()).exp()).collect();
            let (a, b): (Vec<f64>, Vec<f64>) = (side(1.0), side(1.015));
            for decision in [Rule::default().paired(&a, &b).unwrap(), Rule::default().stored(&a, &b).unwrap()]
            {
                let Decision { interval, threshold, .. } = decision;
                assert_eq!(interval.low > 0.0, decision.p_worse <= 0.05, "{decision:?}");
                assert_eq!(interval.high < 0.0, decision.p_better <= 0.05, "{decision:?}");
                assert_eq!(interval.high < threshold, decision.p_not_worse <= 0.05, "{decision:?}");
            }
        }
    }

    #[test]
    fn fewer_than_five_pairs_never_decide_and_five_can() {
        let rule = Rule::new(0.02, 0.4).unwrap();
        for n in 1..5 {
            for factor in [0.5, 1.0, 2.0] {
                let decision = rule.paired(&A[..n], &changed(factor)[..n]).unwrap();
                assert_eq!(words(decision), (Verdict::Inconclusive, Finding::Unclear));
                assert_eq!(rule.stored(&A[..n], &changed(factor)).unwrap().verdict, Verdict::Inconclusive);
            }
        }
        let five = |factor| Rule::default().paired(&A[..5], &changed(factor)[..5]).unwrap().verdict;
        assert_eq!((five(1.05), five(1.0)), (Verdict::Regression, Verdict::Pass));
    }

    #[test]
    fn exchanging_the_versions_exchanges_worse_and_better() {
        for factor in [0.95, 0.99, 1.0, 1.01, 1.05] {
            let (b, rule) = (changed(factor), Rule::default());
            for (one, other) in [
                (rule.paired(&A, &b).unwrap(), rule.paired(&b, &A).unwrap()),
                (rule.stored(&A, &b).unwrap(), rule.stored(&b, &A).unwrap()),
            ] {
                assert_eq!((one.p_worse, one.p_not_worse), (other.p_better, other.p_not_better));
                let exchanged = match one.finding {
                    Finding::Worse => Finding::Better,
                    Finding::Better => Finding::Worse,
                    same => same,
                };
                assert_eq!(other.finding, exchanged);
            }
        }
    }

    #[test]
    fn a_stored_baseline_raises_the_threshold_and_never_lowers_it() {
        let stored =
            |threshold, factor| Rule::new(threshold, 0.05).unwrap().stored(&A, &changed(factor)).unwrap();
        assert_eq!(words(stored(0.02, 1.03)), (Verdict::Pass, Finding::Same));
        assert_eq!(words(stored(0.02, 1.08)), (Verdict::Regression, Finding::Worse));
        assert_eq!(words(stored(0.10, 1.08)), (Verdict::Pass, Finding::Same));
        assert_eq!((stored(0.02, 1.0).threshold, stored(0.10, 1.0).threshold), (0.05, 0.10));
    }

    #[test]
    fn identical_numbers_pass() {
        assert_eq!(words(Rule::default().paired(&A, &A).unwrap()), (Verdict::Pass, Finding::Same));
        assert_eq!(
            words(Rule::default().stored(&[3.0; 5], &[3.0; 5]).unwrap()),
            (Verdict::Pass, Finding::Same)
        );
    }

    #[test]
    fn any_regression_fails_and_all_must_pass() {
        let rule = Rule::default();
        let decision = |factor| rule.paired(&A, &changed(factor)).unwrap();
        let together = |factors: &[f64]| {
            rule.together(&mut factors.iter().map(|f| decision(*f)).collect::<Vec<_>>(), &mut [])
        };
        assert_eq!(together(&[1.0, 1.0, 0.9]), Verdict::Pass);
        assert_eq!(together(&[1.0, 1.05, 0.9]), Verdict::Regression);
        assert_eq!(together(&[1.0, 1.02, 0.9]), Verdict::Inconclusive);
        assert_eq!(together(&[1.05, 1.02]), Verdict::Regression);
        assert_eq!(together(&[]), Verdict::Inconclusive);
    }

    #[test]
    fn a_guard_that_is_worse_beyond_doubt_fails_one_that_may_be_leaves_it_open_and_any_other_says_nothing() {
        let rule = Rule::default();
        let paired = |pairs: usize, factor| rule.paired(&A[..pairs], &changed(factor)[..pairs]).unwrap();
        let judge = |pairs, decides, guards| {
            let (mut decides, mut guards) = ([paired(pairs, decides)], [paired(pairs, guards)]);
            (rule.together(&mut decides, &mut guards), guards[0].verdict)
        };
        assert_eq!(judge(10, 1.0, 1.10), (Verdict::Regression, Verdict::Regression));
        assert_eq!(judge(10, 1.0, 1.021), (Verdict::Inconclusive, Verdict::Inconclusive));
        // It need not be shown to be as good as before.
        for factor in [0.9, 1.0, 1.019, 1.02] {
            assert_eq!(judge(10, 1.0, factor), (Verdict::Pass, Verdict::Pass), "{factor}");
        }
        // Five pairs can find what decides to be worse, and nothing beyond doubt: .03 is more than a tenth of 5 %.
        assert_eq!(judge(5, 1.05, 1.0).0, Verdict::Regression);
        assert_eq!(judge(5, 1.0, 1.4), (Verdict::Inconclusive, Verdict::Inconclusive));
        assert_eq!(judge(8, 1.0, 1.4), (Verdict::Regression, Verdict::Regression));
        // Nor does it help what decides.
        assert_eq!(judge(10, 1.02, 0.5).0, Verdict::Inconclusive);
        assert_eq!(judge(10, 1.05, 0.5).0, Verdict::Regression);
    }

    /// The threshold in percent.
    #[track_caller]
    fn at(percent: f64, a: &[f64], b: &[f64], expected: Verdict) {
        let rule = Rule::new(percent / 100.0, 0.05).unwrap();
        let stored = (percent >= 5.0).then(|| rule.stored(a, b).unwrap());
        for decision in [Some(rule.paired(a, b).unwrap()), stored].into_iter().flatten() {
            assert_eq!(decision.verdict, expected, "{} against {} at {percent} %", b[0], a[0]);
        }
    }

    #[test]
    fn exactly_the_threshold_passes_and_one_count_more_does_not_whatever_the_magnitude() {
        let n = |value: f64| vec![value; 8];
        for (a, b, percent) in
            [(100.0, 105.0, 5.0), (20.0, 21.0, 5.0), (100.0, 125.0, 25.0), (3.0, 3.3, 10.0)]
        {
            at(percent, &n(a), &n(b), Verdict::Pass);
            at(percent, &[a; 6], &[b; 6], Verdict::Pass);
        }
        let mut random = fastrand::Rng::with_seed(1);
        for percent in [0, 1, 2, 3, 5, 7, 10, 15, 20, 25, 30, 50, 75, 100, 150, 300, 1000] {
            for magnitude in 0..=9 {
                let hundreds = random.u64(10_u64.pow(magnitude)..10_u64.pow(magnitude + 1));
                let (a, b) = ((100 * hundreds) as f64, ((100 + percent) * hundreds) as f64);
                let percent = percent as f64;
                at(percent, &n(a), &n(b), Verdict::Pass);
                at(percent, &n(a), &n(b + 1.0), Verdict::Regression);
                at(percent, &n(a), &n(b - 1.0), Verdict::Pass);
                // In any unit.
                for unit in [1e-9, 1.0 / 3.0, 1e9] {
                    let scaled = |value: f64| n(value * unit);
                    at(percent, &scaled(a), &scaled(b), Verdict::Pass);
                    at(percent, &scaled(a), &scaled(b + 1.0), Verdict::Regression);
                }
            }
        }
    }

    #[test]
    fn pairs_of_any_size_that_are_exactly_at_the_threshold_pass() {
        let mut random = fastrand::Rng::with_seed(2);
        for percent in [0_u64, 1, 2, 5, 10, 25, 40] {
            let hundreds: Vec<u64> = (0..10).map(|_| random.u64(1..10_000_000)).collect();
            let a: Vec<f64> = hundreds.iter().map(|of| (100 * of) as f64).collect();
            let b: Vec<f64> = hundreds.iter().map(|of| ((100 + percent) * of) as f64).collect();
            let rule = Rule::new(percent as f64 / 100.0, 0.05).unwrap();
            assert_eq!(rule.paired(&a, &b).unwrap().verdict, Verdict::Pass, "{percent}");
            let exchanged = rule.paired(&b, &a).unwrap();
            assert_eq!(
                words(exchanged),
                (Verdict::Pass, Finding::Same),
                "exactly so much better is not more"
            );
        }
    }

    #[test]
    fn more_metrics_take_more_evidence_for_a_regression_but_not_for_a_pass() {
        let rule = Rule::default();
        let five = |factor| rule.paired(&A[..5], &changed(factor)[..5]).unwrap();
        assert_eq!(rule.together(&mut [five(1.05)], &mut []), Verdict::Regression);
        let mut two = [five(1.05), five(1.0)];
        assert_eq!(rule.together(&mut two, &mut []), Verdict::Inconclusive);
        assert_eq!((two[0].p_worse, two[0].verdict), (2.0 / 32.0, Verdict::Inconclusive));
        let six = |factor| rule.paired(&A[..6], &changed(factor)[..6]).unwrap();
        assert_eq!(rule.together(&mut [six(1.0), six(1.0)], &mut []), Verdict::Pass);
    }

    #[test]
    fn what_could_not_find_a_regression_passes_nothing() {
        let rule = Rule::default();
        let five = |factor| rule.paired(&A[..5], &changed(factor)[..5]).unwrap();
        assert_eq!(rule.together(&mut [five(1.0)], &mut []), Verdict::Pass);
        let mut two = [five(1.0), five(1.0)];
        assert_eq!(rule.together(&mut two, &mut []), Verdict::Inconclusive);
        assert!(two.iter().all(|decision| words(*decision) == (Verdict::Inconclusive, Finding::Unclear)));
        // One order in 252 is as rare as it gets.
        let strict = Rule::new(0.02, 0.003).unwrap();
        let stored = |n: usize| strict.stored(&A[..n], &changed(1.0)[..n]).unwrap();
        assert!(!stored(5).is_possible(0.003) && stored(6).is_possible(0.003));
    }

    #[test]
    fn as_many_runs_are_needed_as_can_decide() {
        let of = |alpha| Rule::new(0.02, alpha).unwrap();
        let several = |deciding| Metrics { deciding, guards: 0 };
        assert_eq!([1, 2, 3, 6, 7].map(|metrics| of(0.05).fewest_pairs(several(metrics))), [5, 6, 6, 7, 8]);
        assert_eq!((of(0.01).fewest_pairs(several(1)), of(0.0625).fewest_pairs(several(2))), (7, 5));
        assert_eq!([5, 10].map(|stored| of(0.05).fewest_runs(stored, several(1))), [5, 5]);
        assert_eq!([5, 10].map(|stored| of(0.001).fewest_runs(stored, several(1))), [8, 5]);
        // A guard takes a tenth of the error, and no pair more at the usual ones.
        let guarded = Metrics { deciding: 1, guards: 1 };
        assert_eq!([0.05, 0.025, 0.01].map(|alpha| of(alpha).fewest_pairs(guarded)), [5, 6, 7]);
    }

    #[test]
    fn so_many_runs_can_decide_as_it_takes_at_least() {
        let rule = Rule::default();
        for (deciding, guards) in [(1, 0), (1, 1), (2, 0), (6, 0)] {
            let metrics = Metrics { deciding, guards };
            let pairs = rule.fewest_pairs(metrics);
            assert!(rule.can_decide([pairs; 2], false, metrics), "{metrics:?}");
            assert!(!rule.can_decide([pairs - 1, pairs], false, metrics), "{metrics:?}");
            let runs = rule.fewest_runs(6, metrics);
            assert!(
                rule.can_decide([6, runs], true, metrics) && !rule.can_decide([6, runs - 1], true, metrics)
            );
            assert!(!rule.can_decide([0, 100], true, metrics) && !rule.can_decide([4, 100], true, metrics));
        }
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        let rule = Rule::default();
        assert!(matches!(rule.paired(&[], &[]), Err(Invalid::TooFew { .. })));
        assert!(matches!(rule.paired(&[1.0, 0.0], &[1.0, 1.0]), Err(Invalid::NotPositive { run: 2, .. })));
        assert!(matches!(rule.paired(&[1.0], &[f64::NAN]), Err(Invalid::NotFinite { .. })));
        assert!(matches!(rule.stored(&[1.0], &[-1.0]), Err(Invalid::NotPositive { .. })));
        assert!(matches!(rule.paired(&[1e-300], &[1e300]), Err(Invalid::TooLarge)));
        assert!(Rule::new(-0.01, 0.05).is_err() && Rule::new(f64::NAN, 0.05).is_err());
        assert!(Rule::new(0.02, 0.0).is_err() && Rule::new(0.02, 0.5).is_err());
    }
}
