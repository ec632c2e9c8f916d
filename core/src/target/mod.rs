//! The application: launched at a gate, followed with all its descendants, reaped.

mod cgroup;
mod gate;
mod tree;
mod usage;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub use cgroup::{Cgroup, CpuStat};
pub use gate::{Command, Inherited, LaunchError};
pub use usage::{Exit, Usage};

use crate::process::Stat;
use crate::time::{Clock, RealClock, Time};

/// The application's process and everything that descends from it.
#[derive(Debug)]
pub struct Target {
    pid: i32,
    pidfd: OwnedFd,
    display: String,
    gate: Mutex<Option<gate::Gate>>,
    cgroup: Result<Cgroup, String>,
    reaped: Mutex<Reaped>,
    exit_seen: OnceLock<Time>,
    all_ended: Mutex<Option<Time>>,
}

#[derive(Debug, Default)]
struct Reaped {
    usage: Usage,
    exit: Option<Exit>,
}

/// A process of the tree that lives on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// Its pid.
    pub pid: i32,
    /// Its command name, at most 15 bytes.
    pub name: String,
}

impl Target {
    /// Creates the application's process and holds it at the gate. From then on this process is the subreaper of its
    /// descendants (PR_SET_CHILD_SUBREAPER, prctl(2)), and reaps every child that it has.
    ///
    /// # Errors
    /// The process cannot be created, or not as the user that was asked for.
    pub fn launch(command: &Command) -> Result<Self, LaunchError> {
        // With SIGCHLD ignored the kernel would reap the application for us, and its usage would be lost (wait(2)).
        // The application gets what it would have inherited.
        // SAFETY: sets a default disposition; no handler is installed.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
        // SAFETY: PR_SET_CHILD_SUBREAPER takes a number and touches no memory.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1 as libc::c_ulong) };
        let cgroup = Cgroup::create();
        let held = gate::hold(command, cgroup.as_ref().ok().map(Cgroup::directory))?;
        let cgroup = match cgroup {
            Ok(_) if !held.in_cgroup => Err("the kernel refused to start a process in it".into()),
            cgroup => cgroup,
        };
        Ok(Self {
            pid: held.pid,
            pidfd: held.pidfd,
            display: gate::display(command.arguments()),
            gate: Mutex::new(Some(held.gate)),
            cgroup,
            reaped: Mutex::default(),
            exit_seen: OnceLock::new(),
            all_ended: Mutex::default(),
        })
    }

    /// The pid of the application's first process.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The command as it could be typed.
    pub fn display(&self) -> &str {
        &self.display
    }

    /// The application's own cgroup, or why it has none.
    ///
    /// # Errors
    /// The reason, in words for a person.
    pub fn cgroup(&self) -> Result<&Cgroup, &str> {
        self.cgroup.as_ref().map_err(String::as_str)
    }

    /// Whether its processes can be found while they run: through a cgroup or through `/proc/PID/task/TID/children`.
    pub fn is_followed(&self) -> bool {
        self.cgroup.is_ok() || tree::is_supported()
    }

    /// Waits until the process stands at the gate. What it has used so far is not the application's.
    ///
    /// # Errors
    /// It cannot become the user that was asked for.
    pub fn wait_at_gate(&self) -> Result<(), LaunchError> {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        gate.as_mut().map_or(Ok(()), gate::Gate::wait)
    }

    /// Opens the gate: the process becomes the application. To be called after [`Self::wait_at_gate`].
    ///
    /// # Errors
    /// The program does not exist or cannot be executed.
    pub fn open_gate(&self) -> Result<(), LaunchError> {
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner).take();
        gate.map_or(Ok(()), gate::Gate::open)
    }

    /// Resolves when the application's first process has ended. It is not reaped yet.
    ///
    /// # Errors
    /// The runtime cannot wait for descriptors.
    pub async fn exited(&self) -> std::io::Result<()> {
        // SAFETY: the descriptor is open for as long as `self` is borrowed, and so longer than the registration.
        let pidfd = unsafe { AsyncFd::register_with_interest(self.pidfd.as_fd(), Interest::READABLE)? };
        while !self.has_exited() {
            pidfd.readable().await?.clear_ready();
        }
        Ok(())
    }

    /// Resolves when every process of the tree has ended; the run lasts until then. To be awaited after
    /// [`Self::exited`].
    pub async fn all_ended(&self) {
        let mut pause = Duration::from_millis(1);
        while self.reap_orphans() && !self.survivors().is_empty() {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
        *self.all_ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(RealClock.now());
    }

    /// Whether the application's first process has ended.
    pub fn has_exited(&self) -> bool {
        if self.exit_seen.get().is_none() {
            let mut fd = libc::pollfd { fd: self.pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one pollfd, which outlives the call.
            if unsafe { libc::poll(&raw mut fd, 1, 0) } != 1 {
                return false;
            }
            let _ = self.exit_seen.set(RealClock.now());
        }
        true
    }

    /// When the application was seen to have ended: its first process, or all of them if that was waited for.
    pub fn ended(&self) -> Option<Time> {
        let all = *self.all_ended.lock().unwrap_or_else(PoisonError::into_inner);
        all.or(self.exit_seen.get().copied())
    }

    /// The living and the not yet reaped processes of the tree.
    pub fn members(&self, out: &mut Vec<i32>) {
        match &self.cgroup {
            // A process that has ended is no longer in the list of its cgroup, but can still be read.
            Ok(cgroup) => {
                let first = out.len();
                // The file was readable when it was opened; a failure shows as an empty list.
                let _ = cgroup.members(out);
                if !out[first..].contains(&self.pid) && !self.is_reaped() {
                    out.push(self.pid);
                }
            }
            Err(_) => tree::members((!self.is_reaped()).then_some(self.pid), out),
        }
    }

    /// The usage of everything that was reaped so far.
    pub fn reaped(&self) -> Usage {
        self.lock().usage
    }

    /// How the first process ended; `None` until it was reaped.
    pub fn exit(&self) -> Option<Exit> {
        self.lock().exit
    }

    /// How the first process ended, without reaping it; `None` while it runs.
    pub fn peek_exit(&self) -> Option<Exit> {
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
    pub fn reap_orphans(&self) -> bool {
        self.reap_children(true)
    }

    /// Reaps every child that has ended.
    pub fn reap(&self) -> bool {
        self.reap_children(false)
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
            let mut status = 0;
            // SAFETY: all-zero is a valid rusage; both places outlive the call.
            let mut rusage: libc::rusage = unsafe { std::mem::zeroed() };
            // SAFETY: as above.
            if unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut rusage) } == pid {
                reaped.usage += Usage::from_raw(&rusage);
                if pid == self.pid {
                    reaped.exit = Some(Exit::from_wait_status(status));
                }
            }
        }
    }

    /// Reaps every child that has ended, and those that are just ending: a process closes its files, which others may
    /// take for its end, shortly before it can be reaped.
    pub async fn reap_the_ending(&self) {
        for _ in 0..3 {
            self.reap();
            if self.living(|_, stat| stat.exiting.then_some(())).is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.reap();
    }

    /// What is alive of the tree, with names.
    pub fn survivors(&self) -> Vec<Survivor> {
        self.living(|pid, stat| Some(Survivor { pid, name: String::from_utf8_lossy(stat.comm).into_owned() }))
    }

    fn living<T>(&self, f: impl Fn(i32, &Stat<'_>) -> Option<T>) -> Vec<T> {
        let mut pids = Vec::new();
        self.members(&mut pids);
        pids.into_iter()
            .filter_map(|pid| {
                let text = match std::fs::read(format!("/proc/{pid}/stat")) {
                    Ok(text) => text,
                    // For want of descriptors it cannot be looked at: then it counts as alive.
                    Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                        let ended = pid == self.pid && self.has_exited();
                        return if ended { None } else { f(pid, &Stat { comm: b"?", ..Stat::default() }) };
                    }
                    Err(_) => return None,
                };
                let stat = Stat::parse(&text).ok()?;
                if matches!(stat.state, 'Z' | 'X') { None } else { f(pid, &stat) }
            })
            .collect()
    }

    /// Sends a signal to the application's first process.
    pub fn signal(&self, signal: libc::c_int) {
        let none = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: without siginfo nothing is read from memory (pidfd_send_signal(2)). It cannot hit another process,
        // and fails only if the process has ended or became somebody whom we may not signal.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.pidfd.as_raw_fd(), signal, none, 0) };
    }

    /// Ends the whole tree: SIGTERM (with SIGCONT for the stopped), and SIGKILL to whoever is left after `grace`.
    pub async fn terminate(&self, grace: Duration) {
        self.signal_members(Signal::SIGTERM);
        self.signal_members(Signal::SIGCONT);
        let step = Duration::from_millis(10);
        let mut waited = Duration::ZERO;
        while !self.survivors().is_empty() {
            if waited >= grace {
                self.kill();
            }
            // What cannot be killed (in uninterruptible sleep) is not waited for.
            if waited >= grace + Duration::from_secs(5) {
                return;
            }
            tokio::time::sleep(step).await;
            waited += step;
            self.has_exited();
            self.reap_orphans();
        }
    }

    fn kill(&self) {
        let killed = self.cgroup.as_ref().is_ok_and(|cgroup| cgroup.kill().is_ok());
        if !killed {
            self.signal_members(Signal::SIGKILL);
        }
    }

    fn signal_members(&self, signal: Signal) {
        for Survivor { pid, .. } in self.survivors() {
            // It may have ended since.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
        }
    }
}

impl Target {
    /// To be called when nothing more is read of it: whoever lives on goes back to the cgroup that it came from.
    pub fn leave(&self) {
        self.reap();
        if let Ok(cgroup) = &self.cgroup {
            cgroup.remove();
        }
    }
}

impl Drop for Target {
    /// A child that still waits at the gate ends, and is reaped.
    fn drop(&mut self) {
        let gate = self.gate.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if gate.is_some() {
            drop(gate);
            self.signal(libc::SIGKILL);
            // SAFETY: waits for our own child; no place is written to.
            unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) };
        }
        self.reap();
    }
}
