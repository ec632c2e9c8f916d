//! Why alumet itself ends, and how. The table of all statuses is in `alumet exec --help`.

use std::io::{self, Write};

use alumet::file::reason;
use alumet::target::Exit;
use alumet::{LaunchError, StartError};
use alumet_plugin_perf::WrongEvent;

use crate::shortage;
use crate::signals::{Signal, die_by};

/// How alumet ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Code(u8),
    /// By the same signal as the application: only then does a shell know that its user has pressed Ctrl-C, and end a loop.
    Died(Signal),
}

/// Nothing went wrong.
pub const SUCCESS: Status = Status::Code(0);
/// Wrong usage: arguments or configuration.
pub const USAGE: Status = Status::Code(2);
/// The application did not end in time.
pub const TIMEOUT: Status = Status::Code(124);
/// alumet failed, or an output that was asked for could not be written.
pub const FAILED: Status = Status::Code(125);
/// The command cannot be executed.
pub const NOT_EXECUTABLE: Status = Status::Code(126);
/// There is no such command.
pub const NOT_FOUND: Status = Status::Code(127);

impl Status {
    /// As a signal has ended the application: of those that a terminal's keys send alumet dies, too.
    pub fn by(signal: Signal) -> Self {
        if signal.is_of_a_key() { Self::Died(signal) } else { Self::Code(signal.status()) }
    }

    /// As the application has ended.
    pub fn of(exit: Exit) -> Self {
        match exit {
            Exit::Code(code) => Self::Code(code as u8),
            Exit::Signal(signal) => Self::by(Signal(signal)),
        }
    }

    /// Ends the process.
    pub fn end(self) -> ! {
        // Of a process that a signal ends, nobody else writes what is left. There is nobody to be told of an error.
        let _ = io::stdout().flush();
        std::process::exit(self.code().into())
    }

    /// The status, if the process does not die of a signal.
    fn code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Died(signal) => {
                die_by(signal);
                signal.status()
            }
        }
    }
}

/// An end with one line on stderr.
#[derive(Debug)]
pub struct Failure {
    pub status: Status,
    pub message: String,
}

impl Failure {
    /// alumet cannot do its work.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { status: FAILED, message: message.into() }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self { status: USAGE, message: message.into() }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let of_system = |cause: &(dyn std::error::Error + 'static)| {
            cause.downcast_ref::<io::Error>().map_or_else(|| cause.to_string(), reason)
        };
        let causes: Vec<_> = error.chain().map(of_system).collect();
        let advice = error.root_cause().downcast_ref().map(shortage::advice).unwrap_or_default();
        Self::failed(causes.join(": ") + &advice)
    }
}

impl From<&WrongEvent> for Failure {
    fn from(error: &WrongEvent) -> Self {
        let status = match error {
            WrongEvent::Unknown(_) => USAGE,
            WrongEvent::NotHere(_) | WrongEvent::NotCounted { .. } => FAILED,
        };
        Self { status, message: error.to_string() }
    }
}

impl From<LaunchError> for Failure {
    fn from(error: LaunchError) -> Self {
        let status = match error {
            LaunchError::NotFound { .. } => NOT_FOUND,
            LaunchError::NotExecutable { .. } => NOT_EXECUTABLE,
            LaunchError::Nul(_)
            | LaunchError::NoUser(_)
            | LaunchError::NoGroupOf(_)
            | LaunchError::NoGroup(_) => USAGE,
            LaunchError::NotPermitted(_) | LaunchError::NotBecome { .. } | LaunchError::Fork(_) => FAILED,
        };
        let advice = match &error {
            LaunchError::NotFound { program } => not_found(program).to_owned(),
            LaunchError::NotExecutable { program, .. } if std::path::Path::new(program).is_dir() => {
                "; it is a directory".to_owned()
            }
            LaunchError::Fork(error) => shortage::advice(error),
            _ => String::new(),
        };
        Self { status, message: format!("{error}{advice}") }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Launch(error) => Self::from(error),
            StartError::Thread(cause) => {
                Self::failed(format!("cannot start a thread: {}{}", reason(&cause), shortage::advice(&cause)))
            }
        }
    }
}

/// What is likely wrong with a program that is none.
fn not_found(program: &str) -> &'static str {
    let is_assignment = program.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    });
    match program {
        program if program.trim().contains(char::is_whitespace) => {
            "; it is one word: leave its quotes out, or let a shell read it with -S sh"
        }
        _ if is_assignment => "; `env` in front of it sets a variable",
        _ => "",
    }
}
