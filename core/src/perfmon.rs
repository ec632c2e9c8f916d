//! The right to count more than what one's own processes do: for sources that use perf_event_open(2).

use std::sync::OnceLock;
use std::{fs, io};

use rustix::thread::capabilities;

use crate::privilege::{CapabilitySet, is_in_user_namespace, own_path, permitted};
use crate::unit::Unit;

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

/// What the seccomp filter that this process runs under, if there is one, does about perf_event_open(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    Passes,
    Refuses,
    /// It ends the process with SIGSYS.
    Kills,
}

impl Filter {
    /// That of this process.
    fn own() -> Self {
        static OWN: OnceLock<Filter> = OnceLock::new();
        *OWN.get_or_init(|| {
            // SAFETY: PR_GET_SECCOMP takes no more and touches no memory.
            let mode = unsafe { libc::prctl(libc::PR_GET_SECCOMP) };
            if mode == libc::SECCOMP_MODE_FILTER as libc::c_int { Self::tried() } else { Self::Passes }
        })
    }

    /// Whom a filter kills it does not ask, so a child tries it: half a millisecond.
    fn tried() -> Self {
        // SAFETY: the child makes system calls only, and does not return.
        match unsafe { libc::fork() } {
            -1 => Self::Passes,
            // SAFETY: without attributes the call fails (EFAULT); none of the others touches memory.
            0 => unsafe {
                // One that is killed would leave a core file.
                libc::prctl(libc::PR_SET_DUMPABLE, 0 as libc::c_ulong);
                let attributes = std::ptr::null::<libc::c_void>();
                libc::syscall(libc::SYS_perf_event_open, attributes, 0, -1, -1, 0 as libc::c_ulong);
                let is_refused = io::Error::last_os_error().raw_os_error() == Some(libc::EPERM);
                libc::_exit(libc::c_int::from(is_refused))
            },
            child => {
                let mut status = 0;
                // SAFETY: the place outlives the call.
                while unsafe { libc::waitpid(child, &raw mut status, 0) } < 0 {
                    if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                        return Self::Passes;
                    }
                }
                match (libc::WIFSIGNALED(status), libc::WEXITSTATUS(status)) {
                    (true, _) => Self::Kills,
                    (false, 0) => Self::Passes,
                    (false, _) => Self::Refuses,
                }
            }
        }
    }
}

/// To be asked before each perf_event_open(2): a seccomp filter may end the process that calls it, as that of a service
/// with `SystemCallFilter=@system-service` does.
///
/// # Errors
/// It would (EPERM).
pub fn survivable() -> io::Result<()> {
    match Filter::own() {
        Filter::Kills => Err(io::Error::from_raw_os_error(libc::EPERM)),
        Filter::Passes | Filter::Refuses => Ok(()),
    }
}

/// Why the kernel did not permit to count although this process has a right to, and what would change that. `None` if it
/// has none: [`remedy`] gives it.
pub fn hindrance() -> Option<(String, String)> {
    if Filter::own() != Filter::Passes {
        let remedy = match Unit::own().filter(Unit::is_service) {
            Some(service) => service.how_to_set(&["SystemCallFilter=perf_event_open"]),
            None => {
                "in a container, run it with `--cap-add PERFMON`, or with a seccomp profile that allows it"
                    .into()
            }
        };
        return Some(("the seccomp filter of this sandbox forbids perf_event_open".into(), remedy));
    }
    if is_permitted() {
        return Some((
            "a security module forbids perf_event_open although the rights are there".into(),
            String::new(),
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
