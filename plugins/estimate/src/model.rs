//! The power of this machine at each load, and what that rests on.

use std::num::NonZeroU32;
use std::time::Duration;

use alumet::Host;

use crate::Config;
use crate::cpu::Cpus;
use crate::curve;

/// The model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The thermal design power of all CPUs that this machine has, in watts.
    pub tdp: f64,
    /// In words.
    pub method: String,
}

impl Model {
    /// That of this machine.
    ///
    /// # Errors
    /// What is not known of its CPUs.
    pub fn of(config: &Config, host: &Host) -> Result<Self, String> {
        let cpus = Cpus::of(host);
        let count = cpus.count.max(1);
        let published = cpus.published();
        let said = config.threads.map(NonZeroU32::get);
        let (tdp, threads, what) = match (config.tdp, published) {
            (Some(tdp), published) => {
                let threads = published.map_or(count, |cpu| cpu.threads);
                (tdp.0, said.unwrap_or(threads), "as set".to_owned())
            }
            (None, Some(cpu)) => (cpu.tdp, said.unwrap_or(cpu.threads), cpu.name),
            (None, None) if cpus.model.is_empty() => return Err("this CPU does not say what it is".into()),
            (None, None) => return Err(format!("nothing is known of the CPU `{}`", cpus.model)),
        };
        let packages = cpus.packages_of(threads);
        let of = match packages {
            1.0 => "1 package".to_owned(),
            n if n.fract() == 0.0 => format!("{n} packages"),
            _ => format!("{count} of {threads} CPUs"),
        };
        let method = format!("CPU load (curve over {tdp} W TDP, {what}, {of}; −45 % … +80 %)");
        Ok(Self { tdp: tdp * packages, method })
    }

    /// What is used in this time at this load (0 to 1), in joules.
    pub fn energy(&self, load: f64, time: Duration) -> f64 {
        self.tdp * curve::power(load) * time.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::Tdp;

    const EPYC: &str = "model name : AMD EPYC 7763 64-Core Processor\n";

    fn model(cpus: &str, config: &Config) -> Result<Model, String> {
        let proc = tempfile::tempdir().unwrap();
        fs::write(proc.path().join("cpuinfo"), cpus).unwrap();
        Model::of(config, &Host::new("/nowhere", proc.path()))
    }

    fn processors(n: u32, more: &str) -> String {
        (0..n).map(|i| format!("processor : {i}\n{EPYC}{more}\n")).collect()
    }

    #[test]
    fn a_virtual_machine_has_its_share_of_a_package_and_a_real_one_has_packages() {
        let guest = model(&processors(2, "flags : hypervisor\n"), &Config::default()).unwrap();
        assert_eq!(guest.tdp, 280.0 * 2.0 / 128.0);
        assert_eq!(
            guest.method,
            "CPU load (curve over 280 W TDP, AMD EPYC 7763, 2 of 128 CPUs; −45 % … +80 %)"
        );
        assert_eq!(model(&processors(64, ""), &Config::default()).unwrap().tdp, 280.0);
        let two = processors(64, "physical id : 0\n") + &processors(64, "physical id : 1\n");
        assert_eq!(model(&two, &Config::default()).unwrap().tdp, 560.0);
    }

    #[test]
    fn what_was_said_counts_more_than_what_is_published() {
        let config = Config { tdp: Some(Tdp(65.0)), threads: NonZeroU32::new(16), ..Config::default() };
        let guest = model(&processors(2, "flags : hypervisor\n"), &config).unwrap();
        assert_eq!(
            (guest.tdp, guest.energy(1.0, Duration::from_secs(2))),
            (65.0 / 8.0, 65.0 / 8.0 * 1.05 * 2.0)
        );
        assert_eq!(model(&"processor : 0\n".repeat(8), &config).unwrap().tdp, 65.0);
    }

    #[test]
    fn of_an_unknown_cpu_nothing_is_made_up() {
        let unknown = model("processor : 0\nmodel name : Elbrus\n", &Config::default());
        assert_eq!(unknown.unwrap_err(), "nothing is known of the CPU `Elbrus`");
        assert_eq!(model("", &Config::default()).unwrap_err(), "this CPU does not say what it is");
    }
}
