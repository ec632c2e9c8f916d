//! Giving up privileges: once everything is open, a program that measures needs few of the capabilities that it was
//! started with (capabilities(7)), and what looks at somebody else's processes should have no more than it needs.
//!
//! [`Agent::drop_privileges`](crate::Agent::drop_privileges) knows what is still needed: the plugins have said it
//! ([`Setup::keep_capabilities`](crate::Setup::keep_capabilities)). Nothing is dropped unless it is called. What was
//! forked before, such as the application at its gate, keeps what it has.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::{Uid, getpid, gettid};
use rustix::thread::{CapabilitySets, capabilities, set_capabilities, set_no_new_privs};

pub use rustix::thread::CapabilitySet;

use crate::container::is_in_container;
use crate::target::threads;

/// Threads have so long to drop what they have; one that does not return from a system call in that time drops it when
/// it does, before it runs any code.
const ANSWER: Duration = Duration::from_millis(20);

static KEEP: AtomicU64 = AtomicU64::new(0);
/// Whether there is something to be dropped: the signal may come from elsewhere.
static IS_ASKED: AtomicBool = AtomicBool::new(false);
static ANSWERS: AtomicUsize = AtomicUsize::new(0);
/// The threads that have nothing any more, and need not be asked.
static BARE: Mutex<Vec<libc::pid_t>> = Mutex::new(Vec::new());

/// Drops all capabilities but these from every thread of this process, for good: from the permitted, effective,
/// inheritable and ambient sets. No program that it executes gets more either (PR_SET_NO_NEW_PRIVS, prctl(2)), so an
/// application that is to have what this process had is forked before. Returns what the calling thread still has.
///
/// Capabilities belong to threads. Those that run already, as that of a driver's library may, are reached through the
/// signal SIGRTMAX, which must be neither blocked nor used otherwise.
///
/// # Errors
/// A sandbox forbids to drop what there is.
pub fn keep_only(keep: CapabilitySet) -> io::Result<CapabilitySet> {
    let no_more = set_no_new_privs(true);
    let before = capabilities(None)?;
    let kept = before.permitted & keep;
    if !before.permitted.is_empty() || !before.inheritable.is_empty() {
        no_more?;
        keep_here(keep)?;
        keep_in_others(keep)?;
    }
    Ok(kept)
}

/// The command that runs this program as root, with these words: sudo looks for programs in few places, so it is given with
/// its path. Root, to whom that is no help, is told to leave the user namespace, if it is in one; and in a container there
/// is rarely a sudo.
pub fn sudo(words: &str) -> String {
    as_root(words, Uid::effective().is_root(), is_in_user_namespace(), is_in_container())
}

fn as_root(words: &str, is_root: bool, in_namespace: bool, in_container: bool) -> String {
    match (is_root, in_namespace) {
        (false, _) if in_container => "run the container as root (`--user 0`)".into(),
        (false, _) => format!("sudo {} {words}", own_path()),
        (true, true) => "run alumet outside of this user namespace".into(),
        (true, false) => String::new(),
    }
}

/// The path of this program, as a shell takes it.
pub(crate) fn own_path() -> String {
    as_word(&std::env::current_exe().unwrap_or_default().to_string_lossy())
}

fn as_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._+-".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// Whether this process has rights that its user has not: its file carries capabilities (AT_SECURE, getauxval(3)). What
/// the user says is then not to be done with them wherever it leads.
pub fn is_lent() -> bool {
    // SAFETY: takes a number and touches no memory of ours.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Drops all capabilities of the calling thread alone, for good: it needs none, and never ends before the process does.
///
/// # Errors
/// A sandbox forbids to drop what there is.
pub fn renounce() -> io::Result<()> {
    set_no_new_privs(true)?;
    keep_here(CapabilitySet::empty())?;
    BARE.lock().unwrap_or_else(PoisonError::into_inner).push(gettid().as_raw());
    Ok(())
}

/// The capabilities that the calling thread has or may use; none if a sandbox forbids to ask.
pub fn permitted() -> CapabilitySet {
    capabilities(None).map_or(CapabilitySet::empty(), |own| own.permitted)
}

/// Whether this process is in a user namespace that does not show every user as himself: as root of it, it has no rights
/// over the machine (user_namespaces(7)).
pub fn is_in_user_namespace() -> bool {
    // Where the kernel has none, there is no such file.
    std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !shows_everybody(&map))
}

/// Of the lines of a uid_map: first user inside, first user outside, how many.
fn shows_everybody(map: &str) -> bool {
    map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

/// Runs something while the calling thread does not use these capabilities.
///
/// # Errors
/// A sandbox forbids it.
pub fn without<T>(unused: CapabilitySet, f: impl FnOnce() -> T) -> io::Result<T> {
    let before = capabilities(None)?;
    let fewer = CapabilitySets { effective: before.effective - unused, ..before };
    if fewer == before {
        return Ok(f());
    }
    set_capabilities(None, fewer)?;
    let result = f();
    set_capabilities(None, before)?;
    Ok(result)
}

/// Does something with a file that the user has named, with no more rights over files than he has himself: those that
/// [are lent](is_lent) to this process let it measure.
///
/// # Errors
/// Those of what is done; or a sandbox forbids to do without the rights.
pub fn as_user<T>(f: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    const OVER_FILES: CapabilitySet =
        CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::DAC_READ_SEARCH).union(CapabilitySet::FOWNER);
    if is_lent() { without(OVER_FILES, f)? } else { f() }
}

fn keep_here(keep: CapabilitySet) -> rustix::io::Result<()> {
    let before = capabilities(None)?;
    let (effective, permitted) = (before.effective & keep, before.permitted & keep);
    // What is not inheritable is not ambient either.
    set_capabilities(None, CapabilitySets { effective, permitted, inheritable: CapabilitySet::empty() })
}

fn keep_in_others(keep: CapabilitySet) -> io::Result<()> {
    let (pid, own) = (getpid().as_raw(), gettid().as_raw());
    let mut asked = BARE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    asked.push(own);
    let end = Instant::now() + ANSWER;
    // A thread that was not asked yet may have created another one meanwhile.
    loop {
        let new: Vec<_> = threads(pid).filter(|tid| !asked.contains(tid)).collect();
        if new.is_empty() {
            return Ok(());
        }
        KEEP.store(keep.bits(), Ordering::Release);
        IS_ASKED.store(true, Ordering::Release);
        listen()?;
        new.iter().for_each(|tid| ask(pid, *tid, end));
        asked.extend(new);
    }
}

/// Installs the handler of SIGRTMAX, which [`keep_only`] does in any case; before that, the signal has no effect from then on,
/// but to end nobody who does not expect it. It stays: a thread may be late.
///
/// # Errors
/// A sandbox forbids it.
pub fn listen() -> io::Result<()> {
    // SAFETY: all-zero is a valid `sigaction`; the handler makes raw system calls and uses atomics only, and leaves errno
    // as it was (signal-safety(7)).
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = answer as extern "C" fn(libc::c_int) as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        Errno::result(libc::sigaction(libc::SIGRTMAX(), &raw const action, std::ptr::null_mut()))?;
    }
    Ok(())
}

extern "C" fn answer(_: libc::c_int) {
    if !IS_ASKED.load(Ordering::Acquire) {
        return;
    }
    let errno = Errno::last_raw();
    // Where the calling thread could do it, this one can.
    let _ = set_no_new_privs(true);
    let _ = keep_here(CapabilitySet::from_bits_retain(KEEP.load(Ordering::Acquire)));
    ANSWERS.fetch_add(1, Ordering::Release);
    Errno::set_raw(errno);
}

/// Sends the signal, and waits until the thread has dropped what it is to drop, has ended, or the time is up.
fn ask(pid: i32, tid: i32, end: Instant) {
    // SAFETY: tgkill(2) takes three numbers; the thread is one of this process, or there is none.
    let send = |signal: libc::c_int| unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, signal) } == 0;
    let before = ANSWERS.load(Ordering::Acquire);
    if !send(libc::SIGRTMAX()) {
        return;
    }
    while ANSWERS.load(Ordering::Acquire) == before && send(0) && Instant::now() < end {
        std::thread::sleep(Duration::from_micros(20));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use nix::sys::signal::SigSet;

    /// Whether the test process is root's; says that the test is skipped if it is not, past the test harness.
    pub(crate) fn is_root(test: &str) -> bool {
        let root = Uid::effective().is_root();
        if !root {
            let _ =
                io::Write::write_all(&mut io::stderr(), format!("skipped: {test}: needs root\n").as_bytes());
        }
        root
    }

    #[test]
    fn only_the_whole_map_is_no_user_namespace() {
        assert!(shows_everybody("         0          0 4294967295\n"));
        for map in ["         0       1000          1\n", "0 0 65536\n", "0 0 1\n1 1 4294967294\n", ""] {
            assert!(!shows_everybody(map), "{map}");
        }
    }

    /// Runs something in a thread under a seccomp filter that does this when that system call is made, and lets all
    /// others pass (seccomp(2)).
    pub(crate) fn sandbox<T: Send>(call: libc::c_long, action: u32, f: impl FnOnce() -> T + Send) -> T {
        const fn step(code: u32, k: u32) -> libc::sock_filter {
            libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
        }
        let program = [
            // The number of the call comes first in the data.
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
            libc::sock_filter { jf: 1, ..step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, call as u32) },
            step(libc::BPF_RET | libc::BPF_K, action),
            step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
        ];
        let run = || {
            set_no_new_privs(true).unwrap();
            let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
            // SAFETY: the program outlives the call, which copies it.
            let set =
                unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
            assert_eq!(set, 0, "{}", io::Error::last_os_error());
            f()
        };
        std::thread::scope(|scope| scope.spawn(run).join().unwrap())
    }

    /// Runs something in a thread that sees these files, and no others; an empty text makes a directory, and `-> ` before
    /// it a symbolic link. `None`, and a word about it, where this user may not do that (chroot(2)).
    pub(crate) fn in_root<T: Send>(
        test: &str,
        files: &[(&str, &str)],
        f: impl FnOnce() -> T + Send,
    ) -> Option<T> {
        if !crate::perfmon::has(CapabilitySet::SYS_CHROOT) {
            let _ = io::Write::write_all(
                &mut io::stderr(),
                format!("skipped: {test}: needs CAP_SYS_CHROOT\n").as_bytes(),
            );
            return None;
        }
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            match text.strip_prefix("-> ") {
                Some(to) => std::os::unix::fs::symlink(to, path).unwrap(),
                None if text.is_empty() => std::fs::create_dir_all(path).unwrap(),
                None => std::fs::write(path, text).unwrap(),
            }
        }
        let run = || {
            // Of this thread alone (unshare(2)).
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS).unwrap();
            nix::unistd::chroot(root.path()).unwrap();
            std::env::set_current_dir("/").unwrap();
            f()
        };
        Some(std::thread::scope(|scope| scope.spawn(run).join().unwrap()))
    }

    #[test]
    fn a_path_is_told_as_a_shell_takes_it() {
        let path = std::env::current_exe().unwrap().display().to_string();
        assert_eq!(own_path().trim_matches('\''), path);
        assert_eq!(as_word("/usr/bin/a-b_c.d+1"), "/usr/bin/a-b_c.d+1");
        assert_eq!(
            (as_word(""), as_word("/a b"), as_word("/it's")),
            ("''".into(), "'/a b'".into(), r"'/it'\''s'".into())
        );
    }

    #[test]
    fn the_command_that_runs_it_as_root_is_for_users() {
        let told =
            |is_root, in_namespace, in_container| as_root("doctor", is_root, in_namespace, in_container);
        for in_namespace in [false, true] {
            assert_eq!(told(false, in_namespace, false), format!("sudo {} doctor", own_path()));
            assert!(told(false, in_namespace, true).contains("`--user 0`"));
        }
        assert!(told(true, true, true).contains("outside of this user namespace"));
        assert_eq!(told(true, false, true), "");
    }

    #[test]
    fn no_rights_are_lent_to_a_test_and_its_namespace_is_as_the_kernel_says() {
        assert!(!is_lent());
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
        assert_eq!(is_in_user_namespace(), map.split_ascii_whitespace().ne(["0", "0", "4294967295"]));
    }

    #[test]
    fn root_of_a_user_namespace_is_told_to_leave_it() {
        let told = |map| {
            let test = "root_of_a_user_namespace_is_told_to_leave_it";
            in_root(test, &[("/proc/self/uid_map", map)], || (is_in_user_namespace(), sudo("doctor")))
        };
        let Some(inside) = told("0 1000 1\n") else { return };
        assert_eq!(inside, (true, "run alumet outside of this user namespace".into()));
        assert_eq!(told("0 0 4294967295\n").unwrap(), (false, String::new()));
    }

    #[test]
    fn a_thread_that_is_asked_is_waited_for_until_it_has_dropped_everything() {
        IS_ASKED.store(true, Ordering::Release);
        listen().unwrap();
        let (send, tids) = std::sync::mpsc::channel();
        let (done, wait) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let late = scope.spawn(move || {
                let mut signal = SigSet::empty();
                // SAFETY: the set is initialized; nix has no name for this signal.
                unsafe {
                    let mut set = *signal.as_ref();
                    libc::sigaddset(&raw mut set, libc::SIGRTMAX());
                    signal = SigSet::from_sigset_t_unchecked(set);
                }
                signal.thread_block().unwrap();
                send.send(gettid().as_raw()).unwrap();
                let is_asked = || {
                    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
                    let pending = status.lines().find_map(|line| line.strip_prefix("SigPnd:")).unwrap();
                    u64::from_str_radix(pending.trim(), 16).unwrap() != 0
                };
                while !is_asked() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                // Whoever does not wait has gone on by then.
                std::thread::sleep(Duration::from_millis(50));
                signal.thread_unblock().unwrap();
                let _ = wait.recv();
                permitted()
            });
            let before = ANSWERS.load(Ordering::Acquire);
            ask(getpid().as_raw(), tids.recv().unwrap(), Instant::now() + Duration::from_secs(60));
            assert_eq!(ANSWERS.load(Ordering::Acquire), before + 1);
            drop(done);
            assert_eq!(late.join().unwrap(), CapabilitySet::empty());
        });
        // One that there is not is not waited for.
        ask(getpid().as_raw(), i32::MAX, Instant::now() + Duration::from_secs(60));
    }

    #[test]
    fn a_right_is_not_used_for_a_while_and_then_as_before() {
        if !is_root("a_right_is_not_used_for_a_while_and_then_as_before") {
            return;
        }
        let effective = || capabilities(None).unwrap().effective;
        let check = move || {
            let before = effective();
            let kill = CapabilitySet::KILL;
            let meanwhile = without(kill, || (effective(), permitted())).unwrap();
            assert_eq!(meanwhile.0, before - kill);
            assert!(meanwhile.1.contains(kill), "it may be used again");
            assert_eq!(effective(), before);
            // What is not used anyway changes nothing.
            assert_eq!(without(CapabilitySet::empty(), effective).unwrap(), before);
        };
        std::thread::spawn(check).join().unwrap();
    }

    #[test]
    fn a_thread_that_renounces_has_nothing_any_more_and_the_others_have_what_they_had() {
        let before = permitted();
        let after = std::thread::spawn(|| renounce().map(|()| permitted())).join().unwrap().unwrap();
        assert_eq!((after, permitted()), (CapabilitySet::empty(), before));
    }
}
