//! Ten thousand short processes: nothing that alumet holds grows with their number, and what they cost is counted.

mod support;

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use support::{Alumet, counter, workload};

/// What a run over so many processes came to.
struct Churned {
    profile: Value,
    usage: Value,
    /// The open descriptors of alumet, and its threads, once every 20 ms while the application ran.
    open: Vec<(usize, usize)>,
}

fn churn(forks: u32, options: &[&str]) -> Churned {
    let mut run = Alumet::new(["exec", "-q", "--json", "p.json"].iter().chain(options).chain(&["--"]));
    run.command.arg(workload()).args(["touch=2", &format!("forks={forks}"), "usage"]);
    let mut child = run.command.stdout(Stdio::piped()).spawn().unwrap();
    let count = |what: &str| fs::read_dir(format!("/proc/{}/{what}", child.id())).map_or(0, Iterator::count);
    let (fds, tasks) = (|| count("fd"), || count("task"));
    let mut open = Vec::new();
    loop {
        std::thread::sleep(Duration::from_millis(20));
        let now = (fds(), tasks());
        // A zombie has no descriptors.
        if now.0 == 0 {
            break;
        }
        open.push(now);
    }
    let stdout = std::io::read_to_string(child.stdout.take().unwrap()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    Churned { profile: run.profile("p.json"), usage: serde_json::from_str(&stdout).unwrap(), open }
}

impl Churned {
    fn memory(&self) -> f64 {
        self.profile["runs"][0]["self"]["rss_bytes"].as_f64().unwrap()
    }

    #[track_caller]
    fn faults_are_those_of_rusage(&self) {
        let (got, expected) =
            (counter(&self.profile, "process.paging.faults", "minor"), &self.usage["minflt"]);
        let expected = expected.as_f64().unwrap();
        eprintln!("faults: {got}, expected {expected}");
        assert!((got - expected).abs() <= 0.01 * expected, "{got} {expected}");
        let (got, expected) = (counter(&self.profile, "process.cpu.time", ""), &self.usage["cpu_us"]);
        let expected = expected.as_f64().unwrap() / 1e6;
        eprintln!("CPU: {got} s, expected {expected} s");
        assert!((got - expected).abs() <= 0.01 * expected + 0.002, "{got} {expected}");
    }

    /// Late in the run no more is open than early in it.
    #[track_caller]
    fn nothing_leaks(&self) {
        let n = self.open.len();
        assert!(n >= 8, "too short to tell: {:?}", self.open);
        let most = |part: &[(usize, usize)]| {
            let descriptors = part.iter().map(|(fds, _)| *fds).max().unwrap();
            (descriptors, part.iter().map(|(_, tasks)| *tasks).max().unwrap())
        };
        let (early, late) = (most(&self.open[..n / 2]), most(&self.open[n / 2..]));
        eprintln!("descriptors and threads: at most {early:?} early, {late:?} late");
        // Those of the processes that are alive at a reading: one or two, with a few files each.
        assert!(late.0 <= early.0 + 8 && late.1 <= early.1 + 1, "{early:?} {late:?}");
    }
}

#[test]
fn the_break_down_keeps_the_largest_of_many_processes() {
    let rounds = |n: u32| {
        let script = "for i in $(seq $0); do for j in $(seq 100); do sleep 0.03 & done; wait; done";
        let options = ["exec", "-q", "--per-process", "-i", "10ms", "--json", "p.json"];
        let mut run = Alumet::new(options.iter().chain(&["sh", "-c", script, &n.to_string()]));
        run.run().status(0);
        let run = run.profile("p.json")["runs"][0].clone();
        let memory = run["self"]["rss_bytes"].as_f64().unwrap();
        eprintln!("{n} x 100 processes: {} kB, {} omitted", memory / 1e3, run["omitted_processes"]);
        (memory, run["omitted_processes"].as_u64().unwrap())
    };
    let (few, none) = rounds(2);
    let (many, omitted) = rounds(15);
    assert!(none == 0 && omitted > 0, "{none} {omitted}");
    assert!(many <= 2.0 * few, "{few} {many}");
    if !cfg!(debug_assertions) {
        assert!(many <= 12e6, "{many}");
    }
}

/// With the options, a hundred processes and ten thousand.
#[track_caller]
fn flat(options: &[&str]) {
    let few = churn(100, options);
    let many = churn(10_000, options);
    eprintln!("{options:?}: {} kB, {} kB with many", few.memory() / 1e3, many.memory() / 1e3);
    assert!(many.memory() <= 2.0 * few.memory(), "{} {}", few.memory(), many.memory());
    if !cfg!(debug_assertions) {
        assert!(many.memory() <= 12e6, "{}", many.memory());
    }
    many.nothing_leaks();
    many.faults_are_those_of_rusage();
}

#[test]
fn ten_thousand_processes_leave_no_trace() {
    flat(&[]);
}

#[test]
fn nor_do_they_where_each_is_looked_for_a_thousand_times_a_second() {
    flat(&["--per-process", "-i", "1ms", "-o", "s.csv"]);
}
