//! Durations as people write them: `100ms`, `1m 30s`.

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongDuration {
    /// It is not written as one.
    Syntax,
    /// It says `M`, which is a month to some programs and a minute to others.
    Ambiguous,
}

/// Reads a duration: numbers with units, from `ns` to `y`, as the humantime crate has them. Only `M` is not taken for a month.
///
/// # Errors
/// It is no duration, or it is not clear which.
pub fn parse(text: &str) -> Result<Duration, WrongDuration> {
    let text = text.trim();
    let has_unit_m = text.split(|c: char| !c.is_alphabetic()).any(|unit| unit == "M");
    match humantime::parse_duration(text) {
        Ok(_) if has_unit_m => Err(WrongDuration::Ambiguous),
        result => result.map_err(|_| WrongDuration::Syntax),
    }
}

impl WrongDuration {
    /// What is wrong with this text, for a person; `examples` are right ones.
    pub fn in_words(self, text: &str, examples: &str) -> String {
        match self {
            Self::Syntax => format!("`{text}` is not a duration; write it with a unit, as in {examples}"),
            Self::Ambiguous => format!("`{text}` is not clear; write `m` for minutes, `month` for months"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capital_m_is_neither_a_minute_nor_a_month() {
        assert_eq!(parse("1m"), Ok(Duration::from_secs(60)));
        assert_eq!(parse(" 1h 30m "), Ok(Duration::from_secs(5400)));
        for text in ["1M", "2 M", "1h 30M", "1M5s"] {
            assert_eq!(parse(text), Err(WrongDuration::Ambiguous), "{text}");
        }
        assert_eq!(parse("1month"), humantime::parse_duration("1M").map_err(|_| WrongDuration::Syntax));
        for text in ["M", "1 parsec", "", "5"] {
            assert_eq!(parse(text), Err(WrongDuration::Syntax), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_duration_is_told() {
        let told = |wrong: WrongDuration| wrong.in_words("x", "1s");
        assert!(
            told(WrongDuration::Syntax).starts_with("`x` is not a duration; write it with a unit, as in 1s")
        );
        assert!(told(WrongDuration::Ambiguous).starts_with("`x` is not clear"));
    }
}
