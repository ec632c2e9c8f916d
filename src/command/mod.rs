//! One file per subcommand.

mod attach;
mod config;
mod doctor;
mod exec;
mod plugins;

use crate::cli::Command;
use crate::exit::Failure;

/// Runs the subcommand; returns the status to end with.
pub fn run(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Exec(arguments) => exec::run(&arguments),
        Command::Attach(arguments) => attach::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Plugins(arguments) => plugins::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
    }
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
