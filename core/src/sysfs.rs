//! The one reader of the files in which the kernel tells about the machine, below `/sys` and `/proc`.
//!
//! Their roots can be named (`--sysfs`, `--procfs`), so what is found there may be anything: a FIFO would keep whoever opens
//! or reads it waiting for ever, and a device would never end. What numbers say is no more to be believed: arithmetic with
//! them is checked.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::sys::statfs::{
    CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC, FsType, PROC_SUPER_MAGIC, SYSFS_MAGIC,
    TRACEFS_MAGIC, fstatfs,
};

use crate::privilege::{as_user, is_lent};

/// What the kernel shows in one such file is not longer than a page (Documentation/filesystems/sysfs.rst).
const PAGE: u64 = 4096;
/// cpuinfo has some 1.5 kB for each CPU, and the largest kernels are built for 8192 of them.
const LARGEST: u64 = 16 << 20;

/// The file systems of the kernel's own.
const OWN: [FsType; 6] =
    [SYSFS_MAGIC, PROC_SUPER_MAGIC, TRACEFS_MAGIC, DEBUGFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC];

/// Opens a file to read it again and again.
///
/// # Errors
/// As for open(2); it is no regular file.
pub fn open(path: &Path) -> io::Result<File> {
    let file = match as_user(|| open_at_once(path)) {
        // What is lent to this process is for the kernel's files, and not for others that the user has put in their place.
        Err(error) if error.raw_os_error() == Some(libc::EACCES) && is_lent() => {
            let file = open_at_once(path)?;
            let kind = fstatfs(&file)?.filesystem_type();
            if OWN.contains(&kind) { file } else { return Err(error) }
        }
        opened => opened?,
    };
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file")),
    }
}

/// Nobody waits for the other end of a pipe.
fn open_at_once(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// What is in a file of one value, without white space around it.
///
/// # Errors
/// It cannot be [opened](open) or read, or is no text.
pub fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.take(PAGE).read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

/// All of a file such as `/proc/cpuinfo`; what is not UTF-8 in it is replaced.
///
/// # Errors
/// It cannot be [opened](open) or read, or is larger than any of the kernel's.
pub fn read_all(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(io::Error::other(format!("it is larger than {} MiB", LARGEST >> 20))),
        false => Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())),
    }
}

/// A file of the real `/proc` or of a cgroup, whose place nobody has named. It says no size, and to read it in ever larger
/// pieces, as [`std::fs::read`] does then, takes three times as many system calls.
///
/// # Errors
/// As for open(2) and read(2).
pub fn read_real(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let (mut text, mut filled) = (vec![0; 8192], 0);
    loop {
        match file.read(&mut text[filled..])? {
            0 => break,
            n => filled += n,
        }
        if filled == text.len() {
            text.resize(2 * filled, 0);
        }
    }
    text.truncate(filled);
    Ok(text)
}

/// The same as text.
///
/// # Errors
/// Also if it is none.
pub fn read_real_text(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read_real(path)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_any_length_is_read_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for length in [0, 1, 8191, 8192, 8193, 40_000] {
            std::fs::write(&path, "x".repeat(length)).unwrap();
            assert_eq!(read_real(&path).unwrap().len(), length);
        }
        assert_eq!(
            read_real_text("/proc/self/stat").unwrap().split(' ').next(),
            Some(&*std::process::id().to_string())
        );
    }

    #[test]
    fn what_is_no_regular_file_is_refused_and_nobody_waits_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let (file, fifo) = (directory.path().join("file"), directory.path().join("fifo"));
        std::fs::write(&file, " 12\n").unwrap();
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let zero = directory.path().join("zero");
        std::os::unix::fs::symlink("/dev/zero", &zero).unwrap();
        assert_eq!(read(&file).unwrap(), "12");
        assert_eq!(read_all(&file).unwrap(), " 12\n");
        for path in [fifo.as_path(), &zero, directory.path(), Path::new("/dev/null")] {
            for error in [open(path).unwrap_err(), read(path).unwrap_err(), read_all(path).unwrap_err()] {
                assert_eq!(error.to_string(), "it is no regular file", "{}", path.display());
            }
        }
    }

    #[test]
    fn a_file_that_is_larger_than_any_of_the_kernels_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(LARGEST).unwrap();
        assert_eq!(read_all(file.path()).unwrap().len() as u64, LARGEST);
        file.as_file().set_len(1 << 40).unwrap();
        assert_eq!(read_all(file.path()).unwrap_err().to_string(), "it is larger than 16 MiB");
        assert_eq!(read(file.path()).unwrap().len() as u64, PAGE);
    }
}
