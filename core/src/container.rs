//! Whether this process is in a container.

use std::path::Path;

/// Whether this process is in a container, as far as that shows: then what is to be changed at the machine is changed
/// outside. Docker and podman leave a file, systemd-nspawn and podman a variable, Kubernetes another. An image of theirs may
/// have become a whole machine; but no container has all namespaces of the machine.
pub fn is_in_container() -> bool {
    let has_file = ["/.dockerenv", "/run/.containerenv", "/run/systemd/container"]
        .iter()
        .any(|path| Path::new(path).exists());
    let has_variable =
        || ["container", "KUBERNETES_SERVICE_HOST"].iter().any(|name| std::env::var_os(name).is_some());
    (has_file || has_variable()) && !FIRST_NAMESPACES.iter().all(|(name, number)| is_namespace(name, *number))
}

/// The numbers of those that the machine starts with (`linux/proc_ns.h`).
const FIRST_NAMESPACES: [(&str, u32); 3] = [("ipc", 0xEFFF_FFFF), ("uts", 0xEFFF_FFFE), ("pid", 0xEFFF_FFFC)];

fn is_namespace(name: &str, number: u32) -> bool {
    std::fs::read_link(format!("/proc/self/ns/{name}"))
        .is_ok_and(|link| link == Path::new(&format!("{name}:[{number}]")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privilege::tests::in_root;

    #[test]
    fn a_container_has_a_file_or_a_variable_and_not_all_namespaces_of_the_machine() {
        if ["container", "KUBERNETES_SERVICE_HOST"].iter().any(|name| std::env::var_os(name).is_some()) {
            assert_eq!(
                is_in_container(),
                !FIRST_NAMESPACES.iter().all(|(name, number)| is_namespace(name, *number))
            );
            return;
        }
        let is_container = |files: &[(&str, &str)]| {
            let test = "a_container_has_a_file_or_a_variable_and_not_all_namespaces_of_the_machine";
            in_root(test, files, is_in_container)
        };
        let Some(plain) = is_container(&[]) else { return };
        assert!(!plain);
        // As they read on the machine itself.
        let ipc = ("/proc/self/ns/ipc", "-> ipc:[4026531839]");
        let uts = ("/proc/self/ns/uts", "-> uts:[4026531838]");
        let pid = ("/proc/self/ns/pid", "-> pid:[4026531836]");
        for marker in ["/.dockerenv", "/run/.containerenv", "/run/systemd/container"] {
            let marker = (marker, "x");
            assert_eq!(is_container(&[marker]), Some(true));
            assert_eq!(is_container(&[marker, ipc, uts]), Some(true));
            assert_eq!(
                is_container(&[marker, ipc, uts, ("/proc/self/ns/pid", "-> pid:[4026532200]")]),
                Some(true)
            );
            assert_eq!(
                is_container(&[marker, ipc, uts, pid]),
                Some(false),
                "an image that has become a machine"
            );
        }
        assert_eq!(is_container(&[ipc, uts]), Some(false));
    }
}
