//! Commands that are executed around the runs and not measured: --prepare and --cleanup.

use std::ffi::OsString;

use alumet::{Clock, Command, RealClock, Target};
use anyhow::Context;

use super::Session;
use super::series::Stop;
use crate::exit::{FAILED, Failure};
use crate::supervise::{Limits, until_end};

/// Executes a command with sh, as the application is: with its user, environment and streams. Returns why nothing more
/// should be done, if it fails or somebody wants alumet to end.
///
/// # Errors
/// It cannot be executed at all.
pub async fn execute(flag: &str, text: &str, session: &Session<'_>) -> Result<Option<Stop>, Failure> {
    let mut command = Command::new(["sh", "-c", text].map(OsString::from));
    command.inherited(session.inherited.clone());
    if let Some(user) = &session.launching.user {
        command.user(user)?;
    }
    session.streams.give(&mut command)?;
    let target = Target::launch(&command)?;
    target.wait_at_gate()?;
    target.open_gate()?;
    let limits = Limits { since: RealClock.now(), timeout: None, wait_all: false };
    let ending = until_end(&target, session.signals, limits).await;
    let ending = ending.with_context(|| format!("cannot follow {flag}"))?;
    target.reap_the_ending().await;
    target.leave();
    Ok(match (ending.asked(), target.exit()) {
        (Some(signal), _) => Some(Stop::Interrupted(signal)),
        (_, Some(exit)) if exit.is_success() => None,
        (_, Some(exit)) => Some(Stop::Broken(FAILED, format!("{flag} `{text}` {exit}"))),
        (_, None) => Some(Stop::Broken(FAILED, format!("{flag} `{text}` has not ended"))),
    })
}
