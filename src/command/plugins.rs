//! `alumet plugins`: what can be measured here, what cannot, why, and what would change that.

use alumet::PluginEntry;
use serde::Serialize;

use crate::cli;
use crate::config::{Config, Selection};
use crate::doctor::page::told;
use crate::doctor::{Source, Status as Found, Trial};
use crate::exit::{Failure, SUCCESS, Status};
use crate::page::Page;
use crate::plugins;
use crate::terminal::{Look, as_page, note};

#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    about: &'static str,
    status: Found,
    reason: String,
    remedy: String,
    #[serde(skip)]
    told: Vec<String>,
}

pub fn run(arguments: &cli::Plugins) -> Result<Status, Failure> {
    let config = Config::resolve(&arguments.settings, &[])?;
    config.notices.iter().for_each(|notice| note(&notice.0));
    let trial = Trial::start(&config)?;
    let source = |plugin: &PluginEntry| trial.sources.iter().find(|source| source.name == plugin.name);
    let rows: Vec<_> = plugins::ALL.iter().map(|plugin| row(plugin, source(plugin), &config)).collect();
    let text = if arguments.json {
        serde_json::to_string_pretty(&rows).map_err(anyhow::Error::from)? + "\n"
    } else {
        table(&rows)
    };
    crate::stdout::print(&text)?;
    Ok(SUCCESS)
}

fn row(plugin: &PluginEntry, source: Option<&Source>, config: &Config) -> Row {
    let (name, about) = (plugin.name, plugin.about);
    let Some(source) = source else {
        // What brings no measurements works everywhere.
        let (status, reason) = match config.selection(plugin) {
            Selection::Out => (Found::Excluded, "left out by --plugins or --without".to_owned()),
            _ => (Found::Available, String::new()),
        };
        return Row { name, about, status, told: vec![reason.clone()], reason, remedy: String::new() };
    };
    let lacking = |gap: &alumet::Missing| format!("without {}: {}", gap.what, gap.reason);
    let reasons = [source.reason.clone()].into_iter().chain(source.missing.iter().map(lacking));
    let remedies = [&source.remedy].into_iter().chain(source.missing.iter().map(|gap| &gap.remedy)).cloned();
    Row {
        name,
        about,
        status: source.status,
        reason: joined(reasons),
        remedy: joined(remedies),
        told: told(source),
    }
}

/// Those that say something, each of them once.
fn joined(texts: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for text in texts.filter(|text| !text.is_empty()) {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all.join("; ")
}

/// Where the second and the third column begin.
const COLUMNS: [usize; 2] = [15, 30];

fn table(rows: &[Row]) -> String {
    let mut page = Page::new(Look::of_stdout(), COLUMNS);
    for row in rows {
        let lines: Vec<_> = [row.about].into_iter().chain(row.told.iter().map(String::as_str)).collect();
        page.row(row.name, row.status.in_words(), &lines.join("\n"));
    }
    as_page(&page.text, Look::of_stdout())
}
