//! Processes that the kernel has killed for want of memory: to the process that waits for one, that is SIGKILL like any
//! other.
//!
//! The kernel counts them for each cgroup with the memory controller, with those below it (`memory.events` in
//! Documentation/admin-guide/cgroup-v2.rst), and for the whole machine (`/proc/vmstat`).

use std::fmt;
use std::path::{Path, PathBuf};

use super::cgroup;

/// How many were killed during the run, and among whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OomKills {
    /// Processes.
    pub count: u64,
    /// The smallest circle that the kernel tells of.
    pub among: Among,
}

/// Whose processes are counted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Among {
    /// The application's own cgroup.
    Application,
    /// The cgroup of this name that the application is in with others.
    Cgroup(String),
    /// The whole machine.
    Machine,
}

impl fmt::Display for OomKills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count;
        let noun = if count == 1 { "process" } else { "processes" };
        write!(f, "the kernel has killed {count} {noun} ")?;
        match &self.among {
            Among::Application => write!(f, "of it")?,
            Among::Cgroup(name) => write!(f, "in {name}")?,
            Among::Machine => write!(f, "on this machine")?,
        }
        write!(f, " for want of memory")
    }
}

/// Where the kernel counts, and what it had counted before the run.
#[derive(Debug)]
pub(super) struct Watch {
    file: PathBuf,
    among: Among,
    before: u64,
}

impl Watch {
    /// For an application that has this cgroup of its own.
    pub(super) fn own(cgroup: &Path) -> Option<Self> {
        match Self::at(cgroup.join("memory.events"), Among::Application) {
            Some(watch) => Some(watch),
            None => Self::around(cgroup.parent()?),
        }
    }

    /// For one in the cgroup of this process, among others.
    pub(super) fn of_process(pid: i32) -> Option<Self> {
        cgroup::of_process(pid).ok().and_then(|cgroup| Self::around(&cgroup))
    }

    /// The nearest cgroup with the controller; without any, the machine.
    fn around(cgroup: &Path) -> Option<Self> {
        let nearest = cgroup.ancestors().find_map(|path| {
            let name = path.file_name()?.to_string_lossy().into_owned();
            Self::at(path.join("memory.events"), Among::Cgroup(name))
        });
        nearest.or_else(|| Self::at("/proc/vmstat".into(), Among::Machine))
    }

    fn at(file: PathBuf, among: Among) -> Option<Self> {
        let before = count(&file)?;
        Some(Self { file, among, before })
    }

    /// What has been killed since; `None` if nothing was.
    pub(super) fn kills(&self) -> Option<OomKills> {
        let count = count(&self.file)?.checked_sub(self.before).filter(|count| *count > 0)?;
        Some(OomKills { count, among: self.among.clone() })
    }
}

/// The number behind `oom_kill` in a file of such lines.
fn count(file: &Path) -> Option<u64> {
    let text = crate::sysfs::read_real_text(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privilege::tests::in_root;
    use std::fs;

    fn write(path: &Path, kills: u64) {
        fs::create_dir_all(path).unwrap();
        // `oom_group_kill` is since Linux 5.17.
        fs::write(path.join("memory.events"), format!("oom 7\noom_kill {kills}\noom_group_kill 9\n"))
            .unwrap();
    }

    #[test]
    fn the_applications_own_cgroup_tells_best() {
        let root = tempfile::tempdir().unwrap();
        let (service, own) = (root.path().join("burn.service"), root.path().join("burn.service/alumet-1-0"));
        write(&service, 3);
        write(&own, 0);
        let watch = Watch::own(&own).unwrap();
        write(&service, 5);
        assert_eq!(watch.kills(), None);
        write(&own, 1);
        let kills = watch.kills().unwrap();
        assert_eq!(kills, OomKills { count: 1, among: Among::Application });
        assert_eq!(kills.to_string(), "the kernel has killed 1 process of it for want of memory");
    }

    #[test]
    fn what_was_killed_before_is_nobodys_of_this_run() {
        let root = tempfile::tempdir().unwrap();
        let (service, own) = (root.path().join("burn.service"), root.path().join("burn.service/alumet-1-0"));
        write(&service, 3);
        fs::create_dir(&own).unwrap();
        let watch = Watch::own(&own).unwrap();
        assert_eq!(watch.kills(), None);
        write(&service, 5);
        let kills = watch.kills().unwrap();
        assert_eq!(kills, OomKills { count: 2, among: Among::Cgroup("burn.service".into()) });
        assert!(kills.to_string().contains("2 processes in burn.service"));
    }

    #[test]
    fn a_process_among_others_is_watched_in_the_nearest_cgroup_that_counts() {
        let files = [
            ("/proc/self/mountinfo", "32 1 0:28 / /cg rw - cgroup2 cgroup2 rw\n"),
            ("/proc/77/cgroup", "0::/a.slice/b.service/c\n"),
            ("/proc/78/cgroup", "0::/d.slice\n"),
            ("/proc/vmstat", "nr_free_pages 9\noom_kill 10\n"),
            ("/cg/a.slice/memory.events", "oom_kill 1\n"),
            ("/cg/a.slice/b.service/memory.events", "oom_kill 4\n"),
            ("/cg/d.slice/cgroup.procs", "78\n"),
        ];
        let kills =
            in_root("a_process_among_others_is_watched_in_the_nearest_cgroup_that_counts", &files, || {
                let watches = [77, 78, 79].map(Watch::of_process);
                fs::write("/cg/a.slice/memory.events", "oom_kill 100\n").unwrap();
                fs::write("/cg/a.slice/b.service/memory.events", "oom_kill 7\n").unwrap();
                fs::write("/proc/vmstat", "nr_free_pages 9\noom_kill 12\n").unwrap();
                watches.map(|watch| watch.and_then(|watch| watch.kills()))
            });
        let Some(kills) = kills else { return };
        let among = Among::Cgroup("b.service".into());
        let of_machine = OomKills { count: 2, among: Among::Machine };
        assert_eq!(kills, [Some(OomKills { count: 3, among }), Some(of_machine), None]);
    }
}
