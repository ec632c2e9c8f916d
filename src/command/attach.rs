//! `alumet attach`: measures processes that run already, and leaves them as they are.

use std::fs;
use std::sync::Arc;

use alumet::Target;
use alumet::target::{AttachError, Root};
use anyhow::Context;
use regex_lite::Regex;

use crate::cli::Attach;
use crate::config::{Flag, Timeout};
use crate::exit::{FAILED, Failure, SUCCESS, Status};
use crate::files::Claims;
use crate::measure::{Measurement, block_on};
use crate::outcome::Outcome;
use crate::signals::{self, Signals};
use crate::supervise::{Ending, until_end_or_asked};
use crate::terminal::note;
use crate::units::whole;

pub fn run(arguments: &Attach) -> Result<Status, Failure> {
    let mut flags = Vec::new();
    if arguments.wait_all {
        flags.push(Flag::on("", "wait_all", "--wait-all"));
    }
    let duration = arguments.duration.clone().map(Timeout::try_from).transpose();
    let duration = duration.map_err(|why| Failure::usage(format!("--duration: {why}")))?;
    let mut measurement = Measurement::new(&arguments.settings, &arguments.outputs, flags)?;
    measurement.claim(Claims::default(), None)?;
    signals::block()?;
    let roots = find(arguments)?;
    block_on(measure(duration, roots, measurement))
}

/// The processes that were asked for. Says which of them cannot be measured; it is a failure if none can.
fn find(arguments: &Attach) -> Result<Vec<Root>, Failure> {
    let mut refused = Vec::new();
    let typed = numbers(&arguments.pid, &mut refused)?;
    let mut pids = typed.clone();
    if let Some(pattern) = &arguments.name {
        let named = named(pattern)?;
        if named.is_empty() && !pids.is_empty() {
            note(&format!("no process is named `{pattern}`"));
        }
        pids.extend(named);
    }
    pids.sort_unstable();
    pids.dedup();
    let mut roots = Vec::new();
    for pid in pids {
        match Root::hold(pid) {
            Ok(root) => roots.push(root),
            // Nobody has asked for these.
            Err(AttachError::Kernel(..) | AttachError::Zombie(..) | AttachError::Itself(_))
                if !typed.contains(&pid) => {}
            Err(error) => refused.push(error.to_string()),
        }
    }
    match (roots.is_empty(), refused.pop()) {
        (false, last) => refused.into_iter().chain(last).for_each(|why| note(&why)),
        (true, Some(last)) => {
            refused.into_iter().for_each(|why| note(&why));
            return Err(Failure::failed(last));
        }
        (true, None) => {
            let pattern = arguments.name.as_deref().unwrap_or_default();
            let hidden = match alumet::process::hides_others() {
                true => "; /proc is mounted with hidepid, so those of other users are hidden",
                false => "",
            };
            return Err(Failure::failed(format!("no process is named `{pattern}`{hidden}")));
        }
    }
    for root in &roots {
        if let Some(owner) = root.foreign_owner().filter(|_| !nix::unistd::Uid::effective().is_root()) {
            let (pid, name) = (root.pid(), root.name());
            note(&format!("process {pid} ({name}) belongs to {owner}: root could measure more of it"));
        }
    }
    Ok(roots)
}

/// The PIDs that were typed. A number that is too large for one is that of no process.
fn numbers(words: &[String], refused: &mut Vec<String>) -> Result<Vec<i32>, Failure> {
    let mut pids = Vec::new();
    for word in words {
        match word.parse() {
            Ok(pid) => pids.push(pid),
            Err(_) if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) => {
                refused.push(format!("no process {word}"));
            }
            Err(_) => {
                return Err(Failure::usage(format!(
                    "`{word}` is no PID; `--name {word}` measures all processes with this in their name \
                     (`alumet attach --help` shows what there is)"
                )));
            }
        }
    }
    Ok(pids)
}

/// The processes whose command name matches: what the kernel has of it, 15 bytes, or the name that they were started by.
fn named(pattern: &str) -> Result<Vec<i32>, Failure> {
    let regex = Regex::new(pattern)
        .map_err(|error| Failure::usage(format!("--name: `{pattern}` is no regular expression: {error}")))?;
    let pids = fs::read_dir("/proc").context("cannot list processes in /proc")?.flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let matches = |pid: &i32| {
        let read = |file: &str| {
            String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default()).into_owned()
        };
        let command_line = read("cmdline");
        let program = command_line.split('\0').next().unwrap_or_default().rsplit('/').next();
        regex.is_match(read("comm").trim_end()) || program.is_some_and(|name| regex.is_match(name))
    };
    Ok(pids.filter(|pid| *pid != std::process::id() as i32).filter(matches).collect())
}

async fn measure(
    duration: Option<Timeout>,
    roots: Vec<Root>,
    mut measurement: Measurement<'_>,
) -> Result<Status, Failure> {
    let signals = Signals::new().context("cannot watch for signals")?;
    let mut agent = measurement.agent();
    let command = roots.iter().map(|root| format!("{} ({})", root.name(), root.pid())).collect();
    let target = Arc::clone(agent.attach(roots));
    measurement.start_plugins(&mut agent)?;
    measurement.drop_privileges(&agent)?;
    if target.has_exited() && target.survivors().is_empty() {
        return Err(Failure::failed(format!("{} ended while alumet attached", target.display())));
    }
    let running = agent.start().await.map_err(Failure::from)?;
    if !measurement.config.general.quiet {
        announce(&target);
    }
    let wait_all = measurement.config.general.wait_all;
    let limit = duration.map(|duration| duration.0);
    let ending = until_end_or_asked(&target, &signals, limit, wait_all)
        .await
        .context("cannot follow the processes")?;
    let report = running.finish().await;
    let outcome =
        Outcome { title: target.display(), command, ended: ending == Ending::InTime, timed_out: None };
    let written = measurement.report(&target, &report, &outcome);
    Ok(if written { SUCCESS } else { FAILED })
}

fn announce(target: &Target) {
    let (processes, threads) = target.count();
    let many = |n: usize, what: &str| {
        let plural = if what.ends_with('s') { "es" } else { "s" };
        format!("{} {what}{}", whole(n as u64), if n == 1 { "" } else { plural })
    };
    note(&format!(
        "{}, {}, measured from now on; Ctrl-C ends it with a report",
        many(processes, "process"),
        many(threads, "thread")
    ));
}
