//! How far repeated runs are: a bar on a terminal, nothing elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Streams;
use crate::quantity::{Quantity, Reading};
use crate::statistics::describe::describe;
use crate::terminal::Look;
use crate::units::GLUE;

/// The bar.
pub struct Progress {
    bar: ProgressBar,
    begun: Instant,
    /// The values so far of what is shown.
    shown: Vec<(Quantity, Vec<f64>)>,
}

impl Progress {
    /// For so many steps, each called `what`. Nothing is drawn into the application's output.
    pub fn new(what: &str, steps: usize, quiet: bool, streams: &Streams) -> Self {
        let is_drawn = !quiet && matches!(streams, Streams::Hidden(_));
        let target = if is_drawn { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(steps as u64), target);
        let colour = if Look::of_stderr().colours { ".cyan" } else { "" };
        let template = format!("  {what} {{pos}}/{{len}}  {{bar:32{colour}}}  {{wide_msg}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("█▌░"));
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        Self { bar, begun: Instant::now(), shown: Vec::new() }
    }

    /// One more step was made, in which this was read; so many are expected now.
    pub fn step(&mut self, readings: &[(Quantity, Reading)], expected: usize) {
        self.bar.set_length(expected as u64);
        self.bar.inc(1);
        for quantity in [Quantity::Time, Quantity::Energy] {
            let is_it = |(name, reading): &&(Quantity, Reading)| {
                *name == quantity && reading.provenance != "estimated"
            };
            let Some((_, reading)) = readings.iter().find(is_it) else { continue };
            match self.shown.iter_mut().find(|(name, _)| *name == quantity) {
                Some((_, values)) => values.push(reading.value),
                None => self.shown.push((quantity, vec![reading.value])),
            }
        }
        let mut words: Vec<String> =
            self.shown.iter().filter_map(|(quantity, values)| estimate(quantity, values)).collect();
        let (done, left) =
            (self.bar.position(), self.bar.length().unwrap_or(0).saturating_sub(self.bar.position()));
        if left > 0 {
            let left = self.begun.elapsed().as_secs_f64() / done as f64 * left as f64;
            words.push(format!("about {} left", crate::units::seconds(left)));
        }
        self.bar.set_message(words.join("   ").replace(GLUE, " "));
    }

    /// Takes it away.
    pub fn end(self) {
        self.bar.finish_and_clear();
    }
}

/// `4.02 s ± 0.03 s`.
fn estimate(quantity: &Quantity, values: &[f64]) -> Option<String> {
    let description = describe(values).ok()?;
    let mean = quantity.in_words(description.mean);
    Some(match description.stddev {
        Some(stddev) => format!("{mean} ± {}", quantity.in_words(stddev)),
        None => mean,
    })
}
