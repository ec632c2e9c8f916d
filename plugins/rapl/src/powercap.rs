//! RAPL through powercap: the zones below `/sys/class/powercap` (Documentation/power/powercap/powercap.rst in Linux).
//!
//! A zone is a directory named like its control type and its place, `intel-rapl:0:1`, with numbers in hexadecimal. It
//! lies inside its parent, and all zones are linked from the top as well; both are walked, and a zone is known by its
//! name. AMD's CPUs have the control type `intel-rapl`, too.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind::PermissionDenied;
use std::path::{Path, PathBuf};

use alumet::{Host, sysfs};

use crate::counter::{Raw, Scale, Top};
use crate::domain::{Domain, Part};
use crate::found::Found;
use crate::meter::{Meter, Register};
use crate::refusal::Refusal;
use crate::topology;

/// The registers of the CPU, and the same ones once more through memory (drivers/powercap/intel_rapl_msr.c, and
/// int340x_thermal/processor_thermal_rapl.c in drivers/thermal/intel): the latter count where the former are not.
const CONTROL_TYPES: [&str; 2] = ["intel-rapl", "intel-rapl-mmio"];

const MICROJOULES: Scale = Scale(1e-6);

/// Where a zone is in the tree of its control type: `[0, 1]` for `intel-rapl:0:1`.
type Place = Vec<u32>;

/// Opens every counter that there is, each once.
///
/// # Errors
/// There is none, or it is not permitted.
pub fn open(host: &Host) -> Result<Found, Refusal> {
    let root = host.sysfs("class/powercap");
    let is_amd = topology::dies_are_mirrors(host);
    let mut found = Found::default();
    for control_type in CONTROL_TYPES {
        let others: Vec<Part> = found.meters.iter().map(|meter| meter.part).collect();
        let zones = zones(&root, control_type);
        let mut counted: BTreeMap<Part, String> = BTreeMap::new();
        for (place, dir) in &zones {
            let Some(part) = part(&zones, place, is_amd) else { continue };
            // The same registers by another way, which may know nothing of dies.
            if others.iter().any(|other| other.has_place_of(part)) {
                continue;
            }
            let name = name(dir);
            match counted.get(&part) {
                // The same counter for each die.
                Some(first) if is_amd && *first != name => {}
                Some(_) => {
                    let reason =
                        format!("a second zone `{name}` of the same place may be a mirror: not counted");
                    found.refuse(part, Refusal::unreadable(reason));
                }
                None => match meter(part, dir, is_amd) {
                    Ok(meter) => {
                        // What was refused by another way, or at another die's mirror, is open now.
                        found
                            .refused
                            .retain(|(other, _)| !other.has_place_of(part) || counted.contains_key(other));
                        counted.insert(part, name);
                        found.meters.push(meter);
                    }
                    Err(refusal) => found.refuse(part, refusal),
                },
            }
        }
    }
    found.if_any("powercap has no RAPL zones")
}

/// What there are zones of, whatever they show.
pub fn parts(host: &Host) -> BTreeSet<Part> {
    let (root, is_amd) = (host.sysfs("class/powercap"), topology::dies_are_mirrors(host));
    let mut parts = BTreeSet::new();
    for zones in CONTROL_TYPES.map(|control_type| zones(&root, control_type)) {
        parts.extend(zones.keys().filter_map(|place| part(&zones, place, is_amd)));
    }
    parts
}

/// All zones of a control type, wherever they lie below the directory.
fn zones(root: &Path, control_type: &str) -> BTreeMap<Place, PathBuf> {
    let mut zones = BTreeMap::new();
    let mut unseen = vec![root.to_owned()];
    while let Some(dir) = unseen.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(control_type)) else { continue };
            // Other entries, such as `device`, lead back up.
            let Some(place) = place(rest) else { continue };
            let path = entry.path();
            if place.is_empty() {
                unseen.push(path);
            } else if let Entry::Vacant(zone) = zones.entry(place) {
                unseen.push(path.clone());
                zone.insert(path);
            }
        }
    }
    zones
}

/// `` and `:a:1`: the control type itself, and a zone of it.
fn place(rest: &str) -> Option<Place> {
    let mut numbers = rest.split(':');
    // What stands before the first colon would belong to another control type.
    numbers.next().filter(|before| before.is_empty())?;
    numbers.map(|number| u32::from_str_radix(number, 16).ok()).collect()
}

fn name(zone: &Path) -> String {
    sysfs::read(&zone.join("name")).unwrap_or_default()
}

/// What a zone counts, by its name and those of its parents; `None` if it is none of the domains.
fn part(zones: &BTreeMap<Place, PathBuf>, place: &[u32], mirrors: bool) -> Option<Part> {
    let name = name(zones.get(place)?);
    if let Some((socket, die)) = package(&name) {
        let die = die.filter(|_| !mirrors);
        return Some(Part { domain: Domain::Package, socket, die });
    }
    if let Some(socket) = psys(&name) {
        return Some(Part { domain: Domain::Psys, socket, die: None });
    }
    let domain = [Domain::Core, Domain::Uncore, Domain::Dram].into_iter().find(|d| d.as_str() == name)?;
    let parent = part(zones, place.split_last()?.1, mirrors)?;
    Some(Part { domain, ..parent })
}

/// `package-1`, `package-1-die-0`.
fn package(name: &str) -> Option<(u32, Option<u32>)> {
    let rest = name.strip_prefix("package-")?;
    match rest.split_once("-die-") {
        Some((socket, die)) => Some((socket.parse().ok()?, Some(die.parse().ok()?))),
        None => Some((rest.parse().ok()?, None)),
    }
}

/// `psys`, `psys-1`.
fn psys(name: &str) -> Option<u32> {
    match name.strip_prefix("psys")? {
        "" => Some(0),
        rest => rest.strip_prefix('-')?.parse().ok(),
    }
}

fn meter(part: Part, zone: &Path, is_amd: bool) -> Result<Meter, Refusal> {
    if is_amd && part.domain == Domain::Core {
        // AMD has a register for each core, and powercap reads that of the package's first one.
        return Err(Refusal::absent("powercap shows the energy of one core for it"));
    }
    let path = zone.join("energy_uj");
    let cannot = |error: &std::io::Error| match error.kind() {
        PermissionDenied => Refusal::powercap(),
        _ => Refusal::unreadable(format!("cannot read {}: {}", path.display(), alumet::file::reason(error))),
    };
    let file = sysfs::open(&path).map_err(|error| cannot(&error))?;
    let mut register = Register::File { file, path: path.clone() };
    // A register counts from boot on: one that shows 0 counts nothing.
    if register.read().map_err(|error| cannot(&error))? == Raw(0) {
        let reason = "not supported here: its counter stays at 0";
        // Every package uses energy; memory may have no register of its own.
        let is_there = part.domain == Domain::Package;
        return Err(if is_there { Refusal::unreadable(reason) } else { Refusal::absent(reason) });
    }
    let max = sysfs::read(&zone.join("max_energy_range_uj")).ok();
    let top = max.and_then(|max| max.parse().ok()).filter(|max| *max > 0);
    Ok(Meter { part, scale: MICROJOULES, top: top.map_or(Top::Unknown, Top::At), register })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_hexadecimal_and_of_one_control_type() {
        assert_eq!(place(""), Some(vec![]));
        assert_eq!(place(":0"), Some(vec![0]));
        assert_eq!(place(":a:1f"), Some(vec![10, 31]));
        for rest in ["-mmio", "-mmio:0", ":", ":0:", ":g", ":-1"] {
            assert_eq!(place(rest), None, "{rest}");
        }
    }

    #[test]
    fn names_tell_packages_dies_and_platforms() {
        assert_eq!(package("package-0"), Some((0, None)));
        assert_eq!(package("package-11-die-3"), Some((11, Some(3))));
        for name in ["package", "package-", "package-x", "package-1-die-", "core"] {
            assert_eq!(package(name), None, "{name}");
        }
        assert_eq!(["psys", "psys-1", "psys-", "psysx"].map(psys), [Some(0), Some(1), None, None]);
    }
}
