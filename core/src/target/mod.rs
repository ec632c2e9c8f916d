//! The application, with everything that descends from it: launched at a gate, or attached to while it runs.
//!
//! `launched` creates the process (`gate`), in a `cgroup` of its own where it may, and reaps it. `attached` holds
//! processes that somebody else has started. `tree` finds descendants, `waits` tells which of those that have ended are
//! still there, `cover` visits all their threads.

mod attached;
mod cgroup;
mod cover;
mod freezer;
mod gate;
mod launched;
mod oom;
mod tree;
mod usage;
mod waits;

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tracing::debug;

pub use attached::{AttachError, Root};
pub use cgroup::{Cgroup, CpuStat};
pub use cover::Cover;
pub use gate::{Command, Inherited, LaunchError};
pub use oom::{Among, OomKills};
pub use tree::threads;
pub use usage::{Exit, Usage};
pub use waits::Waits;

use crate::privilege::CapabilitySet;
use crate::process::Stat;
use crate::text;
use crate::time::{Clock, RealClock, Time};
use attached::Attached;
use launched::Launched;

/// How long it is tried to kill.
const STUBBORN: Duration = Duration::from_secs(5);
const MOMENT: Duration = Duration::from_millis(1);

/// The application's process, or the processes attached to, and everything that descends from them.
#[derive(Debug)]
pub struct Target {
    display: String,
    way: Way,
    /// Empty until it is watched.
    oom: OnceLock<Option<oom::Watch>>,
    exit_seen: OnceLock<Time>,
    /// `None` unless it is waited for; then the time, once it has come.
    all_ended: Mutex<Option<Option<Time>>>,
    /// Nanoseconds.
    counted: AtomicU64,
}

/// How alumet came to it.
#[derive(Debug)]
enum Way {
    Launched(Box<Launched>),
    Attached(Attached),
}

/// A process of the tree that lives on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// Its pid.
    pub pid: i32,
    /// Its command name, at most 15 bytes.
    pub name: String,
}

/// Whom not even SIGKILL has ended.
#[derive(Debug)]
pub struct LeftBehind {
    /// Those that still live.
    pub survivors: Vec<Survivor>,
    /// The cgroup that keeps one of them from ending.
    pub frozen: Option<PathBuf>,
}

impl fmt::Display for LeftBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.survivors.iter().map(|one| format!("{} ({})", one.name, one.pid)).collect();
        write!(f, "cannot end {}: ", names.join(", "))?;
        match &self.frozen {
            Some(cgroup) => write!(f, "frozen in {}, and killed when that is thawed", cgroup.display()),
            None => f.write_str("not even SIGKILL does (uninterruptible sleep, or no right to)"),
        }
    }
}

impl Target {
    /// Creates the application's process and holds it at the gate. From then on this process is the subreaper of its
    /// descendants (PR_SET_CHILD_SUBREAPER, prctl(2)), and reaps every child that it has.
    ///
    /// # Errors
    /// The process cannot be created, or not as the user that was asked for.
    pub fn launch(command: &Command) -> Result<Self, LaunchError> {
        let launched = Box::new(Launched::new(command)?);
        Ok(Self::new(gate::display(command.arguments()), Way::Launched(launched)))
    }

    /// The processes attached to. They are looked at and nothing else: never stopped, signalled or waited for.
    ///
    /// # Panics
    /// If there is none.
    pub fn attach(roots: Vec<Root>) -> Self {
        for root in &roots {
            debug!(pid = root.pid(), name = root.name(), "attaches to a process");
        }
        let attached = Attached::new(roots);
        Self::new(attached.display(), Way::Attached(attached))
    }

    fn new(display: String, way: Way) -> Self {
        Self {
            display,
            way,
            oom: OnceLock::new(),
            exit_seen: OnceLock::new(),
            all_ended: Mutex::default(),
            counted: AtomicU64::new(0),
        }
    }

    fn launched(&self) -> Option<&Launched> {
        match &self.way {
            Way::Launched(launched) => Some(launched),
            Way::Attached(_) => None,
        }
    }

    /// Whether it ran before alumet came: what it has used until then is not counted.
    pub fn is_attached(&self) -> bool {
        self.launched().is_none()
    }

    /// Whether some of the processes attached to belong to another user than this process' own.
    pub fn is_foreign(&self) -> bool {
        match &self.way {
            Way::Launched(_) => false,
            Way::Attached(attached) => attached.roots().iter().any(|root| root.foreign_owner().is_some()),
        }
    }

    /// The pid of the application's first process, or of the first that was attached to.
    pub fn pid(&self) -> i32 {
        match &self.way {
            Way::Launched(launched) => launched.pid,
            Way::Attached(attached) => attached.roots()[0].pid(),
        }
    }

    /// The command as it could be typed, or the names and pids of the processes attached to.
    pub fn display(&self) -> &str {
        &self.display
    }

    /// The application's own cgroup, or why it has none.
    ///
    /// # Errors
    /// The reason, in words for a person.
    pub fn cgroup(&self) -> Result<&Cgroup, &str> {
        match &self.way {
            Way::Launched(launched) => launched.cgroup.as_ref().map_err(String::as_str),
            Way::Attached(_) => Err("it ran already"),
        }
    }

    /// Whether its processes can be found while they run: through a cgroup or through `/proc/PID/task/TID/children`.
    pub fn is_followed(&self) -> bool {
        self.cgroup().is_ok() || tree::is_supported()
    }

    /// The capabilities that it takes, where the process has them, to deal with it to the end of the run: to signal
    /// processes that have become another user's, and to remove a cgroup from one that cannot be written to. What
    /// was attached to is only looked at.
    pub fn needed_capabilities(&self) -> CapabilitySet {
        let mut needed = CapabilitySet::empty();
        if self.launched().is_some() {
            needed |= CapabilitySet::KILL;
        }
        if self.cgroup().is_ok_and(Cgroup::is_in_a_locked_one) {
            needed |= CapabilitySet::DAC_OVERRIDE;
        }
        needed
    }

    /// Waits until the process stands at the gate. What it has used so far is not the application's.
    ///
    /// # Errors
    /// It cannot become the user that was asked for.
    pub fn wait_at_gate(&self) -> Result<(), LaunchError> {
        self.launched().map_or(Ok(()), Launched::wait_at_gate)
    }

    /// Opens the gate: the process becomes the application. To be called after [`Self::wait_at_gate`].
    ///
    /// # Errors
    /// The program does not exist or cannot be executed.
    pub fn open_gate(&self) -> Result<(), LaunchError> {
        self.launched().map_or(Ok(()), Launched::open_gate)
    }

    /// Whether the application's process has executed its command: until then its memory is that of alumet.
    pub fn has_executed(&self) -> bool {
        self.launched().is_none_or(Launched::has_executed)
    }

    /// The descriptors that become readable when the application has ended: of its first process, or of all that were
    /// attached to.
    fn pidfds(&self) -> Vec<&OwnedFd> {
        match &self.way {
            Way::Launched(launched) => vec![&launched.pidfd],
            Way::Attached(attached) => attached.roots().iter().map(Root::pidfd).collect(),
        }
    }

    /// Resolves when the application's first process has ended, or all that were attached to. A launched one is not
    /// reaped yet.
    ///
    /// # Errors
    /// The runtime cannot wait for descriptors.
    pub async fn exited(&self) -> std::io::Result<()> {
        for pidfd in self.pidfds() {
            until_readable(pidfd).await?;
        }
        self.has_exited();
        Ok(())
    }

    /// Resolves when every process of the tree has ended; the run lasts until then. To be awaited after
    /// [`Self::exited`].
    pub async fn all_ended(&self) {
        let note = |time| *self.all_ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(time);
        note(None);
        let mut pause = Duration::from_millis(1);
        while !self.is_over() {
            match self.living_pidfd() {
                Some(pidfd) if until_readable(&pidfd).await.is_ok() => pause = Duration::from_millis(1),
                // Its parent has not waited for it yet, for example.
                _ => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(50));
                }
            }
        }
        note(Some(RealClock.now()));
    }

    /// Whether the application's first process has ended, or all that were attached to.
    pub fn has_exited(&self) -> bool {
        if self.exit_seen.get().is_none() {
            if !self.pidfds().into_iter().all(has_ended) {
                return false;
            }
            let _ = self.exit_seen.set(RealClock.now());
        }
        true
    }

    /// When the application was seen to have ended: its first process, or all of them if that is waited for.
    pub fn ended(&self) -> Option<Time> {
        let all = *self.all_ended.lock().unwrap_or_else(PoisonError::into_inner);
        all.unwrap_or_else(|| self.exit_seen.get().copied())
    }

    /// The living and the not yet reaped processes of the tree: whoever descends from the application, in its cgroup or
    /// not, and whoever else is in that. This takes some microseconds for each of them.
    pub fn members(&self, out: &mut Vec<i32>) {
        match &self.way {
            Way::Launched(launched) => launched.members(out),
            Way::Attached(attached) => attached.members(out),
        }
    }

    /// The living processes in its cgroup, at the cost of one file: all of the tree, unless some have left it. Nobody where
    /// it has none.
    pub fn cgroup_members(&self, out: &mut Vec<i32>) {
        if let Some(launched) = self.launched() {
            launched.cgroup_members(out);
        }
    }

    /// How many processes the tree has, and how many threads.
    pub fn count(&self) -> (usize, usize) {
        match &self.way {
            Way::Launched(launched) => {
                let mut pids = Vec::new();
                launched.members(&mut pids);
                (pids.len(), pids.iter().map(|pid| threads(*pid).count()).sum())
            }
            Way::Attached(attached) => attached.count(),
        }
    }

    /// Calls `open` for every living thread of the tree, such that whatever it attaches to a thread, and which the
    /// kernel hands on to all that this thread creates (perf_event_open(2), `inherit`), is on each thread once. See
    /// [`Cover`].
    ///
    /// Of a launched application, that is its process at the gate. An attached one is looked at again until nothing new
    /// is found, which takes some milliseconds.
    pub fn cover<T, E>(&self, open: impl FnMut(i32) -> Result<T, E>) -> Cover<T, E> {
        match &self.way {
            Way::Launched(launched) => Cover::of_one(launched.pid, open),
            Way::Attached(attached) => Cover::of_all(|pids| attached.living(pids), open),
        }
    }

    /// A counter that all of the tree has inherited has seen so much CPU time so far.
    pub fn note_counted(&self, cpu: Duration) {
        self.counted.fetch_max(u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The most CPU time that such a counter has seen: that of everybody, whoever waits for them, but not what a process
    /// uses while it ends. Zero if there is none.
    pub fn counted(&self) -> Duration {
        Duration::from_nanos(self.counted.load(Ordering::Relaxed))
    }

    /// From now on, what the kernel kills for want of memory is counted.
    pub fn watch_oom_kills(&self) {
        self.oom.get_or_init(|| match &self.way {
            Way::Launched(launched) => match &launched.cgroup {
                Ok(cgroup) => oom::Watch::own(cgroup.path()),
                Err(_) => oom::Watch::of_process(launched.pid),
            },
            Way::Attached(attached) => oom::Watch::of_process(attached.roots()[0].pid()),
        });
    }

    /// What the kernel has killed for want of memory since it is [watched](Self::watch_oom_kills), as near to the application
    /// as it counts. To be asked before [`Self::leave`].
    pub fn oom_kills(&self) -> Option<OomKills> {
        self.oom.get()?.as_ref().and_then(oom::Watch::kills)
    }

    /// The usage of everything that was reaped so far.
    pub fn reaped(&self) -> Usage {
        self.launched().map(Launched::reaped).unwrap_or_default()
    }

    /// Whether the application was one process from start to end, as far as its end tells: it has waited for no child and
    /// alumet has reaped none. `false` until it was reaped.
    pub fn was_alone(&self) -> bool {
        self.launched().is_some_and(Launched::was_alone)
    }

    /// How the first process ended; `None` until it was reaped, and for processes attached to: only their parents know.
    pub fn exit(&self) -> Option<Exit> {
        self.launched().and_then(Launched::exit)
    }

    /// How the first process ended, without reaping it; `None` while it runs.
    pub fn peek_exit(&self) -> Option<Exit> {
        self.launched().and_then(Launched::peek_exit)
    }

    /// Reaps every child that has ended, but for the application's first process. Returns whether children may be left.
    pub fn reap_orphans(&self) -> bool {
        self.launched().is_none_or(Launched::reap_orphans)
    }

    /// Whether nothing of the tree lives any more. Of processes attached to, as far as they can be seen.
    fn is_over(&self) -> bool {
        self.launched().map_or_else(|| self.survivors().is_empty(), Launched::is_over)
    }

    /// Reaps every child that has ended, and those that are just ending: a process closes its files, which others may
    /// take for its end, shortly before it can be reaped.
    pub async fn reap_the_ending(&self) {
        let Some(launched) = self.launched() else { return };
        for _ in 0..3 {
            launched.reap();
            if self.living(|_, stat| stat.exiting.then_some(())).is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        launched.reap();
    }

    /// What is alive of the tree, with names.
    pub fn survivors(&self) -> Vec<Survivor> {
        self.living(|pid, stat| Some(Survivor { pid, name: text::name(stat.comm) }))
    }

    fn living<T>(&self, f: impl Fn(i32, &Stat<'_>) -> Option<T>) -> Vec<T> {
        let mut pids = Vec::new();
        match &self.way {
            Way::Launched(launched) => launched.members(&mut pids),
            Way::Attached(attached) => attached.living(&mut pids),
        }
        pids.into_iter()
            .filter_map(|pid| {
                let text = match std::fs::read(format!("/proc/{pid}/stat")) {
                    Ok(text) => text,
                    // For want of descriptors it cannot be looked at: then it counts as alive.
                    Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                        let ended = pid == self.pid() && self.has_exited();
                        return if ended { None } else { f(pid, &Stat { comm: b"?", ..Stat::default() }) };
                    }
                    Err(_) => return None,
                };
                let stat = Stat::parse(&text).ok()?;
                if stat.has_ended() { None } else { f(pid, &stat) }
            })
            .collect()
    }

    /// A descriptor of some process of the tree that lives.
    fn living_pidfd(&self) -> Option<OwnedFd> {
        let hold = |survivor: Survivor| Some((survivor.pid, attached::pidfd_open(survivor.pid).ok()?));
        let (pid, pidfd) = self.survivors().into_iter().find_map(hold)?;
        // It may have ended, and its pid be another's, before the descriptor was opened. If not by now, it holds it.
        let is_it = self.survivors().iter().any(|survivor| survivor.pid == pid);
        is_it.then_some(pidfd)
    }

    /// Sends a signal to the application's first process, if it was launched.
    pub fn signal(&self, signal: libc::c_int) {
        let Some(launched) = self.launched() else { return };
        let none = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: without siginfo nothing is read from memory (pidfd_send_signal(2)). It cannot hit another process,
        // and fails only if the process has ended or became somebody whom we may not signal.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, launched.pidfd.as_raw_fd(), signal, none, 0) };
    }

    /// Ends the whole tree of a launched application: SIGTERM (with SIGCONT for the stopped, and thawed if it is frozen), and
    /// SIGKILL to whoever is left after `grace`. What was attached to is left alone.
    ///
    /// # Errors
    /// Somebody cannot be ended, or not before something else happens.
    pub async fn terminate(&self, grace: Duration) -> Result<(), LeftBehind> {
        let Some(launched) = self.launched() else { return Ok(()) };
        self.signal_members(Signal::SIGTERM);
        self.signal_members(Signal::SIGCONT);
        launched.thaw();
        let asked = Instant::now();
        let mut frozen = freezer::thaw(&self.living_pids());
        let mut living = Vec::new();
        let mut pause = MOMENT;
        while !self.is_over() {
            let are_all_frozen = |living: &[i32], frozen: &[(i32, PathBuf)]| {
                living.iter().all(|pid| frozen.iter().any(|(other, _)| other == pid))
            };
            let is_patient = asked.elapsed() < grace
                && (frozen.is_empty() || !are_all_frozen(&self.living_pids(), &frozen));
            if is_patient {
                tokio::time::sleep(Duration::from_millis(10)).await;
                self.has_exited();
                continue;
            }
            launched.kill();
            self.signal_members(Signal::SIGKILL);
            let before = std::mem::replace(&mut living, self.living_pids());
            frozen = freezer::thaw(&living);
            // What cannot be killed (frozen, or in uninterruptible sleep) is not waited for.
            if !living.is_empty() && (are_all_frozen(&living, &frozen) || asked.elapsed() >= grace + STUBBORN)
            {
                let frozen = frozen.into_iter().next().map(|(_, cgroup)| cgroup);
                return Err(LeftBehind { survivors: self.survivors(), frozen });
            }
            // Outside of the cgroup, each look is a race with processes that create others and end.
            pause = if living == before { (pause * 2).min(50 * MOMENT) } else { MOMENT };
            tokio::time::sleep(pause).await;
            self.has_exited();
        }
        Ok(())
    }

    fn living_pids(&self) -> Vec<i32> {
        self.living(|pid, _| Some(pid))
    }

    fn signal_members(&self, signal: Signal) {
        for Survivor { pid, .. } in self.survivors() {
            // It may have ended since.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
        }
    }

    /// To be called when nothing more is read of it: whoever lives on goes back to the cgroup that it came from.
    pub fn leave(&self) {
        if let Some(launched) = self.launched() {
            launched.leave();
        }
    }
}

/// Resolves when the process behind a pidfd has ended.
async fn until_readable(pidfd: &OwnedFd) -> std::io::Result<()> {
    // SAFETY: the descriptor is open for as long as it is borrowed, and so longer than the registration.
    let ready = unsafe { AsyncFd::register_with_interest(pidfd.as_fd(), Interest::READABLE)? };
    while !has_ended(pidfd) {
        ready.readable().await?.clear_ready();
    }
    Ok(())
}

/// Whether the process behind a pidfd has ended (pidfd_open(2): it becomes readable then).
fn has_ended(pidfd: &OwnedFd) -> bool {
    let mut fd = libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd, which outlives the call.
    unsafe { libc::poll(&raw mut fd, 1, 0) == 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_lives_is_held_until_it_has_ended() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let target = Target::attach(vec![Root::hold(child.id() as i32).unwrap()]);
        let held = target.living_pidfd().unwrap();
        assert!(!has_ended(&held));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(has_ended(&held) && target.living_pidfd().is_none());
    }
}
