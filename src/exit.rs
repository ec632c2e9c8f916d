//! Why alumet itself ends, and with which status. The table of all statuses is in `alumet exec --help`.

use alumet::LaunchError;
use alumet_plugin_perf::WrongEvent;

/// Wrong usage: arguments or configuration.
pub const USAGE: u8 = 2;
/// The application did not end in time.
pub const TIMEOUT: u8 = 124;
/// alumet failed, or an output that was asked for could not be written.
pub const FAILED: u8 = 125;
/// The command cannot be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// There is no such command.
pub const NOT_FOUND: u8 = 127;

/// An end with one line on stderr.
#[derive(Debug)]
pub struct Failure {
    pub status: u8,
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
        Self::failed(format!("{error:#}"))
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
        Self { status, message: error.to_string() }
    }
}
