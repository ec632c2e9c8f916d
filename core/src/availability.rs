//! What can be had here and what cannot, why, and what would change that.

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
        Self::Unavailable(Missing { what: String::new(), reason: reason.into(), remedy: remedy.into() })
    }
}

/// A quantity that cannot be had: never 0, never missing without a word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// What is missing, as a person says it ("energy", "storage I/O").
    pub what: String,
    /// Why.
    pub reason: String,
    /// What would change that; empty if nothing would.
    pub remedy: String,
}
