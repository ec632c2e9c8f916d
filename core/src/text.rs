//! Text of somebody else's: the names of processes, devices and files, which anybody may choose.
//!
//! Where such a name is shown it must neither move the cursor nor end the line, nor turn the direction of what follows it.
//! This is the one place that decides what is harmless.

use std::borrow::Cow;

/// Whether a character is only itself: no control character (a terminal's escape sequences begin with one), none that ends a
/// line, and none that changes the direction of the text around it (Unicode Standard Annex 9, "Directional Formatting
/// Characters").
pub fn is_harmless(c: char) -> bool {
    let is_directional =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let ends_line = matches!(c, '\u{2028}' | '\u{2029}');
    !c.is_control() && !is_directional && !ends_line
}

/// The text with every other character replaced.
///
/// ```
/// assert_eq!(alumet::text::harmless("a\x1b[31m\nb"), "a\u{fffd}[31m\u{fffd}b");
/// ```
pub fn harmless(text: &str) -> Cow<'_, str> {
    match text.chars().all(is_harmless) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(text.chars().map(|c| if is_harmless(c) { c } else { '\u{fffd}' }).collect()),
    }
}

/// A name as the kernel has it, for a person.
pub fn name(bytes: &[u8]) -> String {
    harmless(&String::from_utf8_lossy(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_the_cursor_ends_the_line_or_turns_the_direction_is_replaced() {
        for c in [
            '\0', '\x07', '\x08', '\t', '\n', '\r', '\x1b', '\x7f', '\u{85}', '\u{9b}', '\u{61c}',
            '\u{200e}', '\u{202a}', '\u{202e}', '\u{2028}', '\u{2029}', '\u{2066}', '\u{2069}',
        ] {
            assert_eq!(harmless(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
        }
        for text in
            ["", "kworker/0:1", "Web Content", "zażółć", "進程", "מעבד", "👩‍💻", "a\u{a0}b", "::error::"]
        {
            assert_eq!(harmless(text), text);
        }
        assert_eq!(name(b"a\xff\x1b"), "a\u{fffd}\u{fffd}");
    }
}
