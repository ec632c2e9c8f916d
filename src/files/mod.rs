//! Files that a user asked for: the one way in which they are opened.
//!
//! Everything that can be wrong with them is found by [`Claims::check`] before anything is touched. What an earlier run has
//! left is [removed](remove) when everything else is valid as well, and documents are [written whole](replace) at the end. Series
//! are written by their plugin, the application's output by itself; both are opened by [`alumet::file::start_over`]. Of what
//! is there, only a file of the same [kind] is ever written over.

pub mod kind;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use alumet::file::{FOREIGN, Place, already_open, beginning, descriptor, parent, reason};
use alumet::privilege::{self, CapabilitySet, as_user};
use nix::unistd::{AccessFlags, Uid};
use tracing::debug;

use crate::exit::{FAILED, Failure};
use crate::signals::was_closed;
pub use kind::Kind;

/// All files that a command is to write, and those that it reads or executes.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    written: Vec<Claim>,
    /// What they are, and where.
    read: Vec<(&'static str, PathBuf)>,
    executed: Vec<OsString>,
}

#[derive(Debug, Clone)]
struct Claim {
    /// As it is typed.
    option: &'static str,
    kind: Kind,
    path: PathBuf,
    /// If each of so many runs has [a file of its own](numbered).
    runs: Option<usize>,
}

impl Claims {
    /// This file is to be written, if there is one.
    pub fn write(&mut self, option: &'static str, kind: Kind, path: Option<&Path>) -> &mut Self {
        self.written.extend(path.map(|path| Claim { option, kind, path: path.to_owned(), runs: None }));
        self
    }

    /// The series are to be written, of repeated runs those of each.
    pub fn write_series(&mut self, path: Option<&Path>, runs: Option<usize>) -> &mut Self {
        let claim = |path: &Path| Claim { option: "-o", kind: Kind::Series, path: path.to_owned(), runs };
        self.written.extend(path.map(claim));
        self
    }

    /// This file is read, if there is one.
    pub fn read(&mut self, what: &'static str, path: Option<&Path>) -> &mut Self {
        self.read.extend(path.map(|path| (what, path.to_owned())));
        self
    }

    /// This is executed, if it is a program.
    pub fn execute(&mut self, program: &OsStr) -> &mut Self {
        self.executed.push(program.to_owned());
        self
    }

    /// The documents among what is to be written.
    pub fn documents(self) -> impl Iterator<Item = (PathBuf, Kind)> {
        let documents = self.written.into_iter().filter(|claim| claim.kind.is_document());
        documents.map(|claim| (claim.path, claim.kind))
    }

    /// Checks that all files can be written and nothing is lost by it, and changes nothing.
    ///
    /// # Errors
    /// The first thing that is wrong, in a line.
    pub fn check(&self) -> Result<(), Failure> {
        for (i, claim) in self.written.iter().enumerate() {
            for other in &self.written[..i] {
                other.check_apart(claim)?;
            }
            claim.check(self)?;
        }
        Ok(())
    }
}

impl Claim {
    /// Whether it is another file than this one.
    fn check_apart(&self, other: &Self) -> Result<(), Failure> {
        let (a, b) = (self.option, other.option);
        let (of_a, of_b) = (self.runs.is_some(), other.runs.is_some());
        if of_a == of_b && same(&self.path, &other.path) {
            let name = shown(&self.path);
            return Err(Failure::usage(format!("{a} and {b} both name {name}; give each its own file")));
        }
        let (series, file) = if of_a { (self, other) } else { (other, self) };
        if of_a != of_b && is_numbered(&file.path, &series.path) {
            let (a, b, name) = (series.option, file.option, shown(&file.path));
            return Err(Failure::usage(format!(
                "{a} of several runs and {b} both name {name}; give each its own file"
            )));
        }
        Ok(())
    }

    fn check(&self, all: &Claims) -> Result<(), Failure> {
        let refuse = |path: &Path, why: &str| {
            let (option, path) = (self.option, shown(path));
            Err(Failure::usage(format!("{option} {path}: {why}; name another file")))
        };
        let planned = self.runs.map(|runs| (1..=runs).map(|number| numbered(&self.path, number)));
        let single = self.runs.is_none().then(|| self.path.clone());
        if self.runs.is_some() && is_no_file(&self.path) {
            return Err(Failure::usage(format!(
                "-o {}: the series of several runs go to files of their own; name a file",
                self.path.display()
            )));
        }
        for path in planned.into_iter().flatten().chain(single) {
            if let Some((what, _)) = all.read.iter().find(|(_, other)| same(other, &path)) {
                return refuse(&path, &format!("it is {what}, which is read"));
            }
            let others = || all.written.iter().filter(|other| other.runs.is_none());
            if self.runs.is_some() && path.is_symlink() && others().any(|other| same(&other.path, &path)) {
                return refuse(&path, "it leads to another output");
            }
            if all.executed.iter().any(|program| program_of(program).is_some_and(|other| same(&other, &path)))
            {
                return refuse(&path, "it is what is to be run");
            }
            check(&path, self.kind)?;
        }
        Ok(())
    }
}

/// Whether it is, or leads to, what is no regular file.
fn is_no_file(path: &Path) -> bool {
    descriptor(path).is_some() || as_user(|| fs::metadata(path)).is_ok_and(|metadata| !metadata.is_file())
}

/// Where the program is, as execvp(3) finds it.
fn program_of(program: &OsStr) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Some(program.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// As a person calls it.
fn shown(path: &Path) -> String {
    if path == Path::new("-") { "stdout".into() } else { path.display().to_string() }
}

/// What there is to say of a file that cannot be written.
pub fn cannot_write(kind: Kind, path: &Path, error: &io::Error) -> String {
    format!("cannot write {} to {}: {}", kind.what(), shown(path), reason(error))
}

/// Checks that a file can be created, or be written over, without touching it.
fn check(path: &Path, kind: Kind) -> Result<(), Failure> {
    let fail = |why: String| Failure {
        status: FAILED,
        message: format!("cannot write {} to {}: {why}", kind.what(), shown(path)),
    };
    if let Some(number) = descriptor(path) {
        if was_closed(number) {
            return Err(fail("it is closed".into()));
        }
        if already_open(path).map_err(|error| fail(reason(&error)))?.is_some() {
            return Ok(());
        }
    }
    let look = |path: &Path| as_user(|| fs::metadata(path));
    let directory = parent(path);
    match look(directory) {
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
    // access(2) asks for the user's own rights.
    let is_allowed = |path: &Path, how| nix::unistd::access(path, how).map_err(io::Error::from);
    match look(path) {
        Ok(metadata) if metadata.is_dir() => return Err(fail("it is a directory".into())),
        Ok(metadata) if !metadata.is_file() => return Ok(()),
        Ok(_) => {
            is_allowed(path, AccessFlags::W_OK).map_err(|error| fail(reason(&error)))?;
            judge(&place, kind).map_err(|error| Failure::usage(fail(reason(&error)).message))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(fail(reason(&error))),
    }
    is_allowed(parent(path), AccessFlags::W_OK | AccessFlags::X_OK)
        .or_else(|error| if path.exists() { Ok(()) } else { Err(error) })
        .map_err(|error| fail(reason(&error)))
}

/// Whether a regular file may be written over: it is of this kind.
///
/// # Errors
/// It is not, or cannot be read.
fn judge(place: &Place, kind: Kind) -> io::Result<()> {
    match kind == Kind::AppOutput || kind.is_of(&beginning(&behind(place))?) {
        true => Ok(()),
        false => Err(io::Error::other(FOREIGN)),
    }
}

/// The capabilities that it takes, where the process has them, to [`replace`] the file later.
pub fn needed_capabilities(path: &Path) -> CapabilitySet {
    let writing = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    let mut needed = CapabilitySet::empty();
    // What its file lends to alumet is not for files of the user's.
    if privilege::is_lent()
        || descriptor(path).is_some()
        || !privilege::permitted().intersects(writing | CapabilitySet::FOWNER)
    {
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

/// Whether two paths lead to the same regular file, which may not exist yet; or both to stdout by its short name.
pub fn same(a: &Path, b: &Path) -> bool {
    if a == Path::new("-") || b == Path::new("-") {
        return a == b;
    }
    !is_no_file(a) && (a == b || named(a).is_some_and(|a| Some(a) == named(b)))
}

/// Where a path leads, with its directory as the kernel names it.
fn named(path: &Path) -> Option<PathBuf> {
    let path = leads_to(path);
    Some(as_user(|| fs::canonicalize(parent(&path))).ok()?.join(path.file_name()?))
}

/// Whether the file is [that of a run](numbered) of these series.
fn is_numbered(file: &Path, series: &Path) -> bool {
    let file = leads_to(file);
    let number = || {
        let [stem, of_series] = [&*file, series].map(|path| path.file_stem().map(OsStr::as_bytes));
        let number = stem?.strip_prefix(of_series?)?.strip_prefix(b"-")?;
        std::str::from_utf8(number).ok()?.parse().ok()
    };
    number().is_some_and(|number| same(&file, &numbered(series, number)))
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
/// name cannot be taken away, the file is emptied. What is not of this kind stays.
pub fn remove(path: &Path, kind: Kind) -> Result<(), Failure> {
    // What is open already, such as /dev/stdout, was emptied by whoever has opened it, or is to be written on.
    let is_open = |path: &Path| {
        let link = fs::read_link(path).map_or_else(|_| path.to_owned(), |to| parent(path).join(to));
        descriptor(path).is_some()
            || fs::canonicalize(parent(&link)).is_ok_and(|directory| directory.starts_with("/proc"))
    };
    as_user(|| {
        let old = Place::of(path).ok().filter(|_| !is_open(path)).map(|place| (behind(&place), place));
        let Some((path_of_old, place)) = old.filter(|(old, _)| old.is_file()) else { return Ok(()) };
        if judge(&place, kind).is_err() {
            return Ok(());
        }
        fs::remove_file(path_of_old).or_else(|_| place.create().map(drop))
    })
    .map_err(|error| Failure::failed(format!("cannot replace {}: {}", path.display(), reason(&error))))
}

/// Writes a file: a regular one through a temporary file beside it that then takes its name. What the application has put
/// there meanwhile is not written over.
pub fn replace(path: &Path, kind: Kind, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    debug!(path = %path.display(), "writes a document");
    if let Some(mut open) = already_open(path)? {
        return write(&mut open);
    }
    as_user(|| {
        let place = Place::of(path)?;
        let existing = fs::metadata(place.path()).ok();
        if existing.as_ref().is_some_and(|metadata| !metadata.is_file()) {
            return write(&mut place.create()?);
        }
        if existing.is_some() {
            judge(&place, kind)?;
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
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("p.json");
        replace(&path, Kind::AppOutput, |file| file.write_all(b"old")).unwrap();
        replace(&path, Kind::AppOutput, |file| {
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
            fs::write(path("old"), "# TYPE alumet_verdict").unwrap();
            remove(&path(name), Kind::Metrics).unwrap();
            assert!(!path("old").exists());
        }
        remove(&path("old"), Kind::Metrics).unwrap();
        remove(Path::new("/dev/null"), Kind::Metrics).unwrap();
        replace(&path("link"), Kind::Metrics, |file| file.write_all(b"new")).unwrap();
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

    #[test]
    fn the_file_of_a_run_is_recognised_by_any_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for (file, series, is) in [
            ("y-1.csv", "y.csv", true),
            ("./y-12.csv", "y.csv", true),
            ("y-0.csv", "y.csv", true),
            ("y-1", "y", true),
            ("x.tar-3.gz", "x.tar.gz", true),
            ("link", "y.csv", true),
            ("y-1.csv", "z/../y.csv", true),
            ("y.csv", "y.csv", false),
            ("y-01.csv", "y.csv", false),
            ("y-one.csv", "y.csv", false),
            ("y-1.json", "y.csv", false),
            ("z/y-1.csv", "y.csv", false),
        ] {
            fs::create_dir_all(path("z")).unwrap();
            let _ = std::os::unix::fs::symlink("y-7.csv", path("link"));
            assert_eq!(is_numbered(&path(file), &path(series)), is, "{file} of {series}");
        }
    }
}
