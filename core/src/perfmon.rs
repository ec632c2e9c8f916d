//! The right to count more than what one's own processes do: for sources that use perf_event_open(2).

use std::fs;

use rustix::thread::capabilities;

use crate::privilege::{CapabilitySet, is_in_user_namespace, own_path, permitted};

/// The command that gives that right to this binary alone (capabilities(7), since Linux 5.8).
pub fn setcap() -> String {
    format!("sudo setcap cap_perfmon=ep {}", own_path())
}

/// `perf_event_paranoid`, as documented in Documentation/admin-guide/sysctl/kernel.rst. Some distributions add levels
/// above 2, at which users may count nothing.
pub fn paranoid() -> Option<i32> {
    fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").ok()?.trim().parse().ok()
}

/// ` (perf_event_paranoid is 2)`, as a part of a sentence; nothing where the kernel has no such setting.
pub fn setting() -> String {
    paranoid().map_or_else(String::new, |level| format!(" (perf_event_paranoid is {level})"))
}

/// The highest level that Linux knows. Above it, kernels of Debian and Ubuntu let nobody count without CAP_SYS_ADMIN:
/// CAP_PERFMON is not enough (their patch of `perf_event_open` asks for the former alone).
const HIGHEST: i32 = 2;

/// Whether the level is one at which users may count nothing, and CAP_PERFMON may be worth nothing.
pub fn is_closed() -> bool {
    paranoid().is_some_and(|level| level > HIGHEST)
}

fn has(capability: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|own| own.effective.contains(capability))
}

/// Whether this process may count more than users may: it has CAP_SYS_ADMIN, or CAP_PERFMON where that counts. The kernel
/// asks for them in the first user namespace (`perfmon_capable` in Linux): in another one, nobody has them.
pub fn is_permitted() -> bool {
    let has_any = has(CapabilitySet::SYS_ADMIN) || (has(CapabilitySet::PERFMON) && !is_closed());
    has_any && !is_in_user_namespace()
}

/// The command that lets users count their own processes in user mode, where they may [not](is_closed).
pub fn opening() -> String {
    format!("sudo sysctl kernel.perf_event_paranoid={HIGHEST}")
}

/// What gives the right to count in all modes, with the least privilege.
pub fn remedy() -> String {
    if is_in_user_namespace() {
        return "run alumet outside of it, where root or CAP_PERFMON has that right".into();
    }
    match (is_closed(), has(CapabilitySet::PERFMON)) {
        (true, true) => opening(),
        (true, false) => format!("{} && {}", opening(), setcap()),
        (false, _) => setcap(),
    }
}

/// Why the kernel did not permit to count although this process has a right to, and what would change that. `None` if it
/// has none: [`remedy`] gives it.
pub fn hindrance() -> Option<(String, String)> {
    if is_permitted() {
        return Some((
            "a sandbox or security module forbids perf_event_open although the rights are there".into(),
            "in a container, run it with `--cap-add PERFMON` and a seccomp profile that allows perf_event_open".into(),
        ));
    }
    if is_in_user_namespace() {
        let why = format!(
            "no capability of a user namespace, as of a rootless container, counts here{}",
            setting()
        );
        return Some((why, remedy()));
    }
    has(CapabilitySet::PERFMON).then(|| (format!("this kernel lets only root count{}", setting()), remedy()))
}

/// The least of what this process has that gives the right here: for
/// [`Setup::keep_capabilities`](crate::Setup::keep_capabilities).
pub fn capability() -> CapabilitySet {
    let suffices = permitted().contains(CapabilitySet::PERFMON) && !is_closed();
    if suffices { CapabilitySet::PERFMON } else { CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN }
}
