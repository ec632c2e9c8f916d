//! What sampling costs at the least: the same `pread`s as `alumet exec` makes at a tick, on the same absolute timer,
//! and nothing else. `overhead.py` compiles it with `rustc -O` and compares.
//!
//! Arguments: interval in microseconds, duration in milliseconds, the files to read at every tick, `--`, the files to read
//! every 10 ms if ticks are more frequent. Prints the CPU time in seconds.

use std::fs::File;
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
}

const MONOTONIC: i32 = 1;
const PROCESS_CPU: i32 = 2;
const ABSOLUTE: i32 = 1;
const SET_TIMERSLACK: i32 = 29;

fn now(clock: i32) -> i64 {
    let mut time = Timespec { seconds: 0, nanos: 0 };
    unsafe { clock_gettime(clock, &mut time) };
    time.seconds * 1_000_000_000 + time.nanos
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let interval = arguments[0].parse::<i64>().unwrap() * 1_000;
    let duration = arguments[1].parse::<i64>().unwrap() * 1_000_000;
    let open = |paths: &[String]| paths.iter().map(|path| File::open(path).unwrap()).collect::<Vec<_>>();
    let mut groups = arguments[2..].split(|argument| argument == "--").map(open);
    let (always, rarely) = (groups.next().unwrap(), groups.next().unwrap());
    let every = (10_000_000 / interval).max(1);
    let mut buffer = [0; 8192];
    unsafe { prctl(SET_TIMERSLACK, 1) };
    let start = now(MONOTONIC);
    for tick in 1..=duration / interval {
        let at = start + tick * interval;
        let time = Timespec { seconds: at / 1_000_000_000, nanos: at % 1_000_000_000 };
        unsafe { clock_nanosleep(MONOTONIC, ABSOLUTE, &time, std::ptr::null_mut()) };
        let rarely = if tick % every == 0 { &rarely[..] } else { &[] };
        for file in always.iter().chain(rarely) {
            let _ = file.read_at(&mut buffer, 0);
        }
    }
    println!("{}", now(PROCESS_CPU) as f64 / 1e9);
}
