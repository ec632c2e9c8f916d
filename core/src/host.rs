//! Where the machine's own files are.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

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

    /// Whether the CPU says that a hypervisor is below (`flags` in proc_cpuinfo(5); x86 alone has that).
    pub fn is_virtual(&self) -> bool {
        // The kernel writes it anew for each reader, all CPUs of it.
        static HERE: OnceLock<bool> = OnceLock::new();
        match self.procfs == Path::new("/proc") {
            true => *HERE.get_or_init(|| self.look_for_hypervisor()),
            false => self.look_for_hypervisor(),
        }
    }

    fn look_for_hypervisor(&self) -> bool {
        let cpuinfo = std::fs::read_to_string(self.procfs("cpuinfo")).unwrap_or_default();
        let flags = cpuinfo.lines().find(|line| line.starts_with("flags"));
        flags.is_some_and(|flags| flags.split_ascii_whitespace().any(|flag| flag == "hypervisor"))
    }

    /// A file below the host's `/proc`.
    pub fn procfs(&self, path: impl AsRef<Path>) -> PathBuf {
        self.procfs.join(path)
    }
}
