//! One value of one series at one time.

use crate::series::SeriesId;
use crate::time::Time;

/// A value on its way through the pipeline: small, `Copy`, nothing allocated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The middle of the read.
    pub time: Time,
    /// In the unit of the series' metric; integers are exact up to 2^53.
    pub value: f64,
    /// Which series.
    pub series: SeriesId,
    /// Half of the time that the read took, in nanoseconds: the read happened at `time` ± this.
    pub half_width_ns: u32,
}

const _: () = assert!(size_of::<Point>() <= 32, "a point is at most 32 bytes");
