//! An event on one thread or CPU: its counters, read together.
//!
//! On CPUs with several types of cores, an event has a counter for each type, of which one at a time can run: each is
//! wanted all the time and counts while the thread is on its cores (tools/perf/Documentation/intel-hybrid.txt in Linux).
//! Only their times together say whether the event had to share a counter with others.

use std::io;
use std::time::Duration;

use perf_event::Counter;

use crate::event::Event;
use crate::tally::{Reading, Tally};

/// The counters, and what they have come to.
#[derive(Debug)]
pub struct Counted {
    counters: Vec<Counter>,
    /// It is about one of several types of cores, and that it does not count elsewhere is no gap.
    on_one_type: bool,
    tally: Tally,
}

impl Counted {
    /// The counters of all parts of an event on one thread or CPU.
    pub fn new(event: &Event, counters: Vec<Counter>) -> Self {
        Self { counters, on_one_type: event.core_type.is_some(), tally: Tally::default() }
    }

    /// Reads them; the first reading is the baseline.
    ///
    /// # Errors
    /// A counter cannot be read.
    pub fn read(&mut self) -> io::Result<()> {
        let mut sum = Reading::default();
        for counter in &mut self.counters {
            sum = together(sum, read(counter)?);
        }
        if self.on_one_type {
            sum.enabled = sum.running;
        }
        self.tally.to(sum);
        Ok(())
    }

    /// Everything since the first reading.
    pub fn total(&self) -> Reading {
        self.tally.total()
    }
}

/// Counts and the times of counting add up; the time for which they are wanted is the same for all.
fn together(a: Reading, b: Reading) -> Reading {
    Reading { count: a.count + b.count, enabled: a.enabled.max(b.enabled), running: a.running + b.running }
}

fn read(counter: &mut Counter) -> io::Result<Reading> {
    let data = counter.read_full()?;
    let nanos =
        |time: Option<Duration>| time.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    Ok(Reading {
        count: data.count(),
        enabled: nanos(data.time_enabled()),
        running: nanos(data.time_running()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_changes_between_types_of_cores_is_counted_once() {
        let core = Reading { count: 300, enabled: 1000, running: 600 };
        let atom = Reading { count: 100, enabled: 1001, running: 400 };
        assert_eq!(together(core, atom), Reading { count: 400, enabled: 1001, running: 1000 });
    }
}
