//! Which share of the time an event was counted, when events take turns on the counters of the CPU.
//!
//! The time for which an event was wanted cannot be taken from that event alone: before Linux 6.16, a process that ends
//! while the event waits for its turn takes with it all the time that it has waited (`perf_event_exit_event` in
//! kernel/events/core.c; cured by commit a3c3c66670ce, "Fix child_total_time_enabled accounting bug at task exit"). Of
//! many short processes, an event then seems to have been counted all the time, and is short of most of its counts. But
//! all events of one kind are wanted at the same times: when the application runs. So the longest of their times is that
//! of all of them, and an event of the kernel's own, which never waits, is a witness beside them.

use crate::event::Event;
use crate::tally::Reading;

/// A share of the time that is lacking, up to this, is nothing: readings that follow one another differ by so much.
pub const SLIGHT: f64 = 0.0005;

/// The witness may have had so much more of the time than events of the CPU although none of them has waited. Before
/// Linux 6.2, the kernel's own events and those of the CPU are taken off an ending process one after the other, some
/// 2 to 10 us apart; a process that is executed takes 300 us or more. (From then on they have one clock.)
const SKEW: f64 = 0.1;

/// The share of the time for which each of these events was counted, from what it has come to.
///
/// Events of the CPU take turns with those of the same type of cores; every other one is held against its own times.
/// `witness` says for how long an event of the kernel's own was counted, in nanoseconds. Readings that are so many
/// nanoseconds apart are as good as one (`apart`): threads that run are not read all at once.
pub fn shares(events: &[(&Event, Reading)], witness: Option<u64>, apart: u64) -> Vec<Option<f64>> {
    let share = |(event, total): &(&Event, Reading)| {
        if !event.is_of_core {
            return total.share(total.enabled, 0);
        }
        let of_its_kind =
            |(other, _): &&(&Event, Reading)| other.is_of_core && other.core_type == event.core_type;
        let kind = events.iter().filter(of_its_kind).map(|(_, total)| *total);
        // On one of several types of cores, the application is for a part of its time.
        let witness = witness.filter(|_| event.core_type.is_none());
        total.share(wanted(kind, witness, apart), apart)
    };
    events.iter().map(share).collect()
}

/// For how long each event of a kind was wanted, in nanoseconds.
fn wanted(kind: impl Iterator<Item = Reading> + Clone, witness: Option<u64>, apart: u64) -> u64 {
    let of_one = |event: Reading| event.enabled.max(event.running);
    let longest = kind.clone().map(of_one).max().unwrap_or_default();
    let Some(witness) = witness.filter(|witness| *witness > longest.saturating_add(apart)) else {
        return longest;
    };
    let lags = |time: u64| longest - time > apart && (time as f64) < longest as f64 * (1.0 - SLIGHT);
    // Where the kernel has lost some of one event's time, it may have lost some of each.
    let has_lost = kind.clone().map(of_one).any(lags);
    let is_beyond_skew = longest as f64 <= witness as f64 * (1.0 - SKEW);
    if has_lost || is_beyond_skew { witness } else { longest }
}

impl Reading {
    /// The share of the time for which it was counted, if events of its kind were wanted for so long: 1 if that is all of
    /// it, or nothing ran; `None` if it was wanted and never counted.
    fn share(self, wanted: u64, apart: u64) -> Option<f64> {
        // Some counters keep no times: that of the root cgroup, for one.
        if self.running == 0 && self.enabled == 0 && self.count > 0 {
            return Some(1.0);
        }
        // What the kernel says of this event alone comes from one reading.
        let wanted = if wanted.saturating_sub(self.running) > apart { wanted } else { self.enabled };
        match (wanted, self.running) {
            (0, _) => Some(1.0),
            (_, 0) => None,
            (wanted, running) => Some(running as f64 / wanted as f64)
                .map(|share| if share < 1.0 - SLIGHT { share } else { 1.0 }),
        }
    }

    /// The share of the time for which an event was counted that is handed on to nobody: the kernel loses nothing of it.
    pub fn own_share(self) -> Option<f64> {
        self.share(self.enabled, 0)
    }
}

/// How much of a scaled count has been told in increases.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told(f64);

impl Told {
    /// What has come since the last time, if it was counted for this share of the time so far. With another share the
    /// count so far is another: where that has fallen, it is 0 until the count is above what has been told.
    pub fn increase(&mut self, total: Reading, share: f64) -> f64 {
        let increase = self.rest(total, share).max(0.0);
        self.0 += increase;
        increase
    }

    /// What is left of the whole at the end. Below 0 if too much was told.
    pub fn rest(self, total: Reading, share: f64) -> f64 {
        total.count as f64 / share - self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_core(core_type: Option<&str>) -> Event {
        Event { is_of_core: true, core_type: core_type.map(str::to_owned), ..Event::of_time() }
    }

    #[test]
    fn events_take_turns_with_those_of_the_same_counters_alone() {
        let (core, atom, other) = (of_core(Some("cpu_core")), of_core(Some("cpu_atom")), Event::of_time());
        // Of 1000, the application was on one type of cores for 600, and on the other for 400.
        let events = [
            (&core, event(600, 600)),
            (&core, event(300, 300)),
            (&atom, event(400, 400)),
            (&other, event(1000, 500)),
            (&other, event(7, 7)),
        ];
        assert_eq!(
            super::shares(&events, Some(1000), 0),
            [Some(1.0), Some(0.5), Some(1.0), Some(0.5), Some(1.0)]
        );
        let cpu = of_core(None);
        let events = [(&cpu, event(800, 800)), (&other, event(1000, 1000))];
        assert_eq!(super::shares(&events, Some(1000), 0), [Some(0.8), Some(1.0)]);
        assert_eq!(super::shares(&events, None, 0), [Some(1.0), Some(1.0)]);
    }

    proptest::proptest! {
        #[test]
        fn increases_are_never_negative_and_with_the_rest_they_are_the_whole_runs_count(
            readings in proptest::collection::vec((0..1_u64 << 40, 0..1_000_u64, 0.0..=1.0), 1..20),
        ) {
            let (mut total, mut told, mut sum) = (Reading::default(), Told::default(), 0.0);
            for (count, enabled, running) in readings {
                let running = (enabled as f64 * running) as u64;
                total += Reading { count: if running > 0 { count } else { 0 }, enabled, running };
                if let Some(share) = total.own_share() {
                    let increase = told.increase(total, share);
                    proptest::prop_assert!(increase >= 0.0);
                    sum += increase;
                }
            }
            if let Some(share) = total.own_share() {
                sum += told.rest(total, share);
                let whole = total.count as f64 * (total.enabled as f64 / total.running.max(1) as f64).max(1.0);
                proptest::prop_assert!((sum - whole).abs() <= 2.0 * SLIGHT * whole, "{sum} {whole}");
            }
        }
    }

    #[test]
    fn a_count_that_is_not_scaled_is_told_as_it_is() {
        let mut told = Told::default();
        let at = |count| Reading { count, enabled: 10, running: 10 };
        assert_eq!(
            (told.increase(at(5), 1.0), told.increase(at(5), 1.0), told.increase(at(12), 1.0)),
            (5.0, 0.0, 7.0)
        );
        assert_eq!((told.rest(at(12), 1.0), told.rest(at(13), 1.0)), (0.0, 1.0));
    }

    #[test]
    fn a_steady_event_that_takes_turns_grows_steadily_and_ends_at_the_same_whole_however_often_it_is_read() {
        // One event in a microsecond, and every second period of 4 ms of 1 s it is counted.
        let at = |micros: u64| {
            let running = micros / 8000 * 4000 + (micros % 8000).min(4000);
            Reading { count: running, enabled: micros * 1000, running: running * 1000 }
        };
        for every in [1_000, 10_000, 200_000, 1_000_000] {
            let (mut told, mut sum) = (Told::default(), 0.0);
            for micros in (every..=1_000_000).step_by(every as usize) {
                let increase = told.increase(at(micros), at(micros).own_share().unwrap());
                assert!((increase - every as f64).abs() <= 1.0, "{increase} in {every} us");
                sum += increase;
            }
            sum += told.rest(at(1_000_000), at(1_000_000).own_share().unwrap());
            assert!((sum - 1e6).abs() < 1e-3, "{sum} at an interval of {every} us");
        }
    }

    #[test]
    fn where_the_whole_has_fallen_the_end_corrects_it() {
        let mut told = Told::default();
        let busy = Reading { count: 100, enabled: 1000, running: 500 };
        assert_eq!(told.increase(busy, busy.own_share().unwrap()), 200.0);
        // Counted all the time, and nothing happened.
        let idle = Reading { count: 100, enabled: 2000, running: 1500 };
        assert_eq!(told.increase(idle, idle.own_share().unwrap()), 0.0);
        assert_eq!(200.0 + told.rest(idle, idle.own_share().unwrap()), 100.0 / 0.75);
    }

    fn event(enabled: u64, running: u64) -> Reading {
        Reading { count: 100, enabled, running }
    }

    /// What is told of each of these events.
    fn shares<const N: usize>(events: [Reading; N], witness: Option<u64>) -> [Option<f64>; N] {
        let wanted = wanted(events.into_iter(), witness, 0);
        events.map(|event| event.share(wanted, 0))
    }

    #[test]
    fn events_that_never_wait_are_counted_all_the_time() {
        assert_eq!(shares([event(1000, 1000), event(1000, 1000)], None), [Some(1.0); 2]);
        // The kernel's own have the last microseconds of each process, too.
        assert_eq!(shares([event(71_363_440, 71_363_440); 4], Some(71_570_240)), [Some(1.0); 4]);
        assert_eq!(shares([event(74_393, 74_393); 2], Some(74_371)), [Some(1.0); 2]);
        assert_eq!(shares([event(90_001, 90_001)], Some(100_000)), [Some(1.0)]);
    }

    #[test]
    fn the_kernels_own_word_of_waiting_is_believed() {
        assert_eq!(
            shares([event(1000, 250), event(1000, 1000), event(1000, 0)], None),
            [Some(0.25), Some(1.0), None]
        );
        assert_eq!(shares([event(1000, 999)], None), [Some(0.999)]);
        assert_eq!(shares([event(10_000, 9_999)], None), [Some(1.0)]);
    }

    #[test]
    fn time_that_was_lost_with_ended_processes_is_that_of_the_others() {
        // Of 30 processes, the first event was counted in all, the second in 10, the last in none.
        assert_eq!(
            shares([event(60_000, 60_000), event(20_000, 20_000), event(0, 0)], None),
            [Some(1.0), Some(1.0 / 3.0), Some(1.0)],
            "an event without times that has counts keeps none"
        );
        let uncounted = Reading { count: 0, ..event(0, 0) };
        assert_eq!(shares([event(60_000, 60_000), uncounted], None), [Some(1.0), None]);
    }

    #[test]
    fn where_every_event_has_waited_the_witness_tells_for_how_long() {
        // Each in two thirds of the processes, and the kernel says that none has waited.
        let events = [event(40_000, 40_000), event(40_000, 40_000)];
        assert_eq!(shares(events, Some(60_000)), [Some(40_000.0 / 60_000.0); 2]);
        // A little difference between them is enough to ask it.
        let events = [event(58_000, 58_000), event(57_000, 57_000)];
        assert_eq!(shares(events, Some(60_000)), [Some(58.0 / 60.0), Some(57.0 / 60.0)]);
        // But not where the kernel has told the same of all: then it has lost nothing.
        let events = [event(57_000, 57_000), event(57_000, 28_500)];
        assert_eq!(shares(events, Some(60_000)), [Some(1.0), Some(0.5)]);
        // At the edge of what may be skew.
        assert_eq!(shares([event(90_000, 90_000)], Some(100_000)), [Some(0.9)]);
    }

    #[test]
    fn a_slight_difference_between_events_is_no_sign_that_time_was_lost() {
        for other in [9_999, 9_995] {
            let events = [event(10_000, 10_000), event(other, other)];
            assert_eq!(shares(events, Some(10_500)), [Some(1.0); 2], "{other}");
        }
        let events = [event(10_000, 10_000), event(9_994, 9_994)];
        assert_eq!(shares(events, Some(10_500)), [Some(10_000.0 / 10_500.0), Some(9_994.0 / 10_500.0)]);
        // Nor is one that comes from reading them one after the other.
        let events = [event(10_000, 10_000), event(9_900, 9_900)];
        assert_eq!(wanted(events.into_iter(), Some(10_500), 100), 10_000);
        assert_eq!(wanted(events.into_iter(), Some(10_500), 99), 10_500);
    }

    #[test]
    fn an_event_that_never_had_a_turn_is_not_zero_but_unknown() {
        let uncounted = Reading::default();
        assert_eq!(shares([uncounted], Some(60_000)), [None]);
        assert_eq!(shares([Reading { enabled: 5, ..uncounted }], None), [None]);
        assert_eq!(shares([uncounted, uncounted], None), [Some(1.0); 2], "nothing ran");
    }

    #[test]
    fn readings_of_running_threads_that_are_apart_are_no_waiting() {
        let events = [event(10_000, 10_000), event(9_900, 9_900)];
        let of = |witness, apart| {
            let wanted = wanted(events.into_iter(), witness, apart);
            events.map(|event| event.share(wanted, apart))
        };
        assert_eq!(of(None, 100), [Some(1.0); 2]);
        assert_eq!(of(None, 99), [Some(1.0), Some(0.99)]);
        assert_eq!(of(Some(12_000), 2_000), [Some(1.0); 2]);
        assert_eq!(of(Some(12_001), 2_000), [Some(10_000.0 / 12_001.0), Some(9_900.0 / 12_001.0)]);
        // It ran for a moment between the reading of two events.
        let idle = Reading::default();
        assert_eq!(idle.share(wanted([event(30, 30), idle].into_iter(), None, 100), 100), Some(1.0));
        // But what the kernel says of the event itself needs no slack.
        assert_eq!(event(50, 0).share(50, 100), None);
        assert_eq!(event(50, 25).share(50, 100), Some(0.5));
    }
}
