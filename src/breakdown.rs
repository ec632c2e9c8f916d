//! The tables of the summary that show where it went: by process, by thread.

use std::collections::HashMap;

use alumet::{Consumer, Total};
use comfy_table::{CellAlignment, ColumnConstraint, Table, presets};

use crate::terminal::shortened;
use crate::units::{amount, bytes, count, seconds};

/// A table, and how many rows it leaves out.
pub struct Breakdown {
    pub lines: Vec<String>,
    pub hidden: usize,
}

/// In fewer columns, there are only CPU time and the event, or memory if there is none.
const WIDE: usize = 60;

/// What is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Process,
    Thread,
}

#[derive(Debug, Default)]
struct Row {
    id: i32,
    name: String,
    /// Of a thread.
    process: String,
    cpu: f64,
    memory: Option<f64>,
    faults: f64,
    switches: f64,
    event: Option<String>,
}

/// The `top` processes or threads with the most CPU time, in a text of this width.
pub fn table(by: By, totals: &[Total], top: usize, width: usize) -> Breakdown {
    let (mut rows, event) = rows(by, totals);
    rows.sort_by(|a, b| b.cpu.total_cmp(&a.cpu).then(a.id.cmp(&b.id)));
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let is_wide = width >= WIDE;
    let has_memory = is_wide || event.is_none();
    let mut header = match by {
        By::Process if has_memory => vec!["  PID", "Command", "CPU", "Memory"],
        By::Process => vec!["  PID", "Command", "CPU"],
        By::Thread => vec!["  TID", "Thread", "PID", "CPU"],
    };
    if is_wide {
        header.extend(["Faults", "Switches"]);
    }
    header.extend(event);
    table.set_header(header);
    // The other columns need so many, and the event's its name.
    let others = if is_wide { 47 } else { 27 } + event.map_or(0, |event| event.len().max(8) + 2);
    let room = width.saturating_sub(others).max(8);
    for row in rows.iter().take(top) {
        let name = shortened(&row.name.replace(char::is_control, "\u{fffd}"), room);
        let mut cells = vec![row.id.to_string(), name];
        match by {
            By::Process if has_memory => {
                cells.extend([seconds(row.cpu), row.memory.map_or_else(|| "-".into(), bytes)])
            }
            By::Process => cells.push(seconds(row.cpu)),
            By::Thread => cells.extend([row.process.clone(), seconds(row.cpu)]),
        }
        if is_wide {
            cells.extend([count(row.faults), count(row.switches)]);
        }
        if event.is_some() {
            cells.push(row.event.clone().unwrap_or_else(|| "-".into()));
        }
        table.add_row(cells);
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_cell_alignment(if i == 1 { CellAlignment::Left } else { CellAlignment::Right });
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    Breakdown {
        lines: table.lines().map(|line| line.trim_end().to_owned()).collect(),
        hidden: rows.len().saturating_sub(top),
    }
}

/// One row for each process or thread under each of its names, and the event that was counted for them.
fn rows(by: By, totals: &[Total]) -> (Vec<Row>, Option<&str>) {
    let mut rows: Vec<Row> = Vec::new();
    let mut places = HashMap::new();
    let mut event = None;
    for total in totals {
        let series = &total.series;
        let (id, name) = match (by, series.consumer) {
            (By::Process, Consumer::Process(pid)) => (pid, "process.executable.name"),
            (By::Thread, Consumer::Thread(tid)) => (tid, "thread.name"),
            _ => continue,
        };
        let name = series.label_value(name).unwrap_or_default();
        let at = *places.entry((id, name)).or_insert_with(|| {
            let process = series.label_value("process.pid").unwrap_or_default().to_owned();
            rows.push(Row { id, name: name.to_owned(), process, ..Row::default() });
            rows.len() - 1
        });
        let row = &mut rows[at];
        match &*series.metric.name {
            "process.cpu.time" => row.cpu += total.value,
            "process.memory.usage" => row.memory = Some(row.memory.unwrap_or(0.0).max(total.max)),
            "process.paging.faults" => row.faults += total.value,
            "process.context_switches" => row.switches += total.value,
            metric => {
                if let Some(name) = metric.strip_prefix("perf.") {
                    event = Some(name);
                    row.event = Some(amount(total.value, &series.metric.unit));
                }
            }
        }
    }
    (rows, event)
}
