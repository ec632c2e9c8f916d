//! Opening files that a user has named, also with privileges.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tracing::debug;

use crate::place::by_descriptor;
pub use crate::place::{Place, parent};
use crate::privilege::as_user;

/// As much of a file as shows what it is.
pub const BEGINNING: usize = 256;

/// Who else than root could have written a file, or put another in its place: the first reason found at the file itself
/// or at a directory above it. `None` says that root alone could.
pub fn exposure(path: &Path) -> Option<String> {
    match OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_NOFOLLOW).open(path) {
        Ok(file) => exposure_of(&file),
        Err(error) => Some(unexamined(&error)),
    }
}

/// The same of a file that is open, under the name that it has now.
pub fn exposure_of(file: &File) -> Option<String> {
    let examined = || {
        let metadata = file.metadata()?;
        if metadata.is_symlink() {
            return Ok(Some("it is a symbolic link".to_owned()));
        }
        let own = hand_of_others(&metadata).map(|why| format!("it {why}"));
        if own.is_some() {
            return Ok(own);
        }
        for place in fs::read_link(by_descriptor(file))?.ancestors().skip(1) {
            if let Some(why) = hand_of_others(&fs::metadata(place)?) {
                return Ok(Some(format!("{} {why}", place.display())));
            }
        }
        Ok(None)
    };
    examined().unwrap_or_else(|error: io::Error| Some(unexamined(&error)))
}

fn unexamined(error: &io::Error) -> String {
    format!("it cannot be examined: {}", reason(error))
}

/// In a sticky directory like /tmp nobody but root can rename or remove what is root's (inode(7)).
fn hand_of_others(metadata: &fs::Metadata) -> Option<String> {
    let is_sticky = metadata.is_dir() && metadata.mode() & libc::S_ISVTX != 0;
    match metadata.uid() {
        0 if metadata.mode() & 0o022 == 0 || is_sticky => None,
        0 => Some("can be written by others".into()),
        uid => Some(format!("belongs to uid {uid}")),
    }
}

/// Opens a regular file to read it, with the rights of whoever has named it; or what is open already, which may be a pipe
/// (/dev/stdin, and what a shell makes of `<(COMMAND)`).
///
/// # Errors
/// As for open(2); or it is something else, such as a FIFO that nobody may ever write to.
pub fn open(path: &Path) -> io::Result<File> {
    if descriptor(path).is_some() {
        return as_user(|| File::open(path));
    }
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = as_user(|| OpenOptions::new().read(true).custom_flags(flags).open(path))?;
    regular(file)
}

/// The file, if it is a regular one.
///
/// # Errors
/// It is not.
pub fn regular(file: File) -> io::Result<File> {
    match file.metadata()? {
        metadata if metadata.is_file() => Ok(file),
        metadata if metadata.is_dir() => Err(Errno::EISDIR.into()),
        _ => Err(io::Error::other("it is no regular file")),
    }
}

/// The descriptor of this process that a path stands for: `-` is stdout, and /dev/stdout or /proc/self/fd/1 lead to it.
pub fn descriptor(path: &Path) -> Option<RawFd> {
    if path == Path::new("-") {
        return Some(libc::STDOUT_FILENO);
    }
    let own = PathBuf::from(format!("/proc/{}/fd", std::process::id()));
    let mut path = path.to_owned();
    // Links that go round in a circle lead nowhere.
    for _ in 0..8 {
        if fs::canonicalize(parent(&path)).ok()? == own {
            return path.file_name()?.to_str()?.parse().ok();
        }
        path = parent(&path).join(fs::read_link(&path).ok()?);
    }
    None
}

/// What a path stands for, if that is open for writing already: to open it anew would empty what others have written, and
/// write over what they write.
///
/// # Errors
/// There is no further descriptor; or `-` was named, and stdout is closed.
pub fn already_open(path: &Path) -> io::Result<Option<File>> {
    let Some(number) = descriptor(path) else { return Ok(None) };
    // SAFETY: it is duplicated at once; one that is not open is an error (EBADF).
    let open = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = fcntl(open, FcntlArg::F_GETFL).map(OFlag::from_bits_retain);
    match flags {
        Ok(flags) if flags & OFlag::O_ACCMODE != OFlag::O_RDONLY => {
            Ok(Some(open.try_clone_to_owned()?.into()))
        }
        _ if path == Path::new("-") => Err(Errno::EBADF.into()),
        _ => Ok(None),
    }
}

/// Opens a file at the [`Place`] of this path to write it from its beginning. What is in it goes, if `is_own` takes its
/// beginning for the caller's own; anything else is left as it is. Whoever writes adds to the end, and nobody else who
/// asks the same writes into it meanwhile. What is [already open](already_open) is written on where it stands.
///
/// # Errors
/// As for [`Place::of`] and [`Place::append`]; the file holds something else, or is being written.
pub fn start_over(path: &Path, is_own: impl Fn(&[u8]) -> bool) -> io::Result<File> {
    if let Some(open) = already_open(path)? {
        debug!(path = %path.display(), "an output goes to what is open already");
        return Ok(open);
    }
    let file = Place::of(path)?.append()?;
    if file.metadata()?.is_file() {
        lock(&file)?;
        if !is_own(&beginning(&by_descriptor(&file))?) {
            return Err(io::Error::other(FOREIGN));
        }
        file.set_len(0)?;
    }
    debug!(path = %path.display(), "opened a file for output");
    Ok(file)
}

/// What is said of a file that is not to be written over.
pub const FOREIGN: &str =
    "it holds what alumet has not written as this; remove it first, or name another file";

/// The first bytes of a regular file.
///
/// # Errors
/// It cannot be read, so that nobody can say whose it is.
pub fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(BEGINNING as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Some file systems know no locks: there, nobody is kept away.
fn lock(file: &File) -> io::Result<()> {
    // SAFETY: flock(2) takes two numbers.
    match Errno::result(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
        Err(Errno::EWOULDBLOCK) => Err(io::Error::other("another alumet is writing it; name another file")),
        _ => Ok(()),
    }
}

/// Opens a file to write at its end, and creates it if there is none, at the [`Place`] of this path.
///
/// # Errors
/// As for [`Place::of`] and [`Place::append`].
pub fn append(path: &Path) -> io::Result<File> {
    Place::of(path)?.append()
}

/// What the system says of an error, in lower case and without its number.
pub fn reason(error: &io::Error) -> String {
    let within = || error.get_ref()?.source()?.downcast_ref::<io::Error>()?.raw_os_error();
    match error.raw_os_error().or_else(within) {
        // "Try again" is no help: it is a limit (clone(2)).
        Some(libc::EAGAIN) => "resource temporarily unavailable".into(),
        Some(number) => Errno::from_raw(number).desc().to_lowercase(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privilege::tests::is_root;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    #[test]
    fn what_is_roots_alone_is_so_with_every_directory_above_it() {
        if !is_root("what_is_roots_alone_is_so_with_every_directory_above_it") {
            return;
        }
        let top = tempfile::tempdir().unwrap();
        let above = top.path().join("above");
        fs::create_dir_all(above.join("within")).unwrap();
        let file = above.join("within/file");
        fs::write(&file, "").unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        // /tmp itself is everybody's, and sticky.
        assert_eq!(exposure(&file), None);
        mode(&file, 0o664);
        assert_eq!(exposure(&file).as_deref(), Some("it can be written by others"));
        mode(&file, 0o644);
        mode(&above, 0o777);
        assert_eq!(exposure(&file).unwrap(), format!("{} can be written by others", above.display()));
        mode(&above, 0o1777);
        assert_eq!(exposure(&file), None);
        chown(&above, Some(65534), None).unwrap();
        assert_eq!(exposure(&file).unwrap(), format!("{} belongs to uid 65534", above.display()));
        symlink(&file, above.join("link")).unwrap();
        assert_eq!(exposure(&above.join("link")).as_deref(), Some("it is a symbolic link"));
        assert!(exposure(&above.join("none")).unwrap().starts_with("it cannot be examined: no such file"));
    }

    #[test]
    fn a_path_may_stand_for_a_descriptor_and_what_that_writes_is_written_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "before ").unwrap();
        let open = OpenOptions::new().append(true).open(&path).unwrap();
        let name = |file: &File| PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let link = directory.path().join("link");
        symlink(name(&open), &link).unwrap();
        for way in [name(&open), link] {
            assert_eq!(descriptor(&way), Some(open.as_raw_fd()), "{}", way.display());
            let mut again = already_open(&way).unwrap().unwrap();
            io::Write::write_all(&mut again, b"after ").unwrap();
            drop(start_over(&way, |_| false).unwrap());
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "before after after ");
        assert_eq!(descriptor(Path::new("-")), Some(1));
        // One that is only read is opened anew, as any other file.
        let read = File::open(&path).unwrap();
        assert!(already_open(&name(&read)).unwrap().is_none());
        assert!(already_open(&path).unwrap().is_none());
        let circle = directory.path().join("circle");
        symlink(&circle, &circle).unwrap();
        assert_eq!(descriptor(&circle), None);
    }

    #[test]
    fn a_file_is_started_over_by_one_at_a_time_and_only_by_whom_it_is_of() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let is_own = |beginning: &[u8]| beginning.is_empty() || beginning.starts_with(b"mine");
        let first = start_over(&path, is_own).unwrap();
        let busy = start_over(&path, is_own).unwrap_err();
        assert_eq!(busy.to_string(), "another alumet is writing it; name another file");
        drop(first);
        fs::write(&path, "mine, and old").unwrap();
        assert_eq!(beginning(&path).unwrap(), b"mine, and old");
        start_over(&path, is_own).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        fs::write(&path, "a letter").unwrap();
        assert_eq!(start_over(&path, is_own).unwrap_err().to_string(), FOREIGN);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a letter");
    }

    #[test]
    fn a_pipe_with_a_name_is_not_waited_for_and_one_that_is_open_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(open(&path).unwrap_err().to_string(), "it is no regular file");
        assert_eq!(open(directory.path()).unwrap_err().raw_os_error(), Some(libc::EISDIR));
        let (reader, mut writer) = io::pipe().unwrap();
        io::Write::write_all(&mut writer, b"said").unwrap();
        drop(writer);
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        assert_eq!(io::read_to_string(open(Path::new(&path)).unwrap()).unwrap(), "said");
        fs::write(directory.path().join("file"), "kept").unwrap();
        assert_eq!(io::read_to_string(open(&directory.path().join("file")).unwrap()).unwrap(), "kept");
    }

    #[test]
    fn a_closed_stdout_that_is_named_is_an_error() {
        let open = || already_open(Path::new("-")).map(|file| file.is_some());
        let closed = std::thread::spawn(move || {
            // The descriptors of this thread alone (unshare(2)).
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_FILES).unwrap();
            nix::unistd::close(libc::STDOUT_FILENO).unwrap();
            open()
        });
        assert_eq!(closed.join().unwrap().unwrap_err().raw_os_error(), Some(libc::EBADF));
    }
}
