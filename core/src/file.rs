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
    use std::os::unix::fs::{PermissionsExt, symlink};

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
