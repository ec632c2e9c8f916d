//! Finds processes through `/proc/PID/task/TID/children` (proc_tid_children(5)), and threads through `/proc/PID/task`.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// `root` unless it was reaped, all its living descendants, and all children of this process with theirs; parents
/// before children. Children whose parent has died are alumet's own then: it is their subreaper. What is left of
/// `others`, which were children before it, is none of it.
pub(super) fn of_child(root: Option<i32>, others: &[i32], out: &mut Vec<i32>) {
    let first = out.len();
    out.extend(root);
    let orphans = out.len();
    // Everything else that is our child and not the root is an orphan of its tree.
    children(std::process::id() as i32, out);
    for pid in out.split_off(orphans) {
        if !others.contains(&pid) {
            out.push(pid);
        }
    }
    if let Some(at) = out[orphans..].iter().position(|pid| Some(*pid) == root) {
        out.swap_remove(orphans + at);
    }
    let mut next = first;
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
pub(super) fn children(pid: i32, out: &mut Vec<i32>) {
    let mut of_thread = |tid: i32| {
        let text =
            crate::sysfs::read_real_text(format!("/proc/{pid}/task/{tid}/children")).unwrap_or_default();
        out.extend(text.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    };
    // The link count of this directory is 2 + the number of threads (proc_task_getattr in fs/proc/base.c): most
    // processes have one thread, and a list of the threads costs more than the children themselves.
    match fs::metadata(format!("/proc/{pid}/task")) {
        Ok(task) if task.nlink() == 3 => of_thread(pid),
        Ok(_) => threads(pid).for_each(of_thread),
        Err(_) => {}
    }
}

/// The threads of a process that may have gone already.
pub fn threads(pid: i32) -> impl Iterator<Item = i32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privilege::tests::in_root;

    #[test]
    fn the_root_is_told_once_and_first_and_not_who_was_there_before() {
        let sleep = || std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let mut all = [sleep(), sleep(), sleep(), sleep()];
        let [other, middle, root, last] = [0, 1, 2, 3].map(|i| all[i].id() as i32);
        let mut out = vec![-1];
        of_child(Some(root), &[other], &mut out);
        let count = |pid| out.iter().filter(|found| **found == pid).count();
        assert_eq!(out[..2], [-1, root]);
        assert_eq!([root, middle, last, other].map(count), [1, 1, 1, 0]);
        let mut reaped = Vec::new();
        of_child(None, &[other, middle], &mut reaped);
        assert!(reaped.contains(&root) && !reaped.contains(&middle));
        for child in &mut all {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[test]
    fn the_children_of_a_process_are_those_of_all_its_threads() {
        assert!(is_supported(), "all kernels in use have it");
        let own = std::process::id() as i32;
        let (send, pid) = std::sync::mpsc::channel();
        let (done, wait) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
                send.send(child.id() as i32).unwrap();
                let _ = wait.recv();
                child.kill().unwrap();
                child.wait().unwrap();
            });
            let child = pid.recv().unwrap();
            let mut found = Vec::new();
            children(own, &mut found);
            assert!(found.contains(&child));
            drop(done);
        });
    }

    #[test]
    fn a_kernel_that_names_no_children_is_told_by_its_files() {
        let pid = std::process::id();
        let children = format!("/proc/{pid}/task/{pid}/children");
        let test = "a_kernel_that_names_no_children_is_told_by_its_files";
        let Some(without) = in_root(test, &[("/proc/stat", "cpu 0\n")], is_supported) else { return };
        assert!(!without);
        assert_eq!(in_root(test, &[(&children, "1\n")], is_supported), Some(true));
    }
}
