//! The chips in `/sys/class/hwmon`.
//!
//! Documentation/hwmon/sysfs-interface.rst has the names and the units: `energyN_input` in microjoules, `powerN_average`
//! and `powerN_input` in microwatts, `inN_input` in millivolts, `currN_input` in milliamperes, and that drivers may keep
//! their files in `hwmonN` or, older ones, in the device that it belongs to. GPUs that have such files:
//! Documentation/gpu/amdgpu/thermal.rst, Documentation/ABI/testing/sysfs-driver-intel-i915-hwmon and -xe-hwmon.

use std::collections::BTreeMap;
use std::path::Path;

use alumet::Host;

use crate::found::{Channel, Condition, Found, Quantity, names, word};
use crate::text::channel;

/// The chips that have sensors for energy or power.
pub fn find(host: &Host) -> Vec<Found> {
    let class = host.sysfs("class/hwmon");
    names(&class).iter().filter_map(|hwmon| chip(&class.join(hwmon), hwmon)).collect()
}

fn chip(directory: &Path, hwmon: &str) -> Option<Found> {
    let device = directory.join("device");
    // The kernel shows power supplies as chips, too (power_supply_hwmon.c).
    if word(&device.join("type")).as_deref() == Some("Battery") {
        return None;
    }
    let places = [directory, &device];
    let chip = places.iter().find_map(|place| word(&place.join("name"))).unwrap_or_else(|| hwmon.to_owned());
    let resource = resource(hwmon, &chip, &device);
    let mut sensors = places.iter().map(|place| sensors(place, &chip, &resource));
    let sensors = sensors.find(|sensors| !sensors.is_empty())?;
    Some(Found { device: format!("{hwmon} {chip}"), chip, condition: Condition::Always, sensors })
}

/// What a chip's sensors are about. A GPU is known by its address on the bus.
fn resource(hwmon: &str, chip: &str, device: &Path) -> (&'static str, String) {
    let is_gpu = ["amdgpu", "nouveau", "xe"].contains(&chip) || chip.starts_with("i915");
    if !is_gpu {
        return ("sensor", format!("{hwmon} {chip}"));
    }
    let device = device.canonicalize().ok();
    let address = device.as_ref().and_then(|device| device.file_name()?.to_str());
    ("gpu", address.unwrap_or(hwmon).to_owned())
}

/// What the sensor of this name is about, where more is known of it than its chip: a socket, as AMD's CPUs (`Esocket0`,
/// Documentation/hwmon/amd_energy of Linux 5.8) and NVIDIA's (`CPU Power Socket 0`) name it; or all of the machine, as an ACPI
/// power meter of no socket measures it (Documentation/hwmon/acpi_power_meter.rst), and the rail through which a Jetson is fed.
fn about(resource: &(&'static str, String), chip: &str, name: &str) -> (&'static str, String) {
    let (kind, id) = resource;
    let socket = name.to_lowercase().rsplit_once("socket").map(|(_, number)| number.trim().to_owned());
    let socket = socket.filter(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
    match socket {
        _ if *kind != "sensor" => (kind, id.clone()),
        Some(number) => ("cpu_package", number),
        None if chip == "power_meter" || name == "VDD_IN" => ("machine", id.clone()),
        None => (kind, id.clone()),
    }
}

fn sensors(place: &Path, chip: &str, resource: &(&'static str, String)) -> Vec<Channel> {
    let mut files = BTreeMap::new();
    for file in names(place) {
        match channel(&file) {
            Some((kind @ "energy", number, "input")) | Some((kind @ "power", number, "average")) => {
                files.insert((kind.to_owned(), number), file);
            }
            // Where there is an average as well, it misses less of what happens between two readings.
            Some((kind @ "power", number, "input")) => {
                files.entry((kind.to_owned(), number)).or_insert(file);
            }
            _ => {}
        }
    }
    if chip == "ina3221" && !files.keys().any(|(kind, _)| kind == "power") {
        return rails(place, chip, resource);
    }
    let sensor = |((kind, number), file): ((String, u32), String)| {
        // An ACPI power meter says in `oem_info` what it measures (acpi_power_meter.rst).
        let labels = ["label", "oem_info"].map(|item| place.join(format!("{kind}{number}_{item}")));
        let name = labels.iter().find_map(|file| word(file)).unwrap_or_else(|| format!("{kind}{number}"));
        Channel {
            quantity: if kind == "energy" { Quantity::EnergyUsed } else { Quantity::Power },
            resource: about(resource, chip, &name),
            name,
            method: format!("hwmon {file}"),
            file: place.join(file),
            times: None,
            per_unit: 1e6,
            written: "",
        }
    };
    files.into_iter().map(sensor).collect()
}

/// The rails that an INA3221 watches (Documentation/hwmon/ina3221.rst): voltage and current of a channel have the same
/// number. Only connected ones have a label; the other voltages are of shunts, in other units.
fn rails(place: &Path, chip: &str, resource: &(&'static str, String)) -> Vec<Channel> {
    let rail = |number: u32| {
        let (voltage, current) = (format!("in{number}_input"), format!("curr{number}_input"));
        let name = word(&place.join(format!("in{number}_label")))?;
        Some(Channel {
            quantity: Quantity::Power,
            resource: about(resource, chip, &name),
            name,
            method: format!("hwmon {voltage} * {current}"),
            file: place.join(voltage),
            times: Some(place.join(current)),
            per_unit: 1e6,
            written: "",
        })
    };
    (1..=3).filter_map(rail).collect()
}
