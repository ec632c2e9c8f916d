//! Splits the energy of the machine between the application, what is idle, and everybody else.
//!
//! [`split`] has the rule, [`timeline`] brings meters that are read at different times to the same intervals, a [`meter`]
//! does both for one energy, and says with [`uncertainty`] how sure the parts are. [`transform`] gives each point on its
//! way to the meters that its [`role`] concerns.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod meter;
pub mod role;
pub mod split;
pub mod timeline;
pub mod transform;
pub mod uncertainty;

use alumet::{Availability, Host, Plugin, Setup, Watts};
use serde::{Deserialize, Serialize};

use meter::Idle;
use transform::Attribution;

/// The settings of the plugin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What the machine uses when nothing runs, in watts: packages and memory together. Without it, all of its energy is
    /// split by CPU time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_power: Option<Watts>,
    /// One standard deviation of the idle power, in watts; 0 unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_spread: Option<Watts>,
}

/// The plugin.
#[derive(Debug)]
pub struct Attribute;

impl Plugin for Attribute {
    const NAME: &'static str = "attribution";
    const ABOUT: &'static str = "the application's share of the machine's energy";
    const MISSED: &'static str = "the application's share of the energy";
    type Config = Config;

    fn probe(_: &Config, _: &Host) -> Availability {
        Availability::Available
    }

    fn start(config: Config, setup: &mut Setup<'_>) -> anyhow::Result<()> {
        anyhow::ensure!(
            config.idle_power.is_some() || config.idle_spread.is_none(),
            "idle_spread is that of idle_power, which is not there"
        );
        if setup.target().is_some() {
            let spread = config.idle_spread.map_or(0.0, f64::from);
            let idle = config.idle_power.map(|Watts(power)| Idle { power, spread });
            setup.transform("energy", Attribution::new(idle));
        }
        Ok(())
    }
}
