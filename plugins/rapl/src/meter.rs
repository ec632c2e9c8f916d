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
    use std::fs;

    use super::*;
    use crate::domain::Domain;

    #[test]
    fn a_register_shows_a_number_and_nothing_else() {
        assert_eq!(parse(b"262143328850\n"), Some(Raw(262_143_328_850)));
        assert_eq!(parse(b"0\n"), Some(Raw(0)));
        for text in [&b""[..], b"\n", b"-1\n", b"1.5\n", b"12 34\n", b"18446744073709551616\n", b"\xff"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    fn meter(domain: Domain, register: Register) -> Meter {
        let part = Part { domain, socket: 0, die: None };
        Meter { part, scale: Scale(1e-6), top: Top::At(65_532_610_987), register }
    }

    #[test]
    fn what_may_use_more_is_read_more_often() {
        let every = |domain| meter(domain, Register::Events(Vec::new())).read_every().as_secs_f64();
        assert!((every(Domain::Package) - 65_532.0 / 4000.0).abs() < 0.01, "{}", every(Domain::Package));
        assert!((every(Domain::Psys) - 65_532.0 / 20_000.0).abs() < 0.01, "{}", every(Domain::Psys));
    }

    #[test]
    fn a_zone_that_was_registered_anew_is_opened_again_and_one_that_is_gone_says_what_was_wrong_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("energy_uj");
        fs::write(&path, "5\n").unwrap();
        let mut register = Register::File { file: File::open(&path).unwrap(), path: path.clone() };
        assert_eq!(register.read().unwrap(), Raw(5));
        // The old zone shows nothing any more; another file has taken its place.
        fs::OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        let (old, new) = (directory.path().join("old"), directory.path().join("new"));
        fs::rename(&path, &old).unwrap();
        assert_eq!(register.read().unwrap_err().to_string(), "it is no number");
        fs::write(&new, "9\n").unwrap();
        fs::rename(&new, &path).unwrap();
        assert_eq!(register.read().unwrap(), Raw(9));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..32)) {
            let _ = parse(&text);
        }
    }
}
