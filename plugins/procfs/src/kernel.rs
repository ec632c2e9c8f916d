//! The units of the kernel, and its CPU clock of a process.

use std::sync::OnceLock;
use std::time::Duration;

use alumet::process::tick;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

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

/// CPU time of all threads of a process, past and present, in nanoseconds and exact (clock_getcpuclockid(3)); `None` once
/// it was reaped.
pub fn cpu_nanos(pid: i32) -> Option<u64> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid)).ok()?;
    Some(nanos(clock_gettime(clock).ok()?.into()))
}
