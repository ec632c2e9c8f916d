//! The names on which plugins agree: what one of them measures, another one splits, estimates or shows.
//!
//! They are those of the OpenTelemetry semantic conventions (hardware, system, process) where these have one; the others
//! are named in their manner.

use crate::metric::Metric;
use crate::series::{Consumer, Series};

/// Energy used, by what the resource names.
pub const ENERGY: Metric = Metric::counter("hw.energy", "J", "energy used");
/// Power drawn: the mean between two readings of [`ENERGY`], with its labels, or what a sensor says.
pub const POWER: Metric = Metric::gauge("hw.power", "W", "power drawn");
/// Of the run's total of [`ENERGY`], with its resource and labels: one standard deviation.
pub const UNCERTAINTY: Metric =
    Metric::gauge("hw.energy.uncertainty", "J", "standard uncertainty of the energy of the run");

/// Label: which part of the CPUs has used it: `package`, `core`, `uncore`, `dram` or `psys`.
pub const DOMAIN: &str = "hw.energy.domain";
/// Label: for whom it was used: `target`, `idle` or `other`. What a meter has measured has no such label.
pub const PART: &str = "hw.energy.part";
/// Label: of what is estimated, the factors between which the truth may be expected, as in `0.55..1.8`.
pub const BAND: &str = "hw.energy.band";
/// Label: the chip of the sensor that says so.
pub const SENSOR_CHIP: &str = "hw.sensor.chip";
/// Label: the name of that sensor.
pub const SENSOR_NAME: &str = "hw.sensor.name";

/// CPU time of the application, a process or a thread. Label: [`CPU_MODE`] = `user` or `system`.
pub const CPU_TIME: Metric = Metric::counter("process.cpu.time", "s", "CPU time used");
/// The machine's CPU time. Label: [`CPU_MODE`] = `user`, `nice`, `system`, `interrupt`, `idle`, `iowait` or `steal`.
pub const SYSTEM_CPU_TIME: Metric = Metric::counter("system.cpu.time", "s", "CPU time of all CPUs, by mode");
/// Label: what the CPU did.
pub const CPU_MODE: &str = "cpu.mode";

/// Whether a series is a part of the time in which the machine's CPUs were busy. In stolen time another machine uses them.
///
/// ```
/// use alumet::Series;
/// use alumet::conventions::{CPU_MODE, SYSTEM_CPU_TIME, is_busy_time};
///
/// let time = |mode| Series::new(SYSTEM_CPU_TIME).label(CPU_MODE, mode);
/// assert!(is_busy_time(&time("nice")) && !is_busy_time(&time("steal")));
/// ```
pub fn is_busy_time(series: &Series) -> bool {
    series.metric.name == SYSTEM_CPU_TIME.name
        && series.consumer == Consumer::Machine
        && series.label_value(CPU_MODE).is_some_and(is_busy_mode)
}

/// Whether a CPU in this mode works for a program of this machine, or for the kernel.
pub fn is_busy_mode(mode: &str) -> bool {
    matches!(mode, "user" | "nice" | "system" | "interrupt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_what_the_machines_cpus_spend_on_work() {
        let time = |mode: &str| Series::new(SYSTEM_CPU_TIME).label(CPU_MODE, mode);
        for mode in ["user", "nice", "system", "interrupt"] {
            assert!(is_busy_time(&time(mode)), "{mode}");
            assert!(!is_busy_time(&time(mode).consumer(Consumer::Target)), "{mode} of somebody");
            assert!(!is_busy_time(&Series::new(CPU_TIME).label(CPU_MODE, mode)), "{mode} of a process");
        }
        for mode in ["idle", "iowait", "steal"] {
            assert!(!is_busy_time(&time(mode)), "{mode}");
        }
        assert!(!is_busy_time(&Series::new(SYSTEM_CPU_TIME)));
    }
}
