//! What perf's own parser is tested with (the names in tools/perf/tests/parse-events.c of the kernel): each is taken, or
//! refused with its true reason.

use std::fs;

use alumet::Host;
use alumet_plugin_perf::event::{Attr, Class, Event, parse, resolve};
use tempfile::TempDir;

const TAKEN: &str = "";
const SAMPLING: &str = "is for sampling, as `perf record` does, and events are counted here: leave it out";
const PRECISE: &str = "asks for precise sampling, which does not change counts: leave it out";
const MODIFIER: &str = "is a modifier of perf that is not supported; the valid ones are u, k, h, G, H";
const GROUP: &str = "is of a group, and events are not grouped here: leave the braces out";
const WILDCARD: &str = "is a wildcard, which is not read: name each event";

const LIST: [(&str, &str); 118] = [
    ("syscalls:sys_enter_openat", TAKEN),
    ("syscalls:*", WILDCARD),
    ("r1a", TAKEN),
    ("1:1", TAKEN),
    ("instructions", TAKEN),
    ("cycles/period=100000,config2/", SAMPLING),
    ("cycles/config2/", "`config2` (position 8) is for an event of a PMU, as in `cpu/config2/`"),
    ("faults", TAKEN),
    ("L1-dcache-load-miss", TAKEN),
    ("mem:0", TAKEN),
    ("mem:0:x", TAKEN),
    ("mem:0:r", TAKEN),
    ("mem:0:w", TAKEN),
    ("syscalls:sys_enter_openat:k", TAKEN),
    ("syscalls:*:u", WILDCARD),
    ("r1a:kp", PRECISE),
    ("r1a:k", TAKEN),
    ("1:1:hp", PRECISE),
    ("1:1:h", TAKEN),
    ("instructions:h", TAKEN),
    ("faults:u", TAKEN),
    ("L1-dcache-load-miss:kp", PRECISE),
    ("L1-dcache-load-miss:k", TAKEN),
    ("mem:0:u", TAKEN),
    ("mem:0:x:k", TAKEN),
    ("mem:0:r:hp", PRECISE),
    ("mem:0:r:h", TAKEN),
    ("mem:0:w:up", PRECISE),
    ("mem:0:w:u", TAKEN),
    ("r1,syscalls:sys_enter_openat:k,1:1:hp", PRECISE),
    ("r1,syscalls:sys_enter_openat:k,1:1:h", TAKEN),
    ("instructions:G", TAKEN),
    ("instructions:H", TAKEN),
    ("mem:0:rw", TAKEN),
    ("mem:0:rw:kp", PRECISE),
    ("mem:0:rw:k", TAKEN),
    ("{instructions:k,cycles:upp}", GROUP),
    ("{faults:k,cache-references}:u,cycles:k", GROUP),
    ("{faults:k,branches}:u,cycles:k", GROUP),
    ("group1{syscalls:sys_enter_openat:H,cycles:kppp},group2{cycles,1:3}:G,instructions:u", GROUP),
    ("{cycles:u,instructions:kp}:p", GROUP),
    ("{cycles,instructions}:G,{cycles:G,instructions:G},cycles", GROUP),
    ("*:*", WILDCARD),
    ("{cycles,cache-misses:G}:H", GROUP),
    ("{cycles,cache-misses:H}:G", GROUP),
    ("{cycles:G,cache-misses:H}:u", GROUP),
    ("{cycles:G,cache-misses:H}:uG", GROUP),
    ("{cycles,cache-misses,branch-misses}:S", GROUP),
    ("{instructions,branch-misses}:Su", GROUP),
    ("instructions:uDp", MODIFIER),
    ("{cycles,cache-misses,branch-misses}:D", GROUP),
    ("mem:0/1", TAKEN),
    ("mem:0/2:w", TAKEN),
    ("mem:0/4:rw:u", TAKEN),
    ("kvm-s390:kvm_s390_create_vm", "no tracepoint subsystem `kvm-s390`"),
    ("instructions:I", MODIFIER),
    ("instructions:kIG", MODIFIER),
    ("task-clock:P,cycles", PRECISE),
    ("instructions/name=insn/", TAKEN),
    ("r1234/name=rawpmu/", TAKEN),
    ("4:0x6530160/name=numpmu/", TAKEN),
    ("L1-dcache-misses/name=cachepmu/", TAKEN),
    ("intel_pt//u", "this machine has no PMU `intel_pt`"),
    ("cycles/name='COMPLEX_CYCLES_NAME:orig=cycles,desc=chip-clock-ticks'/Duk", MODIFIER),
    ("cycles/name='COMPLEX_CYCLES_NAME:orig=cycles,desc=chip-clock-ticks'/uk", TAKEN),
    ("cycles//u", TAKEN),
    ("cycles:k", TAKEN),
    ("instructions:uep", MODIFIER),
    ("{cycles,cache-misses,branch-misses}:e", GROUP),
    ("cycles/name=name/", TAKEN),
    ("cycles/name=l1d/", TAKEN),
    ("mem:0/name=breakpoint/", "`name` (position 7) is no number"),
    ("mem:0:x/name=breakpoint/", "`/` (position 8) is where"),
    ("page-faults/name=pf/", TAKEN),
    ("cpu/config=10,config1,config2=3,period=1000/u", SAMPLING),
    ("cpu/config=10,config1=1,config3=1,umask=3/u", TAKEN),
    ("cpu/config=10,config1,config2=3,umask=1/", TAKEN),
    ("cpu/config=1,name=krava/u,cpu/config=2/u", TAKEN),
    (
        "cpu/config=1,call-graph=fp,time,period=100000/,cpu/config=2,call-graph=no,time=0,period=2000/",
        SAMPLING,
    ),
    ("cpu/name='COMPLEX_CYCLES_NAME:orig=cycles,desc=chip-clock-ticks',period=0x1,event=0x2/ukp", SAMPLING),
    ("cpu/name='COMPLEX_CYCLES_NAME:orig=cycles,desc=chip-clock-ticks',event=0x2/uk", TAKEN),
    ("software/r1a/", TAKEN),
    ("software/r0x1a/", TAKEN),
    ("cpu/L1-dcache-load-miss/", TAKEN),
    ("cpu/L1-dcache-load-miss/kp", PRECISE),
    ("cpu/L1-dcache-load-miss/k", TAKEN),
    ("cpu/L1-dcache-misses,name=cachepmu/", TAKEN),
    ("cpu/instructions/", TAKEN),
    ("cpu/instructions/h", TAKEN),
    ("cpu/instructions/G", TAKEN),
    ("cpu/instructions/H", TAKEN),
    ("cpu/instructions/uep", MODIFIER),
    ("cpu/instructions/uDp", MODIFIER),
    ("cpu/instructions/I", MODIFIER),
    ("cpu/instructions/kIG", MODIFIER),
    ("cpu/instructions,name=insn/", TAKEN),
    ("cpu/cycles,period=100000,config2/", SAMPLING),
    ("cpu/cycles/", TAKEN),
    ("cpu/cycles/u", TAKEN),
    ("cpu/cycles/k", TAKEN),
    ("cpu/cycles,name=name/", TAKEN),
    ("cpu/cycles,name='COMPLEX_CYCLES_NAME:orig=cycles,desc=chip-clock-ticks'/uk", TAKEN),
    ("cpu/r1a/", TAKEN),
    ("cpu/r1234,name=rawpmu/", TAKEN),
    ("{cpu/instructions/k,cpu/cycles/upp}", GROUP),
    ("{cpu/cycles/u,cpu/instructions/kp}:p", GROUP),
    ("{cpu/cycles/,cpu/cache-misses/G}:H", GROUP),
    ("{cpu/cycles/,cpu/cache-misses/,cpu/branch-misses/}:S", GROUP),
    ("{cpu/instructions/,cpu/branch-misses/}:Su", GROUP),
    ("{cpu/cycles/,cpu/cache-misses/,cpu/branch-misses/}:D", GROUP),
    ("cpu/event=mem-loads/u", TAKEN),
    ("mem-loads:u,cpu/event=mem-loads/u", TAKEN),
    ("msr/event=tsc/", TAKEN),
    ("msr/TSC/", TAKEN),
    ("msr/tsc=1/", "`tsc` is an event of PMU `msr`, and has no value: write `msr/tsc/`"),
    ("99:1", "this machine has no PMU with the number 99"),
    ("5:0", "a breakpoint has an address: write it as `mem:0x1000`"),
    ("sdt_libstdcxx:catch@/usr/lib/libstdc++.so.6(289ee39f8c07)", "is a probe in a program (SDT)"),
];

/// A machine with one type of cores, two other PMUs and a tracepoint.
fn machine() -> (TempDir, Host) {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("bus/event_source/devices/cpu/type", "4"),
        ("bus/event_source/devices/cpu/format/event", "config:0-7,32-35"),
        ("bus/event_source/devices/cpu/format/umask", "config:8-15"),
        ("bus/event_source/devices/cpu/events/instructions", "event=0xc0"),
        ("bus/event_source/devices/cpu/events/mem-loads", "event=0xcd,umask=0x1"),
        ("bus/event_source/devices/software/type", "1"),
        ("bus/event_source/devices/msr/type", "11"),
        ("bus/event_source/devices/msr/format/event", "config:0-63"),
        ("bus/event_source/devices/msr/events/tsc", "event=0x00"),
        ("kernel/tracing/events/syscalls/sys_enter_openat/id", "666"),
    ] {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }
    let host = Host::new(root.path(), "/nowhere");
    (root, host)
}

fn events(list: &str, host: &Host) -> Result<Vec<Event>, String> {
    let specs = parse(list).map_err(|error| error.to_string())?;
    let events = specs.iter().map(|spec| resolve(spec, host).map_err(|error| error.to_string()));
    Ok(events.collect::<Result<Vec<_>, _>>()?.concat())
}

#[test]
fn each_is_taken_or_refused_with_its_true_reason() {
    let (_root, host) = machine();
    for (list, reason) in LIST {
        match events(list, &host) {
            Ok(events) => assert!(reason.is_empty() && !events.is_empty(), "{list} is taken"),
            Err(error) => assert!(!reason.is_empty() && error.contains(reason), "{list}: {error}"),
        }
        // What is taken is printed so that it is read again as the same.
        if reason.is_empty() {
            let specs = parse(list).unwrap();
            let again: Vec<_> = specs.iter().map(ToString::to_string).collect();
            assert_eq!(parse(&again.join(",")).unwrap(), specs, "{list}");
        }
    }
}

#[test]
fn other_spellings_are_the_same_event() {
    let (_root, host) = machine();
    let attr = |event: &str| match &*events(event, &host).unwrap() {
        [event] => event.parts[0].attr,
        several => panic!("{several:?}"),
    };
    for (a, b) in [
        ("cycles//u", "cycles:u"),
        ("cycles/name=x/", "cycles"),
        ("cpu/cycles/", "cycles"),
        ("cpu/L1-dcache-load-miss/", "L1-dcache-load-misses"),
        ("0:1", "instructions"),
        ("1:2", "page-faults"),
        ("4:0x1a8", "r1a8"),
        ("11:0", "msr/tsc/"),
        ("msr/event=tsc/", "msr/tsc/"),
        ("msr/TSC/", "msr/tsc/"),
        ("cpu/event=mem-loads/", "mem-loads"),
        ("2:666", "syscalls:sys_enter_openat"),
    ] {
        assert_eq!(attr(a), attr(b), "{a} and {b}");
    }
    // A name in sysfs comes before the generic one.
    assert_eq!(attr("cpu/instructions/"), Attr { type_: 4, config: 0xc0, ..Attr::default() });
}

#[test]
fn a_name_that_was_typed_is_the_name() {
    let (_root, host) = machine();
    for (event, name) in [
        ("page-faults/name=pf/u", "pf"),
        ("cycles/name='a:b,c=d'/", "a:b,c=d"),
        ("cpu/cycles,name=\"x,y\"/", "x,y"),
        ("r1a8/name=mine/", "mine"),
        ("1:2/name=two/", "two"),
    ] {
        assert_eq!(events(event, &host).unwrap()[0].name, name, "{event}");
    }
}

#[test]
fn a_generic_name_on_one_type_of_cores_counts_on_those_alone() {
    let (root, host) = machine();
    let devices = root.path().join("bus/event_source/devices");
    fs::remove_dir_all(devices.join("cpu")).unwrap();
    for (name, type_, cpus) in [("cpu_core", "4", "0-3"), ("cpu_atom", "10", "4-7")] {
        fs::create_dir_all(devices.join(name)).unwrap();
        fs::write(devices.join(name).join("type"), type_).unwrap();
        fs::write(devices.join(name).join("cpus"), cpus).unwrap();
    }
    let events = events("cpu_atom/cycles/", &host).unwrap();
    assert_eq!((events.len(), events[0].core_type.as_deref()), (1, Some("cpu_atom")));
    assert_eq!((events[0].class, events[0].parts[0].attr.config), (Class::Hardware, 10 << 32));
}
