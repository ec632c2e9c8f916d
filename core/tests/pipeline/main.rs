//! The pipeline through the public API: scripted sources, a manual clock, collecting outputs.
//!
//! [`Lab`] is an agent to which a test adds elements, [`Run`] is that agent running. At fake time nothing happens
//! except when the clock is advanced, so counts are exact; only what hangs needs the real clock.

mod control;
mod delivery;
mod isolation;
mod schedule;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use alumet::testing::{Collect, ManualClock, Script, Step};
use alumet::{
    Agent, Batch, Clock, Control, ElementReport, Host, Interval, Metric, Output, RealClock, Report, Running,
    Series, SeriesId, Source,
};

/// The interval of all sources that do not say otherwise.
const TICK: Interval = Interval::from_millis(100);
/// A poll that takes this long hangs, on the real clock.
const HANG: Duration = Duration::from_millis(100);

struct Lab<C = ManualClock> {
    agent: Agent,
    clock: Arc<C>,
    collected: Collect,
    interval: Interval,
}

impl Lab {
    /// At fake time.
    fn new() -> Self {
        Self::on(ManualClock::new(), TICK)
    }
}

impl Lab<RealClock> {
    /// At real time, with short intervals.
    fn real() -> Self {
        let mut lab = Self::on(Arc::new(RealClock), Interval::from_millis(1));
        lab.agent.hang_after(HANG);
        lab
    }
}

impl<C: Clock + 'static> Lab<C> {
    fn on(clock: Arc<C>, interval: Interval) -> Self {
        let mut agent = Agent::on(Host::default(), Arc::clone(&clock) as Arc<dyn Clock>);
        let collected = Collect::new();
        agent.setup().output("collect", collected.clone());
        Self { agent, clock, collected, interval }
    }

    /// A counter of this name.
    fn series(&mut self, name: &'static str) -> SeriesId {
        self.agent
            .setup()
            .series(Series::new(Metric::counter(name, "1", "")))
            .expect("one kind and unit for all")
    }

    fn source(&mut self, name: &str, source: impl Source + 'static) {
        self.agent.setup().source(name, self.interval, source);
    }

    /// A source and its series, both of this name.
    fn script<S: Into<Step>>(&mut self, name: &'static str, steps: impl IntoIterator<Item = S>) {
        let series = self.series(name);
        self.source(name, Script::new(series, steps));
    }

    /// The same, on a thread of its own.
    fn blocking_script<S: Into<Step>>(&mut self, name: &'static str, steps: impl IntoIterator<Item = S>) {
        let series = self.series(name);
        self.agent.setup().blocking_source(name, self.interval, Script::new(series, steps));
    }

    /// A source that pushes a 1 in every poll, and how often it was polled.
    fn ones(&mut self, name: &'static str) -> Arc<AtomicU64> {
        let series = self.series(name);
        let polls = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&polls);
        self.source(name, move |out: &mut Batch| {
            out.push(series, 1.0);
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(())
        });
        polls
    }

    fn output(&mut self, name: &str, output: impl Output + 'static) {
        self.agent.setup().output(name, output);
    }

    async fn start(self) -> Run<C> {
        let running = self.agent.start().await.expect("there is no application, and threads can be had");
        Run { control: running.control(), running, clock: self.clock, collected: self.collected }
    }
}

struct Run<C = ManualClock> {
    running: Running,
    control: Control,
    clock: Arc<C>,
    collected: Collect,
}

impl<C> Run<C> {
    /// The values of one series that have arrived.
    fn values(&self, series: &str) -> Vec<f64> {
        values(&self.collected, series)
    }

    async fn finish(self) -> Done {
        Done { report: self.running.finish().await, collected: self.collected }
    }
}

impl Run {
    /// Lets so many intervals pass, and what was polled in them arrive.
    async fn ticks(&self, n: u32) {
        self.clock.advance(TICK.get() * n);
        self.control.flush().await;
    }
}

/// A run that has ended.
struct Done {
    report: Report,
    collected: Collect,
}

impl Done {
    fn values(&self, series: &str) -> Vec<f64> {
        values(&self.collected, series)
    }

    fn element(&self, name: &str) -> &ElementReport {
        self.report.elements.iter().find(|e| e.name == name).expect("every element is reported")
    }

    /// Ticks and missed ticks of the only sampler.
    fn sampled(&self) -> (u64, u64) {
        assert_eq!(self.report.sampling.len(), 1);
        (self.report.sampling[0].ticks, self.report.sampling[0].missed)
    }
}

fn values(collected: &Collect, series: &str) -> Vec<f64> {
    collected.points().iter().filter(|(s, _)| s.metric.name == series).map(|(_, point)| point.value).collect()
}

/// A call that returns when something is sent, or the sender dropped.
fn blocked() -> (mpsc::Sender<()>, impl FnMut() + Send) {
    let (release, gate) = mpsc::channel();
    // To be released by either is the same.
    (release, move || gate.recv().unwrap_or_default())
}

/// Waits for something that will happen, however busy the machine is.
async fn until(mut happened: impl FnMut() -> bool) {
    let wait = async {
        while !happened() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it happens within half a minute");
}
