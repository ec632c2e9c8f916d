//! Opens events on the application's threads, or on the CPUs of the machine.

use std::io;

use alumet::{Host, Target, perfmon};
use perf_event::events::Software;
use perf_event::{Builder, Counter};
use tracing::debug;

use crate::event::{Attr, Class, Event, Modifiers};
use crate::refusal::Refusal;

/// An event whose counters are open.
#[derive(Debug)]
pub struct Opened {
    /// What it is. If only user mode may be counted, its name says so.
    pub event: Event,
    /// On each thread or CPU, one for each of its parts.
    pub counters: Vec<Vec<Counter>>,
    /// Which modes of the CPU it counts.
    pub mode: Mode,
    /// For lack of permission, kernel mode is left out.
    pub user_only: bool,
}

/// What came of opening events.
#[derive(Debug)]
pub struct Outcome {
    /// Those that count.
    pub opened: Vec<Opened>,
    /// [The event of time](Event::of_time) on the same threads, where none of the others can stand for it.
    pub witness: Option<(Event, Vec<Vec<Counter>>)>,
    /// Those that do not.
    pub refused: Vec<(Event, Refusal)>,
    /// Threads on which nothing counts, and why the first of them was refused.
    pub left_out: Option<(usize, String)>,
    /// Threads that may be counted twice or not at all.
    pub uncertain: usize,
}

/// An event on its way to its counters.
struct Attempt {
    event: Event,
    mode: Mode,
    /// That it can be counted in this mode has been seen.
    settled: bool,
    error: Option<io::Error>,
    counters: Vec<Vec<Counter>>,
}

/// Which modes of the CPU are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As the event says.
    AsAsked,
    /// User mode alone, which needs no privilege (perf_event_open(2), `perf_event_paranoid`).
    UserOnly,
}

/// When a counter begins to count, and what it is handed on to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Begins when the process executes another program; at once otherwise.
    pub on_exec: bool,
    /// Handed on to the threads and processes that the thread creates.
    pub inherit: bool,
}

/// Opens all events such that the whole tree is counted, from its start or from now on.
pub fn open(events: Vec<Event>, target: &Target, host: &Host) -> Outcome {
    let needs_witness = events.iter().any(|event| event.is_of_core)
        && !events.iter().any(|event| event.class == Class::Software);
    let witness = needs_witness.then(Event::of_time);
    let mut attempts: Vec<_> = events.into_iter().chain(witness).map(Attempt::new).collect();
    let reach = Reach { on_exec: !target.is_attached(), inherit: true };
    let cover = target.cover(|tid| {
        let mut counters = Vec::new();
        for (i, attempt) in attempts.iter_mut().enumerate() {
            if attempt.error.is_some() || attempt.event.is_machine_wide() {
                continue;
            }
            match attempt.on_thread(tid, reach) {
                Ok(opened) => counters.push((i, opened)),
                // One that fails where it has worked before, or because the thread has gone, is not the event's fault.
                Err(error) if attempt.settled || error.raw_os_error() == Some(libc::ESRCH) => {
                    return Err(error);
                }
                Err(error) => attempt.error = Some(error),
            }
        }
        Ok(counters)
    });
    for (i, parts) in cover.opened.into_iter().flatten() {
        attempts[i].counters.push(parts);
    }
    let witness = if needs_witness { attempts.pop() } else { None };
    let witness = witness.filter(|attempt| attempt.error.is_none() && !attempt.counters.is_empty());
    let refusals = cover.refused.iter().filter_map(|(_, error)| error.raw_os_error());
    let exhausted = refusals.into_iter().find(|errno| matches!(*errno, libc::EMFILE | libc::ENFILE));
    for attempt in attempts.iter_mut().filter(|attempt| attempt.error.is_none()) {
        if attempt.event.is_machine_wide() {
            attempt.on_cpus();
        } else if let Some(exhausted) = exhausted {
            // Half of the threads would say nothing.
            attempt.error = Some(io::Error::from_raw_os_error(exhausted));
        } else if attempt.counters.is_empty() {
            // On no thread at all.
            let why = cover.refused.first().and_then(|(_, error)| error.raw_os_error());
            attempt.error = Some(io::Error::from_raw_os_error(why.unwrap_or(libc::ESRCH)));
        }
    }
    attempts.iter().for_each(Attempt::log);
    let left_out = cover.refused.first().filter(|_| exhausted.is_none());
    let left_out = left_out.map(|(_, error)| alumet::file::reason(error));
    let (opened, refused): (Vec<_>, Vec<_>) =
        attempts.into_iter().partition(|attempt| attempt.error.is_none());
    Outcome {
        opened: opened.into_iter().map(Attempt::opened).collect(),
        witness: witness.map(|attempt| (attempt.event, attempt.counters)),
        refused: refused.into_iter().filter_map(|attempt| attempt.refused(target, host)).collect(),
        left_out: left_out.map(|why| (cover.refused.len(), why)),
        uncertain: cover.uncertain,
    }
}

impl Attempt {
    fn new(event: Event) -> Self {
        // The kernel's clocks run in kernel mode too, whatever they are told: so they need no privilege.
        let mode = if event.is_clock() { Mode::UserOnly } else { Mode::AsAsked };
        Self { event, mode, settled: false, error: None, counters: Vec::new() }
    }

    fn on_thread(&mut self, tid: i32, reach: Reach) -> io::Result<Vec<Counter>> {
        let result = match on_thread(&self.event, self.mode, tid, reach) {
            Err(error) if !self.settled && is_refusal(&error) && can_be_user_only(&self.event) => {
                let second = on_thread(&self.event, Mode::UserOnly, tid, reach);
                if second.is_ok() {
                    self.mode = Mode::UserOnly;
                }
                // That it is not there says more than that it would not be permitted.
                second.map_err(|second| if is_refusal(&second) { error } else { second })
            }
            result => result,
        };
        self.settled |= result.is_ok();
        result
    }

    fn on_cpus(&mut self) {
        let parts = self.event.parts.iter().flat_map(|part| {
            let cpus = part.cpus.as_deref().unwrap_or_default();
            cpus.iter().map(|cpu| {
                perfmon::survivable()?;
                let mut builder = builder(&part.attr, self.event.modifiers, Mode::AsAsked);
                Ok(vec![builder.any_pid().one_cpu(*cpu as usize).enabled(true).build()?])
            })
        });
        match parts.collect::<io::Result<_>>() {
            Ok(counters) => self.counters = counters,
            Err(error) => self.error = Some(error),
        }
    }

    fn log(&self) {
        let (event, mode, counters) = (&self.event.name, self.mode, self.counters.len());
        match &self.error {
            None => debug!(event, ?mode, counters, "opened an event"),
            Some(error) => debug!(event, ?mode, errno = error.raw_os_error(), %error, "an event was refused"),
        }
    }

    fn opened(self) -> Opened {
        let user_only = self.mode == Mode::UserOnly && !self.event.is_clock();
        let mut event = self.event;
        if user_only {
            event.name.push_str(if event.name.ends_with('/') { "u" } else { ":u" });
        }
        Opened { event, counters: self.counters, mode: self.mode, user_only }
    }

    fn refused(self, target: &Target, host: &Host) -> Option<(Event, Refusal)> {
        let refusal = Refusal::of(&self.error?, &self.event, target, host);
        Some((self.event, refusal))
    }
}

/// One counter for each part of an event that is no machine-wide one.
///
/// # Errors
/// Those of perf_event_open(2).
pub fn on_thread(event: &Event, mode: Mode, tid: i32, reach: Reach) -> io::Result<Vec<Counter>> {
    let open = |attr: &Attr| {
        perfmon::survivable()?;
        let mut builder = builder(attr, event.modifiers, mode);
        builder.observe_pid(tid).inherit(reach.inherit);
        builder.enabled(!reach.on_exec).enable_on_exec(reach.on_exec).build()
    };
    event.parts.iter().map(|part| open(&part.attr)).collect()
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM))
}

/// Whether user mode alone says something, and is not less than was asked for.
fn can_be_user_only(event: &Event) -> bool {
    let Modifiers { user, kernel, hypervisor, .. } = event.modifiers;
    !event.is_kernel_only() && event.class != Class::Breakpoint && !(user || kernel || hypervisor)
}

fn builder(attr: &Attr, modifiers: Modifiers, mode: Mode) -> Builder<'static> {
    let Modifiers { user, kernel, hypervisor, guest, host } = modifiers;
    let some = user || kernel || hypervisor;
    // Whatever it is made with, all that says what is counted is set here.
    let mut builder = Builder::new(Software::DUMMY);
    let raw = builder.attrs_mut();
    raw.type_ = attr.type_;
    raw.config = attr.config;
    raw.config1 = attr.config1;
    raw.config2 = attr.config2;
    raw.config3 = attr.config3;
    raw.bp_type = attr.bp_type;
    builder.exclude_user(some && !user);
    builder.exclude_kernel((some && !kernel) || mode == Mode::UserOnly);
    builder.exclude_hv((some && !hypervisor) || mode == Mode::UserOnly);
    builder.attrs_mut().set_exclude_guest(u64::from(host && !guest));
    builder.attrs_mut().set_exclude_host(u64::from(guest && !host));
    builder
}
