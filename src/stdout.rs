//! What is said on stdout.

use std::io::{self, Write};

use alumet::file::reason;

use crate::exit::Failure;

/// Prints on stdout. A reader who leaves early is no failure.
pub fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("cannot write to stdout: {}", reason(&error))))
        }
        _ => Ok(()),
    }
}
