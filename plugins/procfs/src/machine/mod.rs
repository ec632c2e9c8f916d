//! The machine: its CPU time by mode ([`cpu`]) and its memory by state ([`memory`]). Each stands alone: a file that cannot
//! be read takes its own series away and nothing else.

pub mod cpu;
pub mod memory;

use std::io;

use alumet::unit::Unit;
use alumet::{Host, Interval, Setup, sysfs};
use anyhow::Context;

/// Adds the sources of what can be read, and says what cannot, why, and what to do.
///
/// # Errors
/// This is no proc file system; or a metric contradicts one of another plugin.
pub fn add(setup: &mut Setup<'_>, interval: Interval) -> anyhow::Result<()> {
    let Files { stat, meminfo } = Files::open(setup.host())?;
    match stat {
        Ok(stat) => {
            let source = cpu::Cpus::new(stat, setup, interval)?;
            setup.source("cpu", interval, source);
        }
        Err(error) => miss(setup, "the machine's CPU time", "stat", &error),
    }
    match meminfo {
        Ok(meminfo) => {
            let source = memory::Memory::new(meminfo, setup, interval)?;
            setup.source("memory", interval, source);
        }
        Err(error) => miss(setup, "the machine's memory", "meminfo", &error),
    }
    Ok(())
}

/// The files, each if it can be read.
pub(crate) struct Files {
    stat: anyhow::Result<cpu::Stat>,
    meminfo: anyhow::Result<memory::Meminfo>,
}

impl Files {
    /// Opens both and reads them once.
    ///
    /// # Errors
    /// Neither can be read, and nothing else says that this is a proc file system: why the first cannot.
    pub(crate) fn open(host: &Host) -> anyhow::Result<Self> {
        let files = Self { stat: cpu::Stat::open(host), meminfo: memory::Meminfo::open(host) };
        match files.stat {
            Err(error) if files.meminfo.is_err() && !is_proc(host) => Err(error),
            _ => Ok(files),
        }
    }
}

/// Whether it is a proc file system, if perhaps one that shows processes alone (proc(5), `subset=pid`).
fn is_proc(host: &Host) -> bool {
    host.procfs("self").symlink_metadata().is_ok()
}

fn miss(setup: &Setup<'_>, what: &str, name: &str, error: &anyhow::Error) {
    let is_absent = error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::NotFound);
    let remedy = if is_absent && is_proc(setup.host()) {
        // systemd.exec(5)
        match Unit::own().filter(Unit::is_service) {
            Some(service) => service.how_to_set(&["ProcSubset=all"]),
            None => {
                "in a systemd service set `ProcSubset=all`; elsewhere mount the proc file system without \
                     `subset=pid`"
                    .into()
            }
        }
    } else {
        format!("mount a proc file system whose `{name}` can be read, and name it with --procfs")
    };
    setup.gaps().add(what, format!("{error:#}"), remedy);
}

fn open(host: &Host, name: &str) -> anyhow::Result<std::fs::File> {
    let path = host.procfs(name);
    sysfs::open(&path).with_context(|| format!("cannot open {}", path.display()))
}
