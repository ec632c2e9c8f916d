//! Events of the application's whole process tree, counted by the kernel (perf_event_open(2)).
//!
//! [`event`] reads what a user asks for and looks it up on this machine, [`open`] opens it on every thread, [`tally`]
//! adds up what is read, [`turns`] says by how much it has to be scaled, [`source`] streams it, [`breakdown`] tells
//! processes and threads apart. [`refusal`] has the words for what cannot be counted.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod breakdown;
mod config;
mod counted;
pub mod event;
pub mod metrics;
pub mod open;
pub mod refusal;
pub mod source;
pub mod tally;
pub mod turns;

use std::collections::HashSet;

use alumet::privilege::is_in_user_namespace;
use alumet::{Availability, Gaps, Host, Plugin, Setup, perfmon};
use perf_event::Builder;
use perf_event::events::Software;
use tracing::debug;

use breakdown::{Breakdown, By};
pub use config::Config;
use event::{Class, Event, Spec};
use refusal::Refusal;
use source::Events;

/// What is counted unless something else is asked for.
pub const DEFAULT_EVENTS: &str = "task-clock,context-switches,cpu-migrations,page-faults,\
    cycles,instructions,branches,branch-misses,cache-references,cache-misses";

/// The plugin.
#[derive(Debug)]
pub struct Perf;

/// An event that was asked for and will not be counted: to be said before the application starts.
#[derive(Debug, thiserror::Error)]
pub enum WrongEvent {
    /// There is no such event: something else has to be typed.
    #[error("{0}")]
    Unknown(String),
    /// There may be elsewhere, or for others.
    #[error("{0}")]
    NotHere(String),
    /// There is, but it cannot be counted.
    #[error("event `{name}` cannot be counted: {reason}{}{remedy}", if remedy.is_empty() { "" } else { "; " })]
    NotCounted {
        /// The event.
        name: String,
        /// Why, with one of the four words.
        reason: String,
        /// What would change that; may be empty.
        remedy: String,
    },
}

impl Plugin for Perf {
    const NAME: &'static str = "perf";
    const ABOUT: &'static str = "events of the CPU and the kernel, counted over the application's whole tree";
    const MISSED: &'static str = "events";
    type Config = Config;

    fn probe(_: &Config, _: &Host) -> Availability {
        // The kernel's clock is the event that needs the least.
        match perfmon::survivable().and_then(|()| Builder::new(Software::TASK_CLOCK).build()) {
            Ok(_) => Availability::Available,
            Err(error) => {
                let Refusal { reason, remedy } = Refusal::of_all(&error);
                Availability::unavailable(reason, remedy)
            }
        }
    }

    fn start(config: Config, setup: &mut Setup<'_>) -> anyhow::Result<()> {
        let Some(target) = setup.target().cloned() else { anyhow::bail!("there is no application to count") };
        let asked = !config.events.is_empty();
        let specs = if asked { config.events.0 } else { event::parse(DEFAULT_EVENTS)? };
        let events = look_up(&specs, asked, setup.host(), setup.gaps())?;
        let mut outcome = open::open(events, &target, setup.host());
        // With user mode alone, two that differed may have become the same.
        let mut titles = HashSet::new();
        outcome.opened.retain(|opened| titles.insert(opened.event.title()));
        if asked && let Some((event, refusal)) = outcome.refused.first() {
            let Refusal { reason, remedy } = refusal.clone();
            return Err(WrongEvent::NotCounted { name: event.name.clone(), reason, remedy }.into());
        }
        if outcome.opened.is_empty()
            && let Availability::Unavailable(missing) = Self::probe(&Config::default(), setup.host())
        {
            anyhow::bail!(missing.reason);
        }
        report_gaps(&outcome, asked, setup.gaps());
        for (wanted, by, name) in
            [(config.per_process, By::Process, "by-process"), (config.per_thread, By::Thread, "by-thread")]
        {
            let first = outcome.opened.first().filter(|opened| asked && !opened.event.is_machine_wide());
            if let Some(opened) = first.filter(|_| wanted) {
                let breakdown = Breakdown::new(by, opened, config.interval, &target, setup);
                setup.source(name, config.interval, breakdown);
                // It opens counters on whoever is new.
                setup.keep_capabilities(perfmon::capability());
            }
        }
        let events = Events::new(outcome, target, setup.registry(), setup.gaps())?;
        setup.source("events", config.interval, events);
        Ok(())
    }
}

/// Whether this machine knows all events that were asked for. Whether they can be counted, only starting tells.
///
/// # Errors
/// It does not know one of them.
pub fn check(config: &Config, host: &Host) -> Result<(), WrongEvent> {
    look_up(&config.events.0, true, host, &Gaps::default()).map(drop)
}

/// What there is of the events on this machine, each once. Those that nobody has asked for may be missing.
fn look_up(specs: &[Spec], asked: bool, host: &Host, gaps: &Gaps) -> Result<Vec<Event>, WrongEvent> {
    let mut events: Vec<Event> = Vec::new();
    for spec in specs {
        let resolved = match event::resolve(spec, host) {
            Ok(resolved) => resolved,
            Err(error) if !asked => {
                debug!(event = %spec, %error, "there is no such event here");
                gaps.add(spec.to_string(), error.to_string(), "");
                continue;
            }
            Err(error) if error.is_usage() => return Err(WrongEvent::Unknown(error.to_string())),
            Err(error) => return Err(WrongEvent::NotHere(error.to_string())),
        };
        for event in resolved {
            match events.iter().find(|other| other.title() == event.title()) {
                None => events.push(event),
                Some(other) if other.parts == event.parts => {}
                Some(_) => {
                    let message = format!("event `{spec}`: another event is named `{}` already", event.name);
                    return Err(WrongEvent::Unknown(message));
                }
            }
        }
    }
    Ok(events)
}

/// Says what will not be counted, or not wholly: events with the same reason together.
fn report_gaps(outcome: &open::Outcome, asked: bool, gaps: &Gaps) {
    let mut reasons: Vec<(&Refusal, Vec<&Event>)> = Vec::new();
    for (event, refusal) in &outcome.refused {
        match reasons.iter_mut().find(|(other, _)| *other == refusal) {
            Some((_, events)) => events.push(event),
            None => reasons.push((refusal, vec![event])),
        }
    }
    let is_hardware = |event: &Event| event.class == Class::Hardware;
    let all_hardware = !outcome.opened.iter().any(|opened| is_hardware(&opened.event));
    for (Refusal { reason, remedy }, events) in reasons {
        // Nobody wants to read all the names of what he has not asked for.
        let what = if !asked && all_hardware && events.iter().all(|event| is_hardware(event)) {
            refusal::HARDWARE.to_owned()
        } else {
            refusal::list(&events)
        };
        gaps.add(what, reason, remedy);
    }
    let user_only: Vec<_> = outcome.opened.iter().filter(|opened| opened.user_only).collect();
    if !user_only.is_empty() {
        let names: Vec<_> = user_only.iter().map(|opened| opened.event.name.trim_end_matches(":u")).collect();
        let within = if is_in_user_namespace() { " in this user namespace" } else { "" };
        let reason = format!("not permitted: user mode alone is counted{within}{}", perfmon::setting());
        gaps.add(format!("{}{}", refusal::KERNEL_MODE_OF, names.join(", ")), reason, perfmon::remedy());
    }
    if let Some((threads, why)) = &outcome.left_out {
        gaps.add(format!("events of {threads} threads"), why, "");
    }
    if outcome.uncertain > 0 {
        let what = format!("{} threads, perhaps", outcome.uncertain);
        gaps.add(what, "not counted: too much was started while alumet attached", "");
    }
}
