//! A parsed YAML file, and where each of its parts is.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use serde::de::DeserializeSeed;
use serde_yaml::Value;

use super::scalars;
use super::seek::Seek;
use super::snippet::snippet;
use super::step::Step;
use super::unique::Unique;
use crate::error::{Error, Result};

/// A parsed file.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(super) file: PathBuf,
    text: String,
    pub(super) value: Value,
    /// How many places may still be looked up: each look-up parses the file again.
    places: Arc<AtomicUsize>,
    scalars: OnceLock<HashMap<Vec<Step>, String>>,
}

/// This many values are reported with their places, and any more by their names alone.
const PLACES: usize = 100;

impl Document {
    /// Parses `text`, the content of `file`. An empty file is an empty mapping.
    /// Fails, with the place and the line, when it is not one YAML document with
    /// unique keys.
    pub(crate) fn parse(file: &Path, text: &str) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        let mut document = Self {
            file: file.to_owned(),
            text,
            value: Value::Null,
            places: Arc::new(AtomicUsize::new(PLACES)),
            scalars: OnceLock::new(),
        };
        if let Some((key, line, column)) = document.duplicate() {
            return Err(document.invalid(line, column, &format!("`{key}` appears twice")));
        }
        let parsed = serde_yaml::from_str::<Value>(&document.text).and_then(|mut value| {
            value.apply_merge()?;
            Ok(value)
        });
        document.value = match parsed {
            Ok(value) => value,
            Err(error) => {
                let (line, column) =
                    error.location().map_or((0, 0), |mark| (mark.line(), mark.column()));
                return Err(document.invalid(line, column, &without_place(&error.to_string())));
            }
        };
        Ok(document)
    }

    fn invalid(&self, line: usize, column: usize, message: &str) -> Error {
        let file = self.file.display();
        if line == 0 {
            return Error::project(format!("{file} is not valid YAML: {message}"));
        }
        let error = Error::project(format!("{file}:{line}:{column}: not valid YAML: {message}"));
        match snippet(&self.text, line, column) {
            Some(shown) => error.cause(shown),
            None => error,
        }
    }

    /// The first key that its mapping already has: the parser of Litestream silently
    /// takes the last one.
    fn duplicate(&self) -> Option<(String, usize, usize)> {
        let found = RefCell::new(None);
        let outcome =
            Unique { found: &found }.deserialize(serde_yaml::Deserializer::from_str(&self.text));
        let mark = outcome.err()?.location()?;
        found.into_inner().map(|key| (key, mark.line(), mark.column()))
    }

    /// Line and column of the value at `path`, or of its key.
    pub(super) fn position(&self, path: &[Step], of_key: bool) -> Option<(usize, usize)> {
        let one_less = |left: usize| left.checked_sub(1);
        self.places.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).ok()?;
        let reached = RefCell::new(None);
        let seed = Seek { path, of_key, reached: &reached };
        let error = seed.deserialize(serde_yaml::Deserializer::from_str(&self.text)).err()?;
        reached.borrow().as_ref()?;
        error.location().map(|mark| (mark.line(), mark.column()))
    }

    /// The number or truth value at `path` as written in the file: `0600`, `1e5`.
    pub(super) fn scalar(&self, path: &[Step]) -> Option<&str> {
        self.scalars.get_or_init(|| scalars::of(&self.text)).get(path).map(String::as_str)
    }
}

/// The parser's message without its own " at line 1 column 2".
fn without_place(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Document, Step};

    fn parse(text: &str) -> Document {
        Document::parse(Path::new("lsrun.yml"), text).unwrap()
    }

    fn key(name: &str) -> Step {
        Step::Key(name.to_owned())
    }

    #[test]
    fn invalid_yaml_shows_the_line_with_a_caret() {
        let error = Document::parse(Path::new("lsrun.yml"), "a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(error.message().starts_with("lsrun.yml:"), "{error}");
        assert!(error.message().contains("not valid YAML"), "{error}");
        assert!(error.causes()[0].contains('^'), "{:?}", error.causes());
    }

    #[test]
    fn a_duplicate_key_is_refused_where_it_stands() {
        let error =
            Document::parse(Path::new("lsrun.yml"), "a: {x: 1}\nb:\n  x: 1\n  x: 2\n").unwrap_err();
        assert_eq!(error.message(), "lsrun.yml:4:3: not valid YAML: `x` appears twice");
        assert_eq!(error.causes(), ["  x: 2\n  ^"]);
    }

    #[test]
    fn values_and_keys_have_places() {
        let document = parse("a:\n  - b: 1\n    c: [x]\n");
        let path = [key("a"), Step::Index(0), key("c")];
        assert_eq!(document.position(&path, false), Some((3, 8)));
        assert_eq!(document.position(&path, true), Some((3, 5)));
        assert_eq!(document.position(&[key("z")], true), None);
        let cursor = document.at(&path).unwrap();
        assert_eq!(
            cursor.text("a path").unwrap_err().message(),
            "lsrun.yml:3:8: a[0].c must be a path, not a list"
        );
    }

    #[test]
    fn a_scalar_keeps_its_text() {
        let document = parse("a: 1e5\nb: 0600\nc: &x 0.10\nd: *x\n");
        let text = |name: &str| document.at(&[key(name)]).unwrap().text("a text").unwrap();
        assert_eq!([text("a"), text("b"), text("c"), text("d")], ["1e5", "0600", "0.10", "0.10"]);
    }

    #[test]
    fn byte_order_mark_carriage_returns_merges_and_nothing_are_fine() {
        let document = parse("\u{feff}a: 1\r\nb: &x {c: 2}\r\nd: {<<: *x, e: 3}\r\n");
        assert_eq!(document.at(&[key("d"), key("c")]).unwrap().text("").unwrap(), "2");
        assert!(parse("").value.is_null());
        assert!(parse("# nothing\n").value.is_null());
    }
}
