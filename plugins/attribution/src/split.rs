//! The rule by which an energy is split. It decides the result, so it is printed with it.
//!
//! Of what a machine uses in an interval, its idle power times the interval is `idle`. What is above it is split by CPU
//! time: the application's share of the time in which the machine's CPUs were busy is `target`, the rest is `other`.

/// The parts of an energy, in joules. They add up to the whole.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Split {
    /// The application's.
    pub target: f64,
    /// What the machine would have used without anybody.
    pub idle: f64,
    /// Everybody else's.
    pub other: f64,
}

/// What happened in an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// What the machine has used, in joules.
    pub energy: f64,
    /// Its length, in seconds.
    pub length: f64,
    /// CPU time of the application, in seconds.
    pub target_cpu: f64,
    /// Busy CPU time of the whole machine, in seconds.
    pub busy_cpu: f64,
}

impl Interval {
    /// Splits its energy, given the idle power in watts.
    pub fn split(&self, idle_power: f64) -> Split {
        let idle = (idle_power * self.length).clamp(0.0, self.energy.max(0.0));
        let active = self.energy - idle;
        let target = active * self.share();
        Split { target, idle, other: active - target }
    }

    /// The application's share of the busy time. The machine's time comes in ticks, the application's does not: it may
    /// seem to have used more than there was.
    fn share(&self) -> f64 {
        match self.target_cpu {
            used if used <= 0.0 => 0.0,
            used => (used / self.busy_cpu.max(used)).min(1.0),
        }
    }
}

impl std::ops::AddAssign for Split {
    fn add_assign(&mut self, other: Self) {
        self.target += other.target;
        self.idle += other.idle;
        self.other += other.other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_busy_thread_of_sixteen_gets_what_is_above_idle() {
        let second = Interval { energy: 60.0, length: 1.0, target_cpu: 1.0, busy_cpu: 1.0 };
        assert_eq!(second.split(40.0), Split { target: 20.0, idle: 40.0, other: 0.0 });
        let shared = Interval { busy_cpu: 4.0, ..second };
        assert_eq!(shared.split(40.0), Split { target: 5.0, idle: 40.0, other: 15.0 });
    }

    #[test]
    fn idle_is_never_more_than_was_used() {
        let second = Interval { energy: 30.0, length: 1.0, target_cpu: 1.0, busy_cpu: 1.0 };
        assert_eq!(second.split(40.0), Split { target: 0.0, idle: 30.0, other: 0.0 });
    }

    #[test]
    fn who_used_no_cpu_time_used_no_energy() {
        let second = Interval { energy: 60.0, length: 1.0, target_cpu: 0.0, busy_cpu: 0.0 };
        assert_eq!(second.split(40.0), Split { target: 0.0, idle: 40.0, other: 20.0 });
    }

    proptest::proptest! {
        #[test]
        fn the_parts_add_up_to_the_whole_and_none_is_negative(
            energy in 0.0..1e9f64, length in 0.0..1e5f64, target_cpu in 0.0..1e6f64, busy_cpu in 0.0..1e6f64, idle in 0.0..1e6f64,
        ) {
            let split = Interval { energy, length, target_cpu, busy_cpu }.split(idle);
            let sum = split.target + split.idle + split.other;
            proptest::prop_assert!((sum - energy).abs() <= 1e-9 * energy.max(f64::MIN_POSITIVE), "{:?} {}", split, energy);
            proptest::prop_assert!(split.target >= 0.0 && split.idle >= 0.0 && split.other >= -1e-9 * energy, "{:?}", split);
        }
    }
}
