//! What decides whether a version passes.

use alumet_statistics::gate::Metrics;

use crate::quantity::Quantity;

/// What decides, and by which thresholds.
#[derive(Debug, Clone, PartialEq)]
pub struct Gates {
    /// Those that were named, each with its threshold (.02 is 2 %). Without any, the best that was measured decides.
    pub named: Vec<(Quantity, f64)>,
    /// The threshold of all others.
    pub threshold: f64,
    /// Whether nothing but energy will do where nothing is named.
    pub require_measured: bool,
}

impl Gates {
    /// How many quantities decide and stand guard, of so many versions that are compared to the first, if all that is to
    /// is measured.
    pub fn metrics(&self, comparisons: usize) -> Metrics {
        let (deciding, guards) = (self.named.len().max(1), usize::from(self.named.is_empty()));
        Metrics { deciding: comparisons * deciding, guards: comparisons * guards }
    }

    pub fn threshold(&self, quantity: &Quantity) -> f64 {
        let named = self.named.iter().find(|(name, _)| name == quantity);
        named.map_or(self.threshold, |(_, threshold)| *threshold)
    }
}
