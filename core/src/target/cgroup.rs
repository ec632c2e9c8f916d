//! A cgroup v2 of the application's own, where one can be made: then membership is exact, and so is the CPU time of
//! all members, also of those that nobody waits for (cgroups(7); Documentation/admin-guide/cgroup-v2.rst).

mod leaf;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use nix::unistd::Uid;

use leaf::Leaf;

/// The file that lists the members of a cgroup, and that moves processes into it.
const PROCS: &str = "cgroup.procs";

/// The cgroup; removed when dropped.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    directory: File,
    procs: File,
    cpu_stat: File,
    /// Where this process is meanwhile, if the memory controller demands it.
    leaf: Mutex<Option<Leaf>>,
    removed: AtomicBool,
}

/// CPU time of a cgroup's members, past and present (`cpu.stat`). The sum is exact; how it splits into the two is the
/// kernel's estimate from its ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuStat {
    /// In user mode.
    pub user: Duration,
    /// In kernel mode.
    pub system: Duration,
}

impl CpuStat {
    /// Reads the text of a `cpu.stat` file; `None` if a line is missing.
    pub fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
                .map(Duration::from_micros)
        };
        // user + system can be a microsecond off usage, which alone is exact.
        let usage = field("usage_usec ")?;
        let system = field("system_usec ")?.min(usage);
        Some(Self { user: usage - system, system })
    }
}

impl Cgroup {
    /// Makes a cgroup below the one that this process is in.
    ///
    /// # Errors
    /// In words for a person.
    pub(super) fn create() -> Result<Self, String> {
        let parent = leaf::outside(of_process(std::process::id() as i32)?);
        remove_leftovers(&parent);
        let leaf = Leaf::make(&parent);
        let pid = std::process::id();
        // More than one run in one process is possible; the first free name is ours.
        let path = (0..)
            .map(|n| parent.join(format!("alumet-{pid}-{n}")))
            .find(|path| !path.exists())
            .ok_or("no free name")?;
        fs::create_dir(&path).map_err(|error| format!("{}: {}", parent.display(), reason(&error)))?;
        Self::open(path.clone(), leaf).map_err(|error| {
            // The cause is what matters; an empty directory is removed by a later run.
            let _ = fs::remove_dir(&path);
            format!("{}: {}", path.display(), reason(&error))
        })
    }

    fn open(path: PathBuf, leaf: Option<Leaf>) -> io::Result<Self> {
        Ok(Self {
            directory: File::open(&path)?,
            procs: File::open(path.join(PROCS))?,
            cpu_stat: File::open(path.join("cpu.stat"))?,
            leaf: Mutex::new(leaf),
            removed: AtomicBool::new(false),
            path,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn directory(&self) -> RawFd {
        self.directory.as_raw_fd()
    }

    /// CPU time of all members so far.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn cpu(&self) -> io::Result<CpuStat> {
        let mut text = [0; 512];
        let n = self.cpu_stat.read_at(&mut text, 0)?;
        std::str::from_utf8(&text[..n])
            .ok()
            .and_then(CpuStat::parse)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "cpu.stat is not in the expected form"))
    }

    /// The peak of the members' memory together, in bytes, with the page cache of files that they have read or written and
    /// the kernel's own memory for them; only where the memory controller is on, since Linux 5.19.
    pub fn memory_peak(&self) -> Option<u64> {
        fs::read_to_string(self.path.join("memory.peak")).ok()?.trim().parse().ok()
    }

    /// The living processes in it and below it.
    pub(super) fn members(&self, out: &mut Vec<i32>) -> io::Result<()> {
        read_pids(&self.procs, out)?;
        if self.has_descendants() {
            below(&self.path, out);
        }
        Ok(())
    }

    /// Whether anybody lives in it or below it.
    pub(super) fn is_populated(&self) -> bool {
        is_populated(&self.path)
    }

    /// An application that makes cgroups of its own is rare: a look at the link count (of the subdirectories) is enough.
    fn has_descendants(&self) -> bool {
        self.directory.metadata().is_ok_and(|metadata| metadata.nlink() > 2)
    }

    /// Whether only a privileged process can remove it, or move its members to the cgroup that it is in: that is another
    /// user's, or the root cgroup, which not even its owner may write to.
    pub(super) fn is_in_a_locked_one(&self) -> bool {
        let is_own = |parent: &fs::Metadata| {
            parent.uid() == Uid::effective().as_raw() && parent.mode() & libc::S_IWUSR != 0
        };
        let parent = self.path.parent().and_then(|parent| parent.metadata().ok());
        !parent.as_ref().is_some_and(is_own)
    }

    /// Lets its members go on if somebody has frozen them.
    pub(super) fn thaw(&self) {
        // Where that fails, SIGKILL still ends them.
        let _ = fs::write(self.path.join("cgroup.freeze"), "0");
    }

    /// Kills every member at once.
    pub(super) fn kill(&self) -> io::Result<()> {
        fs::write(self.path.join("cgroup.kill"), "1")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Cgroup {
    /// Whoever still lives goes back to where alumet is, and the cgroup is removed with those that the application has made
    /// below it.
    pub(super) fn remove(&self) {
        if self.removed.swap(true, Ordering::Relaxed) {
            return;
        }
        let leaf = self.leaf.lock().unwrap_or_else(PoisonError::into_inner).take();
        let parent = leaf.as_ref().map(Leaf::path).or(self.path.parent());
        for attempt in 0..8 {
            let mut members = Vec::new();
            let _ = self.members(&mut members);
            if let Some(parent) = parent {
                for pid in members {
                    let _ = fs::write(parent.join(PROCS), pid.to_string());
                }
            }
            if remove_all(&self.path).is_ok() {
                return;
            }
            // Those that are just ending are still in it for a moment.
            std::thread::sleep(Duration::from_micros(100 << attempt));
        }
    }
}

/// Whether anybody lives in a cgroup or below it (`cgroup.events`).
fn is_populated(path: &Path) -> bool {
    match fs::read_to_string(path.join("cgroup.events")) {
        Ok(text) => text.lines().any(|line| line == "populated 1"),
        // For want of descriptors nobody knows; one that is gone has nobody.
        Err(error) => matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)),
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "not delegated to this user".into(),
        io::ErrorKind::ReadOnlyFilesystem => "mounted read-only".into(),
        _ => error.to_string(),
    }
}

fn below(path: &Path, out: &mut Vec<i32>) {
    for child in children(path) {
        if let Ok(procs) = File::open(child.join(PROCS)) {
            // A cgroup that was just removed has no members.
            let _ = read_pids(&procs, out);
        }
        below(&child, out);
    }
}

/// The cgroups directly below this one.
pub(super) fn children(path: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

/// Removes a cgroup with those below it. One that has members cannot be removed and stays.
fn remove_all(path: &Path) -> io::Result<()> {
    children(path).try_for_each(|child| remove_all(&child))?;
    fs::remove_dir(path)
}

fn read_pids(file: &File, out: &mut Vec<i32>) -> io::Result<()> {
    let mut chunk = [0; 4096];
    let mut offset = 0;
    let mut pid = 0i32;
    loop {
        let n = file.read_at(&mut chunk, offset)?;
        offset += n as u64;
        for byte in &chunk[..n] {
            match byte {
                b'0'..=b'9' => pid = pid.wrapping_mul(10).wrapping_add(i32::from(byte - b'0')),
                _ => {
                    // A process of another pid namespace reads as 0.
                    if pid > 0 {
                        out.push(pid);
                    }
                    pid = 0;
                }
            }
        }
        // A read is filled with whole lines (fs/seq_file.c in Linux): one that has room for another was the last.
        if n + "4194304\n".len() <= chunk.len() {
            return Ok(());
        }
    }
}

/// The directory of the cgroup v2 that a process is in.
pub(super) fn of_process(pid: i32) -> Result<PathBuf, String> {
    let read = |path: &str| crate::sysfs::read_real_text(path).map_err(|error| format!("{path}: {error}"));
    let path = own_path(&read(&format!("/proc/{pid}/cgroup"))?).ok_or("no cgroup v2 on this machine")?;
    // The usual places first: to list all mounts takes the kernel longer than everything else in here.
    let usual = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(PathBuf::from);
    let mount = match usual.into_iter().find(|place| is_cgroup2(place)) {
        Some(place) => place,
        None => mount_point(&read("/proc/self/mountinfo")?).ok_or("no cgroup v2 is mounted")?,
    };
    Ok(mount.join(path))
}

fn is_cgroup2(path: &Path) -> bool {
    statfs(path).is_ok_and(|fs| fs.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

/// From /proc/PID/cgroup: the path in the v2 hierarchy (cgroups(7)).
fn own_path(text: &str) -> Option<String> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    // A process outside its cgroup namespace's root has no path below the mount.
    (!path.starts_with("..")).then(|| path.to_owned())
}

/// From /proc/PID/mountinfo: where the v2 hierarchy is mounted, whole (proc_pid_mountinfo(5)).
fn mount_point(text: &str) -> Option<PathBuf> {
    text.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ');
        let root = fields.nth(3)?;
        let at = fields.next()?;
        (kind.starts_with("cgroup2 ") && root == "/").then(|| PathBuf::from(at))
    })
}

/// Removes the cgroups of runs that were killed. One in which somebody lives stays, with all that is below it.
fn remove_leftovers(parent: &Path) {
    for path in children(parent) {
        let name = path.file_name().and_then(OsStr::to_str);
        let pid = name.and_then(|name| name.strip_prefix("alumet-")?.split('-').next());
        let is_dead =
            pid.is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists());
        if is_dead && !is_populated(&path) {
            // Another run may do the same.
            let _ = remove_all(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_add_up_to_the_exact_usage() {
        let stat = CpuStat::parse("usage_usec 1000\nuser_usec 700\nsystem_usec 299\nnice_usec 0\n").unwrap();
        assert_eq!(stat.user + stat.system, Duration::from_micros(1000));
        assert_eq!(CpuStat::parse("user_usec 700\n"), None);
    }

    #[test]
    fn the_v2_hierarchy_is_found_beside_v1_ones() {
        let cgroup = "8:pids:/\n4:memory:/x\n0::/user.slice/a.scope\n";
        assert_eq!(own_path(cgroup).as_deref(), Some("user.slice/a.scope"));
        assert_eq!(own_path("4:memory:/x\n"), None);
        assert_eq!(own_path("0::/../outside\n"), None);
        let mounts = "30 1 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
            31 1 0:27 /part /mnt rw - cgroup2 cgroup2 rw\n\
            32 1 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:1 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(mounts).as_deref(), Some(Path::new("/sys/fs/cgroup/unified")));
    }

    /// A directory with the files that the kernel would show in a cgroup.
    fn fake(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("own");
        fs::create_dir(&path).unwrap();
        for (name, text) in files {
            fs::write(path.join(name), text).unwrap();
        }
        (parent, path)
    }

    #[test]
    fn the_files_of_a_cgroup_are_read() {
        let (_parent, path) = fake(&[
            (PROCS, "0\n12\n345\n"),
            ("cpu.stat", "usage_usec 1000\nuser_usec 700\nsystem_usec 300\n"),
            ("memory.peak", "4096\n"),
        ]);
        let cgroup = Cgroup::open(path.clone(), None).unwrap();
        let mut members = Vec::new();
        cgroup.members(&mut members).unwrap();
        assert_eq!(members, [12, 345], "one of another pid namespace has no pid here");
        let cpu = cgroup.cpu().unwrap();
        assert_eq!((cpu.user, cpu.system), (Duration::from_micros(700), Duration::from_micros(300)));
        assert_eq!(cgroup.memory_peak(), Some(4096));
        fs::remove_file(path.join("memory.peak")).unwrap();
        fs::write(path.join("cpu.stat"), "nothing of this kind\n").unwrap();
        assert_eq!(
            (cgroup.memory_peak(), cgroup.cpu().unwrap_err().kind()),
            (None, io::ErrorKind::InvalidData)
        );
    }

    #[test]
    fn more_members_than_are_read_at_once_are_all_told() {
        let pids: Vec<i32> = (1..=5000).collect();
        let text: String = pids.iter().map(|pid| format!("{pid}\n")).collect();
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        let mut members = Vec::new();
        read_pids(&file, &mut members).unwrap();
        assert_eq!(members, pids);
    }

    #[test]
    fn a_cgroup_is_locked_in_where_its_user_may_not_write() {
        use std::os::unix::fs::PermissionsExt;

        let (parent, path) = fake(&[(PROCS, ""), ("cpu.stat", "")]);
        let cgroup = Cgroup::open(path, None).unwrap();
        for (mode, is_locked) in [(0o755, false), (0o200, false), (0o577, true), (0o055, true)] {
            fs::set_permissions(parent.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(cgroup.is_in_a_locked_one(), is_locked, "{mode:o}");
        }
        fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o755)).unwrap();
        if crate::privilege::tests::is_root("a_cgroup_is_locked_in_where_its_user_may_not_write") {
            std::os::unix::fs::chown(parent.path(), Some(4242), None).unwrap();
            assert!(cgroup.is_in_a_locked_one(), "it is another user's");
        }
    }

    #[test]
    fn why_there_is_none_is_told_in_words() {
        let told = |errno: i32| reason(&io::Error::from_raw_os_error(errno));
        assert_eq!(told(libc::EACCES), "not delegated to this user");
        assert_eq!(told(libc::EROFS), "mounted read-only");
        assert!(told(libc::ENOSPC).starts_with("No space left"));
    }

    #[test]
    fn the_usual_places_hold_the_v2_hierarchy_or_another_file_system() {
        let mounted = mount_point(&fs::read_to_string("/proc/self/mountinfo").unwrap());
        assert!(!is_cgroup2(Path::new("/proc")) && !is_cgroup2(Path::new("/nonexistent")));
        match mounted {
            Some(mounted) => assert!(is_cgroup2(&mounted)),
            None => eprintln!("skipped: the v2 hierarchy is told by its kind, because none is mounted"),
        }
    }
}
