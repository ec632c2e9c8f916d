//! The command `alumet`: parse, configure, run one subcommand, end with its status.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod breakdown;
mod cli;
mod command;
mod comparison;
mod config;
mod derived;
mod descriptors;
mod doctor;
mod energy;
mod environment;
mod exit;
mod files;
mod fingerprint;
mod followed;
mod footprint;
mod gpu;
mod idle;
mod launching;
mod measure;
mod page;
mod plugins;
mod profile;
mod quantity;
mod repeat;
mod sensors;
mod service_manager;
mod signals;
mod statistics;
mod summary;
mod supervise;
mod terminal;
mod units;

use clap::Parser;
use clap::error::ErrorKind;

use exit::Status;

fn main() {
    signals::survive_file_limit();
    // Elements that panic are isolated and reported; a panic anywhere else is reported below.
    std::panic::set_hook(Box::new(|_| {}));
    let status = std::panic::catch_unwind(|| match cli::Cli::try_parse() {
        Ok(cli) => command::run(cli.command).unwrap_or_else(|failure| {
            terminal::note(&failure.message);
            failure.status
        }),
        Err(error) => usage(&error),
    });
    let status = status.unwrap_or_else(|panic| {
        let message =
            panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        terminal::note(&format!("internal error: {}; this is a bug in alumet", message.unwrap_or("unknown")));
        exit::FAILED
    });
    status.end()
}

/// Help goes to stdout as clap has it; a mistake becomes one line on stderr.
fn usage(error: &clap::Error) -> Status {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A reader who leaves early is no failure.
        let _ = error.print();
        return exit::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return exit::USAGE;
    }
    let text = error.to_string();
    let mut words = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        let line = line.strip_prefix("tip: ").map_or_else(|| line.to_owned(), |tip| format!("; {tip}"));
        words.extend(line.split_whitespace().map(str::to_owned));
    }
    let message = words.join(" ").replace(" ;", ";");
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    terminal::note(&format!("{message} (`alumet --help` shows what there is)"));
    exit::USAGE
}
