//! One thread that polls all sources of one interval on one absolute timer.
//!
//! The thread can be superseded: when a source does not return from its poll, a new thread takes over the other
//! sources, and the old one ends when (if ever) the call returns. So everything that outlives a poll is in [`Sampler`],
//! and a source holds only its own slot while it is polled.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::dispatch::Message;
use super::element::Element;
use super::lateness::Lateness;
use crate::batch::{Batch, Pool};
use crate::registry::Registry;
use crate::source::Source;
use crate::time::{Bell, Clock, Time};

/// A sampler sends its batch after this time even if it is not full.
const SEND_EVERY: Duration = Duration::from_millis(100);

/// A tick that is later than this was not made in time for want of a CPU, or because the process was stopped.
const LATE: Duration = Duration::from_millis(20);

/// What a sampler can be asked to do. Each is executed by the thread between two ticks, and acknowledged.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Request {
    /// Poll all for their baselines; the points are dropped.
    Prime,
    /// Start ticking, at this time plus multiples of the interval.
    Go(Time),
    /// Stop ticking for now.
    Pause,
    /// Send what is held.
    Flush,
    /// Poll all, now.
    Last,
    /// Let all finish, with points at this time, send everything, and end the thread.
    Finish(Time),
}

/// A request, and how to say that it was executed.
type Asked = (Request, oneshot::Sender<()>);

/// How the sampling of one interval went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplingReport {
    /// As asked for.
    pub interval: Duration,
    /// Ticks at which the sources were polled.
    pub ticks: u64,
    /// Ticks that passed without a poll: the machine, a source or an output did not keep up.
    pub missed: u64,
    /// The mean time between two polls; `None` with fewer than two.
    pub mean_interval: Option<Duration>,
    /// 99 of 100 ticks were less late than this; `None` without ticks.
    pub late_p99: Option<Duration>,
}

pub(crate) struct Sampler {
    interval: Duration,
    slots: Vec<Slot>,
    clock: Arc<dyn Clock>,
    bell: Arc<Bell>,
    pool: Arc<Pool>,
    registry: Arc<Registry>,
    to_dispatcher: mpsc::Sender<Message>,
    /// `None` once the sampler has finished.
    requests: Mutex<Option<VecDeque<Asked>>>,
    schedule: Mutex<Schedule>,
    batch: Mutex<Option<Arc<Batch>>>,
    /// Which slot the thread in charge is polling, plus one, and since when in milliseconds of real time. Whoever sets
    /// it to 0 first decides: the thread, that the poll has returned; another, that the thread is superseded.
    busy: AtomicUsize,
    busy_since: AtomicU64,
}

struct Slot {
    element: Arc<Element>,
    /// Empty once the source was moved to another sampler.
    polled: Mutex<Option<Polled>>,
}

pub(crate) struct Polled {
    pub(crate) source: Box<dyn Source>,
    /// What one poll pushes: it is the source's own, so that it does not hold up the batch while it reads.
    scratch: Batch,
    /// A thread that takes over from one that hangs asks all sources again.
    is_finished: bool,
}

#[derive(Debug)]
struct Schedule {
    next: Option<Time>,
    last_sent: Time,
    ticks: u64,
    missed: u64,
    /// The tick before; `None` at the start and after a pause.
    last: Option<Time>,
    /// The time between ticks, summed up over so many pairs.
    spanned: Duration,
    pairs: u64,
    lateness: Lateness,
    /// The last tick that was [`LATE`]: when it was due, and when it was made.
    late: Option<(Time, Time)>,
}

/// A source with its element.
pub(crate) type NamedSource = (Arc<Element>, Box<dyn Source>);

/// A thread that was superseded while it polled.
struct Superseded;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn real_millis() -> u64 {
    crate::time::RealClock.now().as_nanos() / 1_000_000
}

impl Sampler {
    /// Makes a sampler and starts its thread, which waits for requests.
    ///
    /// # Errors
    /// No thread can be had.
    pub(crate) fn spawn(
        interval: Duration,
        sources: Vec<NamedSource>,
        clock: Arc<dyn Clock>,
        pool: Arc<Pool>,
        registry: &Arc<Registry>,
        to_dispatcher: mpsc::Sender<Message>,
    ) -> std::io::Result<Arc<Self>> {
        let slots = sources
            .into_iter()
            .map(|(element, source)| {
                let scratch = Batch::new(Arc::clone(registry));
                Slot { element, polled: Mutex::new(Some(Polled { source, scratch, is_finished: false })) }
            })
            .collect();
        let schedule = Schedule {
            next: None,
            last_sent: clock.now(),
            ticks: 0,
            missed: 0,
            last: None,
            spanned: Duration::ZERO,
            pairs: 0,
            lateness: Lateness::new(),
            late: None,
        };
        let sampler = Arc::new(Self {
            interval,
            slots,
            clock,
            bell: Arc::default(),
            pool,
            registry: Arc::clone(registry),
            to_dispatcher,
            requests: Mutex::new(Some(VecDeque::new())),
            schedule: Mutex::new(schedule),
            batch: Mutex::default(),
            busy: AtomicUsize::new(0),
            busy_since: AtomicU64::new(0),
        });
        sampler.start_thread()?;
        Ok(sampler)
    }

    fn start_thread(self: &Arc<Self>) -> std::io::Result<()> {
        let sampler = Arc::clone(self);
        self.clock.enter();
        std::thread::Builder::new()
            .name("alumet-sampler".into())
            .stack_size(512 * 1024)
            .spawn(move || {
                // The timer slack is of this thread alone; the default of 50 us is half of the shortest interval.
                // SAFETY: PR_SET_TIMERSLACK takes a number and touches no memory (prctl(2)).
                unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
                // An `Err` says that another thread has taken over.
                let _ = sampler.run();
                sampler.clock.leave();
            })
            .map(drop)
            .inspect_err(|_| self.clock.leave())
    }

    /// Asks for something; the receiver resolves when it is done, or when the sampler has finished.
    pub(crate) fn request(&self, request: Request) -> oneshot::Receiver<()> {
        let (done, receiver) = oneshot::channel();
        if let Some(requests) = lock(&self.requests).as_mut() {
            requests.push_back((request, done));
        }
        self.bell.ring();
        receiver
    }

    /// If a poll has not returned for `limit`, gives the other sources to a new thread.
    pub(crate) fn replace_hung_thread(self: &Arc<Self>, limit: Duration) {
        let busy = self.busy.load(Ordering::Acquire);
        let Some(slot) = busy.checked_sub(1).and_then(|i| self.slots.get(i)) else { return };
        let element = &slot.element;
        let since = self.busy_since.load(Ordering::Acquire);
        if u128::from(real_millis().saturating_sub(since)) < limit.as_millis() {
            return;
        }
        element.hangs(limit);
        if self.busy.compare_exchange(busy, 0, Ordering::AcqRel, Ordering::Acquire).is_err() {
            // It has returned at this very moment.
            element.returns();
            return;
        }
        // Without another thread the other sources hang too; that is all that can be done.
        let _ = self.start_thread();
    }

    /// Takes the source of `element` away, to give it to another sampler. `None` while it is being polled.
    pub(crate) fn take(&self, element: &Arc<Element>) -> Option<Box<dyn Source>> {
        let slot = self.slots.iter().find(|slot| Arc::ptr_eq(&slot.element, element))?;
        let polled = slot.polled.try_lock().ok()?.take()?;
        let is_empty = |slot: &Slot| slot.polled.try_lock().is_ok_and(|polled| polled.is_none());
        if self.slots.iter().all(is_empty) {
            lock(&self.schedule).next = None;
        }
        Some(polled.source)
    }

    pub(crate) fn report(&self) -> SamplingReport {
        let schedule = lock(&self.schedule);
        SamplingReport {
            interval: self.interval,
            ticks: schedule.ticks,
            missed: schedule.missed,
            mean_interval: (schedule.pairs > 0).then(|| schedule.spanned.div_f64(schedule.pairs as f64)),
            late_p99: schedule.lateness.quantile(0.99),
        }
    }

    /// For how long before `time` nothing ran here that was due: then the process may have been stopped.
    pub(crate) fn late_at(&self, time: Time) -> Option<Duration> {
        let schedule = lock(&self.schedule);
        // Whoever is stopped goes on with all its threads at once: the tick may have been made by now.
        let made = schedule.late.filter(|(_, made)| time <= *made + LATE).map(|(due, _)| due);
        let is_polling = self.busy.load(Ordering::Acquire) != 0;
        let due = made.or(schedule.next.filter(|_| !is_polling));
        due.map(|due| time.since(due)).filter(|late| *late > LATE)
    }

    pub(crate) fn merge_lateness(&self, into: &mut Lateness) {
        into.merge(&lock(&self.schedule).lateness);
    }

    fn run(&self) -> Result<(), Superseded> {
        loop {
            let request =
                lock(&self.requests).as_ref().and_then(VecDeque::front).map(|(request, _)| *request);
            if let Some(request) = request {
                self.execute(request)?;
                let mut requests = lock(&self.requests);
                if matches!(request, Request::Finish(_)) {
                    // Dropping what was asked for too late is its answer.
                    *requests = None;
                    return Ok(());
                }
                if let Some((_, done)) = requests.as_mut().and_then(VecDeque::pop_front) {
                    // Whoever asked may no longer want to know.
                    let _ = done.send(());
                }
                continue;
            }
            let deadline = lock(&self.schedule).next;
            let now = self.clock.now();
            match deadline {
                Some(deadline) if deadline <= now => self.tick(deadline, now)?,
                _ => self.clock.sleep(&self.bell, deadline),
            }
        }
    }

    fn execute(&self, request: Request) -> Result<(), Superseded> {
        match request {
            Request::Prime => {
                self.poll_all(Polled::prime)?;
            }
            Request::Go(time) => {
                let mut schedule = lock(&self.schedule);
                schedule.next = Some(time + self.interval);
                schedule.last_sent = time;
            }
            Request::Pause => {
                let mut schedule = lock(&self.schedule);
                (schedule.next, schedule.last) = (None, None);
            }
            Request::Flush => self.send(true),
            Request::Last => {
                self.registry.suspends().note(self.clock.now(), self.clock.suspended());
                lock(&self.schedule).next = None;
                self.poll_all(Polled::poll)?;
            }
            Request::Finish(end) => {
                self.poll_all(|polled, _, element| polled.finish(end, element))?;
                self.send(true);
            }
        }
        Ok(())
    }

    fn tick(&self, deadline: Time, now: Time) -> Result<(), Superseded> {
        self.registry.suspends().note(now, self.clock.suspended());
        if now.since(deadline) > LATE {
            lock(&self.schedule).late = Some((deadline, now));
        }
        let full = lock(&self.batch).as_ref().is_some_and(|batch| batch.points().len() >= Pool::BATCH_POINTS);
        if full {
            self.send(false);
        }
        // Without room nothing is polled: the tick is missed, and what the counters count is in their next increase.
        let has_room = {
            let mut batch = lock(&self.batch);
            if batch.is_none() {
                *batch = self.pool.take();
            }
            batch.as_ref().is_some_and(|batch| batch.points().len() < Pool::BATCH_POINTS)
        };
        if has_room {
            self.poll_all(Polled::poll)?;
        }
        let after = self.clock.now();
        let mut schedule = lock(&self.schedule);
        if has_room {
            schedule.ticks += 1;
            if let Some(last) = schedule.last.replace(now) {
                schedule.spanned += now.since(last);
                schedule.pairs += 1;
            }
            schedule.lateness.record(now.since(deadline));
        } else {
            schedule.missed += 1;
        }
        let interval = self.interval.as_nanos() as u64;
        let passed = after.since(deadline).as_nanos() as u64 / interval;
        schedule.missed += passed;
        // Paused or finished while polling: `next` stays empty.
        if schedule.next.is_some() {
            schedule.next = Some(deadline + Duration::from_nanos(interval * (passed + 1)));
        }
        let due = after.since(schedule.last_sent) + self.interval > SEND_EVERY;
        drop(schedule);
        if due {
            self.send(false);
        }
        Ok(())
    }

    /// Calls `f` on all active sources and moves what they pushed to the batch.
    fn poll_all(&self, f: impl Fn(&mut Polled, &dyn Clock, &Element)) -> Result<(), Superseded> {
        for (i, slot) in self.slots.iter().enumerate() {
            if !slot.element.is_active() {
                continue;
            }
            let mut polled = match slot.polled.try_lock() {
                Ok(polled) => polled,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => continue,
            };
            let Some(polled) = polled.as_mut() else { continue };
            self.busy_since.store(real_millis(), Ordering::Release);
            self.busy.store(i + 1, Ordering::Release);
            f(polled, &*self.clock, &slot.element);
            // While this thread holds the slot, no other can be busy with it.
            let in_charge = self.busy.compare_exchange(i + 1, 0, Ordering::AcqRel, Ordering::Acquire).is_ok();
            self.collect(&mut polled.scratch);
            if !in_charge {
                // It came back after all: the thread in charge polls it again from now on.
                slot.element.returns();
                return Err(Superseded);
            }
        }
        Ok(())
    }

    fn collect(&self, scratch: &mut Batch) {
        if scratch.is_empty() {
            return;
        }
        let mut batch = lock(&self.batch);
        while batch.is_none() {
            *batch = self.pool.take();
            if batch.is_none() {
                // Only outside a tick (the last reading): it waits for the outputs rather than lose it.
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let shared = batch.as_mut().and_then(Arc::get_mut).expect("a batch that was not sent has one owner");
        shared.append(scratch);
    }

    /// Sends the batch on. If the queue is full, it is kept for the next time, unless `wait` says to wait.
    fn send(&self, wait: bool) {
        let Some(batch) = lock(&self.batch).take_if(|batch| !batch.is_empty()) else {
            return;
        };
        lock(&self.schedule).last_sent = self.clock.now();
        let message = Message::Batch(batch);
        if wait {
            // The dispatcher lives longer than the samplers, unless the runtime was dropped: then nobody listens.
            let _ = self.to_dispatcher.blocking_send(message);
        } else if let Err(mpsc::error::TrySendError::Full(Message::Batch(batch))) =
            self.to_dispatcher.try_send(message)
        {
            *lock(&self.batch) = Some(batch);
        }
    }
}

impl Polled {
    fn prime(&mut self, clock: &dyn Clock, element: &Element) {
        self.read(clock, element);
        self.scratch.discard_points();
    }

    fn poll(&mut self, clock: &dyn Clock, element: &Element) {
        self.read(clock, element);
        element.count(self.scratch.points().len());
    }

    fn read(&mut self, clock: &dyn Clock, element: &Element) {
        let before = clock.now();
        // The error is on record with the element.
        let _ = element.call(|| self.source.poll(&mut self.scratch));
        let after = clock.now();
        self.scratch.stamp(0, before.middle(after), after.since(before) / 2);
    }

    fn finish(&mut self, end: Time, element: &Element) {
        if std::mem::replace(&mut self.is_finished, true) {
            return;
        }
        // The error is on record with the element.
        let _ = element.call(|| self.source.finish(&mut self.scratch));
        self.scratch.stamp(0, end, Duration::ZERO);
        element.count(self.scratch.points().len());
    }
}
