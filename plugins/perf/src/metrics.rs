//! The metrics of this plugin: one for each event, named `perf.` and the event's name, for OpenTelemetry has none.

use alumet::{Kind, Metric};

use crate::event::Event;

/// For how much of the time an event was counted. Below 1 it had to share a counter of the CPU with others, and its
/// counts are scaled. Label: [`EVENT`].
pub const RUNNING: Metric =
    Metric::gauge("perf_event.running", "1", "share of the time for which an event was really counted");
/// For how much CPU time of the application events were counted at all.
pub const OBSERVED: Metric = Metric::gauge(
    "perf_event.observed",
    "s",
    "CPU time of the application for which its events were counted",
);
/// The label that names an event.
pub const EVENT: &str = "perf.event";

/// The metric of an event.
pub fn metric(event: &Event) -> Metric {
    Metric {
        name: format!("perf.{}", event.name).into(),
        unit: event.unit.clone(),
        kind: Kind::Counter,
        description: "an event of perf_event_open(2)".into(),
    }
}
