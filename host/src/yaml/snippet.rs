//! A line of a YAML file, shown below an error, without possible secrets.

use crate::redact::{HIDDEN, hide_in_url, sounds_secret};

/// Line `number` (from 1) of `text` with a caret below `column` (from 1). A value that
/// belongs to a key that sounds like a secret is hidden, and so is a URL's password;
/// the caret is left out if it would be in what is hidden.
pub(super) fn snippet(text: &str, number: usize, column: usize) -> Option<String> {
    let line = text.lines().nth(number.checked_sub(1)?)?;
    if belongs_to_a_secret(text, number) {
        let depth = line.len() - line.trim_start().len();
        return Some(format!("{}{HIDDEN}", &line[..depth]));
    }
    let shown = without_secrets(line);
    if shown == line {
        return Some(with_caret(line, column));
    }
    Some(shown)
}

/// The line without the values of such keys, and without the passwords of URLs.
fn without_secrets(line: &str) -> String {
    let mut at = 0;
    while let Some(colon) = line[at..].find(':').map(|found| at + found) {
        let (name, _) = key_before(&line[..colon]);
        // In a flow mapping the end of the value is hard to tell where the file is
        // broken: all that follows goes.
        if sounds_secret(name) && !line[colon + 1..].trim().is_empty() {
            return format!("{}: {HIDDEN}", &line[..colon]);
        }
        at = colon + 1;
    }
    let mut shown = String::new();
    for word in line.split_inclusive([' ', '\t', '"', '\'']) {
        let bare = word.trim_end_matches([' ', '\t', '"', '\'']);
        shown.push_str(&hide_in_url(bare));
        shown.push_str(&word[bare.len()..]);
    }
    shown
}

/// Whether a line above, less far in, is a key that sounds like a secret: the line is
/// a part of its value.
fn belongs_to_a_secret(text: &str, number: usize) -> bool {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let lines: Vec<&str> = text.lines().take(number).collect();
    let Some((line, above)) = lines.split_last() else { return false };
    let mut limit = depth(line);
    for line in above.iter().rev().filter(|line| !line.trim().is_empty()) {
        let here = depth(line);
        // A quoted text may continue at the left margin.
        let goes_on = unclosed(line);
        if here < limit || goes_on {
            if let Some((before, _)) = line.rsplit_once(':')
                && sounds_secret(key_before(before).0)
            {
                return true;
            }
            if line.split(':').any(|part| sounds_secret(key_before(part).0)) && goes_on {
                return true;
            }
            limit = here;
        }
    }
    false
}

/// Whether a quoted text begins in the line and does not end there.
fn unclosed(line: &str) -> bool {
    line.matches('"').count() % 2 == 1 || line.matches('\'').count() % 2 == 1
}

/// The name at the end of the text before a colon, and where it begins.
fn key_before(before: &str) -> (&str, usize) {
    let name = before.trim_end_matches(['"', '\'', ' ']);
    let plain = |letter: char| letter.is_alphanumeric() || letter == '-' || letter == '_';
    let start = name
        .char_indices()
        .rev()
        .take_while(|(_, letter)| plain(*letter))
        .last()
        .map_or(name.len(), |(at, _)| at);
    (&name[start..], start)
}

/// The part of a line around a column, and a caret below that column.
pub(super) fn with_caret(line: &str, column: usize) -> String {
    /// A longer part would be wrapped, and the caret be lost.
    const AROUND: usize = 36;
    let at = column.saturating_sub(1);
    let start = if line.chars().count() <= 2 * AROUND { 0 } else { at.saturating_sub(AROUND) };
    let shown: String = line.chars().skip(start).take(2 * AROUND).collect();
    // Tabs are kept so that the caret stays below.
    let before: String = shown
        .chars()
        .take(at - start)
        .map(|letter| if letter == '\t' { '\t' } else { ' ' })
        .collect();
    format!("{shown}\n{before}^")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_of_a_long_line_stays_in_sight() {
        let line = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let shown = with_caret(&line, 501);
        let (part, caret) = shown.split_once('\n').unwrap();
        assert_eq!(part.find('X'), caret.find('^'));
        assert_eq!((part.len(), with_caret("a: é]", 5)), (72, "a: é]\n    ^".into()));
    }

    #[test]
    fn a_secret_is_not_in_the_line_that_is_shown() {
        for (text, number, shown) in [
            ("a: [x", 1, "a: [x\n  ^"),
            ("secret-access-key: hush]", 1, "secret-access-key: ***"),
            ("r: {type: s3, token: hush, x: [}", 1, "r: {type: s3, token: ***"),
            ("url: sftp://me:hush@h/x [", 1, "url: sftp://me:***@h/x ["),
            ("password: |\n  hush\n  more", 3, "  ***"),
            ("password:\n  - 'hush\nhush'", 3, "***"),
            ("\"api_token\": \"hush", 1, "\"api_token\": ***"),
            ("a:\n  b: c", 2, "  b: c\n  ^"),
        ] {
            assert_eq!(snippet(text, number, 3).unwrap(), shown, "{text}");
        }
    }
}
