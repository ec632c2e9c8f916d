//! One file per subcommand.

mod attach;
mod check;
mod compare;
mod config;
mod doctor;
pub mod exec;
mod plugins;
mod report;

use alumet::perfmon::setcap;
use nix::unistd::{Gid, Uid};

use crate::cli::Command;
use crate::exit::Failure;

/// Runs the subcommand; returns the status to end with.
pub fn run(command: Command) -> Result<u8, Failure> {
    refuse_set_id()?;
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

/// Prints on stdout. A reader who leaves early is no failure.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure {
            status: crate::exit::FAILED,
            message: format!("cannot write to stdout: {}", alumet::file::reason(&error)),
        }),
        _ => Ok(()),
    }
}
