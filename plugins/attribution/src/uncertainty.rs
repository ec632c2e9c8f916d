//! How sure the parts of an energy are.
//!
//! What is above idle, A = E − P_idle · T, is split by a share S of the time: target = S · A, other = (1 − S) · A. Three
//! things in it are not exactly known, and are combined in quadrature:
//!
//! - the energy E of the whole: its meter says how sure that is, and a part has its share of the doubt;
//! - the idle power: its spread times T, as if it had been off by as much all the time, likewise shared;
//! - the busy CPU time, which comes in ticks and is known to one of them at both edges, on each CPU: a standard
//!   deviation of `tick · sqrt(cpus / 6)`. S is as uncertain, relative to itself, as the busy time is; what it moves goes
//!   from one part to the other, so `S · A · relative` is the doubt of both.
//!
//! S is the share of the CPU time over the whole run, so that a part has a doubt even where all of it was idle. That CPU
//! time tells of energy at all is the rule's assumption. How wrong it is nobody can say, and it is not in here.

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
    /// How sure a part is that has this share of the `active` energy, in joules, of which the application has `of_target`.
    pub fn of_part(&self, share: f64, of_target: f64, active: f64) -> f64 {
        let moved = of_target * active * self.share.min(1.0);
        ((share * self.whole).powi(2) + (share * self.idle).powi(2) + moved.powi(2)).sqrt()
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
        close(doubts.of_part(1.0, 1.0, 100.0), 5.0);
        close(doubts.of_part(0.25, 0.25, 100.0), 1.25);
        // Also where all of the energy was taken for idle.
        close(doubts.of_part(1.0, 1.0, 0.0), 5.0);
    }

    #[test]
    fn the_ticks_of_a_short_run_make_its_share_coarse() {
        let tick = Duration::from_millis(10);
        close(of_busy_time(1.0, tick, 6), 0.01);
        close(of_busy_time(0.1, tick, 6), 0.1);
        close(of_busy_time(0.1, tick, 24), 0.2);
        close(of_busy_time(0.0, tick, 6), 0.0);
        let doubts = Doubts { whole: 0.0, idle: 0.0, share: 0.1 };
        // What goes from the one part to the other.
        close(doubts.of_part(0.5, 0.5, 40.0), 2.0);
        close(doubts.of_part(0.9, 0.1, 40.0), 0.4);
    }
}
