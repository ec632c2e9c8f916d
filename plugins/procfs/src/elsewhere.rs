//! Programs that ask a service to do the work: what it starts for them descends from the service, wherever that is, and is
//! not counted. They are known by their names, since nothing else tells.

use std::fs;

use alumet::Gaps;

/// A program that asks.
struct Client {
    /// Its command name, at most 15 bytes.
    name: &'static str,
    /// Who does the work.
    service: &'static str,
    /// The words with which it asks for that; without any, it always does.
    verbs: &'static [&'static str],
    /// The word with which it does the work itself.
    itself: Option<&'static str>,
}

const fn client(name: &'static str, service: &'static str, verbs: &'static [&'static str]) -> Client {
    Client { name, service, verbs, itself: None }
}

const CONTAINERS: &[&str] = &["run", "start", "restart", "exec", "build", "buildx", "compose", "up"];
const UNITS: &[&str] = &["start", "restart", "try-restart", "reload-or-restart", "isolate"];

const CLIENTS: [Client; 16] = [
    client("at", "atd", &[]),
    client("batch", "atd", &[]),
    client("docker", "dockerd", CONTAINERS),
    client("docker-compose", "dockerd", CONTAINERS),
    client("podman-remote", "the podman service", CONTAINERS),
    client("nerdctl", "containerd", CONTAINERS),
    client("ctr", "containerd", CONTAINERS),
    client("crictl", "the container runtime", CONTAINERS),
    client("kubectl", "the cluster", &["run", "apply", "create", "exec", "debug"]),
    client("machinectl", "systemd", &["shell", "login", "start"]),
    client("run0", "systemd", &[]),
    client("systemctl", "systemd", UNITS),
    Client { itself: Some("--scope"), ..client("systemd-run", "systemd", &[]) },
    client("sbatch", "slurmd", &[]),
    client("srun", "slurmd", &[]),
    client("ssh", "the other machine", &[]),
];

impl Client {
    fn asks(&self, words: &[&str]) -> bool {
        let has = |verb: &str| words.contains(&verb);
        !self.itself.is_some_and(has) && (self.verbs.is_empty() || self.verbs.iter().any(|verb| has(verb)))
    }
}

/// Those that were seen.
#[derive(Debug)]
pub struct Elsewhere {
    gaps: Gaps,
    seen: Vec<&'static str>,
}

impl Elsewhere {
    /// Says it there.
    pub fn new(gaps: &Gaps) -> Self {
        Self { gaps: gaps.clone(), seen: Vec::new() }
    }

    /// A process has this name now. At the gate it has its command's, and alumet's words with those of the command in
    /// them: a client that is the application itself is seen however short it lives.
    pub fn see(&mut self, pid: i32, name: &[u8]) {
        let Some(client) = CLIENTS.iter().find(|client| client.name.as_bytes() == name) else { return };
        if self.seen.contains(&client.name) {
            return;
        }
        let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        if client.asks(&text.split('\0').collect::<Vec<_>>()) {
            self.seen.push(client.name);
            self.gaps.add(
                format!("what {} starts for {}", client.service, client.name),
                "it does not descend from the application",
                "attach to it, or put alumet into what is started",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_one_by_its_name_and_what_it_asks_for() {
        let asks = |line: &str| {
            let words: Vec<_> = line.split(' ').collect();
            CLIENTS.iter().find(|client| client.name == words[0]).is_some_and(|client| client.asks(&words))
        };
        assert!(asks("docker run alpine true"));
        assert!(!asks("docker ps"));
        assert!(asks("systemd-run --wait true"));
        assert!(!asks("systemd-run --user --scope true"));
        assert!(asks("systemctl start app"));
        assert!(!asks("systemctl is-active app"));
        assert!(asks("at now"));
        // As /proc/PID/cmdline ends.
        assert!(asks("at now "));
        assert!(!asks("podman run alpine true"), "it starts the container itself");
    }

    #[test]
    fn the_names_are_such_as_the_kernel_keeps() {
        assert!(CLIENTS.iter().all(|client| client.name.len() <= 15));
    }
}
