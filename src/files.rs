//! Files that a user asked for: checked before the application starts, written whole.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::RawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use alumet::file::{Place, parent, reason};
use alumet::privilege::{self, CapabilitySet};
use nix::unistd::Uid;

use crate::exit::{FAILED, Failure};
use crate::signals::was_closed;

/// Checks that a file can be created, without creating it.
pub fn check(path: &Path, what: &str) -> Result<(), Failure> {
    let fail = |why: String| Failure {
        status: FAILED,
        message: format!("cannot write {what} to {}: {why}", path.display()),
    };
    if descriptor(path).is_some_and(was_closed) {
        return Err(fail("it is closed".into()));
    }
    let directory = parent(path);
    match fs::metadata(directory) {
        Ok(metadata) if !metadata.is_dir() => {
            return Err(fail(format!("{} is not a directory", directory.display())));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(fail(format!("there is no directory {}", directory.display())));
        }
        // What cannot be looked at may still be written to.
        _ => {}
    }
    let place = Place::of(path).map_err(|error| fail(reason(&error)))?;
    let path = place.path();
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(fail("it is a directory".into())),
        Ok(metadata) if !metadata.is_file() => return Ok(()),
        Ok(_) => nix::unistd::access(path, nix::unistd::AccessFlags::W_OK)
            .map_err(|errno| fail(errno.desc().to_lowercase()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(fail(reason(&error))),
    }
    nix::unistd::access(parent(path), nix::unistd::AccessFlags::W_OK | nix::unistd::AccessFlags::X_OK)
        .or_else(|errno| if path.exists() { Ok(()) } else { Err(errno) })
        .map_err(|errno| fail(errno.desc().to_lowercase()))
}

/// The descriptor of this process that the path leads to, as /dev/stdout does.
fn descriptor(path: &Path) -> Option<RawFd> {
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

/// The capabilities that it takes, where the process has them, to [`replace`] the file later.
pub fn needed_capabilities(path: &Path) -> CapabilitySet {
    let writing = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    let mut needed = CapabilitySet::empty();
    if !privilege::permitted().intersects(writing | CapabilitySet::FOWNER) {
        return needed;
    }
    let own = Uid::effective().as_raw();
    // To be tried is more than to be asked: a file system may have rules of its own.
    if privilege::without(writing, || can_be_replaced(path)).is_ok_and(|can| !can) {
        needed |= CapabilitySet::DAC_OVERRIDE;
    }
    // In a sticky directory nobody but its owner and the file's can give the name to another file (inode(7)).
    let is_sticky = |directory: fs::Metadata| directory.mode() & libc::S_ISVTX != 0 && directory.uid() != own;
    if let Ok(place) = Place::of(path)
        && fs::symlink_metadata(place.path()).is_ok_and(|file| file.uid() != own)
        && fs::metadata(parent(place.path())).is_ok_and(is_sticky)
    {
        needed |= CapabilitySet::FOWNER;
    }
    needed
}

fn can_be_replaced(path: &Path) -> bool {
    let Ok(place) = Place::of(path) else { return false };
    let path = place.path();
    match fs::metadata(path) {
        // A pipe or a terminal is not opened before there is something to say.
        Ok(file) if !file.is_file() => file.uid() == Uid::effective().as_raw() || file.mode() & 0o002 != 0,
        Ok(_) => tempfile::tempfile_in(parent(&behind(&place))).is_ok(),
        Err(error) => error.kind() == io::ErrorKind::NotFound && tempfile::tempfile_in(parent(path)).is_ok(),
    }
}

/// Whether two paths lead to the same regular file, which may not exist yet.
pub fn same(a: &Path, b: &Path) -> bool {
    let place = |path: &Path| -> Option<PathBuf> {
        let path = leads_to(path);
        Some(fs::canonicalize(parent(&path)).ok()?.join(path.file_name()?))
    };
    let special = fs::metadata(a).is_ok_and(|metadata| !metadata.is_file());
    !special && (a == b || place(a).is_some_and(|a| Some(a) == place(b)))
}

/// The file of one of several runs: `series-3.csv` for `series.csv`.
pub fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Behind a link, the file that it leads to is what is replaced.
fn behind(place: &Place) -> PathBuf {
    if place.is_held() { place.path().to_owned() } else { leads_to(place.path()) }
}

/// What a path stands for; of a link to nothing, the file that writing to it would create.
fn leads_to(path: &Path) -> PathBuf {
    let link = || fs::read_link(path).map_or_else(|_| path.to_owned(), |to| parent(path).join(to));
    fs::canonicalize(path).unwrap_or_else(|_| link())
}

/// Removes what an earlier run has left in a file that is to be written, lest anybody takes it for this one's. Where a
/// name cannot be taken away, the file is emptied.
pub fn remove(path: &Path) -> Result<(), Failure> {
    // What is open already, such as /dev/stdout, was emptied by whoever has opened it, or is to be written on.
    let is_open = |path: &Path| {
        let link = fs::read_link(path).map_or_else(|_| path.to_owned(), |to| parent(path).join(to));
        fs::canonicalize(parent(&link)).is_ok_and(|directory| directory.starts_with("/proc"))
    };
    let old = Place::of(path).ok().filter(|_| !is_open(path)).map(|place| (behind(&place), place));
    let Some((path_of_old, place)) = old.filter(|(old, _)| old.is_file()) else { return Ok(()) };
    let removed = fs::remove_file(path_of_old).or_else(|_| place.create().map(drop));
    removed.map_err(|error| Failure::failed(format!("cannot replace {}: {}", path.display(), reason(&error))))
}

/// Writes a file: a regular one through a temporary file beside it that then takes its name.
pub fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let place = Place::of(path)?;
    let existing = fs::metadata(place.path()).ok();
    if existing.as_ref().is_some_and(|metadata| !metadata.is_file()) {
        return write(&mut place.create()?);
    }
    let path = behind(&place);
    let mode = existing.map_or(0o666, |metadata| metadata.mode() & 0o777);
    let builder_mode = Permissions::from_mode(mode);
    let new =
        tempfile::Builder::new().prefix(".alumet-").permissions(builder_mode).tempfile_in(parent(&path));
    let mut file = match new {
        Ok(file) => file,
        // The directory may not be writable although the file is.
        Err(_) if path.exists() => return write(&mut place.create()?),
        Err(error) => return Err(error),
    };
    write(file.as_file_mut())?;
    file.persist(&path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("p.json");
        replace(&path, |file| file.write_all(b"old")).unwrap();
        replace(&path, |file| {
            file.write_all(b"half of the ne")?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_left_of_an_earlier_run_is_removed_behind_a_link_too_and_the_link_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::os::unix::fs::symlink("old", path("link")).unwrap();
        for name in ["link", "old"] {
            fs::write(path("old"), "pass").unwrap();
            remove(&path(name)).unwrap();
            assert!(!path("old").exists());
        }
        remove(&path("old")).unwrap();
        remove(Path::new("/dev/null")).unwrap();
        replace(&path("link"), |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(path("old")).unwrap(), b"new");
        assert!(fs::symlink_metadata(path("link")).unwrap().is_symlink());
    }

    #[test]
    fn each_run_has_its_own_file_beside_the_one_that_was_named() {
        let name = |path: &str| numbered(Path::new(path), 3).to_str().unwrap().to_owned();
        let names = ["series.csv", "a/b.c/series", "x.tar.gz", ".hidden"].map(name);
        assert_eq!(names, ["series-3.csv", "a/b.c/series-3", "x.tar-3.gz", ".hidden-3"]);
    }

    #[test]
    fn one_file_is_recognised_under_two_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        assert!(same(&path("a"), &path("./a")));
        assert!(!same(&path("a"), &path("b")));
        fs::write(path("a"), "").unwrap();
        std::os::unix::fs::symlink(path("a"), path("link")).unwrap();
        assert!(same(&path("a"), &path("link")));
        assert!(!same(Path::new("/dev/null"), Path::new("/dev/null")));
    }
}
