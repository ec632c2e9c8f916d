//! Where a file that a user has named is, or will be: found so that nobody with fewer privileges can lead this process
//! elsewhere.
//!
//! A user's own rights protect him: there the kernel finds the file as it always does. For root, the path is walked from
//! directory to directory. A symbolic link is followed only where root alone can have made it: in a directory that is
//! root's alone, or, if the link is root's, in a sticky one like /tmp (as with `fs.protected_symlinks`, proc_sys_fs(5)).
//! The directory that is found stays open, so that another one in its place changes nothing.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, mkdirat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::unistd::Uid;

use crate::privilege::{as_user, is_in_user_namespace};

/// A name in a directory.
#[derive(Debug)]
pub struct Place {
    /// For a user, as it was given; for root, the name below the descriptor of the directory.
    path: PathBuf,
    held: Option<Held>,
}

/// What root has found.
#[derive(Debug)]
struct Held {
    directory: File,
    /// The name is a link of procfs, such as what /dev/stdout leads to: only the kernel can follow it.
    is_magic: bool,
}

impl Place {
    /// Finds the place. There need not be a file yet.
    ///
    /// # Errors
    /// A directory does not exist or cannot be searched; as root, a symbolic link is not to be trusted.
    pub fn of(path: &Path) -> io::Result<Self> {
        match Uid::effective().is_root() {
            true => walk(path, false),
            false => Ok(Self { path: path.to_owned(), held: None }),
        }
    }

    /// The same, and makes the directories that are missing.
    ///
    /// # Errors
    /// As for [`Self::of`], or a directory cannot be made.
    pub fn with_directories(path: &Path) -> io::Result<Self> {
        if Uid::effective().is_root() {
            return walk(path, true);
        }
        as_user(|| fs::create_dir_all(parent(path)))?;
        Self::of(path)
    }

    /// A path that leads there as long as this lives, for calls that follow no further link than this has.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether everything on the way is decided, and the name is no link.
    pub fn is_held(&self) -> bool {
        self.held.as_ref().is_some_and(|held| !held.is_magic)
    }

    /// Creates the file, or empties it.
    ///
    /// # Errors
    /// As for open(2). As root, what is there could be somebody else's trap.
    pub fn create(&self) -> io::Result<File> {
        self.open(OpenOptions::new().write(true).truncate(true))
    }

    /// Opens the file to write at its end; creates it if it does not exist.
    ///
    /// # Errors
    /// As for [`Self::create`].
    pub fn append(&self) -> io::Result<File> {
        self.open(OpenOptions::new().append(true))
    }

    fn open(&self, options: &mut OpenOptions) -> io::Result<File> {
        let Some(held) = &self.held else { return as_user(|| options.create(true).open(&self.path)) };
        let no_link = if held.is_magic { 0 } else { libc::O_NOFOLLOW };
        match OpenOptions::new().read(true).custom_flags(libc::O_PATH | no_link).open(&self.path) {
            Ok(file) => {
                held.judge(&file.metadata()?)?;
                // Exactly what was judged, whatever has got its name by now.
                options.open(by_descriptor(&file))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                options.create_new(true).open(&self.path)
            }
            Err(error) => Err(error),
        }
    }
}

impl Held {
    /// Root opens no file that somebody else could have put there for it to find: as `fs.protected_regular` and
    /// `fs.protected_hardlinks` have it, also where they are off.
    fn judge(&self, file: &Metadata) -> io::Result<()> {
        let directory = self.directory.metadata()?;
        if is_roots_alone(&directory) {
            return Ok(());
        }
        let refuse =
            |why: &str| Err(refusal(format!("{why} where others can write; as root, name another file")));
        match file.uid() {
            _ if file.is_symlink() => refuse("it is a symbolic link"),
            0 if file.is_file() && file.nlink() > 1 => refuse("it is a file of root that has other names"),
            0 => Ok(()),
            _ if !file.is_file() => refuse("it is a pipe or device of somebody else"),
            uid if uid == directory.uid() => Ok(()),
            uid => refuse(&format!("it belongs to uid {uid}, and is")),
        }
    }
}

/// A path to what is open, for the kernel to follow.
pub(crate) fn by_descriptor(file: &impl AsRawFd) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

fn refusal(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// Whether nobody else can have put anything there.
fn is_roots_alone(directory: &Metadata) -> bool {
    is_roots(directory) && directory.mode() & 0o022 == 0
}

/// In a user namespace, what is outside of it, the root of the machine included, shows as one user.
fn is_roots(metadata: &Metadata) -> bool {
    metadata.uid() == 0 || (metadata.uid() == OVERFLOW && is_in_user_namespace())
}

/// `kernel.overflowuid` (user_namespaces(7)).
const OVERFLOW: u32 = 65534;

/// Whether root alone can have made this link in this directory, and nobody can put another in its place.
fn is_trusted(link: &Metadata, directory: &Metadata) -> bool {
    let is_sticky = directory.mode() & libc::S_ISVTX != 0;
    is_roots_alone(directory) || (is_roots(directory) && is_sticky && link.uid() == 0)
}

/// As many links as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

fn walk(path: &Path, make: bool) -> io::Result<Place> {
    let mut here = open(AT_FDCWD, beginning(path), OFlag::O_DIRECTORY)?;
    // What is walked, in words of the user's.
    let mut shown = PathBuf::from(if path.is_absolute() { "/" } else { "" });
    let mut rest: VecDeque<OsString> = parts(path).collect();
    // A slash at the end wants a directory.
    if rest.is_empty() || path.as_os_str().as_bytes().ends_with(b"/") {
        rest.push_back(".".into());
    }
    let mut links = 0;
    while let Some(part) = rest.pop_front() {
        let is_last = rest.is_empty();
        let found = match open(&here, &part, OFlag::O_NOFOLLOW) {
            Err(Errno::ENOENT) if is_last => return Ok(held(here, &part, false)),
            Err(Errno::ENOENT) if make => {
                mkdirat(&here, &*part, Mode::from_bits_truncate(0o777))?;
                open(&here, &part, OFlag::O_NOFOLLOW)?
            }
            found => found?,
        };
        let metadata = found.metadata()?;
        shown.push(&part);
        if metadata.is_symlink() {
            if !is_trusted(&metadata, &here.metadata()?) {
                let which = if shown == path { "it".into() } else { shown.display().to_string() };
                return Err(refusal(format!(
                    "{which} is a symbolic link where others can write; as root, name the file itself"
                )));
            }
            if fstatfs(&here)?.filesystem_type() == PROC_SUPER_MAGIC {
                if is_last {
                    return Ok(held(here, &part, true));
                }
                here = open(&here, &part, OFlag::O_DIRECTORY)?;
                continue;
            }
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::ELOOP.into());
            }
            let to = PathBuf::from(readlinkat(&here, &*part)?);
            shown.pop();
            if to.is_absolute() {
                here = open(AT_FDCWD, beginning(&to), OFlag::O_DIRECTORY)?;
                shown.push("/");
            }
            parts(&to).rev().for_each(|part| rest.push_front(part));
            if rest.is_empty() {
                rest.push_back(".".into());
            }
        } else if is_last {
            return Ok(held(here, &part, false));
        } else if metadata.is_dir() {
            here = found;
        } else {
            return Err(Errno::ENOTDIR.into());
        }
    }
    unreachable!("the last part is the name")
}

fn open(directory: impl AsFd, name: impl AsRef<OsStr>, flags: OFlag) -> nix::Result<File> {
    let flags = flags | OFlag::O_PATH | OFlag::O_CLOEXEC;
    Ok(openat(directory, name.as_ref(), flags, Mode::empty())?.into())
}

fn beginning(path: &Path) -> &str {
    if path.is_absolute() { "/" } else { "." }
}

fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter(|part| *part != Component::RootDir).map(|part| part.as_os_str().to_owned())
}

fn held(directory: File, name: &OsStr, is_magic: bool) -> Place {
    Place { path: by_descriptor(&directory).join(name), held: Some(Held { directory, is_magic }) }
}

/// The directory that a path is in.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privilege::tests::{in_root, is_root};
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    /// Somebody else.
    const ALICE: Option<u32> = Some(4242);

    /// root's directory `own` with a precious file, a directory that everybody can write to, and one of Alice's.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            for (name, mode, owner) in
                [("own", 0o755, 0), ("sticky", 0o1777, 0), ("open", 0o777, 0), ("hers", 0o755, 4242)]
            {
                fs::create_dir(tree.at(name)).unwrap();
                fs::set_permissions(tree.at(name), PermissionsExt::from_mode(mode)).unwrap();
                chown(tree.at(name), Some(owner), None).unwrap();
            }
            fs::write(tree.at("own/precious"), "precious").unwrap();
            tree
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn link(&self, to: &str, name: &str, owner: Option<u32>) {
            symlink(self.at(to), self.at(name)).unwrap();
            std::os::unix::fs::lchown(self.at(name), owner, None).unwrap();
        }

        fn create(&self, name: &str) -> io::Result<File> {
            Place::of(&self.at(name))?.create()
        }

        /// It is neither created, appended to nor emptied.
        #[track_caller]
        fn refuses(&self, name: &str, why: &str) {
            let error = self.create(name).unwrap_err();
            assert!(error.to_string().contains(why), "{name}: {error}");
            let error = crate::file::append(&self.at(name)).unwrap_err();
            assert!(error.to_string().contains(why), "{name}: {error}");
            assert_eq!(fs::read(self.at("own/precious")).unwrap(), b"precious");
            assert_eq!(fs::read_dir(self.at("own")).unwrap().count(), 1, "{name}");
        }
    }

    #[test]
    fn root_is_led_nowhere_by_a_link_of_somebody_else() {
        if !is_root("root_is_led_nowhere_by_a_link_of_somebody_else") {
            return;
        }
        let tree = Tree::new();
        for (directory, owner) in
            [("hers", ALICE), ("hers", None), ("open", ALICE), ("open", None), ("sticky", ALICE)]
        {
            let _ = (
                fs::remove_file(tree.at(&format!("{directory}/way"))),
                fs::remove_file(tree.at(&format!("{directory}/end"))),
            );
            tree.link("own", &format!("{directory}/way"), owner);
            tree.link("own/precious", &format!("{directory}/end"), owner);
            let why = "is a symbolic link where others can write";
            tree.refuses(&format!("{directory}/end"), &format!("it {why}"));
            for file in ["precious", "new"] {
                let way = tree.at(&format!("{directory}/way"));
                tree.refuses(&format!("{directory}/way/{file}"), &format!("{} {why}", way.display()));
            }
            // Nor by one that a link of root's leads to.
            let _ = fs::remove_file(tree.at("via"));
            tree.link(directory, "via", None);
            tree.refuses("via/way/new", why);
            let error = Place::with_directories(&tree.at(&format!("{directory}/way/more/new"))).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn root_follows_links_of_root() {
        if !is_root("root_follows_links_of_root") {
            return;
        }
        let tree = Tree::new();
        tree.link("own", "way", None);
        tree.link("way/precious", "sticky/end", None);
        symlink("../sticky", tree.at("own/relative")).unwrap();
        fs::remove_file(tree.at("own/precious")).unwrap();
        tree.create("sticky/end").unwrap().write_all(b"1").unwrap();
        crate::file::append(&tree.at("way/relative/end")).unwrap().write_all(b"2").unwrap();
        crate::file::append(&tree.at("way/../own/./precious")).unwrap().write_all(b"3").unwrap();
        assert_eq!(fs::read(tree.at("own/precious")).unwrap(), b"123");
        tree.create("way/precious").unwrap();
        assert_eq!(fs::read(tree.at("own/precious")).unwrap(), b"");
        tree.link("b", "a", None);
        tree.link("a", "b", None);
        assert_eq!(tree.create("a").unwrap_err().raw_os_error(), Some(libc::ELOOP));
        // A slash at the end wants a directory, and so does no name at all.
        assert_eq!(tree.create("own/precious/").unwrap_err().raw_os_error(), Some(libc::ENOTDIR));
        let nothing = Place::of(Path::new("")).unwrap().create().unwrap_err();
        assert_eq!(nothing.raw_os_error(), Some(libc::EISDIR));
        assert_eq!(tree.create("none/new").unwrap_err().raw_os_error(), Some(libc::ENOENT));
        assert_eq!(tree.create("own/precious/new").unwrap_err().raw_os_error(), Some(libc::ENOTDIR));
        assert!(tree.create("own/").unwrap_err().raw_os_error() == Some(libc::EISDIR));
    }

    #[test]
    fn a_descriptor_is_written_to_by_its_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "old").unwrap();
        let by_name = by_descriptor(file.as_file());
        crate::file::append(&by_name).unwrap().write_all(b" and new").unwrap();
        assert_eq!(fs::read(file.path()).unwrap(), b"old and new");
        Place::of(&by_name).unwrap().create().unwrap();
        assert_eq!(fs::read(file.path()).unwrap(), b"");
    }

    #[test]
    fn root_writes_to_no_file_that_somebody_else_has_laid_out() {
        if !is_root("root_writes_to_no_file_that_somebody_else_has_laid_out") {
            return;
        }
        let tree = Tree::new();
        let file = |name: &str, owner| {
            fs::write(tree.at(name), "old").unwrap();
            chown(tree.at(name), owner, None).unwrap();
        };
        let fifo = |name: &str, owner| {
            nix::unistd::mkfifo(&tree.at(name), Mode::S_IRWXU).unwrap();
            chown(tree.at(name), owner, None).unwrap();
        };
        file("sticky/hers", ALICE);
        tree.refuses("sticky/hers", "it belongs to uid 4242");
        // That would wait for whoever reads.
        fifo("hers/pipe", ALICE);
        tree.refuses("hers/pipe", "it is a pipe or device of somebody else");
        fs::hard_link(tree.at("own/precious"), tree.at("hers/linked")).unwrap();
        tree.refuses("hers/linked", "it is a file of root that has other names");
        // What is hers in her directory, or root's own, is what was asked for.
        for (name, owner) in [("hers/a", ALICE), ("hers/b", None), ("sticky/c", None), ("own/d", ALICE)] {
            file(name, owner);
            tree.create(name).unwrap().write_all(b"new").unwrap();
            assert_eq!(fs::read(tree.at(name)).unwrap(), b"new");
        }
    }

    #[test]
    fn another_directory_in_its_place_changes_nothing() {
        if !is_root("another_directory_in_its_place_changes_nothing") {
            return;
        }
        let tree = Tree::new();
        let place = Place::with_directories(&tree.at("hers/results/of/file")).unwrap();
        fs::rename(tree.at("hers/results"), tree.at("hers/moved")).unwrap();
        tree.link("own", "hers/results", ALICE);
        fs::create_dir(tree.at("own/of")).unwrap();
        place.create().unwrap().write_all(b"new").unwrap();
        assert_eq!(fs::read(tree.at("hers/moved/of/file")).unwrap(), b"new");
        assert_eq!(fs::read_dir(tree.at("own/of")).unwrap().count(), 0);
    }

    #[test]
    fn a_user_is_served_by_the_kernel() {
        let directory = tempfile::tempdir().unwrap();
        symlink("real", directory.path().join("link")).unwrap();
        Place::of(&directory.path().join("link")).unwrap().create().unwrap().write_all(b"new").unwrap();
        assert_eq!(fs::read(directory.path().join("real")).unwrap(), b"new");
    }

    #[test]
    fn a_place_is_held_where_root_has_walked_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let is_root = Uid::effective().is_root();
        assert_eq!(Place::of(&directory.path().join("file")).unwrap().is_held(), is_root);
        // What the kernel follows in its own way is nobody's to hold.
        let file = File::open(directory.path()).unwrap();
        assert!(!Place::of(&by_descriptor(&file)).unwrap().is_held());
    }

    #[test]
    fn as_many_links_are_followed_as_the_kernel_follows() {
        if !is_root("as_many_links_are_followed_as_the_kernel_follows") {
            return;
        }
        let tree = Tree::new();
        tree.link("own/precious", "link1", None);
        (2..=41).for_each(|n| tree.link(&format!("link{}", n - 1), &format!("link{n}"), None));
        for name in ["link1", "link40"] {
            tree.create(name).unwrap();
            File::open(tree.at(name)).unwrap();
        }
        assert_eq!(tree.create("link41").unwrap_err().raw_os_error(), Some(libc::ELOOP));
        assert_eq!(File::open(tree.at("link41")).unwrap_err().raw_os_error(), Some(libc::ELOOP));
    }

    #[test]
    fn a_link_that_is_put_where_a_place_was_found_is_not_followed() {
        if !is_root("a_link_that_is_put_where_a_place_was_found_is_not_followed") {
            return;
        }
        let tree = Tree::new();
        for owner in [ALICE, None] {
            let place = Place::of(&tree.at("hers/new")).unwrap();
            tree.link("own/precious", "hers/new", owner);
            let error = place.create().unwrap_err().to_string();
            assert!(error.starts_with("it is a symbolic link where others can write"), "{error}");
            assert_eq!(fs::read(tree.at("own/precious")).unwrap(), b"precious");
            fs::remove_file(tree.at("hers/new")).unwrap();
        }
    }

    #[test]
    fn the_root_outside_of_a_user_namespace_shows_as_nobody() {
        let test = "the_root_outside_of_a_user_namespace_shows_as_nobody";
        if !is_root(test) {
            return;
        }
        let tree = Tree::new();
        let [own, hers, nobodys] = [("own", 0), ("hers", 4242), ("open", OVERFLOW)].map(|(name, owner)| {
            chown(tree.at(name), Some(owner), None).unwrap();
            fs::metadata(tree.at(name)).unwrap()
        });
        let map = [("/proc/self/uid_map", "0 1000 1\n")];
        let inside = in_root(test, &map, || [&own, &hers, &nobodys].map(is_roots));
        let Some(inside) = inside else { return };
        assert_eq!(inside, [true, false, true]);
        let map = [("/proc/self/uid_map", "0 0 4294967295\n")];
        assert_eq!(in_root(test, &map, || [&own, &hers, &nobodys].map(is_roots)), Some([true, false, false]));
    }

    #[test]
    fn a_name_alone_is_in_the_working_directory() {
        for (path, expected) in [("a", "."), ("a/b", "a"), ("/a", "/"), ("./a", "."), ("", ".")] {
            assert_eq!(parent(Path::new(path)), Path::new(expected), "{path}");
        }
    }
}
