//! How fine the meters are: they are read far more often than in a run, to see when they advance and by how much.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alumet::conventions::{DOMAIN, ENERGY, SENSOR_CHIP, SENSOR_NAME};
use alumet::{Agent, Batch, Consumer, Output, Plugin, Provenance, RealClock, Series, SeriesId, Time};
use alumet_plugin_hwmon::Hwmon;
use alumet_plugin_nvml::Nvml;
use alumet_plugin_rapl::{Rapl, is_package_energy};
use serde::Serialize;

use crate::config::{Config, Selection};
use crate::exit::Failure;
use crate::plugins;

/// For so long.
const WATCH: Duration = Duration::from_secs(1);
/// Those who have meters, and how often each is read: RAPL's counters advance every millisecond, the others' every 20 ms
/// or more slowly, and take a driver's time.
const SOURCES: [(&str, &str, f64); 3] =
    [(Rapl::NAME, "250us", 250e-6), (Hwmon::NAME, "5ms", 5e-3), (Nvml::NAME, "5ms", 5e-3)];

/// An energy counter.
#[derive(Debug, PartialEq, Serialize)]
pub struct Meter {
    /// `package 0`, `GPU 0`, or the sensor.
    pub name: String,
    pub method: String,
    /// The smallest advance that was seen, in joules; null if there was but one, which may be of several steps.
    pub step_j: Option<f64>,
    /// The mean time between two advances, in seconds; null if it advanced too seldom.
    pub period_s: Option<f64>,
    /// Whether it is that of a package, without which no machine's energy is known.
    #[serde(skip)]
    pub is_of_a_package: bool,
    /// How often it was read, in seconds: it may advance more often than that.
    pub read_every_s: f64,
}

/// Watches all energy counters.
pub async fn watch(config: &Config) -> Result<Vec<Meter>, Failure> {
    let mut agent = Agent::on(config.host(), Arc::new(RealClock));
    let seen = Seen::default();
    for (name, interval, _) in SOURCES {
        let Some(plugin) = plugins::find(name) else { continue };
        if config.selection(plugin) == Selection::Out {
            continue;
        }
        let mut section = config.section(name);
        section.insert("interval".into(), interval.into());
        // Why one cannot be started was said already.
        let _ = agent.start_plugin(name, |setup| plugin.start(section, setup));
    }
    agent.setup().output("advances", seen.clone());
    let running = agent.start().await.map_err(Failure::from)?;
    tokio::time::sleep(WATCH).await;
    running.finish().await;
    let seen = seen.0.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(seen.values().map(Advances::meter).collect())
}

/// The advances of each counter. A clone is another handle.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<SeriesId, Advances>>>);

#[derive(Debug)]
struct Advances {
    series: Arc<Series>,
    count: u32,
    first: Time,
    last: Time,
    smallest: f64,
}

impl Output for Seen {
    fn write(&mut self, batch: &Batch) -> anyhow::Result<()> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for point in batch.points().iter().filter(|point| point.value > 0.0) {
            let series = batch.series(point.series);
            let is_meter = series.metric.name == ENERGY.name
                && series.consumer == Consumer::Machine
                && series.provenance == Provenance::Measured;
            if is_meter {
                seen.entry(point.series)
                    .and_modify(|advances| {
                        advances.count += 1;
                        advances.last = point.time;
                        advances.smallest = advances.smallest.min(point.value);
                    })
                    // What came before the first one is no single step.
                    .or_insert(Advances {
                        series,
                        count: 0,
                        first: point.time,
                        last: point.time,
                        smallest: f64::INFINITY,
                    });
            }
        }
        Ok(())
    }
}

impl Advances {
    fn meter(&self) -> Meter {
        let series = &self.series;
        let label = |key| series.label_value(key);
        let read_every_s = match (&*series.resource.kind, label(DOMAIN)) {
            (_, Some(_)) => SOURCES[0].2,
            _ => SOURCES[1].2,
        };
        let name = match (label(DOMAIN), label(SENSOR_NAME)) {
            (Some(domain), _) => format!("{domain} {}", series.resource.id),
            (None, Some(sensor)) => format!("{} {sensor}", label(SENSOR_CHIP).unwrap_or_default()),
            (None, None) => format!("GPU {}", series.resource.id),
        };
        let period = self.last.since(self.first).as_secs_f64() / f64::from(self.count.max(1));
        Meter {
            name: name.trim().to_owned(),
            method: series.method.to_string(),
            is_of_a_package: is_package_energy(series),
            step_j: (self.count > 0).then_some(self.smallest),
            period_s: (self.count >= 3).then_some(period),
            read_every_s,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_counter_that_advanced_once_neither_step_nor_period_is_known() {
        let meter = |count| {
            let series = Arc::new(Series::new(ENERGY).resource("gpu", "0"));
            let [first, last] = [0, 750_000_000].map(Time::from_nanos);
            let meter = Advances { series, count, first, last, smallest: 0.5 }.meter();
            (meter.step_j, meter.period_s)
        };
        assert_eq!(meter(0), (None, None));
        assert_eq!(meter(1), (Some(0.5), None));
        assert_eq!(meter(3), (Some(0.5), Some(0.25)));
    }
}
