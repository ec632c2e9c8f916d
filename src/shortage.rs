//! What to do where the kernel has no more of something to give.

use std::io;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::unistd::Uid;

use crate::descriptors;

/// What limit was reached, and how it is raised; nothing where the error says nothing of one.
pub fn advice(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EMFILE) => descriptors::advice(),
        // Of fork(2) and pthread_create(3).
        Some(libc::EAGAIN) => of_processes(),
        _ => String::new(),
    }
}

/// The limit of a user's processes and threads; root has none (getrlimit(2), RLIMIT_NPROC).
fn of_processes() -> String {
    match getrlimit(Resource::RLIMIT_NPROC) {
        Ok((soft, _)) if soft != RLIM_INFINITY && !Uid::effective().is_root() => format!(
            ": this user's limit of processes and threads is {soft}; raise it (`ulimit -u`), or end some"
        ),
        _ => ": the limit of processes and threads is reached; raise it (`pids.max` of the cgroup), or end some"
            .to_owned(),
    }
}
