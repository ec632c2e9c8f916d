//! Looking before all runs are done (`--adaptive`): as few pairs as a decision takes, as many as a cap allows, and the
//! error that was promised.
//!
//! Who looks ten times and believes each look at 5 % is wrong much more often than that. So the looks are planned,
//! and each has its own part of the error to spend: up to `n` pairs out of a cap of `N`,
//! `α(n) = α · ln(1 + (e - 1) · n / N)` (the spending function that resembles Pocock's: Lan and DeMets, "Discrete
//! sequential boundaries for clinical trials", Biometrika 70 (1983)). A look at `n` pairs judges by the [`Rule`] at
//! `α(n) - α(previous look)`.
//!
//! The parts add up to α, so the probability that any look errs is at most α by the union bound. Lan and DeMets gain
//! a little from the looks' correlation, for which they need it to be that of a Brownian motion; the bound holds
//! whatever the correlation is, so the tests at each look remain exact with few pairs and with ties.
//!
//! The intervals of all looks, each at its level 1 - 2 α(look), hold the true change together with a probability of at
//! least 1 - 2 α: so does the interval at the look that ended the runs (repeated confidence intervals: Jennison and
//! Turnbull 1989); with a high cap the first looks are too few pairs for such a level, and their interval says so. The
//! estimate itself is somewhat extreme where a look ended early.

use super::decision::Verdict;
use super::gate::Rule;
use super::sample::Invalid;

/// When to look, and what each look may spend.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    rule: Rule,
    looks: Vec<usize>,
}

impl Plan {
    /// The first look is at so many pairs, if the cap is not lower: α = 5 % and a cap of up to 169 leave it enough to
    /// spend that it can decide.
    pub const FIRST_LOOK: usize = 8;

    /// The usual cap.
    pub const CAP: usize = 40;

    /// Looks at 8, 12, 18, 26, 38, ... pairs and at the cap, which is at least [`Rule::FEWEST_RUNS`]: each half as
    /// many again as the one before, even so that both orders of a pair occur equally often, and none so near to the
    /// cap that the two would say the same.
    pub fn new(rule: Rule, cap: usize) -> Result<Self, Invalid> {
        if cap < Rule::FEWEST_RUNS {
            return Err(Invalid::TooFew { got: cap, needed: Rule::FEWEST_RUNS });
        }
        let next = |look: &usize| Some(look.saturating_add(look / 4 * 2));
        let early =
            std::iter::successors(Some(Self::FIRST_LOOK), next).take_while(|look| *look <= cap / 5 * 4);
        Ok(Self { rule, looks: early.chain([cap]).collect() })
    }

    /// After how many pairs to look.
    pub fn looks(&self) -> &[usize] {
        &self.looks
    }

    /// Whether the runs end after so many pairs: at the cap, or with the verdict of a planned look, which judges by this
    /// rule. Between planned looks nothing is judged.
    pub fn is_over<E>(&self, pairs: usize, look: impl FnOnce(Rule) -> Result<Verdict, E>) -> Result<bool, E> {
        match self.look(pairs) {
            _ if pairs >= self.cap() => Ok(true),
            Some(rule) => Ok(look(rule)? != Verdict::Inconclusive),
            None => Ok(false),
        }
    }

    /// The rule of the last word, after so many pairs: that of the planned look which ended the runs. Where they had to
    /// end where none was planned, for a reason that has nothing to do with their values (a time limit), it spends all
    /// that the looks so far have left.
    pub fn last_rule(&self, pairs: usize) -> Rule {
        self.look(pairs).unwrap_or_else(|| {
            let before = self.looks.iter().rev().find(|look| **look < pairs);
            self.rule.at(self.rule.alpha() - before.map_or(0.0, |look| self.spent(*look)))
        })
    }

    /// The rule by which a planned look judges.
    fn look(&self, pairs: usize) -> Option<Rule> {
        let at = self.looks.iter().position(|look| *look == pairs)?;
        let before = if at == 0 { 0.0 } else { self.spent(self.looks[at - 1]) };
        Some(self.rule.at(self.spent(pairs) - before))
    }

    fn cap(&self) -> usize {
        self.looks[self.looks.len() - 1]
    }

    /// The error spent up to so many pairs.
    fn spent(&self, pairs: usize) -> f64 {
        let time = pairs as f64 / self.cap() as f64;
        self.rule.alpha() * ((std::f64::consts::E - 1.0) * time).ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Decision;
    use crate::simulation::Noise;

    fn plan(cap: usize) -> Plan {
        Plan::new(Rule::default(), cap).unwrap()
    }

    fn runs(n: usize, level: f64, cv: f64, seed: u64) -> Vec<f64> {
        let mut noise = Noise::new(seed);
        (0..n).map(|_| level * (cv * noise.normal()).exp()).collect()
    }

    #[test]
    fn the_looks_are_even_and_end_with_the_cap() {
        assert_eq!(plan(40).looks(), [8, 12, 18, 26, 40]);
        assert_eq!(plan(100).looks(), [8, 12, 18, 26, 38, 56, 100]);
        assert_eq!(plan(10).looks(), [8, 10]);
        assert_eq!(plan(9).looks(), [9]);
        assert_eq!(plan(5).looks(), [5]);
        assert_eq!(plan(usize::MAX).looks().last(), Some(&usize::MAX));
        assert_eq!(Plan::new(Rule::default(), 4), Err(Invalid::TooFew { got: 4, needed: 5 }));
    }

    #[test]
    fn the_looks_spend_the_whole_error_and_no_more() {
        for cap in [5, 10, 40, 100, 1000] {
            let plan = plan(cap);
            let spent: f64 = plan.looks().iter().map(|look| plan.look(*look).unwrap().alpha()).sum();
            assert!((spent - 0.05).abs() < 1e-12, "{cap}: {spent}");
        }
        assert_eq!(plan(40).look(9), None);
    }

    #[test]
    fn the_first_look_has_enough_to_spend_for_a_decision() {
        assert!(plan(169).look(8).unwrap().alpha() >= 1.0 / 256.0);
        assert!(plan(170).look(8).unwrap().alpha() < 1.0 / 256.0);
    }

    /// The pairs after which the runs end, where the looks were, and the last word.
    fn run(plan: &Plan, a: &[f64], b: &[f64]) -> (Decision, Vec<usize>) {
        let mut seen = Vec::new();
        let is_over = |pairs: &usize| {
            plan.is_over(*pairs, |rule| {
                seen.push(*pairs);
                Ok::<_, Invalid>(rule.paired(&a[..*pairs], &b[..*pairs])?.verdict)
            })
            .unwrap()
        };
        let pairs = (1..).find(is_over).unwrap();
        (plan.last_rule(pairs).paired(&a[..pairs], &b[..pairs]).unwrap(), seen)
    }

    #[test]
    fn a_clear_case_ends_at_the_first_look_and_an_unclear_one_goes_on_to_the_cap() {
        let plan = plan(40);
        let a = runs(40, 100.0, 0.002, 1);
        for (level, verdict) in [(100.0, Verdict::Pass), (110.0, Verdict::Regression)] {
            let (decision, seen) = run(&plan, &a, &runs(40, level, 0.002, 2));
            assert_eq!((decision.verdict, decision.runs, seen), (verdict, [8, 8], vec![8]));
        }
        let (decision, seen) = run(&plan, &runs(40, 100.0, 0.2, 3), &runs(40, 100.0, 0.2, 4));
        assert_eq!((decision.verdict, decision.runs), (Verdict::Inconclusive, [40, 40]));
        // That at the cap is the last word.
        assert_eq!(seen, [8, 12, 18, 26]);
    }

    #[test]
    fn runs_that_must_end_early_are_judged_by_what_is_left_to_spend() {
        let plan = plan(40);
        let left = 0.05 - plan.look(8).unwrap().alpha() - plan.look(12).unwrap().alpha();
        assert!((plan.last_rule(14).alpha() - left).abs() < 1e-12);
        assert_eq!(plan.last_rule(5).alpha(), 0.05);
        // Where a look was planned it is that one.
        for pairs in [8, 26, 40] {
            assert_eq!(Some(plan.last_rule(pairs)), plan.look(pairs));
        }
    }
}
