//! Memory of the machine by state, from `/proc/meminfo` (proc_meminfo(5)).

use std::fs::File;
use std::os::unix::fs::FileExt;

use alumet::{Batch, Cadence, Contradiction, Host, Interval, Series, SeriesId, Setup, Source};
use anyhow::Context;

use crate::DETAILS_EVERY;
use crate::metrics::{SYSTEM_MEMORY, SYSTEM_MEMORY_AVAILABLE};

/// The machine's memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct States {
    /// Not free, not buffers, not cache.
    pub used: u64,
    /// Unused.
    pub free: u64,
    /// Buffers of block devices.
    pub buffers: u64,
    /// Page cache and reclaimable slabs.
    pub cached: u64,
    /// What programs could get without swapping, by the kernel's estimate.
    pub available: u64,
}

impl States {
    /// Reads `/proc/meminfo`; `None` if it is not that.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let [mut total, mut free, mut available, mut buffers, mut cached, mut slab] = [None; 6];
        for line in text.split(|b| *b == b'\n') {
            let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
            let place = match &line[..colon] {
                b"MemTotal" => &mut total,
                b"MemFree" => &mut free,
                b"MemAvailable" => &mut available,
                b"Buffers" => &mut buffers,
                b"Cached" => &mut cached,
                b"SReclaimable" => {
                    slab = bytes(&line[colon + 1..]);
                    // Everything that is wanted stands before or on this line.
                    break;
                }
                _ => continue,
            };
            *place = bytes(&line[colon + 1..]);
        }
        let (total, free, buffers) = (total?, free?, buffers.unwrap_or(0));
        let cached = cached.unwrap_or(0).checked_add(slab.unwrap_or(0))?;
        Some(Self {
            used: total.saturating_sub(free.checked_add(buffers)?.checked_add(cached)?),
            free,
            buffers,
            cached,
            available: available.unwrap_or(free),
        })
    }
}

fn bytes(text: &[u8]) -> Option<u64> {
    let number = text.trim_ascii().strip_suffix(b" kB")?;
    std::str::from_utf8(number).ok()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The file, which is that when it was opened.
#[derive(Debug)]
pub struct Meminfo {
    file: File,
    buffer: Vec<u8>,
}

impl Meminfo {
    /// Opens it and reads it once.
    ///
    /// # Errors
    /// It cannot be read, or is not what it should be.
    pub fn open(host: &Host) -> anyhow::Result<Self> {
        let mut meminfo = Self { file: super::open(host, "meminfo")?, buffer: vec![0; 8192] };
        meminfo.read()?;
        Ok(meminfo)
    }

    fn read(&mut self) -> anyhow::Result<States> {
        let n = self.file.read_at(&mut self.buffer, 0).context("cannot read /proc/meminfo")?;
        States::parse(&self.buffer[..n]).context("/proc/meminfo is not in the expected form")
    }
}

/// The source.
#[derive(Debug)]
pub struct Memory {
    meminfo: Meminfo,
    states: [SeriesId; 4],
    available: SeriesId,
    due: Cadence,
}

impl Memory {
    /// Registers the series.
    ///
    /// # Errors
    /// A metric contradicts one of another plugin.
    pub fn new(meminfo: Meminfo, setup: &Setup<'_>, interval: Interval) -> Result<Self, Contradiction> {
        let state = |state: &str| {
            let series =
                Series::new(SYSTEM_MEMORY).label("system.memory.state", state).method("/proc/meminfo");
            setup.series(series)
        };
        Ok(Self {
            meminfo,
            states: [state("used")?, state("free")?, state("buffers")?, state("cached")?],
            available: setup.series(Series::new(SYSTEM_MEMORY_AVAILABLE).method("/proc/meminfo"))?,
            due: Cadence::new(DETAILS_EVERY, interval.get()),
        })
    }
}

impl Source for Memory {
    fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        if !self.due.is_due() {
            return Ok(());
        }
        let memory = self.meminfo.read()?;
        let states = [memory.used, memory.free, memory.buffers, memory.cached];
        for (series, bytes) in self.states.iter().zip(states) {
            out.push(*series, bytes as f64);
        }
        out.push(self.available, memory.available as f64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "MemTotal:       1000 kB\nMemFree:         200 kB\nMemAvailable:    600 kB\n\
        Buffers:          10 kB\nCached:          300 kB\nSwapCached: 5 kB\nSReclaimable:     40 kB\n";

    #[test]
    fn the_states_of_memory_add_up_to_the_total() {
        let memory = States::parse(TEXT.as_bytes()).unwrap();
        assert_eq!(memory.used + memory.free + memory.buffers + memory.cached, 1000 * 1024);
        assert_eq!((memory.cached, memory.available), (340 * 1024, 600 * 1024));
        assert_eq!(States::parse(b"MemTotal: x kB\n"), None);
    }

    #[test]
    fn what_an_older_kernel_does_not_tell_is_not_there() {
        let memory = States::parse(b"MemTotal: 1000 kB\nMemFree: 200 kB\n").unwrap();
        let kib = |n: u64| n * 1024;
        assert_eq!((memory.used, memory.buffers, memory.cached), (kib(800), 0, 0));
        // Without an estimate of its own, what is free is available.
        assert_eq!(memory.available, kib(200));
    }

    #[test]
    fn numbers_that_no_machine_has_are_refused_and_do_not_wrap() {
        let of = |name: &str, kib: u64| TEXT.replace(name, &format!("{name}: {kib} kB\nOld")).into_bytes();
        assert_eq!(States::parse(&of("MemTotal", u64::MAX)), None);
        assert_eq!(States::parse(&of("SReclaimable", u64::MAX / 1024)), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = States::parse(&text);
        }
    }
}
