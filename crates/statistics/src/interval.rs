//! A confidence interval: between what and what, and how sure.

use serde::Serialize;

/// Where a quantity lies, with a stated confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The confidence, from 0 to 1. An exact interval has only certain levels: then this is the level that it really
    /// has, the next one above what was asked. With too few runs there is none above, and it is lower than asked.
    pub level: f64,
}

impl Interval {
    /// Whether the interval holds this value.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// The interval of an increasing function of the quantity.
    pub fn map(self, increasing: impl Fn(f64) -> f64) -> Self {
        Self { low: increasing(self.low), high: increasing(self.high), level: self.level }
    }
}
