//! Whose CPU time is counted: whoever descends from the application, whichever cgroup they are in, however they were orphaned, and
//! whoever reaps them. The witness is a cgroup around it all, of which the kernel counts every nanosecond.

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use serde_json::Value;
use support::{Alumet, counter, is_root, skip, soon, workload};

/// What alumet's process uses before it is in the cgroup, in seconds.
const ENTRY: f64 = 0.002;

/// A cgroup for a test, with one for alumet and one to which the application may go, beside each other.
struct Outer(PathBuf);

impl Outer {
    fn new(test: &str) -> Option<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        if !is_root(test) {
            return None;
        }
        let Some(own) = own_cgroup() else {
            skip(test, "no cgroup v2 here");
            return None;
        };
        let name = format!("test-tree-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = own.join(name);
        for part in ["", "alumet", "application"] {
            if let Err(error) = fs::create_dir(path.join(part)) {
                skip(test, &format!("no cgroup can be made here: {error}"));
                return None;
            }
        }
        Some(Self(path))
    }

    /// alumet in it; `$APPLICATION` is where the application goes to by writing its pid.
    fn alumet(&self, arguments: &[&str]) -> Alumet {
        let mut run = Alumet::new(arguments)
            .env("APPLICATION", self.0.join("application/cgroup.procs").to_str().unwrap())
            .env("W", workload().to_str().unwrap());
        let procs = fs::OpenOptions::new().write(true).open(self.0.join("alumet/cgroup.procs")).unwrap();
        // SAFETY: one write(2); 0 is the process that writes.
        unsafe { run.command.pre_exec(move || (&procs).write_all(b"0")) };
        run
    }

    /// Seconds.
    fn cpu(&self) -> f64 {
        let text = fs::read_to_string(self.0.join("cpu.stat")).unwrap();
        let usage = text.lines().find_map(|line| line.strip_prefix("usage_usec ")).unwrap();
        usage.parse::<f64>().unwrap() / 1e6
    }

    fn is_empty(&self) -> bool {
        fs::read_to_string(self.0.join("cgroup.events")).unwrap().contains("populated 0")
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        soon(|| self.is_empty());
        remove(&self.0);
    }
}

fn remove(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().unwrap().is_dir() {
            remove(&entry.path());
        }
    }
    let _ = fs::remove_dir(path);
}

/// Where cgroup v2 is mounted; nowhere, if it is not.
fn mount() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"));
    mount.and_then(|line| line.split(' ').nth(1)).unwrap_or("/nowhere").into()
}

/// The directory of the cgroup v2 that this process is in.
fn own_cgroup() -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    Some(mount().join(text.lines().find_map(|line| line.strip_prefix("0::/"))?))
}

/// Whether a number is told to be a bound, and why.
fn bound<'a>(profile: &'a Value, metric: &str) -> Option<(&'a str, &'a str)> {
    let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
    let total = metrics.iter().find(|m| m["metric"] == metric && m["consumer"] == "target").unwrap();
    Some((total["bound"].as_str()?, total["bound_reason"].as_str()?))
}

/// Runs a script under `exec` and returns its profile, with the CPU time that the kernel has counted of the application:
/// all in the cgroup, but for that of the process alumet.
fn launched(outer: &Outer, options: &[&str], script: &str) -> (Value, f64) {
    let mut arguments = vec!["exec", "-q", "--timeout", "60s", "--json", "p.json"];
    arguments.extend(options);
    arguments.extend(["--", "sh", "-c", script]);
    let mut run = outer.alumet(&arguments);
    let before = outer.cpu();
    let mut alumet = run.command.spawn().unwrap();
    let own = cpu_at_end(&alumet);
    assert!(alumet.wait().unwrap().success(), "{script}");
    assert!(soon(|| outer.is_empty()));
    (run.profile("p.json"), outer.cpu() - before - own)
}

/// The CPU time of a child and no other process, in seconds, once it has ended. It is not reaped.
fn cpu_at_end(child: &Child) -> f64 {
    let pid = Pid::from_raw(child.id() as i32);
    waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
    let time = clock_gettime(ClockId::pid_cpu_clock_id(pid).unwrap()).unwrap();
    Duration::from(time).as_secs_f64()
}

/// Never above the truth, and within a hundredth below it.
#[track_caller]
fn is_the_truth(profile: &Value, truth: f64, what: &str) {
    let got = counter(profile, "process.cpu.time", "");
    eprintln!("{what}: {got:.4} s, the cgroup around it {truth:.4} s: {:+.2} %", (got / truth - 1.0) * 100.0);
    let why = bound(profile, "process.cpu.time");
    assert!(got <= truth + ENTRY, "{what}: {got} s is more than {truth} s {why:?}");
    assert!(got >= 0.99 * truth - ENTRY, "{what}: {got} s of {truth} s {why:?}");
}

const LEAVE: &str = "echo $$ > $APPLICATION";

#[test]
fn who_leaves_the_cgroup_is_counted() {
    let Some(outer) = Outer::new("who leaves the cgroup") else { return };
    let (profile, truth) =
        launched(&outer, &[], &format!("{LEAVE}; exec \"$W\" burn=300 touch=50 child=100"));
    is_the_truth(&profile, truth, "a process that moves itself");
    assert_eq!(profile["runs"][0]["followed"]["complete"], true);
    assert_eq!(bound(&profile, "process.cpu.time"), None);
    let faults = counter(&profile, "process.paging.faults", "minor");
    assert!(faults > 50e6 / 4096.0 * 0.9 || faults > 1000.0, "{faults} faults of 50 MB");
    assert!(peak(&profile) >= 45e6, "{} of 50 MB", peak(&profile));
}

fn peak(profile: &Value) -> f64 {
    let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
    let peaks = metrics.iter().filter(|m| m["metric"] == "process.memory.peak");
    peaks.map(|m| m["max"].as_f64().unwrap()).fold(0.0, f64::max)
}

#[test]
fn who_leaves_the_cgroup_and_removes_it_is_counted() {
    let Some(outer) = Outer::new("who removes the cgroup") else { return };
    let script = format!(
        "mine={}$(sed -n s/^0:://p /proc/self/cgroup); {LEAVE}; rmdir \"$mine\" || exit 9; exec \"$W\" burn=300 touch=50",
        mount().display()
    );
    let (profile, truth) = launched(&outer, &[], &script);
    is_the_truth(&profile, truth, "a process that removes its cgroup");
    assert!(peak(&profile) >= 45e6, "{} of 50 MB", peak(&profile));
}

#[test]
fn every_way_to_make_and_lose_processes_is_counted() {
    let Some(outer) = Outer::new("ways to make processes") else { return };
    let scripts = [
        ("children that are waited for", "for i in 1 2 3 4; do \"$W\" burn=60 child=40 & done; wait"),
        ("children that nobody waits for", "\"$W\" forget=150 burn=20 forget=150"),
        (
            "an orphan in another cgroup",
            &*format!("({LEAVE}; exec \"$W\" orphan=150 burn=20); \"$W\" burn=50"),
        ),
        ("half inside, half outside", &*format!("\"$W\" burn=150; {LEAVE}; \"$W\" burn=150 orphan=100")),
        ("loops of short shells", "i=0; while [ $i -lt 300 ]; do sh -c 'exit 0'; i=$((i+1)); done"),
        (
            "loops of short shells outside",
            &*format!("{LEAVE}; i=0; while [ $i -lt 300 ]; do sh -c 'exit 0'; i=$((i+1)); done"),
        ),
        ("2,000 forks", "\"$W\" forks=2000"),
        (
            "orphans that end right after their parent",
            "i=0; while [ $i -lt 9 ]; do sh -c '\"$W\" burn=90 & sleep 0.08'; sleep 0.03; i=$((i+1)); done",
        ),
        ("threads", "\"$W\" threads=8:40"),
    ];
    let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let pool = "python3 -c 'from multiprocessing import Pool; Pool(3).map(sum, [range(2000000)] * 6)'";
    let make = "printf 'all: a b c d\n%%:\n\t\"$$W\" burn=50 child=20\n' > Makefile; make -s -j2";
    let others = [("a pool of Python", "python3", pool), ("make -j2", "make", make)];
    let others = others.into_iter().filter_map(|(what, program, script)| {
        let script = is_there(program).then_some((what, script));
        if script.is_none() {
            skip(what, &format!("{program} is not installed"));
        }
        script
    });
    for (what, script) in scripts.into_iter().chain(others) {
        for interval in [&["-i", "10ms", "--per-process"][..], &["-i", "150ms"], &["-i", "1s"]] {
            // On a busy machine an orphan may be the last.
            let options = &[&["--wait-all"], interval].concat();
            let (profile, truth) = launched(&outer, options, script);
            is_the_truth(&profile, truth, &format!("{what} {options:?}"));
            assert_eq!(bound(&profile, "process.cpu.time"), None, "{what}");
        }
    }
}

#[test]
fn what_nobody_waits_for_outside_of_the_cgroup_is_a_lower_bound() {
    let Some(outer) = Outer::new("children that nobody waits for") else { return };
    let script = format!("{LEAVE}; exec \"$W\" ignore child=60 child=60 child=60 child=60 sleep=50");
    let (profile, truth) = launched(&outer, &["-i", "10ms"], &script);
    let got = counter(&profile, "process.cpu.time", "");
    assert!(got <= truth + ENTRY && got >= 0.5 * truth, "{got} of {truth}");
    let (kind, why) = bound(&profile, "process.cpu.time").expect("it is a bound");
    assert!(kind == "at_least" && why.contains("ignores SIGCHLD"), "{kind} {why}");
    assert_eq!(profile["runs"][0]["followed"]["complete"], false);
}

#[test]
fn an_inherited_counter_knows_of_children_that_were_never_seen() {
    let Some(outer) = Outer::new("children that nobody sees") else { return };
    let script = format!("{LEAVE}; exec \"$W\" ignore child=200 child=200 child=200 sleep=50");
    let (profile, truth) = launched(&outer, &["-i", "10s", "-e", "task-clock"], &script);
    let got = counter(&profile, "process.cpu.time", "");
    // What interrupts and a hypervisor had of the CPUs meanwhile is taken off.
    assert!(got <= truth + ENTRY, "{got} of {truth}");
    assert!(got >= 0.7 * truth || is_busy(), "{got} of {truth}");
    assert_eq!(bound(&profile, "process.cpu.time").map(|(kind, _)| kind), Some("at_least"));
}

/// Whether much of the CPUs' time goes to others than processes: then a lower bound is low.
fn is_busy() -> bool {
    let lost = || {
        let text = fs::read_to_string("/proc/stat").unwrap();
        let times = text.lines().next().unwrap().split_ascii_whitespace().skip(6).take(3);
        times.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>()
    };
    let before = lost();
    std::thread::sleep(Duration::from_millis(500));
    lost() - before >= 5.0
}

#[test]
fn faults_and_switches_that_nobody_tells_of_are_at_least_so_many() {
    let Some(outer) = Outer::new("faults of children that nobody waits for") else { return };
    let script = "\"$W\" ignore tear=40:20 tear=40:20 tear=40:20";
    let (profile, truth) = launched(&outer, &["-i", "10ms"], script);
    is_the_truth(&profile, truth, "children of a shell that ignores SIGCHLD");
    let (kind, why) = bound(&profile, "process.paging.faults").expect("it is a bound");
    assert!(kind == "at_least" && why.contains("ignores SIGCHLD"), "{kind} {why}");
    // What was seen of them counts.
    let faults = counter(&profile, "process.paging.faults", "minor");
    assert!(faults > 2.0 * 40e6 / 4096.0, "{faults}");
}

#[test]
fn a_time_limit_ends_those_who_have_left_too() {
    let Some(outer) = Outer::new("a time limit") else { return };
    let script = format!("(echo 1; {LEAVE}; exec sleep 60) & ({LEAVE}; trap '' TERM; sleep 60) & sleep 60");
    let done = outer.alumet(&["exec", "-q", "--timeout", "300ms", "--", "sh", "-c", &script]).run();
    assert_eq!(done.status, 124, "{done:?}");
    assert!(soon(|| outer.is_empty()), "somebody lives on");
}

#[test]
fn to_wait_for_all_is_to_wait_for_those_who_have_left_too() {
    let Some(outer) = Outer::new("waiting for all") else { return };
    let script = format!("({LEAVE}; exec \"$W\" sleep=300 burn=200) >/dev/null 2>&1 & sleep 0.05");
    let (profile, truth) = launched(&outer, &["--wait-all"], &script);
    is_the_truth(&profile, truth, "left behind outside");
    assert!(profile["runs"][0]["wall_s"].as_f64().unwrap() >= 0.5);
    let done = outer.alumet(&["exec", "--", "sh", "-c", &script]).run().status(0);
    done.says("still running, left alone: workload");
}

#[test]
fn each_process_that_has_left_is_shown() {
    let Some(outer) = Outer::new("processes one by one") else { return };
    let script = format!("({LEAVE}; exec \"$W\" burn=300); \"$W\" burn=100");
    let (profile, _) = launched(&outer, &["-i", "10ms", "--per-process"], &script);
    let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
    let of_workload = |m: &&Value| {
        m["consumer"] == "process"
            && m["metric"] == "process.cpu.time"
            && m["labels"]["process.executable.name"] == "workload"
    };
    let times: Vec<f64> = metrics.iter().filter(of_workload).map(|m| m["value"].as_f64().unwrap()).collect();
    assert!(times.iter().any(|time| *time > 0.2), "{times:?}");
}

/// A bundle for runc in the directory of the run: a shell of busybox in a cgroup of the outer one's.
fn bundle(run: &Alumet, outer: &Outer, script: &str) -> Option<()> {
    fs::create_dir_all(run.path("root/bin")).unwrap();
    fs::create_dir(run.path("root/proc")).unwrap();
    fs::copy("/bin/busybox", run.path("root/bin/sh")).ok()?;
    let spec = Command::new("runc").arg("spec").current_dir(run.path("")).status();
    spec.ok()?.success().then_some(())?;
    let mut config: Value = serde_json::from_str(&run.read("config.json")).unwrap();
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = ["sh", "-c", script].into();
    config["root"]["path"] = "root".into();
    config["root"]["readonly"] = false.into();
    let inside = outer.0.strip_prefix(mount()).unwrap().join("application/container");
    config["linux"]["cgroupsPath"] = Path::new("/").join(inside).to_str().unwrap().into();
    run.write("config.json", &config.to_string());
    Some(())
}

#[test]
fn a_container_is_counted_with_those_in_it_that_were_orphaned() {
    let Some(outer) = Outer::new("a container") else { return };
    const BURN: &str = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
    let mut run = outer.alumet(&[
        "exec",
        "-q",
        "--timeout",
        "60s",
        "--wait-all",
        "--json",
        "p.json",
        "-i",
        "20ms",
        "--",
        "sh",
        "-c",
        "exec runc --root state run test-$$",
    ]);
    let script = format!("(({BURN}; echo over > over) &); {BURN}; while [ ! -e over ]; do :; done");
    if bundle(&run, &outer, &script).is_none() {
        return skip("a container", "runc and busybox-static are not installed");
    }
    let before = outer.cpu();
    let mut alumet = run.command.spawn().unwrap();
    let own = cpu_at_end(&alumet);
    if !alumet.wait().unwrap().success() {
        return skip("a container", "runc cannot run one here");
    }
    assert!(soon(|| outer.is_empty()));
    let truth = outer.cpu() - before - own;
    let profile = run.profile("p.json");
    // If the container's first process ends before it has waited for an orphan, the kernel reaps that without a word
    // (zap_pid_ns_processes in kernel/pid_namespace.c).
    match bound(&profile, "process.cpu.time") {
        None => is_the_truth(&profile, truth, "a container"),
        Some(why) => {
            let got = counter(&profile, "process.cpu.time", "");
            assert!((0.5 * truth..truth + ENTRY).contains(&got), "{got} of {truth} {why:?}");
        }
    }
    assert!(truth > 0.1, "{truth}");
}

/// Starts a script in the cgroup, attaches to it, and returns what alumet says beside what the kernel has counted
/// meanwhile.
fn attached(outer: &Outer, options: &[&str], script: &str) -> (Value, f64) {
    let enter =
        format!("echo $$ > {}; exec sh -c \"$0\"", outer.0.join("application/cgroup.procs").display());
    let mut application =
        Command::new("sh").args(["-c", &enter, script]).env("W", workload()).spawn().unwrap();
    assert!(soon(|| {
        let procs = fs::read_to_string(outer.0.join("application/cgroup.procs")).unwrap();
        procs.lines().count() > 1
    }));
    let pid = application.id().to_string();
    let mut arguments = vec!["attach", "-q", "--json", "p.json"];
    arguments.extend(options);
    arguments.push(&pid);
    let before = outer.cpu();
    // Not in the cgroup: all that is counted there is the application's.
    let mut run = Alumet::new(&arguments);
    run.run().status(0);
    let truth = outer.cpu() - before;
    let profile = run.profile("p.json");
    let _ = fs::write(outer.0.join("cgroup.kill"), "1");
    application.wait().unwrap();
    (profile, truth)
}

#[test]
fn attaching_counts_nothing_twice() {
    let scripts = [
        ("a child that ends together with its parent", "sh -c '\"$W\" burn=300; true'; sleep 30; true"),
        ("a chain that ends at once", "\"$W\" chain=4:300; sleep 30; true"),
        ("loops of such children", "while true; do sh -c '\"$W\" burn=30 child=20; true'; done; true"),
        (
            "children that nobody waits for",
            "\"$W\" ignore child=100 child=100 child=100 child=100 child=100 child=100 child=100 child=100 sleep=9000",
        ),
        ("short shells", "while true; do sh -c 'exit 0'; done; true"),
        ("threads", "while true; do \"$W\" threads=4:50; done; true"),
    ];
    for (what, script) in scripts {
        let Some(outer) = Outer::new("attaching") else { return };
        for options in [&["--duration", "1s"][..], &["--duration", "1s", "-i", "50ms", "-e", "task-clock"]] {
            let (profile, truth) = attached(&outer, options, script);
            let got = counter(&profile, "process.cpu.time", "");
            eprintln!("attached, {what} {options:?}: {got:.4} s of {truth:.4} s");
            // The counter goes on for about a microsecond of each switch to another process.
            assert!(got <= 1.001 * truth + 0.001, "{what} {options:?}: {got} s is more than {truth} s");
            if bound(&profile, "process.cpu.time").is_none() {
                // Until alumet has attached, it is the cgroup's alone.
                assert!(got >= 0.5 * truth, "{what}: {got} s of {truth} s");
            }
        }
    }
}

#[test]
fn an_application_lives_where_alumets_own_cgroup_was_killed_before() {
    let Some(outer) = Outer::new("a cgroup that was killed before") else { return };
    // Whoever is created there now into another cgroup, the kernel may take for one that has escaped.
    let mut sleep = Command::new("sleep").arg("600").spawn().unwrap();
    fs::write(outer.0.join("alumet/cgroup.procs"), sleep.id().to_string()).unwrap();
    if let Err(error) = fs::write(outer.0.join("alumet/cgroup.kill"), "1") {
        sleep.kill().unwrap();
        sleep.wait().unwrap();
        return skip("a cgroup that was killed before", &format!("this kernel cannot kill one: {error}"));
    }
    sleep.wait().unwrap();
    let done = outer.alumet(&["exec", "-q", "--", "echo", "alive"]).run().status(0);
    assert_eq!(done.stdout, "alive\n");
}
