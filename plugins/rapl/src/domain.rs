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

#[cfg(test)]
mod tests {
    use super::*;
    use alumet::conventions::POWER;

    fn part(domain: Domain, socket: u32, die: Option<u32>) -> Part {
        Part { domain, socket, die }
    }

    #[test]
    fn a_part_has_a_name_and_a_series_says_what_it_is_about() {
        let about = |part: Part| {
            let series = part.describe(Series::new(ENERGY));
            let die = series.label_value(DIE).map(str::to_owned);
            (part.to_string(), series.resource.kind.to_string(), series.resource.id.clone(), die)
        };
        let expected = |name: &str, kind: &str, id: &str, die: Option<&str>| {
            (name.to_owned(), kind.to_owned(), id.to_owned(), die.map(str::to_owned))
        };
        assert_eq!(about(part(Domain::Package, 1, None)), expected("package 1", "cpu_package", "1", None));
        let die = expected("package 1, die 3", "cpu_package", "1", Some("3"));
        assert_eq!(about(part(Domain::Package, 1, Some(3))), die);
        assert_eq!(
            about(part(Domain::Core, 2, None)),
            expected("core of package 2", "cpu_package", "2", None)
        );
        assert_eq!(
            about(part(Domain::Uncore, 0, None)),
            expected("uncore of package 0", "cpu_package", "0", None)
        );
        assert_eq!(about(part(Domain::Dram, 1, None)), expected("dram 1", "dram", "1", None));
        assert_eq!(about(part(Domain::Psys, 0, None)), expected("psys", "machine", "", None));
        assert_eq!(about(part(Domain::Psys, 1, None)), expected("psys 1", "machine", "1", None));
    }

    #[test]
    fn two_ways_to_a_part_are_one_place_also_if_one_of_them_knows_no_dies() {
        let package = |socket, die| part(Domain::Package, socket, die);
        assert!(package(0, None).has_place_of(package(0, Some(1))));
        assert!(package(0, Some(1)).has_place_of(package(0, None)));
        assert!(package(0, Some(1)).has_place_of(package(0, Some(1))));
        assert!(!package(0, Some(1)).has_place_of(package(0, Some(2))));
        assert!(!package(0, None).has_place_of(package(1, None)));
        assert!(!package(0, None).has_place_of(part(Domain::Dram, 0, None)));
    }

    #[test]
    fn only_energies_of_packages_and_memory_are_the_machine() {
        let of = |domain: Domain| Series::new(ENERGY).label(DOMAIN, domain.as_str());
        let counted = Domain::ALL.map(|domain| is_machine_energy(&of(domain)));
        assert_eq!(counted, [true, false, false, true, false]);
        assert_eq!(
            Domain::ALL.map(|domain| is_package_energy(&of(domain))),
            [true, false, false, false, false]
        );
        let package = || Series::new(POWER).label(DOMAIN, "package");
        assert!(!is_machine_energy(&package()), "a power is none");
        assert!(!is_machine_energy(&of(Domain::Package).consumer(Consumer::Target)));
        assert!(!is_machine_energy(&Series::new(ENERGY)));
    }

    #[test]
    fn a_platform_may_use_more_than_a_package() {
        assert!(Domain::Psys.most() > Domain::Package.most());
        assert_eq!(Domain::Dram.most(), Domain::Package.most());
        assert_eq!(
            Domain::ALL.map(Domain::event),
            ["energy-pkg", "energy-cores", "energy-gpu", "energy-ram", "energy-psys"]
        );
    }
}
