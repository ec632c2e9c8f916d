//! Why an event cannot be counted, in words that tell four different things apart, and what would change that.
//!
//! *Unavailable*: this machine or kernel has no such counter. *Not permitted*: it has, for somebody with more rights. *Not
//! counted*: it was opened, and never got one of the CPU's counters. *Multiplexed*: it had one for a part of the time.

use std::io;

use alumet::{Host, Plugin, Target, perfmon};
use perf_event::Builder;
use perf_event::events::Software;

use crate::Perf;
use crate::event::{self, Class, Event};

/// Why an event cannot be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// One of the words above, and the reason.
    pub reason: String,
    /// What would change that; empty if nothing would.
    pub remedy: String,
}

/// The events of the CPU that are counted unless something else is asked for, where none of them can be.
pub const HARDWARE: &str = "hardware events";

/// Before the names of events that were counted in user mode alone.
pub const KERNEL_MODE_OF: &str = "kernel mode of ";

/// Names of events that are missing for one reason. [`concerns`] takes the list apart again.
pub fn list(events: &[&Event]) -> String {
    events.iter().map(|event| event.title()).collect::<Vec<_>>().join(", ")
}

/// Whether what is missing, as it was [listed](list), is this event, by whatever name it was typed, on whichever type of
/// cores, and also if kernel mode had to be left out; or all events, or all of the CPU.
pub fn concerns(what: &str, event: &str) -> bool {
    let Some(spec) = event::parse(event).ok().and_then(|specs| specs.into_iter().next()) else {
        return false;
    };
    let name = spec.to_string();
    let is_it = |title: &str| {
        let title = title.split(" on ").next().unwrap_or(title);
        title == name || title.strip_suffix(":u") == Some(&name)
    };
    what == Perf::MISSED
        || (what == HARDWARE && spec.is_hardware())
        || what.strip_prefix(KERNEL_MODE_OF).unwrap_or(what).split(", ").any(is_it)
}

impl Refusal {
    fn unavailable(reason: impl std::fmt::Display) -> Self {
        Self { reason: format!("unavailable: {reason}"), remedy: String::new() }
    }

    /// For that reason, in which the kernel's setting may be named, or for one that hinders who has the right.
    fn not_permitted(remedy: String, reason: impl FnOnce(&str) -> String) -> Self {
        let (reason, remedy) = perfmon::hindrance().unwrap_or_else(|| (reason(&perfmon::setting()), remedy));
        Self { reason: format!("not permitted: {reason}"), remedy }
    }

    /// What an error of perf_event_open(2) means for this event.
    pub fn of(error: &io::Error, event: &Event, target: &Target, host: &Host) -> Self {
        match error.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => Self::permission(event, target),
            Some(libc::ENOENT) if matches!(event.class, Class::Hardware | Class::Cache | Class::Raw) => {
                match (host.is_virtual(), event::has_core_counters(host)) {
                    (true, false) => {
                        let reason = "this virtual machine has no hardware counters";
                        Self {
                            remedy: "its host may give it a virtual PMU".into(),
                            ..Self::unavailable(reason)
                        }
                    }
                    (true, true) => {
                        Self::unavailable("the counters that this virtual machine has do not count it")
                    }
                    (false, _) => {
                        Self::unavailable("this CPU has no such counter, or the kernel does not know it")
                    }
                }
            }
            Some(libc::ENOENT | libc::ENODEV | libc::EOPNOTSUPP | libc::ENXIO) => {
                Self::unavailable("this machine cannot count it")
            }
            Some(libc::EINVAL) => Self::unavailable("the kernel does not accept it in this form"),
            Some(libc::ENOSYS) => Self::unavailable("this kernel was built without perf events"),
            Some(libc::ESRCH) => {
                Self { reason: "not counted: the process has ended".into(), remedy: String::new() }
            }
            Some(libc::EMFILE | libc::ENFILE) => Self {
                reason: "not counted: too many open files".into(),
                remedy: "raise the limit with `ulimit -n`, or ask for fewer events".into(),
            },
            Some(libc::ENOSPC | libc::EBUSY) => Self {
                reason: "not counted: no counter is left for it".into(),
                remedy: "ask for fewer such events, or end other profilers and debuggers".into(),
            },
            _ => Self::unavailable(alumet::file::reason(error)),
        }
    }

    /// What it means that not even the kernel's clock can be counted for one's own process.
    pub fn of_all(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOSYS | libc::ENOENT) => {
                Self::unavailable("this kernel was built without perf events")
            }
            Some(libc::EACCES | libc::EPERM) => {
                let remedy = if perfmon::is_closed() { perfmon::opening() } else { perfmon::remedy() };
                Self::not_permitted(remedy, |setting| {
                    format!("this kernel lets users count nothing{setting}")
                })
            }
            _ => Self::unavailable(alumet::file::reason(error)),
        }
    }

    fn permission(event: &Event, target: &Target) -> Self {
        let is_closed = perfmon::is_closed()
            && perfmon::survivable().and_then(|()| Builder::new(Software::TASK_CLOCK).build()).is_err();
        let remedy = match is_closed && event.needs_no_privilege() {
            true => perfmon::opening(),
            false => perfmon::remedy(),
        };
        Self::not_permitted(remedy, |setting| match event {
            _ if event.is_machine_wide() => format!("it counts the whole machine{setting}"),
            _ if is_closed => format!("this kernel lets users count nothing{setting}"),
            _ if event.is_kernel_only() => format!("it happens in the kernel{setting}"),
            _ if target.is_foreign() => "the process belongs to another user".into(),
            _ if event.modifiers.kernel => format!("it counts kernel mode{setting}"),
            _ => format!("the kernel refused it{setting}"),
        })
    }

    /// It was wanted all the time and never counted.
    pub fn never_counted() -> Self {
        Self {
            reason: "not counted: it never got one of the CPU's counters".into(),
            remedy: "ask for fewer events with -e, end other profilers, or free the one that the NMI watchdog holds \
                     (sudo sysctl kernel.nmi_watchdog=0)"
                .into(),
        }
    }
}
