//! What alumet counts against what the kernel says of the very same run: the workload prints its own getrusage(2).
//!
//! Two costs cannot be in both numbers. What the workload does after it has printed, its exit above all, is only in
//! alumet's; what its process did before it became the workload, at alumet's gate, is only in its own (rusage survives
//! exec). Both are there once a run, however long it is: [`EDGES`] allows for them, and the rest must agree.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Alumet, Done, binary, counter, is_root, skip, soon, workload};
use tempfile::TempDir;

/// CPU time before and after the workload itself, in seconds.
const EDGES: f64 = 0.002;

/// Where alumet runs, which decides how it can count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// As the tests do: where they are root, with a cgroup.
    Here,
    /// As root, but with no cgroup file system in sight.
    WithoutCgroup,
    /// As `nobody`, without any capability.
    Unprivileged,
}

/// A run, and what the workload said of itself.
struct Measured {
    run: Alumet,
    profile: Value,
    usage: Value,
}

impl Place {
    /// A command that executes alumet there, and the workload as it can be executed there.
    fn command(self, directory: &TempDir) -> Option<(Command, PathBuf)> {
        let mut command = match self {
            Self::Here => return Some((Command::new(binary()), workload().into())),
            Self::WithoutCgroup => Command::new("unshare"),
            Self::Unprivileged => Command::new("setpriv"),
        };
        if !is_root(&format!("a run {self:?}")) {
            return None;
        }
        if self == Self::WithoutCgroup {
            const HIDE: &str = "mount -t tmpfs none /sys/fs/cgroup && exec \"$@\"";
            command.args(["--mount", "sh", "-c"]);
            let tried = Command::new("unshare").args(["--mount", "sh", "-c", HIDE, "sh", "true"]).output();
            if !tried.as_ref().is_ok_and(|output| output.status.success()) {
                eprintln!("skipped: a run {self:?}, because mounts cannot be hidden: {tried:?}");
                return None;
            }
            command.args([HIDE, "sh"]).arg(binary());
            return Some((command, workload().into()));
        }
        // The build directory may be closed to others.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let copy = |from: &Path, name: &str| {
            let to = directory.path().join(name);
            fs::copy(from, &to).unwrap();
            fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
            to
        };
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set=-all"]);
        command.arg(copy(binary(), "alumet"));
        Some((command, copy(workload(), "workload")))
    }

    /// Runs these steps of the workload, and `usage` as the last.
    fn measure(self, options: &str, steps: &str) -> Option<Measured> {
        let directory = tempfile::tempdir().unwrap();
        let (command, workload) = self.command(&directory)?;
        let options = ["exec", "-q", "--json", "p.json"].into_iter().chain(options.split_whitespace());
        let mut run = Alumet::with(command, options);
        run.command.arg("--").arg(workload).args(steps.split_whitespace()).arg("usage");
        fs::set_permissions(run.path(""), fs::Permissions::from_mode(0o777)).unwrap();
        let done = run.run().status(0);
        let profile = run.profile("p.json");
        Some(Measured { profile, usage: serde_json::from_str(&done.stdout).unwrap(), run })
    }
}

impl Measured {
    fn own(&self, field: &str) -> f64 {
        self.usage[field].as_f64().unwrap()
    }

    fn counter(&self, metric: &str, label: &str) -> f64 {
        counter(&self.profile, metric, label)
    }

    fn of_target(&self, metric: &str, label: &str) -> &Value {
        let metrics = self.profile["runs"][0]["metrics"].as_array().unwrap();
        let is = |m: &&Value| {
            m["metric"] == metric
                && m["consumer"] == "target"
                && (label.is_empty() || m["labels"].as_object().unwrap().values().any(|value| value == label))
        };
        metrics.iter().find(is).unwrap_or_else(|| panic!("no {metric} {label}"))
    }

    fn has_cgroup(&self) -> bool {
        self.of_target("process.cpu.time", "user")["method"].as_str().unwrap().starts_with("cgroup cpu.stat")
    }

    fn peak(&self, scope: &str) -> f64 {
        self.of_target("process.memory.peak", scope)["max"].as_f64().unwrap()
    }

    /// CPU time against what the workload knows of, and `more` seconds that it knows nothing of.
    #[track_caller]
    fn cpu_is(&self, more: f64, within: f64, what: &str) {
        let expected = self.own("cpu_us") / 1e6 + more;
        let got = self.counter("process.cpu.time", "");
        eprintln!("{what}: {got:.6} s, expected {expected:.6} s: {:+.2} %", (got / expected - 1.0) * 100.0);
        assert!((got - expected).abs() <= within * expected + EDGES, "{what}: {got} is not {expected}");
    }
}

#[track_caller]
fn close(got: f64, expected: f64, within: f64, slack: f64, what: &str) {
    eprintln!("{what}: {got}, expected {expected}");
    assert!((got - expected).abs() <= within * expected + slack, "{what}: {got} is not {expected}");
}

/// The CPU time of a whole tree, for intervals far below, near and far above its life.
fn cpu_is_exact(place: Place) {
    for interval in ["1ms", "100ms", "10s"] {
        let options = format!("-i {interval}");
        let Some(waited) = place.measure(&options, "threads=3:50 child=50 grandchild=50 burn=50") else {
            return;
        };
        assert!(place == Place::Here || !waited.has_cgroup(), "{place:?} has a cgroup");
        let followed = &waited.profile["runs"][0]["followed"];
        let metrics = waited.profile["runs"][0]["metrics"].as_array().unwrap();
        // Who is waited for by nobody is seen by a cgroup, or by a counter where one may be opened.
        let is_counted = metrics.iter().any(|metric| metric["metric"] == "perf_event.observed");
        let expected = if waited.has_cgroup() { ("cgroup", true) } else { ("adoption", is_counted) };
        assert_eq!((&followed["method"], &followed["complete"]), (&expected.0.into(), &expected.1.into()));
        waited.cpu_is(0.0, 0.01, &format!("{place:?}, {interval}, waited for"));
        let Some(orphan) = place.measure(&options, "burn=20 orphan=200") else { return };
        orphan.cpu_is(0.2, 0.02, &format!("{place:?}, {interval}, orphan"));
    }
}

#[test]
fn cpu_time_of_threads_children_and_orphans_is_that_of_rusage() {
    cpu_is_exact(Place::Here);
}

#[test]
fn cpu_time_is_as_exact_without_a_cgroup() {
    cpu_is_exact(Place::WithoutCgroup);
}

#[test]
fn cpu_time_is_as_exact_for_a_user_without_any_right() {
    cpu_is_exact(Place::Unprivileged);
}

#[test]
fn cpu_time_is_exact_for_a_run_of_fifty_milliseconds() {
    for place in [Place::Here, Place::WithoutCgroup, Place::Unprivileged] {
        for interval in ["1ms", "10s"] {
            let Some(short) = place.measure(&format!("-i {interval}"), "burn=25 child=20") else { continue };
            short.cpu_is(0.0, 0.01, &format!("{place:?}, {interval}, short"));
        }
    }
}

#[test]
fn a_child_that_nobody_waits_for_counts_where_there_is_a_cgroup() {
    let run = Place::Here.measure("", "burn=20 forget=150").unwrap();
    if run.has_cgroup() {
        run.cpu_is(0.15, 0.01, "ignored SIGCHLD");
    } else {
        eprintln!(
            "skipped: a child of a parent that ignores SIGCHLD is in no rusage, and there is no cgroup here"
        );
    }
}

#[test]
fn faults_switches_and_storage_are_those_of_rusage() {
    for place in [Place::Here, Place::WithoutCgroup, Place::Unprivileged] {
        for interval in ["2ms", "10s"] {
            let steps = "touch=100 threads=4:30 forks=50 write=1000";
            let Some(run) = place.measure(&format!("-i {interval}"), steps) else { continue };
            let what = |what: &str| format!("{place:?}, {interval}, {what}");
            let minor = run.counter("process.paging.faults", "minor");
            close(minor, run.own("minflt"), 0.01, 0.0, &what("minor faults"));
            let major = run.counter("process.paging.faults", "major");
            close(major, run.own("majflt"), 0.01, 3.0, &what("major faults"));
            // At the gate, and while exiting, the process may lose the CPU a few times more.
            let voluntary = run.counter("process.context_switches", "voluntary");
            close(voluntary, run.own("nvcsw"), 0.01, 5.0, &what("voluntary switches"));
            let involuntary = run.counter("process.context_switches", "involuntary");
            close(involuntary, run.own("nivcsw"), 0.01, 5.0, &what("involuntary switches"));
            // A page of the program that is in no cache is read after the last step, too.
            let read = run.counter("process.disk.io", "read");
            close(read, run.own("inblock") * 512.0, 0.01, 65_536.0, &what("read"));
            let written = run.counter("process.disk.io", "write");
            close(written, run.own("oublock") * 512.0, 0.0, 0.0, &what("written"));
            if run.own("oublock") > 0.0 {
                assert!(written >= 1_000_000.0, "{written}");
            } else {
                eprintln!("skipped: {} is on no disk", run.run.path("").display());
            }
        }
    }
}

#[test]
fn every_page_that_is_touched_is_a_fault() {
    let always = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    if always.is_ok_and(|text| text.contains("[always]")) {
        eprintln!("skipped: with huge pages always on, a fault brings many pages");
        return;
    }
    let run = Place::Here.measure("", "touch=100").unwrap();
    let pages = 100e6 / nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).unwrap().unwrap() as f64;
    close(run.counter("process.paging.faults", "minor"), pages, 0.02, 0.0, "faults of 100 MB");
}

#[test]
fn the_peak_of_the_largest_process_is_that_of_rusage() {
    for place in [Place::Here, Place::WithoutCgroup, Place::Unprivileged] {
        for interval in ["5ms", "10s"] {
            let Some(run) = place.measure(&format!("-i {interval}"), "touch=100 child=1") else { continue };
            let peak = run.peak("largest_process");
            close(peak, run.own("maxrss_kb") * 1024.0, 0.03, 0.0, &format!("{place:?}, {interval}, peak"));
            close(peak, 100e6, 0.03, 3e6, "100 MB");
        }
    }
}

#[test]
fn a_small_program_has_its_own_size_and_not_that_of_alumet() {
    // The high-water mark that the program reads in its own /proc is of its own memory only.
    let (done, grep) = small(&["grep", "VmHWM", "/proc/self/status"]);
    let expected: f64 = done.stdout.split_whitespace().nth(1).unwrap().parse().unwrap();
    peak_is_small(&grep, expected * 1024.0);

    let Ok(time) = Command::new("/usr/bin/time").args(["-f", "%M", "true"]).output() else {
        eprintln!("skipped: the size of `true`, because /usr/bin/time is not installed");
        return;
    };
    let expected: f64 = String::from_utf8(time.stderr).unwrap().trim().parse().unwrap();
    peak_is_small(&small(&["true"]).1, expected * 1024.0);
}

fn small(command: &[&str]) -> (Done, Measured) {
    let mut run = Alumet::new(["exec", "-q", "--json", "p.json", "--"].iter().chain(command));
    let done = run.run().status(0);
    (done, Measured { profile: run.profile("p.json"), usage: Value::Null, run })
}

/// Since Linux 6.2 the kernel counts resident pages per CPU and sums up late, so small sizes are a bit off.
#[track_caller]
fn peak_is_small(run: &Measured, expected: f64) {
    let peak = run.of_target("process.memory.peak", "largest_process");
    let own = run.profile["runs"][0]["self"]["rss_bytes"].as_f64().unwrap();
    if peak["bound"] == "at_most" {
        // The process at the gate was larger than the program; above all in debug builds.
        assert!((expected * 0.85..own / 2.0).contains(&run.peak("largest_process")), "{peak} {own}");
    } else {
        close(run.peak("largest_process"), expected, 0.15, 0.0, "small program");
    }
}

#[test]
fn memory_below_what_alumet_had_before_is_a_bound_and_decides_nothing() {
    // It is over before it could be sampled.
    let done = Alumet::new(["exec", "--", "true"]).run().status(0);
    let row = done.stderr.lines().find(|line| line.contains("Memory")).unwrap().to_owned();
    assert!(row.contains("at most ") && !row.contains("peak"), "{row}");
    Alumet::new(["compare", "--pairs", "5", "--gate", "memory", "true", "true"])
        .run()
        .refuses(125, "memory cannot decide: it is at most so much");
}

#[test]
fn the_size_of_alumet_is_not_that_of_whoever_has_started_it() {
    let large = vec![1u8; 200_000_000];
    let (_, run) = small(&["true"]);
    let own = run.profile["runs"][0]["self"]["rss_bytes"].as_f64().unwrap();
    assert!((1e6..50e6).contains(&own), "{own}");
    assert!(run.peak("largest_process") < 50e6);
    drop(std::hint::black_box(large));
}

#[test]
fn the_peak_of_the_tree_is_told_from_that_of_its_largest_process() {
    for place in [Place::Here, Place::WithoutCgroup] {
        let directory = tempfile::tempdir().unwrap();
        let Some((command, workload)) = place.command(&directory) else { continue };
        let mut run =
            Alumet::with(command, ["exec", "-q", "-i", "10ms", "--json", "p.json", "--", "sh", "-c"]);
        run.command.arg("\"$0\" hold=50:1000 & \"$0\" hold=50:1000 & wait").arg(workload);
        run.run().status(0);
        let run = Measured { profile: run.profile("p.json"), usage: Value::Null, run };
        close(run.peak("largest_process"), 50e6, 0.03, 3e6, "largest process");
        close(run.peak("tree"), 100e6, 0.03, 8e6, "tree");
        let samples = run.of_target("process.memory.usage", "");
        assert!(samples["max"].as_f64() <= Some(run.peak("tree")), "{samples}");
    }
}

/// The directory of the cgroup v2 that this process is in, where alumet makes its own.
fn own_cgroup() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?.split(' ').nth(1)?;
    Some(Path::new(mount).join(cgroup_of("self")?))
}

fn cgroup_of(pid: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("0::/")).map(String::from)
}

/// Runs alumet and returns what it said, once its cgroup is gone for sure.
#[track_caller]
fn run_without_traces(run: &mut Alumet) -> Done {
    let child = run.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let prefix = format!("alumet-{}-", child.id());
    let done = Done::of(child.wait_with_output().unwrap());
    if let Some(directory) = own_cgroup() {
        let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with(&prefix)).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
    done
}

#[test]
fn a_daemon_that_lives_on_is_named_and_left_alone() {
    for place in [Place::Here, Place::WithoutCgroup] {
        let directory = tempfile::tempdir().unwrap();
        let Some((command, workload)) = place.command(&directory) else { continue };
        let mut run = Alumet::with(command, ["exec", "--json", "p.json", "--", "sh", "-c"]);
        run.command.arg("exec \"$0\" daemon=20000 >/dev/null 2>&1").arg(workload);
        let done = run_without_traces(&mut run).status(0);
        let profile = run.profile("p.json");
        let survivors = profile["runs"][0]["survivors"].as_array().unwrap();
        assert_eq!((survivors.len(), &survivors[0]["name"]), (1, &Value::from("workload")), "{survivors:?}");
        // It is where it would be without alumet, and alive until `run` is dropped.
        let pid = survivors[0]["pid"].as_i64().unwrap();
        let alive = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        assert!(alive.contains("daemon=20000"), "{alive}");
        assert_eq!(cgroup_of(&pid.to_string()), cgroup_of("self"));
        done.says(&format!("still running, left alone: workload ({pid})"));
    }
}

/// The directory of the cgroup v2 that this process is in, if one can be made there; says that the test is skipped if not.
fn delegated_cgroup(test: &str) -> Option<PathBuf> {
    let probe = format!("probe-{test}-{}", std::process::id());
    let can_be_made = |own: &PathBuf| {
        fs::create_dir(own.join(&probe)).and_then(|()| fs::remove_dir(own.join(&probe))).is_ok()
    };
    let own = own_cgroup().filter(can_be_made);
    if own.is_none() {
        skip(test, "no cgroup can be made");
    }
    own
}

#[test]
fn cgroups_of_the_application_do_not_outlive_it() {
    let Some(own) = delegated_cgroup("cgroups_of_the_application_do_not_outlive_it") else { return };
    let own = own.display().to_string();
    let mount = own.strip_suffix(&cgroup_of("self").unwrap()).unwrap().trim_end_matches('/').to_owned();
    // Two levels of them, and a process that lives on in one.
    let script = "cd $MOUNT$(sed -n s/^0:://p /proc/self/cgroup) && mkdir a a/b c || exit 77; \
        sh -c 'echo $$ >a/b/cgroup.procs && exec sleep 300' >/dev/null 2>&1 & \
        until test \"$(cat a/b/cgroup.procs)\" = $!; do sleep 0.01; done; echo $!";
    let mut run = Alumet::new(["exec", "-q", "--", "sh", "-c", script]).env("MOUNT", &mount);
    let done = run_without_traces(&mut run).status(0);
    let pid = done.stdout.trim();
    assert_eq!(cgroup_of(pid), cgroup_of("self"), "{pid} was left alone");
}

#[test]
fn cgroups_of_a_run_that_was_killed_are_removed_unless_somebody_lives_there() {
    let test = "cgroups_of_a_run_that_was_killed_are_removed_unless_somebody_lives_there";
    let Some(own) = delegated_cgroup(test) else { return };
    let mut ended = Command::new("true").spawn().unwrap();
    ended.wait().unwrap();
    let [(left, mut first), (lived_in, mut second)] = [0, 1].map(|number| {
        let path = own.join(format!("alumet-{}-{number}", ended.id()));
        let sleep = Command::new("sleep").arg("300").spawn().unwrap();
        // A run of another test may remove it as long as nobody lives there.
        let settle = || {
            fs::create_dir_all(path.join("a/b"))?;
            fs::write(path.join("a/b/cgroup.procs"), sleep.id().to_string())
        };
        assert!(soon(|| settle().is_ok()));
        fs::create_dir(path.join("c")).unwrap();
        (path, sleep)
    });
    let ends = |sleep: &mut std::process::Child| {
        sleep.kill().unwrap();
        sleep.wait().unwrap();
    };
    let run = || Alumet::new(["exec", "-q", "true"]).run().status(0);
    ends(&mut first);
    run();
    let (is_gone, is_whole) = (!left.exists(), lived_in.join("a/b").exists() && lived_in.join("c").exists());
    ends(&mut second);
    run();
    assert!(is_gone && is_whole && !lived_in.exists(), "{is_gone} {is_whole}");
}

#[test]
fn wait_all_measures_to_the_end_of_the_last_process() {
    let script = "setsid \"$0\" burn=300 usage & exit 3";
    let mut run = Alumet::new(["exec", "--wait-all", "--json", "p.json", "--", "sh", "-c", script]);
    run.command.arg(workload());
    let done = run_without_traces(&mut run).status(3);
    let usage = serde_json::from_str(&done.stdout).unwrap();
    let measured = Measured { profile: run.profile("p.json"), usage, run };
    assert_eq!(measured.profile["runs"][0]["survivors"], Value::Array(Vec::new()));
    // The shell and setsid cost some milliseconds more.
    let more = measured.counter("process.cpu.time", "") - measured.own("cpu_us") / 1e6;
    assert!((-EDGES..0.015).contains(&more), "{more}");
    let wall = measured.profile["runs"][0]["wall_s"].as_f64().unwrap();
    assert!(wall >= 0.3, "{wall}");
}

#[test]
fn after_a_timeout_nothing_is_left() {
    for steps in [["sleep=20000", "usage"], ["daemon=20000", "sleep=20000"]] {
        let mut run = Alumet::new(["exec", "--timeout", "150ms", "--json", "p.json", "--"]);
        run.command.arg(workload()).args(steps);
        run_without_traces(&mut run).status(124).says("was ended after 150ms");
        let profile = run.profile("p.json");
        assert_eq!(profile["runs"][0]["survivors"], Value::Array(Vec::new()));
        assert_eq!(profile["runs"][0]["timed_out"], true);
    }
}

/// A shell, or `cargo run`, that executes alumet without a fork leaves its own CPU time to the process.
#[test]
fn what_the_process_was_before_alumet_is_not_alumets_own_cost() {
    let mut run = Alumet::new(Vec::<String>::new());
    let script = r#"i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; times; exec "$@""#;
    run.command = Command::new("sh");
    run.command.args(["-c", script, "sh"]).arg(binary()).args(["exec", "-q", "--json"]);
    run.command.arg(run.path("p.json")).arg("true");
    let done = run.run().status(0);
    // The first word that `times` prints: minutes and seconds in user mode.
    let (minutes, seconds) = done.stdout.split_whitespace().next().unwrap().split_once('m').unwrap();
    let before =
        minutes.parse::<f64>().unwrap() * 60.0 + seconds.trim_end_matches('s').parse::<f64>().unwrap();
    let own = run.profile("p.json")["runs"][0]["self"]["cpu_s"].as_f64().unwrap();
    assert!(0.0 < own && own < before / 2.0, "{own} s of its own after {before} s");
}
