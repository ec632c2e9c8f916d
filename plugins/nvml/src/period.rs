//! How often the energy counters advance: every 20 to 100 ms, as nobody documents, so it is looked at during the run.
//!
//! A thread of its own watches one GPU of each product until its counter has advanced some times. That takes less than a
//! second, delays nothing, and goes on beside the application's start.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alumet::{Clock, RealClock, Time};
use nvml_wrapper::Device;

use crate::about::About;

/// Between two looks. A driver call takes some 10 to 100 µs.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// So many advances are enough.
const ADVANCES: usize = 6;
/// A counter that has not advanced so often by then is left.
const AT_MOST: Duration = Duration::from_secs(1);

/// The periods of the counters that were looked at so far.
#[derive(Debug, Default)]
pub struct Periods(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// By product.
    known: Mutex<Vec<(Option<String>, Duration)>>,
    stop: AtomicBool,
}

impl Shared {
    fn set(&self, product: &Option<String>, period: Duration) {
        let mut known = self.known();
        match known.iter_mut().find(|(name, _)| name == product) {
            Some((_, known)) => *known = period,
            None => known.push((product.clone(), period)),
        }
    }

    fn known(&self) -> MutexGuard<'_, Vec<(Option<String>, Duration)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Periods {
    /// Begins to look at the counters.
    pub fn measure<'a>(gpus: impl Iterator<Item = (&'a About, &'a Device<'static>)>) -> Self {
        let mut products: Vec<(Option<String>, Device<'static>)> = Vec::new();
        for (about, device) in gpus {
            // The thread needs a handle of its own.
            if !products.iter().any(|(name, _)| *name == about.name)
                && let Ok(same) = device.nvml().device_by_index(about.index)
            {
                products.push((about.name.clone(), same));
            }
        }
        let shared = Arc::new(Shared::default());
        let found = Arc::clone(&shared);
        let look = move || {
            for (name, device) in products {
                watch(&device, &found.stop, |period| found.set(&name, period));
            }
        };
        // Without a thread the periods stay unknown, which is said where they are used.
        let _ = std::thread::Builder::new().name("alumet-nvml".into()).spawn(look);
        Self(shared)
    }

    /// That of this GPU's counter, if it is known by now.
    pub fn of(&self, about: &About) -> Option<Duration> {
        self.0.known().iter().find(|(name, _)| *name == about.name).map(|(_, period)| *period)
    }
}

impl Drop for Periods {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// Looks at one counter, and tells its period after every advance: the run may end before enough were seen.
fn watch(device: &Device<'_>, stop: &AtomicBool, mut tell: impl FnMut(Duration)) {
    let end = RealClock.now() + AT_MOST;
    let mut last = None;
    let mut advances = Vec::new();
    while advances.len() < ADVANCES && RealClock.now() < end && !stop.load(Ordering::Relaxed) {
        let Ok(energy) = device.total_energy_consumption() else { return };
        if last.replace(energy).is_some_and(|last| last != energy) {
            advances.push(RealClock.now());
            period(&advances).into_iter().for_each(&mut tell);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The median of the times between advances: a look that came late spoils two of them.
fn period(advances: &[Time]) -> Option<Duration> {
    let mut between: Vec<_> = advances.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    between.sort_unstable();
    between.get(between.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: &[u64]) -> Option<Duration> {
        period(&millis.iter().map(|ms| Time::from_nanos(ms * 1_000_000)).collect::<Vec<_>>())
    }

    #[test]
    fn the_period_is_the_usual_time_between_advances() {
        assert_eq!(millis(&[]), None);
        assert_eq!(millis(&[5]), None);
        assert_eq!(millis(&[5, 25]), Some(Duration::from_millis(20)));
        // The third look was late by 15 ms.
        assert_eq!(millis(&[0, 20, 55, 60, 80, 100]), Some(Duration::from_millis(20)));
    }
}
