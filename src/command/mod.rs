//! One file per subcommand.

mod attach;
mod check;
mod compare;
mod config;
mod doctor;
pub mod exec;
mod plugins;

use alumet::perfmon::setcap;
use nix::unistd::{Gid, Uid};

use crate::cli::Command;
use crate::exit::{Failure, Status};
use crate::logging;

/// Runs the subcommand; returns the status to end with.
pub fn run(command: Command) -> Result<Status, Failure> {
    refuse_set_id()?;
    logging::start()?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "alumet begins");
    if matches!(&command, Command::Exec(_) | Command::Attach(_) | Command::Compare(_) | Command::Check(_)) {
        refuse_foreign_proc()?;
    }
    match command {
        Command::Exec(arguments) => exec::run(&arguments),
        Command::Attach(arguments) => attach::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Plugins(arguments) => plugins::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
    }
}

/// A set-user-ID or set-group-ID alumet would write files, read configurations and load libraries that one user names
/// with the rights of another.
fn refuse_set_id() -> Result<(), Failure> {
    let (user, group) = (Uid::current() == Uid::effective(), Gid::current() == Gid::effective());
    if user && group {
        return Ok(());
    }
    let (what, remedy) = if user { ("set-group-ID", "chmod g-s") } else { ("set-user-ID", "chmod u-s") };
    Err(Failure::failed(format!(
        "it is {what}, and does not run with the rights of two users: take that away (`{remedy}`); `{}` gives \
         it the right to measure",
        setcap()
    )))
}

/// Of an application that is followed in the wrong /proc, every figure would be another's.
fn refuse_foreign_proc() -> Result<(), Failure> {
    match alumet::process::is_proc_of_others() {
        false => Ok(()),
        true => Err(Failure::failed(
            "/proc shows another PID namespace, so that the figures would be those of other processes; mount this one's \
             with `unshare --pid --fork --mount-proc`, or with `mount -t proc proc /proc` in a mount namespace of its own",
        )),
    }
}
