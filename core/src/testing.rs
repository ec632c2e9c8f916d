//! For tests of sources, transforms, outputs and whole agents: a scripted source, a manual clock, a collecting output.
//!
//! ```
//! use std::time::Duration;
//! use alumet::testing::{Collect, ManualClock, Script};
//! use alumet::{Agent, Host, Interval, Metric, Series};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! let clock = ManualClock::new();
//! let mut agent = Agent::on(Host::default(), clock.clone());
//! let collected = Collect::new();
//! let mut setup = agent.setup();
//! let series = setup.series(Series::new(Metric::counter("work", "1", "units of work")))?;
//! setup.source("script", Interval::from_millis(100), Script::new(series, [0.0, 1.0, 2.0, 3.0]));
//! setup.output("collect", collected.clone());
//!
//! let running = agent.start().await?;
//! clock.advance(Duration::from_millis(200));
//! running.finish().await;
//!
//! // The first value was the baseline's; then two ticks and the last reading.
//! assert_eq!(collected.values(), [1.0, 2.0, 3.0]);
//! # Ok(())
//! # }
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::batch::Batch;
use crate::output::Output;
use crate::point::Point;
use crate::series::{Series, SeriesId};
use crate::source::Source;
use crate::time::{Bell, Clock, Time};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A clock that stands still until it is told to advance.
#[derive(Debug, Default)]
pub struct ManualClock {
    state: Mutex<State>,
    quiet: Condvar,
}

#[derive(Debug, Default)]
struct State {
    now: Time,
    suspended: Duration,
    /// Threads that use this clock and do not sleep.
    awake: usize,
    sleepers: Vec<(Option<Time>, Arc<Bell>)>,
}

impl ManualClock {
    /// A clock at zero; its wall clock stands at the Unix epoch.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Lets time pass, stopping at every instant for which a sampler waits, until that sampler sleeps again. When this
    /// returns, everything that was due has happened.
    pub fn advance(&self, by: Duration) {
        let end = lock(&self.state).now + by;
        loop {
            let mut state = lock(&self.state);
            while state.awake > 0 {
                state = self.quiet.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let next = state.sleepers.iter().filter_map(|(deadline, _)| *deadline).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                state.now = state.now.max(end);
                return;
            };
            state.now = state.now.max(next);
            let (due, rest) = std::mem::take(&mut state.sleepers)
                .into_iter()
                .partition(|(deadline, _)| deadline.is_some_and(|deadline| deadline <= next));
            state.sleepers = rest;
            let due: Vec<(_, Arc<Bell>)> = due;
            state.awake += due.len();
            drop(state);
            for (_, bell) in due {
                // The lock makes sure that the sleeper is already waiting.
                drop(bell.lock());
                bell.changed.notify_all();
            }
        }
    }

    /// Suspends the machine: its wall clock goes on, the clock of the run stands still.
    pub fn suspend(&self, time: Duration) {
        lock(&self.state).suspended += time;
    }

    /// Lets time pass without waking anybody: what a slow source does.
    pub fn elapse(&self, by: Duration) {
        let mut state = lock(&self.state);
        state.now = state.now + by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        lock(&self.state).now
    }

    fn wall(&self) -> SystemTime {
        UNIX_EPOCH + self.now().since(Time::default()) + self.suspended()
    }

    fn suspended(&self) -> Duration {
        lock(&self.state).suspended
    }

    fn sleep(&self, bell: &Arc<Bell>, deadline: Option<Time>) {
        let mut rung = bell.lock();
        if !*rung {
            let mut state = lock(&self.state);
            if deadline.is_some_and(|deadline| deadline <= state.now) {
                return;
            }
            state.sleepers.push((deadline, Arc::clone(bell)));
            state.awake -= 1;
            self.quiet.notify_all();
        } else {
            *rung = false;
            return;
        }
        loop {
            rung = bell.changed.wait(rung).unwrap_or_else(PoisonError::into_inner);
            let mut state = lock(&self.state);
            let waiting = state.sleepers.iter().position(|(_, other)| Arc::ptr_eq(other, bell));
            match waiting {
                // Woken by `advance`, which has counted this thread as awake.
                None => break,
                Some(i) if *rung => {
                    state.sleepers.swap_remove(i);
                    state.awake += 1;
                    break;
                }
                Some(_) => {}
            }
        }
        *rung = false;
    }

    fn enter(&self) {
        lock(&self.state).awake += 1;
    }

    fn leave(&self) {
        lock(&self.state).awake -= 1;
        self.quiet.notify_all();
    }
}

/// What a scripted source does in one poll.
pub enum Step {
    /// Pushes this value.
    Push(f64),
    /// Pushes nothing.
    Nothing,
    /// Fails.
    Fail(&'static str),
    /// Panics.
    Panic(&'static str),
    /// Calls this, which may sleep, block, or let time elapse.
    Call(Box<dyn FnOnce() + Send>),
}

impl From<f64> for Step {
    fn from(value: f64) -> Self {
        Self::Push(value)
    }
}

/// A source that does in each poll the next step of its script, and nothing once that has ended. The first step is
/// taken before the run starts.
pub struct Script {
    series: SeriesId,
    steps: VecDeque<Step>,
}

impl Script {
    /// A source of points of this series.
    pub fn new<S: Into<Step>>(series: SeriesId, steps: impl IntoIterator<Item = S>) -> Self {
        Self { series, steps: steps.into_iter().map(Into::into).collect() }
    }
}

impl Source for Script {
    fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        match self.steps.pop_front() {
            None | Some(Step::Nothing) => {}
            Some(Step::Push(value)) => out.push(self.series, value),
            Some(Step::Fail(message)) => anyhow::bail!(message),
            Some(Step::Panic(message)) => std::panic::panic_any(message),
            Some(Step::Call(call)) => call(),
        }
        Ok(())
    }
}

/// An output that keeps every point with its series. A clone is another handle to the same points.
#[derive(Debug, Clone, Default)]
pub struct Collect(Arc<Mutex<Vec<Collected>>>);

type Collected = (Arc<Series>, Point);

impl Collect {
    /// Nothing collected yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// All points so far.
    pub fn points(&self) -> Vec<(Arc<Series>, Point)> {
        lock(&self.0).clone()
    }

    /// The values of all points so far.
    pub fn values(&self) -> Vec<f64> {
        lock(&self.0).iter().map(|(_, point)| point.value).collect()
    }

    /// The sum of the points of a metric, over the series that `of` accepts.
    pub fn sum(&self, metric: &str, of: impl Fn(&Series) -> bool) -> f64 {
        lock(&self.0)
            .iter()
            .filter(|(series, _)| series.metric.name == metric && of(series))
            .map(|(_, point)| point.value)
            .sum()
    }
}

impl Output for Collect {
    fn write(&mut self, batch: &Batch) -> anyhow::Result<()> {
        let points = batch.points().iter().map(|point| (batch.series(point.series), *point));
        lock(&self.0).extend(points);
        Ok(())
    }

    /// At every tick.
    fn max_age(&self) -> Duration {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_collected_is_told_in_its_order_and_summed_by_metric_and_series() {
        let registry = crate::Registry::new();
        let id = |name: &'static str, label: &str| {
            let series = Series::new(crate::Metric::counter(name, "1", "")).label("l", label);
            registry.series(series).unwrap()
        };
        let (a, b, other) = (id("m", "a"), id("m", "b"), id("n", "a"));
        let mut batch = Batch::new(Arc::clone(&registry));
        [(a, 1.0), (b, 2.0), (other, 4.0), (a, 8.0)].iter().for_each(|(id, value)| batch.push(*id, *value));
        let mut collected = Collect::new();
        collected.write(&batch).unwrap();
        assert_eq!(collected.values(), [1.0, 2.0, 4.0, 8.0]);
        assert_eq!(collected.sum("m", |_| true), 11.0);
        assert_eq!(collected.sum("m", |series| series.label_value("l") == Some("a")), 9.0);
    }

    #[test]
    fn the_wall_clock_goes_on_while_the_machine_is_suspended() {
        let clock = ManualClock::new();
        clock.advance(Duration::from_secs(2));
        clock.suspend(Duration::from_secs(3));
        clock.elapse(Duration::from_secs(4));
        assert_eq!(clock.now(), Time::from_nanos(6_000_000_000));
        assert_eq!(clock.wall(), UNIX_EPOCH + Duration::from_secs(9));
    }

    #[test]
    fn time_passes_without_a_thread_that_has_left() {
        let clock = ManualClock::new();
        clock.enter();
        clock.enter();
        clock.leave();
        clock.leave();
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.now(), Time::from_nanos(1_000_000_000));
    }
}
