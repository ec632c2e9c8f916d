//! What every measurement has in common, whatever its target: plugins are started, outputs kept, results reported.

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::path::{Path, PathBuf};

use alumet::file::reason;
use alumet::privilege::CapabilitySet;
use alumet::{
    Agent, Availability, Consumer, Missing, Plugin, PluginEntry, Report, Target, Totals, Unavailable,
};
use alumet_plugin_attribution::Attribute;
use alumet_plugin_csv::Csv;
use alumet_plugin_estimate::Estimation;
use alumet_plugin_perf::Perf;
use alumet_plugin_perf::refusal::Refusal;
use alumet_plugin_procfs::Procfs;
use tracing::info;

use crate::cli::{Outputs, Settings};
use crate::config::{Config, Flag, Origin, Selection};
use crate::energy::MachineEnergy;
use crate::exit::{FAILED, Failure};
use crate::files::{Claims, Kind, cannot_write};
use crate::fingerprint::Fingerprint;
use crate::followed::Followed;
use crate::idle::{self, Found};
use crate::outcome::Outcome;
use crate::profile::metric::MetricTotal;
use crate::profile::wall::Wall;
use crate::profile::{Profile, Run, Runs, SCHEMA, SourceStatus};
use crate::quantity::Quantity;
use crate::signals::Signals;
use crate::summary::{Summary, is_lacking, trouble};
use crate::terminal::{Look, note, say};
use crate::units::{percent, whole};
use crate::{descriptors, files, plugins, signals};

/// A measurement: everything that is decided before there is a target, and then what was found out.
pub struct Measurement<'a> {
    pub config: Config,
    outputs: &'a Outputs,
    csv: alumet_plugin_csv::Config,
    /// Documents of an earlier run, which must not be taken for those of this one.
    stale: Vec<(PathBuf, Kind)>,
    totals: Totals,
    sources: Vec<SourceStatus>,
    missing: Vec<Missing>,
    /// What was missing before the first run.
    before: Vec<Missing>,
    /// What was missing when the plugins had started: it is so on this machine, whatever is run.
    known: Vec<Missing>,
    /// The plugins that had no descriptors to look at anything.
    blind: Vec<&'static str>,
    /// Where the idle power comes from, if one is known.
    idle: Option<String>,
    is_repeated: bool,
}

impl<'a> Measurement<'a> {
    /// Resolves the configuration, with `flags` that belong to one command alone, and checks the files to be written.
    pub fn new(settings: &Settings, outputs: &'a Outputs, flags: Vec<Flag>) -> Result<Self, Failure> {
        Self::with(outputs, flags, |flags| Config::resolve(settings, flags))
    }

    /// For a gate: without a configuration of the working directory.
    pub fn apart(settings: &Settings, outputs: &'a Outputs, flags: Vec<Flag>) -> Result<Self, Failure> {
        Self::with(outputs, flags, |flags| Config::resolve_apart(settings, flags))
    }

    fn with(
        outputs: &'a Outputs,
        mut flags: Vec<Flag>,
        resolve: impl FnOnce(&[Flag]) -> Result<Config, Failure>,
    ) -> Result<Self, Failure> {
        if outputs.top == 0 {
            return Err(Failure::usage(
                "--top 0: a table has a row at least; leave out --per-process and --per-thread for none",
            ));
        }
        if outputs.quiet {
            flags.push(Flag::on("", "quiet", "--quiet"));
        }
        for section in [Procfs::NAME, Perf::NAME] {
            if outputs.per_process {
                flags.push(Flag::on(section, "per_process", "--per-process"));
            }
            if outputs.per_thread {
                flags.push(Flag::on(section, "per_thread", "--per-thread"));
            }
        }
        if !outputs.event.is_empty() {
            flags.push(Flag {
                section: Perf::NAME,
                key: "events",
                value: outputs.event.join(","),
                name: "-e",
            });
        }
        for (key, name, value) in
            [("carbon", "--carbon", &outputs.carbon), ("price", "--price", &outputs.price)]
        {
            flags.extend(value.clone().map(|value| Flag { section: "", key, value, name }));
        }
        let config = resolve(&flags)?;
        if !outputs.event.is_empty() && config.selection(&PluginEntry::of::<Perf>()) == Selection::Out {
            return Err(Failure::usage("-e needs the perf plugin, which --plugins or --without leaves out"));
        }
        config.notices.iter().for_each(|notice| note(&notice.0));
        let csv = csv_config(&config, outputs)?;
        check_events(&config)?;
        Ok(Self {
            config,
            outputs,
            csv,
            stale: Vec::new(),
            totals: Totals::new(),
            sources: Vec::new(),
            missing: descriptors::too_few().into_iter().collect(),
            before: descriptors::too_few().into_iter().collect(),
            known: Vec::new(),
            blind: Vec::new(),
            idle: None,
            is_repeated: false,
        })
    }

    /// Checks all files that are to be written, with those of other options that are among the claims: what holds for
    /// files of several runs holds for these series if there are to be so many.
    pub fn claim(&mut self, mut claims: Claims, runs: Option<usize>) -> Result<(), Failure> {
        claims
            .write_series(self.csv.path.as_deref(), runs)
            .write("--json", Kind::Profile, self.outputs.json.as_deref())
            .read("the configuration", self.config.file.as_deref())
            .read("the idle profile", self.config.general.idle_profile.as_deref());
        claims.check()?;
        self.stale = claims.documents().collect();
        Ok(())
    }

    /// The same measurement once more, of which nothing is known yet. The series of the run with this number are written;
    /// of one that does not count, none are.
    pub fn again(&self, number: Option<usize>) -> Self {
        let path = self.csv.path.as_deref().zip(number).map(|(path, number)| files::numbered(path, number));
        Self {
            config: self.config.clone(),
            outputs: self.outputs,
            csv: alumet_plugin_csv::Config { path },
            stale: self.stale.clone(),
            totals: Totals::new(),
            sources: Vec::new(),
            missing: self.before.clone(),
            before: self.before.clone(),
            known: Vec::new(),
            blind: Vec::new(),
            idle: self.idle.clone(),
            is_repeated: true,
        }
    }

    /// An agent on this machine, whose cost counts from the start of the process or, in a repeated run, from now on.
    pub fn agent(&self) -> Agent {
        let mut agent = Agent::on(self.config.host(), std::sync::Arc::new(alumet::RealClock));
        if !self.is_repeated {
            agent.own_from(signals::cpu_at_start());
        }
        agent
    }

    /// Whether anybody will read what is measured.
    fn has_reader(&self) -> bool {
        self.wants_totals() || self.csv.path.is_some()
    }

    fn wants_totals(&self) -> bool {
        self.is_repeated || !self.config.general.quiet || self.outputs.json.is_some()
    }

    /// Starts the plugins that take part. What is not available is left out, unless it was asked for by name. Then nothing
    /// is in the way of the run any more, and what is left of an earlier one goes.
    pub fn start_plugins(&mut self, agent: &mut Agent) -> Result<(), Failure> {
        for plugin in &plugins::ALL {
            let selection = self.config.selection(plugin);
            let wanted = plugin.name == Csv::NAME && self.csv.path.is_some();
            // For nobody, nothing is measured.
            let unread = selection == Selection::Default && !self.has_reader();
            if (selection == Selection::Out || unread) && !wanted {
                let reason = if unread { "nobody reads what it measures" } else { "it is not wanted" };
                info!(plugin = plugin.name, reason, "left out a plugin");
                continue;
            }
            if plugin.name == Csv::NAME {
                // An output that was asked for must work; and its path may be no valid TOML string.
                agent.plugin::<Csv>(self.csv.clone()).map_err(|error| csv_failure(&error))?;
                continue;
            }
            if plugin.name == Attribute::NAME {
                let found = idle::saved_for(&self.config, &agent.setup().registry().all());
                self.take_idle(found)?;
            }
            if plugin.name == Estimation::NAME && selection == Selection::Asked {
                self.config.set(Estimation::NAME, "always", true, Origin::Flag("--plugins".into()))?;
            }
            self.start_plugin(plugin, selection, agent)?;
        }
        let gaps = agent.setup().gaps().get();
        self.known.extend(gaps.into_iter().map(|gap| seen(&self.blind, gap)));
        if self.wants_totals() {
            agent.setup().output("totals", self.totals.clone());
        }
        self.stale.iter().try_for_each(|(path, kind)| files::remove(path, *kind))
    }

    /// Measures the idle power, if that was asked for. The application must not exist yet.
    pub async fn measure_idle(&mut self, signals: &Signals) -> Result<(), Failure> {
        let found = idle::before_the_run(&self.config, signals).await?;
        self.take_idle(found)?;
        self.before.clone_from(&self.missing);
        Ok(())
    }

    fn take_idle(&mut self, found: Found) -> Result<(), Failure> {
        match found {
            Found::Idle { idle, from, origin } => {
                info!(power_w = idle.power_w, spread_w = idle.spread_w, from, "found the idle power");
                self.config.set(Attribute::NAME, "idle_power", idle.power_w, origin.clone())?;
                self.config.set(Attribute::NAME, "idle_spread", idle.spread_w, origin)?;
                self.idle = Some(format!("idle power {}: {from}", idle.in_words()));
            }
            Found::Unknown(missing) => {
                info!(reason = missing.reason, "the idle power is not known");
                self.missing.push(missing);
            }
            Found::Nothing => {}
        }
        Ok(())
    }

    /// Drops the privileges that the rest of the run does not need. To be called when the plugins have started, and no
    /// other application will.
    pub fn drop_privileges(&self, agent: &Agent) -> Result<(), Failure> {
        let for_profile = self.outputs.json.as_deref().map(files::needed_capabilities);
        agent
            .drop_privileges(for_profile.unwrap_or(CapabilitySet::empty()))
            .map_err(|error| Failure::failed(format!("cannot drop privileges: {}", reason(&error))))?;
        Ok(())
    }

    fn start_plugin(
        &mut self,
        plugin: &PluginEntry,
        selection: Selection,
        agent: &mut Agent,
    ) -> Result<(), Failure> {
        let config = self.config.section(plugin.name);
        let started = agent.start_plugin(plugin.name, |setup| plugin.start(config.clone(), setup));
        if descriptors::are_exhausted() {
            self.blind.push(plugin.name);
        }
        let Err(error) = started else {
            self.sources.push(SourceStatus::available(plugin.name));
            return Ok(());
        };
        if let Some(wrong) = error.downcast_ref::<alumet_plugin_perf::WrongEvent>() {
            return Err(Failure::from(wrong));
        }
        // Looking first would cost every run time; a plugin that cannot start is asked why.
        let availability = match error.downcast_ref::<Unavailable>() {
            Some(why) => Availability::Unavailable(why.clone().into()),
            None => plugin.probe(config, &self.config.host())?,
        };
        let (status, what) = match availability {
            Availability::Unavailable(missing) => {
                let missing = seen(&self.blind, Missing { plugin: plugin.name.to_owned(), ..missing });
                (SourceStatus::unavailable(plugin.name, &missing), missing.what)
            }
            Availability::Available => {
                (SourceStatus::failed(plugin.name, format!("{error:#}")), String::new())
            }
        };
        let (reason, remedy) = (&status.reason, Some(&status.remedy).filter(|remedy| !remedy.is_empty()));
        info!(plugin = plugin.name, reason, remedy, "left out a plugin");
        // Of a plugin that nobody misses, what is there all the same and cannot be read.
        let missed = if plugin.missed.is_empty() { what } else { plugin.missed.to_owned() };
        if selection == Selection::Asked {
            let remedy =
                if status.remedy.is_empty() { String::new() } else { format!("; {}", status.remedy) };
            return Err(Failure {
                status: FAILED,
                message: format!("plugin `{}` cannot be used here: {}{remedy}", plugin.name, status.reason),
            });
        }
        // Nobody misses an estimate of what is measured.
        let is_needless =
            plugin.name == Estimation::NAME && idle::meters(&agent.setup().registry().all()).is_some();
        if !missed.is_empty() && !is_needless {
            let gap = Missing {
                plugin: plugin.name.to_owned(),
                what: missed,
                reason: status.reason.clone(),
                remedy: status.remedy.clone(),
            };
            self.known.push(gap.clone());
            self.missing.push(gap);
        }
        self.sources.push(status);
        Ok(())
    }

    /// Adds what is known to be missing now that the run has ended.
    fn complete(&mut self, target: &Target, report: &Report) -> Followed {
        let living: HashSet<i32> = report.survivors.iter().map(|survivor| survivor.pid).collect();
        self.totals.end_all_but(|series| match series.consumer {
            Consumer::Thread(_) => {
                let process = series.label_value("process.pid").and_then(|pid| pid.parse().ok());
                process.is_some_and(|pid: i32| living.contains(&pid))
            }
            consumer => consumer.id().is_none_or(|pid| living.contains(&pid)),
        });
        let totals = self.totals.get();
        self.missing.extend(report.missing.iter().map(|gap| seen(&self.blind, gap.clone())));
        let metrics = MetricTotal::all(&totals);
        self.missing.extend(uncounted(&metrics));
        self.missing.extend(MachineEnergy::of(&metrics).and_then(|energy| energy.too_short()));
        self.missing.extend(self.config.rates().missing(&metrics));
        Followed::of(target, &totals)
    }

    /// What one of several runs came to.
    pub fn into_run(mut self, target: &Target, report: &Report, timed_out: bool) -> Measured {
        let followed = self.complete(target, report);
        let run = Run::of(report, &self.totals, self.config.rates(), timed_out, followed);
        let trouble = report.elements.iter().filter_map(trouble).collect();
        let is_written = self.all_points_written(report);
        let uncounted = self.asked_and_never_counted();
        Measured { run, missing: self.missing, sources: self.sources, trouble, is_written, uncounted }
    }

    /// What there is to say of events that were asked for by name and never got a counter: a promise that was not kept.
    fn asked_and_never_counted(&self) -> Option<String> {
        let is_asked = self.config.section(Perf::NAME).contains_key("events");
        let gap = self.missing.iter().find(|gap| is_asked && is_never_counted(gap))?;
        Some(format!("{} {}; {}", gap.what, gap.reason, gap.remedy))
    }

    /// Prints the summary and writes the profile. Returns whether everything that was asked for is there: each event was
    /// counted, and each output was written.
    pub fn report(mut self, target: &Target, report: &Report, outcome: &Outcome<'_>) -> bool {
        let followed = self.complete(target, report);
        if !self.config.general.quiet {
            let flag = |key| self.config.section(Procfs::NAME).get(key).and_then(toml::Value::as_bool);
            let summary = Summary {
                report,
                totals: &self.totals,
                missing: &self.missing,
                known: &self.known,
                outcome,
                rates: self.config.rates(),
                idle: self.idle.as_deref(),
                attached: target.is_attached(),
                events: self.config.selection(&PluginEntry::of::<Perf>()) == Selection::Asked,
                per_process: flag("per_process") == Some(true),
                per_thread: flag("per_thread") == Some(true),
                top: self.outputs.top,
                followed: &followed,
                verbose: self.outputs.verbose,
            };
            say(&summary.render(Look::of_stderr()));
        }
        let uncounted = self.asked_and_never_counted();
        if let Some(what) = &uncounted {
            note(what);
        }
        let mut written = self.all_points_written(report) && uncounted.is_none();
        if let Some(path) = &self.outputs.json {
            written &= self.write_profile(path, report, outcome, followed);
        }
        written
    }

    /// Says which outputs have lost points. Returns whether none has.
    fn all_points_written(&self, report: &Report) -> bool {
        let mut all_written = true;
        for output in report.elements.iter().filter(|element| is_lacking(element)) {
            all_written = false;
            let (arrived, all) = (whole(output.points), whole(output.points + output.lost));
            let why = output.last_error.as_deref().unwrap_or("it did not keep up");
            let what = match (&self.csv.path, output.name.starts_with(Csv::NAME)) {
                (Some(path), true) => format!("cannot write series to {}", path.display()),
                _ => format!("output {} failed", output.name),
            };
            let how = report.exit.map(|exit| format!(" (the application {exit})")).unwrap_or_default();
            note(&format!("{what}: {why}; {arrived} of {all} points are in it{how}"));
        }
        all_written
    }

    /// Returns whether that worked.
    fn write_profile(&self, path: &Path, report: &Report, outcome: &Outcome<'_>, followed: Followed) -> bool {
        let run = Run::of(report, &self.totals, self.config.rates(), outcome.timed_out.is_some(), followed);
        let (command, runs) = (outcome.command.clone(), Runs::one(run));
        write_profile(path, &self.config, command, &self.sources, &self.missing, runs)
    }
}

/// One of several runs.
pub struct Measured {
    pub run: Run,
    pub missing: Vec<Missing>,
    pub sources: Vec<SourceStatus>,
    /// What went wrong with elements of the pipeline.
    pub trouble: Vec<String>,
    /// Whether every output has got all points.
    pub is_written: bool,
    /// Which events were asked for and never counted, and why.
    pub uncounted: Option<String>,
}

/// Writes the profile of these runs. Returns whether that worked.
pub fn write_profile(
    path: &Path,
    config: &Config,
    command: Vec<String>,
    sources: &[SourceStatus],
    missing: &[Missing],
    runs: Runs,
) -> bool {
    let options: BTreeMap<_, _> =
        sources.iter().map(|source| (source.name.clone(), config.section(&source.name))).collect();
    let profile = Profile {
        schema: SCHEMA,
        alumet: env!("CARGO_PKG_VERSION"),
        host: Fingerprint::of(&config.host()),
        command,
        options,
        sources: sources.to_vec(),
        missing: missing.to_vec(),
        headline: runs.headline(),
        summary: runs.summary(),
        runs,
    };
    match profile.write(path) {
        Ok(()) => true,
        Err(error) => {
            note(&cannot_write(Kind::Profile, path, &error));
            false
        }
    }
}

/// Runs to the end on a runtime of one thread, and does not wait for threads that hang in a source or a driver. Outputs
/// were waited for when the run was finished: what was measured is to be in them.
pub fn block_on<T>(run: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime
        .map_err(|error| Failure { status: FAILED, message: format!("cannot start: {}", reason(&error)) })?;
    let result = runtime.block_on(run);
    runtime.shutdown_background();
    result
}

/// Whether it is about events that were opened and had no turn in the whole run.
fn is_never_counted(gap: &Missing) -> bool {
    gap.plugin == Perf::NAME && gap.reason == Refusal::never_counted().reason
}

/// What the kernel's counters have not seen of the application's CPU time.
fn uncounted(metrics: &[MetricTotal]) -> Option<Missing> {
    let observed = metrics.iter().find(|metric| metric.key.is("perf_event.observed", "target"))?;
    let (observed, cpu) = (observed.amount.value(), Quantity::Cpu.of_run(&Wall::default(), metrics)?.value);
    // Each process lacks some 50 µs.
    (cpu - observed > 0.02 && observed < 0.95 * cpu).then(|| Missing {
        plugin: Perf::NAME.into(),
        what: format!("events of {} of the CPU time", percent(1.0 - observed / cpu)),
        reason: "not counted: the kernel observes no process while it ends, for example, and no program that runs with \
                 other rights (set-user-ID)"
            .into(),
        remedy: String::new(),
    })
}

/// A gap, with the true reason if its plugin was blind.
fn seen(blind: &[&str], gap: Missing) -> Missing {
    if blind.contains(&&*gap.plugin) { descriptors::unseen(gap) } else { gap }
}

fn csv_config(config: &Config, outputs: &Outputs) -> Result<alumet_plugin_csv::Config, Failure> {
    let mut csv: alumet_plugin_csv::Config =
        config.section(Csv::NAME).try_into().map_err(anyhow::Error::from)?;
    // -o is all it takes to want CSV; only leaving it out by name contradicts that.
    let excluded = config.general.without.iter().flatten().any(|name| name == Csv::NAME);
    match &outputs.output {
        Some(_) if excluded => {
            return Err(Failure::usage("-o needs the csv plugin, which --without leaves out"));
        }
        Some(path) => csv.path = Some(path.clone()),
        None if config.selection(&PluginEntry::of::<Csv>()) == Selection::Out => csv.path = None,
        None => {}
    }
    Ok(csv)
}

/// Whether all events that were asked for are known, before anything is created or touched.
fn check_events(config: &Config) -> Result<(), Failure> {
    if config.selection(&PluginEntry::of::<Perf>()) == Selection::Out {
        return Ok(());
    }
    let perf: alumet_plugin_perf::Config =
        config.section(Perf::NAME).try_into().map_err(anyhow::Error::from)?;
    alumet_plugin_perf::check(&perf, &config.host()).map_err(|wrong| Failure::from(&wrong))
}

fn csv_failure(error: &anyhow::Error) -> Failure {
    let why = error.downcast_ref::<std::io::Error>().map(reason);
    let message = match why {
        Some(why) => format!("{error}: {why}"),
        None => format!("{error:#}"),
    };
    Failure { status: FAILED, message }
}
