//! The right to count more than what one's own processes do: for sources that use perf_event_open(2).

use std::fs;

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

/// Whether this process has CAP_PERFMON or CAP_SYS_ADMIN (linux/capability.h).
pub fn is_permitted() -> bool {
    const PERFMON: u64 = 1 << 38;
    const SYS_ADMIN: u64 = 1 << 21;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    effective.is_some_and(|set| set & (PERFMON | SYS_ADMIN) != 0)
}
