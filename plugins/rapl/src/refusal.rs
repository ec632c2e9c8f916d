//! Why there is no energy to be had, and what would change that.

use alumet::privilege::sudo;
use alumet::{Host, is_in_container, perfmon};

/// The commands that let the group `power` read powercap's counters, now and after every start of the machine.
pub const UDEV: [&str; 2] = [
    "echo 'SUBSYSTEM==\"powercap\", ACTION==\"add\", RUN+=\"/bin/chgrp power /sys%p/energy_uj\", RUN+=\"/bin/chmod g+r \
     /sys%p/energy_uj\"' | sudo tee /etc/udev/rules.d/70-powercap.rules",
    "sudo groupadd -f power; sudo usermod -aG power \"$USER\"; sudo udevadm trigger --action=add --subsystem-match=powercap \
     # then log in anew",
];

/// What a refusal says of the counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// This machine, or its kernel, has none.
    Absent,
    /// It is there and cannot be read: what it would have counted is missing.
    Unreadable,
    /// The same, but for somebody with more rights.
    Forbidden,
}

/// Why a way to the counters is closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}{}{remedy}", if remedy.is_empty() { "" } else { "; " })]
pub struct Refusal {
    /// What it says of the counter.
    pub kind: Kind,
    /// Why.
    pub reason: String,
    /// What would change that; may be empty.
    pub remedy: String,
}

impl Refusal {
    /// This machine, or its kernel, does not offer it.
    pub fn absent(reason: impl Into<String>) -> Self {
        Self { kind: Kind::Absent, reason: reason.into(), remedy: String::new() }
    }

    /// It is there, but cannot be read or told apart.
    pub fn unreadable(reason: impl Into<String>) -> Self {
        Self { kind: Kind::Unreadable, ..Self::absent(reason) }
    }

    fn forbidden(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind: Kind::Forbidden, reason: reason.into(), remedy: remedy.into() }
    }

    /// perf does not count the machine for this user.
    pub fn perf() -> Self {
        let (reason, remedy) = perfmon::hindrance()
            .unwrap_or_else(|| (format!("RAPL needs CAP_PERFMON{}", perfmon::setting()), perfmon::remedy()));
        Self::forbidden(format!("not permitted: {reason}"), remedy)
    }

    /// powercap's files cannot be read by this user: since CVE-2020-8694, by root alone.
    pub fn powercap() -> Self {
        Self::forbidden(
            "not permitted: only root may read energy_uj in powercap",
            sudo("exec --user \"$USER\" ... # or let a group read it: `alumet doctor` prints a udev rule"),
        )
    }

    /// What is to be said when both ways are closed.
    pub fn of_both(perf: Self, powercap: Self, host: &Host) -> Self {
        match [&perf, &powercap].map(|refusal| refusal.kind == Kind::Forbidden) {
            // Its remedy is the smaller privilege.
            [true, _] => perf,
            [false, true] => powercap,
            [false, false] if host.is_virtual() => Self::absent("no RAPL in this virtual machine"),
            [false, false] if !IS_X86 => Self::absent("no RAPL: only x86 CPUs have it"),
            [false, false] => Self {
                remedy: to_show(is_masked(host), is_in_container()),
                ..Self::absent(format!("no RAPL: {}, and {}", perf.reason, powercap.reason))
            },
        }
    }
}

/// Of other CPUs no driver makes a zone (drivers/powercap/intel_rapl_msr.c).
const IS_X86: bool = cfg!(any(target_arch = "x86", target_arch = "x86_64"));

/// What may show the counters.
fn to_show(is_masked: bool, in_container: bool) -> String {
    match (is_masked, in_container) {
        // Runtimes hide /sys/devices/virtual/powercap since CVE-2020-8694, also where it is mounted anew in the same place.
        (true, _) => {
            "this container hides them: start it with `-v /sys:/host/sys:ro`, and give alumet `--sysfs /host/sys`".into()
        }
        (false, true) => "if this CPU has RAPL, `modprobe intel_rapl_msr` on the host may show it".into(),
        (false, false) => "if this CPU has RAPL, `sudo modprobe intel_rapl_msr` may show it".into(),
    }
}

/// Whether there are zones of which only the links are to be seen.
fn is_masked(host: &Host) -> bool {
    let entries = std::fs::read_dir(host.sysfs("class/powercap")).into_iter().flatten().flatten();
    let is_zone = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("intel-rapl:");
    entries.into_iter().any(|entry| is_zone(&entry.file_name()) && !entry.path().exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_with_its_remedy_if_it_has_one() {
        assert_eq!(Refusal::absent("no PMU").to_string(), "no PMU");
        let forbidden = Refusal::forbidden("not permitted", "ask root");
        assert_eq!(forbidden.to_string(), "not permitted; ask root");
        let kinds = [Refusal::absent(""), Refusal::unreadable(""), forbidden].map(|refusal| refusal.kind);
        assert_eq!(kinds, [Kind::Absent, Kind::Unreadable, Kind::Forbidden]);
    }

    /// As alumet asks: to whom a command is given.
    fn is_root() -> bool {
        sudo("").is_empty()
    }

    #[test]
    fn who_may_not_read_is_told_by_what_right_he_could() {
        for refusal in [Refusal::perf(), Refusal::powercap()] {
            assert_eq!(refusal.kind, Kind::Forbidden);
            assert!(refusal.reason.starts_with("not permitted: "), "{refusal}");
            // To root no command is of any help.
            assert!(!refusal.remedy.is_empty() || is_root(), "{refusal}");
        }
        assert!(Refusal::powercap().remedy.contains("udev") || is_root(), "or a group may read it");
    }

    #[test]
    fn of_two_closed_ways_the_one_that_a_right_opens_counts_and_the_smaller_right_first() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path(), root.path());
        let (no_pmu, no_zones) = (Refusal::absent("no PMU"), Refusal::absent("no zones"));
        let (perf, powercap) = (Refusal::perf(), Refusal::powercap());
        let both =
            |perf: &Refusal, powercap: &Refusal| Refusal::of_both(perf.clone(), powercap.clone(), &host);
        assert_eq!(both(&perf, &powercap), perf);
        assert_eq!(both(&perf, &no_zones), perf);
        assert_eq!(both(&no_pmu, &powercap), powercap);
        let neither = both(&no_pmu, &no_zones);
        assert_eq!(neither.kind, Kind::Absent);
        if IS_X86 {
            assert_eq!(neither.reason, "no RAPL: no PMU, and no zones");
            assert!(neither.remedy.contains("modprobe"), "{neither}");
        }
        std::fs::write(root.path().join("cpuinfo"), "flags : hypervisor\n").unwrap();
        assert_eq!(both(&no_pmu, &no_zones), Refusal::absent("no RAPL in this virtual machine"));
    }

    #[test]
    fn what_may_show_the_counters_is_said_for_the_place() {
        assert!(to_show(false, false).contains("`sudo modprobe intel_rapl_msr` may"));
        assert!(to_show(false, true).contains("`modprobe intel_rapl_msr` on the host"));
        assert!(
            to_show(true, true).contains("--sysfs /host/sys") && !to_show(true, true).contains("modprobe")
        );
        let sysfs = tempfile::tempdir().unwrap();
        let host = Host::new(sysfs.path(), "/proc");
        assert!(!is_masked(&host));
        let class = sysfs.path().join("class/powercap");
        std::fs::create_dir_all(class.join("intel-rapl")).unwrap();
        assert!(!is_masked(&host), "the control type has no counter");
        // As Docker leaves it: the links of the class lead into an empty directory.
        let to = "../../devices/virtual/powercap/intel-rapl/intel-rapl:0";
        std::os::unix::fs::symlink(to, class.join("intel-rapl:0")).unwrap();
        assert!(is_masked(&host));
    }
}
