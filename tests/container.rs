//! In a container, advice names what can be done there or at its host.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use support::{Alumet, is_root, skip};

/// What `alumet doctor` prints as an ordinary user, in a namespace of its own, as containers have, or not; with a variable by
/// which their runtimes make themselves known.
fn doctor(namespace: &[&str], variable: Option<&str>) -> String {
    let mut alumet = Alumet::with(Command::new("env"), namespace);
    alumet.command.args(["setpriv", "--reuid=4242", "--regid=4242", "--clear-groups", "--bounding-set=-all"]);
    alumet.command.args(["bin/alumet", "doctor"]);
    std::fs::create_dir(alumet.path("bin")).unwrap();
    std::fs::copy(support::binary(), alumet.path("bin/alumet")).unwrap();
    std::fs::set_permissions(alumet.path(""), PermissionsExt::from_mode(0o777)).unwrap();
    for name in ["container", "KUBERNETES_SERVICE_HOST"] {
        alumet.command.env_remove(name);
    }
    if let Some(name) = variable {
        alumet.command.env(name, "x");
    }
    alumet.run().stdout
}

#[test]
fn no_advice_in_a_container_takes_what_only_the_host_has() {
    let test = "no_advice_in_a_container_takes_what_only_the_host_has";
    if !is_root(test) {
        return;
    }
    let elsewhere = doctor(&[], None);
    if !elsewhere.contains("sudo ") {
        skip(test, "an ordinary user gets no advice here, or this is a container itself");
        return;
    }
    for variable in ["container", "KUBERNETES_SERVICE_HOST"] {
        // A variable alone makes no container.
        assert_eq!(doctor(&[], Some(variable)).matches("sudo ").count(), elsewhere.matches("sudo ").count());
        let page = doctor(&["unshare", "--uts"], Some(variable));
        for word in ["sudo ", "setcap", "udev", "systemd-run"] {
            assert!(!page.contains(word), "{word}:\n{page}");
        }
        assert!(page.contains("--cap-add PERFMON"), "{page}");
    }
}
