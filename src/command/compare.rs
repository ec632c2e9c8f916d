//! `alumet compare`: versions against the first of them.

use std::ffi::OsString;
use std::path::Path;

use crate::cli::Compare;
use crate::comparison::session::{Bench, Typed, configuration, profiles};
use crate::comparison::stored::{self, Stored};
use crate::comparison::written;
use crate::exit::{Failure, Status};
use crate::measure::block_on;
use crate::signals;

/// What was named.
enum Version {
    Command(OsString),
    Profile(Box<Stored>),
}

pub fn run(arguments: &Compare) -> Result<Status, Failure> {
    let lines = arguments.versions.iter().filter(|word| !is_profile(Path::new(word)));
    lines.into_iter().try_for_each(|line| arguments.launching.check_line(line))?;
    let files = arguments.versions.iter().map(Path::new).filter(|word| word.is_file()).collect::<Vec<_>>();
    let comparisons = arguments.versions.len() - 1;
    let claims = written::claims(&arguments.comparing, &arguments.repeating, comparisons, &files)?;
    let settled = arguments.comparing.settle(&arguments.repeating, comparisons)?;
    let config = configuration(&arguments.settings, &arguments.launching, false)?;
    let events = super::exec::events(&arguments.comparing.outputs().event);
    let version = |word: &OsString| -> Result<Version, Failure> {
        match is_profile(Path::new(word)) {
            true => Ok(Version::Profile(Box::new(stored::read(
                Path::new(word),
                &events,
                &config.general.ignore_failure,
            )?))),
            false => Ok(Version::Command(word.clone())),
        }
    };
    let versions = arguments.versions.iter().map(version).collect::<Result<Vec<_>, _>>()?;
    let has_profiles = versions.iter().any(|version| matches!(version, Version::Profile(_)));
    if arguments.comparing.adaptive && has_profiles {
        return Err(Failure::usage("--adaptive is for commands: stored runs are no pairs"));
    }
    let bench = Bench {
        settled,
        comparing: &arguments.comparing,
        launching: &arguments.launching,
        repeating: &arguments.repeating,
        is_gate: false,
        claims,
    };
    let commands: Vec<_> = versions
        .iter()
        .filter_map(|version| match version {
            Version::Command(line) => Some(Typed::Line(line.clone())),
            Version::Profile(_) => None,
        })
        .collect();
    let (comparisons, interrupted) = match &versions[..] {
        all if commands.len() == all.len() => {
            let inherited = signals::block()?;
            block_on(bench.interleaved(&commands, &arguments.settings, &inherited))?
        }
        [Version::Profile(baseline), others @ ..] => {
            let inherited = signals::block()?;
            let mut comparisons = Vec::new();
            let mut interrupted = None;
            for other in others {
                let comparison = match other {
                    Version::Profile(change) => profiles(baseline, change, &bench.settled)?,
                    Version::Command(line) => {
                        let version = Typed::Line(line.clone());
                        let run = bench.against(baseline, &version, &arguments.settings, &inherited);
                        let (comparison, ended) = block_on(run)?;
                        interrupted = ended;
                        comparison
                    }
                };
                comparisons.push(comparison);
                if interrupted.is_some() {
                    break;
                }
            }
            (comparisons, interrupted)
        }
        _ => {
            return Err(Failure::usage(
                "a command cannot be the baseline of a profile: name the profile first, or compare commands",
            ));
        }
    };
    written::write(&comparisons, &arguments.comparing, interrupted)
}

/// A file that cannot be executed and looks like JSON.
fn is_profile(path: &Path) -> bool {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;
    let is_file = std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 == 0);
    let is_named_so = path.extension().is_some_and(|extension| extension == "json");
    let begins_so = || {
        let mut first = [0; 1];
        alumet::file::open(path)
            .and_then(|mut file| file.read(&mut first))
            .is_ok_and(|n| n == 1 && first[0] == b'{')
    };
    is_named_so && !path.to_string_lossy().contains(' ') || is_file && begins_so()
}
