//! Under a seccomp filter that kills whoever calls perf_event_open(2). One test: the filter is on the whole process.

use alumet::perfmon::{hindrance, survivable};

/// Sets a filter on this thread and those that it creates (seccomp(2)).
fn kill_on(call: libc::c_long) -> bool {
    let step = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let program = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        libc::sock_filter { jf: 1, ..step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, call as u32) },
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_KILL_PROCESS),
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    let (yes, none) = (1 as libc::c_ulong, 0 as libc::c_ulong);
    // SAFETY: the program outlives the calls, which copy it.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, yes, none, none, none) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) == 0
    }
}

#[test]
fn a_filter_that_kills_is_found_out_and_told_with_what_to_do() {
    if !kill_on(libc::SYS_perf_event_open) {
        eprintln!("skipped: a filter that kills, because none can be set here");
        return;
    }
    assert_eq!(survivable().unwrap_err().raw_os_error(), Some(libc::EPERM));
    let (reason, remedy) = hindrance().unwrap();
    assert_eq!(reason, "the seccomp filter of this sandbox forbids perf_event_open");
    assert!(remedy.contains("perf_event_open") || remedy.contains("seccomp profile"), "{remedy}");
}
