//! One event by process or by thread: counters of their own for everybody who is seen, from the first look on.
//!
//! The counters of the whole tree cannot be taken apart, for the kernel adds those of a child to those of its parent. So
//! what somebody counts before the first look is in the total of the tree only.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use alumet::file::reason;
use alumet::target::threads;
use alumet::{
    Allowance, Batch, Cadence, Consumer, Gaps, Interval, Registry, Series, SeriesId, Setup, Source, Target,
};

use crate::counted::Counted;
use crate::event::Event;
use crate::metrics::metric;
use crate::open::{Inherit, Mode, Opened, Reach, on_thread};

/// Who is new is looked for at most once in this time.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Processes, each with all its threads.
    Process,
    /// Threads.
    Thread,
}

/// The source.
#[derive(Debug)]
pub struct Breakdown {
    by: By,
    event: Event,
    mode: Mode,
    target: Arc<Target>,
    registry: Arc<Registry>,
    gaps: Gaps,
    living: HashMap<i32, Member>,
    due: Cadence,
    allowance: Allowance,
    has_started: bool,
    /// Those that could not be counted, and why the first of them.
    left_out: Option<(usize, String)>,
}

/// A process or a thread.
#[derive(Debug)]
struct Member {
    name: String,
    series: SeriesId,
    /// For each thread.
    counters: Vec<Counted>,
}

impl Breakdown {
    /// Of this event, which is no machine-wide one.
    pub fn new(by: By, opened: &Opened, interval: Interval, target: &Arc<Target>, setup: &Setup<'_>) -> Self {
        Self {
            by,
            event: opened.event.clone(),
            mode: opened.mode,
            target: Arc::clone(target),
            registry: Arc::clone(setup.registry()),
            gaps: setup.gaps().clone(),
            living: HashMap::new(),
            due: Cadence::new(LOOK_EVERY, interval.get()),
            allowance: Allowance::default(),
            has_started: false,
            left_out: None,
        }
    }

    /// Finds out who is there: ids with the process of each.
    fn look(&self) -> HashMap<i32, i32> {
        let mut pids = Vec::new();
        self.target.members(&mut pids);
        match self.by {
            By::Process => pids.into_iter().map(|pid| (pid, pid)).collect(),
            By::Thread => pids.into_iter().flat_map(|pid| threads(pid).map(move |tid| (tid, pid))).collect(),
        }
    }

    fn open(&self, id: i32, pid: i32) -> anyhow::Result<Member> {
        let reach = Reach {
            on_exec: !self.has_started && !self.target.is_attached(),
            inherit: if self.by == By::Process { Inherit::Threads } else { Inherit::No },
        };
        let mut counters = Vec::new();
        let of_process = (self.by == By::Process).then(|| threads(pid)).into_iter().flatten();
        for tid in of_process.chain((self.by == By::Thread).then_some(id)) {
            let mut counted = Counted::new(&self.event, on_thread(&self.event, self.mode, tid, reach)?);
            counted.read()?;
            counters.push(counted);
        }
        let name = name(id);
        Ok(Member { series: self.series(id, pid, &name)?, name, counters })
    }

    fn series(&self, id: i32, pid: i32, name: &str) -> anyhow::Result<SeriesId> {
        let series = Series::new(metric(&self.event)).method("perf_event_open, from the first look on");
        let series = match self.by {
            By::Process => series.consumer(Consumer::Process(id)).label("process.executable.name", name),
            By::Thread => series
                .consumer(Consumer::Thread(id))
                .label("thread.name", name)
                .label("process.pid", pid.to_string()),
        };
        Ok(self.registry.series(series)?)
    }

    /// Takes up who is new, renames who has executed another program, and says farewell to who has gone.
    fn update(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let there = self.look();
        let gone: Vec<i32> = self.living.keys().filter(|id| !there.contains_key(id)).copied().collect();
        for id in gone {
            if let Some(mut member) = self.living.remove(&id) {
                member.push(self.event.scale, out)?;
                out.retire(member.series);
            }
        }
        for (id, pid) in there {
            let name_now = name(id);
            match self.living.get(&id).map(|member| member.name == name_now) {
                Some(true) => {}
                Some(false) if name_now.is_empty() => {}
                Some(false) => {
                    let series = self.series(id, pid, &name_now)?;
                    if let Some(member) = self.living.get_mut(&id) {
                        member.push(self.event.scale, out)?;
                        out.retire(std::mem::replace(&mut member.series, series));
                        member.name = name_now;
                    }
                }
                None => match self.open(id, pid) {
                    Ok(member) => {
                        self.living.insert(id, member);
                    }
                    // One that just ends is not left out: it is in the total.
                    Err(error) if is_gone(&error) => {}
                    Err(error) => {
                        let why = error.downcast_ref().map_or_else(|| error.to_string(), reason);
                        self.left_out.get_or_insert((0, why)).0 += 1;
                    }
                },
            }
        }
        Ok(())
    }
}

impl Member {
    fn push(&mut self, scale: f64, out: &mut Batch) -> anyhow::Result<()> {
        let mut increase = 0.0;
        for counted in &mut self.counters {
            increase += counted.read()?;
        }
        out.push(self.series, increase * scale);
        Ok(())
    }
}

impl Source for Breakdown {
    fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let Some(begun) = self.allowance.begin() else { return Ok(()) };
        if self.due.is_due() {
            self.update(out)?;
        }
        self.has_started = true;
        self.living.values_mut().try_for_each(|member| member.push(self.event.scale, out))?;
        self.allowance.end(begun);
        Ok(())
    }

    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        if let Some((n, why)) = &self.left_out {
            let what = if self.by == By::Process { "processes" } else { "threads" };
            let of = &self.event.name;
            self.gaps.add(format!("{of} of {n} {what}"), format!("not counted: {why}"), "");
        }
        self.living.values_mut().try_for_each(|member| member.push(self.event.scale, out))
    }
}

fn is_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.raw_os_error() == Some(libc::ESRCH))
}

/// The command name of a process or thread; empty if it has gone.
fn name(id: i32) -> String {
    let name = fs::read(format!("/proc/{id}/comm")).unwrap_or_default();
    String::from_utf8_lossy(name.strip_suffix(b"\n").unwrap_or(&name)).into_owned()
}
