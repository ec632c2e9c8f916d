//! The memory of the application: what its processes have resident at one time, each page once, however many of them share
//! it.
//!
//! For a process alone, that is its resident size, of which the kernel keeps the peak. For several, their shares are added up,
//! which are costly to read (twice 24 us for a small process, 10 ms for a resident gigabyte, while its address space is locked).
//! So they are read only if something has changed, in a fiftieth of the time while they may set a new peak, and in a
//! five-hundredth else: of what is in between nobody knows, and the peak of several processes is a lower bound.
//!
//! Page cache is in it as far as it is mapped: what is in the cache of files that are read depends on what was in it before.
//! The mark of the cgroup, which has all of it, and the kernel's own memory, stands apart.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use alumet::process::{Rollup, peak_resident};
use alumet::sysfs::read_real;
use alumet::target::{Target, threads};
use alumet::{Allowance, Batch, Bound, Consumer, Contradiction, Registry, Series, SeriesId};

use crate::kernel::page_size;
use crate::metrics::{MEMORY, MEMORY_PEAK, PEAK_SCOPE};
use crate::process::Reading;

/// How the memory of several processes is obtained, for a person.
const TOGETHER: &str = "/proc/PID/smaps_rollup, shared pages once";
/// Why the peak of several processes is not exact.
const SAMPLED: &str = "several processes together are seen at samples only";
/// Why it is even less so.
const HIDDEN: &str = "the memory of some processes may not be looked into, and counts as far as it is larger than that of all others";
/// Why the peak of one process is not exact.
const ONE_SAMPLED: &str = "it is the largest sample";
/// Why a peak may be that of alumet's own memory, which the process had before it was the application.
const OWN: &str = "it is too small, or the run too short, to be told from alumet's own";

/// After a reading, none is made for so many times as long as it took,
const GROWING: u32 = 50;
/// where there is hardly a new peak to be found.
const STEADY: u32 = 500;

/// Up to this size, the resident size of a process is looked up page by page: since Linux 6.2 the usual count lags behind by
/// up to some dozens of pages per CPU.
const SMALL: u64 = 16 << 20;

/// Keeps the memory of the tree.
#[derive(Debug)]
pub struct Memory {
    target: Arc<Target>,
    registry: Arc<Registry>,
    usage: SeriesId,
    /// Those that live at this reading.
    now: Vec<Mark>,
    /// Those whose memory was summed up last, and that sum.
    summed: (Vec<Mark>, u64),
    allowance: Allowance,
    /// The largest sums, in bytes, of all processes and of one.
    peaks: Peaks,
    /// Whether more than one process was seen, and whether one could not be looked into.
    seen_several: bool,
    hidden: bool,
    /// The peak of the process at the gate, in bytes: `ru_maxrss` survives exec, so the usage of a smaller application is this.
    gate: u64,
}

#[derive(Debug, Default)]
struct Peaks {
    tree: u64,
    process: u64,
    /// Whether the last sum of all was none.
    is_steady: bool,
    /// The most that a sum could have been.
    bound: u64,
}

impl Peaks {
    /// How long a reading can wait, in what the last one took, while the sum is at most `bound`: up to the peak it cannot be a
    /// new one, and if it was none the last time, it is hardly one while it can be no more than then.
    fn pause(&self, bound: u64) -> u32 {
        let is_as_before = self.is_steady && bound <= self.bound + self.bound / 50;
        if bound <= self.tree || is_as_before { STEADY } else { GROWING }
    }

    /// The sum was this, while it could have been `bound`.
    fn compare(&mut self, sum: u64, bound: u64) {
        self.is_steady = sum <= self.tree + self.tree / 100;
        self.bound = self.bound.max(bound);
    }
}

/// A living process at a reading. Its memory is as before if this is: to write to a page that it shared until then is a
/// fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    pid: i32,
    parent: i32,
    resident: u64,
    faults: u64,
}

/// A peak for a report.
#[derive(Debug, Clone, Copy)]
struct Peak {
    bytes: u64,
    method: &'static str,
    bound: Bound,
    reason: &'static str,
}

impl Memory {
    /// Registers the series.
    ///
    /// # Errors
    /// A metric contradicts one of another plugin.
    pub fn new(target: Arc<Target>, registry: &Arc<Registry>) -> Result<Self, Contradiction> {
        let usage = Series::new(MEMORY).consumer(Consumer::Target).method(TOGETHER);
        Ok(Self {
            target,
            usage: registry.series(usage)?,
            registry: Arc::clone(registry),
            now: Vec::new(),
            summed: (Vec::new(), 0),
            allowance: Allowance::new(Duration::ZERO, GROWING),
            peaks: Peaks::default(),
            seen_several: false,
            hidden: false,
            gate: 0,
        })
    }

    /// The process stands at the gate: its memory is alumet's.
    pub fn at_gate(&mut self) {
        let status = read_real(format!("/proc/{}/status", self.target.pid())).unwrap_or_default();
        self.gate = peak_resident(&status).unwrap_or(0);
    }

    /// All processes are about to be read.
    pub fn begin(&mut self) {
        self.now.clear();
    }

    /// One was read that lives and has executed the application.
    pub fn add(&mut self, pid: i32, reading: &Reading) {
        let resident = reading.resident_pages * page_size();
        let faults = reading.minor_faults + reading.major_faults;
        self.now.push(Mark { pid, parent: reading.parent, resident, faults });
    }

    /// All were read: pushes what they have together, if that is known now.
    pub fn push(&mut self, buffer: &mut [u8], out: &mut Batch) {
        if self.now.is_empty() {
            return;
        }
        self.seen_several |= self.now.len() > 1;
        let largest = self.now.iter().map(|mark| mark.resident).max().unwrap_or(0);
        self.peaks.process = self.peaks.process.max(largest);
        if let Some(bytes) = self.together(largest, buffer) {
            self.peaks.tree = self.peaks.tree.max(bytes);
            out.push(self.usage, bytes as f64);
        }
    }

    /// The memory of all that live, in bytes; `None` if to read it now would cost too much.
    fn together(&mut self, largest: u64, buffer: &mut [u8]) -> Option<u64> {
        let all: u64 = self.now.iter().map(|mark| mark.resident).sum();
        let is_alone = is_nearly_all(largest, all);
        if is_alone && largest > SMALL {
            return Some(largest);
        }
        if self.now == self.summed.0 {
            return Some(self.summed.1);
        }
        let otherwise = is_alone.then_some(largest);
        let bound = self.bound(all);
        let pause = self.peaks.pause(bound);
        let Some(begun) = self.allowance.begin_after(pause) else { return otherwise };
        let sum = self.sum(buffer);
        self.allowance.end(begun);
        self.peaks.compare(sum, bound);
        self.summed.0.clone_from(&self.now);
        self.summed.1 = sum.max(otherwise.unwrap_or(0));
        Some(self.summed.1)
    }

    /// The most that all that live can have together, whose resident sizes come to `all`: what they had at the last sum, what
    /// those that are new since have resident, and a page for each fault, by which alone somebody gets what he did not have
    /// or no longer shares what he had.
    fn bound(&self, all: u64) -> u64 {
        let before: HashMap<i32, &Mark> = self.summed.0.iter().map(|mark| (mark.pid, mark)).collect();
        let more = |mark: &Mark| match before.get(&mark.pid) {
            Some(before) => {
                let pages = mark.faults.saturating_sub(before.faults);
                mark.resident.saturating_sub(before.resident) + pages * page_size()
            }
            None => mark.resident,
        };
        all.min(self.summed.1 + self.now.iter().map(more).sum::<u64>())
    }

    /// What all that live have together.
    ///
    /// They are read one after the other, and meanwhile they map, copy, fork and end: a page that counts with one who is read
    /// early, and ends, counts again with those who are read late, and the sum is more than there ever was. So all are read,
    /// and then all again. Of each counts what it had both times, and so also in between, when all the others had theirs.
    /// Too much is only what somebody gives up and then gets anew within this time, which is short: to get memory takes ten
    /// times as long as to read its share.
    fn sum(&mut self, buffer: &mut [u8]) -> u64 {
        let first = self.read(buffer);
        let parts: Vec<Part> = if self.now.len() == 1 {
            first.into_iter().flatten().collect()
        } else {
            let both = first.into_iter().zip(self.read(buffer));
            both.filter_map(|(first, second)| Some(first?.common(second?))).collect()
        };
        Shares::of(&parts).sum()
    }

    /// Reads the memory of each that lives; `None` if that has ended since, or is that of its parent.
    fn read(&mut self, buffer: &mut [u8]) -> Vec<Option<Part>> {
        let mut read: Vec<(i32, Rollup)> = Vec::with_capacity(self.now.len());
        let mut parts = Vec::with_capacity(self.now.len());
        for mark in &self.now {
            parts.push(match rollup(mark.pid, buffer) {
                Ok(rollup) => {
                    // Parents come before their children.
                    let parent = read.iter().rfind(|(pid, _)| *pid == mark.parent);
                    let is_own = !parent.is_some_and(|parent| is_same_memory(*parent, (mark.pid, rollup)));
                    is_own.then(|| {
                        read.push((mark.pid, rollup));
                        Part::of(&rollup)
                    })
                }
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => None,
                Err(_) => {
                    self.hidden = true;
                    Some(Part { resident: mark.resident, ..Part::default() })
                }
            });
        }
        let largest = parts.iter().flatten().map(|part| part.resident).max();
        self.peaks.process = self.peaks.process.max(largest.unwrap_or(0));
        parts
    }

    /// After the last reading, of those that live on: pushes the peaks. `is_whole` says that nothing contradicts that everything was reaped by alumet or by processes that
    /// it has reaped.
    ///
    /// # Errors
    /// A metric contradicts one of another plugin.
    pub fn finish(&mut self, is_whole: bool, out: &mut Batch) -> Result<(), Contradiction> {
        let largest = self.largest();
        let was_alone = self.target.was_alone() && !self.seen_several && self.now.is_empty() && is_whole;
        // The tree was never smaller than its largest process.
        let known = if largest.bound == Bound::AtMost { 0 } else { largest.bytes };
        let tree = if was_alone {
            Peak { bytes: largest.bytes.max(self.peaks.tree), ..largest }
        } else {
            let reason = if self.hidden { HIDDEN } else { SAMPLED };
            Peak { bytes: self.peaks.tree.max(known), method: TOGETHER, bound: Bound::AtLeast, reason }
        };
        self.push_peak("largest_process", largest, out)?;
        if tree.bytes > 0 {
            self.push_peak("tree", tree, out)?;
        }
        if let Some(bytes) = self.target.cgroup().ok().and_then(|cgroup| cgroup.memory_peak()) {
            let mark = Peak { bytes, method: "cgroup memory.peak", bound: Bound::Exact, reason: "" };
            self.push_peak("cgroup", mark, out)?;
        }
        Ok(())
    }

    fn push_peak(&self, scope: &str, peak: Peak, out: &mut Batch) -> Result<(), Contradiction> {
        let series = Series::new(MEMORY_PEAK).consumer(Consumer::Target).label(PEAK_SCOPE, scope);
        let series = self.registry.series(series.method(peak.method))?;
        out.push(series, peak.bytes as f64);
        out.bound(series, peak.bound, peak.reason);
        Ok(())
    }

    /// The peak of the largest process.
    fn largest(&self) -> Peak {
        let sampled = |bytes, method| Peak { bytes, method, bound: Bound::AtLeast, reason: ONE_SAMPLED };
        if self.target.is_attached() {
            // The kernel's own mark may be from before the run.
            return sampled(self.peaks.process, "/proc/PID, largest sample");
        }
        let status = |mark: &Mark| read_real(format!("/proc/{}/status", mark.pid)).ok();
        let living = self.now.iter().filter_map(|mark| peak_resident(&status(mark)?));
        let reaped = self.target.reaped().peak_resident;
        let mark = living.max().unwrap_or(0);
        // Between the gate and exec the process touches more pages: 70 were measured, and each fault maps up to 16.
        if mark.max(reaped) > self.gate + 128 * page_size() {
            Peak { bytes: mark.max(reaped), method: "rusage", bound: Bound::Exact, reason: "" }
        } else if mark.max(self.peaks.process) > 0 {
            sampled(mark.max(self.peaks.process), "/proc/PID, largest sample; too small for rusage")
        } else {
            Peak { bytes: reaped, method: "rusage", bound: Bound::AtMost, reason: OWN }
        }
    }
}

/// Whether one process has all that is resident but for a hundredth of what it has.
fn is_nearly_all(largest: u64, all: u64) -> bool {
    (all - largest) * 100 <= largest
}

/// The memory of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Part {
    /// What falls to it of anonymous pages, if all that share a page do it evenly.
    anonymous: u64,
    /// What falls to it of files and of shared memory.
    mapped: u64,
    /// All of these that it maps, not only what falls to it.
    all_mapped: u64,
    /// Its resident size.
    resident: u64,
}

impl Part {
    fn of(rollup: &Rollup) -> Self {
        let anonymous = rollup.proportional_anonymous.min(rollup.proportional);
        Self {
            anonymous,
            mapped: rollup.proportional - anonymous,
            all_mapped: rollup.resident.saturating_sub(rollup.anonymous),
            resident: rollup.resident,
        }
    }

    /// What it had at two times.
    fn common(self, other: Self) -> Self {
        Self {
            anonymous: self.anonymous.min(other.anonymous),
            mapped: self.mapped.min(other.mapped),
            all_mapped: self.all_mapped.min(other.all_mapped),
            resident: self.resident.min(other.resident),
        }
    }
}

/// The memory of several processes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Shares {
    anonymous: u64,
    mapped: u64,
    /// All that the process maps that maps most.
    most_mapped: u64,
    /// The resident size of the largest process.
    largest: u64,
}

impl Shares {
    fn of(processes: &[Part]) -> Self {
        let mut shares = Self::default();
        for part in processes {
            shares.anonymous += part.anonymous;
            shares.mapped += part.mapped;
            shares.most_mapped = shares.most_mapped.max(part.all_mapped);
            shares.largest = shares.largest.max(part.resident);
        }
        shares
    }

    /// What they have together: never more, and less only by files that others map as well, such as the C library, where each
    /// of the processes maps other ones.
    fn sum(self) -> u64 {
        (self.anonymous + self.mapped.max(self.most_mapped)).max(self.largest)
    }
}

/// Reads the memory of a process. If its main thread has ended, the others have it.
fn rollup(pid: i32, buffer: &mut [u8]) -> io::Result<Rollup> {
    let mut read = |path: String| {
        // Not kept open: a process that executes another program leaves the memory behind that it was opened on.
        let n = File::open(path)?.read_at(buffer, 0)?;
        Rollup::parse(&buffer[..n]).map_err(io::Error::other)
    };
    match read(format!("/proc/{pid}/smaps_rollup")) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
            let mut others = threads(pid).filter(|tid| *tid != pid);
            others.find_map(|tid| read(format!("/proc/{pid}/task/{tid}/smaps_rollup")).ok()).ok_or(error)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && fs::exists("/proc/self/smaps_rollup")? => {
            Err(io::Error::from_raw_os_error(libc::ESRCH))
        }
        result => result,
    }
}

/// Whether a child shares the memory of its parent as a whole, as after vfork(2) until it executes something: then it is the
/// same memory, and neither has a part of it.
fn is_same_memory((parent, a): (i32, Rollup), (child, b): (i32, Rollup)) -> bool {
    /// From linux/kcmp.h.
    const KCMP_VM: libc::c_int = 1;
    if a.start != b.start {
        return false;
    }
    // SAFETY: kcmp takes numbers and touches no memory.
    match unsafe {
        libc::syscall(libc::SYS_kcmp, parent, child, KCMP_VM, 0 as libc::c_ulong, 0 as libc::c_ulong)
    } {
        // Not every kernel can tell. One that was forked has lost pages, or gained some.
        -1 => a.resident == b.resident,
        order => order == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    fn process(resident: u64, anonymous: u64, proportional_anonymous: u64, proportional_mapped: u64) -> Part {
        Part::of(&Rollup {
            start: 0,
            resident,
            anonymous,
            proportional: proportional_anonymous + proportional_mapped,
            proportional_anonymous,
        })
    }

    fn sum(processes: &[Part]) -> u64 {
        Shares::of(processes).sum()
    }

    #[test]
    fn a_process_beside_which_the_others_are_small_is_nearly_all() {
        for (largest, others, expected) in
            [(0, 0, true), (500, 0, true), (500, 5, true), (500, 6, false), (5, 5, false)]
        {
            assert_eq!(is_nearly_all(largest, largest + others), expected, "{largest} and {others}");
        }
    }

    #[test]
    fn what_forks_share_counts_once() {
        // 60 MB, and five children that have copied 1 MB each; all map 2 MB of files that half the machine maps.
        let mut all = vec![process(62 * MB, 60 * MB, 10 * MB, 20_000)];
        all.extend([process(62 * MB, 60 * MB, 11 * MB, 20_000); 5]);
        assert_eq!(sum(&all), 67 * MB);
    }

    /// Three share 60 MB. The second ends when it and the first have been read: what fell to it falls to the others.
    #[test]
    fn what_falls_to_a_process_because_another_ends_counts_only_if_it_fell_to_it_all_the_time() {
        let of = |shared| process(60 * MB, 60 * MB, shared, 0);
        let first = [of(20 * MB), of(20 * MB), of(30 * MB)];
        assert_eq!(sum(&first), 70 * MB);
        // Of the second there is nothing more.
        let common = [first[0].common(of(30 * MB)), first[2].common(of(30 * MB))];
        assert_eq!(sum(&common), 60 * MB);
    }

    #[test]
    fn what_can_hardly_be_a_new_peak_is_read_more_seldom() {
        let mut peaks = Peaks::default();
        let mut read = |sum: u64, bound: u64| {
            let pause = peaks.pause(bound * MB);
            peaks.compare(sum * MB, bound * MB);
            peaks.tree = peaks.tree.max(sum * MB);
            pause
        };
        assert_eq!([read(20, 120), read(70, 120), read(120, 120)], [GROWING; 3], "copies of what was shared");
        assert_eq!([read(120, 120), read(120, 121)], [STEADY; 2], "nobody has copied more");
        assert_eq!([read(60, 110), read(119, 120)], [STEADY; 2], "no more than the peak");
        assert_eq!([read(100, 200), read(100, 202)], [GROWING, STEADY], "shared, as it was");
        assert_eq!(read(150, 230), GROWING);
    }

    #[test]
    fn a_process_alone_has_all_that_it_has_resident() {
        assert_eq!(sum(&[process(9 * MB, 2 * MB, 2 * MB, MB)]), 9 * MB);
        // Attached to: its parent, which is none of the tree, shares what it has.
        assert_eq!(sum(&[process(9 * MB, 7 * MB, 3 * MB, MB)]), 9 * MB);
    }

    #[test]
    fn files_count_as_those_of_the_process_that_maps_most_or_as_their_parts_if_that_is_more() {
        let libraries = [process(5 * MB, MB, MB, MB), process(6 * MB, MB, MB, MB)];
        assert_eq!(sum(&libraries), 2 * MB + 5 * MB);
        let different = [process(5 * MB, MB, MB, 4 * MB), process(6 * MB, MB, MB, 5 * MB)];
        assert_eq!(sum(&different), 2 * MB + 9 * MB);
    }

    #[test]
    fn the_memory_of_a_process_is_read_in_full_and_that_of_none_is_an_error() {
        let mut buffer = vec![0; 8192];
        let before = rollup(std::process::id() as i32, &mut buffer).unwrap();
        let memory = std::hint::black_box(vec![1u8; 30 * MB as usize]);
        let after = rollup(std::process::id() as i32, &mut buffer).unwrap();
        let grown = after.resident - before.resident;
        // Other tests allocate as well, little in comparison.
        assert!((29 * MB..33 * MB).contains(&grown), "{grown}");
        drop(memory);
        assert_eq!(rollup(i32::MAX, &mut buffer).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }
}
