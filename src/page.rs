//! A text under construction that fits a terminal of 40 columns or more.

use std::borrow::Cow;

use anstyle::{AnsiColor, Style};
use textwrap::core::display_width;

use crate::terminal::Look;

/// Where the second and the third column of rows begin.
const COLUMNS: [usize; 2] = [12, 30];
/// In fewer columns, what is more stands below.
const ROOMY: usize = 60;
/// Between the facts of one line.
const GAP: &str = "    ";

pub const LABEL: Style = Style::new().bold();
pub const FAINT: Style = Style::new().dimmed();
pub const WARNING: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow)));

/// The text.
pub struct Page {
    pub text: String,
    pub look: Look,
    columns: [usize; 2],
}

impl Page {
    /// Nothing, for rows whose second and third column begin there.
    pub fn new(look: Look, columns: [usize; 2]) -> Self {
        Self { text: String::new(), look, columns }
    }

    /// An empty line, for a summary.
    pub fn of_summary(look: Look) -> Self {
        Self { text: "\n".into(), ..Self::new(look, COLUMNS) }
    }

    /// `  label    value          more`, with `more` wrapped below itself, or below the row where there is little room. It may
    /// have several lines.
    pub fn row(&mut self, label: &str, value: &str, more: &str) {
        let [value_at, more_at] = self.columns;
        let gap = |text: &str, to: usize| " ".repeat(to.saturating_sub(display_width(text)).max(2));
        let mut head = format!("  {}{}{value}", self.look.paint(LABEL, label), gap(label, value_at - 2));
        let is_roomy = self.look.width >= ROOMY;
        let at = if is_roomy { more_at } else { 4 };
        let room = self.look.width.saturating_sub(at + 1);
        // A command is to be copied.
        let wrapped =
            |line| if is_command(line) { vec![Cow::Borrowed(line)] } else { textwrap::wrap(line, room) };
        let lines: Vec<_> = more.lines().filter(|line| !line.is_empty()).flat_map(wrapped).collect();
        if is_roomy && !lines.is_empty() {
            head.push_str(&gap(value, more_at - value_at));
        } else if !lines.is_empty() {
            head.push_str(&format!("\n{}", " ".repeat(at)));
        }
        let lines = lines.join(&format!("\n{}", " ".repeat(at)));
        self.text.push_str(&format!("{head}{lines}\n"));
    }

    /// Facts, as many in a line as it holds.
    pub fn facts(&mut self, facts: &[(&str, String)]) {
        let room = self.look.width.saturating_sub(3);
        let mut used = 0;
        for (label, value) in facts {
            let width = display_width(label) + 1 + display_width(value);
            let is_first = used == 0;
            if !is_first && used + GAP.len() + width > room {
                self.text.push('\n');
                used = 0;
            }
            let start = if used == 0 { "  " } else { GAP };
            used += width + if used == 0 { 0 } else { GAP.len() };
            // One that is longer than a line goes on below.
            let first_line = room.saturating_sub(display_width(label) + 1).max(10);
            let options = textwrap::Options::new(first_line).subsequent_indent("    ");
            let value = textwrap::wrap(value, options).join("\n");
            self.text.push_str(&format!("{start}{} {value}", self.look.paint(LABEL, label)));
        }
        if !facts.is_empty() {
            self.text.push('\n');
        }
    }

    /// Rows of a number, a name, and what else is to be said of it.
    pub fn table(&mut self, rows: &[[String; 3]]) {
        let width = |column: usize| rows.iter().map(|row| display_width(&row[column])).max().unwrap_or(0);
        let (number, name) = (width(0), width(1));
        let at = number + name + 6;
        let room = self.look.width.saturating_sub(at + 1);
        let (at, room) =
            if room < 24 { (number + 4, self.look.width.saturating_sub(number + 5)) } else { (at, room) };
        for [value, event, more] in rows {
            let pad = number - display_width(value);
            self.text.push_str(&format!("  {}{value}  {event}", " ".repeat(pad)));
            let used = number + 4 + display_width(event);
            for (i, line) in
                textwrap::wrap(more, room.max(20)).iter().filter(|line| !line.is_empty()).enumerate()
            {
                let gap = if i == 0 && used < at {
                    at - used
                } else {
                    self.text.push('\n');
                    at
                };
                self.text.push_str(&format!("{}{line}", " ".repeat(gap)));
            }
            self.text.push('\n');
        }
    }

    /// A wrapped line.
    pub fn remark(&mut self, text: &str, style: Style) {
        let options = textwrap::Options::new(self.look.width.saturating_sub(1))
            .initial_indent("  ")
            .subsequent_indent("  ");
        // Names may hold anything.
        for line in textwrap::wrap(&text.replace(char::is_control, "\u{fffd}"), options) {
            self.text.push_str(&format!("{}\n", self.look.paint(style, &line)));
        }
    }

    /// A wrapped line with another at the right of its end, or below where it has no room.
    pub fn remark_and(&mut self, left: &str, right: &str, style: Style) {
        let room = self.look.width.saturating_sub(3);
        let (width, beside) = (display_width(left), display_width(right));
        if left.is_empty() || width + GAP.len() + beside > room {
            [left, right]
                .into_iter()
                .filter(|text| !text.is_empty())
                .for_each(|text| self.remark(text, style));
        } else {
            let gap = " ".repeat(room - width - beside);
            self.remark(&format!("{left}{gap}{right}"), style);
        }
    }
}

/// Whether a line is to be copied into a shell.
fn is_command(line: &str) -> bool {
    const STARTS: [&str; 5] =
        ["sudo ", "echo ", "systemd-run ", "XDG_RUNTIME_DIR=", "DBUS_SESSION_BUS_ADDRESS="];
    STARTS.iter().any(|start| line.starts_with(start))
}
