//! How the command line says an application is launched: the words of the command, the user, the streams, and one run of
//! it.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::time::Duration;

use alumet::target::Inherited;
use alumet::{Command, Report, Target};
use anyhow::Context;

use crate::cli::Launching;
use crate::config::Flag;
use crate::exit::Failure;
use crate::measure::Measurement;
use crate::shell_syntax;
use crate::signals::Signals;
use crate::supervise::{Ending, Limits, until_end};

impl Launching {
    /// The values that its flags give to the configuration.
    pub fn flags(&self) -> Vec<Flag> {
        let mut flags = Vec::new();
        let mut set = |key, name, value: &Option<String>| {
            flags.extend(value.clone().map(|value| Flag { section: "", key, value, name }));
        };
        set("timeout", "--timeout", &self.timeout);
        set("idle", "--idle", &self.idle);
        set("ignore_failure", "--ignore-failure", &self.ignore_failure);
        if self.wait_all {
            flags.push(Flag::on("", "wait_all", "--wait-all"));
        }
        flags
    }

    /// Refuses words that are for a shell where there is none. `-S none` says that they are not.
    ///
    /// # Errors
    /// Which word, and what to do.
    pub fn check_words(&self, words: &[OsString]) -> Result<(), Failure> {
        if self.shell.is_some() { Ok(()) } else { shell_syntax::check_words(words) }
    }

    /// The same for a command that was typed as one text.
    ///
    /// # Errors
    /// Which word, and what to do.
    pub fn check_line(&self, text: &OsStr) -> Result<(), Failure> {
        match text.to_str() {
            Some(line) if self.shell.is_none() => shell_syntax::check_line(line),
            _ => Ok(()),
        }
    }

    /// The command of these words, through a shell if that was asked for.
    pub fn command(&self, words: &[OsString], inherited: &Inherited) -> Result<Command, Failure> {
        if words.first().is_none_or(|word| word.is_empty()) {
            return Err(Failure::usage("a command is empty"));
        }
        let mut command = match self.shell()? {
            Some(mut shell) => {
                shell.extend(["-c".into(), words.join(&OsString::from(" "))]);
                Command::new(shell)
            }
            None => Command::new(words.iter().cloned()),
        };
        command.inherited(inherited.clone());
        if let Some(user) = &self.user {
            command.user(user)?;
        }
        Ok(command)
    }

    /// The words of the shell that was asked for, if one was; `none` and `default` as hyperfine has them.
    fn shell(&self) -> Result<Option<Vec<OsString>>, Failure> {
        let Some(shell) = &self.shell else { return Ok(None) };
        let Some(text) = shell.to_str() else { return Ok(Some(vec![shell.clone()])) };
        let words = match text {
            "none" => return Ok(None),
            "default" => vec!["sh".to_owned()],
            text => shell_words::split(text)
                .map_err(|_| Failure::usage(format!("--shell: `{text}`: a quote is not closed")))?,
        };
        match words.first().is_none_or(String::is_empty) {
            true => Err(Failure::usage("--shell: it is empty; `none` is none")),
            false => Ok(Some(words.into_iter().map(OsString::from).collect())),
        }
    }

    /// The command of this text: a shell's, or words that are quoted as for one.
    pub fn command_line(&self, text: &OsString, inherited: &Inherited) -> Result<Command, Failure> {
        if self.shell()?.is_some() {
            return self.command(std::slice::from_ref(text), inherited);
        }
        let Some(line) = text.to_str() else {
            let shown = text.to_string_lossy();
            return Err(Failure::usage(format!("`{shown}` is no valid UTF-8: use --shell, or another name")));
        };
        let words = shell_words::split(line)
            .map_err(|_| Failure::usage(format!("`{line}`: a quote is not closed")))?;
        if words.is_empty() {
            return Err(Failure::usage("a command is empty"));
        }
        self.command(&words.into_iter().map(OsString::from).collect::<Vec<_>>(), inherited)
    }
}

/// A run that has ended.
pub struct Ended {
    pub target: Arc<Target>,
    pub report: Report,
    pub ending: Ending,
    /// The limit, if alumet has ended the application because of it.
    pub timed_out: Option<Duration>,
}

/// Runs the command once under this measurement. After the last run nothing more will be launched.
pub async fn run(
    measurement: &mut Measurement<'_>,
    command: &Command,
    signals: &Signals,
    is_last: bool,
) -> Result<Ended, Failure> {
    let mut agent = measurement.agent();
    let target = Arc::clone(agent.launch(command)?);
    measurement.start_plugins(&mut agent)?;
    if is_last {
        measurement.drop_privileges(&agent)?;
    }
    let running = agent.start().await.map_err(Failure::from)?;
    let general = &measurement.config.general;
    let timeout = general.timeout.map(|timeout| timeout.0);
    let limits = Limits { since: running.start().time, timeout, wait_all: general.wait_all };
    let ending = until_end(&target, signals, limits).await.context("cannot follow the application")?;
    let report = running.finish().await;
    let timed_out = timeout.filter(|_| ending == Ending::TimedOut);
    Ok(Ended { target, report, ending, timed_out })
}
