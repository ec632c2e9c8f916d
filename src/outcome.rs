//! How a measurement came to its end.

use std::time::Duration;

/// What was measured and how it came to its end, as far as the report does not say.
pub struct Outcome<'a> {
    /// As the summary shows it.
    pub title: &'a str,
    /// The words of the command; of processes attached to, their names.
    pub command: Vec<String>,
    /// Whether the application has ended, or all processes that were attached to.
    pub ended: bool,
    /// The limit after which alumet has ended the application.
    pub timed_out: Option<Duration>,
}
