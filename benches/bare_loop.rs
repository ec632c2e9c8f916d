//! What sampling costs at the least: the same reads as `alumet exec` makes at a tick, on the same absolute timer, and
//! nothing else. `overhead.py` compiles it with `rustc -O` and compares.
//!
//! Arguments: the target's PID, for how long in milliseconds, then what to read, in groups, each behind the microseconds
//! between two of its reads: `every=200000 /proc/stat event=1:3 every=100000 energy=9:2`. An event is a type and a config of
//! perf_event_open(2), of the target and what it starts; energy is one of CPU 0. One that cannot be opened is left out.
//! Intervals are multiples of the shortest.

use std::fs::File;
use std::io::Read;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanos: i64,
}

unsafe extern "C" {
    fn clock_gettime(clock: i32, time: *mut Timespec) -> i32;
    fn clock_nanosleep(clock: i32, flags: i32, time: *const Timespec, left: *mut Timespec) -> i32;
    fn prctl(option: i32, value: u64) -> i32;
    fn syscall(number: i64, ...) -> i64;
}

const MONOTONIC: i32 = 1;
const ABSOLUTE: i32 = 1;
const SET_TIMERSLACK: i32 = 29;
const PERF_EVENT_OPEN: i64 = if cfg!(target_arch = "x86_64") { 298 } else { 241 };
/// Bits of the flags and of what is read with a count: how long it was wanted and counted.
const INHERIT: u64 = 2;
const TIMES: u64 = 3;

enum What {
    Text(File),
    Counter(File),
}

fn now(clock: i32) -> i64 {
    let mut time = Timespec { seconds: 0, nanos: 0 };
    unsafe { clock_gettime(clock, &mut time) };
    time.seconds * 1_000_000_000 + time.nanos
}

/// `struct perf_event_attr` of 64 bytes, its first version: type, size, config, sampling, what is read, flags.
fn counter(words: &str, pid: i32, cpu: i32, flags: u64) -> Option<What> {
    let (kind, config) = words.split_once(':').unwrap();
    let kind = kind.parse::<u64>().unwrap();
    let attr: [u64; 8] = [kind | 64 << 32, config.parse().unwrap(), 0, 0, TIMES, flags, 0, 0];
    let fd = unsafe { syscall(PERF_EVENT_OPEN, attr.as_ptr(), pid, cpu, -1, 8) };
    (fd >= 0).then(|| What::Counter(unsafe { File::from_raw_fd(fd as i32) }))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let pid = arguments[0].parse::<i32>().unwrap();
    let duration = arguments[1].parse::<i64>().unwrap() * 1_000_000;
    let mut groups: Vec<(i64, Vec<What>)> = Vec::new();
    for word in &arguments[2..] {
        let what = match word.split_once('=') {
            Some(("every", micros)) => {
                groups.push((micros.parse::<i64>().unwrap() * 1_000, Vec::new()));
                continue;
            }
            Some(("event", words)) => counter(words, pid, -1, INHERIT),
            Some(("energy", words)) => counter(words, -1, 0, 0),
            _ => Some(What::Text(File::open(word).unwrap())),
        };
        groups.last_mut().unwrap().1.extend(what);
    }
    let interval = groups.iter().map(|(every, _)| *every).min().unwrap();
    let mut buffer = [0; 8192];
    unsafe { prctl(SET_TIMERSLACK, 1) };
    let start = now(MONOTONIC);
    for tick in 1..=duration / interval {
        let at = start + tick * interval;
        let time = Timespec { seconds: at / 1_000_000_000, nanos: at % 1_000_000_000 };
        unsafe { clock_nanosleep(MONOTONIC, ABSOLUTE, &time, std::ptr::null_mut()) };
        let due = groups.iter().filter(|(every, _)| tick * interval % every == 0);
        for what in due.flat_map(|(_, whats)| whats) {
            let _ = match what {
                What::Text(file) => file.read_at(&mut buffer, 0),
                What::Counter(file) => (&*file).read(&mut buffer),
            };
        }
    }
}
