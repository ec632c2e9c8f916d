//! What machine this is: profiles from machines that differ here must not be compared.

use std::collections::BTreeSet;
use std::path::PathBuf;

use alumet::{Host, sysfs};
use nix::sys::utsname::uname;
use serde::{Deserialize, Serialize};

use crate::units::{GLUE, bytes};

/// The machine. What cannot be found out is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    pub cpu_model: Option<String>,
    /// Online CPUs.
    pub cpus: usize,
    pub architecture: String,
    /// Release, as `uname -r` prints it.
    pub kernel: String,
    pub memory_bytes: Option<u64>,
    /// The frequency governor of the first CPU.
    pub governor: Option<String>,
    /// `none`, `vm`, `container` or `container in a vm`, as far as it shows.
    pub virtualisation: String,
}

impl Fingerprint {
    /// What differs on a machine that is now like `now`, as in `kernel (6.1, now 6.8)`.
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let unknown = || "unknown".to_owned();
        let text = |field: &Option<String>| field.clone().unwrap_or_else(unknown);
        let memory = |size: Option<u64>| size.map_or_else(unknown, |n| bytes(n as f64).replace(GLUE, " "));
        let fields = [
            ("CPU", text(&self.cpu_model), text(&now.cpu_model)),
            ("number of CPUs", self.cpus.to_string(), now.cpus.to_string()),
            ("architecture", self.architecture.clone(), now.architecture.clone()),
            ("kernel", self.kernel.clone(), now.kernel.clone()),
            ("memory", memory(self.memory_bytes), memory(now.memory_bytes)),
            ("frequency governor", text(&self.governor), text(&now.governor)),
            ("virtualisation", self.virtualisation.clone(), now.virtualisation.clone()),
        ];
        let differ = fields.into_iter().filter(|(_, then, now)| then != now);
        differ.map(|(what, then, now)| format!("{what} ({then}, now {now})")).collect()
    }

    pub fn of(host: &Host) -> Self {
        let read = |path: PathBuf| sysfs::read_all(&path).ok();
        let cpuinfo = read(host.procfs("cpuinfo")).unwrap_or_default();
        let memory = read(host.procfs("meminfo")).and_then(|text| field(&text, "MemTotal"));
        let name = uname().ok();
        let text = |s: &std::ffi::OsStr| s.to_string_lossy().into_owned();
        let governor = read(host.sysfs("devices/system/cpu/cpu0/cpufreq/scaling_governor"));
        Self {
            cpu_model: cpu_model(&cpuinfo),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            architecture: std::env::consts::ARCH.to_owned(),
            kernel: name.as_ref().map(|name| text(name.release())).unwrap_or_default(),
            memory_bytes: memory
                .and_then(|m| m.strip_suffix(" kB")?.parse::<u64>().ok())
                .and_then(|kib| kib.checked_mul(1024)),
            governor: governor.map(|governor| governor.trim().to_owned()),
            virtualisation: match (alumet::is_in_container(), host.is_virtual()) {
                (true, true) => "container in a vm",
                (true, false) => "container",
                (false, true) => "vm",
                (false, false) => "none",
            }
            .to_owned(),
        }
    }
}

/// The value of the first line of this key.
fn field(text: &str, key: &str) -> Option<String> {
    text.lines()
        .find_map(|line| Some(line.strip_prefix(key)?.trim_start().strip_prefix(':')?.trim().to_owned()))
}

/// What the CPU is called, or its board. ARM's CPUs have no name: of each type of cores it is the codes of its maker and
/// its design (Main ID Register), as in `ARM 0x41/0xd0c`.
fn cpu_model(cpuinfo: &str) -> Option<String> {
    let of_a_core = |core: &str| {
        let (maker, part) = (field(core, "CPU implementer")?, field(core, "CPU part")?);
        Some(format!("{maker}/{part}"))
    };
    let codes = || {
        let types: BTreeSet<_> = cpuinfo.split("\n\n").filter_map(of_a_core).collect();
        let types = types.into_iter().collect::<Vec<_>>().join(" + ");
        (!types.is_empty()).then(|| format!("ARM {types}"))
    };
    field(cpuinfo, "model name").or_else(|| field(cpuinfo, "Model")).or_else(codes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_without_a_name_is_called_by_its_codes() {
        let core = |part: &str| format!("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: {part}\n\n");
        let of = |text: &str| cpu_model(text).unwrap_or_default();
        assert_eq!(of(&core("0xd0c").repeat(2)), "ARM 0x41/0xd0c");
        assert_eq!(of(&format!("{}{}", core("0xd0b"), core("0xd05"))), "ARM 0x41/0xd05 + 0x41/0xd0b");
        assert_eq!(of(&format!("{}Model\t\t: Raspberry Pi 4\n", core("0xd08"))), "Raspberry Pi 4");
        assert_eq!(of("model\t\t: 1\nmodel name\t: Xeon\n"), "Xeon");
        assert_eq!(cpu_model("processor\t: 0\n"), None);
    }

    #[test]
    fn what_differs_is_named_with_both_values() {
        let host = Host::new("/nowhere", "/nowhere");
        let then = Fingerprint {
            cpu_model: Some("Xeon 8380".into()),
            memory_bytes: Some(16_000_123_456),
            ..Fingerprint::of(&host)
        };
        assert_eq!(then.differences(&then.clone()), [""; 0]);
        let now = Fingerprint {
            cpu_model: Some("EPYC 9254".into()),
            governor: Some("performance".into()),
            memory_bytes: Some(16_000_127_552),
            ..then.clone()
        };
        assert_eq!(
            then.differences(&now),
            ["CPU (Xeon 8380, now EPYC 9254)", "frequency governor (unknown, now performance)"],
            "a few pages of memory are no difference"
        );
    }
}
