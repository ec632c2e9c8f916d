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
mod logging;
mod mark;
mod measure;
mod outcome;
mod page;
mod panics;
mod plugins;
mod profile;
mod quantity;
mod repeat;
mod sensors;
mod service_manager;
mod shell_syntax;
mod shortage;
mod signals;
mod stdout;
mod summary;
mod supervise;
mod terminal;
mod typed;
mod units;

use typed::Instead;

fn main() {
    share_memory();
    signals::survive_file_limit();
    let status = panics::catch(|| {
        let result = match typed::parse(std::env::args_os().collect()) {
            Ok(cli) => command::run(cli.command),
            Err(Instead::Helped(status)) => Ok(status),
            Err(Instead::Wrong(failure)) => Err(failure),
        };
        result.unwrap_or_else(|failure| {
            terminal::note(&failure.message);
            failure.status
        })
    });
    // Elements that panic are isolated and reported: this one was of nobody else.
    let status = status.unwrap_or_else(|panic| {
        terminal::note(&panics::line(&panic));
        exit::FAILED
    });
    status.end()
}

/// Gives all threads the memory of the first (mallopt(3), M_ARENA_MAX). By default each gets an area of its own, which costs a
/// short run more than all that is allocated there; and what is allocated while the application runs is little.
fn share_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a number, before there is another thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1)
    };
}
