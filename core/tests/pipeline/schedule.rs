//! When sources are polled, and the times that their points get.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use alumet::testing::{ManualClock, Step};
use alumet::{Batch, Clock, Interval, Point, Series, SeriesId, Source, Time, Transform};

use crate::{Lab, TICK};

/// What was polled at which millisecond.
type Log = Arc<Mutex<Vec<(&'static str, u128)>>>;

/// A source that logs its polls but the first.
fn logging(name: &'static str, clock: &Arc<ManualClock>, log: &Log) -> impl Source + use<> {
    let (clock, log) = (Arc::clone(clock), Arc::clone(log));
    move |_: &mut Batch| {
        let now = millis(clock.now());
        if now > 0 {
            log.lock().expect("no poll panics").push((name, now));
        }
        Ok(())
    }
}

fn millis(time: Time) -> u128 {
    time.since(Time::default()).as_millis()
}

#[tokio::test]
async fn the_first_poll_sets_the_baseline_and_is_dropped() {
    let mut lab = Lab::new();
    lab.script("work", [100.0, 1.0, 2.0, 3.0]);
    let run = lab.start().await;
    run.ticks(2).await;
    let done = run.finish().await;
    assert_eq!(done.values("work"), [1.0, 2.0, 3.0]);
    assert_eq!((done.element("work").points, done.element("collect").points), (3, 3));
}

#[tokio::test]
async fn there_are_as_many_ticks_as_intervals_have_passed() {
    let mut lab = Lab::new();
    lab.ones("work");
    let run = lab.start().await;
    run.clock.advance(TICK.get() * 100 + TICK.get() / 2);
    let done = run.finish().await;
    assert_eq!(done.sampled(), (100, 0));
    assert_eq!(done.values("work").len(), 100 + 1, "the ticks and the last reading");
    let sampling = &done.report.sampling[0];
    assert_eq!((sampling.interval, sampling.mean_interval), (TICK.get(), Some(TICK.get())));
    assert_eq!((sampling.late_p99, done.report.late_p99), (Some(Duration::ZERO), Some(Duration::ZERO)));
    assert_eq!(done.report.wall, TICK.get() * 100 + TICK.get() / 2);
}

#[tokio::test]
async fn a_run_shorter_than_the_interval_has_the_last_reading() {
    let mut lab = Lab::new();
    lab.ones("work");
    let run = lab.start().await;
    run.clock.advance(TICK.get() - Duration::from_nanos(1));
    let done = run.finish().await;
    assert_eq!((done.sampled(), done.values("work").len()), ((0, 0), 1));
}

#[tokio::test]
async fn sources_of_one_interval_are_read_on_one_tick_in_their_order() {
    let mut lab = Lab::new();
    let log = Log::default();
    for name in ["a", "b", "c"] {
        lab.source(name, logging(name, &lab.clock, &log));
    }
    let run = lab.start().await;
    run.ticks(2).await;
    let seen = log.lock().unwrap().clone();
    assert_eq!(seen, [("a", 100), ("b", 100), ("c", 100), ("a", 200), ("b", 200), ("c", 200)]);
    assert_eq!(run.finish().await.sampled(), (2, 0));
}

#[tokio::test]
async fn two_intervals_keep_their_own_time() {
    let mut lab = Lab::new();
    let log = Log::default();
    for (name, interval) in [("slow", 50), ("fast", 30)] {
        let source = logging(name, &lab.clock, &log);
        lab.agent.setup().source(name, Interval::from_millis(interval), source);
    }
    let run = lab.start().await;
    run.clock.advance(Duration::from_millis(140));
    let seen = log.lock().unwrap().clone();
    assert_eq!(seen, [("fast", 30), ("slow", 50), ("fast", 60), ("fast", 90), ("slow", 100), ("fast", 120)]);
    let ticks: Vec<_> = run.finish().await.report.sampling.iter().map(|s| (s.interval, s.ticks)).collect();
    assert_eq!(ticks, [(Duration::from_millis(30), 4), (Duration::from_millis(50), 2)]);
}

#[tokio::test]
async fn a_slow_read_misses_ticks_that_are_counted_and_the_schedule_stays_aligned() {
    let mut lab = Lab::new();
    let log = Log::default();
    lab.source("watch", logging("watch", &lab.clock, &log));
    let clock = Arc::clone(&lab.clock);
    let slow = Step::Call(Box::new(move || clock.elapse(TICK.get() * 5 / 2)));
    lab.script("slow", [Step::Nothing, slow]);
    let run = lab.start().await;
    run.clock.advance(TICK.get() * 11 / 2);
    let seen: Vec<_> = log.lock().unwrap().iter().map(|(_, millis)| *millis).collect();
    assert_eq!(seen, [100, 400, 500]);
    assert_eq!(run.finish().await.sampled(), (3, 2));
}

/// A read that takes 40 ms and is not over when it pushes.
fn reading(clock: &Arc<ManualClock>, series: SeriesId) -> impl Source + use<> {
    let clock = Arc::clone(clock);
    move |out: &mut Batch| {
        clock.elapse(Duration::from_millis(10));
        out.push(series, 1.0);
        clock.elapse(Duration::from_millis(30));
        Ok(())
    }
}

#[tokio::test]
async fn a_point_is_at_the_middle_of_its_read() {
    let mut lab = Lab::new();
    let series = lab.series("work");
    lab.source("work", reading(&lab.clock, series));
    let run = lab.start().await;
    let start = run.running.start();
    run.ticks(1).await;
    let point = run.collected.points()[0].1;
    assert_eq!(point.time, start.time + TICK.get() + Duration::from_millis(20));
    assert_eq!(point.half_width_ns, 20_000_000);
    run.finish().await;
}

/// Pushes a point when it finishes.
struct AtTheEnd(SeriesId);

impl Source for AtTheEnd {
    fn poll(&mut self, _: &mut Batch) -> anyhow::Result<()> {
        Ok(())
    }
    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        out.push(self.0, 1.0);
        Ok(())
    }
}

impl Transform for AtTheEnd {
    fn apply(&mut self, _: &mut Batch) -> anyhow::Result<()> {
        Ok(())
    }
    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        out.push(self.0, 1.0);
        Ok(())
    }
}

#[tokio::test]
async fn no_point_is_later_than_the_end_mark() {
    let mut lab = Lab::new();
    let [work, exact, derived] = ["work", "exact", "derived"].map(|name| lab.series(name));
    lab.source("work", reading(&lab.clock, work));
    lab.source("exact", AtTheEnd(exact));
    lab.agent.setup().transform("derive", AtTheEnd(derived));
    let run = lab.start().await;
    run.ticks(3).await;
    let done = run.finish().await;
    let end = done.report.end;
    let times = |name: &str| -> Vec<Time> {
        let of_name =
            |(series, point): &(Arc<Series>, Point)| (series.metric.name == name).then_some(point.time);
        done.collected.points().iter().filter_map(of_name).collect()
    };
    assert_eq!(times("work").len(), 4);
    assert!(times("work").iter().all(|time| (done.report.start.time..=end).contains(time)));
    assert!(times("work").is_sorted());
    assert_eq!((times("exact"), times("derived")), (vec![end], vec![end]));
}

#[tokio::test]
async fn after_a_suspend_a_point_has_the_wall_clocks_time() {
    let mut lab = Lab::new();
    lab.ones("work");
    let stamps: Arc<Mutex<Vec<u64>>> = Arc::default();
    let seen = Arc::clone(&stamps);
    lab.output("stamps", move |batch: &Batch| {
        let of_batch = batch.points().iter().map(|point| batch.unix_nanos(point.time) / 1_000_000);
        seen.lock().expect("no write panics").extend(of_batch);
        Ok(())
    });
    // What was before the run is in the wall clock at its start.
    lab.clock.suspend(Duration::from_secs(5));
    let run = lab.start().await;
    run.ticks(2).await;
    run.clock.suspend(Duration::from_secs(3600));
    run.ticks(1).await;
    run.clock.suspend(Duration::from_secs(60));
    let done = run.finish().await;
    let wall = |millis: u64, suspended: u64| (5 + suspended) * 1000 + millis;
    let expected = [wall(100, 0), wall(200, 0), wall(300, 3600), wall(300, 3660)];
    assert_eq!(*stamps.lock().expect("no write panics"), expected);
    // The run's own time stands still meanwhile.
    assert_eq!(done.report.wall, TICK.get() * 3);
    assert_eq!(done.report.suspended, Duration::from_secs(3660));
}
