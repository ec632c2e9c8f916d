//! From what a register shows to by how much it has counted on.
//!
//! The hardware counts in 32 bits (arch/x86/events/rapl.c in Linux). powercap shows them in microjoules, with the
//! highest value in `max_energy_range_uj` (Documentation/ABI/testing/sysfs-class-powercap); perf extends them to 64
//! bits, which 4 GJ fill.

use crate::units::Joules;

/// What a register shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw(pub u64);

/// By how much a register has counted on, wraps taken into account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Increment(pub u64);

/// What one unit of a register is worth, in joules.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale(pub f64);

/// Where a register begins again at 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Top {
    /// After this value.
    At(u64),
    /// Somewhere: the kernel does not say.
    Unknown,
    /// Nowhere: the kernel extends it.
    Endless,
}

impl Raw {
    /// The increment from this reading to the next one, if the register wrapped at most once between them: more than
    /// once cannot be seen. `None` if it went back and that can be no wrap, or a wrap of unknown size.
    pub fn to(self, next: Self, top: Top) -> Option<Increment> {
        match (next.0.checked_sub(self.0), top) {
            (Some(difference), _) => Some(Increment(difference)),
            (None, Top::At(max)) if self.0 <= max => Some(Increment(max - self.0 + next.0 + 1)),
            (None, _) => None,
        }
    }
}

impl Increment {
    /// As an energy.
    pub fn energy(self, scale: Scale) -> Joules {
        Joules(self.0 as f64 * scale.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: u64 = 262_143_328_850;

    #[test]
    fn a_wrap_is_counted_to_the_unit() {
        assert_eq!(Raw(100).to(Raw(130), Top::At(MAX)), Some(Increment(30)));
        assert_eq!(Raw(100).to(Raw(100), Top::At(MAX)), Some(Increment(0)));
        assert_eq!(Raw(MAX).to(Raw(0), Top::At(MAX)), Some(Increment(1)));
        assert_eq!(Raw(MAX - 9).to(Raw(5), Top::At(MAX)), Some(Increment(15)));
        assert_eq!(Raw(u64::MAX).to(Raw(1), Top::At(u64::MAX)), Some(Increment(2)));
    }

    #[test]
    fn what_cannot_be_a_wrap_of_known_size_is_no_increment() {
        assert_eq!(Raw(100).to(Raw(99), Top::Unknown), None);
        assert_eq!(Raw(100).to(Raw(99), Top::Endless), None);
        assert_eq!(Raw(100).to(Raw(99), Top::At(50)), None, "it was beyond its range already");
    }

    proptest! {
        #[test]
        fn increments_add_up_to_the_truth_under_any_wraps(
            max in 1_000_u64..1 << 40,
            start in any::<u64>(),
            steps in proptest::collection::vec(0.0..1.0_f64, 1..200),
        ) {
            // The truth counts on; the register shows it modulo its size. No step is as long as the whole range.
            let start = start % (max + 1);
            let (mut truth, mut sum, mut shown) = (start, 0, Raw(start));
            for step in steps {
                truth += (step * max as f64) as u64;
                let next = Raw(truth % (max + 1));
                let increment = shown.to(next, Top::At(max)).unwrap();
                sum += increment.0;
                shown = next;
            }
            prop_assert_eq!(sum, truth - start);
        }
    }
}
