//! What a series tells of those who are split: by whom energy was used, and by whom time.

use alumet::conventions::{CPU_TIME, DOMAIN, ENERGY, SENSOR_CHIP, UNCERTAINTY, is_busy_time};
use alumet::{Consumer, Provenance, Series};

/// What has an energy of its own, and the time by which that is split.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Split {
    /// CPUs and memory, as measured.
    Measured,
    /// The same, by a model.
    Estimated,
    /// The GPU of this number.
    Gpu(String),
}

/// Of whose time a series tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Time {
    /// That of the CPUs, which measured and estimated energy are split by.
    Cpu,
    /// That of the GPU of this number.
    Gpu(String),
}

/// What a series tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// An energy to be split.
    Energy(Split),
    /// How sure the total of such an energy is.
    Uncertainty(Split),
    /// Time that the application has used.
    Target(Time),
    /// Time that anybody has used.
    Busy(Time),
    /// CPU time of a process of this number and name.
    Process(i32, String),
    /// Something else.
    Nothing,
}

impl Role {
    /// That of this series.
    pub fn of(series: &Series) -> Self {
        let label = |key| series.label_value(key);
        let gpu = || Time::Gpu(series.resource.id.clone());
        match (&*series.metric.name, series.consumer) {
            (name, Consumer::Machine) if name == ENERGY.name => {
                split(series).map_or(Self::Nothing, Self::Energy)
            }
            (name, Consumer::Machine) if name == UNCERTAINTY.name => {
                split(series).map_or(Self::Nothing, Self::Uncertainty)
            }
            (name, Consumer::Target) if name == CPU_TIME.name => Self::Target(Time::Cpu),
            (name, Consumer::Process(pid)) if name == CPU_TIME.name => {
                Self::Process(pid, label("process.executable.name").unwrap_or_default().to_owned())
            }
            _ if is_busy_time(series) => Self::Busy(Time::Cpu),
            ("hw.gpu.time", Consumer::Target) => Self::Target(gpu()),
            ("hw.gpu.time", Consumer::Machine) => Self::Busy(gpu()),
            _ => Self::Nothing,
        }
    }
}

/// What an energy of the machine is a part of, if it is to be split.
fn split(series: &Series) -> Option<Split> {
    let label = |key| series.label_value(key);
    match (label(DOMAIN), &*series.resource.kind) {
        // The packages contain cores and graphics; sensors of other kinds have no such label.
        (Some("package" | "dram"), _) => Some(match series.provenance {
            Provenance::Estimated => Split::Estimated,
            Provenance::Measured | Provenance::Attributed => Split::Measured,
        }),
        (None, "gpu") if label(SENSOR_CHIP).is_none() => Some(Split::Gpu(series.resource.id.clone())),
        _ => None,
    }
}

impl Time {
    /// What is split by it.
    pub fn splits(&self) -> Vec<Split> {
        match self {
            Self::Cpu => vec![Split::Measured, Split::Estimated],
            Self::Gpu(index) => vec![Split::Gpu(index.clone())],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alumet::Metric;
    use alumet::conventions::{CPU_MODE, SYSTEM_CPU_TIME};

    #[test]
    fn a_series_has_the_role_that_its_metric_and_its_consumer_give_it() {
        let gpu = |metric| Series::new(metric).resource("gpu", "3");
        let gpu_time = || gpu(Metric::counter("hw.gpu.time", "s", ""));
        let package = |metric: Metric| Series::new(metric).label(DOMAIN, "package");
        let number = || "3".to_owned();
        let cases = [
            (package(ENERGY), Role::Energy(Split::Measured)),
            (package(ENERGY).provenance(Provenance::Estimated), Role::Energy(Split::Estimated)),
            (package(UNCERTAINTY), Role::Uncertainty(Split::Measured)),
            (package(ENERGY).consumer(Consumer::Target), Role::Nothing),
            (Series::new(ENERGY).label(DOMAIN, "core"), Role::Nothing),
            (gpu(ENERGY), Role::Energy(Split::Gpu(number()))),
            (gpu(UNCERTAINTY), Role::Uncertainty(Split::Gpu(number()))),
            (gpu(ENERGY).label(SENSOR_CHIP, "xe"), Role::Nothing),
            (gpu_time().consumer(Consumer::Target), Role::Target(Time::Gpu(number()))),
            (gpu_time(), Role::Busy(Time::Gpu(number()))),
            (Series::new(CPU_TIME).consumer(Consumer::Target), Role::Target(Time::Cpu)),
            (Series::new(CPU_TIME).consumer(Consumer::Process(7)), Role::Process(7, String::new())),
            (Series::new(SYSTEM_CPU_TIME).label(CPU_MODE, "system"), Role::Busy(Time::Cpu)),
            (Series::new(SYSTEM_CPU_TIME).label(CPU_MODE, "idle"), Role::Nothing),
            (
                Series::new(Metric::gauge("process.memory.usage", "By", "")).consumer(Consumer::Target),
                Role::Nothing,
            ),
            (
                Series::new(Metric::counter("process.faults", "1", "")).consumer(Consumer::Process(7)),
                Role::Nothing,
            ),
        ];
        for (series, expected) in cases {
            assert_eq!(Role::of(&series), expected, "{series:?}");
        }
    }
}
