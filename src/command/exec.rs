//! `alumet exec`: launches an application, measures it, reports, and ends with its status.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use alumet::file::reason;
use alumet::target::Inherited;
use alumet::{
    Agent, Availability, Command, ElementKind, Missing, Plugin, PluginEntry, Report, StartError, Target,
    Totals,
};
use alumet_plugin_csv::Csv;
use anyhow::Context;

use crate::cli::Exec;
use crate::config::{Config, Selection};
use crate::exit::{FAILED, Failure, TIMEOUT};
use crate::fingerprint::Fingerprint;
use crate::profile::{Profile, Run, SCHEMA, SourceStatus};
use crate::signals::Signals;
use crate::summary::Summary;
use crate::supervise::{Ending, Limits, until_end};
use crate::terminal::{Look, note};
use crate::units::whole;
use crate::{files, plugins, signals};

pub fn run(arguments: Exec) -> Result<u8, Failure> {
    let mut flags = Vec::new();
    let mut flag = |section, key, value| flags.push((section, key, value));
    if let Some(timeout) = &arguments.timeout {
        flag("", "timeout", timeout.as_str());
    }
    for (set, section, key) in [
        (arguments.quiet, "", "quiet"),
        (arguments.wait_all, "", "wait_all"),
        (arguments.ignore_failure, "", "ignore_failure"),
        (arguments.per_process, "procfs", "per_process"),
    ] {
        if set {
            flag(section, key, "true");
        }
    }
    let config = Config::resolve(&arguments.settings, &flags)?;
    config.notices.iter().for_each(|notice| note(&notice.0));
    let exec = ExecRun::new(&arguments, config)?;

    let inherited = signals::block()?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(|error| {
            Failure { status: FAILED, message: format!("cannot start: {}", reason(&error)) }
        })?;
    let status = runtime.block_on(exec.run(inherited));
    // A thread that hangs in an output or a driver is not waited for.
    runtime.shutdown_background();
    status
}

/// Everything that was decided before the application exists.
struct ExecRun<'a> {
    arguments: &'a Exec,
    config: Config,
    csv: alumet_plugin_csv::Config,
}

impl<'a> ExecRun<'a> {
    fn new(arguments: &'a Exec, config: Config) -> Result<Self, Failure> {
        let mut csv: alumet_plugin_csv::Config =
            config.section(Csv::NAME).try_into().map_err(anyhow::Error::from)?;
        // -o is all it takes to want CSV; only leaving it out by name contradicts that.
        let excluded = config.general.without.iter().flatten().any(|name| name == Csv::NAME);
        match &arguments.output {
            Some(_) if excluded => {
                return Err(Failure::usage("-o needs the csv plugin, which --without leaves out"));
            }
            Some(path) => csv.path = Some(path.clone()),
            None if config.selection(&PluginEntry::of::<Csv>()) == Selection::Out => csv.path = None,
            None => {}
        }
        if let (Some(a), Some(b)) = (&csv.path, &arguments.json)
            && files::same(a, b)
        {
            let name = a.display();
            return Err(Failure::usage(format!("-o and --json both name {name}; give each its own file")));
        }
        if let Some(path) = &csv.path {
            files::check(path, "series")?;
        }
        if let Some(path) = &arguments.json {
            files::check(path, "the profile")?;
        }
        Ok(Self { arguments, config, csv })
    }

    async fn run(self, inherited: Inherited) -> Result<u8, Failure> {
        let signals = Signals::new().context("cannot watch for signals")?;
        let mut agent = Agent::on(self.config.host(), Arc::new(alumet::RealClock));
        agent.own_from(signals::cpu_at_start());
        let mut command = Command::new(self.arguments.command.iter());
        command.inherited(inherited);
        if let Some(user) = &self.arguments.user {
            command.user(user)?;
        }
        let target = Arc::clone(agent.launch(&command)?);
        let (sources, mut missing) = self.start_plugins(&mut agent)?;
        let totals = Totals::new();
        // With nobody to read them, there is no need for them.
        if !self.config.general.quiet || self.arguments.json.is_some() {
            agent.setup().output("totals", totals.clone());
        }

        let running = agent.start().await.map_err(|error| match error {
            StartError::Launch(error) => Failure::from(error),
            error @ StartError::Thread(_) => Failure { status: FAILED, message: error.to_string() },
        })?;
        let limits = Limits {
            since: running.start().time,
            timeout: self.config.general.timeout.map(|timeout| timeout.0),
            wait_all: self.config.general.wait_all,
        };
        let ending = until_end(&target, &signals, limits).await.context("cannot follow the application")?;
        let timed_out = ending == Ending::TimedOut;
        let report = running.wait().await;
        missing.extend(report.missing.iter().cloned());

        if !self.config.general.quiet {
            let summary = Summary {
                command: target.display(),
                report: &report,
                totals: &totals,
                missing: &missing,
                timed_out: limits.timeout.filter(|_| timed_out),
                per_process: self.config.section("procfs").get("per_process").and_then(toml::Value::as_bool)
                    == Some(true),
                followed: &followed(&target),
                verbose: self.arguments.verbose,
            };
            crate::terminal::say(&summary.render(Look::of_stderr()));
        }
        let mut failed = self.report_lost_points(&report);
        if let Some(path) = &self.arguments.json {
            let run = Run::of(&report, &totals, timed_out);
            failed |= !self.write_profile(path, run, &totals, sources);
        }
        Ok(match report.exit {
            _ if failed => FAILED,
            _ if timed_out => TIMEOUT,
            _ if self.config.general.ignore_failure => 0,
            Some(exit) => exit.status() as u8,
            None => FAILED,
        })
    }

    /// Starts the plugins that take part. What is not available is left out, unless it was asked for by name.
    fn start_plugins(&self, agent: &mut Agent) -> Result<(Vec<SourceStatus>, Vec<Missing>), Failure> {
        let mut sources = Vec::new();
        let mut missing = Vec::new();
        for plugin in &plugins::ALL {
            let selection = self.config.selection(plugin);
            let wanted = plugin.name == Csv::NAME && self.csv.path.is_some();
            if selection == Selection::Out && !wanted {
                continue;
            }
            let config = self.config.section(plugin.name);
            if plugin.name == Csv::NAME {
                // An output that was asked for must work; and its path may be no valid TOML string.
                agent.plugin::<Csv>(self.csv.clone()).map_err(|error| csv_failure(&error))?;
                continue;
            }
            let Err(error) = agent.start_plugin(plugin.name, |setup| plugin.start(config.clone(), setup))
            else {
                sources.push(SourceStatus::available(plugin.name));
                continue;
            };
            // Looking first would cost every run time; a plugin that cannot start is asked why.
            let status = match plugin.probe(config, &self.config.host())? {
                Availability::Unavailable(missing) => SourceStatus::unavailable(plugin.name, &missing),
                Availability::Available => SourceStatus::failed(plugin.name, format!("{error:#}")),
            };
            if selection == Selection::Asked {
                let remedy =
                    if status.remedy.is_empty() { String::new() } else { format!("; {}", status.remedy) };
                return Err(Failure {
                    status: FAILED,
                    message: format!(
                        "plugin `{}` cannot be used here: {}{remedy}",
                        plugin.name, status.reason
                    ),
                });
            }
            missing.push(Missing {
                what: plugin.about.to_owned(),
                reason: status.reason.clone(),
                remedy: status.remedy.clone(),
            });
            sources.push(status);
        }
        Ok((sources, missing))
    }

    /// Says which outputs have lost points. Returns whether there are any.
    fn report_lost_points(&self, report: &Report) -> bool {
        let outputs = report.elements.iter().filter(|element| element.kind == ElementKind::Output);
        let mut any = false;
        for output in outputs.filter(|output| output.lost > 0 || output.errors > 0) {
            any = true;
            let (arrived, all) = (whole(output.points), whole(output.points + output.lost));
            let why = output.last_error.as_deref().unwrap_or("it did not keep up");
            let what = match (&self.csv.path, output.name.starts_with(Csv::NAME)) {
                (Some(path), true) => format!("cannot write series to {}", path.display()),
                _ => format!("output {} failed", output.name),
            };
            let how = report.exit.map(|exit| format!(" (the application {exit})")).unwrap_or_default();
            note(&format!("{what}: {why}; {arrived} of {all} points are in it{how}"));
        }
        any
    }

    /// Returns whether that worked.
    fn write_profile(&self, path: &Path, run: Run, totals: &Totals, sources: Vec<SourceStatus>) -> bool {
        let options: BTreeMap<_, _> =
            sources.iter().map(|source| (source.name.clone(), self.config.section(&source.name))).collect();
        let profile = Profile {
            schema: SCHEMA,
            alumet: env!("CARGO_PKG_VERSION"),
            host: Fingerprint::of(&self.config.host()),
            command: self.arguments.command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
            options,
            sources,
            summary: run.summary(totals),
            runs: vec![run],
        };
        match profile.write(path) {
            Ok(()) => true,
            Err(error) => {
                note(&format!("cannot write the profile to {}: {}", path.display(), reason(&error)));
                false
            }
        }
    }
}

fn csv_failure(error: &anyhow::Error) -> Failure {
    let why = error.downcast_ref::<std::io::Error>().map(reason);
    let message = match why {
        Some(why) => format!("{error}: {why}"),
        None => format!("{error:#}"),
    };
    Failure { status: FAILED, message }
}

fn followed(target: &Target) -> String {
    match target.cgroup() {
        Ok(_) => "a cgroup of the application's own: membership is exact".into(),
        Err(why) => format!("/proc and by adopting orphans (no cgroup: {why})"),
    }
}
