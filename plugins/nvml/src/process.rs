//! What the application's processes use of a GPU: memory and load, from the driver's lists of processes.
//!
//! The driver tells of load only where there was some, for sample periods of its own (1/6 s to 1 s). So the mean load of a
//! process is that over the samples in which it was at work. On a GPU that is split into instances it tells none.

use std::collections::{HashMap, HashSet};
use std::fs;

use alumet::text;
use alumet::{Batch, Clock, Consumer, Contradiction, Gaps, Metric, Registry, Series, SeriesId, Target};
use nvml_wrapper::Device;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::{ProcessInfo, ProcessUtilizationSample};

use crate::about::About;
use crate::metrics::{MEMORY, TASK, USED, UTILISATION};
use crate::query::{Query, Refused};
use crate::shares::Shares;

const TASKS: [&str; 4] = ["general", "memory", "encoder", "decoder"];

/// The pids of the application, looked up only if somebody is on a GPU.
pub struct Tree<'a> {
    target: &'a Target,
    pids: Option<HashSet<i32>>,
}

impl<'a> Tree<'a> {
    /// As it is at the first question.
    pub fn of(target: &'a Target) -> Self {
        Self { target, pids: None }
    }

    fn has(&mut self, pid: i32) -> bool {
        let pids = self.pids.get_or_insert_with(|| {
            let mut pids = Vec::new();
            self.target.members(&mut pids);
            pids.into_iter().collect()
        });
        pids.contains(&pid)
    }
}

/// Who is asked for its processes, and by which clock.
pub struct Asked<'a> {
    /// Which GPU.
    pub about: &'a About,
    /// The driver's handle.
    pub device: &'a Device<'static>,
    /// The run's clock.
    pub clock: &'a dyn Clock,
}

/// The processes of the application on one GPU.
#[derive(Debug)]
pub struct Processes {
    compute: Query,
    graphics: Query,
    load: Query,
    /// Of the last load that was told, in microseconds.
    last_seen: u64,
    living: HashMap<i32, Member>,
    shares: Shares,
    /// All of them together.
    memory: SeriesId,
    used: SeriesId,
    /// Whether the driver has told who is on the GPU at all.
    is_known: bool,
    /// Whether one of them ever was.
    was_seen: bool,
}

/// A process under one name.
#[derive(Debug)]
struct Member {
    name: String,
    memory: SeriesId,
    load: [SeriesId; TASKS.len()],
}

impl Processes {
    /// None so far.
    ///
    /// # Errors
    /// A metric contradicts one of another plugin.
    pub fn new(about: &About, registry: &Registry) -> Result<Self, Contradiction> {
        let of_target = |metric: Metric| about.series(metric).consumer(Consumer::Target).method("NVML");
        Ok(Self {
            compute: Query::new("compute processes"),
            graphics: Query::new("graphics processes"),
            load: Query::new("utilisation by process"),
            last_seen: 0,
            living: HashMap::new(),
            shares: Shares::new(about, registry)?,
            memory: registry.series(of_target(MEMORY))?,
            used: registry.series(of_target(USED))?,
            is_known: false,
            was_seen: false,
        })
    }

    /// Asks who is there, and pushes what those of the application use.
    ///
    /// # Errors
    /// A metric contradicts one of another plugin.
    pub fn poll(
        &mut self,
        &Asked { about, device, clock }: &Asked<'_>,
        tree: &mut Tree<'_>,
        registry: &Registry,
        refused: &mut Refused,
        out: &mut Batch,
    ) -> Result<(), Contradiction> {
        let compute = self.compute.ask(refused, || device.running_compute_processes());
        let graphics = self.graphics.ask(refused, || device.running_graphics_processes());
        if compute.is_none() && graphics.is_none() {
            return Ok(());
        }
        self.is_known = true;
        let mut there = memory_by_process([compute, graphics].into_iter().flatten());
        there.retain(|pid, _| tree.has(*pid));
        self.update(about, &there, registry, out)?;
        self.was_seen |= !there.is_empty();
        if self.was_seen {
            out.push(self.memory, there.values().flatten().sum::<u64>() as f64);
        }
        for (pid, memory) in &there {
            if let (Some(member), Some(memory)) = (self.living.get(pid), memory) {
                out.push(member.memory, *memory as f64);
            }
        }
        match there.is_empty() {
            true => self.shares.nobody(clock.now(), out),
            false => self.poll_load(device, clock, refused, out),
        }
        Ok(())
    }

    fn poll_load(&mut self, device: &Device<'_>, clock: &dyn Clock, refused: &mut Refused, out: &mut Batch) {
        let since = self.last_seen;
        let samples = self.load.ask(refused, || match device.process_utilization_stats(since) {
            // Nobody was at work.
            Err(NvmlError::NotFound) => Ok(Vec::new()),
            answer => answer,
        });
        let Some(samples) = samples else { return };
        self.last_seen = samples.iter().map(|sample| sample.timestamp).fold(since, u64::max);
        let (now, samples) = (clock.now(), latest_by_process(samples));
        if samples.is_empty() {
            self.shares.silence(now, out);
            return;
        }
        let (mut of_target, mut of_all) = (0.0, 0.0);
        for (pid, sample) in samples {
            let loads = [sample.sm_util, sample.mem_util, sample.enc_util, sample.dec_util];
            let loads = loads.map(|load| f64::from(load) / 100.0);
            of_all += loads[0];
            let Some(member) = self.living.get(&pid) else { continue };
            of_target += loads[0];
            for (series, load) in member.load.iter().zip(loads) {
                out.push(*series, load);
            }
        }
        self.shares.loads(now, of_target, of_all, out);
    }

    /// Takes up who is new or has executed another program, and says farewell to who has gone.
    fn update(
        &mut self,
        about: &About,
        there: &HashMap<i32, Option<u64>>,
        registry: &Registry,
        out: &mut Batch,
    ) -> Result<(), Contradiction> {
        self.living.retain(|pid, member| {
            let stays = there.contains_key(pid);
            if !stays {
                member.retire(out);
            }
            stays
        });
        for pid in there.keys() {
            let name = name(*pid);
            if self.living.get(pid).is_some_and(|member| member.name == name || name.is_empty()) {
                continue;
            }
            let member = Member::new(about, *pid, name, registry)?;
            if let Some(renamed) = self.living.insert(*pid, member) {
                renamed.retire(out);
            }
        }
        Ok(())
    }

    /// Whether the application was seen on the GPU; `None` if that cannot be told.
    pub fn was_used(&self) -> Option<bool> {
        // Elsewhere than in the machine's own PID namespace the driver may leave processes out, or use other numbers.
        (self.was_seen || (self.is_known && is_in_first_pid_namespace())).then_some(self.was_seen)
    }

    /// Says whether the application was seen on the GPU, or why that is not known.
    pub fn finish(&mut self, about: &About, clock: &dyn Clock, gaps: &Gaps, out: &mut Batch) {
        self.shares.finish(clock.now(), out);
        // Why the loads cannot be had was said.
        if self.was_seen && !self.shares.are_known() && !self.load.is_refused() {
            gaps.add(
                format!("the application's share of the energy of GPU {}", about.index),
                "the driver has told of no load of any process, so the energy is given as the board's",
                "lengthen the run",
            );
        }
        for query in [&self.compute, &self.graphics, &self.load] {
            query.report_failed(about.index, gaps);
        }
        match self.was_used() {
            Some(used) => out.push(self.used, f64::from(u8::from(used))),
            None if self.is_known => gaps.add(
                format!("whether the application uses GPU {}", about.index),
                "this PID namespace is not the machine's own: the driver does not tell of its processes",
                "run alumet in the machine's, as with `--pid host`",
            ),
            // That the lists cannot be had was said, or the run was too short for a sample.
            None => {}
        }
    }
}

impl Member {
    fn new(about: &About, pid: i32, name: String, registry: &Registry) -> Result<Self, Contradiction> {
        let series = |metric: Metric| -> Series {
            let series = about.series(metric).consumer(Consumer::Process(pid)).method("NVML");
            series.label("process.executable.name", name.as_str())
        };
        let load = |task| registry.series(series(UTILISATION).label(TASK, task));
        let [general, memory, encoder, decoder] = TASKS.map(load);
        Ok(Self {
            memory: registry.series(series(MEMORY))?,
            load: [general?, memory?, encoder?, decoder?],
            name,
        })
    }

    fn retire(&self, out: &mut Batch) {
        self.load.iter().chain([&self.memory]).for_each(|series| out.retire(*series));
    }
}

/// The memory of each process, where the driver tells it. One that computes and draws is in both lists with all of its
/// memory; one on several instances of a GPU is several times in one list, each time with a part.
fn memory_by_process(lists: impl Iterator<Item = Vec<ProcessInfo>>) -> HashMap<i32, Option<u64>> {
    let mut all: HashMap<i32, Option<u64>> = HashMap::new();
    for list in lists {
        let mut of_list: HashMap<i32, Option<u64>> = HashMap::new();
        for ProcessInfo { pid, used_gpu_memory, .. } in list {
            let Ok(pid) = i32::try_from(pid) else { continue };
            let sum = of_list.entry(pid).or_default();
            if let UsedGpuMemory::Used(bytes) = used_gpu_memory {
                *sum = Some(sum.unwrap_or(0).saturating_add(bytes));
            }
        }
        for (pid, bytes) in of_list {
            let most = all.entry(pid).or_default();
            *most = (*most).max(bytes);
        }
    }
    all
}

/// The newest sample of each process. Unused places of the driver's buffer have pid 0.
fn latest_by_process(samples: Vec<ProcessUtilizationSample>) -> HashMap<i32, ProcessUtilizationSample> {
    let mut latest: HashMap<i32, ProcessUtilizationSample> = HashMap::new();
    for sample in samples {
        let Some(pid) = i32::try_from(sample.pid).ok().filter(|pid| *pid != 0) else { continue };
        if latest.get(&pid).is_none_or(|other| other.timestamp <= sample.timestamp) {
            latest.insert(pid, sample);
        }
    }
    latest
}

/// The command name of a process; empty if it has gone.
fn name(pid: i32) -> String {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    text::name(name.strip_suffix(b"\n").unwrap_or(&name))
}

/// Its number never changes (PROC_PID_INIT_INO in `linux/proc_ns.h`).
fn is_in_first_pid_namespace() -> bool {
    fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() == "pid:[4026531836]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, bytes: Option<u64>) -> ProcessInfo {
        let used_gpu_memory = bytes.map_or(UsedGpuMemory::Unavailable, UsedGpuMemory::Used);
        ProcessInfo { pid, used_gpu_memory, gpu_instance_id: None, compute_instance_id: None }
    }

    #[test]
    fn a_process_in_both_lists_counts_once_and_one_on_two_instances_with_both_parts() {
        let compute =
            vec![process(1, Some(100)), process(2, Some(30)), process(2, Some(40)), process(3, None)];
        let graphics = vec![process(1, Some(100)), process(4, Some(5))];
        let memory = memory_by_process([compute, graphics].into_iter());
        let expected = HashMap::from([(1, Some(100)), (2, Some(70)), (3, None), (4, Some(5))]);
        assert_eq!(memory, expected);
    }

    #[test]
    fn of_several_samples_the_newest_counts_and_pid_0_is_nobody() {
        let sample = |pid, timestamp, sm_util| ProcessUtilizationSample {
            pid,
            timestamp,
            sm_util,
            mem_util: 0,
            enc_util: 0,
            dec_util: 0,
        };
        let latest = latest_by_process(vec![sample(7, 20, 90), sample(7, 10, 10), sample(0, 30, 50)]);
        assert_eq!(latest.len(), 1);
        assert_eq!(latest[&7].sm_util, 90);
    }
}
