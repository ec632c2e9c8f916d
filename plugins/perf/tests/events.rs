//! From the text after `-e` to what the kernel is told, over small `/sys` trees in a directory and over this machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use alumet::Host;
use alumet_plugin_perf::event::{Attr, Class, Event, Modifiers, Part, ResolveError, parse, resolve};
use tempfile::TempDir;

/// A machine whose `/sys` holds these files.
struct Machine {
    root: TempDir,
    host: Host,
}

impl Machine {
    fn new(files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path(), "/nowhere");
        let machine = Self { root, host };
        machine.write(files);
        machine
    }

    fn write(&self, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = self.root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            // As in sysfs, each file ends with a newline.
            fs::write(path, format!("{text}\n")).unwrap();
        }
    }

    /// With PMUs: `PMU/FILE` instead of paths.
    fn with_pmus(files: &[(&str, &str)]) -> Self {
        let machine = Self::new(&[]);
        for (path, text) in files {
            machine.write(&[(&format!("bus/event_source/devices/{path}"), text)]);
        }
        machine
    }

    /// A CPU with two types of cores.
    fn hybrid() -> Self {
        Self::with_pmus(&[
            ("cpu_atom/type", "10"),
            ("cpu_atom/cpus", "16-23"),
            ("cpu_atom/format/event", "config:0-7"),
            ("cpu_atom/events/topdown-retiring", "event=0xc2"),
            ("cpu_core/type", "4"),
            ("cpu_core/cpus", "0-15"),
            ("cpu_core/format/event", "config:0-7"),
            ("cpu_core/format/umask", "config:8-15"),
            ("cpu_core/events/topdown-retiring", "event=0x00,umask=0x80"),
            ("cpu_core/events/slots", "event=0x00,umask=0x4"),
        ])
    }

    /// A server of one type of cores, with energy counters, memory controllers and a GPU.
    fn server() -> Self {
        Self::with_pmus(&[
            ("cpu/type", "4"),
            ("cpu/format/event", "config:0-7,32-35"),
            ("cpu/format/umask", "config:8-15"),
            ("cpu/format/edge", "config:18"),
            ("cpu/format/inv", "config:23"),
            ("cpu/format/ldlat", "config1:0-15"),
            ("cpu/events/mem-loads", "event=0xcd,umask=0x1,ldlat=3"),
            ("power/type", "9"),
            ("power/cpumask", "0,4-5"),
            ("power/format/event", "config:0-7"),
            ("power/events/energy-pkg", "event=0x02"),
            ("power/events/energy-pkg.scale", "2.3283064365386962890625e-10"),
            ("power/events/energy-pkg.unit", "Joules"),
            ("uncore_imc_0/type", "20"),
            ("uncore_imc_0/cpumask", "0"),
            ("uncore_imc_0/format/event", "config:0-7"),
            ("uncore_imc_0/events/data_reads", "event=0x1"),
            ("uncore_imc_0/events/data_reads.scale", "6.103515625e-5"),
            ("uncore_imc_0/events/data_reads.unit", "MiB"),
            ("uncore_imc_1/type", "21"),
            ("uncore_imc_1/cpumask", "0"),
            ("uncore_imc_1/format/event", "config:0-7"),
            ("uncore_imc_1/events/data_reads", "event=0x1"),
            ("uncore_imc_1/events/data_reads.scale", "6.103515625e-5"),
            ("uncore_imc_1/events/data_reads.unit", "MiB"),
            ("uncore_imc_free_running_0/type", "22"),
            ("hv/type", "30"),
            ("hv/format/domain", "config:0-3"),
            ("hv/format/core", "config:16-31"),
            ("hv/events/cycles_of", "domain=0x1,core=?"),
            ("hv/events/cycles_of.unit", "M"),
        ])
    }

    fn try_resolve(&self, list: &str) -> Result<Vec<Event>, ResolveError> {
        let specs = parse(list).unwrap_or_else(|error| panic!("{error}"));
        let events: Result<Vec<_>, _> = specs.iter().map(|spec| resolve(spec, &self.host)).collect();
        Ok(events?.concat())
    }

    fn resolve(&self, list: &str) -> Vec<Event> {
        self.try_resolve(list).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The only event and its only attr.
    fn attr(&self, event: &str) -> Attr {
        match self.resolve(event).as_slice() {
            [Event { parts, .. }] if parts.len() == 1 => parts[0].attr,
            other => panic!("{event}: {other:?}"),
        }
    }

    fn error(&self, list: &str) -> ResolveError {
        self.try_resolve(list).expect_err(list)
    }

    /// The message, with the directory of the test as `/sys`.
    fn message(&self, list: &str) -> String {
        self.error(list).to_string().replace(&self.root.path().display().to_string(), "/sys")
    }
}

fn attr(type_: u32, config: u64) -> Attr {
    Attr { type_, config, ..Attr::default() }
}

#[test]
fn generic_events_need_no_sysfs() {
    let machine = Machine::new(&[]);
    for (event, class, expected) in [
        ("cycles", Class::Hardware, attr(0, 0)),
        ("instructions", Class::Hardware, attr(0, 1)),
        ("ref-cycles", Class::Hardware, attr(0, 9)),
        ("task-clock", Class::Software, attr(1, 1)),
        ("cgroup-switches", Class::Software, attr(1, 11)),
        ("LLC-load-misses", Class::Cache, attr(3, 0x10002)),
        ("dTLB-stores", Class::Cache, attr(3, 0x103)),
        ("r01c4", Class::Raw, attr(4, 0x1c4)),
        ("mem:0x10/2:w", Class::Breakpoint, Attr { config1: 16, config2: 2, bp_type: 2, ..attr(5, 0) }),
        ("mem:0x10", Class::Breakpoint, Attr { config1: 16, config2: 4, bp_type: 3, ..attr(5, 0) }),
    ] {
        let events = machine.resolve(event);
        let [found] = events.as_slice() else { panic!("{event}: {events:?}") };
        assert_eq!((found.name.as_str(), found.class), (event, class));
        assert_eq!(found.parts, [Part { attr: expected, cpus: None }], "{event}");
        assert_eq!(found.core_type, None);
        assert!(!found.is_machine_wide());
    }
}

#[test]
fn clocks_are_in_seconds_and_counts_have_no_unit() {
    let events = Machine::new(&[]).resolve("task-clock,cpu-clock,cs");
    let units: Vec<_> = events.iter().map(|event| (&*event.unit, event.scale)).collect();
    assert_eq!(units, [("s", 1e-9), ("s", 1e-9), ("1", 1.0)]);
    assert_eq!(events.iter().map(Event::is_clock).collect::<Vec<_>>(), [true, true, false]);
}

#[test]
fn names_and_modifiers_are_those_that_were_typed() {
    let events = Machine::new(&[]).resolve("cpu-cycles:ku,cs,instructions:uG");
    assert_eq!(
        events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(),
        ["cycles:uk", "context-switches", "instructions:uG"]
    );
    assert_eq!(events[2].modifiers, Modifiers { user: true, guest: true, ..Modifiers::default() });
}

#[test]
fn switches_migrations_and_tracepoints_happen_in_the_kernel_alone() {
    let machine = Machine::new(&[("kernel/tracing/events/sched/sched_switch/id", "314")]);
    for event in ["cs", "cpu-migrations", "cgroup-switches", "sched:sched_switch"] {
        assert!(machine.resolve(event)[0].is_kernel_only(), "{event}");
    }
    for event in ["page-faults", "task-clock", "cycles", "cpu-clock", "r3", "mem:3"] {
        assert!(!machine.resolve(event)[0].is_kernel_only(), "{event}");
    }
}

#[test]
fn one_core_pmu_is_no_hybrid_cpu() {
    let arm = Machine::with_pmus(&[("armv8_pmuv3_0/type", "8"), ("armv8_pmuv3_0/cpus", "0-63")]);
    for machine in [arm, Machine::server()] {
        assert_eq!(machine.attr("cycles"), attr(0, 0));
        assert_eq!(machine.attr("r11"), attr(4, 0x11));
    }
}

#[test]
fn the_same_work_on_any_type_of_core_is_one_event() {
    let machine = Machine::hybrid();
    for (event, type_, config) in
        [("instructions", 0, 1), ("branch-misses", 0, 5), ("L1-dcache-load-misses", 3, 0x10000)]
    {
        let events = machine.resolve(event);
        assert_eq!(events.len(), 1, "{event}");
        assert_eq!(events[0].core_type, None);
        let attrs: Vec<_> = events[0].parts.iter().map(|part| part.attr).collect();
        assert_eq!(attrs, [attr(type_, config | 4 << 32), attr(type_, config | 10 << 32)], "{event}");
    }
    assert_eq!(machine.attr("task-clock"), attr(1, 1), "software is not of a core");
}

#[test]
fn cycles_are_shown_apart_for_each_type_of_core() {
    let events = Machine::hybrid().resolve("cycles:u");
    let seen: Vec<_> = events
        .iter()
        .map(|event| (event.name.as_str(), event.core_type.as_deref().unwrap(), event.parts[0].attr))
        .collect();
    assert_eq!(
        seen,
        [("cycles:u", "cpu_core", attr(0, 4 << 32)), ("cycles:u", "cpu_atom", attr(0, 10 << 32))]
    );
    for event in ["ref-cycles", "bus-cycles", "stalled-cycles-frontend", "stalled-cycles-backend"] {
        assert_eq!(Machine::hybrid().resolve(event).len(), 2, "{event}");
    }
}

#[test]
fn codes_and_names_of_a_core_mean_something_else_on_each_type() {
    let machine = Machine::hybrid();
    let seen = |list: &str| -> Vec<_> {
        let events = machine.resolve(list);
        events.iter().map(|event| (event.core_type.clone(), event.class, event.parts[0].attr)).collect()
    };
    let (core, atom) = (|| Some("cpu_core".to_owned()), || Some("cpu_atom".to_owned()));
    assert_eq!(seen("r1c4"), [(core(), Class::Raw, attr(4, 0x1c4)), (atom(), Class::Raw, attr(10, 0x1c4))]);
    assert_eq!(
        seen("topdown-retiring"),
        [(core(), Class::Pmu, attr(4, 0x8000)), (atom(), Class::Pmu, attr(10, 0xc2))]
    );
    assert_eq!(seen("slots"), [(core(), Class::Pmu, attr(4, 0x400))]);
    assert_eq!(seen("cpu_atom/topdown-retiring/"), [(atom(), Class::Pmu, attr(10, 0xc2))]);
    assert_eq!(
        machine.message("cpu/slots/"),
        "event `cpu/slots/`: this machine has no PMU `cpu`; those that it has are in /sys/bus/event_source/devices"
    );
}

#[test]
fn fields_flags_codes_and_whole_words_are_packed() {
    let machine = Machine::server();
    for (event, expected) in [
        ("cpu/event=0x3c,umask=0x0/", attr(4, 0x3c)),
        ("cpu/event=0x28f,umask=0x3,inv,edge/", attr(4, 0x2_0000_038f | 1 << 23 | 1 << 18)),
        (
            "cpu/config=1,config1=2,config2=0x3,config3=4,name=foo/u",
            Attr { config1: 2, config2: 3, config3: 4, ..attr(4, 1) },
        ),
        ("cpu/r1a8/", attr(4, 0x1a8)),
        ("cpu/r0x20000038f/", attr(4, 0x2_0000_038f)),
        ("cpu/mem-loads/", Attr { config1: 3, ..attr(4, 0x1cd) }),
        ("cpu/mem-loads,ldlat=0x1e/", Attr { config1: 0x1e, ..attr(4, 0x1cd) }),
        ("mem-loads", Attr { config1: 3, ..attr(4, 0x1cd) }),
        ("cpu//", attr(4, 0)),
    ] {
        assert_eq!(machine.attr(event), expected, "{event}");
    }
}

#[test]
fn an_event_is_printed_as_typed_or_by_its_own_name() {
    let events =
        Machine::server().resolve("cpu/event=0x3c,umask=0x0/u,cpu/event=1,name=foo/u,power/energy-pkg/");
    assert_eq!(
        events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(),
        ["cpu/event=0x3c,umask=0x0/u", "foo", "power/energy-pkg/"]
    );
}

#[test]
fn a_colon_after_an_event_of_a_core_pmu_is_for_modifiers() {
    let machine = Machine::server();
    machine
        .write(&[("kernel/tracing/events/mem-loads/u/id", "1"), ("kernel/tracing/events/probe/uk/id", "2")]);
    let event = &machine.resolve("mem-loads:ku")[0];
    assert_eq!((event.name.as_str(), event.class), ("mem-loads:uk", Class::Pmu));
    assert!(event.modifiers.user && event.modifiers.kernel);
    assert_eq!(machine.attr("probe:uk"), attr(2, 2), "and no event of a core is `probe`");
}

#[test]
fn a_pmu_with_a_cpumask_counts_the_whole_machine_in_its_unit() {
    let event = &Machine::server().resolve("power/energy-pkg/")[0];
    assert!(event.is_machine_wide());
    assert_eq!(event.parts, [Part { attr: attr(9, 2), cpus: Some(vec![0, 4, 5]) }]);
    assert_eq!((&*event.unit, event.scale), ("J", 2f64.powi(-32)));
    assert!(!Machine::server().resolve("cpu/event=1/")[0].is_machine_wide());
}

#[test]
fn a_kind_of_pmus_is_summed_in_bytes() {
    for list in ["imc/data_reads/", "uncore_imc/data_reads/"] {
        let events = Machine::server().resolve(list);
        let [event] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(event.name, list);
        assert_eq!(event.parts.iter().map(|part| part.attr).collect::<Vec<_>>(), [attr(20, 1), attr(21, 1)]);
        assert_eq!((&*event.unit, event.scale), ("By", 64.0));
    }
    assert_eq!(Machine::server().attr("uncore_imc_1/data_reads/"), attr(21, 1));
}

#[test]
fn pmus_of_a_kind_with_other_units_are_not_summed() {
    let machine = Machine::server();
    machine.write(&[("bus/event_source/devices/uncore_imc_1/events/data_reads.unit", "KiB")]);
    assert!(
        machine
            .message("imc/data_reads/")
            .ends_with("PMU `uncore_imc_1` counts in another unit: name one PMU")
    );
}

#[test]
fn events_of_the_cpu_take_turns_and_those_of_other_pmus_do_not() {
    let machine = Machine::server();
    for (list, is_of_core) in [
        ("cycles", true),
        ("L1-dcache-loads:u", true),
        ("r1a8", true),
        ("mem-loads", true),
        ("cpu/event=1/", true),
        ("power/energy-pkg/", false),
        ("hv/cycles_of,core=2/", false),
        ("page-faults", false),
        ("mem:0x1000/4:rw", false),
    ] {
        assert_eq!(machine.resolve(list)[0].is_of_core, is_of_core, "{list}");
    }
    let hybrid = Machine::hybrid();
    assert!(
        hybrid.resolve("cycles").iter().chain(&hybrid.resolve("instructions")).all(|event| event.is_of_core)
    );
}

#[test]
fn user_mode_needs_no_privilege_but_where_nothing_of_it_is_in_user_mode() {
    let machine = Machine::server();
    machine.write(&[("kernel/tracing/events/sched/sched_switch/id", "314")]);
    for (list, needs_none) in [
        ("task-clock", true),
        ("task-clock:k", true),
        ("page-faults", true),
        ("instructions:u", true),
        ("cpu/event=1/", true),
        ("mem:0x1000/4:rw:u", true),
        ("mem:0x1000/4:rw", false),
        ("instructions:uk", false),
        ("cycles:h", false),
        ("context-switches:u", false),
        ("hv/cycles_of,core=2/u", false),
        ("sched:sched_switch:u", false),
    ] {
        assert_eq!(machine.resolve(list)[0].needs_no_privilege(), needs_none, "{list}");
    }
}

#[test]
fn a_gap_concerns_the_events_that_it_names() {
    use alumet_plugin_perf::refusal::{HARDWARE, KERNEL_MODE_OF, concerns, list};
    let machine = Machine::hybrid();
    let events = [machine.resolve("branches"), machine.resolve("cycles:u")].concat();
    let gap = list(&events.iter().collect::<Vec<_>>());
    assert_eq!(gap, "branches, cycles:u on cpu_core, cycles:u on cpu_atom");
    for event in ["branches", "branch-instructions", "cycles:u", "cycles", "cpu-cycles"] {
        assert!(concerns(&gap, event), "{event}");
    }
    for event in ["instructions", "branch-misses", "ranches", "no such"] {
        assert!(!concerns(&gap, event), "{event}");
    }
    assert!(concerns(HARDWARE, "instructions") && !concerns(HARDWARE, "page-faults"));
    assert!(concerns("events", "instructions") && concerns("events", "page-faults"));
    let user_mode_alone = format!("{KERNEL_MODE_OF}cycles, instructions");
    assert!(concerns(&user_mode_alone, "cycles") && concerns(&user_mode_alone, "instructions"));
}

#[test]
fn a_parameter_of_an_event_has_to_be_given() {
    let machine = Machine::server();
    let event = &machine.resolve("hv/cycles_of,core=2/")[0];
    assert_eq!((event.parts[0].attr, &*event.unit), (attr(30, 0x2_0001), "{M}"));
    assert_eq!(
        machine.message("hv/cycles_of/"),
        "event `hv/cycles_of/`: `cycles_of` needs a value: add `,core=...`"
    );
}

#[test]
fn a_value_too_large_names_its_field_and_width() {
    let machine = Machine::server();
    for (list, message) in [
        ("cpu/umask=0x100/", "0x100 is too large for field `umask` of PMU `cpu`, which has 8 bits"),
        ("cpu/event=4096/", "0x1000 is too large for field `event` of PMU `cpu`, which has 12 bits"),
        ("cpu/inv=2/", "0x2 is too large for field `inv` of PMU `cpu`, which has 1 bit"),
    ] {
        assert_eq!(machine.message(list), format!("event `{list}`: {message}"));
        assert!(machine.error(list).is_usage());
    }
}

#[test]
fn an_unknown_name_comes_with_the_nearest_valid_one() {
    let machine = Machine::server();
    for (list, message) in [
        (
            "cycles,instrutions",
            "event `instrutions` at position 8 of `cycles,instrutions`: no such event; did you mean `instructions`?",
        ),
        ("instrutions:u", "event `instrutions:u`: no such event; did you mean `instructions`?"),
        ("CYCLES", "event `CYCLES`: no such event; did you mean `cycles`?"),
        ("iTLB-stores", "event `iTLB-stores`: no such event; did you mean `dTLB-stores`?"),
        ("mem-lods", "event `mem-lods`: no such event; did you mean `mem-loads`?"),
        ("energy-pkg", "event `energy-pkg`: no such event; did you mean `power/energy-pkg/`?"),
        (
            "l2_rqsts.all_demand_data_rd",
            "event `l2_rqsts.all_demand_data_rd`: no such event in the kernel; one of the CPU's maker is written as \
             `cpu/event=...,umask=.../`",
        ),
        (
            "power/energy-pgk/",
            "event `power/energy-pgk/`: PMU `power` has no event or field `energy-pgk`; did you mean `energy-pkg`?",
        ),
        ("cpu/umsk=1/", "event `cpu/umsk=1/`: PMU `cpu` has no event or field `umsk`; did you mean `umask`?"),
    ] {
        assert!(matches!(machine.error(list), ResolveError::Unknown { .. }), "{list}");
        assert_eq!(machine.message(list), message);
    }
}

#[test]
fn two_named_events_are_not_one() {
    let machine = Machine::hybrid();
    assert_eq!(
        machine.message("cpu_core/slots,topdown-retiring/"),
        "event `cpu_core/slots,topdown-retiring/`: `slots` and `topdown-retiring` are two events: count one at a time"
    );
}

#[test]
fn a_pmu_that_is_not_here_is_no_mistake_of_the_user() {
    let machine = Machine::server();
    assert!(matches!(machine.error("uncore_cha/x/"), ResolveError::NotHere { .. }));
    assert_eq!(
        machine.message("pwoer/energy-pkg/"),
        "event `pwoer/energy-pkg/`: this machine has no PMU `pwoer`; did you mean `power`?"
    );
    let empty = Machine::with_pmus(&[("x/type", "9"), ("x/cpumask", "")]);
    assert!(empty.message("x//").contains("PMU `x` has no CPU to count on"));
}

#[test]
fn files_of_another_form_are_named() {
    let machine = Machine::server();
    machine.write(&[
        ("bus/event_source/devices/power/events/energy-pkg.scale", "nan"),
        ("bus/event_source/devices/cpu/format/umask", "config:15-8"),
        ("bus/event_source/devices/uncore_imc_0/cpumask", "zero"),
        ("bus/event_source/devices/hv/events/cycles_of", "domain=one"),
    ]);
    for (list, file) in [
        ("power/energy-pkg/", "power/events/energy-pkg.scale is not in the expected form: `nan`"),
        ("cpu/umask=1/", "cpu/format/umask is not in the expected form: `config:15-8`"),
        ("uncore_imc_0//", "uncore_imc_0/cpumask is not in the expected form: `zero`"),
        ("hv/cycles_of/", "hv/events/cycles_of is not in the expected form: `domain=one`"),
    ] {
        assert!(matches!(machine.error(list), ResolveError::NotHere { .. }), "{list}");
        assert!(machine.message(list).contains(file), "{}", machine.message(list));
    }
}

#[test]
fn tool_events_say_what_alumet_reports_instead() {
    let machine = Machine::new(&[]);
    for (event, reported_as) in [("duration_time", "Time"), ("user_time", "CPU"), ("system_time", "CPU")] {
        assert_eq!(
            machine.message(event),
            format!(
                "event `{event}`: no event of the kernel; alumet always reports it, as {reported_as}: leave it out"
            )
        );
    }
}

#[test]
fn tracepoints_are_found_in_tracefs_wherever_it_is_mounted() {
    for root in ["kernel/tracing", "kernel/debug/tracing"] {
        let machine = Machine::new(&[(&format!("{root}/events/sched/sched_switch/id"), "314")]);
        // The directory to mount on is there without it.
        fs::create_dir_all(machine.root.path().join("kernel/tracing")).unwrap();
        let event = &machine.resolve("sched:sched_switch:k")[0];
        assert_eq!((event.class, event.parts[0].attr), (Class::Tracepoint, attr(2, 314)));
        assert_eq!(
            machine.message("shed:sched_switch"),
            "event `shed:sched_switch`: no tracepoint subsystem `shed`; did you mean `sched`?"
        );
        assert_eq!(
            machine.message("sched:sched_swich"),
            "event `sched:sched_swich`: subsystem `sched` has no tracepoint `sched_swich`; did you mean \
             `sched_switch`?"
        );
        assert!(matches!(machine.error("sched:x"), ResolveError::Unknown { nearest: None, .. }));
    }
}

#[test]
fn tracefs_that_is_not_mounted_comes_with_the_command_to_mount_it() {
    let machine = Machine::new(&[]);
    fs::create_dir_all(machine.root.path().join("kernel/tracing")).unwrap();
    assert!(matches!(machine.error("sched:sched_switch"), ResolveError::NotHere { .. }));
    assert_eq!(
        machine.message("sched:sched_switch"),
        "event `sched:sched_switch`: tracefs is not mounted on /sys/kernel/tracing; run `sudo mount -t tracefs \
         tracefs /sys/kernel/tracing`"
    );
}

#[test]
fn tracefs_that_this_user_may_not_read_comes_with_the_capabilities_to_give() {
    let machine = Machine::new(&[("kernel/tracing/events/sched/sched_switch/id", "314")]);
    let tracing = machine.root.path().join("kernel/tracing");
    fs::set_permissions(&tracing, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read_dir(&tracing).is_ok() {
        eprintln!("skipped: this user may read everything");
        return;
    }
    let (error, message) = (machine.error("sched:sched_switch"), machine.message("sched:sched_switch"));
    // So that the directory can be removed.
    fs::set_permissions(&tracing, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(matches!(error, ResolveError::NotReadable { .. }));
    let remedy = alumet::privilege::sudo("exec --user \"$USER\" ... # the application stays yours");
    assert_eq!(
        message,
        format!(
            "event `sched:sched_switch`: cannot read /sys/kernel/tracing/events/sched/sched_switch/id: permission \
             denied; {remedy}"
        )
    );
}

/// The names in one line of `perf list`, and the kind in brackets. A metric has no kind.
fn listed(line: &str) -> Option<(Vec<&str>, &str)> {
    let (names, kind) = line.trim().strip_suffix(']')?.rsplit_once('[')?;
    let is_event = kind.contains("event") || kind == "Hardware breakpoint";
    is_event.then(|| (names.split(" OR ").map(str::trim).collect(), kind))
}

#[test]
fn every_event_that_perf_lists_is_accepted() {
    let perf = match Command::new("perf").args(["list", "--no-desc"]).output() {
        Ok(perf) if perf.status.success() => perf,
        _ => {
            eprintln!("skipped: perf is not installed");
            return;
        }
    };
    let text = String::from_utf8(perf.stdout).unwrap();
    let is_root = fs::read_dir("/sys/kernel/tracing/events").is_ok();
    let (mut accepted, mut resolved) = (0, 0);
    for (names, kind) in text.lines().filter_map(listed) {
        for name in names {
            // Templates, with values put in.
            let typed = match name {
                "rNNN" => "r1a8".to_owned(),
                _ if name.starts_with("cpu/t1=v1") => "cpu/event=0x3c,umask=0x1/u".to_owned(),
                _ if name.starts_with("mem:<addr>") => "mem:0x1000/4:rw".to_owned(),
                _ => name.replace("=?", "=0"),
            };
            let specs = match parse(&typed) {
                // perf has found it in a program that it has met, and nobody has made it an event.
                Err(error) if typed.starts_with("sdt_") && typed.contains('@') => {
                    assert!(error.to_string().contains("is a probe in a program (SDT)"), "{error}");
                    continue;
                }
                specs => specs.unwrap_or_else(|error| panic!("{error}")),
            };
            assert_eq!(specs.len(), 1, "{typed}");
            accepted += 1;
            let has_to_resolve = match kind {
                "Tracepoint event" => is_root,
                "Kernel PMU event" | "Software event" | "Hardware breakpoint" => true,
                _ => false,
            };
            if has_to_resolve {
                resolve(&specs[0], &Host::default()).unwrap_or_else(|error| panic!("{error}"));
                resolved += 1;
            }
        }
    }
    assert!(accepted >= 10, "{text}");
    eprintln!("{accepted} names of `perf list` accepted, {resolved} resolved");
}

/// Splitmix64: the same sequence in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

const EVENTS: &[&str] = &[
    "cycles",
    "cs:u",
    "branches:kuH",
    "L1-dcache-load-misses",
    "l1d-miss-load:G",
    "r01c4",
    "r0xABC:h",
    "sched:sched_switch",
    "sdt_x:a-b.c:u",
    "mem:0x1000/8:w",
    "mem:4096:rwx:uk",
    "cpu/event=0x3c,umask=0/",
    "cpu/config=1,config1=2,inv,name=foo/u",
    "power/energy-pkg/",
    "x/name='a b',y/:u",
    "intel_pt//",
    "topdown-retiring",
    "mem-loads:u",
    "duration_time",
];

const PIECES: &[&str] = &[
    ",",
    ":",
    "/",
    "=",
    "-",
    ".",
    "_",
    " ",
    "{",
    "}",
    "*",
    "?",
    "'",
    "\"",
    "\\",
    "+",
    "0x",
    "0",
    "9",
    "u",
    "k",
    "p",
    "r",
    "mem:",
    "name=",
    "config",
    "load",
    "misses",
    "é",
    "\u{3000}",
    "\n",
    "\0",
    "😀",
    "18446744073709551616",
    "..",
];

/// Puts a piece in, takes a character out or doubles a part, at random places.
fn mutate(text: &mut String, random: &mut Random) {
    let boundary =
        |text: &str, at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
    let at = boundary(text, random.below(text.len() + 1));
    match random.below(3) {
        0 => text.insert_str(at, random.of(PIECES)),
        1 if at < text.len() => drop(text.remove(at)),
        _ => {
            let end = boundary(text, at + random.below(8));
            let part = text[at.min(end)..end].to_owned();
            text.insert_str(at, &part);
        }
    }
}

#[test]
fn a_million_texts_never_panic_and_what_is_read_prints_as_itself() {
    let mut random = Random(42);
    let (mut text, mut read) = (String::new(), 0_u32);
    for _ in 0..1_000_000 {
        text.clear();
        if random.below(8) == 0 {
            (0..random.below(12)).for_each(|_| text.push_str(random.of(PIECES)));
        } else {
            text.push_str(random.of(EVENTS));
            if random.below(4) == 0 {
                text.push(',');
                text.push_str(random.of(EVENTS));
            }
            (0..random.below(4)).for_each(|_| mutate(&mut text, &mut random));
        }
        match parse(&text) {
            Ok(specs) => {
                read += 1;
                let printed: Vec<_> = specs.iter().map(ToString::to_string).collect();
                let printed = printed.join(",");
                assert_eq!(parse(&printed).as_ref(), Ok(&specs), "{text:?} prints as {printed:?}");
            }
            Err(error) => assert!(error.place().position <= text.chars().count() + 1, "{text:?}"),
        }
    }
    assert!(read > 200_000 && read < 800_000, "{read} of them were read: not a good mix");
}

#[test]
fn whatever_is_read_can_be_looked_up_without_a_panic() {
    let machines = [Machine::new(&[]), Machine::server(), Machine::hybrid()];
    let mut random = Random(7);
    for _ in 0..1_000 {
        let mut text = random.of(EVENTS).to_owned();
        (0..random.below(3)).for_each(|_| mutate(&mut text, &mut random));
        for spec in parse(&text).into_iter().flatten() {
            for machine in &machines {
                for event in resolve(&spec, &machine.host).into_iter().flatten() {
                    assert!(!event.parts.is_empty() && event.scale > 0.0, "{event:?}");
                }
            }
        }
    }
}
