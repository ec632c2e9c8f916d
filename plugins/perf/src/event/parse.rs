//! Reading the text after `-e`: a list of events in the language of perf-list(1).

use super::Modifiers;
use super::names::{CacheEvent, HARDWARE, SOFTWARE, Symbol, Tool};
use super::spec::{Breakpoint, Kind, Number, Place, Spec, Term};

/// A list of events that cannot be read. Displays as one line: in which event, at which character, what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ParseError {
    place: Place,
    problem: String,
}

impl ParseError {
    /// The event that cannot be read.
    pub fn place(&self) -> &Place {
        &self.place
    }
}

/// Reads a comma-separated list. Commas between slashes belong to the event; white space around an event does not.
///
/// # Errors
/// The list is not in the language, or empty in some place.
pub fn parse(list: &str) -> Result<Vec<Spec>, ParseError> {
    let mut cursor = Cursor { text: list, at: 0 };
    let mut specs = Vec::new();
    loop {
        cursor.skip_spaces();
        let start = cursor.at;
        match cursor.event() {
            Ok((kind, label, modifiers)) => {
                let place = cursor.place(start, list[start..cursor.at].trim_end());
                specs.push(Spec { kind, modifiers, label, place });
            }
            Err(problem) => {
                let place = cursor.place(start, item(&list[start..]));
                let problem = match problem {
                    _ if place.event.is_empty() => {
                        "write one, such as `cycles`, or leave the comma out".to_owned()
                    }
                    Problem { piece, at, says } if piece.is_empty() => {
                        format!("the end (position {}) {says}", cursor.position(at))
                    }
                    Problem { piece, at, says } => {
                        format!("`{piece}` (position {}) {says}", cursor.position(at))
                    }
                };
                return Err(ParseError { place, problem });
            }
        }
        if !cursor.eat(',') {
            return Ok(specs);
        }
    }
}

/// The text of the first event, as far as it goes: for messages.
fn item(text: &str) -> &str {
    let in_slashes = !text.starts_with("mem:");
    let mut open = false;
    let end = text.find(|c| {
        open ^= in_slashes && c == '/' || matches!(c, '{' | '}');
        c == ',' && !open
    });
    text[..end.unwrap_or(text.len())].trim_end()
}

/// What is wrong: a piece of the text (empty: its end), where, and the rest of a sentence about it.
struct Problem {
    piece: String,
    at: usize,
    says: String,
}

impl Problem {
    fn new(piece: &str, at: usize, says: &str) -> Self {
        Self { piece: piece.to_owned(), at, says: says.to_owned() }
    }
}

type Parsed<T> = Result<T, Problem>;

const MODIFIER_OR_COMMA: &str = "a comma, `:` with modifiers, or the end";
const NUMBER: &str = "is no number of 64 bits: write decimal digits, or 0x and hexadecimal ones";

/// Terms between slashes with which perf samples (perf-record(1), "-e"): they change nothing that is counted.
const OF_SAMPLING: [&str; 14] = [
    "period",
    "freq",
    "time",
    "call-graph",
    "stack-size",
    "max-stack",
    "nr",
    "inherit",
    "no-inherit",
    "overwrite",
    "no-overwrite",
    "branch_type",
    "aux-output",
    "aux-sample-size",
];

struct Cursor<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
}

impl<'a> Cursor<'a> {
    /// One event, up to a comma or the end.
    fn event(&mut self) -> Parsed<(Kind, Option<String>, Modifiers)> {
        let start = self.at;
        let word = self.word("the name of an event")?;
        let (mut label, mut has_slashes) = (None, false);
        let mut kind = if word == "mem" && self.eat(':') {
            self.breakpoint()?
        } else if let Some(kind) = symbolic(word) {
            kind
        } else if let Some(digits) = raw(word) {
            let config = u64::from_str_radix(digits, 16)
                .map_err(|_| Problem::new(word, start, "has a code of more than 64 bits"))?;
            Kind::Raw { typed: word.to_owned(), config }
        } else if let Some(type_) = word.parse().ok().filter(|_| self.eat(':')) {
            let config = self.number("the number of an event")?;
            Kind::Numbers { type_, config, typed: self.text[start..self.at].to_owned() }
        } else if self.peek() == Some('/') {
            Kind::Pmu { pmu: word.to_owned(), terms: Vec::new() }
        } else if self.eat(':') {
            let event = self.word("the name of a tracepoint")?;
            if self.peek() == Some('@') {
                return Err(Problem::new(
                    &format!("{word}:{event}"),
                    start,
                    "is a probe in a program (SDT), which is no event before it is made one: `sudo perf probe` with this \
                     name does that",
                ));
            }
            Kind::Tracepoint { system: word.to_owned(), event: event.to_owned() }
        } else {
            Kind::Named(word.to_owned())
        };
        if !matches!(kind, Kind::Breakpoint(_)) && self.eat('/') {
            let at = self.at;
            let (typed, name) = self.terms()?;
            (label, has_slashes) = (name, true);
            match &mut kind {
                Kind::Pmu { terms, .. } => *terms = typed,
                _ => {
                    if let Some(term) = typed.first() {
                        let says = format!(
                            "is for an event of a PMU, as in `cpu/{term}/`; `{word}` can only be given a name, as in \
                             `{word}/name=mine/`"
                        );
                        return Err(Problem::new(&term.to_string(), at, &says));
                    }
                }
            }
        }
        let modifiers = match self.peek() {
            Some(c) if has_slashes && c.is_alphanumeric() => self.modifiers()?,
            Some(':') if self.eat(':') => self.modifiers()?,
            _ => Modifiers::default(),
        };
        self.skip_spaces();
        match self.peek() {
            None | Some(',') => Ok((kind, label, modifiers)),
            Some(_) if modifiers == Modifiers::default() => Err(self.unexpected(MODIFIER_OR_COMMA)),
            Some(_) => Err(self.unexpected("a comma or the end")),
        }
    }

    /// What stands between the slashes, and the closing one.
    fn terms(&mut self) -> Parsed<(Vec<Term>, Option<String>)> {
        let open = self.at - 1;
        let (mut terms, mut label) = (Vec::new(), None);
        self.skip_spaces();
        if self.eat('/') {
            return Ok((terms, label));
        }
        loop {
            self.skip_spaces();
            let at = self.at;
            let name = self.word("the name of an event or a field")?;
            self.skip_spaces();
            if OF_SAMPLING.contains(&name) {
                let says =
                    "is for sampling, as `perf record` does, and events are counted here: leave it out";
                return Err(Problem::new(name, at, says));
            }
            if !self.eat('=') {
                terms.push(Term { name: name.to_owned(), value: None });
            } else {
                self.skip_spaces();
                let at = self.at;
                let value = match self.peek() {
                    Some(quote @ ('\'' | '"')) if name == "name" => self.quoted(quote)?,
                    _ => self.take(|c| !matches!(c, ',' | '/')).trim_end(),
                };
                if value.is_empty() {
                    return Err(self.unexpected(&format!("the value of `{name}`")));
                } else if name == "name" {
                    // Quotes are for a shell that was not there.
                    let value = value.trim_matches(|c: char| matches!(c, '\'' | '"') || c.is_whitespace());
                    if value.is_empty() {
                        return Err(Problem::new("name", at, "is empty"));
                    }
                    label = Some(value.to_owned());
                } else if name == "event" && value.starts_with(|c: char| c.is_ascii_alphabetic()) {
                    // Another way to name one.
                    if !value.chars().all(is_of_word) {
                        return Err(Problem::new(value, at, "is no name of an event"));
                    }
                    terms.push(Term { name: value.to_owned(), value: None });
                } else {
                    let value = Number::parse(value).ok_or_else(|| Problem::new(value, at, NUMBER))?;
                    terms.push(Term { name: name.to_owned(), value: Some(value) });
                }
            }
            self.skip_spaces();
            match self.peek() {
                Some(',') => self.at += 1,
                Some('/') => {
                    self.at += 1;
                    return Ok((terms, label));
                }
                Some(_) => return Err(self.unexpected("`=`, `,` or `/`")),
                None => return Err(Problem::new("/", open, "is not closed by another")),
            }
        }
    }

    /// A value that may hold commas, with its quotes.
    fn quoted(&mut self, quote: char) -> Parsed<&'a str> {
        let (start, rest) = (self.at, &self.text[self.at..]);
        match rest[1..].find(quote) {
            Some(end) => {
                self.at += end + 2;
                Ok(&rest[..end + 2])
            }
            None => Err(Problem::new(&quote.to_string(), start, "is not closed by another")),
        }
    }

    /// `ADDRESS[/LENGTH][:ACCESS]` after `mem:`. What comes after a colon may be modifiers instead.
    fn breakpoint(&mut self) -> Parsed<Kind> {
        let address = self.number("an address")?;
        let length = if self.eat('/') {
            let at = self.at;
            let length = self.number("a length in bytes")?;
            if !(1..=8).contains(&length) {
                return Err(Problem::new(
                    &length.to_string(),
                    at,
                    "is no length of a breakpoint: 1 to 8 bytes",
                ));
            }
            Some(length)
        } else {
            None
        };
        let before = self.at;
        let mut access = 0;
        if self.eat(':') {
            let at = self.at;
            let letters = self.take(|c| matches!(c, 'r' | 'w' | 'x'));
            for letter in letters.chars() {
                let bit = match letter {
                    'r' => Breakpoint::R,
                    'w' => Breakpoint::W,
                    _ => Breakpoint::X,
                };
                if access & bit != 0 {
                    return Err(Problem::new(letters, at, "has an access twice: write some of r, w, x"));
                }
                access |= bit;
            }
            if access == 0 {
                self.at = before;
            }
        }
        let access = if access == 0 { Breakpoint::R | Breakpoint::W } else { access };
        let length = length.unwrap_or_else(|| Breakpoint::usual_length(access));
        Ok(Kind::Breakpoint(Breakpoint { address, length, access }))
    }

    fn modifiers(&mut self) -> Parsed<Modifiers> {
        let mut modifiers = Modifiers::default();
        // After the closing slash of a PMU's event the colon is optional.
        self.eat(':');
        let start = self.at;
        while let Some(letter) = self.peek().filter(|c| c.is_alphanumeric()) {
            modifiers.add(letter).map_err(|says| Problem::new(&letter.to_string(), self.at, says))?;
            self.at += letter.len_utf8();
        }
        if self.at == start {
            Err(self.unexpected("some of the modifiers u, k, h, G, H"))
        } else {
            Ok(modifiers)
        }
    }

    fn number(&mut self, wanted: &str) -> Parsed<u64> {
        let at = self.at;
        let word = self.word(wanted)?;
        Number::parse(word).map(|number| number.value).ok_or_else(|| Problem::new(word, at, NUMBER))
    }

    /// A name: letters, digits, `_`, and inside of it `-` and `.`.
    fn word(&mut self, wanted: &str) -> Parsed<&'a str> {
        if !self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(self.unexpected(wanted));
        }
        Ok(self.take(is_of_word))
    }

    /// The characters from here on that are like this.
    fn take(&mut self, like: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let taken = &rest[..rest.find(|c| !like(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn skip_spaces(&mut self) {
        self.take(char::is_whitespace);
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    /// The problem that what comes next is not what is wanted.
    fn unexpected(&self, wanted: &str) -> Problem {
        let piece = self.peek().map(String::from).unwrap_or_default();
        let says = match piece.as_str() {
            "{" | "}" => "is of a group, and events are not grouped here: leave the braces out".to_owned(),
            "*" | "?" => {
                "is a wildcard, which is not read: name each event; a PMU's name without its number \
                          stands for all of its kind"
                    .to_owned()
            }
            _ => format!("is where {wanted} was expected"),
        };
        Problem { piece, at: self.at, says }
    }

    /// Byte offset to the position that a person counts.
    fn position(&self, at: usize) -> usize {
        self.text[..at].chars().count() + 1
    }

    fn place(&self, start: usize, event: &str) -> Place {
        Place { event: event.to_owned(), position: self.position(start), list: self.text.to_owned() }
    }
}

/// Whether it may be inside of a name.
fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn symbolic(name: &str) -> Option<Kind> {
    let hardware = || Symbol::find(&HARDWARE, name).map(Kind::Hardware);
    let software = || Symbol::find(&SOFTWARE, name).map(Kind::Software);
    let tool = || Tool::ALL.into_iter().find(|tool| tool.name() == name).map(Kind::Tool);
    hardware().or_else(software).or_else(tool).or_else(|| CacheEvent::parse(name).map(Kind::Cache))
}

/// The digits of a raw event: `r1a8`, `r0x1a8`.
pub(super) fn raw(word: &str) -> Option<&str> {
    let digits = word.strip_prefix('r')?;
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit())).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list, printed again.
    fn printed(list: &str) -> String {
        let specs = parse(list).unwrap_or_else(|error| panic!("{error}"));
        specs.iter().map(Spec::to_string).collect::<Vec<_>>().join(" ")
    }

    fn error(list: &str) -> String {
        parse(list).unwrap_err().to_string()
    }

    #[test]
    fn aliases_print_as_one_name() {
        assert_eq!(
            printed("cs,faults,migrations,cpu-cycles,branch-instructions,branches,idle-cycles-backend"),
            "context-switches page-faults cpu-migrations cycles branches branches stalled-cycles-backend"
        );
        assert_eq!(
            printed("l1d-load-miss,branch-misses,branch-load-misses"),
            "L1-dcache-load-misses branch-misses branch-load-misses"
        );
        assert_eq!(printed("duration_time,user_time,system_time"), "duration_time user_time system_time");
    }

    #[test]
    fn each_form_of_event_is_read_and_printed() {
        for event in [
            "instructions:u",
            "cycles:ukhGH",
            "sched:sched_switch",
            "sched:sched_switch:k",
            "syscalls:sys_enter_read",
            "sdt_libc.so-2:x.y-z_1",
            "r01c4",
            "r0x1C4",
            "rABC:u",
            "mem:0x1000",
            "mem:0x1000/8",
            "mem:0x1000/1:w",
            "mem:0x1000:x",
            "mem:0x1000:rwx:uk",
            "mem:0x1000:u",
            "cpu/event=0x3c,umask=0/",
            "cpu/config=1,config1=0X2,inv,edge,name=foo/u",
            "power/energy-pkg/",
            "intel_pt//",
            "i915_0000_03_00.0/rcs0-busy/",
            "topdown-retiring",
            "l2_rqsts.miss",
            "mem-loads:u",
        ] {
            assert_eq!(printed(event), event);
        }
    }

    #[test]
    fn spelling_that_means_nothing_is_not_printed() {
        assert_eq!(printed("cycles:kHu"), "cycles:ukH");
        assert_eq!(printed("mem:4096/4:wr:ku"), "mem:0x1000:uk");
        assert_eq!(printed("mem:0x1000/8:x"), "mem:0x1000:x");
        assert_eq!(printed("cpu/ event = 1 , inv /:u"), "cpu/event=1,inv/u");
        assert_eq!(printed("cpu/name='a:b c',event=1/"), "cpu/event=1,name=a:b c/");
        assert_eq!(printed(" cs ,\tcycles:u\n"), "context-switches cycles:u");
    }

    #[test]
    fn commas_between_slashes_belong_to_the_event() {
        assert_eq!(parse("cpu/event=1,umask=2/,cs,mem:0x10/4:r,msr/tsc/").unwrap().len(), 4);
    }

    #[test]
    fn where_a_spec_was_typed_does_not_make_it_another() {
        assert_eq!(parse("cycles,cs").unwrap()[1], parse("context-switches").unwrap()[0]);
        assert_ne!(parse("cs:u").unwrap(), parse("cs:k").unwrap());
    }

    #[test]
    fn a_colon_is_for_modifiers_after_an_event_and_for_a_tracepoint_otherwise() {
        assert!(matches!(&parse("cycles:u").unwrap()[0].kind, Kind::Hardware(_)));
        assert!(matches!(&parse("sched:u").unwrap()[0].kind, Kind::Tracepoint { .. }));
        assert_eq!(
            error("cycles:sched"),
            "event `cycles:sched`: `s` (position 8) is no modifier; the valid ones are u, k, h, G, H"
        );
    }

    #[test]
    fn modifiers_of_sampling_are_refused_with_the_reason() {
        assert_eq!(
            error("cs,cycles:up"),
            "event `cycles:up` at position 4 of `cs,cycles:up`: `p` (position 12) asks for precise sampling, which \
             does not change counts: leave it out"
        );
        for letter in ["S", "D", "W", "e", "b", "I"] {
            assert!(
                error(&format!("cycles:{letter}"))
                    .contains("not supported; the valid ones are u, k, h, G, H")
            );
        }
        assert_eq!(error("cycles:uu"), "event `cycles:uu`: `u` (position 9) is there twice");
        assert_eq!(
            error("cycles:"),
            "event `cycles:`: the end (position 8) is where some of the modifiers u, k, h, G, H was expected"
        );
        assert_eq!(
            error("cycles:u:k"),
            "event `cycles:u:k`: `:` (position 9) is where a comma or the end was expected"
        );
    }

    #[test]
    fn a_missing_event_is_named_by_its_position() {
        const REST: &str = "write one, such as `cycles`, or leave the comma out";
        for (list, position) in [("", 1), ("  ", 3), (",cs", 1), ("cs,", 4), ("cs, ,cs", 5), ("cs,,cs", 4)] {
            assert_eq!(error(list), format!("no event at position {position} of `{list}`: {REST}"));
        }
    }

    #[test]
    fn positions_are_characters_and_not_bytes() {
        assert_eq!(
            error("cpu/name=é/,cs:z"),
            "event `cs:z` at position 13 of `cpu/name=é/,cs:z`: `z` (position 16) is no modifier; the valid ones are \
             u, k, h, G, H"
        );
    }

    #[test]
    fn groups_and_wildcards_are_refused_with_what_to_write() {
        assert_eq!(
            error("{cycles,cs}"),
            "event `{cycles,cs}`: `{` (position 1) is of a group, and events are not grouped here: leave the braces \
             out"
        );
        assert!(error("cycles,cs}").contains("`}` (position 10) is of a group"));
        for list in ["sched:*", "uncore_*/x/", "*"] {
            assert!(error(list).contains("`*`"), "{}", error(list));
            assert!(error(list).contains("is a wildcard, which is not read: name each event;"));
        }
    }

    #[test]
    fn mistakes_between_slashes_are_told_apart() {
        for (list, message) in [
            ("cpu/event=1", "`/` (position 4) is not closed by another"),
            ("cpu/event=1,cs", "`/` (position 4) is not closed by another"),
            ("cpu/event=/", "`/` (position 11) is where the value of `event` was expected"),
            (
                "cpu/umask=zz/",
                "`zz` (position 11) is no number of 64 bits: write decimal digits, or 0x and hexadecimal ones",
            ),
            ("cpu/event=z!/", "`z!` (position 11) is no name of an event"),
            ("cpu/name='a,b/", "`'` (position 10) is not closed by another"),
            (
                "cpu/event=+1/",
                "`+1` (position 11) is no number of 64 bits: write decimal digits, or 0x and hexadecimal ones",
            ),
            (
                "cpu/event=0x10000000000000000/",
                "`0x10000000000000000` (position 11) is no number of 64 bits: write decimal digits, or 0x and \
                 hexadecimal ones",
            ),
            ("cpu/,/", "`,` (position 5) is where the name of an event or a field was expected"),
            ("cpu/a b/", "`b` (position 7) is where `=`, `,` or `/` was expected"),
            ("cpu/name=''/", "`name` (position 10) is empty"),
            ("cpu/a//", "`/` (position 7) is where a comma, `:` with modifiers, or the end was expected"),
        ] {
            assert_eq!(error(list), format!("event `{list}`: {message}"));
        }
    }

    #[test]
    fn mistakes_in_breakpoints_and_codes_are_told_apart() {
        for (list, message) in [
            (
                "mem:foo",
                "`foo` (position 5) is no number of 64 bits: write decimal digits, or 0x and hexadecimal ones",
            ),
            ("mem:", "the end (position 5) is where an address was expected"),
            ("mem:1/9", "`9` (position 7) is no length of a breakpoint: 1 to 8 bytes"),
            ("mem:1:rr", "`rr` (position 7) has an access twice: write some of r, w, x"),
            ("mem:1:ry", "`y` (position 8) is where a comma, `:` with modifiers, or the end was expected"),
            ("mem:1:z", "`z` (position 7) is no modifier; the valid ones are u, k, h, G, H"),
            ("r12345678123456789", "`r12345678123456789` (position 1) has a code of more than 64 bits"),
        ] {
            assert_eq!(error(list), format!("event `{list}`: {message}"));
        }
    }

    #[test]
    fn no_name_leads_out_of_a_directory() {
        for list in ["../x/", "a/../", "..:..", "a:../b"] {
            assert!(parse(list).is_err(), "{list}");
        }
    }
}
