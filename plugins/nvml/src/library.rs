//! Which library is loaded. With privileges, none that somebody with fewer could have written: its code would run with
//! them.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use alumet::file::exposure;
use alumet::privilege::is_lent;
use nix::unistd::Uid;

use crate::refusal::Refusal;

/// The name under which drivers install it.
const NAME: &str = "libnvidia-ml.so.1";

/// What to hand to dlopen(3): the library that was asked for, or the name that the loader looks up.
///
/// # Errors
/// Others can write to the file, or put another in its place, and this process has rights that they lack.
pub fn to_load(asked: Option<&Path>) -> Result<OsString, Refusal> {
    let Some(path) = asked else { return Ok(NAME.into()) };
    // A name without a directory is looked up where only root installs libraries; what cannot be found cannot be loaded.
    let Ok(real) = fs::canonicalize(path) else { return Ok(path.into()) };
    if path.components().count() < 2 {
        return Ok(path.into());
    }
    match is_privileged().then(|| exposure(&real)).flatten() {
        Some(why) => Err(Refusal::new(
            format!(
                "nvml.library is refused: with privileges, only what is root's alone is loaded, and {why}"
            ),
            "let it and the directories above it belong to root, and take the others' right to write",
        )),
        None => Ok(real.into()),
    }
}

/// Whether this process has more rights than its user: it is root's, or its file carries capabilities.
fn is_privileged() -> bool {
    Uid::effective().is_root() || is_lent()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn with_privileges_and_only_then_what_others_can_write_is_refused() {
        let is_root = Uid::effective().is_root();
        let directory = tempfile::tempdir().unwrap();
        let library = directory.path().join("libnvidia-ml.so.1");
        fs::write(&library, "").unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        mode(&library, 0o644);
        assert!(to_load(Some(&library)).is_ok());
        mode(&library, 0o666);
        let refused = to_load(Some(&library)).err().map(|refusal| refusal.reason);
        assert_eq!(refused.is_some(), is_root, "an ordinary user loads what he likes");
        assert!(refused.is_none_or(|reason| reason.contains("it can be written by others")));
        mode(&library, 0o644);
        mode(directory.path(), 0o777);
        assert_eq!(to_load(Some(&library)).is_err(), is_root);
        mode(directory.path(), 0o700);
        if std::os::unix::fs::chown(&library, Some(1000), None).is_err() {
            // Past the test harness, which would keep it to itself.
            let _ = writeln!(std::io::stderr(), "skipped: a library of another user: needs root");
            return;
        }
        assert_eq!(to_load(Some(&library)).is_err(), is_root);
    }

    #[test]
    fn a_name_is_left_to_the_loader() {
        assert_eq!(to_load(None).unwrap(), NAME);
        assert_eq!(to_load(Some(Path::new("libother.so"))).unwrap(), "libother.so");
    }
}
