//! The power of this machine at each load, and what that rests on.

use std::num::NonZeroU32;
use std::time::Duration;

use alumet::Host;

use crate::band::Band;
use crate::cpus::Cpus;
use crate::curve;
use crate::figure::{Figure, Share};
use crate::{Config, class, generation, guest, named};

/// The model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The thermal design power of all CPUs that this machine has, in watts.
    pub tdp: f64,
    /// Between which factors of what it says the truth may be expected.
    pub band: Band,
    /// In words.
    pub method: String,
    /// Why nothing closer is known; `None` if the CPU or its generation is.
    pub unknown: Option<String>,
}

impl Model {
    /// That of this machine.
    pub fn of(config: &Config, host: &Host) -> Self {
        let cpus = Cpus::of(host);
        let published = published(&cpus);
        let unknown = (config.tdp.is_none() && published.is_none()).then(|| match &*cpus.model {
            "" => "this CPU does not say what it is".to_owned(),
            model => format!("nothing is published of the CPU `{model}`"),
        });
        let mut figure = match (config.tdp, published) {
            (Some(tdp), published) => Figure {
                of: "as set".to_owned(),
                tdp: tdp.0,
                threads: published.map_or(cpus.count.div_ceil(cpus.packages), |figure| figure.threads),
                share: Share::Packages,
                band: Band::CPU,
            },
            (None, Some(published)) => published,
            (None, None) => nearest(&cpus),
        };
        figure.threads = config.threads.map_or(figure.threads, NonZeroU32::get);
        let packages = figure.packages(&cpus);
        let Figure { of, tdp, threads, band, .. } = figure;
        let share = match packages {
            1.0 if threads > 1 => "1 package".to_owned(),
            n if n.fract() == 0.0 && threads > 1 => format!("{n} packages"),
            _ if threads > 1 => format!("{} of {threads} CPUs", cpus.count),
            1.0 => "1 CPU".to_owned(),
            n => format!("{n} CPUs"),
        };
        let method = format!("CPU load (curve over {tdp} W TDP, {of}, {share}; {band})");
        Self { tdp: tdp * packages, band, method, unknown }
    }

    /// What is used in this time at this load (0 to 1), in joules.
    pub fn energy(&self, load: f64, time: Duration) -> f64 {
        self.tdp * curve::power(load) * time.as_secs_f64()
    }
}

/// What is published of the CPU, or of its generation; `None` if it does not tell.
fn published(cpus: &Cpus) -> Option<Figure> {
    named::figure(cpus).or_else(|| match guest::is_named_by_hypervisor(cpus) {
        true => None,
        false => generation::figure(cpus),
    })
}

/// The nearest there is.
fn nearest(cpus: &Cpus) -> Figure {
    guest::figure(cpus).unwrap_or_else(|| class::figure(cpus))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::Tdp;

    const EPYC: &str = "model name : AMD EPYC 7763 64-Core Processor\n";

    fn model(cpus: &str, config: &Config) -> Model {
        let proc = tempfile::tempdir().unwrap();
        fs::write(proc.path().join("cpuinfo"), cpus).unwrap();
        Model::of(config, &Host::new("/nowhere", proc.path()))
    }

    fn processors(n: u32, more: &str) -> String {
        (0..n).map(|i| format!("processor : {i}\n{EPYC}{more}\n")).collect()
    }

    #[test]
    fn a_virtual_machine_has_its_share_of_a_package_and_a_real_one_has_packages() {
        let guest = model(&processors(2, "flags : hypervisor\n"), &Config::default());
        assert_eq!(guest.tdp, 280.0 * 2.0 / 128.0);
        assert_eq!(
            guest.method,
            "CPU load (curve over 280 W TDP, AMD EPYC 7763, 2 of 128 CPUs; −45 % … +80 %)"
        );
        assert_eq!((guest.band, guest.unknown), (Band::CPU, None));
        let one = model(&processors(64, "flags : fpu\n"), &Config::default());
        assert_eq!(one.tdp, 280.0);
        assert!(one.method.contains(", 1 package; "), "{}", one.method);
        let two = processors(64, "physical id : 0\n") + &processors(64, "physical id : 1\n");
        let two = model(&two, &Config::default());
        assert_eq!(two.tdp, 560.0);
        assert!(two.method.contains(", 2 packages; "), "{}", two.method);
    }

    #[test]
    fn what_was_said_counts_more_than_what_is_published() {
        let config = Config { tdp: Some(Tdp(65.0)), threads: NonZeroU32::new(16), ..Config::default() };
        let guest = model(&processors(2, "flags : hypervisor\n"), &config);
        assert_eq!(
            (guest.tdp, guest.energy(1.0, Duration::from_secs(2))),
            (65.0 / 8.0, 65.0 / 8.0 * 1.05 * 2.0)
        );
        assert_eq!(model(&"processor : 0\n".repeat(8), &config).tdp, 65.0);
        // The power alone: the threads are the published ones, or those that there are.
        let config = Config { threads: None, ..config };
        assert_eq!(model(&processors(2, "flags : hypervisor\n"), &config).tdp, 65.0 * 2.0 / 128.0);
        let unknown = model("processor : 0\nflags : hypervisor\nmodel name : Elbrus\n", &config);
        assert_eq!((unknown.tdp, unknown.band, unknown.unknown), (65.0, Band::CPU, None));
        let two = "processor : 0\nphysical id : 0\n\nprocessor : 1\nphysical id : 1\n";
        assert_eq!(model(two, &config).tdp, 130.0);
        // The threads alone.
        let config = Config { tdp: None, threads: NonZeroU32::new(32), ..config };
        assert_eq!(model(&processors(2, "flags : hypervisor\n"), &config).tdp, 280.0 / 16.0);
    }

    #[test]
    fn of_an_unknown_cpu_there_is_a_wide_estimate_that_says_so() {
        let unknown = model("processor : 0\nmodel name : Elbrus\n", &Config::default());
        assert_eq!(unknown.unknown.unwrap(), "nothing is published of the CPU `Elbrus`");
        assert_eq!(unknown.method, "CPU load (curve over 3.9 W TDP, an unknown CPU, 1 CPU; −80 % … +400 %)");
        let nothing = model("", &Config::default());
        assert_eq!(nothing.unknown.unwrap(), "this CPU does not say what it is");
        assert_eq!((nothing.band, nothing.tdp), (Band::ANYTHING, 3.9));
    }

    /// As machines of clouds and of tools on a desk show themselves: the name that tells nothing, and the watts of each CPU.
    #[test]
    fn a_masked_cpu_has_the_figure_of_the_nearest_class() {
        let guest = |name: &str, number: u32, flags: &str| {
            let text = format!(
                "processor : 0\nvendor_id : GenuineIntel\ncpu family : 6\nmodel : {number}\nmodel name : {name}\n\
                 stepping : 4\nflags : fpu hypervisor {flags}\n"
            );
            let model = model(&text, &Config::default());
            (format!("{:.2}", model.tdp), model.band)
        };
        // A number that is a desktop's, with what only servers of a later generation can do.
        let borrowed = guest("Intel(R) Xeon(R) Processor", 167, "avx2 avx512f amx_tile");
        assert_eq!(borrowed, (format!("{:.2}", 350.0 / 112.0), Band::GUEST));
        let own = guest("Intel(R) Xeon(R) Processor", 207, "avx2 avx512f amx_tile");
        assert_eq!(own, (format!("{:.2}", 350.0 / 120.0), Band::GENERATION));
        // The number of a Skylake desktop, in QEMU's words.
        let skylake = guest("Intel Core Processor (Skylake, IBRS)", 94, "avx2");
        assert_eq!(skylake, (format!("{:.2}", 65.0 / 8.0), Band::GUEST));
        assert_eq!(guest("QEMU Virtual CPU version 2.5+", 6, "sse2").1, Band::GUEST);
        assert_eq!(guest("Common KVM processor", 6, "sse2").1, Band::GUEST);
        assert_eq!(guest("Nothing", 6, "sse2").1, Band::ANYTHING);
    }
}
