//! Amounts that were used up over time, cut at other times than those at which they were read.
//!
//! Two meters are never read at the same instants. What one has measured between two readings is taken as used evenly
//! between them, so that it can be cut where the other was read.

use std::collections::VecDeque;

use alumet::Time;

/// Increments one after the other, the oldest first; what was taken is forgotten.
#[derive(Debug, Default)]
pub struct Timeline {
    /// Up to here everything was taken.
    from: Time,
    /// Each reaches from the end of the one before to this time.
    pieces: VecDeque<(Time, f64)>,
}

impl Timeline {
    /// A timeline that begins here.
    pub fn starting(from: Time) -> Self {
        Self { from, pieces: VecDeque::new() }
    }

    /// So much more was used until `time`. Several amounts until the same time add up; one that comes late is added to
    /// the piece that it belongs to.
    pub fn add(&mut self, time: Time, amount: f64) {
        let time = time.max(self.from);
        match self.pieces.back_mut() {
            Some((end, piece)) if *end == time => *piece += amount,
            Some((end, _)) if *end > time => {
                let at = self.pieces.partition_point(|(end, _)| *end < time);
                match &mut self.pieces[at] {
                    (end, piece) if *end == time || time == self.from => *piece += amount,
                    _ => self.pieces.insert(at, (time, amount)),
                }
            }
            _ => self.pieces.push_back((time, amount)),
        }
    }

    /// Makes one piece of all that was added.
    pub fn join(&mut self) {
        if let Some((end, _)) = self.pieces.back().copied() {
            let amount = self.pieces.drain(..).map(|(_, amount)| amount).sum();
            self.pieces.push_back((end, amount));
        }
    }

    /// Up to when it is known.
    pub fn known_until(&self) -> Time {
        self.pieces.back().map_or(self.from, |(end, _)| *end)
    }

    /// How many pieces it holds.
    #[cfg(test)]
    pub(crate) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Takes what was used until `to`.
    pub fn take(&mut self, to: Time) -> f64 {
        let mut sum = 0.0;
        while let Some((end, amount)) = self.pieces.front().copied() {
            if end <= to {
                sum += amount;
                self.from = end;
                self.pieces.pop_front();
                continue;
            }
            if to > self.from {
                let share = to.since(self.from).as_secs_f64() / end.since(self.from).as_secs_f64();
                let taken = amount * share;
                sum += taken;
                self.pieces[0].1 = amount - taken;
                self.from = to;
            }
            break;
        }
        self.from = self.from.max(to);
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Timeline {
        fn take_rest(&mut self) -> f64 {
            self.take(self.known_until())
        }
    }

    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_piece_is_cut_in_proportion_to_time() {
        let mut energy = Timeline::starting(at(0));
        energy.add(at(2), 10.0);
        energy.add(at(4), 20.0);
        assert_eq!(energy.take(at(1)), 5.0);
        assert_eq!(energy.take(at(3)), 15.0);
        assert_eq!(energy.take(at(9)), 10.0);
        assert_eq!(energy.take_rest(), 0.0);
    }

    #[test]
    fn two_meters_read_at_the_same_time_add_up() {
        let mut energy = Timeline::starting(at(0));
        energy.add(at(2), 10.0);
        energy.add(at(2), 1.0);
        assert_eq!((energy.take(at(1)), energy.take_rest()), (5.5, 5.5));
    }

    #[test]
    fn what_comes_late_is_not_lost() {
        let mut energy = Timeline::starting(at(0));
        energy.add(at(4), 4.0);
        energy.add(at(2), 1.0);
        assert_eq!(energy.take(at(5)), 5.0);
        energy.add(at(3), 2.0);
        assert_eq!(energy.take_rest(), 2.0);
    }

    #[test]
    fn what_comes_late_is_put_where_it_belongs() {
        let late = |time: u64, amount: f64| {
            let mut energy = Timeline::starting(at(10));
            energy.add(at(12), 2.0);
            energy.add(at(14), 8.0);
            energy.add(at(time), amount);
            (energy.pieces(), [11, 12, 13, 14].map(|second| energy.take(at(second))))
        };
        // To the piece that ends there.
        assert_eq!(late(12, 3.0), (2, [2.5, 2.5, 4.0, 4.0]));
        assert_eq!(late(14, 2.0), (2, [1.0, 1.0, 5.0, 5.0]));
        // Between two, whose later one then begins where it ends.
        assert_eq!(late(13, 6.0), (3, [1.0, 1.0, 6.0, 8.0]));
        // Before all that is left: to the first of it.
        assert_eq!(late(3, 4.0), (2, [3.0, 3.0, 4.0, 4.0]));
        // After all.
        assert_eq!(late(16, 2.0).1, [1.0, 1.0, 4.0, 4.0]);
    }

    #[test]
    fn a_timeline_begins_where_it_was_said_to() {
        let mut energy = Timeline::starting(at(10));
        assert_eq!(energy.known_until(), at(10));
        energy.add(at(12), 2.0);
        assert_eq!((energy.take(at(11)), energy.known_until()), (1.0, at(12)));
    }

    #[test]
    fn pieces_that_were_joined_are_one() {
        let mut energy = Timeline::starting(at(0));
        energy.add(at(1), 9.0);
        energy.add(at(2), 1.0);
        energy.join();
        assert_eq!((energy.pieces.len(), energy.take(at(1)), energy.take_rest()), (1, 5.0, 5.0));
    }

    proptest::proptest! {
        #[test]
        fn what_is_taken_is_what_was_added(
            pieces in proptest::collection::vec((1u64..1_000_000_000, 0.0..1e6f64), 1..30),
            cuts in proptest::collection::vec(0u64..40_000_000_000, 0..30),
        ) {
            let (mut timeline, mut time, mut added) = (Timeline::starting(at(0)), 0, 0.0);
            for (nanos, amount) in pieces {
                time += nanos;
                added += amount;
                timeline.add(Time::from_nanos(time), amount);
            }
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut taken: f64 = cuts.into_iter().map(|cut| timeline.take(Time::from_nanos(cut))).sum();
            taken += timeline.take_rest();
            proptest::prop_assert!((taken - added).abs() <= 1e-9 * added.max(1.0), "{} {}", taken, added);
        }
    }
}
