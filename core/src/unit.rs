//! The systemd unit that this process runs in: what a service may do is set there, and cannot be changed from within.

use std::fs;
use std::path::{Path, PathBuf};

/// A service or a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// `burn.service`.
    pub name: String,
    /// Whether it is a user's manager that runs it, and not that of the machine.
    pub of_user: bool,
}

impl Unit {
    /// That of this process; `None` without systemd, and outside of all services and scopes.
    pub fn own() -> Option<Self> {
        Self::of_process(std::process::id() as i32)
    }

    /// The same, of another process.
    pub fn of_process(pid: i32) -> Option<Self> {
        let is_there = Path::new("/run/systemd/system").exists();
        let text = is_there.then(|| fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()).flatten()?;
        Self::of(&text)
    }

    /// From /proc/PID/cgroup. Where the v2 hierarchy is not the manager's, it has one of its own (`name=systemd`).
    fn of(text: &str) -> Option<Self> {
        text.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            let is_managed = controllers.is_empty() || controllers == "name=systemd";
            is_managed.then(|| Self::innermost(path)).flatten()
        })
    }

    /// A unit may have cgroups of its own making below it.
    fn innermost(path: &str) -> Option<Self> {
        let is_unit = |name: &&str| name.ends_with(".service") || name.ends_with(".scope");
        let mut units = path.split('/').filter(is_unit);
        let name = units.next_back()?.to_owned();
        Some(Self { name, of_user: units.any(is_user_manager) })
    }

    /// Whether it is a service, with the settings of one. A user's manager is none: it has its own services.
    pub fn is_service(&self) -> bool {
        self.name.ends_with(".service") && !is_user_manager(&self.name)
    }

    /// Whether `systemd-run` has made it: then there is no file to edit.
    fn is_transient(&self) -> bool {
        let runtime = match self.of_user {
            true => std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).unwrap_or_default(),
            false => "/run".into(),
        };
        runtime.join("systemd/transient").join(&self.name).exists()
    }

    /// How these settings (`Delegate=yes`) are made for this service, in words.
    pub fn how_to_set(&self, settings: &[&str]) -> String {
        match self.is_transient() {
            true => {
                let options: Vec<_> = settings.iter().map(|setting| format!("-p {setting}")).collect();
                format!("give systemd-run also `{}`", options.join(" "))
            }
            false => {
                let name = &self.name;
                format!("in {name}, below [Service], set {}, and start it anew", settings.join(" and "))
            }
        }
    }
}

fn is_user_manager(name: &str) -> bool {
    name.starts_with("user@")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privilege::tests::in_root;

    #[test]
    fn the_unit_is_the_innermost_one() {
        let unit = |text: &str| Unit::of(text).map(|unit| (unit.name, unit.of_user));
        let is = |name: &str, of_user| Some((name.to_owned(), of_user));
        assert_eq!(unit("0::/system.slice/burn.service\n"), is("burn.service", false));
        assert_eq!(unit("0::/system.slice/burn.service/main/x\n"), is("burn.service", false));
        let user = "/user.slice/user-1000.slice/user@1000.service";
        assert_eq!(unit(&format!("0::{user}/app.slice/run-r1.scope\n")), is("run-r1.scope", true));
        assert_eq!(unit(&format!("0::{user}\n")), is("user@1000.service", false));
        assert_eq!(unit("0::/user.slice/user-0.slice/session-1.scope\n"), is("session-1.scope", false));
        assert_eq!(
            unit("4:memory:/a\n1:name=systemd:/system.slice/b.service\n0::/\n"),
            is("b.service", false)
        );
        assert_eq!(unit("0::/docker/abc\n"), None);
    }

    fn unit(name: &str) -> Unit {
        Unit { name: name.into(), of_user: false }
    }

    #[test]
    fn a_service_is_one_that_somebody_has_written() {
        assert!(unit("burn.service").is_service());
        assert!(!unit("run-r1.scope").is_service() && !unit("user@1000.service").is_service());
    }

    #[test]
    fn a_unit_of_a_file_is_told_how_to_set_what_it_lacks() {
        let told = unit("no-such-unit.service").how_to_set(&["A=1", "B=2"]);
        assert_eq!(told, "in no-such-unit.service, below [Service], set A=1 and B=2, and start it anew");
    }

    #[test]
    fn without_systemd_there_is_no_unit() {
        let text = fs::read_to_string("/proc/self/cgroup").unwrap();
        let expected = Unit::of(&text).filter(|_| Path::new("/run/systemd/system").exists());
        assert_eq!(Unit::own(), expected);
    }

    #[test]
    fn the_unit_is_that_which_systemd_has_put_the_process_in() {
        let cgroup = format!("/proc/{}/cgroup", std::process::id());
        let files = [
            (cgroup.as_str(), "0::/system.slice/burn.service\n"),
            ("/proc/77/cgroup", "0::/system.slice/other.service\n"),
            ("/run/systemd/transient/other.service", "[Service]\n"),
        ];
        let test = "the_unit_is_that_which_systemd_has_put_the_process_in";
        let told = |files: &[_]| in_root(test, files, || (Unit::own(), Unit::of_process(77)));
        let Some(without_systemd) = told(&files) else { return };
        assert_eq!(without_systemd, (None, None));
        let with_systemd = [&files[..], &[("/run/systemd/system", "")]].concat();
        let found = (Some(unit("burn.service")), Some(unit("other.service")));
        assert_eq!(told(&with_systemd), Some(found));
        let how = |name| in_root(test, &files, || unit(name).how_to_set(&["A=1", "B=2"])).unwrap();
        assert_eq!(how("other.service"), "give systemd-run also `-p A=1 -p B=2`");
        assert!(how("burn.service").starts_with("in burn.service, below [Service], set A=1 and B=2"));
    }
}
