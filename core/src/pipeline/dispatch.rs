//! From the samplers through the transforms to the outputs.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::element::{Element, ElementState};
use crate::batch::{Batch, Pool};
use crate::bound::BoundNotice;
use crate::output::{Lost, Output};
use crate::series::SeriesId;
use crate::time::Time;
use crate::transform::Transform;

/// What a full queue of an output means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// Wait for the output: for runs that end. Nothing is lost; samplers skip ticks and count them as missed.
    #[default]
    Wait,
    /// Leave the batch out for this output and count its points as lost: for live monitoring.
    Drop,
}

/// Batches that may wait in front of the dispatcher.
pub(super) const QUEUE: usize = 8;
/// Batches that may wait in front of each output, besides one of each sampler.
pub(super) const OUTPUT_QUEUE: usize = 4;

#[derive(Debug)]
pub(crate) enum Message {
    Batch(Arc<Batch>),
    /// Acknowledged when everything sent before has been written.
    Flush(oneshot::Sender<()>),
    /// Finish transforms and outputs; nothing comes after it.
    End(Time),
}

enum ToOutput {
    Batch(Arc<Batch>),
    Flush(oneshot::Sender<()>),
}

pub(super) struct Dispatcher {
    pub(super) transforms: Vec<(Arc<Element>, Box<dyn Transform>)>,
    pub(super) lanes: Vec<Lane>,
    pub(super) pool: Arc<Pool>,
    pub(super) overflow: Overflow,
    pub(super) untold: Untold,
}

/// What not every output has been told yet, because it had no room for the batch that says so.
#[derive(Default)]
pub(super) struct Untold {
    bounds: Vec<BoundNotice>,
    /// Series that have ended.
    retired: Vec<SeriesId>,
}

/// An output on a thread of its own, with the queue in front of it.
pub(super) struct Lane {
    element: Arc<Element>,
    queue: mpsc::Sender<ToOutput>,
    /// Resolves when the output has finished and its thread ends.
    finished: oneshot::Receiver<()>,
}

impl Dispatcher {
    /// Runs until [`Message::End`] and until every output has finished.
    pub(super) async fn run(mut self, mut from_samplers: mpsc::Receiver<Message>) {
        let lanes = std::mem::take(&mut self.lanes);
        while let Some(message) = from_samplers.recv().await {
            match message {
                Message::Batch(batch) => self.deliver(batch, &lanes, |t, batch| t.apply(batch)).await,
                Message::Flush(done) => {
                    for lane in &lanes {
                        let (flushed, wait) = oneshot::channel();
                        // An output that has gone has nothing to flush.
                        if lane.queue.send(ToOutput::Flush(flushed)).await.is_ok() {
                            let _ = wait.await;
                        }
                    }
                    let _ = done.send(());
                }
                Message::End(end) => {
                    self.finish_transforms(end, &lanes).await;
                    break;
                }
            }
        }
        for Lane { queue, finished, .. } in lanes {
            drop(queue);
            // Nothing is ever sent: it resolves when the thread drops its end.
            let _ = finished.await;
        }
    }

    async fn deliver(
        &mut self,
        mut batch: Arc<Batch>,
        lanes: &[Lane],
        apply: impl Fn(&mut dyn Transform, &mut Batch) -> anyhow::Result<()>,
    ) {
        let editable = Arc::get_mut(&mut batch).expect("a batch on its way has one owner");
        for (element, transform) in &mut self.transforms {
            if element.is_active() {
                // The error is on record with the element.
                let _ = element.call(|| apply(&mut **transform, editable));
            }
        }
        let misses_it =
            self.overflow == Overflow::Drop && lanes.iter().any(|lane| lane.queue.capacity() == 0);
        self.untold.tell(editable, misses_it);
        for lane in lanes.iter().filter(|lane| lane.element.state() != ElementState::Stopped) {
            let delivered = match self.overflow {
                Overflow::Wait => lane.queue.send(ToOutput::Batch(Arc::clone(&batch))).await.is_ok(),
                Overflow::Drop => lane.queue.try_send(ToOutput::Batch(Arc::clone(&batch))).is_ok(),
            };
            if !delivered {
                lane.element.count_lost(batch.points().len());
            }
        }
        self.pool.give(batch);
    }

    /// Every transform's last points go through the transforms behind it.
    async fn finish_transforms(&mut self, end: Time, lanes: &[Lane]) {
        if self.transforms.is_empty() && self.untold.bounds.is_empty() {
            return;
        }
        let mut batch = loop {
            match self.pool.take() {
                Some(batch) => break batch,
                None => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
            }
        };
        let editable = Arc::get_mut(&mut batch).expect("the pool gives batches with one owner");
        for (element, transform) in &mut self.transforms {
            if !element.is_active() {
                continue;
            }
            let first = editable.points().len();
            if first > 0 {
                let _ = element.call(|| transform.apply(editable));
            }
            let first = first.min(editable.points().len());
            let _ = element.call(|| transform.finish(editable));
            for point in &mut editable.points_mut()[first..] {
                if point.time == Time::default() {
                    point.time = end;
                }
            }
        }
        self.deliver(batch, lanes, |_, _| Ok(())).await;
    }
}

impl Untold {
    /// Adds it to this batch, which one of the outputs misses or none.
    fn tell(&mut self, batch: &mut Batch, misses_it: bool) {
        // The newest words come last, for the last counts.
        self.bounds.append(batch.bounds_mut());
        batch.bounds_mut().append(&mut self.bounds);
        batch.retired_mut().append(&mut self.retired);
        if misses_it {
            // To hear it twice does no harm. Of the words on one series the last suffices.
            let mut heard = HashSet::new();
            let newest = batch.bounds().iter().rev().filter(|notice| heard.insert(notice.series));
            self.bounds = newest.cloned().collect();
            // Every output hears of a series' end before its id means another, so it is told when all can hear it.
            self.retired.append(batch.retired_mut());
        }
    }
}

impl Lane {
    /// Starts the thread of one output, in front of which so many batches may wait.
    pub(super) fn start(
        element: Arc<Element>,
        mut output: Box<dyn Output>,
        capacity: usize,
    ) -> io::Result<Self> {
        let (queue, mut batches) = mpsc::channel(capacity);
        let (ends, finished) = oneshot::channel();
        let of_thread = Arc::clone(&element);
        // Not one of tokio's: those are started when they are needed, and a failure to do so is a panic.
        std::thread::Builder::new().name("alumet-output".into()).spawn(move || {
            let _ends: oneshot::Sender<()> = ends;
            while let Some(message) = batches.blocking_recv() {
                match message {
                    ToOutput::Batch(batch) => write(&of_thread, &mut *output, &batch),
                    ToOutput::Flush(done) => drop(done.send(())),
                }
            }
            if of_thread.is_active()
                // The error is on record with the element.
                && let Err(error) = of_thread.call(|| output.finish())
                && let Some(lost) = error.downcast_ref::<Lost>()
            {
                of_thread.recount_lost(lost.points);
            }
            drop(output);
        })?;
        Ok(Self { element, queue, finished })
    }
}

fn write(element: &Element, output: &mut dyn Output, batch: &Batch) {
    let points = batch.points().len();
    if !element.is_active() {
        element.count_lost(points);
        return;
    }
    let lost = match element.call(|| output.write(batch)) {
        Ok(()) => 0,
        Err(error) => error.downcast_ref::<Lost>().map_or(points, |lost| lost.points.min(points)),
    };
    element.count(points - lost);
    element.count_lost(lost);
}
