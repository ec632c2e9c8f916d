//! What alumet decides while it works, and why, for somebody who looks for a mistake: on stderr, if `ALUMET_LOG` asks for it.
//!
//! Events come from all crates of alumet, through the crate `tracing`. Nobody listens unless this is asked for: then an event
//! costs a comparison.

use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::exit::Failure;
use crate::{plugins, terminal};

/// The variable. It is no key of the configuration: it says nothing about what is measured.
pub const VARIABLE: &str = "ALUMET_LOG";

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Begins to log if that was asked for.
///
/// # Errors
/// The variable holds something else than levels and targets.
pub fn start() -> Result<(), Failure> {
    let Some(asked) = std::env::var_os(VARIABLE).filter(|asked| !asked.is_empty()) else { return Ok(()) };
    let wrong = |why: String| Failure::usage(format!("{VARIABLE}: {why}"));
    let asked = asked.to_str().ok_or_else(|| wrong("its value is not valid UTF-8".into()))?;
    let lines = fmt::layer()
        .with_timer(fmt::time::uptime())
        // What is said on a terminal is painted elsewhere, and this is for files just as well.
        .with_writer(|| Line);
    tracing_subscriber::registry().with(lines).with(targets(asked).map_err(wrong)?).init();
    Ok(())
}

/// `debug`, `alumet=debug,alumet_plugin_rapl=trace`: a level for everything, and others for the modules whose names begin
/// like this.
fn targets(asked: &str) -> Result<Targets, String> {
    asked.split(',').map(str::trim).try_fold(Targets::new(), |targets, part| match part.split_once('=') {
        Some((target, level)) => Ok(targets.with_target(known(target.trim())?, level_of(level.trim())?)),
        None => Ok(targets.with_default(level_of(part)?)),
    })
}

fn level_of(text: &str) -> Result<LevelFilter, String> {
    let lower = text.to_lowercase();
    match LEVELS.contains(&&*lower).then(|| lower.parse().ok()).flatten() {
        Some(level) => Ok(level),
        None => {
            let near = plugins::did_you_mean(&lower, LEVELS);
            let link = if near.is_empty() { "; it is" } else { " It is" };
            Err(format!(
                "`{text}` is no level{near}{link} one of {}, or TARGET=LEVEL, as in `alumet_plugin_rapl=trace`",
                LEVELS.join(", ")
            ))
        }
    }
}

/// A target that there is: `alumet`, or a plugin's crate; perhaps with a module of it.
fn known(target: &str) -> Result<&str, String> {
    let crate_name = target.split("::").next().unwrap_or_default();
    let plugin = |name: &str| plugins::find(name).is_some();
    if crate_name == "alumet" || crate_name.strip_prefix("alumet_plugin_").is_some_and(plugin) {
        return Ok(target);
    }
    let names: Vec<_> = plugins::ALL.iter().map(|plugin| format!("alumet_plugin_{}", plugin.name)).collect();
    let near = plugins::did_you_mean(crate_name, names.iter().map(String::as_str));
    let link = if near.is_empty() { "; those are" } else { " Those are" };
    Err(format!("`{target}` is no target{near}{link} alumet and alumet_plugin_NAME"))
}

/// An event on stderr. It is written whole and at once, so that it stays one line, whatever names are in it.
struct Line;

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        terminal::say(&(alumet::text::harmless(text.trim_end()) + "\n"));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn a_level_is_for_everything_and_a_target_for_what_begins_like_it() {
        let is =
            |asked: &str, target: &str, level: Level| targets(asked).unwrap().would_enable(target, &level);
        for asked in ["debug", " DEBUG ", "info,debug"] {
            assert!(is(asked, "alumet::agent", Level::DEBUG), "{asked}");
            assert!(!is(asked, "alumet::agent", Level::TRACE), "{asked}");
        }
        let two = "alumet=warn, alumet_plugin_rapl::perf = trace";
        assert!(is(two, "alumet_plugin_rapl::perf", Level::TRACE));
        assert!(!is(two, "alumet_plugin_rapl::powercap", Level::INFO));
        assert!(is(two, "alumet_plugin_perf", Level::WARN), "it begins with alumet");
        assert!(is("info,alumet_plugin_rapl=off", "alumet_plugin_hwmon", Level::INFO));
        assert!(!is("info,alumet_plugin_rapl=off", "alumet_plugin_rapl", Level::ERROR));
    }

    #[test]
    fn what_is_no_level_and_no_target_is_said_with_what_was_meant() {
        let wrong = |asked: &str| targets(asked).map(drop).unwrap_err();
        let levels =
            "one of off, error, warn, info, debug, trace, or TARGET=LEVEL, as in `alumet_plugin_rapl=trace`";
        assert_eq!(wrong("debgu"), format!("`debgu` is no level; did you mean `debug`? It is {levels}"));
        assert_eq!(wrong("alumet=5"), format!("`5` is no level; it is {levels}"));
        assert_eq!(wrong("info,"), format!("`` is no level; it is {levels}"));
        assert_eq!(
            wrong("alumet_plugin_rappl=info"),
            "`alumet_plugin_rappl` is no target; did you mean `alumet_plugin_rapl`? Those are alumet and alumet_plugin_NAME"
        );
        assert_eq!(wrong("hyper=info"), "`hyper` is no target; those are alumet and alumet_plugin_NAME");
        assert_eq!(wrong("=info"), "`` is no target; those are alumet and alumet_plugin_NAME");
    }
}
