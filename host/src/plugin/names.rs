//! What plugins may call themselves and their checks: nothing that could be mistaken for
//! what lsrun says itself.

use super::{BUILTIN, Builtin};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::litestream::process::line::Verb;

/// The commands that the host has itself, and those that it will have.
pub(crate) const NATIVE: [&str; 3] = ["help", "history", "plugin"];

/// The longest name of a plugin.
const LONGEST_NAME: usize = 64;
/// The longest id of a check, and key of a fact, in characters.
const LONGEST_ID: usize = 128;

/// What the host itself reports beside the checks of commands, and what runs its tasks.
const HOST: [&str; 2] = ["run", "tasks"];

/// Whether a command of lsrun has a check of this name, or a group of them.
#[must_use]
pub(crate) fn is_check(name: &str) -> bool {
    let of_command = |builtin: &Builtin| {
        builtin.command().is_some_and(|command| command.checks.iter().any(|check| check == name))
    };
    HOST.contains(&name) || BUILTIN.iter().any(of_command)
}

/// Whether a plugin may have this name: `[a-z0-9_-]{1,64}`.
#[must_use]
pub(super) fn is_possible(name: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(allowed)
}

/// Fails with exit 30 for a name that is not `[a-z0-9_-]{1,64}`. `place` is where it
/// was found.
pub(crate) fn check(name: &str, place: &str) -> Result<()> {
    if !is_possible(name) {
        return Err(Error::new(
            Code::UnusablePlugin,
            format!("the plugin {place:?} cannot have the name {name:?}"),
        )
        .cause(format!("a name has 1 to {LONGEST_NAME} of the letters a to z, digits, _ and -")));
    }
    Ok(())
}

/// Whether lsrun or Litestream has a command of this name.
#[must_use]
pub(crate) fn is_command(name: &str) -> bool {
    Builtin::named(name).is_some() || NATIVE.contains(&name) || Verb::named(name).is_some()
}

/// A guest's id or key as it is shown: one line, of a bounded length, without what
/// moves the cursor or turns the direction of a text.
#[must_use]
pub(super) fn id(text: &str) -> String {
    let shown = |letter: &char| !letter.is_control() && !turns(*letter);
    let mut id: String = text.chars().filter(shown).take(LONGEST_ID).collect();
    if id.trim().is_empty() {
        id = "unnamed".to_owned();
    }
    id
}

/// Line and paragraph separators, marks of direction, and what takes no width.
fn turns(letter: char) -> bool {
    matches!(
        letter,
        '\u{061c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn a_name_cannot_be_taken_for_something_else() {
        for good in ["row-count", "a", "x_1", &"a".repeat(64)] {
            check(good, "x.wasm").unwrap();
        }
        let long = "a".repeat(65);
        for bad in ["", "../x", "a/b", "A", "a b", "a\nb", "\u{1b}[2J", &long] {
            let error = check(bad, "x.wasm").unwrap_err();
            assert_eq!(error.exit(), Exit::Plugin, "{bad:?}");
            assert!(!error.one_line().contains(['\n', '\u{1b}']), "{error:?}");
        }
    }

    #[test]
    fn an_id_is_one_line_of_a_bounded_length() {
        assert_eq!(id("a\nb\u{1b}[31m\u{202e}c"), "ab[31mc");
        assert_eq!(id("\u{200b} \n"), "unnamed");
        assert_eq!(id(&"é".repeat(1000)).chars().count(), LONGEST_ID);
    }
}
