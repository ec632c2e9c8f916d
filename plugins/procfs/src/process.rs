//! One process of the tree: its files in `/proc`, kept open.
//!
//! Reading through a descriptor fails once the process is gone, even when its pid was given to another one.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use alumet::process::{Io, Stat, Switches, ignores_signal, tick};
use alumet::target::threads;

use crate::counters::Counters;
use crate::kernel::{cpu_nanos, nanos};

/// Descriptors that all processes together may keep open; beyond that, files are opened for each reading. Half of what
/// this process may have at all is left to everybody else.
static OPEN_FILES: LazyLock<usize> = LazyLock::new(|| {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the place that is written to outlives the call; on failure it stays 0.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX).saturating_sub(32).min(1024) / 2
});
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// A process that has not yet executed the application belongs to root if alumet's file has capabilities (proc(5), on
/// dumpable), and shows its I/O only when it has.
const IO_ATTEMPTS: u8 = 10;

/// How long a process that is being reaped is waited for.
const GOING: Duration = Duration::from_micros(100);
const GOING_ATTEMPTS: u32 = 50;

/// A file of a process or thread.
#[derive(Debug)]
pub(crate) struct ProcFile {
    path: String,
    file: Option<File>,
    /// Whether it stays open after the first reading.
    is_kept: bool,
}

impl ProcFile {
    pub(crate) fn open(path: String) -> io::Result<Self> {
        let file = File::open(&path)?;
        let keep =
            OPEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < *OPEN_FILES).then_some(n + 1));
        Ok(Self { path, file: Some(file), is_kept: keep.is_ok() })
    }

    pub(crate) fn read<'b>(&mut self, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        let n = match &self.file {
            Some(file) => file.read_at(buffer, 0)?,
            None => File::open(&self.path)?.read_at(buffer, 0)?,
        };
        if !self.is_kept {
            self.file = None;
        }
        Ok(&buffer[..n])
    }
}

impl Drop for ProcFile {
    fn drop(&mut self) {
        if self.is_kept {
            OPEN.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What is read besides `/proc/PID/stat`; the rest stays as it was read last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Context switches and I/O. Of a process that has ended they are read in any case: it is the last chance.
    pub details: bool,
    /// The switches of the threads of a process that has several: a file each, and not exact before the end anyway.
    pub threads: bool,
}

impl Wanted {
    /// Everything.
    pub const ALL: Self = Self { details: true, threads: true };
    /// One file.
    pub const STAT: Self = Self { details: false, threads: false };
}

/// What one reading of a process says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Whether it still runs; a zombie does not.
    pub alive: bool,
    /// Its parent at that time.
    pub parent: i32,
    /// CPU time of its own in nanoseconds, exact.
    pub cpu: u64,
    /// User-mode CPU ticks of its own.
    pub user_ticks: u64,
    /// Kernel-mode CPU ticks of its own.
    pub system_ticks: u64,
    /// Those of children that it has waited for.
    pub children_user_ticks: u64,
    /// Those of children that it has waited for.
    pub children_system_ticks: u64,
    /// Minor faults of its own.
    pub minor_faults: u64,
    /// Major faults of its own.
    pub major_faults: u64,
    /// Those of children that it has waited for.
    pub children_minor_faults: u64,
    /// Those of children that it has waited for.
    pub children_major_faults: u64,
    /// Living threads.
    pub threads: u64,
    /// Resident memory, in pages.
    pub resident_pages: u64,
    /// Context switches seen so far: those of threads that ended between two readings are not in it.
    pub switches: Switches,
    /// Storage I/O, with that of children that it has waited for; `None` if it may not be read.
    pub io: Option<Io>,
}

/// A process of the tree.
#[derive(Debug)]
pub struct Process {
    /// Its pid.
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    pub start_ticks: u64,
    /// The last reading.
    pub last: Reading,
    /// Whether everything was read of it after its end.
    is_complete: bool,
    stat: ProcFile,
    status: ProcFile,
    io: Option<ProcFile>,
    /// How often it is still tried to open that.
    io_attempts: u8,
    /// The command name at the last reading.
    comm: Vec<u8>,
    /// Whether it has that name since a reading of which nobody was told.
    is_renamed: bool,
    threads: Threads,
    /// Whether it ignores SIGCHLD; looked at as often as the switches.
    ignores_children: bool,
    /// What it had used itself before the run.
    own_before: Counters,
    /// What its children had used before the run.
    children_before: Counters,
    /// What it told of its children in the last round of readings.
    tells: Counters,
    /// How much of what it tells is that of processes that were known to be gone.
    told: Counters,
}

/// The switches of the threads of a process that has several.
#[derive(Debug, Default)]
struct Threads {
    living: HashMap<i32, Switches>,
    ended: Switches,
}

impl Process {
    /// Opens the files of a process and reads them.
    ///
    /// # Errors
    /// It has gone, or may not be read.
    pub fn open(pid: i32, buffer: &mut [u8]) -> io::Result<Self> {
        let file = |name| ProcFile::open(format!("/proc/{pid}/{name}"));
        let mut stat = file("stat")?;
        let start_ticks = Stat::parse(stat.read(buffer)?).map_err(io::Error::other)?.start_ticks;
        let mut process = Self {
            pid,
            start_ticks,
            last: Reading::default(),
            is_complete: false,
            stat,
            status: file("status")?,
            // Another user's process: its I/O is in the usage when it is reaped.
            io: file("io").ok(),
            io_attempts: IO_ATTEMPTS,
            comm: Vec::new(),
            is_renamed: false,
            threads: Threads::default(),
            ignores_children: false,
            own_before: Counters::default(),
            children_before: Counters::default(),
            tells: Counters::default(),
            told: Counters::default(),
        };
        process.read(Wanted::ALL, buffer)?;
        Ok(process)
    }

    /// Reads what is wanted.
    ///
    /// # Errors
    /// The process has gone (`NotFound`, ESRCH), or is just going (`WouldBlock`).
    pub fn read(&mut self, wanted: Wanted, buffer: &mut [u8]) -> io::Result<Reading> {
        for _ in 0..GOING_ATTEMPTS {
            match self.try_read(wanted, buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(GOING),
                result => return result,
            }
        }
        self.try_read(wanted, buffer)
    }

    fn try_read(&mut self, wanted: Wanted, buffer: &mut [u8]) -> io::Result<Reading> {
        let stat = Stat::parse(self.stat.read(buffer)?).map_err(io::Error::other)?;
        // Its parent is adding up what it has used, and may tell of it already or not yet (wait_task_zombie in
        // kernel/exit.c).
        if stat.state == 'X' {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if stat.start_ticks != self.start_ticks {
            return Err(io::ErrorKind::NotFound.into());
        }
        if self.is_complete && stat.has_ended() {
            // Nothing changes any more until its parent waits for it, and there may be thousands.
            self.last.parent = stat.ppid;
            return Ok(self.last);
        }
        if self.comm != stat.comm {
            self.comm.clear();
            self.comm.extend_from_slice(stat.comm);
            self.is_renamed = true;
        }
        let mut reading = Reading {
            alive: !stat.has_ended(),
            parent: stat.ppid,
            cpu: cpu_nanos(self.pid).unwrap_or(0).max((stat.user_ticks + stat.system_ticks) * nanos(tick())),
            user_ticks: stat.user_ticks,
            system_ticks: stat.system_ticks,
            children_user_ticks: stat.children_user_ticks,
            children_system_ticks: stat.children_system_ticks,
            minor_faults: stat.minor_faults,
            major_faults: stat.major_faults,
            children_minor_faults: stat.children_minor_faults,
            children_major_faults: stat.children_major_faults,
            threads: stat.threads,
            resident_pages: stat.resident_pages,
            ..self.last
        };
        let threads = stat.threads;
        if stat.is_main_thread_over() {
            reading.resident_pages = resident_of_others(self.pid, buffer);
        }
        if wanted.details || !reading.alive {
            reading.switches = self.switches(threads, wanted.threads, buffer)?;
            if self.io.is_none() && self.io_attempts > 0 {
                self.io_attempts -= 1;
                self.io = ProcFile::open(format!("/proc/{}/io", self.pid)).ok();
            }
            let io = self.io.as_mut().and_then(|io| Io::parse(io.read(buffer).ok()?).ok());
            reading.io = io.or(self.last.io);
        }
        self.is_complete = !reading.alive;
        self.last = reading;
        Ok(reading)
    }

    fn switches(&mut self, threads: u64, of_threads: bool, buffer: &mut [u8]) -> io::Result<Switches> {
        let first = self.threads.living.is_empty();
        if threads <= 1 && first {
            // It may end at any time; then what was seen last counts.
            let status = self.status.read(buffer)?;
            self.ignores_children = ignores_signal(status, libc::SIGCHLD);
            return Ok(Switches::parse(status).unwrap_or(self.last.switches));
        }
        if of_threads || first {
            self.ignores_children = self.threads.read(self.pid, buffer)?;
        }
        Ok(self.threads.sum())
    }

    /// Whether it ignores SIGCHLD: then nobody is told what its children have used (wait(2), NOTES).
    pub fn ignores_children(&self) -> bool {
        self.ignores_children
    }

    /// The run starts at the last reading.
    pub fn starts_here(&mut self) {
        self.own_before = self.own();
        self.children_before = self.of_children();
        if self.children_before.minor_faults > 0 {
            // Their times were cut to ticks, of each mode: it may be nearly a tick more, and is no less than the truth so.
            self.children_before.user += nanos(tick());
            self.children_before.system += nanos(tick());
        }
    }

    /// What it has used itself; its I/O includes that of children that it has waited for, which the kernel does not tell
    /// apart.
    fn own(&self) -> Counters {
        let Reading { cpu, minor_faults, major_faults, switches, io, .. } = self.last;
        let system = (self.last.system_ticks * nanos(tick())).min(cpu);
        let Io { read, written } = io.unwrap_or_default();
        let Switches { voluntary, involuntary } = switches;
        Counters {
            user: cpu - system,
            system,
            minor_faults,
            major_faults,
            voluntary,
            involuntary,
            read,
            written,
        }
    }

    /// What it tells of children that it has waited for.
    pub fn of_children(&self) -> Counters {
        Counters {
            user: self.last.children_user_ticks * nanos(tick()),
            system: self.last.children_system_ticks * nanos(tick()),
            minor_faults: self.last.children_minor_faults,
            major_faults: self.last.children_major_faults,
            ..Counters::default()
        }
    }

    /// What it has used at the last reading since it was born, with children that it has waited for: as who waits for it
    /// will tell it at least, so with times that are cut to ticks.
    pub fn testimony(&self) -> Counters {
        let ticks = self.last.user_ticks + self.last.system_ticks;
        let mut all = Counters { user: ticks * nanos(tick()), system: 0, ..self.own() };
        all.add(&self.of_children().in_one_mode());
        all
    }

    /// What it had used before the run, with children that it had waited for.
    pub fn before(&self) -> Counters {
        let mut before = self.own_before;
        before.add(&self.children_before);
        before
    }

    /// What it has used since the start of the run, with children that it has waited for.
    pub fn used(&self) -> Counters {
        let mut used = self.own().without(&self.own_before);
        used.add(&self.of_children().without(&self.children_before));
        used
    }

    /// How much it tells of children that is not accounted for. Its own I/O is in that.
    pub fn grown(&self) -> Counters {
        let Io { read, written } = self.last.io.unwrap_or_default();
        Counters { read, written, ..self.of_children().in_one_mode() }.less(&self.told)
    }

    /// A round of readings begins. What it told of its children in the last one is accounted for: of those that were gone
    /// by then and had never been seen, nobody else will tell.
    pub fn begin_round(&mut self) {
        self.told = self.told.greater(&self.tells);
    }

    /// What it tells of its children in this round.
    pub fn note_children(&mut self) {
        let Io { read, written } = self.last.io.unwrap_or_default();
        self.tells = Counters { read, written, ..self.of_children().in_one_mode() };
    }

    /// So much more of what it tells is accounted for.
    pub fn account_for(&mut self, told: &Counters) {
        self.told.add(told);
    }

    /// It has waited for a process that had used this before the run.
    pub fn inherit_before(&mut self, before: &Counters) {
        let Counters { read, written, .. } = *before;
        self.own_before.add(&Counters { read, written, ..Counters::default() });
        self.children_before.add(&Counters { read: 0, written: 0, ..*before });
    }

    /// The command name, at most 15 bytes, as the kernel has it: for a person.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.comm).into_owned()
    }

    /// The command name if it is new since this was asked last.
    pub fn new_name(&mut self) -> Option<&[u8]> {
        std::mem::take(&mut self.is_renamed).then_some(&self.comm)
    }

    /// Whether the command name is still this.
    pub fn is_named(&self, name: &str) -> bool {
        self.comm == name.as_bytes() || self.name() == name
    }
}

impl Threads {
    /// Returns whether they ignore SIGCHLD, in which they all do alike.
    fn read(&mut self, pid: i32, buffer: &mut [u8]) -> io::Result<bool> {
        let mut ignores_children = false;
        let mut living = HashMap::with_capacity(self.living.len());
        for tid in threads(pid) {
            let Ok(file) = File::open(format!("/proc/{pid}/task/{tid}/status")) else { continue };
            let Ok(n) = file.read_at(buffer, 0) else { continue };
            let switches = Switches::parse(&buffer[..n]).unwrap_or_default();
            ignores_children = ignores_signal(&buffer[..n], libc::SIGCHLD);
            living.insert(tid, switches);
        }
        for (tid, switches) in &self.living {
            if !living.contains_key(tid) {
                add(&mut self.ended, *switches);
            }
        }
        self.living = living;
        Ok(ignores_children)
    }

    fn sum(&self) -> Switches {
        let mut sum = self.ended;
        self.living.values().for_each(|switches| add(&mut sum, *switches));
        sum
    }
}

/// The resident pages of a process whose main thread has ended, and with it what its own file says of memory.
fn resident_of_others(pid: i32, buffer: &mut [u8]) -> u64 {
    let mut read = |tid| {
        let n = File::open(format!("/proc/{pid}/task/{tid}/stat")).ok()?.read_at(buffer, 0).ok()?;
        Some(Stat::parse(&buffer[..n]).ok()?.resident_pages)
    };
    threads(pid).filter(|tid| *tid != pid).find_map(|tid| read(tid).filter(|pages| *pages > 0)).unwrap_or(0)
}

/// Adds up switches.
pub(crate) fn add(sum: &mut Switches, more: Switches) {
    sum.voluntary += more.voluntary;
    sum.involuntary += more.involuntary;
}
