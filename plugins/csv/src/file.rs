//! A file that is only ever extended by whole lines.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use alumet::Lost;

/// Collects lines and writes them with as few system calls as possible. Generic, so that faults can be tested.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct LineFile<W = File> {
    to: W,
    buffer: Vec<u8>,
    /// The last line in the file is incomplete: its rest is first in the buffer.
    cut: bool,
}

impl LineFile {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    /// It cannot be opened for writing.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self::new(alumet::file::create(path)?))
    }
}

impl<W: Write> LineFile<W> {
    /// Writes to this.
    pub fn new(to: W) -> Self {
        Self { to, buffer: Vec::with_capacity(512 * 1024), cut: false }
    }

    /// Lines to be written are added to this.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Writes everything that was added. If that fails, only the rest of a line that is half in the file is kept; the
    /// lines behind it are given up and counted.
    ///
    /// # Errors
    /// [`Lost`], with the number of lines that are not in the file.
    pub fn write_lines(&mut self) -> Result<(), Lost> {
        let mut written = 0;
        while written < self.buffer.len() {
            match self.to.write(&self.buffer[written..]) {
                Ok(0) => return Err(self.give_up(written, io::ErrorKind::WriteZero.into())),
                Ok(n) => written += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.give_up(written, error)),
            }
        }
        self.buffer.clear();
        self.cut = false;
        Ok(())
    }

    /// The same, for the last time: a line that is still half in the file stays so, and is none.
    ///
    /// # Errors
    /// As for [`Self::write_lines`], with that line.
    pub fn finish(&mut self) -> Result<(), Lost> {
        self.write_lines().map_err(|lost| Lost { points: lost.points + usize::from(self.cut), ..lost })
    }

    fn give_up(&mut self, written: usize, cause: io::Error) -> Lost {
        let in_line = if written > 0 { self.buffer[written - 1] != b'\n' } else { self.cut };
        let line_end = self.buffer[written..].iter().position(|b| *b == b'\n').map(|i| written + i + 1);
        let keep = if in_line { line_end.unwrap_or(self.buffer.len()) } else { written };
        let points = self.buffer[keep..].iter().filter(|b| **b == b'\n').count();
        self.buffer.truncate(keep);
        self.buffer.drain(..written);
        self.cut = in_line;
        Lost { points, cause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `room` bytes, then is full.
    #[derive(Clone)]
    struct Disk {
        content: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = bytes.len().min(self.room);
            if n == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= n;
            self.content.extend(&bytes[..n]);
            Ok(n)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_loses_whole_lines_and_says_how_many() {
        for room in 0..12 {
            let mut file = LineFile::new(Disk { content: Vec::new(), room });
            file.buffer().extend(b"one\ntwo\nthree\n");
            let mut lost = file.write_lines().unwrap_err().points;
            // Still full: whatever comes now is lost, and the line that was cut is not forgotten.
            file.buffer().extend(b"lost\n");
            lost += file.write_lines().unwrap_err().points - 1;
            // If it ended now, what is whole and what is lost would be all.
            let text = String::from_utf8(file.to.content.clone()).unwrap();
            let at_the_end = LineFile { to: Disk { content: Vec::new(), room: 0 }, ..file.clone() }.finish();
            let at_the_end = at_the_end.err().map_or(0, |lost| lost.points);
            assert_eq!(text.matches('\n').count() + lost + at_the_end, 3, "{room}: {text:?}");
            // Room again: the line that was cut is completed, and later ones follow.
            file.to.room = 100;
            file.buffer().extend(b"four\n");
            file.write_lines().unwrap();
            let text = String::from_utf8(file.to.content).unwrap();
            let whole = ["one", "two", "three"].iter().filter(|line| text.contains(&format!("{line}\n")));
            assert_eq!(whole.count() + lost, 3, "{room}: {text:?}");
            assert!(
                text.ends_with("four\n")
                    && text.lines().all(|l| ["one", "two", "three", "four"].contains(&l))
            );
        }
    }
}
