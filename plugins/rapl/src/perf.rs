//! RAPL through perf: the PMUs `power` and `power_core` (arch/x86/events/rapl.c in Linux).
//!
//! The events, their scale and unit, and the CPUs on which they are counted, one for each package or die, come from
//! `/sys/bus/event_source/devices` (Documentation/ABI/testing/sysfs-bus-event_source-devices-events).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use alumet::{Host, cpu_list, perfmon, sysfs};
use perf_event::events::Software;
use perf_event::{Builder, Counter};

use crate::counter::{Scale, Top};
use crate::domain::{Domain, Part};
use crate::found::Found;
use crate::meter::{Meter, Register};
use crate::refusal::Refusal;
use crate::topology;

/// A PMU.
struct Pmu {
    dir: PathBuf,
    type_: u32,
    cpus: Vec<u32>,
}

/// What a PMU has one counter for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Each {
    /// A package, or a die.
    Package,
    /// A core.
    Core,
}

/// One of its events.
struct Event {
    config: u64,
    scale: Scale,
}

/// Opens everything that there is.
///
/// # Errors
/// There is nothing, or it is not permitted.
pub fn open(host: &Host) -> Result<Found, Refusal> {
    let power = Pmu::find(host, "power").ok_or_else(|| Refusal::absent("the kernel has no PMU `power`"))?;
    let mut found = Found::default();
    for domain in Domain::ALL {
        if let Some(event) = power.event(domain.event()) {
            power.open(domain, Each::Package, &event, host, &mut found);
        }
    }
    // AMD has one counter for each core, in a PMU of its own. They are told together, as Intel's.
    if let Some(cores) = Pmu::find(host, "power_core")
        && let Some(event) = cores.event("energy-core")
    {
        cores.open(Domain::Core, Each::Core, &event, host, &mut found);
    }
    found.if_any("the PMU `power` has no events")
}

/// What there are events of, on the CPUs on which they are counted now.
pub fn parts(host: &Host) -> BTreeSet<Part> {
    let Some(power) = Pmu::find(host, "power") else { return BTreeSet::new() };
    let there = Domain::ALL.into_iter().filter(|domain| power.event(domain.event()).is_some());
    there.flat_map(|domain| places(domain, Each::Package, &power.cpus, host).0.into_keys()).collect()
}

impl Pmu {
    fn find(host: &Host, name: &str) -> Option<Self> {
        let dir = host.pmus().join(name);
        let read = |name: &str| sysfs::read(&dir.join(name)).ok();
        let type_ = read("type")?.parse().ok()?;
        let cpus = cpu_list(&read("cpumask")?)?;
        Some(Self { dir, type_, cpus })
    }

    fn event(&self, name: &str) -> Option<Event> {
        let read = |end: &str| sysfs::read(&self.dir.join(format!("events/{name}{end}"))).ok();
        Event::parse(&read("")?, &read(".scale")?, &read(".unit")?)
    }

    /// Opens an event for every part that the CPUs of the mask are in.
    fn open(&self, domain: Domain, each: Each, event: &Event, host: &Host, found: &mut Found) {
        let (parts, homeless) = places(domain, each, &self.cpus, host);
        for cpu in homeless {
            let part = Part { domain, socket: 0, die: None };
            found.refuse(part, Refusal::unreadable(format!("the package of CPU {cpu} is not known")));
        }
        for (part, cpus) in parts {
            match cpus.iter().map(|cpu| self.counter(event, *cpu)).collect::<io::Result<_>>() {
                Ok(counters) => found.meters.push(Meter {
                    part,
                    scale: event.scale,
                    top: Top::Endless,
                    register: Register::Events(counters),
                }),
                Err(error) => found.refuse(part, refusal(&error)),
            }
        }
    }

    fn counter(&self, event: &Event, cpu: u32) -> io::Result<Counter> {
        perfmon::survivable()?;
        // Whatever it is made with, all that says what is counted is set here.
        let mut builder = Builder::new(Software::DUMMY);
        let raw = builder.attrs_mut();
        raw.type_ = self.type_;
        raw.config = event.config;
        // The PMU refuses to leave out what it cannot tell apart.
        builder.exclude_kernel(false).exclude_hv(false);
        builder.any_pid().one_cpu(cpu as usize).enabled(true).build()
    }
}

impl Event {
    /// From its files: `event=0x02` (the only field of this PMU is the low byte of `config`), `2.3e-10`, `Joules`.
    fn parse(terms: &str, scale: &str, unit: &str) -> Option<Self> {
        let config = u64::from_str_radix(terms.trim().strip_prefix("event=0x")?, 16).ok()?;
        let scale: f64 = scale.trim().parse().ok()?;
        let is_plausible = unit.trim() == "Joules" && scale.is_finite() && scale > 0.0;
        is_plausible.then_some(Self { config, scale: Scale(scale) })
    }
}

/// The parts that are counted on these CPUs, each with its CPUs; and the CPUs whose place is not known.
///
/// On older kernels the mask of `power` has a CPU for each die also where the dies share one counter: then each package
/// is counted on the first of them.
fn places(domain: Domain, each: Each, cpus: &[u32], host: &Host) -> (BTreeMap<Part, Vec<u32>>, Vec<u32>) {
    let (known, homeless): (Vec<_>, Vec<_>) =
        cpus.iter().map(|cpu| (*cpu, topology::place(host, *cpu))).partition(|(_, place)| place.is_some());
    let known: Vec<_> = known.into_iter().filter_map(|(cpu, place)| Some((cpu, place?))).collect();
    let mirrors = topology::dies_are_mirrors(host);
    let is_split = |socket: u32| known.iter().any(|(_, place)| place.0 == socket && place.1 != 0);
    let mut parts: BTreeMap<Part, Vec<u32>> = BTreeMap::new();
    for (cpu, (socket, die)) in &known {
        let die = (is_split(*socket) && !mirrors).then_some(*die);
        let on = parts.entry(Part { domain, socket: *socket, die }).or_default();
        if each == Each::Core || on.is_empty() {
            on.push(*cpu);
        }
    }
    (parts, homeless.into_iter().map(|(cpu, _)| cpu).collect())
}

fn refusal(error: &io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Refusal::perf(),
        _ => Refusal::unreadable(format!("it cannot be counted: {}", alumet::file::reason(error))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// A machine of CPUs in these packages and dies.
    fn machine(vendor: &str, places: &[(u32, u32, u32)]) -> (tempfile::TempDir, Host) {
        let root = tempfile::tempdir().unwrap();
        for (cpu, socket, die) in places {
            let topology = root.path().join(format!("devices/system/cpu/cpu{cpu}/topology"));
            fs::create_dir_all(&topology).unwrap();
            fs::write(topology.join("physical_package_id"), format!("{socket}\n")).unwrap();
            fs::write(topology.join("die_id"), format!("{die}\n")).unwrap();
        }
        fs::write(root.path().join("cpuinfo"), format!("processor\t: 0\nvendor_id\t: {vendor}\n")).unwrap();
        let host = Host::new(root.path(), root.path());
        (root, host)
    }

    fn of(domain: Domain, each: Each, cpus: &[u32], host: &Host) -> Vec<(u32, Option<u32>, Vec<u32>)> {
        let (parts, _) = places(domain, each, cpus, host);
        parts.into_iter().map(|(part, cpus)| (part.socket, part.die, cpus)).collect()
    }

    #[test]
    fn the_socket_is_that_of_the_topology_and_not_the_place_in_the_mask() {
        let (_root, host) = machine("GenuineIntel", &[(0, 3, 0), (24, 1, 0)]);
        let parts = of(Domain::Package, Each::Package, &[0, 24], &host);
        assert_eq!(parts, [(1, None, vec![24]), (3, None, vec![0])]);
    }

    #[test]
    fn dies_with_counters_of_their_own_are_told_apart_and_mirrors_counted_once() {
        let places = [(0, 0, 0), (8, 0, 1), (16, 1, 0), (24, 1, 1)];
        let cpus = [0, 8, 16, 24];
        let (_intel, host) = machine("GenuineIntel", &places);
        assert_eq!(
            of(Domain::Package, Each::Package, &cpus, &host),
            [(0, Some(0), vec![0]), (0, Some(1), vec![8]), (1, Some(0), vec![16]), (1, Some(1), vec![24])]
        );
        let (_mixed, host) = machine("GenuineIntel", &places[..3]);
        assert_eq!(
            of(Domain::Package, Each::Package, &cpus[..3], &host),
            [(0, Some(0), vec![0]), (0, Some(1), vec![8]), (1, None, vec![16])],
            "a package of one die beside one of two"
        );
        let (_amd, host) = machine("AuthenticAMD", &places);
        assert_eq!(
            of(Domain::Package, Each::Package, &cpus, &host),
            [(0, None, vec![0]), (1, None, vec![16])]
        );
    }

    #[test]
    fn all_cores_of_a_package_are_one_part() {
        let (_root, host) = machine("AuthenticAMD", &[(0, 0, 0), (1, 0, 0), (2, 1, 0), (3, 1, 1)]);
        let parts = of(Domain::Core, Each::Core, &[0, 1, 2, 3], &host);
        assert_eq!(parts, [(0, None, vec![0, 1]), (1, None, vec![2, 3])]);
    }

    #[test]
    fn a_cpu_without_a_place_is_not_put_anywhere() {
        let (_root, host) = machine("GenuineIntel", &[(0, 0, 0)]);
        let (parts, homeless) = places(Domain::Package, Each::Package, &[0, 9], &host);
        assert_eq!((parts.len(), homeless), (1, vec![9]));
    }

    /// A PMU of which the kernel's own clock is the counter: a nanosecond is a unit.
    fn pmu(root: &Path, name: &str, cpus: &str, type_: &str, events: &[&str]) {
        let directory = root.join("bus/event_source/devices").join(name);
        fs::create_dir_all(directory.join("events")).unwrap();
        fs::write(directory.join("type"), type_).unwrap();
        fs::write(directory.join("cpumask"), cpus).unwrap();
        for event in events {
            for (end, text) in [("", "event=0x00\n"), (".scale", "1e-9\n"), (".unit", "Joules\n")] {
                fs::write(directory.join(format!("events/{event}{end}")), text).unwrap();
            }
        }
    }

    const SOFTWARE: &str = "1\n";

    fn words(found: &Found) -> (Vec<String>, Vec<String>) {
        let refused = found.refused.iter().map(|(part, why)| format!("{part}: {}", why.reason));
        (found.meters.iter().map(|meter| meter.part.to_string()).collect(), refused.collect())
    }

    #[test]
    fn there_are_parts_of_every_event_on_every_package() {
        let (root, host) = machine("GenuineIntel", &[(0, 3, 0), (1, 1, 0)]);
        assert!(parts(&host).is_empty(), "no PMU");
        pmu(root.path(), "power", "0-1\n", SOFTWARE, &["energy-pkg", "energy-ram", "energy-sun"]);
        let parts: Vec<_> = parts(&host).iter().map(ToString::to_string).collect();
        assert_eq!(parts, ["package 1", "package 3", "dram 1", "dram 3"]);
    }

    #[test]
    fn every_event_is_opened_where_it_is_counted_and_cores_are_one() {
        if !perfmon::is_permitted() {
            eprintln!(
                "skipped: every_event_is_opened_where_it_is_counted_and_cores_are_one, because this user may not count the machine"
            );
            return;
        }
        let (root, host) = machine("AuthenticAMD", &[(0, 2, 0), (1, 2, 0)]);
        pmu(root.path(), "power", "0\n", SOFTWARE, &["energy-pkg"]);
        pmu(root.path(), "power_core", "0-1\n", SOFTWARE, &["energy-core"]);
        let mut found = open(&host).unwrap();
        let cpus = std::thread::available_parallelism().unwrap().get();
        let cores = if cpus > 1 { &["core of package 2".to_owned()][..] } else { &[] };
        assert_eq!(words(&found).0, [&["package 2".to_owned()][..], cores].concat());
        let mut read =
            || found.meters.iter_mut().map(|meter| meter.register.read().unwrap().0).collect::<Vec<_>>();
        let before = read();
        std::thread::sleep(std::time::Duration::from_millis(100));
        let counted: Vec<_> = read().iter().zip(before).map(|(after, before)| after - before).collect();
        assert!(counted[0] > 0, "{counted:?}");
        if let [package, cores] = counted[..] {
            let ratio = cores as f64 / package as f64;
            assert!((1.8..2.2).contains(&ratio), "the sum of two: {ratio}");
        }
        let ways: Vec<_> = found.meters.iter().map(|meter| (meter.scale, meter.top)).collect();
        assert!(ways.iter().all(|way| *way == (Scale(1e-9), Top::Endless)), "{ways:?}");
    }

    #[test]
    fn what_cannot_be_opened_is_refused_with_its_part() {
        let (root, host) = machine("GenuineIntel", &[(0, 0, 0)]);
        assert_eq!(open(&host).unwrap_err().reason, "the kernel has no PMU `power`");
        pmu(root.path(), "power", "0,900\n", "99999\n", &[]);
        assert_eq!(open(&host).unwrap_err().reason, "the PMU `power` has no events");
        pmu(root.path(), "power", "0,900\n", "99999\n", &["energy-pkg"]);
        let why = open(&host).unwrap_err();
        // No package is known for the one, and the other is of no PMU; who may not count at all hears of that.
        assert!(why.kind > crate::refusal::Kind::Absent, "{why}");
        if perfmon::is_permitted() {
            pmu(root.path(), "power", "0,900\n", SOFTWARE, &["energy-pkg"]);
            let found = open(&host).unwrap();
            let refused = vec!["package 0: the package of CPU 900 is not known".to_owned()];
            assert_eq!(words(&found), (vec!["package 0".to_owned()], refused));
        }
    }

    #[test]
    fn an_error_of_the_kernel_is_a_right_that_is_missing_or_a_counter_that_is_broken() {
        let forbidden = refusal(&io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(forbidden.kind, crate::refusal::Kind::Forbidden);
        let broken = refusal(&io::Error::other("broken"));
        assert_eq!((broken.kind, broken.remedy.as_str()), (crate::refusal::Kind::Unreadable, ""));
        assert!(broken.reason.starts_with("it cannot be counted: "), "{broken}");
    }

    #[test]
    fn an_event_has_a_code_a_scale_and_joules() {
        let event = Event::parse("event=0x02\n", "2.3283064365386962890625e-10\n", "Joules\n").unwrap();
        assert_eq!((event.config, event.scale.0), (2, 2f64.powi(-32)));
        for (terms, scale, unit) in [
            ("", "1", "Joules"),
            ("event=2", "1", "Joules"),
            ("event=0x02,umask=0x1", "1", "Joules"),
            ("event=0x02", "0", "Joules"),
            ("event=0x02", "inf", "Joules"),
            ("event=0x02", "1", "Watts"),
        ] {
            assert!(Event::parse(terms, scale, unit).is_none(), "{terms} {scale} {unit}");
        }
    }
}
