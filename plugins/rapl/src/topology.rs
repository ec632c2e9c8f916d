//! In which package a CPU is, and whether its dies have counters of their own.

use std::fs;

use alumet::{Host, sysfs};

/// The package and the die of a CPU, as the kernel numbers them (Documentation/admin-guide/cputopology.rst). The die is
/// 0 where the kernel says nothing of it.
pub fn place(host: &Host, cpu: u32) -> Option<(u32, u32)> {
    let read = |name: &str| {
        let path = host.sysfs(format!("devices/system/cpu/cpu{cpu}/topology/{name}"));
        sysfs::read(&path).ok()?.parse().ok()
    };
    Some((read("physical_package_id")?, read("die_id").unwrap_or(0)))
}

/// Whether the dies of a package share its counters, so that what older kernels show for each die is the same counter
/// again: AMD and Hygon (`rapl_pkg_pmu_is_pkg_scope` in arch/x86/events/rapl.c).
pub fn dies_are_mirrors(host: &Host) -> bool {
    let cpuinfo = fs::read_to_string(host.procfs("cpuinfo")).unwrap_or_default();
    let vendor = cpuinfo.lines().find(|line| line.starts_with("vendor_id"));
    vendor.is_some_and(|line| line.ends_with("AuthenticAMD") || line.ends_with("HygonGenuine"))
}
