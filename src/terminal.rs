//! What stderr can show: its width, and whether colours are wanted.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;

use alumet::text::{harmless, is_harmless};
use anstyle::Style;

/// Text narrower than this would be unreadable; wider is hard to follow.
const WIDTHS: std::ops::RangeInclusive<usize> = 40..=120;

/// How to write for stderr.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub width: usize,
    pub colours: bool,
}

impl Look {
    /// As stdout is now.
    pub fn of_stdout() -> Self {
        Self::of(&std::io::stdout())
    }

    /// As stderr is now.
    pub fn of_stderr() -> Self {
        Self::of(&std::io::stderr())
    }

    /// Colours only on a terminal, and not with NO_COLOR (no-color.org) or TERM=dumb.
    fn of(stream: &(impl IsTerminal + AsFd)) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let width = terminal_size::terminal_size_of(stream).map_or(100, |(width, _)| usize::from(width.0));
        Self {
            width: width.clamp(*WIDTHS.start(), *WIDTHS.end()),
            colours: stream.is_terminal() && !is_dumb() && !set("NO_COLOR"),
        }
    }

    /// The text in a style, if colours are wanted.
    pub fn paint(&self, style: Style, text: &str) -> String {
        if self.colours { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// Whether the terminal knows no commands, or nobody says that it does.
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term == "dumb")
}

/// How many columns the terminal at stderr has; 80 if it does not say.
pub fn columns_of_stderr() -> u16 {
    let size = terminal_size::terminal_size_of(std::io::stderr());
    size.map_or(80, |(width, _)| width.0).max(1)
}

/// Prints on stderr. Nobody may be there to read it: that is no failure.
pub fn say(text: &str) {
    say_as_it_is(&as_page(text, Look::of_stderr()));
}

/// Prints on stderr what alumet has made itself, commands to a pipeline included.
pub fn say_as_it_is(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Whether a variable that stands for yes or no says yes: GitHub's own runner sets `true`, others `1`.
pub fn is_on(value: &str) -> bool {
    !["", "0", "false"].contains(&value.to_ascii_lowercase().as_str())
}

/// Whether characters beyond ASCII can be shown (locale(7): the first of these that is set counts).
pub fn is_utf8() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// The text for a person, as the locale can show it.
fn for_locale(text: &str) -> Cow<'_, str> {
    if is_utf8() || text.is_ascii() { Cow::Borrowed(text) } else { Cow::Owned(in_ascii(text)) }
}

/// With other signs for those of alumet's own that are not in ASCII; names stay as they are. Where a sign becomes longer, the next
/// gap between two columns becomes shorter.
fn in_ascii(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len());
    let mut excess = 0;
    for c in text.chars() {
        let signs = match c {
            '\u{a0}' => " ",
            '±' => "+-",
            '…' => "...",
            '−' => "-",
            '·' => "|",
            'µ' => "u",
            '×' => "x",
            '\u{fffd}' => "?",
            ' ' if excess > 0 && ascii.ends_with("  ") => {
                excess -= 1;
                continue;
            }
            c => {
                if c == '\n' {
                    excess = 0;
                }
                ascii.push(c);
                continue;
            }
        };
        excess += signs.len() - 1;
        ascii.push_str(signs);
    }
    ascii
}

/// Prints one line of alumet's own on stderr.
pub fn note(message: &str) {
    // Names may hold anything; a line stays one.
    say(&format!("alumet: {}\n", harmless(message)));
}

/// The text of a page, as the locale can show it.
pub fn as_page(text: &str, look: Look) -> String {
    for_locale(&for_people(text, look)).into_owned()
}

/// The text of a page or a file: whatever names are in it, they say nothing to the terminal, and nothing to the pipeline whose log it may
/// be in. Lines and colours stay.
pub fn for_people(text: &str, look: Look) -> String {
    let mut page = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let colour = if look.colours { colour(rest) } else { 0 };
        let n = colour.max(c.len_utf8());
        match colour > 0 || c == '\n' || is_harmless(c) {
            true => page.push_str(&rest[..n]),
            false => page.push('\u{fffd}'),
        }
        rest = &rest[n..];
    }
    without_commands(&page)
}

/// How long the colour is that the text begins with (ECMA-48, "SGR"); 0 if it is none.
fn colour(text: &str) -> usize {
    let end = text.strip_prefix("\x1b[").and_then(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';')?;
        rest[end..].starts_with('m').then_some(end)
    });
    end.map_or(0, |end| end + "\x1b[m".len())
}

/// The logs of pipelines take what programs write for commands, which a name must not become: GitHub Actions `::` at the
/// beginning of a line, after any space, and `##[` anywhere (`ActionCommand.cs` of actions/runner); Azure Pipelines and
/// TeamCity `##vso[` and `##teamcity[`. Whether this is such a log cannot be told: a container has not got their variables.
fn without_commands(text: &str) -> String {
    let line = |line: &str| {
        let start = line.len() - line.trim_start().len();
        let (space, rest) = line.split_at(start);
        let rest = if rest.starts_with("::") { rest.replacen("::", ": :", 1) } else { rest.to_owned() };
        let rest = ["##[", "##vso[", "##teamcity["]
            .iter()
            .fold(rest, |rest, command| rest.replace(command, &command.replacen("##", "## ", 1)));
        format!("{space}{rest}")
    };
    text.split_inclusive('\n').map(line).collect()
}

/// The text, cut so that it takes no more than so many columns.
pub fn shortened(text: &str, room: usize) -> String {
    if textwrap::core::display_width(text) <= room {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        if textwrap::core::display_width(&short) + 2 > room {
            break;
        }
        short.push(c);
    }
    short + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_utf_8_signs_are_those_of_ascii_and_columns_stay_where_they_are() {
        assert_eq!(
            in_ascii("  11.3 J ± 0.2     11.2 J\n  a · b … −1 µs"),
            "  11.3 J +- 0.2    11.2 J\n  a | b ... -1 us"
        );
        assert_eq!(in_ascii("héllo"), "héllo");
    }

    #[test]
    fn what_is_written_into_the_log_of_a_pipeline_is_no_command() {
        assert_eq!(
            without_commands("::error::x\n  \u{a0}::add-mask::y  z::w\n a ##[set-env name=X;]y ##[x]\n\n"),
            ": :error::x\n  \u{a0}: :add-mask::y  z::w\n a ## [set-env name=X;]y ## [x]\n\n"
        );
        assert_eq!(without_commands("##vso[task.x]y\n##teamcity[x]"), "## vso[task.x]y\n## teamcity[x]");
        assert_eq!(without_commands("a::b: c\n  # d [e]"), "a::b: c\n  # d [e]");
    }

    #[test]
    fn lines_and_colours_are_for_people_and_nothing_else_is_for_the_terminal() {
        let look = |colours| Look { width: 80, colours };
        let text = "\x1b[1mbold\x1b[0m\n\x1b[2J\x1b]0;title\x07\u{202e}\r\x1b[1";
        assert_eq!(
            for_people(text, look(true)),
            "\x1b[1mbold\x1b[0m\n\u{fffd}[2J\u{fffd}]0;title\u{fffd}\u{fffd}\u{fffd}\u{fffd}[1"
        );
        assert!(!for_people(text, look(false)).contains('\x1b'));
    }
}
