//! How many files alumet may have open at once: a counter takes one on each thread or CPU.

use std::fs::File;

use alumet::Missing;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Fewer may not be enough for everything that is measured unless something else is asked for.
const ENOUGH: u64 = 64;

/// Takes as many as there are to be had. Returns the soft and the hard limit from before, if that has changed something.
pub fn raise_limit() -> Option<(u64, u64)> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    // With the old limit, less can be counted, and that is said.
    (soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok()).then_some((soft, hard))
}

/// What to do where none are left.
pub fn advice() -> String {
    let hard = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(_, hard)| hard);
    format!(": no more than {hard} may be open at once; `ulimit -n {ENOUGH}`")
}

/// To look at something takes no more than these at once.
const TO_LOOK: usize = 4;

/// What is missing where none are left to look for it: whoever could not look does not know why it is not there.
pub fn unseen(missing: Missing) -> Missing {
    match too_few() {
        Some(Missing { reason, remedy, .. }) => Missing { reason, remedy, ..missing },
        None => missing,
    }
}

/// Whether none are left to look at anything.
pub fn are_exhausted() -> bool {
    let open = || (0..TO_LOOK).map_while(|_| File::open("/dev/null").ok()).collect::<Vec<_>>();
    too_few().is_some() && open().len() < TO_LOOK
}

/// Where they may be too few, a plugin that cannot look at something does not know better than that it is not there.
pub fn too_few() -> Option<Missing> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok().filter(|(_, hard)| *hard < ENOUGH)?;
    Some(Missing {
        plugin: String::new(),
        what: "perhaps more".into(),
        reason: format!("no more than {hard} files may be open at once"),
        remedy: format!("`ulimit -n {ENOUGH}`"),
    })
}
