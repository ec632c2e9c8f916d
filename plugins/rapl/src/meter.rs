//! A counter that is open.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use alumet::sysfs;

use crate::counter::{Raw, Scale, Top};
use crate::domain::Part;
use crate::tally;

/// A counter of a part of the machine.
#[derive(Debug)]
pub struct Meter {
    /// What it counts.
    pub part: Part,
    /// The worth of its unit.
    pub scale: Scale,
    /// Where it wraps.
    pub top: Top,
    /// How it is read.
    pub register: Register,
}

impl Meter {
    /// How often it is to be read at least, so that it does not wrap unseen.
    pub fn read_every(&self) -> Duration {
        tally::read_every(self.scale, self.top, self.part.domain.most())
    }
}

/// How a counter is read.
#[derive(Debug)]
pub enum Register {
    /// A file of powercap.
    File {
        /// The open file.
        file: File,
        /// Where it was found, to open it again when its zone was removed and registered anew.
        path: PathBuf,
    },
    /// Counters of perf that count together.
    Events(Vec<perf_event::Counter>),
}

impl Register {
    /// What it shows now.
    ///
    /// # Errors
    /// It cannot be read, or shows no number.
    pub fn read(&mut self) -> io::Result<Raw> {
        match self {
            Self::File { file, path } => read(file).or_else(|error| {
                // What is gone for good cannot be opened; the first error says more.
                *file = sysfs::open(path).map_err(|_| error)?;
                read(file)
            }),
            Self::Events(counters) => {
                let mut sum = 0_u64;
                for counter in counters {
                    sum = sum.wrapping_add(counter.read()?);
                }
                Ok(Raw(sum))
            }
        }
    }
}

fn read(file: &File) -> io::Result<Raw> {
    let mut text = [0; 32];
    let n = file.read_at(&mut text, 0)?;
    parse(&text[..n]).ok_or_else(|| io::Error::other("it is no number"))
}

fn parse(text: &[u8]) -> Option<Raw> {
    std::str::from_utf8(text).ok()?.trim().parse().ok().map(Raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_shows_a_number_and_nothing_else() {
        assert_eq!(parse(b"262143328850\n"), Some(Raw(262_143_328_850)));
        assert_eq!(parse(b"0\n"), Some(Raw(0)));
        for text in [&b""[..], b"\n", b"-1\n", b"1.5\n", b"12 34\n", b"18446744073709551616\n", b"\xff"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..32)) {
            let _ = parse(&text);
        }
    }
}
