//! What a comparison comes to: its numbers, the gate's word and the table's word.

use serde::Serialize;

use super::interval::Interval;

/// So many runs of each version are needed for a decision: four pairs cannot reach 5 %, for 2⁻⁴ is more.
pub const FEWEST_RUNS: usize = 5;

/// What a gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// B does not cost more than A by more than the threshold.
    Pass,
    /// B costs more than A, and by more than the threshold as far as can be said.
    Regression,
    /// The runs allow neither to be said.
    Inconclusive,
}

/// What a table says. The rule for `Worse` is that of a regression, and `Better` is the same rule with A and B
/// exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// B costs more, by more than the threshold.
    Worse,
    /// B costs less, by more than the threshold.
    Better,
    /// No difference over the threshold: both "at least so much more" and "at least so much less" are rejected (two
    /// one-sided tests; Schuirmann 1987).
    Same,
    /// None of these can be said. B may still be known not to be worse: that is [`Verdict::Pass`].
    Unclear,
}

/// What the runs of A and B say about B.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Decision {
    /// The runs of A and of B.
    pub runs: [usize; 2],
    /// The estimated change, as the ratio B / A - 1.
    pub change: f64,
    /// The confidence interval of the change, at the level 1 - 2 α: each of its ends errs with α, as the tests do.
    pub interval: Interval,
    /// The threshold that was applied.
    pub threshold: f64,
    /// p against "B costs at most as much as A": small if B is worse.
    pub p_worse: f64,
    /// p against "B costs at least as much as A": small if B is better.
    pub p_better: f64,
    /// p against "B costs at most the threshold more": small if B is worse by more than the threshold beyond doubt.
    pub p_over: f64,
    /// p against "B costs more than A by more than the threshold": small if B passes.
    pub p_not_worse: f64,
    /// The same with A and B exchanged: small if B is no improvement by more than the threshold.
    pub p_not_better: f64,
    /// The least p that so many runs can have, whatever they are.
    #[serde(skip)]
    pub least_p: f64,
    /// The gate's word.
    pub verdict: Verdict,
    /// The table's word.
    pub finding: Finding,
}

/// Whether a hypothesis with this p is rejected with this error. Rounding errors are none of significance.
pub fn rejects(p: f64, error: f64) -> bool {
    p <= error * (1.0 + 1e-9)
}

impl Decision {
    /// Whether so many runs can find a regression with this error.
    pub fn is_possible(&self, error: f64) -> bool {
        let enough = self.runs.iter().all(|runs| *runs >= FEWEST_RUNS);
        enough && rejects(self.least_p, error)
    }
}
