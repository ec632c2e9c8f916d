//! The batteries in `/sys/class/power_supply`, of which what they give is measured.
//!
//! Documentation/ABI/testing/sysfs-class-power and Documentation/power/power_supply_class.rst: `power_now` in microwatts,
//! `current_now` in microamperes, `voltage_now` in microvolts, `energy_now` in microwatt-hours. Drivers do not agree on the
//! sign of the first two, so `status` alone says in which direction it goes.

use std::path::Path;

use alumet::Host;

use crate::found::{Channel, Condition, Found, Quantity, names, word};

/// The batteries that the machine runs on.
pub fn find(host: &Host) -> Vec<Found> {
    let class = host.sysfs("class/power_supply");
    names(&class).iter().filter_map(|name| battery(&class.join(name), name)).collect()
}

fn battery(directory: &Path, name: &str) -> Option<Found> {
    let is_battery = word(&directory.join("type")).as_deref() == Some("Battery");
    // That of a mouse or a headset.
    let is_elsewhere = word(&directory.join("scope")).as_deref() == Some("Device");
    if !is_battery || is_elsewhere {
        return None;
    }
    let sensor = |quantity: Quantity, file: &str, times: Option<&str>, per_unit| {
        let paths = [Some(file), times].map(|file| file.map(|file| directory.join(file)));
        paths.iter().flatten().all(|path| path.exists()).then(|| Channel {
            quantity,
            resource: ("battery", name.to_owned()),
            name: quantity.word().to_owned(),
            method: format!(
                "power_supply {file}{}",
                times.map_or_else(String::new, |file| format!(" * {file}"))
            ),
            file: directory.join(file),
            times: times.map(|file| directory.join(file)),
            per_unit,
            written: "",
        })
    };
    let power = [
        sensor(Quantity::PowerDrawn, "power_now", None, 1e6),
        sensor(Quantity::PowerDrawn, "current_now", Some("voltage_now"), 1e12),
    ];
    let power = Channel::best(power.into_iter().flatten().collect());
    let energy = sensor(Quantity::EnergyLeft, "energy_now", None, 1e6 / 3600.0);
    let sensors: Vec<_> = power.into_iter().chain(energy).collect();
    let condition = Condition::Discharging(directory.join("status"));
    let device = format!("battery {name}");
    (!sensors.is_empty()).then(|| Found { device, chip: name.to_owned(), condition, sensors })
}
