//! The source over small trees shaped like `/sys/class/powercap`, at fake time.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use alumet::testing::{Collect, ManualClock};
use alumet::{
    Agent, Availability, Bound, Consumer, Host, Interval, Kind, Missing, Plugin, Report, Series, Totals,
};
use alumet_plugin_rapl::{Backend, Config, Rapl, is_machine_energy};
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);
const RANGE: u64 = 262_143_328_850;

/// A machine whose zones are what a test makes of them.
struct Machine {
    root: TempDir,
    clock: Arc<ManualClock>,
    collected: Collect,
    totals: Totals,
}

impl Machine {
    fn new(vendor: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("class/powercap")).unwrap();
        fs::write(root.path().join("cpuinfo"), format!("vendor_id\t: {vendor}\n")).unwrap();
        Self { root, clock: ManualClock::new(), collected: Collect::new(), totals: Totals::new() }
    }

    /// With these zones, each at its path below `class/powercap`, with its name, and at 1 J.
    fn with(vendor: &str, zones: &[(&str, &str)]) -> Self {
        let machine = Self::new(vendor);
        zones.iter().for_each(|(path, name)| machine.zone(path, name));
        machine
    }

    fn file(&self, zone: &str, name: &str) -> PathBuf {
        self.root.path().join("class/powercap").join(zone).join(name)
    }

    fn zone(&self, path: &str, name: &str) {
        fs::create_dir_all(self.file(path, "")).unwrap();
        fs::write(self.file(path, "name"), format!("{name}\n")).unwrap();
        fs::write(self.file(path, "max_energy_range_uj"), format!("{RANGE}\n")).unwrap();
        self.set(path, 1.0);
    }

    fn set(&self, zone: &str, joules: f64) {
        fs::write(self.file(zone, "energy_uj"), format!("{}\n", (joules * 1e6) as u64)).unwrap();
    }

    fn host(&self) -> Host {
        Host::new(self.root.path(), self.root.path())
    }

    fn config(&self) -> Config {
        Config { backend: Backend::Auto, interval: Interval::from_millis(1000) }
    }

    fn probe(&self) -> Availability {
        Rapl::probe(&self.config(), &self.host())
    }

    /// A run in which `step(n)` is what happens before the n-th second is over.
    fn run(&self, seconds: u32, step: impl Fn(u32)) -> Report {
        let mut agent = Agent::on(self.host(), self.clock.clone());
        agent.plugin::<Rapl>(self.config()).unwrap();
        agent.setup().output("collect", self.collected.clone());
        agent.setup().output("totals", self.totals.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let running = agent.start().await.unwrap();
            for n in 1..=seconds {
                step(n);
                self.clock.advance(SECOND);
            }
            running.finish().await
        })
    }

    /// Every zone goes on by so many watts, its place in the list times 10, for three seconds.
    fn seconds(&self, zones: &[&str]) -> Report {
        self.run(3, |n| {
            for (i, zone) in zones.iter().enumerate() {
                self.set(zone, 1.0 + f64::from(n) * 10.0 * (i + 1) as f64);
            }
        })
    }

    /// Those that say how sure their total is, in the order of the zones.
    fn sure(&self) -> Vec<String> {
        let points = self.collected.points();
        let sure = points.iter().filter(|(series, _)| series.metric.name == "hw.energy.uncertainty");
        sure.map(|(series, _)| describe(series)).collect()
    }

    /// The total of every energy series, as `resource resource_id labels`.
    fn energies(&self) -> Vec<(String, f64)> {
        let mut sums: Vec<(String, f64)> = Vec::new();
        for (series, point) in self.collected.points() {
            if series.metric.name != "hw.energy" {
                continue;
            }
            match sums.iter_mut().find(|(name, _)| *name == describe(&series)) {
                Some((_, sum)) => *sum += point.value,
                None => sums.push((describe(&series), point.value)),
            }
        }
        sums.iter_mut().for_each(|(_, sum)| *sum = (*sum * 1e6).round() / 1e6);
        sums.sort_by(|a, b| a.0.cmp(&b.0));
        sums
    }
}

fn describe(series: &Series) -> String {
    let labels: Vec<_> = series.labels.iter().map(|(_, value)| value.as_str()).collect();
    format!("{} {} {}", series.resource.kind, series.resource.id, labels.join(" "))
}

fn expected(energies: &[(&str, f64)]) -> Vec<(String, f64)> {
    let mut energies: Vec<_> = energies.iter().map(|(name, energy)| ((*name).to_owned(), *energy)).collect();
    energies.sort_by(|a, b| a.0.cmp(&b.0));
    energies
}

const CLIENT: [(&str, &str); 5] = [
    ("intel-rapl/intel-rapl:0", "package-0"),
    ("intel-rapl/intel-rapl:0/intel-rapl:0:0", "core"),
    ("intel-rapl/intel-rapl:0/intel-rapl:0:1", "uncore"),
    ("intel-rapl/intel-rapl:0/intel-rapl:0:2", "dram"),
    ("intel-rapl/intel-rapl:1", "psys"),
];

#[test]
fn nested_zones_are_found_and_only_package_and_dram_are_the_machine() {
    let machine = Machine::with("GenuineIntel", &CLIENT);
    let report = machine.seconds(&CLIENT.map(|(path, _)| path));
    let all = [
        ("cpu_package 0 package", 30.0),
        ("cpu_package 0 core", 60.0),
        ("cpu_package 0 uncore", 90.0),
        ("dram 0 dram", 120.0),
        ("machine  psys", 150.0),
    ];
    assert_eq!(machine.energies(), expected(&all));
    assert_eq!(machine.collected.sum("hw.energy", is_machine_energy).round(), 150.0);
    assert_eq!(report.missing, []);
    for (series, point) in machine.collected.points() {
        let expected = match &*series.metric.name {
            "hw.energy" => ("J", Kind::Counter),
            "hw.power" => ("W", Kind::Gauge),
            "hw.energy.uncertainty" => ("J", Kind::Gauge),
            name => panic!("{name}"),
        };
        assert_eq!((&*series.metric.unit, series.metric.kind), expected);
        assert_eq!(series.consumer, Consumer::Machine);
        if series.metric.name == "hw.power" && describe(&series) == "dram 0 dram" {
            assert!((point.value - 40.0).abs() < 1e-9, "{}", point.value);
        }
    }
    let uncertainties = machine.collected.sum("hw.energy.uncertainty", |s| describe(s) == "dram 0 dram");
    assert!((uncertainties - 0.04 / 3f64.sqrt()).abs() < 1e-4, "{uncertainties}");
}

#[test]
fn links_from_the_top_lead_to_the_same_zones_and_links_back_are_not_followed() {
    let machine = Machine::with("GenuineIntel", &CLIENT);
    let powercap = machine.file("", "");
    for (link, to) in [
        ("intel-rapl:0", "intel-rapl/intel-rapl:0"),
        ("intel-rapl:0:2", "intel-rapl/intel-rapl:0/intel-rapl:0:2"),
        ("intel-rapl:1", "intel-rapl/intel-rapl:1"),
        ("intel-rapl/intel-rapl:0/device", "../../intel-rapl"),
        ("intel-rapl/intel-rapl:0/subsystem", "../.."),
    ] {
        symlink(to, powercap.join(link)).unwrap();
    }
    machine.seconds(&CLIENT.map(|(path, _)| path));
    assert_eq!(machine.energies().len(), 5);
}

#[test]
fn flat_zones_have_hexadecimal_numbers_and_names_that_repeat() {
    let zones = [
        ("intel-rapl:0", "package-0"),
        ("intel-rapl:0:0", "dram"),
        ("intel-rapl:a", "package-10"),
        ("intel-rapl:a:0", "dram"),
        ("intel-rapl:a:b", "core"),
        // Neither a zone of RAPL nor of a domain that is known.
        ("dtpm:0", "package-3"),
        ("intel-rapl:a:c", "something"),
    ];
    let machine = Machine::with("GenuineIntel", &zones);
    machine.seconds(&zones.map(|(path, _)| path));
    let all = [
        ("cpu_package 0 package", 30.0),
        ("dram 0 dram", 60.0),
        ("cpu_package 10 package", 90.0),
        ("dram 10 dram", 120.0),
        ("cpu_package 10 core", 150.0),
    ];
    assert_eq!(machine.energies(), expected(&all));
}

#[test]
fn sockets_have_the_kernels_numbers_and_add_up() {
    let zones = [("intel-rapl:0", "package-1"), ("intel-rapl:1", "package-3"), ("intel-rapl:2", "psys-3")];
    let machine = Machine::with("GenuineIntel", &zones);
    machine.seconds(&zones.map(|(path, _)| path));
    let all = [("cpu_package 1 package", 30.0), ("cpu_package 3 package", 60.0), ("machine 3 psys", 90.0)];
    assert_eq!(machine.energies(), expected(&all));
    assert_eq!(machine.collected.sum("hw.energy", is_machine_energy).round(), 90.0);
}

#[test]
fn what_is_shown_through_memory_as_well_is_counted_once() {
    let zones = [("intel-rapl:0", "package-0"), ("intel-rapl-mmio:0", "package-0")];
    let machine = Machine::with("GenuineIntel", &zones);
    let report = machine.seconds(&zones.map(|(path, _)| path));
    assert_eq!(machine.energies(), expected(&[("cpu_package 0 package", 30.0)]));
    assert_eq!(report.missing, [], "nothing is missing");

    let machine = Machine::with("GenuineIntel", &zones[1..]);
    machine.seconds(&["intel-rapl-mmio:0"]);
    assert_eq!(machine.energies(), expected(&[("cpu_package 0 package", 30.0)]), "where it is the only way");
}

#[test]
fn the_way_through_memory_knows_no_dies_and_counts_nothing_again() {
    let zones = [
        ("intel-rapl:0", "package-0-die-0"),
        ("intel-rapl:1", "package-0-die-1"),
        ("intel-rapl-mmio:0", "package-0"),
    ];
    let machine = Machine::with("GenuineIntel", &zones);
    let report = machine.seconds(&zones.map(|(path, _)| path));
    let all = [("cpu_package 0 package 0", 30.0), ("cpu_package 0 package 1", 60.0)];
    assert_eq!(machine.energies(), expected(&all));
    assert_eq!(report.missing, []);
}

#[test]
fn a_dead_zone_does_not_hide_one_that_counts_the_same_through_memory() {
    let zones = [("intel-rapl:0", "package-0"), ("intel-rapl-mmio:0", "package-0")];
    for dead in ["0\n", "", "unknown\n"] {
        let machine = Machine::with("GenuineIntel", &zones);
        fs::write(machine.file("intel-rapl:0", "energy_uj"), dead).unwrap();
        let report = machine.seconds(&["intel-rapl-mmio:0"]);
        assert_eq!(machine.energies(), expected(&[("cpu_package 0 package", 30.0)]), "{dead:?}");
        assert_eq!(report.missing, [], "{dead:?}");
        assert_eq!(machine.sure(), ["cpu_package 0 package"], "{dead:?}");
    }
}

#[test]
fn of_a_machine_that_lacks_a_part_nobody_says_how_sure_the_energy_is() {
    let zones = [
        ("intel-rapl:0", "package-0"),
        ("intel-rapl:0:0", "dram"),
        ("intel-rapl:0:1", "core"),
        ("intel-rapl:1", "package-1"),
    ];
    let lacks = |zone: &str, text: &str| {
        let machine = Machine::with("GenuineIntel", &zones);
        fs::write(machine.file(zone, "energy_uj"), text).unwrap();
        let others: Vec<_> = zones.iter().map(|(path, _)| *path).filter(|path| *path != zone).collect();
        let report = machine.seconds(&others);
        (machine.sure(), report.missing.len())
    };
    let all = ["cpu_package 0 package", "dram 0 dram", "cpu_package 0 core", "cpu_package 1 package"];
    let machine = Machine::with("GenuineIntel", &zones);
    machine.seconds(&zones.map(|(path, _)| path));
    assert_eq!(machine.sure().len(), all.len());
    // A package that cannot be read, one that counts nothing, and memory that stands still: the core is no part.
    for (zone, text) in [("intel-rapl:1", "?"), ("intel-rapl:1", "0"), ("intel-rapl:0:0", "1000000")] {
        assert_eq!(lacks(zone, text), (vec!["cpu_package 0 core".to_owned()], 1), "{zone} {text}");
    }
    // Memory without a register is not there, and a core is in its package.
    for (zone, text) in [("intel-rapl:0:0", "0"), ("intel-rapl:0:1", "?")] {
        assert_eq!(lacks(zone, text).0.len(), 3, "{zone} {text}");
    }
}

#[test]
fn dies_that_mirror_their_socket_are_counted_once_and_others_each() {
    let zones = [
        ("intel-rapl:0", "package-0-die-0"),
        ("intel-rapl:1", "package-0-die-1"),
        ("intel-rapl:2", "package-1-die-0"),
        ("intel-rapl:3", "package-1-die-1"),
    ];
    let machine = Machine::with("AuthenticAMD", &zones);
    let report = machine.seconds(&zones.map(|(path, _)| path));
    let all = [("cpu_package 0 package", 30.0), ("cpu_package 1 package", 90.0)];
    assert_eq!(machine.energies(), expected(&all));
    assert_eq!(report.missing, []);

    let machine = Machine::with("GenuineIntel", &zones);
    machine.seconds(&zones.map(|(path, _)| path));
    let all = [
        ("cpu_package 0 package 0", 30.0),
        ("cpu_package 0 package 1", 60.0),
        ("cpu_package 1 package 0", 90.0),
        ("cpu_package 1 package 1", 120.0),
    ];
    assert_eq!(machine.energies(), expected(&all));
}

#[test]
fn amds_core_zone_is_that_of_one_core_and_left_out() {
    let zones = [("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "core")];
    let machine = Machine::with("AuthenticAMD", &zones);
    let report = machine.seconds(&zones.map(|(path, _)| path));
    assert_eq!(machine.energies(), expected(&[("cpu_package 0 package", 30.0)]));
    assert_eq!(report.missing[0].what, "energy of core of package 0");
    assert!(report.missing[0].reason.contains("one core"), "{}", report.missing[0].reason);
}

#[test]
fn where_the_platform_alone_has_a_counter_energy_is_missing_once_with_a_reason_that_stays_the_same() {
    for moves in [&[][..], &["intel-rapl:0"]] {
        let machine = Machine::with("GenuineIntel", &[("intel-rapl:0", "psys")]);
        let report = machine.seconds(moves);
        let gaps: Vec<_> = report.missing.iter().map(|gap| (&*gap.what, &*gap.reason)).collect();
        assert_eq!(gaps, [("energy", "no package of the CPU has a counter here")]);
    }
}

#[test]
fn a_second_zone_of_the_same_name_is_not_counted_and_said() {
    let machine =
        Machine::with("GenuineIntel", &[("intel-rapl:0", "package-0"), ("intel-rapl:1", "package-0")]);
    let report = machine.seconds(&["intel-rapl:0", "intel-rapl:1"]);
    assert_eq!(machine.energies(), expected(&[("cpu_package 0 package", 30.0)]));
    assert!(report.missing[0].reason.contains("`package-0`"), "{:?}", report.missing);
}

#[test]
fn a_counter_at_0_is_not_supported_here_and_not_0_joules() {
    let machine = Machine::with("GenuineIntel", &CLIENT);
    let dram = CLIENT[3].0;
    machine.set(dram, 0.0);
    let report = machine.seconds(&[CLIENT[0].0]);
    assert!(!machine.energies().iter().any(|(name, _)| name.contains("dram")));
    let gap = |what: &str| report.missing.iter().find(|gap| gap.what.contains(what)).unwrap();
    assert_eq!(gap("dram").reason, "not supported here: its counter stays at 0");
    assert_eq!(gap("psys").reason, "its counter never moved", "it has counted before");
}

#[test]
fn a_machine_of_zeros_and_one_without_zones_have_no_rapl() {
    let machine = Machine::with("GenuineIntel", &[("intel-rapl:0", "package-0")]);
    assert_eq!(machine.probe(), Availability::Available);
    machine.set("intel-rapl:0", 0.0);
    let none = |machine: &Machine, words: &str| {
        let Availability::Unavailable(Missing { reason, remedy, .. }) = machine.probe() else { panic!() };
        assert!(reason.contains(words), "{reason}");
        assert!(remedy.contains("modprobe"), "{remedy}");
    };
    none(&machine, "not supported here: its counter stays at 0");
    none(&Machine::new("GenuineIntel"), "powercap has no RAPL zones");

    // A virtual machine says so in one sentence, and nothing that its user can do would change it.
    fs::write(machine.root.path().join("cpuinfo"), "vendor_id : GenuineIntel\nflags : fpu hypervisor\n")
        .unwrap();
    let expected = Availability::unavailable("no RAPL in this virtual machine", "");
    assert_eq!(machine.probe(), expected);
}

#[test]
fn a_pmu_without_events_is_no_way_to_the_counters() {
    let machine = Machine::with("GenuineIntel", &[("intel-rapl:0", "package-0")]);
    let pmu = machine.root.path().join("bus/event_source/devices/power");
    fs::create_dir_all(pmu.join("events")).unwrap();
    fs::write(pmu.join("type"), "20\n").unwrap();
    fs::write(pmu.join("cpumask"), "0\n").unwrap();
    machine.seconds(&["intel-rapl:0"]);
    assert_eq!(machine.energies().len(), 1, "powercap is used instead");
    let forced = Config { backend: Backend::Perf, ..machine.config() };
    let expected = Availability::unavailable("the PMU `power` has no events", "");
    assert_eq!(Rapl::probe(&forced, &machine.host()), expected);
}

/// A PMU `power` on these CPUs, with this event, for which the kernel's own clock stands.
fn pmu(machine: &Machine, cpus: &str, event: &str) {
    let write = |name: &str, text: &str| {
        let path = machine.root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let files = [("type", "1"), ("cpumask", cpus)].map(|(name, text)| (name.to_owned(), text));
    let events = [("", "event=0x00"), (".scale", "1e-9"), (".unit", "Joules")]
        .map(|(end, text)| (format!("events/{event}{end}"), text));
    for (name, text) in files.into_iter().chain(events) {
        write(&format!("bus/event_source/devices/power/{name}"), text);
    }
    write("devices/system/cpu/cpu0/topology/physical_package_id", "0");
}

#[test]
fn a_pmu_that_counts_no_package_gives_way_to_zones_that_do() {
    // Some virtual machines are shown the platform's counter alone.
    let machine = Machine::with("GenuineIntel", &[("intel-rapl:0", "package-0")]);
    pmu(&machine, "0", "energy-psys");
    machine.seconds(&["intel-rapl:0"]);
    assert_eq!(machine.energies(), expected(&[("cpu_package 0 package", 30.0)]));
}

#[test]
fn of_two_ways_that_lead_as_far_the_pmu_comes_first() {
    if !alumet::perfmon::is_permitted() {
        eprintln!(
            "skipped: of_two_ways_that_lead_as_far_the_pmu_comes_first, because this user may not count the machine"
        );
        return;
    }
    let way = |cpus: &str, event: &str, zones: &[(&str, &str)], broken: Option<&str>| {
        let machine = Machine::with("GenuineIntel", zones);
        pmu(&machine, cpus, event);
        if let Some(zone) = broken {
            fs::write(machine.file(zone, "energy_uj"), "?").unwrap();
        }
        machine.run(2, |n| {
            for (zone, _) in zones.iter().filter(|(zone, _)| Some(*zone) != broken) {
                machine.set(zone, f64::from(n) + 1.0);
            }
        });
        let points = machine.collected.points();
        let energy = points.iter().find(|(series, _)| series.metric.name == "hw.energy");
        energy.map(|(series, _)| series.method.to_string()).unwrap()
    };
    let two = [("intel-rapl:0", "package-0"), ("intel-rapl:1", "package-1")];
    let (perf, powercap) = ("RAPL through perf", "RAPL through powercap");
    assert_eq!(way("0", "energy-pkg", &two, None), perf, "all that it knows of is open");
    // Of a CPU whose package is not known the PMU lacks something.
    assert_eq!(way("0,900", "energy-pkg", &two, None), powercap);
    assert_eq!(way("0,900", "energy-pkg", &two, Some("intel-rapl:1")), perf, "and so do the zones");
    assert_eq!(
        way("0", "energy-psys", &two, Some("intel-rapl:1")),
        powercap,
        "one package is more than none"
    );
    assert_eq!(way("0", "energy-psys", &[("intel-rapl:0", "psys")], None), perf);
}

#[test]
fn a_wrap_is_counted_and_one_of_unknown_size_is_said() {
    let zone = "intel-rapl:0";
    let near_the_end =
        |n: u32| (RANGE as f64 / 1e6 - 25.0 + 10.0 * f64::from(n)) % ((RANGE + 1) as f64 / 1e6);
    let machine = Machine::with("GenuineIntel", &[(zone, "package-0")]);
    machine.set(zone, near_the_end(0));
    let report = machine.run(5, |n| machine.set(zone, near_the_end(n)));
    let energy = machine.energies()[0].1;
    assert!((energy - 50.0).abs() < 1e-5, "{energy}");
    assert_eq!(report.missing, []);

    let machine = Machine::with("GenuineIntel", &[(zone, "package-0")]);
    fs::remove_file(machine.file(zone, "max_energy_range_uj")).unwrap();
    machine.set(zone, near_the_end(0));
    let report = machine.run(5, |n| machine.set(zone, near_the_end(n)));
    let energy = machine.energies()[0].1;
    assert!((energy - 40.0).abs() < 1e-5, "{energy}");
    let gap = &report.missing[0];
    assert_eq!(gap.what, "energy of package 0 for 1.0s of the run");
    assert!(gap.reason.contains("max_energy_range_uj cannot be read"), "{}", gap.reason);
    // Of such a total nobody can say how sure it is.
    assert_eq!(machine.collected.sum("hw.energy.uncertainty", |_| true), 0.0);
}

#[test]
fn a_counter_that_freezes_is_said_and_the_machine_has_used_at_least_so_much() {
    let zones = [("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "dram"), ("intel-rapl:0:1", "uncore")];
    let freezes = |frozen: usize| {
        let machine = Machine::with("GenuineIntel", &zones);
        let report = machine.run(5, |n| {
            for (i, (zone, _)) in zones.iter().enumerate() {
                machine.set(zone, 1.0 + 10.0 * f64::from(if i == frozen { n.min(2) } else { n }));
            }
        });
        let bounds: Vec<_> =
            machine.totals.get().iter().map(|total| (total.bound, total.bound_reason.to_string())).collect();
        let said =
            report.missing.iter().map(|gap| format!("{} ({})", gap.what, gap.reason)).collect::<Vec<_>>();
        (machine.sure(), said, bounds.into_iter().filter(|(bound, _)| !bound.is_exact()).collect::<Vec<_>>())
    };
    let at_least = vec![(Bound::AtLeast, "the counter stood still".to_owned())];
    for (frozen, part) in [(0, "package 0"), (1, "dram 0")] {
        let said = vec![format!("energy of {part} for 3.0s of the run (the counter stood still)")];
        let expected = (vec!["cpu_package 0 uncore".to_owned()], said, at_least.clone());
        assert_eq!(freezes(frozen), expected, "{part}");
    }
    // Graphics may rest.
    let (sure, said, bounds) = freezes(2);
    assert_eq!((sure.len(), said.len(), bounds.len()), (3, 0, 0));
}

#[test]
fn a_reset_is_no_energy() {
    let machine = Machine::with("GenuineIntel", &[("intel-rapl:0", "package-0")]);
    machine.set("intel-rapl:0", 5000.0);
    let report = machine.run(4, |n| {
        machine.set("intel-rapl:0", [5000.0, 5010.0, 2.0, 12.0, 22.0][n as usize]);
    });
    assert_eq!(machine.energies(), expected(&[("cpu_package 0 package", 30.0)]));
    assert_eq!(report.missing[0].reason, "the counter was reset");
}

#[test]
fn a_zone_that_vanishes_is_said_and_one_that_comes_back_has_lost_nothing() {
    let zones = [("intel-rapl:0", "package-0"), ("intel-rapl:1", "package-1")];
    let machine = Machine::with("GenuineIntel", &zones);
    let broken = |zone: &str| fs::write(machine.file(zone, "energy_uj"), "").unwrap();
    let report = machine.run(4, |n| {
        machine.set("intel-rapl:0", 1.0 + 10.0 * f64::from(n));
        machine.set("intel-rapl:1", 1.0 + 10.0 * f64::from(n));
        if n == 2 {
            broken("intel-rapl:0");
        }
        if n >= 3 {
            broken("intel-rapl:1");
        }
    });
    let all = [("cpu_package 0 package", 40.0), ("cpu_package 1 package", 20.0)];
    assert_eq!(machine.energies(), expected(&all));
    assert_eq!(report.missing.len(), 1, "{:?}", report.missing);
    assert_eq!(report.missing[0].what, "energy of package 1 in the last 1.0s");
}

#[test]
fn a_zone_that_appears_during_the_run_is_said_to_be_missing() {
    let machine = Machine::with("GenuineIntel", &[("intel-rapl:0", "package-0")]);
    let report = machine.run(3, |n| {
        machine.set("intel-rapl:0", 1.0 + 10.0 * f64::from(n));
        if n == 2 {
            machine.zone("intel-rapl:1", "package-1");
        }
    });
    assert_eq!(machine.energies(), expected(&[("cpu_package 0 package", 30.0)]));
    assert_eq!(report.missing.len(), 1, "{:?}", report.missing);
    assert_eq!(report.missing[0].what, "energy of package 1");
    assert!(report.missing[0].reason.contains("appeared during the run"), "{:?}", report.missing);
    assert_eq!(machine.sure(), [""; 0], "the machine's energy lacks it");
}

#[test]
fn a_longer_interval_does_not_make_the_readings_rarer_than_wraps_allow() {
    let machine = Machine::with("GenuineIntel", &[("intel-rapl:0", "package-0")]);
    let mut agent = Agent::on(machine.host(), machine.clock.clone());
    let hour = Interval::new(Duration::from_secs(3600)).unwrap();
    agent.plugin::<Rapl>(Config { interval: hour, ..machine.config() }).unwrap();
    agent.setup().output("collect", machine.collected.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let report = runtime.block_on(async {
        let running = agent.start().await.unwrap();
        machine.clock.advance(Duration::from_secs(61));
        running.finish().await
    });
    assert_eq!(report.sampling[0].ticks, 2, "one each 30 s");
}
