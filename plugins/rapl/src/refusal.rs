//! Why there is no energy to be had, and what would change that.

use alumet::privilege::sudo;
use alumet::{Host, perfmon};

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
            [false, false] => Self {
                remedy: "if this CPU has RAPL, `sudo modprobe intel_rapl_msr` may show it".into(),
                ..Self::absent(format!("no RAPL: {}, and {}", perf.reason, powercap.reason))
            },
        }
    }
}
