//! `alumet check`: the gate of a pipeline.

use std::path::{Path, PathBuf};

use crate::cli::Check;
use crate::comparison::session::{Asked, Bench, Typed, configuration};
use crate::comparison::stored;
use crate::comparison::written::{self, Voice};
use crate::exit::{Failure, Status};
use crate::measure::block_on;
use crate::{quantity, signals};

pub fn run(arguments: &Check) -> Result<Status, Failure> {
    arguments.launching.check_words(&arguments.command)?;
    if let Some(line) = &arguments.baseline_cmd {
        arguments.launching.check_line(line.as_ref())?;
    }
    let read: Vec<&Path> = arguments.baseline.iter().map(PathBuf::as_path).collect();
    let claims = written::claims(&arguments.comparing, &arguments.repeating, &read)?;
    let settled = arguments.comparing.settle(&arguments.repeating, 1)?;
    let config = configuration(&arguments.settings, &arguments.launching, true)?;
    let bench = Bench {
        settled,
        comparing: &arguments.comparing,
        launching: &arguments.launching,
        repeating: &arguments.repeating,
        is_gate: true,
        claims,
    };
    let change = Asked::plain(Typed::Words(arguments.command.clone()));
    let (versions, interrupted) = match (&arguments.baseline, &arguments.baseline_cmd) {
        (Some(path), _) => {
            if arguments.comparing.adaptive {
                return Err(Failure::usage("--adaptive needs --baseline-cmd: stored runs are no pairs"));
            }
            let events = quantity::events(&arguments.comparing.outputs().event);
            let baseline = stored::read(path, &events, &config.general.ignore_failure)?;
            let inherited = signals::block()?;
            let run = bench.beside(&baseline, &change, &arguments.settings, &inherited);
            let (made, interrupted) = block_on(run)?;
            (bench.against(&baseline, &[made])?, interrupted)
        }
        (None, Some(line)) => {
            let versions = [Asked::plain(Typed::Line(line.into())), change];
            let inherited = signals::block()?;
            block_on(bench.interleaved(&versions, &arguments.settings, &inherited))?
        }
        (None, None) => {
            return Err(Failure::usage(
                "a baseline is needed: --baseline-cmd COMMAND, or --baseline PROFILE",
            ));
        }
    };
    written::write(&versions, &arguments.comparing, Voice::Gate, interrupted)
}
