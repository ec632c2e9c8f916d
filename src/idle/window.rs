//! Measures the machine for a while in which nothing should run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alumet::conventions::{DOMAIN, UNCERTAINTY, is_busy_time};
use alumet::{Agent, Batch, Missing, Output, Plugin, RealClock, SeriesId, Time};
use alumet_plugin_procfs::Procfs;
use alumet_plugin_rapl::{Rapl, is_machine_energy, is_package_energy};

use super::Idle;
use crate::config::Config;
use crate::exit::Failure;
use crate::plugins;

/// Why there is no idle power.
#[derive(Debug)]
pub enum NotIdle {
    /// Nothing measures the machine's energy: why, and what would change that.
    NoMeter(String, String),
    /// So many CPUs were busy.
    Busy(f64),
    /// A counter has lost something, or cannot be read: what the meter has said of it.
    Lossy(Missing),
}

/// The machine counts as quiet up to so many busy CPUs: a tenth of one, or 2 % of all. alumet itself is among them, and
/// what a desktop does in the background.
fn quiet(cpus: usize) -> f64 {
    (0.02 * cpus as f64).max(0.1)
}

/// Measures for so long.
///
/// # Errors
/// The configuration is not valid.
pub async fn measure(config: &Config, duration: Duration) -> Result<Result<Idle, NotIdle>, Failure> {
    let mut agent = Agent::on(config.host(), Arc::new(RealClock));
    for name in [Rapl::NAME, Procfs::NAME] {
        let Some(plugin) = plugins::find(name) else { continue };
        let section = config.section(name);
        if let Err(error) = agent.start_plugin(name, |setup| plugin.start(section.clone(), setup)) {
            let (reason, remedy) = match plugin.probe(section, &config.host())? {
                alumet::Availability::Unavailable(missing) => (missing.reason, missing.remedy),
                alumet::Availability::Available => (format!("{error:#}"), String::new()),
            };
            return Ok(Err(NotIdle::NoMeter(reason, remedy)));
        }
    }
    let seen = Seen::default();
    agent.setup().output("idle", seen.clone());
    let running = agent.start().await.map_err(Failure::from)?;
    let start = running.start().time;
    tokio::time::sleep(duration).await;
    let report = running.finish().await;
    let seen = seen.0.lock().unwrap_or_else(PoisonError::into_inner);
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let lost = report.missing.into_iter().find(|gap| gap.plugin == Rapl::NAME).unwrap_or_default();
    Ok(seen.idle(start, cpus, lost))
}

/// The energy of each counter, and the busy time of the machine. A clone is another handle.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<Readings>>);

#[derive(Debug, Default)]
struct Readings {
    energy: BTreeMap<SeriesId, Counter>,
    /// Whether one of them is of a package.
    has_package: bool,
    /// How many of them have lost nothing, as they say themselves.
    whole: usize,
    busy: f64,
}

#[derive(Debug, Default)]
struct Counter {
    name: String,
    method: String,
    increases: Vec<(Time, f64)>,
}

impl Output for Seen {
    fn write(&mut self, batch: &Batch) -> anyhow::Result<()> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for point in batch.points() {
            let series = batch.series(point.series);
            if is_machine_energy(&series) {
                seen.has_package |= is_package_energy(&series);
                let counter = seen.energy.entry(point.series).or_default();
                counter.name = super::domain(&series);
                counter.method = series.method.to_string();
                counter.increases.push((point.time, point.value));
            }
            let is_sure = series.metric.name == UNCERTAINTY.name
                && matches!(series.label_value(DOMAIN), Some("package" | "dram"));
            seen.whole += usize::from(is_sure);
            if is_busy_time(&series) {
                seen.busy += point.value;
            }
        }
        Ok(())
    }
}

impl Readings {
    fn idle(&self, start: Time, cpus: usize, lost: Missing) -> Result<Idle, NotIdle> {
        let counters: Vec<&Counter> = self.energy.values().collect();
        let Some(first) = counters.first().filter(|_| self.has_package) else {
            let reason = "the counters of its packages stood still while the machine idled";
            return Err(NotIdle::NoMeter(reason.into(), String::new()));
        };
        if self.whole != counters.len() {
            return Err(NotIdle::Lossy(lost));
        }
        // All counters are read at the same ticks.
        let readings = counters.iter().map(|counter| counter.increases.len()).min().unwrap_or(0);
        let (mut energy, mut powers, mut since) = (0.0, Vec::new(), start);
        for i in 0..readings {
            let joules: f64 = counters.iter().map(|counter| counter.increases[i].1).sum();
            let (until, _) = first.increases[i];
            let seconds = until.since(since).as_secs_f64();
            energy += joules;
            // The last piece may be as short as the counter's steps are.
            if seconds >= SHORTEST {
                powers.push(joules / seconds);
            }
            since = until;
        }
        let duration = since.since(start).as_secs_f64();
        let busy_cpus = self.busy / duration;
        if busy_cpus > quiet(cpus) {
            return Err(NotIdle::Busy(busy_cpus));
        }
        let power = energy / duration;
        Ok(Idle {
            power_w: power,
            spread_w: spread(&powers, power),
            duration_s: duration,
            busy_cpus,
            method: first.method.clone(),
            domains: counters.iter().map(|counter| counter.name.clone()).collect(),
        })
    }
}

/// Over less, a power says more of the counter's steps than of the machine.
const SHORTEST: f64 = 0.01;

/// The standard deviation; of a single power, as much as itself: nothing is known of its spread.
fn spread(powers: &[f64], mean: f64) -> f64 {
    match powers.len() {
        0 | 1 => mean,
        n => (powers.iter().map(|power| (power - mean).powi(2)).sum::<f64>() / (n as f64 - 1.0)).sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    fn counter(name: &str, joules: &[f64]) -> Counter {
        let times = (1..).map(|i| at(i * 100));
        Counter {
            name: name.into(),
            method: "m".into(),
            increases: times.zip(joules.iter().copied()).collect(),
        }
    }

    fn readings(counters: &[Counter], busy: f64) -> Readings {
        // Ids come from a registry; these are of as many series.
        let registry = alumet::Registry::new();
        let id = |name: &str| {
            registry.series(alumet::Series::new(alumet::conventions::ENERGY).label("n", name)).unwrap()
        };
        let energy = counters.iter().map(|c| {
            let copy =
                Counter { name: c.name.clone(), method: c.method.clone(), increases: c.increases.clone() };
            (id(&c.name), copy)
        });
        Readings { energy: energy.collect(), has_package: true, whole: counters.len(), busy }
    }

    #[test]
    fn counters_add_up_and_the_spread_is_that_of_their_sum() {
        // Together 5, 7, 5 and 7 W.
        let all = [counter("package 0", &[0.4, 0.6, 0.4, 0.6]), counter("dram 0", &[0.1; 4])];
        let idle = readings(&all, 0.02).idle(at(0), 2, Missing::default()).unwrap();
        assert!((idle.power_w - 6.0).abs() < 1e-9 && (idle.spread_w - (4.0f64 / 3.0).sqrt()).abs() < 1e-9);
        assert_eq!(idle.domains, ["package 0", "dram 0"]);
        assert!((idle.busy_cpus - 0.05).abs() < 1e-9);
    }

    #[test]
    fn a_busy_machine_has_no_idle_power() {
        let all = [counter("package 0", &[0.5; 10])];
        assert!(matches!(readings(&all, 0.11).idle(at(0), 2, Missing::default()), Err(NotIdle::Busy(_))));
        assert!(
            readings(&all, 0.11).idle(at(0), 16, Missing::default()).is_ok(),
            "a large machine does more in the background"
        );
        assert!(matches!(readings(&[], 0.0).idle(at(0), 2, Missing::default()), Err(NotIdle::NoMeter(..))));
        let memory_alone = Readings { has_package: false, ..readings(&[counter("dram 0", &[0.5; 10])], 0.0) };
        assert!(matches!(memory_alone.idle(at(0), 2, Missing::default()), Err(NotIdle::NoMeter(..))));
    }

    #[test]
    fn counters_that_have_lost_something_tell_no_idle_power() {
        let lossy = Readings { whole: 0, ..readings(&[counter("package 0", &[0.5; 10])], 0.0) };
        assert!(matches!(lossy.idle(at(0), 2, Missing::default()), Err(NotIdle::Lossy(_))));
    }

    #[test]
    fn one_reading_says_nothing_of_the_spread() {
        let idle = readings(&[counter("package 0", &[0.5])], 0.0).idle(at(0), 2, Missing::default()).unwrap();
        assert_eq!((idle.power_w, idle.spread_w), (5.0, 5.0));
    }
}
