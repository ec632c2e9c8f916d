//! Which part of the machine a counter is about.
//!
//! A package contains its cores and its uncore (the graphics, on client CPUs). The memory is beside it. The platform
//! (psys) contains all of them. (Intel Software Developer's Manual, volume 3, "RAPL Domains".)

use std::fmt;

use alumet::conventions::{DOMAIN, ENERGY};
use alumet::{Consumer, Series};

use crate::metrics::DIE;
use crate::units::Watts;

/// A RAPL domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    /// A whole CPU package.
    Package,
    /// All cores of a package.
    Core,
    /// What is in the package besides the cores, as far as it has a counter: mostly the graphics.
    Uncore,
    /// The memory of a package.
    Dram,
    /// The whole platform.
    Psys,
}

impl Domain {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Package, Self::Core, Self::Uncore, Self::Dram, Self::Psys];

    /// The value of the label [`DOMAIN`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Package => "package",
            Self::Core => "core",
            Self::Uncore => "uncore",
            Self::Dram => "dram",
            Self::Psys => "psys",
        }
    }

    /// Its event in the PMU `power`.
    pub const fn event(self) -> &'static str {
        match self {
            Self::Package => "energy-pkg",
            Self::Core => "energy-cores",
            Self::Uncore => "energy-gpu",
            Self::Dram => "energy-ram",
            Self::Psys => "energy-psys",
        }
    }

    /// Whether it is counted in the machine's energy. Of the others, two are parts of the package, and psys is the whole
    /// to which these are parts.
    pub const fn is_counted(self) -> bool {
        matches!(self, Self::Package | Self::Dram)
    }

    /// More than this no such domain consumes: a counter that says so was reset.
    pub const fn most(self) -> Watts {
        match self {
            Self::Psys => Watts(10_000.0),
            _ => Watts(2_000.0),
        }
    }
}

/// A domain in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part {
    /// Which domain.
    pub domain: Domain,
    /// The package's number in the kernel's topology.
    pub socket: u32,
    /// The die, where each die of a package has counters of its own.
    pub die: Option<u32>,
}

impl Part {
    /// Whether both are the same energy: the same domain of the same package, and of the same die where both tell dies
    /// apart.
    pub fn has_place_of(self, other: Self) -> bool {
        let same_die = self.die.is_none() || other.die.is_none() || self.die == other.die;
        same_die && (self.domain, self.socket) == (other.domain, other.socket)
    }

    /// Adds what it is about to a series.
    pub fn describe(self, series: Series) -> Series {
        let series = series.label(DOMAIN, self.domain.as_str());
        let socket = || self.socket.to_string();
        let series = match self.domain {
            // A machine with several packages may have a counter in each; the first is that of the whole platform.
            Domain::Psys if self.socket == 0 => series.resource("machine", ""),
            Domain::Psys => series.resource("machine", socket()),
            Domain::Dram => series.resource("dram", socket()),
            Domain::Package | Domain::Core | Domain::Uncore => series.resource("cpu_package", socket()),
        };
        self.die.map_or(series.clone(), |die| series.label(DIE, die.to_string()))
    }
}

impl fmt::Display for Part {
    /// `package 0`, `core of package 1`, `psys`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, socket, die } = self;
        match domain {
            Domain::Psys if *socket == 0 => f.write_str("psys")?,
            Domain::Package | Domain::Dram | Domain::Psys => write!(f, "{} {socket}", domain.as_str())?,
            Domain::Core | Domain::Uncore => write!(f, "{} of package {socket}", domain.as_str())?,
        }
        die.map_or(Ok(()), |die| write!(f, ", die {die}"))
    }
}

/// Whether a series is part of the machine's energy, which is the sum of all such series: the packages, and the memory
/// beside them. Core, uncore and psys are energy that is in the sum already, or contains it.
///
/// ```
/// use alumet::Series;
/// use alumet::conventions::{DOMAIN, ENERGY};
/// use alumet_plugin_rapl::is_machine_energy;
///
/// assert!(is_machine_energy(&Series::new(ENERGY).label(DOMAIN, "package")));
/// assert!(!is_machine_energy(&Series::new(ENERGY).label(DOMAIN, "psys")));
/// ```
pub fn is_machine_energy(series: &Series) -> bool {
    domain(series).is_some_and(Domain::is_counted)
}

/// Whether a series is the energy of a package. Without one, what the others add up to is no machine's energy: memory alone
/// uses a small part of it.
pub fn is_package_energy(series: &Series) -> bool {
    domain(series) == Some(Domain::Package)
}

/// Of which domain a series is the energy, whoever measures or estimates it.
fn domain(series: &Series) -> Option<Domain> {
    let is_energy = series.metric.name == ENERGY.name && series.consumer == Consumer::Machine;
    let label = series.label_value(DOMAIN).filter(|_| is_energy)?;
    Domain::ALL.into_iter().find(|domain| domain.as_str() == label)
}
