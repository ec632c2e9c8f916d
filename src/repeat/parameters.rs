//! Values that are put in the place of names in a command, as hyperfine has them: `{NAME}`.

use std::ffi::{OsStr, OsString};

use crate::cli::Varying;
use crate::exit::Failure;
use crate::profile::Parameters;

/// More combinations than this are a mistake.
const MOST: usize = 10_000;
/// Above, a number has not all of its digits.
const LARGEST: f64 = 1e15;

impl Varying {
    /// Whether anything varies.
    pub fn is_asked(&self) -> bool {
        !self.parameter_list.is_empty() || !self.parameter_scan.is_empty()
    }

    /// All combinations of the values that were asked for; one, an empty one, without any. Each is in one of these texts.
    pub fn combinations<'a>(
        &self,
        texts: impl Iterator<Item = &'a OsStr> + Clone,
    ) -> Result<Vec<Parameters>, Failure> {
        let combinations = self.all()?;
        for name in combinations.first().into_iter().flat_map(Parameters::keys) {
            let place = format!("{{{name}}}");
            let is_there = |text: &OsStr| {
                text.as_encoded_bytes().windows(place.len()).any(|part| part == place.as_bytes())
            };
            if !texts.clone().any(is_there) {
                return Err(Failure::usage(format!(
                    "the parameter `{name}` changes nothing: there is no {place} in the command"
                )));
            }
        }
        Ok(combinations)
    }

    fn all(&self) -> Result<Vec<Parameters>, Failure> {
        let mut all: Vec<(String, Vec<String>)> = Vec::new();
        for list in self.parameter_list.chunks_exact(2) {
            all.push((list[0].clone(), values(&list[1])));
        }
        for scan in self.parameter_scan.chunks_exact(3) {
            all.push((scan[0].clone(), numbers(&scan[1], &scan[2], &self.parameter_step_size)?));
        }
        let mut combinations = vec![Parameters::new()];
        for (name, values) in all {
            if combinations.iter().any(|known| known.contains_key(&name)) {
                return Err(Failure::usage(format!("the parameter `{name}` is there twice")));
            }
            let with = |known: &Parameters, value: &String| {
                let mut parameters = known.clone();
                parameters.insert(name.clone(), value.clone());
                parameters
            };
            combinations =
                combinations.iter().flat_map(|known| values.iter().map(|value| with(known, value))).collect();
            if combinations.len() > MOST {
                return Err(Failure::usage(format!("more than {MOST} combinations of parameters")));
            }
        }
        Ok(combinations)
    }
}

/// `n = 1, m = 2`.
pub fn in_words(parameters: &Parameters) -> String {
    parameters.iter().map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join(", ")
}

/// A word with the values in the places of their names. What is no text has no names in it.
pub fn filled(word: &OsString, parameters: &Parameters) -> OsString {
    word.to_str().map_or_else(|| word.clone(), |text| fill(text, parameters).into())
}

/// The values of a list: between commas, of which `\,` is none; `\\` is a backslash, and any other stands for itself.
fn values(list: &str) -> Vec<String> {
    let mut values = vec![String::new()];
    let mut chars = list.chars().peekable();
    while let Some(c) = chars.next() {
        let c = match c {
            ',' => {
                values.push(String::new());
                continue;
            }
            '\\' => chars.next_if(|next| matches!(next, ',' | '\\')).unwrap_or(c),
            c => c,
        };
        values.last_mut().expect("there is one").push(c);
    }
    values
}

/// The numbers of a scan, with as many decimals as the most exact of the three.
fn numbers(min: &str, max: &str, step: &str) -> Result<Vec<String>, Failure> {
    let number = |text: &str| {
        let value = text.trim().parse::<f64>().ok().filter(|value| value.is_finite());
        value.ok_or_else(|| Failure::usage(format!("--parameter-scan: `{text}` is not a number")))
    };
    let (low, high, by) = (number(min)?, number(max)?, number(step)?);
    let what = match () {
        () if by <= 0.0 => Some("no step is as small".to_owned()),
        () if low > high => Some("MIN is larger than MAX".to_owned()),
        () if (high - low) / by > MOST as f64 => Some(format!("that is more than {MOST} numbers")),
        () if low.abs().max(high.abs()) > LARGEST => Some("so large a number is not exact".to_owned()),
        () => None,
    };
    if let Some(what) = what {
        let scan = format!("from {min} to {max} in steps of {step}");
        return Err(Failure::usage(format!("--parameter-scan: {scan}: {what}")));
    }
    // Written with an exponent, a number shows its decimals when it is written without.
    let plain = |value: f64, text: &str| {
        if text.contains(['e', 'E']) { value.to_string() } else { text.trim().to_owned() }
    };
    let decimals = |text: String| text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let texts = [plain(low, min), plain(high, max), plain(by, step)];
    let decimals = texts.into_iter().map(decimals).max().unwrap_or(0);
    // A step more or less than a rounding error beyond the end is on it.
    let steps = ((high - low) / by + 1e-9).floor() as usize;
    Ok((0..=steps).map(|i| format!("{:.decimals$}", low + by * i as f64)).collect())
}

/// The text with the values in the places of their names. What a value brings is left as it is.
pub fn fill(text: &str, parameters: &Parameters) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let value = rest.find('}').and_then(|end| Some((end, parameters.get(&rest[1..end])?)));
        match value {
            Some((end, value)) => {
                filled.push_str(value);
                rest = &rest[end + 1..];
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_has_both_ends_and_no_rounding_errors() {
        assert_eq!(numbers("1", "3", "1").unwrap(), ["1", "2", "3"]);
        assert_eq!(numbers("0", "0.5", "0.1").unwrap(), ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"]);
        assert_eq!(numbers("-1", "1", "2").unwrap(), ["-1", "1"]);
        assert_eq!(numbers("1", "2.5", "1").unwrap(), ["1.0", "2.0"]);
        assert_eq!(numbers("0", "1e-1", "5e-2").unwrap(), ["0.00", "0.05", "0.10"]);
        for (min, max, step) in [
            ("1", "0", "1"),
            ("0", "1", "0"),
            ("a", "1", "1"),
            ("0", "1e9", "1"),
            ("0", "inf", "1"),
            ("1e300", "1e300", "1"),
        ] {
            assert!(numbers(min, max, step).is_err(), "{min} {max} {step}");
        }
    }

    #[test]
    fn a_comma_that_is_escaped_parts_no_values() {
        assert_eq!(values("a,b"), ["a", "b"]);
        assert_eq!(values(r"a\,b,c"), ["a,b", "c"]);
        assert_eq!(values(r"a\\,b\"), [r"a\", r"b\"]);
        assert_eq!(values(r"C:\dir,"), [r"C:\dir", ""]);
    }

    #[test]
    fn names_are_replaced_wherever_they_stand() {
        let parameters: Parameters = [("n".to_owned(), "4".to_owned())].into();
        assert_eq!(fill("make -j{n} o{n}.bin {m}", &parameters), "make -j4 o4.bin {m}");
        let nested: Parameters =
            [("a".to_owned(), "{b}".to_owned()), ("b".to_owned(), "Z".to_owned())].into();
        assert_eq!(fill("{a} {b} {{b}} {", &nested), "{b} Z {Z} {");
    }
}
