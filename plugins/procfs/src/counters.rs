//! The counters of a process tree, raw, and their arithmetic.

use std::time::Duration;

use alumet::process::Switches;
use alumet::target::Usage;

use crate::kernel::nanos;
#[cfg(doc)]
use crate::metrics::EVENTS;
use crate::process::Reading;

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

    /// Adds a process with the children that it has waited for, but for their switches, which no file tells.
    pub fn add_reading(&mut self, reading: &Reading, tick: Duration) {
        let tick = nanos(tick);
        let io = reading.io.unwrap_or_default();
        self.user += (reading.user_ticks + reading.children_user_ticks) * tick;
        self.system += (reading.system_ticks + reading.children_system_ticks) * tick;
        self.minor_faults += reading.minor_faults + reading.children_minor_faults;
        self.major_faults += reading.major_faults + reading.children_major_faults;
        self.read += io.read;
        self.written += io.written;
    }

    /// Adds other counters.
    pub fn add(&mut self, other: &Self) {
        self.user += other.user;
        self.system += other.system;
        self.minor_faults += other.minor_faults;
        self.major_faults += other.major_faults;
        self.voluntary += other.voluntary;
        self.involuntary += other.involuntary;
        self.read += other.read;
        self.written += other.written;
    }

    /// Adds switches.
    pub fn add_switches(&mut self, switches: Switches) {
        self.voluntary += switches.voluntary;
        self.involuntary += switches.involuntary;
    }

    /// Sets the switches, which are summed apart.
    pub fn set_switches(&mut self, switches: Switches) {
        self.voluntary = switches.voluntary;
        self.involuntary = switches.involuntary;
    }

    /// Without what was used before the gate opened. A CPU time too small for its mode is taken from the other one.
    pub fn without(&self, base: &Self) -> Self {
        let cpu = base.user + base.system;
        let (user, system) = if base.user <= self.user && base.system <= self.system {
            (self.user - base.user, self.system - base.system)
        } else {
            let user = self.user.saturating_sub(cpu);
            (user, self.system.saturating_sub(cpu - (self.user - user)))
        };
        Self {
            user,
            system,
            minor_faults: self.minor_faults.saturating_sub(base.minor_faults),
            major_faults: self.major_faults.saturating_sub(base.major_faults),
            voluntary: self.voluntary.saturating_sub(base.voluntary),
            involuntary: self.involuntary.saturating_sub(base.involuntary),
            read: self.read.saturating_sub(base.read),
            written: self.written.saturating_sub(base.written),
        }
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
}
