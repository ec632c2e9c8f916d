//! Processes that ran already: held by pidfds, followed with their descendants, and never touched.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, PoisonError};

use nix::unistd::{Uid, User};

use super::{Waits, tree};
use crate::process::{Malformed, Stat};
use crate::text;

/// A process to attach to. Its pidfd holds it: whatever becomes of its pid, it is not taken for another one.
#[derive(Debug)]
pub struct Root {
    pid: i32,
    pidfd: OwnedFd,
    start_ticks: u64,
    name: String,
    owner: Uid,
}

/// Why a process cannot be attached to.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// There is none.
    #[error("no process {0}")]
    NotThere(i32),
    /// This user may not see it.
    #[error(
        "process {0} is hidden from this user (/proc is mounted with hidepid): run alumet as root, or as a member of the \
         group that may see it"
    )]
    Hidden(i32),
    /// The number is that of a thread.
    #[error("{0} is a thread of process {1}; attach to {1}")]
    Thread(i32, i32),
    /// It has ended, and its parent has not looked yet.
    #[error("process {0} ({1}) has ended already and waits for its parent (a zombie)")]
    Zombie(i32, String),
    /// It is a part of the kernel.
    #[error("process {0} ({1}) is a thread of the kernel; it cannot be measured as an application")]
    Kernel(i32, String),
    /// It is this process.
    #[error("process {0} is alumet itself")]
    Itself(i32),
    /// It ended while it was looked at.
    #[error("process {0} ended while alumet attached to it")]
    Ended(i32),
    /// For want of memory or descriptors.
    #[error("cannot attach to process {0}: {1}")]
    Failed(i32, String),
}

impl Root {
    /// Looks at a process and holds it.
    ///
    /// # Errors
    /// It is not there, or not what can be measured.
    pub fn hold(pid: i32) -> Result<Self, AttachError> {
        if pid == std::process::id() as i32 {
            return Err(AttachError::Itself(pid));
        }
        let pidfd = pidfd_open(pid)?;
        // That it is there the kernel has just told (proc(5), hidepid).
        let is_hidden = |error: &io::Error| {
            error.kind() == io::ErrorKind::PermissionDenied
                || error.kind() == io::ErrorKind::NotFound && !super::has_ended(&pidfd)
        };
        let text = fs::read(format!("/proc/{pid}/stat")).map_err(|error| match is_hidden(&error) {
            true => AttachError::Hidden(pid),
            false => failure(pid, error),
        })?;
        let stat =
            Stat::parse(&text).map_err(|error: Malformed| AttachError::Failed(pid, error.to_string()))?;
        let name = text::name(stat.comm);
        if stat.kernel {
            return Err(AttachError::Kernel(pid, name));
        }
        if stat.has_ended() {
            return Err(AttachError::Zombie(pid, name));
        }
        let owner = fs::metadata(format!("/proc/{pid}")).map_err(|error| failure(pid, error))?.uid();
        // What was just read is of the process behind the descriptor only if that one still lives.
        if super::has_ended(&pidfd) {
            return Err(AttachError::Ended(pid));
        }
        Ok(Self { pid, pidfd, start_ticks: stat.start_ticks, name, owner: Uid::from_raw(owner) })
    }

    /// Its pid.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Its command name, at most 15 bytes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the user whom it belongs to, if that is somebody else than this process' user.
    pub fn foreign_owner(&self) -> Option<String> {
        let name = || User::from_uid(self.owner).ok().flatten().map(|user| user.name);
        (self.owner != Uid::effective()).then(|| name().unwrap_or_else(|| format!("uid {}", self.owner)))
    }

    pub(super) fn pidfd(&self) -> &OwnedFd {
        &self.pidfd
    }
}

fn failure(pid: i32, error: io::Error) -> AttachError {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ESRCH) => AttachError::NotThere(pid),
        _ => AttachError::Failed(pid, crate::file::reason(&error)),
    }
}

pub(super) fn pidfd_open(pid: i32) -> Result<OwnedFd, AttachError> {
    // SAFETY: pidfd_open takes two numbers and returns a new descriptor (close-on-exec) or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd >= 0 {
        // SAFETY: the descriptor is new and ours.
        return Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) });
    }
    let error = io::Error::last_os_error();
    let leader = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok())
    };
    match leader() {
        Some(leader) if leader != pid => Err(AttachError::Thread(pid, leader)),
        // No pid at all: negative, or 0.
        _ if matches!(error.raw_os_error(), Some(libc::ESRCH | libc::EINVAL)) => {
            Err(AttachError::NotThere(pid))
        }
        _ => Err(failure(pid, error)),
    }
}

#[derive(Debug)]
pub(super) struct Attached {
    roots: Vec<Root>,
    /// Every process of the tree that was seen and is there: one whose parent has died belongs to the tree as before, though
    /// nothing shows it any more.
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    processes: BTreeMap<i32, Seen>,
    waits: Waits,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Since boot: another process with this pid has another start.
    start_ticks: u64,
    has_ended: bool,
    threads: usize,
    parent: i32,
    witness: Option<u64>,
}

impl Attached {
    /// # Panics
    /// If there is no root.
    pub(super) fn new(roots: Vec<Root>) -> Self {
        assert!(!roots.is_empty(), "somebody is attached to");
        let seen = |root: &Root| {
            let start_ticks = root.start_ticks;
            (root.pid, Seen { start_ticks, has_ended: false, threads: 1, parent: 0, witness: None })
        };
        let known = Known { processes: roots.iter().map(seen).collect(), ..Known::default() };
        Self { roots, known: Mutex::new(known) }
    }

    pub(super) fn roots(&self) -> &[Root] {
        &self.roots
    }

    pub(super) fn display(&self) -> String {
        let names: Vec<_> = self.roots.iter().map(|root| format!("{} ({})", root.name, root.pid)).collect();
        names.join(", ")
    }

    /// The roots and all their descendants, but for this process: it may be one of them.
    pub(super) fn members(&self, out: &mut Vec<i32>) {
        self.look(|pid, _| out.push(pid));
    }

    /// Those of them that have not ended.
    pub(super) fn living(&self, out: &mut Vec<i32>) {
        self.look(|pid, seen| {
            if !seen.has_ended {
                out.push(pid);
            }
        });
    }

    /// How many they are, and how many threads they have.
    pub(super) fn count(&self) -> (usize, usize) {
        let (mut processes, mut threads) = (0, 0);
        self.look(|_, seen| {
            processes += 1;
            threads += seen.threads;
        });
        (processes, threads)
    }

    /// One file for each, and another for those that may have children: of one that has ended, others are the children's
    /// parents, and there may be thousands that nobody waits for. Of these none, unless their parent has waited for some.
    fn look(&self, mut each: impl FnMut(i32, Seen)) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { processes, waits } = &mut *known;
        // First those that ran at the last look: they tell of the others.
        processes.retain(|pid, seen| seen.has_ended || seen.renew(*pid, waits));
        processes.retain(|pid, seen| {
            !seen.has_ended || waits.vouch(seen.witness, seen.parent) || seen.renew(*pid, waits)
        });
        let itself = std::process::id() as i32;
        let mut parents: Vec<i32> = Vec::new();
        let mut visit = |pid, seen: Seen, parents: &mut Vec<i32>| {
            each(pid, seen);
            if !seen.has_ended {
                parents.push(pid);
            }
        };
        // Parents before those of their children that have ended: whoever goes by this order has heard the parents before.
        for ended in [false, true] {
            let them = processes.iter().filter(|(_, seen)| seen.has_ended == ended);
            them.for_each(|(pid, seen)| visit(*pid, *seen, &mut parents));
        }
        let mut children = Vec::new();
        let mut next = 0;
        while let Some(parent) = parents.get(next).copied() {
            next += 1;
            tree::children(parent, &mut children);
            for child in children.drain(..).filter(|child| *child != itself) {
                if !processes.contains_key(&child)
                    && let Some(seen) = Seen::of(child, waits)
                {
                    processes.insert(child, seen);
                    visit(child, seen, &mut parents);
                }
            }
        }
    }
}

impl Seen {
    fn of(pid: i32, waits: &mut Waits) -> Option<Self> {
        Stat::of(pid, |stat| {
            let has_ended = stat.has_ended();
            let witness = waits.witness(stat.ppid, stat.minor_faults + stat.children_minor_faults);
            waits.note(pid, (!has_ended).then_some(stat.children_minor_faults));
            let threads = stat.threads as usize;
            Self { start_ticks: stat.start_ticks, has_ended, threads, parent: stat.ppid, witness }
        })
    }

    /// Looks at it again. Whether it still is there.
    fn renew(&mut self, pid: i32, waits: &mut Waits) -> bool {
        match Self::of(pid, waits).filter(|now| now.start_ticks == self.start_ticks) {
            Some(now) => *self = now,
            None => {
                waits.note(pid, None);
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privilege::tests::{in_root, sandbox};
    use crate::privilege::{CapabilitySet, without};

    #[test]
    fn what_cannot_be_attached_to_is_told_apart() {
        let error = |pid| Root::hold(pid).unwrap_err().to_string();
        let itself = std::process::id() as i32;
        assert_eq!(error(itself), format!("process {itself} is alumet itself"));
        for pid in [0, -1, i32::MAX] {
            assert_eq!(error(pid), format!("no process {pid}"));
        }
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id() as i32;
        while Root::hold(pid).is_ok() {
            std::thread::yield_now();
        }
        assert!(error(pid).contains("(true) has ended already"), "{}", error(pid));
        child.wait().unwrap();
        assert_eq!(error(pid), format!("no process {pid}"));
        // pid 2 is the parent of all kernel threads, where they are to be seen.
        if fs::read_to_string("/proc/2/comm").is_ok_and(|name| name.trim() == "kthreadd") {
            assert!(error(2).contains("(kthreadd) is a thread of the kernel"), "{}", error(2));
        }
    }

    #[test]
    fn a_thread_is_told_from_its_process() {
        let parent = std::process::id() as i32;
        let (send, tids) = std::sync::mpsc::channel();
        let (done, wait) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                send.send(nix::unistd::gettid().as_raw()).unwrap();
                let _ = wait.recv();
            });
            let tid = tids.recv().unwrap();
            let error = Root::hold(tid).unwrap_err().to_string();
            assert_eq!(error, format!("{tid} is a thread of process {parent}; attach to {parent}"));
            drop(done);
        });
    }

    #[test]
    fn a_process_whose_parent_has_died_is_still_a_member() {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "(sleep 30 & echo $!; wait) & wait"]);
        let shell = shell.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(shell.stdout.take().unwrap()), &mut line).unwrap();
        let sleeper: i32 = line.trim().parse().unwrap();
        let attached = Attached::new(vec![Root::hold(shell.id() as i32).unwrap()]);
        let members = || {
            let mut out = Vec::new();
            attached.members(&mut out);
            out
        };
        let before = members();
        assert!(before.len() >= 3 && before.contains(&sleeper), "{before:?}");
        for pid in before.iter().filter(|pid| **pid != sleeper) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::SIGKILL);
        }
        shell.wait().unwrap();
        assert!(members().contains(&sleeper), "{:?}", members());
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(sleeper), nix::sys::signal::SIGKILL).unwrap();
    }

    #[test]
    fn those_that_have_ended_are_looked_at_once_as_long_as_their_parent_waits_for_nobody() {
        // The program that the shell becomes waits for nobody.
        let script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do sleep 0.5 & done; exec sleep 60";
        let mut parent = std::process::Command::new("sh").args(["-c", script]).spawn().unwrap();
        let pid = parent.id() as i32;
        let left = || {
            let mut children = Vec::new();
            tree::children(pid, &mut children);
            children
        };
        let is_over = |pid: &i32| Stat::of(*pid, |stat| stat.has_ended()).unwrap_or(true);
        let is_sleep = || Stat::of(pid, |stat| stat.comm == b"sleep").unwrap();
        while !is_sleep() || !left().iter().all(is_over) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let left = left();
        let n = left.len();
        assert!(n > 0, "all of them, if the shell was fast enough");
        let attached = Attached::new(vec![Root::hold(pid).unwrap()]);
        let reads = || {
            let io = fs::read_to_string("/proc/thread-self/io").unwrap();
            let reads = io.lines().find_map(|line| line.strip_prefix("syscr: ")).unwrap();
            reads.parse::<usize>().unwrap()
        };
        let look = || {
            let (before, mut members, mut living) = (reads(), Vec::new(), Vec::new());
            attached.members(&mut members);
            let read = reads() - before;
            attached.living(&mut living);
            (read, members.len(), living)
        };
        let (first, again) = (look(), look());
        assert_eq!((&again.1, &again.2), (&(n + 1), &vec![pid]), "{again:?}");
        assert_eq!(first.0, again.0 + n, "one for each of them: {first:?} {again:?}");
        parent.kill().unwrap();
        parent.wait().unwrap();
        // Somebody else waits for them, when it comes to that.
        while left.iter().any(|pid| Stat::of(*pid, |_| ()).is_some()) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(look().1, 0);
    }

    /// Makes a process with this pid, if nobody is faster; the kernel gives out the one after the last
    /// (proc_sys_kernel(5), `ns_last_pid`; needs root).
    fn with_pid(pid: i32) -> Option<std::process::Child> {
        for _ in 0..50 {
            fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).ok()?;
            let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
            if child.id() as i32 == pid {
                return Some(child);
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
        None
    }

    #[test]
    fn a_pid_that_is_given_to_another_process_is_not_taken_for_the_old_one() {
        let sleep = || std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let mut old = sleep();
        let pid = old.id() as i32;
        let attached = Attached::new(vec![Root::hold(pid).unwrap()]);
        let members = || {
            let mut out = Vec::new();
            attached.members(&mut out);
            out
        };
        assert_eq!(members(), [pid]);
        // Starts are told apart by ticks of 10 ms.
        std::thread::sleep(std::time::Duration::from_millis(20));
        old.kill().unwrap();
        old.wait().unwrap();
        let Some(mut new) = with_pid(pid) else {
            eprintln!("skipped: a pid is given again, because pids cannot be chosen here");
            return;
        };
        assert!(super::super::has_ended(attached.roots()[0].pidfd()));
        assert_eq!(members(), [0; 0]);
        new.kill().unwrap();
        new.wait().unwrap();
    }

    #[test]
    fn a_process_that_lives_and_is_not_in_proc_is_hidden() {
        let mut living = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        let (pid, gone) = (living.id() as i32, ended.id() as i32);
        let pidfd = pidfd_open(gone).unwrap();
        while !super::super::has_ended(&pidfd) {
            std::thread::yield_now();
        }
        let stat = format!("/proc/{pid}/stat");
        let test = "a_process_that_lives_and_is_not_in_proc_is_hidden";
        let told = |files: &[(&str, &str)], pid| in_root(test, files, || Root::hold(pid).unwrap_err());
        if let Some(hidden) = told(&[], pid) {
            assert!(matches!(hidden, AttachError::Hidden(of) if of == pid), "{hidden}");
            let error = told(&[], gone).unwrap();
            assert!(matches!(error, AttachError::NotThere(of) if of == gone), "{error}");
            // What is there and cannot be read for another reason.
            let error = told(&[(&stat, "")], pid).unwrap();
            assert_eq!(error.to_string(), format!("cannot attach to process {pid}: is a directory"));
            let forbidden = in_root(test, &[(&stat, "text")], || {
                fs::set_permissions(&stat, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
                let rights = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
                without(rights, || Root::hold(pid).unwrap_err()).unwrap()
            });
            assert!(matches!(forbidden, Some(AttachError::Hidden(of)) if of == pid), "{forbidden:?}");
        }
        living.kill().unwrap();
        living.wait().unwrap();
        ended.wait().unwrap();
    }

    #[test]
    fn a_sandbox_without_pidfds_is_not_taken_for_a_missing_process() {
        let itself = std::process::id() as i32;
        for (errno, reason) in
            [(libc::ENOSYS, "function not implemented"), (libc::EPERM, "operation not permitted")]
        {
            let action = libc::SECCOMP_RET_ERRNO | errno as u32;
            let error = sandbox(libc::SYS_pidfd_open, action, || pidfd_open(itself).unwrap_err());
            assert_eq!(error.to_string(), format!("cannot attach to process {itself}: {reason}"));
        }
    }

    #[test]
    fn a_process_that_goes_while_it_is_looked_at_is_not_there() {
        for errno in [libc::ENOENT, libc::ESRCH] {
            let error = failure(7, io::Error::from_raw_os_error(errno)).to_string();
            assert_eq!(error, "no process 7");
        }
        let error = failure(7, io::Error::from_raw_os_error(libc::EMFILE)).to_string();
        assert_eq!(error, "cannot attach to process 7: too many open files");
    }
}
