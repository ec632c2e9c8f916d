//! The signal that whoever has started alumet wants it to get when they die (PR_SET_PDEATHSIG, prctl(2)). It is meant for
//! the application, which has another parent now.
//!
//! The application gets it from the kernel if alumet dies. If the starter dies, alumet gets it and passes it on, like any
//! other. SIGKILL, the usual choice, can be passed on only by somebody who lives, so alumet asks for a substitute.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Signal, start};

static IS_REPLACED: AtomicBool = AtomicBool::new(false);

/// The last one is the least likely to be anybody else's.
fn substitute() -> Signal {
    Signal(libc::SIGRTMAX() - 1)
}

/// What is wanted for the application. From now on alumet itself outlives its starter.
pub fn take() -> Option<Signal> {
    let mut wanted: libc::c_int = 0;
    // SAFETY: the kernel stores a number in this place, which outlives the call.
    if unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut wanted) } != 0 || wanted == 0 {
        return None;
    }
    if Signal(wanted) == Signal::KILL {
        // SAFETY: takes a number.
        let is_set = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, substitute().0 as libc::c_ulong) } == 0;
        IS_REPLACED.store(is_set, Ordering::Relaxed);
    }
    Some(Signal(wanted))
}

/// What this signal from this sender stands for: the dying starter is the sender of what is due then.
pub fn meant(signal: Signal, sender: i32) -> Signal {
    let is_substitute =
        IS_REPLACED.load(Ordering::Relaxed) && signal == substitute() && sender == start::parent();
    if is_substitute { Signal::KILL } else { signal }
}
