//! A pipe that is emptied all the time, for output that nobody wants to see. An application can tell it from /dev/null, for
//! which some do less work: GNU grep ends at the first match.

use std::fs::File;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SpliceFFlags, fcntl, splice};

/// What an ordinary user may have (pipe(7), `pipe-max-size`): so much is written before anybody waits.
const SIZE: usize = 1 << 20;
/// Whoever writes a line at a time does not wake alumet for each: a line of 1 KiB every microsecond fits.
const PAUSE: Duration = Duration::from_millis(1);

/// The end to write to. The other one is emptied by a thread until nobody has this one any more.
///
/// # Errors
/// There are no descriptors, or there is no thread.
pub fn pipe() -> io::Result<OwnedFd> {
    let null = File::options().write(true).open("/dev/null")?;
    let (reader, writer) = io::pipe()?;
    // A smaller one does it too.
    let _ = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(SIZE as libc::c_int));
    let writer = File::from(OwnedFd::from(writer));
    // With --user, another user than the pipe's may open it as /dev/stdout.
    writer.set_permissions(PermissionsExt::from_mode(0o666))?;
    std::thread::Builder::new()
        .name("alumet-drain".into())
        .stack_size(64 * 1024)
        .spawn(|| drain(reader, null))?;
    Ok(writer.into())
}

fn drain(mut reader: PipeReader, null: File) {
    loop {
        // Nothing is copied: the pages are let go.
        match splice(reader.as_fd(), None, null.as_fd(), None, SIZE, SpliceFFlags::empty()) {
            Ok(0) => return,
            Ok(bytes) if bytes < SIZE / 2 => std::thread::sleep(PAUSE),
            Ok(_) | Err(Errno::EINTR) => {}
            // A sandbox may forbid it.
            Err(_) => {
                let _ = io::copy(&mut reader, &mut io::sink());
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn whoever_writes_more_than_a_pipe_holds_is_not_stopped_while_another_one_keeps_it_open() {
        let mut writer = File::from(pipe().unwrap());
        let _another = writer.try_clone().unwrap();
        for _ in 0..10 {
            writer.write_all(&[b'x'; SIZE]).unwrap();
        }
    }
}
