//! A figure that stands for the CPUs of a machine.

use crate::band::Band;
use crate::cpus::Cpus;

/// A thermal design power, and of what it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Whose it is, in words.
    pub of: String,
    /// The thermal design power of one package, in watts.
    pub tdp: f64,
    /// The hardware threads of one package.
    pub threads: u32,
    /// How much of it a machine has.
    pub share: Share,
    /// How far it may be off, the curve included.
    pub band: Band,
}

/// How much of a figure a machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// That of its packages, if it is a real one: some of their CPUs may be switched off, or it is another part of the same
    /// kind. A virtual one has single threads.
    Packages,
    /// That of its threads: of these cores, packages of any size are made.
    Threads,
}

impl Figure {
    /// How many such packages a machine has.
    pub fn packages(&self, cpus: &Cpus) -> f64 {
        let (count, threads) = (f64::from(cpus.count), f64::from(self.threads));
        let packages = f64::from(cpus.packages);
        let is_share = match (self.share, cpus.is_virtual) {
            (Share::Threads, _) => true,
            (Share::Packages, Some(is_virtual)) => is_virtual,
            // Not every architecture says so; who has few of the threads has a share of them.
            (Share::Packages, None) => 2.0 * count < threads * packages,
        };
        if is_share { count / threads } else { packages }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_machine_has_threads_and_a_real_one_packages() {
        let figure =
            Figure { of: "a CPU".into(), tdp: 280.0, threads: 128, share: Share::Packages, band: Band::CPU };
        let packages = |count, packages, is_virtual| {
            figure.packages(&Cpus { count, packages, is_virtual, ..Cpus::default() })
        };
        assert_eq!(packages(2, 1, Some(true)), 2.0 / 128.0);
        assert_eq!(packages(256, 1, Some(true)), 2.0, "a virtual machine of two packages says so or not");
        assert_eq!(packages(2, 1, Some(false)), 1.0, "a smaller part of the same kind");
        assert_eq!(packages(256, 2, Some(false)), 2.0);
        assert_eq!(packages(2, 1, None), 2.0 / 128.0, "what does not say whether it is virtual");
        assert_eq!(packages(64, 1, None), 1.0, "without hyper-threading");
        assert_eq!(packages(128, 2, None), 2.0);
        assert_eq!(packages(63, 1, None), 63.0 / 128.0, "fewer than a package without hyper-threading has");
        let by_threads = Figure { share: Share::Threads, ..figure };
        let board = Cpus { count: 64, packages: 1, is_virtual: Some(false), ..Cpus::default() };
        assert_eq!(by_threads.packages(&board), 0.5);
    }
}
