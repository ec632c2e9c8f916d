//! What can be had here and what cannot, why, and what would change that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// Whether a plugin can do its work here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// It can.
    Available,
    /// It cannot.
    Unavailable(Missing),
}

impl Availability {
    /// Not available for this reason, and what would change that.
    pub fn unavailable(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Unavailable(Missing { reason: reason.into(), remedy: remedy.into(), ..Missing::default() })
    }
}

/// Why a plugin cannot start, from one that knows it by then: nobody has to [probe](crate::Plugin::probe) what was just tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unavailable {
    /// Why.
    pub reason: String,
    /// What would change that; empty if nothing would.
    pub remedy: String,
}

impl From<Unavailable> for Missing {
    fn from(Unavailable { reason, remedy }: Unavailable) -> Self {
        Self { reason, remedy, ..Self::default() }
    }
}

/// A quantity that cannot be had: never 0, never missing without a word.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Missing {
    /// The plugin that would measure it; empty if it is no plugin's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub plugin: String,
    /// What is missing, as a person says it ("energy", "storage I/O").
    pub what: String,
    /// Why.
    pub reason: String,
    /// What would change that; empty if nothing would.
    pub remedy: String,
}

/// The list of what could not be measured in a run. A clone is another handle to the same list: plugins add to it while
/// they start, sources while they run and when they finish.
#[derive(Debug, Clone, Default)]
pub struct Gaps {
    plugin: String,
    list: Arc<Mutex<Vec<Missing>>>,
}

impl Gaps {
    /// Another handle to the same list, for what this plugin says.
    pub(crate) fn of(&self, plugin: &str) -> Self {
        Self { plugin: plugin.to_owned(), list: Arc::clone(&self.list) }
    }

    fn list(&self) -> MutexGuard<'_, Vec<Missing>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that something cannot be measured here, why, and what would change that (empty if nothing would).
    pub fn add(&self, what: impl Into<String>, reason: impl Into<String>, remedy: impl Into<String>) {
        self.list().push(Missing {
            plugin: self.plugin.clone(),
            what: what.into(),
            reason: reason.into(),
            remedy: remedy.into(),
        });
    }

    /// All of them so far.
    pub fn get(&self) -> Vec<Missing> {
        self.list().clone()
    }

    /// Forgets all but the first `n`.
    pub(crate) fn truncate(&self, n: usize) {
        self.list().truncate(n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_by_whom_and_in_one_list() {
        let all = Gaps::default();
        all.add("a", "b", "c");
        let of_plugin = all.of("p");
        of_plugin.add("d", "e", "f");
        let texts = |gap: &Missing| [&gap.plugin, &gap.what, &gap.reason, &gap.remedy].map(String::clone);
        let expected = [["", "a", "b", "c"], ["p", "d", "e", "f"]].map(|gap| gap.map(str::to_owned));
        assert_eq!(all.get().iter().map(texts).collect::<Vec<_>>(), expected);
        assert_eq!(of_plugin.get(), all.get());
        all.truncate(1);
        assert_eq!(of_plugin.get().iter().map(texts).collect::<Vec<_>>(), expected[..1]);
    }

    #[test]
    fn what_is_unavailable_has_a_reason_and_a_remedy() {
        let expected = Missing { reason: "r".into(), remedy: "do".into(), ..Missing::default() };
        assert_eq!(Availability::unavailable("r", "do"), Availability::Unavailable(expected.clone()));
        assert_eq!(Missing::from(Unavailable { reason: "r".into(), remedy: "do".into() }), expected);
    }
}
