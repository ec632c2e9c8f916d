//! From the samplers through the transforms to the outputs, by whoever has the time.
//!
//! What is to be done stands on a [`Board`]: batches that wait for the transforms, and in front of each output those that
//! have been through them. A thread [works](Delivery::work) until nothing is left that nobody else is doing. For an
//! interval that leaves time for it, that is the sampler's thread after its tick, so that nobody else is woken; if an output
//! keeps it, another thread takes the sampler over (`standby`). For short intervals there are [couriers](Delivery::hire).
//!
//! Transforms and outputs are each called by one thread at a time, and get all batches in one order.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::element::{Element, ElementState};
use crate::batch::{Batch, Pool};
use crate::bound::BoundNotice;
use crate::output::{Lost, Output};
use crate::registry::Registry;
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

/// Batches that may wait for the transforms.
const INBOX: usize = 8;
/// Batches that may wait in front of each output, besides one of each sampler.
const OUTPUT_QUEUE: usize = 4;

/// Resolves when every output has dropped its share of the other end.
pub(super) type Done = oneshot::Receiver<()>;
type Share = Arc<oneshot::Sender<()>>;

pub(super) struct Delivery {
    board: Mutex<Board>,
    /// There is something to do.
    work_came: Condvar,
    /// Something was done, so that there may be room.
    progress: Condvar,
    pool: Arc<Pool>,
    registry: Arc<Registry>,
    overflow: Overflow,
}

struct Board {
    inbox: VecDeque<Message>,
    /// Out while a thread works with them.
    transforms: Option<Transforms>,
    lanes: Vec<Lane>,
    /// Batches that may wait in front of each output.
    lane_capacity: usize,
    /// How many samplers have yet to finish, and what comes then.
    end: Option<(usize, Time, Share)>,
    has_ended: bool,
    /// Threads that wait for one of the two.
    idle: usize,
    blocked: usize,
}

enum Message {
    Batch(Arc<Batch>),
    /// Acknowledged when everything sent before has been written.
    Flush(Share),
    /// Finish transforms and outputs; nothing comes after it.
    End(Time, Share),
}

enum ToOutput {
    Batch(Arc<Batch>),
    Flush(#[expect(dead_code, reason = "it tells by being dropped")] Share),
    /// Finish.
    End(#[expect(dead_code, reason = "it tells by being dropped")] Share),
}

struct Transforms {
    elements: Vec<(Arc<Element>, Box<dyn Transform>)>,
    untold: Untold,
}

/// What not every output has been told yet, because it had no room for the batch that says so.
#[derive(Default)]
struct Untold {
    bounds: Vec<BoundNotice>,
    /// Series that have ended.
    retired: Vec<SeriesId>,
}

/// An output with the queue in front of it.
struct Lane {
    element: Arc<Element>,
    queue: VecDeque<ToOutput>,
    /// Out while a thread works with it; gone when it has finished.
    output: Option<Box<dyn Output>>,
}

enum Job {
    Transform(Message, Transforms),
    Write(usize, Arc<Element>, ToOutput, Box<dyn Output>),
}

impl Board {
    /// After the end, whatever comes is dropped.
    fn post(&mut self, message: Message) {
        if !self.has_ended {
            self.inbox.push_back(message);
        }
    }

    fn end_if_all_finished(&mut self) {
        if let Some((_, end, share)) = self.end.take_if(|(samplers, ..)| *samplers == 0) {
            self.post(Message::End(end, share));
        }
    }

    /// Something to do that nobody does yet. Outputs come first: that makes room.
    fn take(&mut self, overflow: Overflow) -> Option<Job> {
        for (i, lane) in self.lanes.iter_mut().enumerate() {
            if lane.output.is_some()
                && let Some(message) = lane.queue.pop_front()
                && let Some(output) = lane.output.take()
            {
                return Some(Job::Write(i, Arc::clone(&lane.element), message, output));
            }
        }
        let has_room =
            overflow == Overflow::Drop || self.lanes.iter().all(|lane| lane.queue.len() < self.lane_capacity);
        if !has_room || self.transforms.is_none() {
            return None;
        }
        Some(Job::Transform(self.inbox.pop_front()?, self.transforms.take()?))
    }

    fn has_more(&self) -> bool {
        let has_mail = self.transforms.is_some() && !self.inbox.is_empty();
        has_mail || self.lanes.iter().any(|lane| lane.output.is_some() && !lane.queue.is_empty())
    }
}

impl Delivery {
    /// Allows the pool what may be on its way at once, besides what samplers hold.
    pub(super) fn new(
        transforms: Vec<(Arc<Element>, Box<dyn Transform>)>,
        outputs: Vec<(Arc<Element>, Box<dyn Output>)>,
        samplers: usize,
        overflow: Overflow,
        pool: Arc<Pool>,
        registry: Arc<Registry>,
    ) -> Self {
        // Samplers may all send at once.
        let lane_capacity = OUTPUT_QUEUE + samplers;
        pool.allow(INBOX + outputs.len() * (lane_capacity + 1));
        let lane = |(element, output)| Lane {
            element,
            // Markers need room as well.
            queue: VecDeque::with_capacity(lane_capacity + 2),
            output: Some(output),
        };
        let board = Board {
            inbox: VecDeque::with_capacity(INBOX + 2),
            transforms: Some(Transforms { elements: transforms, untold: Untold::default() }),
            lanes: outputs.into_iter().map(lane).collect(),
            lane_capacity,
            end: None,
            has_ended: false,
            idle: 0,
            blocked: 0,
        };
        Self {
            board: Mutex::new(board),
            work_came: Condvar::new(),
            progress: Condvar::new(),
            pool,
            registry,
            overflow,
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is nobody to deliver to.
    pub(super) fn is_for_nobody(&self) -> bool {
        self.board().lanes.is_empty()
    }

    /// Puts a batch on the board; gives it back if there is no room.
    pub(super) fn put(&self, batch: Arc<Batch>) -> Result<(), Arc<Batch>> {
        let mut board = self.board();
        if board.lanes.is_empty() {
            // For nobody.
            self.pool.give(batch);
            return Ok(());
        }
        if board.inbox.len() >= INBOX {
            return Err(batch);
        }
        board.post(Message::Batch(batch));
        Ok(())
    }

    /// The same, but makes room, or waits for it.
    pub(super) fn put_patiently(&self, batch: Arc<Batch>) {
        let mut board = self.board();
        while board.inbox.len() >= INBOX {
            board = match board.take(self.overflow) {
                Some(job) => self.execute(job, board),
                None => {
                    board.blocked += 1;
                    let mut board = self.progress.wait(board).unwrap_or_else(PoisonError::into_inner);
                    board.blocked -= 1;
                    board
                }
            };
        }
        board.post(Message::Batch(batch));
    }

    /// Works until nothing is left to do that nobody else does.
    pub(super) fn work(&self) {
        let mut board = self.board();
        while let Some(job) = board.take(self.overflow) {
            board = self.execute(job, board);
        }
    }

    /// Lets somebody else do what is to be done. There is somebody if couriers were hired.
    pub(super) fn call(&self) {
        if self.board().idle > 0 {
            self.work_came.notify_one();
        }
    }

    /// One courier for each output: a thread that waits for work.
    ///
    /// # Errors
    /// No thread can be had.
    pub(super) fn hire(self: &Arc<Self>) -> io::Result<()> {
        let outputs = self.board().lanes.len();
        for _ in 0..outputs {
            let delivery = Arc::clone(self);
            spawn(move || delivery.serve())?;
        }
        Ok(())
    }

    fn serve(&self) {
        let mut board = self.board();
        loop {
            board = match board.take(self.overflow) {
                Some(job) => self.execute(job, board),
                None if board.has_ended => return,
                None => {
                    board.idle += 1;
                    let mut board = self.work_came.wait(board).unwrap_or_else(PoisonError::into_inner);
                    board.idle -= 1;
                    board
                }
            };
        }
    }

    /// Gets somebody to do what is to be done now. Without another thread, it is done by whoever works next.
    pub(super) fn help(self: &Arc<Self>) {
        let board = self.board();
        if board.idle > 0 {
            self.work_came.notify_one();
        } else if board.has_more() {
            let delivery = Arc::clone(self);
            let _ = spawn(move || delivery.work());
        }
    }

    /// Resolves when everything put so far has been written by every output, and somebody works.
    pub(super) fn flush(&self) -> Done {
        let (share, done) = share();
        self.board().post(Message::Flush(share));
        done
    }

    /// When so many samplers have [finished](Self::sampler_finished), transforms and outputs finish, at this time. Resolves
    /// when they have.
    pub(super) fn end_after(&self, samplers: usize, end: Time) -> Done {
        let (share, done) = share();
        let mut board = self.board();
        board.end = Some((samplers, end, share));
        board.end_if_all_finished();
        done
    }

    pub(super) fn sampler_finished(&self) {
        let mut board = self.board();
        if let Some((samplers, ..)) = &mut board.end {
            *samplers = samplers.saturating_sub(1);
        }
        board.end_if_all_finished();
    }

    fn execute<'b>(&'b self, job: Job, mut board: MutexGuard<'b, Board>) -> MutexGuard<'b, Board> {
        if board.idle > 0 && board.has_more() {
            self.work_came.notify_one();
        }
        drop(board);
        match job {
            Job::Transform(message, mut transforms) => {
                match message {
                    Message::Batch(batch) => self.deliver(&mut transforms, batch),
                    Message::Flush(share) => {
                        for lane in &mut self.board().lanes {
                            lane.queue.push_back(ToOutput::Flush(Arc::clone(&share)));
                        }
                    }
                    Message::End(end, share) => {
                        self.finish_transforms(&mut transforms, end);
                        let mut board = self.board();
                        for lane in &mut board.lanes {
                            lane.queue.push_back(ToOutput::End(Arc::clone(&share)));
                        }
                        board.has_ended = true;
                        // What was asked for too late is answered by being dropped.
                        board.inbox.clear();
                        self.work_came.notify_all();
                    }
                }
                board = self.board();
                board.transforms = Some(transforms);
            }
            Job::Write(i, element, message, mut output) => {
                let is_end = matches!(message, ToOutput::End(_));
                match &message {
                    ToOutput::Batch(batch) => write(&element, &mut *output, batch),
                    ToOutput::Flush(_) => {}
                    ToOutput::End(_) => finish(&element, &mut *output),
                }
                let output = (!is_end).then_some(output);
                drop(message);
                board = self.board();
                board.lanes[i].output = output;
            }
        }
        if board.blocked > 0 {
            self.progress.notify_all();
        }
        board
    }
}

impl Delivery {
    fn deliver(&self, transforms: &mut Transforms, mut batch: Arc<Batch>) {
        let editable = Arc::get_mut(&mut batch).expect("a batch on its way has one owner");
        for (element, transform) in transforms.elements.iter_mut().filter(|(element, _)| element.is_active())
        {
            // The error is on record with the element.
            let _ = element.call(|| transform.apply(editable));
        }
        self.hand_out(&mut transforms.untold, batch);
    }

    /// Every transform's last points go through the transforms behind it.
    fn finish_transforms(&self, transforms: &mut Transforms, end: Time) {
        if transforms.elements.is_empty() && transforms.untold.bounds.is_empty() {
            return;
        }
        let mut batch = Batch::new(Arc::clone(&self.registry));
        for (element, transform) in transforms.elements.iter_mut().filter(|(element, _)| element.is_active())
        {
            let first = batch.points().len();
            if first > 0 {
                let _ = element.call(|| transform.apply(&mut batch));
            }
            let first = first.min(batch.points().len());
            let _ = element.call(|| transform.finish(&mut batch));
            for point in &mut batch.points_mut()[first..] {
                if point.time == Time::default() {
                    point.time = end;
                }
            }
        }
        self.hand_out(&mut transforms.untold, Arc::new(batch));
    }

    /// Puts a batch that has been through the transforms in front of every output.
    fn hand_out(&self, untold: &mut Untold, mut batch: Arc<Batch>) {
        let editable = Arc::get_mut(&mut batch).expect("no output has it yet");
        let mut board = self.board();
        let capacity = board.lane_capacity;
        let may_drop = self.overflow == Overflow::Drop;
        let misses_it = may_drop && board.lanes.iter().any(|lane| lane.queue.len() >= capacity);
        untold.tell(editable, misses_it);
        for lane in board.lanes.iter_mut().filter(|lane| lane.element.state() != ElementState::Stopped) {
            if may_drop && lane.queue.len() >= capacity {
                lane.element.count_lost(batch.points().len());
            } else {
                lane.queue.push_back(ToOutput::Batch(Arc::clone(&batch)));
            }
        }
        drop(board);
        self.pool.give(batch);
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

fn share() -> (Share, Done) {
    let (share, done) = oneshot::channel();
    (Arc::new(share), done)
}

/// Not one of tokio's threads: those are started when they are needed, and a failure to do so is a panic.
fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name("alumet-output".into()).spawn(work).map(drop)
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

fn finish(element: &Element, output: &mut dyn Output) {
    if element.is_active()
        // The error is on record with the element.
        && let Err(error) = element.call(|| output.finish())
        && let Some(lost) = error.downcast_ref::<Lost>()
    {
        element.recount_lost(lost.points);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::ElementKind;
    use crate::{Bound, Metric, Series};
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;
    use std::time::{Duration, Instant};

    const LONG: Duration = Duration::from_secs(30);

    fn delivery(
        transforms: Vec<Box<dyn Transform>>,
        outputs: Vec<Box<dyn Output>>,
        overflow: Overflow,
    ) -> Arc<Delivery> {
        let registry = Registry::new();
        let pool = Arc::new(Pool::new(Arc::clone(&registry)));
        pool.allow(100);
        let element = |kind| Element::new("e".into(), kind);
        let transforms = transforms.into_iter().map(|one| (element(ElementKind::Transform), one)).collect();
        let outputs = outputs.into_iter().map(|one| (element(ElementKind::Output), one)).collect();
        Arc::new(Delivery::new(transforms, outputs, 0, overflow, pool, registry))
    }

    impl Delivery {
        fn empty(&self) -> Arc<Batch> {
            self.pool.take().unwrap()
        }

        fn post(&self) {
            self.put(self.empty()).unwrap();
        }
    }

    fn quiet() -> Box<dyn Output> {
        Box::new(|_: &Batch| Ok(()))
    }

    /// An output that waits in each write until it is told to go on, or nobody is there to tell it.
    fn held(by: Receiver<()>) -> Box<dyn Output> {
        Box::new(move |_: &Batch| {
            let _ = by.recv();
            Ok(())
        })
    }

    #[track_caller]
    fn soon(mut is_so: impl FnMut() -> bool) {
        let end = Instant::now() + LONG;
        while !is_so() {
            assert!(Instant::now() < end, "it does not come about");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn there_is_more_to_do_where_something_waits_for_somebody_who_is_free() {
        let delivery = delivery(vec![], vec![quiet()], Overflow::Wait);
        assert!(!delivery.board().has_more());
        delivery.post();
        assert!(delivery.board().has_more());
        let transforms = delivery.board().transforms.take();
        assert!(!delivery.board().has_more(), "somebody works with the transforms");
        delivery.board().transforms = transforms;
        let message = ToOutput::Batch(delivery.empty());
        delivery.board().inbox.clear();
        delivery.board().lanes[0].queue.push_back(message);
        assert!(delivery.board().has_more());
        let output = delivery.board().lanes[0].output.take();
        assert!(output.is_some() && !delivery.board().has_more(), "somebody writes");
    }

    #[test]
    fn a_batch_waits_for_the_transforms_while_an_output_has_no_room() {
        for (overflow, waiting, is_taken) in [
            (Overflow::Wait, OUTPUT_QUEUE, false),
            (Overflow::Wait, OUTPUT_QUEUE - 1, true),
            (Overflow::Drop, OUTPUT_QUEUE, true),
        ] {
            let delivery = delivery(vec![], vec![quiet()], overflow);
            delivery.post();
            let batches: Vec<_> = (0..waiting).map(|_| ToOutput::Batch(delivery.empty())).collect();
            let mut board = delivery.board();
            board.lanes[0].output = None;
            board.lanes[0].queue.extend(batches);
            assert_eq!(board.take(overflow).is_some(), is_taken, "{overflow:?}, {waiting}");
        }
    }

    #[test]
    fn whoever_waits_for_room_goes_on_when_there_is_some() {
        let (go, told) = channel();
        let delivery = delivery(vec![], vec![held(told)], Overflow::Wait);
        delivery.post();
        let writer = {
            let delivery = Arc::clone(&delivery);
            thread::spawn(move || delivery.work())
        };
        soon(|| delivery.board().lanes[0].output.is_none());
        // In front of the output, and in the inbox.
        for _ in 0..OUTPUT_QUEUE {
            delivery.post();
        }
        delivery.work();
        (0..INBOX).for_each(|_| delivery.post());
        assert!(delivery.put(delivery.empty()).is_err());
        let patient = {
            let delivery = Arc::clone(&delivery);
            thread::spawn(move || delivery.put_patiently(delivery.empty()))
        };
        soon(|| delivery.board().blocked == 1);
        drop(go);
        soon(|| patient.is_finished());
        writer.join().unwrap();
        delivery.work();
        let board = delivery.board();
        assert_eq!((board.blocked, board.inbox.len()), (0, 0));
        assert_eq!(board.lanes[0].element.report().errors, 0);
    }

    #[test]
    fn couriers_write_when_they_are_called_and_leave_at_the_end() {
        let (tell, written) = channel();
        let output = move |_: &Batch| Ok(tell.send(thread::current().id())?);
        let delivery = delivery(vec![], vec![Box::new(output)], Overflow::Wait);
        delivery.hire().unwrap();
        let mut couriers = HashSet::new();
        for round in 0..6 {
            soon(|| delivery.board().idle == 1);
            delivery.post();
            if round % 2 == 0 {
                delivery.call()
            } else {
                delivery.help()
            }
            couriers.insert(written.recv_timeout(LONG).unwrap());
        }
        assert_eq!(couriers.len(), 1, "nobody else is started while a courier is idle");
        soon(|| delivery.board().idle == 1);
        let _done = delivery.end_after(0, Time::default());
        delivery.call();
        soon(|| Arc::strong_count(&delivery) == 1);
        assert_eq!(delivery.board().idle, 0);
    }

    #[test]
    fn a_courier_that_writes_gets_another_for_the_next_output() {
        let (tell, told) = channel();
        let first = move |_: &Batch| Ok(told.recv_timeout(LONG)?);
        let second = move |_: &Batch| Ok(tell.send(())?);
        let delivery = delivery(vec![], vec![Box::new(first), Box::new(second)], Overflow::Wait);
        delivery.hire().unwrap();
        soon(|| delivery.board().idle == 2);
        delivery.post();
        delivery.call();
        soon(|| {
            let board = delivery.board();
            board.inbox.is_empty()
                && board.transforms.is_some()
                && board.lanes.iter().all(|lane| lane.queue.is_empty() && lane.output.is_some())
        });
        assert_eq!(delivery.board().lanes[0].element.report().errors, 0);
        let _done = delivery.end_after(0, Time::default());
        delivery.call();
    }

    #[test]
    fn nothing_goes_through_a_transform_at_the_end_if_none_before_it_held_something_back() {
        let (tell, applied) = channel();
        let transform = move |_: &mut Batch| Ok(tell.send(())?);
        let delivery = delivery(vec![Box::new(transform)], vec![quiet()], Overflow::Wait);
        let _done = delivery.end_after(0, Time::default());
        delivery.work();
        assert!(applied.try_recv().is_err());
    }

    #[test]
    fn where_points_may_be_dropped_and_none_are_a_bound_is_told_once() {
        let (tell, bounds) = channel();
        let output = move |batch: &Batch| Ok(tell.send(batch.bounds().len())?);
        let delivery = delivery(vec![], vec![Box::new(output)], Overflow::Drop);
        let series = delivery.registry.series(Series::new(Metric::counter("c", "1", ""))).unwrap();
        let mut batch = delivery.empty();
        Arc::get_mut(&mut batch).unwrap().bound(series, Bound::AtLeast, "why");
        delivery.put(batch).unwrap();
        delivery.work();
        delivery.post();
        delivery.work();
        assert_eq!(bounds.try_iter().collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn what_an_output_finds_lost_when_it_finishes_is_counted() {
        struct Late;
        impl Output for Late {
            fn write(&mut self, _: &Batch) -> anyhow::Result<()> {
                Ok(())
            }
            fn finish(&mut self) -> anyhow::Result<()> {
                Err(Lost { points: 2, cause: io::ErrorKind::StorageFull.into() }.into())
            }
        }
        let delivery = delivery(vec![], vec![Box::new(Late)], Overflow::Wait);
        let series = delivery.registry.series(Series::new(Metric::counter("c", "1", ""))).unwrap();
        let mut batch = delivery.empty();
        (0..3).for_each(|_| Arc::get_mut(&mut batch).unwrap().push(series, 1.0));
        delivery.put(batch).unwrap();
        let _done = delivery.end_after(0, Time::default());
        delivery.work();
        let report = delivery.board().lanes[0].element.report();
        assert_eq!((report.points, report.lost, report.errors), (1, 2, 1));
    }
}
