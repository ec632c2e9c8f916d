//! A meter whose truth is known (`meter.rs`), as a test uses it: counters in a directory, runs of alumet on them, and
//! what was true of each run.

#![allow(dead_code, reason = "every test file uses another part of this")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::time::{ClockId, clock_gettime};
use serde_json::Value;

use crate::support::{Alumet, Done, meter};

/// Counters that run, in a directory like /sys.
pub struct Meter {
    pub root: tempfile::TempDir,
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// From CLOCK_MONOTONIC to the wall clock, in nanoseconds.
    wall: i128,
}

/// One package.
pub const PACKAGE: &str = "zone=intel-rapl:0/package-0/1";

impl Meter {
    pub fn start(words: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut command = Command::new(meter());
        command.arg(root.path()).args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut String::new()).unwrap();
        let nanos = |clock| {
            let time = clock_gettime(clock).unwrap();
            i128::from(time.tv_sec()) * 1_000_000_000 + i128::from(time.tv_nsec())
        };
        let wall = nanos(ClockId::CLOCK_REALTIME) - nanos(ClockId::CLOCK_MONOTONIC);
        Self { root, child, stdout, wall }
    }

    pub fn root(&self) -> &str {
        self.root.path().to_str().unwrap()
    }

    /// Runs a command under alumet with these counters.
    pub fn exec(&self, options: &str, command: &[&str]) -> Run {
        let options = ["exec", "-v", "--sysfs", self.root(), "--json", "p.json"]
            .into_iter()
            .chain(options.split_whitespace());
        let mut run = Alumet::new(options.chain(["--"]).chain(command.iter().copied()));
        let done = run.run().status(0);
        Run { profile: run.profile("p.json"), done }
    }

    /// Stops the counters.
    pub fn truth(mut self) -> Truth {
        drop(self.child.stdin.take());
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).unwrap();
        self.child.wait().unwrap();
        let line = |line: &str| {
            let (nanos, joules) = line.split_once(' ').unwrap();
            (nanos.parse::<i128>().unwrap() + self.wall, joules.parse::<f64>().unwrap())
        };
        Truth(text.lines().map(line).collect())
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        // It may have ended since.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the counters have shown from when on: wall-clock nanoseconds, joules.
pub struct Truth(Vec<(i128, f64)>);

impl Truth {
    fn at(&self, time: i128) -> f64 {
        let after = self.0.partition_point(|(t, _)| *t < time).clamp(1, self.0.len() - 1);
        let [(t0, e0), (t1, e1)] = [self.0[after - 1], self.0[after]];
        e0 + (e1 - e0) * (time - t0) as f64 / (t1 - t0) as f64
    }

    /// The energy from mark to mark.
    pub fn of(&self, run: &Run) -> f64 {
        let (start, end) = run.marks();
        self.at(end) - self.at(start)
    }

    /// Whether the counters were advanced in time, as a real one always is, around both marks.
    pub fn was_on_time(&self, run: &Run) -> bool {
        let (start, end) = run.marks();
        let around = |mark: i128| {
            let near = |(t, _): &&(i128, f64)| (mark - *t).abs() < 10_000_000;
            let times: Vec<_> = self.0.iter().filter(near).map(|(t, _)| *t).collect();
            times.windows(2).all(|pair| pair[1] - pair[0] < 1_200_000) && times.len() > 10
        };
        around(start) && around(end)
    }
}

/// What alumet has said.
pub struct Run {
    pub profile: Value,
    pub done: Done,
}

impl Run {
    pub fn marks(&self) -> (i128, i128) {
        let run = &self.profile["runs"][0];
        let started = humantime::parse_rfc3339(run["started"].as_str().unwrap()).unwrap();
        let start = started.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i128;
        (start, start + (run["wall_s"].as_f64().unwrap() * 1e9) as i128)
    }

    pub fn metrics(&self, metric: &str) -> impl Iterator<Item = &Value> {
        self.profile["runs"][0]["metrics"].as_array().unwrap().iter().filter(move |m| m["metric"] == metric)
    }

    pub fn of_domain(&self, metric: &str, domain: &str) -> &Value {
        self.metrics(metric)
            .find(|m| m["labels"]["hw.energy.domain"] == domain)
            .unwrap_or_else(|| panic!("no {metric} of {domain} in {:#}", self.profile))
    }

    pub fn energy(&self, domain: &str) -> f64 {
        self.of_domain("hw.energy", domain)["value"].as_f64().unwrap()
    }

    pub fn uncertainty(&self, domain: &str) -> f64 {
        self.of_domain("hw.energy.uncertainty", domain)["mean"].as_f64().unwrap()
    }

    pub fn wall(&self) -> f64 {
        self.profile["runs"][0]["wall_s"].as_f64().unwrap()
    }

    pub fn summary(&self) -> String {
        self.done.stderr.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}
