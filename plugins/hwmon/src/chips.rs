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
    let mut found: Vec<Found> =
        names(&class).iter().filter_map(|hwmon| chip(&class.join(hwmon), hwmon)).collect();
    // AMD's system management has a chip for each socket, in their order, and no other word on which it is
    // (drivers/platform/x86/amd/hsmp/hwmon.c).
    for (socket, chip) in found.iter_mut().filter(|found| found.chip == "amd_hsmp_hwmon").enumerate() {
        chip.sensors.iter_mut().for_each(|sensor| sensor.resource = ("cpu_package", socket.to_string()));
    }
    found
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

/// The names of what feeds all of a machine: the rails of Jetson modules and boards (`VDD_IN`; `POM_5V_IN` of the Nano; `VIN`
/// of an INA238), and what the controller of Apple's machines measures (drivers/hwmon/macsmc-hwmon.c).
const WHOLE: [&str; 4] = ["VDD_IN", "POM_5V_IN", "VIN", "Total System Power"];

/// What the sensor of this name is about, where more is known of it than its chip: a socket, as AMD's CPUs (`Esocket0`,
/// Documentation/hwmon/amd_energy of Linux 5.8) and NVIDIA's (`CPU Power Socket 0`) name it; or all of the machine, as an ACPI
/// power meter of no socket measures it (Documentation/hwmon/acpi_power_meter.rst), and what `WHOLE` lists.
fn about(resource: &(&'static str, String), chip: &str, name: &str) -> (&'static str, String) {
    let (kind, id) = resource;
    let socket = name.to_lowercase().rsplit_once("socket").map(|(_, number)| number.trim().to_owned());
    let socket = socket.filter(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
    match socket {
        _ if *kind != "sensor" => (kind, id.clone()),
        Some(number) => ("cpu_package", number),
        None if chip == "power_meter" || WHOLE.contains(&name) => ("machine", id.clone()),
        None => (kind, id.clone()),
    }
}

fn sensors(place: &Path, chip: &str, resource: &(&'static str, String)) -> Vec<Channel> {
    // An average misses less of what happens between two readings than an instant.
    let mut files: BTreeMap<(String, u32), Vec<String>> = BTreeMap::new();
    for file in names(place) {
        let Some((kind @ ("energy" | "power"), number, item @ ("average" | "input"))) = channel(&file) else {
            continue;
        };
        if (kind, item) == ("energy", "average") || is_off(place, &format!("{kind}{number}")) {
            continue;
        }
        let ways = files.entry((kind.to_owned(), number)).or_default();
        ways.insert(if item == "average" { 0 } else { ways.len() }, file);
    }
    if chip == "ina3221" && !files.keys().any(|(kind, _)| kind == "power") {
        return rails(place, chip, resource);
    }
    let sensor = |((kind, number), ways): ((String, u32), Vec<String>)| {
        // An ACPI power meter says in `oem_info` what it measures (acpi_power_meter.rst). Of a chip for one thing, the board
        // may name the chip (`label` in Documentation/ABI/testing/sysfs-class-hwmon).
        let labels =
            [format!("{kind}{number}_label"), format!("{kind}{number}_oem_info"), "label".to_owned()];
        let name = labels.iter().find_map(|file| word(&place.join(file)));
        let name = name.unwrap_or_else(|| format!("{kind}{number}"));
        let way = |file: String| Channel {
            quantity: if kind == "energy" { Quantity::EnergyUsed } else { Quantity::Power },
            resource: about(resource, chip, &name),
            name: name.clone(),
            method: format!("hwmon {file}"),
            file: place.join(file),
            times: None,
            per_unit: 1e6,
            written: "",
        };
        Channel::best(ways.into_iter().map(way).collect())
    };
    files.into_iter().filter_map(sensor).collect()
}

/// Whether a channel is switched off: then its files show nothing, or what was.
fn is_off(place: &Path, channel: &str) -> bool {
    word(&place.join(format!("{channel}_enable"))).as_deref() == Some("0")
}

/// The rails that an INA3221 watches (Documentation/hwmon/ina3221.rst): voltage and current of a channel have the same
/// number. Only connected ones have a label; the other voltages are of shunts, in other units.
fn rails(place: &Path, chip: &str, resource: &(&'static str, String)) -> Vec<Channel> {
    let rail = |number: u32| {
        let (voltage, current) = (format!("in{number}_input"), format!("curr{number}_input"));
        let name = word(&place.join(format!("in{number}_label")))?;
        if is_off(place, &format!("in{number}")) {
            return None;
        }
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
