//! The metrics of this plugin. Names and units are those of the OpenTelemetry semantic conventions (system, process)
//! where they have one.

use alumet::Metric;

/// Resident memory.
pub const MEMORY: Metric = Metric::gauge("process.memory.usage", "By", "resident memory, each page once");
/// Label: `process.memory.peak.scope` = `tree`, `largest_process`, or `cgroup`, which has the page cache and the kernel's own
/// memory in it.
pub const MEMORY_PEAK: Metric = Metric::gauge("process.memory.peak", "By", "peak of memory");
/// Label: `system.paging.fault.type` = `minor` or `major`.
pub const FAULTS: Metric = Metric::counter("process.paging.faults", "{fault}", "page faults");
/// Label: `process.context_switch.type` = `voluntary` or `involuntary`.
pub const SWITCHES: Metric =
    Metric::counter("process.context_switches", "{context_switch}", "context switches");
/// Label: `disk.io.direction` = `read` or `write`.
pub const DISK_IO: Metric = Metric::counter("process.disk.io", "By", "storage I/O");
/// Living processes of the tree.
pub const PROCESSES: Metric = Metric::gauge("process.count", "{process}", "living processes");
/// Living threads.
pub const THREADS: Metric = Metric::gauge("process.thread.count", "{thread}", "living threads");

/// Label: `system.memory.state` = `used`, `free`, `buffers` or `cached`.
pub const SYSTEM_MEMORY: Metric =
    Metric::gauge("system.memory.usage", "By", "the machine's memory, by state");
/// What programs could still get without swapping.
pub const SYSTEM_MEMORY_AVAILABLE: Metric =
    Metric::gauge("system.linux.memory.available", "By", "memory that programs could get without swapping");

/// The label that tells the two peaks apart.
pub const PEAK_SCOPE: &str = "process.memory.peak.scope";

/// So many of the [`EVENTS`] come with `/proc/PID/stat`; the others have files of their own, which are costly to read.
pub const PROMPT_EVENTS: usize = 2;

/// So many of the [`EVENTS`], the last ones, are I/O, which not everybody may read.
pub const IO_EVENTS: usize = 2;

/// So many of the [`EVENTS`] are known of each thread; I/O is not read for them.
pub const THREAD_EVENTS: usize = 4;

/// What is counted besides CPU time, with the one label of each: of the tree and of every process, in this order.
pub const EVENTS: [(Metric, &str, &str); 6] = [
    (FAULTS, "system.paging.fault.type", "minor"),
    (FAULTS, "system.paging.fault.type", "major"),
    (SWITCHES, "process.context_switch.type", "voluntary"),
    (SWITCHES, "process.context_switch.type", "involuntary"),
    (DISK_IO, "disk.io.direction", "read"),
    (DISK_IO, "disk.io.direction", "write"),
];
