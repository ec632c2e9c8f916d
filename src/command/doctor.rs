//! `alumet doctor`: what can be measured here, how well, and what would change that; and the idle power of this machine.

use crate::cli::Doctor;
use crate::config::{Config, Timeout};
use crate::doctor::{look, page};
use crate::exit::{FAILED, Failure, SUCCESS, Status};
use crate::fingerprint::Fingerprint;
use crate::idle;
use crate::idle::saved::{self, Saved};
use crate::idle::window::{NotIdle, measure};
use crate::measure::block_on;
use crate::terminal::{Look, as_page, note};
use crate::units::{GLUE, seconds};

pub fn run(arguments: &Doctor) -> Result<Status, Failure> {
    let config = Config::resolve(&arguments.settings, &[])?;
    config.notices.iter().for_each(|notice| note(&notice.0));
    if let Some(duration) = &arguments.save_idle {
        let duration = Timeout::try_from(duration.clone())
            .map_err(|why| Failure::usage(format!("--save-idle: {why}")))?;
        if duration.0 < idle::SHORTEST {
            return Err(Failure::usage(format!("--save-idle: {}", idle::TOO_SHORT)));
        }
        return save_idle(&config, duration);
    }
    let findings = block_on(look(&config))?;
    let text = if arguments.json {
        serde_json::to_string_pretty(&findings).map_err(anyhow::Error::from)? + "\n"
    } else {
        as_page(&page::render(&findings, Look::of_stdout()), Look::of_stdout())
    };
    crate::stdout::print(&text)?;
    Ok(if findings.any() { SUCCESS } else { FAILED })
}

/// Measures the idle power and saves it for later runs.
fn save_idle(config: &Config, duration: Timeout) -> Result<Status, Failure> {
    let named = config.general.idle_profile.as_deref();
    saved::check(named)?;
    let idle = block_on(measure(config, duration.0))?.map_err(|why| match why {
        NotIdle::Busy(cpus) => Failure::failed(format!(
            "the machine is not quiet: {cpus:.2} CPUs were busy; end what runs, and try again"
        )),
        NotIdle::Lossy(lost) => {
            let remedy = if lost.remedy.is_empty() { "measure it again" } else { &lost.remedy };
            let lost = idle::lost_in_words(&lost);
            Failure::failed(format!(
                "the idle power is not known without all of the machine's energy: {lost}; {remedy}"
            ))
        }
        NotIdle::NoMeter(reason, remedy) if remedy.is_empty() => {
            Failure::failed(format!("nothing measures this machine's energy: {reason}"))
        }
        NotIdle::NoMeter(reason, remedy) => {
            Failure::failed(format!("nothing measures this machine's energy: {reason}; {remedy}"))
        }
    })?;
    let saved = Saved::now(Fingerprint::of(&config.host()), idle);
    let path = saved.write(named).map_err(|(path, error)| {
        Failure::failed(format!("cannot write {}: {}", path.display(), alumet::file::reason(&error)))
    })?;
    let idle = &saved.idle;
    let text = format!(
        "{} idle ({}, for {}, {:.2} CPUs busy), saved in {}\n",
        idle.in_words(),
        idle.domains.join(" + "),
        seconds(idle.duration_s),
        idle.busy_cpus,
        path.display()
    );
    crate::stdout::print(&as_page(&text.replace(GLUE, " "), Look::of_stdout()))?;
    Ok(SUCCESS)
}
