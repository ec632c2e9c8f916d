//! What the process was started with, before the Rust runtime and alumet change it for themselves.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use alumet::target::Inherited;
use nix::time::{ClockId, clock_gettime};

use super::Signal;

/// Bits 0 to 2 for standard descriptors that are closed, then [`Inherited::DISPOSITIONS`] that are ignored.
static STARTED_WITH: AtomicU8 = AtomicU8::new(0);
/// The CPU time in nanoseconds that the process had used by then: a shell or `cargo run` that has executed alumet without
/// a fork leaves its own to it.
static CPU: AtomicU64 = AtomicU64::new(0);
/// The process that has started alumet.
static PARENT: AtomicI32 = AtomicI32::new(0);

/// The signals that the application gets back as they were, each with its bit.
fn dispositions() -> impl Iterator<Item = (libc::c_int, u8)> {
    Inherited::DISPOSITIONS.into_iter().zip((3..).map(|bit| 1 << bit))
}

/// Runs before `main`, and before the Rust runtime ignores SIGPIPE and opens /dev/null for closed descriptors.
extern "C" fn note() {
    let mut noted = 0;
    for fd in 0..=2 {
        // SAFETY: F_GETFD only asks; on a closed descriptor it fails with EBADF.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
            noted |= 1 << fd;
        }
    }
    for (signal, bit) in dispositions() {
        if ignores_now(signal) {
            noted |= bit;
        }
    }
    STARTED_WITH.store(noted, Ordering::Relaxed);
    // SAFETY: the call only asks.
    PARENT.store(unsafe { libc::getppid() }, Ordering::Relaxed);
    if let Ok(time) = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID) {
        CPU.store(Duration::from(time).as_nanos() as u64, Ordering::Relaxed);
    }
}

// SAFETY: the dynamic loader calls the functions listed in this section, with C's calling convention, before `main`;
// `note` uses system calls and atomics only.
#[used]
#[unsafe(link_section = ".init_array")]
static NOTE: extern "C" fn() = note;

fn ignores_now(signal: libc::c_int) -> bool {
    // SAFETY: all-zero is a valid `sigaction`, which the call fills in; nothing is changed.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action);
        action.sa_sigaction == libc::SIG_IGN
    }
}

/// Whether this standard descriptor was closed, and is /dev/null only because the Rust runtime has opened that.
pub fn was_closed(fd: RawFd) -> bool {
    (0..=2).contains(&fd) && STARTED_WITH.load(Ordering::Relaxed) & (1 << fd) != 0
}

/// Whether the process was started to ignore this signal, as nohup(1) or a shell does for what it starts.
pub fn ignored(signal: Signal) -> bool {
    let noted = dispositions().find(|(number, _)| *number == signal.0);
    match noted {
        Some((_, bit)) => STARTED_WITH.load(Ordering::Relaxed) & bit != 0,
        None => ignores_now(signal.0),
    }
}

/// The CPU time that this process had used before it was alumet.
pub fn cpu() -> Duration {
    Duration::from_nanos(CPU.load(Ordering::Relaxed))
}

/// The process that has started this one; 0 if it is in another PID namespace.
pub fn parent() -> i32 {
    PARENT.load(Ordering::Relaxed)
}
