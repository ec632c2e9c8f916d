//! CPUs by their generation, where their name is hidden or not known.
//!
//! `generations.csv` has a typical CPU of each generation, by vendor, family, model and stepping, or by ARM's implementer and
//! part; where the same number is used in laptops and desktops, one of each.

use serde::Deserialize;

use crate::band::Band;
use crate::cpus::{Chassis, Cpus};
use crate::figure::{Figure, Share};

const TABLE: &str = include_str!("generations.csv");

#[derive(Debug, Deserialize)]
struct Row {
    vendor: String,
    family: u32,
    models: String,
    steppings: String,
    /// Empty: anywhere. `client` and `laptop`: in such machines alone. Else the maker of the machine.
    #[serde(rename = "where")]
    place: String,
    tdp_w: f64,
    threads: u32,
    example: String,
}

impl Row {
    fn is_of(&self, cpus: &Cpus, number: u32) -> bool {
        self.vendor == cpus.vendor
            && self.family == cpus.family
            && lists(&self.models, number)
            && (self.steppings.is_empty() || cpus.stepping.is_some_and(|n| lists(&self.steppings, n)))
            && match &*self.place {
                "" => true,
                "client" => is_client(cpus),
                "laptop" => is_client(cpus) && cpus.chassis == Some(Chassis::Laptop),
                maker => cpus.maker == maker,
            }
    }
}

/// That of a typical CPU of its generation.
pub fn figure(cpus: &Cpus) -> Option<Figure> {
    let number = cpus.number?;
    let row = rows().find(|row| row.is_of(cpus, number))?;
    Some(Figure {
        of: format!("like {}", row.example),
        tdp: row.tdp_w,
        threads: row.threads,
        // Whoever licenses a core of ARM's makes packages of as many as he likes.
        share: if row.vendor.starts_with("0x") { Share::Threads } else { Share::Packages },
        band: Band::GENERATION,
    })
}

/// Whether the number is the CPU's own: hypervisors show those of desktops to guests that are on anything, with a name that
/// tells nothing.
fn is_client(cpus: &Cpus) -> bool {
    let names = ["Core(TM)", "Celeron", "Pentium", "Ryzen", "RYZEN", "Athlon"];
    cpus.is_virtual != Some(true) || names.iter().any(|name| cpus.model.contains(name))
}

fn rows() -> impl Iterator<Item = Row> {
    csv::Reader::from_reader(TABLE.as_bytes()).into_deserialize().filter_map(Result::ok)
}

/// Whether a list such as `1,4-6` has this number.
fn lists(list: &str, n: u32) -> bool {
    alumet::cpu_list(list).is_some_and(|numbers| numbers.contains(&n))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpus(vendor: &str, family: u32, number: u32, is_virtual: bool) -> Cpus {
        let (vendor, number, is_virtual) = (vendor.into(), Some(number), Some(is_virtual));
        Cpus { vendor, family, number, is_virtual, count: 2, packages: 1, ..Cpus::default() }
    }

    fn like(cpus: &Cpus) -> Option<String> {
        figure(cpus).map(|figure| figure.of)
    }

    #[test]
    fn what_has_no_name_of_its_own_is_a_typical_cpu_of_its_generation() {
        assert_eq!(like(&cpus("AuthenticAMD", 25, 17, true)).unwrap(), "like AMD EPYC 9654");
        let stepping = |stepping| Cpus { stepping: Some(stepping), ..cpus("GenuineIntel", 6, 85, true) };
        assert_eq!(like(&stepping(4)).unwrap(), "like Intel Xeon Gold 6148");
        assert_eq!(like(&stepping(7)).unwrap(), "like Intel Xeon Gold 6248");
        assert_eq!(like(&cpus("GenuineIntel", 6, 85, true)), None, "no stepping, no generation");
        assert_eq!(like(&cpus("GenuineIntel", 3, 1, false)), None);
        assert_eq!(like(&Cpus { number: None, ..cpus("GenuineIntel", 6, 85, true) }), None);
        assert_eq!(figure(&cpus("AuthenticAMD", 25, 17, true)).unwrap().band, Band::GENERATION);
    }

    #[test]
    fn the_maker_of_the_machine_tells_arms_cores_apart() {
        let of = |maker: &str| like(&Cpus { maker: maker.into(), ..cpus("0x41", 0, 0xd0c, false) }).unwrap();
        assert_eq!([of(""), of("Amazon EC2")], ["like Ampere Altra Q80-30", "like AWS Graviton2"]);
    }

    #[test]
    fn a_laptop_has_the_smaller_part_of_a_number_that_both_use() {
        let of =
            |chassis| like(&Cpus { chassis: Some(chassis), ..cpus("GenuineIntel", 6, 58, false) }).unwrap();
        assert_eq!(of(Chassis::Desktop), "like Intel Core i7-3770");
        assert_eq!(of(Chassis::Laptop), "like Intel Core i5-3320M");
    }

    #[test]
    fn a_desktops_number_means_nothing_in_a_virtual_machine() {
        assert!(like(&cpus("GenuineIntel", 6, 167, false)).is_some());
        let guest = cpus("GenuineIntel", 6, 167, true);
        assert_eq!(like(&guest), None);
        let named = Cpus { model: "11th Gen Intel(R) Core(TM) i5-11999 @ 3.00GHz".into(), ..guest };
        assert!(like(&named).is_some(), "unless the CPU says that it is one");
    }

    #[test]
    fn a_desktop_of_fewer_cores_than_the_example_has_a_whole_package() {
        let matisse = Cpus { count: 6, ..cpus("AuthenticAMD", 23, 113, false) };
        let figure = figure(&matisse).unwrap();
        assert_eq!(figure.tdp * figure.packages(&matisse), 65.0);
    }

    #[test]
    fn arms_cores_are_counted_one_by_one() {
        let grace = Cpus { count: 144, packages: 2, is_virtual: None, ..cpus("0x41", 0, 0xd4f, false) };
        let figure = figure(&grace).unwrap();
        assert_eq!(figure.tdp * figure.packages(&grace), 500.0);
        let board = Cpus { count: 16, is_virtual: None, ..cpus("0x41", 0, 0xd08, false) };
        let figure = super::figure(&board).unwrap();
        assert_eq!((figure.of.as_str(), figure.packages(&board)), ("like Raspberry Pi 4", 4.0));
    }

    #[test]
    fn every_row_can_be_read_and_is_reached() {
        let rows: Vec<_> = rows().collect();
        assert_eq!(rows.len(), TABLE.lines().skip(1).filter(|line| !line.trim().is_empty()).count());
        for row in rows {
            assert!((0.5..=600.0).contains(&row.tdp_w) && (1..=512).contains(&row.threads), "{row:?}");
            for number in alumet::cpu_list(&row.models).unwrap_or_else(|| panic!("{row:?}")) {
                let stepping =
                    alumet::cpu_list(&row.steppings).unwrap_or_else(|| panic!("{row:?}")).first().copied();
                let is_maker = !["", "client", "laptop"].contains(&&*row.place);
                let maker = if is_maker { row.place.clone() } else { String::new() };
                let chassis = (row.place == "laptop").then_some(Chassis::Laptop);
                let cpus = cpus(&row.vendor, row.family, number, false);
                let cpus = Cpus { stepping, maker, chassis, ..cpus };
                assert_eq!(like(&cpus), Some(format!("like {}", row.example)), "hidden by a row before it");
            }
        }
    }
}
