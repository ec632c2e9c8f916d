//! The time between two readings of a source.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::duration::{self, WrongDuration};

/// A sampling interval, from 100 µs up; written as in `100ms` or `1s 500ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Interval(Duration);

/// Why a text or a duration is not an [`Interval`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntervalError {
    /// Not written as a duration.
    #[error("{}", .1.in_words(.0, "`100ms`, `2s` or `500us`"))]
    Syntax(String, WrongDuration),
    /// Too short.
    #[error("an interval of {0} is too short; the shortest is 100us")]
    TooShort(String),
}

impl Interval {
    /// The shortest interval that a sampler accepts.
    pub const SHORTEST: Duration = Duration::from_micros(100);

    /// # Errors
    /// The duration is shorter than [`Self::SHORTEST`].
    pub fn new(duration: Duration) -> Result<Self, IntervalError> {
        if duration < Self::SHORTEST {
            return Err(IntervalError::TooShort(humantime::format_duration(duration).to_string()));
        }
        Ok(Self(duration))
    }

    /// So many milliseconds, at least one.
    pub const fn from_millis(millis: u32) -> Self {
        Self(Duration::from_millis(if millis == 0 { 1 } else { millis as u64 }))
    }

    /// As a duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl FromStr for Interval {
    type Err = IntervalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let duration =
            duration::parse(text).map_err(|wrong| IntervalError::Syntax(text.to_owned(), wrong))?;
        Self::new(duration)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_reads_back_as_it_was_written() {
        for text in ["100us", "1ms", "100ms", "1s 500ms", "2m"] {
            assert_eq!(text.parse::<Interval>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_interval_says_what_one_looks_like() {
        for text in ["abc", "-1s", "", "100"] {
            assert!(matches!(text.parse::<Interval>(), Err(IntervalError::Syntax(..))), "{text}");
        }
        for text in ["0s", "99us", "0"] {
            assert!(text.parse::<Interval>().unwrap_err().to_string().contains("100us"), "{text}");
        }
    }
}
