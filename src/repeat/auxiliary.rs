//! Commands that are executed around the runs and not measured: --prepare and --cleanup.

use std::ffi::OsString;

use alumet::{Command, Target};
use anyhow::Context;

use super::Session;
use crate::exit::Failure;
use crate::supervise::{Limits, until_end};

/// Executes a command with sh, as the application is: with its user, environment and streams.
///
/// # Errors
/// It cannot be executed, or fails.
pub async fn execute(flag: &str, text: &str, session: &Session<'_>) -> Result<(), Failure> {
    let mut command = Command::new(["sh", "-c", text].map(OsString::from));
    command.inherited(session.inherited.clone());
    if let Some(user) = &session.launching.user {
        command.user(user)?;
    }
    session.streams.give(&mut command)?;
    let target = Target::launch(&command)?;
    target.wait_at_gate()?;
    target.open_gate()?;
    let limits = Limits { since: alumet::Clock::now(&alumet::RealClock), timeout: None, wait_all: false };
    until_end(&target, session.signals, limits).await.with_context(|| format!("cannot follow {flag}"))?;
    target.reap_the_ending().await;
    target.leave();
    match target.exit() {
        Some(exit) if exit.is_success() => Ok(()),
        Some(exit) => Err(Failure::failed(format!("{flag} `{text}` {exit}"))),
        None => Err(Failure::failed(format!("{flag} `{text}` has not ended"))),
    }
}
