//! `alumet config`: the configuration in force, as TOML, with the origin of each value.

use crate::cli;
use crate::config::Config;
use crate::exit::{Failure, SUCCESS, Status};
use crate::terminal::{Look, for_people, note};

pub fn run(arguments: &cli::Config) -> Result<Status, Failure> {
    let config = Config::resolve(&arguments.settings, &[])?;
    config.notices.iter().for_each(|notice| note(&notice.0));
    crate::stdout::print(&for_people(&render(&config), Look::of_stdout()))?;
    Ok(SUCCESS)
}

fn render(config: &Config) -> String {
    let mut text = match &config.file {
        Some(path) => format!("# file: {}\n", path.display()),
        None => "# no configuration file\n".into(),
    };
    let mut current = "";
    for (section, key, value, origin) in config.entries() {
        if section != current {
            text.push_str(&format!("\n[{section}]\n"));
            current = section;
        }
        let line = format!("{key} = {value}");
        text.push_str(&format!("{line:<32} # {origin}\n"));
    }
    text
}
