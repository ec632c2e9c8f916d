//! Signals sent to alumet, as events; and what the application must get back of all that alumet changes for itself.
//!
//! [`mod@signal`] knows what each one does, [`start`] what the process was started with, [`parent`] the signal of a starter that
//! dies, and [`death`] how alumet itself stops and ends.

mod death;
mod parent;
mod signal;
mod start;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::{Duration, Instant};

use alumet::privilege;
use alumet::target::Inherited;
use anyhow::Context;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use tokio::io::unix::AsyncFd;
use tracing::debug;

pub use death::{die_by, stop_by, survive_file_limit};
pub use signal::{Effect, Signal};
pub use start::{cpu as cpu_at_start, was_closed};

use crate::terminal::note;
use crate::{descriptors, environment};

/// How long what should end alumet may stay untaken.
const PATIENCE: Duration = Duration::from_secs(3);
/// Enough for what the thread that watches does.
const SMALL_STACK: usize = 64 << 10;

/// The signals that alumet takes as events: all but those that it was told to ignore, which it goes on to ignore.
///
/// Faults are among them, for anybody may send SIGSEGV. A real one ends the process all the same: the kernel unblocks it
/// then (force_sig in kernel/signal.c).
fn taken() -> libc::sigset_t {
    signal::set(Signal::all().filter(|signal| !start::ignored(*signal)))
}

/// A signal that alumet has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    pub signal: Signal,
    /// Sent by the kernel to everybody on the terminal, so the application has got it too.
    pub from_terminal: bool,
    /// The process that has sent it, if one has that can be seen from here.
    pub sender: Option<i32>,
}

/// The stream of signals. They are blocked in all threads, which changes no disposition.
pub struct Signals {
    /// Open to the end of the process.
    fd: AsyncFd<BorrowedFd<'static>>,
}

/// Blocks the signals, and raises the limit of open files; to be called before any thread is started. Returns what the
/// application is to inherit.
pub fn block() -> anyhow::Result<Inherited> {
    // SAFETY: a set made by the calls for that.
    let taken = unsafe { SigSet::from_sigset_t_unchecked(taken()) };
    let mut before = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&taken), Some(&mut before))
        .context("cannot block signals")?;
    privilege::listen().context("cannot handle signals")?;
    Ok(Inherited {
        mask: Some(before),
        ignored: Inherited::DISPOSITIONS
            .into_iter()
            .filter(|number| start::ignored(Signal(*number)))
            .collect(),
        parent_death: parent::take().map(|signal| signal.0),
        closed: (0..=2).filter(|fd| was_closed(*fd)).collect(),
        environment: environment::whole(),
        open_files: descriptors::raise_limit(),
    })
}

impl Signals {
    /// The signals that [`block`] has blocked. To be called within the runtime, once.
    ///
    /// One that should end alumet and that nobody takes does so: whoever should take it waits for what may never come, as a FIFO
    /// without a writer, a driver or a reader of the output.
    pub fn new() -> io::Result<Self> {
        let taken = taken();
        // SAFETY: the mask outlives the call, which returns a new descriptor or -1.
        let fd = unsafe { libc::signalfd(-1, &raw const taken, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, and never closed.
        let fd = unsafe { BorrowedFd::<'static>::borrow_raw(fd) };
        let watch = move || {
            // What cannot be dropped now is asked for when the others drop theirs.
            let _ = privilege::renounce();
            loop {
                end_if_not_taken(fd);
            }
        };
        std::thread::Builder::new().name("alumet-signals".into()).stack_size(SMALL_STACK).spawn(watch)?;
        // SAFETY: the descriptor is never closed.
        Ok(Self { fd: unsafe { AsyncFd::register(fd)? } })
    }

    /// The next signal. Dropping the future loses none.
    pub async fn next(&self) -> io::Result<Received> {
        loop {
            let mut ready = self.fd.readable().await?;
            match ready.try_io(|fd| read(*fd.get_ref())) {
                Ok(received) => return received,
                Err(_would_block) => {}
            }
        }
    }

    /// A signal that has come already, if there is one.
    pub fn pending(&self) -> io::Result<Option<Received>> {
        match read(*self.fd.get_ref()) {
            Ok(received) => Ok(Some(received)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Waits for a signal, and ends the process if one that does so is still there after [`PATIENCE`].
fn end_if_not_taken(fd: BorrowedFd<'_>) {
    if !is_ready(fd.as_raw_fd(), libc::POLLIN, -1) {
        return;
    }
    let came = Instant::now();
    while came.elapsed() < PATIENCE {
        std::thread::sleep(PATIENCE / 50);
        if !is_ready(fd.as_raw_fd(), libc::POLLIN, 0) {
            return;
        }
    }
    let Some(signal) = pending().find(|signal| signal.effect() == Effect::Ends) else { return };
    // It may be stderr that does not come on.
    if is_ready(libc::STDERR_FILENO, libc::POLLOUT, 0) {
        note(&format!("ended by {signal} while it waited for a file, a driver or the reader of its output"));
    }
    // What hangs is not waited for.
    death::end_now_by(signal)
}

/// The signals that nobody has taken yet.
fn pending() -> impl Iterator<Item = Signal> {
    // SAFETY: all-zero is a valid `sigset_t`, which the call fills in.
    let pending = unsafe {
        let mut pending: libc::sigset_t = std::mem::zeroed();
        libc::sigpending(&raw mut pending);
        pending
    };
    // SAFETY: the set is valid, and so are the numbers.
    Signal::all().filter(move |signal| unsafe { libc::sigismember(&raw const pending, signal.0) == 1 })
}

/// Whether this can be done with a descriptor now, or within so many milliseconds (for ever, if negative).
fn is_ready(fd: RawFd, events: libc::c_short, timeout: libc::c_int) -> bool {
    let mut fd = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one pollfd, which outlives the call.
    unsafe { libc::poll(&raw mut fd, 1, timeout) == 1 }
}

/// The next signal that is not alumet's own affair.
fn read(fd: BorrowedFd<'_>) -> io::Result<Received> {
    loop {
        // SAFETY: all-zero is a valid `signalfd_siginfo`.
        let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
        // SAFETY: the buffer is as long as is said and outlives the call.
        let n = unsafe { libc::read(fd.as_raw_fd(), (&raw mut info).cast(), size_of_val(&info)) };
        if n < 0 {
            return Err(io::Error::last_os_error());
        }
        if !is_own_affair(&info) {
            let received = Received::of(&info);
            let Received { signal, from_terminal, sender } = received;
            debug!(%signal, from_terminal, sender, "took a signal");
            return Ok(received);
        }
    }
}

/// Whether it came because of what alumet itself does: it has written to a pipe without a reader, or beyond the limit of a
/// file's size, or has used more CPU time than it may. The first two are errors of a write; of the last nobody need know
/// before the hard limit.
fn is_own_affair(info: &libc::signalfd_siginfo) -> bool {
    let is_from_self = info.ssi_code == libc::SI_USER && info.ssi_pid == std::process::id();
    let is_from_kernel = info.ssi_code == libc::SI_KERNEL;
    match info.ssi_signo as libc::c_int {
        libc::SIGPIPE => is_from_self,
        libc::SIGXFSZ => is_from_self || is_from_kernel,
        libc::SIGXCPU => is_from_kernel,
        _ => false,
    }
}

impl Received {
    fn of(info: &libc::signalfd_siginfo) -> Self {
        let sender = info.ssi_pid as i32;
        let signal = parent::meant(Signal(info.ssi_signo as i32), sender);
        // SAFETY: both calls only ask for a number.
        let leads_session = unsafe { libc::getsid(0) == libc::getpid() };
        // A terminal that goes away tells the leader of its session alone (tty_signal_session_leader in Linux).
        let to_group = signal.is_of_terminals() && !(signal == Signal::HUP && leads_session);
        let by_process = matches!(info.ssi_code, libc::SI_USER | libc::SI_QUEUE) && sender != 0;
        Self {
            signal,
            from_terminal: info.ssi_code == libc::SI_KERNEL && to_group,
            sender: by_process.then_some(sender),
        }
    }
}
