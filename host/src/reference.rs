//! References to environment variables inside a text: finding and resolving
//! them. Which texts may contain references, and how the result is used, is decided
//! elsewhere.

use std::iter::Peekable;
use std::str::CharIndices;

/// How many defaults may be within each other; a `$` that is deeper is a character.
const DEEPEST: u32 = 64;

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Literal text.
    Literal(String),
    /// The value of a variable.
    Reference(Reference),
}

/// `$NAME`, `${NAME}` or `${NAME:-default}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// As the user wrote it.
    pub raw: String,
    pub name: String,
    /// Used when the variable is not set or empty; may hold references itself.
    pub default: Option<Vec<Piece>>,
}

/// A text with its references replaced.
#[derive(Debug, PartialEq, Eq)]
pub struct ResolvedText {
    pub text: String,
    /// A part of it is the value of a variable.
    pub from_environment: bool,
}

/// Parses `text`: `$NAME`, `${NAME}` and `${NAME:-default}` are references, wherever
/// they are written in lsrun.yml. What is not a complete one is literal.
pub fn parse(text: &str) -> Vec<Piece> {
    within(text, DEEPEST)
}

/// What may be this many defaults deep.
fn within(text: &str, depth: u32) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text.char_indices().peekable();
    while let Some((at, letter)) = rest.next() {
        let is_one = letter == '$' && depth > 0;
        let reference = is_one.then(|| reference(text, at, depth)).flatten();
        match reference {
            Some(reference) => {
                skip_to(&mut rest, at + reference.raw.len());
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Reference(reference));
            }
            None => literal.push(letter),
        }
    }
    if !literal.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    pieces
}

fn skip_to(rest: &mut Peekable<CharIndices<'_>>, end: usize) {
    while rest.peek().is_some_and(|(at, _)| *at < end) {
        rest.next();
    }
}

/// The reference whose `$` is at byte `at` of `text`.
fn reference(text: &str, at: usize, depth: u32) -> Option<Reference> {
    let after = text.get(at + 1..)?;
    if let Some(inner) = after.strip_prefix('{') {
        let end = closing_brace(inner)?;
        let inner = inner.get(..end)?;
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(within(default, depth - 1))),
            None => (inner, None),
        };
        let raw = text.get(at..at + 3 + end)?.to_owned();
        return (!name.is_empty()).then(|| Reference { raw, name: name.to_owned(), default });
    }
    let length = after
        .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .unwrap_or(after.len());
    let name = after.get(..length)?;
    let starts_well = name.starts_with(|letter: char| !letter.is_ascii_digit());
    starts_well.then(|| Reference { raw: format!("${name}"), name: name.to_owned(), default: None })
}

/// The byte of the `}` that closes a `${` already read; inner ones are nested.
fn closing_brace(inner: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, letter) in inner.char_indices() {
        match letter {
            '{' if before == '$' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        before = letter;
    }
    None
}

/// Replaces every reference. Fails with the name of the first variable that
/// `lookup` does not know and that has no default.
pub fn resolve<'a>(
    pieces: &[Piece],
    lookup: &impl Fn(&str) -> Option<&'a str>,
) -> Result<ResolvedText, String> {
    let mut resolved = ResolvedText { text: String::new(), from_environment: false };
    for piece in pieces {
        match piece {
            Piece::Literal(text) => resolved.text.push_str(text),
            Piece::Reference(reference) => {
                if let Some(value) = lookup(&reference.name) {
                    resolved.text.push_str(value);
                    resolved.from_environment = true;
                } else if let Some(default) = &reference.default {
                    let inner = resolve(default, lookup)?;
                    resolved.text.push_str(&inner.text);
                    resolved.from_environment |= inner.from_environment;
                } else {
                    return Err(reference.name.clone());
                }
            }
        }
    }
    Ok(resolved)
}

/// The text that was parsed.
pub fn as_written(pieces: &[Piece]) -> String {
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Literal(text) => text.as_str(),
            Piece::Reference(reference) => reference.raw.as_str(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{as_written, parse, resolve};

    fn lookup(name: &str) -> Option<&'static str> {
        match name {
            "HOME" => Some("/root"),
            "B" => Some("bee"),
            _ => None,
        }
    }

    fn resolved(text: &str) -> Result<String, String> {
        let pieces = parse(text);
        assert_eq!(as_written(&pieces), text);
        resolve(&pieces, &lookup).map(|resolved| resolved.text)
    }

    #[test]
    fn braces_with_nested_defaults() {
        assert_eq!(resolved("${A:-${B}/x}/y"), Ok("bee/x/y".into()));
        assert_eq!(resolved("${A:-$B/x}/y"), Ok("bee/x/y".into()));
        assert_eq!(resolved("${B:-z}"), Ok("bee".into()));
        assert_eq!(resolved("${A:-}/y"), Ok("/y".into()));
        assert_eq!(resolved("${A:-${C}}"), Err("C".into()));
        assert_eq!(resolved("${A:-${C:-é}}$"), Ok("é$".into()));
    }

    #[test]
    fn defaults_without_end_have_an_end() {
        let nested = |count: usize| format!("{}x{}", "${A:-".repeat(count), "}".repeat(count));
        assert_eq!(resolved(&nested(64)), Ok("x".into()));
        assert_eq!(resolved(&nested(66)), Ok("${A:-${A:-x}}".into()));
        assert_eq!(resolved(&nested(10_000)), Ok(nested(9_936)));
    }

    #[test]
    fn a_dollar_before_a_name_is_a_reference_and_any_other_a_character() {
        assert_eq!(resolved("a$B.db"), Ok("abee.db".into()));
        assert_eq!(resolved("a$$ $1 ${ ${} $"), Ok("a$$ $1 ${ ${} $".into()));
    }
}
