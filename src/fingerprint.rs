//! What machine this is: profiles from machines that differ here must not be compared.

use std::fs;
use std::path::Path;

use alumet::Host;
use nix::sys::utsname::uname;
use serde::{Deserialize, Serialize};

/// The machine. What cannot be found out is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    pub fn of(host: &Host) -> Self {
        let read = |path| fs::read_to_string(path).ok();
        let cpuinfo = read(host.procfs("cpuinfo")).unwrap_or_default();
        let field = |text: &str, key: &str| {
            text.lines().find_map(|line| {
                Some(line.strip_prefix(key)?.trim_start().strip_prefix(':')?.trim().to_owned())
            })
        };
        let memory = read(host.procfs("meminfo")).and_then(|text| field(&text, "MemTotal"));
        let name = uname().ok();
        let text = |s: &std::ffi::OsStr| s.to_string_lossy().into_owned();
        let governor = read(host.sysfs("devices/system/cpu/cpu0/cpufreq/scaling_governor"));
        let container = ["/.dockerenv", "/run/.containerenv"].iter().any(|path| Path::new(path).exists());
        Self {
            cpu_model: field(&cpuinfo, "model name").or_else(|| field(&cpuinfo, "Model")),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            architecture: std::env::consts::ARCH.to_owned(),
            kernel: name.as_ref().map(|name| text(name.release())).unwrap_or_default(),
            memory_bytes: memory
                .and_then(|m| m.strip_suffix(" kB")?.parse::<u64>().ok())
                .map(|kib| kib * 1024),
            governor: governor.map(|governor| governor.trim().to_owned()),
            virtualisation: match (container, host.is_virtual()) {
                (true, true) => "container in a vm",
                (true, false) => "container",
                (false, true) => "vm",
                (false, false) => "none",
            }
            .to_owned(),
        }
    }
}
