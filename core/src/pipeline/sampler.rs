//! One thread that polls sources on one absolute timer, each at its interval, and then delivers what they pushed and does
//! the agent's chores: one wake-up a tick.
//!
//! The thread can be superseded: when a source does not return from its poll, or an output from its write, a new thread
//! takes over, and the old one ends when (if ever) the call returns and what it delivers is delivered. So everything that
//! outlives a call is in [`Sampler`], and a source holds only its own slot while it is polled.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::warn;

use super::Common;
use super::beat::{Beat, SamplingReport};
use super::element::Element;
use super::lateness::Lateness;
use crate::batch::{Batch, Pool};
use crate::source::Source;
use crate::time::{Bell, Clock, Time};

/// From this interval on, there is time to deliver between two ticks. Below, a tick would be late for it.
pub(super) const DELIVERS_FROM: Duration = Duration::from_millis(10);

/// Intervals from this on share a thread, which wakes once for all that is due then. Shorter ones would be late for what
/// others read.
pub(super) const SHARED_FROM: Duration = Duration::from_millis(100);

/// A sampler whose thread delivers for longer gets another one: it is to make the next tick, and other outputs wait.
const DELIVERS_FOR: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(5)..=Duration::from_millis(100);

/// Chores are done at a tick, but not more often than this,
const CHORES_FROM: Duration = Duration::from_millis(500);
/// and without a tick at the latest then.
const CHORES_UNTIL: Duration = Duration::from_millis(1500);

/// What a sampler can be asked to do. Each is executed by the thread between two ticks, and acknowledged.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Request {
    /// Poll all for their baselines; the points are dropped.
    Prime,
    /// Start ticking, at this time plus multiples of the interval.
    Go(Time),
    /// Stop ticking for now.
    Pause,
    /// Put up for delivery what is held.
    Flush,
    /// Poll all, now.
    Last,
    /// Let all finish, with points at this time, send everything, and end the thread.
    Finish(Time),
}

/// A request, and how to say that it was executed.
type Asked = (Request, oneshot::Sender<()>);

pub(crate) struct Sampler {
    /// The shortest interval first.
    beats: Vec<Beat>,
    slots: Vec<Slot>,
    common: Arc<Common>,
    /// By which the standby knows it.
    number: OnceLock<usize>,
    bell: Arc<Bell>,
    /// `None` once the sampler has finished.
    requests: Mutex<Option<VecDeque<Asked>>>,
    batch: Mutex<Option<Arc<Batch>>>,
    times: Mutex<Times>,
    charge: Charge,
    relief: Mutex<()>,
}

/// Who is in charge, and with what: in the upper half how many threads were superseded, in the lower [`IDLE`], [`DELIVERS`]
/// or the number of the slot that is polled. Whoever changes it first decides: the thread, that the call has returned;
/// another, that the thread is superseded.
#[derive(Debug, Default)]
struct Charge {
    state: AtomicU64,
    /// In milliseconds of real time.
    since: AtomicU64,
}

const IDLE: u32 = 0;
const DELIVERS: u32 = u32::MAX;

impl Charge {
    fn load(&self) -> (u32, u32) {
        let state = self.state.load(Ordering::Acquire);
        ((state >> 32) as u32, state as u32)
    }

    fn change(&self, from: (u32, u32), to: (u32, u32)) -> Result<(), Superseded> {
        let pack = |(thread, call): (u32, u32)| u64::from(thread) << 32 | u64::from(call);
        let changed = self.state.compare_exchange(pack(from), pack(to), Ordering::AcqRel, Ordering::Acquire);
        changed.map(drop).map_err(|_| Superseded)
    }

    fn begin(&self, thread: u32, call: u32) -> Result<(), Superseded> {
        self.since.store(real_millis(), Ordering::Release);
        self.change((thread, IDLE), (thread, call))
    }

    fn end(&self, thread: u32, call: u32) -> Result<(), Superseded> {
        self.change((thread, call), (thread, IDLE))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(real_millis().saturating_sub(self.since.load(Ordering::Acquire)))
    }
}

struct Slot {
    element: Arc<Element>,
    /// Whose ticks it is polled at.
    beat: usize,
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

/// When this was last done.
struct Times {
    sent: Time,
    chores: Time,
}

/// A source with its element and interval.
pub(crate) type NamedSource = (Duration, Arc<Element>, Box<dyn Source>);

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
    pub(crate) fn spawn(mut sources: Vec<NamedSource>, common: Arc<Common>) -> std::io::Result<Arc<Self>> {
        sources.sort_by_key(|(interval, ..)| *interval);
        let mut beats: Vec<Beat> = Vec::new();
        let mut slots = Vec::new();
        for (interval, element, source) in sources {
            if beats.last().is_none_or(|beat| beat.interval() != interval) {
                beats.push(Beat::new(interval));
            }
            let scratch = Batch::new(Arc::clone(&common.registry));
            let polled = Mutex::new(Some(Polled { source, scratch, is_finished: false }));
            slots.push(Slot { element, beat: beats.len() - 1, polled });
        }
        let now = common.clock.now();
        let sampler = Arc::new(Self {
            beats,
            slots,
            common,
            number: OnceLock::new(),
            bell: Arc::default(),
            requests: Mutex::new(Some(VecDeque::new())),
            batch: Mutex::default(),
            times: Mutex::new(Times { sent: now, chores: now }),
            charge: Charge::default(),
            relief: Mutex::default(),
        });
        let number = sampler.common.standby.enlist(Arc::downgrade(&sampler));
        let _ = sampler.number.set(number);
        sampler.start_thread(0)?;
        Ok(sampler)
    }

    fn start_thread(self: &Arc<Self>, thread: u32) -> std::io::Result<()> {
        let sampler = Arc::clone(self);
        self.common.clock.enter();
        std::thread::Builder::new()
            .name("alumet-sampler".into())
            .spawn(move || {
                // The timer slack is of this thread alone; the default of 50 us is half of the shortest interval.
                // SAFETY: PR_SET_TIMERSLACK takes a number and touches no memory (prctl(2)).
                unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
                // Of a thread that was superseded, the clock was told then.
                if sampler.run(thread).is_ok() {
                    sampler.common.clock.leave();
                }
            })
            .map(drop)
            .inspect_err(|_| self.common.clock.leave())
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

    /// If a poll has not returned for `limit`, or what is delivered takes its time, gives everything else to a new thread.
    /// Returns when to look again.
    pub(super) fn relieve(self: &Arc<Self>, limit: Duration) -> Option<Duration> {
        let _one_at_a_time = lock(&self.relief);
        let (thread, call) = self.charge.load();
        if call == IDLE {
            return self.next().map(|_| limit);
        }
        let slot = call.checked_sub(1).and_then(|i| self.slots.get(i as usize));
        let element = slot.map(|slot| &slot.element);
        if let Some(element) = element {
            let left = limit.saturating_sub(self.charge.elapsed());
            if !left.is_zero() {
                return Some(left);
            }
            element.hangs(limit);
        }
        let next = thread.wrapping_add(1);
        if self.charge.change((thread, call), (next, IDLE)).is_err() {
            // It has returned at this very moment.
            element.inspect(|element| element.returns());
        } else {
            let started = self.start_thread(next);
            if started.is_ok() {
                self.common.clock.leave();
            }
            warn!(
                error = started.err().map(|error| error.to_string()),
                "a new thread takes over the other sources"
            );
        }
        // Without another thread everything else hangs, too; that is all that can be done.
        Some(limit)
    }

    /// Takes the source of `element` away, to give it to another sampler. `None` while it is being polled.
    pub(crate) fn take(&self, element: &Arc<Element>) -> Option<Box<dyn Source>> {
        let slot = self.slots.iter().find(|slot| Arc::ptr_eq(&slot.element, element))?;
        let polled = slot.polled.try_lock().ok()?.take()?;
        let is_empty = |slot: &Slot| slot.polled.try_lock().is_ok_and(|polled| polled.is_none());
        if self.slots.iter().filter(|other| other.beat == slot.beat).all(is_empty) {
            self.beats[slot.beat].stop();
        }
        Some(polled.source)
    }

    /// One report an interval.
    pub(crate) fn reports(&self) -> impl Iterator<Item = SamplingReport> {
        self.beats.iter().map(Beat::report)
    }

    /// For how long before `time` nothing ran here that was due: then the process may have been stopped.
    pub(crate) fn late_at(&self, time: Time) -> Option<Duration> {
        let is_idle = self.charge.load().1 == IDLE;
        self.beats.iter().filter_map(|beat| beat.late_at(time, is_idle)).max()
    }

    pub(crate) fn merge_lateness(&self, into: &mut Lateness) {
        self.beats.iter().for_each(|beat| beat.merge_lateness(into));
    }

    fn run(&self, thread: u32) -> Result<(), Superseded> {
        if thread > 0 && self.left() > *DELIVERS_FOR.start() {
            // Whoever was superseded while it delivered has left something.
            self.deliver(thread)?;
        }
        loop {
            let request =
                lock(&self.requests).as_ref().and_then(VecDeque::front).map(|(request, _)| *request);
            if let Some(request) = request {
                self.execute(request, thread)?;
                let mut requests = lock(&self.requests);
                if matches!(request, Request::Finish(_)) {
                    // Dropping what was asked for too late is its answer.
                    *requests = None;
                    drop(requests);
                    self.common.standby.release(self.number());
                    self.common.delivery.sampler_finished();
                    self.common.delivery.work();
                    return Ok(());
                }
                if let Some((_, done)) = requests.as_mut().and_then(VecDeque::pop_front) {
                    // Whoever asked may no longer want to know.
                    let _ = done.send(());
                }
                continue;
            }
            let deadline = self.next();
            let now = self.common.clock.now();
            let chores = self.common.chores.as_ref().map(|_| lock(&self.times).chores + CHORES_UNTIL);
            match (deadline, chores) {
                (Some(deadline), _) if deadline <= now => self.tick(now, thread)?,
                (_, Some(chores)) if chores <= now => self.do_chores(now),
                _ => self.common.clock.sleep(&self.bell, deadline.into_iter().chain(chores).min()),
            }
        }
    }

    fn do_chores(&self, now: Time) {
        if let Some(chores) = &self.common.chores {
            chores();
            lock(&self.times).chores = now;
        }
    }

    fn execute(&self, request: Request, thread: u32) -> Result<(), Superseded> {
        match request {
            Request::Prime => {
                self.poll_all(thread, |_| true, Polled::prime)?;
            }
            Request::Go(time) => {
                self.beats.iter().for_each(|beat| beat.start(time));
                lock(&self.times).sent = time;
            }
            Request::Pause => self.beats.iter().for_each(Beat::pause),
            Request::Flush => self.hand_over(),
            Request::Last => {
                self.common.registry.suspends().note(self.common.clock.now(), self.common.clock.suspended());
                self.beats.iter().for_each(Beat::stop);
                self.poll_all(thread, |_| true, Polled::poll)?;
            }
            Request::Finish(end) => {
                self.poll_all(thread, |_| true, |polled, _, element| polled.finish(end, element))?;
                self.hand_over();
            }
        }
        Ok(())
    }

    fn tick(&self, now: Time, thread: u32) -> Result<(), Superseded> {
        let Common { clock, registry, pool, standby, max_age, .. } = &*self.common;
        standby.guard(self.number());
        registry.suspends().note(now, clock.suspended());
        let is_full =
            || lock(&self.batch).as_ref().is_some_and(|batch| batch.points().len() >= Pool::BATCH_POINTS);
        let was_full = is_full();
        if was_full {
            self.send();
        }
        // Without room nothing is polled: the tick is missed, and what the counters count is in their next increase.
        let has_room = {
            let mut batch = lock(&self.batch);
            if batch.is_none() {
                *batch = pool.take();
            }
            batch.as_ref().is_some_and(|batch| batch.points().len() < Pool::BATCH_POINTS)
        };
        for (i, beat) in self.beats.iter().enumerate() {
            if beat.begin(now) && has_room {
                self.poll_all(thread, |slot| slot.beat == i, Polled::poll)?;
            }
        }
        let after = clock.now();
        self.beats.iter().for_each(|beat| beat.end(now, after, has_room));
        if now.since(lock(&self.times).chores) >= CHORES_FROM {
            self.do_chores(now);
        }
        let would_be_late = self.next().is_some_and(|next| next.since(lock(&self.times).sent) > *max_age);
        if would_be_late || was_full || is_full() {
            self.send();
            self.deliver(thread)?;
        }
        if self.interval() > standby.hang_after() / 2 {
            standby.release(self.number());
        }
        Ok(())
    }

    /// The shortest one.
    fn interval(&self) -> Duration {
        self.beats.first().map_or(Duration::MAX, Beat::interval)
    }

    fn next(&self) -> Option<Time> {
        self.beats.iter().filter_map(Beat::next).min()
    }

    fn number(&self) -> usize {
        *self.number.get().expect("it is set before the thread is started")
    }

    /// Calls `f` on these of the active sources and moves what they pushed to the batch.
    fn poll_all(
        &self,
        thread: u32,
        which: impl Fn(&Slot) -> bool,
        f: impl Fn(&mut Polled, &dyn Clock, &Element),
    ) -> Result<(), Superseded> {
        for (slot, call) in self.slots.iter().zip(1..) {
            if !which(slot) || !slot.element.is_active() {
                continue;
            }
            let mut polled = match slot.polled.try_lock() {
                Ok(polled) => polled,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => continue,
            };
            let Some(polled) = polled.as_mut() else { continue };
            self.charge.begin(thread, call)?;
            f(polled, &*self.common.clock, &slot.element);
            let ended = self.charge.end(thread, call);
            self.collect(&mut polled.scratch);
            if ended.is_err() {
                // It came back after all: the thread in charge polls it again from now on.
                slot.element.returns();
            }
            ended?;
        }
        Ok(())
    }

    fn collect(&self, scratch: &mut Batch) {
        if scratch.is_empty() {
            return;
        }
        let mut batch = lock(&self.batch);
        while batch.is_none() {
            *batch = self.common.pool.take();
            if batch.is_none() {
                // Only outside a tick (the last reading): it waits for the outputs rather than lose it.
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let shared = batch.as_mut().and_then(Arc::get_mut).expect("a batch that was not sent has one owner");
        shared.append(scratch);
    }

    /// The time to the next tick.
    fn left(&self) -> Duration {
        self.next().map_or(Duration::MAX, |next| next.since(self.common.clock.now()))
    }

    fn take_batch(&self) -> Option<Arc<Batch>> {
        let batch = lock(&self.batch).take_if(|batch| !batch.is_empty())?;
        lock(&self.times).sent = self.common.clock.now();
        Some(batch)
    }

    /// Puts the batch up for delivery. If there is no room, it is kept for the next time.
    fn send(&self) {
        let Some(batch) = self.take_batch() else { return };
        if let Err(batch) = self.common.delivery.put(batch) {
            *lock(&self.batch) = Some(batch);
        }
        if self.interval() < DELIVERS_FROM {
            self.common.delivery.call();
        }
    }

    /// The same, but waits for room.
    fn hand_over(&self) {
        if let Some(batch) = self.take_batch() {
            self.common.delivery.put_patiently(batch);
        }
    }

    /// Delivers, if there is time between two ticks, what was put up for it: by this or by another sampler.
    fn deliver(&self, thread: u32) -> Result<(), Superseded> {
        let Common { delivery, standby, .. } = &*self.common;
        if self.interval() < DELIVERS_FROM {
            return Ok(());
        }
        let limit = self.left().clamp(*DELIVERS_FOR.start(), *DELIVERS_FOR.end());
        standby.look_after(self.number(), limit);
        self.charge.begin(thread, DELIVERS)?;
        delivery.work();
        self.charge.end(thread, DELIVERS)?;
        standby.look_after(self.number(), standby.hang_after() * 2);
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::RealClock;

    #[test]
    fn whoever_is_not_in_charge_any_more_can_neither_begin_nor_end_a_call() {
        let charge = Charge::default();
        assert_eq!(charge.load(), (0, IDLE));
        assert!(charge.begin(0, DELIVERS).is_ok());
        assert_eq!(charge.load(), (0, DELIVERS));
        assert!(charge.change((0, DELIVERS), (1, IDLE)).is_ok());
        assert_eq!(charge.load(), (1, IDLE));
        assert!(charge.end(0, DELIVERS).is_err() && charge.begin(0, 7).is_err());
        assert!(charge.begin(1, 7).is_ok());
        assert_eq!(charge.load(), (1, 7));
        assert!(charge.end(1, 7).is_ok() && charge.end(1, 7).is_err());
    }

    #[test]
    fn a_call_lasts_in_milliseconds() {
        let millis = || u64::try_from(Duration::from_nanos(RealClock.now().as_nanos()).as_millis()).unwrap();
        let before = millis();
        let between = real_millis();
        assert!((before..=millis()).contains(&between));
    }
}
