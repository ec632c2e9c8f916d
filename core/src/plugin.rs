//! What brings sources, transforms and outputs: one subject each.

use anyhow::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::availability::Availability;
use crate::host::Host;
use crate::setup::Setup;

/// A subject that can be measured, or a place where points can go.
///
/// ```
/// use alumet::{Availability, Host, Interval, Metric, Plugin, Series, Setup};
/// use serde::{Deserialize, Serialize};
///
/// struct Uptime;
///
/// #[derive(Serialize, Deserialize)]
/// #[serde(default, deny_unknown_fields)]
/// struct Config { interval: Interval }
///
/// impl Default for Config {
///     fn default() -> Self { Self { interval: Interval::from_millis(1000) } }
/// }
///
/// impl Plugin for Uptime {
///     const NAME: &str = "uptime";
///     const ABOUT: &str = "seconds since the machine booted";
///     type Config = Config;
///
///     fn probe(_: &Config, host: &Host) -> Availability {
///         match host.procfs("uptime").exists() {
///             true => Availability::Available,
///             false => Availability::unavailable("no /proc/uptime", "mount /proc"),
///         }
///     }
///
///     fn start(config: Config, setup: &mut Setup) -> anyhow::Result<()> {
///         let path = setup.host().procfs("uptime");
///         let series = setup.series(Series::new(Metric::gauge("system.uptime", "s", "time since boot")))?;
///         setup.source("uptime", config.interval, move |out: &mut alumet::Batch| {
///             let text = std::fs::read_to_string(&path)?;
///             out.push(series, text.split(' ').next().unwrap_or_default().parse()?);
///             Ok(())
///         });
///         Ok(())
///     }
/// }
/// ```
pub trait Plugin {
    /// A short lower-case word: the section in the configuration, the name for `--plugins`.
    const NAME: &'static str;
    /// Half a sentence for a person.
    const ABOUT: &'static str;
    /// What people miss where it cannot work, in a word or two ("GPU"); empty if they would not look for it there.
    const MISSED: &'static str = Self::ABOUT;
    /// What a user may set. Every key is optional; use `#[serde(default, deny_unknown_fields)]`.
    type Config: Default + Serialize + DeserializeOwned;

    /// Looks whether the plugin can work here, without changing anything.
    fn probe(config: &Self::Config, host: &Host) -> Availability;

    /// Discovers, opens, and adds elements to `setup`. The application, if there is one, exists but waits at the gate.
    ///
    /// # Errors
    /// The plugin cannot work; nothing that it added is kept.
    fn start(config: Self::Config, setup: &mut Setup<'_>) -> anyhow::Result<()>;
}

/// A [`Plugin`] whose type is forgotten: an entry in the list of a program that offers several.
#[derive(Debug, Clone, Copy)]
pub struct PluginEntry {
    /// [`Plugin::NAME`].
    pub name: &'static str,
    /// [`Plugin::ABOUT`].
    pub about: &'static str,
    /// [`Plugin::MISSED`].
    pub missed: &'static str,
    keys: fn() -> &'static [&'static str],
    defaults: fn() -> anyhow::Result<toml::Table>,
    check: fn(toml::Table) -> anyhow::Result<()>,
    probe: fn(toml::Table, &Host) -> anyhow::Result<Availability>,
    start: fn(toml::Table, &mut Setup<'_>) -> anyhow::Result<()>,
}

impl PluginEntry {
    /// The entry of a plugin.
    pub const fn of<P: Plugin>() -> Self {
        Self {
            name: P::NAME,
            about: P::ABOUT,
            missed: P::MISSED,
            keys: || serde_aux::serde_introspection::serde_introspect::<P::Config>(),
            defaults: || Ok(toml::Table::try_from(P::Config::default())?),
            check: |config| config.try_into::<P::Config>().map(drop).map_err(Into::into),
            probe: |config, host| Ok(P::probe(&parse::<P>(config)?, host)),
            start: |config, setup| P::start(parse::<P>(config)?, setup),
        }
    }

    /// The keys of the plugin's configuration.
    pub fn keys(&self) -> &'static [&'static str] {
        (self.keys)()
    }

    /// The default configuration. Keys without a default value are not in it.
    ///
    /// # Errors
    /// It cannot be written as TOML, which is a mistake in the plugin.
    pub fn defaults(&self) -> anyhow::Result<toml::Table> {
        (self.defaults)().with_context(|| format!("the defaults of plugin `{}`", self.name))
    }

    /// Checks a configuration.
    ///
    /// # Errors
    /// An unknown key, or a value of the wrong type.
    pub fn check(&self, config: toml::Table) -> anyhow::Result<()> {
        (self.check)(config)
    }

    /// [`Plugin::probe`] with this configuration.
    ///
    /// # Errors
    /// The configuration is not valid.
    pub fn probe(&self, config: toml::Table, host: &Host) -> anyhow::Result<Availability> {
        (self.probe)(config, host)
    }

    /// [`Plugin::start`] with this configuration.
    ///
    /// # Errors
    /// The configuration is not valid, or the plugin cannot start.
    pub fn start(&self, config: toml::Table, setup: &mut Setup<'_>) -> anyhow::Result<()> {
        (self.start)(config, setup)
    }
}

fn parse<P: Plugin>(config: toml::Table) -> anyhow::Result<P::Config> {
    config.try_into().with_context(|| format!("the configuration of plugin `{}`", P::NAME))
}
