//! CPU time of the machine by mode, from `/proc/stat` (proc_stat(5)).
//!
//! The kernel's counters are believed as far as the CPUs can have spent the time: in an interval that is its length for
//! each CPU. The kernel keeps the idle time and the iowait of a CPU that goes off line in another place (`get_idle_time`
//! in fs/proc/stat.c), so their sums jump by seconds, forwards or back; what a hypervisor tells of stolen time may jump
//! too.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use alumet::conventions::{CPU_MODE, SYSTEM_CPU_TIME};
use alumet::{
    Batch, Cadence, Clock, Contradiction, Gaps, Host, Interval, Series, SeriesId, Setup, Source, Time,
};
use anyhow::Context;

use crate::DETAILS_EVERY;

/// A first guess at the length of the lines of all CPUs, and the most that is read.
const BUFFER: [usize; 2] = [4096, 1 << 20];
/// A counter that is charged in whole ticks may be so many behind or ahead of the time, for each CPU.
const SLACK_TICKS: f64 = 2.0;
const IDLE: usize = 3;
/// In the order in which they are believed. Busy time is kept in one place and only grows.
const BELIEVED: [usize; 6] = [0, 1, 2, 5, 6, 4];

/// CPU time of all CPUs together since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuTimes {
    /// In clock ticks, in the order of [`CpuTimes::MODES`].
    pub ticks: [u64; 7],
    /// How many CPUs are on line.
    pub cpus: u32,
}

impl CpuTimes {
    /// OpenTelemetry's names of the modes. `interrupt` is hard and soft interrupts together; guests' time is in `user`
    /// and `nice`.
    pub const MODES: [&str; 7] = ["user", "nice", "system", "idle", "iowait", "interrupt", "steal"];

    /// Reads the first lines of `/proc/stat`; `None` if it is not that.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut lines = text.split(|b| *b == b'\n');
        let line = lines.next()?.strip_prefix(b"cpu ")?;
        let mut fields =
            std::str::from_utf8(line).ok()?.split_ascii_whitespace().map(|f| f.parse::<u64>().ok());
        let mut next = || fields.next().flatten();
        let [user, nice, system, idle] = [next()?, next()?, next()?, next()?];
        // The rest came with later kernels, and some containers' file systems leave it out.
        let [iowait, irq, softirq, steal] = [next(), next(), next(), next()].map(Option::unwrap_or_default);
        let interrupt = irq.checked_add(softirq)?;
        let cpus = lines.take_while(|line| line.starts_with(b"cpu")).count();
        Some(Self {
            ticks: [user, nice, system, idle, iowait, interrupt, steal],
            cpus: u32::try_from(cpus).ok()?.max(1),
        })
    }
}

/// Whether the lines of all CPUs are in this text.
fn has_all_cpus(text: &[u8]) -> bool {
    let last = text.split(|b| *b == b'\n').next_back().unwrap_or_default();
    !b"cpu".starts_with(&last[..last.len().min(3)])
}

/// The file, which is that when it was opened.
#[derive(Debug)]
pub struct Stat {
    file: File,
    buffer: Vec<u8>,
}

impl Stat {
    /// Opens it and reads it once.
    ///
    /// # Errors
    /// It cannot be read, or is not what it should be.
    pub fn open(host: &Host) -> anyhow::Result<Self> {
        let mut stat = Self { file: super::open(host, "stat")?, buffer: vec![0; BUFFER[0]] };
        stat.read()?;
        Ok(stat)
    }

    fn read(&mut self) -> anyhow::Result<CpuTimes> {
        let mut n = self.file.read_at(&mut self.buffer, 0).context("cannot read /proc/stat")?;
        while n == self.buffer.len() && n < BUFFER[1] && !has_all_cpus(&self.buffer) {
            self.buffer.resize(2 * n, 0);
            n = self.file.read_at(&mut self.buffer, 0).context("cannot read /proc/stat")?;
        }
        CpuTimes::parse(&self.buffer[..n]).context("/proc/stat is not in the expected form")
    }
}

/// The last reading, and what the CPUs can have spent since.
#[derive(Debug)]
struct Account {
    ticks_per_s: f64,
    last: Option<(Time, CpuTimes)>,
    /// So many ticks may be counted that were spent before the last reading.
    slack: f64,
    /// How often a counter showed what cannot be.
    jumps: u64,
}

impl Account {
    fn new(ticks_per_s: f64) -> Self {
        Self { ticks_per_s, last: None, slack: 0.0, jumps: 0 }
    }

    /// What was spent in each mode up to this reading, in ticks; nothing for the first one. The sum is never more than the
    /// CPUs have had since the first reading, but for the slack.
    fn to(&mut self, at: Time, now: CpuTimes) -> [f64; 7] {
        let Some((since, last)) = &mut self.last else {
            self.slack = SLACK_TICKS * f64::from(now.cpus);
            self.last = Some((at, now));
            return [0.0; 7];
        };
        let cpus = f64::from(last.cpus.max(now.cpus));
        let slack = self.slack;
        let room = cpus * at.since(*since).as_secs_f64() * self.ticks_per_s + slack;
        (*since, last.cpus) = (at, now.cpus);
        let mut left = room;
        let mut spent = [0.0; 7];
        let mut has_jumped = false;
        for mode in BELIEVED {
            let (mark, ticks) = (&mut last.ticks[mode], now.ticks[mode]);
            let back = mark.saturating_sub(ticks) as f64;
            // iowait steps back for a moment when a task that waits is moved (proc_stat(5)): it is not counted twice.
            if 0.0 < back && back <= cpus * self.ticks_per_s {
                continue;
            }
            let increase = ticks.saturating_sub(*mark) as f64;
            *mark = ticks;
            if back > 0.0 || increase > room {
                has_jumped = true;
                continue;
            }
            spent[mode] = increase.min(left);
            left -= spent[mode];
        }
        let idle = now.ticks[IDLE].checked_sub(last.ticks[IDLE]).map(|increase| increase as f64);
        last.ticks[IDLE] = now.ticks[IDLE];
        spent[IDLE] = match idle {
            Some(increase) if increase <= left => increase,
            // What the CPUs did not spend otherwise.
            jump => {
                has_jumped |= jump.is_none_or(|increase| increase > room);
                (left - slack).max(0.0)
            }
        };
        self.slack = (left - spent[IDLE]).clamp(0.0, SLACK_TICKS * cpus);
        self.jumps += u64::from(has_jumped);
        spent
    }
}

/// The source.
#[derive(Debug)]
pub struct Cpus {
    stat: Stat,
    series: [SeriesId; 7],
    account: Account,
    due: Cadence,
    clock: Arc<dyn Clock>,
    gaps: Gaps,
}

impl Cpus {
    /// Registers the series.
    ///
    /// # Errors
    /// A metric contradicts one of another plugin.
    pub fn new(stat: Stat, setup: &Setup<'_>, interval: Interval) -> Result<Self, Contradiction> {
        let mut series = Vec::new();
        for mode in CpuTimes::MODES {
            let of_mode = Series::new(SYSTEM_CPU_TIME).label(CPU_MODE, mode).method("/proc/stat");
            series.push(setup.series(of_mode)?);
        }
        Ok(Self {
            stat,
            series: series.try_into().expect("one for each mode"),
            account: Account::new(alumet::process::tick().as_secs_f64().recip()),
            due: Cadence::new(DETAILS_EVERY, interval.get()),
            clock: Arc::clone(setup.clock()),
            gaps: setup.gaps().clone(),
        })
    }
}

impl Source for Cpus {
    fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        // The times advance in ticks of 10 ms: between two of them there is nothing new.
        if !self.due.is_due() {
            return Ok(());
        }
        let times = self.stat.read()?;
        let spent = self.account.to(self.clock.now(), times);
        for (series, ticks) in self.series.iter().zip(spent) {
            out.push(*series, ticks / self.account.ticks_per_s);
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Batch) -> anyhow::Result<()> {
        if self.account.jumps > 0 {
            let often = match self.account.jumps {
                1 => "once".to_owned(),
                n => format!("{n} times"),
            };
            let reason = format!(
                "the kernel's counters jumped {often}, as they do when a CPU goes on or off line; taken instead is what the \
                 CPUs can have spent"
            );
            self.gaps.add("a part of the machine's idle or stolen time", reason, "");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_are_one_mode_and_guests_are_not_counted_twice() {
        let text = b"cpu  100 20 300 4000 50 6 7 8 90 1\ncpu0 1 2 3 4\ncpu7 1 2 3 4\nintr 12\n";
        let times = CpuTimes::parse(text).unwrap();
        assert_eq!((times.ticks, times.cpus), ([100, 20, 300, 4000, 50, 13, 8], 2));
        assert_eq!(
            CpuTimes::parse(b"cpu 1 2 3 4\n").unwrap(),
            CpuTimes { ticks: [1, 2, 3, 4, 0, 0, 0], cpus: 1 }
        );
        assert_eq!(CpuTimes::parse(b"intr 1 2 3\n"), None);
        let huge = format!("cpu 1 2 3 4 5 {0} {0} 8\n", u64::MAX);
        assert_eq!(CpuTimes::parse(huge.as_bytes()), None, "no wrapped sum");
    }

    #[test]
    fn a_text_that_is_cut_within_the_lines_of_the_cpus_is_seen() {
        for cut in ["cpu 1 2 3 4\ncpu0 1 2", "cpu 1 2 3 4\n", "cpu 1 2 3 4\ncp"] {
            assert!(!has_all_cpus(cut.as_bytes()), "{cut}");
        }
        assert!(has_all_cpus(b"cpu 1 2 3 4\ncpu0 1 2 3 4\nintr 55") && has_all_cpus(b"cpu 1 2 3 4\nin"));
    }

    /// Of three CPUs, at this millisecond.
    fn read(account: &mut Account, millis: u64, ticks: [u64; 7]) -> [f64; 7] {
        account.to(Time::from_nanos(millis * 1_000_000), CpuTimes { ticks, cpus: 3 })
    }

    #[test]
    fn what_the_kernel_charges_late_counts_two_ticks_for_each_cpu() {
        let mut account = Account::new(100.0);
        assert_eq!(read(&mut account, 0, [7; 7]), [0.0; 7], "the first reading is where it starts");
        assert_eq!(read(&mut account, 0, [13, 7, 7, 7, 7, 7, 7])[0], 6.0);
        assert_eq!(read(&mut account, 0, [14, 7, 7, 7, 7, 7, 7])[0], 0.0);
        // A second of which nothing was charged leaves no more than that for later.
        assert_eq!(read(&mut account, 1000, [14, 7, 7, 7, 7, 7, 7]), [0.0; 7]);
        assert_eq!(read(&mut account, 1000, [18, 9, 7, 7, 7, 7, 7])[..2], [4.0, 2.0]);
        assert_eq!(read(&mut account, 1000, [18, 9, 8, 7, 7, 7, 7])[2], 0.0);
    }

    #[test]
    fn a_counter_that_steps_back_for_a_moment_counts_nothing_twice_and_one_that_stays_back_goes_on() {
        let iowait = |ticks| [0, 0, 0, 0, ticks, 0, 0];
        let mut account = Account::new(100.0);
        let steps = [(0, 1000), (1000, 700), (2000, 1000), (3000, 1100), (4000, 799), (5000, 899)];
        let counted = steps.map(|(millis, ticks)| read(&mut account, millis, iowait(ticks))[4]);
        // Each CPU may step back by a second.
        assert_eq!(counted, [0.0, 0.0, 0.0, 100.0, 0.0, 100.0]);
        assert_eq!(account.jumps, 1);
    }

    #[test]
    fn idle_time_that_is_a_little_late_is_no_jump() {
        let mut account = Account::new(100.0);
        read(&mut account, 0, [0; 7]);
        // As much as there is room for, but another mode has a part of it.
        let spent = read(&mut account, 1000, [100, 0, 0, 306, 0, 0, 0]);
        assert_eq!((spent[0], spent[3], account.jumps), (100.0, 200.0, 0));
        let spent = read(&mut account, 2000, [100, 0, 0, 306 + 307, 0, 0, 0]);
        assert_eq!((spent[3], account.jumps), (300.0, 1));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = (CpuTimes::parse(&text), has_all_cpus(&text));
            let _ = CpuTimes::parse(&[b"cpu ", &text[..]].concat());
        }

        #[test]
        fn whatever_the_counters_do_no_run_has_more_than_its_cpus_times_its_length(
            readings in proptest::collection::vec(
                (1u64..2_000_000_000, 1u32..5, proptest::array::uniform7(proptest::prelude::prop_oneof![
                    0u64..1000, 0..=u64::MAX,
                ])),
                1..20,
            ),
        ) {
            let mut account = Account::new(100.0);
            account.to(Time::default(), CpuTimes { ticks: [0; 7], cpus: 4 });
            let (mut nanos, mut sum) = (0, 0.0);
            for (pause, cpus, ticks) in readings {
                nanos += pause;
                let spent = account.to(Time::from_nanos(nanos), CpuTimes { ticks, cpus });
                proptest::prop_assert!(spent.iter().all(|ticks| *ticks >= 0.0), "{spent:?}");
                sum += spent.iter().sum::<f64>();
                let most = 4.0 * nanos as f64 / 1e7 + 4.0 * SLACK_TICKS;
                proptest::prop_assert!(sum <= most * (1.0 + 1e-12), "{sum} of {most}");
            }
        }
    }
}
