//! The right to count more than what one's own processes do: for sources that use perf_event_open(2).

use std::sync::OnceLock;
use std::{fs, io};

use rustix::thread::capabilities;

use crate::container::is_in_container;
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

/// Whether this thread uses it.
pub(crate) fn has(capability: CapabilitySet) -> bool {
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
    let set = format!("sysctl kernel.perf_event_paranoid={HIGHEST}");
    // A container has no sysctl of its own for that.
    if is_in_container() { format!("`{set}` on the host") } else { format!("sudo {set}") }
}

/// What gives the right to count in all modes, with the least privilege.
pub fn remedy() -> String {
    if is_in_user_namespace() {
        return "run alumet outside of it, where root or CAP_PERFMON has that right".into();
    }
    // A capability of a file is worth nothing where the container's bounding set lacks it (capabilities(7)).
    let (grant, link) = match is_in_container() {
        true => ("run the container with `--cap-add PERFMON`".to_owned(), ", and "),
        false => (setcap(), " && "),
    };
    match (is_closed(), has(CapabilitySet::PERFMON)) {
        (true, true) => opening(),
        (true, false) => format!("{}{link}{grant}", opening()),
        (false, _) => grant,
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

#[cfg(test)]
mod tests {
    use super::*;

    use crate::privilege::tests::{in_root, sandbox};

    #[test]
    fn the_level_of_the_kernel_is_that_of_its_file() {
        let text = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
        let level = text.trim().parse::<i32>().ok();
        assert_eq!((paranoid(), is_closed()), (level, level.is_some_and(|level| level > 2)));
        let expected = level.map_or(String::new(), |level| format!(" (perf_event_paranoid is {level})"));
        assert_eq!(setting(), expected);
    }

    /// The effective capabilities of this thread.
    fn effective() -> u64 {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let text = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap().trim().to_owned();
        u64::from_str_radix(&text, 16).unwrap()
    }

    #[test]
    fn the_right_to_count_is_a_capability_of_the_first_user_namespace() {
        // From linux/capability.h.
        let (admin, perfmon) = (effective() >> 21 & 1 == 1, effective() >> 38 & 1 == 1);
        let expected = !is_in_user_namespace() && (admin || (perfmon && !is_closed()));
        assert_eq!(is_permitted(), expected);
        let keep = CapabilitySet::PERFMON;
        let enough = permitted().contains(keep) && !is_closed();
        assert_eq!(capability(), if enough { keep } else { keep | CapabilitySet::SYS_ADMIN });
        let without = std::thread::spawn(|| {
            crate::privilege::without(CapabilitySet::SYS_ADMIN | CapabilitySet::PERFMON, is_permitted)
        });
        assert!(!without.join().unwrap().unwrap());
        if crate::privilege::tests::is_root("each of the two capabilities alone") && !is_in_user_namespace() {
            for (unused, expected) in [(CapabilitySet::SYS_ADMIN, !is_closed()), (keep, true)] {
                let one = std::thread::spawn(move || crate::privilege::without(unused, is_permitted));
                assert_eq!(one.join().unwrap().unwrap(), expected, "without {unused:?}");
            }
            let unable = std::thread::spawn(move || {
                let own = capabilities(None).unwrap();
                let (effective, permitted) = (own.effective - keep, own.permitted - keep);
                let fewer = rustix::thread::CapabilitySets { effective, permitted, ..own };
                rustix::thread::set_capabilities(None, fewer).unwrap();
                capability()
            });
            assert_eq!(unable.join().unwrap(), keep | CapabilitySet::SYS_ADMIN);
        }
    }

    #[test]
    fn what_gives_the_right_to_count_is_a_command_that_one_can_type() {
        let binary = std::env::current_exe().unwrap().display().to_string();
        assert!(setcap().starts_with("sudo setcap cap_perfmon=ep ") && setcap().contains(&binary));
        assert!(opening().contains("sysctl kernel.perf_event_paranoid=2"));
        if !is_in_user_namespace() && !is_closed() && !is_in_container() {
            assert_eq!(remedy(), setcap());
        }
    }

    #[test]
    fn what_gives_the_right_to_count_depends_on_the_kernel_and_the_container() {
        const LEVEL: &str = "/proc/sys/kernel/perf_event_paranoid";
        let told = |files: &[(&str, &str)], unused: CapabilitySet| {
            let files = [&[("/proc/self/exe", "-> /bin/alumet")], files].concat();
            let test = "what_gives_the_right_to_count_depends_on_the_kernel_and_the_container";
            in_root(test, &files, || (is_closed(), crate::privilege::without(unused, remedy).unwrap()))
        };
        let (nothing, perfmon) = (CapabilitySet::empty(), CapabilitySet::PERFMON);
        let Some(without_setting) = told(&[], perfmon) else { return };
        let setcap = "sudo setcap cap_perfmon=ep /bin/alumet";
        assert_eq!(without_setting, (false, setcap.into()));
        assert_eq!(told(&[(LEVEL, "2\n")], perfmon).unwrap(), (false, setcap.into()));
        let open = "sudo sysctl kernel.perf_event_paranoid=2";
        assert_eq!(told(&[(LEVEL, "3\n")], perfmon).unwrap(), (true, format!("{open} && {setcap}")));
        if permitted().contains(perfmon) {
            assert_eq!(told(&[(LEVEL, "3\n")], nothing).unwrap(), (true, open.into()));
        }
        let container = [(LEVEL, "3\n"), ("/.dockerenv", "x")];
        let expected = "`sysctl kernel.perf_event_paranoid=2` on the host, and run the container with \
                        `--cap-add PERFMON`";
        assert_eq!(told(&container, perfmon).unwrap(), (true, expected.into()));
        let namespace = [(LEVEL, "3\n"), ("/proc/self/uid_map", "0 1000 1\n")];
        let outside = "run alumet outside of it, where root or CAP_PERFMON has that right";
        assert_eq!(told(&namespace, perfmon).unwrap().1, outside);
    }

    #[test]
    fn a_filter_is_tried_by_a_child_before_it_can_kill() {
        const CALL: libc::c_long = libc::SYS_perf_event_open;
        assert_eq!(Filter::tried(), Filter::Passes);
        for (action, expected) in [
            (libc::SECCOMP_RET_ERRNO | libc::EPERM as u32, Filter::Refuses),
            (libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32, Filter::Passes),
            (libc::SECCOMP_RET_KILL_PROCESS, Filter::Kills),
        ] {
            let tried = sandbox(CALL, action, Filter::tried);
            assert_eq!(tried, expected, "{action:x}");
        }
        // Where nobody can wait for the child, nothing is known to be refused.
        let action = libc::SECCOMP_RET_ERRNO | libc::ECHILD as u32;
        let tried = sandbox(libc::SYS_wait4, action, || {
            let tried = Filter::tried();
            let children = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
            for child in children.split_ascii_whitespace() {
                let child = nix::sys::wait::Id::Pid(nix::unistd::Pid::from_raw(child.parse().unwrap()));
                nix::sys::wait::waitid(child, nix::sys::wait::WaitPidFlag::WEXITED).unwrap();
            }
            tried
        });
        assert_eq!(tried, Filter::Passes);
    }

    #[test]
    fn without_a_filter_nothing_is_refused_and_a_hindrance_is_another_one() {
        // SAFETY: PR_GET_SECCOMP takes no more and touches no memory.
        if unsafe { libc::prctl(libc::PR_GET_SECCOMP) } != 0 {
            eprintln!("skipped: without a filter nothing is refused, because there is one");
            return;
        }
        assert_eq!(Filter::own(), Filter::Passes);
        survivable().unwrap();
        let told = hindrance();
        let reason = told.as_ref().map(|(reason, _)| reason.as_str()).unwrap_or_default();
        assert_eq!(reason.contains("security module"), is_permitted(), "{told:?}");
        assert!(!reason.contains("seccomp"), "{told:?}");
    }
}
