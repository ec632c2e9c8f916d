//! What fails, panics or hangs is named in the report, and the rest goes on.

use std::sync::atomic::Ordering;
use std::time::Duration;

use alumet::testing::Step::{Call, Fail, Nothing, Panic, Push};
use alumet::{Batch, ElementKind, ElementState, Interval, Lost, RealClock, SeriesId, Source};

use crate::{Done, HANG, Lab, Run, blocked, until};

fn assert_failed(done: &Done, name: &str, kind: ElementKind, why: &str) {
    let element = done.element(name);
    assert_eq!((element.kind, element.state, element.errors), (kind, ElementState::Failed, 1));
    let error = element.last_error.as_deref().unwrap_or_default();
    assert!(error.contains(why), "{error}");
}

#[tokio::test]
async fn a_panic_in_one_source_leaves_the_others_running() {
    let mut lab = Lab::new();
    lab.ones("before");
    lab.script("bad", [Nothing, Push(5.0), Panic("the meter is on fire"), Push(6.0)]);
    lab.ones("after");
    let run = lab.start().await;
    run.ticks(4).await;
    let done = run.finish().await;
    assert_failed(&done, "bad", ElementKind::Source, "panicked: the meter is on fire");
    assert_eq!(done.values("bad"), [5.0], "what was polled before is delivered");
    assert_eq!((done.values("before").len(), done.values("after").len()), (5, 5));
    assert_eq!(done.element("after").state, ElementState::Active);
}

#[tokio::test]
async fn points_pushed_before_an_error_or_a_panic_in_the_same_poll_are_delivered() {
    let mut lab = Lab::new();
    for name in ["errs", "panics"] {
        let series = lab.series(name);
        lab.source(name, move |out: &mut Batch| {
            out.push(series, 1.0);
            if name == "panics" { panic!("half way") } else { anyhow::bail!("half way") }
        });
    }
    let run = lab.start().await;
    run.ticks(2).await;
    let done = run.finish().await;
    // The one that panics does so in the baseline's poll, whose points are dropped.
    assert_eq!((done.values("errs").len(), done.values("panics").len()), (3, 0));
    assert_failed(&done, "panics", ElementKind::Source, "half way");

    let mut lab = Lab::new();
    let series = lab.series("panics");
    let mut polls = 0;
    lab.source("panics", move |out: &mut Batch| {
        polls += 1;
        out.push(series, 1.0);
        assert!(polls < 3, "the third is one too many");
        Ok(())
    });
    let run = lab.start().await;
    run.ticks(4).await;
    assert_eq!(run.finish().await.values("panics").len(), 2);
}

#[tokio::test]
async fn a_panic_in_a_transform_leaves_the_points_and_the_other_transforms() {
    let mut lab = Lab::new();
    lab.ones("work");
    lab.agent.setup().transform("bad", |_: &mut Batch| panic!("divided by zero"));
    lab.agent.setup().transform("double", |batch: &mut Batch| {
        batch.points_mut().iter_mut().for_each(|point| point.value *= 2.0);
        Ok(())
    });
    let run = lab.start().await;
    run.ticks(2).await;
    let done = run.finish().await;
    assert_failed(&done, "bad", ElementKind::Transform, "panicked: divided by zero");
    assert_eq!(done.values("work"), [2.0; 3]);
}

#[tokio::test]
async fn a_panic_in_an_output_leaves_the_other_outputs_and_its_points_count_as_lost() {
    let mut lab = Lab::new();
    lab.ones("work");
    let mut writes = 0;
    lab.output("bad", move |_: &Batch| {
        writes += 1;
        assert!(writes < 2, "the disk is full");
        Ok(())
    });
    let run = lab.start().await;
    for _ in 0..3 {
        run.ticks(1).await;
    }
    let done = run.finish().await;
    assert_failed(&done, "bad", ElementKind::Output, "panicked: the disk is full");
    assert_eq!(done.values("work").len(), 4);
    assert_eq!((done.element("bad").points, done.element("bad").lost), (1, 3));
}

#[tokio::test]
async fn an_output_that_fails_is_tried_again_and_its_losses_are_counted() {
    let mut lab = Lab::new();
    let series = lab.series("work");
    lab.source("work", move |out: &mut Batch| {
        (0..10).for_each(|_| out.push(series, 1.0));
        Ok(())
    });
    let mut writes = 0;
    lab.output("bad", move |_: &Batch| {
        writes += 1;
        match writes {
            1 => anyhow::bail!("everything is lost"),
            2 => Err(Lost { points: 3, cause: std::io::ErrorKind::StorageFull.into() }.into()),
            _ => Ok(()),
        }
    });
    let run = lab.start().await;
    for _ in 0..3 {
        run.ticks(1).await;
    }
    let done = run.finish().await;
    let bad = done.element("bad");
    assert_eq!((bad.state, bad.errors), (ElementState::Active, 2));
    assert_eq!((bad.points, bad.lost), (4 * 10 - 13, 13));
}

#[tokio::test]
async fn a_source_that_fails_once_is_polled_again() {
    let mut lab = Lab::new();
    lab.script("flaky", [Nothing, Push(1.0), Fail("busy"), Push(2.0)]);
    let run = lab.start().await;
    run.ticks(3).await;
    let done = run.finish().await;
    let flaky = done.element("flaky");
    assert_eq!(
        (flaky.state, flaky.errors, flaky.last_error.as_deref()),
        (ElementState::Active, 1, Some("busy"))
    );
    assert_eq!(done.values("flaky"), [1.0, 2.0]);
}

#[tokio::test]
async fn ten_errors_in_a_row_end_a_source_and_nine_do_not() {
    let failures = |n: usize| std::iter::once(Nothing).chain((0..n).map(|_| Fail("gone")));
    let mut lab = Lab::new();
    lab.script("nine", failures(9).chain([Push(1.0)]).chain(failures(9).skip(1)).chain([Push(2.0)]));
    lab.script("ten", failures(10).chain([Push(1.0)]));
    let run = lab.start().await;
    run.ticks(20).await;
    let done = run.finish().await;
    let state = |name| (done.element(name).state, done.element(name).errors);
    assert_eq!((state("nine"), done.values("nine")), ((ElementState::Active, 18), vec![1.0, 2.0]));
    assert_eq!((state("ten"), done.values("ten")), ((ElementState::Failed, 10), vec![]));
}

#[tokio::test]
async fn a_plugin_that_panics_while_it_starts_leaves_nothing_behind() {
    let mut lab = Lab::new();
    let error = lab.agent.start_plugin("bad", |setup| {
        setup.output("half", |_: &Batch| Ok(()));
        panic!("no such device")
    });
    assert!(error.unwrap_err().to_string().contains("no such device"));
    lab.agent
        .start_plugin("good", |setup| {
            setup.output("whole", |_: &Batch| Ok(()));
            Ok(())
        })
        .unwrap();
    let done = lab.start().await.finish().await;
    let names: Vec<_> = done.report.elements.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["collect", "good/whole"]);
}

/// Waits until the source `name` is reported as hanging.
async fn hung(run: &Run<RealClock>, name: &str) {
    until(|| run.control.list().iter().any(|e| e.name == name && e.state == ElementState::Hung)).await;
}

#[tokio::test]
async fn a_source_that_hangs_stops_neither_the_others_nor_the_end() {
    let mut lab = Lab::real();
    let (release, hang) = blocked();
    let before = lab.ones("before");
    lab.script("stuck", [Nothing, Push(1.0), Call(Box::new(hang))]);
    let after = lab.ones("after");
    let run = lab.start().await;
    hung(&run, "stuck").await;
    let polled = after.load(Ordering::SeqCst);
    until(|| after.load(Ordering::SeqCst) > polled + 5).await;
    let done = run.finish().await;
    let stuck = done.element("stuck");
    assert_eq!((stuck.state, stuck.errors), (ElementState::Hung, 1));
    assert!(stuck.last_error.as_deref().unwrap().contains(&format!("{HANG:?}")));
    assert_eq!(done.values("stuck"), [1.0]);
    // Nothing is lost: all polls but the baseline's, including the one of the tick in which the source hung.
    for (name, polls) in [("before", before), ("after", after)] {
        assert_eq!(done.values(name).len() as u64, polls.load(Ordering::SeqCst) - 1, "{name}");
    }
    assert!(done.sampled().1 > 0, "the ticks that passed meanwhile are missed");
    drop(release);
}

#[tokio::test]
async fn a_source_that_hangs_in_its_first_poll_does_not_stop_the_start() {
    let mut lab = Lab::real();
    let (release, hang) = blocked();
    lab.script("stuck", [Call(Box::new(hang)), Push(1.0)]);
    let polls = lab.ones("after");
    let run = lab.start().await;
    until(|| polls.load(Ordering::SeqCst) > 5).await;
    let done = run.finish().await;
    assert_eq!(done.element("stuck").state, ElementState::Hung);
    assert_eq!(done.values("after").len() as u64, polls.load(Ordering::SeqCst) - 1);
    drop(release);
}

#[tokio::test]
async fn a_source_that_hangs_in_its_last_poll_does_not_stop_the_end() {
    let mut lab = Lab::real();
    lab.interval = Interval::from_millis(3_600_000);
    let (release, hang) = blocked();
    lab.ones("before");
    lab.script("stuck", [Nothing, Call(Box::new(hang))]);
    lab.ones("after");
    let done = lab.start().await.finish().await;
    assert_eq!(done.element("stuck").state, ElementState::Hung);
    assert!(!done.values("before").is_empty());
    assert_eq!(done.values("after").len(), 1);
    drop(release);
}

/// Pushes a 1 at the end.
struct AtTheEnd<F>(SeriesId, F);

impl<F: FnMut() + Send> Source for AtTheEnd<F> {
    fn poll(&mut self, _: &mut Batch) -> anyhow::Result<()> {
        Ok(())
    }

    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        out.push(self.0, 1.0);
        self.1();
        Ok(())
    }
}

#[tokio::test]
async fn a_source_that_hangs_at_its_end_lets_the_others_end_once() {
    let mut lab = Lab::real();
    let (release, hang) = blocked();
    let names = ["before", "stuck", "after"];
    let series = names.map(|name| lab.series(name));
    lab.source("before", AtTheEnd(series[0], || ()));
    lab.source("stuck", AtTheEnd(series[1], hang));
    lab.source("after", AtTheEnd(series[2], || ()));
    let done = lab.start().await.finish().await;
    assert_eq!(names.map(|name| done.values(name).len()), [1, 0, 1]);
    assert_eq!(done.element("stuck").state, ElementState::Hung);
    drop(release);
}

#[tokio::test]
async fn a_source_that_comes_back_is_polled_again() {
    let mut lab = Lab::real();
    let (release, hang) = blocked();
    lab.script("stuck", [Nothing, Push(1.0), Call(Box::new(hang)), Push(2.0)]);
    let run = lab.start().await;
    hung(&run, "stuck").await;
    drop(release);
    until(|| {
        let element = &run.control.list()[0];
        (element.state, element.points) == (ElementState::Active, 2)
    })
    .await;
    assert_eq!(run.finish().await.values("stuck"), [1.0, 2.0]);
}

#[tokio::test]
async fn a_source_that_comes_back_with_a_panic_is_left_out() {
    let mut lab = Lab::real();
    let (release, mut hang) = blocked();
    let crash = Box::new(move || {
        hang();
        panic!("woken up")
    });
    lab.script("stuck", [Nothing, Call(crash), Push(1.0)]);
    let others = lab.ones("others");
    let run = lab.start().await;
    hung(&run, "stuck").await;
    drop(release);
    until(|| run.control.list().iter().any(|e| e.last_error.as_deref() == Some("it panicked: woken up")))
        .await;
    let polled = others.load(Ordering::SeqCst);
    until(|| others.load(Ordering::SeqCst) > polled + 5).await;
    let done = run.finish().await;
    assert_eq!((done.element("stuck").state, done.values("stuck")), (ElementState::Failed, vec![]));
}

#[tokio::test]
async fn a_blocking_source_delays_nobody() {
    let mut lab = Lab::real();
    lab.agent.hang_after(Duration::from_secs(60));
    let (release, call) = blocked();
    lab.blocking_script("driver", [Nothing, Call(Box::new(call)), Push(1.0)]);
    let polls = lab.ones("others");
    let run = lab.start().await;
    until(|| polls.load(Ordering::SeqCst) > 20).await;
    assert!(run.control.list().iter().all(|e| e.state == ElementState::Active));
    drop(release);
    until(|| run.control.list()[0].points == 1).await;
    assert_eq!(run.finish().await.values("driver"), [1.0]);
}

#[tokio::test]
async fn any_number_of_blocking_sources_can_end() {
    let mut lab = Lab::new();
    (0..100).for_each(|_| lab.blocking_script("driver", [0.0, 1.0, 1.0, 1.0]));
    let run = lab.start().await;
    run.ticks(1).await;
    run.ticks(1).await;
    let end = tokio::time::timeout(Duration::from_secs(20), run.finish());
    let done = end.await.expect("the run ends");
    assert_eq!(done.values("driver").len(), 300);
}
