//! Whether an application gets a cgroup of its own, and who can give it one.

use std::env;
use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use alumet::Target;
use alumet::unit::Unit;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::Uid;
use serde::Serialize;

/// What was found out.
#[derive(Debug, Serialize)]
pub struct Cgroup {
    pub delegated: bool,
    /// Why not.
    pub reason: String,
    /// What would change that, where systemd manages cgroups.
    pub remedy: String,
}

impl Cgroup {
    pub fn of(target: &Target) -> Self {
        match target.cgroup() {
            Ok(_) => Self { delegated: true, reason: String::new(), remedy: String::new() },
            Err(reason) => Self { delegated: false, reason: reason.to_owned(), remedy: remedy() },
        }
    }
}

fn remedy() -> String {
    let is_read_only =
        statvfs("/sys/fs/cgroup").is_ok_and(|place| place.flags().contains(FsFlags::ST_RDONLY));
    let user = Uid::effective();
    match Unit::own() {
        Some(unit) if unit.is_service() => {
            let read_only = is_read_only.then_some("ProtectControlGroups=no");
            let settings: Vec<_> = read_only.into_iter().chain(["Delegate=yes"]).collect();
            unit.how_to_set(&settings)
        }
        // A scope of one's own is below one's own manager.
        Some(_) if !is_read_only && !user.is_root() => {
            let environment = |name: &str| env::var_os(name);
            in_a_scope(user, environment, |path| UnixStream::connect(path).is_ok())
        }
        _ => String::new(),
    }
}

/// The command that runs an application in a scope of this user's manager. What it takes is in the environment after a
/// login, but not after `su`; and the manager runs for those alone who have logged in, or linger.
fn in_a_scope(
    user: Uid,
    environment: impl Fn(&str) -> Option<OsString>,
    answers: impl Fn(&Path) -> bool,
) -> String {
    let directory = PathBuf::from(format!("/run/user/{user}"));
    let bus = directory.join("bus");
    let mut words = String::new();
    if !answers(&bus) {
        words.push_str(&format!("sudo systemctl start user@{user}.service && "));
    }
    let expected = [
        ("XDG_RUNTIME_DIR", directory.display().to_string(), true),
        // Nobody needs it, but one that leads elsewhere is believed.
        ("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", bus.display()), false),
    ];
    for (name, value, is_needed) in expected {
        let is_right = match environment(name) {
            Some(set) => set.to_string_lossy().split(',').next() == Some(&*value),
            None => !is_needed,
        };
        if !is_right {
            words.push_str(&format!("{name}={value} "));
        }
    }
    words + "systemd-run --user --scope alumet exec ..."
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: &str = "systemd-run --user --scope alumet exec ...";

    fn command(variables: &[(&str, &str)], has_bus: bool) -> String {
        let environment =
            |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).into());
        in_a_scope(Uid::from_raw(1000), environment, |path| {
            has_bus && path == Path::new("/run/user/1000/bus")
        })
    }

    #[test]
    fn the_command_says_what_the_environment_lacks() {
        let runtime = ("XDG_RUNTIME_DIR", "/run/user/1000");
        let bus = ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/1000/bus");
        assert_eq!(command(&[runtime, bus], true), SCOPE);
        assert_eq!(command(&[runtime], true), SCOPE);
        assert_eq!(command(&[], true), format!("XDG_RUNTIME_DIR=/run/user/1000 {SCOPE}"));
        // After `su`, the variables of the one who has called it may be there.
        let others = [("XDG_RUNTIME_DIR", "/run/user/0"), (bus.0, "unix:path=/run/user/0/bus")];
        let own = format!("XDG_RUNTIME_DIR=/run/user/1000 {}={} {SCOPE}", bus.0, bus.1);
        assert_eq!(command(&others, true), own);
        assert_eq!(command(&others, false), format!("sudo systemctl start user@1000.service && {own}"));
    }
}
