//! The idle profile: the idle power of this machine, kept for later runs.
//!
//! It is the machine's, so root's is in `/var/lib/alumet` and everybody uses it; a user's own, in
//! `$XDG_STATE_HOME/alumet` (or `~/.local/state/alumet`), counts more. It is used where the machine, its kernel and its
//! meters are the same, and otherwise named with what differs.

use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;
use serde::{Deserialize, Serialize};
use tracing::debug;

use super::Idle;
use crate::config::{Doubt, open};
use crate::exit::Failure;
use crate::files::{Claims, Kind};
use crate::fingerprint::Fingerprint;

/// The name of this version of the format.
const SCHEMA: &str = "alumet.idle/1";
const SYSTEM: &str = "/var/lib/alumet/idle.json";

/// The document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    schema: String,
    host: Fingerprint,
    /// RFC 3339, UTC.
    pub measured: String,
    #[serde(flatten)]
    pub idle: Idle,
}

/// What is known of this machine's idle power.
#[derive(Debug, PartialEq)]
pub enum Known {
    /// This, from that file.
    Fits(Box<Saved>, PathBuf),
    /// There is a file, and it cannot be used.
    Unfit(PathBuf, String),
    Nothing,
}

/// The files, in the order in which they are looked for; or the one that was named.
fn places(named: Option<&Path>) -> Vec<PathBuf> {
    if let Some(path) = named {
        return vec![path.to_owned()];
    }
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let own = || {
        let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
        state.map(|state| state.join("alumet/idle.json"))
    };
    // Root's is the system's: under sudo, HOME may be somebody else's.
    let own = if Uid::effective().is_root() { None } else { own() };
    own.into_iter().chain([PathBuf::from(SYSTEM)]).collect()
}

/// Looks for a profile that fits this machine, and meters that are read like this and count that.
pub fn find(named: Option<&Path>, host: &Fingerprint, method: &str, domains: &[String]) -> Known {
    for path in places(named) {
        // Also one that was named: no number is worth believing that somebody else could have written.
        let file = match open(&path, false) {
            Ok(file) => file,
            Err(Doubt::Distrusted(why)) => return Known::Unfit(path, why),
            Err(Doubt::Unreadable(error)) => {
                debug!(path = %path.display(), %error, "read no idle profile here");
                continue;
            }
        };
        let Ok(text) = io::read_to_string(file) else { continue };
        return match serde_json::from_str::<Saved>(&text) {
            Ok(Saved { idle, .. }) if !idle.is_plausible() => {
                Known::Unfit(path, "it is no idle profile: its powers cannot be".into())
            }
            Ok(saved) => match saved.differences(host, method, domains) {
                differences if differences.is_empty() => Known::Fits(Box::new(saved), path),
                differences => {
                    Known::Unfit(path, format!("it is of another machine: {}", differences.join(", ")))
                }
            },
            Err(error) => Known::Unfit(path, format!("it is no idle profile: {error}")),
        };
    }
    Known::Nothing
}

/// Checks that the file which is there may be written over, before anything is measured for it.
pub fn check(named: Option<&Path>) -> Result<(), Failure> {
    let path = places(named).swap_remove(0);
    let mut claims = Claims::default();
    // The directories that are missing are made.
    claims.write("--save-idle", Kind::Idle, Some(&*path).filter(|path| path.exists())).check()
}

impl Saved {
    /// As measured now.
    pub fn now(host: Fingerprint, idle: Idle) -> Self {
        let measured = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
        Self { schema: SCHEMA.into(), host, measured, idle }
    }

    /// Writes it where it will be found.
    ///
    /// # Errors
    /// The file or its directory cannot be written, or there is no place for it; the path that was tried.
    pub fn write(&self, named: Option<&Path>) -> Result<PathBuf, (PathBuf, io::Error)> {
        let path = places(named).swap_remove(0);
        let write = || {
            alumet::file::Place::with_directories(&path)?;
            let mut text = serde_json::to_vec_pretty(self)?;
            text.push(b'\n');
            crate::files::replace(&path, Kind::Idle, |file| io::Write::write_all(file, &text))
        };
        write().map_err(|error| (path.clone(), error))?;
        Ok(path)
    }

    fn differences(&self, host: &Fingerprint, method: &str, domains: &[String]) -> Vec<String> {
        let mut differences = Vec::new();
        if self.schema != SCHEMA {
            differences.push(format!("its format is {}", self.schema));
        }
        differences.extend(self.host.differences(host));
        if self.idle.method != method {
            differences.push(format!("meter ({}, now {method})", self.idle.method));
        }
        if self.idle.domains != domains {
            differences.push(format!(
                "domains ({}, now {})",
                self.idle.domains.join(" + "),
                domains.join(" + ")
            ));
        }
        differences
    }
}
