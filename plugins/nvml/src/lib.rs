//! NVIDIA GPUs, as the driver's own library (NVML) sees them: energy, power, load, memory, clocks, temperature and
//! throttling of each, and what the application's processes use of it.
//!
//! [`mod@source`] is the source. It gets its GPUs from [`driver`], which loads the [`library`]; [`about`] names one and
//! [`gpu`] holds what is asked of it: [`energy`], whose counter's [`period`] is measured, the [`gauge`]s, and the
//! application's processes in [`process`], with their [`shares`] of its time. A [`query`] is one question; [`refusal`] has the words for those that get no answer.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod about;
pub mod driver;
pub mod energy;
pub mod gauge;
pub mod gpu;
pub mod library;
pub mod metrics;
pub mod period;
pub mod process;
pub mod query;
pub mod refusal;
pub mod shares;
pub mod source;

use std::path::PathBuf;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use alumet::{Availability, Host, Interval, Plugin, Setup, Unavailable};
use serde::{Deserialize, Serialize};
use tracing::info;

use refusal::{PERSISTENCE, Refusal};
use source::Gpus;

/// The application is kept waiting so long for a driver that sleeps. One that is awake answers in less.
const WAIT: Duration = Duration::from_millis(100);
/// Somebody who asks what can be measured here waits longer.
const PROBE: Duration = Duration::from_secs(3);

/// The settings of the plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time between two readings. The energy counter is read at both ends of the run in any case.
    pub interval: Interval,
    /// The driver's library, if it is to be another than the system's `libnvidia-ml.so.1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self { interval: Interval::from_millis(100), library: None }
    }
}

/// The plugin.
#[derive(Debug)]
pub struct Nvml;

impl Plugin for Nvml {
    const NAME: &'static str = "nvml";
    const ABOUT: &'static str = "energy, power, load and memory of NVIDIA GPUs";
    const MISSED: &'static str = "GPU";
    type Config = Config;

    fn probe(config: &Config, host: &Host) -> Availability {
        let refusal = match driver::ask(config.library.clone(), host).recv_timeout(PROBE) {
            Ok(Ok(_)) => return Availability::Available,
            Ok(Err(refusal)) => refusal,
            Err(RecvTimeoutError::Timeout) => {
                Refusal::new(format!("the driver has not answered within {PROBE:?}"), PERSISTENCE)
            }
            Err(RecvTimeoutError::Disconnected) => Refusal::new("the driver's library has failed", ""),
        };
        Availability::unavailable(refusal.reason, refusal.remedy)
    }

    fn start(config: Config, setup: &mut Setup<'_>) -> anyhow::Result<()> {
        if config.library.is_none() && driver::is_out_of_sight(setup.host()) {
            info!("nothing is to be seen of a driver or a GPU: the library is not looked for");
            return Err(Unavailable::from(Refusal::no_driver()).into());
        }
        let asked = setup.clock().now();
        let answer = driver::ask(config.library, setup.host());
        let first = answer.recv_timeout(WAIT);
        let mut gpus = Gpus::new(answer, asked, setup);
        match first {
            Ok(Ok(found)) => gpus.adopt(found)?,
            Ok(Err(refusal)) => return Err(Unavailable::from(refusal).into()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => anyhow::bail!("the driver's library has failed"),
        }
        setup.blocking_source("gpus", config.interval, gpus);
        Ok(())
    }
}
