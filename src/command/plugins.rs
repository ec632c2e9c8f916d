//! `alumet plugins`: what can be measured here, what cannot, why, and what would change that.

use alumet::{Availability, PluginEntry};
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::cli;
use crate::config::{Config, Selection};
use crate::exit::Failure;
use crate::plugins;
use crate::terminal::note;

#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    about: &'static str,
    status: &'static str,
    reason: String,
    remedy: String,
}

pub fn run(arguments: &cli::Plugins) -> Result<u8, Failure> {
    let config = Config::resolve(&arguments.settings, &[])?;
    config.notices.iter().for_each(|notice| note(&notice.0));
    let rows = plugins::ALL.iter().map(|plugin| row(plugin, &config)).collect::<Result<Vec<_>, _>>()?;
    let text = if arguments.json {
        serde_json::to_string_pretty(&rows).map_err(anyhow::Error::from)? + "\n"
    } else {
        table(&rows)
    };
    super::print(&text)?;
    Ok(0)
}

fn row(plugin: &PluginEntry, config: &Config) -> Result<Row, Failure> {
    let (status, reason, remedy) = match plugin.probe(config.section(plugin.name), &config.host())? {
        _ if config.selection(plugin) == Selection::Out => {
            ("excluded", "left out by --plugins or --without".to_owned(), String::new())
        }
        Availability::Available => ("available", String::new(), String::new()),
        Availability::Unavailable(missing) => ("unavailable", missing.reason, missing.remedy),
    };
    Ok(Row { name: plugin.name, about: plugin.about, status, reason, remedy })
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for row in rows {
        let details = [row.about, &row.reason, &row.remedy].map(str::to_owned);
        let details: Vec<_> = details.into_iter().filter(|text| !text.is_empty()).collect();
        table.add_row([row.name.to_owned(), row.status.to_owned(), details.join("\n")]);
    }
    table.lines().map(|line| format!(" {}\n", line.trim_end())).collect()
}
