//! The isolation of sources, transforms and outputs: errors are counted, panics caught, and the rest goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::{debug, warn};

use crate::panics::Caught;

/// What an element of the pipeline is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementKind {
    /// Reads.
    Source,
    /// Edits.
    Transform,
    /// Writes.
    Output,
}

impl std::fmt::Display for ElementKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Transform => "transform",
            Self::Output => "output",
        })
    }
}

/// Whether an element takes part in the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ElementState {
    /// Takes part.
    Active,
    /// Was stopped through the run's control.
    Stopped,
    /// Panicked, or failed too often in a row, and was left out from then on.
    Failed,
    /// Is a source whose reading did not return.
    Hung,
}

/// What became of one element of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementReport {
    /// `plugin/element`.
    pub name: String,
    /// Source, transform or output.
    pub kind: ElementKind,
    /// At the end of the run.
    pub state: ElementState,
    /// Points pushed by a source, or written by an output.
    pub points: u64,
    /// Points that an output could not write.
    pub lost: u64,
    /// How many calls failed.
    pub errors: u64,
    /// The last failure, as one line.
    pub last_error: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Element {
    name: String,
    kind: ElementKind,
    state: AtomicU8,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    points: u64,
    lost: u64,
    errors: u64,
    in_a_row: u32,
    last_error: Option<String>,
}

const GIVE_UP_AFTER: u32 = 10;

impl Element {
    pub(crate) fn new(name: String, kind: ElementKind) -> Arc<Self> {
        Arc::new(Self {
            name,
            kind,
            state: AtomicU8::new(ElementState::Active as u8),
            health: Mutex::default(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn state(&self) -> ElementState {
        match self.state.load(Ordering::Relaxed) {
            0 => ElementState::Active,
            1 => ElementState::Stopped,
            2 => ElementState::Failed,
            _ => ElementState::Hung,
        }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.state() == ElementState::Active
    }

    pub(crate) fn set(&self, state: ElementState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// Calls the element. Its error is counted and, for all but outputs, ten in a row end it; its panic ends it at
    /// once. Returns the error, so that an output's losses can be counted.
    pub(crate) fn call(&self, f: impl FnOnce() -> anyhow::Result<()>) -> Result<(), anyhow::Error> {
        match catch_unwind(AssertUnwindSafe(f)) {
            Ok(Ok(())) => {
                self.health().in_a_row = 0;
                Ok(())
            }
            Ok(Err(error)) => {
                let mut health = self.health();
                health.errors += 1;
                health.in_a_row += 1;
                health.last_error = Some(format!("{error:#}"));
                // The others are counted.
                if health.errors == 1 {
                    debug!(element = self.name, kind = %self.kind, error = health.last_error, "an element has failed");
                }
                if health.in_a_row >= GIVE_UP_AFTER && self.kind != ElementKind::Output {
                    let errors = health.in_a_row;
                    warn!(element = self.name, kind = %self.kind, errors, "left out an element that goes on failing");
                    self.set(ElementState::Failed);
                }
                Err(error)
            }
            Err(panic) => {
                let message = format!("it {}", Caught::of(&*panic));
                warn!(element = self.name, kind = %self.kind, error = message, "left out an element");
                let mut health = self.health();
                health.errors += 1;
                health.last_error = Some(message.clone());
                self.set(ElementState::Failed);
                Err(anyhow::Error::msg(message))
            }
        }
    }

    /// Its call has not returned for this long.
    pub(crate) fn hangs(&self, limit: std::time::Duration) {
        warn!(element = self.name, after = ?limit, "the reading of a source does not return");
        let mut health = self.health();
        health.errors += 1;
        health.last_error = Some(format!("its reading did not return within {limit:?}"));
        self.change(ElementState::Active, ElementState::Hung);
    }

    /// The call returned after all. If it ended the element, or the element was stopped meanwhile, that stays so.
    pub(crate) fn returns(&self) {
        if self.change(ElementState::Hung, ElementState::Active) {
            warn!(element = self.name, "the reading of a source has returned after all");
        }
    }

    /// In any other state than `from` it stays as it is. Returns whether it was in that.
    fn change(&self, from: ElementState, to: ElementState) -> bool {
        self.state.compare_exchange(from as u8, to as u8, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    pub(crate) fn count(&self, points: usize) {
        self.health().points += points as u64;
    }

    pub(crate) fn count_lost(&self, points: usize) {
        self.health().lost += points as u64;
    }

    /// So many points that were counted have not arrived after all.
    pub(crate) fn recount_lost(&self, points: usize) {
        let mut health = self.health();
        let points = health.points.min(points as u64);
        health.points -= points;
        health.lost += points;
    }

    pub(crate) fn report(&self) -> ElementReport {
        let health = self.health();
        ElementReport {
            name: self.name.clone(),
            kind: self.kind,
            state: self.state(),
            points: health.points,
            lost: health.lost,
            errors: health.errors,
            last_error: health.last_error.clone(),
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_arrive_is_lost_and_no_more_than_was_counted() {
        let element = Element::new("e".into(), ElementKind::Output);
        element.count(10);
        element.count_lost(1);
        element.recount_lost(3);
        assert_eq!((element.report().points, element.report().lost), (7, 4));
        element.recount_lost(100);
        assert_eq!((element.report().points, element.report().lost), (0, 11));
    }

    #[test]
    fn the_kinds_have_names() {
        let kinds = [ElementKind::Source, ElementKind::Transform, ElementKind::Output];
        assert_eq!(kinds.map(|kind| kind.to_string()), ["source", "transform", "output"]);
    }
}
