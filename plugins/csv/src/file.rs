//! A file that is only ever extended by whole lines.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use alumet::Lost;
use alumet::file::{descriptor, start_over};

/// Collects lines and writes them with as few system calls as possible. Generic, so that faults can be tested.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct LineFile<W = File> {
    to: W,
    buffer: Vec<u8>,
    /// So many bytes have been written.
    written: u64,
    /// So many of them are of a line that is incomplete: its rest is first in the buffer.
    cut: u64,
    /// Where it is, if nobody else has any business with it: not a pipe, and nothing that was open before.
    own: Option<PathBuf>,
}

/// What lines are written to.
pub trait Sink: Write {
    /// How long it is, and how many names it has.
    ///
    /// # Errors
    /// As for fstat(2).
    fn state(&self) -> io::Result<(u64, u64)>;
    /// Makes it so short.
    ///
    /// # Errors
    /// As for ftruncate(2).
    fn shorten(&self, length: u64) -> io::Result<()>;
    /// How many lines are in it.
    ///
    /// # Errors
    /// It cannot be read.
    fn lines(&self) -> io::Result<usize>;
    /// Where it is now, if that certainly is not here any more.
    fn moved_from(&self, path: &Path) -> Option<PathBuf>;
}

impl Sink for File {
    fn state(&self) -> io::Result<(u64, u64)> {
        let metadata = self.metadata()?;
        Ok((metadata.len(), metadata.nlink()))
    }

    fn shorten(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn lines(&self) -> io::Result<usize> {
        let again = alumet::file::open(&name(self))?;
        let mut lines = 0;
        for byte in BufReader::new(again).bytes() {
            lines += usize::from(byte? == b'\n');
        }
        Ok(lines)
    }

    fn moved_from(&self, path: &Path) -> Option<PathBuf> {
        let own = self.metadata().ok()?;
        let is_here = match std::fs::metadata(path) {
            Ok(there) => (there.dev(), there.ino()) == (own.dev(), own.ino()),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        if is_here { None } else { std::fs::read_link(name(self)).ok() }
    }
}

/// The kernel tells there where an open file is (proc_pid_fd(5)).
fn name(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

impl LineFile {
    /// Starts a file of such lines over. Of what is there, only what `is_own` takes for lines like these is written over.
    ///
    /// # Errors
    /// As for [`alumet::file::start_over`].
    pub fn create(path: &Path, is_own: impl Fn(&[u8]) -> bool) -> io::Result<Self> {
        let to = start_over(path, is_own)?;
        let is_own = descriptor(path).is_none() && to.metadata()?.is_file();
        Ok(Self { own: is_own.then(|| path.to_owned()), ..Self::new(to) })
    }
}

impl<W: Sink> LineFile<W> {
    /// Writes to this.
    pub fn new(to: W) -> Self {
        Self { to, buffer: Vec::with_capacity(512 * 1024), written: 0, cut: 0, own: None }
    }

    /// Whether nobody reads it as it is written: no pipe, and nothing that was open before.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
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
        let mut done = 0;
        while done < self.buffer.len() {
            match self.to.write(&self.buffer[done..]) {
                Ok(0) => return Err(self.give_up(done, io::ErrorKind::WriteZero.into())),
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.give_up(done, error)),
            }
        }
        self.written += done as u64;
        self.buffer.clear();
        self.cut = 0;
        Ok(())
    }

    /// The same, for the last time: a line that is still half in the file is taken out of it where that can be done, and is
    /// none. Then it is looked whether everything is still there: a header and so many lines.
    ///
    /// # Errors
    /// As for [`Self::write_lines`], with that line; or with what somebody else has taken away or put in between.
    pub fn finish(&mut self, lines: usize) -> Result<(), Lost> {
        let mut end = self.write_lines();
        if self.cut > 0 {
            if let Err(lost) = &mut end {
                lost.points += 1;
            }
            let whole = self.written - self.cut;
            // Only if it is the last thing in it.
            let is_last = |(length, _)| length == self.written;
            if self.own.is_some() && self.to.state().is_ok_and(is_last) && self.to.shorten(whole).is_ok() {
                (self.written, self.cut) = (whole, 0);
            }
        }
        let Some((path, Ok(state))) = self.own.as_ref().map(|path| (path, self.to.state())) else {
            return end;
        };
        let lost = end.as_ref().err().map_or(0, |lost| lost.points);
        match self.taken_away(path, state, lines.saturating_sub(lost)) {
            Some((more, why)) => Err(Lost { points: lost + more, cause: io::Error::other(why) }),
            None => end,
        }
    }

    /// How many of these lines somebody else has taken out of the file, and how; or what else was done to it.
    fn taken_away(&self, path: &Path, (length, names): (u64, u64), lines: usize) -> Option<(usize, String)> {
        let left = || self.to.lines().unwrap_or(0).saturating_sub(1).min(lines);
        let why = |why: &str| why.to_owned();
        match length.cmp(&self.written) {
            _ if names == 0 => Some((lines, why("it was deleted meanwhile"))),
            Ordering::Less => Some((lines - left(), why("it was truncated meanwhile"))),
            Ordering::Greater => Some((0, why("somebody else has written into it meanwhile"))),
            Ordering::Equal => {
                let now = self.to.moved_from(path)?;
                Some((0, format!("it was moved to {} meanwhile", now.display())))
            }
        }
    }

    fn give_up(&mut self, done: usize, cause: io::Error) -> Lost {
        self.written += done as u64;
        self.cut = match self.buffer[..done].iter().rposition(|b| *b == b'\n') {
            Some(end) => (done - end - 1) as u64,
            None => self.cut + done as u64,
        };
        let line_end = self.buffer[done..].iter().position(|b| *b == b'\n').map(|i| done + i + 1);
        let keep = if self.cut > 0 { line_end.unwrap_or(self.buffer.len()) } else { done };
        let points = self.buffer[keep..].iter().filter(|b| **b == b'\n').count();
        self.buffer.truncate(keep);
        self.buffer.drain(..done);
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

    impl Sink for Disk {
        fn state(&self) -> io::Result<(u64, u64)> {
            Ok((self.content.len() as u64, 1))
        }
        fn shorten(&self, _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn lines(&self) -> io::Result<usize> {
            Ok(self.content.iter().filter(|byte| **byte == b'\n').count())
        }
        fn moved_from(&self, _: &Path) -> Option<PathBuf> {
            None
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
            let at_the_end = LineFile { to: Disk { content: Vec::new(), room: 0 }, ..file.clone() }.finish(3);
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

    /// A file in a directory of its own, with a header and two rows in it.
    fn written() -> (tempfile::TempDir, PathBuf, LineFile) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mut file = LineFile::create(&path, <[u8]>::is_empty).unwrap();
        file.buffer().extend(b"header\none\ntwo\n");
        file.write_lines().unwrap();
        (directory, path, file)
    }

    #[test]
    fn what_somebody_else_does_to_the_file_is_found_at_the_end() {
        let (_directory, _, mut file) = written();
        file.finish(2).unwrap();
        type Deed = fn(&Path);
        fn move_it(path: &Path) {
            std::fs::rename(path, path.with_extension("old")).unwrap();
        }
        let cases: [(Deed, usize, &str); 5] = [
            (|path| std::fs::remove_file(path).unwrap(), 2, "it was deleted meanwhile"),
            (|path| File::options().write(true).open(path).unwrap().set_len(11).unwrap(), 1, "truncated"),
            (|path| writeln!(File::options().append(true).open(path).unwrap(), "x").unwrap(), 0, "somebody"),
            (move_it, 0, "/file.old"),
            (
                |path| {
                    move_it(path);
                    std::fs::write(path, "another").unwrap();
                },
                0,
                "it was moved to /",
            ),
        ];
        for (deed, points, why) in cases {
            let (_directory, path, mut file) = written();
            deed(&path);
            let lost = file.finish(2).unwrap_err();
            assert_eq!(lost.points, points, "{why}");
            assert!(lost.cause.to_string().contains(why), "{} is not: {why}", lost.cause);
        }
    }

    #[test]
    fn a_file_that_is_reached_by_another_way_has_not_been_moved() {
        let (directory, path, mut file) = written();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        file.own = Some(link.clone());
        file.finish(2).unwrap();
        std::fs::rename(&path, directory.path().join("elsewhere")).unwrap();
        let lost = file.finish(2).unwrap_err();
        assert!(lost.cause.to_string().contains("/elsewhere "), "{}", lost.cause);
    }

    #[test]
    fn a_file_that_is_being_written_is_not_started_over() {
        let (_directory, path, file) = written();
        let any = |_: &[u8]| true;
        let error = LineFile::create(&path, any).unwrap_err();
        assert_eq!(error.to_string(), "another alumet is writing it; name another file");
        assert_eq!(std::fs::read(&path).unwrap(), b"header\none\ntwo\n");
        drop(file);
        LineFile::create(&path, any).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn a_file_of_something_else_is_not_started_over() {
        let (_directory, path, file) = written();
        drop(file);
        let error = LineFile::create(&path, <[u8]>::is_empty).unwrap_err();
        assert_eq!(error.to_string(), alumet::file::FOREIGN);
        assert_eq!(std::fs::read(&path).unwrap(), b"header\none\ntwo\n");
    }
}
