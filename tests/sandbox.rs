//! Under a seccomp filter that forbids to count, as of a service or a container, everything else is measured.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::os::unix::process::CommandExt;

use support::{Alumet, Paranoid, counter, workload};

/// What a filter does to whoever calls perf_event_open(2) (seccomp(2)).
const KILL_PROCESS: u32 = 0x8000_0000;
const KILL_THREAD: u32 = 0;
const REFUSE: u32 = 0x0005_0000 | libc::EPERM as u32;
const ALLOW: u32 = 0x7fff_0000;

/// alumet under a filter that does this.
fn filtered(action: u32, arguments: &[&str]) -> Alumet {
    let mut alumet = Alumet::new(arguments);
    let install = move || {
        let step = |code, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
        let mut steps = [
            // The number of the system call is the first word of `seccomp_data`.
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_perf_event_open as u32),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, action),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, ALLOW),
        ];
        let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
        // SAFETY: both take numbers, and the program outlives the call.
        let installed = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
        };
        if installed { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: it makes two system calls.
    unsafe { alumet.command.pre_exec(install) };
    alumet
}

#[test]
fn a_filter_that_forbids_to_count_takes_the_events_and_nothing_else() {
    let words = ["exec", "-v", "--json", "p.json", "--", workload().to_str().unwrap(), "burn=200"];
    for action in [KILL_PROCESS, KILL_THREAD, REFUSE] {
        let mut alumet = filtered(action, &words);
        alumet.run().status(0).says("the seccomp filter of this sandbox forbids perf_event_open");
        let profile = alumet.profile("p.json");
        assert!(counter(&profile, "process.cpu.time", "") >= 0.2, "{profile:#}");
        assert_eq!(profile["runs"][0]["exit"]["code"], 0);
        let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
        assert!(!metrics.iter().any(|metric| metric["metric"].as_str().unwrap().starts_with("perf.")));
    }
}

#[test]
fn a_filter_that_allows_it_takes_nothing() {
    let mut alumet = filtered(ALLOW, &["exec", "-e", "page-faults", "--json", "p.json", "true"]);
    let unfiltered = Alumet::new(["exec", "-e", "page-faults", "true"]).run();
    assert_eq!(alumet.run().status, unfiltered.status, "{unfiltered:#?}");
}

#[test]
fn an_event_that_was_asked_for_is_refused_with_that_reason() {
    for action in [KILL_PROCESS, REFUSE] {
        filtered(action, &["exec", "-e", "task-clock", "true"])
            .run()
            .refuses(125, "event `task-clock` cannot be counted: not permitted: the seccomp filter");
    }
}

#[test]
fn the_doctor_and_attach_survive_it_too() {
    filtered(KILL_PROCESS, &["doctor"]).run().status(0);
    // Where the kernel lets users count nothing, more is tried to find out why.
    if let Some(_level) = Paranoid::set("the doctor in a sandbox where users may count nothing", 3) {
        filtered(KILL_PROCESS, &["doctor"]).run().status(0);
    }
    let pid = std::process::id().to_string();
    let mut alumet = filtered(KILL_PROCESS, &["attach", &pid, "--duration", "100ms", "--json", "p.json"]);
    alumet.run().status(0);
    assert_eq!(alumet.profile("p.json")["runs"][0]["followed"]["method"], "procfs");
}
