//! How a text is written in YAML, so that every parser reads it unchanged.

use crate::reference::Piece;

/// `words` plain if no reader can parse it as anything else, else in double
/// quotes.
pub(super) fn quoted(words: &str) -> String {
    if is_plain(words) { words.to_owned() } else { format!("\"{}\"", escaped(words)) }
}

/// Words that YAML 1.1 or 1.2 reads as something other than text.
const RESERVED: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

pub(super) fn is_plain(words: &str) -> bool {
    let safe = |letter: char| letter.is_ascii_alphanumeric() || "/._-$".contains(letter);
    let starts_well =
        words.starts_with(|first: char| first.is_ascii_alphabetic() || "/$".contains(first));
    let reserved = RESERVED.iter().any(|word| word.eq_ignore_ascii_case(words));
    (starts_well && !reserved && words.chars().all(safe)) || is_simple_duration(words)
}

/// `30s`: no reader parses it as a number.
fn is_simple_duration(words: &str) -> bool {
    let unit = words.trim_start_matches(|letter: char| letter.is_ascii_digit());
    unit.len() < words.len() && ["ms", "s", "m", "h"].contains(&unit)
}

/// The inside of a double-quoted YAML scalar.
pub(super) fn escaped(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for letter in words.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Control characters, and what YAML takes for line ends or marks.
            letter
                if letter.is_control()
                    || matches!(letter, '\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
                    || matches!(u32::from(letter), 0xfffe..=0xffff) =>
            {
                out.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter if u32::from(letter) > 0xffff => {
                out.push_str(&format!("\\U{:08x}", u32::from(letter)));
            }
            letter => out.push(letter),
        }
    }
    out
}

/// Whether Litestream alone can resolve it: `$PID` is its own process.
pub(super) fn is_pid(piece: &Piece) -> bool {
    matches!(piece, Piece::Reference(reference) if reference.name == "PID")
}

#[cfg(test)]
mod tests {
    use super::{escaped, quoted};

    #[test]
    fn what_a_reader_could_misread_is_quoted() {
        for text in [
            "",
            "yes",
            "No",
            "ON",
            "y",
            "null",
            "~",
            "1",
            "0600",
            "0o7",
            "1_000",
            "1:30",
            "1e3",
            "2026-01-01",
            "=",
            "<<",
            "-",
            "a: b",
            "a #b",
            "*x",
            "&x",
            "!x",
            "{a",
            "a b",
            ".inf",
            ".5",
            "é",
            "1d",
            "30",
        ] {
            assert!(quoted(text).starts_with('"'), "{text}");
        }
        for text in ["default", "/srv/db.sqlite3", "30s", "500ms", "$NAME", "a/$B", "file"] {
            assert_eq!(quoted(text), text);
        }
    }

    #[test]
    fn every_text_survives_a_yaml_reader() {
        for text in ["a\"b\\c\nd\te\r", "\u{1}\u{7f}\u{85}\u{2028}\u{feff}", "😀é", "'", "\0"] {
            let read: String = serde_yaml::from_str(&format!("\"{}\"", escaped(text))).unwrap();
            assert_eq!(read, text);
        }
    }
}
