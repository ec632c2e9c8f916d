//! Steering a run: pause, resume, other intervals, stop, list, flush.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use alumet::{Batch, Clock, ElementKind, ElementState, Increase, Interval};

use crate::{Lab, TICK};

impl Lab {
    /// A counter that counts milliseconds of fake time.
    fn time(&mut self, name: &'static str) {
        let series = self.series(name);
        let clock = Arc::clone(&self.clock);
        let mut increase = Increase::default();
        self.source(name, move |out: &mut Batch| {
            out.push(series, increase.to(clock.now().as_nanos() / 1_000_000) as f64);
            Ok(())
        });
    }
}

#[tokio::test]
async fn the_increase_after_a_pause_covers_the_pause() {
    let mut lab = Lab::new();
    lab.time("time");
    let run = lab.start().await;
    run.ticks(2).await;
    run.control.pause().await;
    run.ticks(10).await;
    assert_eq!(run.values("time"), [100.0, 100.0]);
    run.control.resume().await;
    run.ticks(2).await;
    assert_eq!(run.values("time"), [100.0, 100.0, 1100.0, 100.0]);
    assert_eq!(run.finish().await.sampled(), (4, 0), "a pause misses nothing");
}

#[tokio::test]
async fn a_run_that_ends_in_a_pause_has_its_last_reading() {
    let mut lab = Lab::new();
    lab.time("time");
    let run = lab.start().await;
    run.control.pause().await;
    run.clock.advance(TICK.get() * 7);
    assert_eq!(run.finish().await.values("time"), [700.0]);
}

#[tokio::test]
async fn resuming_what_is_not_paused_changes_nothing() {
    let mut lab = Lab::new();
    lab.time("time");
    let run = lab.start().await;
    for _ in 0..4 {
        run.clock.advance(TICK.get() / 2);
        run.control.resume().await;
    }
    run.control.flush().await;
    assert_eq!(run.values("time"), [100.0, 100.0]);
    run.finish().await;
}

#[tokio::test]
async fn one_source_can_get_another_interval() {
    let mut lab = Lab::new();
    lab.time("other");
    lab.time("time");
    let run = lab.start().await;
    run.ticks(2).await;
    run.control.set_interval("time", Interval::from_millis(50)).await.unwrap();
    run.ticks(2).await;
    assert_eq!(run.values("time"), [100.0, 100.0, 50.0, 50.0, 50.0, 50.0]);
    assert_eq!(run.values("other"), [100.0; 4]);
    let error = run.control.set_interval("nobody", TICK).await.unwrap_err();
    assert!(error.to_string().contains("`nobody`"));
    let done = run.finish().await;
    let sampling: Vec<_> = done.report.sampling.iter().map(|s| (s.interval.as_millis(), s.ticks)).collect();
    assert_eq!(sampling, [(50, 4), (100, 4)]);
    assert_eq!(done.values("time").iter().sum::<f64>(), 400.0);
}

#[tokio::test]
async fn an_interval_that_is_set_in_a_pause_waits_for_its_end() {
    let mut lab = Lab::new();
    lab.time("time");
    let run = lab.start().await;
    run.control.pause().await;
    run.control.set_interval("time", Interval::from_millis(50)).await.unwrap();
    run.ticks(5).await;
    assert!(run.values("time").is_empty());
    run.control.resume().await;
    run.ticks(1).await;
    assert_eq!(run.values("time"), [550.0, 50.0]);
    run.finish().await;
}

#[tokio::test]
async fn a_stopped_element_is_left_out_and_listed() {
    let mut lab = Lab::new();
    let polls = lab.ones("stopped");
    lab.ones("others");
    lab.agent.setup().transform("drop all", |batch: &mut Batch| {
        batch.points_mut().clear();
        Ok(())
    });
    let run = lab.start().await;
    run.ticks(2).await;
    assert!(run.collected.values().is_empty());
    run.control.stop("stopped").unwrap();
    run.control.stop("drop all").unwrap();
    assert!(run.control.stop("nobody").is_err());
    run.ticks(3).await;
    assert_eq!((polls.load(Ordering::SeqCst), run.values("stopped").len()), (3, 0));
    assert_eq!(run.values("others").len(), 3);
    let listed: Vec<_> = run.control.list().into_iter().map(|e| (e.name, e.kind, e.state)).collect();
    let expected = [
        ("stopped", ElementKind::Source, ElementState::Stopped),
        ("others", ElementKind::Source, ElementState::Active),
        ("drop all", ElementKind::Transform, ElementState::Stopped),
        ("collect", ElementKind::Output, ElementState::Active),
    ];
    assert_eq!(listed, expected.map(|(name, kind, state)| (name.to_owned(), kind, state)));
    assert_eq!(run.finish().await.values("stopped").len(), 0);
}

#[tokio::test]
async fn what_was_polled_is_written_when_a_flush_returns() {
    let mut lab = Lab::new();
    // Ten ticks fit between two sendings of the sampler.
    lab.interval = Interval::from_millis(10);
    lab.ones("work");
    let run = lab.start().await;
    for ticks in 1..=25 {
        run.clock.advance(Duration::from_millis(10));
        run.control.flush().await;
        assert_eq!(run.values("work").len(), ticks);
    }
    run.finish().await;
}

#[tokio::test]
async fn a_control_that_outlives_its_run_does_nothing() {
    let mut lab = Lab::new();
    lab.ones("work");
    let run = lab.start().await;
    let control = run.control.clone();
    run.finish().await;
    let calls = async {
        control.pause().await;
        control.resume().await;
        control.flush().await;
        control.set_interval("work", TICK).await.unwrap_err();
    };
    tokio::time::timeout(Duration::from_secs(20), calls).await.expect("no call waits for the run");
}
