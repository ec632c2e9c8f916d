//! The numbers that a person looks for first, as the screen shows them: of each run, and of all together. They are made of
//! the metrics by the rules by which runs are compared.

use std::collections::BTreeMap;

use alumet::Bound;
use alumet_statistics::describe::describe;
use serde::Serialize;

use super::metric::MetricTotal;
use super::wall::Wall;
use crate::derived::Derived;
use crate::mark::{is_exact, marked};
use crate::quantity::{Quantity, derived};
use crate::units::GLUE;

/// Values by name: what was put in the places of names in the command.
pub type Parameters = BTreeMap<String, String>;

/// A quantity of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Headline {
    pub quantity: Quantity,
    pub unit: &'static str,
    pub value: f64,
    /// The value with what is to be known of it at once, as on the screen: `~ 96 J`, `at most 2.8 MB`.
    pub text: String,
    pub provenance: String,
    pub method: String,
    #[serde(skip_serializing_if = "is_exact")]
    pub bound: Option<Bound>,
}

/// The same over all runs with these parameters.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    pub quantity: Quantity,
    pub unit: &'static str,
    #[serde(skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    pub n: usize,
    pub mean: f64,
    pub median: f64,
    pub min: f64,
    pub max: f64,
    /// Absent where one run says nothing of it.
    pub stddev: Option<f64>,
    pub ci95: Option<[f64; 2]>,
    /// The mean, as [`Headline::text`].
    pub text: String,
    pub provenance: String,
    pub method: String,
    #[serde(skip_serializing_if = "is_exact")]
    pub bound: Option<Bound>,
}

/// The value as every table shows it, with plain spaces.
fn text(quantity: &Quantity, provenance: &str, bound: Option<Bound>, value: f64) -> String {
    marked(provenance, bound, &quantity.in_words(value)).replace(GLUE, " ")
}

impl Headline {
    /// Those that this run has.
    pub fn all(wall: &Wall, metrics: &[MetricTotal], follows: &[Derived]) -> Vec<Self> {
        let measured = Quantity::USUAL
            .into_iter()
            .filter_map(|quantity| Some((quantity.clone(), quantity.of_run(wall, metrics)?)));
        let headline = |(quantity, reading): (Quantity, crate::quantity::Reading)| Self {
            unit: quantity.unit(),
            text: text(&quantity, &reading.provenance, reading.bound, reading.value),
            quantity,
            value: reading.value,
            provenance: reading.provenance,
            method: reading.method,
            bound: reading.bound,
        };
        measured.chain(derived(follows)).map(headline).collect()
    }
}

/// The headlines of many runs, in the order in which they first occur.
#[derive(Debug, Default)]
pub struct Headlines {
    /// The first of its kind, and the values of all.
    columns: Vec<(Headline, Parameters, Vec<f64>)>,
}

impl Headlines {
    pub fn add(&mut self, headlines: &[Headline], with: &Parameters) {
        for headline in headlines {
            let is_it = |(first, parameters, _): &&mut (Headline, Parameters, _)| {
                first.quantity == headline.quantity && parameters == with
            };
            match self.columns.iter_mut().find(is_it) {
                Some((first, _, values)) => {
                    first.bound = first.bound.and_then(|bound| bound.and(headline.bound?));
                    // Of an estimate and a measurement, the mean is an estimate.
                    if headline.provenance == "estimated" {
                        first.provenance.clone_from(&headline.provenance);
                        first.method.clone_from(&headline.method);
                    }
                    values.push(headline.value);
                }
                None => {
                    self.columns.push((headline.clone(), with.clone(), vec![headline.value]));
                }
            }
        }
    }

    pub fn summary(&self) -> Vec<Summary> {
        let summary = |(first, parameters, values): &(Headline, Parameters, Vec<f64>)| {
            // Sums of finite numbers may not be; then there is nothing to say.
            let description = describe(values).ok()?;
            Some(Summary {
                quantity: first.quantity.clone(),
                unit: first.unit,
                parameters: parameters.clone(),
                n: description.n,
                mean: description.mean,
                median: description.median,
                min: description.min,
                max: description.max,
                stddev: description.stddev,
                ci95: description.ci95.map(|interval| [interval.low, interval.high]),
                text: text(&first.quantity, &first.provenance, first.bound, description.mean),
                provenance: first.provenance.clone(),
                method: first.method.clone(),
                bound: first.bound,
            })
        };
        self.columns.iter().filter_map(summary).collect()
    }
}
