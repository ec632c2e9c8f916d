//! What the processes of the tree have used, each of them once.
//!
//! A living process tells of itself and of the children that it has waited for (proc_pid_stat(5), `cutime`); this process
//! tells likewise of what it has reaped. So a process that is gone is in the numbers of its nearest ancestor that is not,
//! unless nobody has waited for it: the kernel reaps the children of a parent that ignores SIGCHLD, and tells nobody what
//! they have used (wait(2), NOTES). Then what was last seen of the process counts.
//!
//! Which of the two it is follows from the numbers of its ancestors: they have grown by at least what was seen of all those
//! below them that are gone, or some of these were waited for by nobody. Every figure is therefore at most the truth.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use alumet::process::{Switches, tick};
use alumet::target::{Target, Waits};
use alumet::{Allowance, Clock, RealClock};

use crate::births::Births;
use crate::counters::Counters;
use crate::kernel::{nanos, ticks_since_boot};
use crate::process::{Process, Wanted, add};

/// The processes that were found, and what is known of those that have gone.
#[derive(Debug)]
pub struct Ledger {
    target: Arc<Target>,
    /// The oldest first: a parent is read before its children, so that no child is counted both by itself and through a
    /// parent that has just waited for it.
    processes: Vec<Process>,
    known: HashSet<i32>,
    waits: Waits,
    /// Who has left the cgroup is found by looking from parent to child alone, which takes longer than one file.
    walk: Allowance,
    births: Births,
    /// Processes that are older than this, in clock ticks since boot, have used something before the run; 0 if none has.
    since_ticks: u64,
    /// What the process at the gate had used: that is alumet's, and not the application's.
    gate: Counters,
    /// How much of what this process has reaped is that of processes that were known to be gone.
    told: Counters,
    /// What was seen of processes that nobody has waited for.
    untold: Counters,
    /// Seen of all that have gone.
    ended_switches: Switches,
    /// The first process that was seen to ignore SIGCHLD.
    ignoring: Option<String>,
    pids: Vec<i32>,
}

impl Ledger {
    /// Of a target. One that ran already is measured from `since_ticks` on, in clock ticks since boot; else that is 0.
    pub fn new(target: Arc<Target>, since_ticks: u64) -> Self {
        Self {
            target,
            processes: Vec::new(),
            known: HashSet::new(),
            waits: Waits::default(),
            // For a walk through a thousand processes, 2 % of a core.
            walk: Allowance::new(Duration::from_millis(1), 50),
            births: Births::new(),
            since_ticks,
            gate: Counters::default(),
            told: Counters::default(),
            untold: Counters::default(),
            ended_switches: Switches::default(),
            ignoring: None,
            pids: Vec::new(),
        }
    }

    /// Those that were found and are not gone, the oldest first.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// What was seen of processes that nobody has waited for.
    pub fn untold(&self) -> &Counters {
        &self.untold
    }

    /// A process that ignores SIGCHLD, by name: what its children use is told to nobody.
    pub fn ignoring(&self) -> Option<&str> {
        self.ignoring.as_deref()
    }

    /// Processes that are older, in clock ticks since boot, have used something before the run; 0 if none has.
    pub fn since_ticks(&self) -> u64 {
        self.since_ticks
    }

    /// By so much, in nanoseconds, the CPU time may be more than is told: the living give that of children that they have
    /// waited for in whole ticks of each mode.
    pub fn rounding(&self) -> u64 {
        rounding(&self.processes)
    }

    /// Opens the processes that are new. Who has left the cgroup is looked for as often as is cheap and somebody was born, or
    /// `thoroughly`.
    pub fn look(&mut self, thoroughly: bool, buffer: &mut [u8]) {
        self.pids.clear();
        let is_needless = self.births.are_none() && !thoroughly;
        match self.walk.begin() {
            // Its cgroup is one file, and shows who was moved into it.
            _ if is_needless => self.target.cgroup_members(&mut self.pids),
            Some(begun) => {
                self.target.members(&mut self.pids);
                self.walk.end(begun);
            }
            None if thoroughly || self.target.cgroup().is_err() => self.target.members(&mut self.pids),
            None => self.target.cgroup_members(&mut self.pids),
        }
        let mut found = false;
        for pid in &self.pids {
            if self.known.contains(pid) {
                continue;
            }
            // One that ends meanwhile, or that hidepid hides, is counted when its parent or alumet reaps it.
            if let Ok(mut process) = Process::open(*pid, self.since_ticks, buffer) {
                self.known.insert(*pid);
                process.witness(&self.waits);
                self.waits.note(*pid, process.tells());
                self.processes.push(process);
                found = true;
            }
        }
        if found {
            self.processes.sort_by_key(|process| (process.start_ticks, process.pid));
        }
    }

    /// The run starts at the last reading: what the processes have used so far is not the application's.
    pub fn start(&mut self) {
        self.processes.iter_mut().for_each(Process::starts_here);
        if self.target.is_attached() {
            self.since_ticks = ticks_since_boot();
        } else if let Some(first) = self.processes.first() {
            self.gate = first.before();
        }
    }

    /// Reads all processes, calling `each` for those that are there. Returns what was used since the start of the run, and
    /// those that are gone.
    ///
    /// # Errors
    /// Those of `each`.
    pub fn read<E>(
        &mut self,
        wanted: Wanted,
        buffer: &mut [u8],
        mut each: impl FnMut(&mut Process) -> Result<(), E>,
    ) -> Result<(Counters, Vec<Process>), E> {
        // First what was reaped: a process that is reaped while the others are read is then missing in this sum, which
        // the next one mends, and not in it twice.
        let reaped = Counters::of_usage(&self.target.reaped());
        let mut sum = if self.target.exit().is_some() { reaped.without(&self.gate) } else { reaped };
        let mut seen = self.ended_switches;
        let mut gone = HashSet::new();
        // What those that are gone had used before the run.
        let mut before_of_gone = Counters::default();
        let now = RealClock.now();
        for process in &mut self.processes {
            process.begin_round();
            let read = match process.is_settled(&self.waits) || process.rests(wanted, now) {
                true => Ok(process.last),
                false => process.read(wanted, buffer),
            };
            let told = process.tells().filter(|_| read.is_ok());
            if read.is_ok() {
                process.witness(&self.waits);
            }
            self.waits.note(process.pid, told);
            match read {
                Ok(_) => process.note_children(),
                Err(error) if is_gone(&error) => {
                    gone.insert(process.pid);
                    before_of_gone.add(&process.before());
                    continue;
                }
                // In this round it is told by nobody, rather than by two.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                // For want of descriptors, for example; what was read last stands.
                Err(_) => {}
            }
            let used = process.used();
            sum.add(&used);
            add(&mut seen, used.switches());
            if process.ignores_children() && self.ignoring.is_none() {
                self.ignoring = Some(process.name());
            }
            each(process)?;
        }
        if self.target.is_attached() {
            // It is in the sum if a parent has told of it since.
            sum = sum.without(&before_of_gone);
        }
        let gone = if gone.is_empty() { Vec::new() } else { self.bury(&gone, buffer) };
        gone.iter().for_each(|process| add(&mut seen, process.used().switches()));
        self.told = self.told.greater(&reaped.in_one_mode());
        sum.add(&self.untold);
        // No file tells of the switches of children that were waited for: until this process reaps their parent, what was
        // seen is more.
        let sum = sum.with_switches_of_at_least(seen);
        Ok((sum, gone))
    }

    /// Removes those that are gone, and finds out who tells of them. Where an ancestor is just being reaped, that shows in
    /// the next round.
    fn bury(&mut self, gone: &HashSet<i32>, buffer: &mut [u8]) -> Vec<Process> {
        let mut lineage = Lineage::new(&self.processes, gone);
        let mut chains: HashMap<i32, Vec<i32>> = HashMap::new();
        for pid in gone {
            if let Some(chain) = lineage.ancestors(*pid, &mut self.processes, buffer) {
                chains.insert(*pid, chain);
            }
        }
        let is_settled = |process: &mut Process| chains.contains_key(&process.pid);
        let mut gone: Vec<_> = self.processes.extract_if(.., is_settled).collect();
        let mut families: HashMap<&[i32], Vec<usize>> = HashMap::new();
        for (place, process) in gone.iter().enumerate() {
            self.known.remove(&process.pid);
            add(&mut self.ended_switches, process.used().switches());
            families.entry(&chains[&process.pid]).or_default().push(place);
        }
        // The youngest first: what they leave behind is in what their parents leave.
        let mut families: Vec<_> = families.into_iter().collect();
        families.sort_by_key(|(ancestors, _)| std::cmp::Reverse(ancestors.len()));
        families.into_iter().for_each(|(ancestors, left)| self.settle(ancestors, &left, &mut gone));
        gone
    }

    /// Takes down what of those that are gone is in the numbers of an ancestor, and what is in nobody's. If a parent ends
    /// first, it may be any ancestor that has adopted the child and waited for it (PR_SET_CHILD_SUBREAPER,
    /// pid_namespaces(7)), this process being the last of them.
    fn settle(&mut self, ancestors: &[i32], left: &[usize], gone: &mut [Process]) {
        let mut rest = Counters::default();
        left.iter().for_each(|place| rest.add(&gone[*place].testimony()));
        // What they had used before the run is told likewise, and is none of it.
        let older = left.iter().map(|place| (gone[*place].testimony().minor_faults, gone[*place].before()));
        let mut older: Vec<_> = older.filter(|(_, before)| *before != Counters::default()).collect();
        for pid in ancestors {
            let all = self.processes.iter_mut().chain(gone.iter_mut());
            let Some(process) = all.into_iter().find(|process| process.pid == *pid) else { continue };
            let grown = process.grown();
            let (told, untold) = divide(&rest, &grown, false);
            older.retain(|(faults, before)| {
                let is_told = *faults <= grown.minor_faults;
                if is_told {
                    process.inherit_before(before);
                }
                !is_told
            });
            process.account_for(&told);
            rest = untold;
            if rest == Counters::default() {
                return;
            }
        }
        if !self.target.is_attached() {
            let grown = Counters::of_usage(&self.target.reaped()).in_one_mode().less(&self.told);
            let (told, untold) = divide(&rest, &grown, true);
            self.told.add(&told);
            rest = untold;
        }
        older.iter().for_each(|(_, before)| rest = rest.without(before));
        self.untold.add(&rest);
    }
}

fn rounding(processes: &[Process]) -> u64 {
    let parents = processes.iter().filter(|process| process.of_children().minor_faults > 0).count();
    2 * nanos(tick()) * parents as u64
}

/// Who is whose parent.
struct Lineage {
    /// The parents of those that are gone, by pid.
    gone: HashMap<i32, i32>,
    /// Where the others are, by pid.
    places: HashMap<i32, usize>,
    /// Those of them that were read once more, and whether they are just being reaped.
    fresh: HashMap<i32, bool>,
}

impl Lineage {
    fn new(processes: &[Process], gone: &HashSet<i32>) -> Self {
        let parents = processes.iter().filter(|process| gone.contains(&process.pid));
        let places = processes.iter().enumerate().filter(|(_, process)| !gone.contains(&process.pid));
        Self {
            gone: parents.map(|process| (process.pid, process.last.parent)).collect(),
            places: places.map(|(place, process)| (process.pid, place)).collect(),
            fresh: HashMap::new(),
        }
    }

    /// The ancestors of a process, the nearest first, read once more: who has waited for a process that is gone tells of it
    /// by now (wait_task_zombie in kernel/exit.c adds up first). Those that are gone as well may have told of it last.
    /// `None` if one is just being reaped: then nobody may tell of that yet.
    fn ancestors(&mut self, mut pid: i32, processes: &mut [Process], buffer: &mut [u8]) -> Option<Vec<i32>> {
        let (first, mut chain) = (pid, Vec::new());
        // Nobody is passed twice.
        for _ in 0..=processes.len() {
            pid = match (self.gone.get(&pid), self.places.get(&pid)) {
                (Some(parent), _) => {
                    chain.extend((pid != first).then_some(pid));
                    *parent
                }
                (None, Some(place)) => {
                    let process = &mut processes[*place];
                    let is_going = *self.fresh.entry(pid).or_insert_with(|| {
                        let read = process.read(Wanted::STAT, buffer);
                        read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
                    });
                    if is_going {
                        return None;
                    }
                    chain.push(pid);
                    process.last.parent
                }
                (None, None) => return Some(chain),
            };
        }
        Some(chain)
    }
}

/// What was `seen` of processes that are gone: what of it is in the numbers of an ancestor, which have `grown` by so much,
/// and what is not.
///
/// Every process has faults, which are told one by one and at no other time than the rest: where none is missing, nothing
/// is. Of switches only `rusage` tells; of those that other processes have waited for, the same part is missing as of the
/// faults.
fn divide(seen: &Counters, grown: &Counters, by_rusage: bool) -> (Counters, Counters) {
    let told = seen.lesser(grown);
    let mut untold = seen.less(&told);
    if untold.minor_faults == 0 {
        return (told, Counters::default());
    }
    if !by_rusage {
        let part = |switches: u64| {
            let (faults, all) = (u128::from(untold.minor_faults), u128::from(seen.minor_faults));
            (u128::from(switches) * faults / all) as u64
        };
        (untold.voluntary, untold.involuntary) = (part(seen.voluntary), part(seen.involuntary));
    }
    (told, untold)
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: Counters = Counters {
        user: 70,
        system: 0,
        minor_faults: 200,
        major_faults: 3,
        voluntary: 10,
        involuntary: 6,
        read: 4096,
        written: 512,
    };

    #[test]
    fn who_was_waited_for_is_told_whole() {
        // Others that were never seen are told likewise.
        let grown = Counters { user: 100, minor_faults: 900, major_faults: 3, ..Counters::default() };
        let (told, untold) = divide(&SEEN, &grown, false);
        assert_eq!((told.user, told.minor_faults, untold), (70, 200, Counters::default()));
        // Times are told in ticks, and are no reason to think that somebody is missing.
        let late = Counters { user: 60, minor_faults: 200, ..Counters::default() };
        assert_eq!(divide(&SEEN, &late, true).1, Counters::default());
    }

    #[test]
    fn of_whom_nobody_has_waited_for_what_was_seen_counts() {
        let (told, untold) = divide(&SEEN, &Counters::default(), false);
        assert_eq!((told, untold), (Counters::default(), SEEN));
        assert_eq!(divide(&SEEN, &Counters::default(), true).1, SEEN);
    }

    #[test]
    fn of_two_of_which_one_was_waited_for_the_rest_is_missing() {
        let grown = Counters { user: 30, minor_faults: 150, voluntary: 4, ..Counters::default() };
        let (told, untold) = divide(&SEEN, &grown, false);
        assert_eq!((told.user, told.minor_faults), (30, 150));
        assert_eq!((untold.user, untold.minor_faults, untold.major_faults), (40, 50, 3));
        assert_eq!(
            (untold.voluntary, untold.involuntary),
            (2, 1),
            "a quarter of the faults, a quarter of the switches"
        );
        let (_, untold) = divide(&SEEN, &grown, true);
        assert_eq!((untold.voluntary, untold.involuntary), (6, 6), "rusage tells of them");
    }

    /// This process, with another reading.
    fn process(last: crate::process::Reading) -> Process {
        let mut process = Process::open(std::process::id() as i32, 0, &mut [0; 8192]).unwrap();
        process.last = last;
        process
    }

    #[test]
    fn each_parent_that_has_waited_for_a_child_may_tell_a_tick_less_in_each_mode() {
        let of = |children_minor_faults| {
            process(crate::process::Reading { children_minor_faults, ..Default::default() })
        };
        let tick = nanos(tick());
        assert_eq!(rounding(&[of(0)]), 0);
        assert_eq!(rounding(&[of(1), of(0)]), 2 * tick);
        assert_eq!(rounding(&[of(1), of(0), of(5), of(9)]), 6 * tick);
    }

    #[test]
    fn the_ancestors_of_a_process_are_told_from_the_nearest_to_the_last_that_is_known() {
        let own = std::process::id() as i32;
        let mut processes: Vec<_> = (0..4).map(|_| process(Default::default())).collect();
        let mut lineage = Lineage {
            gone: HashMap::from([(i32::MAX, i32::MAX - 1), (i32::MAX - 1, own)]),
            places: HashMap::from([(own, 0)]),
            fresh: HashMap::new(),
        };
        let mut ancestors = |pid| lineage.ancestors(pid, &mut processes, &mut [0; 8192]);
        assert_eq!(ancestors(i32::MAX), Some(vec![i32::MAX - 1, own]));
        assert_eq!(ancestors(i32::MAX - 1), Some(vec![own]));
        assert_eq!(processes[0].last.parent, std::os::unix::process::parent_id() as i32, "read once more");
    }

    #[test]
    fn who_is_gone_is_told_from_who_cannot_be_read() {
        let error = io::Error::from_raw_os_error;
        assert!(is_gone(&error(libc::ESRCH)) && is_gone(&error(libc::ENOENT)));
        assert!(!is_gone(&error(libc::EMFILE)) && !is_gone(&error(libc::EACCES)));
    }
}
