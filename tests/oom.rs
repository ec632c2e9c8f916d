//! What the kernel kills for want of memory is told from what somebody has killed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::PathBuf;

use support::{Alumet, is_root, skip, workload};

/// A cgroup of version 1 with 32 MiB of memory, in which the kernel counts kills for the whole machine only.
struct Small(PathBuf);

impl Small {
    fn new(test: &str) -> Option<Self> {
        if !is_root(test) {
            return None;
        }
        let path = PathBuf::from(format!("/sys/fs/cgroup/memory/alumet-test-{}", std::process::id()));
        if let Err(error) = fs::create_dir(&path) {
            skip(test, &format!("no cgroup of version 1 with a limit of memory: {error}"));
            return None;
        }
        let small = Self(path);
        fs::write(small.0.join("memory.limit_in_bytes"), "32M").unwrap();
        // Else it may swap; the file is there only where that is limited.
        let _ = fs::write(small.0.join("memory.memsw.limit_in_bytes"), "32M");
        Some(small)
    }

    /// A shell script that goes into it, and then uses so many megabytes.
    fn script(&self, megabytes: u32) -> String {
        format!("echo $$ >{}/cgroup.procs; exec {} touch={megabytes}", self.0.display(), workload().display())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Its last member may be ending.
        support::soon(|| fs::remove_dir(&self.0).is_ok());
    }
}

/// In one test, for the kernel counts what it kills for the whole machine.
#[test]
fn an_end_for_want_of_memory_is_called_one_and_another_end_is_not() {
    let Some(small) = Small::new("an_end_for_want_of_memory_is_called_one_and_another_end_is_not") else {
        return;
    };
    let mut alumet = Alumet::new(["exec", "--json", "p.json", "sh", "-c", &small.script(100)]);
    alumet.run().status(137).says("was ended by SIGKILL").says("out of memory: the kernel has killed");
    let kills = &alumet.profile("p.json")["runs"][0]["oom_kills"];
    assert!(kills["count"].as_u64().unwrap() >= 1, "{kills}");
    assert_eq!(kills["among"], "machine");

    let repeated = ["exec", "-r", "2", "sh", "-c", &small.script(100)];
    Alumet::new(repeated).run().status(137).says("was ended by SIGKILL: the kernel has killed");

    let killed = format!("({}); kill -9 $$", small.script(10));
    let mut alumet = Alumet::new(["exec", "--json", "p.json", "sh", "-c", &killed]);
    let done = alumet.run().status(137).says("was ended by SIGKILL");
    assert!(!done.stderr.contains("out of memory"), "{}", done.stderr);
    assert_eq!(alumet.profile("p.json")["runs"][0]["oom_kills"], serde_json::Value::Null);
}
