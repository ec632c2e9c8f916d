//! Tracepoints: the numbers that tracefs gives to places in the kernel
//! (Documentation/trace/events.rst in the kernel's tree).

use std::path::PathBuf;
use std::{fs, io};

use alumet::{Host, sysfs};

/// Where tracefs is mounted, below `/sys`; before Linux 4.1 it was a part of debugfs.
const ROOTS: [&str; 2] = ["kernel/tracing", "kernel/debug/tracing"];

/// Why there is no number.
#[derive(Debug)]
pub enum Absent {
    /// No subsystem of this name; these are there.
    NoSystem(Vec<String>),
    /// No event of this name in the subsystem; these are there.
    NoEvent(Vec<String>),
    /// tracefs is in none of its places.
    NotMounted(PathBuf),
    /// This file is not for this user.
    NotReadable(PathBuf),
    /// This file does not hold a number, or cannot be read for another reason.
    Broken(PathBuf, io::Error),
}

/// The number of a tracepoint, for `perf_event_attr::config`.
pub fn id(host: &Host, system: &str, event: &str) -> Result<u64, Absent> {
    let mut not_readable = None;
    for root in ROOTS {
        let events = host.sysfs(root).join("events");
        let path = events.join(system).join(event).join("id");
        let read = sysfs::read(&path)
            .and_then(|text| text.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)));
        match read {
            Ok(id) => return Ok(id),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                not_readable = not_readable.or(Some(path))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => match events.try_exists() {
                Ok(true) if events.join(system).is_dir() => {
                    return Err(Absent::NoEvent(directories(events.join(system))));
                }
                Ok(true) => return Err(Absent::NoSystem(directories(events))),
                // The directory that tracefs is mounted on is always there.
                _ => {}
            },
            Err(error) => return Err(Absent::Broken(path, error)),
        }
    }
    Err(not_readable.map_or_else(|| Absent::NotMounted(host.sysfs(ROOTS[0])), Absent::NotReadable))
}

fn directories(dir: PathBuf) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
