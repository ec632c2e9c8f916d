//! What edits batches between sources and outputs.

use crate::batch::Batch;

/// Edits the points on their way: derives, splits, filters, smooths. Transforms run in the order in which they were
/// added, on all batches of a run.
///
/// ```
/// use alumet::{Batch, Transform};
///
/// /// Leaves out what did not change.
/// struct NonZero;
///
/// impl Transform for NonZero {
///     fn apply(&mut self, batch: &mut Batch) -> anyhow::Result<()> {
///         batch.points_mut().retain(|point| point.value != 0.0);
///         Ok(())
///     }
/// }
/// ```
pub trait Transform: Send {
    /// Edits one batch. A series in [`Batch::retired`] has its last points in this batch.
    ///
    /// # Errors
    /// The error is counted and reported; the batch goes on as it is.
    fn apply(&mut self, batch: &mut Batch) -> anyhow::Result<()>;

    /// Called once at the end of the run, to emit what is still held back.
    ///
    /// # Errors
    /// As for `apply`.
    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let _ = out;
        Ok(())
    }
}

impl<F: FnMut(&mut Batch) -> anyhow::Result<()> + Send> Transform for F {
    fn apply(&mut self, batch: &mut Batch) -> anyhow::Result<()> {
        self(batch)
    }
}
