//! Follows the application's processes through `/proc/PID/task/TID/children` (proc_tid_children(5)) where it has no
//! cgroup of its own. Children whose parent has died are alumet's own then: it is their subreaper.

use std::fs;

/// `root` unless it was reaped, all its living descendants, and all children of this process with theirs; parents
/// before children.
pub(super) fn members(root: Option<i32>, out: &mut Vec<i32>) {
    let mut next = out.len();
    out.extend(root);
    let orphans = out.len();
    // Everything that is our child and not the root is an orphan of its tree: alumet itself starts nothing else.
    children(std::process::id() as i32, out);
    if let Some(at) = out[orphans..].iter().position(|pid| Some(*pid) == root) {
        out.swap_remove(orphans + at);
    }
    while let Some(pid) = out.get(next).copied() {
        children(pid, out);
        next += 1;
    }
}

/// Whether this kernel can name a process' children.
pub(super) fn is_supported() -> bool {
    let pid = std::process::id();
    fs::exists(format!("/proc/{pid}/task/{pid}/children")).unwrap_or(false)
}

/// The children of all threads of a process that may have gone already.
fn children(pid: i32, out: &mut Vec<i32>) {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return };
    for thread in threads.flatten() {
        let text = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        out.extend(text.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
}
