//! The summary's rows of what a sensor has measured of the whole machine, or of a package, where no package has a RAPL
//! counter. It is of everything that ran: nothing of it is attributed, and nothing is added up, as sensors overlap.

use alumet::conventions::{DOMAIN, SENSOR_CHIP, SENSOR_NAME};
use alumet::{Kind, Total};
use alumet_plugin_estimate::measures_cpus;

use crate::energy::{MachineEnergy, Part};
use crate::profile::metric::MetricTotal;
use crate::units::watts;

/// What a sensor has measured.
pub struct Sensor {
    /// By its own name.
    pub name: String,
    /// An energy, or a mean power.
    pub value: String,
    more: String,
}

/// Each of them; of what has both an energy and a power, the energy.
pub fn of(totals: &[Total], metrics: &[MetricTotal], wall: f64) -> Vec<Sensor> {
    if MachineEnergy::of(metrics).is_some_and(|energy| energy.is_measured()) {
        return Vec::new();
    }
    let measured = || totals.iter().zip(metrics).filter(|(total, _)| measures_cpus(&total.series));
    let energies = || measured().filter(|(total, _)| total.series.metric.kind == Kind::Counter);
    let has_energy =
        |power: &Total| energies().any(|(energy, _)| energy.series.resource == power.series.resource);
    let powers =
        measured().filter(|(total, _)| total.series.metric.kind == Kind::Gauge && !has_energy(total));
    let energy = |(total, metric): (&Total, &MetricTotal)| {
        let mean = if wall > 0.0 { format!(", {} mean", watts(total.value / wall)) } else { String::new() };
        Sensor::of(total, Part::of(metric).in_words(), &mean)
    };
    let power = |(total, _): (&Total, &MetricTotal)| {
        let peak = if total.points > 1 { format!(", {} peak", watts(total.max)) } else { String::new() };
        Sensor::of(total, format!("{} mean", watts(total.value)), &peak)
    };
    energies().map(energy).chain(powers.map(power)).collect()
}

impl Sensor {
    fn of(total: &Total, value: String, more: &str) -> Self {
        let series = &total.series;
        let label = |key| series.label_value(key);
        let name = match (label(SENSOR_CHIP), label(SENSOR_NAME)) {
            (Some(chip), Some(name)) => format!("{name} of {chip}"),
            _ => format!("{} {}", label(DOMAIN).unwrap_or(&series.resource.kind), series.resource.id),
        };
        let more = format!("measured by {}{more}", series.method);
        Self { name: name.trim_end().to_owned(), value, more }
    }

    /// Label, value and the rest.
    pub fn row(&self) -> [String; 3] {
        let Self { name, value, more } = self;
        ["Sensor".to_owned(), value.clone(), format!("{name}, of all that ran: {more}")]
    }
}

#[cfg(test)]
mod tests {
    use super::{DOMAIN, SENSOR_CHIP, SENSOR_NAME};
    use crate::units::GLUE;
    use alumet::conventions::{ENERGY, POWER, UNCERTAINTY};
    use alumet::{Batch, Metric, Output, Registry, Series, Totals};

    fn sensor(metric: Metric, resource: (&'static str, &str), name: &str) -> Series {
        let series = Series::new(metric).resource(resource.0, resource.1).method("pm_counters");
        series.label(SENSOR_CHIP, "pm_counters").label(SENSOR_NAME, name)
    }

    fn rows(points: &[(Series, f64)]) -> Vec<String> {
        let registry = Registry::new();
        let mut batch = Batch::new(std::sync::Arc::clone(&registry));
        points
            .iter()
            .for_each(|(series, value)| batch.push(registry.series(series.clone()).unwrap(), *value));
        let mut totals = Totals::new();
        totals.write(&batch).unwrap();
        let totals = totals.get();
        let rows = super::of(&totals, &super::MetricTotal::all(&totals), 2.0);
        rows.iter().map(|sensor| sensor.row().join(" | ").replace(GLUE, " ")).collect()
    }

    #[test]
    fn a_node_and_its_cpus_are_shown_by_name_and_its_gpus_and_chips_are_not() {
        let node = ("machine", "");
        let mut points = vec![
            (sensor(ENERGY, node, "energy"), 800.0),
            (sensor(UNCERTAINTY, node, "energy"), 20.0),
            (sensor(POWER, node, "power"), 400.0),
            (sensor(ENERGY, ("gpu", "0"), "accel0_energy"), 200.0),
            (sensor(POWER, ("sensor", "hwmon3 board"), "power1"), 9.0),
            (sensor(POWER, ("cpu_package", "0"), "Esocket0"), 90.0),
            (sensor(POWER, ("cpu_package", "0"), "Esocket0"), 110.0),
        ];
        assert_eq!(
            rows(&points),
            [
                "Sensor | 800 J ± 20 | energy of pm_counters, of all that ran: measured by pm_counters, 400 W mean",
                "Sensor | 100 W mean | Esocket0 of pm_counters, of all that ran: measured by pm_counters, 110 W peak",
            ]
        );
        // RAPL tells the application's part as well.
        points.push((Series::new(ENERGY).label(DOMAIN, "package"), 300.0));
        assert_eq!(rows(&points), [""; 0]);
    }
}
