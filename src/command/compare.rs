//! `alumet compare`: versions against the first of them.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::cli::Compare;
use crate::comparison::session::{Asked, Bench, Made, Typed, configuration};
use crate::comparison::stored::{self, Stored};
use crate::comparison::versions::Versions;
use crate::comparison::written::{self, Voice};
use crate::exit::{Failure, Status};
use crate::measure::block_on;
use crate::repeat::parameters::in_words;
use crate::{quantity, signals};

/// What was named.
enum Version {
    Command(Asked),
    Profile(Box<Stored>),
}

pub fn run(arguments: &Compare) -> Result<Status, Failure> {
    let lines = arguments.versions.iter().filter(|word| !is_profile(Path::new(word)));
    lines.into_iter().try_for_each(|line| arguments.launching.check_line(line))?;
    if arguments.name.len() > arguments.versions.len() {
        let (names, versions) = (arguments.name.len(), arguments.versions.len());
        return Err(Failure::usage(format!("there are {names} names for {versions} versions")));
    }
    if arguments.name.iter().any(|name| name.trim().is_empty()) {
        return Err(Failure::usage("--name: a version's name is empty"));
    }
    let texts = arguments.versions.iter().map(OsString::as_os_str);
    let prepare = arguments.repeating.prepare.as_ref().map(OsStr::new);
    let combinations = arguments.varying.combinations(texts.chain(prepare))?;
    let comparisons = (arguments.versions.len() * combinations.len()).saturating_sub(1);
    if comparisons == 0 {
        return Err(Failure::usage(
            "there is one version and nothing to compare it to: name another, or let a parameter vary with -L",
        ));
    }
    let files = arguments.versions.iter().map(Path::new).filter(|word| word.is_file()).collect::<Vec<_>>();
    let claims = written::claims(&arguments.comparing, &arguments.repeating, &files)?;
    let settled = arguments.comparing.settle(&arguments.repeating, comparisons)?;
    let config = configuration(&arguments.settings, &arguments.launching, false)?;
    let events = quantity::events(&arguments.comparing.outputs().event);
    let mut versions = Vec::new();
    for (place, word) in arguments.versions.iter().enumerate() {
        let name = arguments.name.get(place);
        if is_profile(Path::new(word)) {
            if arguments.varying.is_asked() {
                return Err(Failure::usage("-L and -P are for commands: the runs of a profile are made"));
            }
            let mut stored = stored::read(Path::new(word), &events, &config.general.ignore_failure)?;
            stored.side.title = name.cloned().unwrap_or(stored.side.title);
            versions.push(Version::Profile(Box::new(stored)));
            continue;
        }
        for parameters in &combinations {
            let values = (!parameters.is_empty()).then(|| in_words(parameters));
            let name = match (name, values) {
                (Some(name), Some(values)) => Some(format!("{name}, {values}")),
                // Of one command, they say it all.
                (None, values) if arguments.versions.len() == 1 => values,
                (name, _) => name.cloned(),
            };
            let (typed, parameters) = (Typed::Line(word.clone()), parameters.clone());
            versions.push(Version::Command(Asked { name, typed, parameters }));
        }
    }
    tell_apart(&mut versions);
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
    let (versions, interrupted) = compared(&bench, versions, arguments)?;
    written::write(&versions, &arguments.comparing, Voice::Person, interrupted)
}

impl Version {
    /// What it is called.
    fn name(&self) -> String {
        match self {
            Self::Command(asked) => asked.name.clone().unwrap_or_else(|| asked.text()),
            Self::Profile(stored) => stored.side.title.clone(),
        }
    }
}

/// Gives what is called like one before it a number.
fn tell_apart(versions: &mut [Version]) {
    let names: Vec<String> = versions.iter().map(Version::name).collect();
    for (at, version) in versions.iter_mut().enumerate() {
        let before = names[..at].iter().filter(|name| **name == names[at]).count();
        if before == 0 {
            continue;
        }
        let name = format!("{} ({})", names[at], before + 1);
        match version {
            Version::Command(asked) => asked.name = Some(name),
            Version::Profile(stored) => stored.side.title = name,
        }
    }
}

fn compared(
    bench: &Bench<'_>,
    versions: Vec<Version>,
    arguments: &Compare,
) -> Result<(Versions, Option<Status>), Failure> {
    let inherited = signals::block()?;
    let mut versions = versions.into_iter();
    let baseline = match versions.next() {
        Some(Version::Profile(baseline)) => baseline,
        first => {
            let commands = first.into_iter().chain(versions).map(|version| match version {
                Version::Command(asked) => Ok(asked),
                Version::Profile(_) => Err(Failure::usage(
                    "a command cannot be the baseline of a profile: name the profile first, or compare commands",
                )),
            });
            let commands = commands.collect::<Result<Vec<_>, _>>()?;
            return block_on(bench.interleaved(&commands, &arguments.settings, &inherited));
        }
    };
    let (mut others, mut interrupted) = (Vec::new(), None);
    for version in versions {
        let made = match version {
            Version::Profile(change) => Made::stored(&baseline, *change)?,
            Version::Command(asked) => {
                let run = bench.beside(&baseline, &asked, &arguments.settings, &inherited);
                let (made, ended) = block_on(run)?;
                interrupted = ended;
                made
            }
        };
        others.push(made);
        if interrupted.is_some() {
            break;
        }
    }
    Ok((bench.against(&baseline, &others)?, interrupted))
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
