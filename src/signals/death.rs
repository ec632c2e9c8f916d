//! What a signal does to alumet itself, although it takes them all.

use super::{Signal, signal};

/// Makes a limit of a file's size an error like that of a full disk, instead of alumet's end (setrlimit(2)).
pub fn survive_file_limit() {
    // SAFETY: sets a disposition; no handler is installed.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Stops this process as the signal would have done; returns when it goes on.
pub fn stop_by(signal: Signal) {
    let set = signal::set([signal]);
    // SAFETY: the set outlives the calls; the signal is blocked until the second one, in which the kernel stops the whole
    // process, or does not where nobody could continue it.
    unsafe {
        libc::pthread_kill(libc::pthread_self(), signal.0);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// Ends this process by the signal, without a core dump: that was the application's to leave. Returns where the kernel does
/// not let it die of this, as the first process of a PID namespace.
pub fn die_by(signal: Signal) {
    let set = signal::set([signal]);
    // Where dumps go to a program, RLIMIT_CORE changes nothing (core(5)): hence as timeout(1) does it.
    // SAFETY: the first call takes numbers, the others set a default disposition and a mask, and send a signal to this
    // thread, for which the whole process ends.
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0 as libc::c_ulong);
        libc::signal(signal.0, libc::SIG_DFL);
        libc::pthread_kill(libc::pthread_self(), signal.0);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// Ends this process as the signal would, whatever its other threads hold or wait for.
pub fn end_now_by(signal: Signal) -> ! {
    if signal.is_of_a_key() {
        die_by(signal);
    }
    // SAFETY: ends the process.
    unsafe { libc::_exit(signal.status().into()) }
}
