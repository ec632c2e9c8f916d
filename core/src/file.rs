//! Opening files that a user has named, also with privileges.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::unistd::Uid;

/// The directory that a path is in.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether somebody with fewer privileges could put a link in the place of this file: this process is root's, and the
/// directory is not root's alone.
pub fn is_exposed(path: &Path) -> bool {
    let others_can_write = |metadata: fs::Metadata| metadata.uid() != 0 || metadata.mode() & 0o022 != 0;
    Uid::effective().is_root() && fs::metadata(parent(path)).is_ok_and(others_can_write)
}

/// Who else than root could have written a file, or put another in its place: the first reason found at the file itself
/// or at a directory above it. `None` says that root alone could.
pub fn exposure(path: &Path) -> Option<String> {
    let examined = || {
        let file = fs::symlink_metadata(path)?;
        if file.is_symlink() {
            return Ok(Some("it is a symbolic link".to_owned()));
        }
        let own = hand_of_others(&file).map(|why| format!("it {why}"));
        if own.is_some() {
            return Ok(own);
        }
        for place in fs::canonicalize(parent(path))?.ancestors() {
            if let Some(why) = hand_of_others(&fs::metadata(place)?) {
                return Ok(Some(format!("{} {why}", place.display())));
            }
        }
        Ok(None)
    };
    examined().unwrap_or_else(|error: io::Error| Some(format!("it cannot be examined: {}", reason(&error))))
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

/// Creates a file, or empties it. Where it [is exposed](is_exposed), a symbolic link is not followed.
///
/// # Errors
/// As for open(2); ELOOP for a link that is not followed.
pub fn create(path: &Path) -> io::Result<File> {
    let flags = if is_exposed(path) { libc::O_NOFOLLOW } else { 0 };
    OpenOptions::new().write(true).create(true).truncate(true).custom_flags(flags).open(path)
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
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    #[test]
    fn what_is_roots_alone_is_so_with_every_directory_above_it() {
        if !Uid::effective().is_root() {
            println!("skipped: what_is_roots_alone_is_so_with_every_directory_above_it: needs root");
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
    fn root_follows_no_link_where_others_can_write() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "precious").unwrap();
        symlink(&file, &link).unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        if Uid::effective().is_root() {
            assert_eq!(create(&link).unwrap_err().raw_os_error(), Some(libc::ELOOP));
            assert_eq!(fs::read(&file).unwrap(), b"precious");
        }
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        create(&link).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"");
    }
}
