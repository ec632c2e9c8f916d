//! The right to count more than what one's own processes do: for sources that use perf_event_open(2).

use std::fs;

use rustix::thread::capabilities;

use crate::privilege::{CapabilitySet, permitted};

/// The command that gives that right to this binary alone (capabilities(7), since Linux 5.8).
pub fn setcap() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    let path = path.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._+-".contains(c);
    match !path.is_empty() && path.chars().all(is_plain) {
        true => format!("sudo setcap cap_perfmon=ep {path}"),
        false => format!("sudo setcap cap_perfmon=ep '{}'", path.replace('\'', r"'\''")),
    }
}

/// `perf_event_paranoid`, as documented in Documentation/admin-guide/sysctl/kernel.rst. Some distributions add levels
/// above 2, at which users may count nothing.
pub fn paranoid() -> Option<i32> {
    fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").ok()?.trim().parse().ok()
}

/// Whether this process has CAP_PERFMON or CAP_SYS_ADMIN.
pub fn is_permitted() -> bool {
    let both = CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN;
    capabilities(None).is_ok_and(|own| own.effective.intersects(both))
}

/// Of these two the one that gives the right here: for [`Setup::keep_capabilities`](crate::Setup::keep_capabilities).
pub fn capability() -> CapabilitySet {
    let has_perfmon = permitted().contains(CapabilitySet::PERFMON);
    if has_perfmon { CapabilitySet::PERFMON } else { CapabilitySet::SYS_ADMIN }
}
