//! The metrics of this plugin. Names and units are those of the OpenTelemetry semantic conventions for hardware where they
//! have one; clocks, throttling and uncertainty are named in their manner.

use alumet::Metric;

/// More than this no board draws, in watts: what says so does not work.
pub const MOST_WATTS: f64 = 5_000.0;
/// Label: [`TASK`] = `general`, `memory`, `encoder` or `decoder`.
pub const UTILISATION: Metric =
    Metric::gauge("hw.gpu.utilization", "1", "share of the time in which this part of the GPU was at work");
/// Of the board, of the application on it, and of each of its processes.
pub const MEMORY: Metric = Metric::gauge("hw.gpu.memory.usage", "By", "memory of the GPU in use");
/// What the board has.
pub const MEMORY_LIMIT: Metric = Metric::gauge("hw.gpu.memory.limit", "By", "memory of the GPU");
/// Of the chip.
pub const TEMPERATURE: Metric = Metric::gauge("hw.temperature", "Cel", "temperature");
/// Label: [`CLOCK_DOMAIN`] = `sm` or `memory`.
pub const CLOCK: Metric = Metric::gauge("hw.gpu.clock", "Hz", "clock frequency");
/// Label: [`THROTTLE_REASON`] = `power`, `thermal`, `hardware`, `sync_boost` or `setting`.
pub const THROTTLED: Metric =
    Metric::gauge("hw.gpu.throttled", "1", "1 while the clocks are held down, else 0");
/// What the application's processes have used of a GPU, and what all have: the sum over processes of the share of the
/// time in which each was at work, times the time.
pub const GPU_TIME: Metric = Metric::counter("hw.gpu.time", "s", "time of the GPU used");
/// 1 if a process of the application was seen on the GPU at any sample, else 0.
pub const USED: Metric = Metric::gauge("hw.gpu.used_by_target", "1", "whether the application used the GPU");

/// The label that tells the parts of a GPU apart.
pub const TASK: &str = "hw.gpu.task";
/// The label that tells clocks apart.
pub const CLOCK_DOMAIN: &str = "hw.gpu.clock.domain";
/// The label that tells why the clocks are held down.
pub const THROTTLE_REASON: &str = "hw.gpu.throttle.reason";
/// The label of a GPU that is split into instances (Multi-Instance GPU): its energy is that of all their users.
pub const MIG: &str = "hw.gpu.mig";
