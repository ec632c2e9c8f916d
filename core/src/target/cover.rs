//! Visits every thread of a tree that goes on creating threads and processes, such that each is covered once.
//!
//! What the kernel attaches to a thread with `inherit` goes on to whatever that thread creates later, but not to what it
//! has created before. So a thread that turns up while the others are visited may or may not have inherited it. Pids
//! tell: the kernel hands them out in ascending order, and `/proc/loadavg` shows the last one (proc_loadavg(5)).
//!
//! One round visits all threads, lets forks that were under way come to their end, and notes the last pid: a fork decides
//! what the child inherits before it copies the memory, and gives it a pid afterwards (copy_process in kernel/fork.c).
//! Whatever is born later has a parent that was visited. If somebody lives on who was born before that and was not visited, the
//! round is given up and the next one visits it too.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::time::Duration;

use super::tree;
use crate::process::Stat;

/// After this time a fork that was under way has shown its child.
const SETTLE: Duration = Duration::from_millis(5);
const ROUNDS: usize = 10;
/// So many descriptors are left to everybody else: to look at files, and to outputs when the run ends.
const RESERVE: usize = 8;

/// What was attached to a tree's threads.
#[derive(Debug)]
pub struct Cover<T, E> {
    /// What `open` has returned, for each thread.
    pub opened: Vec<T>,
    /// Threads that live and for which it failed.
    pub refused: Vec<(i32, E)>,
    /// Threads that are covered once or not at all, because too much was born all the time.
    pub uncertain: usize,
}

impl<T, E> Cover<T, E> {
    /// Of a process with one thread, which creates nothing meanwhile.
    pub(super) fn of_one(pid: i32, mut open: impl FnMut(i32) -> Result<T, E>) -> Self {
        let mut cover = Self { opened: Vec::new(), refused: Vec::new(), uncertain: 0 };
        cover.open([pid], &mut open);
        cover
    }

    /// Of a living tree, given who lives.
    pub(super) fn of_all(living: impl Fn(&mut Vec<i32>), mut open: impl FnMut(i32) -> Result<T, E>) -> Self {
        let look = || {
            let mut pids = Vec::new();
            living(&mut pids);
            let threads: BTreeSet<i32> = pids.iter().flat_map(|pid| tree::threads(*pid)).collect();
            (pids, threads)
        };
        for round in 1.. {
            let before = LastPid::read();
            let (pids, threads) = look();
            let mut cover = Self { opened: Vec::new(), refused: Vec::new(), uncertain: 0 };
            cover.open(threads.iter().copied(), &mut open);
            pids.iter().for_each(|pid| wait_for_copies(*pid));
            std::thread::sleep(SETTLE);
            let horizon = LastPid::read();
            let (_, now) = look();
            let end = LastPid::read();
            let mut missed: Vec<i32> = now.difference(&threads).copied().collect();
            missed.retain(|tid| !horizon.is_followed_by(*tid, end));
            if !missed.is_empty() {
                // Most of what is born is short-lived; it is not worth another round.
                std::thread::sleep(SETTLE);
                missed.retain(|tid| lives(*tid));
            }
            if missed.is_empty() {
                return cover;
            }
            if round == ROUNDS {
                // Whoever is known to be older than this round has inherited nothing of it.
                let (old, young): (Vec<_>, Vec<_>) =
                    missed.into_iter().partition(|tid| before.is_preceded_by(*tid, end));
                cover.uncertain = young.len();
                cover.open(old, &mut open);
                return cover;
            }
        }
        unreachable!("the last round returns")
    }

    fn open(&mut self, tids: impl IntoIterator<Item = i32>, open: &mut impl FnMut(i32) -> Result<T, E>) {
        // What is opened may take all descriptors that there are, but for these.
        let reserve: Vec<_> = (0..RESERVE).map_while(|_| File::open("/dev/null").ok()).collect();
        let mut refused = Vec::new();
        // One that waits for its parent has nothing left to be covered, and to be refused that takes the kernel a
        // millisecond: there may be thousands.
        for tid in tids.into_iter().filter(|tid| !has_ended(*tid)) {
            match open(tid) {
                Ok(opened) => self.opened.push(opened),
                Err(error) => refused.push((tid, error)),
            }
        }
        drop(reserve);
        // One that has gone has nothing left to be covered.
        self.refused.extend(refused.into_iter().filter(|(tid, _)| lives(*tid)));
    }
}

/// Returns when a fork of the process that copies its memory is over: dup_mmap in kernel/fork.c holds the lock that
/// reading its command line takes.
fn wait_for_copies(pid: i32) {
    let _ = fs::read(format!("/proc/{pid}/cmdline"));
}

/// Whether it is there and does not just end.
fn lives(tid: i32) -> bool {
    Stat::of(tid, |stat| !stat.exiting && !stat.has_ended()).unwrap_or(false)
}

/// Whether it waits for its parent, or is gone.
fn has_ended(tid: i32) -> bool {
    // Of a thread, the file tells of its whole process but for the state.
    Stat::of(tid, |stat| matches!(stat.state, 'Z' | 'X')).unwrap_or(false)
}

/// The pid that was handed out last, and how many there are; `None` where that is hidden.
#[derive(Debug, Clone, Copy)]
struct LastPid(Option<(i32, i32)>);

impl LastPid {
    fn read() -> Self {
        let number =
            |path: &str| fs::read_to_string(path).ok()?.split_ascii_whitespace().last()?.parse::<i32>().ok();
        Self(number("/proc/loadavg").zip(number("/proc/sys/kernel/pid_max").filter(|max| *max > 0)))
    }

    /// Whether `pid` was certainly not handed out after this and not after `end`.
    fn is_preceded_by(self, pid: i32, end: Self) -> bool {
        self.0.is_some() && end.0.is_some() && !self.is_followed_by(pid, end)
    }

    /// Whether `pid` was handed out after this and not after `end`.
    fn is_followed_by(self, pid: i32, end: Self) -> bool {
        let (Some((from, max)), Some((to, _))) = (self.0, end.0) else { return false };
        // After the last one they begin anew.
        let since = |pid: i32| (pid - from).rem_euclid(max);
        since(pid) > 0 && since(pid) <= since(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pids_are_in_order_also_when_they_begin_anew() {
        let at = |pid| LastPid(Some((pid, 100)));
        assert!(at(10).is_followed_by(12, at(15)));
        assert!(!at(10).is_followed_by(10, at(15)) && !at(10).is_followed_by(16, at(15)));
        assert!(at(95).is_followed_by(3, at(5)) && at(95).is_followed_by(99, at(5)));
        assert!(!at(95).is_followed_by(50, at(5)) && !at(95).is_followed_by(90, at(5)));
        assert!(!LastPid(None).is_followed_by(1, at(5)));
    }

    #[test]
    fn the_last_pid_is_that_of_the_child_just_made() {
        // Others may make processes meanwhile.
        let found = (0..100).any(|_| {
            let before = LastPid::read();
            let mut child = std::process::Command::new("true").spawn().unwrap();
            let after = LastPid::read();
            child.wait().unwrap();
            before.is_followed_by(child.id() as i32, after) && !after.is_followed_by(child.id() as i32, after)
        });
        assert!(found);
    }

    #[test]
    fn every_thread_is_visited_and_one_that_is_born_meanwhile_makes_another_round() {
        let child = std::cell::RefCell::new(None::<std::process::Child>);
        let own = std::process::id() as i32;
        let members = |out: &mut Vec<i32>| {
            out.push(own);
            out.extend(child.borrow().as_ref().map(|child| child.id() as i32));
        };
        let mut visits = 0;
        let cover = Cover::<i32, ()>::of_all(members, |tid| {
            visits += 1;
            // Born after the look, before the horizon: it may have inherited something.
            if child.borrow().is_none() {
                *child.borrow_mut() =
                    Some(std::process::Command::new("sleep").arg("30").spawn().expect("sleep"));
            }
            Ok(tid)
        });
        let mut child = child.into_inner().unwrap();
        let pid = child.id() as i32;
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(cover.opened.contains(&pid) && cover.opened.contains(&own), "{cover:?} {pid}");
        assert_eq!(cover.uncertain, 0, "{cover:?}");
        assert!(visits > cover.opened.len(), "{visits} {cover:?}");
    }

    #[test]
    fn a_thread_that_has_gone_is_no_refusal() {
        let cover = Cover::<(), &str>::of_one(i32::MAX, |_| Err("gone"));
        assert!(cover.opened.is_empty() && cover.refused.is_empty());
        let cover = Cover::<(), &str>::of_one(std::process::id() as i32, |_| Err("no"));
        assert_eq!(cover.refused.len(), 1);
    }

    #[test]
    fn who_is_known_to_be_older_was_not_handed_out_since() {
        let at = |pid| LastPid(Some((pid, 100)));
        assert!(at(10).is_preceded_by(9, at(15)) && at(10).is_preceded_by(16, at(15)));
        assert!(!at(10).is_preceded_by(12, at(15)));
        for hidden in [LastPid(None).is_preceded_by(9, at(15)), at(10).is_preceded_by(9, LastPid(None))] {
            assert!(!hidden, "nothing is known");
        }
    }

    #[test]
    fn who_waits_for_its_parent_is_not_visited() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id() as i32;
        let state = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        while !state().contains(") Z ") {
            std::thread::yield_now();
        }
        assert!(!lives(pid) && has_ended(pid));
        let cover = Cover::<i32, ()>::of_one(pid, Ok);
        assert!(cover.opened.is_empty() && cover.refused.is_empty());
        child.wait().unwrap();
        let itself = std::process::id() as i32;
        assert!(lives(itself) && !has_ended(itself));
    }

    #[test]
    fn who_is_born_and_ends_meanwhile_makes_no_other_round() {
        let spawn = |program: &str| std::process::Command::new(program).arg("60").spawn().unwrap();
        let mut sleeper = spawn("sleep");
        let short = std::cell::RefCell::new(None::<std::process::Child>);
        let members = |out: &mut Vec<i32>| {
            out.push(sleeper.id() as i32);
            out.extend(short.borrow().as_ref().map(|child| child.id() as i32));
        };
        let mut visited = Vec::new();
        let cover = Cover::<i32, ()>::of_all(members, |tid| {
            visited.push(tid);
            if short.borrow().is_none() {
                let child = spawn("true");
                while !has_ended(child.id() as i32) {
                    std::thread::yield_now();
                }
                *short.borrow_mut() = Some(child);
            }
            Ok(tid)
        });
        let mut short = short.into_inner().unwrap();
        assert_eq!((visited, cover.uncertain), (vec![sleeper.id() as i32], 0));
        assert_eq!(cover.opened, [sleeper.id() as i32]);
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        short.wait().unwrap();
    }

    /// A process whose main thread has ended alone.
    fn without_main_thread() -> i32 {
        extern "C" fn wait(_: *mut libc::c_void) -> libc::c_int {
            loop {
                // SAFETY: it takes nothing.
                unsafe { libc::pause() };
            }
        }
        let mut stack = vec![0u8; 1 << 16];
        let top = stack.as_mut_ptr_range().end;
        // SAFETY: the child has a copy of the stack, and makes system calls only.
        match unsafe { libc::fork() } {
            // SAFETY: as above; of the two threads, this one ends.
            0 => unsafe {
                let memory = libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES;
                let flags = memory | libc::CLONE_SIGHAND | libc::CLONE_THREAD | libc::CLONE_SYSVSEM;
                libc::clone(wait, top.cast(), flags, std::ptr::null_mut());
                libc::syscall(libc::SYS_exit, 0);
                libc::_exit(1)
            },
            pid => pid,
        }
    }

    #[test]
    fn of_a_process_whose_main_thread_has_ended_the_others_live() {
        let pid = without_main_thread();
        while !has_ended(pid) {
            std::thread::yield_now();
        }
        let lives: Vec<_> = tree::threads(pid).map(|tid| (tid == pid, lives(tid))).collect();
        let pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL).unwrap();
        nix::sys::wait::waitpid(pid, None).unwrap();
        assert_eq!(lives, [(true, false), (false, true)]);
    }
}
