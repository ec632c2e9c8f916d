//! The application's process as alumet's own child: its gate, its cgroup, its end.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::debug;

use super::cgroup::Cgroup;
use super::gate::{self, Command, LaunchError};
use super::has_ended;
use super::tree;
use super::usage::{Exit, Usage};
use crate::process::{Stat, ignores_signal};

#[derive(Debug)]
pub(super) struct Launched {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    /// Or why it has none.
    pub(super) cgroup: Result<Cgroup, String>,
    gate: Mutex<Option<gate::Gate>>,
    /// Whether it has executed the command, or failed to.
    executed: AtomicBool,
    /// Children that this process had before: what is left of an earlier run.
    others: Vec<i32>,
    reaped: Mutex<Reaped>,
}

#[derive(Debug, Default)]
struct Reaped {
    usage: Usage,
    exit: Option<Exit>,
    processes: u64,
    /// Whether the first process has had no children.
    was_childless: bool,
}

impl Launched {
    pub(super) fn new(command: &Command) -> Result<Self, LaunchError> {
        // With SIGCHLD ignored the kernel would reap the application for us, and its usage would be lost (wait(2)).
        // The application gets what it would have inherited.
        // SAFETY: sets a default disposition; no handler is installed.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
        // SAFETY: PR_SET_CHILD_SUBREAPER takes a number and touches no memory.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1 as libc::c_ulong) };
        let mut others = Vec::new();
        if has_children() {
            tree::children(std::process::id() as i32, &mut others);
        }
        let cgroup = Cgroup::create();
        let held = gate::hold(command, cgroup.as_ref().ok().map(Cgroup::directory))?;
        let cgroup = match cgroup {
            Ok(_) if !held.in_cgroup => Err("the kernel refused to start a process in it".to_owned()),
            cgroup => cgroup,
        };
        match &cgroup {
            Ok(cgroup) => debug!(path = %cgroup.path().display(), "made a cgroup for the application"),
            Err(reason) => debug!(reason, "the application has no cgroup of its own"),
        }
        debug!(pid = held.pid, "created the application's process, which waits at its gate");
        Ok(Self {
            pid: held.pid,
            pidfd: held.pidfd,
            cgroup,
            gate: Mutex::new(Some(held.gate)),
            executed: AtomicBool::new(false),
            others,
            reaped: Mutex::default(),
        })
    }

    pub(super) fn wait_at_gate(&self) -> Result<(), LaunchError> {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        gate.as_mut().map_or(Ok(()), gate::Gate::wait)
    }

    pub(super) fn open_gate(&self) -> Result<(), LaunchError> {
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner).take();
        let opened = gate.map_or(Ok(()), gate::Gate::open);
        self.executed.store(true, Ordering::Release);
        opened
    }

    pub(super) fn has_executed(&self) -> bool {
        self.executed.load(Ordering::Acquire)
    }

    /// Whoever descends from the application: a process that has left the cgroup is found through its parents, and one
    /// of which no parent is in this namespace's `/proc` through the cgroup. In the order of their pids.
    pub(super) fn members(&self, out: &mut Vec<i32>) {
        let mut found = Vec::new();
        // Whoever lives of the tree is a child of this process, its subreaper, or descends from one.
        if has_children() {
            tree::of_child((!self.is_reaped()).then_some(self.pid), &self.others, &mut found);
        }
        self.cgroup_members(&mut found);
        found.sort_unstable();
        found.dedup();
        out.append(&mut found);
    }

    /// The members of its cgroup, at the cost of one file; nobody where it has none.
    pub(super) fn cgroup_members(&self, out: &mut Vec<i32>) {
        if let Ok(cgroup) = &self.cgroup {
            // The file was readable when it was opened; a failure shows as an empty list, as does its removal by the
            // application.
            let _ = cgroup.members(out);
        }
    }

    pub(super) fn reaped(&self) -> Usage {
        self.lock().usage
    }

    pub(super) fn exit(&self) -> Option<Exit> {
        self.lock().exit
    }

    pub(super) fn was_alone(&self) -> bool {
        let reaped = self.lock();
        reaped.processes == 1 && reaped.was_childless
    }

    pub(super) fn peek_exit(&self) -> Option<Exit> {
        // SAFETY: all-zero is a valid siginfo_t.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let look = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: `info` outlives the call.
        let looked = unsafe { libc::waitid(libc::P_PID, self.pid as libc::id_t, &raw mut info, look) } == 0;
        // SAFETY: waitid has filled these in; the pid is 0 if the process has not ended.
        let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
        match (looked && pid == self.pid, info.si_code) {
            (false, _) => self.exit(),
            (true, libc::CLD_EXITED) => Some(Exit::Code(status)),
            (true, _) => Some(Exit::Signal(status)),
        }
    }

    fn is_reaped(&self) -> bool {
        self.exit().is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Reaped> {
        self.reaped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reaps every child that has ended, but for the application's first process. Returns whether children are left.
    pub(super) fn reap_orphans(&self) -> bool {
        self.reap_children(true)
    }

    /// Reaps every child that has ended.
    pub(super) fn reap(&self) -> bool {
        self.reap_children(false)
    }

    /// Whether nothing of the tree lives any more. Each child that has ended is reaped, but for the first process.
    ///
    /// Looking from parent to child can miss a process whose parent ends meanwhile. But whatever lives of the tree, in
    /// its cgroup or not, is a child of this process, its subreaper, or descends from one that lives; and nothing leaves
    /// the list of children while nobody is reaped.
    pub(super) fn is_over(&self) -> bool {
        let mut reaped = self.lock();
        let mut children = Vec::new();
        tree::children(std::process::id() as i32, &mut children);
        children.retain(|pid| !self.others.contains(pid));
        let nobody_descends = match &children[..] {
            [first] => *first == self.pid && has_ended(&self.pidfd),
            // If nobody is there and the first was not reaped, the list could not be read.
            others => others.is_empty() && (reaped.exit.is_some() || !tree::is_supported()),
        };
        let is_over = nobody_descends && !self.cgroup.as_ref().is_ok_and(Cgroup::is_populated);
        for pid in children.into_iter().filter(|pid| *pid != self.pid) {
            self.reap_one(pid, &mut reaped);
        }
        is_over
    }

    fn reap_children(&self, keep_first: bool) -> bool {
        // Held over all calls: nobody sees a child as gone whose usage is not yet counted.
        let mut reaped = self.lock();
        loop {
            // SAFETY: all-zero is a valid siginfo_t.
            let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
            let look = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
            // SAFETY: `info` outlives the call.
            if unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, look) } != 0 {
                return false;
            }
            // SAFETY: waitid has filled it in; the pid is 0 if no child has ended.
            let pid = unsafe { info.si_pid() };
            // The kernel always shows the first child that has ended. If it is the one to keep, the run is ending and
            // the rest is reaped with it.
            if pid == 0 || (keep_first && pid == self.pid) {
                return true;
            }
            self.reap_one(pid, &mut reaped);
        }
    }

    /// Reaps this child if it has ended.
    fn reap_one(&self, pid: i32, reaped: &mut Reaped) {
        let was_childless = pid == self.pid && was_childless(pid);
        let mut status = 0;
        // SAFETY: all-zero is a valid rusage; both places outlive the call.
        let mut rusage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        if unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut rusage) } == pid
            && !self.others.contains(&pid)
        {
            reaped.usage += Usage::from_raw(&rusage);
            reaped.processes += 1;
            if pid == self.pid {
                reaped.was_childless = was_childless;
                reaped.exit = Some(Exit::from_wait_status(status));
            }
        }
    }

    /// Lets the members of its cgroup go on, if it has one and somebody has frozen it.
    pub(super) fn thaw(&self) {
        if let Ok(cgroup) = &self.cgroup {
            cgroup.thaw();
        }
    }

    /// Kills every member of its cgroup at once, if it has one.
    pub(super) fn kill(&self) {
        if let Ok(cgroup) = &self.cgroup {
            // Whoever is still there is signalled one by one.
            let _ = cgroup.kill();
        }
    }

    pub(super) fn leave(&self) {
        self.reap();
        if let Ok(cgroup) = &self.cgroup {
            cgroup.remove();
        }
    }
}

/// Whether a process that has ended has had no children: a child has faults, if only of its stack, and whoever waits for it
/// gets them. Of those that nobody waits for because their parent ignores their end, nothing is known.
fn was_childless(pid: i32) -> bool {
    let read = |file| crate::sysfs::read_real(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let has_faults = |stat: &Stat<'_>| stat.children_minor_faults != 0 || stat.children_major_faults != 0;
    Stat::parse(&read("stat")).is_ok_and(|stat| !has_faults(&stat))
        && !ignores_signal(&read("status"), libc::SIGCHLD)
}

/// Whether this process has any child (wait(2): ECHILD otherwise).
fn has_children() -> bool {
    let look = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: without a place for it nothing is told.
    unsafe { libc::waitid(libc::P_ALL, 0, std::ptr::null_mut(), look) == 0 }
}

impl Drop for Launched {
    /// A child that still waits at the gate ends, and is reaped.
    fn drop(&mut self) {
        let gate = self.gate.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if gate.is_some() {
            drop(gate);
            // SAFETY: the child is not reaped yet, so the pid is its own; the first call takes two numbers, the second
            // writes to no place.
            unsafe {
                libc::kill(self.pid, libc::SIGKILL);
                libc::waitpid(self.pid, std::ptr::null_mut(), 0);
            }
        }
        self.reap();
    }
}
