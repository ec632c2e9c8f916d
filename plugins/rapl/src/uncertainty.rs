//! How far the energy of a run may be from what the counter's sensor has seen: the standard uncertainty of a total.
//!
//! Between its two edges a counter loses nothing. At each edge three things are unknown; the sensor's own error is not
//! among them.
//!
//! - A counter advances once in [`PERIOD`], so what it shows is up to so old. At the start it lacks what was consumed
//!   before the run, at the end what the run has just consumed: the two powers need not be alike, and the one may make up
//!   for the other or not. `P · PERIOD / sqrt 6` for each edge is what the error of both amounts to if it does not.
//! - It advances in steps of the register's unit: `step / sqrt 12`.
//! - It cannot be read at the very mark. How far from it is known, what was consumed meanwhile is not, and it is always too
//!   much: `P · distance`, all of it.
//!
//! `P` is the largest power of the run, for nobody knows the power at an edge: it changes faster than it can be read.

use std::time::Duration;

use crate::domain::Domain;
use crate::units::{Joules, Watts};

/// The time between two steps of a counter. 0.976 ms were measured on Intel CPUs (Raffin and Trystram, "Dissecting the
/// software-based measurement of CPU energy consumption", 2024), 1 ms is said of AMD's (Documentation/hwmon/amd_energy).
pub const PERIOD: Duration = Duration::from_millis(1);

/// The coarsest step that such a counter has. The unit is 2^-14 J on many CPUs and finer on most others, and 1 J for psys
/// on some servers (`RAPL_UNIT_QUIRK_INTEL_SPR` in arch/x86/events/rapl.c).
pub const fn step(domain: Domain) -> Joules {
    match domain {
        Domain::Psys => Joules(1.0),
        _ => Joules(1.0 / 16384.0),
    }
}

/// One standard deviation of the total of a run with this largest power, whose counter was read so far from the two
/// marks.
pub fn of_total(power: Watts, distances: [Duration; 2], step: Joules) -> Joules {
    let square = |joules: Joules| joules.0 * joules.0;
    let edge = |distance| square(power * PERIOD) / 6.0 + square(step) / 12.0 + square(power * distance);
    Joules(distances.into_iter().map(edge).sum::<f64>().sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_THE_MARKS: [Duration; 2] = [Duration::ZERO; 2];

    #[track_caller]
    fn close(a: f64, b: f64) {
        assert!((a / b - 1.0).abs() < 1e-3, "{a} is not {b}");
    }

    #[test]
    fn each_part_is_what_its_formula_says() {
        let period = of_total(Watts(60.0), AT_THE_MARKS, Joules(0.0)).0;
        close(period, 0.06 / 3f64.sqrt());
        close(of_total(Watts(0.0), AT_THE_MARKS, Joules(0.3)).0, 0.3 / 6f64.sqrt());
        let both = of_total(Watts(60.0), [Duration::from_millis(2), Duration::ZERO], Joules(0.0)).0;
        close((both * both - period * period).sqrt(), 0.12);
    }

    /// What the counter shows is old by a time up to the period, independently at both edges: all pairs of a fine grid.
    #[test]
    fn the_part_of_the_period_is_the_error_where_only_one_edge_is_busy_and_more_than_it_elsewhere() {
        let error = |before: f64, at_end: f64| {
            let n = 200;
            let ages = || (0..n).map(|i| (f64::from(i) + 0.5) / f64::from(n) * 1e-3);
            let errors = ages().flat_map(|first| ages().map(move |last| before * first - at_end * last));
            (errors.map(|error| error * error).sum::<f64>() / f64::from(n * n)).sqrt()
        };
        let stated = of_total(Watts(60.0), AT_THE_MARKS, Joules(0.0)).0;
        close(stated, error(0.0, 60.0));
        for (before, at_end) in [(60.0, 60.0), (60.0, 0.0), (10.0, 60.0), (30.0, 30.0)] {
            assert!(stated * 1.0001 >= error(before, at_end), "{before} {at_end}");
        }
    }

    #[test]
    fn the_platforms_counter_may_have_a_coarser_step_than_all_others() {
        assert_eq!(step(Domain::Psys), Joules(1.0));
        for domain in [Domain::Package, Domain::Core, Domain::Dram] {
            assert_eq!(step(domain), Joules(1.0 / 16384.0), "{domain:?}");
        }
    }
}
