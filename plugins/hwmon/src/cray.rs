//! The counters of a Cray node in `/sys/cray/pm_counters`.
//!
//! HPE's administration guide (docs-csm, "User Access to Compute Node Power Data") has the files: energy in joules and
//! power in watts, of the node and of parts of it, each with a time stamp behind it; `freshness` counts the updates, some
//! ten in a second.

use alumet::Host;

use crate::found::{Channel, Condition, Found, Quantity, names};

/// The node, if it is one.
pub fn find(host: &Host) -> Option<Found> {
    let directory = host.sysfs("cray/pm_counters");
    let sensor = |file: String| {
        let (part, quantity) = quantity(&file)?;
        Some(Channel {
            quantity,
            resource: resource(part),
            method: format!("pm_counters {file}"),
            file: directory.join(&file),
            times: None,
            name: file,
            per_unit: 1.0,
            written: if quantity == Quantity::Power { "W" } else { "J" },
        })
    };
    let sensors: Vec<_> = names(&directory).into_iter().filter_map(sensor).collect();
    let freshness = directory.join("freshness");
    let condition = if freshness.exists() { Condition::Fresh(freshness) } else { Condition::Always };
    let chip = "pm_counters".to_owned();
    (!sensors.is_empty()).then(|| Found { device: chip.clone(), chip, condition, sensors })
}

/// `accel0_energy` is energy of the part `accel0`, `power` is power of all, `power_cap` is neither.
fn quantity(file: &str) -> Option<(&str, Quantity)> {
    let (part, word) = file.rsplit_once('_').unwrap_or(("", file));
    match word {
        "energy" => Some((part, Quantity::EnergyUsed)),
        "power" => Some((part, Quantity::Power)),
        _ => None,
    }
}

fn resource(part: &str) -> (&'static str, String) {
    let kinds = [("cpu", "cpu_package"), ("memory", "dram"), ("accel", "gpu")];
    let known = kinds.iter().find_map(|(prefix, kind)| {
        let number = part.strip_prefix(prefix)?;
        number.bytes().all(|b| b.is_ascii_digit()).then(|| (*kind, number.to_owned()))
    });
    match part {
        "" => ("machine", String::new()),
        _ => known.unwrap_or_else(|| ("sensor", format!("pm_counters {part}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_says_what_it_is_about() {
        let about = |file| {
            let (part, quantity) = quantity(file)?;
            let (kind, id) = resource(part);
            Some((quantity.word(), kind, id))
        };
        let expected = [
            ("energy", ("energy", "machine", "")),
            ("power", ("power", "machine", "")),
            ("cpu_energy", ("energy", "cpu_package", "")),
            ("cpu1_power", ("power", "cpu_package", "1")),
            ("memory_energy", ("energy", "dram", "")),
            ("accel3_energy", ("energy", "gpu", "3")),
            ("nic_power", ("power", "sensor", "pm_counters nic")),
        ];
        for (file, (word, kind, id)) in expected {
            assert_eq!(about(file), Some((word, kind, id.to_owned())), "{file}");
        }
        for file in ["power_cap", "accel0_power_cap", "cpu_temp", "freshness", "generation", "raw_scan_hz"] {
            assert_eq!(about(file), None, "{file}");
        }
    }
}
