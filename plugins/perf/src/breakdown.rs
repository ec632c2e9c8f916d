//! One event by process or by thread: counters of their own for everybody who is seen, from the first look on.
//!
//! The counters of the whole tree cannot be taken apart, for the kernel adds those of a child to those of its parent. So
//! what somebody counts before the first look is in the total of the tree only.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use alumet::file::reason;
use alumet::process::Stat;
use alumet::target::threads;
use alumet::text;
use alumet::{
    Allowance, Batch, Cadence, Consumer, Gaps, Interval, Registry, Series, SeriesId, Setup, Source, Target,
};

use crate::counted::Counted;
use crate::event::Event;
use crate::metrics::metric;
use crate::open::{Mode, Opened, Reach, on_thread};
use crate::turns::Told;

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
    threads: HashMap<i32, Thread>,
    /// By pid or tid.
    members: HashMap<i32, Member>,
    due: Cadence,
    allowance: Allowance,
    has_started: bool,
    /// Those that could not be counted, and why the last of them.
    left_out: BTreeSet<i32>,
    why: String,
}

/// A thread with a counter of its own, which is not handed on to any other.
#[derive(Debug)]
struct Thread {
    start_ticks: u64,
    member: i32,
    counted: Counted,
    told: Told,
}

/// A process or thread that is shown, under the name that it has.
#[derive(Debug)]
struct Member {
    name: String,
    series: SeriesId,
    /// Counted, and not yet pushed.
    untold: f64,
}

/// What a look finds.
struct Found {
    tid: i32,
    pid: i32,
    start_ticks: u64,
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
            threads: HashMap::new(),
            members: HashMap::new(),
            due: Cadence::new(LOOK_EVERY, interval.get()),
            allowance: Allowance::default(),
            has_started: false,
            left_out: BTreeSet::new(),
            why: String::new(),
        }
    }

    fn look(&self) -> Vec<Found> {
        let mut pids = Vec::new();
        self.target.members(&mut pids);
        let all = pids.into_iter().flat_map(|pid| threads(pid).map(move |tid| (tid, pid)));
        all.filter_map(|(tid, pid)| {
            let text = fs::read(format!("/proc/{tid}/stat")).ok()?;
            Some(Found { tid, pid, start_ticks: Stat::parse(&text).ok()?.start_ticks })
        })
        .collect()
    }

    fn id(&self, found: &Found) -> i32 {
        if self.by == By::Process { found.pid } else { found.tid }
    }

    /// Takes up who is new, renames who has executed another program, and says farewell to who has gone.
    fn update(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let found = self.look();
        let there: HashMap<i32, u64> = found.iter().map(|found| (found.tid, found.start_ticks)).collect();
        self.read()?;
        self.leave_off(|tid, thread| there.get(tid) != Some(&thread.start_ticks));
        for found in &found {
            if !self.threads.contains_key(&found.tid) {
                self.open(found);
            }
        }
        let ids: HashMap<i32, i32> = found.iter().map(|found| (self.id(found), found.pid)).collect();
        for (id, pid) in &ids {
            let name = name(*id);
            match self.members.get(id) {
                Some(member) if member.name == name || name.is_empty() => continue,
                Some(_) | None => {
                    let series = self.series(*id, *pid, &name)?;
                    if let Some(renamed) = self.members.insert(*id, Member { name, series, untold: 0.0 }) {
                        renamed.end(self.event.scale, out);
                    }
                }
            }
        }
        let gone: Vec<i32> = self.members.keys().filter(|id| !ids.contains_key(id)).copied().collect();
        for id in gone {
            if let Some(member) = self.members.remove(&id) {
                member.end(self.event.scale, out);
            }
        }
        Ok(())
    }

    fn open(&mut self, found: &Found) {
        let reach = Reach { on_exec: !self.has_started && !self.target.is_attached(), inherit: false };
        let opened = on_thread(&self.event, self.mode, found.tid, reach).and_then(|counters| {
            let mut counted = Counted::new(&self.event, counters);
            counted.read().map(|()| counted)
        });
        match opened {
            Ok(counted) => {
                let member = self.id(found);
                self.threads.insert(
                    found.tid,
                    Thread { start_ticks: found.start_ticks, member, counted, told: Told::default() },
                );
            }
            // One that just ends is not left out: it is in the total.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            Err(error) => {
                self.left_out.insert(found.tid);
                self.why = reason(&error);
            }
        }
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

    fn read(&mut self) -> anyhow::Result<()> {
        for thread in self.threads.values_mut() {
            thread.counted.read()?;
            let total = thread.counted.total();
            if let (Some(share), Some(member)) = (total.own_share(), self.members.get_mut(&thread.member)) {
                member.untold += thread.told.increase(total, share);
            }
        }
        Ok(())
    }

    /// Lets threads go; what was told of them too much or too little is corrected.
    fn leave_off(&mut self, has_ended: impl Fn(&i32, &Thread) -> bool) {
        for (_, thread) in self.threads.extract_if(|tid, thread| has_ended(tid, thread)) {
            let total = thread.counted.total();
            if let (Some(share), Some(member)) = (total.own_share(), self.members.get_mut(&thread.member)) {
                member.untold += thread.told.rest(total, share);
            }
        }
    }

    fn push(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        self.read()?;
        for member in self.members.values_mut() {
            out.push(member.series, std::mem::take(&mut member.untold) * self.event.scale);
        }
        Ok(())
    }
}

impl Member {
    /// Its last point.
    fn end(self, scale: f64, out: &mut Batch) {
        out.push(self.series, self.untold * scale);
        out.retire(self.series);
    }
}

impl Source for Breakdown {
    fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let Some(begun) = self.allowance.begin() else { return Ok(()) };
        let updated = if self.due.is_due() { self.update(out) } else { Ok(()) };
        self.has_started = true;
        let pushed = updated.and_then(|()| self.push(out));
        self.allowance.end(begun);
        pushed
    }

    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        if !self.left_out.is_empty() {
            let what = format!("{} of {} threads on their own", self.event.name, self.left_out.len());
            self.gaps.add(what, format!("not counted: {}", self.why), "");
        }
        self.read()?;
        self.leave_off(|_, _| true);
        self.push(out)
    }
}

/// The command name of a process or thread; empty if it has gone.
fn name(id: i32) -> String {
    let name = fs::read(format!("/proc/{id}/comm")).unwrap_or_default();
    text::name(name.strip_suffix(b"\n").unwrap_or(&name))
}
