//! Whether a number is what it says, or only not less, or not more.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::series::SeriesId;

/// How the total of a series relates to the truth. It belongs to the number, and every table, file and gate keeps it.
///
/// ```
/// use alumet::Bound;
///
/// assert_eq!(Bound::AtLeast.and(Bound::Exact), Some(Bound::AtLeast));
/// assert_eq!(Bound::AtLeast.and(Bound::AtMost), None, "their sum may be off to either side");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// It is the total, within its uncertainty if it has one.
    #[default]
    Exact,
    /// Something is missing in it: the truth is not smaller.
    AtLeast,
    /// Something else is in it: the truth is not larger.
    AtMost,
}

impl Bound {
    /// What stands in front of the number: `at least`, `at most`, or nothing.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "",
            Self::AtLeast => "at least",
            Self::AtMost => "at most",
        }
    }

    /// Whether it is no bound.
    pub const fn is_exact(&self) -> bool {
        matches!(self, Self::Exact)
    }

    /// That of a number from which this one is taken off, or which is divided by it.
    #[must_use]
    pub const fn flipped(self) -> Self {
        match self {
            Self::Exact => Self::Exact,
            Self::AtLeast => Self::AtMost,
            Self::AtMost => Self::AtLeast,
        }
    }

    /// That of the sum of two numbers; `None` if it is bounded on neither side.
    pub fn and(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Exact, bound) | (bound, Self::Exact) => Some(bound),
            (a, b) => (a == b).then_some(a),
        }
    }
}

/// The word of a source or transform on the total of a series: see [`Batch::bound`](crate::Batch::bound).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundNotice {
    /// Of which.
    pub series: SeriesId,
    /// What its total is, from now on.
    pub bound: Bound,
    /// Why, in words for a person; empty if it is exact.
    pub reason: Cow<'static, str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_that_agree_are_one_and_those_that_do_not_are_none() {
        let [exact, least, most] = [Bound::Exact, Bound::AtLeast, Bound::AtMost];
        for bound in [exact, least, most] {
            assert_eq!(
                (exact.and(bound), bound.and(exact), bound.and(bound)),
                (Some(bound), Some(bound), Some(bound))
            );
        }
        assert_eq!((least.and(most), most.and(least)), (None, None));
    }

    #[test]
    fn a_bound_is_told_in_words() {
        assert_eq!(
            [Bound::Exact, Bound::AtLeast, Bound::AtMost].map(Bound::as_str),
            ["", "at least", "at most"]
        );
    }
}
