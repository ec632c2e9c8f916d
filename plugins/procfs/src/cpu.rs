//! The CPU time of the tree: no less than any witness knows.
//!
//! The cgroup knows of all that its members have used, in it, whoever waits for them; not of who has left it. The processes
//! themselves, and what was reaped, know of everybody who is waited for, wherever they are. A task clock on each thread,
//! inherited, knows of everybody, but not of what a process uses while it ends; it goes on while an interrupt or a
//! hypervisor has the CPU, which is taken off. So none of them knows more than the truth, and that is at least the largest.

use std::time::Duration;

use alumet::Target;
use alumet::process::tick;
use alumet::target::CpuStat;

use crate::clock::TaskClock;
use crate::counters::Counters;
use crate::kernel::nanos;

/// Witnesses that know the same differ by less: a thousandth was measured with 2,000 short processes, and times of living
/// parents come in ticks.
const SHARE: f64 = 0.005;
const ALWAYS: Duration = Duration::from_millis(2);
/// The machine's times are cut to ticks of 10 ms for each CPU and mode.
const CUT: Duration = Duration::from_millis(50);

/// Where the CPU time comes from, besides the processes themselves.
#[derive(Debug)]
pub struct Cpu {
    /// What the cgroup had counted at the start of the run, and at the last reading: the application may remove it.
    cgroup: Option<[CpuStat; 2]>,
    clock: Option<TaskClock>,
    /// What hypervisors and interrupts had had of the CPUs; `None` if that cannot be read.
    lost_at_start: Option<Duration>,
    split: Split,
}

/// What is known of the CPU time when the application has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The witnesses agree.
    Whole,
    /// So much, in nanoseconds, is known to the cgroup alone: processes have used it for which nobody has waited.
    NobodyWaited(u64),
    /// So much, in nanoseconds, is not in the cgroup: processes have used it that have left that.
    LeftCgroup(u64),
}

impl Cpu {
    /// Of a target that was launched, its cgroup where it has one; of others a task clock where one may be opened.
    pub fn of(target: &Target) -> Self {
        let cgroup = target.cgroup().is_ok().then(Default::default);
        let clock = if target.is_attached() { TaskClock::open(target).ok() } else { None };
        Self { cgroup, clock, lost_at_start: None, split: Split::default() }
    }

    /// In a few words.
    pub fn method(&self) -> &'static str {
        match self {
            Self { cgroup: Some(_), .. } => "cgroup cpu.stat, and wait4 where that knows more",
            Self { clock: Some(_), .. } => {
                "task-clock of all threads, inherited, and what /proc/PID knows more"
            }
            _ => "/proc/PID and wait4",
        }
    }

    /// Whether a cgroup knows of all whom nobody waits for.
    pub fn has_cgroup(&self) -> bool {
        self.cgroup.is_some()
    }

    /// Whether a task clock knows of everybody.
    pub fn has_clock(&self) -> bool {
        self.clock.is_some()
    }

    /// The run starts.
    ///
    /// # Errors
    /// A counter cannot be read.
    pub fn start(&mut self, target: &Target) -> std::io::Result<()> {
        self.lost_at_start = lost();
        self.read_cgroup(target);
        if let Some([start, last]) = &mut self.cgroup {
            *start = *last;
        }
        self.clock.as_mut().map_or(Ok(0), |clock| clock.since_start(0)).map(drop)
    }

    /// Puts the CPU time since the start of the run into the place of what the processes know of it.
    ///
    /// # Errors
    /// A counter cannot be read.
    pub fn improve(&mut self, target: &Target, sum: &mut Counters) -> std::io::Result<()> {
        self.read_cgroup(target);
        let files = (sum.user, sum.system);
        let (total, parts) = match (self.in_cgroup(), &mut self.clock) {
            (Some((user, system)), _) if user + system > sum.cpu() => (user + system, (user, system)),
            (_, Some(clock)) => (clock.since_start(sum.cpu())?, files),
            _ => (sum.cpu(), files),
        };
        (sum.user, sum.system) = self.split.of(total, parts);
        Ok(())
    }

    /// What the witnesses say of each other, given what the processes know but for `rounding` nanoseconds.
    pub fn compare(&self, files: &Counters, rounding: u64) -> Finding {
        let Some((user, system)) = self.in_cgroup() else { return Finding::Whole };
        let (cgroup, files) = (user + system, files.cpu());
        let tolerance = nanos(ALWAYS) + (cgroup.max(files) as f64 * SHARE) as u64;
        if cgroup > files + tolerance + rounding {
            Finding::NobodyWaited(cgroup - files)
        } else if files > cgroup + tolerance {
            Finding::LeftCgroup(files - cgroup)
        } else {
            Finding::Whole
        }
    }

    /// At the end: no less than an inherited counter has seen, in nanoseconds.
    ///
    /// It goes on while a hypervisor or an interrupt has the CPU, which is no CPU time of the process where the kernel can
    /// tell. So what they had of all CPUs is taken off first.
    pub fn raise(&mut self, sum: &mut Counters, lacking: &mut Option<String>, counted: u64) {
        let Some(lost) = self.lost_at_start.zip(lost()).map(|(start, now)| now.saturating_sub(start)) else {
            return;
        };
        let counted = counted.saturating_sub(nanos(lost + CUT));
        if counted > sum.cpu() {
            lacking.get_or_insert_with(|| {
                "an inherited counter has seen more than is told of processes that were waited for".into()
            });
            (sum.user, sum.system) = self.split.of(counted, (sum.user, sum.system));
        }
    }

    fn read_cgroup(&mut self, target: &Target) {
        if let (Some([_, last]), Ok(cgroup)) = (&mut self.cgroup, target.cgroup())
            // One that the application has removed cannot be read any more (ENODEV).
            && let Ok(stat) = cgroup.cpu()
        {
            *last = stat;
        }
    }

    /// User and system time that the cgroup has counted since the start of the run, in nanoseconds.
    fn in_cgroup(&self) -> Option<(u64, u64)> {
        let [start, last] = self.cgroup?;
        let time = |stat: CpuStat| Counters {
            user: nanos(stat.user),
            system: nanos(stat.system),
            ..Counters::default()
        };
        let used = time(last).without(&time(start));
        Some((used.user, used.system))
    }
}

/// The time that the CPUs have spent on interrupts, or that a hypervisor has taken away (proc_stat(5)). In the real `/proc`,
/// as all that is read of the application.
fn lost() -> Option<Duration> {
    let text = alumet::sysfs::read_real_text("/proc/stat").ok()?;
    let mut times = text.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace().skip(5);
    let mut lost = 0u32;
    for _ in ["irq", "softirq", "steal"] {
        lost = lost.checked_add(times.next()?.parse().ok()?)?;
    }
    tick().checked_mul(lost)
}

/// Splits an exact total into user and system mode by the proportion of two coarse numbers. Both parts only grow, as
/// the kernel's own split does (cputime_adjust in kernel/sched/cputime.c).
#[derive(Debug, Clone, Copy, Default)]
struct Split {
    user: u64,
    system: u64,
}

impl Split {
    /// User and system time, whose sum is `total`. A total below the last one counts as that one.
    fn of(&mut self, total: u64, coarse: (u64, u64)) -> (u64, u64) {
        let (user, system) = coarse;
        let total = total.max(self.user + self.system);
        let share = if user + system == 0 { 0.0 } else { system as f64 / (user + system) as f64 };
        let most = total.saturating_sub(self.user).max(self.system);
        self.system = ((total as f64 * share) as u64).clamp(self.system, most);
        self.user = total.saturating_sub(self.system).max(self.user);
        (self.user, self.system)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(cgroup: Option<[u64; 2]>) -> Cpu {
        let at = |ms| CpuStat { user: Duration::from_millis(ms), system: Duration::ZERO };
        Cpu {
            cgroup: cgroup.map(|marks| marks.map(at)),
            clock: None,
            lost_at_start: None,
            split: Split::default(),
        }
    }

    fn ms(n: u64) -> Counters {
        Counters { user: n * 1_000_000, ..Counters::default() }
    }

    #[test]
    fn witnesses_that_differ_by_little_agree() {
        for files in [994, 1000, 1006] {
            assert_eq!(cpu(Some([50, 1050])).compare(&ms(files), 0), Finding::Whole, "{files}");
        }
        assert_eq!(cpu(None).compare(&ms(1000), 0), Finding::Whole);
    }

    #[test]
    fn what_the_cgroup_alone_knows_was_used_by_somebody_whom_nobody_waits_for() {
        let witness = cpu(Some([50, 1050]));
        assert_eq!(witness.compare(&ms(700), 0), Finding::NobodyWaited(300_000_000));
        assert_eq!(
            witness.compare(&ms(985), 20_000_000),
            Finding::Whole,
            "times of living parents are cut to ticks"
        );
    }

    #[test]
    fn what_the_cgroup_does_not_know_was_used_outside() {
        assert_eq!(cpu(Some([50, 60])).compare(&ms(500), 0), Finding::LeftCgroup(490_000_000));
        // That times are cut makes nothing appear outside.
        assert_eq!(cpu(Some([50, 60])).compare(&ms(30), 20_000_000), Finding::LeftCgroup(20_000_000));
    }

    #[test]
    fn a_counter_that_has_seen_more_is_believed_but_for_what_the_cpus_have_lost() {
        let raised = |files: u64, lacking: Option<&str>, counted: u64| {
            let (mut sum, mut lacking) = (ms(files), lacking.map(str::to_owned));
            // All that the CPUs have ever lost is taken off, and more.
            let mut cpu = Cpu { lost_at_start: lost(), ..cpu(None) };
            cpu.raise(&mut sum, &mut lacking, counted * 1_000_000);
            (sum.cpu() / 1_000_000, lacking.is_some())
        };
        assert_eq!(
            raised(1000, None, 1020),
            (1000, false),
            "an interrupt or a hypervisor may have had the CPU"
        );
        let (cpu, is_lacking) = raised(1000, None, 3000);
        assert!((2000..3000).contains(&cpu) && is_lacking, "{cpu}");
        assert_eq!(raised(1000, Some("why"), 900), (1000, true));
        let mut blind = cpu_without_stat();
        let mut sum = ms(1000);
        blind.raise(&mut sum, &mut None, 3_000_000_000);
        assert_eq!(sum, ms(1000), "nobody knows what the CPUs have lost");
    }

    fn cpu_without_stat() -> Cpu {
        Cpu { lost_at_start: None, ..cpu(None) }
    }

    #[test]
    fn the_parts_add_up_and_none_of_them_falls() {
        let mut split = Split::default();
        let mut before = (0, 0);
        for (total, coarse) in [
            (0, (0, 0)),
            (100, (0, 0)),
            (1000, (60, 40)),
            (1100, (90, 10)),
            (1200, (0, 100)),
            (2000, (100, 100)),
            (2000, (1, 0)),
        ] {
            let now = split.of(total, coarse);
            assert_eq!(now.0 + now.1, total);
            assert!(now.0 >= before.0 && now.1 >= before.1, "{before:?} {now:?}");
            before = now;
        }
        assert_eq!(split.of(4000, (100, 100)), (2000, 2000));
    }

    #[test]
    fn at_the_edge_witnesses_agree() {
        // 2 ms and 5 of 1000.
        for (cgroup, files, expected) in [
            (1000, 993, Finding::Whole),
            (1000, 992, Finding::NobodyWaited(8_000_000)),
            (993, 1000, Finding::Whole),
            (992, 1000, Finding::LeftCgroup(8_000_000)),
        ] {
            assert_eq!(cpu(Some([50, 50 + cgroup])).compare(&ms(files), 0), expected, "{cgroup} {files}");
        }
    }

    #[test]
    fn a_time_that_is_of_one_mode_alone_stays_in_it() {
        assert_eq!(Split::default().of(100, (0, 5)), (0, 100));
        assert_eq!(Split::default().of(100, (5, 0)), (100, 0));
    }

    #[test]
    fn what_the_cpus_have_lost_is_in_three_columns_of_proc_stat() {
        let told = || {
            let text = std::fs::read_to_string("/proc/stat").unwrap();
            let line = text.lines().next().unwrap();
            let fields: Vec<u32> =
                line.split_ascii_whitespace().skip(1).map(|n| n.parse().unwrap()).collect();
            tick() * (fields[5] + fields[6] + fields[7])
        };
        let (before, got, after) = (told(), lost().unwrap(), told());
        assert!(before <= got && got <= after, "{before:?} {got:?} {after:?}");
    }

    #[test]
    fn the_cgroup_knows_of_both_modes() {
        let at = |user, system| CpuStat {
            user: Duration::from_millis(user),
            system: Duration::from_millis(system),
        };
        let both = Cpu { cgroup: Some([at(10, 20), at(40, 70)]), ..cpu(None) };
        assert_eq!(both.in_cgroup(), Some((30_000_000, 50_000_000)));
        assert_eq!(both.compare(&ms(30), 0), Finding::NobodyWaited(50_000_000));
    }
}
