//! What reads meters.

use crate::batch::Batch;

/// Reads something and pushes what it read.
///
/// Everything is discovered and opened before: [`poll`](Source::poll) only reads open descriptors and pushes.
/// The first poll is made just before the run starts. It sets the counters' baselines, and the points that it pushes
/// are dropped; the last one is made when the application has ended, while the kernel still knows it.
///
/// ```
/// use alumet::{Batch, Metric, Series, SeriesId, Setup, Source, Interval};
///
/// struct Load { file: std::fs::File, series: SeriesId }
///
/// impl Source for Load {
///     fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()> {
///         use std::os::unix::fs::FileExt;
///         let mut text = [0; 64];
///         let n = self.file.read_at(&mut text, 0)?;
///         let first = std::str::from_utf8(&text[..n])?.split(' ').next().unwrap_or_default();
///         out.push(self.series, first.parse()?);
///         Ok(())
///     }
/// }
///
/// fn start(setup: &mut Setup) -> anyhow::Result<()> {
///     let file = std::fs::File::open(setup.host().procfs("loadavg"))?;
///     let series = setup.series(Series::new(Metric::gauge("system.load.1m", "1", "runnable tasks")))?;
///     setup.source("load", Interval::from_millis(1000), Load { file, series });
///     Ok(())
/// }
/// ```
pub trait Source: Send {
    /// Reads now.
    ///
    /// # Errors
    /// The error is counted, reported once in the summary, and the source is polled again; after ten errors in a row
    /// it is left out. Points pushed before the error are kept.
    fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()>;

    /// Called once, after the application has been reaped: pushes what is exact only then. The points are at the end
    /// mark.
    ///
    /// # Errors
    /// As for `poll`.
    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let _ = out;
        Ok(())
    }
}

impl<F: FnMut(&mut Batch) -> anyhow::Result<()> + Send> Source for F {
    fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        self(out)
    }
}
