//! What a source need not read at every poll.

use std::time::Duration;

/// Says at which polls something is due: at the first two (the baseline and the first of the run), then at every n-th.
#[derive(Debug, Clone, Copy)]
pub struct Cadence {
    every: u64,
    polls: u64,
}

impl Cadence {
    /// At most once in `at_most`, for a source that is polled at `interval`.
    pub fn new(at_most: Duration, interval: Duration) -> Self {
        let every = at_most.as_nanos().div_ceil(interval.as_nanos().max(1)).max(1);
        Self { every: u64::try_from(every).unwrap_or(u64::MAX), polls: 0 }
    }

    /// To be called at every poll.
    pub fn is_due(&mut self) -> bool {
        let poll = self.polls;
        self.polls += 1;
        poll == 0 || (poll - 1).is_multiple_of(self.every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_intervals_are_always_due_and_short_ones_every_nth_time() {
        let due = |interval| {
            let mut cadence = Cadence::new(Duration::from_millis(10), interval);
            (0..10).map(|_| u8::from(cadence.is_due())).collect::<Vec<_>>()
        };
        assert_eq!(due(Duration::from_millis(10)), [1; 10]);
        assert_eq!(due(Duration::from_secs(1)), [1; 10]);
        assert_eq!(due(Duration::from_millis(4)), [1, 1, 0, 0, 1, 0, 0, 1, 0, 0]);
    }
}
