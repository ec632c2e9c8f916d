//! The energy counter of a GPU (`nvmlDeviceGetTotalEnergyConsumption`): millijoules since the driver was loaded, of the
//! whole board, on Volta and newer.
//!
//! Where there is no counter there is no energy: none is made up from samples of the power. What the total cannot resolve
//! is said beside it. Both edges of the run fall somewhere into a period T of the counter, so at a power P they cost at
//! most P·T, with a standard deviation of P·T/√6; the counter's step comes on top. Calibration is not in it.

use std::time::Duration;

use alumet::{Batch, Clock, Contradiction, Gaps, RealClock, Registry, SeriesId, Time};
use nvml_wrapper::Device;

use crate::about::About;
use crate::metrics::{ENERGY, ENERGY_UNCERTAINTY};
use crate::query::{Query, Refused};

/// The longest period that is known of; taken where the run was too short to see the counter's own.
const LONGEST_PERIOD: Duration = Duration::from_millis(100);
/// A run of fewer periods is below the sensor's resolution.
const PERIODS: u32 = 10;
const STEP_JOULES: f64 = 1e-3;

/// The counter.
#[derive(Debug)]
pub struct Energy {
    query: Query,
    series: SeriesId,
    begun: Option<Time>,
    /// The last reading, in millijoules, and when it was.
    last: Option<(u64, Time)>,
    /// Millijoules since the first reading.
    used: u64,
    /// Whether it was ever seen to advance: one that stands still counts nothing.
    is_moving: bool,
    /// How often it fell, and the length of the intervals in which it did.
    falls: (u32, Duration),
}

impl Energy {
    /// That of this GPU.
    ///
    /// # Errors
    /// The metric contradicts one of another plugin.
    pub fn new(about: &About, registry: &Registry) -> Result<Self, Contradiction> {
        Ok(Self {
            query: Query::new("energy"),
            series: registry.series(about.series(ENERGY).method("NVML, counter"))?,
            begun: None,
            last: None,
            used: 0,
            is_moving: false,
            falls: (0, Duration::ZERO),
        })
    }

    /// Reads it. The first reading is the baseline.
    pub fn poll(&mut self, device: &Device<'_>, refused: &mut Refused, out: &mut Batch) {
        if let Some(reading) = self.query.ask(refused, || device.total_energy_consumption())
            && let Some(increase) = self.advance(reading, RealClock.now())
        {
            out.push(self.series, increase as f64 / 1e3);
        }
    }

    /// The increase to this reading, in millijoules; none after a fall, and none before the counter was seen to move.
    fn advance(&mut self, reading: u64, now: Time) -> Option<u64> {
        let Some((before, at)) = self.last.replace((reading, now)) else {
            self.begun = Some(now);
            return None;
        };
        let Some(increase) = reading.checked_sub(before) else {
            self.falls.0 += 1;
            self.falls.1 += now.since(at);
            return None;
        };
        self.used += increase;
        self.is_moving |= increase > 0;
        self.is_moving.then_some(increase)
    }

    /// Pushes the uncertainty of the total, and says what is wrong with it. Nobody needs to hear how coarse the energy
    /// of a GPU is that `concerns` nobody.
    ///
    /// # Errors
    /// The metric contradicts one of another plugin.
    pub fn finish(
        &self,
        about: &About,
        measured: Option<Duration>,
        concerns: bool,
        registry: &Registry,
        gaps: &Gaps,
        out: &mut Batch,
    ) -> Result<(), Contradiction> {
        self.query.report_failed(about.index, gaps);
        let (Some(begun), Some((_, end))) = (self.begun, self.last) else { return Ok(()) };
        let what = format!("energy of GPU {}", about.index);
        let ran = end.since(begun);
        let (period, how) = match measured {
            Some(period) => (period, "as seen in this run"),
            None => (LONGEST_PERIOD, "at most, as it was not seen"),
        };
        let advances = format!("its counter advances every {:?}, {how}", millis(period));
        let is_short = ran < period * PERIODS;
        if self.falls.0 > 0 {
            let reason = "its counter fell: the driver or the GPU was reset meanwhile";
            gaps.add(format!("{what} for {:?}", millis(self.falls.1)), reason, "");
        }
        if !self.is_moving {
            if !is_short {
                gaps.add(what, "its counter stands still", "");
            } else if concerns {
                let reason =
                    format!("below the sensor's resolution: {advances}, not once in {:?}", millis(ran));
                gaps.add(what, reason, "measure longer");
            }
            return Ok(());
        }
        let edges = self.used as f64 / 1e3 / ran.as_secs_f64() * period.as_secs_f64();
        let series =
            about.series(ENERGY_UNCERTAINTY).method(format!("power · period / √6 + 1 mJ; {advances}"));
        out.push(registry.series(series)?, edges / 6f64.sqrt() + STEP_JOULES);
        if is_short && concerns {
            let reason =
                format!("below the sensor's resolution: {advances}, and was read for {:?}", millis(ran));
            gaps.add(
                format!("{what} to better than ± {edges:.1} J"),
                reason,
                "measure longer, or repeat the run",
            );
        }
        Ok(())
    }
}

/// Without digits that nobody wants.
pub fn millis(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alumet::{Metric, Series};

    fn counter() -> Energy {
        let registry = Registry::new();
        Energy {
            query: Query::new("energy"),
            series: registry.series(Series::new(Metric::counter("e", "J", ""))).unwrap(),
            begun: None,
            last: None,
            used: 0,
            is_moving: false,
            falls: (0, Duration::ZERO),
        }
    }

    fn increases(readings: &[u64]) -> (Energy, Vec<Option<u64>>) {
        let mut energy = counter();
        let increases = (0..).zip(readings).map(|(i, reading)| energy.advance(*reading, Time::from_nanos(i)));
        let increases = increases.collect();
        (energy, increases)
    }

    #[test]
    fn an_interval_in_which_the_counter_fell_is_invalid_and_the_next_counts_again() {
        let (energy, increases) = increases(&[500, 700, 50, 80]);
        assert_eq!(increases, [None, Some(200), None, Some(30)]);
        assert_eq!((energy.used, energy.falls), (230, (1, Duration::from_nanos(1))));
    }

    #[test]
    fn a_counter_that_stands_still_counts_nothing() {
        assert_eq!(increases(&[0, 0, 0]).1, [None; 3]);
        // One that rests for a while counts zero then.
        assert_eq!(increases(&[5, 5, 7, 7]).1, [None, None, Some(2), Some(0)]);
    }
}
