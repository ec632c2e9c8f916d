//! Processes that are frozen, so that no signal reaches them.
//!
//! In a frozen cgroup v1 (Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst) not even SIGKILL ends a process before it
//! is thawed; in v2 it does.

use std::fs;
use std::path::{Path, PathBuf};

use super::cgroup::children;

const STATE: &str = "freezer.state";

/// Thaws the cgroups v1 that these processes, which are all of the tree, are frozen in; not those in which others are, too.
/// Returns who stays frozen, and where.
pub(super) fn thaw(pids: &[i32]) -> Vec<(i32, PathBuf)> {
    let frozen = pids.iter().filter_map(|pid| Some((*pid, frozen_in(*pid)?)));
    frozen.filter(|(_, cgroup)| !is_thawed(cgroup, pids)).collect()
}

/// The cgroup v1 that a process is frozen in.
fn frozen_in(pid: i32) -> Option<PathBuf> {
    let path = path_of(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)?;
    let directory = directory(&fs::read_to_string("/proc/self/mountinfo").ok()?, &path)?;
    is_frozen(&directory).then_some(directory)
}

/// From /proc/PID/cgroup: the path in the hierarchy of the freezer (cgroups(7)), unless it is the root, which nobody
/// freezes.
fn path_of(text: &str) -> Option<String> {
    let path = text.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|name| name == "freezer").then_some(path)
    })?;
    (path != "/").then(|| path.to_owned())
}

/// From /proc/PID/mountinfo: where this path of that hierarchy is.
fn directory(mounts: &str, path: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ');
        let (root, at) = (fields.nth(3)?, fields.next()?);
        let mut kind = kind.split(' ');
        let is_freezer =
            kind.next() == Some("cgroup") && kind.nth(1)?.split(',').any(|name| name == "freezer");
        let below = Path::new(path).strip_prefix(root).ok().filter(|_| is_freezer)?;
        Some(Path::new(at).join(below))
    })
}

/// Whether it is frozen, or about to be.
fn is_frozen(cgroup: &Path) -> bool {
    fs::read_to_string(cgroup.join(STATE)).is_ok_and(|state| state.trim() != "THAWED")
}

fn is_thawed(cgroup: &Path, ours: &[i32]) -> bool {
    // It may be one above it that was frozen.
    let above = cgroup.ancestors().take_while(|cgroup| cgroup.join(STATE).exists());
    let causes = above.filter(|cgroup| {
        fs::read_to_string(cgroup.join("freezer.self_freezing")).is_ok_and(|own| own.trim() == "1")
    });
    for cause in causes {
        if is_only_of(cause, ours) {
            // What could not be written shows below.
            let _ = fs::write(cause.join(STATE), "THAWED");
        }
    }
    !is_frozen(cgroup)
}

/// Whether nobody else is in a cgroup or below it.
fn is_only_of(cgroup: &Path, ours: &[i32]) -> bool {
    let members = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    members.lines().all(|pid| pid.parse().is_ok_and(|pid| ours.contains(&pid)))
        && children(cgroup).all(|child| is_only_of(&child, ours))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privilege::tests::in_root;

    #[test]
    fn the_freezer_is_found_where_it_is_mounted() {
        let cgroup = "8:pids:/\n6:cpu,freezer:/a/b\n0::/x\n";
        assert_eq!(path_of(cgroup).as_deref(), Some("/a/b"));
        assert_eq!(path_of("6:freezer:/\n0::/x\n"), None);
        assert_eq!(path_of("0::/x\n"), None);
        let mounts = "30 1 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
            31 1 0:27 / /sys/fs/cgroup/freezer rw,nosuid shared:1 - cgroup cgroup rw,freezer\n\
            32 1 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        assert_eq!(directory(mounts, "/a/b"), Some("/sys/fs/cgroup/freezer/a/b".into()));
        let container = "31 1 0:27 /docker/1 /sys/fs/cgroup/freezer ro - cgroup cgroup rw,freezer\n";
        assert_eq!(directory(container, "/docker/1/b"), Some("/sys/fs/cgroup/freezer/b".into()));
        assert_eq!(directory(container, "/other"), None);
    }

    #[test]
    fn a_cgroup_with_others_in_it_stays_frozen() {
        let freezer = tempfile::tempdir().unwrap();
        let cgroup = |name: &str, members: &str, state: &str, own: &str| {
            let path = freezer.path().join(name);
            fs::create_dir_all(&path).unwrap();
            for (file, text) in [("cgroup.procs", members), (STATE, state), ("freezer.self_freezing", own)] {
                fs::write(path.join(file), text).unwrap();
            }
            path
        };
        let ours = cgroup("ours", "10\n11\n", "FROZEN\n", "1\n");
        assert!(is_thawed(&ours, &[10, 11, 12]));
        let shared = cgroup("shared", "10\n13\n", "FROZEN\n", "1\n");
        assert!(!is_thawed(&shared, &[10, 11, 12]));
        // The parent was frozen, and somebody else is in another of its children.
        let parent = cgroup("parent", "", "FROZEN\n", "1\n");
        let child = cgroup("parent/child", "10\n", "FROZEN\n", "0\n");
        cgroup("parent/other", "13\n", "FROZEN\n", "0\n");
        assert!(!is_thawed(&child, &[10]) && is_frozen(&parent));
    }

    #[test]
    fn who_stays_frozen_is_told_with_the_cgroup_and_whoever_is_alone_in_one_is_thawed() {
        let mounts = "31 1 0:27 / /freezer rw - cgroup cgroup rw,freezer\n";
        let of = |name: &str| format!("6:freezer:/{name}\n0::/x\n");
        let (own, shared) = (of("own"), of("shared"));
        let files = [
            ("/proc/self/mountinfo", mounts),
            ("/proc/10/cgroup", &own),
            ("/proc/11/cgroup", &shared),
            ("/proc/12/cgroup", "6:freezer:/\n"),
            ("/freezer/own/freezer.state", "FROZEN\n"),
            ("/freezer/own/freezer.self_freezing", "1\n"),
            ("/freezer/own/cgroup.procs", "10\n"),
            ("/freezer/shared/freezer.state", "FREEZING\n"),
            ("/freezer/shared/freezer.self_freezing", "1\n"),
            ("/freezer/shared/cgroup.procs", "11\n99\n"),
        ];
        let thawed = in_root(
            "who_stays_frozen_is_told_with_the_cgroup_and_whoever_is_alone_in_one_is_thawed",
            &files,
            || {
                let left = thaw(&[10, 11, 12]);
                (
                    left,
                    ["own", "shared"]
                        .map(|name| fs::read_to_string(format!("/freezer/{name}/{STATE}")).unwrap()),
                )
            },
        );
        let Some((left, states)) = thawed else { return };
        assert_eq!(left, [(11, PathBuf::from("/freezer/shared"))]);
        assert_eq!(states, ["THAWED", "FREEZING\n"]);
    }
}
