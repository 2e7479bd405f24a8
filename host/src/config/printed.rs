//! What `lsrun config` prints: every text in Litestream's own language. Litestream
//! knows only `$NAME` and `${NAME}`: no default, no escape; it replaces
//! them in the text of the file before it parses that.

use std::path::Path;

use super::scalar::{escaped, is_pid, is_plain};
use super::tree::{Text, TextRole};
use super::variables::{fallback, lookup};
use crate::environment::Environment;
use crate::path::{absolute, expand_home};
use crate::redact::{HIDDEN, hide_in_url};
use crate::reference::{Piece, Reference, resolve};

/// A `$` that is a character, until it is written in a way that only the YAML parser
/// turns into one. No text has this noncharacter.
pub(super) const DOLLAR: char = '\u{10FFFE}';

/// What texts are printed with.
pub(super) struct Printer<'p> {
    pub(super) root: &'p Path,
    pub(super) environment: &'p Environment,
    /// Secrets of the file are printed too.
    pub(super) reveal: bool,
}

impl Printer<'_> {
    /// The text as a YAML scalar.
    pub(super) fn yaml(&self, text: &Text) -> String {
        let words = self.words(text);
        match text.role {
            TextRole::Typed => words.replace(DOLLAR, "$"),
            _ if self.is_plain(text, &words) => words,
            // As `escaped` writes the mark.
            _ => format!("\"{}\"", escaped(&words).replace("\\U0010fffe", "\\x24")),
        }
    }

    /// The text, its `$` that are characters marked.
    pub(super) fn words(&self, text: &Text) -> String {
        if text.role == TextRole::Secret && !self.reveal {
            let words = self.pieces(&text.pieces, false);
            return if words.starts_with('$') { words } else { HIDDEN.to_owned() };
        }
        let words = match text.role {
            TextRole::Path => self.path(text),
            TextRole::Secret => self.pieces(&text.pieces, false),
            _ => self.pieces(&text.pieces, true),
        };
        if self.reveal { words } else { hide_in_url(&words) }
    }

    /// With `inline`, a value that would end a quoted text is written out.
    fn pieces(&self, pieces: &[Piece], inline: bool) -> String {
        let part = |piece: &Piece| match piece {
            Piece::Literal(text) => marked(text),
            Piece::Reference(reference) if is_pid(piece) => named(reference, &reference.name),
            Piece::Reference(reference) => self.reference(reference, inline),
        };
        pieces.iter().map(part).collect()
    }

    /// The variable that has the value now, or else the default.
    fn reference(&self, reference: &Reference, inline: bool) -> String {
        let name = reference.name.as_str();
        let set = |name: &'static str| Some((name, self.environment.get(name)?));
        let own = self.environment.get(name).map(|value| (name, value));
        if let Some((name, value)) = own.or_else(|| set(fallback(name)?)) {
            let ends = |it: char| matches!(it, '"' | '\\') || it.is_control();
            let inline = inline && value.chars().any(ends) && hide_in_url(value) == value;
            return if inline { marked(value) } else { named(reference, name) };
        }
        let Some(default) = &reference.default else { return reference.raw.clone() };
        let part = |piece: &Piece| match piece {
            // With braces: what follows the default is not known here.
            Piece::Reference(inner) => {
                let raw = format!("${{{}}}", inner.name);
                self.reference(&Reference { raw, ..inner.clone() }, inline)
            }
            Piece::Literal(text) => marked(text),
        };
        default.iter().map(part).collect()
    }

    /// A path of the local disk, which Litestream takes from the folder that it is
    /// called in.
    fn path(&self, text: &Text) -> String {
        let words = self.pieces(&text.pieces, true);
        let local = |words: &str| {
            let words = words.replace(DOLLAR, "$");
            let path = absolute(self.root, &expand_home(&words, self.environment));
            marked(&path.display().to_string())
        };
        if words.is_empty() || words.starts_with('/') {
            words
        } else if !words.contains('$') {
            local(&words)
        } else if words.starts_with('$') {
            match self.value(text) {
                Some(value) if !value.starts_with('/') && !text.pieces.iter().any(is_pid) => {
                    local(&value)
                }
                _ => words,
            }
        } else {
            let root = self.root.display().to_string();
            let home = words.strip_prefix("~/").zip(self.environment.get("HOME"));
            let (base, rest) =
                home.map_or((root.as_str(), words.as_str()), |(rest, home)| (home, rest));
            format!("{}/{}", marked(base), rest.trim_start_matches("./"))
        }
    }

    /// What Litestream will see in place of a text.
    fn value(&self, text: &Text) -> Option<String> {
        let known = |name: &str| lookup(self.environment, name);
        resolve(&text.pieces, &known).ok().map(|resolved| resolved.text)
    }

    /// Whether no reader parses the words as anything else, also with the values of
    /// their variables in them.
    fn is_plain(&self, text: &Text, words: &str) -> bool {
        let value = if text.has_reference() { self.value(text) } else { None };
        is_plain(words) && value.is_none_or(|value| value.is_empty() || is_plain(&value))
    }
}

/// With each `$` marked as a character.
fn marked(text: &str) -> String {
    text.replace('$', DOLLAR.encode_utf8(&mut [0; 4]))
}

/// The reference in the user's form, without a default.
fn named(reference: &Reference, name: &str) -> String {
    if reference.raw.starts_with("${") { format!("${{{name}}}") } else { format!("${name}") }
}
