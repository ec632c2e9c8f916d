//! `alumet exec`: launches an application, measures it, reports, and ends with its status.

use std::sync::Arc;

use alumet::target::Inherited;
use alumet::{Command, StartError};
use anyhow::Context;

use crate::cli::Exec;
use crate::config::Flag;
use crate::exit::{FAILED, Failure, TIMEOUT};
use crate::measure::{Measurement, Outcome, block_on};
use crate::signals::{self, Signals};
use crate::supervise::{Ending, Limits, until_end};

pub fn run(arguments: &Exec) -> Result<u8, Failure> {
    let mut flags = Vec::new();
    if let Some(timeout) = &arguments.timeout {
        flags.push(Flag { section: "", key: "timeout", value: timeout.clone(), name: "--timeout" });
    }
    if arguments.wait_all {
        flags.push(Flag::on("", "wait_all", "--wait-all"));
    }
    if let Some(idle) = &arguments.idle {
        flags.push(Flag { section: "", key: "idle", value: idle.clone(), name: "--idle" });
    }
    if arguments.ignore_failure {
        flags.push(Flag::on("", "ignore_failure", "--ignore-failure"));
    }
    let measurement = Measurement::new(&arguments.settings, &arguments.outputs, flags)?;
    let inherited = signals::block()?;
    block_on(launch(arguments, measurement, inherited))
}

async fn launch(
    arguments: &Exec,
    mut measurement: Measurement<'_>,
    inherited: Inherited,
) -> Result<u8, Failure> {
    let signals = Signals::new().context("cannot watch for signals")?;
    measurement.measure_idle(&signals).await?;
    let mut command = Command::new(arguments.command.iter());
    command.inherited(inherited);
    if let Some(user) = &arguments.user {
        command.user(user)?;
    }
    let mut agent = measurement.agent();
    let target = Arc::clone(agent.launch(&command)?);
    measurement.start_plugins(&mut agent)?;
    measurement.drop_privileges(&agent)?;
    let running = agent.start().await.map_err(|error| match error {
        StartError::Launch(error) => Failure::from(error),
        error @ StartError::Thread(_) => Failure { status: FAILED, message: error.to_string() },
    })?;

    let general = &measurement.config.general;
    let (timeout, ignore_failure) = (general.timeout.map(|timeout| timeout.0), general.ignore_failure);
    let limits = Limits { since: running.start().time, timeout, wait_all: general.wait_all };
    let ending = until_end(&target, &signals, limits).await.context("cannot follow the application")?;
    let timed_out = ending == Ending::TimedOut;
    let report = running.wait().await;
    let outcome = Outcome {
        title: target.display(),
        command: arguments.command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        ended: target.has_exited(),
        timed_out: timeout.filter(|_| timed_out),
    };
    let written = measurement.report(&target, &report, &outcome);
    Ok(match report.exit {
        _ if !written => FAILED,
        _ if timed_out => TIMEOUT,
        _ if ignore_failure => 0,
        Some(exit) => exit.status() as u8,
        None => FAILED,
    })
}
