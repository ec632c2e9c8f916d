//! In which package a CPU is, and whether its dies have counters of their own.

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
    let cpuinfo = host.cpuinfo();
    let vendor = cpuinfo.lines().find(|line| line.starts_with("vendor_id"));
    vendor.is_some_and(|line| line.ends_with("AuthenticAMD") || line.ends_with("HygonGenuine"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_cpu_is_where_the_kernel_says_and_nowhere_if_it_does_not() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path(), root.path());
        let topology = |cpu: u32, files: &[(&str, &str)]| {
            let directory = root.path().join(format!("devices/system/cpu/cpu{cpu}/topology"));
            fs::create_dir_all(&directory).unwrap();
            files.iter().for_each(|(name, text)| fs::write(directory.join(name), text).unwrap());
        };
        topology(3, &[("physical_package_id", "1\n"), ("die_id", "2\n")]);
        topology(4, &[("physical_package_id", "1\n")]);
        topology(5, &[("physical_package_id", "-1\n")]);
        assert_eq!([3, 4, 5, 6].map(|cpu| place(&host, cpu)), [Some((1, 2)), Some((1, 0)), None, None]);
    }

    #[test]
    fn the_dies_of_amd_and_hygon_share_their_counters() {
        let root = tempfile::tempdir().unwrap();
        let mirrors = |text: &str| {
            fs::write(root.path().join("cpuinfo"), text).unwrap();
            dies_are_mirrors(&Host::new(root.path(), root.path()))
        };
        let vendors = ["AuthenticAMD", "HygonGenuine", "GenuineIntel"];
        assert_eq!(
            vendors.map(|vendor| mirrors(&format!("processor\t: 0\nvendor_id\t: {vendor}\n"))),
            [true, true, false]
        );
        assert!(!mirrors(""));
    }
}
