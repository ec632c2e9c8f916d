//! Finds and reads the configuration file. Nothing is ever written.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use alumet::file::{exposure, exposure_of, reason, regular};
use alumet::privilege::as_user;
use nix::unistd::Uid;
use toml::{Table, Value};

use super::shown;
use super::values::{GENERAL, Origin, Values};
use crate::exit::Failure;

/// The file in the working directory.
const HERE: &str = "alumet.toml";
/// Keys that make alumet run code or write files: a file that merely lies in the working directory, which may be
/// anybody's, must not set them.
const NOT_FROM_HERE: [(&str, &str); 3] = [("nvml", "library"), ("csv", "path"), (GENERAL, "idle_profile")];

/// Something about a configuration file that the user should know.
#[derive(Debug, Clone)]
pub struct Notice(pub String);

/// A configuration that is to be read.
#[derive(Debug)]
pub struct Found {
    pub path: PathBuf,
    file: File,
    /// By the user.
    is_named: bool,
}

/// Why a file is not read.
#[derive(Debug)]
pub enum Doubt {
    /// As root, because somebody else could have put it there.
    Distrusted(String),
    Unreadable(io::Error),
}

/// Opens a regular file to read what alumet is to believe. What was judged is what is read.
pub fn open(path: &Path, is_named: bool) -> Result<File, Doubt> {
    let distrusts = !is_named && Uid::effective().is_root();
    let no_link = if distrusts { libc::O_NOFOLLOW } else { 0 };
    // A pipe is not waited for.
    let flags = no_link | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = as_user(|| OpenOptions::new().read(true).custom_flags(flags).open(path));
    let why = match &file {
        _ if !distrusts => None,
        Ok(file) => exposure_of(file),
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => exposure(path),
        Err(_) => None,
    };
    if let Some(why) = why {
        return Err(Doubt::Distrusted(why));
    }
    file.and_then(regular).map_err(Doubt::Unreadable)
}

/// The file that was named, or the first that exists of those that are looked for; in the working directory only if that
/// is to be believed.
pub fn find(named: Option<&Path>, here: bool) -> Result<(Option<Found>, Vec<Notice>), Failure> {
    let unreadable = |path: &Path, error: &io::Error| {
        Failure::usage(format!("cannot read the configuration {}: {}", shown(path), reason(error)))
    };
    let mut notices = Vec::new();
    let looked_for = places().filter(|path| here || path != Path::new(HERE));
    let looked_for = looked_for.filter(|path| fs::symlink_metadata(path).is_ok());
    let is_named = named.is_some();
    let paths: Vec<_> = named.map_or_else(|| looked_for.collect(), |path| vec![path.to_owned()]);
    for path in paths {
        match open(&path, is_named) {
            Ok(file) => return Ok((Some(Found { path, file, is_named }), notices)),
            Err(Doubt::Unreadable(error)) => return Err(unreadable(&path, &error)),
            Err(Doubt::Distrusted(why)) => notices.push(Notice(format!(
                "ignored {}: alumet runs as root and {why}; name it with --config to use it",
                shown(&path)
            ))),
        }
    }
    Ok((None, notices))
}

fn places() -> impl Iterator<Item = PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let xdg = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
    [Some(PathBuf::from(HERE)), xdg.map(|xdg| xdg.join("alumet/alumet.toml"))]
        .into_iter()
        .flatten()
        .chain([PathBuf::from("/etc/alumet/alumet.toml")])
}

/// Reads a file into the values.
pub fn read(found: &Found, values: &mut Values) -> Result<(), Failure> {
    let name = shown(&found.path);
    let text = io::read_to_string(&found.file).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::InvalidData => "it is not valid UTF-8".to_owned(),
            _ => reason(&error),
        };
        Failure::usage(format!("cannot read the configuration {name}: {why}"))
    })?;
    let is_from_here = !found.is_named && found.path == Path::new(HERE);
    let set = |values: &mut Values, section: &str, key: &str, value, origin| {
        if is_from_here && NOT_FROM_HERE.contains(&(section, key)) {
            let name = if section == GENERAL { key.to_owned() } else { format!("{section}.{key}") };
            return Err(Failure::usage(format!(
                "{origin}: {name} is not taken from the working directory; name the file with --config"
            )));
        }
        values.set(section, key, value, origin)
    };
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let place = error.span().map(|span| place(&text, span.start)).unwrap_or_default();
        Failure::usage(format!("{name}{place}: {}", error.message().lines().next().unwrap_or_default()))
    })?;
    let spans = Spans::of(&text);
    for (key, value) in table {
        match value {
            Value::Table(section) => {
                if section.is_empty() {
                    continue;
                }
                for (inner, value) in section {
                    let origin = Origin::File(format!("{name}{}", spans.place(&text, &[&key, &inner])));
                    set(values, &key, &inner, value, origin)?;
                }
            }
            value => {
                let origin = Origin::File(format!("{name}{}", spans.place(&text, &[&key])));
                set(values, GENERAL, &key, value, origin)?;
            }
        }
    }
    Ok(())
}

/// Where keys stand in a document.
struct Spans<'a>(Option<toml::Spanned<toml::de::DeTable<'a>>>);

impl<'a> Spans<'a> {
    fn of(text: &'a str) -> Self {
        Self(toml::de::DeTable::parse(text).ok())
    }

    /// `:line:column` of a key, or nothing.
    fn place(&self, text: &str, path: &[&str]) -> String {
        let mut table = self.0.as_ref().map(toml::Spanned::get_ref);
        let mut at = None;
        for name in path {
            let entry = table.and_then(|t| t.iter().find(|(key, _)| key.get_ref().as_ref() == *name));
            at = entry.map(|(key, _)| key.span().start).or(at);
            table = entry.and_then(|(_, value)| value.get_ref().as_table());
        }
        at.map(|at| place(text, at)).unwrap_or_default()
    }
}

/// `:line:column`, both from 1, the column in characters.
fn place(text: &str, at: usize) -> String {
    let before = &text[..at.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!(":{line}:{column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Values, Failure> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("alumet.toml");
        fs::write(&path, text).unwrap();
        let mut values = Values::with_defaults()?;
        let (found, _) = find(Some(&path), true)?;
        let result = read(&found.unwrap(), &mut values).map(|()| values);
        result.map_err(|failure| Failure {
            message: failure.message.replace(directory.path().to_str().unwrap(), ""),
            ..failure
        })
    }

    #[test]
    fn every_key_is_optional() {
        for text in ["", "[procfs]\n", "interval = \"1s\"\n", "[procfs]\nper_process = true\n"] {
            read_text(text).unwrap();
        }
    }

    #[test]
    fn what_is_no_regular_file_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for is_named in [true, false] {
            for (path, says) in [(&*pipe, "it is no regular file"), (directory.path(), "is a directory")] {
                let doubt = open(path, is_named).unwrap_err();
                assert!(matches!(&doubt, Doubt::Unreadable(error) if reason(error) == says), "{doubt:?}");
            }
        }
    }

    #[test]
    fn mistakes_are_placed_by_line_and_column() {
        let message = |text: &str| read_text(text).map(drop).unwrap_err().message;
        assert_eq!(
            message("\n[procfs]\n  intervall = \"1s\"\n"),
            "/alumet.toml:3:3: unknown key `intervall` in [procfs]; did you mean `interval`? Valid: interval, per_process, per_thread"
        );
        assert!(message("[procfs\n").starts_with("/alumet.toml:1:8: "), "{}", message("[procfs\n"));
        assert!(message("interval = 5\n").starts_with("/alumet.toml:1:1: interval: found integer `5`"));
        assert!(
            message("[raplx]\nx = 1\n")
                .starts_with("/alumet.toml:2:1: no plugin named `raplx`; did you mean `rapl`?")
        );
    }
}
