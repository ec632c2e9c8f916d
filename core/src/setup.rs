//! What a plugin may touch while it starts.

use std::sync::Arc;

use crate::availability::Gaps;
use crate::host::Host;
use crate::interval::Interval;
use crate::output::Output;
use crate::pipeline::{NewSource, Parts};
use crate::privilege::CapabilitySet;
use crate::registry::{Contradiction, Registry};
use crate::series::{Series, SeriesId};
use crate::source::Source;
use crate::target::Target;
use crate::time::Clock;
use crate::transform::Transform;

/// Registers series and adds sources, transforms and outputs; knows the target and the host.
pub struct Setup<'a> {
    pub(crate) plugin: &'a str,
    pub(crate) host: &'a Host,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) target: Option<&'a Arc<Target>>,
    pub(crate) registry: &'a Arc<Registry>,
    pub(crate) parts: &'a mut Parts,
    pub(crate) gaps: Gaps,
    pub(crate) keep: &'a mut CapabilitySet,
}

impl Setup<'_> {
    /// Where the machine's files are.
    pub fn host(&self) -> &Host {
        self.host
    }

    /// What the run takes its time from, for sources that time what they read.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.clock
    }

    /// The application, which waits at the gate or runs already; `None` when the machine alone is measured.
    pub fn target(&self) -> Option<&Arc<Target>> {
        self.target
    }

    /// Registers a series.
    ///
    /// # Errors
    /// Its metric contradicts one that is known.
    pub fn series(&self, series: Series) -> Result<SeriesId, Contradiction> {
        self.registry.series(series)
    }

    /// The registry, for sources that discover things while they run.
    pub fn registry(&self) -> &Arc<Registry> {
        self.registry
    }

    /// Adds a source that never blocks. It shares a thread with the other sources of the same interval.
    pub fn source(&mut self, name: &str, interval: Interval, source: impl Source + 'static) {
        self.add(name, interval, false, Box::new(source));
    }

    /// Adds a source that may block, in a driver call for example. It gets a thread of its own.
    pub fn blocking_source(&mut self, name: &str, interval: Interval, source: impl Source + 'static) {
        self.add(name, interval, true, Box::new(source));
    }

    fn add(&mut self, name: &str, interval: Interval, blocking: bool, source: Box<dyn Source>) {
        let name = self.full_name(name);
        self.parts.sources.push(NewSource { name, interval, blocking, source });
    }

    /// Adds a transform behind those that are there.
    pub fn transform(&mut self, name: &str, transform: impl Transform + 'static) {
        let name = self.full_name(name);
        self.parts.transforms.push((name, Box::new(transform)));
    }

    /// Adds an output.
    pub fn output(&mut self, name: &str, output: impl Output + 'static) {
        let name = self.full_name(name);
        self.parts.outputs.push((name, Box::new(output)));
    }

    /// The list of what cannot be measured here; a source that finds out later keeps a clone.
    pub fn gaps(&self) -> &Gaps {
        &self.gaps
    }

    /// Says that what was added needs these capabilities while it runs, as far as the process has them: not to open what
    /// is open by now, but what will be opened. All others may be [dropped](crate::Agent::drop_privileges).
    pub fn keep_capabilities(&mut self, needed: CapabilitySet) {
        *self.keep |= needed;
    }

    fn full_name(&self, name: &str) -> String {
        if self.plugin.is_empty() { name.to_owned() } else { format!("{}/{name}", self.plugin) }
    }
}
