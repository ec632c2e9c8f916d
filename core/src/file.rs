//! Opening files that a user has named, also with privileges.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

pub use crate::place::Place;
use crate::place::by_descriptor;

/// The directory that a path is in.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

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

/// Creates a file, or empties it, at the [`Place`] of this path.
///
/// # Errors
/// As for [`Place::of`] and [`Place::create`].
pub fn create(path: &Path) -> io::Result<File> {
    Place::of(path)?.create()
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
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_lowercase(),
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
}
