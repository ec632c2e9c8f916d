//! The units of the kernel, and its CPU clock of a process.

use std::sync::OnceLock;
use std::time::Duration;

use alumet::process::tick;
use nix::time::{ClockId, clock_gettime};

/// The time since the machine booted, in clock ticks: what proc_pid_stat(5) gives the start of a process in.
pub fn ticks_since_boot() -> u64 {
    let boot: Duration = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Into::into);
    nanos(boot) / nanos(tick())
}

/// The size of a page, in bytes.
pub fn page_size() -> u64 {
    static SIZE: OnceLock<u64> = OnceLock::new();
    // SAFETY: sysconf takes a number and touches no memory.
    *SIZE.get_or_init(|| unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.unsigned_abs())
}

/// A duration in nanoseconds; 584 years at most.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// CPU time of all threads of a process, past and present, in nanoseconds and exact; `None` once it was reaped.
pub fn cpu_nanos(pid: i32) -> Option<u64> {
    // What clock_getcpuclockid(3) returns, which asks the kernel first whether there is such a process:
    // `PROCESS_CLOCK` of include/linux/posix-timers_types.h in Linux.
    const CPUCLOCK_SCHED: i32 = 2;
    let clock = ClockId::from_raw(!pid << 3 | CPUCLOCK_SCHED);
    Some(nanos(clock_gettime(clock).ok()?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_units_are_those_that_it_tells_elsewhere() {
        // SAFETY: getauxval takes a number and touches no memory.
        assert_eq!(page_size(), unsafe { libc::getauxval(libc::AT_PAGESZ) });
        let uptime = || {
            let text = std::fs::read_to_string("/proc/uptime").unwrap();
            let seconds: f64 = text.split(' ').next().unwrap().parse().unwrap();
            (seconds / tick().as_secs_f64()).round() as u64
        };
        let (before, ticks, after) = (uptime(), ticks_since_boot(), uptime());
        assert!((before.saturating_sub(1)..=after + 1).contains(&ticks), "{before} {ticks} {after}");
    }

    #[test]
    fn nanoseconds_end_at_what_fits() {
        assert_eq!(nanos(Duration::new(2, 5)), 2_000_000_005);
        assert_eq!(nanos(Duration::MAX), u64::MAX);
    }

    #[test]
    fn the_clock_of_a_process_is_its_own_and_ends_with_it() {
        let own = || nanos(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into());
        let pid = std::process::id() as i32;
        let (before, told, after) = (own(), cpu_nanos(pid).unwrap(), own());
        assert!((before..=after).contains(&told) && told > 0, "{before} {told} {after}");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(cpu_nanos(child.id() as i32), None);
    }
}
