//! The energy counter of a GPU (`nvmlDeviceGetTotalEnergyConsumption`): millijoules since the driver was loaded, of the
//! whole board, on Volta and newer.
//!
//! Where there is no counter there is no energy: none is made up from samples of the power. What the total cannot resolve
//! is said beside it. Both edges of the run fall somewhere into a period T of the counter, so at a power P they cost at
//! most P·T, with a standard deviation of P·T/√6; the counter's step comes on top. Calibration is not in it.

use std::time::Duration;

use alumet::conventions::{ENERGY, UNCERTAINTY};
use alumet::{Batch, Bound, Clock, Contradiction, Gaps, Registry, SeriesId, Standstill, Time};
use nvml_wrapper::Device;

use crate::about::About;
use crate::metrics::MOST_WATTS;
use crate::query::{Query, Refused};

/// The longest period that is known of; taken where the run was too short to see the counter's own.
const LONGEST_PERIOD: Duration = Duration::from_millis(100);
/// In a run of fewer periods a counter may not advance at all.
const PERIODS: u32 = 10;
/// A total that is less sure than this share of itself is too short for the sensor.
const COARSE: f64 = 0.01;
const STEP_JOULES: f64 = 1e-3;

/// The counter.
#[derive(Debug)]
pub struct Energy {
    query: Query,
    series: SeriesId,
    begun: Option<Time>,
    /// The last reading, in millijoules, and when it was.
    last: Option<(u64, Time)>,
    /// Whether that was the last that was tried.
    is_current: bool,
    /// Millijoules since the first reading.
    used: u64,
    /// Whether it was ever seen to advance: one that stands still counts nothing.
    is_moving: bool,
    /// The intervals in which it has counted what cannot be.
    lost: Vec<(Loss, Duration)>,
    /// A board that can be asked is on, and uses energy.
    standstill: Standstill,
}

/// Why what it has counted between two readings is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// It fell.
    Fell,
    /// It went on by more than any board can use.
    Leapt,
    /// It had counted, and then did not for longer than a board can use nothing.
    Still,
}

impl Loss {
    const fn reason(self) -> &'static str {
        match self {
            Self::Fell => "its counter fell: the driver or the GPU was reset meanwhile",
            Self::Leapt => "its counter went on by more than a GPU can use",
            Self::Still => "its counter stood still",
        }
    }
}

impl Energy {
    /// That of this GPU.
    ///
    /// # Errors
    /// The metric contradicts one of another plugin.
    pub fn new(about: &About, registry: &Registry) -> Result<Self, Contradiction> {
        Ok(Self::of(registry.series(about.series(ENERGY).method("NVML, counter"))?))
    }

    fn of(series: SeriesId) -> Self {
        Self {
            query: Query::new("energy"),
            series,
            begun: None,
            last: None,
            is_current: false,
            used: 0,
            is_moving: false,
            lost: Vec::new(),
            standstill: Standstill::default(),
        }
    }

    /// Reads it. The first reading is the baseline.
    pub fn poll(&mut self, device: &Device<'_>, clock: &dyn Clock, refused: &mut Refused, out: &mut Batch) {
        let reading = self.query.ask(refused, || device.total_energy_consumption());
        self.is_current = reading.is_some();
        if let Some(increase) = reading.and_then(|reading| self.advance(reading, clock.now())) {
            out.push(self.series, increase as f64 / 1e3);
        }
    }

    /// The increase to this reading, in millijoules; none where it cannot be, and none before the counter was seen to move.
    fn advance(&mut self, reading: u64, now: Time) -> Option<u64> {
        let Some((before, at)) = self.last.replace((reading, now)) else {
            self.begun = Some(now);
            return None;
        };
        let elapsed = now.since(at);
        let most = (elapsed + LONGEST_PERIOD).as_secs_f64() * MOST_WATTS * 1e3;
        let increase = reading.checked_sub(before).ok_or(Loss::Fell);
        match increase.and_then(|mj| if mj as f64 > most { Err(Loss::Leapt) } else { Ok(mj) }) {
            Ok(increase) => {
                self.used += increase;
                self.is_moving |= increase > 0;
                self.standstill.see(increase > 0, now);
                self.is_moving.then_some(increase)
            }
            Err(loss) => {
                self.lost.push((loss, elapsed));
                self.standstill.interrupt();
                None
            }
        }
    }

    /// For how long what it used is not known, by reason.
    fn losses(&self) -> Vec<(Loss, Duration)> {
        let time = |loss| match loss {
            Loss::Still => self.standstill.length(),
            _ => self.lost.iter().filter(|(other, _)| *other == loss).map(|(_, time)| *time).sum(),
        };
        let all = [Loss::Fell, Loss::Leapt, Loss::Still].map(|loss| (loss, time(loss)));
        all.into_iter().filter(|(_, time)| !time.is_zero()).collect()
    }

    /// Whether the total lacks nothing of a run that has begun at this time.
    fn is_whole(&self, start: Time) -> bool {
        self.lost.is_empty()
            && self.standstill.length().is_zero()
            && self.is_current
            && self.begun.is_some_and(|begun| begun <= start)
    }

    /// Pushes the uncertainty of the total, if it lacks nothing, and says what is wrong with it. Nobody needs to hear how
    /// coarse the energy of a GPU is that `concerns` nobody.
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
        for (loss, time) in self.losses() {
            gaps.add(format!("{what} for {:?}", millis(time)), loss.reason(), "");
            out.bound(self.series, Bound::AtLeast, loss.reason());
        }
        if !self.is_moving {
            if ran >= period * PERIODS {
                gaps.add(what, "its counter stands still", "");
            } else if concerns {
                let reason =
                    format!("below the sensor's resolution: {advances}, not once in {:?}", millis(ran));
                gaps.add(what, reason, "measure longer");
            }
            return Ok(());
        }
        if !self.is_whole(registry.start().map_or(begun, |start| start.time)) {
            return Ok(());
        }
        let used = self.used as f64 / 1e3;
        let edges = used / ran.as_secs_f64() * period.as_secs_f64();
        let uncertainty = edges / 6f64.sqrt() + STEP_JOULES;
        let series = about.series(UNCERTAINTY).method(format!("power · period / √6 + 1 mJ; {advances}"));
        out.push(registry.series(series)?, uncertainty);
        if uncertainty > COARSE * used && concerns {
            let what = format!("{what} to better than ± {uncertainty:.1} J of {used:.1} J ({advances})");
            gaps.add(what, "too short for the sensor", "lengthen or repeat the run");
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

    /// Read every 100 ms.
    fn increases(readings: &[u64]) -> (Energy, Vec<Option<u64>>) {
        let registry = Registry::new();
        let mut energy = Energy::of(registry.series(Series::new(Metric::counter("e", "J", ""))).unwrap());
        let times = (0..).map(|i| Time::from_nanos(i * 100_000_000));
        let increases = times.zip(readings).map(|(time, reading)| energy.advance(*reading, time)).collect();
        (energy, increases)
    }

    #[test]
    fn an_interval_in_which_the_counter_fell_is_invalid_and_the_next_counts_again() {
        let (energy, increases) = increases(&[500, 700, 50, 80]);
        assert_eq!(increases, [None, Some(200), None, Some(30)]);
        assert_eq!((energy.used, energy.lost), (230, vec![(Loss::Fell, Duration::from_millis(100))]));
    }

    #[test]
    fn what_no_board_can_use_is_no_energy() {
        let (energy, increases) = increases(&[500, 700, u64::MAX - 9, u64::MAX]);
        assert_eq!(increases, [None, Some(200), None, Some(9)]);
        assert_eq!((energy.used, energy.lost), (209, vec![(Loss::Leapt, Duration::from_millis(100))]));
    }

    #[test]
    fn a_total_is_whole_only_if_it_was_read_from_before_the_start_to_the_end() {
        let whole = |readings: &[u64], start: u64, is_current| {
            let (mut energy, _) = increases(readings);
            energy.is_current = is_current;
            energy.is_whole(Time::from_nanos(start))
        };
        assert!(whole(&[5, 7, 9], 1, true));
        assert!(!whole(&[5, 7, 9], 1, false), "the last reading failed, as that of a lost GPU does");
        assert!(!whole(&[5, 7, 2], 1, true), "it was reset");
        let (mut late, _) = increases(&[5, 7, 9]);
        (late.begun, late.is_current) = (Some(Time::from_nanos(2)), true);
        assert!(!late.is_whole(Time::from_nanos(1)), "the driver has woken after the start");
    }

    #[test]
    fn a_counter_that_freezes_lacks_what_is_used_meanwhile() {
        let readings = |still: usize| [&[5, 7][..], &vec![9; still]].concat();
        let lost = |still| increases(&readings(still)).0.losses();
        assert_eq!(lost(20), [], "it may be late");
        assert_eq!(lost(31), [(Loss::Still, Duration::from_secs(3))]);
        let (mut energy, _) = increases(&readings(31));
        energy.is_current = true;
        assert!(!energy.is_whole(Time::from_nanos(1)));
    }

    #[test]
    fn a_counter_that_stands_still_counts_nothing() {
        assert_eq!(increases(&[0, 0, 0]).1, [None; 3]);
        // One that rests for a while counts zero then.
        assert_eq!(increases(&[5, 5, 7, 7]).1, [None, None, Some(2), Some(0)]);
    }
}
