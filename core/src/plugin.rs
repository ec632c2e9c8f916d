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

#[cfg(test)]
mod tests {
    use super::*;

    use serde::Deserialize;

    use crate::agent::Agent;
    use crate::interval::Interval;

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Settings {
        size: u32,
        name: String,
    }

    impl Default for Settings {
        fn default() -> Self {
            Self { size: 3, name: "n".into() }
        }
    }

    struct Sized;

    impl Plugin for Sized {
        const NAME: &'static str = "sized";
        const ABOUT: &'static str = "sizes";
        type Config = Settings;

        fn probe(config: &Settings, host: &Host) -> Availability {
            Availability::unavailable(config.size.to_string(), host.sysfs("x").display().to_string())
        }

        fn start(config: Settings, setup: &mut Setup<'_>) -> anyhow::Result<()> {
            setup.transform("none", |_: &mut crate::Batch| Ok(()));
            setup.output("nowhere", |_: &crate::Batch| Ok(()));
            anyhow::ensure!(config.size > 0, "nothing to do");
            setup.gaps().add("half", setup.host().sysfs("y").display().to_string(), "");
            setup.source(&config.name, Interval::from_millis(10), |_: &mut crate::Batch| Ok(()));
            Ok(())
        }
    }

    fn table(text: &str) -> toml::Table {
        text.parse().unwrap()
    }

    #[test]
    fn a_plugin_is_configured_from_a_table_and_its_defaults() {
        let entry = PluginEntry::of::<Sized>();
        assert_eq!((entry.name, entry.about, entry.missed), ("sized", "sizes", "sizes"));
        let mut keys = entry.keys().to_vec();
        keys.sort_unstable();
        assert_eq!(keys, ["name", "size"]);
        assert_eq!(entry.defaults().unwrap(), table("size = 3\nname = 'n'"));
        entry.check(table("size = 5")).unwrap();
        assert!(entry.check(table("size = 'x'")).is_err() && entry.check(table("sise = 5")).is_err());
        let host = Host::new("/s", "/p");
        let told = entry.probe(table("size = 5"), &host).unwrap();
        assert_eq!(told, Availability::unavailable("5", "/s/x"));
        let error = entry.probe(table("size = 'x'"), &host).unwrap_err();
        assert_eq!(error.to_string(), "the configuration of plugin `sized`");
    }

    #[test]
    fn a_plugin_is_started_with_its_table_and_one_that_fails_leaves_nothing_behind() {
        let entry = PluginEntry::of::<Sized>();
        let mut agent = Agent::on(Host::new("/s", "/p"), std::sync::Arc::new(crate::RealClock));
        let mut start = |text: &str| agent.start_plugin(entry.name, |setup| entry.start(table(text), setup));
        assert!(start("size = 'x'").is_err() && start("size = 0").is_err());
        start("name = 'own'").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let report = runtime.block_on(async {
            agent.plugin::<Sized>(Settings::default()).unwrap();
            agent.start().await.unwrap().wait().await
        });
        let names: Vec<_> = report.elements.iter().map(|element| element.name.as_str()).collect();
        let of_each = ["sized/none", "sized/none", "sized/nowhere", "sized/nowhere"];
        assert_eq!(names, [&["sized/own", "sized/n"], &of_each[..]].concat());
        assert_eq!(report.late_p99, None, "there was no tick");
        let gaps: Vec<_> = report.missing.iter().map(|gap| [&gap.plugin, &gap.what, &gap.reason]).collect();
        assert_eq!(gaps, [["sized", "half", "/s/y"]; 2]);
    }
}
