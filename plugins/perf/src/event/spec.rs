//! An event as it was typed.

use std::fmt;

use super::Modifiers;
use super::names::{CacheEvent, Symbol, Tool};

/// One event as typed: parsed, not yet looked up on this machine. Displays in its one spelling, which parses to the
/// same spec; where it was typed does not count for equality.
#[derive(Debug, Clone)]
pub struct Spec {
    pub(super) kind: Kind,
    pub(super) modifiers: Modifiers,
    /// What `name=` says.
    pub(super) label: Option<String>,
    pub(super) place: Place,
}

impl PartialEq for Spec {
    fn eq(&self, other: &Self) -> bool {
        (&self.kind, self.modifiers, &self.label) == (&other.kind, other.modifiers, &other.label)
    }
}

impl Eq for Spec {}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Hardware(&'static Symbol),
    Software(&'static Symbol),
    Cache(CacheEvent),
    Tool(Tool),
    Raw {
        /// With its `r`.
        typed: String,
        config: u64,
    },
    /// By the numbers of perf_event_open(2): that of a class of the kernel's events, or of a PMU.
    Numbers {
        type_: u32,
        config: u64,
        /// With its colon.
        typed: String,
    },
    /// Where `event` could be modifiers too, only the machine can tell whether `system` is an event.
    Tracepoint {
        system: String,
        event: String,
    },
    Breakpoint(Breakpoint),
    Pmu {
        pmu: String,
        terms: Vec<Term>,
    },
    /// An event of a core PMU in sysfs, or a mistake.
    Named(String),
}

/// Accesses to memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Breakpoint {
    pub address: u64,
    /// In bytes.
    pub length: u64,
    /// HW_BREAKPOINT_R | _W | _X
    pub access: u32,
}

impl Breakpoint {
    pub const R: u32 = 1;
    pub const W: u32 = 2;
    pub const X: u32 = 4;

    /// What an access covers when no length was typed. For executions it has to be `sizeof(long)`
    /// (perf_event_open(2), `bp_len`).
    pub fn usual_length(access: u32) -> u64 {
        if access & Self::X == 0 { 4 } else { size_of::<std::ffi::c_long>() as u64 }
    }
}

/// What stands between the slashes of a PMU's event: `umask=0x1`, `inv`, `energy-pkg`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    pub name: String,
    pub value: Option<Number>,
}

/// A number and how it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Number {
    pub typed: String,
    pub value: u64,
}

impl Number {
    /// Decimal digits, or `0x` and hexadecimal ones. A leading zero means nothing, as in perf.
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(digits) => (digits, 16),
            None => (text, 10),
        };
        // `from_str_radix` would let a sign through.
        let value = digits.chars().all(|digit| digit.is_digit(radix)).then_some(digits)?;
        Some(Self { typed: text.to_owned(), value: u64::from_str_radix(value, radix).ok()? })
    }
}

impl Spec {
    /// Whether it is one of the kernel's generic names for events of the CPU.
    pub fn is_hardware(&self) -> bool {
        matches!(self.kind, Kind::Hardware(_))
    }
}

impl Spec {
    /// What its counts are called: what `name=` says, or the spec in its one spelling.
    pub fn name(&self) -> String {
        self.label.clone().unwrap_or_else(|| self.to_string())
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.label.iter().map(|label| match label.contains([',', '/']) {
            true if label.contains('\'') => format!("name=\"{label}\""),
            true => format!("name='{label}'"),
            false => format!("name={label}"),
        });
        let has_slashes = match &self.kind {
            Kind::Pmu { pmu, terms } => {
                let terms = terms.iter().map(Term::to_string).chain(label).collect::<Vec<_>>();
                write!(f, "{pmu}/{}/", terms.join(","))?;
                true
            }
            kind => {
                kind.fmt(f)?;
                label.into_iter().try_for_each(|label| write!(f, "/{label}/"))?;
                self.label.is_some()
            }
        };
        match self.modifiers {
            modifiers if modifiers == Modifiers::default() => Ok(()),
            modifiers if has_slashes => write!(f, "{modifiers}"),
            modifiers => write!(f, ":{modifiers}"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hardware(symbol) | Self::Software(symbol) => f.write_str(symbol.name),
            Self::Cache(event) => event.fmt(f),
            Self::Tool(tool) => f.write_str(tool.name()),
            Self::Raw { typed: name, .. } | Self::Numbers { typed: name, .. } | Self::Named(name) => {
                f.write_str(name)
            }
            Self::Tracepoint { system, event } => write!(f, "{system}:{event}"),
            Self::Breakpoint(breakpoint) => breakpoint.fmt(f),
            // With its terms and their slashes it is printed by the whole.
            Self::Pmu { pmu, .. } => f.write_str(pmu),
        }
    }
}

impl fmt::Display for Breakpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, length, access } = *self;
        write!(f, "mem:{address:#x}")?;
        if length != Self::usual_length(access) {
            write!(f, "/{length}")?;
        }
        if access != Self::R | Self::W {
            f.write_str(":")?;
            let letters = [(Self::R, "r"), (Self::W, "w"), (Self::X, "x")];
            letters
                .iter()
                .filter(|(bit, _)| access & bit != 0)
                .try_for_each(|(_, letter)| f.write_str(letter))?;
        }
        Ok(())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={}", self.name, value.typed),
            None => f.write_str(&self.name),
        }
    }
}

/// Where an event was typed; opens the messages about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// As typed.
    pub event: String,
    /// In characters, from 1.
    pub position: usize,
    /// All that was typed.
    pub list: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event, position, list } = self;
        if event.is_empty() {
            write!(f, "no event at position {position} of `{list}`")
        } else if event == list {
            write!(f, "event `{event}`")
        } else {
            write!(f, "event `{event}` at position {position} of `{list}`")
        }
    }
}
