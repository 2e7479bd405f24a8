//! The one filter for text that came from outside and is shown to people: names,
//! paths, tenants' files, messages of guests and servers. Filtered text cannot move the
//! cursor, colour the terminal, change the direction of writing or be invisible, and
//! no name adds a line. Secrets belong to [`crate::redact`].

use std::borrow::Cow;
use std::fmt::Write;

/// What has to be shown and not obeyed: controls, line ends of any kind, marks of the
/// direction of writing, letters without a width.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

fn filtered(text: &str, kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(|letter| is_hidden(letter) && !kept(letter)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if !is_hidden(letter) || kept(letter) {
            shown.push(letter);
        } else {
            let _infallible = write!(shown, "{}", letter.escape_default());
        }
    }
    Cow::Owned(shown)
}

/// A name, on one line: what is hidden is written as in Rust (`\n`, `\u{1b}`).
#[must_use]
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    filtered(text, |_| false)
}

/// A message of several lines; only line ends and tabs are kept as they are.
#[must_use]
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    filtered(text, |letter| matches!(letter, '\n' | '\t'))
}

/// [`lines`], each after the first one indented, so that none looks like one of
/// lsrun's own.
#[must_use]
pub(crate) fn indented(text: &str) -> Cow<'_, str> {
    let shown = lines(text);
    if shown.contains('\n') { Cow::Owned(shown.replace('\n', "\n  ")) } else { shown }
}

/// [`lines`] of lsrun's own text with its colours (`\x1b[1m`).
#[must_use]
pub(crate) fn coloured(text: &str) -> Cow<'_, str> {
    if !text.contains('\u{1b}') {
        return lines(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        let (before, from) = rest.split_at(at);
        shown.push_str(&lines(before));
        let length = colour(from).unwrap_or(1);
        let (escape, after) = from.split_at(length);
        if length > 1 {
            shown.push_str(escape)
        } else {
            shown.push_str(&lines(escape))
        }
        rest = after;
    }
    shown.push_str(&lines(rest));
    Cow::Owned(shown)
}

/// The length of the colour that `text` begins with.
fn colour(text: &str) -> Option<usize> {
    let digits = text.strip_prefix("\u{1b}[")?;
    let end = digits.find(|letter: char| !letter.is_ascii_digit())?;
    (end <= 2 && digits[end..].starts_with('m')).then_some(end + 3)
}

/// A guest's text, cut to a readable length.
#[must_use]
pub(crate) fn bounded(text: impl AsRef<str>) -> String {
    const LIMIT: usize = 4000;
    let shown = lines(text.as_ref());
    match shown.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown.into_owned(),
    }
}

/// Text for the log of a pipeline, in which a line can be a command to its runner:
/// `::stop-commands::` and `##[…]` of GitHub, `##vso[…]` of Azure, `##teamcity[…]`.
#[must_use]
pub(crate) fn without_commands(text: &str) -> Cow<'_, str> {
    if !text.contains("::") && !text.contains("##") {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for line in text.split_inclusive('\n') {
        let start = line.trim_start();
        if let Some(command) = start.strip_prefix("::") {
            safe.push_str(&line[..line.len() - start.len()]);
            safe.push_str(": :");
            safe.push_str(&command.replace("##", "# #"));
        } else {
            safe.push_str(&line.replace("##", "# #"));
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_seen() {
        assert_eq!(line("plain é 中 👍"), "plain é 中 👍");
        assert_eq!(line("a\nb\tc\r\u{1b}[2J\u{9b}"), "a\\nb\\tc\\r\\u{1b}[2J\\u{9b}");
        for mark in
            "\u{202a}\u{202e}\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}\u{200b}\u{2028}\u{feff}"
                .chars()
        {
            assert_eq!(lines(&format!("a{mark}")), format!("a\\u{{{:x}}}", u32::from(mark)));
        }
        assert_eq!(lines("a\n\tb\u{7}"), "a\n\tb\\u{7}");
        assert_eq!(indented("a\n✓ b"), "a\n  ✓ b");
    }

    #[test]
    fn colours_are_kept_and_nothing_else_that_looks_like_one() {
        let own = "\u{1b}[32m✓\u{1b}[0m good";
        assert_eq!(coloured(own), own);
        assert_eq!(
            coloured("\u{1b}[2J\u{1b}]0;x\u{7}\u{1b}"),
            "\\u{1b}[2J\\u{1b}]0;x\\u{7}\\u{1b}"
        );
        assert_eq!(coloured("\u{1b}[1;31mx"), "\\u{1b}[1;31mx");
    }

    #[test]
    fn a_guests_text_cannot_move_the_cursor_or_flood_the_terminal() {
        assert_eq!(bounded("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\nc");
        assert_eq!(bounded("é".repeat(100_000)).chars().count(), 4001);
    }

    #[test]
    fn no_line_is_a_command_to_a_runner() {
        assert_eq!(
            without_commands("a::b\n  ::stop-commands::x\n"),
            "a::b\n  : :stop-commands::x\n"
        );
        assert_eq!(without_commands("x ##[error]y ##vso[z"), "x # #[error]y # #vso[z");
        assert_eq!(without_commands("::a ##[b]"), ": :a # #[b]");
        assert_eq!(without_commands("fine"), "fine");
    }
}
