//! CPUs of which nothing is known: by the kind of machine that they are in.
//!
//! The figures are the medians of the public lists of Boavizta and codecarbon: 3.9 W for a thread of a server (216 CPUs of
//! Xeon's and EPYC's generations), 65 W for a desktop's package (421), 28 W for a laptop's (233).

use crate::band::Band;
use crate::cpus::{Chassis, Cpus};
use crate::figure::{Figure, Share};

const SERVER: f64 = 3.9;
const BOARD: f64 = 1.5;

/// That of its class.
pub fn figure(cpus: &Cpus) -> Figure {
    let package = |of: &str, tdp, band| Figure {
        of: format!("an unknown CPU of a {of}"),
        tdp,
        threads: (cpus.count / cpus.packages.max(1)).max(1),
        share: Share::Packages,
        band,
    };
    let thread =
        |of: &str, tdp, band| Figure { of: of.to_owned(), tdp, threads: 1, share: Share::Threads, band };
    match cpus.chassis.filter(|_| cpus.is_virtual != Some(true)) {
        Some(Chassis::Desktop) => package("desktop", 65.0, Band::DESKTOP),
        Some(Chassis::Laptop) => package("laptop", 28.0, Band::LAPTOP),
        Some(Chassis::Board) => thread("an unknown CPU of a board", BOARD, Band::BOARD),
        Some(Chassis::Server) => thread("an unknown CPU of a server", SERVER, Band::SERVER),
        None => thread("an unknown CPU", SERVER, Band::ANYTHING),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_machine_decides_and_a_virtual_machine_is_of_none() {
        let watts = |chassis, is_virtual| {
            let cpus = Cpus { count: 8, packages: 1, chassis, is_virtual, ..Cpus::default() };
            let figure = figure(&cpus);
            (figure.tdp * figure.packages(&cpus), figure.band)
        };
        assert_eq!(watts(Some(Chassis::Desktop), Some(false)), (65.0, Band::DESKTOP));
        assert_eq!(watts(Some(Chassis::Laptop), Some(false)), (28.0, Band::LAPTOP));
        assert_eq!(watts(Some(Chassis::Server), None), (8.0 * SERVER, Band::SERVER));
        assert_eq!(watts(Some(Chassis::Board), None), (12.0, Band::BOARD));
        assert_eq!(watts(None, None), (8.0 * SERVER, Band::ANYTHING));
        assert_eq!(watts(Some(Chassis::Desktop), Some(true)), (8.0 * SERVER, Band::ANYTHING));
    }

    #[test]
    fn two_packages_of_a_workstation_are_two() {
        let cpus = Cpus { count: 32, packages: 2, chassis: Some(Chassis::Desktop), ..Cpus::default() };
        let figure = figure(&cpus);
        assert_eq!((figure.threads, figure.tdp * figure.packages(&cpus)), (16, 130.0));
    }
}
