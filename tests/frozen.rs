//! An application that somebody has frozen is ended all the same, or named as left behind, and keeps nobody waiting.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use support::{Alumet, is_root, skip};

/// A cgroup v1 of the freezer. What is in it is thawed and killed in the end.
struct Freezer(PathBuf);

impl Freezer {
    fn new(test: &str) -> Option<Self> {
        if !is_root(test) {
            return None;
        }
        let path = Path::new("/sys/fs/cgroup/freezer").join(format!("alumet-{test}-{}", std::process::id()));
        if fs::create_dir(&path).is_err() || !path.join("freezer.state").exists() {
            let _ = fs::remove_dir(&path);
            skip(test, "there is no freezer of cgroup v1 to write to");
            return None;
        }
        Some(Self(path))
    }

    /// For a shell.
    fn is(&self) -> String {
        format!("F={}; ", self.0.display())
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("freezer.state"), "THAWED");
        for pid in fs::read_to_string(self.0.join("cgroup.procs")).unwrap().lines() {
            let _ = Command::new("kill").args(["-9", pid]).status();
        }
        assert!(support::soon(|| fs::remove_dir(&self.0).is_ok()));
    }
}

/// Somebody else in the cgroup.
fn other(freezer: &Freezer) -> Child {
    let other = Command::new("sleep").arg("300").spawn().unwrap();
    fs::write(freezer.0.join("cgroup.procs"), other.id().to_string()).unwrap();
    other
}

/// Freezes a child of the application, or all of it.
const FROZEN: [&str; 2] = [
    "sleep 300 & echo $! >$F/cgroup.procs; echo FROZEN >$F/freezer.state; wait",
    "echo $$ >$F/cgroup.procs; (sleep 0.1; echo FROZEN >$F/freezer.state) & sleep 300",
];

#[test]
fn what_is_frozen_by_cgroup_v1_is_thawed_and_ended() {
    for script in FROZEN {
        let Some(freezer) = Freezer::new("thawed") else { return };
        let script = freezer.is() + script;
        let mut alumet = Alumet::new(["exec", "--timeout", "500ms", "--json", "p.json", "sh", "-c", &script]);
        let done = alumet.run().status(124).says("was ended after 500ms");
        assert!(!done.stderr.contains("cannot end"), "{}", done.stderr);
        assert_eq!(alumet.processes().pids(), [0; 0]);
        // It was asked first: SIGTERM has reached it.
        let exit = &alumet.profile("p.json")["runs"][0]["exit"];
        assert_eq!(exit["signal"], libc::SIGTERM, "{exit}");
    }
}

#[test]
fn what_is_frozen_together_with_others_is_left_behind_and_named() {
    for script in FROZEN {
        let Some(freezer) = Freezer::new("shared") else { return };
        let mut other = other(&freezer);
        let script = freezer.is() + script;
        // Their streams go elsewhere: who lives on would keep them open.
        let words = ["exec", "--timeout", "500ms", "--json", "p.json", "sh", "-c", &script];
        let mut alumet = Alumet::sh("\"$@\" >out 2>err", &words);
        alumet.run().status(124);
        let says = format!("frozen in {}, and killed when that is thawed", freezer.0.display());
        let err = alumet.read("err");
        assert!(err.contains("alumet: cannot end s") && err.contains(&says), "{err}");
        let run = &alumet.profile("p.json")["runs"][0];
        assert!(!run["survivors"].as_array().unwrap().is_empty(), "{run}");
        // It did not get the 2 s that it could have had to end by itself.
        assert!(run["wall_s"].as_f64().unwrap() < 0.5 + 2.0, "{run}");
        fs::write(freezer.0.join("freezer.state"), "THAWED").unwrap();
        assert!(support::soon(|| alumet.processes().pids().is_empty()));
        other.kill().unwrap();
        other.wait().unwrap();
    }
}

#[test]
fn an_application_whose_own_cgroup_is_frozen_is_thawed_to_end_as_it_likes() {
    if !is_root("own cgroup") {
        return;
    }
    let script = "trap 'exit 7' TERM; P=$(sed -n s/^0:://p /proc/self/cgroup); \
        for M in /sys/fs/cgroup/unified /sys/fs/cgroup; do F=$M$P/cgroup.freeze; \
        if test -e $F; then case $P in */alumet-*) touch frozen; echo 1 >$F;; esac; fi; done; \
        while :; do sleep 0.05; done";
    let mut alumet = Alumet::new(["exec", "--timeout", "500ms", "--json", "p.json", "sh", "-c", script]);
    alumet.run().status(124);
    if !alumet.path("frozen").exists() {
        skip("own cgroup", "the application has no cgroup v2 of its own here");
        return;
    }
    assert_eq!(alumet.profile("p.json")["runs"][0]["exit"]["code"], 7);
    assert_eq!(alumet.processes().pids(), [0; 0]);
}
