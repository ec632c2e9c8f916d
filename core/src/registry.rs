//! The interned series of a run, and the run's start mark: what gives meaning to the ids and times in a batch.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use crate::metric::Metric;
use crate::series::{Series, SeriesId};
use crate::time::{Anchor, Suspends, Time};

/// A metric was registered twice with different meanings.
#[derive(Debug, thiserror::Error)]
#[error(
    "metric `{name}` is a {old_kind:?} in `{old_unit}` already; it cannot be a {new_kind:?} in `{new_unit}` too"
)]
pub struct Contradiction {
    name: String,
    old_unit: String,
    old_kind: crate::Kind,
    new_unit: String,
    new_kind: crate::Kind,
}

/// All living series of a run. Shared by every element of the pipeline; locked only when a thing is discovered or
/// disappears, and when an element meets an id for the first time.
#[derive(Debug, Default)]
pub struct Registry {
    slots: RwLock<Slots>,
    anchor: OnceLock<Anchor>,
    suspends: Suspends,
}

#[derive(Debug, Default)]
struct Slots {
    series: Vec<Option<Arc<Series>>>,
    ids: HashMap<Arc<Series>, SeriesId>,
    free: Vec<SeriesId>,
    metrics: HashMap<String, (String, crate::Kind)>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Interns a series: the same description gives the same id until it is retired.
    ///
    /// # Errors
    /// The metric's name is known already with another unit or kind.
    pub fn series(&self, series: Series) -> Result<SeriesId, Contradiction> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = slots.ids.get(&series) {
            return Ok(*id);
        }
        slots.check(&series.metric)?;
        let series = Arc::new(series);
        let id = match slots.free.pop() {
            Some(id) => {
                slots.series[id.index()] = Some(Arc::clone(&series));
                id
            }
            None => {
                slots.series.push(Some(Arc::clone(&series)));
                SeriesId(u32::try_from(slots.series.len() - 1).expect("fewer than 2^32 living series"))
            }
        };
        slots.ids.insert(series, id);
        Ok(id)
    }

    /// The series behind an id.
    ///
    /// # Panics
    /// If the id was retired: no batch that an element is given holds such an id.
    pub fn get(&self, id: SeriesId) -> Arc<Series> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.series.get(id.index()).and_then(Clone::clone).expect("a series in a batch is alive")
    }

    /// All series, in the order of their ids.
    pub fn all(&self) -> Vec<Arc<Series>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.series.iter().flatten().cloned().collect()
    }

    /// How many series there are, those included whose last points are still on their way.
    pub fn len(&self) -> usize {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.series.len() - slots.free.len()
    }

    /// Whether there is no series.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The start of the run; `None` before it.
    pub fn start(&self) -> Option<Anchor> {
        self.anchor.get().copied()
    }

    pub(crate) fn set_start(&self, anchor: Anchor) {
        // A run starts once; a second call would be a second start and changes nothing.
        let _ = self.anchor.set(anchor);
    }

    /// For how long the machine was suspended in the run: what samplers note, at the start mark first.
    pub(crate) fn suspends(&self) -> &Suspends {
        &self.suspends
    }

    /// Nanoseconds from the Unix epoch to `time`; 0 before the run.
    pub(crate) fn unix_nanos(&self, time: Time) -> u64 {
        let suspended = u64::try_from(self.suspends.until(time).as_nanos()).unwrap_or(u64::MAX);
        self.start().map_or(0, |start| start.unix_nanos(time).saturating_add(suspended))
    }

    /// No further point of this series will come: the same description is a new series from now on.
    pub(crate) fn retire(&self, id: SeriesId) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = slots.series[id.index()].clone()
            && slots.ids.get(&series) == Some(&id)
        {
            slots.ids.remove(&series);
        }
    }

    /// Frees the ids of series whose last points have been written by every output.
    pub(crate) fn free(&self, retired: &[SeriesId]) {
        if retired.is_empty() {
            return;
        }
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        for id in retired {
            if slots.series[id.index()].take().is_some() {
                slots.free.push(*id);
            }
        }
    }
}

impl Slots {
    fn check(&mut self, metric: &Metric) -> Result<(), Contradiction> {
        match self.metrics.get(&*metric.name) {
            None => {
                self.metrics.insert(metric.name.to_string(), (metric.unit.to_string(), metric.kind));
                Ok(())
            }
            Some((unit, kind)) if *unit == metric.unit && *kind == metric.kind => Ok(()),
            Some((unit, kind)) => Err(Contradiction {
                name: metric.name.to_string(),
                old_unit: unit.clone(),
                old_kind: *kind,
                new_unit: metric.unit.to_string(),
                new_kind: metric.kind,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENERGY: Metric = Metric::counter("hw.energy", "J", "energy");

    #[test]
    fn the_same_description_gives_the_same_id() {
        let registry = Registry::new();
        let a = registry.series(Series::new(ENERGY).label("domain", "package")).unwrap();
        let b = registry.series(Series::new(ENERGY).label("domain", "dram")).unwrap();
        assert_ne!(a, b);
        assert_eq!(a, registry.series(Series::new(ENERGY).label("domain", "package")).unwrap());
        assert_eq!(registry.len(), 2);
    }

    #[test]
    fn a_metric_cannot_change_its_unit() {
        let registry = Registry::new();
        registry.series(Series::new(ENERGY)).unwrap();
        let error = registry.series(Series::new(Metric::counter("hw.energy", "kWh", ""))).unwrap_err();
        assert!(error.to_string().contains("`J` already"), "{error}");
    }

    #[test]
    fn ids_of_freed_series_are_used_again() {
        let registry = Registry::new();
        let a = registry.series(Series::new(ENERGY).label("pid", "1")).unwrap();
        registry.retire(a);
        registry.free(&[a, a]);
        assert!(registry.is_empty());
        let b = registry.series(Series::new(ENERGY).label("pid", "2")).unwrap();
        assert_eq!(a, b);
        assert_eq!(registry.get(b).label_value("pid"), Some("2"));
    }

    #[test]
    fn the_same_description_after_its_end_is_another_series() {
        let registry = Registry::new();
        let series = || Series::new(ENERGY).label("pid", "1");
        let a = registry.series(series()).unwrap();
        registry.retire(a);
        let b = registry.series(series()).unwrap();
        assert_ne!(a, b);
        registry.free(&[a]);
        assert_eq!(registry.get(b).label_value("pid"), Some("1"));
        assert_eq!(registry.series(series()).unwrap(), b);
    }

    #[test]
    fn all_series_are_told_in_the_order_of_their_ids() {
        let registry = Registry::new();
        assert!(registry.is_empty() && registry.all().is_empty());
        let series = |name: &'static str| Series::new(Metric::gauge(name, "1", ""));
        for name in ["a", "b"] {
            registry.series(series(name)).unwrap();
        }
        let names: Vec<_> = registry.all().iter().map(|series| series.metric.name.clone()).collect();
        assert_eq!((names, registry.is_empty()), (vec!["a".into(), "b".into()], false));
    }
}
