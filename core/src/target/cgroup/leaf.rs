//! A leaf for alumet itself beside the application's, so that the memory controller can be on for the latter: a cgroup that
//! gives a controller to those below it holds no process itself (cgroups(7), "no internal processes"), and alumet is in it.
//!
//! It is made only where nobody else is concerned: in a cgroup of one's own that is not the root, has no other process in
//! it or below it, and may have the controller. A terminal's is none, for the shell is in it; the cgroup of a service, of a
//! job or of `systemd-run --scope` usually is.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::{PROCS, children, is_populated};

/// The names of alumet's own leaves end with this.
const SUFFIX: &str = "-self";
const CONTROLS: &str = "cgroup.subtree_control";

/// The leaf, in which this process is. It goes back when this is dropped.
#[derive(Debug)]
pub(super) struct Leaf(PathBuf);

impl Leaf {
    /// Moves this process into a leaf of its own below `parent`, where it is, and turns on the memory controller there for
    /// all leaves. `None` if that is not possible, not necessary or not proper; then everything is as before.
    pub(super) fn make(parent: &Path) -> Option<Self> {
        if !is_of_this_process_alone(parent) || !can_have_memory(parent) {
            return None;
        }
        let path = parent.join(format!("alumet-{}{SUFFIX}", std::process::id()));
        fs::create_dir(&path).ok()?;
        let leaf = Self(path);
        // From here on, dropping it undoes what was done.
        fs::write(leaf.0.join(PROCS), std::process::id().to_string()).ok()?;
        fs::write(parent.join(CONTROLS), "+memory").ok()?;
        Some(leaf)
    }

    /// Where those may go that live on when their own cgroup is removed: the parent may hold none for now.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Leaf {
    fn drop(&mut self) {
        let Some(parent) = self.0.parent() else { return };
        // What fails leaves the process in its leaf, where it does as well.
        let _ = fs::write(parent.join(CONTROLS), "-memory");
        // More than once: those that lived on may create others.
        for _ in 0..8 {
            let members = crate::sysfs::read_real_text(self.0.join(PROCS)).unwrap_or_default();
            for pid in members.lines() {
                let _ = fs::write(parent.join(PROCS), pid);
            }
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
        }
    }
}

/// The cgroup that this process was started in, if it is in a leaf of its own now, as during another run.
pub(super) fn outside(path: PathBuf) -> PathBuf {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let is_leaf = name == format!("alumet-{}{SUFFIX}", std::process::id());
    if is_leaf { path.parent().map(Path::to_owned).unwrap_or(path) } else { path }
}

/// Whether this cgroup is this user's, is not the root, and has no other process in it or below it.
fn is_of_this_process_alone(path: &Path) -> bool {
    let is_own = fs::metadata(path).is_ok_and(|metadata| metadata.uid() == Uid::effective().as_raw());
    // The root has no type, and threads of a threaded one cannot have the controller.
    let is_domain = fs::read_to_string(path.join("cgroup.type")).is_ok_and(|kind| kind.trim() == "domain");
    // A process of another pid namespace reads as 0, and counts.
    let members = crate::sysfs::read_real_text(path.join(PROCS)).unwrap_or_default();
    is_own
        && is_domain
        && members.trim() == std::process::id().to_string()
        && !children(path).any(|child| is_populated(&child))
}

/// Whether the memory controller may be turned on for those below this cgroup, and is not.
fn can_have_memory(path: &Path) -> bool {
    let has = |file: &str| -> io::Result<bool> {
        Ok(fs::read_to_string(path.join(file))?.split_ascii_whitespace().any(|name| name == "memory"))
    };
    has("cgroup.controllers").unwrap_or(false) && !has(CONTROLS).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files as the kernel shows them; a process cannot be moved in them.
    fn cgroup(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::create_dir_all(directory.path().join(name).parent().unwrap()).unwrap();
            fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    #[test]
    fn only_a_cgroup_with_nobody_else_is_rearranged() {
        let own = format!("{}\n", std::process::id());
        let alone = cgroup(&[("cgroup.type", "domain\n"), (PROCS, &own)]);
        assert!(is_of_this_process_alone(alone.path()));
        let root = cgroup(&[(PROCS, &own)]);
        assert!(!is_of_this_process_alone(root.path()));
        let threaded = cgroup(&[("cgroup.type", "domain threaded\n"), (PROCS, &own)]);
        assert!(!is_of_this_process_alone(threaded.path()));
        let with_shell = cgroup(&[("cgroup.type", "domain\n"), (PROCS, &format!("1\n{own}"))]);
        assert!(!is_of_this_process_alone(with_shell.path()));
        let with_foreign = cgroup(&[("cgroup.type", "domain\n"), (PROCS, &format!("0\n{own}"))]);
        assert!(!is_of_this_process_alone(with_foreign.path()));
        let files =
            [("cgroup.type", "domain\n"), (PROCS, &own), ("other/cgroup.events", "populated 1\nfrozen 0\n")];
        assert!(!is_of_this_process_alone(cgroup(&files).path()));
        let files =
            [("cgroup.type", "domain\n"), (PROCS, &own), ("other/cgroup.events", "populated 0\nfrozen 0\n")];
        assert!(is_of_this_process_alone(cgroup(&files).path()));
    }

    #[test]
    fn the_controller_is_turned_on_where_it_can_be_and_is_not() {
        let can = |controllers, on| {
            can_have_memory(cgroup(&[("cgroup.controllers", controllers), (CONTROLS, on)]).path())
        };
        assert!(can("cpuset cpu io memory pids\n", "\n"));
        assert!(!can("cpuset cpu io memory pids\n", "memory pids\n"));
        assert!(!can("cpu pids\n", "\n"));
        assert!(!can_have_memory(Path::new("/nonexistent")));
    }

    #[test]
    fn a_second_run_is_not_nested_in_the_leaf_of_the_first() {
        let own = format!("alumet-{}-self", std::process::id());
        assert_eq!(outside(Path::new("/cg/a.scope").join(own)), Path::new("/cg/a.scope"));
        assert_eq!(outside("/cg/alumet-1-self".into()), Path::new("/cg/alumet-1-self"));
        assert_eq!(outside("/cg/a.scope".into()), Path::new("/cg/a.scope"));
    }

    #[test]
    fn the_leaf_has_this_process_and_its_parent_the_controller_until_it_goes_back() {
        let own = std::process::id().to_string();
        let members = format!("{own}\n");
        let files = |controllers, procs| {
            [
                ("cgroup.type", "domain\n"),
                (PROCS, procs),
                ("cgroup.controllers", controllers),
                (CONTROLS, "\n"),
            ]
        };
        let parent = cgroup(&files("cpu memory\n", &members));
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        let leaf = Leaf::make(parent.path()).unwrap();
        let path = parent.path().join(format!("alumet-{own}-self"));
        assert_eq!((leaf.path(), read(&path.join(PROCS))), (&*path, own.clone()));
        assert_eq!(read(&parent.path().join(CONTROLS)), "+memory");
        // In files of the kernel's it would not be there any more.
        fs::write(parent.path().join(PROCS), "").unwrap();
        drop(leaf);
        assert_eq!(read(&parent.path().join(CONTROLS)), "-memory");
        assert_eq!(read(&parent.path().join(PROCS)), own);
        // Whoever cannot have the controller, or is with others, stays where he is.
        let with_others = format!("1\n{own}\n");
        for (controllers, procs) in [("cpu\n", &members), ("cpu memory\n", &with_others)] {
            let parent = cgroup(&files(controllers, procs));
            assert!(Leaf::make(parent.path()).is_none());
            assert_eq!(children(parent.path()).count(), 0);
            assert_eq!(
                (read(&parent.path().join(CONTROLS)), &read(&parent.path().join(PROCS))),
                ("\n".into(), procs)
            );
        }
    }
}
