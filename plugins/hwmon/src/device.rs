//! The devices with their sensors open, which are the source, and what is said of those that cannot be read.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alumet::{Batch, Clock, Gaps, Series, Setup, Source};
use tracing::info;

use crate::found::{Condition, Found, names, word};
use crate::reading::{LONGEST, Trouble, bytes, number};
use crate::sensor::Sensor;

/// The source: all devices.
#[derive(Debug)]
pub struct Devices {
    devices: Vec<Device>,
    clock: Arc<dyn Clock>,
    gaps: Gaps,
}

impl Devices {
    /// A source of these devices that says at its end what could not be measured.
    pub fn new(devices: Vec<Device>, setup: &Setup<'_>) -> Self {
        Self { devices, clock: Arc::clone(setup.clock()), gaps: setup.gaps().clone() }
    }
}

impl Source for Devices {
    fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let clock = &*self.clock;
        self.devices.iter_mut().for_each(|device| device.poll(clock, out));
        Ok(())
    }

    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let sensors = self.devices.iter().flat_map(|device| &device.sensors);
        sensors.for_each(|sensor| sensor.finish(out));
        self.devices.iter().for_each(|device| device.report(&self.gaps));
        Ok(())
    }
}

/// A device whose sensors are open.
#[derive(Debug)]
pub struct Device {
    name: String,
    gate: Gate,
    sensors: Vec<Sensor>,
}

impl Device {
    /// Opens what can be opened and says what cannot; `None` if nothing can. A sensor whose name is `taken` by one that
    /// is otherwise described alike gets a longer one.
    ///
    /// # Errors
    /// A metric is known already with another meaning.
    pub fn open(
        found: Found,
        taken: &mut HashSet<Series>,
        setup: &Setup<'_>,
    ) -> anyhow::Result<Option<Self>> {
        let Found { device, chip, condition, sensors: channels } = found;
        let gate = match condition.open() {
            Ok(file) => Gate::new(&condition, file),
            Err(obstacle) => {
                info!(device, reason = %obstacle, "a device was refused");
                setup.gaps().add(device, obstacle.to_string(), obstacle.remedy());
                return Ok(None);
            }
        };
        let (mut sensors, mut gaps) = (Vec::new(), Vec::new());
        for mut channel in channels {
            // The method tells series apart as well, but not every output shows it.
            while !taken.insert(channel.series(&chip).method("")) {
                channel.name = format!("{} ({})", channel.name, channel.method);
            }
            match channel.open() {
                Ok(files) => {
                    info!(device, sensor = channel.title(), file = %channel.file.display(), "found a sensor");
                    let uncertainty =
                        channel.uncertainty(&chip).map(|series| setup.series(series)).transpose()?;
                    let series = setup.series(channel.series(&chip))?;
                    sensors.push(Sensor::new(&channel, files, series, uncertainty));
                }
                Err(obstacle) => {
                    info!(device, sensor = channel.title(), reason = %obstacle, "a sensor was refused");
                    gaps.push(Gap {
                        of: channel.title(),
                        reason: obstacle.reason(),
                        remedy: obstacle.remedy(),
                    });
                }
            }
        }
        say(&gaps, &device, setup.gaps());
        Ok((!sensors.is_empty()).then_some(Self { name: device, gate, sensors }))
    }

    fn poll(&mut self, clock: &dyn Clock, out: &mut Batch) {
        match self.gate.look() {
            Look::Read => self.sensors.iter_mut().for_each(|sensor| sensor.poll(clock.now(), out)),
            Look::NothingNew => self.sensors.iter_mut().for_each(|sensor| sensor.rest(clock.now())),
            Look::NotNow => self.sensors.iter_mut().for_each(Sensor::interrupt),
        }
    }

    fn report(&self, gaps: &Gaps) {
        if let Some((reason, remedy)) = self.gate.gap() {
            gaps.add(&self.name, reason, remedy);
        }
        let gap = |of: &str, reason| Gap { of: of.to_owned(), reason, remedy: String::new() };
        let of_sensor = |sensor: &Sensor| {
            sensor.gaps().into_iter().map(|reason| gap(sensor.name(), reason)).collect::<Vec<_>>()
        };
        say(&self.sensors.iter().flat_map(of_sensor).collect::<Vec<_>>(), &self.name, gaps);
    }
}

/// The condition on which a device is read, with its file open.
#[derive(Debug)]
struct Gate {
    condition: Kind,
    looks: u64,
    /// So often there was nothing to read.
    closed: u64,
    trouble: Option<Trouble>,
}

#[derive(Debug)]
enum Kind {
    Always,
    Fresh {
        file: File,
        last: Option<u64>,
    },
    Discharging {
        status: File,
        /// Where the batteries and the adapters are.
        supplies: Option<PathBuf>,
    },
}

enum Look {
    /// The sensors are to be read.
    Read,
    /// They are as they were.
    NothingNew,
    /// What they say does not count.
    NotNow,
}

impl Gate {
    fn new(condition: &Condition, file: Option<File>) -> Self {
        let condition = match (condition, file) {
            (Condition::Fresh(_), Some(file)) => Kind::Fresh { file, last: None },
            (Condition::Discharging(path), Some(status)) => {
                Kind::Discharging { status, supplies: path.ancestors().nth(2).map(Path::to_owned) }
            }
            (_, _) => Kind::Always,
        };
        Self { condition, looks: 0, closed: 0, trouble: None }
    }

    fn look(&mut self) -> Look {
        let look = match &mut self.condition {
            Kind::Always => Look::Read,
            // If it cannot be told whether there is something new, there may be.
            Kind::Fresh { file, last } => match number(file, "") {
                Ok(now) if last.replace(now) == Some(now) => Look::NothingNew,
                _ => Look::Read,
            },
            Kind::Discharging { status, .. } => match bytes(status, &mut [0; LONGEST]) {
                Ok(status) if status.trim_ascii() == b"Discharging" => Look::Read,
                Ok(_) => Look::NotNow,
                Err(trouble) => {
                    self.trouble = Some(trouble);
                    Look::NotNow
                }
            },
        };
        self.looks += 1;
        self.closed += u64::from(!matches!(look, Look::Read));
        look
    }

    /// Whether an adapter feeds the machine (`online` in Documentation/ABI/testing/sysfs-class-power).
    fn is_on_mains(&self) -> bool {
        let Kind::Discharging { supplies: Some(supplies), .. } = &self.condition else { return false };
        names(supplies).iter().any(|name| {
            let says = |file: &str| word(&supplies.join(name).join(file)).unwrap_or_default();
            says("type") != "Battery" && says("online") == "1"
        })
    }

    /// What was not measured, in words, and what would change that.
    fn gap(&self) -> Option<(String, &'static str)> {
        let Self { closed, looks, .. } = self;
        match &self.condition {
            _ if *closed == 0 => None,
            Kind::Fresh { .. } => {
                let never = closed + 1 == *looks;
                never.then(|| ("the counters were not updated during the run".into(), ""))
            }
            _ => Some(match self.trouble {
                Some(trouble) => (format!("its status is not known: {trouble}"), ""),
                None if closed == looks => {
                    let remedy = if self.is_on_mains() { "unplug the mains" } else { "" };
                    ("it is not discharging".into(), remedy)
                }
                None => (format!("it was not discharging at {closed} of {looks} readings"), ""),
            }),
        }
    }
}

/// What is missing of a sensor.
struct Gap {
    of: String,
    reason: String,
    remedy: String,
}

/// So many sensors with the same gap are named.
const NAMED: usize = 3;

/// Adds the gaps of a device, those with the same reason as one.
fn say(list: &[Gap], device: &str, gaps: &Gaps) {
    for (i, gap) in list.iter().enumerate() {
        let same = |other: &&Gap| other.reason == gap.reason;
        if list[..i].iter().any(|other| same(&other)) {
            continue;
        }
        let names: Vec<_> = list.iter().filter(same).map(|other| other.of.as_str()).collect();
        let more = names.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let what = format!("{}{more} of {device}", names[..names.len().min(NAMED)].join(", "));
        gaps.add(what, &*gap.reason, &*gap.remedy);
    }
}
