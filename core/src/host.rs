//! Where the machine's own files are.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::sysfs;

/// How the firmware of virtual machines calls their makers or themselves. (EC2 has real ones, too: they end in `.metal`.)
const VIRTUAL: [&str; 13] = [
    "QEMU",
    "KVM",
    "OpenStack",
    "KubeVirt",
    "Amazon EC2",
    "Google Compute Engine",
    "Virtual Machine",
    "VMware",
    "VMW",
    "innotek GmbH",
    "Xen",
    "Parallels",
    "Apple Virtualization",
];

/// Boards of device trees that are virtual machines.
const VIRTUAL_BOARDS: [&str; 2] = ["linux,dummy-virt", "qemu,pseries"];

/// The roots of the host's file systems. In a container they may be mounted elsewhere than at `/sys` and `/proc`; the
/// application itself is always followed in the real `/proc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    sysfs: PathBuf,
    procfs: PathBuf,
}

impl Default for Host {
    fn default() -> Self {
        Self { sysfs: "/sys".into(), procfs: "/proc".into() }
    }
}

impl Host {
    /// A host whose `/sys` and `/proc` are these directories.
    pub fn new(sysfs: impl Into<PathBuf>, procfs: impl Into<PathBuf>) -> Self {
        Self { sysfs: sysfs.into(), procfs: procfs.into() }
    }

    /// A file below the host's `/sys`.
    pub fn sysfs(&self, path: impl AsRef<Path>) -> PathBuf {
        self.sysfs.join(path)
    }

    /// The directory of the kernel's PMUs: below the host's `/sys`, or in the kernel's own if this process has
    /// [rights that its user has not](crate::privilege::is_lent). What counts there says with which number and
    /// configuration the kernel is to be asked, and a directory that the user names may say anything.
    pub fn pmus(&self) -> PathBuf {
        let sysfs = if crate::privilege::is_lent() { Path::new("/sys") } else { &self.sysfs };
        sysfs.join("bus/event_source/devices")
    }

    /// What the kernel says of the CPUs (proc_cpuinfo(5)); empty where it says nothing.
    pub fn cpuinfo(&self) -> Cow<'static, str> {
        // It is written anew for each reader, all CPUs of it, which may take milliseconds.
        static HERE: OnceLock<String> = OnceLock::new();
        let read = || sysfs::read_all(&self.procfs("cpuinfo")).unwrap_or_default();
        match self.procfs == Path::new("/proc") {
            true => Cow::Borrowed(HERE.get_or_init(read)),
            false => Cow::Owned(read()),
        }
    }

    /// Whether this is a virtual machine, as far as that shows.
    ///
    /// x86 CPUs say it themselves (`flags` in proc_cpuinfo(5)). Where they cannot, the machine's description does: that
    /// of the firmware (DMI), or the device tree. The names are those of systemd-detect-virt(1).
    pub fn is_virtual(&self) -> bool {
        let read = |path: PathBuf| sysfs::read_all(&path).unwrap_or_default();
        let cpuinfo = self.cpuinfo();
        if let Some(flags) = cpuinfo.lines().find(|line| line.starts_with("flags")) {
            return flags.split_ascii_whitespace().any(|flag| flag == "hypervisor");
        }
        let dmi = |name: &str| read(self.sysfs("class/dmi/id").join(name));
        let tree = self.sysfs("firmware/devicetree/base");
        let has_node_of_qemu = || {
            let nodes = std::fs::read_dir(&tree).into_iter().flatten().flatten();
            nodes.into_iter().any(|node| node.file_name().as_bytes().starts_with(b"fw-cfg"))
        };
        let (maker, product) = (dmi("sys_vendor"), dmi("product_name"));
        let is_named = VIRTUAL.iter().any(|name| maker.starts_with(name) || product.starts_with(name));
        (is_named && !product.trim_end().ends_with(".metal"))
            || tree.join("hypervisor").exists()
            || read(tree.join("compatible")).split('\0').any(|name| VIRTUAL_BOARDS.contains(&name))
            || has_node_of_qemu()
    }

    /// A file below the host's `/proc`.
    pub fn procfs(&self, path: impl AsRef<Path>) -> PathBuf {
        self.procfs.join(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Whether a machine with these files is a virtual one; names end in `/` for directories.
    fn is_virtual(files: &[(&str, &str)]) -> bool {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match text.is_empty() {
                true => fs::create_dir_all(path).unwrap(),
                false => fs::write(path, text).unwrap(),
            }
        }
        Host::new(root.path().join("sys"), root.path().join("proc")).is_virtual()
    }

    #[test]
    fn x86_says_itself_whether_it_is_virtual_whatever_the_firmware_is_called() {
        let kvm = ("sys/class/dmi/id/sys_vendor", "QEMU\n");
        assert!(is_virtual(&[("proc/cpuinfo", "model name : X\nflags\t\t: fpu hypervisor sse\n")]));
        assert!(!is_virtual(&[("proc/cpuinfo", "model name : X\nflags\t\t: fpu hypervisor_x sse\n"), kvm]));
    }

    #[test]
    fn other_cpus_are_told_by_firmware_or_device_tree() {
        const ARM: (&str, &str) = ("proc/cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41\n");
        let dmi = |maker: &str, product: &str| {
            let product = format!("{product}\n");
            is_virtual(&[
                ARM,
                ("sys/class/dmi/id/sys_vendor", &format!("{maker}\n")),
                ("sys/class/dmi/id/product_name", &product),
            ])
        };
        assert!(dmi("Amazon EC2", "m6g.large") && !dmi("Amazon EC2", "m6g.metal"));
        assert!(dmi("Google", "Google Compute Engine") && !dmi("Google", "Chromebook"));
        assert!(
            dmi("Microsoft Corporation", "Virtual Machine") && !dmi("Microsoft Corporation", "Surface Pro X")
        );
        assert!(dmi("QEMU", "QEMU Virtual Machine") && !dmi("Ampere", "Mt. Jade"));
        const TREE: &str = "sys/firmware/devicetree/base";
        assert!(is_virtual(&[ARM, (&format!("{TREE}/compatible"), "linux,dummy-virt\0")]));
        assert!(is_virtual(&[ARM, (&format!("{TREE}/fw-cfg@9020000"), "")]));
        assert!(is_virtual(&[ARM, (&format!("{TREE}/hypervisor/compatible"), "linux,kvm\0")]));
        let board = (&*format!("{TREE}/compatible"), "raspberrypi,4-model-b\0brcm,bcm2711\0");
        assert!(!is_virtual(&[ARM, board]) && !is_virtual(&[ARM]));
    }

    #[test]
    fn events_are_looked_for_where_the_machines_files_are() {
        assert_eq!(Host::new("/a", "/b").pmus(), Path::new("/a/bus/event_source/devices"));
        assert_eq!(Host::default().pmus(), Path::new("/sys/bus/event_source/devices"));
        assert_eq!(Host::new("/a", "/b").procfs("c"), Path::new("/b/c"));
    }
}
