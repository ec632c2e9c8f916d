//! How late ticks are: a fixed-size histogram, so that counting allocates nothing.

use std::time::Duration;

/// Counts durations in buckets that are 1/16 of their power of two wide: quantiles are within 6.25 %.
#[derive(Debug, Clone)]
pub(crate) struct Lateness {
    buckets: Box<[u64; Self::BUCKETS]>,
    total: u64,
}

impl Lateness {
    const SUB_BITS: u32 = 4;
    const BUCKETS: usize = (64 - Self::SUB_BITS as usize + 1) << Self::SUB_BITS;

    pub(crate) fn new() -> Self {
        Self { buckets: Box::new([0; Self::BUCKETS]), total: 0 }
    }

    pub(crate) fn record(&mut self, late: Duration) {
        self.buckets[Self::bucket(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX))] += 1;
        self.total += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets.iter()) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    /// The lower bound of the bucket in which the quantile lies; `None` when nothing was recorded.
    pub(crate) fn quantile(&self, q: f64) -> Option<Duration> {
        let rank = (self.total as f64 * q).ceil().max(1.0) as u64;
        let mut seen = 0;
        self.buckets
            .iter()
            .position(|count| {
                seen += count;
                seen >= rank
            })
            .map(|bucket| Duration::from_nanos(Self::lower_bound(bucket)))
    }

    fn bucket(nanos: u64) -> usize {
        let octave = (63 - (nanos | 1).leading_zeros()).saturating_sub(Self::SUB_BITS);
        let sub = (nanos >> octave) as usize;
        (octave as usize) * (1 << Self::SUB_BITS) + sub
    }

    fn lower_bound(bucket: usize) -> u64 {
        let width = 1usize << Self::SUB_BITS;
        if bucket < 2 * width {
            return bucket as u64;
        }
        let octave = bucket / width - 1;
        ((bucket - octave * width) as u64) << octave
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_between_its_bucket_and_the_next() {
        for nanos in (0..5000).chain([1 << 20, 1_000_000_007, 1 << 40, u64::MAX]) {
            let bucket = Lateness::bucket(nanos);
            assert!(bucket < Lateness::BUCKETS, "{nanos}");
            assert!(Lateness::lower_bound(bucket) <= nanos, "{nanos}");
            if bucket + 1 < Lateness::BUCKETS {
                assert!(Lateness::lower_bound(bucket + 1) > nanos, "{nanos}");
            }
        }
    }

    #[test]
    fn a_quantile_is_within_a_sixteenth() {
        let mut lateness = Lateness::new();
        assert_eq!(lateness.quantile(0.99), None);
        for micros in 1..=1000 {
            lateness.record(Duration::from_micros(micros));
        }
        let p99 = lateness.quantile(0.99).unwrap().as_micros() as f64;
        assert!((928.0..=990.0).contains(&p99), "{p99}");
    }

    #[test]
    fn what_two_have_counted_is_added_up() {
        let (mut a, mut b) = (Lateness::new(), Lateness::new());
        (0..3).for_each(|_| a.record(Duration::from_nanos(5)));
        (0..4).for_each(|_| b.record(Duration::from_nanos(5)));
        (0..7).for_each(|_| b.record(Duration::from_nanos(9)));
        a.merge(&b);
        assert_eq!((a.total, a.buckets[5], a.buckets[9]), (14, 7, 7));
        assert_eq!([0.5, 0.51].map(|q| a.quantile(q)), [5, 9].map(|n| Some(Duration::from_nanos(n))));
    }
}
