//! From the start of the application to its end: passes signals on, and ends the whole tree when its time is up or when
//! the user insists.

use std::io;
use std::time::{Duration, Instant};

use alumet::target::Exit;
use alumet::{Clock, RealClock, Target, Time};
use tracing::debug;

use crate::service_manager;
use crate::signals::{Effect, Received, Signal, Signals, stop_by};
use crate::terminal::note;

/// How long processes that were asked to end have before they are killed.
const GRACE: Duration = Duration::from_secs(2);

/// Signals of one kind that come from one sender in less time are one wish: timeout(1) sends to its child, and at once to
/// its process group with the child in it. No person is so quick.
const ONE_WISH: Duration = Duration::from_millis(100);

/// How long the application may run.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// When it started.
    pub since: Time,
    pub timeout: Option<Duration>,
    /// Whether the end is that of the last process, not of the first.
    pub wait_all: bool,
}

/// How the application came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself, or because of a signal.
    InTime,
    /// Its time was up.
    TimedOut,
    /// Somebody wants it to end: by this signal.
    Asked(Signal),
    /// Its first process had ended, and somebody does not want to wait for the others: by this signal.
    NotWaited(Signal),
}

impl Ending {
    /// The signal by which somebody wanted the end.
    pub fn asked(self) -> Option<Signal> {
        match self {
            Self::InTime | Self::TimedOut => None,
            Self::Asked(signal) | Self::NotWaited(signal) => Some(signal),
        }
    }
}

/// What the user wants, as far as signals tell.
#[derive(Debug, Default)]
struct Wish {
    /// The last termination.
    end: Option<Signal>,
    /// The last one that the application has got, from alumet, or with it from the terminal or the service manager.
    given: Option<Signal>,
    /// How many terminations the application has got from alumet, or with it from the service manager.
    asked: usize,
    last: Option<(Received, Instant)>,
}

impl Wish {
    /// Notes a signal, passes it on unless the application has got it, too, and stops if it stops both.
    fn take(&mut self, received: Received, target: &Target) {
        self.pass_on(received, target);
        if received.signal.effect() == Effect::Stops {
            stop_by(received.signal);
        }
    }

    fn pass_on(&mut self, received: Received, target: &Target) {
        let signal = received.signal;
        let is_termination = signal.is_termination();
        if is_termination {
            self.end = Some(signal);
        }
        let now = Instant::now();
        let last = self.last.replace((received, now));
        if is_termination && last.is_some_and(|last| is_one_wish(last, (received, now))) {
            debug!(%signal, "did not pass on a signal: it is one wish with that before");
            return;
        }
        if signal.effect() == Effect::Ends {
            self.given = Some(signal);
        }
        if received.from_terminal {
            // The application is in the same foreground process group.
            debug!(%signal, "did not pass on a signal: the application got it from the terminal");
            return;
        }
        if received.sender.is_some_and(|sender| service_manager::sent_to_all(sender, target.pid())) {
            debug!(%signal, "did not pass on a signal: the application got it from the service manager");
            self.asked += usize::from(is_termination);
            return;
        }
        debug!(%signal, pid = target.pid(), "passes on a signal");
        target.signal(signal.0);
        if is_termination {
            self.asked += 1;
            // One that is stopped would get it only when it goes on.
            target.signal(Signal::CONT.0);
        }
    }
}

/// Returns when the application has ended, or everything was tried to end it. It is not reaped yet.
pub async fn until_end(target: &Target, signals: &Signals, limits: Limits) -> io::Result<Ending> {
    let ended = ended(target, limits.wait_all);
    let passed = RealClock.now().since(limits.since);
    let time_is_up = after(limits.timeout.map(|timeout| timeout.saturating_sub(passed)));
    tokio::pin!(ended, time_is_up);
    let mut wish = Wish::default();
    loop {
        tokio::select! {
            result = &mut ended => {
                result?;
                break;
            }
            () = &mut time_is_up => {
                terminate(target).await;
                return Ok(Ending::TimedOut);
            }
            received = signals.next() => {
                let received = received?;
                // There is nobody to pass it on to, and whoever sends it wants an end.
                if limits.wait_all && target.has_exited() && received.signal.effect() == Effect::Ends {
                    terminate(target).await;
                    return Ok(Ending::NotWaited(received.signal));
                }
                wish.take(received, target);
                // Asked twice, alumet no longer leaves it to the application.
                if wish.asked == 2 {
                    break;
                }
            }
        }
    }
    // What has ended the application may have come to alumet at the same time.
    while let Some(received) = signals.pending()? {
        wish.take(received, target);
    }
    // The user wanted it to end: then nothing of it stays behind.
    if wish.asked > 0 || wish.given.is_some_and(|signal| was_ended_by(target, signal)) {
        terminate(target).await;
    }
    Ok(wish.end.map_or(Ending::InTime, Ending::Asked))
}

/// Ends all of the tree, and names whom that does not end.
async fn terminate(target: &Target) {
    debug!(grace = ?GRACE, "ends what is left of the application");
    if let Err(left) = target.terminate(GRACE).await {
        note(&left.to_string());
    }
}

/// Returns when all processes attached to have ended, the time is up, or the user wants to stop. They are left alone.
pub async fn until_end_or_asked(
    target: &Target,
    signals: &Signals,
    limit: Option<Duration>,
    wait_all: bool,
) -> io::Result<Ending> {
    let ended = ended(target, wait_all);
    let time_is_up = after(limit);
    tokio::select! {
        result = ended => result.map(|()| Ending::InTime),
        () = time_is_up => Ok(Ending::TimedOut),
        signal = next_end(signals) => signal.map(Ending::Asked),
    }
}

/// The next signal that ends a process, where there is no application to get it.
pub async fn next_end(signals: &Signals) -> io::Result<Signal> {
    loop {
        let signal = signals.next().await?.signal;
        match signal.effect() {
            Effect::Ends => return Ok(signal),
            Effect::Stops => stop_by(signal),
            Effect::Continues | Effect::Nothing => {}
        }
    }
}

async fn ended(target: &Target, wait_all: bool) -> io::Result<()> {
    target.exited().await?;
    if wait_all {
        target.all_ended().await;
    }
    Ok(())
}

async fn after(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// Whether two signals that came one after the other stand for one wish.
fn is_one_wish((first, came): (Received, Instant), (second, now): (Received, Instant)) -> bool {
    second.sender.is_some() && first == second && now - came < ONE_WISH
}

/// Whether the application's end is what this signal does: by the signal itself, or with the status that shells use.
fn was_ended_by(target: &Target, signal: Signal) -> bool {
    match target.peek_exit() {
        Some(Exit::Signal(n)) => n == signal.0,
        Some(Exit::Code(code)) => code == 128 + signal.0,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_of_one_sender_at_once_are_one_wish() {
        let signal = |signal, sender| Received { signal, from_terminal: false, sender };
        let came = Instant::now();
        let is_one =
            |first, second, ms| is_one_wish((first, came), (second, came + Duration::from_millis(ms)));
        let term = signal(Signal::TERM, Some(7));
        assert!(is_one(term, term, 1));
        assert!(!is_one(term, term, 300), "somebody insists");
        assert!(!is_one(term, signal(Signal::TERM, Some(8)), 1));
        assert!(!is_one(term, signal(Signal::INT, Some(7)), 1));
        let from_nobody = signal(Signal::TERM, None);
        assert!(!is_one(from_nobody, from_nobody, 1));
    }
}
