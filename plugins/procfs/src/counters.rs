//! The counters of a process tree, raw, and their arithmetic.

use alumet::process::Switches;
use alumet::target::Usage;

use crate::kernel::nanos;
#[cfg(doc)]
use crate::metrics::EVENTS;

/// The counters of the tree, raw, CPU times in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// In user mode.
    pub user: u64,
    /// In kernel mode.
    pub system: u64,
    /// Page faults without I/O.
    pub minor_faults: u64,
    /// Page faults with I/O.
    pub major_faults: u64,
    /// Switches of threads that gave up the CPU.
    pub voluntary: u64,
    /// Switches of threads from which it was taken.
    pub involuntary: u64,
    /// Bytes fetched from storage.
    pub read: u64,
    /// Bytes sent to storage.
    pub written: u64,
}

impl Counters {
    /// CPU time in user and in kernel mode, then [`EVENTS`].
    pub const COUNT: usize = Self::CPU + 6;
    /// The first two are CPU times.
    pub const CPU: usize = 2;

    /// In the order of the series: CPU times, then [`EVENTS`].
    pub fn as_array(&self) -> [u64; Self::COUNT] {
        [
            self.user,
            self.system,
            self.minor_faults,
            self.major_faults,
            self.voluntary,
            self.involuntary,
            self.read,
            self.written,
        ]
    }

    /// Those of processes that were reaped.
    pub fn of_usage(usage: &Usage) -> Self {
        Self {
            user: nanos(usage.user),
            system: nanos(usage.system),
            minor_faults: usage.minor_faults,
            major_faults: usage.major_faults,
            voluntary: usage.voluntary,
            involuntary: usage.involuntary,
            read: usage.read,
            written: usage.written,
        }
    }

    /// Adds other counters.
    pub fn add(&mut self, other: &Self) {
        *self = self.with(other, |a, b| a + b);
    }

    /// Each less by the other's, and 0 where that is more.
    pub fn less(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_sub)
    }

    /// The lesser of each.
    pub fn lesser(&self, other: &Self) -> Self {
        self.with(other, u64::min)
    }

    /// The greater of each.
    pub fn greater(&self, other: &Self) -> Self {
        self.with(other, u64::max)
    }

    /// With all CPU time as that of user mode: how it is split depends on when and where it is asked for.
    pub fn in_one_mode(self) -> Self {
        Self { user: self.cpu(), system: 0, ..self }
    }

    /// User and kernel mode together, in nanoseconds.
    pub fn cpu(&self) -> u64 {
        self.user + self.system
    }

    /// The switches.
    pub fn switches(&self) -> Switches {
        Switches { voluntary: self.voluntary, involuntary: self.involuntary }
    }

    /// With these switches where they are more.
    pub fn with_switches_of_at_least(self, seen: Switches) -> Self {
        let Switches { voluntary, involuntary } = seen;
        self.greater(&Self { voluntary, involuntary, ..Self::default() })
    }

    fn with(&self, other: &Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            user: f(self.user, other.user),
            system: f(self.system, other.system),
            minor_faults: f(self.minor_faults, other.minor_faults),
            major_faults: f(self.major_faults, other.major_faults),
            voluntary: f(self.voluntary, other.voluntary),
            involuntary: f(self.involuntary, other.involuntary),
            read: f(self.read, other.read),
            written: f(self.written, other.written),
        }
    }

    /// Without what was used before the gate opened. A CPU time too small for its mode is taken from the other one.
    pub fn without(&self, base: &Self) -> Self {
        let cpu = base.cpu();
        let (user, system) = if base.user <= self.user && base.system <= self.system {
            (self.user - base.user, self.system - base.system)
        } else {
            let user = self.user.saturating_sub(cpu);
            (user, self.system.saturating_sub(cpu - (self.user - user)))
        };
        Self { user, system, ..self.less(base) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_gate_used_is_taken_from_the_other_mode_if_it_must() {
        let base = Counters { user: 300, ..Counters::default() };
        let later = Counters { user: 100, system: 900, ..Counters::default() };
        let rest = later.without(&base);
        assert_eq!((rest.user, rest.system), (0, 700));
        let plain = Counters { user: 1000, system: 5, ..Counters::default() }.without(&base);
        assert_eq!((plain.user, plain.system), (700, 5));
    }

    fn counters(values: [u64; Counters::COUNT]) -> Counters {
        let [user, system, minor_faults, major_faults, voluntary, involuntary, read, written] = values;
        Counters { user, system, minor_faults, major_faults, voluntary, involuntary, read, written }
    }

    const A: [u64; Counters::COUNT] = [10, 20, 30, 40, 50, 60, 70, 80];
    const B: [u64; Counters::COUNT] = [1, 200, 3, 400, 5, 600, 7, 800];

    #[test]
    fn the_arithmetic_is_that_of_each_counter_on_its_own() {
        let (a, b) = (counters(A), counters(B));
        let mut sum = a;
        sum.add(&b);
        assert_eq!(sum.as_array(), [11, 220, 33, 440, 55, 660, 77, 880]);
        assert_eq!(a.less(&b).as_array(), [9, 0, 27, 0, 45, 0, 63, 0]);
        assert_eq!(a.lesser(&b).as_array(), [1, 20, 3, 40, 5, 60, 7, 80]);
        assert_eq!(a.greater(&b).as_array(), [10, 200, 30, 400, 50, 600, 70, 800]);
    }

    #[test]
    fn the_usage_of_the_reaped_has_every_counter() {
        let usage = Usage {
            user: std::time::Duration::from_nanos(10),
            system: std::time::Duration::from_nanos(20),
            peak_resident: 99,
            minor_faults: 30,
            major_faults: 40,
            read: 70,
            written: 80,
            voluntary: 50,
            involuntary: 60,
        };
        assert_eq!(Counters::of_usage(&usage).as_array(), A);
    }

    #[test]
    fn cpu_time_is_both_modes_together() {
        let a = counters(A);
        assert_eq!(a.cpu(), 30);
        assert_eq!(a.in_one_mode().as_array(), [30, 0, 30, 40, 50, 60, 70, 80]);
    }

    #[test]
    fn switches_that_were_seen_count_where_they_are_more() {
        let seen = counters(B).switches();
        let more = counters(A).with_switches_of_at_least(seen);
        assert_eq!(more.as_array(), [10, 20, 30, 40, 50, 600, 70, 80]);
    }

    #[test]
    fn what_the_gate_used_is_taken_off_each_mode_where_that_has_it() {
        let later = counters(A).without(&Counters { user: 10, system: 4, read: 7, ..Counters::default() });
        assert_eq!(later.as_array(), [0, 16, 30, 40, 50, 60, 63, 80]);
        // System time alone is too little: all is taken from user time.
        let later = counters([100, 3, 0, 0, 0, 0, 0, 0]).without(&counters([10, 5, 0, 0, 0, 0, 0, 0]));
        assert_eq!((later.user, later.system), (85, 3));
        // Both together are less than there was.
        let later = counters([4, 3, 0, 0, 0, 0, 0, 0]).without(&counters([10, 5, 0, 0, 0, 0, 0, 0]));
        assert_eq!((later.user, later.system), (0, 0));
    }
}
