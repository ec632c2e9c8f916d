//! What the arguments, the environment and the configuration file mean together: defaults < file < environment <
//! flags, resolved once into plain values.
//!
//! [`values`] knows the keys and merges, [`mod@file`] finds and reads the file.

mod file;
mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

use alumet::target::Exit;
use alumet::{Host, Interval, PluginEntry};
use serde::{Deserialize, Serialize};
use tracing::info;

pub use file::{Doubt, Notice, open};
pub use values::Origin;
use values::{GENERAL, Values};

use crate::cli::Settings;
use crate::exit::Failure;
use crate::footprint::{Rate, Rates};
use crate::plugins;

/// The keys outside of any plugin's section.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct General {
    /// For every source that has none of its own from the same place or a stronger one.
    pub interval: Option<Interval>,
    pub plugins: Option<Vec<String>>,
    pub without: Option<Vec<String>>,
    pub sysfs: Option<PathBuf>,
    pub procfs: Option<PathBuf>,
    pub quiet: bool,
    pub timeout: Option<Timeout>,
    pub wait_all: bool,
    pub ignore_failure: IgnoreFailure,
    /// Grams of CO2 equivalent per kWh.
    pub carbon: Option<Rate>,
    /// For how long the idle power is measured before the application starts.
    pub idle: Option<Timeout>,
    /// The file with the idle power of this machine, instead of those that are looked for.
    pub idle_profile: Option<PathBuf>,
    /// Per kWh, in any currency.
    pub price: Option<Rate>,
}

/// Which failures of the application are none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Failures", into = "Failures")]
pub enum IgnoreFailure {
    #[default]
    None,
    All,
    Statuses(Vec<u8>),
}

/// As it is written: `true`, `3`, `[1, 3]` or `1,3`.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected true, false, or statuses as in `1,3`")]
enum Failures {
    All(bool),
    One(u8),
    Some(Vec<u8>),
    Text(String),
}

impl TryFrom<Failures> for IgnoreFailure {
    type Error = String;

    fn try_from(written: Failures) -> Result<Self, String> {
        Ok(match written {
            Failures::All(true) => Self::All,
            Failures::All(false) => Self::None,
            Failures::One(status) => Self::Statuses(vec![status]),
            Failures::Some(statuses) => Self::Statuses(statuses),
            Failures::Text(text) => {
                let statuses = text.split(',').map(|status| status.trim().parse()).collect::<Result<_, _>>();
                Self::Statuses(statuses.map_err(|_| format!("`{text}` is no list of statuses (0 to 255)"))?)
            }
        })
    }
}

impl From<IgnoreFailure> for Failures {
    fn from(ignored: IgnoreFailure) -> Self {
        match ignored {
            IgnoreFailure::None => Self::All(false),
            IgnoreFailure::All => Self::All(true),
            IgnoreFailure::Statuses(statuses) => Self::Some(statuses),
        }
    }
}

impl IgnoreFailure {
    /// Whether an application that ends like this has not failed.
    pub fn accepts(&self, exit: Exit) -> bool {
        match self {
            _ if exit.is_success() => true,
            Self::None => false,
            Self::All => true,
            Self::Statuses(statuses) => {
                u8::try_from(exit.status()).is_ok_and(|status| statuses.contains(&status))
            }
        }
    }
}

/// A duration above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timeout(pub Duration);

impl TryFrom<String> for Timeout {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match alumet::duration::parse(&text) {
            Ok(Duration::ZERO) => Err("it must be longer than 0".into()),
            Ok(duration) => Ok(Self(duration)),
            Err(wrong) => Err(wrong.in_words(&text, "`10s` or `5m`")),
        }
    }
}

impl From<Timeout> for String {
    fn from(timeout: Timeout) -> Self {
        humantime::format_duration(timeout.0).to_string()
    }
}

/// A value that a flag of one command gives to a key.
pub struct Flag {
    pub section: &'static str,
    pub key: &'static str,
    pub value: String,
    /// As it is typed, with its dashes.
    pub name: &'static str,
}

impl Flag {
    /// A flag without a value.
    pub fn on(section: &'static str, key: &'static str, name: &'static str) -> Self {
        Self { section, key, value: "true".into(), name }
    }
}

/// The configuration in force.
#[derive(Debug, Clone)]
pub struct Config {
    pub general: General,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// What the user should know about files that were not read.
    pub notices: Vec<Notice>,
    values: Values,
}

impl Config {
    /// Puts everything together.
    pub fn resolve(settings: &Settings, flags: &[Flag]) -> Result<Self, Failure> {
        Self::resolve_with(settings, flags, true)
    }

    /// The same without a file of the working directory, which may be that of a change that is to be judged.
    pub fn resolve_apart(settings: &Settings, flags: &[Flag]) -> Result<Self, Failure> {
        Self::resolve_with(settings, flags, false)
    }

    fn resolve_with(settings: &Settings, flags: &[Flag], here: bool) -> Result<Self, Failure> {
        let mut values = Values::with_defaults()?;
        let environment = values::environment()?;
        let named = settings.config.clone().or_else(|| environment.config.clone());
        let (found, mut notices) = file::find(named.as_deref(), here)?;
        let ignored = |name| {
            Notice(format!(
                "ignored {name}: there is no such setting (the options of `alumet exec --help` are, in capitals)"
            ))
        };
        notices.extend(environment.others.iter().map(ignored));
        match &found {
            Some(found) => {
                info!(path = %found.path.display(), named = named.is_some(), "read the configuration file");
                file::read(found, &mut values)?;
            }
            None => info!("found no configuration file"),
        }
        for (section, key, value, variable) in &environment.values {
            // Not its value, which is nobody else's business.
            info!(variable, "read a variable of the environment");
            values.set_text(section, key, value, Origin::Environment(variable.clone()))?;
        }
        // `--set` before the flags made for a purpose: they are of equal strength, and the last one counts.
        for setting in &settings.set {
            let (section, key, value) = split_setting(setting)?;
            values.set_text(section, key, value, Origin::Flag("--set".into()))?;
        }
        let general = [
            ("interval", settings.interval.as_deref()),
            ("plugins", settings.plugins.as_deref()),
            ("without", settings.without.as_deref()),
        ];
        for (key, value) in general {
            if let Some(value) = value {
                values.set_text(GENERAL, key, value, Origin::Flag(format!("--{key}")))?;
            }
        }
        for Flag { section, key, value, name } in flags {
            values.set_text(section, key, value, Origin::Flag((*name).into()))?;
        }
        values.spread_interval();

        let mut general: General = values.general()?;
        // Paths are not text: these two may hold what no TOML string can.
        general.sysfs = settings.sysfs.clone().or(general.sysfs);
        general.procfs = settings.procfs.clone().or(general.procfs);
        let config = Self { general, file: found.map(|found| found.path), notices, values };
        config.check_names()?;
        Ok(config)
    }

    fn check_names(&self) -> Result<(), Failure> {
        let named = self.general.plugins.iter().chain(&self.general.without).flatten();
        for name in named {
            if plugins::find(name).is_none() {
                let near = plugins::did_you_mean(name, plugins::ALL.iter().map(|plugin| plugin.name));
                return Err(Failure::usage(format!(
                    "no plugin named `{name}`{near} (`alumet plugins` lists them)"
                )));
            }
        }
        Ok(())
    }

    /// What energy is to be converted to.
    pub fn rates(&self) -> Rates {
        Rates { carbon: self.general.carbon, price: self.general.price }
    }

    /// Where the machine's files are.
    pub fn host(&self) -> Host {
        let or = |path: &Option<PathBuf>, default: &str| path.clone().unwrap_or_else(|| default.into());
        Host::new(or(&self.general.sysfs, "/sys"), or(&self.general.procfs, "/proc"))
    }

    /// Whether the plugin takes part, and whether it was asked for: by name, or by naming events.
    pub fn selection(&self, plugin: &PluginEntry) -> Selection {
        let names = |list: &Option<Vec<String>>| {
            list.as_ref().map(|names| names.iter().any(|name| name == plugin.name))
        };
        match (names(&self.general.without), names(&self.general.plugins)) {
            (Some(true), _) | (_, Some(false)) => Selection::Out,
            (_, Some(true)) => Selection::Asked,
            (_, None) if self.section(plugin.name).contains_key("events") => Selection::Asked,
            (_, None) => Selection::Default,
        }
    }

    /// The section of a plugin.
    pub fn section(&self, plugin: &str) -> toml::Table {
        self.values.section(plugin)
    }

    /// Sets a plugin's value that was found out by measuring or from a file of alumet's own.
    pub fn set(
        &mut self,
        section: &str,
        key: &str,
        value: impl Into<toml::Value>,
        origin: Origin,
    ) -> Result<(), Failure> {
        self.values.set(section, key, value.into(), origin)
    }

    /// All values, by section, with their origins: (section, key, value, origin).
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str, &toml::Value, &Origin)> {
        self.values.entries()
    }
}

/// Whether a plugin takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Not wanted.
    Out,
    /// If it is available.
    Default,
    /// It must work: it was asked for by name.
    Asked,
}

fn split_setting(text: &str) -> Result<(&str, &str, &str), Failure> {
    let parts = text.split_once('=').and_then(|(path, value)| {
        let (section, key) = path.trim().split_once('.')?;
        Some((section, key, value.trim()))
    });
    parts.ok_or_else(|| Failure::usage(format!("--set {text}: write it as PLUGIN.KEY=VALUE")))
}

/// A path as a person reads it.
pub fn shown(path: &Path) -> String {
    path.display().to_string()
}
