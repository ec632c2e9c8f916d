//! A framework to build measurement tools: what does an application, or a machine, cost?
//!
//! Ten concepts make it up. A [`Metric`] is a quantity; a [`Series`] is a metric of something, with its
//! [`Provenance`]; a [`Point`] is a value of a series at a time; a [`Batch`] is points on their way. A [`Source`] reads
//! meters and fills batches, a [`Transform`] edits them, an [`Output`] writes them. A [`Plugin`] brings such elements
//! for one subject and adds them to a [`Setup`]; an [`Agent`] puts plugins together and runs them, with or without an
//! application as their [`Target`].
//!
//! The data flows in one line: sources of the same interval share one sampler thread with an absolute timer; batches
//! go through the transforms in order and to all outputs side by side; then they are used again. In steady state
//! nothing is allocated. Every element is isolated: its error or panic is reported, and the rest goes on.
//!
//! [`Agent`] shows a whole tool, [`Source`], [`Transform`], [`Output`] and [`Plugin`] show one each, and [`testing`]
//! has what tests need.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod agent;
mod allowance;
mod availability;
mod batch;
mod bound;
mod cadence;
mod container;
pub mod conventions;
mod counter;
mod cpu_list;
pub mod duration;
pub mod file;
mod host;
mod interval;
mod metric;
mod output;
pub mod panics;
pub mod perfmon;
mod pipeline;
mod place;
mod plugin;
mod point;
pub mod privilege;
pub mod process;
mod registry;
mod series;
mod setup;
mod source;
mod standstill;
pub mod sysfs;
pub mod target;
pub mod testing;
pub mod text;
mod time;
mod totals;
mod transform;
pub mod unit;
mod watts;

pub use agent::{Agent, Control, OwnCost, Report, Running, StartError};
pub use allowance::Allowance;
pub use availability::{Availability, Gaps, Missing, Unavailable};
pub use batch::Batch;
pub use bound::{Bound, BoundNotice};
pub use cadence::Cadence;
pub use container::is_in_container;
pub use counter::Increase;
pub use cpu_list::cpu_list;
pub use host::Host;
pub use interval::{Interval, IntervalError};
pub use metric::{Kind, Metric};
pub use output::{Lost, Output};
pub use pipeline::{ElementKind, ElementReport, ElementState, Overflow, SamplingReport};
pub use plugin::{Plugin, PluginEntry};
pub use point::Point;
pub use registry::{Contradiction, Registry};
pub use series::{Consumer, Provenance, Resource, Series, SeriesId};
pub use setup::Setup;
pub use source::Source;
pub use standstill::Standstill;
pub use target::{Command, LaunchError, Target};
pub use time::{Anchor, Bell, Clock, RealClock, Time};
pub use totals::{Total, Totals};
pub use transform::Transform;
pub use watts::Watts;
