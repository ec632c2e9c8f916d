//! A program whose file carries a capability, run by a user who has none: what the user names is opened with the user's
//! rights. The test runs a copy of itself as that.

use std::fs::{self, File, Permissions};
use std::io::ErrorKind::PermissionDenied;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use alumet::{Host, privilege, sysfs};

const TEST: &str = "rights_that_are_lent_are_for_the_kernels_files_and_not_for_those_that_the_user_names";
/// In the copy: a file that only root may read.
const SECRET: &str = "ALUMET_TEST_SECRET";

/// Files of the kernel's own that only root may read.
const KERNELS: [&str; 3] = ["/proc/vmallocinfo", "/proc/slabinfo", "/proc/pagetypeinfo"];

fn skip(why: &str) {
    eprintln!("skipped: {TEST}, because {why}");
}

/// Gives a file CAP_DAC_READ_SEARCH (`vfs_cap_data` in linux/capability.h, revision 2).
fn lend(path: &Path) -> bool {
    let words: [u32; 5] = [0x0200_0001, 1 << 2, 0, 0, 0];
    let value = words.map(u32::to_le_bytes).concat();
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
    let name = c"security.capability".as_ptr();
    // SAFETY: all three live longer than the call, which copies them.
    unsafe { libc::setxattr(path.as_ptr(), name, value.as_ptr().cast(), value.len(), 0) == 0 }
}

#[test]
fn rights_that_are_lent_are_for_the_kernels_files_and_not_for_those_that_the_user_names() {
    if let Some(secret) = std::env::var_os(SECRET) {
        return with_the_right(Path::new(&secret));
    }
    if !nix::unistd::Uid::effective().is_root() {
        return skip("it needs root");
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let (copy, secret) = (directory.path().join("copy"), directory.path().join("secret"));
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
    fs::write(&secret, "secret").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o400)).unwrap();
    if !lend(&copy) {
        return skip("no capability can be given to a file here");
    }
    let mut command = Command::new(&copy);
    command.args(["--exact", TEST, "--nocapture"]).env(SECRET, &secret).current_dir("/");
    let done = command.uid(54321).gid(54321).output().unwrap();
    let told = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    eprint!("{}", told.lines().filter(|line| line.starts_with("skipped")).collect::<String>());
    assert!(done.status.success() && told.contains("1 passed"), "{told}");
}

fn with_the_right(secret: &Path) {
    // SAFETY: takes a number and touches no memory.
    if unsafe { libc::getauxval(libc::AT_SECURE) } == 0 {
        return skip("the capability of a file has no effect here");
    }
    assert!(privilege::is_lent());
    let devices = "bus/event_source/devices";
    assert_eq!(Host::new("/a", "/b").pmus(), Path::new("/sys").join(devices));
    // The right is there; but not for what the user names.
    File::open(secret).unwrap();
    assert_eq!(privilege::as_user(|| File::open(secret)).unwrap_err().kind(), PermissionDenied);
    File::open(secret).unwrap();
    assert_eq!(alumet::file::open(secret).unwrap_err().kind(), PermissionDenied);
    assert_eq!(sysfs::open(secret).unwrap_err().kind(), PermissionDenied);
    match KERNELS.iter().find(|path| File::open(path).is_ok()) {
        Some(path) => drop(sysfs::open(Path::new(path)).unwrap()),
        None => skip("there is no file of the kernel's that only root may read"),
    }
}
