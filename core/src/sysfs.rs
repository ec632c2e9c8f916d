//! The small files in which the kernel shows one value each, as below `/sys`.
//!
//! The root of `/sys` can be named (`--sysfs`), so what is found there may be anything: a FIFO would keep whoever opens or
//! reads it waiting for ever.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What the kernel shows in one such file is not longer than a page (Documentation/filesystems/sysfs.rst).
const PAGE: u64 = 4096;

/// Opens a file to read it again and again.
///
/// # Errors
/// As for open(2); it is no regular file.
pub fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file")),
    }
}

/// What is in a file, without white space around it.
///
/// # Errors
/// It cannot be [opened](open) or read, or is no text.
pub fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.take(PAGE).read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused_and_nobody_waits_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let (file, fifo) = (directory.path().join("file"), directory.path().join("fifo"));
        std::fs::write(&file, " 12\n").unwrap();
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read(&file).unwrap(), "12");
        for path in [fifo.as_path(), directory.path(), Path::new("/dev/null")] {
            assert_eq!(open(path).unwrap_err().to_string(), "it is no regular file", "{}", path.display());
        }
    }
}
