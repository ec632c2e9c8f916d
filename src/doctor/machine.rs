//! What makes runs on this machine hard to repeat.

use alumet::{Host, Report, sysfs};

use crate::fingerprint::Fingerprint;

/// Each in a line.
pub fn risks(host: &Host, fingerprint: &Fingerprint, report: &Report) -> Vec<String> {
    let mut risks = Vec::new();
    if fingerprint.virtualisation != "none" {
        let what = &fingerprint.virtualisation;
        risks.push(format!("{what}: others on the same host make runs vary, and may be measured with them"));
    }
    match fingerprint.governor.as_deref() {
        None | Some("performance") => {}
        Some(governor) => {
            risks.push(format!("frequency governor {governor}: the frequency follows the load"));
        }
    }
    if turbo(host) == Some(true) {
        risks.push("turbo on: the frequency depends on temperature and on what else runs".into());
    }
    if let Some(late) = report.late_p99.filter(|late| late.as_millis() >= 5) {
        risks.push(format!("busy: readings come up to {late:.0?} late"));
    }
    risks
}

/// Whether the CPUs may run above their nominal frequency (Documentation/admin-guide/pm/cpufreq.rst and
/// intel_pstate.rst); `None` if the kernel does not say.
fn turbo(host: &Host) -> Option<bool> {
    let read = |path: &str| sysfs::read(&host.sysfs(path)).ok().map(|text| text == "1");
    let off = read("devices/system/cpu/intel_pstate/no_turbo");
    off.map(|off| !off).or_else(|| read("devices/system/cpu/cpufreq/boost"))
}
