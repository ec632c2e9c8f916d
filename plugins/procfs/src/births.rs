//! Whether there can be a new process at all: the kernel numbers them in ascending order, and tells the number that it gave
//! last (`ns_last_pid` in proc_sys_kernel(5)). To ask that is one system call, to look for children several for each process.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// What was given last at the last two looks.
#[derive(Debug)]
pub struct Births {
    /// Where the kernel tells.
    file: Option<File>,
    seen: [Option<u32>; 2],
}

impl Births {
    /// Of this process' PID namespace, in which all that it launches or attaches to have a number, whichever others they
    /// are in.
    pub fn new() -> Self {
        Self { file: File::open("/proc/sys/kernel/ns_last_pid").ok(), seen: [None; 2] }
    }

    /// To be asked before each look for new processes. Whether that can be left out.
    pub fn are_none(&mut self) -> bool {
        let newest = self.newest();
        self.note(newest)
    }

    fn newest(&self) -> Option<u32> {
        let mut text = [0; 16];
        let n = self.file.as_ref()?.read_at(&mut text, 0).ok()?;
        std::str::from_utf8(&text[..n]).ok()?.trim().parse().ok()
    }

    /// Whoever changes its parent during a look may be missed by it. So there are two, after the last birth.
    fn note(&mut self, newest: Option<u32>) -> bool {
        let are_none = newest.is_some() && self.seen == [newest; 2];
        self.seen = [self.seen[1], newest];
        are_none
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_each_birth_there_are_two_looks_and_where_nothing_is_told_always() {
        let mut births = Births { file: None, seen: [None; 2] };
        let looks: Vec<_> = [7, 7, 7, 7, 9, 9, 9, 5].map(Some).map(|newest| !births.note(newest)).into();
        assert_eq!(looks, [true, true, false, false, true, true, false, true]);
        assert!((0..5).all(|_| !births.are_none()));
    }

    #[test]
    fn a_birth_is_seen() {
        let births = Births::new();
        let Some(before) = births.newest() else {
            eprintln!("skipped: the number that was given last, because this kernel does not tell it");
            return;
        };
        let mut child = std::process::Command::new("true").spawn().unwrap();
        assert_ne!(births.newest(), Some(before));
        child.wait().unwrap();
    }
}
