//! Under a seccomp filter that kills whoever calls perf_event_open(2). One test: the filter is on the whole process.

mod support;

use alumet::perfmon::{hindrance, survivable};

#[test]
fn a_filter_that_kills_is_found_out_and_told_with_what_to_do() {
    if !support::filter(libc::SYS_perf_event_open, libc::SECCOMP_RET_KILL_PROCESS) {
        eprintln!("skipped: a filter that kills, because none can be set here");
        return;
    }
    assert_eq!(survivable().unwrap_err().raw_os_error(), Some(libc::EPERM));
    let (reason, remedy) = hindrance().unwrap();
    assert_eq!(reason, "the seccomp filter of this sandbox forbids perf_event_open");
    assert!(remedy.contains("perf_event_open") || remedy.contains("seccomp profile"), "{remedy}");
}
