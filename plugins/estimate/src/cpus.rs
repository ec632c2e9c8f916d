//! What this machine says of its CPUs, and of itself.

use std::collections::BTreeSet;

use alumet::{Host, cpu_list, sysfs};

/// The CPUs of a machine (proc_cpuinfo(5), Documentation/admin-guide/cputopology.rst).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cpus {
    /// How many the kernel has.
    pub count: u32,
    /// How many packages they are in, as far as that is told.
    pub packages: u32,
    /// The name that the CPU gives itself; empty if it has none.
    pub model: String,
    /// `vendor_id`, or the number of ARM's `CPU implementer`.
    pub vendor: String,
    /// 0 where there is none, as on ARM.
    pub family: u32,
    /// `model`, or ARM's `CPU part`.
    pub number: Option<u32>,
    /// `stepping`.
    pub stepping: Option<u32>,
    /// What it can do; x86 alone says so.
    pub flags: BTreeSet<String>,
    /// Whether a hypervisor is below; `None` if it does not say.
    pub is_virtual: Option<bool>,
    /// The maker of the machine, as its firmware says.
    pub maker: String,
    /// What kind of machine it is in, as its firmware says.
    pub chassis: Option<Chassis>,
}

/// A kind of machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chassis {
    /// In a rack or a data centre.
    Server,
    /// On a desk or below it.
    Desktop,
    /// Lives on a battery.
    Laptop,
    /// A small board, or inside of something.
    Board,
}

impl Cpus {
    /// Those of this machine.
    pub fn of(host: &Host) -> Self {
        let mut cpus = Self::parse(&host.cpuinfo());
        let online =
            sysfs::read(&host.sysfs("devices/system/cpu/online")).ok().and_then(|text| cpu_list(&text));
        let online = online.unwrap_or_default();
        if cpus.count == 0 {
            cpus.count = u32::try_from(online.len()).unwrap_or(1).max(1);
        }
        cpus.packages = packages(host, online).unwrap_or(cpus.packages);
        cpus.is_virtual = if host.is_virtual() { Some(true) } else { cpus.is_virtual };
        let firmware =
            |name: &str| sysfs::read(&host.sysfs(format!("class/dmi/id/{name}"))).unwrap_or_default();
        cpus.maker = firmware("sys_vendor");
        let device_tree = sysfs::read(&host.sysfs("firmware/devicetree/base/model"));
        cpus.chassis = Chassis::of(firmware("chassis_type").parse().unwrap_or(0))
            .or_else(|| device_tree.is_ok().then_some(Chassis::Board));
        cpus
    }

    /// Reads `/proc/cpuinfo`.
    pub fn parse(text: &str) -> Self {
        let mut cpus = Self::default();
        let mut packages = BTreeSet::new();
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            let (key, value) = (key.trim(), value.trim());
            match key {
                "processor" => cpus.count += 1,
                "physical id" => {
                    packages.insert(value.to_owned());
                }
                // It may be shown on a terminal.
                "model name" => cpus.model = value.replace(char::is_control, " "),
                "vendor_id" | "CPU implementer" => cpus.vendor = value.to_owned(),
                "cpu family" => cpus.family = number(value).unwrap_or(0),
                // Of cores of several kinds, the last are the large ones.
                "model" | "CPU part" => cpus.number = number(value),
                "stepping" => cpus.stepping = number(value),
                // All CPUs have the same.
                "flags" if cpus.flags.is_empty() => {
                    cpus.flags = value.split_ascii_whitespace().map(str::to_owned).collect();
                    cpus.is_virtual = Some(cpus.flags.contains("hypervisor"));
                }
                _ => {}
            }
        }
        cpus.packages = u32::try_from(packages.len()).unwrap_or(1).max(1);
        cpus
    }
}

/// How many packages these CPUs are in: one file of each package is read. `None` if the kernel does not say.
fn packages(host: &Host, online: Vec<u32>) -> Option<u32> {
    let mut unseen: BTreeSet<u32> = online.into_iter().collect();
    let mut packages = 0;
    while let Some(cpu) = unseen.first().copied() {
        let topology = host.sysfs(format!("devices/system/cpu/cpu{cpu}/topology"));
        // The second is its name before Linux 5.3.
        let siblings = ["package_cpus_list", "core_siblings_list"]
            .iter()
            .find_map(|name| sysfs::read(&topology.join(name)).ok());
        let siblings = cpu_list(&siblings?)?;
        unseen.remove(&cpu);
        unseen.retain(|cpu| !siblings.contains(cpu));
        packages += 1;
    }
    (packages > 0).then_some(packages)
}

impl Chassis {
    /// By its number in the firmware (DMTF DSP0134, "System Enclosure or Chassis Types").
    fn of(number: u32) -> Option<Self> {
        match number {
            3..=7 | 13 | 15 | 16 | 24 | 35 => Some(Self::Desktop),
            8..=10 | 14 | 30..=32 => Some(Self::Laptop),
            17 | 23 | 25 | 28 | 29 => Some(Self::Server),
            33 | 34 | 36 => Some(Self::Board),
            _ => None,
        }
    }
}

/// Decimal, or hexadecimal as ARM's numbers are.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A machine with these files below its roots.
    pub(crate) fn machine(files: &[(&str, &str)]) -> Cpus {
        let root = tempfile::tempdir().unwrap();
        files.iter().for_each(|(file, text)| write(root.path(), file, text));
        Cpus::of(&Host::new(root.path(), root.path()))
    }

    #[test]
    fn cpus_and_packages_are_counted() {
        let text = "processor : 0\nphysical id : 0\n\nprocessor : 1\nphysical id : 1\n\nprocessor : 2\nphysical id : 1\n";
        let cpus = Cpus::parse(text);
        assert_eq!((cpus.count, cpus.packages), (3, 2));
        assert_eq!(Cpus::parse("garbage").count, 0);
    }

    #[test]
    fn x86_says_what_it_is_and_whether_it_is_virtual() {
        let text = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\nmodel name\t: Intel(R)\tXeon(R)\n\
                    stepping\t: 7\nflags\t\t: fpu avx2\n";
        let cpus = Cpus::parse(text);
        assert_eq!(
            (&*cpus.vendor, cpus.family, cpus.number, cpus.stepping),
            ("GenuineIntel", 6, Some(85), Some(7))
        );
        assert_eq!((&*cpus.model, cpus.is_virtual), ("Intel(R) Xeon(R)", Some(false)));
        assert!(cpus.flags.contains("avx2") && !cpus.flags.contains("avx"));
        assert_eq!(Cpus::parse(&text.replace("avx2", "hypervisor")).is_virtual, Some(true));
    }

    #[test]
    fn arm_has_numbers_for_it_and_does_not_say_whether_it_is_virtual() {
        let cpus =
            Cpus::parse("processor : 0\nFeatures : fp asimd\nCPU implementer : 0x41\nCPU part\t: 0xd0c\n");
        assert_eq!(
            (&*cpus.vendor, cpus.family, cpus.number, cpus.is_virtual),
            ("0x41", 0, Some(0xd0c), None)
        );
    }

    #[test]
    fn the_topology_says_how_many_packages_there_are_where_the_processors_do_not() {
        let cpuinfo: String = (0..144)
            .map(|i| format!("processor : {i}\nCPU implementer : 0x41\nCPU part : 0xd4f\n\n"))
            .collect();
        let topology = |file: &str| {
            machine(&[
                ("cpuinfo", &cpuinfo),
                ("devices/system/cpu/online", "0-143\n"),
                (&format!("devices/system/cpu/cpu0/topology/{file}"), "0-71\n"),
                (&format!("devices/system/cpu/cpu72/topology/{file}"), "72-143\n"),
            ])
        };
        for file in ["package_cpus_list", "core_siblings_list"] {
            assert_eq!((topology(file).count, topology(file).packages), (144, 2), "{file}");
        }
        assert_eq!(topology("core_id").packages, 1, "what is not told");
    }

    #[test]
    fn where_the_processors_are_not_listed_those_that_are_online_are_counted() {
        let cpus = machine(&[("cpuinfo", "vendor_id : IBM/S390\n"), ("devices/system/cpu/online", "0-3\n")]);
        assert_eq!((cpus.count, cpus.packages), (4, 1));
        assert_eq!(machine(&[]).count, 1, "there is one at least");
    }

    #[test]
    fn the_firmware_says_what_kind_of_machine_it_is_and_who_made_it() {
        let chassis = |number: &str| machine(&[("class/dmi/id/chassis_type", number)]).chassis;
        let kinds = ["1", "3", "10", "23", "34", "x", ""].map(chassis);
        let (desktop, laptop) = (Some(Chassis::Desktop), Some(Chassis::Laptop));
        assert_eq!(kinds, [None, desktop, laptop, Some(Chassis::Server), Some(Chassis::Board), None, None]);
        let board = machine(&[("firmware/devicetree/base/model", "Raspberry Pi 4 Model B Rev 1.4\0")]);
        assert_eq!(board.chassis, Some(Chassis::Board));
        assert_eq!(machine(&[("class/dmi/id/sys_vendor", "Amazon EC2\n")]).maker, "Amazon EC2");
    }

    #[test]
    fn who_hides_the_hypervisor_in_one_place_and_tells_it_in_another_is_virtual() {
        assert_eq!(machine(&[("cpuinfo", "flags : fpu hypervisor\n")]).is_virtual, Some(true));
        assert_eq!(machine(&[("cpuinfo", "flags : fpu\n")]).is_virtual, Some(false));
        assert_eq!(machine(&[("cpuinfo", "Features : fp\n")]).is_virtual, None);
    }
}
