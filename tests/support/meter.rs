//! A machine's energy counters with a known truth, for tests: `meter DIR OPTION... PIECE...` makes a tree below DIR as
//! the kernel has one below /sys, with RAPL zones in powercap, and advances them every millisecond.
//!
//! - `zone=ID/NAME/SHARE` adds a zone (`zone=intel-rapl:0/package-0/1`) that counts SHARE of the watts
//! - `range=UJ`           where the counters wrap
//! - `control=FILE`       by whose number the watts are multiplied, if it is there
//! - `MS@W`, `MS@W-W`     a piece of the curve of watts: constant, or a ramp. The curve is repeated.
//!
//! Prints `ready` when the first values are there. When its standard input ends, it prints what it has written of a zone
//! with a share of 1, one line each: nanoseconds of CLOCK_MONOTONIC, and the exact energy so far in joules. Between two
//! lines of one piece the energy runs as the curve says.

use std::ffi::{c_int, c_long, c_ulong};
use std::fs::{File, OpenOptions, create_dir_all, write};
use std::io::Read;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanos: c_long,
}

unsafe extern "C" {
    fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
    fn clock_nanosleep(clock: c_int, flags: c_int, until: *const Timespec, rest: *mut Timespec) -> c_int;
    fn prctl(option: c_int, value: c_ulong) -> c_int;
    fn sched_setscheduler(pid: c_int, policy: c_int, priority: *const c_int) -> c_int;
}

const MONOTONIC: c_int = 1;
const PERIOD: u64 = 1_000_000;

fn now() -> u64 {
    let mut time = Timespec { seconds: 0, nanos: 0 };
    unsafe { clock_gettime(MONOTONIC, &mut time) };
    time.seconds as u64 * 1_000_000_000 + time.nanos as u64
}

fn sleep_until(nanos: u64) {
    let time = Timespec { seconds: (nanos / 1_000_000_000) as i64, nanos: (nanos % 1_000_000_000) as c_long };
    unsafe { clock_nanosleep(MONOTONIC, 1, &time, std::ptr::null_mut()) };
}

/// So long from the one power to the other.
struct Piece {
    seconds: f64,
    watts: (f64, f64),
}

impl Piece {
    fn parse(text: &str) -> Self {
        let (ms, watts) = text.split_once('@').unwrap();
        let (from, to) = watts.split_once('-').unwrap_or((watts, watts));
        Self { seconds: ms.parse::<f64>().unwrap() / 1e3, watts: (from.parse().unwrap(), to.parse().unwrap()) }
    }

    /// After so many seconds of it.
    fn energy(&self, seconds: f64) -> f64 {
        let (from, to) = self.watts;
        from * seconds + (to - from) * seconds * seconds / (2.0 * self.seconds)
    }
}

/// The energy of the curve after so many seconds.
fn energy(curve: &[Piece], seconds: f64) -> f64 {
    let length: f64 = curve.iter().map(|piece| piece.seconds).sum();
    let whole: f64 = curve.iter().map(|piece| piece.energy(piece.seconds)).sum();
    let mut rest = seconds % length;
    let mut sum = whole * (seconds / length).floor();
    for piece in curve {
        let part = rest.min(piece.seconds);
        sum += piece.energy(part);
        rest -= part;
    }
    sum
}

struct Zone {
    file: File,
    share: f64,
}

impl Zone {
    /// Inside its parent, and linked from the class, as the kernel does.
    fn make(root: &Path, text: &str, range: u64) -> Self {
        let [id, name, share] = text.split('/').collect::<Vec<_>>().try_into().unwrap();
        let places: Vec<_> = id.match_indices(':').map(|(i, _)| &id[..i]).chain([id]).collect();
        let place = Path::new("devices/virtual/powercap").join(places.join("/"));
        let dir = root.join(&place);
        create_dir_all(&dir).unwrap();
        create_dir_all(root.join("class/powercap")).unwrap();
        for (link, to) in [(id, place.as_path()), (places[0], place.ancestors().nth(places.len() - 1).unwrap())] {
            // The control type is linked once.
            let _ = symlink(Path::new("../..").join(to), root.join("class/powercap").join(link));
        }
        write(dir.join("name"), format!("{name}\n")).unwrap();
        write(dir.join("max_energy_range_uj"), format!("{range}\n")).unwrap();
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(dir.join("energy_uj")).unwrap();
        Self { file, share: share.parse().unwrap() }
    }

    /// One write, always as long: nobody ever reads half of it.
    fn show(&self, joules: f64, range: u64) {
        let value = (joules * self.share * 1e6) as u64 % (range + 1);
        self.file.write_all_at(format!("{value:<20}\n").as_bytes(), 0).unwrap();
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let root = Path::new(&words[0]);
    let option = |name| words[1..].iter().filter_map(move |word| word.strip_prefix(name));
    let range = option("range=").next().map_or(262_143_328_850, |text| text.parse().unwrap());
    let zones: Vec<Zone> = option("zone=").map(|text| Zone::make(root, text, range)).collect();
    let curve: Vec<Piece> = words[1..].iter().filter(|word| word.contains('@')).map(|w| Piece::parse(w)).collect();
    unsafe {
        // PR_SET_TIMERSLACK, and SCHED_FIFO where it is allowed: the kernel's counters are never late.
        prctl(29, 1);
        sched_setscheduler(0, 1, &50);
    }
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        end.store(true, Ordering::Relaxed);
    });
    // No register is at 0 when a run begins.
    const BEFORE: f64 = 1.0;
    let start = now();
    let mut log = Vec::new();
    let control = option("control=").next();
    let factor = || -> Option<f64> { std::fs::read_to_string(control?).ok()?.trim().parse().ok() };
    let (mut next, mut last, mut joules) = (start, 0.0, BEFORE);
    while !ended.load(Ordering::Relaxed) {
        let time = now();
        let planned = energy(&curve, (time - start) as f64 / 1e9);
        joules += (planned - last) * factor().unwrap_or(1.0);
        last = planned;
        zones.iter().for_each(|zone| zone.show(joules, range));
        if log.is_empty() {
            println!("ready");
        }
        log.push((time, joules));
        next = (next + PERIOD).max(time);
        sleep_until(next);
    }
    let lines: Vec<String> = log.iter().map(|(time, joules)| format!("{time} {joules:.9}\n")).collect();
    print!("{}", lines.concat());
}
