//! Shell syntax where no shell reads it: without a word it would be passed to the program as an argument.
//!
//! The words of `exec` and `check` have been through the user's own shell, so an operator among them is there because
//! somebody quoted it, or because there was no shell either (a unit file, a container's entry point). A command that is
//! typed as one text, as for `compare`, is split by us: there it is known what was quoted.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::exit::Failure;

/// Programs to which an operator is a text like any other: a pattern, a separator, a comparison.
const TAKE_OPERATORS: [&str; 18] = [
    "[", "awk", "cut", "echo", "egrep", "expr", "fgrep", "find", "gawk", "grep", "join", "mawk", "paste",
    "printf", "rg", "sed", "sort", "test",
];

/// Refuses words of which one is an operator of a shell, as far as can be told.
pub fn check_words(words: &[OsString]) -> Result<(), Failure> {
    let texts: Vec<&str> = words.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    let is_text_here = texts.iter().any(|word| {
        let name = Path::new(word).file_name().and_then(OsStr::to_str);
        name.is_some_and(|name| TAKE_OPERATORS.contains(&name))
    });
    let is_operator = |at: usize| match texts[at] {
        "&&" | "||" | "|&" => true,
        // Between two commands: what follows is one.
        "|" | ";" | "&" => texts.get(at + 1).is_some_and(|next| is_program(next)),
        word => is_redirection(word) && (word.len() > 1 || at + 1 < texts.len()),
    };
    let found = (1..texts.len()).find(|at| !is_text_here && is_operator(*at));
    found.map_or(Ok(()), |at| {
        Err(Failure::usage(format!(
            "`{}` is for a shell, and none is here to read it: -S sh runs the command through one, -S none passes it on as \
             it is",
            texts[at]
        )))
    })
}

/// `>`, `2>>`, `2>&1`, `<`, `&>`.
fn is_redirection(word: &str) -> bool {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let target = |rest: &str| rest.chars().all(|c| c.is_ascii_digit() || c == '-');
    match rest {
        ">" | ">>" | ">|" | "<" | "<<" | "<<<" | "<>" => true,
        "&>" | "&>>" => rest == word,
        _ => rest.strip_prefix(">&").or(rest.strip_prefix("<&")).is_some_and(target),
    }
}

/// Whether this would be found if it were executed.
fn is_program(word: &str) -> bool {
    let is_executable = |path: &Path| {
        std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    if word.contains('/') {
        return is_executable(Path::new(word));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    !word.is_empty() && std::env::split_paths(&path).any(|directory| is_executable(&directory.join(word)))
}

/// Refuses a text with anything outside of quotes that a shell would not take for a part of a word.
pub fn check_line(line: &str) -> Result<(), Failure> {
    let Some(found) = syntax(line.trim()) else { return Ok(()) };
    Err(Failure::usage(format!(
        "`{}`: {found} is for a shell, and none is here to read it: -S sh runs the command through one; quote it if it is \
         meant as it is",
        line.replace(char::is_control, " ")
    )))
}

/// The first word outside of quotes that means something else to a shell than itself.
fn syntax(line: &str) -> Option<String> {
    let mut quote = None;
    // Where the word began.
    let mut start = 0;
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => drop(chars.next()),
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '\n') => return Some("a line break".into()),
            (None, c) if c.is_whitespace() => start = at + c.len_utf8(),
            (None, '|' | '<' | '>' | '&' | ';' | '*' | '`') => return Some(word_at(line, start)),
            (None, '~') if at == start => return Some(word_at(line, start)),
            // A lone one is itself, as at the end of a pattern.
            (None, '$') if next.is_some_and(|next| !next.is_whitespace()) => {
                return Some(word_at(line, start));
            }
            (None, _) => {}
        }
    }
    None
}

/// The word that begins here, as it was typed.
fn word_at(line: &str, start: usize) -> String {
    format!("`{}`", line[start..].split_whitespace().next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_words(words: &[&str]) -> Option<String> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        check_words(&words).err().map(|failure| failure.message)
    }

    #[test]
    fn what_a_shell_would_read_in_a_text_is_found_unless_it_is_quoted() {
        for (line, found) in [
            ("true | true", "`|`"),
            ("true|true", "`true|true`"),
            ("sort < in.txt", "`<`"),
            ("sort a >out", "`>out`"),
            ("make 2>&1", "`2>&1`"),
            ("cd x && make", "`&&`"),
            ("true; true", "`true;`"),
            ("sleep 1 &", "`&`"),
            ("$HOME/x", "`$HOME/x`"),
            ("x -o=${HOME}", "`-o=${HOME}`"),
            ("wc *.txt", "`*.txt`"),
            ("ls ~", "`~`"),
            ("~/bin/x", "`~/bin/x`"),
            ("x `date`", "``date``"),
            ("x 'a b' \"c\"*", "`\"c\"*`"),
            ("make\nmake test", "a line break"),
        ] {
            assert_eq!(syntax(line).as_deref(), Some(found), "{line}");
        }
        for line in [
            "gzip -6 -kc text",
            "sh -c 'echo $HOME | wc > x; true && ~'",
            "sh -c \"echo $HOME\"",
            r"find . -exec ls {} \;",
            r"find . -name \*.rs",
            "grep end$ file",
            "x a~b --n={n}",
        ] {
            assert_eq!(syntax(line), None, "{line}");
        }
        check_line("true\n").unwrap();
    }

    #[test]
    fn an_operator_among_words_is_found_and_none_where_it_is_a_text() {
        for words in [
            &["true", "&&", "x"][..],
            &["x", "2>&1"],
            &["x", "2>", "log"],
            &["cat", "<", "in.txt"],
            &["x", ">", "log"],
            &["true", "|", "sh"],
            &["true", ";", "/bin/sh", "x"],
        ] {
            let message = of_words(words).unwrap_or_else(|| panic!("{words:?}"));
            assert!(message.contains("-S sh") && message.contains("-S none"), "{message}");
        }
        for words in [
            &["find", ".", "-exec", "ls", "{}", ";"][..],
            &["grep", ">", "file"],
            &["/usr/bin/expr", "1", "<", "2"],
            &["xargs", "sort", "-t", "|"],
            &["tr", ";", ","],
            &["x", "|", "/no/such/program"],
            &["x", "--", "2>&1x"],
            &["&&"],
        ] {
            assert_eq!(of_words(words), None, "{words:?}");
        }
    }
}
