//! Energy and power from the sensors that the kernel shows in `/sys`.
//!
//! [`chips`], [`batteries`] and [`cray`] find the sensors of one kernel interface each, as a list of [`found`] devices.
//! A [`device`] has them open: its sensors, each a series of its own, and the condition on which they are read. A
//! [`sensor`] makes points of [`reading`]s; [`text`] makes sense of what is in the files.
//!
//! What is measured here may be measured by others as well (the CPU by RAPL, a GPU by its driver's library) and sensors
//! contain each other (a board contains its CPU). So these series stand for themselves: nothing may be added to them, or
//! they to anything. They are known by the label [`alumet::conventions::SENSOR_CHIP`].

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod batteries;
pub mod chips;
pub mod cray;
pub mod device;
pub mod found;
pub mod reading;
pub mod sensor;
pub mod text;

use std::collections::HashSet;

use alumet::{Availability, Host, Interval, Missing, Plugin, Setup, Unavailable};
use anyhow::bail;
use serde::{Deserialize, Serialize};

use device::{Device, Devices};
use found::Found;

/// The settings of the plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time between two readings. Many sensors have nothing new more often than ten times a second.
    pub interval: Interval,
}

impl Default for Config {
    fn default() -> Self {
        Self { interval: Interval::from_millis(100) }
    }
}

/// The plugin.
#[derive(Debug)]
pub struct Hwmon;

impl Plugin for Hwmon {
    const NAME: &'static str = "hwmon";
    const ABOUT: &'static str = "energy and power sensors of chips, boards and batteries";
    /// Most machines have none.
    const MISSED: &'static str = "";
    type Config = Config;

    fn probe(_: &Config, host: &Host) -> Availability {
        let found = find(host);
        let mut results = found.iter().map(Found::try_open);
        match results.next() {
            None => Availability::Unavailable(none(host).into()),
            Some(Err(obstacle)) if !results.any(|result| result.is_ok()) => {
                let devices: Vec<_> = found.iter().map(|found| found.device.as_str()).collect();
                // That there is something, and it cannot be read, is to be said.
                Availability::Unavailable(Missing {
                    what: format!("sensors of {}", devices.join(", ")),
                    reason: obstacle.to_string(),
                    remedy: obstacle.remedy(),
                    ..Missing::default()
                })
            }
            Some(_) => Availability::Available,
        }
    }

    fn start(config: Config, setup: &mut Setup<'_>) -> anyhow::Result<()> {
        let mut names = HashSet::new();
        let mut devices = Vec::new();
        let found = find(setup.host());
        if found.is_empty() {
            return Err(none(setup.host()).into());
        }
        for found in found {
            devices.extend(Device::open(found, &mut names, setup)?);
        }
        if devices.is_empty() {
            bail!("no energy or power sensor can be read here");
        }
        // A driver may have to wake the device, or to wait for a slow bus.
        let devices = Devices::new(devices, setup);
        setup.blocking_source("sensors", config.interval, devices);
        Ok(())
    }
}

fn none(host: &Host) -> Unavailable {
    let why = if host.is_virtual() { ": this is a virtual machine" } else { "" };
    Unavailable { reason: format!("no energy or power sensor here{why}"), remedy: String::new() }
}

/// All devices with an energy or power sensor.
pub fn find(host: &Host) -> Vec<Found> {
    let mut found = chips::find(host);
    found.extend(batteries::find(host));
    found.extend(cray::find(host));
    found
}
