//! Tells whether a process that has ended is still there, without a look at it: there may be thousands that nobody waits for.
//!
//! Whoever waits for a child takes over its faults (wait_task_zombie in kernel/exit.c). So a process that has ended is there
//! as long as its parent lives and tells of no more faults of children (`cminflt` in proc_pid_stat(5)) than it had told
//! before that process was looked at last.

use std::collections::HashMap;

/// What each living process has told of the faults of children that it has waited for.
#[derive(Debug, Default)]
pub struct Waits {
    told: HashMap<i32, u64>,
}

impl Waits {
    /// A process tells this; `None` if it has ended or cannot be read.
    pub fn note(&mut self, pid: i32, told: Option<u64>) {
        match told {
            Some(told) => self.told.insert(pid, told),
            None => self.told.remove(&pid),
        };
    }

    /// What shows later that a process which has ended is still there; to be asked before it is read. `faults` are its
    /// own and those of its children: without any, nobody tells of it.
    pub fn witness(&self, parent: i32, faults: u64) -> Option<u64> {
        self.told.get(&parent).copied().filter(|_| faults > 0)
    }

    /// Whether a process that had this witness when it was read last is still there. Else that is not known.
    pub fn vouch(&self, witness: Option<u64>, parent: i32) -> bool {
        witness.is_some() && witness == self.told.get(&parent).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_that_has_waited_for_nobody_vouches_for_its_children() {
        let mut waits = Waits::default();
        assert!(!waits.vouch(waits.witness(7, 100), 7), "nothing is known of the parent");
        waits.note(7, Some(50));
        let witness = waits.witness(7, 100);
        assert!(waits.vouch(witness, 7));
        waits.note(7, Some(50));
        assert!(waits.vouch(witness, 7) && !waits.vouch(witness, 8), "it is the parent's word");
        waits.note(7, Some(150));
        assert!(!waits.vouch(witness, 7), "it has waited for somebody");
        assert!(waits.vouch(waits.witness(7, 100), 7), "for others");
    }

    #[test]
    fn nobody_vouches_for_who_has_no_faults_or_no_parent_any_more() {
        let mut waits = Waits::default();
        waits.note(7, Some(0));
        assert!(!waits.vouch(waits.witness(7, 0), 7));
        let witness = waits.witness(7, 1);
        assert!(waits.vouch(witness, 7));
        waits.note(7, None);
        assert!(!waits.vouch(witness, 7));
    }
}
