//! From the readings of one counter to the energy and power of a run.

use std::fmt;
use std::time::Duration;

use alumet::{Standstill, Time};

use crate::counter::{Increment, Raw, Scale, Top};
use crate::uncertainty::PERIOD;
use crate::units::{Joules, Watts};

/// Every counter is read at least this often, also one that the kernel extends: its own timer for perf reckons with 200 W
/// (arch/x86/events/rapl.c).
const READ_EVERY: Duration = Duration::from_secs(30);

/// The smallest range that there is: 32 bits of 2^-16 J.
const SMALLEST_RANGE: Joules = Joules(65_536.0);

/// In how short a time a counter that begins again there may be back where it was, if as much is consumed as there can be:
/// over more, it may have wrapped more than once unseen. `None` if the kernel extends it.
fn fastest_wrap(scale: Scale, top: Top, most: Watts) -> Option<Duration> {
    let range = match top {
        Top::At(max) => Increment(max).energy(scale),
        Top::Unknown => SMALLEST_RANGE,
        Top::Endless => return None,
    };
    // 64 bits may hold more than a duration.
    Some(Duration::from_secs_f64((range.0 / most.0).min(1e9)))
}

/// How often such a counter is to be read at least: twice in the time in which it may wrap.
pub fn read_every(scale: Scale, top: Top, most: Watts) -> Duration {
    fastest_wrap(scale, top, most).map_or(READ_EVERY, |wrap| (wrap / 2).min(READ_EVERY))
}

/// Power is told of at least this time: in ten periods of the counter, the two in which it is read are a tenth.
pub const POWER_OVER: Duration = PERIOD.saturating_mul(10);

/// A counter that is late by so much shows no more power than there was.
const SLACK: Duration = Duration::from_millis(10);

/// The clocks are not read at the same instant: less than this is no suspend.
const SHORTEST_SUSPEND: Duration = Duration::from_millis(100);

/// What a counter showed, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// What it showed.
    pub raw: Raw,
    /// Before and after it was read.
    pub time: (Time, Time),
    /// For how long the machine had been suspended since boot.
    pub suspended: Duration,
}

impl Reading {
    fn middle(&self) -> Time {
        self.time.0.middle(self.time.1)
    }
}

/// Why what a counter has counted between two readings is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The machine slept: counters may or may not survive that.
    Suspended,
    /// It went back, or on by more than there can be.
    Reset,
    /// It wrapped, and nobody says at which value.
    Wrapped,
    /// It may have wrapped more than once.
    Unread,
    /// It could not be read.
    Unreadable,
    /// It had counted, and then stood still for longer than a part of the machine can.
    Still,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Suspended => "the machine was suspended",
            Self::Reset => "the counter was reset",
            Self::Wrapped => "the counter wrapped, and its max_energy_range_uj cannot be read",
            Self::Unread => "the counter was not read for so long that it may have wrapped unseen",
            Self::Unreadable => "the counter could not be read",
            Self::Still => "the counter stood still",
        })
    }
}

/// What came between two readings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Consumed since the reading before.
    pub energy: Joules,
    /// The mean power since power was told last, unless that was too short a time ago.
    pub power: Option<Watts>,
}

/// What a counter has come to.
#[derive(Debug, Clone)]
pub struct Tally {
    scale: Scale,
    top: Top,
    most: Watts,
    first: Option<Reading>,
    last: Option<Reading>,
    total: Joules,
    /// Since when no power was told, and what was consumed since.
    window: (Time, Joules),
    /// The largest power that was told.
    peak: Option<Watts>,
    /// For how long nothing is known, and why.
    losses: Vec<(Loss, Duration)>,
    /// Of what uses energy all the time.
    standstill: Option<Standstill>,
}

impl Tally {
    /// Of a counter with units of this worth, that wraps there and counts no more than `most`.
    pub fn new(scale: Scale, top: Top, most: Watts) -> Self {
        Self {
            scale,
            top,
            most,
            first: None,
            last: None,
            total: Joules::default(),
            window: (Time::default(), Joules::default()),
            peak: None,
            losses: Vec::new(),
            standstill: None,
        }
    }

    /// The same, of what uses energy all the time.
    pub fn never_resting(self) -> Self {
        Self { standstill: Some(Standstill::default()), ..self }
    }

    /// The energy to this reading; none for the first one, which is the baseline, and where it is not known.
    pub fn to(&mut self, now: Reading) -> Option<Step> {
        let Some(last) = self.last.replace(now) else {
            self.first = Some(now);
            self.window = (now.middle(), Joules::default());
            return None;
        };
        let elapsed = now.middle().since(last.middle());
        match self.increment(&last, &now, elapsed) {
            Ok(increment) => {
                let energy = increment.energy(self.scale);
                self.total += energy;
                self.window.1 += energy;
                if let Some(standstill) = &mut self.standstill {
                    standstill.see(increment.0 > 0, now.middle());
                }
                Some(Step { energy, power: self.power(now.middle()) })
            }
            Err(loss) => {
                self.lose(loss, elapsed);
                self.window = (now.middle(), Joules::default());
                if let Some(standstill) = &mut self.standstill {
                    standstill.interrupt();
                }
                None
            }
        }
    }

    fn increment(&self, last: &Reading, now: &Reading, elapsed: Duration) -> Result<Increment, Loss> {
        if now.suspended.saturating_sub(last.suspended) >= SHORTEST_SUSPEND {
            return Err(Loss::Suspended);
        }
        if fastest_wrap(self.scale, self.top, self.most).is_some_and(|wrap| elapsed > wrap) {
            return Err(Loss::Unread);
        }
        let wrapped_or_reset = if self.top == Top::Unknown { Loss::Wrapped } else { Loss::Reset };
        let increment = last.raw.to(now.raw, self.top).ok_or(wrapped_or_reset)?;
        let most = self.most * (elapsed + SLACK);
        if increment.energy(self.scale) > most { Err(Loss::Reset) } else { Ok(increment) }
    }

    fn power(&mut self, now: Time) -> Option<Watts> {
        let (since, energy) = self.window;
        let time = now.since(since);
        if time < POWER_OVER {
            return None;
        }
        self.window = (now, Joules::default());
        let power = energy / time;
        if self.peak.is_none_or(|peak| power > peak) {
            self.peak = Some(power);
        }
        Some(power)
    }

    /// Says that for so long nothing is known.
    pub fn lose(&mut self, loss: Loss, time: Duration) {
        match self.losses.iter_mut().find(|(other, _)| *other == loss) {
            Some((_, sum)) => *sum += time,
            None => self.losses.push((loss, time)),
        }
    }

    /// For how long nothing is known, by reason.
    pub fn losses(&self) -> Vec<(Loss, Duration)> {
        let still = self.standstill.as_ref().map_or(Duration::ZERO, Standstill::length);
        let still = (!still.is_zero()).then_some((Loss::Still, still));
        self.losses.iter().copied().chain(still).collect()
    }

    /// Whether the counter has counted anything.
    pub fn has_moved(&self) -> bool {
        self.total.0 > 0.0
    }

    /// The first and the last reading.
    pub fn readings(&self) -> Option<(Reading, Reading)> {
        self.first.zip(self.last)
    }

    /// The largest power that was told or, in a run that was too short for that, its mean.
    pub fn peak(&self) -> Option<Watts> {
        let (first, last) = self.readings()?;
        let time = last.middle().since(first.middle());
        self.peak.or_else(|| (!time.is_zero()).then(|| self.total / time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u64 = 65_532_610_987;

    fn tally(top: Top) -> Tally {
        Tally::new(Scale(1e-6), top, Watts(2000.0))
    }

    fn at(millis: u64, microjoules: u64) -> Reading {
        let time = Time::from_nanos(millis * 1_000_000);
        Reading { raw: Raw(microjoules), time: (time, time), suspended: Duration::ZERO }
    }

    fn energy(step: Option<Step>) -> Option<f64> {
        step.map(|step| (step.energy.0 * 1e6).round() / 1e6)
    }

    #[test]
    fn the_first_reading_is_the_baseline_and_power_is_over_the_real_time() {
        let mut tally = tally(Top::At(MAX));
        assert_eq!(tally.to(at(0, 777)), None);
        let step = tally.to(at(130, 6_500_777)).unwrap();
        assert_eq!((step.energy, step.power), (Joules(6.5), Some(Watts(50.0))));
    }

    #[test]
    fn short_times_have_no_power_of_their_own() {
        let mut tally = tally(Top::At(MAX));
        tally.to(at(0, 0));
        let powers: Vec<_> = (1..=21).map(|i| tally.to(at(i, i * 50_000)).unwrap().power).collect();
        assert_eq!(powers.iter().flatten().count(), 2, "one for each 10 ms");
        assert!(powers.iter().flatten().all(|power| (power.0 - 50.0).abs() < 1e-9), "{powers:?}");
        // A last piece of 1 ms, in which a step of the counter shows or does not, is no peak.
        assert!((tally.peak().unwrap().0 - 50.0).abs() < 1e-9);
    }

    #[test]
    fn a_wrap_is_energy_and_a_reset_is_not() {
        let mut tally = tally(Top::At(MAX));
        tally.to(at(0, MAX - 1_000_000));
        assert_eq!(energy(tally.to(at(100, 3_999_999))), Some(5.0));
        // From 4 J back to 0: as a wrap it would be 65.5 kJ in 100 ms.
        assert_eq!(tally.to(at(200, 0)), None);
        assert_eq!(energy(tally.to(at(300, 5_000_000))), Some(5.0));
        assert_eq!(tally.losses(), [(Loss::Reset, Duration::from_millis(100))]);
    }

    #[test]
    fn a_wrap_of_unknown_size_is_said_and_what_follows_is_counted() {
        let mut tally = tally(Top::Unknown);
        tally.to(at(0, 10_000_000));
        assert_eq!(energy(tally.to(at(100, 15_000_000))), Some(5.0));
        assert_eq!(tally.to(at(200, 1_000_000)), None);
        assert_eq!(energy(tally.to(at(300, 6_000_000))), Some(5.0));
        assert_eq!(tally.losses(), [(Loss::Wrapped, Duration::from_millis(100))]);
    }

    #[test]
    fn what_counts_on_while_the_machine_sleeps_is_not_of_the_run() {
        let mut tally = tally(Top::At(MAX));
        tally.to(at(0, 0));
        assert_eq!(tally.to(Reading { suspended: Duration::from_secs(60), ..at(100, 5_000_000) }), None);
        assert_eq!(tally.losses(), [(Loss::Suspended, Duration::from_millis(100))]);
        // The two clocks are read one after the other; the difference is not a sleep.
        let after = Duration::from_secs(60) + Duration::from_millis(40);
        assert_eq!(energy(tally.to(Reading { suspended: after, ..at(200, 10_000_000) })), Some(5.0));
    }

    #[test]
    fn a_counter_may_have_wrapped_unseen_in_the_time_in_which_its_range_can_be_used_up_unless_the_kernel_extends_it()
     {
        // 65.5 kJ at 2 kW are 32.8 s; four times as much takes four times as long, and psys may use 10 kW.
        let ranges = [
            (Top::At(MAX), 2000.0, 32),
            (Top::Unknown, 2000.0, 32),
            (Top::At(4 * MAX), 2000.0, 131),
            (Top::At(MAX), 10_000.0, 6),
        ];
        for (top, most, seconds) in ranges {
            let after = |seconds: u64| {
                let mut tally = Tally::new(Scale(1e-6), top, Watts(most));
                tally.to(at(0, 0));
                energy(tally.to(at(seconds * 1000, 100_000_000)))
            };
            assert_eq!([after(seconds), after(seconds + 1)], [Some(100.0), None], "{top:?} {most}");
            // It is read in time.
            let every = read_every(Scale(1e-6), top, Watts(most));
            assert!(every <= Duration::from_secs(30) && every < Duration::from_secs(seconds), "{every:?}");
        }
        let mut tally = tally(Top::Endless);
        tally.to(at(0, 0));
        assert_eq!(energy(tally.to(at(1_000_000, 100_000_000))), Some(100.0));
        assert_eq!(read_every(Scale(1e-6), Top::Endless, Watts(2000.0)), Duration::from_secs(30));
    }

    #[test]
    fn a_counter_that_freezes_loses_what_is_used_meanwhile() {
        // 50 W for half a second, then nothing.
        let froze = |mut tally: Tally, until: u64| {
            for i in 0..=until / 100 {
                tally.to(at(i * 100, 1 + (i * 100).min(500) * 50_000));
            }
            tally.losses()
        };
        let never_resting = || tally(Top::At(MAX)).never_resting();
        assert_eq!(froze(never_resting(), 3000), [(Loss::Still, Duration::from_millis(2500))]);
        assert_eq!(froze(never_resting(), 2400), [], "it may be late");
        assert_eq!(froze(tally(Top::At(MAX)), 3000), [], "graphics may rest");
        // What is not known of a sleep is not known of the counter.
        let mut slept = never_resting();
        slept.to(at(0, 1));
        slept.to(at(100, 5_000_000));
        slept.to(Reading { suspended: Duration::from_secs(60), ..at(3000, 5_000_000) });
        assert_eq!(slept.losses(), [(Loss::Suspended, Duration::from_millis(2900))]);
    }

    #[test]
    fn a_step_of_the_counter_in_a_moment_is_no_reset() {
        let mut tally = tally(Top::At(MAX));
        tally.to(at(0, 0));
        // 400 W for 20 ms, told at once.
        assert_eq!(energy(tally.to(at(0, 8_000_000))), Some(8.0));
    }

    #[test]
    fn the_peak_is_the_largest_power_and_not_the_last() {
        let mut tally = tally(Top::At(MAX));
        tally.to(at(0, 0));
        for (millis, microjoules) in [(100, 1_000_000), (200, 4_000_000), (300, 6_000_000)] {
            tally.to(at(millis, microjoules));
        }
        assert!((tally.peak().unwrap().0 - 30.0).abs() < 1e-9, "{:?}", tally.peak());
    }

    #[test]
    fn the_peak_of_a_run_too_short_for_one_is_its_mean() {
        let mut tally = tally(Top::At(MAX));
        assert_eq!(tally.peak(), None);
        tally.to(at(0, 0));
        assert_eq!(tally.peak(), None, "no time has passed");
        tally.to(at(5, 200_000));
        assert!((tally.peak().unwrap().0 - 40.0).abs() < 1e-9, "{:?}", tally.peak());
    }

    #[test]
    fn losses_for_the_same_reason_add_up() {
        let mut tally = tally(Top::At(MAX));
        let ms = Duration::from_millis;
        tally.lose(Loss::Reset, ms(100));
        tally.lose(Loss::Wrapped, ms(7));
        tally.lose(Loss::Reset, ms(30));
        assert_eq!(tally.losses(), [(Loss::Reset, ms(130)), (Loss::Wrapped, ms(7))]);
    }
}
