//! What the kernel's `/proc` says of the application's process tree and of the machine.
//!
//! [`tree`] is the source for the application, with [`process`] for one process of it, [`memory`] for what they have together,
//! [`per_process`] and [`per_thread`] for the break-downs; [`machine`] is the source for everything that runs.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod births;
mod clock;
mod counters;
mod cpu;
mod elsewhere;
mod kernel;
mod ledger;
pub mod machine;
pub mod memory;
pub mod metrics;
pub mod per_process;
pub mod per_thread;
pub mod process;
pub mod tree;

use std::time::Duration;

use alumet::privilege::{CapabilitySet, is_in_user_namespace};
use alumet::{Availability, Host, Interval, Plugin, Setup};
use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use tree::Tree;

/// What is costly to read, or has nothing new, is read at most once in this time.
const DETAILS_EVERY: Duration = Duration::from_millis(10);
/// The files of single threads are read at most once in this time.
const THREADS_EVERY: Duration = Duration::from_millis(100);

/// The settings of the plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time between two readings. Below 10 ms, the CPU time, faults and memory of the application are read so often;
    /// what is costly to read (its context switches and I/O, new processes) or has nothing new (the machine's CPU time
    /// comes in ticks of 10 ms) is read every 10 ms.
    pub interval: Interval,
    /// Whether to break the application down by process.
    pub per_process: bool,
    /// Whether to break it down by thread.
    pub per_thread: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { interval: Interval::from_millis(200), per_process: false, per_thread: false }
    }
}

/// The plugin.
#[derive(Debug)]
pub struct Procfs;

impl Plugin for Procfs {
    const NAME: &'static str = "procfs";
    const ABOUT: &'static str = "CPU time, memory, faults, switches, I/O of the application and the machine";
    type Config = Config;

    fn probe(_: &Config, host: &Host) -> Availability {
        match machine::Files::open(host) {
            Ok(_) => Availability::Available,
            Err(error) => Availability::unavailable(
                format!("{error:#}"),
                "mount the proc file system there, or name another place with --procfs",
            ),
        }
    }

    fn start(config: Config, setup: &mut Setup<'_>) -> anyhow::Result<()> {
        if let Some(target) = setup.target().cloned() {
            if !target.is_followed() {
                setup.gaps().add(
                    "children while they run",
                    "this kernel has no /proc/PID/task/TID/children, and no cgroup could be made",
                    match alumet::is_in_container() {
                        true => "give the container a cgroup that it may write to",
                        false => {
                            "run alumet where it may make a cgroup, as with `systemd-run --user --scope`"
                        }
                    },
                );
            }
            if target.is_attached() && !tree::may_read_io(target.pid()) {
                let reason = "not permitted: this user may not look into the process";
                let remedy = match (is_in_user_namespace(), Uid::effective().is_root()) {
                    (true, true) => "run alumet outside of this user namespace",
                    (false, true) => "in a container, run it with `--cap-add SYS_PTRACE`",
                    (_, false) => "run alumet as the user of the process, or as root",
                };
                setup.gaps().add("storage I/O", reason, remedy);
            }
            // The I/O of processes that are another user's, or have more capabilities (proc_pid_io(5), ptrace(2)), and all
            // of those that a mount option of /proc hides (proc(5), hidepid).
            setup.keep_capabilities(CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH);
            let tree = Tree::new(target, setup.registry(), setup.gaps(), &config)?;
            setup.source("tree", config.interval, tree);
        }
        machine::add(setup, config.interval)
    }
}
