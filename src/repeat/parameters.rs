//! Values that are put in the place of names in a command, as hyperfine has them: `{NAME}`.

use crate::cli::Exec;
use crate::exit::Failure;
use crate::profile::Parameters;

/// More combinations than this are a mistake.
const MOST: usize = 10_000;

/// All combinations of the values that were asked for; one, an empty one, without any.
pub fn combinations(arguments: &Exec) -> Result<Vec<Parameters>, Failure> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for list in arguments.parameter_list.chunks_exact(2) {
        all.push((list[0].clone(), list[1].split(',').map(str::to_owned).collect()));
    }
    for scan in arguments.parameter_scan.chunks_exact(3) {
        all.push((scan[0].clone(), numbers(&scan[1], &scan[2], &arguments.parameter_step_size)?));
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

/// The numbers of a scan, with as many decimals as the most exact of the three.
fn numbers(min: &str, max: &str, step: &str) -> Result<Vec<String>, Failure> {
    let number = |text: &str| {
        let value = text.trim().parse::<f64>().ok().filter(|value| value.is_finite());
        value.ok_or_else(|| Failure::usage(format!("--parameter-scan: `{text}` is not a number")))
    };
    let (low, high, by) = (number(min)?, number(max)?, number(step)?);
    if by <= 0.0 || low > high || (high - low) / by > MOST as f64 {
        return Err(Failure::usage(format!(
            "--parameter-scan: from {min} to {max} in steps of {step} are no numbers"
        )));
    }
    let decimals = |text: &str| text.trim().split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let decimals = [min, max, step].into_iter().map(decimals).max().unwrap_or(0);
    // A step more or less than a rounding error beyond the end is on it.
    let steps = ((high - low) / by + 1e-9).floor() as usize;
    Ok((0..=steps).map(|i| format!("{:.decimals$}", low + by * i as f64)).collect())
}

/// The text with the values in the places of their names.
pub fn fill(text: &str, parameters: &Parameters) -> String {
    parameters.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
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
        for (min, max, step) in
            [("1", "0", "1"), ("0", "1", "0"), ("a", "1", "1"), ("0", "1e9", "1"), ("0", "inf", "1")]
        {
            assert!(numbers(min, max, step).is_err(), "{min} {max} {step}");
        }
    }

    #[test]
    fn names_are_replaced_wherever_they_stand() {
        let parameters: Parameters = [("n".to_owned(), "4".to_owned())].into();
        assert_eq!(fill("make -j{n} o{n}.bin {m}", &parameters), "make -j4 o4.bin {m}");
    }
}
