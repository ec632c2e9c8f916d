//! From the words that were typed to a command of alumet, or to one line that says what is wrong with them.
//!
//! A first word that is no command of alumet is the application, if it can be executed: `alumet ./app` is `alumet exec ./app`.
//! So is everything after options of `exec`, or after `--`.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches};
use nix::unistd::{AccessFlags, access};

use crate::cli::Cli;
use crate::exit::{Failure, NOT_FOUND, SUCCESS, Status, USAGE};
use crate::plugins::did_you_mean;

/// What `alumet --help` is to a person.
const OVERVIEW: &str = "(`alumet --help` lists the commands)";

/// Why there is no command to be run.
pub enum Instead {
    /// Help was printed: how to end.
    Helped(Status),
    Wrong(Failure),
}

/// The command that these words stand for; the first is alumet's own name.
pub fn parse(words: Vec<OsString>) -> Result<Cli, Instead> {
    let mut cli = fitted(Cli::command(), help_width());
    let names: Vec<String> = cli.get_subcommands().map(|one| one.get_name().to_owned()).collect();
    let is_of_alumet = !words.get(1).is_some_and(|word| names.iter().any(|name| word == name.as_str()));
    let words = with_command(words, &names).map_err(Instead::Wrong)?;
    let command = words.get(1).and_then(|word| names.iter().find(|name| word == name.as_str()));
    let parsed =
        cli.try_get_matches_from_mut(&words).and_then(|mut found| Cli::from_arg_matches_mut(&mut found));
    parsed.map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => printed(&error, SUCCESS),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => printed(&error, USAGE),
        _ => {
            let (name, of_command) =
                (command.map_or("", String::as_str), command.and_then(|name| cli.find_subcommand(name)));
            let what = match error.kind() {
                ErrorKind::UnknownArgument => unknown_argument(&error, of_command, is_of_alumet),
                _ => in_words(&error, name),
            };
            let help = command.map_or("alumet --help".to_owned(), |name| format!("alumet {name} --help"));
            Instead::Wrong(Failure::usage(format!("{what} (`{help}` shows what there is)")))
        }
    })
}

/// In fewer columns, what an option does stands below it: beside it there would be a word in a line, and hardly that.
const ROOMY: usize = 60;

/// The columns that help has, as clap asks for them; all that it wants if nobody knows.
fn help_width() -> usize {
    let of_terminal = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let of_environment = || std::env::var("COLUMNS").ok()?.parse().ok();
    of_terminal.or_else(of_environment).filter(|width| *width > 0).unwrap_or(ROOMY)
}

/// With help that fits so many columns.
fn fitted(cli: clap::Command, width: usize) -> clap::Command {
    if width >= ROOMY {
        return cli;
    }
    // What is said of the usage is not wrapped.
    let wrapped = |mut command: clap::Command| {
        let usage = command.render_usage().to_string();
        let options = textwrap::Options::new(width.saturating_sub(7).max(10)).subsequent_indent("    ");
        let lines = usage.trim_start_matches("Usage: ").lines();
        let lines = lines.flat_map(|line| textwrap::wrap(line.trim_start(), &options)).collect::<Vec<_>>();
        command.override_usage(lines.join("\n       "))
    };
    let cli = cli.next_line_help(true).mut_subcommands(wrapped);
    wrapped(cli)
}

/// Prints help. A reader who leaves early is no failure.
fn printed(help: &clap::Error, status: Status) -> Instead {
    match help.print() {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Instead::Wrong(Failure::failed(
            format!("cannot write the help: {}", alumet::file::reason(&error)),
        )),
        _ => Instead::Helped(status),
    }
}

/// The words with the command that they leave out.
fn with_command(mut words: Vec<OsString>, names: &[String]) -> Result<Vec<OsString>, Failure> {
    let is_name = |word: &OsStr| names.iter().any(|name| word == name.as_str());
    let Some(first) = words.get(1).cloned() else { return Ok(words) };
    let text = first.to_string_lossy();
    let is_of_alumet = ["-h", "--help", "-V", "--version"].contains(&&*text);
    if is_of_alumet || is_name(&first) {
        return Ok(words);
    }
    if text == "help" {
        words.remove(1);
        let about = words.get(1).cloned();
        if let Some(word) = about.filter(|word| !is_name(word)) {
            return Err(unknown(&word, names));
        }
        words.truncate(2);
        words.push("--help".into());
        return Ok(words);
    }
    if text.starts_with('-') || text.is_empty() || can_be_executed(&first) {
        words.insert(1, "exec".into());
        return Ok(words);
    }
    Err(unknown(&first, names))
}

/// Whether it names a program, as the shell would find it. A path does in any case: what is wrong with it is said when it
/// is to be executed.
fn can_be_executed(word: &OsStr) -> bool {
    if word.to_string_lossy().contains('/') {
        return true;
    }
    let is_program = |path: &Path| path.is_file() && access(path, AccessFlags::X_OK).is_ok();
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    std::env::split_paths(&path).any(|directory| is_program(&directory.join(word)))
}

/// A word that is neither a command nor a program.
fn unknown(word: &OsStr, names: &[String]) -> Failure {
    let word = word.to_string_lossy();
    let near = did_you_mean(&word, names.iter().map(String::as_str));
    let status = if near.is_empty() { NOT_FOUND } else { USAGE };
    let message =
        format!("`{word}` is no command of alumet, and no program that can be found{near} {OVERVIEW}");
    Failure { status, message }
}

/// A word that is no option, with the nearest one. Of all commands, alumet alone has a version.
fn unknown_argument(error: &clap::Error, command: Option<&clap::Command>, is_of_alumet: bool) -> String {
    let word = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) => &**word,
        _ => "",
    };
    if !word.starts_with('-') {
        return format!("`{word}` is one word too many");
    }
    let names = command.into_iter().flat_map(clap::Command::get_arguments);
    let names = names.flat_map(|one| one.get_long_and_visible_aliases().unwrap_or_default());
    let names: Vec<_> = names.chain(["help", "version"]).map(|name| format!("--{name}")).collect();
    let near = did_you_mean(word, names.iter().map(String::as_str));
    let near = if is_of_alumet { near } else { near.replace("`--version`", "`alumet --version`") };
    format!("there is no option `{word}`{near}")
}

/// What is wrong, in one line.
fn in_words(error: &clap::Error, command: &str) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    };
    let (argument, value) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue));
    // `--runs <N>`, `<COMMAND>...` or `[PID]...`.
    let (name, placeholders) = match argument.split_once(' ') {
        Some((name, rest)) if name.starts_with('-') => (name, rest),
        _ if argument.starts_with('-') => (&*argument, ""),
        _ => ("", &*argument),
    };
    let placeholders = placeholders.replace(['<', '>', '[', ']'], "").replace("...", "");
    match error.kind() {
        ErrorKind::MissingRequiredArgument => match command {
            "attach" => "no PID is given: name one or several, or use --name PATTERN".into(),
            "compare" => "no VERSION is given: name two at least, as in `alumet compare ./old ./new`".into(),
            command if placeholders.contains("COMMAND") => {
                format!("no COMMAND is given: it comes last, as in `alumet {command} ./app`")
            }
            _ => format!("{} is missing", if name.is_empty() { &placeholders } else { name }),
        },
        ErrorKind::WrongNumberOfValues | ErrorKind::TooFewValues if placeholders.contains("VERSION") => {
            "a single VERSION cannot be compared: name two at least, as in `alumet compare ./old ./new`"
                .into()
        }
        ErrorKind::WrongNumberOfValues | ErrorKind::TooFewValues => format!("{name} needs {placeholders}"),
        ErrorKind::TooManyValues => format!("{name} takes no value, and not `{value}`"),
        ErrorKind::InvalidValue if value.is_empty() => format!("{name} needs a value: {placeholders}"),
        ErrorKind::InvalidValue => {
            format!("{name}: `{value}` is none of {}", text(ContextKind::ValidValue))
        }
        ErrorKind::ValueValidation => {
            let is_large = value.bytes().all(|byte| byte.is_ascii_digit());
            match name {
                name if is_large => format!("{name}: {value} is too large"),
                name => format!("{name}: `{value}` is not a whole number of 0 or more, as in `{name} 10`"),
            }
        }
        ErrorKind::ArgumentConflict => match text(ContextKind::PriorArg) {
            other if other == argument => format!("{name} is there twice"),
            other => {
                let other = other.split(' ').next().unwrap_or_default();
                format!("{name} and {other} exclude each other")
            }
        },
        ErrorKind::NoEquals => format!("{name}: its value follows `=`, as in `{name}=VALUE`"),
        ErrorKind::InvalidUtf8 => "an argument is no valid UTF-8".into(),
        _ => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["exec", "attach", "compare"].map(str::to_owned).into()
    }

    fn completed(words: &[&str]) -> Result<String, Failure> {
        let words = words.iter().map(OsString::from).collect();
        with_command(words, &names()).map(|words| words.join(OsStr::new(" ")).into_string().unwrap())
    }

    #[test]
    fn a_program_is_executed_without_a_command() {
        for (typed, meant) in [
            (&["alumet", "./app", "-x"][..], "alumet exec ./app -x"),
            (&["alumet", "--", "./app"], "alumet exec -- ./app"),
            (&["alumet", "sh", "-c", "x"], "alumet exec sh -c x"),
            (&["alumet", "-r", "3", "sh"], "alumet exec -r 3 sh"),
            (&["alumet", ""], "alumet exec "),
            (&["alumet", "attach", "1"], "alumet attach 1"),
            (&["alumet", "--version"], "alumet --version"),
            (&["alumet", "help"], "alumet --help"),
            (&["alumet", "help", "exec", "x"], "alumet exec --help"),
            (&["alumet"], "alumet"),
        ] {
            assert_eq!(completed(typed).unwrap(), meant);
        }
    }

    #[test]
    fn a_word_that_is_nothing_gets_the_nearest_command() {
        let refused = completed(&["alumet", "exce", "--", "x"]).unwrap_err();
        let says = "`exce` is no command of alumet, and no program that can be found; did you mean `exec`?";
        assert!(refused.status == USAGE && refused.message.starts_with(says), "{}", refused.message);
        let refused = completed(&["alumet", "no-such-program-here"]).unwrap_err();
        assert!(refused.status == NOT_FOUND && !refused.message.contains("mean"), "{}", refused.message);
        assert!(completed(&["alumet", "help", "exce"]).unwrap_err().message.contains("did you mean `exec`?"));
    }

    #[test]
    fn help_fits_a_narrow_terminal() {
        for width in [30, 40, 59] {
            // As `help_width` and `Cli` say it to clap.
            let mut cli = fitted(Cli::command(), width).term_width(width);
            cli.build();
            let names: Vec<_> = cli.get_subcommands().map(|one| one.get_name().to_owned()).collect();
            let subcommands = names.iter().map(|name| cli.find_subcommand(name).unwrap().clone());
            for command in subcommands.chain([cli.clone()]) {
                let help = command.term_width(width).render_long_help().to_string();
                let mut texts = 0;
                for line in help.lines() {
                    let columns = textwrap::core::display_width(line);
                    // The name of an option, with its values, stands alone; and so does a word that is longer.
                    let is_name = line.trim_start().starts_with('-') && !line.trim().contains("  ");
                    let is_word = is_name || line.trim().split(' ').count() == 1;
                    assert!(columns <= width || is_word, "{columns} of {width}: {line}");
                    texts += usize::from(!line.trim().is_empty());
                }
                assert!(texts > 10);
            }
        }
    }

    #[test]
    fn the_examples_in_the_help_can_be_typed() {
        let mut cli = Cli::command();
        let commands: Vec<_> = cli.get_subcommands().cloned().chain([cli.clone()]).collect();
        let names: Vec<_> = cli.get_subcommands().map(|one| one.get_name().to_owned()).collect();
        for command in commands {
            let text = command.get_after_help().unwrap().to_string();
            let (_, examples) = text.split_once("Examples:\n").unwrap();
            for example in examples.lines() {
                // What it is for stands apart.
                let line = example.trim().split("   ").next().unwrap();
                let words = shell_words::split(line).unwrap().into_iter().map(OsString::from).collect();
                let words = with_command(words, &names).unwrap();
                cli.try_get_matches_from_mut(words).unwrap_or_else(|error| panic!("{line}: {error}"));
            }
        }
    }
}
