//! What the kernel has accounted to processes that were reaped, and how the application ended.

use std::ops::AddAssign;
use std::time::Duration;

use nix::sys::signal::Signal;

/// The resources that reaped processes have used: themselves and all descendants that they had waited for
/// (getrusage(2), RUSAGE_BOTH in kernel/sys.c). Summed over everything that alumet reaps, this is the whole tree, each
/// process once; only processes whose parent ignores SIGCHLD are not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// CPU time in user mode.
    pub user: Duration,
    /// CPU time in kernel mode.
    pub system: Duration,
    /// The peak resident memory of the largest process, in bytes.
    pub peak_resident: u64,
    /// Page faults without I/O.
    pub minor_faults: u64,
    /// Page faults with I/O.
    pub major_faults: u64,
    /// Bytes fetched from storage, in blocks of 512.
    pub read: u64,
    /// Bytes sent to storage, in blocks of 512.
    pub written: u64,
    /// Context switches of threads that gave up the CPU.
    pub voluntary: u64,
    /// Context switches of threads from which the CPU was taken.
    pub involuntary: u64,
}

impl Usage {
    pub(crate) fn from_raw(raw: &libc::rusage) -> Self {
        let time = |t: libc::timeval| {
            Duration::new(t.tv_sec.unsigned_abs(), (t.tv_usec.unsigned_abs() as u32).saturating_mul(1000))
        };
        Self {
            user: time(raw.ru_utime),
            system: time(raw.ru_stime),
            // In kilobytes on Linux, blocks always of 512 bytes (getrusage(2)).
            peak_resident: raw.ru_maxrss.unsigned_abs() * 1024,
            minor_faults: raw.ru_minflt.unsigned_abs(),
            major_faults: raw.ru_majflt.unsigned_abs(),
            read: raw.ru_inblock.unsigned_abs() * 512,
            written: raw.ru_oublock.unsigned_abs() * 512,
            voluntary: raw.ru_nvcsw.unsigned_abs(),
            involuntary: raw.ru_nivcsw.unsigned_abs(),
        }
    }

    /// User and kernel mode together.
    pub fn cpu(&self) -> Duration {
        self.user + self.system
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.user += other.user;
        self.system += other.system;
        self.peak_resident = self.peak_resident.max(other.peak_resident);
        self.minor_faults += other.minor_faults;
        self.major_faults += other.major_faults;
        self.read += other.read;
        self.written += other.written;
        self.voluntary += other.voluntary;
        self.involuntary += other.involuntary;
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// By this signal (a number: real-time signals have no name).
    Signal(i32),
}

impl Exit {
    pub(crate) fn from_wait_status(status: libc::c_int) -> Self {
        if libc::WIFSIGNALED(status) {
            Self::Signal(libc::WTERMSIG(status))
        } else {
            Self::Code(libc::WEXITSTATUS(status))
        }
    }

    /// As a shell reports it: the status, or 128 + the signal.
    pub const fn status(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }

    /// Whether the status is 0.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Code(0))
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "ended with status {code}"),
            Self::Signal(signal) => match Signal::try_from(*signal) {
                Ok(name) => write!(f, "was ended by {name}"),
                Err(_) => write!(f, "was ended by signal {signal}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_compared_and_everything_else_is_added() {
        let usage = |n: u64, peak_resident: u64| Usage {
            user: Duration::from_millis(n),
            system: Duration::from_millis(2 * n),
            peak_resident,
            minor_faults: 3 * n,
            major_faults: 4 * n,
            read: 5 * n,
            written: 6 * n,
            voluntary: 7 * n,
            involuntary: 8 * n,
        };
        let mut sum = usage(5, 10);
        sum += usage(7, 8);
        assert_eq!(sum, usage(12, 10));
        assert_eq!(sum.cpu(), Duration::from_millis(36));
    }

    #[test]
    fn the_kernels_units_become_bytes_and_seconds() {
        // SAFETY: all-zero is a valid rusage.
        let mut raw: libc::rusage = unsafe { std::mem::zeroed() };
        raw.ru_utime = libc::timeval { tv_sec: 2, tv_usec: 3 };
        raw.ru_stime = libc::timeval { tv_sec: 4, tv_usec: 5 };
        (raw.ru_maxrss, raw.ru_minflt, raw.ru_majflt) = (6, 7, 8);
        (raw.ru_inblock, raw.ru_oublock, raw.ru_nvcsw, raw.ru_nivcsw) = (9, 10, 11, 12);
        let expected = Usage {
            user: Duration::from_micros(2_000_003),
            system: Duration::from_micros(4_000_005),
            peak_resident: 6 * 1024,
            minor_faults: 7,
            major_faults: 8,
            read: 9 * 512,
            written: 10 * 512,
            voluntary: 11,
            involuntary: 12,
        };
        assert_eq!(Usage::from_raw(&raw), expected);
    }

    #[test]
    fn a_core_dump_does_not_change_the_status() {
        assert_eq!(Exit::from_wait_status(0x80 | libc::SIGSEGV).status(), 139);
        assert_eq!(Exit::from_wait_status(7 << 8), Exit::Code(7));
        assert_eq!(Exit::Signal(libc::SIGKILL).to_string(), "was ended by SIGKILL");
    }
}
