//! A signal, and what it does to a process that has made no arrangements for it (signal(7)).

use std::fmt;

use libc::c_int;

/// By its number: real-time signals have no names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal(pub c_int);

/// What the kernel does where a process has no handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The process ends, perhaps with a core dump.
    Ends,
    Stops,
    /// One that is stopped goes on.
    Continues,
    Nothing,
}

impl Signal {
    pub const INT: Self = Self(libc::SIGINT);
    pub const TERM: Self = Self(libc::SIGTERM);
    pub const HUP: Self = Self(libc::SIGHUP);
    pub const QUIT: Self = Self(libc::SIGQUIT);
    pub const CONT: Self = Self(libc::SIGCONT);
    pub const KILL: Self = Self(libc::SIGKILL);

    /// Those by which people and programs ask for an end, and insist on it.
    pub const TERMINATIONS: [Self; 4] = [Self::INT, Self::TERM, Self::HUP, Self::QUIT];

    /// Whether a terminal's key sends it to a whole job (termios(3), `INTR` and `QUIT`).
    pub fn is_of_a_key(self) -> bool {
        matches!(self, Self::INT | Self::QUIT)
    }

    /// With which status a shell says that it has ended a process.
    pub fn status(self) -> u8 {
        128 + self.0 as u8
    }

    /// All that can be taken, but for two that are alumet's own: it gets SIGCHLD for its children all the time, and SIGRTMAX
    /// reaches its threads when they are to drop privileges. The numbers between the standard and the real-time signals are
    /// the C library's own.
    pub fn all() -> impl Iterator<Item = Self> {
        let is_free = |number: &c_int| ![libc::SIGKILL, libc::SIGSTOP, libc::SIGCHLD].contains(number);
        (1..=libc::SIGSYS).chain(libc::SIGRTMIN()..libc::SIGRTMAX()).filter(is_free).map(Self)
    }

    pub fn effect(self) -> Effect {
        match self.0 {
            libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU | libc::SIGSTOP => Effect::Stops,
            libc::SIGCONT => Effect::Continues,
            libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH => Effect::Nothing,
            _ => Effect::Ends,
        }
    }

    pub fn is_termination(self) -> bool {
        Self::TERMINATIONS.contains(&self)
    }

    /// Whether a terminal sends it, to everybody in its foreground (tty_ioctl(4), termios(3)) or to a whole session.
    pub fn is_of_terminals(self) -> bool {
        matches!(
            self.0,
            libc::SIGINT
                | libc::SIGQUIT
                | libc::SIGHUP
                | libc::SIGTSTP
                | libc::SIGTTIN
                | libc::SIGTTOU
                | libc::SIGCONT
                | libc::SIGWINCH
        )
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match nix::sys::signal::Signal::try_from(self.0) {
            Ok(signal) => f.write_str(signal.as_str()),
            Err(_) => write!(f, "signal {}", self.0),
        }
    }
}

/// A set of these, for the calls that take one.
pub fn set(signals: impl IntoIterator<Item = Signal>) -> libc::sigset_t {
    // SAFETY: all-zero is a valid set, which the first call empties; the others add numbers to it.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, signal.0);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_that_can_be_taken_is_listed_once() {
        let all: Vec<_> = Signal::all().map(|signal| signal.0).collect();
        // 31 standard signals without three, and the real-time signals that the C library leaves.
        assert_eq!(all.len(), 28 + (libc::SIGRTMAX() - libc::SIGRTMIN()) as usize);
        assert!(
            [libc::SIGALRM, libc::SIGPWR, libc::SIGSYS, 34, 63].iter().all(|number| all.contains(number))
        );
        assert_eq!(Signal::all().filter(|signal| signal.effect() != Effect::Ends).count(), 6);
    }

    #[test]
    fn signals_are_named_as_everywhere() {
        assert_eq!(Signal::TERM.to_string(), "SIGTERM");
        assert_eq!(
            Signal(40).to_string(),
            alumet::target::Exit::Signal(40).to_string().split_once("by ").unwrap().1
        );
    }
}
