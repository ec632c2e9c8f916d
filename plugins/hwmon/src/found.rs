//! What was found in `/sys`, before anything of it is open.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use alumet::file::reason;
use alumet::privilege::sudo;
use alumet::sysfs;

use crate::reading::{LONGEST, number};
use crate::text;

/// A device and its sensors.
#[derive(Debug)]
pub struct Found {
    /// As a person finds it: `hwmon3 amdgpu`, `battery BAT0`.
    pub device: String,
    /// The chip's name, which others may share.
    pub chip: String,
    /// When its sensors are to be read.
    pub condition: Condition,
    /// At least one.
    pub sensors: Vec<Channel>,
}

/// When the sensors of a device are to be read.
#[derive(Debug)]
pub enum Condition {
    /// At every poll.
    Always,
    /// When the number in this file has changed.
    Fresh(PathBuf),
    /// While this file says `Discharging`.
    Discharging(PathBuf),
}

/// A sensor.
#[derive(Debug)]
pub struct Channel {
    /// What it measures.
    pub quantity: Quantity,
    /// The kind and the id of what it is about.
    pub resource: (&'static str, String),
    /// Its name.
    pub name: String,
    /// Which kernel interface, and which file there.
    pub method: String,
    /// The file.
    pub file: PathBuf,
    /// The file by whose number that of the other is to be multiplied: of power that is voltage times current.
    pub times: Option<PathBuf>,
    /// So many of the numbers' units are one joule or one watt.
    pub per_unit: f64,
    /// The unit that may follow the number in the file.
    pub written: &'static str,
}

/// What a sensor measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Energy used since some time in the past.
    EnergyUsed,
    /// Energy that is left in a battery.
    EnergyLeft,
    /// Power, with a sign.
    Power,
    /// Power that is drawn; some drivers show it below zero.
    PowerDrawn,
}

impl Quantity {
    /// Whether it is energy, which is counted, and not power.
    pub const fn is_energy(self) -> bool {
        matches!(self, Self::EnergyUsed | Self::EnergyLeft)
    }

    /// `energy` or `power`.
    pub const fn word(self) -> &'static str {
        if self.is_energy() { "energy" } else { "power" }
    }
}

impl Found {
    /// Whether one of the sensors can be opened.
    ///
    /// # Errors
    /// None can: what is in the way of the first.
    pub fn try_open(&self) -> Result<(), NotOpened> {
        self.condition.open()?;
        let mut results = self.sensors.iter().map(|sensor| sensor.open().map(drop));
        let first = results.next().unwrap_or(Ok(()));
        if results.any(|result| result.is_ok()) { Ok(()) } else { first }
    }
}

impl Condition {
    /// Opens the file that it depends on, if there is one.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(&self) -> Result<Option<File>, NotOpened> {
        match self {
            Self::Always => Ok(None),
            Self::Fresh(file) | Self::Discharging(file) => open(file).map(Some),
        }
    }
}

impl Channel {
    /// Opens its files.
    ///
    /// # Errors
    /// One of them cannot be opened.
    pub fn open(&self) -> Result<(File, Option<File>), NotOpened> {
        Ok((open(&self.file)?, self.times.as_deref().map(open).transpose()?))
    }

    /// Whether there is a value now. Drivers make files that they cannot fill, for hardware that has not what others have.
    fn has_value(&self) -> bool {
        let files = [Some(&self.file), self.times.as_ref()].into_iter().flatten();
        files
            .map(|path| sysfs::open(path))
            .all(|file| file.is_ok_and(|file| number::<i64>(&file, self.written).is_ok()))
    }

    /// Of several ways to the same value, the first that has one now, or the first.
    pub fn best(mut ways: Vec<Self>) -> Option<Self> {
        let best = if ways.len() > 1 { ways.iter().position(Self::has_value) } else { None };
        (!ways.is_empty()).then(|| ways.swap_remove(best.unwrap_or(0)))
    }

    /// What it measures and its name, which may say so already.
    pub fn title(&self) -> String {
        let word = self.quantity.word();
        let says_so = self.name.to_lowercase().contains(word);
        if says_so { self.name.clone() } else { format!("{word} {}", self.name) }
    }
}

fn open(file: &Path) -> Result<File, NotOpened> {
    sysfs::open(file).map_err(|error| NotOpened { file: file.to_owned(), error })
}

/// A file that could not be opened.
#[derive(Debug)]
pub struct NotOpened {
    file: PathBuf,
    error: io::Error,
}

impl NotOpened {
    /// Why, without the name of the file.
    pub fn reason(&self) -> String {
        reason(&self.error)
    }

    /// What would change that; empty if nothing is known to.
    pub fn remedy(&self) -> String {
        match self.error.kind() {
            io::ErrorKind::PermissionDenied => sudo("exec --user \"$USER\" ..."),
            _ => String::new(),
        }
    }
}

impl fmt::Display for NotOpened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot open {}: {}", self.file.display(), self.reason())
    }
}

/// The names of what is in a directory, in the order of their numbers; none if it cannot be read.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    names
}

/// The name or word in a file; `None` if it cannot be read or is empty.
pub fn word(file: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    sysfs::open(file).ok()?.take(LONGEST as u64).read_to_end(&mut bytes).ok()?;
    text::name(&bytes)
}
