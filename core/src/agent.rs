//! Plugins, a pipeline and perhaps a target: put together, started, controlled, finished.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
use tracing::{debug, info};

use crate::availability::{Gaps, Missing};
use crate::bound::Bound;
use crate::host::Host;
use crate::interval::Interval;
use crate::panics::Caught;
use crate::pipeline::{ElementReport, Overflow, Parts, Pipeline, SamplingReport, Settings};
use crate::plugin::Plugin;
use crate::privilege::{self, CapabilitySet};
use crate::registry::Registry;
use crate::setup::Setup;
use crate::target::{Command, Exit, LaunchError, OomKills, Root, Survivor, Target, Usage};
use crate::time::{Anchor, Clock, RealClock, Time};

/// A measurement tool before it runs.
///
/// ```
/// use alumet::{Agent, Batch, Command, Interval, Metric, Series};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let mut agent = Agent::new();
/// agent.launch(&Command::new(["sleep", "0.05"]))?;
/// let mut setup = agent.setup();
/// let answer = setup.series(Series::new(Metric::gauge("answer", "1", "to everything")))?;
/// setup.source("answer", Interval::from_millis(10), move |out: &mut Batch| {
///     out.push(answer, 42.0);
///     Ok(())
/// });
/// setup.output("print", |batch: &Batch| {
///     batch.points().iter().for_each(|p| println!("{:.3} {}", batch.seconds(p.time), p.value));
///     Ok(())
/// });
/// let report = agent.start().await?.wait().await;
/// assert!(report.exit.unwrap().is_success());
/// # Ok(())
/// # }
/// ```
pub struct Agent {
    host: Host,
    clock: Arc<dyn Clock>,
    registry: Arc<Registry>,
    target: Option<Arc<Target>>,
    parts: Parts,
    gaps: Gaps,
    /// What the plugins need while they run.
    keep: CapabilitySet,
    overflow: Overflow,
    hang_after: Duration,
    own_from: Duration,
}

/// Why an agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The application could not be executed.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// No thread could be created.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl Default for Agent {
    fn default() -> Self {
        Self::new()
    }
}

impl Agent {
    /// An agent on this machine.
    pub fn new() -> Self {
        Self::on(Host::default(), Arc::new(RealClock))
    }

    /// An agent that finds the machine's files in `host` and its time on `clock`.
    pub fn on(host: Host, clock: Arc<dyn Clock>) -> Self {
        Self {
            host,
            clock,
            registry: Registry::new(),
            target: None,
            parts: Parts::default(),
            gaps: Gaps::default(),
            keep: CapabilitySet::empty(),
            overflow: Overflow::default(),
            hang_after: Duration::from_secs(2),
            own_from: process_cpu(),
        }
    }

    /// The agent's own cost counts from the moment when this process had used so much CPU time
    /// (CLOCK_PROCESS_CPUTIME_ID): for a program that knows it from before the agent was made.
    pub fn own_from(&mut self, cpu: Duration) -> &mut Self {
        self.own_from = cpu;
        self
    }

    /// What happens when an output does not keep up; [`Overflow::Wait`] unless said otherwise.
    pub fn overflow(&mut self, overflow: Overflow) -> &mut Self {
        self.overflow = overflow;
        self
    }

    /// After this time a reading that has not returned counts as hung (2 s unless said otherwise).
    pub fn hang_after(&mut self, limit: Duration) -> &mut Self {
        self.hang_after = limit;
        self
    }

    /// Creates the application's process, which waits at the gate until the agent starts. To be called before plugins
    /// are added: they look at it.
    ///
    /// # Errors
    /// The process cannot be created.
    pub fn launch(&mut self, command: &Command) -> Result<&Arc<Target>, LaunchError> {
        Ok(self.target.insert(Arc::new(Target::launch(command)?)))
    }

    /// Takes processes that run already for the application. To be called before plugins are added: they look at it.
    ///
    /// # Panics
    /// If there is none.
    pub fn attach(&mut self, roots: Vec<Root>) -> &Arc<Target> {
        self.target.insert(Arc::new(Target::attach(roots)))
    }

    /// For adding sources, transforms and outputs without a plugin.
    pub fn setup(&mut self) -> Setup<'_> {
        self.setup_for("")
    }

    fn setup_for<'a>(&'a mut self, plugin: &'a str) -> Setup<'a> {
        Setup {
            plugin,
            host: &self.host,
            clock: &self.clock,
            target: self.target.as_ref(),
            registry: &self.registry,
            parts: &mut self.parts,
            gaps: self.gaps.of(plugin),
            keep: &mut self.keep,
        }
    }

    /// Starts a plugin.
    ///
    /// # Errors
    /// It cannot start; the agent is as it was before.
    pub fn plugin<P: Plugin>(&mut self, config: P::Config) -> anyhow::Result<()> {
        self.start_plugin(P::NAME, |setup| P::start(config, setup))
    }

    /// Starts a plugin through a function. A panic in it is an error like others.
    ///
    /// # Errors
    /// As for [`Self::plugin`].
    pub fn start_plugin(
        &mut self,
        name: &str,
        start: impl FnOnce(&mut Setup<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let before = self.parts.lengths();
        let gaps = self.gaps.get().len();
        let keep = self.keep;
        let result = catch_unwind(AssertUnwindSafe(|| start(&mut self.setup_for(name))))
            .unwrap_or_else(|panic| Err(anyhow::anyhow!("it {}", Caught::of(&*panic))));
        if let Err(error) = &result {
            debug!(plugin = name, error = format!("{error:#}"), "the plugin did not start");
            self.parts.truncate(before);
            self.gaps.truncate(gaps);
            self.keep = keep;
        } else {
            let (sources, transforms, outputs) = self.parts.lengths();
            let (sources, transforms, outputs) =
                (sources - before.0, transforms - before.1, outputs - before.2);
            info!(plugin = name, sources, transforms, outputs, "started the plugin");
        }
        result
    }

    /// Drops all capabilities of this process but `also` and those that the plugins and the target need from now on, and
    /// keeps it from getting more; see [`privilege::keep_only`]. To be called when all plugins have been added. The
    /// application, launched before, keeps what it has; one that is launched later gets no more than what is left, so a
    /// program that repeats its runs calls this in the last one. Returns what is left.
    ///
    /// # Errors
    /// A sandbox forbids it.
    pub fn drop_privileges(&self, also: CapabilitySet) -> std::io::Result<CapabilitySet> {
        let target = self.target.as_ref().map(|target| target.needed_capabilities());
        // What nobody reads need not be read.
        let plugins = (!self.parts.outputs.is_empty()).then_some(self.keep);
        let needed = [target, plugins, Some(also)].into_iter().flatten();
        let needed = needed.fold(CapabilitySet::empty(), CapabilitySet::union);
        let kept = privilege::keep_only(needed);
        match &kept {
            Ok(kept) => {
                debug!(needed = ?needed, kept = ?kept, "dropped the privileges that nothing needs any more")
            }
            Err(error) => debug!(%error, "could not drop privileges"),
        }
        kept
    }

    /// Takes the first readings, sets the start mark and opens the gate. To be called within a tokio runtime.
    ///
    /// # Errors
    /// The application cannot be executed, or no thread can be created.
    pub async fn start(self) -> Result<Running, StartError> {
        let chores = self.target.clone().map(|target| {
            // Orphans do not pile up.
            let reap = move || {
                target.reap_orphans();
            };
            Box::new(reap) as Box<_>
        });
        // For nobody, nothing is watched.
        if let Some(target) = self.target.as_ref().filter(|_| !self.parts.outputs.is_empty()) {
            target.watch_oom_kills();
        }
        let settings = Settings { overflow: self.overflow, hang_after: self.hang_after, chores };
        let pipeline =
            Pipeline::new(self.parts, settings, Arc::clone(&self.clock), Arc::clone(&self.registry))?;
        let pipeline = Arc::new(pipeline);
        let target = self.target.as_deref();
        let begun = begin(&pipeline, target, &*self.clock, &self.registry).await;
        let (start, suspended) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                pipeline.finish(self.clock.now()).await;
                target.inspect(|target| target.leave());
                return Err(error.into());
            }
        };
        let housekeeper = self
            .target
            .as_ref()
            .filter(|_| pipeline.has_no_samplers())
            .map(|target| tokio::spawn(keep_house(Arc::clone(target))));
        Ok(Running {
            pipeline,
            clock: self.clock,
            target: self.target,
            gaps: self.gaps,
            start,
            suspended,
            own_from: self.own_from,
            housekeeper,
        })
    }
}

/// The first readings, the start mark, the opening of the gate. Returns the mark, and for how long the machine had been
/// suspended before it.
async fn begin(
    pipeline: &Pipeline,
    target: Option<&Target>,
    clock: &dyn Clock,
    registry: &Registry,
) -> Result<(Anchor, Duration), LaunchError> {
    target.map_or(Ok(()), Target::wait_at_gate)?;
    pipeline.prime().await;
    let suspended = clock.suspended();
    let start = Anchor::now(clock);
    registry.set_start(start);
    registry.suspends().note(start.time, suspended);
    // The samplers start ticking while the gate opens.
    let going = pipeline.go(start.time);
    let opened = target.map_or(Ok(()), Target::open_gate);
    debug!(error = opened.as_ref().err().map(ToString::to_string), "the run has begun");
    pipeline.answer(going).await;
    opened.map(|()| (start, suspended))
}

/// The chores of a run without a sampler.
async fn keep_house(target: Arc<Target>) {
    let mut pause = SHORTEST_PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        let before = target.reaped();
        target.reap_orphans();
        pause = next_pause(pause, before, target.reaped());
    }
}

const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

/// Where there are no orphans, nobody is woken for them.
fn next_pause(pause: Duration, before: Usage, now: Usage) -> Duration {
    if now == before { (pause * 2).min(SHORTEST_PAUSE * 20) } else { SHORTEST_PAUSE }
}

/// A measurement in progress.
pub struct Running {
    pipeline: Arc<Pipeline>,
    clock: Arc<dyn Clock>,
    target: Option<Arc<Target>>,
    gaps: Gaps,
    start: Anchor,
    suspended: Duration,
    own_from: Duration,
    housekeeper: Option<tokio::task::JoinHandle<()>>,
}

/// Steers a running agent; can be cloned and sent elsewhere.
#[derive(Clone)]
pub struct Control(Arc<Pipeline>, Time, Arc<dyn Clock>);

impl Control {
    /// Stops all sampling until [`Self::resume`]. Counters go on counting: their next increase covers the pause.
    pub async fn pause(&self) {
        self.0.pause().await;
    }

    /// Ends a pause.
    pub async fn resume(&self) {
        self.0.answer(self.0.go(self.2.now().max(self.1))).await;
    }

    /// Gives the source `plugin/name` another interval.
    ///
    /// # Errors
    /// There is no such source, or it is just being polled.
    pub async fn set_interval(&self, source: &str, interval: Interval) -> anyhow::Result<()> {
        self.0.set_interval(source, interval).await
    }

    /// Returns when every point polled so far has been written by every output.
    pub async fn flush(&self) {
        self.0.flush().await;
    }

    /// Leaves an element out from now on.
    ///
    /// # Errors
    /// There is no such element.
    pub fn stop(&self, element: &str) -> anyhow::Result<()> {
        self.0.stop(element)
    }

    /// All elements and how they fare.
    pub fn list(&self) -> Vec<ElementReport> {
        self.0.elements()
    }
}

/// What became of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// The start mark.
    pub start: Anchor,
    /// The end mark; no point is later.
    pub end: Time,
    /// From the opening of the gate to the application's end; without an application from mark to mark.
    pub wall: Duration,
    /// Whether [`Self::wall`] is exact: it is at most so long if the end was seen late.
    pub wall_bound: Bound,
    /// Why it is not, in words for a person.
    pub wall_bound_reason: String,
    /// How the application ended; `None` if there was none, or it still runs, or it was not launched.
    pub exit: Option<Exit>,
    /// What the kernel has killed during the run for want of memory: of the application, or perhaps of it.
    pub oom_kills: Option<OomKills>,
    /// What lives on of the application's tree.
    pub survivors: Vec<Survivor>,
    /// All elements.
    pub elements: Vec<ElementReport>,
    /// The sampling of each sampler, the shortest interval first.
    pub sampling: Vec<SamplingReport>,
    /// 99 of 100 ticks of all intervals were less late than this.
    pub late_p99: Option<Duration>,
    /// For how long the machine was suspended during the run.
    pub suspended: Duration,
    /// What this process has cost.
    pub own: OwnCost,
    /// What could not be measured.
    pub missing: Vec<Missing>,
}

/// What a measuring process has cost, from the making of its agent on unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnCost {
    /// CPU time of all its threads.
    pub cpu: Duration,
    /// Its peak resident memory, in bytes.
    pub peak_resident: u64,
}

impl OwnCost {
    fn since(cpu_before: Duration) -> Self {
        // The peak in rusage survives exec: it may be that of whoever has started this process.
        let status = crate::sysfs::read_real("/proc/self/status").unwrap_or_default();
        let peak = crate::process::peak_resident(&status);
        Self {
            cpu: process_cpu().saturating_sub(cpu_before),
            peak_resident: peak.unwrap_or_else(|| {
                let usage = getrusage(UsageWho::RUSAGE_SELF).expect("RUSAGE_SELF is valid");
                usage.max_rss().unsigned_abs() * 1024
            }),
        }
    }
}

/// CPU time of this process; that of programs that it was before it executed this one is in it (execve(2)).
fn process_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("this clock is part of Linux").into()
}

impl Running {
    /// The application.
    pub fn target(&self) -> Option<&Arc<Target>> {
        self.target.as_ref()
    }

    /// The start mark.
    pub fn start(&self) -> Anchor {
        self.start
    }

    /// The means to steer it.
    pub fn control(&self) -> Control {
        Control(Arc::clone(&self.pipeline), self.start.time, Arc::clone(&self.clock))
    }

    /// Waits for the application's end and finishes. Without an application it finishes at once.
    pub async fn wait(self) -> Report {
        if let Some(target) = &self.target {
            // Where the runtime cannot wait for descriptors, looking now and then will do.
            if target.exited().await.is_err() {
                while !target.has_exited() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
        self.finish().await
    }

    /// Ends the run: last reading, reaping, end mark, outputs. If the application still runs, it is left alone.
    pub async fn finish(self) -> Report {
        let ended = self.target.as_deref().and_then(Target::ended);
        let late = ended.and_then(|ended| self.pipeline.late_at(ended));
        self.pipeline.last().await;
        self.housekeeper.as_ref().inspect(|housekeeper| housekeeper.abort());
        if let Some(target) = &self.target {
            target.reap_the_ending().await;
        }
        let end = self.clock.now();
        self.pipeline.finish(end).await;
        let target = self.target.as_deref();
        let wall = ended.unwrap_or(end).since(self.start.time);
        let (wall_bound, wall_bound_reason) = bound_of_wall(wall, late);
        let survivors = target.map(Target::survivors).unwrap_or_default();
        debug!(wall = ?wall, survivors = survivors.len(), "the run has ended");
        let oom_kills = target.and_then(Target::oom_kills);
        // Now, and not when the last of those who share it lets go: that may be a thread that does not live so long.
        if let Some(target) = target {
            target.leave();
        }
        Report {
            start: self.start,
            end,
            wall,
            wall_bound,
            wall_bound_reason,
            exit: target.and_then(Target::exit),
            oom_kills,
            survivors,
            elements: self.pipeline.elements(),
            sampling: self.pipeline.sampling(),
            late_p99: self.pipeline.late_p99(),
            suspended: self.clock.suspended().saturating_sub(self.suspended),
            own: OwnCost::since(self.own_from),
            missing: self.gaps.get(),
        }
    }
}

/// How exact the time of a run is whose end may have been so much earlier than it was seen; and why, if it is not exact.
fn bound_of_wall(wall: Duration, late: Option<Duration>) -> (Bound, String) {
    // Less is within what two runs differ by.
    let Some(late) = late.filter(|late| *late > wall / 100) else { return (Bound::Exact, String::new()) };
    let late = late.min(wall).as_secs_f64();
    let reason = format!("alumet was stopped, or had no CPU, for the {late:.2} s before it saw the end");
    (Bound::AtMost, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privilege::tests::in_root;

    #[test]
    fn the_time_of_a_run_is_exact_to_a_hundredth() {
        let (wall, ms) = (Duration::from_secs(2), Duration::from_millis);
        for late in [None, Some(ms(0)), Some(ms(20))] {
            assert_eq!(bound_of_wall(wall, late), (Bound::Exact, String::new()));
        }
        let reason = |s| format!("alumet was stopped, or had no CPU, for the {s} s before it saw the end");
        assert_eq!(bound_of_wall(wall, Some(ms(21))), (Bound::AtMost, reason("0.02")));
        assert_eq!(bound_of_wall(wall, Some(ms(9000))), (Bound::AtMost, reason("2.00")));
    }

    #[test]
    fn where_no_orphans_end_they_are_looked_for_ever_more_seldom() {
        let (before, now) = (Usage::default(), Usage { minor_faults: 1, ..Usage::default() });
        let next = |pause: &mut Duration, _| {
            *pause = next_pause(*pause, before, before);
            Some(pause.as_millis())
        };
        let pauses: Vec<_> = (0..7).scan(SHORTEST_PAUSE, next).collect();
        assert_eq!(pauses, [1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]);
        assert_eq!(next_pause(Duration::from_secs(4), before, now), SHORTEST_PAUSE);
    }

    #[test]
    fn without_a_status_file_the_peak_is_that_of_rusage() {
        let peak = || getrusage(UsageWho::RUSAGE_SELF).unwrap().max_rss().unsigned_abs() * 1024;
        let before = peak();
        let test = "without_a_status_file_the_peak_is_that_of_rusage";
        let Some(cost) = in_root(test, &[], || OwnCost::since(Duration::ZERO)) else { return };
        assert!(before <= cost.peak_resident && cost.peak_resident <= peak(), "{cost:?} {before}");
        assert!(before > 1 << 20 && cost.cpu > Duration::ZERO);
    }
}
