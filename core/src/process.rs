//! The kernel's text about one process: parsers, and the one reader of what is asked most. And whether `/proc` has the text of this namespace's processes.
//!
//! Formats: proc_pid_stat(5), proc_pid_statm(5), proc_pid_status(5), proc_pid_smaps(5), proc_pid_io(5).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::LazyLock;
use std::time::Duration;

/// One clock tick, in which the kernel gives CPU times (sysconf(3), proc_stat(5)).
pub fn tick() -> Duration {
    static TICK: LazyLock<Duration> = LazyLock::new(|| {
        // SAFETY: sysconf takes a number and touches no memory.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        Duration::from_secs(1) / u32::try_from(per_second).unwrap_or(100).max(1)
    });
    *TICK
}

/// Whether `/proc` is mounted for another PID namespace than that of this process: then each pid in it is that of another
/// process, as after `unshare --pid` without a mount (pid_namespaces(7), "/proc and PID namespaces").
pub fn is_proc_of_others() -> bool {
    match std::fs::read_link("/proc/self") {
        Ok(own) => own.to_str() != Some(&std::process::id().to_string()),
        // Not even to be seen in it; or there is no /proc at all.
        Err(_) => std::path::Path::new("/proc/stat").exists(),
    }
}

/// Whether `/proc` hides the processes of other users from this one (proc(5), `hidepid`): the first process is always there,
/// and everybody may know its name.
pub fn hides_others() -> bool {
    std::fs::read("/proc/1/comm").is_err()
}

/// A text from `/proc` that does not look as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not in the expected form")]
pub struct Malformed(pub &'static str);

/// `/proc/PID/stat`. Times are in clock ticks (sysconf(_SC_CLK_TCK)), usually of 10 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat<'a> {
    /// The command name, at most 15 bytes, as it is (it may hold spaces, parentheses and newlines).
    pub comm: &'a [u8],
    /// `R`, `S`, `D`, `Z`, `T`, ...
    pub state: char,
    /// Parent.
    pub ppid: i32,
    /// Whether it is ending: no code of its own runs any more (PF_EXITING).
    pub exiting: bool,
    /// Whether it is a part of the kernel (PF_KTHREAD).
    pub kernel: bool,
    /// Page faults without I/O, of all threads.
    pub minor_faults: u64,
    /// The same, of children that it has waited for.
    pub children_minor_faults: u64,
    /// Page faults with I/O, of all threads.
    pub major_faults: u64,
    /// The same, of children that it has waited for.
    pub children_major_faults: u64,
    /// CPU time in user mode, of all threads.
    pub user_ticks: u64,
    /// CPU time in kernel mode, of all threads.
    pub system_ticks: u64,
    /// User time of children that it has waited for.
    pub children_user_ticks: u64,
    /// Kernel time of children that it has waited for.
    pub children_system_ticks: u64,
    /// Living threads.
    pub threads: u64,
    /// When it started, in ticks since boot.
    pub start_ticks: u64,
    /// Resident memory, in pages. Since Linux 6.2 it lags behind by up to some pages per CPU.
    pub resident_pages: u64,
}

impl<'a> Stat<'a> {
    /// Whether the process has ended and was not reaped yet. A main thread that has ended alone looks alike, but for the
    /// other threads.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X') && self.threads <= 1
    }

    /// What `f` says of a process, unless that is gone.
    pub(crate) fn of<T>(pid: i32, f: impl FnOnce(&Stat<'_>) -> T) -> Option<T> {
        // Three system calls; to ask for the size first, and again whether that was all, costs as much again. It is not half
        // as long.
        let mut text = [0; 2048];
        let n = File::open(format!("/proc/{pid}/stat")).ok()?.read_at(&mut text, 0).ok()?;
        Some(f(&Stat::parse(&text[..n]).ok()?))
    }

    /// Whether a process has SIGKILL before it, is ending, or has ended and was not reaped yet.
    pub(crate) fn is_being_killed(pid: i32) -> bool {
        let mut text = [0; 2048];
        let read = File::open(format!("/proc/{pid}/stat")).and_then(|file| file.read_at(&mut text, 0));
        read.is_ok_and(|n| Self::tells_of_a_kill(&text[..n]))
    }

    fn tells_of_a_kill(text: &[u8]) -> bool {
        let Ok(stat) = Stat::parse(text) else { return false };
        // The signals that are pending for its main thread: the 31st field, where the state is the third.
        let fields = text.rsplit(|b| *b == b')').next().and_then(|rest| std::str::from_utf8(rest).ok());
        let pending = fields.and_then(|fields| fields.split_ascii_whitespace().nth(31 - 3)?.parse().ok());
        stat.exiting
            || stat.has_ended()
            || pending.is_some_and(|bits: u64| bits & 1 << (libc::SIGKILL - 1) != 0)
    }

    /// # Errors
    /// The text is no `stat` file.
    pub fn parse(text: &'a [u8]) -> Result<Self, Malformed> {
        const WHAT: Malformed = Malformed("/proc/PID/stat");
        // The name may hold anything, so it ends at the last parenthesis.
        let open = text.iter().position(|b| *b == b'(').ok_or(WHAT)?;
        let close = text.iter().rposition(|b| *b == b')').filter(|close| *close > open).ok_or(WHAT)?;
        let comm = &text[open + 1..close];
        let rest = std::str::from_utf8(&text[close + 1..]).map_err(|_| WHAT)?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next().and_then(|field| field.chars().next()).ok_or(WHAT)?;
        let ppid = fields.next().and_then(|field| field.parse().ok()).ok_or(WHAT)?;
        // `skip` fields are passed over before the next one is read.
        let mut number = |skip: usize| -> Result<u64, Malformed> {
            // Some of these fields are negative for some processes; such a value is never one that is used here.
            fields.nth(skip).and_then(|field| field.parse().ok()).ok_or(WHAT)
        };
        let flags = number(4)?;
        Ok(Self {
            comm,
            state,
            ppid,
            // From linux/sched.h.
            exiting: flags & 0x4 != 0,
            kernel: flags & 0x20_0000 != 0,
            minor_faults: number(0)?,
            children_minor_faults: number(0)?,
            major_faults: number(0)?,
            children_major_faults: number(0)?,
            user_ticks: number(0)?,
            system_ticks: number(0)?,
            children_user_ticks: number(0)?,
            children_system_ticks: number(0)?,
            threads: number(2)?,
            start_ticks: number(1)?,
            resident_pages: number(1)?,
        })
    }
}

/// The context switches in `/proc/PID/task/TID/status`: of that one thread (the file of the process is that of its
/// main thread).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Switches {
    /// The thread gave up the CPU.
    pub voluntary: u64,
    /// The scheduler took it away.
    pub involuntary: u64,
}

impl Switches {
    /// # Errors
    /// The lines are not there.
    pub fn parse(status: &[u8]) -> Result<Self, Malformed> {
        Ok(Self {
            voluntary: field(status, b"\nvoluntary_ctxt_switches:").ok_or(Malformed("/proc/PID/status"))?,
            involuntary: field(status, b"\nnonvoluntary_ctxt_switches:")
                .ok_or(Malformed("/proc/PID/status"))?,
        })
    }
}

/// The peak resident memory in `/proc/PID/status` (`VmHWM`), in bytes; `None` for zombies and kernel threads.
pub fn peak_resident(status: &[u8]) -> Option<u64> {
    field(status, b"\nVmHWM:").map(|kib| kib * 1024)
}

/// Whether the process ignores a signal, as `SigIgn` in `/proc/PID/status` says.
pub fn ignores_signal(status: &[u8], signal: i32) -> bool {
    const KEY: &[u8] = b"\nSigIgn:\t";
    let mask = || {
        let at = status.windows(KEY.len()).rposition(|window| window == KEY)? + KEY.len();
        u64::from_str_radix(std::str::from_utf8(status.get(at..at + 16)?).ok()?, 16).ok()
    };
    mask().is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// The memory in `/proc/PID/smaps_rollup`, in bytes: counted page by page when it is read, and so exact, unlike the resident
/// size in the other files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rollup {
    /// The first address of the process, which all that were forked from one another have in common.
    pub start: u64,
    /// Resident.
    pub resident: u64,
    /// Resident and anonymous: no file's, and not shared by a mapping.
    pub anonymous: u64,
    /// Resident, of each page the part that falls to this process if all that have mapped it share it evenly.
    pub proportional: u64,
    /// The part of that which is anonymous (since Linux 5.4).
    pub proportional_anonymous: u64,
}

impl Rollup {
    /// # Errors
    /// The lines are not there.
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        const WHAT: Malformed = Malformed("/proc/PID/smaps_rollup");
        let bytes = |key: &[u8]| field(text, key).map(|kib| kib.saturating_mul(1024));
        let start = text.split(|byte| *byte == b'-').next().unwrap_or_default();
        let start = std::str::from_utf8(start).ok().and_then(|start| u64::from_str_radix(start, 16).ok());
        Ok(Self {
            start: start.ok_or(WHAT)?,
            resident: bytes(b"\nRss:").ok_or(WHAT)?,
            anonymous: bytes(b"\nAnonymous:").ok_or(WHAT)?,
            proportional: bytes(b"\nPss:").ok_or(WHAT)?,
            proportional_anonymous: bytes(b"\nPss_Anon:").ok_or(WHAT)?,
        })
    }
}

/// The storage I/O in `/proc/PID/io`, in bytes: of all threads, and of children that were waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Io {
    /// Fetched from the storage layer.
    pub read: u64,
    /// Sent to the storage layer, or dirtied in the page cache.
    pub written: u64,
}

impl Io {
    /// # Errors
    /// The lines are not there.
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        Ok(Self {
            read: field(text, b"\nread_bytes:").ok_or(Malformed("/proc/PID/io"))?,
            written: field(text, b"\nwrite_bytes:").ok_or(Malformed("/proc/PID/io"))?,
        })
    }
}

/// The number after `key`, which names the line and its newline before it.
fn field(text: &[u8], key: &[u8]) -> Option<u64> {
    line(text, key)?.split_ascii_whitespace().next()?.parse().ok()
}

/// What stands after `key` in its line.
fn line<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a str> {
    // The lines that are wanted stand near the end of their files, and a name chosen by a user near the start.
    let at = text.windows(key.len()).rposition(|window| window == key)?;
    let rest = text[at + key.len()..].split(|byte| *byte == b'\n').next()?;
    Some(std::str::from_utf8(rest).ok()?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privilege::tests::in_root;

    const STAT: &[u8] =
        b"4242 (a) b\n) S 17 4242 4242 34816 4242 4194560 1500 20 3 4 70 8 900 10 20 0 5 0 8876543 \
        12345678 321 18446744073709551615 1 1 0 0 0 0 0 0 65536 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

    #[test]
    fn a_name_with_parentheses_spaces_and_newlines_does_not_shift_the_fields() {
        let stat = Stat::parse(STAT).unwrap();
        let expected = Stat {
            comm: b"a) b\n",
            state: 'S',
            ppid: 17,
            exiting: false,
            kernel: false,
            minor_faults: 1500,
            children_minor_faults: 20,
            major_faults: 3,
            children_major_faults: 4,
            user_ticks: 70,
            system_ticks: 8,
            children_user_ticks: 900,
            children_system_ticks: 10,
            threads: 5,
            start_ticks: 8_876_543,
            resident_pages: 321,
        };
        assert_eq!(stat, expected);
    }

    #[test]
    fn a_cut_or_empty_stat_is_an_error() {
        for end in 0..130 {
            let _ = Stat::parse(&STAT[..end]);
        }
        for text in [&b""[..], b"1", b"1 (a", b"1 )a(", b"1 (a) S 1"] {
            assert_eq!(Stat::parse(text), Err(Malformed("/proc/PID/stat")));
        }
    }

    #[test]
    fn switches_and_peak_are_found_in_status() {
        let status = b"Name:\tx\nVmPeak:\t    9999 kB\nVmHWM:\t    1536 kB\nThreads:\t1\n\
            voluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\n";
        assert_eq!(Switches::parse(status).unwrap(), Switches { voluntary: 150, involuntary: 545 });
        assert_eq!(peak_resident(status), Some(1536 * 1024));
        assert_eq!(peak_resident(b"Name:\tkthreadd\n"), None);
    }

    #[test]
    fn the_ignored_signals_are_a_mask() {
        let status = b"Name:\tSigIgn:\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000010000\nSigCgt:\t0000000000000002\n";
        assert!(ignores_signal(status, libc::SIGCHLD));
        assert!(!ignores_signal(status, libc::SIGCHLD - 1) && !ignores_signal(status, libc::SIGINT));
        assert!(!ignores_signal(b"Name:\tx\nSigIgn:\t00", libc::SIGCHLD));
    }

    #[test]
    fn a_rollup_is_read_in_bytes() {
        let text = "5588149ad000-7ffdde33b000 ---p 00000000 00:00 0                          [rollup]\n\
            Rss:                1736 kB\nPss:                 263 kB\nPss_Dirty:           112 kB\n\
            Pss_Anon:            110 kB\nPss_File:            151 kB\nPss_Shmem:             2 kB\n\
            Private_Dirty:       112 kB\nAnonymous:           112 kB\nAnonHugePages:         0 kB\nSwapPss: 7 kB\n";
        let rollup = Rollup {
            start: 0x5588_149a_d000,
            resident: 1736 << 10,
            anonymous: 112 << 10,
            proportional: 263 << 10,
            proportional_anonymous: 110 << 10,
        };
        assert_eq!(Rollup::parse(text.as_bytes()), Ok(rollup));
        let before_5_4 = text.replace("Pss_Anon", "Pss_X");
        assert_eq!(Rollup::parse(before_5_4.as_bytes()), Err(Malformed("/proc/PID/smaps_rollup")));
        assert_eq!(Rollup::parse(b""), Err(Malformed("/proc/PID/smaps_rollup")));
    }

    #[test]
    fn io_counts_storage_bytes_and_not_all_characters() {
        let io = b"rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 4096\nwrite_bytes: 8192\n\
            cancelled_write_bytes: 0\n";
        assert_eq!(Io::parse(io).unwrap(), Io { read: 4096, written: 8192 });
        assert!(Io::parse(b"rchar: 1\n").is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = (Stat::parse(&text), Switches::parse(&text), Io::parse(&text), peak_resident(&text));
            let _ = (Rollup::parse(&text), ignores_signal(&text, libc::SIGCHLD));
        }
    }

    #[test]
    fn a_tick_is_as_long_as_the_kernel_says() {
        // SAFETY: getauxval takes a number and touches no memory.
        let per_second = unsafe { libc::getauxval(libc::AT_CLKTCK) };
        assert_eq!(tick() * per_second as u32, Duration::from_secs(1));
    }

    #[test]
    fn a_kill_is_known_from_when_it_is_pending_until_the_process_is_reaped() {
        let told = |state: char, flags: u32, pending: u32| {
            let rest = "0 0 0 0 0 0 0 0 20 0 1 0 5 0 9 0 0 0 0 0 0";
            let text =
                format!("7 (a) b) {state} 1 7 7 0 -1 {flags} {rest} {pending} 0 0 0 0 0 0 17 0 0 0 0 0 0\n");
            Stat::tells_of_a_kill(text.as_bytes())
        };
        assert!(!told('S', 0x40_0000, 0));
        assert!(told('S', 0x40_0000, 0x100) && told('S', 0x40_0000, 0x4100), "SIGKILL is pending");
        assert!(!told('S', 0x40_0000, 0x4080), "SIGTERM and another");
        assert!(told('R', 0x40_0004, 0), "it is ending");
        assert!(told('Z', 0x40_0000, 0), "it has ended");
        assert!(!Stat::tells_of_a_kill(b"") && !Stat::is_being_killed(i32::MAX));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id() as i32;
        assert!(!Stat::is_being_killed(pid));
        child.kill().unwrap();
        assert!(Stat::is_being_killed(pid));
        child.wait().unwrap();
    }

    #[test]
    fn a_process_whose_main_thread_alone_is_over_has_not_ended() {
        let stat = |state, threads| Stat { state, threads, ..Stat::default() };
        for (state, threads, ended) in [
            ('R', 1, false),
            ('R', 2, false),
            ('Z', 0, true),
            ('Z', 1, true),
            ('X', 1, true),
            ('Z', 2, false),
            ('X', 2, false),
        ] {
            assert_eq!(stat(state, threads).has_ended(), ended, "{state} {threads}");
        }
    }

    #[test]
    fn proc_is_that_of_this_process_where_its_own_pid_is_in_it() {
        let own = std::fs::read_link("/proc/self").unwrap();
        assert_eq!(is_proc_of_others(), own.to_str().unwrap() != std::process::id().to_string());
    }

    #[test]
    fn a_proc_that_shows_this_process_by_another_number_or_not_at_all_is_of_others() {
        let test = "a_proc_that_shows_this_process_by_another_number_or_not_at_all_is_of_others";
        let is_of_others = |files: &[_]| in_root(test, files, is_proc_of_others);
        let own = format!("-> {}", std::process::id());
        let Some(same) = is_of_others(&[("/proc/self", &own)]) else { return };
        assert!(!same && !is_proc_of_others());
        assert_eq!(is_of_others(&[("/proc/self", "-> 1234567890")]), Some(true));
        assert_eq!(is_of_others(&[("/proc/stat", "cpu 0\n")]), Some(true), "this process is not in it");
        assert_eq!(is_of_others(&[]), Some(false), "there is none");
    }

    #[test]
    fn the_first_process_tells_whether_others_are_hidden() {
        let test = "the_first_process_tells_whether_others_are_hidden";
        let Some(hidden) = in_root(test, &[("/proc/stat", "cpu 0\n")], hides_others) else { return };
        assert!(hidden);
        assert_eq!(in_root(test, &[("/proc/1/comm", "init\n")], hides_others), Some(false));
    }
}
