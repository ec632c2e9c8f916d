//! A power that somebody types.

use serde::{Deserialize, Serialize};

/// A power in watts, finite and not negative; written as `65W` or `65`.
///
/// ```
/// #[derive(serde::Deserialize)]
/// struct Config { idle: alumet::Watts }
///
/// let config: Config = toml::from_str("idle = '6.5 W'").unwrap();
/// assert_eq!(config.idle.0, 6.5);
/// assert!(toml::from_str::<Config>("idle = -1").is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "f64")]
pub struct Watts(pub f64);

impl Watts {
    /// More than any machine has: a gigawatt.
    pub const MOST: f64 = 1e9;
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a power, as in `65W`")]
enum Written {
    Number(f64),
    Text(String),
}

impl TryFrom<Written> for Watts {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let (watts, text) = match written {
            Written::Number(watts) => (Some(watts), watts.to_string()),
            Written::Text(text) => {
                let number = text.trim();
                let number = number.strip_suffix(['W', 'w']).unwrap_or(number).trim_end();
                (number.parse().ok(), text)
            }
        };
        match watts.filter(|watts| (0.0..=Self::MOST).contains(watts)) {
            Some(watts) => Ok(Self(watts)),
            None => Err(format!("`{text}` is not a power; write it as in `65W`")),
        }
    }
}

impl From<Watts> for f64 {
    fn from(watts: Watts) -> Self {
        watts.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_has_a_unit_or_none_and_is_one() {
        let read = |text: &str| Watts::try_from(Written::Text(text.into())).ok().map(|watts| watts.0);
        assert_eq!(["65W", "65", " 6.5 w ", "0"].map(read), [Some(65.0), Some(65.0), Some(6.5), Some(0.0)]);
        assert_eq!(["-1", "nan", "inf", "1e308", "x", "", "W"].map(read), [None; 7]);
    }

    #[test]
    fn a_power_is_a_number() {
        assert_eq!(f64::from(Watts::try_from(Written::Text("65W".into())).unwrap()), 65.0);
    }
}
