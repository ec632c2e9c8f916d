//! CPUs of virtual machines that hide what they run on.
//!
//! `guests.csv` has the CPU models that hypervisors have names for (target/i386/cpu.c in QEMU): they are what a guest may
//! use, the oldest that it may run on. `flags.csv` has what each generation was the first to do, for CPUs that show a name
//! which tells nothing and a number that is another's.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::band::Band;
use crate::cpus::Cpus;
use crate::figure::{Figure, Share};

const MODELS: &str = include_str!("guests.csv");
const FLAGS: &str = include_str!("flags.csv");

#[derive(Debug, Deserialize)]
struct Model {
    /// The name up to the first comma or closing parenthesis: what follows are variants.
    name: String,
    tdp_w: f64,
    threads: u32,
    like: String,
}

#[derive(Debug, Deserialize)]
struct Flags {
    vendor: String,
    /// All of them.
    flags: String,
    tdp_w: f64,
    threads: u32,
    like: String,
}

/// Whether the name is one that a hypervisor gives: then the numbers beside it are as made up.
pub fn is_named_by_hypervisor(cpus: &Cpus) -> bool {
    cpus.is_virtual != Some(false) && model(cpus).is_some()
}

/// That of the CPU that a guest may be on; `None` if it shows nothing.
pub fn figure(cpus: &Cpus) -> Option<Figure> {
    if cpus.is_virtual == Some(false) {
        return None;
    }
    let by_name = model(cpus).map(|row| (row.tdp_w, row.threads, row.like));
    let (tdp, threads, like) = by_name.or_else(|| {
        let has = |row: &Flags| {
            row.vendor == cpus.vendor && row.flags.split(' ').all(|flag| cpus.flags.contains(flag))
        };
        rows::<Flags>(FLAGS).find(has).map(|row| (row.tdp_w, row.threads, row.like))
    })?;
    let of = format!("like {like}");
    Some(Figure { of, tdp, threads, share: Share::Threads, band: Band::GUEST })
}

fn model(cpus: &Cpus) -> Option<Model> {
    let name = cpus.model.split([',', ')']).next()?;
    rows::<Model>(MODELS).find(|row| row.name == name)
}

fn rows<T: DeserializeOwned>(text: &'static str) -> impl Iterator<Item = T> {
    csv::Reader::from_reader(text.as_bytes()).into_deserialize().filter_map(Result::ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(model: &str, vendor: &str, flags: &str) -> Cpus {
        let flags = flags.split(' ').map(str::to_owned).collect();
        let (model, vendor) = (model.to_owned(), vendor.to_owned());
        Cpus { model, vendor, flags, is_virtual: Some(true), count: 2, packages: 1, ..Cpus::default() }
    }

    fn like(cpus: &Cpus) -> Option<String> {
        figure(cpus).map(|figure| figure.of.trim_start_matches("like ").to_owned())
    }

    /// All that `qemu-system-x86_64 -cpu help` of 7.2 shows, and those that came with 8 to 10.
    #[test]
    fn the_names_of_hypervisors_are_known_in_all_their_variants() {
        let names = [
            ("Intel Core Processor (Skylake)", "Intel Core i7-6700"),
            ("Intel Core Processor (Skylake, IBRS, no TSX)", "Intel Core i7-6700"),
            ("Intel Xeon Processor (Skylake, IBRS)", "Intel Xeon Gold 6148"),
            ("Intel Core Processor (Haswell, no TSX, IBRS)", "Intel Xeon E5-2680 v3"),
            ("Intel Xeon E3-12xx v2 (Ivy Bridge, IBRS)", "Intel Xeon E5-2680 v2"),
            ("Intel Xeon E312xx (Sandy Bridge)", "Intel Xeon E5-2670 0"),
            ("Intel Xeon Processor (Icelake)", "Intel Xeon Platinum 8358"),
            ("Intel Xeon Processor (SapphireRapids)", "Intel Xeon Platinum 8480+"),
            ("Westmere E56xx/L56xx/X56xx (IBRS update)", "Intel Xeon X5670"),
            ("AMD EPYC Processor (with IBPB)", "AMD EPYC 7551"),
            ("AMD EPYC-Rome Processor", "AMD EPYC 7742"),
            ("AMD EPYC-Genoa Processor", "AMD EPYC 9654"),
            ("QEMU Virtual CPU version 2.5+", "an average server"),
            ("QEMU TCG CPU version 2.5+", "an average server"),
            ("Common KVM processor", "an average server"),
        ];
        for (name, expected) in names {
            let guest = guest(name, "GenuineIntel", "fpu");
            assert_eq!(like(&guest).as_deref(), Some(expected), "{name}");
            assert!(is_named_by_hypervisor(&guest), "{name}");
            assert_eq!(figure(&guest).unwrap().band, Band::GUEST);
        }
        let real = Cpus { is_virtual: Some(false), ..guest("Common KVM processor", "GenuineIntel", "avx2") };
        assert_eq!(figure(&real), None, "a real machine does not guess by what a guest shows");
        assert!(!is_named_by_hypervisor(&real));
    }

    #[test]
    fn where_even_the_name_is_hidden_the_flags_tell_a_generation() {
        let by = |vendor, flags| like(&guest("Intel(R) Xeon(R) Processor", vendor, flags));
        let intel = |flags| by("GenuineIntel", flags).unwrap();
        assert_eq!(intel("avx avx2 avx512f avx512_vnni avx512_vbmi2 amx_tile"), "Intel Xeon Platinum 8480+");
        assert_eq!(intel("avx avx2 avx512f avx512_vnni avx512_vbmi2"), "Intel Xeon Platinum 8358");
        assert_eq!(intel("avx avx2 avx512f"), "Intel Xeon Gold 6148");
        assert_eq!(intel("avx avx2"), "Intel Xeon E5-2680 v4");
        assert_eq!(by("AuthenticAMD", "avx avx2 avx512f vaes").unwrap(), "AMD EPYC 9654");
        assert_eq!(by("AuthenticAMD", "avx avx2 vaes").unwrap(), "AMD EPYC 7763");
        assert_eq!(by("GenuineIntel", "sse2"), None, "masked down to nothing");
        assert_eq!(by("CentaurHauls", "avx2"), None);
        assert!(!is_named_by_hypervisor(&guest("Intel(R) Xeon(R) Processor", "GenuineIntel", "avx2")));
    }

    #[test]
    fn a_guest_has_threads() {
        let guest = guest("", "GenuineIntel", "avx2");
        assert_eq!(figure(&guest).unwrap().packages(&guest), 2.0 / 28.0);
    }

    #[test]
    fn every_row_can_be_read_and_is_reached() {
        let lines = |text: &str| text.lines().skip(1).filter(|line| !line.trim().is_empty()).count();
        let (models, flags): (Vec<Model>, Vec<Flags>) = (rows(MODELS).collect(), rows(FLAGS).collect());
        assert_eq!((models.len(), flags.len()), (lines(MODELS), lines(FLAGS)));
        for row in models {
            assert_eq!(like(&guest(&row.name, "", "")).as_deref(), Some(&*row.like), "{row:?}");
        }
        for row in flags {
            assert_eq!(like(&guest("", &row.vendor, &row.flags)).as_deref(), Some(&*row.like), "{row:?}");
        }
    }
}
