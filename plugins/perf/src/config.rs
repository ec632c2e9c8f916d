//! What a user may set.

use alumet::Interval;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::event::{self, Spec};

/// The settings of the plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time between two readings.
    pub interval: Interval,
    /// What to count, in the language of perf-list(1): a list separated by commas, or an array of such lists. Each of
    /// them must be available then. Without it, the usual ones are counted as far as they are.
    #[serde(skip_serializing_if = "Events::is_empty")]
    pub events: Events,
    /// Whether to break the first of the events down by process.
    pub per_process: bool,
    /// Whether to break it down by thread.
    pub per_thread: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Interval::from_millis(200),
            events: Events::default(),
            per_process: false,
            per_thread: false,
        }
    }
}

/// Events that were asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Events(pub Vec<Spec>);

impl Events {
    /// Whether none was asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Events {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ToString::to_string))
    }
}

impl<'de> Deserialize<'de> for Events {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a list of events, as in \"cycles,instructions\"")]
        enum Lists {
            One(String),
            Several(Vec<String>),
        }
        let lists = match Lists::deserialize(deserializer)? {
            Lists::One(list) => vec![list],
            Lists::Several(lists) => lists,
        };
        let parsed = lists.iter().map(|list| event::parse(list)).collect::<Result<Vec<_>, _>>();
        Ok(Self(parsed.map_err(serde::de::Error::custom)?.into_iter().flatten().collect()))
    }
}
