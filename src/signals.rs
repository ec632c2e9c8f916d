//! Signals sent to alumet, as events; and what the application must get back of all that alumet changes for itself.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use alumet::privilege;
use alumet::target::Inherited;
use anyhow::Context;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::time::{ClockId, clock_gettime};
use tokio::io::unix::AsyncFd;

use crate::terminal::note;
use crate::{descriptors, environment};

/// What the process was started with, before the Rust runtime changed it: bits 0 to 2 for standard descriptors that are
/// closed, then [`Inherited::DISPOSITIONS`] that are ignored.
static STARTED_WITH: AtomicU8 = AtomicU8::new(0);
/// The CPU time in nanoseconds that the process had used by then: a shell or `cargo run` that has executed alumet without
/// a fork leaves its own to it.
static CPU_AT_START: AtomicU64 = AtomicU64::new(0);

/// The signals that the application gets back as they were, each with its bit.
fn dispositions() -> impl Iterator<Item = (libc::c_int, u8)> {
    Inherited::DISPOSITIONS.into_iter().zip((3..).map(|bit| 1 << bit))
}

/// Runs before `main`, and before the Rust runtime ignores SIGPIPE and opens /dev/null for closed descriptors.
extern "C" fn note_start() {
    let mut noted = 0;
    for fd in 0..=2 {
        // SAFETY: F_GETFD only asks; on a closed descriptor it fails with EBADF.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
            noted |= 1 << fd;
        }
    }
    for (signal, bit) in dispositions() {
        if is_ignored(signal) {
            noted |= bit;
        }
    }
    STARTED_WITH.store(noted, Ordering::Relaxed);
    if let Ok(time) = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID) {
        CPU_AT_START.store(Duration::from(time).as_nanos() as u64, Ordering::Relaxed);
    }
}

/// Whether this standard descriptor was closed, and is /dev/null only because the Rust runtime has opened that.
pub fn was_closed(fd: RawFd) -> bool {
    (0..=2).contains(&fd) && STARTED_WITH.load(Ordering::Relaxed) & (1 << fd) != 0
}

fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: all-zero is a valid `sigaction`, which the call fills in; nothing is changed.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action);
        action.sa_sigaction == libc::SIG_IGN
    }
}

// SAFETY: the dynamic loader calls the functions listed in this section, with C's calling convention, before `main`;
// `note_start` uses system calls and an atomic only.
#[used]
#[unsafe(link_section = ".init_array")]
static NOTE_START: extern "C" fn() = note_start;

/// Makes a limit of a file's size an error like that of a full disk, instead of alumet's end (setrlimit(2)).
pub fn survive_file_limit() {
    // SAFETY: sets a disposition; no handler is installed.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// The CPU time that this process had used before it was alumet.
pub fn cpu_at_start() -> Duration {
    Duration::from_nanos(CPU_AT_START.load(Ordering::Relaxed))
}

/// The signals that alumet takes as events. All others keep their effect; SIGTSTP stops alumet with the application.
const TAKEN: [Signal; 6] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];

/// Those of them that ask alumet to end.
pub const TERMINATIONS: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];
/// How long a termination may stay untaken.
const PATIENCE: Duration = Duration::from_secs(3);
/// Enough for what the thread that watches does.
const SMALL_STACK: usize = 64 << 10;

/// What nohup(1) or a shell has told alumet to ignore stays ignored.
fn taken() -> SigSet {
    TAKEN.into_iter().filter(|signal| !is_ignored(*signal as libc::c_int)).collect()
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
    let taken = taken();
    let mut before = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&taken), Some(&mut before))
        .context("cannot block signals")?;
    let noted = STARTED_WITH.load(Ordering::Relaxed);
    Ok(Inherited {
        mask: Some(before),
        ignored: dispositions().filter(|(_, bit)| noted & bit != 0).map(|(signal, _)| signal).collect(),
        closed: (0..=2).filter(|fd| was_closed(*fd)).collect(),
        environment: environment::whole(),
        open_files: descriptors::raise_limit(),
    })
}

impl Signals {
    /// The signals that [`block`] has blocked. To be called within the runtime, once.
    ///
    /// A termination that nobody takes ends the process: whoever should take it waits for what may never come, as a FIFO
    /// without a writer, a driver or a reader of the output.
    pub fn new() -> io::Result<Self> {
        let taken = taken();
        // SAFETY: the mask outlives the call, which returns a new descriptor or -1.
        let fd = unsafe { libc::signalfd(-1, taken.as_ref(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
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

/// Waits for a signal, and ends the process if it is a termination and still there after [`PATIENCE`].
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
    // SAFETY: all-zero is a valid `sigset_t`, which the call fills in.
    let pending = unsafe {
        let mut pending: libc::sigset_t = std::mem::zeroed();
        libc::sigpending(&raw mut pending);
        SigSet::from_sigset_t_unchecked(pending)
    };
    let Some(signal) = TERMINATIONS.into_iter().find(|signal| pending.contains(*signal)) else { return };
    // It may be stderr that does not come on.
    if is_ready(libc::STDERR_FILENO, libc::POLLOUT, 0) {
        note(&format!("ended by {signal} while it waited for a file, a driver or the reader of its output"));
    }
    // SAFETY: ends the process; what hangs is not waited for.
    unsafe { libc::_exit(128 + signal as i32) }
}

/// Whether this can be done with a descriptor now, or within so many milliseconds (for ever, if negative).
fn is_ready(fd: RawFd, events: libc::c_short, timeout: libc::c_int) -> bool {
    let mut fd = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one pollfd, which outlives the call.
    unsafe { libc::poll(&raw mut fd, 1, timeout) == 1 }
}

fn read(fd: BorrowedFd<'_>) -> io::Result<Received> {
    // SAFETY: all-zero is a valid `signalfd_siginfo`.
    let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
    // SAFETY: the buffer is as long as is said and outlives the call.
    let n = unsafe { libc::read(fd.as_raw_fd(), (&raw mut info).cast(), size_of_val(&info)) };
    if n < 0 {
        return Err(io::Error::last_os_error());
    }
    let signal = Signal::try_from(info.ssi_signo as i32)?;
    // SAFETY: both calls only ask for a number.
    let leads_session = unsafe { libc::getsid(0) == libc::getpid() };
    // A terminal that goes away tells the leader of its session alone (tty_signal_session_leader in Linux).
    let to_group = !(signal == Signal::SIGHUP && leads_session);
    let by_process = matches!(info.ssi_code, libc::SI_USER | libc::SI_QUEUE) && info.ssi_pid != 0;
    Ok(Received {
        signal,
        from_terminal: info.ssi_code == libc::SI_KERNEL && to_group,
        sender: by_process.then_some(info.ssi_pid as i32),
    })
}
