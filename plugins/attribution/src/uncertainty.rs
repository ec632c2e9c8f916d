//! How sure the parts of an energy are.
//!
//! A part is S · (E − P_idle · T), where S is its share of the time, or P_idle · T. Three things in it are not exactly
//! known, and are combined in quadrature:
//!
//! - the energy E of the whole: its meter says how sure that is;
//! - the idle power: its spread times T, as if it had been off by as much all the time;
//! - the busy CPU time, which comes in ticks and is known to one of them at both edges, on each CPU: a standard
//!   deviation of `tick · sqrt(cpus / 6)`, which makes S as uncertain as that is of the busy time.
//!
//! That CPU time tells of energy at all is the rule's assumption. How wrong it is nobody can say, and it is not in here.

use std::time::Duration;

/// What is not exactly known, one standard deviation each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Doubts {
    /// Of the whole, in joules.
    pub whole: f64,
    /// Of what was idle, in joules.
    pub idle: f64,
    /// Of the shares, relative to them.
    pub share: f64,
}

impl Doubts {
    /// How sure a part is that is so large of the `active` energy, in joules.
    pub fn of_part(&self, part: f64, active: f64) -> f64 {
        let share = if active > 0.0 { part / active } else { 0.0 };
        ((share * self.whole).powi(2) + (share * self.idle).powi(2) + (part * self.share).powi(2)).sqrt()
    }
}

/// The relative standard deviation of a busy time, in seconds, that so many CPUs count in such ticks.
pub fn of_busy_time(busy: f64, tick: Duration, cpus: usize) -> f64 {
    if busy > 0.0 { tick.as_secs_f64() * (cpus as f64 / 6.0).sqrt() / busy } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-9, "{a} is not {b}");
    }

    #[test]
    fn who_has_all_of_it_is_as_sure_as_the_whole_and_the_idle_power() {
        let doubts = Doubts { whole: 3.0, idle: 4.0, share: 0.0 };
        close(doubts.of_part(100.0, 100.0), 5.0);
        close(doubts.of_part(25.0, 100.0), 1.25);
        close(doubts.of_part(0.0, 0.0), 0.0);
    }

    #[test]
    fn the_ticks_of_a_short_run_make_its_share_coarse() {
        let tick = Duration::from_millis(10);
        close(of_busy_time(1.0, tick, 6), 0.01);
        close(of_busy_time(0.1, tick, 6), 0.1);
        let doubts = Doubts { whole: 0.0, idle: 0.0, share: 0.1 };
        close(doubts.of_part(20.0, 40.0), 2.0);
    }
}
