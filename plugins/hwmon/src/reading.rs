//! Reading an open file of the kernel, and why that fails.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::str::FromStr;

use alumet::file::reason;

use crate::text;

/// Values and names are shorter than this, in bytes.
pub const LONGEST: usize = 128;

/// Why a reading failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The system's error, if it has a number: ENODATA of a sensor that is switched off, ENXIO or EPERM of a device that
    /// sleeps, EIO of a bus.
    System(Option<i32>),
    /// Nothing in the file.
    Empty,
    /// Something else than one number in the file.
    NoNumber,
    /// A number that can be no power.
    NoPower,
    /// No power at all of what is on.
    Zero,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::System(error.raw_os_error())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(Some(number)) => f.write_str(&reason(&io::Error::from_raw_os_error(*number))),
            Self::System(None) => f.write_str("it cannot be read"),
            Self::Empty => f.write_str("it is empty"),
            Self::NoNumber => f.write_str("it is not a number"),
            Self::Zero => f.write_str("it shows 0 W of what is on"),
            Self::NoPower => f.write_str("it is a power that cannot be"),
        }
    }
}

/// What is in a file now: the kernel makes it anew when it is read from its beginning.
pub fn bytes<'a>(file: &File, buffer: &'a mut [u8; LONGEST]) -> Result<&'a [u8], Trouble> {
    match file.read_at(buffer, 0)? {
        0 => Err(Trouble::Empty),
        n => Ok(&buffer[..n]),
    }
}

/// The number in a file, with `unit` as for [`text::number`].
pub fn number<T: FromStr>(file: &File, unit: &str) -> Result<T, Trouble> {
    let mut buffer = [0; LONGEST];
    let bytes = bytes(file, &mut buffer)?;
    // What fills the buffer may go on.
    let whole = (bytes.len() < LONGEST).then_some(bytes);
    whole.and_then(|bytes| text::number(bytes, unit)).ok_or(Trouble::NoNumber)
}
