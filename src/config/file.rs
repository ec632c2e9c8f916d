//! Finds and reads the configuration file. Nothing is ever written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use alumet::file::{exposure, reason};
use nix::unistd::Uid;
use toml::{Table, Value};

use super::shown;
use super::values::{GENERAL, Origin, Values};
use crate::exit::Failure;

/// The file in the working directory.
const HERE: &str = "alumet.toml";
/// Keys that make alumet run code: a file that merely lies in the working directory, which may be anybody's, must not
/// set them.
const NOT_FROM_HERE: [(&str, &str); 1] = [("nvml", "library")];

/// Something about a configuration file that the user should know.
#[derive(Debug, Clone)]
pub struct Notice(pub String);

/// The file that was named, or the first that exists of those that are looked for; in the working directory only if that
/// is to be believed.
pub fn find(named: Option<&Path>, here: bool) -> Result<(Option<PathBuf>, Vec<Notice>), Failure> {
    if let Some(path) = named {
        return Ok((Some(path.to_owned()), Vec::new()));
    }
    let mut notices = Vec::new();
    for path in places().filter(|path| here || path != Path::new(HERE)) {
        if fs::symlink_metadata(&path).is_err() {
            continue;
        }
        match distrust(&path) {
            None => return Ok((Some(path), notices)),
            Some(why) => notices.push(Notice(format!(
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

/// Why root should not believe a file that nobody has named: somebody else could have put it there.
pub fn distrust(path: &Path) -> Option<String> {
    Uid::effective().is_root().then(|| exposure(path)).flatten()
}

/// Reads a file into the values. `named` says that the user has named it.
pub fn read(path: &Path, named: bool, values: &mut Values) -> Result<(), Failure> {
    let name = shown(path);
    let text = fs::read_to_string(path).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::InvalidData => "it is not valid UTF-8".to_owned(),
            _ => reason(&error),
        };
        Failure::usage(format!("cannot read the configuration {name}: {why}"))
    })?;
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
                    if !named && path == Path::new(HERE) && NOT_FROM_HERE.contains(&(&*key, &*inner)) {
                        return Err(Failure::usage(format!(
                            "{origin}: {key}.{inner} is not taken from the working directory; name the file with \
                             --config, or use --set"
                        )));
                    }
                    values.set(&key, &inner, value, origin)?;
                }
            }
            value => {
                let origin = Origin::File(format!("{name}{}", spans.place(&text, &[&key])));
                values.set(GENERAL, &key, value, origin)?;
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
        let result = read(&path, true, &mut values).map(|()| values);
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
    fn mistakes_are_placed_by_line_and_column() {
        let message = |text: &str| read_text(text).map(drop).unwrap_err().message;
        assert_eq!(
            message("\n[procfs]\n  intervall = \"1s\"\n"),
            "/alumet.toml:3:3: unknown key `intervall` in [procfs]; did you mean `interval`? Valid: interval, per_process, per_thread"
        );
        assert!(message("[procfs\n").starts_with("/alumet.toml:1:8: "), "{}", message("[procfs\n"));
        assert!(
            message("interval = 5\n").starts_with("/alumet.toml:1:1: interval: invalid type: integer `5`")
        );
        assert!(
            message("[raplx]\nx = 1\n")
                .starts_with("/alumet.toml:2:1: no plugin named `raplx`; did you mean `rapl`?")
        );
    }
}
