//! Events: from what is typed after `-e` to what perf_event_open(2) must be told.
//!
//! [`parse()`] reads a list in the language of perf-list(1) into [`Spec`]s, without looking at the machine; its names
//! are in `names`, its modifiers in `modifiers`. [`resolve()`] looks a spec up on one machine, with `pmu` for
//! what the kernel says of its PMUs and `tracepoint` for the ids of tracepoints, and returns [`Event`]s: what to
//! open, what to sum, and how to print it. The numbers of the kernel are those of include/uapi/linux/perf_event.h and
//! hw_breakpoint.h.

use std::borrow::Cow;

mod modifiers;
mod names;
mod parse;
mod pmu;
mod resolve;
mod spec;
mod tracepoint;

pub use modifiers::Modifiers;
pub use parse::{ParseError, parse};
pub use resolve::{ResolveError, has_core_counters, resolve};
pub use spec::{Place, Spec};

/// What is to be counted on this machine: the counts of the [parts](Self::parts), summed and scaled.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// As perf prints it. Aliases have one name, that which `perf stat` prints of itself (`cs` is `context-switches`,
    /// `cpu-cycles` is `cycles`, `branch-instructions` is `branches`), and modifiers one order (`cycles:ku` is
    /// `cycles:uk`), so that the same event has the same name in every run. A `name=` that was typed is it alone.
    pub name: String,
    /// On CPUs with several types of cores, the PMU of the one that this event is about (`cpu_atom`), for events that
    /// mean something else on each, or were asked for on one.
    pub core_type: Option<String>,
    /// Counters whose values are summed; never empty.
    pub parts: Vec<Part>,
    /// UCUM code of the scaled value: `1` for counts, `s` for clocks, `J`, `By`, ...
    pub unit: Cow<'static, str>,
    /// Count × scale = value in `unit`.
    pub scale: f64,
    /// Which kind of event it is.
    pub class: Class,
    /// Whether the CPU's own counters count it, on which the events of a thread take turns.
    pub is_of_core: bool,
    /// In which modes of the CPU it counts.
    pub modifiers: Modifiers,
}

impl Event {
    /// Whether it happens in kernel mode alone, so that counting user mode alone would always read 0: switches,
    /// migrations and tracepoints (of which only user-space probes happen in user mode).
    pub fn is_kernel_only(&self) -> bool {
        self.is_software(&["context-switches", "cpu-migrations", "cgroup-switches"])
            || self.parts.iter().all(|part| part.attr.type_ == Attr::TRACEPOINT)
    }

    /// Whether users may count it in user mode where the kernel lets them count at all (`perf_event_paranoid` at most 2).
    pub fn needs_no_privilege(&self) -> bool {
        let Modifiers { user, kernel, hypervisor, .. } = self.modifiers;
        let is_of_user_mode = !self.is_kernel_only() && !kernel && !hypervisor;
        self.is_clock()
            || is_of_user_mode
                && match self.class {
                    Class::Hardware | Class::Cache | Class::Raw | Class::Software => true,
                    Class::Pmu => self.is_of_core,
                    Class::Breakpoint => user,
                    Class::Tracepoint => false,
                }
    }

    /// Whether it is one of the kernel's clocks, which run in all modes whatever the modifiers say.
    pub fn is_clock(&self) -> bool {
        self.is_software(&["cpu-clock", "task-clock"])
    }

    fn is_software(&self, names: &[&str]) -> bool {
        self.parts.iter().all(|Part { attr, .. }| {
            attr.type_ == Attr::SOFTWARE
                && names::SOFTWARE
                    .iter()
                    .any(|symbol| symbol.config == attr.config && names.contains(&symbol.name))
        })
    }

    /// The event that always counts while a thread runs, and has nothing to count (PERF_COUNT_SW_DUMMY): it needs neither
    /// a counter of the CPU nor a privilege, and only its times are of use.
    pub fn of_time() -> Self {
        const DUMMY: u64 = 9;
        Self {
            name: "dummy".into(),
            core_type: None,
            parts: vec![Part { attr: Attr::new(Attr::SOFTWARE, DUMMY), cpus: None }],
            unit: "1".into(),
            scale: 1.0,
            class: Class::Software,
            is_of_core: false,
            modifiers: Modifiers { user: true, ..Modifiers::default() },
        }
    }

    /// Its name for a person: with the type of core that it is about, if there are several.
    pub fn title(&self) -> String {
        match &self.core_type {
            Some(core) => format!("{} on {core}", self.name),
            None => self.name.clone(),
        }
    }

    /// Whether it counts the whole machine and not a process.
    pub fn is_machine_wide(&self) -> bool {
        self.parts.iter().any(|part| part.cpus.is_some())
    }
}

/// One of the counters that make up an [`Event`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it counts.
    pub attr: Attr,
    /// `None`: the threads of a process, on any CPU. `Some`: the whole machine, by one counter on each of these CPUs
    /// (the PMU's `cpumask`).
    pub cpus: Option<Vec<u32>>,
}

/// The fields of `struct perf_event_attr` that say what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attr {
    /// `type`: a PERF_TYPE, or the number of a PMU.
    pub type_: u32,
    /// Which event of this type.
    pub config: u64,
    /// More of it; the address of a breakpoint.
    pub config1: u64,
    /// More of it; the length of a breakpoint.
    pub config2: u64,
    /// More of it.
    pub config3: u64,
    /// The accesses that a breakpoint is about (HW_BREAKPOINT_*).
    pub bp_type: u32,
}

impl Attr {
    const HARDWARE: u32 = 0;
    const SOFTWARE: u32 = 1;
    const TRACEPOINT: u32 = 2;
    const CACHE: u32 = 3;
    const RAW: u32 = 4;
    const BREAKPOINT: u32 = 5;

    fn new(type_: u32, config: u64) -> Self {
        Self { type_, config, ..Self::default() }
    }
}

/// The kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// One of the kernel's generic hardware events.
    Hardware,
    /// One of the kernel's generic cache events.
    Cache,
    /// A code of the CPU's maker.
    Raw,
    /// Counted by the kernel itself.
    Software,
    /// A place in the kernel.
    Tracepoint,
    /// An event of a PMU in sysfs.
    Pmu,
    /// Accesses to an address.
    Breakpoint,
}
