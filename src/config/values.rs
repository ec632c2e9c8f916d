//! The keys that there are, and the value of each with its origin.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde_aux::serde_introspection::serde_introspect;
use toml::{Table, Value};

use super::General;
use crate::exit::Failure;
use crate::{logging, plugins};

/// The section of the keys that belong to no plugin.
pub const GENERAL: &str = "";

/// Where a value comes from, the weakest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    /// As `path:line:column`.
    File(String),
    Environment(String),
    Flag(String),
}

impl Origin {
    fn strength(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File(_) => 1,
            Self::Environment(_) => 2,
            Self::Flag(_) => 3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(place) | Self::Environment(place) | Self::Flag(place) => f.write_str(place),
        }
    }
}

/// All values.
#[derive(Debug, Clone, Default)]
pub struct Values(BTreeMap<(String, String), (Value, Origin)>);

impl Values {
    pub fn with_defaults() -> Result<Self, Failure> {
        let mut values = Self::default();
        let general = Table::try_from(General::default()).map_err(anyhow::Error::from)?;
        values.insert_all(GENERAL, general);
        for plugin in &plugins::ALL {
            values.insert_all(plugin.name, plugin.defaults()?);
        }
        Ok(values)
    }

    fn insert_all(&mut self, section: &str, table: Table) {
        for (key, value) in table {
            self.0.insert((section.to_owned(), key), (value, Origin::Default));
        }
    }

    /// Sets a value of any type.
    pub fn set(&mut self, section: &str, key: &str, value: Value, origin: Origin) -> Result<(), Failure> {
        check_key(section, key, &origin)?;
        check(section, key, &value).map_err(|why| bad_value(section, key, &why, &origin))?;
        self.insert(section, key, value, origin);
        Ok(())
    }

    /// Sets a value that was given as text: as TOML if that is valid for the key, else as a string, else as a list of
    /// comma-separated strings, else as a switch.
    pub fn set_text(&mut self, section: &str, key: &str, text: &str, origin: Origin) -> Result<(), Failure> {
        check_key(section, key, &origin)?;
        let toml = format!("x = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("x"));
        let list = text.split(',').map(|item| Value::from(item.trim())).collect::<Vec<_>>();
        let switch = match text.to_lowercase().as_str() {
            "1" | "yes" | "on" => Some(Value::from(true)),
            "0" | "no" | "off" => Some(Value::from(false)),
            _ => None,
        };
        let candidates = [toml, Some(Value::from(text)), Some(Value::Array(list)), switch];
        let mut why = None;
        for value in candidates.into_iter().flatten() {
            match check(section, key, &value) {
                Ok(()) => {
                    self.insert(section, key, value, origin);
                    return Ok(());
                }
                // What is wrong with it as a string is what a person wants to know, if strings are accepted at all.
                Err(error) if why.is_none() || value.is_str() => why = Some(error),
                Err(_) => {}
            }
        }
        Err(bad_value(section, key, &why.unwrap_or_default(), &origin))
    }

    fn insert(&mut self, section: &str, key: &str, value: Value, origin: Origin) {
        let place = self.0.entry((section.to_owned(), key.to_owned()));
        let old = place.or_insert_with(|| (value.clone(), Origin::Default));
        if origin.strength() >= old.1.strength() {
            *old = (value, origin);
        }
    }

    /// The general interval counts for every plugin that has no interval from an equally strong origin.
    pub fn spread_interval(&mut self) {
        let general = self.0.get(&(GENERAL.to_owned(), "interval".to_owned())).cloned();
        let Some((value, origin)) = general else { return };
        for ((section, key), entry) in &mut self.0 {
            if section != GENERAL && key == "interval" && origin.strength() > entry.1.strength() {
                *entry = (value.clone(), origin.clone());
            }
        }
    }

    pub fn general(&self) -> Result<General, Failure> {
        self.section(GENERAL).try_into().map_err(|error| anyhow::Error::from(error).into())
    }

    pub fn section(&self, section: &str) -> Table {
        self.entries()
            .filter(|(s, ..)| *s == section)
            .map(|(_, key, v, _)| (key.to_owned(), v.clone()))
            .collect()
    }

    pub fn entries(&self) -> impl Iterator<Item = (&str, &str, &Value, &Origin)> {
        self.0.iter().map(|((section, key), (value, origin))| (section.as_str(), key.as_str(), value, origin))
    }
}

fn keys(section: &str) -> Option<&'static [&'static str]> {
    match section {
        GENERAL => Some(serde_introspect::<General>()),
        name => plugins::find(name).map(|plugin| plugin.keys()),
    }
}

fn check_key(section: &str, key: &str, origin: &Origin) -> Result<(), Failure> {
    let Some(keys) = keys(section) else {
        let near = plugins::did_you_mean(section, plugins::ALL.iter().map(|plugin| plugin.name));
        return Err(Failure::usage(format!(
            "{origin}: no plugin named `{section}`{near} (`alumet plugins` lists them)"
        )));
    };
    if keys.contains(&key) {
        return Ok(());
    }
    let near = plugins::did_you_mean(key, keys.iter().copied());
    let place = if section == GENERAL { String::new() } else { format!(" in [{section}]") };
    let valid = if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
    let link = if near.is_empty() { "; valid" } else { " Valid" };
    Err(Failure::usage(format!("{origin}: unknown key `{key}`{place}{near}{link}: {valid}")))
}

fn bad_value(section: &str, key: &str, why: &str, origin: &Origin) -> Failure {
    let path = if section == GENERAL { key.to_owned() } else { format!("{section}.{key}") };
    match origin {
        // A flag that was made for the key says enough.
        Origin::Flag(flag) if flag != "--set" => Failure::usage(format!("{flag}: {why}")),
        origin => Failure::usage(format!("{origin}: {path}: {why}")),
    }
}

/// Whether the key takes this value; if not, why.
fn check(section: &str, key: &str, value: &Value) -> Result<(), String> {
    let table: Table = [(key.to_owned(), value.clone())].into_iter().collect();
    let result = match plugins::find(section) {
        Some(plugin) => plugin.check(table),
        None => parse::<General>(table),
    };
    // toml's message ends with the place in a document that nobody has written.
    result.map_err(|error| in_words(error.to_string().lines().next().unwrap_or_default()))
}

/// What a parser says of types, in words that do not ask for the knowledge of any.
fn in_words(message: &str) -> String {
    let found = message.strip_prefix("invalid type: ").map(|rest| format!("found {rest}"));
    let message = found.as_deref().unwrap_or(message);
    let kinds = [
        ("expected a boolean", "expected true or false"),
        ("expected a string", "expected a text in quotes"),
        ("expected a sequence", "expected a list in brackets"),
    ];
    kinds.iter().fold(message.to_owned(), |text, (kind, words)| text.replace(kind, words))
}

fn parse<T: DeserializeOwned>(table: Table) -> anyhow::Result<()> {
    table.try_into::<T>().map(drop).map_err(Into::into)
}

/// What the environment says.
#[derive(Debug, Default)]
pub struct Environment {
    pub config: Option<PathBuf>,
    /// Section, key, value, variable.
    pub values: Vec<(String, String, String, String)>,
    /// Variables that are not alumet's, although they are named so.
    pub others: Vec<String>,
}

/// Reads `ALUMET_CONFIG`, `ALUMET_KEY` and `ALUMET_PLUGIN_KEY`; `ALUMET_LOG` is no key. A name that is near one of these is taken for a mistake;
/// any other is another program's, and must not stop this one.
pub fn environment() -> Result<Environment, Failure> {
    let mut environment = Environment::default();
    for (variable, value) in std::env::vars_os() {
        let Some(name) = variable.to_str().and_then(|name| name.strip_prefix("ALUMET_")) else { continue };
        let variable = format!("ALUMET_{name}");
        if name == "CONFIG" {
            environment.config = Some(value.into());
            continue;
        }
        if variable == logging::VARIABLE {
            continue;
        }
        let name = name.to_lowercase();
        let (section, key) = plugins::ALL
            .iter()
            .find_map(|plugin| Some((plugin.name, name.strip_prefix(plugin.name)?.strip_prefix('_')?)))
            .unwrap_or((GENERAL, &name));
        if !is_like_a_key(section, key) {
            environment.others.push(variable);
            continue;
        }
        let value = value
            .into_string()
            .map_err(|_| Failure::usage(format!("{variable}: its value is not valid UTF-8")))?;
        environment.values.push((section.to_owned(), key.to_owned(), value, variable));
    }
    environment.values.sort();
    environment.others.sort();
    Ok(environment)
}

/// Whether the section has this key, or one that may have been meant.
fn is_like_a_key(section: &str, key: &str) -> bool {
    let keys = keys(section).unwrap_or_default();
    keys.contains(&key) || !plugins::did_you_mean(key, keys.iter().copied()).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(name: &str) -> Origin {
        Origin::Flag(name.into())
    }

    #[test]
    fn a_stronger_origin_wins_whatever_the_order() {
        let mut values = Values::with_defaults().unwrap();
        values.set_text("procfs", "interval", "1s", flag("--set")).unwrap();
        values.set_text("procfs", "interval", "2s", Origin::File("a:1:1".into())).unwrap();
        assert_eq!(values.section("procfs")["interval"].as_str(), Some("1s"));
    }

    #[test]
    fn the_general_interval_yields_to_a_plugins_own_from_the_same_place() {
        let mut values = Values::with_defaults().unwrap();
        values.set_text(GENERAL, "interval", "50ms", Origin::Environment("E".into())).unwrap();
        values.set_text("procfs", "interval", "1s", flag("--set")).unwrap();
        values.spread_interval();
        assert_eq!(values.section("procfs")["interval"].as_str(), Some("1s"));
        values.set_text(GENERAL, "interval", "50ms", flag("--interval")).unwrap();
        values.spread_interval();
        assert_eq!(values.section("procfs")["interval"].as_str(), Some("1s"));

        let mut values = Values::with_defaults().unwrap();
        values.set_text("procfs", "interval", "1s", Origin::File("a:1:1".into())).unwrap();
        values.set_text(GENERAL, "interval", "50ms", flag("--interval")).unwrap();
        values.spread_interval();
        assert_eq!(values.section("procfs")["interval"].as_str(), Some("50ms"));
    }

    #[test]
    fn text_becomes_the_type_that_the_key_takes() {
        let mut values = Values::with_defaults().unwrap();
        values.set_text("procfs", "per_process", "true", flag("--set")).unwrap();
        values.set_text("csv", "path", "true", flag("--set")).unwrap();
        values.set_text(GENERAL, "without", "csv", flag("--without")).unwrap();
        assert_eq!(values.section("procfs")["per_process"], Value::from(true));
        assert_eq!(values.section("csv")["path"], Value::from("true"));
        for (text, is_on) in [("1", true), ("yes", true), ("off", false), ("0", false)] {
            values.set_text("procfs", "per_process", text, flag("--set")).unwrap();
            assert_eq!(values.section("procfs")["per_process"], Value::from(is_on), "{text}");
        }
        // A status, and not a switch.
        values.set_text(GENERAL, "ignore_failure", "1", flag("--ignore-failure")).unwrap();
        assert_eq!(values.section(GENERAL)["ignore_failure"], Value::from(1));
        assert_eq!(values.section(GENERAL)["without"], Value::from(vec!["csv"]));
    }

    #[test]
    fn what_is_unknown_is_named_with_what_is_near_and_what_is_valid() {
        let mut values = Values::with_defaults().unwrap();
        let file = || Origin::File("alumet.toml:12:3".into());
        let message = |result: Result<(), Failure>| result.unwrap_err().message;
        assert_eq!(
            message(values.set_text("procfs", "intervall", "1s", file())),
            "alumet.toml:12:3: unknown key `intervall` in [procfs]; did you mean `interval`? Valid: interval, per_process, per_thread"
        );
        assert_eq!(
            message(values.set_text("csv", "zzzzz", "1", file())),
            "alumet.toml:12:3: unknown key `zzzzz` in [csv]; valid: path"
        );
        assert_eq!(
            message(values.set_text("procsf", "interval", "1s", flag("--set"))),
            "--set: no plugin named `procsf`; did you mean `procfs`? (`alumet plugins` lists them)"
        );
        assert_eq!(
            message(values.set_text(GENERAL, "interval", "abc", flag("--interval"))),
            "--interval: `abc` is not a duration; write it with a unit, as in `100ms`, `2s` or `500us`"
        );
        assert_eq!(
            message(values.set_text("procfs", "per_process", "maybe", flag("--set"))),
            "--set: procfs.per_process: found string \"maybe\", expected true or false"
        );
    }
}
