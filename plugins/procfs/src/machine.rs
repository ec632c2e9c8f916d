//! The machine: CPU time by mode and memory by state, from `/proc/stat` and `/proc/meminfo` (proc_stat(5),
//! proc_meminfo(5)).

use std::fs::File;
use std::os::unix::fs::FileExt;

use alumet::conventions::{CPU_MODE, SYSTEM_CPU_TIME};
use alumet::{Batch, Cadence, Host, Increase, Interval, Series, SeriesId, Setup, Source};
use anyhow::Context;

use crate::DETAILS_EVERY;
use crate::metrics::{SYSTEM_MEMORY, SYSTEM_MEMORY_AVAILABLE};

/// CPU time of all CPUs together since boot, in clock ticks, in the order of [`CpuTimes::MODES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuTimes(pub [u64; 7]);

impl CpuTimes {
    /// OpenTelemetry's names of the modes. `interrupt` is hard and soft interrupts together; guests' time is in `user`
    /// and `nice`.
    pub const MODES: [&str; 7] = ["user", "nice", "system", "idle", "iowait", "interrupt", "steal"];

    /// Reads the first line of `/proc/stat`; `None` if it is not that.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let line = text.split(|b| *b == b'\n').next()?.strip_prefix(b"cpu ")?;
        let mut fields =
            std::str::from_utf8(line).ok()?.split_ascii_whitespace().map(|f| f.parse::<u64>().ok());
        let mut next = || fields.next().flatten();
        let [user, nice, system, idle] = [next()?, next()?, next()?, next()?];
        // The rest came with later kernels, and some containers' file systems leave it out.
        let [iowait, irq, softirq, steal] = [next(), next(), next(), next()].map(Option::unwrap_or_default);
        Some(Self([user, nice, system, idle, iowait, irq + softirq, steal]))
    }
}

/// The machine's memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
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

impl Memory {
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
                    slab = kib(&line[colon + 1..]);
                    // Everything that is wanted stands before or on this line.
                    break;
                }
                _ => continue,
            };
            *place = kib(&line[colon + 1..]);
        }
        let (total, free, buffers) = (total?, free?, buffers.unwrap_or(0));
        let cached = cached.unwrap_or(0) + slab.unwrap_or(0);
        Some(Self {
            used: total.saturating_sub(free + buffers + cached),
            free,
            buffers,
            cached,
            available: available.unwrap_or(free),
        })
    }
}

fn kib(text: &[u8]) -> Option<u64> {
    let number = text.trim_ascii().strip_suffix(b" kB")?;
    Some(std::str::from_utf8(number).ok()?.parse::<u64>().ok()? * 1024)
}

/// The source.
#[derive(Debug)]
pub struct Machine {
    stat: File,
    meminfo: File,
    ticks_per_s: f64,
    cpu: [(SeriesId, Increase); 7],
    states: [SeriesId; 4],
    available: SeriesId,
    due: Cadence,
    buffer: Vec<u8>,
}

impl Machine {
    /// Opens the files and registers the series.
    ///
    /// # Errors
    /// A file cannot be opened, or is not what it should be.
    pub fn open(setup: &Setup<'_>, interval: Interval) -> anyhow::Result<Self> {
        let mut cpu = Vec::new();
        for mode in CpuTimes::MODES {
            let series = Series::new(SYSTEM_CPU_TIME).label(CPU_MODE, mode).method("/proc/stat");
            cpu.push((setup.series(series)?, Increase::default()));
        }
        let state = |state: &str| {
            let series =
                Series::new(SYSTEM_MEMORY).label("system.memory.state", state).method("/proc/meminfo");
            setup.series(series)
        };
        let mut machine = Self {
            stat: open(setup.host(), "stat")?,
            meminfo: open(setup.host(), "meminfo")?,
            ticks_per_s: alumet::process::tick().as_secs_f64().recip(),
            cpu: cpu.try_into().expect("one for each mode"),
            states: [state("used")?, state("free")?, state("buffers")?, state("cached")?],
            available: setup.series(Series::new(SYSTEM_MEMORY_AVAILABLE).method("/proc/meminfo"))?,
            due: Cadence::new(DETAILS_EVERY, interval.get()),
            buffer: vec![0; 8192],
        };
        // What cannot be read should be known before the application starts.
        machine.times()?;
        machine.memory()?;
        Ok(machine)
    }

    fn times(&mut self) -> anyhow::Result<CpuTimes> {
        // The first line is enough, however many CPUs and interrupts there are.
        let n = self.stat.read_at(&mut self.buffer[..256], 0).context("cannot read /proc/stat")?;
        CpuTimes::parse(&self.buffer[..n]).context("/proc/stat is not in the expected form")
    }

    fn memory(&mut self) -> anyhow::Result<Memory> {
        let n = self.meminfo.read_at(&mut self.buffer, 0).context("cannot read /proc/meminfo")?;
        Memory::parse(&self.buffer[..n]).context("/proc/meminfo is not in the expected form")
    }
}

impl Source for Machine {
    fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        // The times advance in ticks of 10 ms: between two of them there is nothing new.
        if !self.due.is_due() {
            return Ok(());
        }
        let times = self.times()?;
        for ((series, increase), ticks) in self.cpu.iter_mut().zip(times.0) {
            out.push(*series, increase.to(ticks) as f64 / self.ticks_per_s);
        }
        let memory = self.memory()?;
        for (series, bytes) in
            self.states.iter().zip([memory.used, memory.free, memory.buffers, memory.cached])
        {
            out.push(*series, bytes as f64);
        }
        out.push(self.available, memory.available as f64);
        Ok(())
    }
}

fn open(host: &Host, name: &str) -> anyhow::Result<File> {
    let path = host.procfs(name);
    File::open(&path).with_context(|| format!("cannot open {}", path.display()))
}

/// One reading, to see whether it works.
///
/// # Errors
/// A file is missing or is not what it should be.
pub fn read_all(host: &Host) -> anyhow::Result<(CpuTimes, Memory)> {
    let read = |name: &str| {
        let path = host.procfs(name);
        std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let times = CpuTimes::parse(&read("stat")?).context("stat is not in the expected form")?;
    let memory = Memory::parse(&read("meminfo")?).context("meminfo is not in the expected form")?;
    Ok((times, memory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_are_one_mode_and_guests_are_not_counted_twice() {
        let text = b"cpu  100 20 300 4000 50 6 7 8 90 1\ncpu0 1 2 3 4\n";
        assert_eq!(CpuTimes::parse(text).unwrap().0, [100, 20, 300, 4000, 50, 13, 8]);
        assert_eq!(CpuTimes::parse(b"cpu 1 2 3 4\n").unwrap().0, [1, 2, 3, 4, 0, 0, 0]);
        assert_eq!(CpuTimes::parse(b"intr 1 2 3\n"), None);
    }

    #[test]
    fn the_states_of_memory_add_up_to_the_total() {
        let text = b"MemTotal:       1000 kB\nMemFree:         200 kB\nMemAvailable:    600 kB\n\
            Buffers:          10 kB\nCached:          300 kB\nSwapCached: 5 kB\nSReclaimable:     40 kB\n";
        let memory = Memory::parse(text).unwrap();
        assert_eq!(memory.used + memory.free + memory.buffers + memory.cached, 1000 * 1024);
        assert_eq!((memory.cached, memory.available), (340 * 1024, 600 * 1024));
        assert_eq!(Memory::parse(b"MemTotal: x kB\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = (CpuTimes::parse(&text), Memory::parse(&text));
            let _ = CpuTimes::parse(&[b"cpu ", &text[..]].concat());
        }
    }
}
