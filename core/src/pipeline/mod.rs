//! The running pipeline: samplers, then transforms in order, then outputs side by side.

mod beat;
mod delivery;
mod element;
mod lateness;
mod sampler;
mod standby;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

pub use beat::SamplingReport;
pub use delivery::Overflow;
pub use element::{ElementKind, ElementReport, ElementState};

use crate::batch::Pool;
use crate::interval::Interval;
use crate::output::Output;
use crate::registry::Registry;
use crate::source::Source;
use crate::time::{Clock, Time};
use crate::transform::Transform;
use delivery::{Delivery, Done};
use element::Element;
use lateness::Lateness;
use sampler::{DELIVERS_FROM, NamedSource, Request, SHARED_FROM, Sampler};
use standby::Standby;

/// A source before the pipeline runs.
pub(crate) struct NewSource {
    pub(crate) name: String,
    pub(crate) interval: Interval,
    /// Gets a thread of its own.
    pub(crate) blocking: bool,
    pub(crate) source: Box<dyn Source>,
}

/// What a pipeline is made of.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) sources: Vec<NewSource>,
    pub(crate) transforms: Vec<(String, Box<dyn Transform>)>,
    pub(crate) outputs: Vec<(String, Box<dyn Output>)>,
}

impl Parts {
    /// How many elements there are, to go back to with [`Self::truncate`].
    pub(crate) fn lengths(&self) -> (usize, usize, usize) {
        (self.sources.len(), self.transforms.len(), self.outputs.len())
    }

    pub(crate) fn truncate(&mut self, (sources, transforms, outputs): (usize, usize, usize)) {
        self.sources.truncate(sources);
        self.transforms.truncate(transforms);
        self.outputs.truncate(outputs);
    }
}

pub(crate) struct Settings {
    pub(crate) overflow: Overflow,
    pub(crate) hang_after: Duration,
    /// What is to be done now and then, by a thread that is awake for a tick.
    pub(crate) chores: Option<Box<dyn Fn() + Send + Sync>>,
}

/// What all samplers of a pipeline share.
struct Common {
    clock: Arc<dyn Clock>,
    pool: Arc<Pool>,
    registry: Arc<Registry>,
    delivery: Arc<Delivery>,
    standby: Arc<Standby>,
    chores: Option<Box<dyn Fn() + Send + Sync>>,
    /// How old points may be when they are delivered.
    max_age: Duration,
}

/// What all samplers were asked for.
#[derive(Default)]
#[must_use]
pub(crate) struct Asked(Vec<(Arc<Sampler>, oneshot::Receiver<()>)>);

pub(crate) struct Pipeline {
    samplers: Mutex<Vec<Arc<Sampler>>>,
    elements: Vec<Arc<Element>>,
    common: Arc<Common>,
    hang_after: Duration,
    paused: AtomicBool,
    has_couriers: AtomicBool,
    has_ended: AtomicBool,
}

impl Pipeline {
    /// Starts all threads; nothing is polled before [`Self::prime`].
    pub(crate) fn new(
        parts: Parts,
        settings: Settings,
        clock: Arc<dyn Clock>,
        registry: Arc<Registry>,
    ) -> std::io::Result<Self> {
        let mut elements = Vec::new();
        let mut element = |name: String, kind| {
            let element = Element::new(name, kind);
            elements.push(Arc::clone(&element));
            element
        };

        let mut threads: Vec<(Option<Duration>, Vec<NamedSource>)> = Vec::new();
        for NewSource { name, interval, blocking, source } in parts.sources {
            let new = (interval.get(), element(name, ElementKind::Source), source);
            let shared = (!blocking).then(|| interval.get().min(SHARED_FROM));
            match threads.iter_mut().find(|(with, _)| with.is_some() && *with == shared) {
                Some((_, sources)) => sources.push(new),
                None => threads.push((shared, vec![new])),
            }
        }
        let max_age = parts.outputs.iter().map(|(_, output)| output.max_age()).min().unwrap_or(Duration::MAX);
        let transforms =
            parts.transforms.into_iter().map(|(n, t)| (element(n, ElementKind::Transform), t)).collect();
        let outputs = parts.outputs.into_iter().map(|(n, o)| (element(n, ElementKind::Output), o)).collect();

        let pool = Arc::new(Pool::new(Arc::clone(&registry)));
        let delivery = Delivery::new(
            transforms,
            outputs,
            threads.len(),
            settings.overflow,
            Arc::clone(&pool),
            Arc::clone(&registry),
        );
        let common = Common {
            clock,
            pool,
            registry,
            delivery: Arc::new(delivery),
            standby: Standby::new(settings.hang_after),
            chores: settings.chores,
            max_age,
        };
        let pipeline = Self {
            samplers: Mutex::default(),
            elements,
            common: Arc::new(common),
            hang_after: settings.hang_after,
            paused: AtomicBool::new(true),
            has_couriers: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        };
        for (_, sources) in threads {
            let sampler = pipeline.sampler(sources)?;
            pipeline.samplers().push(sampler);
        }
        Ok(pipeline)
    }

    fn sampler(&self, sources: Vec<NamedSource>) -> std::io::Result<Arc<Sampler>> {
        let is_short = sources.iter().any(|(interval, ..)| *interval < DELIVERS_FROM);
        if is_short && !self.has_couriers.swap(true, Ordering::Relaxed) {
            self.common.delivery.hire()?;
        }
        self.common.pool.allow(1);
        Sampler::spawn(sources, Arc::clone(&self.common))
    }

    /// Whether there is nobody who does chores.
    pub(crate) fn has_no_samplers(&self) -> bool {
        self.samplers().is_empty()
    }

    fn samplers(&self) -> MutexGuard<'_, Vec<Arc<Sampler>>> {
        self.samplers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets every source set its baselines.
    pub(crate) async fn prime(&self) {
        self.ask(Request::Prime).await;
    }

    /// Ticking begins: the start mark has been set to `start`, or a pause ends then. It has begun when the answer has
    /// been [awaited](Self::answer).
    pub(crate) fn go(&self, start: Time) -> Asked {
        if self.paused.swap(false, Ordering::Relaxed) {
            self.request(Request::Go(start))
        } else {
            Asked::default()
        }
    }

    pub(crate) async fn pause(&self) {
        self.paused.store(true, Ordering::Relaxed);
        self.ask(Request::Pause).await;
        // What was collected does not wait for the end of the pause.
        self.ask(Request::Flush).await;
        self.common.delivery.help();
    }

    /// Everything polled so far has been written by every output when this returns.
    pub(crate) async fn flush(&self) {
        self.ask(Request::Flush).await;
        let flushed = self.common.delivery.flush();
        self.common.delivery.help();
        self.until(flushed).await;
    }

    /// Waits for what is being delivered. Nobody is to wait for an output that hangs but itself.
    async fn until(&self, mut done: Done) {
        while tokio::time::timeout(self.hang_after, &mut done).await.is_err() {
            self.common.delivery.help();
        }
    }

    /// The last reading of every source.
    pub(crate) async fn last(&self) {
        self.ask(Request::Last).await;
    }

    /// Finishes sources, transforms and outputs, in this order.
    pub(crate) async fn finish(&self, end: Time) {
        self.has_ended.store(true, Ordering::Relaxed);
        let samplers = self.samplers().len();
        let ended = self.common.delivery.end_after(samplers, end);
        self.ask(Request::Finish(end)).await;
        if !self.common.delivery.is_for_nobody() {
            if samplers == 0 {
                self.common.delivery.help();
            }
            self.until(ended).await;
        }
        self.common.standby.end();
    }

    async fn ask(&self, request: Request) {
        self.answer(self.request(request)).await;
    }

    fn request(&self, request: Request) -> Asked {
        Asked(self.samplers().iter().map(|s| (Arc::clone(s), s.request(request))).collect())
    }

    /// Waits for all samplers that were asked, but not for sources that hang.
    pub(crate) async fn answer(&self, asked: Asked) {
        for (sampler, mut done) in asked.0 {
            while tokio::time::timeout(self.hang_after, &mut done).await.is_err() {
                sampler.relieve(self.hang_after);
            }
        }
    }

    /// Gives the source `name` a sampler of its own with another interval.
    ///
    /// # Errors
    /// There is no such source, or it is just being polled, or no thread can be had.
    pub(crate) async fn set_interval(&self, name: &str, interval: Interval) -> anyhow::Result<()> {
        let element = self.element(name)?;
        anyhow::ensure!(!self.has_ended.load(Ordering::Relaxed), "the run has ended");
        let found = self
            .samplers()
            .iter()
            .find_map(|sampler| sampler.take(&element).map(|source| (Arc::clone(sampler), source)));
        let (from, source) = found.ok_or_else(|| anyhow::anyhow!("source `{name}` is busy; try again"))?;
        // What it has pushed so far comes before what it will.
        let flushed = from.request(Request::Flush);
        self.answer(Asked(vec![(from, flushed)])).await;
        self.common.delivery.help();
        let sampler = self.sampler(vec![(interval.get(), element, source)])?;
        self.samplers().push(Arc::clone(&sampler));
        if !self.paused.load(Ordering::Relaxed) {
            // The thread was just started and answers, or the process is ending.
            let _ = sampler.request(Request::Go(self.common.clock.now())).await;
        }
        Ok(())
    }

    /// # Errors
    /// There is no such element.
    pub(crate) fn stop(&self, name: &str) -> anyhow::Result<()> {
        self.element(name)?.set(ElementState::Stopped);
        Ok(())
    }

    fn element(&self, name: &str) -> anyhow::Result<Arc<Element>> {
        self.elements
            .iter()
            .find(|element| element.name() == name)
            .map(Arc::clone)
            .ok_or_else(|| anyhow::anyhow!("no element is named `{name}`"))
    }

    pub(crate) fn elements(&self) -> Vec<ElementReport> {
        self.elements.iter().map(|element| element.report()).collect()
    }

    /// One report an interval of a thread, the shortest first.
    pub(crate) fn sampling(&self) -> Vec<SamplingReport> {
        let mut reports: Vec<_> =
            self.samplers().iter().flat_map(|sampler| sampler.reports().collect::<Vec<_>>()).collect();
        reports.sort_by_key(|report| report.interval);
        reports
    }

    /// For how long before `time` nothing ran that was due, if so: what was noticed at `time` may have happened then.
    pub(crate) fn late_at(&self, time: Time) -> Option<Duration> {
        self.samplers().iter().filter_map(|sampler| sampler.late_at(time)).max()
    }

    /// Over all ticks of all samplers.
    pub(crate) fn late_p99(&self) -> Option<Duration> {
        let mut all = Lateness::new();
        for sampler in self.samplers().iter() {
            sampler.merge_lateness(&mut all);
        }
        all.quantile(0.99)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::testing::ManualClock;
    use crate::time::RealClock;
    use std::sync::atomic::AtomicU64;

    const LONG: Duration = Duration::from_secs(60);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn source(interval: Duration) -> NewSource {
        let interval = format!("{}ms", interval.as_millis()).parse().unwrap();
        let source = Box::new(crate::testing::Script::new(
            Registry::new().series(crate::Series::new(crate::Metric::counter("c", "1", ""))).unwrap(),
            [0.0; 0],
        ));
        NewSource { name: format!("every {interval:?}"), interval, blocking: false, source }
    }

    fn pipeline(
        clock: &Arc<ManualClock>,
        parts: Parts,
        chores: Option<Box<dyn Fn() + Send + Sync>>,
    ) -> Pipeline {
        let settings = Settings { overflow: Overflow::Wait, hang_after: LONG, chores };
        Pipeline::new(parts, settings, Arc::clone(clock) as Arc<dyn Clock>, Registry::new()).unwrap()
    }

    fn of(intervals: &[Duration]) -> Parts {
        Parts { sources: intervals.iter().map(|interval| source(*interval)).collect(), ..Parts::default() }
    }

    async fn go(pipeline: &Pipeline, clock: &Arc<ManualClock>) {
        pipeline.prime().await;
        pipeline.answer(pipeline.go(clock.now())).await;
    }

    #[tokio::test]
    async fn chores_are_done_at_a_tick_and_seldom_and_without_ticks_now_and_then() {
        for (interval, expected) in [(millis(100), 6), (LONG, 2)] {
            let count = Arc::new(AtomicU64::new(0));
            let chores = {
                let count = Arc::clone(&count);
                Box::new(move || {
                    count.fetch_add(1, Ordering::Relaxed);
                })
            };
            let clock = ManualClock::new();
            let pipeline = pipeline(&clock, of(&[interval]), Some(chores));
            go(&pipeline, &clock).await;
            clock.advance(millis(3000));
            assert_eq!(count.load(Ordering::Relaxed), expected, "{interval:?}");
            pipeline.finish(clock.now()).await;
        }
    }

    #[tokio::test]
    async fn what_was_noticed_while_a_tick_was_overdue_may_have_happened_since() {
        let at = |ms: u64| Time::from_nanos(ms * 1_000_000);
        let clock = ManualClock::new();
        let pipeline = pipeline(&clock, of(&[millis(100)]), None);
        go(&pipeline, &clock).await;
        clock.advance(millis(10));
        clock.elapse(millis(140));
        // It was due at 100 ms, and is not made yet.
        for (time, late) in [(100, None), (120, None), (121, Some(21)), (150, Some(50))] {
            assert_eq!(pipeline.late_at(at(time)), late.map(millis), "{time}");
        }
        clock.advance(millis(10));
        // It was made at 150 ms.
        for (time, late) in [(110, None), (160, Some(60)), (170, Some(70)), (171, None)] {
            assert_eq!(pipeline.late_at(at(time)), late.map(millis), "{time}");
        }
        // The next was due at 200 ms; it is as late as one may be.
        clock.elapse(millis(60));
        clock.advance(millis(0));
        assert_eq!(pipeline.late_at(at(235)), None);
        pipeline.finish(clock.now()).await;
    }

    #[tokio::test]
    async fn whoever_ticks_seldom_is_looked_at_only_while_it_is_at_work() {
        for (interval, is_seldom) in [(millis(90_000), true), (millis(30_000), false)] {
            let clock = ManualClock::new();
            let pipeline = pipeline(&clock, of(&[interval]), None);
            assert!(!pipeline.has_no_samplers());
            go(&pipeline, &clock).await;
            let before = RealClock.now();
            clock.advance(interval);
            match pipeline.common.standby.alarms()[0] {
                None => assert!(is_seldom),
                Some(alarm) => assert!(!is_seldom && alarm >= before + LONG * 2),
            }
            pipeline.finish(clock.now()).await;
        }
    }

    #[tokio::test]
    async fn couriers_are_hired_for_an_interval_that_leaves_no_time_to_deliver() {
        for (interval, is_short) in [(DELIVERS_FROM, false), (DELIVERS_FROM - millis(1), true)] {
            let clock = ManualClock::new();
            let pipeline = pipeline(&clock, of(&[interval]), None);
            assert_eq!(pipeline.has_couriers.load(Ordering::Relaxed), is_short, "{interval:?}");
            pipeline.finish(clock.now()).await;
        }
    }

    /// Counts the points, which are not to be older than that.
    struct Count(Arc<AtomicU64>, Duration);

    impl Output for Count {
        fn write(&mut self, batch: &Batch) -> anyhow::Result<()> {
            self.0.fetch_add(batch.points().len() as u64, Ordering::Relaxed);
            Ok(())
        }

        fn max_age(&self) -> Duration {
            self.1
        }
    }

    /// A pipeline with a source of one point a tick, an output that says nothing of the points' age, and one that counts them.
    fn counting(interval: Duration, max_age: Duration) -> (Arc<ManualClock>, Pipeline, Arc<AtomicU64>) {
        let (clock, registry, count) = (ManualClock::new(), Registry::new(), Arc::new(AtomicU64::new(0)));
        let series = registry.series(crate::Series::new(crate::Metric::counter("c", "1", ""))).unwrap();
        let script = Box::new(crate::testing::Script::new(series, [1.0; 100]));
        let parts = Parts {
            sources: vec![NewSource { source: script, ..source(interval) }],
            outputs: vec![
                ("patient".into(), Box::new(|_: &Batch| Ok(()))),
                ("count".into(), Box::new(Count(Arc::clone(&count), max_age))),
            ],
            ..Parts::default()
        };
        let settings = Settings { overflow: Overflow::Wait, hang_after: LONG, chores: None };
        let pipeline =
            Pipeline::new(parts, settings, Arc::clone(&clock) as Arc<dyn Clock>, registry).unwrap();
        (clock, pipeline, count)
    }

    #[tokio::test]
    async fn what_is_not_a_second_old_is_written_when_that_is_asked_for_and_at_the_end() {
        let (clock, pipeline, count) = counting(millis(100), LONG);
        go(&pipeline, &clock).await;
        let mut counts = Vec::new();
        for ticks in [9, 1, 3] {
            clock.advance(millis(ticks * 100));
            counts.push(count.load(Ordering::Relaxed));
        }
        // After the tenth tick, the next would be the eleventh of a second.
        assert_eq!(counts, [0, 10, 10]);
        pipeline.flush().await;
        assert_eq!(count.load(Ordering::Relaxed), 13);
        clock.advance(millis(200));
        pipeline.finish(clock.now()).await;
        assert_eq!(count.load(Ordering::Relaxed), 15);
    }

    /// Waits until it has come to this.
    fn becomes(count: &AtomicU64, expected: u64) {
        let end = RealClock.now() + LONG;
        while count.load(Ordering::Relaxed) != expected {
            assert!(RealClock.now() < end, "it stays at {}", count.load(Ordering::Relaxed));
            std::thread::sleep(millis(1));
        }
    }

    #[tokio::test]
    async fn what_was_collected_waits_neither_for_the_end_of_a_pause_nor_for_another_interval() {
        let (clock, pipeline, count) = counting(millis(100), LONG);
        go(&pipeline, &clock).await;
        clock.advance(millis(300));
        pipeline.pause().await;
        becomes(&count, 3);
        pipeline.answer(pipeline.go(clock.now())).await;
        clock.advance(millis(200));
        let name = pipeline.elements()[0].name.clone();
        pipeline.set_interval(&name, "50ms".parse().unwrap()).await.unwrap();
        becomes(&count, 5);
        pipeline.finish(clock.now()).await;
    }

    #[tokio::test]
    async fn after_the_last_reading_nothing_is_polled_any_more() {
        let (clock, pipeline, _) = counting(millis(100), LONG);
        go(&pipeline, &clock).await;
        clock.advance(millis(300));
        pipeline.last().await;
        clock.advance(millis(900));
        assert_eq!(pipeline.sampling()[0].ticks, 3);
        pipeline.finish(clock.now()).await;
    }

    #[tokio::test]
    async fn points_are_sent_when_the_next_tick_would_be_too_late() {
        let (clock, pipeline, count) = counting(millis(50), millis(100));
        go(&pipeline, &clock).await;
        let counts: Vec<_> = (0..4)
            .map(|_| {
                clock.advance(millis(50));
                count.load(Ordering::Relaxed)
            })
            .collect();
        assert_eq!(counts, [0, 2, 2, 4]);
        pipeline.finish(clock.now()).await;
    }

    #[tokio::test]
    async fn what_is_due_at_long_intervals_is_polled_by_one_thread_and_what_is_due_at_short_ones_by_others() {
        let clock = ManualClock::new();
        let slow = NewSource { blocking: true, ..source(millis(200)) };
        let mut parts = of(&[200, 50, 100, 200, 50, 20].map(millis));
        parts.sources.push(slow);
        let pipeline = pipeline(&clock, parts, None);
        let reports: Vec<Vec<_>> = {
            let samplers = pipeline.samplers();
            samplers.iter().map(|sampler| sampler.reports().map(|report| report.interval).collect()).collect()
        };
        assert_eq!(
            reports,
            [vec![100, 200], vec![50], vec![20], vec![200]]
                .map(|all| all.into_iter().map(millis).collect::<Vec<_>>())
        );
        go(&pipeline, &clock).await;
        clock.advance(millis(1000));
        let ticks: Vec<_> =
            pipeline.sampling().iter().map(|report| (report.interval, report.ticks)).collect();
        assert_eq!(
            ticks,
            [(20, 50), (50, 20), (100, 10), (200, 5), (200, 5)].map(|(ms, ticks)| (millis(ms), ticks))
        );
        pipeline.finish(clock.now()).await;
    }

    #[tokio::test]
    async fn without_a_sampler_the_outputs_finish_at_once() {
        let clock = ManualClock::new();
        let mut parts = Parts::default();
        parts.outputs.push(("output".into(), Box::new(|_: &Batch| Ok(()))));
        let pipeline = pipeline(&clock, parts, None);
        assert!(pipeline.has_no_samplers());
        tokio::time::timeout(LONG / 2, pipeline.finish(clock.now())).await.unwrap();
    }
}
