//! The memory of an application: what its processes have resident at one time, each page once. The workload says how much
//! that is; its program and the C library are some megabytes beside it.

mod support;

use std::process::Command;

use serde_json::Value;
use support::{Alumet, is_root, workload};

const MB: f64 = 1e6;
/// What the workload has besides the memory that it was told to hold.
const PROGRAM: f64 = 4.0 * MB;

/// A run of these steps of the workload, with these options.
struct Measured(Value);

impl Measured {
    fn new(options: &[&str], steps: &str) -> Self {
        let command = [&["exec", "-q", "--json", "p.json"], options, &["--", "bin/workload"]].concat();
        Self::of(Alumet::new(command), steps)
    }

    /// The same, as a user who may make no cgroup. Needs root.
    fn as_nobody(options: &[&str], steps: &str) -> Self {
        let command = [&["exec", "-q", "--json", "p.json"], options, &["--", "bin/workload"]].concat();
        Self::of(Alumet::as_nobody("exec \"$@\"", &command), steps)
    }

    fn of(alumet: Alumet, steps: &str) -> Self {
        let mut alumet = alumet.with_workload();
        alumet.command.args(steps.split_whitespace());
        alumet.run().status(0);
        Self(alumet.profile("p.json"))
    }

    fn metric(&self, consumer: &str, name: &str, scope: &str) -> Option<&Value> {
        let metrics = self.0["runs"][0]["metrics"].as_array().unwrap();
        metrics.iter().find(|metric| {
            let is_scope = scope.is_empty() || metric["labels"]["process.memory.peak.scope"] == scope;
            metric["metric"] == name && metric["consumer"] == consumer && is_scope
        })
    }

    fn peak(&self, scope: &str) -> &Value {
        self.metric("target", "process.memory.peak", scope).unwrap_or_else(|| panic!("no peak of {scope}"))
    }

    /// The peak of the tree is this, with the program and its libraries, and none of its samples was more.
    #[track_caller]
    fn tree_has(&self, megabytes: f64, bound: Option<&str>) {
        let tree = self.peak("tree");
        let peak = tree["max"].as_f64().unwrap();
        let expected = megabytes * MB;
        assert!((0.99 * expected..1.05 * expected + PROGRAM).contains(&peak), "{tree}");
        assert_eq!(tree.get("bound").and_then(Value::as_str), bound, "{tree}");
        if let Some(samples) = self.metric("target", "process.memory.usage", "") {
            assert!(samples["max"].as_f64().unwrap() <= peak, "{samples} {tree}");
        }
    }
}

#[test]
fn what_five_forks_share_counts_once() {
    let steps = "shared=60:600";
    Measured::new(&["-i", "20ms"], steps).tree_has(60.0, Some("at_least"));
    if is_root("shared memory for a user who may make no cgroup") {
        Measured::as_nobody(&["-i", "20ms"], steps).tree_has(60.0, Some("at_least"));
    }
}

/// Whoever is forked or ends while the others are read changes what falls to each of these.
#[test]
fn what_forks_share_counts_once_also_while_they_come_and_go() {
    Measured::new(&["-i", "5ms"], "crowd=60:2000").tree_has(60.0, Some("at_least"));
}

/// A copy is no larger than what it was copied from: the resident sizes stay as they were.
#[test]
fn what_five_forks_have_copied_counts_six_times() {
    Measured::new(&["-i", "20ms"], "copied=20:600").tree_has(120.0, Some("at_least"));
}

#[test]
fn shared_memory_that_six_processes_map_counts_once() {
    Measured::new(&["-i", "20ms"], "mapped=60:600").tree_has(60.0, Some("at_least"));
}

#[test]
fn a_child_by_vfork_has_no_memory_of_its_own() {
    Measured::new(&["-i", "20ms"], "vfork=60:600").tree_has(60.0, Some("at_least"));
}

#[test]
fn the_peak_of_the_only_process_is_that_of_the_kernel_however_rarely_it_is_sampled() {
    for interval in ["5ms", "10s"] {
        let run = Measured::new(&["-i", interval], "touch=80 sleep=50 touch=30");
        run.tree_has(80.0, None);
        assert_eq!(run.peak("tree")["method"], "rusage");
        assert_eq!(run.peak("tree")["max"], run.peak("largest_process")["max"]);
    }
}

#[test]
fn several_processes_that_no_sample_has_seen_have_at_least_the_peak_of_the_largest() {
    let run = Measured::new(&["-i", "10s"], "touch=50 child=1");
    run.tree_has(50.0, Some("at_least"));
    assert_eq!(run.peak("largest_process").get("bound"), None);
}

/// Nobody waits for the child, so that nothing is told of it, not even that it was.
#[test]
fn a_child_that_nobody_waits_for_makes_the_peak_a_lower_bound() {
    let run = Measured::new(&["-i", "10s"], "touch=30 forget=50");
    if run.0["runs"][0]["followed"]["method"] == "cgroup" {
        run.tree_has(30.0, Some("at_least"));
    } else {
        eprintln!("skipped: a child of a parent that ignores SIGCHLD, because there is no cgroup here");
    }
}

#[test]
fn a_process_whose_main_thread_has_ended_has_its_memory() {
    let run = Measured::new(&["-i", "20ms", "--per-process"], "leader=40:300");
    run.tree_has(40.0, None);
    for consumer in ["target", "process"] {
        let samples = run.metric(consumer, "process.memory.usage", "").unwrap();
        let largest = samples["max"].as_f64().unwrap();
        assert!((40.0 * MB..40.0 * MB + PROGRAM).contains(&largest), "{samples}");
    }
}

#[test]
fn by_process_each_has_all_that_it_maps() {
    let run = Measured::new(&["-i", "20ms", "--per-process"], "shared=60:600");
    let metrics = run.0["runs"][0]["metrics"].as_array().unwrap();
    let of_processes: Vec<_> = metrics
        .iter()
        .filter(|metric| metric["consumer"] == "process" && metric["metric"] == "process.memory.usage")
        .map(|metric| metric["max"].as_f64().unwrap())
        .collect();
    assert_eq!(of_processes.len(), 6);
    assert!(
        of_processes.iter().all(|bytes| (55.0 * MB..65.0 * MB + PROGRAM).contains(bytes)),
        "{of_processes:?}"
    );
    run.tree_has(60.0, Some("at_least"));
}

/// One forks one process of 50 MB for 50 ms and the other four, which no sample tells apart.
#[test]
fn a_gate_by_memory_decides_for_one_process_and_not_by_what_was_hardly_sampled() {
    let gate = ["compare", "--pairs", "5", "--gate", "memory", "-i", "10s"];
    let one = format!("{} touch=50", workload().display());
    Alumet::new(gate.into_iter().chain([&*one, &*one])).run().status(0);
    let large = format!("{} touch=80", workload().display());
    Alumet::new(gate.into_iter().chain([&*one, &*large])).run().status(3);
    let forks =
        |n| format!("sh -c '{} & wait'", vec![format!("{} hold=50:50", workload().display()); n].join(" & "));
    for [a, b] in [[forks(1), forks(4)], [forks(4), forks(1)]] {
        let done = Alumet::new(gate.into_iter().chain([&*a, &*b])).run();
        done.refuses(125, "memory cannot decide: it is at least so much: several processes");
    }
}

/// Without the right to look into processes, their resident sizes alone are known.
#[test]
fn processes_that_may_not_be_looked_into_are_a_lower_bound_with_the_reason() {
    if !is_root("the memory of processes of another user") {
        return;
    }
    let mut foreign = Command::new(workload()).arg("shared=60:10000").spawn().unwrap();
    let pid = foreign.id().to_string();
    let options = ["attach", "--duration", "500ms", "--json", "p.json", &pid];
    let mut alumet = Alumet::as_nobody("exec \"$@\"", &options);
    alumet.run().status(0);
    let run = Measured(alumet.profile("p.json"));
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    for child in children.split_whitespace() {
        let child = nix::unistd::Pid::from_raw(child.parse().unwrap());
        nix::sys::signal::kill(child, nix::sys::signal::SIGKILL).unwrap();
    }
    foreign.wait().unwrap();
    run.tree_has(60.0, Some("at_least"));
    let reason = run.peak("tree")["bound_reason"].as_str().unwrap();
    assert!(reason.contains("may not be looked into"), "{reason}");
}
