//! Every plugin started as a run would, on an application that sleeps: what each of them can do here.

use std::sync::Arc;

use alumet::{Agent, Availability, Command, Missing, Plugin, PluginEntry, RealClock, Target};
use alumet_plugin_attribution::Attribute;
use alumet_plugin_csv::Csv;
use serde::Serialize;

use crate::config::{Config, Selection};
use crate::descriptors;
use crate::exit::Failure;
use crate::plugins;

/// A source of measurements.
#[derive(Debug, Serialize)]
pub struct Source {
    pub name: &'static str,
    pub about: String,
    pub status: Status,
    /// Why it is not available; empty if it is, or if single things are missing.
    pub reason: String,
    pub remedy: String,
    /// What is missing although it is available.
    pub missing: Vec<Missing>,
    /// Whether there were no descriptors left to look at anything.
    #[serde(skip)]
    is_blind: bool,
}

/// How far a source is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Available,
    /// Some of it is missing.
    Partly,
    NotPermitted,
    Unavailable,
    /// A model that nobody needs where something measures.
    NotNeeded,
    Excluded,
}

impl Status {
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Partly => "partly",
            Self::NotPermitted => "not permitted",
            Self::Unavailable => "unavailable",
            Self::NotNeeded => "not needed",
            Self::Excluded => "excluded",
        }
    }
}

/// All that bring measurements. The application stands at its gate.
pub struct Trial {
    pub agent: Agent,
    pub target: Arc<Target>,
    pub sources: Vec<Source>,
}

impl Trial {
    /// Starts everything that is not left out.
    pub fn start(config: &Config) -> Result<Self, Failure> {
        let mut agent = Agent::on(config.host(), Arc::new(RealClock));
        let launched = agent.launch(&Command::new(["sleep", "1"]));
        let target = Arc::clone(launched.map_err(|error| {
            let why = Failure::from(error).message;
            Failure::failed(format!("nothing can be tried without an application that sleeps: {why}"))
        })?);
        let all = plugins::ALL.iter().filter(|plugin| is_source(plugin));
        let mut sources =
            all.map(|plugin| Source::of(plugin, config, &mut agent)).collect::<Result<Vec<_>, _>>()?;
        let gaps = agent.setup().gaps().get();
        sources.iter_mut().for_each(|source| source.lacks(&gaps));
        Ok(Self { agent, target, sources })
    }
}

/// Whether it brings measurements.
fn is_source(plugin: &PluginEntry) -> bool {
    ![Csv::NAME, Attribute::NAME].contains(&plugin.name)
}

impl Source {
    /// Starts a plugin and says what came of it.
    fn of(plugin: &PluginEntry, config: &Config, agent: &mut Agent) -> Result<Self, Failure> {
        let section = config.section(plugin.name);
        let source = |status, reason: String, remedy: String| Self {
            name: plugin.name,
            about: plugin.about.to_owned(),
            status,
            reason,
            remedy,
            missing: Vec::new(),
            is_blind: descriptors::are_exhausted(),
        };
        if config.selection(plugin) == Selection::Out {
            return Ok(source(Status::Excluded, "left out by --plugins or --without".into(), String::new()));
        }
        let Err(error) = agent.start_plugin(plugin.name, |setup| plugin.start(section.clone(), setup)) else {
            return Ok(source(Status::Available, String::new(), String::new()));
        };
        Ok(match plugin.probe(section, &config.host())? {
            Availability::Unavailable(missing) => {
                let blind = descriptors::are_exhausted();
                let Missing { reason, remedy, .. } =
                    if blind { descriptors::unseen(missing) } else { missing };
                let forbidden = reason.starts_with("not permitted");
                source(if forbidden { Status::NotPermitted } else { Status::Unavailable }, reason, remedy)
            }
            Availability::Available => source(Status::Unavailable, format!("{error:#}"), String::new()),
        })
    }

    /// Takes down what it lacks, of all that is missing.
    pub fn lacks(&mut self, missing: &[Missing]) {
        let own = missing.iter().filter(|missing| missing.plugin == self.name).cloned();
        self.missing = own.map(|gap| if self.is_blind { descriptors::unseen(gap) } else { gap }).collect();
        if self.status == Status::Available && !self.missing.is_empty() {
            self.status = Status::Partly;
        }
    }
}
