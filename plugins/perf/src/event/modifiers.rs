//! Modifiers: the modes of the CPU that an event is restricted to.

use std::fmt;

/// Modes of the CPU. Without any of `user`, `kernel` and `hypervisor` an event counts in all three; with some, in these
/// only. The same holds for `guest` and `host`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Modifiers {
    /// `u`
    pub user: bool,
    /// `k`
    pub kernel: bool,
    /// `h`
    pub hypervisor: bool,
    /// `G`: inside virtual machines of this one.
    pub guest: bool,
    /// `H`: outside of them.
    pub host: bool,
}

impl Modifiers {
    /// All letters, when each is valid and there once.
    pub(super) fn parse(letters: &str) -> Option<Self> {
        let mut modifiers = Self::default();
        letters.chars().try_for_each(|letter| modifiers.add(letter)).ok()?;
        Some(modifiers)
    }

    /// Adds the modifier of this letter; the error completes the sentence "`letter` ...".
    pub(super) fn add(&mut self, letter: char) -> Result<(), &'static str> {
        let flag = match letter {
            'u' => &mut self.user,
            'k' => &mut self.kernel,
            'h' => &mut self.hypervisor,
            'G' => &mut self.guest,
            'H' => &mut self.host,
            'p' | 'P' => {
                return Err("asks for precise sampling, which does not change counts: leave it out");
            }
            'S' | 'D' | 'W' | 'e' | 'b' | 'I' => {
                return Err("is a modifier of perf that is not supported; the valid ones are u, k, h, G, H");
            }
            _ => return Err("is no modifier; the valid ones are u, k, h, G, H"),
        };
        if *flag {
            return Err("is there twice");
        }
        *flag = true;
        Ok(())
    }
}

/// The letters, in the order `ukhGH`.
impl fmt::Display for Modifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, kernel, hypervisor, guest, host } = *self;
        let letters = [(user, "u"), (kernel, "k"), (hypervisor, "h"), (guest, "G"), (host, "H")];
        letters.iter().filter(|(set, _)| *set).try_for_each(|(_, letter)| f.write_str(letter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_in_any_order_and_written_in_one() {
        assert_eq!(Modifiers::parse("Hku").unwrap().to_string(), "ukH");
        assert_eq!(Modifiers::parse("").unwrap(), Modifiers::default());
        for letters in ["uu", "z", "up", "u "] {
            assert_eq!(Modifiers::parse(letters), None, "{letters}");
        }
    }
}
