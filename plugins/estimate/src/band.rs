//! Between which values the truth may be expected, as factors of an estimate.
//!
//! What is known of the CPU decides. Each band is two independent errors, combined as logarithms in quadrature: that of the
//! [curve](crate::curve), and that of the figure which stands for the CPU. The latter was looked up in the public lists of
//! Boavizta and codecarbon (1,800 CPUs): of 20 CPUs of that kind, 18 have a figure within it.

use std::fmt;

use alumet::Series;
use alumet::conventions::BAND;

/// The factors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// The truth may be so much of the estimate, at least.
    pub low: f64,
    /// And so much at most.
    pub high: f64,
}

impl Band {
    /// The curve's error alone: the CPU's own figure is known.
    pub const CPU: Self = Self::new(0.55, 1.8);
    /// Of CPUs of one generation, a package has 0.55 to 2.2 of what is usual among them.
    pub const GENERATION: Self = Self::new(0.43, 2.7);
    /// A thread of a server has 0.5 to 2.5 of what is usual among all of them. The CPU may be a desktop's, too, and what a
    /// hypervisor shows is the oldest that it may run on.
    pub const GUEST: Self = Self::new(0.35, 3.5);
    /// A server that tells nothing but that.
    pub const SERVER: Self = Self::new(0.4, 3.0);
    /// Desktops' packages have 15 W to 165 W, most of them 65 W.
    pub const DESKTOP: Self = Self::new(0.2, 3.0);
    /// Laptops' packages have 9 W to 55 W.
    pub const LAPTOP: Self = Self::new(0.25, 2.5);
    /// A core of a small board uses 0.5 W to 4 W.
    pub const BOARD: Self = Self::new(0.25, 4.0);
    /// It may be anything.
    pub const ANYTHING: Self = Self::new(0.2, 5.0);

    const fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    /// That of a series, if it says so.
    ///
    /// ```
    /// use alumet::Series;
    /// use alumet::conventions::{BAND, ENERGY};
    /// use alumet_plugin_estimate::Band;
    ///
    /// let series = Series::new(ENERGY).label(BAND, Band::CPU.label());
    /// assert_eq!(Band::of(&series), Some(Band::CPU));
    /// assert_eq!(Band::of(&Series::new(ENERGY)), None);
    /// ```
    pub fn of(series: &Series) -> Option<Self> {
        let (low, high) = series.label_value(BAND)?.split_once("..")?;
        Some(Self { low: low.parse().ok()?, high: high.parse().ok()? })
    }

    /// The value of the label [`BAND`].
    pub fn label(self) -> String {
        format!("{}..{}", self.low, self.high)
    }

    /// Around this value.
    pub fn around(self, value: f64) -> [f64; 2] {
        [self.low * value, self.high * value]
    }
}

impl fmt::Display for Band {
    /// `−45 % … +80 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "−{:.0} % … +{:.0} %", (1.0 - self.low) * 100.0, (self.high - 1.0) * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_is_printed_as_percentages_and_is_around_a_value() {
        assert_eq!(Band::CPU.to_string(), "−45 % … +80 %");
        assert_eq!(Band::ANYTHING.to_string(), "−80 % … +400 %");
        assert_eq!(Band::CPU.around(10.0), [5.5, 18.0]);
    }

    #[test]
    fn whoever_knows_less_has_a_wider_band() {
        let wider = [Band::CPU, Band::GENERATION, Band::GUEST, Band::ANYTHING];
        assert!(wider.windows(2).all(|pair| pair[0].low > pair[1].low && pair[0].high < pair[1].high));
    }
}
