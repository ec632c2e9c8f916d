//! What the arguments of `compare` and `check` mean, and which status the result deserves.

use std::time::Duration;

use alumet_statistics::decision::Verdict;
use alumet_statistics::gate::Rule;
use alumet_statistics::sequential::Plan;

use super::gates::Gates;
use super::stored::Stored;
use super::{Comparison, Ended};
use crate::cli::{Comparing, Outputs, Repeating};
use crate::config::Timeout;
use crate::exit::{FAILED, Failure, SUCCESS, Status};
use crate::quantity::Quantity;
use crate::repeat::within;

/// A regression.
pub const REGRESSION: Status = Status::Code(3);
/// Neither a regression nor a pass.
pub const INCONCLUSIVE: Status = Status::Code(4);

const PAIRS: usize = 10;
/// With a lower cap, early looks cost more than they gain.
const FEWEST_ADAPTIVE_PAIRS: usize = 20;

/// The arguments, resolved.
pub struct Settled {
    pub gates: Gates,
    /// With the threshold of what has none of its own, and the error of all comparisons together.
    pub rule: Rule,
    /// How many versions are compared to the first.
    pub comparisons: usize,
    pub pairs: usize,
    pub adaptive: bool,
    pub max_time: Option<Duration>,
    pub warmups: usize,
}

impl Comparing {
    /// What the arguments mean, for so many versions that are each compared to the first.
    pub fn settle(&self, repeating: &Repeating, comparisons: usize) -> Result<Settled, Failure> {
        let threshold = share("--threshold", &self.threshold)?;
        let alpha: f64 = self.alpha.trim().parse().unwrap_or(f64::NAN);
        if !(1e-6..0.5).contains(&alpha) {
            return Err(Failure::usage(format!(
                "--alpha: `{}` is no probability between 0.000001 and 0.5",
                self.alpha
            )));
        }
        let pairs = self.pairs.unwrap_or(if self.adaptive { Plan::CAP } else { PAIRS });
        let fewest = if self.adaptive { FEWEST_ADAPTIVE_PAIRS } else { Rule::FEWEST_RUNS };
        if pairs < fewest {
            let with = if self.adaptive { " with --adaptive" } else { "" };
            return Err(Failure::usage(format!(
                "--pairs: {pairs} cannot decide anything; it takes {fewest} at least{with}"
            )));
        }
        within("--pairs", pairs)?;
        within("--warmup", repeating.warmup.unwrap_or(0))?;
        let max_time = self.max_time.clone().map(Timeout::try_from).transpose();
        let max_time = max_time.map_err(|why| Failure::usage(format!("--max-time: {why}")))?;
        let mut named: Vec<(Quantity, f64)> = Vec::new();
        for gate in self.gate.iter().flat_map(|list| list.split(',')).map(str::trim) {
            let (name, own) = match gate.split_once('=') {
                Some((name, own)) => (name.trim(), share("--gate", own)?),
                None => (gate, threshold),
            };
            if name.is_empty() {
                return Err(Failure::usage(format!("--gate: `{gate}` names nothing")));
            }
            if named.iter().any(|(known, _)| known.name() == name) {
                return Err(Failure::usage(format!("--gate: `{name}` is there twice")));
            }
            if let Some(usual) = Quantity::USUAL.iter().find(|usual| usual.name() == name.to_lowercase())
                && usual.name() != name
            {
                return Err(Failure::usage(format!("--gate: `{name}`: it is written `{}`", usual.name())));
            }
            if let Some(meant) = meant(name) {
                return Err(Failure::usage(format!(
                    "--gate: there is no metric `{name}`; did you mean `{}`?",
                    meant.name()
                )));
            }
            named.push((Quantity::parse(name), own));
        }
        if self.require_measured && named.iter().any(|(quantity, _)| *quantity != Quantity::Energy) {
            return Err(Failure::usage(
                "--require-measured wants energy to decide, and --gate something else",
            ));
        }
        let rule = Rule::new(threshold, alpha).map_err(|invalid| Failure::usage(invalid.to_string()))?;
        Ok(Settled {
            gates: Gates { named, threshold, require_measured: self.require_measured },
            rule,
            comparisons,
            pairs,
            adaptive: self.adaptive,
            max_time: max_time.map(|time| time.0),
            warmups: repeating.warmup.unwrap_or(1),
        })
    }

    /// The outputs of each run: none but its totals.
    pub fn outputs(&self) -> Outputs {
        let named = self.gate.iter().flat_map(|list| list.split(','));
        let named = named.map(|gate| gate.split('=').next().unwrap_or_default().trim());
        // An event that is to decide is counted.
        let gated: Vec<_> = named
            .filter(|name| !name.is_empty() && matches!(Quantity::parse(name), Quantity::Event(_)))
            .map(str::to_owned)
            .collect();
        let mut event = self.event.clone();
        event.extend(
            gated
                .into_iter()
                .filter(|name| !self.event.iter().any(|list| list.split(',').any(|e| e == name))),
        );
        Outputs {
            event,
            output: None,
            json: None,
            carbon: None,
            price: None,
            per_process: false,
            per_thread: false,
            top: 10,
            quiet: self.quiet,
            verbose: false,
        }
    }

    /// The status of several comparisons: the worst verdict counts.
    pub fn status(&self, comparisons: &[Comparison]) -> Status {
        let any = |verdict| comparisons.iter().any(|comparison| comparison.verdict == verdict);
        let is_void = comparisons.iter().any(Comparison::is_void);
        match (any(Verdict::Regression), any(Verdict::Inconclusive), self.inconclusive.as_deref()) {
            (true, ..) => REGRESSION,
            // Neither --inconclusive nor a pipeline that allows INCONCLUSIVE is to let it through.
            _ if is_void => FAILED,
            (false, true, None) => INCONCLUSIVE,
            (false, true, Some("fail")) => REGRESSION,
            _ => SUCCESS,
        }
    }
}

impl Settled {
    /// Whether so many pairs can decide anything.
    pub fn check_pairs(&self) -> Result<(), Failure> {
        self.enough(self.rule.fewest_pairs(self.gates.metrics(self.comparisons)), "")
    }

    /// Whether so many runs can, against a profile.
    pub fn check_runs(&self, baseline: &Stored) -> Result<(), Failure> {
        let stored = baseline.side.runs.len();
        let against = format!(" against {stored} runs of {}", baseline.side.title);
        self.enough(self.rule.fewest_runs(stored, self.gates.metrics(self.comparisons)), &against)
    }

    fn enough(&self, least: usize, against: &str) -> Result<(), Failure> {
        let pairs = self.pairs;
        if pairs >= least {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "--pairs: {pairs} cannot decide anything{against} with so many gates and versions, and this --alpha; it \
             takes {least} at least"
        )))
    }

    /// Says it if there are fewer runs than were planned; of an interruption the verdict does.
    pub fn remark_end(&self, comparison: &mut Comparison) {
        if comparison.ended == Ended::OutOfTime {
            let ((made, what), planned) = (comparison.design.size(), self.pairs);
            comparison.remarks.push(format!("the time was up after {made} of at most {planned} {what}"));
        }
    }
}

/// `2%`, `2` or `0.5 %` as a share.
fn share(flag: &str, text: &str) -> Result<f64, Failure> {
    let number = text.trim();
    let number = number.strip_suffix('%').unwrap_or(number).trim_end();
    match number.parse::<f64>() {
        // A thousand times as much is no threshold.
        Ok(percent) if (0.0..=1e5).contains(&percent) => Ok(percent / 100.0),
        _ => Err(Failure::usage(format!("{flag}: `{text}` is no percentage; write it as in `2%`"))),
    }
}

/// What people call otherwise, or mistype; what is near nothing may be an event.
fn meant(name: &str) -> Option<Quantity> {
    let usual = || Quantity::USUAL.into_iter();
    if usual().any(|quantity| quantity.name() == name) {
        return None;
    }
    let word = name.to_lowercase();
    Some(match word.as_str() {
        "watt" | "watts" | "power" | "joule" | "joules" => Quantity::Energy,
        "wall" | "wall-time" | "walltime" | "duration" | "runtime" | "elapsed" => Quantity::Time,
        "cpu-time" | "cputime" | "cpu_time" => Quantity::Cpu,
        "mem" | "ram" | "rss" | "peak" => Quantity::Memory,
        word => usual().find(|quantity| strsim::damerau_levenshtein(quantity.name(), word) <= 1)?,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::samples::comparison;
    use super::*;
    use crate::cli::{Cli, Command};

    fn status(settled_by: &[&str], comparisons: &[Comparison]) -> Status {
        let words = [&["alumet", "check"], settled_by, &["x"]].concat();
        match Cli::try_parse_from(words).unwrap().command {
            Command::Check(check) => check.comparing.status(comparisons),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn other_words_for_a_metric_are_no_events() {
        let name = |word| meant(word).map(|quantity| quantity.name().to_owned());
        for (word, expected) in [
            ("watts", "energy"),
            ("enrgy", "energy"),
            ("duration", "time"),
            ("RSS", "memory"),
            ("instruction", "instructions"),
        ] {
            assert_eq!(name(word).as_deref(), Some(expected), "{word}");
        }
        for word in ["energy", "cpu", "cs", "faults", "cycles", "msr/tsc/", "cpu-clock", "page-faults"] {
            assert_eq!(name(word), None, "{word}");
        }
    }

    #[test]
    fn an_inconclusive_comparison_counts_as_is_wanted_and_the_worst_of_several_does() {
        let [pass, worse, open] = [Verdict::Pass, Verdict::Regression, Verdict::Inconclusive].map(comparison);
        for (comparisons, statuses) in [
            (std::slice::from_ref(&pass), [SUCCESS; 3]),
            (std::slice::from_ref(&open), [INCONCLUSIVE, SUCCESS, REGRESSION]),
            (&[pass.clone(), open.clone()], [INCONCLUSIVE, SUCCESS, REGRESSION]),
            (&[open.clone(), worse, pass.clone()], [REGRESSION; 3]),
        ] {
            let ways = [&[][..], &["--inconclusive=pass"], &["--inconclusive=fail"]];
            assert_eq!(ways.map(|way| status(way, comparisons)), statuses, "{comparisons:?}");
        }
    }

    #[test]
    fn what_could_decide_nothing_is_let_through_by_no_setting_and_hides_no_regression() {
        let [pass, worse, open] = [Verdict::Pass, Verdict::Regression, Verdict::Inconclusive].map(comparison);
        let few = Comparison { needed: Some(6), ..open.clone() };
        let interrupted = Comparison { ended: Ended::Interrupted, ..open };
        for way in [&[][..], &["--inconclusive=pass"], &["--inconclusive=fail"]] {
            assert_eq!(status(way, std::slice::from_ref(&few)), FAILED);
            assert_eq!(status(way, &[pass.clone(), interrupted.clone()]), FAILED);
            assert_eq!(status(way, &[few.clone(), worse.clone()]), REGRESSION);
        }
    }
}
