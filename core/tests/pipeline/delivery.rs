//! From the samplers through the transforms to the outputs: everything, in order, once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use alumet::testing::Collect;
use alumet::{
    Batch, Bound, Consumer, Interval, Kind, Metric, Output, Overflow, Point, Registry, Series, SeriesId,
    Source, Totals, Transform,
};

use crate::{Lab, Run, TICK, blocked, until};

#[tokio::test]
async fn all_outputs_get_the_same_points_in_the_same_order() {
    let mut lab = Lab::new();
    let other = Collect::new();
    lab.output("other", other.clone());
    lab.ones("a");
    lab.ones("b");
    let run = lab.start().await;
    run.ticks(50).await;
    run.ticks(50).await;
    let done = run.finish().await;
    assert_eq!(done.collected.points().len(), 2 * 101);
    assert_eq!(other.points(), done.collected.points());
}

/// Adds a number to every point; at the end pushes one more point of this series, with this value.
struct Plus(f64, SeriesId, f64);

impl Transform for Plus {
    fn apply(&mut self, batch: &mut Batch) -> anyhow::Result<()> {
        batch.points_mut().iter_mut().for_each(|point| point.value += self.0);
        Ok(())
    }
    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        out.push(self.1, self.2);
        Ok(())
    }
}

fn double(batch: &mut Batch) -> anyhow::Result<()> {
    batch.points_mut().iter_mut().for_each(|point| point.value *= 2.0);
    Ok(())
}

#[tokio::test]
async fn transforms_run_in_order_and_what_they_held_back_goes_through_the_later_ones() {
    let mut lab = Lab::new();
    lab.script("work", [0.0, 10.0]);
    let [first, second] = ["first", "second"].map(|name| lab.series(name));
    let mut setup = lab.agent.setup();
    setup.transform("first", Plus(1.0, first, 100.0));
    setup.transform("double", double);
    setup.transform("second", Plus(3.0, second, 1000.0));
    let run = lab.start().await;
    run.ticks(1).await;
    let done = run.finish().await;
    assert_eq!(done.values("work"), [(10.0 + 1.0) * 2.0 + 3.0]);
    assert_eq!(done.values("first"), [100.0 * 2.0 + 3.0]);
    assert_eq!(done.values("second"), [1000.0]);
}

/// An output that does not return from a write before it is told to, and the number of points that it has written.
fn slow() -> (mpsc::Sender<()>, Arc<AtomicU64>, impl FnMut(&Batch) -> anyhow::Result<()> + Send) {
    let (release, mut gate) = blocked();
    let written = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&written);
    let write = move |batch: &Batch| {
        gate();
        counted.fetch_add(batch.points().len() as u64, Ordering::SeqCst);
        Ok(())
    };
    (release, written, write)
}

#[tokio::test]
async fn an_output_that_does_not_keep_up_costs_ticks_and_no_points() {
    let mut lab = Lab::new();
    let (release, written, output) = slow();
    lab.output("slow", output);
    let polls = lab.ones("work");
    let run = lab.start().await;
    for _ in 0..40 {
        run.clock.advance(TICK.get() * 100);
        tokio::task::yield_now().await;
    }
    let polled = polls.load(Ordering::SeqCst);
    assert!(polled < 4000, "at some time no more is read: {polled}");

    drop(release);
    run.control.flush().await;
    run.ticks(10).await;
    assert_eq!(polls.load(Ordering::SeqCst), polled + 10, "it goes on where the output does");

    let done = run.finish().await;
    let (ticks, missed) = done.sampled();
    assert_eq!((ticks + missed, ticks), (4010, polls.load(Ordering::SeqCst) - 2));
    assert_eq!(written.load(Ordering::SeqCst), ticks + 1);
    assert_eq!((done.element("slow").points, done.element("slow").lost), (ticks + 1, 0));
    assert_eq!(done.values("work").len() as u64, ticks + 1);
}

#[tokio::test]
async fn an_output_that_is_slow_at_the_end_still_gets_everything() {
    let mut lab = Lab::new();
    let (release, written, output) = slow();
    lab.output("slow", output);
    lab.ones("work");
    let run = lab.start().await;
    run.clock.advance(TICK.get() * 100);
    let clerk = std::thread::spawn(move || while release.send(()).is_ok() {});
    let done = run.finish().await;
    assert_eq!((done.sampled(), written.load(Ordering::SeqCst)), ((100, 0), 101));
    clerk.join().unwrap();
}

/// One tick at a time, each of which reaches the collecting output.
async fn ticks_to_the_fast_output(run: &Run, n: usize) {
    for _ in 0..n {
        let before = run.collected.points().len();
        run.clock.advance(TICK.get());
        until(|| run.collected.points().len() > before).await;
    }
}

#[tokio::test]
async fn where_points_may_be_dropped_the_slow_output_counts_them_and_the_fast_one_gets_everything() {
    let mut lab = Lab::new();
    lab.agent.overflow(Overflow::Drop);
    let (release, written, output) = slow();
    lab.output("slow", output);
    lab.ones("work");
    let run = lab.start().await;
    ticks_to_the_fast_output(&run, 100).await;
    assert_eq!(written.load(Ordering::SeqCst), 0);
    drop(release);
    run.control.flush().await;
    let done = run.finish().await;
    assert_eq!((done.sampled(), done.values("work").len()), ((100, 0), 101));
    let slow = done.element("slow");
    assert_eq!(slow.points, written.load(Ordering::SeqCst));
    assert_eq!(slow.points + slow.lost, 101);
    assert!(slow.lost > 80, "what waits is bounded: {}", slow.lost);
    assert_eq!(done.element("collect").lost, 0);
}

/// Whoever delivers is taken over while an output keeps it: the outputs behind it, and the sampler, go on.
#[tokio::test]
async fn an_output_that_does_not_return_keeps_neither_the_sampler_nor_the_outputs_behind_it() {
    for (interval, overflow) in [(1, Overflow::Drop), (10, Overflow::Drop), (30, Overflow::Wait)] {
        let mut lab = Lab::real();
        lab.interval = Interval::from_millis(interval);
        lab.agent.overflow(overflow);
        lab.agent.hang_after(Duration::from_secs(3600));
        let (release, written, output) = slow();
        lab.output("slow", output);
        let behind = Collect::new();
        lab.output("behind", behind.clone());
        let polls = lab.ones("work");
        let run = lab.start().await;
        // More than would be made if they waited for it, and no more than fits in front of it.
        until(|| polls.load(Ordering::SeqCst) > 5 && behind.points().len() > 3).await;
        assert_eq!(written.load(Ordering::SeqCst), 0);
        drop(release);
        let done = run.finish().await;
        let all = polls.load(Ordering::SeqCst) - 1;
        assert_eq!(behind.points().len() as u64, all, "each of them once");
        assert_eq!(done.element("slow").points + done.element("slow").lost, all);
    }
}

#[tokio::test]
async fn a_transform_that_does_not_return_keeps_no_sampler() {
    let mut lab = Lab::real();
    lab.interval = Interval::from_millis(10);
    lab.agent.hang_after(Duration::from_secs(3600));
    let (release, mut gate) = blocked();
    let transform = move |_: &mut Batch| {
        gate();
        Ok(())
    };
    lab.agent.setup().transform("slow", transform);
    let polls = lab.ones("work");
    let run = lab.start().await;
    until(|| polls.load(Ordering::SeqCst) > 50).await;
    assert!(run.values("work").is_empty());
    drop(release);
    let done = run.finish().await;
    assert_eq!(done.values("work").len() as u64, polls.load(Ordering::SeqCst) - 1);
}

#[tokio::test]
async fn where_points_may_be_dropped_a_burst_of_batches_is_not() {
    let mut lab = Lab::new();
    lab.agent.overflow(Overflow::Drop);
    (0..10).for_each(|_| lab.blocking_script("driver", [0.0, 1.0, 1.0]));
    let run = lab.start().await;
    run.ticks(1).await;
    let done = run.finish().await;
    assert_eq!((done.element("collect").points, done.element("collect").lost), (20, 0));
}

const CPU_TIME: Metric = Metric::counter("process.cpu.time", "s", "");

/// In every poll the process of the last poll is gone, and another has used as much CPU time as its number says.
struct Churn {
    registry: Arc<Registry>,
    last: Option<SeriesId>,
    next: i32,
}

impl Source for Churn {
    fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let series = self.registry.series(Series::new(CPU_TIME).consumer(Consumer::Process(self.next)))?;
        out.push(series, f64::from(self.next));
        self.last.replace(series).into_iter().for_each(|gone| out.retire(gone));
        self.next += 1;
        Ok(())
    }
}

impl Lab {
    fn churn(&mut self) -> Arc<Registry> {
        let registry = Arc::clone(self.agent.setup().registry());
        self.source("churn", Churn { registry: Arc::clone(&registry), last: None, next: 0 });
        registry
    }
}

#[tokio::test]
async fn ids_of_retired_series_are_used_again_and_their_totals_stay() {
    let mut lab = Lab::new();
    let registry = lab.churn();
    let totals = Totals::new();
    lab.output("totals", totals.clone());
    let highest = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&highest);
    lab.output("ids", move |batch: &Batch| {
        let ids = batch.points().iter().map(|point| point.series.index() as u64);
        seen.fetch_max(ids.max().unwrap_or(0), Ordering::SeqCst);
        Ok(())
    });
    let run = lab.start().await;
    for _ in 0..90 {
        run.ticks(10).await;
        assert!(registry.len() < 50, "{} series live", registry.len());
    }
    let done = run.finish().await;
    assert!(highest.load(Ordering::SeqCst) < 50);
    let expected: Vec<f64> = (1..=901).map(f64::from).collect();
    assert_eq!(done.values("process.cpu.time"), expected);
    let mut ended: Vec<_> = totals.get().iter().map(|t| (t.series.consumer, t.value)).collect();
    ended.sort_by(|a, b| a.1.total_cmp(&b.1));
    // Those that used the most are kept, and the others are counted.
    let first = 901 - ended.len() as i32 + 1;
    let expected: Vec<_> = (first..=901).map(|pid| (Consumer::Process(pid), f64::from(pid))).collect();
    assert!(ended == expected && ended.len() >= Totals::ENDED, "{} kept from {first} on", ended.len());
    assert_eq!(ended.len() + totals.omitted(), 901);
}

/// Like every output that keeps something by series: what it knows of an id holds until the series is retired.
#[derive(Default)]
struct Keeps(HashMap<SeriesId, Arc<Series>>);

impl Keeps {
    /// The points of which it knows the wrong series.
    fn mistaken(&mut self, batch: &Batch) -> usize {
        let wrong = |point: &&Point| {
            let series = batch.series(point.series);
            *self.0.entry(point.series).or_insert(Arc::clone(&series)) != series
        };
        let mistaken = batch.points().iter().filter(wrong).count();
        batch.retired().iter().for_each(|id| drop(self.0.remove(id)));
        mistaken
    }
}

#[tokio::test]
async fn an_output_that_misses_a_batch_does_not_mistake_a_new_series_for_a_retired_one() {
    let mut lab = Lab::new();
    lab.agent.overflow(Overflow::Drop);
    lab.ones("work");
    let registry = Arc::clone(lab.agent.setup().registry());
    let process = move |pid| registry.series(Series::new(CPU_TIME).consumer(Consumer::Process(pid)));
    let first = process(1).unwrap();
    let mut poll = 0;
    lab.source("processes", move |out: &mut Batch| {
        poll += 1;
        match poll {
            ..10 => out.push(first, 1.0),
            30 => out.retire(first),
            40.. => out.push(process(2)?, 1.0),
            _ => {}
        }
        Ok(())
    });
    let (release, mut gate) = blocked();
    let (mut keeps, mistaken) = (Keeps::default(), Arc::new(AtomicU64::new(0)));
    let found = Arc::clone(&mistaken);
    lab.output("keeps", move |batch: &Batch| {
        found.fetch_add(keeps.mistaken(batch) as u64, Ordering::SeqCst);
        gate();
        Ok(())
    });
    let run = lab.start().await;
    ticks_to_the_fast_output(&run, 50).await;
    drop(release);
    run.control.flush().await;
    ticks_to_the_fast_output(&run, 10).await;
    let done = run.finish().await;
    assert_eq!(done.values("process.cpu.time").len(), 8 + 23);
    assert!(done.element("keeps").lost > 0);
    assert_eq!(mistaken.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_sum_of_a_counters_points_is_its_total() {
    let mut lab = Lab::new();
    let totals = Totals::new();
    lab.output("totals", totals.clone());
    lab.script("energy", (0..=500).map(|i| f64::from(i) / 8.0));
    let run = lab.start().await;
    run.ticks(200).await;
    run.ticks(299).await;
    let done = run.finish().await;
    let total = &totals.get()[0];
    assert_eq!((total.series.metric.kind, total.points), (Kind::Counter, 500));
    assert_eq!(total.value, done.collected.sum("energy", |_| true));
    assert_eq!(total.value, 500.0 * 501.0 / 2.0 / 8.0);
}

/// Has its say on its series when it finishes.
struct Says(SeriesId, Bound, &'static str);

impl Source for Says {
    fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        out.push(self.0, 1.0);
        Ok(())
    }
    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        out.bound(self.0, self.1, self.2);
        Ok(())
    }
}

/// Takes back what is said of a series, at the end.
struct TakesBack(SeriesId);

impl Transform for TakesBack {
    fn apply(&mut self, _: &mut Batch) -> anyhow::Result<()> {
        Ok(())
    }
    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        out.bound(self.0, Bound::Exact, "");
        Ok(())
    }
}

#[tokio::test]
async fn what_is_said_of_a_total_arrives_even_at_the_very_end_and_the_last_word_counts() {
    let mut lab = Lab::new();
    let totals = Totals::new();
    lab.output("totals", totals.clone());
    let [lossy, mended, plain] = ["lossy", "mended", "plain"].map(|name| lab.series(name));
    lab.source("lossy", Says(lossy, Bound::AtLeast, "it has ended unseen"));
    lab.source("mended", Says(mended, Bound::AtMost, "it may be another's"));
    lab.source("plain", Says(plain, Bound::Exact, ""));
    lab.agent.setup().transform("back", TakesBack(mended));
    let run = lab.start().await;
    run.ticks(3).await;
    run.finish().await;
    let said: HashMap<_, _> = totals
        .get()
        .into_iter()
        .map(|total| (total.series.metric.name.clone().into_owned(), (total.bound, total.bound_reason)))
        .collect();
    assert_eq!(said["lossy"], (Bound::AtLeast, "it has ended unseen".into()));
    assert_eq!(said["mended"], (Bound::Exact, "".into()));
    assert_eq!(said["plain"], (Bound::Exact, "".into()));
}

#[tokio::test]
async fn an_output_that_misses_the_batch_with_a_bound_hears_of_it_later() {
    let mut lab = Lab::new();
    lab.agent.overflow(Overflow::Drop);
    let work = lab.series("work");
    let mut poll = 0;
    lab.source("work", move |out: &mut Batch| {
        poll += 1;
        out.push(work, 1.0);
        match poll {
            20 => out.bound(work, Bound::AtMost, "not yet known"),
            30 => out.bound(work, Bound::AtLeast, "a part was lost"),
            _ => {}
        }
        Ok(())
    });
    let (release, mut gate) = blocked();
    let totals = Totals::new();
    let mut kept = totals.clone();
    lab.output("slow", move |batch: &Batch| {
        gate();
        kept.write(batch)
    });
    let run = lab.start().await;
    ticks_to_the_fast_output(&run, 50).await;
    drop(release);
    run.control.flush().await;
    ticks_to_the_fast_output(&run, 10).await;
    let done = run.finish().await;
    assert!(done.element("slow").lost > 0);
    assert_eq!(totals.get()[0].bound, Bound::AtLeast);
}
