//! How far repeated runs are: a bar on a terminal, nothing elsewhere.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::Streams;
use crate::quantity::{Quantity, Reading};
use crate::terminal::{Look, as_page, columns_of_stderr, is_dumb, is_utf8};
use crate::units::{GLUE, seconds};

/// The bar.
pub struct Progress {
    bar: ProgressBar,
    begun: Instant,
    /// No further step is made after this time.
    limit: Option<Duration>,
    /// The values so far of what is shown.
    shown: Vec<(Quantity, Running)>,
}

impl Progress {
    /// For so many steps, each called `what`, and no longer than the limit. Nothing is drawn into the application's output.
    pub fn new(what: &str, steps: usize, limit: Option<Duration>, quiet: bool, streams: &Streams) -> Self {
        let is_drawn =
            !quiet && !matches!(streams, Streams::Shown) && io::stderr().is_terminal() && !is_dumb();
        let target = match is_drawn {
            true => ProgressDrawTarget::term_like(Box::new(Line::default())),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(steps as u64), target);
        let colour = if Look::of_stderr().colours { ".cyan" } else { "" };
        let template = format!("  {what} {{pos}}/{{len}}  {{bar:24{colour}}}  {{wide_msg}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars(if is_utf8() { "█▌░" } else { "#>-" }));
        }
        // Where nobody looks, nobody is woken.
        if is_drawn {
            bar.enable_steady_tick(Duration::from_secs(1));
        }
        Self { bar, begun: Instant::now(), limit, shown: Vec::new() }
    }

    /// One more step was made, in which this was read; so many are expected now.
    pub fn step(&mut self, readings: &[(Quantity, Reading)], expected: usize) {
        self.bar.set_length(expected as u64);
        self.bar.inc(1);
        for quantity in [Quantity::Time, Quantity::Energy] {
            let is_it = |(name, reading): &&(Quantity, Reading)| *name == quantity && reading.unfit.is_none();
            let Some((_, reading)) = readings.iter().find(is_it) else { continue };
            match self.shown.iter_mut().find(|(name, _)| *name == quantity) {
                Some((_, running)) => running.add(reading.value),
                None => self.shown.push((quantity, Running::of(reading.value))),
            }
        }
        let shown = self.shown.iter().map(|(quantity, running)| running.in_words(quantity));
        let left = left(self.bar.position(), expected as u64, self.begun.elapsed(), self.limit);
        let left = left.map(|left| format!("about {} left", seconds(left.as_secs_f64())));
        let words: Vec<String> = left.into_iter().chain(shown).collect();
        self.bar.set_message(as_page(&words.join("   ").replace(GLUE, " "), Look::of_stderr()));
    }

    /// Takes it away.
    pub fn end(self) {
        self.bar.finish_and_clear();
    }
}

/// How long it takes from here if the steps go on like this; none if they are all made.
fn left(done: u64, expected: u64, elapsed: Duration, limit: Option<Duration>) -> Option<Duration> {
    let to_come = expected.checked_sub(done).filter(|to_come| *to_come > 0)?;
    let by_steps = elapsed.as_secs_f64() / done.max(1) as f64 * to_come as f64;
    let by_steps = Duration::try_from_secs_f64(by_steps).unwrap_or(Duration::MAX);
    Some(limit.map_or(by_steps, |limit| by_steps.min(limit.saturating_sub(elapsed))))
}

/// Mean and spread of what goes by, without keeping it (Welford, "Note on a method for calculating corrected sums of
/// squares and products", 1962).
struct Running {
    n: f64,
    mean: f64,
    squares: f64,
}

impl Running {
    fn of(value: f64) -> Self {
        Self { n: 1.0, mean: value, squares: 0.0 }
    }

    fn add(&mut self, value: f64) {
        self.n += 1.0;
        let from_old = value - self.mean;
        self.mean += from_old / self.n;
        self.squares += from_old * (value - self.mean);
    }

    fn stddev(&self) -> Option<f64> {
        (self.n > 1.0).then(|| (self.squares / (self.n - 1.0)).sqrt())
    }

    /// `4.02 s ± 0.03 s`.
    fn in_words(&self, quantity: &Quantity) -> String {
        let spread = self.stddev().map(|stddev| format!(" ± {}", quantity.in_words(stddev)));
        format!("{}{}", quantity.in_words(self.mean), spread.unwrap_or_default())
    }
}

/// stderr, whose last columns stay free: there the terminal shows `^C` when somebody types that. In the next line, it
/// would keep the bar from being taken away.
#[derive(Debug, Default)]
struct Line {
    unwritten: Mutex<String>,
}

/// As many as `^C` takes, and one for the cursor behind it.
const FREE: u16 = 3;

impl Line {
    fn put(&self, text: &str) -> io::Result<()> {
        self.unwritten.lock().map_err(|_| io::ErrorKind::Other)?.push_str(text);
        Ok(())
    }

    /// A cursor movement (ECMA-48, 8.3).
    fn go(&self, n: usize, way: char) -> io::Result<()> {
        if n == 0 { Ok(()) } else { self.put(&format!("\u{1b}[{n}{way}")) }
    }
}

impl TermLike for Line {
    fn width(&self) -> u16 {
        columns_of_stderr().saturating_sub(FREE).max(1)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.go(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.go(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.go(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.go(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.put(&format!("{text}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.put(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.put("\r\u{1b}[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let text = std::mem::take(&mut *self.unwritten.lock().map_err(|_| io::ErrorKind::Other)?);
        io::stderr().lock().write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alumet_statistics::describe::describe;

    #[test]
    fn what_is_left_is_what_the_steps_still_take_or_the_limit_leaves() {
        let s = Duration::from_secs;
        assert_eq!(left(2, 10, s(4), None), Some(s(16)));
        assert_eq!(left(2, 10, s(4), Some(s(10))), Some(s(6)));
        assert_eq!(left(2, 10, s(4), Some(s(100))), Some(s(16)));
        assert_eq!(left(2, 10, s(4), Some(s(3))), Some(s(0)));
        assert_eq!((left(10, 10, s(4), None), left(11, 10, s(4), None)), (None, None));
    }

    #[test]
    fn mean_and_spread_are_those_of_all_values() {
        let values = [11.3, 11.1, 12.9, 10.7, 11.0];
        let mut running = Running::of(values[0]);
        assert_eq!((running.mean, running.stddev()), (11.3, None));
        values[1..].iter().for_each(|value| running.add(*value));
        let all = describe(&values).unwrap();
        assert!((running.mean - all.mean).abs() < 1e-12);
        assert!((running.stddev().unwrap() - all.stddev.unwrap()).abs() < 1e-12);
    }
}
