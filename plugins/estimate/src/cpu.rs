//! Which CPUs this machine has, and what is published of them.
//!
//! `cpus.csv` has the thermal design power and the hardware threads of one package by the name that the CPU gives itself.
//! `generations.csv` has a typical server's CPU of each generation, for CPUs that tell their generation alone, as many
//! virtual ones do. `docs/src/estimate.md` names the sources of both.

use std::collections::BTreeSet;

use alumet::Host;
use serde::Deserialize;

/// What is published of a CPU.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// Its name, or that of its generation.
    pub name: String,
    /// The thermal design power of one package, in watts.
    pub tdp: f64,
    /// The hardware threads of one package.
    pub threads: u32,
}

/// What `/proc/cpuinfo` says of the machine (proc_cpuinfo(5)).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cpus {
    /// How many CPUs the kernel has.
    pub count: u32,
    /// How many packages they are in, as far as that is told.
    pub packages: u32,
    /// The name that the CPU gives itself; empty if it has none.
    pub model: String,
    /// Vendor, family, model and stepping, or implementer and part: what tells the generation.
    identity: Identity,
    /// Whether a hypervisor is below, as far as that shows.
    is_virtual: bool,
    /// The maker of the machine, as its firmware says.
    maker: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Identity {
    vendor: String,
    family: Option<u32>,
    model: Option<u32>,
    stepping: Option<u32>,
}

#[derive(Debug)]
struct NamedRow<'a> {
    name: &'a str,
    tdp_w: f64,
    threads: u32,
}

impl<'a> NamedRow<'a> {
    /// A line without quotes: `name,tdp_w,threads,source`.
    fn parse(line: &'a str) -> Option<Self> {
        let mut cells = line.split(',');
        let (name, tdp_w, threads) = (cells.next()?, cells.next()?, cells.next()?);
        Some(Self { name, tdp_w: tdp_w.parse().ok()?, threads: threads.parse().ok()? })
    }
}

#[derive(Debug, Deserialize)]
struct GenerationRow {
    vendor: String,
    family: u32,
    models: String,
    steppings: String,
    /// Empty: anywhere. `vm` or `bare`: in virtual machines alone, or nowhere but there. Else the maker of the machine.
    #[serde(rename = "where")]
    place: String,
    tdp_w: f64,
    threads: u32,
    example: String,
}

impl Cpus {
    /// Those of this machine.
    pub fn of(host: &Host) -> Self {
        let text = std::fs::read_to_string(host.procfs("cpuinfo")).unwrap_or_default();
        let maker = std::fs::read_to_string(host.sysfs("class/dmi/id/sys_vendor")).unwrap_or_default();
        Self { maker: maker.trim().to_owned(), ..Self::parse(&text) }
    }

    /// Which share of one package, or how many packages, this machine has, of CPUs with so many threads: a virtual one
    /// has single threads, a real one whole packages, of which some or every second thread may be switched off.
    pub fn packages_of(&self, threads: u32) -> f64 {
        let (count, threads, packages) =
            (f64::from(self.count), f64::from(threads), f64::from(self.packages));
        match self.is_virtual || 2.0 * count < threads * packages {
            true => count / threads,
            false => packages,
        }
    }

    /// Reads `/proc/cpuinfo`.
    pub fn parse(text: &str) -> Self {
        let mut cpus = Self::default();
        let mut packages = BTreeSet::new();
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            let (key, value) = (key.trim(), value.trim());
            let identity = &mut cpus.identity;
            match key {
                "processor" => cpus.count += 1,
                "physical id" => {
                    packages.insert(value.to_owned());
                }
                // It may be shown on a terminal.
                "model name" => cpus.model = value.replace(char::is_control, " "),
                "vendor_id" | "CPU implementer" => identity.vendor = value.to_owned(),
                "cpu family" => identity.family = number(value),
                "flags" => cpus.is_virtual |= value.split_ascii_whitespace().any(|flag| flag == "hypervisor"),
                // ARM's CPUs have a part number instead.
                "model" | "CPU part" => identity.model = number(value),
                "stepping" => identity.stepping = number(value),
                _ => {}
            }
        }
        cpus.packages = u32::try_from(packages.len()).unwrap_or(1).max(1);
        cpus
    }

    /// What is published of them, by name or by generation.
    pub fn published(&self) -> Option<Published> {
        self.by_name().or_else(|| self.by_generation())
    }

    fn by_name(&self) -> Option<Published> {
        let name = plain(&self.model);
        // Line by line: most runs look for one name among thousands, before the application starts.
        let is_it =
            |line: &&str| line.split(',').next().is_some_and(|first| first.eq_ignore_ascii_case(&name));
        let row = NamedRow::parse(include_str!("cpus.csv").lines().skip(1).find(is_it)?)?;
        Some(Published { name: row.name.to_owned(), tdp: row.tdp_w, threads: row.threads })
    }

    fn by_generation(&self) -> Option<Published> {
        let Identity { vendor, family, model, stepping } = &self.identity;
        let (family, model) = (family.unwrap_or(0), (*model)?);
        let has = |list: &str, n: Option<u32>| list.is_empty() || n.is_some_and(|n| lists(list, n));
        let mut rows = rows::<GenerationRow>(include_str!("generations.csv"));
        let row = rows.find(|row| {
            row.vendor == *vendor
                && row.family == family
                && lists(&row.models, model)
                && has(&row.steppings, *stepping)
                && match &*row.place {
                    "" => true,
                    "vm" => self.is_virtual,
                    "bare" => !self.is_virtual,
                    maker => self.maker == maker,
                }
        })?;
        Some(Published { name: format!("like {}", row.example), tdp: row.tdp_w, threads: row.threads })
    }
}

fn rows<T: for<'a> Deserialize<'a>>(text: &'static str) -> impl Iterator<Item = T> {
    csv::Reader::from_reader(text.as_bytes()).into_deserialize().filter_map(Result::ok)
}

/// Whether a list such as `1,4-6` has this number.
fn lists(list: &str, n: u32) -> bool {
    alumet::cpu_list(list).is_some_and(|numbers| numbers.contains(&n))
}

/// Decimal, or hexadecimal as ARM's numbers are.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The name as the table has it: without trademarks, core counts, generations, graphics and frequencies.
fn plain(model: &str) -> String {
    let name = model.split('@').next().unwrap_or_default();
    let name = name.replace("(R)", " ").replace("(TM)", " ").replace("(tm)", " ").replace("(r)", " ");
    let name = name.split(" with ").next().unwrap_or_default().split(" w/ ").next().unwrap_or_default();
    let is_noise = |word: &str| {
        matches!(word, "CPU" | "Processor" | "APU" | "Gen")
            || word.ends_with("-Core")
            || ["st", "nd", "rd", "th"].iter().any(|end| {
                word.strip_suffix(end).is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()))
            })
    };
    name.split_whitespace().filter(|word| !is_noise(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_however_the_cpu_writes_it() {
        let names = [
            ("Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz", "Intel Xeon Platinum 8375C"),
            ("AMD EPYC 7763 64-Core Processor", "AMD EPYC 7763"),
            ("13th Gen Intel(R) Core(TM) i7-1360P", "Intel Core i7-1360P"),
            ("AMD Ryzen 7 5800U with Radeon Graphics", "AMD Ryzen 7 5800U"),
            ("Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz", "Intel Core i7-8650U"),
        ];
        for (written, expected) in names {
            assert_eq!(plain(written), expected);
            let cpus = Cpus { model: written.into(), ..Cpus::default() };
            assert_eq!(cpus.published().unwrap_or_else(|| panic!("{written}")).name, expected);
        }
    }

    #[test]
    fn what_has_no_name_of_its_own_is_a_typical_cpu_of_its_generation() {
        let text = |vendor, family, model, stepping| {
            format!(
                "processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\n\
                 model name\t: A virtual CPU\nstepping\t: {stepping}\nprocessor\t: 1\n"
            )
        };
        let name = |text: String| Cpus::parse(&text).published().map(|cpu| cpu.name);
        assert_eq!(name(text("AuthenticAMD", 25, 17, 1)).unwrap(), "like AMD EPYC 9654");
        let (skylake, cascade) =
            (name(text("GenuineIntel", 6, 85, 4)).unwrap(), name(text("GenuineIntel", 6, 85, 7)).unwrap());
        assert_ne!(skylake, cascade);
        assert_eq!(name(text("GenuineIntel", 3, 1, 1)), None);
        let arm = "processor : 0\nCPU implementer : 0x41\nCPU part : 0xd0c\n";
        assert_eq!(name(arm.into()).unwrap(), "like Ampere Altra Q80-30");
        let amazon = Cpus { maker: "Amazon EC2".into(), ..Cpus::parse(arm) };
        assert_eq!(amazon.published().unwrap().name, "like AWS Graviton2");
    }

    #[test]
    fn a_model_number_that_hypervisors_borrow_means_a_server_there_and_a_desktop_elsewhere() {
        let haswell = Cpus::parse("processor : 0\nvendor_id : GenuineIntel\ncpu family : 6\nmodel : 60\n");
        let name = |is_virtual| Cpus { is_virtual, ..haswell.clone() }.published().unwrap().name;
        assert_eq!(
            (name(true), name(false)),
            ("like Intel Xeon E5-2680 v3".into(), "like Intel Core i7-4770".into())
        );
    }

    #[test]
    fn a_virtual_machine_has_threads_and_a_real_one_packages() {
        let cpus = |count, packages, is_virtual| Cpus { count, packages, is_virtual, ..Cpus::default() };
        assert_eq!(cpus(2, 1, true).packages_of(128), 2.0 / 128.0);
        assert_eq!(cpus(2, 1, false).packages_of(128), 2.0 / 128.0, "what does not say that it is virtual");
        assert_eq!(cpus(64, 1, false).packages_of(128), 1.0, "without hyper-threading");
        assert_eq!(cpus(256, 2, false).packages_of(128), 2.0);
    }

    #[test]
    fn cpus_and_packages_are_counted() {
        let text = "processor : 0\nphysical id : 0\n\nprocessor : 1\nphysical id : 1\n\nprocessor : 2\nphysical id : 1\n";
        let cpus = Cpus::parse(text);
        assert_eq!((cpus.count, cpus.packages), (3, 2));
        assert_eq!(Cpus::parse("garbage").count, 0);
    }

    #[test]
    fn every_row_of_the_tables_can_be_read_and_is_plausible() {
        let (named, generations) = (include_str!("cpus.csv"), include_str!("generations.csv"));
        let all = |text: &str| text.lines().skip(1).filter(|line| !line.trim().is_empty()).count();
        let rows_of_names: Vec<_> = named.lines().skip(1).filter_map(NamedRow::parse).collect();
        let rows_of_generations: Vec<_> = rows::<GenerationRow>(generations).collect();
        assert_eq!((rows_of_names.len(), rows_of_generations.len()), (all(named), all(generations)));
        for row in &rows_of_names {
            assert!((1.0..=600.0).contains(&row.tdp_w) && (1..=512).contains(&row.threads), "{row:?}");
            assert_eq!(plain(row.name), row.name, "a CPU's own name would never be found");
        }
        let names: BTreeSet<_> = rows_of_names.iter().map(|row| row.name.to_lowercase()).collect();
        assert_eq!(names.len(), rows_of_names.len(), "a name is there twice");
        assert!(rows_of_generations.iter().all(|row| alumet::cpu_list(&row.models).is_some()));
    }
}
