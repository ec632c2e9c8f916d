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
use alumet::target::{Waits, threads};
use alumet::text;
use alumet::{Clock, RealClock, Time};

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

/// What was read of a process that has not run since stands for so long: the kernel may have taken memory away from it.
const RESTS: Duration = Duration::from_secs(1);

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

    /// Of a process that has ended: there is little to read any more, and there may be thousands.
    fn unopened(path: String) -> Self {
        Self { path, file: None, is_kept: false }
    }

    fn close(&mut self) {
        *self = Self::unopened(std::mem::take(&mut self.path));
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
    /// Also of those that have not run since, as far as can be told.
    pub anew: bool,
}

impl Wanted {
    /// Everything.
    pub const ALL: Self = Self { details: true, threads: true, anew: true };
    /// One file.
    pub const STAT: Self = Self { details: false, threads: false, anew: true };
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
    /// What shows, then, that it is still there.
    witness: Option<u64>,
    /// What was read of it when it did not run.
    rest: Option<Rest>,
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

/// A reading of a process that waits for something.
#[derive(Debug, Clone, Copy)]
struct Rest {
    /// Its CPU time just before.
    clock: u64,
    wanted: Wanted,
    time: Time,
}

/// The switches of the threads of a process that has several.
#[derive(Debug, Default)]
struct Threads {
    living: HashMap<i32, Switches>,
    ended: Switches,
}

impl Process {
    /// Opens the files of a process and reads them. Nothing counts of what one that is older than `since_ticks`, in clock
    /// ticks since boot, has used before.
    ///
    /// # Errors
    /// It has gone or is just going, or may not be read.
    pub fn open(pid: i32, since_ticks: u64, buffer: &mut [u8]) -> io::Result<Self> {
        let path = |name| format!("/proc/{pid}/{name}");
        let mut file = ProcFile::open(path("stat"))?;
        let stat = Stat::parse(file.read(buffer)?).map_err(io::Error::other)?;
        if stat.state == 'X' {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let has_ended = stat.has_ended();
        let other = |name| match has_ended {
            true => Ok(ProcFile::unopened(path(name))),
            false => ProcFile::open(path(name)),
        };
        let mut process = Self {
            pid,
            start_ticks: stat.start_ticks,
            last: Reading::default(),
            is_complete: false,
            witness: None,
            rest: None,
            stat: file,
            status: other("status")?,
            // Another user's process: its I/O is in the usage when it is reaped.
            io: other("io").ok(),
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
        let is_older = process.start_ticks < since_ticks;
        let reading = process.of_stat(&stat, cpu_nanos(pid));
        if is_older && has_ended {
            // Its switches are never told to anybody, so they need not be taken off.
            let io = process.read_io(buffer);
            process.note(Reading { io, ..reading });
        } else {
            process.finish(reading, Wanted::ALL, buffer)?;
        }
        if is_older {
            process.starts_here();
        }
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

    /// Whether it has not run since everything that is wanted was read of it: then nothing that it can change has changed.
    /// That is one system call, and its files are three that the kernel has to write. What runs on a CPU at this moment may
    /// show it only at the next tick of the kernel, so this is no answer for whoever must know what it has just done. Nor is it
    /// for one that has ended: its clock is there while its parent adds up what it has used.
    pub fn rests(&self, wanted: Wanted, now: Time) -> bool {
        let covers = |was: Wanted| was.details >= wanted.details && was.threads >= wanted.threads;
        let rest = self.rest.filter(|_| self.last.alive && !wanted.anew);
        let rest = rest.filter(|rest| covers(rest.wanted) && now.since(rest.time) < RESTS);
        rest.is_some_and(|rest| cpu_nanos(self.pid) == Some(rest.clock))
    }

    fn try_read(&mut self, wanted: Wanted, buffer: &mut [u8]) -> io::Result<Reading> {
        self.rest = None;
        let (time, clock) = (RealClock.now(), cpu_nanos(self.pid));
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
        let waits = stat.state != 'R';
        let reading = self.of_stat(&stat, clock);
        let reading = self.finish(reading, wanted, buffer)?;
        self.rest = clock.filter(|_| waits).map(|clock| Rest { clock, wanted, time });
        Ok(reading)
    }

    /// What its `stat` says, and its clock, which is exact; the rest is as it was.
    fn of_stat(&mut self, stat: &Stat<'_>, clock: Option<u64>) -> Reading {
        if self.comm != stat.comm {
            self.comm.clear();
            self.comm.extend_from_slice(stat.comm);
            self.is_renamed = true;
        }
        Reading {
            alive: !stat.has_ended(),
            parent: stat.ppid,
            cpu: clock.unwrap_or(0).max((stat.user_ticks + stat.system_ticks) * nanos(tick())),
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
        }
    }

    /// Reads what else is wanted.
    fn finish(&mut self, mut reading: Reading, wanted: Wanted, buffer: &mut [u8]) -> io::Result<Reading> {
        // The memory is not in the file of a main thread that is over.
        if reading.threads > 1 && reading.resident_pages == 0 {
            reading.resident_pages = resident_of_others(self.pid, buffer);
        }
        if wanted.details || !reading.alive {
            reading.switches = self.switches(reading.threads, wanted.threads, buffer)?;
            reading.io = self.read_io(buffer).or(self.last.io);
        }
        self.note(reading);
        Ok(reading)
    }

    fn read_io(&mut self, buffer: &mut [u8]) -> Option<Io> {
        if self.io.is_none() && self.io_attempts > 0 {
            self.io_attempts -= 1;
            self.io = ProcFile::open(format!("/proc/{}/io", self.pid)).ok();
        }
        Io::parse(self.io.as_mut()?.read(buffer).ok()?).ok()
    }

    fn note(&mut self, reading: Reading) {
        if !reading.alive {
            self.is_complete = true;
            let files = [Some(&mut self.stat), Some(&mut self.status), self.io.as_mut()];
            files.into_iter().flatten().for_each(ProcFile::close);
        }
        self.last = reading;
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

    /// To be called right after it was read, before anybody else is: notes what shows later that it is still there.
    pub fn witness(&mut self, waits: &Waits) {
        let faults = self.last.minor_faults + self.last.children_minor_faults;
        self.witness = waits.witness(self.last.parent, faults).filter(|_| self.is_complete);
    }

    /// Whether it has ended, and its last reading stands because its parent has not waited for it.
    pub fn is_settled(&self, waits: &Waits) -> bool {
        waits.vouch(self.witness, self.last.parent)
    }

    /// What it tells of the faults of children that it has waited for, as long as it lives.
    pub fn tells(&self) -> Option<u64> {
        self.last.alive.then_some(self.last.children_minor_faults)
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
        text::name(&self.comm)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// This process, with another reading.
    fn with(last: Reading) -> Process {
        let mut process = Process::open(std::process::id() as i32, 0, &mut [0; 8192]).unwrap();
        process.last = last;
        process
    }

    /// In nanoseconds.
    fn ticks(n: u64) -> u64 {
        n * nanos(tick())
    }

    fn reading() -> Reading {
        Reading {
            alive: true,
            parent: 1,
            cpu: ticks(100),
            user_ticks: 70,
            system_ticks: 20,
            children_user_ticks: 30,
            children_system_ticks: 40,
            minor_faults: 5,
            major_faults: 6,
            children_minor_faults: 7,
            children_major_faults: 8,
            threads: 1,
            resident_pages: 9,
            switches: Switches { voluntary: 10, involuntary: 11 },
            io: Some(Io { read: 12, written: 13 }),
        }
    }

    #[test]
    fn what_it_has_used_itself_is_exact_and_split_by_ticks() {
        assert_eq!(with(reading()).own().as_array(), [ticks(80), ticks(20), 5, 6, 10, 11, 12, 13]);
        // Ticks that are more than there is.
        let own = with(Reading { cpu: ticks(15), ..reading() }).own();
        assert_eq!((own.user, own.system), (0, ticks(15)));
    }

    #[test]
    fn what_it_tells_of_its_children_is_what_the_kernel_says_of_them() {
        assert_eq!(with(reading()).of_children().as_array(), [ticks(30), ticks(40), 7, 8, 0, 0, 0, 0]);
    }

    #[test]
    fn who_waits_for_it_is_told_of_both_with_times_in_ticks() {
        assert_eq!(with(reading()).testimony().as_array(), [ticks(160), 0, 12, 14, 10, 11, 12, 13]);
    }

    /// Reads all of it until it waits.
    fn read_at_rest(process: &mut Process) {
        for _ in 0..100_000 {
            process.read(Wanted::ALL, &mut [0; 8192]).unwrap();
            if process.rests(Wanted { anew: false, ..Wanted::ALL }, RealClock.now()) {
                return;
            }
        }
        panic!("it goes on");
    }

    #[test]
    fn who_has_not_run_since_everything_was_read_of_it_need_not_be_read_again_for_a_second() {
        use std::io::{Read, Write};
        use std::process::{Command, Stdio};
        let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut to, mut from) = (cat.stdin.take().unwrap(), cat.stdout.take().unwrap());
        let mut process = Process::open(cat.id() as i32, 0, &mut [0; 8192]).unwrap();
        let mut echo = |process: &Process| {
            to.write_all(b"x").unwrap();
            from.read_exact(&mut [0]).unwrap();
            // It may still be on its way to the next read.
            (0..100_000).any(|_| !process.rests(Wanted { anew: false, ..Wanted::ALL }, RealClock.now()))
        };
        assert!(echo(&process), "it was started");
        read_at_rest(&mut process);
        let now = RealClock.now();
        assert!(process.rests(Wanted { anew: false, ..Wanted::STAT }, now));
        assert!(!process.rests(Wanted { anew: false, ..Wanted::ALL }, now + RESTS));
        assert!(!process.rests(Wanted::STAT, now), "at the end, it is read anew");
        assert!(echo(&process), "it has run");
        process.read(Wanted::STAT, &mut [0; 8192]).unwrap();
        assert!(
            !process.rests(Wanted { anew: false, ..Wanted::ALL }, RealClock.now()),
            "not everything was read"
        );
        read_at_rest(&mut process);
        let switches = process.last.switches;
        assert!(echo(&process));
        read_at_rest(&mut process);
        assert!(process.last.switches.voluntary > switches.voluntary);
        cat.kill().unwrap();
        cat.wait().unwrap();
        assert!(!process.rests(Wanted { anew: false, ..Wanted::STAT }, RealClock.now()), "it is gone");
    }

    #[test]
    fn who_has_ended_does_not_rest_but_is_read_as_long_as_nobody_vouches_for_it() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let mut process = Process::open(child.id() as i32, 0, &mut [0; 8192]).unwrap();
        read_at_rest(&mut process);
        child.kill().unwrap();
        while process.read(Wanted::ALL, &mut [0; 8192]).unwrap().alive {}
        assert!(!process.rests(Wanted { anew: false, ..Wanted::ALL }, RealClock.now()));
        child.wait().unwrap();
    }

    #[test]
    fn who_runs_does_not_rest() {
        let mut own = Process::open(std::process::id() as i32, 0, &mut [0; 8192]).unwrap();
        own.read(Wanted::ALL, &mut [0; 8192]).unwrap();
        assert!(!own.rests(Wanted { anew: false, ..Wanted::STAT }, RealClock.now()));
    }

    /// A process for which the run starts at the first of two readings.
    fn since(first: Reading, last: Reading) -> Process {
        let mut process = with(first);
        process.starts_here();
        assert_eq!(process.used(), Counters::default());
        process.last = last;
        process
    }

    fn later() -> Reading {
        Reading {
            cpu: ticks(150),
            system_ticks: 30,
            children_user_ticks: 35,
            children_system_ticks: 47,
            minor_faults: 105,
            major_faults: 206,
            children_minor_faults: 307,
            children_major_faults: 408,
            switches: Switches { voluntary: 510, involuntary: 611 },
            io: Some(Io { read: 712, written: 813 }),
            ..reading()
        }
    }

    #[test]
    fn what_was_used_before_the_run_is_taken_off_with_the_tick_that_it_may_be_more() {
        let used = since(reading(), later()).used();
        // Of the children, one tick less in each mode.
        assert_eq!(used.as_array(), [ticks(40 + 4), ticks(10 + 6), 400, 600, 500, 600, 700, 800]);
        // One that had had no children has told of none of their times.
        let childless = Reading {
            children_user_ticks: 0,
            children_system_ticks: 0,
            children_minor_faults: 0,
            children_major_faults: 0,
            ..reading()
        };
        let used = since(childless, later()).used();
        assert_eq!((used.user, used.system), (ticks(40 + 35), ticks(10 + 47)));
    }

    #[test]
    fn what_was_used_before_the_run_is_known() {
        let before = since(reading(), later()).before();
        assert_eq!(before.as_array(), [ticks(80 + 31), ticks(20 + 41), 12, 14, 10, 11, 12, 13]);
    }

    #[test]
    fn what_it_tells_of_children_counts_as_accounted_for_in_the_next_round() {
        let mut process = with(reading());
        let all = [ticks(70), 0, 7, 8, 0, 0, 12, 13];
        assert_eq!(process.grown().as_array(), all);
        process.note_children();
        assert_eq!(process.grown().as_array(), all, "in this round it may be anybody's");
        process.begin_round();
        assert_eq!(process.grown(), Counters::default());
        process.last = later();
        assert_eq!(process.grown().as_array(), [ticks(12), 0, 300, 400, 0, 0, 700, 800]);
        process.account_for(&Counters { minor_faults: 100, read: 50, ..Counters::default() });
        assert_eq!(process.grown().as_array(), [ticks(12), 0, 200, 400, 0, 0, 650, 800]);
        // What is accounted for is so for good.
        process.begin_round();
        assert_eq!(process.grown().minor_faults, 200);
    }

    #[test]
    fn what_a_child_had_used_before_the_run_is_none_of_what_it_tells() {
        let mut process = since(reading(), later());
        let (used, before) = (process.used(), process.before());
        let of_child = Counters {
            user: ticks(1),
            system: ticks(2),
            minor_faults: 3,
            major_faults: 4,
            voluntary: 0,
            involuntary: 0,
            read: 5,
            written: 6,
        };
        process.inherit_before(&of_child);
        let mut sum = before;
        sum.add(&of_child);
        assert_eq!(process.before(), sum);
        assert_eq!(process.used(), used.less(&of_child));
        // Its I/O is in the parent's own, everything else in that of children.
        assert_eq!((process.own_before.read, process.children_before.read), (12 + 5, 0));
        assert_eq!((process.own_before.written, process.children_before.written), (13 + 6, 0));
    }

    #[test]
    fn a_name_that_is_new_is_told_once() {
        let mut process = with(reading());
        let name = process.name();
        assert_eq!(process.new_name().map(<[u8]>::to_vec), Some(name.clone().into_bytes()));
        assert_eq!(process.new_name(), None);
        assert!(process.is_named(&name) && !process.is_named("another"));
        // It may be no UTF-8; for a person, it has the same name then.
        process.comm = b"a\xff".to_vec();
        assert!(process.is_named("a\u{fffd}"));
    }

    /// The numbers of this process in `/proc/self/stat`, as proc_pid_stat(5) counts them.
    fn stat() -> impl Fn(usize) -> u64 {
        let text = std::fs::read_to_string("/proc/self/stat").unwrap();
        let fields: Vec<_> = text[text.rfind(')').unwrap() + 2..].split(' ').map(str::to_owned).collect();
        move |n| fields[n - 3].parse().unwrap()
    }

    #[test]
    fn a_reading_is_between_what_the_kernel_said_before_and_what_it_says_afterwards() {
        // Something of everything, of this process and of a child.
        let mut x = 1u64;
        while stat()(14) < 3 || stat()(15) < 3 {
            (0..100_000u64).for_each(|i| x = std::hint::black_box(x.wrapping_mul(i | 1)));
        }
        let burn = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; \
            dd if=/dev/zero of=/dev/null bs=1M count=3000 2>/dev/null";
        assert!(std::process::Command::new("sh").args(["-c", burn]).status().unwrap().success());
        let mut process = Process::open(std::process::id() as i32, 0, &mut [0; 8192]).unwrap();
        let clock = || cpu_nanos(std::process::id() as i32).unwrap();
        let (cpu, before) = (clock(), stat());
        let reading = process.read(Wanted::ALL, &mut [0; 8192]).unwrap();
        let (after, cpu_after) = (stat(), clock());
        for (field, got) in [
            (4, reading.parent as u64),
            (10, reading.minor_faults),
            (11, reading.children_minor_faults),
            (12, reading.major_faults),
            (13, reading.children_major_faults),
            (14, reading.user_ticks),
            (15, reading.system_ticks),
            (16, reading.children_user_ticks),
            (17, reading.children_system_ticks),
            (22, process.start_ticks),
        ] {
            assert!((before(field)..=after(field)).contains(&got), "field {field}: {got}");
        }
        assert!((cpu..=cpu_after).contains(&reading.cpu), "{cpu} {} {cpu_after}", reading.cpu);
        assert!(reading.children_user_ticks > 0 && reading.user_ticks > 0 && reading.alive);
        assert!(reading.children_system_ticks > 0 && reading.system_ticks > 0, "{reading:?}");
    }

    #[test]
    fn the_file_of_a_process_that_is_gone_cannot_be_read_though_it_was_kept_open() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id() as i32;
        let mut process = Process::open(pid, 0, &mut [0; 8192]).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let error = process.read(Wanted::STAT, &mut [0; 8192]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
        assert!(Process::open(pid, 0, &mut [0; 8192]).is_err());
    }

    #[test]
    fn of_a_process_that_has_ended_no_file_stays_open() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let mut process = Process::open(child.id() as i32, 0, &mut [0; 8192]).unwrap();
        let is_open = |process: &Process| {
            let io = process.io.as_ref().is_some_and(|io| io.file.is_some());
            [process.stat.file.is_some(), process.status.file.is_some(), io]
        };
        assert_eq!(is_open(&process), [true; 3]);
        child.kill().unwrap();
        while process.read(Wanted::STAT, &mut [0; 8192]).unwrap().alive {}
        assert_eq!(is_open(&process), [false; 3]);
        // It ends for its parent to see.
        assert_eq!(process.last.parent, std::process::id() as i32);
        let found = Process::open(process.pid, 0, &mut [0; 8192]).unwrap();
        assert!(!found.last.alive && is_open(&found) == [false; 3]);
        child.wait().unwrap();
        let error = process.read(Wanted::STAT, &mut [0; 8192]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_bounded_number_of_files_is_kept_open_and_all_can_be_read() {
        let open = || ProcFile::open("/proc/self/stat".into()).unwrap();
        let read = |file: &mut ProcFile| Stat::parse(file.read(&mut [0; 8192]).unwrap()).unwrap().start_ticks;
        let kept = |files: &mut [ProcFile]| {
            // Twice: those that are not kept are opened anew.
            assert!(files.iter_mut().all(|file| read(file) == read(file)));
            files.iter().filter(|file| file.file.is_some()).count()
        };
        let mut files: Vec<_> = (0..600).map(|_| open()).collect();
        // Other tests keep some.
        let n = kept(&mut files);
        assert!((300..=512).contains(&n), "{n}");
        drop(files);
        let mut again: Vec<_> = (0..100).map(|_| open()).collect();
        assert_eq!(kept(&mut again), 100, "there is room again");
    }

    #[test]
    fn an_io_file_that_cannot_be_opened_is_tried_again_a_few_times() {
        let mut process = with(reading());
        process.io_attempts = 3;
        let read = |process: &mut Process| process.read(Wanted::ALL, &mut [0; 8192]).unwrap().io;
        assert!(read(&mut process).is_some());
        assert_eq!(process.io_attempts, 3, "it is open");
        process.io = None;
        assert!(read(&mut process).is_some() && process.io.is_some());
        assert_eq!(process.io_attempts, 2);
        // No more attempts: what was read last stands.
        (process.io, process.io_attempts, process.last) = (None, 0, reading());
        assert_eq!(read(&mut process), reading().io);
        assert!(process.io.is_none() && process.io_attempts == 0);
    }

    #[test]
    fn switches_add_up_each_for_itself() {
        let mut sum = Switches { voluntary: 5, involuntary: 7 };
        add(&mut sum, Switches { voluntary: 2, involuntary: 3 });
        assert_eq!(sum, Switches { voluntary: 7, involuntary: 10 });
    }
}
