//! An output that keeps the total of every series: what summaries and profiles are made from.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::batch::Batch;
use crate::bound::{Bound, BoundNotice};
use crate::metric::Kind;
use crate::output::Output;
use crate::series::{Consumer, Series, SeriesId};

/// What a run amounts to for one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Total {
    /// Which.
    pub series: Arc<Series>,
    /// For a counter the sum of its points (correctly rounded, whatever their number); for a gauge their mean.
    pub value: f64,
    /// The smallest point.
    pub min: f64,
    /// The largest point.
    pub max: f64,
    /// The last point.
    pub last: f64,
    /// How many points there were.
    pub points: u64,
    /// Whether it is exact, as was said last.
    pub bound: Bound,
    /// Why it is not, in words for a person; empty if it is.
    pub bound_reason: Cow<'static, str>,
}

/// The totals of a run so far. A clone is another handle to the same totals: one is added as an output, the other is
/// read when the run has finished.
///
/// The totals of processes and threads that have ended are kept for the [`Totals::ENDED`] that used the most.
#[derive(Debug, Clone, Default)]
pub struct Totals(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    /// By series id.
    living: Vec<Option<Running>>,
    ended: Vec<Total>,
    ended_consumers: usize,
    omitted: usize,
}

#[derive(Debug)]
struct Running {
    series: Arc<Series>,
    sum: f64,
    /// The part of the sum that is too small for `sum` (Neumaier's compensation).
    rest: f64,
    min: f64,
    max: f64,
    last: f64,
    points: u64,
    bound: Bound,
    bound_reason: Cow<'static, str>,
}

impl Running {
    fn new(series: Arc<Series>) -> Self {
        Self {
            series,
            sum: 0.0,
            rest: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            last: 0.0,
            points: 0,
            bound: Bound::Exact,
            bound_reason: Cow::Borrowed(""),
        }
    }

    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        let (larger, smaller) =
            if self.sum.abs() >= value.abs() { (self.sum, value) } else { (value, self.sum) };
        self.rest += (larger - sum) + smaller;
        self.sum = sum;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.last = value;
        self.points += 1;
    }

    fn hear(&mut self, notice: &BoundNotice) {
        self.bound = notice.bound;
        self.bound_reason = if notice.bound.is_exact() { Cow::Borrowed("") } else { notice.reason.clone() };
    }

    /// `None` without a point: of such a series there may be words, but no total.
    fn total(&self) -> Option<Total> {
        if self.points == 0 {
            return None;
        }
        let sum = self.sum + self.rest;
        let value = match self.series.metric.kind {
            Kind::Counter => sum,
            Kind::Gauge => sum / self.points as f64,
        };
        Some(Total {
            series: Arc::clone(&self.series),
            value,
            min: self.min,
            max: self.max,
            last: self.last,
            points: self.points,
            bound: self.bound,
            bound_reason: self.bound_reason.clone(),
        })
    }
}

impl Totals {
    /// Of so many ended processes and threads, and at times of twice as many, the totals are kept: 5 MB.
    pub const ENDED: usize = 250;

    /// No totals yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The totals of all series that had a point, those of ended processes last.
    pub fn get(&self) -> Vec<Total> {
        let table = self.table();
        table.living.iter().flatten().filter_map(Running::total).chain(table.ended.iter().cloned()).collect()
    }

    /// At the end of the run: only the processes and threads of which `lives` says so have not ended. A source tells of an
    /// end when it sees that somebody has gone; of those that end with the application, none does.
    pub fn end_all_but(&self, lives: impl Fn(&Series) -> bool) {
        let mut table = self.table();
        let has_ended = |running: &mut Running| {
            let consumer = running.series.consumer;
            matches!(consumer, Consumer::Process(_) | Consumer::Thread(_)) && !lives(&running.series)
        };
        let ended: Vec<Total> =
            table.living.iter_mut().filter_map(|place| place.take_if(has_ended)?.total()).collect();
        ended.into_iter().for_each(|total| table.keep(total));
        if table.ended_consumers >= 2 * Self::ENDED {
            table.prune();
        }
    }

    /// How many ended processes and threads were left out because others used more.
    pub fn omitted(&self) -> usize {
        self.table().omitted
    }
}

impl Table {
    fn running(&mut self, id: SeriesId, batch: &Batch) -> &mut Running {
        let index = id.index();
        if index >= self.living.len() {
            self.living.resize_with(index + 1, || None);
        }
        self.living[index].get_or_insert_with(|| Running::new(batch.series(id)))
    }

    fn end(&mut self, id: SeriesId) {
        let running = self.living.get_mut(id.index()).and_then(Option::take);
        let Some(total) = running.and_then(|running| running.total()) else { return };
        self.keep(total);
        if self.ended_consumers >= 2 * Totals::ENDED {
            self.prune();
        }
    }

    fn keep(&mut self, total: Total) {
        if self.ended.last().is_none_or(|last| last.series.consumer != total.series.consumer) {
            self.ended_consumers += 1;
        }
        self.ended.push(total);
    }

    /// Keeps the ended consumers with the most CPU time.
    fn prune(&mut self) {
        let mut cpu: HashMap<Consumer, f64> = HashMap::new();
        for total in &self.ended {
            let time = if total.series.metric.name == "process.cpu.time" { total.value } else { 0.0 };
            *cpu.entry(total.series.consumer).or_default() += time;
        }
        let before = cpu.len();
        let mut order: Vec<_> = cpu.into_iter().collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1));
        order.truncate(Totals::ENDED);
        let keep: std::collections::HashSet<_> = order.into_iter().map(|(consumer, _)| consumer).collect();
        self.ended.retain(|total| keep.contains(&total.series.consumer));
        self.omitted += before - keep.len();
        self.ended_consumers = keep.len();
    }
}

impl Output for Totals {
    fn write(&mut self, batch: &Batch) -> anyhow::Result<()> {
        let mut table = self.table();
        for point in batch.points() {
            table.running(point.series, batch).add(point.value);
        }
        for notice in batch.bounds() {
            table.running(notice.series, batch).hear(notice);
        }
        for id in batch.retired() {
            table.end(*id);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Metric, Registry};

    fn sum(values: &[f64]) -> f64 {
        let registry = Registry::new();
        let id = registry.series(Series::new(Metric::counter("c", "1", ""))).unwrap();
        let mut batch = Batch::new(registry);
        values.iter().for_each(|value| batch.push(id, *value));
        let mut totals = Totals::new();
        totals.write(&batch).unwrap();
        totals.get()[0].value
    }

    #[test]
    fn a_total_keeps_what_a_plain_sum_would_lose() {
        assert_eq!(sum(&[1e16, 1.0, -1e16]), 1.0);
        assert_eq!(sum(&[0.1; 10]), 1.0);
    }

    #[test]
    fn a_gauge_has_mean_min_max_and_last() {
        let registry = Registry::new();
        let id = registry.series(Series::new(Metric::gauge("g", "1", ""))).unwrap();
        let mut batch = Batch::new(registry);
        [2.0, 6.0, 1.0].iter().for_each(|value| batch.push(id, *value));
        let mut totals = Totals::new();
        totals.write(&batch).unwrap();
        let total = &totals.get()[0];
        assert_eq!((total.value, total.min, total.max, total.last), (3.0, 1.0, 6.0, 1.0));
    }

    #[test]
    fn the_last_word_on_a_total_counts_and_words_alone_make_no_total() {
        let registry = Registry::new();
        let ids =
            ["a", "b", "c"].map(|name| registry.series(Series::new(Metric::counter(name, "1", ""))).unwrap());
        let mut totals = Totals::new();
        let mut batch = Batch::new(Arc::clone(&registry));
        ids.iter().for_each(|id| batch.bound(*id, Bound::AtLeast, "nobody saw its end"));
        totals.write(&batch).unwrap();
        assert_eq!(totals.get(), []);

        let mut batch = Batch::new(registry);
        batch.bound(ids[1], Bound::Exact, "seen after all");
        batch.push(ids[0], 1.0);
        batch.push(ids[1], 2.0);
        totals.write(&batch).unwrap();
        let said =
            totals.get().into_iter().map(|total| (total.value, total.bound, total.bound_reason.into_owned()));
        let expected =
            [(1.0, Bound::AtLeast, "nobody saw its end".to_owned()), (2.0, Bound::Exact, String::new())];
        assert_eq!(said.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn ended_processes_are_bounded_and_the_largest_stay() {
        let registry = Registry::new();
        let mut totals = Totals::new();
        for pid in 0..10_000 {
            let metric = Metric::counter("process.cpu.time", "s", "");
            let id = registry.series(Series::new(metric).consumer(Consumer::Process(pid))).unwrap();
            let mut batch = Batch::new(Arc::clone(&registry));
            batch.push(id, f64::from(pid));
            batch.retire(id);
            totals.write(&batch).unwrap();
            registry.free(&[id]);
        }
        let kept = totals.get();
        assert!(kept.len() < 2 * Totals::ENDED, "{}", kept.len());
        assert_eq!(kept.len() + totals.omitted(), 10_000);
        assert!(kept.iter().any(|total| total.series.consumer == Consumer::Process(9_999)));
    }

    #[test]
    fn at_the_end_those_that_ended_with_the_application_are_bounded_too_and_survivors_stay() {
        let registry = Registry::new();
        let mut batch = Batch::new(Arc::clone(&registry));
        let mut add = |metric, consumer, value| {
            let series = Series::new(Metric::counter(metric, "1", "")).consumer(consumer);
            batch.push(registry.series(series).unwrap(), value);
        };
        for pid in 0..2_000 {
            add("process.cpu.time", Consumer::Process(pid), f64::from(pid));
            add("process.paging.faults", Consumer::Process(pid), 1.0);
        }
        add("process.cpu.time", Consumer::Target, 1.0);
        let mut totals = Totals::new();
        totals.write(&batch).unwrap();
        totals.end_all_but(|series| series.consumer == Consumer::Process(3));
        let kept = totals.get();
        let has = |consumer| kept.iter().filter(|total| total.series.consumer == consumer).count();
        assert_eq!(kept.len(), 2 * Totals::ENDED + 2 + 1);
        assert_eq!([Consumer::Process(1_999), Consumer::Process(3), Consumer::Target].map(has), [2, 2, 1]);
        assert_eq!(totals.omitted(), 1_999 - Totals::ENDED);
    }

    #[test]
    fn nobody_is_left_out_before_there_are_twice_as_many_as_stay() {
        let registry = Registry::new();
        let (mut retired, mut lived) = (Totals::new(), Totals::new());
        for pid in 0..2 * Totals::ENDED as i32 - 1 {
            let series =
                Series::new(Metric::counter("process.cpu.time", "s", "")).consumer(Consumer::Process(pid));
            let id = registry.series(series).unwrap();
            let mut batch = Batch::new(Arc::clone(&registry));
            batch.push(id, 1.0);
            lived.write(&batch).unwrap();
            batch.retire(id);
            retired.write(&batch).unwrap();
        }
        lived.end_all_but(|_| false);
        assert_eq!((retired.omitted(), lived.omitted()), (0, 0));
    }
}
