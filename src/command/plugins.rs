//! `alumet plugins`: what can be measured here, what cannot, why, and what would change that.

use alumet::{Availability, PluginEntry};
use serde::Serialize;

use crate::cli;
use crate::config::{Config, Selection};
use crate::exit::{Failure, SUCCESS, Status};
use crate::page::Page;
use crate::plugins;
use crate::terminal::{Look, as_page, note};

#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    about: &'static str,
    status: &'static str,
    reason: String,
    remedy: String,
}

pub fn run(arguments: &cli::Plugins) -> Result<Status, Failure> {
    let config = Config::resolve(&arguments.settings, &[])?;
    config.notices.iter().for_each(|notice| note(&notice.0));
    let rows = plugins::ALL.iter().map(|plugin| row(plugin, &config)).collect::<Result<Vec<_>, _>>()?;
    let text = if arguments.json {
        serde_json::to_string_pretty(&rows).map_err(anyhow::Error::from)? + "\n"
    } else {
        table(&rows)
    };
    super::print(&text)?;
    Ok(SUCCESS)
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

/// Where the second and the third column begin.
const COLUMNS: [usize; 2] = [15, 28];

fn table(rows: &[Row]) -> String {
    let mut page = Page::new(Look::of_stdout(), COLUMNS);
    for row in rows {
        page.row(row.name, row.status, &[row.about, &row.reason, &row.remedy].join("\n"));
    }
    as_page(&page.text, Look::of_stdout())
}
