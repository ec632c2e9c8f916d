//! Points on their way from sources through transforms to outputs, and the pool that the batches come from.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::bound::{Bound, BoundNotice};
use crate::point::Point;
use crate::registry::Registry;
use crate::series::{Series, SeriesId};
use crate::time::Time;

/// Points in the order in which they were pushed, what is said of their totals, and the series that end with them.
#[derive(Debug)]
pub struct Batch {
    points: Vec<Point>,
    bounds: Vec<BoundNotice>,
    retired: Vec<SeriesId>,
    registry: Arc<Registry>,
}

impl Batch {
    /// An empty batch of the run that `registry` belongs to.
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { points: Vec::new(), bounds: Vec::new(), retired: Vec::new(), registry }
    }

    /// Adds a value. The pipeline sets the time: the middle of the poll that pushed it.
    pub fn push(&mut self, series: SeriesId, value: f64) {
        self.push_point(Point { time: Time::default(), value, series, half_width_ns: 0 });
    }

    /// Adds a point as it is; for transforms, which know the time.
    pub fn push_point(&mut self, point: Point) {
        self.points.push(point);
    }

    /// Says that no further point of `series` will come. Outputs drop what they keep for it after this batch; then its
    /// id is used again.
    pub fn retire(&mut self, series: SeriesId) {
        self.registry.retire(series);
        self.retired.push(series);
    }

    /// Says that the total of `series` over the run is not exact, or is exact again, and why. The last word counts. It may
    /// come at any time, before the first point of the series and after its last, but not after its end.
    pub fn bound(&mut self, series: SeriesId, bound: Bound, reason: impl Into<Cow<'static, str>>) {
        self.bounds.push(BoundNotice { series, bound, reason: reason.into() });
    }

    /// The points.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The points, to be edited, removed or added to by a transform.
    pub fn points_mut(&mut self) -> &mut Vec<Point> {
        &mut self.points
    }

    /// What was said of totals, in this order.
    pub fn bounds(&self) -> &[BoundNotice] {
        &self.bounds
    }

    /// The series that have ended: this batch holds their last points.
    pub fn retired(&self) -> &[SeriesId] {
        &self.retired
    }

    /// What a point's series is.
    pub fn series(&self, id: SeriesId) -> Arc<Series> {
        self.registry.get(id)
    }

    /// The registry that the ids belong to.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Nanoseconds from the start mark of the run to `time`; 0 for a time before it.
    pub fn nanos(&self, time: Time) -> u64 {
        self.registry.start().map_or(0, |anchor| anchor.nanos(time))
    }

    /// Nanoseconds from the Unix epoch to `time`: the wall clock at the start mark, and what has passed since, suspends of the
    /// machine included. A wall clock that is stepped changes nothing.
    pub fn unix_nanos(&self, time: Time) -> u64 {
        self.registry.unix_nanos(time)
    }

    /// Seconds from the start mark of the run to `time`; 0 for a time before it.
    pub fn seconds(&self, time: Time) -> f64 {
        Duration::from_nanos(self.nanos(time)).as_secs_f64()
    }

    /// Sets the time of the points from `first` on.
    pub(crate) fn stamp(&mut self, first: usize, time: Time, half_width: Duration) {
        let half_width_ns = u32::try_from(half_width.as_nanos()).unwrap_or(u32::MAX);
        for point in &mut self.points[first..] {
            point.time = time;
            point.half_width_ns = half_width_ns;
        }
    }

    /// Moves everything from `other` to the end of this batch.
    pub(crate) fn append(&mut self, other: &mut Self) {
        self.points.append(&mut other.points);
        self.bounds.append(&mut other.bounds);
        self.retired.append(&mut other.retired);
    }

    pub(crate) fn bounds_mut(&mut self) -> &mut Vec<BoundNotice> {
        &mut self.bounds
    }

    pub(crate) fn retired_mut(&mut self) -> &mut Vec<SeriesId> {
        &mut self.retired
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.points.is_empty() && self.bounds.is_empty() && self.retired.is_empty()
    }

    pub(crate) fn discard_points(&mut self) {
        self.points.clear();
    }
}

/// Batches that are used again and again, and a limited number of them: this bound is the pipeline's back-pressure.
/// A batch is free when the pool holds its only reference.
#[derive(Debug)]
pub(crate) struct Pool {
    batches: Mutex<Vec<Arc<Batch>>>,
    registry: Arc<Registry>,
    /// How many more may be made.
    unmade: AtomicUsize,
}

impl Pool {
    /// Points after which a sampler sends its batch: 48 KiB.
    pub(crate) const BATCH_POINTS: usize = 2048;

    /// A pool that may not make any batch yet.
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Self { batches: Mutex::default(), registry, unmade: AtomicUsize::new(0) }
    }

    /// So many more batches may be on their way at once.
    pub(crate) fn allow(&self, batches: usize) {
        self.unmade.fetch_add(batches, Relaxed);
    }

    /// An empty batch that nobody else holds; `None` when all are on their way to outputs that do not keep up.
    pub(crate) fn take(&self) -> Option<Arc<Batch>> {
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(i) = batches.iter_mut().position(|batch| Arc::get_mut(batch).is_some()) {
            let mut shared = batches.swap_remove(i);
            let batch = Arc::get_mut(&mut shared).expect("just seen to be the only reference");
            self.registry.free(&batch.retired);
            batch.points.clear();
            batch.points.shrink_to(4 * Self::BATCH_POINTS);
            batch.bounds.clear();
            batch.bounds.shrink_to(Self::BATCH_POINTS);
            batch.retired.clear();
            batch.retired.shrink_to(Self::BATCH_POINTS);
            return Some(shared);
        }
        self.unmade.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).ok()?;
        let mut batch = Batch::new(Arc::clone(&self.registry));
        // One more tick than the limit fits, so that a batch rarely grows.
        batch.points.reserve(Self::BATCH_POINTS + 256);
        Some(Arc::new(batch))
    }

    /// Keeps a reference: the batch is used again once the outputs have dropped theirs.
    pub(crate) fn give(&self, batch: Arc<Batch>) {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).push(batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Metric, Series};

    #[test]
    fn a_batch_is_used_again_only_when_every_output_has_dropped_it() {
        let pool = Pool::new(Registry::new());
        pool.allow(2);
        let batch = pool.take().unwrap();
        let address = Arc::as_ptr(&batch);
        let output = Arc::clone(&batch);
        pool.give(batch);
        let other = pool.take().unwrap();
        assert_ne!(Arc::as_ptr(&other), address);
        pool.give(other);
        drop(output);
        let again: Vec<_> = (0..2).map(|_| Arc::as_ptr(&pool.take().unwrap())).collect();
        assert!(again.contains(&address));
    }

    #[test]
    fn a_batch_that_is_used_again_says_nothing_of_totals() {
        let registry = Registry::new();
        let pool = Pool::new(Arc::clone(&registry));
        pool.allow(1);
        let id = registry.series(Series::new(Metric::gauge("g", "1", ""))).unwrap();
        let mut batch = pool.take().unwrap();
        Arc::get_mut(&mut batch).unwrap().bound(id, Bound::AtMost, "something else is in it");
        assert!(!batch.is_empty(), "it is sent even without a point");
        pool.give(batch);
        assert_eq!(pool.take().unwrap().bounds(), []);
    }

    #[test]
    fn the_pool_is_bounded() {
        let pool = Pool::new(Registry::new());
        assert!(pool.take().is_none());
        pool.allow(7);
        let taken: Vec<_> = std::iter::from_fn(|| pool.take()).take(10_000).collect();
        assert_eq!(taken.len(), 7);
    }

    #[test]
    fn a_retired_series_lives_until_its_batch_comes_back() {
        let registry = Registry::new();
        let pool = Pool::new(Arc::clone(&registry));
        pool.allow(1);
        let id = registry.series(Series::new(Metric::gauge("g", "1", ""))).unwrap();
        let mut batch = pool.take().unwrap();
        Arc::get_mut(&mut batch).unwrap().retire(id);
        pool.give(batch);
        assert_eq!(registry.len(), 1);
        drop(pool.take());
        assert_eq!(registry.len(), 0);
    }

    #[test]
    fn the_time_of_a_point_is_told_since_the_start_and_since_1970() {
        let registry = Registry::new();
        let batch = Batch::new(Arc::clone(&registry));
        assert!(Arc::ptr_eq(batch.registry(), &registry) && batch.is_empty());
        let at = Time::from_nanos(3_500_000_000);
        assert_eq!((batch.nanos(at), batch.seconds(at), batch.unix_nanos(at)), (0, 0.0, 0), "before the run");
        let wall = std::time::UNIX_EPOCH + Duration::from_secs(100);
        registry.set_start(crate::time::Anchor { time: Time::from_nanos(1_000_000_000), wall });
        let told = (batch.nanos(at), batch.seconds(at), batch.unix_nanos(at));
        assert_eq!(told, (2_500_000_000, 2.5, 102_500_000_000));
    }

    #[test]
    fn a_batch_that_was_large_gives_its_memory_back() {
        let registry = Registry::new();
        let pool = Pool::new(Arc::clone(&registry));
        pool.allow(1);
        let id = registry.series(Series::new(Metric::gauge("g", "1", ""))).unwrap();
        let mut batch = pool.take().unwrap();
        // What one poll pushes at most without another allocation.
        let capacity = batch.points.capacity();
        assert!((Pool::BATCH_POINTS + 256..2 * Pool::BATCH_POINTS).contains(&capacity), "{capacity}");
        let own = Arc::get_mut(&mut batch).unwrap();
        (0..100_000).for_each(|_| own.push(id, 1.0));
        pool.give(batch);
        let again = pool.take().unwrap();
        assert!(again.is_empty() && (2 * Pool::BATCH_POINTS..50_000).contains(&again.points.capacity()));
    }
}
