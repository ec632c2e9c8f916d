//! What several tests need.

/// Sets a filter on this thread, and those that it creates, that does this when that system call is made (seccomp(2)).
/// Returns whether that was possible.
pub fn filter(call: libc::c_long, action: u32) -> bool {
    let step = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let program = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        libc::sock_filter { jf: 1, ..step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, call as u32) },
        step(libc::BPF_RET | libc::BPF_K, action),
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
