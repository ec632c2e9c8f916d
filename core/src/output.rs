//! Where points go.

use std::time::Duration;

use crate::batch::Batch;

/// Writes batches somewhere. Outputs run side by side and get the same batches, each in one thread at a time, in order: a
/// sampler's after a tick, or another where an output takes its time or ticks are short.
///
/// ```
/// use alumet::{Batch, Output};
///
/// struct Print;
///
/// impl Output for Print {
///     fn write(&mut self, batch: &Batch) -> anyhow::Result<()> {
///         for point in batch.points() {
///             println!("{:.3} {} {}", batch.seconds(point.time), batch.series(point.series), point.value);
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Output: Send {
    /// Writes one batch, and makes it safe: what was written survives a kill of the process.
    ///
    /// # Errors
    /// The points of the batch count as lost (an output that knows better returns [`Lost`]); the next batch is tried
    /// again.
    fn write(&mut self, batch: &Batch) -> anyhow::Result<()>;

    /// How old a point may be when it is written: points are collected for so long, and no thread is woken for them.
    /// For all outputs of an agent, the shortest counts.
    fn max_age(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// Called once, after the last batch.
    ///
    /// # Errors
    /// Reported as the output's failure. A [`Lost`] says how many points that were taken for written did not arrive after
    /// all.
    fn finish(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}

impl<F: FnMut(&Batch) -> anyhow::Result<()> + Send> Output for F {
    fn write(&mut self, batch: &Batch) -> anyhow::Result<()> {
        self(batch)
    }
}

/// A failed write, of a batch or at the end, of which some points arrived all the same.
#[derive(Debug, thiserror::Error)]
#[error("{}", crate::file::reason(cause))]
pub struct Lost {
    /// How many points did not arrive.
    pub points: usize,
    /// Why.
    pub cause: std::io::Error,
}
