//! `-e` and the default events: what alumet counts over a whole tree, against what `perf stat` counts for the same
//! command and what rusage says of the same run.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Alumet, Done, Paranoid, binary, counter, is_root, skip, workload};

/// A run of the workload with these steps, and what it said of its own usage.
struct Run {
    profile: Value,
    usage: Value,
}

fn exec(options: &str, steps: &str) -> Run {
    let options = ["exec", "-q", "--json", "p.json"].into_iter().chain(options.split_whitespace());
    let mut run = Alumet::new(options);
    run.command.arg("--").arg(workload()).args(steps.split_whitespace()).arg("usage");
    let done = run.run().status(0);
    Run { profile: run.profile("p.json"), usage: serde_json::from_str(&done.stdout).unwrap() }
}

impl Run {
    fn event(&self, name: &str) -> f64 {
        counter(&self.profile, &format!("perf.{name}"), "")
    }

    fn cpu(&self) -> f64 {
        counter(&self.profile, "process.cpu.time", "")
    }

    fn switches(&self) -> f64 {
        counter(&self.profile, "process.context_switches", "")
    }
}

/// What `perf stat` counts for the same command.
fn perf_stat(events: &str, steps: &str) -> Option<BTreeMap<String, f64>> {
    let mut perf = Command::new("perf");
    perf.args(["stat", "-x,", "-e", events]).arg(workload()).args(steps.split_whitespace()).arg("usage");
    let Ok(output) = perf.stdin(Stdio::null()).output() else {
        skip("a comparison with perf stat", "perf is not installed");
        return None;
    };
    let text = String::from_utf8(output.stderr).unwrap();
    let line = |line: &str| {
        let fields: Vec<_> = line.split(',').collect();
        Some((fields.get(2)?.to_string(), fields[0].parse().ok()?))
    };
    Some(text.lines().filter_map(line).collect())
}

#[track_caller]
fn close(got: f64, expected: f64, within: f64, slack: f64, what: &str) {
    eprintln!("{what}: {got}, expected {expected}: {:+.2} %", (got / expected - 1.0) * 100.0);
    assert!((got - expected).abs() <= within * expected + slack, "{what}: {got} is not {expected}");
}

/// One thread, several threads, children, and many short processes.
const SHAPES: [&str; 5] = [
    "touch=40",
    "touch=20 threads=4:20",
    "touch=20 child=20 grandchild=20",
    "forks=2000",
    "storm=500 touch=20",
];

#[test]
fn faults_and_tracepoints_are_those_of_perf_stat() {
    if !is_root("faults_and_tracepoints_are_those_of_perf_stat") {
        return;
    }
    if !Path::new("/sys/kernel/tracing/events/sched").exists() {
        return skip("faults_and_tracepoints_are_those_of_perf_stat", "tracefs is not mounted");
    }
    let events = "page-faults,sched:sched_process_fork,sched:sched_process_exit";
    for steps in SHAPES {
        let mut fewest: Option<[BTreeMap<String, f64>; 2]> = None;
        // Where the loader puts things decides whether each child touches a page more, which the fewest of some runs have
        // not.
        for _ in 0..3 {
            let Some(perf) = perf_stat(events, steps) else { return };
            let run = exec(&format!("-e {events}"), steps);
            let alumet = perf.keys().map(|name| (name.clone(), run.event(name))).collect();
            let now = [alumet, perf];
            fewest = Some(match fewest {
                None => now,
                Some([a, b]) => [least(a, &now[0]), least(b, &now[1])],
            });
        }
        let [alumet, perf] = fewest.unwrap();
        for (name, expected) in perf {
            let slack = if name.contains("faults") { 10.0 } else { 0.0 };
            close(alumet[&name], expected, 0.01, slack, &format!("{steps}: {name}"));
        }
    }
}

fn least(a: BTreeMap<String, f64>, b: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    a.into_iter().map(|(name, value)| (name.clone(), value.min(b[&name]))).collect()
}

/// The clock of the counters and that of the scheduler differ by what a hypervisor takes away meanwhile: on a busy host
/// one of some runs is undisturbed.
#[track_caller]
fn clock_is_cpu_time(what: &str, mut run: impl FnMut() -> (f64, f64)) {
    let differences = (0..8).map(|_| {
        let (clock, cpu) = run();
        eprintln!("{what}: {clock}, expected {cpu}: {:+.2} %", (clock / cpu - 1.0) * 100.0);
        // Before exec the process is alumet's, and what it uses while it ends the kernel counts no more: less than a
        // millisecond for each process.
        (clock - cpu).abs() - 0.002 - 0.01 * cpu
    });
    assert!({ differences }.any(|too_much| too_much <= 0.0), "{what}");
}

#[test]
fn the_clock_is_the_cpu_time_of_the_same_run() {
    for steps in ["burn=300", "threads=4:100", "child=150 grandchild=150", "chain=5:300"] {
        clock_is_cpu_time(steps, || {
            let run = exec("-e task-clock", steps);
            let usage = run.usage["cpu_us"].as_f64().unwrap() / 1e6;
            assert!((run.cpu() - usage).abs() <= 0.002 + 0.01 * usage, "{} {usage}", run.cpu());
            (run.event("task-clock"), usage)
        });
    }
}

#[test]
fn of_many_short_processes_the_clock_lacks_their_ends_and_never_has_more() {
    let steps = "forks=2000";
    let run = exec("-e task-clock", steps);
    assert!(run.event("task-clock") < run.cpu(), "{} {}", run.event("task-clock"), run.cpu());
    assert!(run.event("task-clock") > 0.3 * run.cpu(), "{} {}", run.event("task-clock"), run.cpu());
}

/// The kernel takes the counters off a process before its last switch, which rusage has. A thread's last switch is in
/// neither.
#[test]
fn context_switches_and_ended_processes_are_those_of_rusage() {
    if !is_root("context_switches_and_ended_processes_are_those_of_rusage") {
        return;
    }
    for (steps, ended) in [
        ("threads=4:200", 1.0),
        ("child=100 grandchild=100 sleep=5", 4.0),
        ("forks=2000", 2001.0),
        ("storm=2000", 1.0),
    ] {
        let run = exec("-e context-switches", steps);
        // On a busy machine, some are preempted while they end.
        close(run.event("context-switches") + ended, run.switches(), 0.03, 5.0, steps);
    }
}

#[test]
fn who_may_not_move_does_not_migrate_and_who_is_moved_does() {
    if !is_root("who_may_not_move_does_not_migrate_and_who_is_moved_does") {
        return;
    }
    let migrations = |alumet: Command, command: &[&str]| {
        let mut run = Alumet::with(alumet, ["exec", "-q", "--json", "p.json", "-e", "cpu-migrations", "--"]);
        run.command.args(command);
        run.run().status(0);
        counter(&run.profile("p.json"), "perf.cpu-migrations", "")
    };
    // The application inherits the one CPU that alumet may run on.
    let mut pinned = Command::new("taskset");
    pinned.args(["-c", "0"]).arg(binary());
    let workload = [workload().to_str().unwrap(), "chain=40:1", "threads=8:20", "forks=200"];
    assert_eq!(migrations(pinned, &workload), 0.0);
    if std::thread::available_parallelism().unwrap().get() == 1 {
        return skip("who is moved migrates", "there is one CPU only");
    }
    let script = "for i in $(seq 10); do taskset -pc 0 $$; taskset -pc 1 $$; done >/dev/null";
    let moved = migrations(Command::new(binary()), &["sh", "-c", script]);
    assert!(moved >= 19.0, "{moved}");
}

#[test]
fn every_row_is_an_increase_and_nothing_is_counted_outside_of_the_run() {
    let mut run = Alumet::new([
        "exec",
        "-i",
        "5ms",
        "-o",
        "s.csv",
        "--json",
        "p.json",
        "-e",
        "task-clock,page-faults:u",
    ]);
    run.command.arg("--").arg(workload()).args(["burn=50", "touch=10", "sleep=50", "burn=20"]);
    run.run().status(0);
    let rows: Vec<_> =
        run.rows("s.csv").into_iter().filter(|row| row["metric"] == "perf.task-clock").collect();
    assert!(rows.len() >= 10, "{}", rows.len());
    let values: Vec<f64> = rows.iter().map(|row| row["value"].parse().unwrap()).collect();
    assert!(values.iter().all(|value| *value >= 0.0));
    let sum: f64 = values.iter().sum();
    close(sum, counter(&run.profile("p.json"), "perf.task-clock", ""), 1e-9, 0.0, "sum of rows");
    close(sum, 0.07, 0.2, 0.01, "70 ms and what touching takes");
    // While it sleeps it uses nothing.
    assert!(values.iter().filter(|value| **value < 1e-4).count() >= 5, "{values:?}");
}

/// Says of this machine's hardware counters what `perf` would.
fn has_hardware_counters() -> bool {
    let cycles = Command::new("perf").args(["stat", "-x,", "-e", "cycles:u", "true"]).output();
    cycles.is_ok_and(|output| !String::from_utf8_lossy(&output.stderr).contains("not supported"))
}

#[test]
fn hardware_events_are_absent_with_the_true_reason_and_everything_else_works() {
    let mut run = Alumet::new(["exec", "-v", "--json", "p.json", "true"]);
    let done = run.run().status(0);
    let profile = run.profile("p.json");
    if has_hardware_counters() {
        assert!(counter(&profile, "perf.instructions", "") > 0.0);
        return skip("hardware events are absent", "this machine has hardware counters");
    }
    let text = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("hardware events (unavailable: this virtual machine has no hardware counters"),
        "{text}"
    );
    let missing = profile["missing"].as_array().unwrap();
    assert!(
        missing.iter().any(|gap| gap["reason"].as_str().unwrap().starts_with("unavailable: ")),
        "{missing:?}"
    );
    let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
    let is_hardware =
        |metric: &&Value| ["perf.cycles", "perf.instructions"].contains(&metric["metric"].as_str().unwrap());
    assert_eq!(
        metrics.iter().filter(is_hardware).count(),
        0,
        "an event that is not counted has no value, not even 0"
    );
    for metric in ["perf.task-clock", "perf.page-faults", "perf.context-switches", "perf.cpu-migrations"] {
        if metric == "perf.task-clock" || nix::unistd::Uid::effective().is_root() {
            counter(&profile, metric, "");
        }
    }
}

#[test]
fn an_event_that_was_asked_for_and_cannot_be_counted_ends_it_before_anything_runs() {
    let refused = |events: &str, status: i32, says: &str| {
        let mut run =
            Alumet::new(["exec", "-o", "s.csv", "--json", "p.json", "-e", events, "touch", "started"]);
        run.run().refuses(status, says);
        for file in ["started", "s.csv", "p.json"] {
            assert!(!run.path(file).exists(), "{events}: {file}");
        }
    };
    if !has_hardware_counters() {
        refused(
            "task-clock,cycles",
            125,
            "event `cycles` cannot be counted: unavailable: this virtual machine",
        );
        refused(
            "L1-dcache-load-misses",
            125,
            "event `L1-dcache-load-misses` cannot be counted: unavailable: ",
        );
        refused("r01c4", 125, "event `r01c4` cannot be counted: unavailable: ");
    }
    refused("no_such_pmu/x/", 125, "no_such_pmu");
    refused("instrutions", 2, "did you mean `instructions`?");
    refused(
        "task-clock,instrutions",
        2,
        "event `instrutions` at position 12 of `task-clock,instrutions`: no such event",
    );
    refused("cycles:x", 2, "-e: event `cycles:x`");
    refused("a,,b", 2, "-e: ");
    refused("", 2, "-e: ");
    if is_root("unknown tracepoints") {
        refused("sched:sched_swich", 2, "did you mean `sched_switch`?");
    }
}

#[test]
fn what_alumet_always_reports_is_no_event_and_says_so() {
    for (event, row) in [("duration_time", "Time"), ("user_time", "CPU"), ("system_time", "CPU")] {
        let mut run = Alumet::new(["exec", "-e", &format!("task-clock,{event}"), "true"]);
        let says = format!(
            "event `{event}` at position 12 of `task-clock,{event}`: no event of the kernel; alumet always reports it, \
             as {row}: leave it out"
        );
        run.run().refuses(2, &says);
    }
}

#[test]
fn an_event_is_counted_once_under_whatever_names() {
    let mut run = Alumet::new([
        "exec",
        "-q",
        "--json",
        "p.json",
        "-e",
        "faults,page-faults",
        "-e",
        "page-faults",
        "true",
    ]);
    run.run().status(0);
    let profile = run.profile("p.json");
    let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
    assert_eq!(metrics.iter().filter(|metric| metric["metric"] == "perf.page-faults").count(), 1);
}

#[test]
fn the_events_that_were_asked_for_are_listed_with_what_they_say_together() {
    let mut run = Alumet::new(["exec", "--json", "p.json", "-e", "task-clock,minor-faults", "--"]);
    run.command.arg(workload()).args(["burn=50", "touch=1"]);
    let done = run.run().status(0);
    let line = done.stderr.lines().find(|line| line.contains("task-clock")).unwrap();
    assert!(line.contains("CPUs used"), "{}", done.stderr);
    assert!(done.stderr.lines().any(|line| line.trim_end().ends_with("minor-faults")), "{}", done.stderr);
    let profile = run.profile("p.json");
    let run = &profile["runs"][0];
    let derived = &run["derived"][0];
    assert_eq!((&derived["metric"], &derived["unit"]), (&Value::from("perf.cpus_used"), &Value::from("1")));
    let expected = counter(&profile, "perf.task-clock", "") / run["wall_s"].as_f64().unwrap();
    assert_eq!(derived["value"].as_f64().unwrap(), expected);
}

/// The tables of the summary: lines between a header that begins with this and the next one that is no row.
fn table<'a>(done: &'a Done, id: &str) -> Vec<Vec<&'a str>> {
    let lines = done.stderr.lines().skip_while(|line| !line.trim_start().starts_with(id));
    let is_row = |line: &&str| line.trim_start().starts_with(|c: char| c.is_ascii_digit());
    lines
        .enumerate()
        .take_while(|(i, line)| *i == 0 || is_row(line))
        .map(|(_, line)| line.split_whitespace().collect())
        .collect()
}

#[test]
fn by_process_and_by_thread_the_first_event_is_shown_for_those_who_were_seen() {
    let options = "exec --per-process --per-thread --top 3 -i 5ms -o s.csv --json p.json -e page-faults:u,task-clock --";
    let mut run = Alumet::new(options.split_whitespace());
    run.command
        .args(["sh", "-c", "\"$0\" touch=20 burn=1000 & \"$0\" threads=3:1000 & wait"])
        .arg(workload());
    let done = run.run().status(0);
    let (processes, threads) = (table(&done, "PID"), table(&done, "TID"));
    assert_eq!(processes[0].last(), Some(&"page-faults:u"), "{}", done.stderr);
    assert_eq!(threads[0].last(), Some(&"page-faults:u"), "{}", done.stderr);
    // A header and the top three each.
    assert_eq!((processes.len(), threads.len()), (4, 4), "{}", done.stderr);
    assert!(done.stderr.contains("more that were seen at a reading"), "{}", done.stderr);
    let profile = run.profile("p.json");
    let of = |kind: &str, metric: &str| -> f64 {
        let metrics = profile["runs"][0]["metrics"].as_array().unwrap().iter();
        metrics
            .filter(|m| m["consumer"] == kind && m["metric"] == metric)
            .map(|m| m["value"].as_f64().unwrap())
            .sum()
    };
    for kind in ["process", "thread"] {
        // What is used between two looks belongs to nobody.
        let (parts, whole) = (of(kind, "process.cpu.time"), counter(&profile, "process.cpu.time", ""));
        assert!(parts <= whole + 0.001 && parts >= 0.8 * whole, "{kind}: {parts} of {whole}");
        let (parts, whole) = (of(kind, "perf.page-faults:u"), counter(&profile, "perf.page-faults:u", ""));
        assert!(parts <= whole && parts > 0.0, "{kind}: {parts} of {whole}");
    }
    let rows = run.rows("s.csv");
    let thread =
        rows.iter().find(|row| row["consumer"] == "thread" && row["metric"] == "process.cpu.time").unwrap();
    assert!(
        thread["labels"].contains("thread.name=") && thread["labels"].contains("process.pid="),
        "{thread:?}"
    );
}

#[test]
fn a_user_without_rights_counts_user_mode_and_is_told_what_is_missing() {
    let test = "a_user_without_rights_counts_user_mode_and_is_told_what_is_missing";
    let Some(_restored) = Paranoid::set(test, 2) else { return };
    let words = ["exec", "-v", "--json", "p.json", "bin/workload", "touch=20", "burn=100"];
    let mut run = Alumet::as_nobody("exec \"$@\"", &words).with_workload();
    let done = run.run().status(0);
    let text = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("context-switches, cpu-migrations (not permitted: it happens in the kernel (perf_event_paranoid is 2)"), "{text}");
    assert!(text.contains("sudo setcap cap_perfmon=ep"), "{text}");
    assert!(text.contains("kernel mode of page-faults (not permitted: user mode alone is counted"), "{text}");
    let profile = run.profile("p.json");
    assert!(counter(&profile, "perf.page-faults:u", "") > 4000.0);
    // The clock runs in kernel mode too, whoever asks: touching is mostly the kernel's work.
    clock_is_cpu_time("without rights", || {
        run.run().status(0);
        let profile = run.profile("p.json");
        (counter(&profile, "perf.task-clock", ""), counter(&profile, "process.cpu.time", ""))
    });

    for (events, says) in [
        (
            "context-switches",
            "not permitted: it happens in the kernel (perf_event_paranoid is 2); sudo setcap",
        ),
        ("page-faults:k", "not permitted: it counts kernel mode (perf_event_paranoid is 2); sudo setcap"),
    ] {
        let mut run = Alumet::as_nobody("exec \"$@\"", &["exec", "-v", "-e", events, "touch", "started"]);
        run.run().refuses(125, says);
        assert!(!run.path("started").exists());
    }
    let mut run =
        Alumet::as_nobody("exec \"$@\"", &["exec", "-v", "-e", "sched:sched_switch", "touch", "started"]);
    if nobody_may_list("/sys/kernel/tracing/events") {
        run.run().refuses(125, "not permitted");
    } else {
        run.run().refuses(125, "permission denied");
    }
}

fn nobody_may_list(path: &str) -> bool {
    let ls = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "ls", path])
        .output();
    ls.is_ok_and(|output| output.status.success())
}

/// The least privilege that the messages name: it suffices, and the application gets nothing of it.
#[test]
fn the_capability_on_the_binary_is_enough_and_stays_with_alumet() {
    let test = "the_capability_on_the_binary_is_enough_and_stays_with_alumet";
    let Some(_restored) = Paranoid::set(test, 2) else { return };
    let mut run = Alumet::as_nobody("", &[]).with_workload();
    let alumet = run.path("bin/alumet");
    let setcap = Command::new("setcap").arg("cap_perfmon=ep").arg(&alumet).status();
    if !setcap.is_ok_and(|status| status.success()) {
        return skip(test, "setcap is not installed, or this file system has no capabilities");
    }
    run.command = Command::new("setpriv");
    let script = "grep -E 'Cap(Eff|Prm|Inh|Amb)' /proc/self/status; exec bin/workload touch=20 burn=50 usage";
    run.command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&alumet);
    run.command.args(["exec", "--json", "p.json", "sh", "-c", script]);
    let directory = run.path("");
    run.command.current_dir(directory);
    let done = run.run().status(0);
    assert_eq!(done.stdout.matches("0000000000000000").count(), 4, "{}", done.stdout);
    assert!(!done.stderr.contains("not permitted"), "{}", done.stderr);
    let profile = run.profile("p.json");
    assert!(counter(&profile, "perf.page-faults", "") > 4800.0);
    assert!(counter(&profile, "perf.context-switches", "") > 0.0);
}

/// A PMU that counts the whole machine, as energy meters do: its files say that the kernel's clock, on two CPUs or on the
/// only one, counts joules.
#[test]
fn a_pmu_with_a_cpumask_counts_the_machine_in_its_unit_from_mark_to_mark() {
    if !is_root("a_pmu_with_a_cpumask_counts_the_machine_in_its_unit_from_mark_to_mark") {
        return;
    }
    let cpus = std::thread::available_parallelism().unwrap().get().min(2);
    let words = [
        "--sysfs",
        "sys",
        "--json",
        "p.json",
        "-o",
        "s.csv",
        "-i",
        "20ms",
        "-e",
        "meter/energy-pkg/",
        "sleep",
        "0.3",
    ];
    let mut run = Alumet::new(["exec"].iter().chain(&words));
    let pmu = run.path("sys/bus/event_source/devices/meter");
    for directory in ["events", "format"] {
        fs::create_dir_all(pmu.join(directory)).unwrap();
    }
    for (file, text) in [
        ("type", "1"),
        ("cpumask", if cpus == 2 { "0-1" } else { "0" }),
        ("format/event", "config:0-7"),
        ("events/energy-pkg", "event=0x00"),
        ("events/energy-pkg.scale", "1e-9"),
        ("events/energy-pkg.unit", "Joules"),
    ] {
        fs::write(pmu.join(file), format!("{text}\n")).unwrap();
    }
    let done = run.run().status(0);
    let profile = run.profile("p.json");
    let run_of = &profile["runs"][0];
    let metrics = run_of["metrics"].as_array().unwrap();
    let energy = metrics.iter().find(|metric| metric["metric"] == "perf.meter/energy-pkg/").unwrap();
    assert_eq!((&energy["unit"], &energy["consumer"]), (&Value::from("J"), &Value::from("machine")));
    let (joules, wall) = (energy["value"].as_f64().unwrap(), run_of["wall_s"].as_f64().unwrap());
    close(joules, cpus as f64 * wall, 0.05, 0.01, "joules");
    let rows = run.rows("s.csv");
    let rows: Vec<f64> = rows
        .iter()
        .filter(|row| row["metric"] == "perf.meter/energy-pkg/")
        .map(|row| row["value"].parse().unwrap())
        .collect();
    assert!(rows.len() >= 5, "{rows:?}");
    close(rows.iter().sum(), joules, 1e-9, 0.0, "sum of rows");
    assert!(done.stderr.contains("J  meter/energy-pkg/  whole machine"), "{}", done.stderr);
}

/// A thread that is born while its process is taken up is neither counted twice nor lost.
#[test]
fn threads_of_one_process_add_up_however_many_there_are_when_it_is_seen_first() {
    for _ in 0..3 {
        let mut run = Alumet::new([
            "exec",
            "-q",
            "--per-process",
            "-i",
            "10ms",
            "--json",
            "p.json",
            "-e",
            "task-clock",
            "sh",
            "-c",
        ]);
        run.command.arg("\"$0\" threads=20:20 storm=300 threads=10:20; true").arg(workload());
        run.run().status(0);
        let profile = run.profile("p.json");
        let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
        let parts = metrics.iter().filter(|m| m["consumer"] == "process" && m["metric"] == "perf.task-clock");
        let parts: f64 = parts.map(|m| m["value"].as_f64().unwrap()).sum();
        let whole = counter(&profile, "perf.task-clock", "");
        eprintln!("{parts} of {whole}");
        assert!(parts <= whole * 1.001 && parts >= 0.3 * whole, "{parts} of {whole}");
    }
}

/// The kernel takes the counters off a program that gains rights; whichever events were asked for, that is said.
#[test]
fn a_program_with_other_rights_is_not_counted_and_that_is_said() {
    use std::os::unix::fs::PermissionsExt;
    let test = "a_program_with_other_rights_is_not_counted_and_that_is_said";
    let Some(_restored) = Paranoid::set(test, 2) else { return };
    let mut run =
        Alumet::as_nobody("exec \"$@\"", &["exec", "-e", "page-faults:u", "bin/workload", "burn=100"])
            .with_workload();
    fs::set_permissions(run.path("bin/workload"), PermissionsExt::from_mode(0o4755)).unwrap();
    let done = run.run().status(0);
    let text = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    if !text.contains(" of the CPU time (not counted: ") {
        // Where the temporary directory is mounted `nosuid`, the program is an ordinary one.
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(mounts.contains("nosuid"), "{text}");
        skip(test, "set-user-ID programs may not be run from the temporary directory");
    }
}

#[test]
fn two_events_with_one_name_are_refused() {
    let events = "software/config=3,name=a/,software/config=2,name=a/";
    Alumet::new(["exec", "-e", events, "true"]).run().refuses(2, "another event is named `a` already");
}
