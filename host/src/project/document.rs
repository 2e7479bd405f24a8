//! A YAML file that can say where each of its parts stands: parsing, and a
//! cursor that reads checked values. It knows no key of `lsrun.yml`.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_yaml::Value;

use super::nearest::nearest;
use super::scalars;
use super::snippet::snippet;
use crate::error::{Error, Result};

/// One step from the root of the document to a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// A parsed file.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    file: PathBuf,
    text: String,
    value: Value,
    /// How many places may still be looked up: each look-up parses the file again.
    places: Arc<AtomicUsize>,
    scalars: OnceLock<HashMap<Vec<Step>, String>>,
}

/// The places of so many values are said; behind that, their names must do.
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
            return Err(document.invalid(line, column, &format!("`{key}` is there twice")));
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

    /// A cursor at the root.
    pub(crate) fn root(&self) -> Cursor<'_> {
        Cursor { document: self, path: Vec::new(), value: &self.value }
    }

    /// The value at `path`, or `None` when there is nothing or a null.
    pub(crate) fn at(&self, path: &[Step]) -> Option<Cursor<'_>> {
        path.iter().try_fold(self.root(), |cursor, step| cursor.step(step))
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

    /// The first key that its mapping already has: the parser of Litestream
    /// takes the last one in silence.
    fn duplicate(&self) -> Option<(String, usize, usize)> {
        let found = RefCell::new(None);
        let outcome =
            Unique { found: &found }.deserialize(serde_yaml::Deserializer::from_str(&self.text));
        let mark = outcome.err()?.location()?;
        found.into_inner().map(|key| (key, mark.line(), mark.column()))
    }

    /// Line and column of the value at `path`, or of its key.
    fn position(&self, path: &[Step], of_key: bool) -> Option<(usize, usize)> {
        let one_less = |left: usize| left.checked_sub(1);
        self.places.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).ok()?;
        let reached = RefCell::new(None);
        let seed = Seek { path, of_key, reached: &reached };
        let error = seed.deserialize(serde_yaml::Deserializer::from_str(&self.text)).err()?;
        reached.borrow().as_ref()?;
        error.location().map(|mark| (mark.line(), mark.column()))
    }

    /// The number or truth value at `path` as it stands in the file: `0600`, `1e5`.
    fn scalar(&self, path: &[Step]) -> Option<&str> {
        self.scalars.get_or_init(|| scalars::of(&self.text)).get(path).map(String::as_str)
    }
}

/// The parser's message without its own " at line 1 column 2".
fn without_place(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_owned()
}

/// A value and the way to it.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    document: &'a Document,
    path: Vec<Step>,
    value: &'a Value,
}

impl<'a> Cursor<'a> {
    /// The value itself.
    pub(crate) fn value(&self) -> &'a Value {
        self.value
    }

    /// `databases.default.path`, `litestream.dbs[0]`.
    pub(crate) fn dotted(&self) -> String {
        dotted(&self.path)
    }

    fn step(&self, step: &Step) -> Option<Self> {
        let value = match step {
            Step::Key(key) => self.value.get(key.as_str())?,
            Step::Index(index) => self.value.get(*index)?,
        };
        if value.is_null() {
            return None;
        }
        let mut path = self.path.clone();
        path.push(step.clone());
        Some(Self { document: self.document, path, value })
    }

    /// The value of `key`, unless it is missing or null.
    pub(crate) fn get(&self, key: &str) -> Option<Self> {
        self.step(&Step::Key(key.to_owned()))
    }

    /// An error about this value, with its place: `message` follows its name.
    pub(crate) fn wrong(&self, message: impl fmt::Display) -> Error {
        let place = self.place(self.document.position(&self.path, false));
        let name = if self.path.is_empty() { "the file".to_owned() } else { self.dotted() };
        Error::project(format!("{place}: {name} {message}"))
    }

    fn place(&self, position: Option<(usize, usize)>) -> String {
        let file = self.document.file.display();
        match position {
            Some((line, column)) => format!("{file}:{line}:{column}"),
            None => file.to_string(),
        }
    }

    /// Where this value's key stands: `lsrun.yml:3:5`.
    pub(crate) fn key_place(&self) -> String {
        self.place(self.document.position(&self.path, true))
    }

    /// An error about the key of this value, which is none of `known`.
    pub(crate) fn unknown_key<'k>(
        &self,
        of: &str,
        known: impl IntoIterator<Item = &'k str> + Clone,
    ) -> Error {
        let place = self.key_place();
        let key = match self.path.last() {
            Some(Step::Key(key)) => key.as_str(),
            _ => "",
        };
        let error = Error::project(format!("{place}: {} is no key of {of}", self.dotted()));
        match nearest(key, known.clone()) {
            Some(close) => error.hint(format!("did you mean `{close}`?")),
            None => {
                let all = known.into_iter().collect::<Vec<_>>().join("`, `");
                error.hint(format!("known are `{all}`"))
            }
        }
    }

    /// The entries of a mapping, in order, nulls included. `what` says what is
    /// expected here.
    pub(crate) fn entries(&self, what: &str) -> Result<Vec<(&'a str, Self)>> {
        let Value::Mapping(mapping) = self.value else {
            return Err(self.expected(what));
        };
        mapping
            .iter()
            .map(|(key, value)| {
                let Value::String(key) = key else {
                    return Err(self.wrong(format!(
                        "has a key that is {}; put quotes around it",
                        kind_of(key)
                    )));
                };
                let mut path = self.path.clone();
                path.push(Step::Key(key.clone()));
                Ok((key.as_str(), Self { document: self.document, path, value }))
            })
            .collect()
    }

    /// The items of a list.
    pub(crate) fn items(&self, what: &str) -> Result<Vec<Self>> {
        let Value::Sequence(items) = self.value else {
            return Err(self.expected(what));
        };
        Ok(items
            .iter()
            .enumerate()
            .map(|(index, value)| {
                let mut path = self.path.clone();
                path.push(Step::Index(index));
                Self { document: self.document, path, value }
            })
            .collect())
    }

    /// A text; a number or a truth value counts, as it stands in the file.
    pub(crate) fn text(&self, what: &str) -> Result<String> {
        match self.value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(self.scalar().unwrap_or_else(|| number.to_string())),
            Value::Bool(truth) => Ok(self.scalar().unwrap_or_else(|| truth.to_string())),
            _ => Err(self.expected(what)),
        }
    }

    fn scalar(&self) -> Option<String> {
        self.document.scalar(&self.path).map(str::to_owned)
    }

    /// One text or a list of them.
    pub(crate) fn texts(&self, what: &str) -> Result<Vec<String>> {
        match self.value {
            Value::Sequence(_) => {
                self.items(what)?.iter().map(|item| item.text("a text")).collect()
            }
            Value::String(text) => Ok(vec![text.clone()]),
            _ => Err(self.expected(what)),
        }
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self) -> Result<bool> {
        self.value.as_bool().ok_or_else(|| self.expected("true or false"))
    }

    /// "expected a path, found a list".
    pub(crate) fn expected(&self, what: &str) -> Error {
        self.wrong(format!("must be {what}, not {}", kind_of(self.value)))
    }
}

/// How a path is shown to the user.
pub(crate) fn dotted(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a mapping",
        Value::Tagged(_) => "a tagged value",
    }
}

/// Walks the whole document and stops at a key that its mapping already has.
#[derive(Clone, Copy)]
struct Unique<'f> {
    found: &'f RefCell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_enum<A: serde::de::EnumAccess<'de>>(
        self,
        access: A,
    ) -> std::result::Result<(), A::Error> {
        let (_, variant): (IgnoredAny, _) = access.variant()?;
        serde::de::VariantAccess::newtype_variant_seed(variant, self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<(), A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<(), A::Error> {
        let seen = RefCell::new(HashSet::new());
        let key = Key { found: self.found, seen: &seen };
        while entries.next_key_seed(key)?.is_some() {
            entries.next_value_seed(self)?;
        }
        Ok(())
    }
}

/// Reads one key and stops when it was seen before.
#[derive(Clone, Copy)]
struct Key<'f> {
    found: &'f RefCell<Option<String>>,
    seen: &'f RefCell<HashSet<String>>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text as the key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> std::result::Result<(), E> {
        if self.seen.borrow_mut().insert(key.to_owned()) {
            return Ok(());
        }
        *self.found.borrow_mut() = Some(key.to_owned());
        Err(E::custom("duplicate key"))
    }
}

/// Walks to one value and stops there with an error, whose place is the
/// parser's own; no other way leads to a position in an untyped document.
#[derive(Clone, Copy)]
struct Seek<'p> {
    path: &'p [Step],
    of_key: bool,
    /// Set at the target.
    reached: &'p RefCell<Option<()>>,
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<(), D::Error> {
        if self.path.is_empty() {
            *self.reached.borrow_mut() = Some(());
            return deserializer.deserialize_str(Here);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list or a mapping")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<(), A::Error> {
        let Some((Step::Index(wanted), rest)) = self.path.split_first() else {
            return Err(A::Error::custom("no such item"));
        };
        for _ in 0..*wanted {
            items.next_element::<IgnoredAny>()?;
        }
        items.next_element_seed(Seek { path: rest, ..self })?;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<(), A::Error> {
        let Some((Step::Key(wanted), rest)) = self.path.split_first() else {
            return Err(A::Error::custom("no such key"));
        };
        let stop = self.of_key && rest.is_empty();
        let key = WantedKey { wanted, stop, reached: self.reached };
        while let Some(is_it) = entries.next_key_seed(key)? {
            if is_it {
                entries.next_value_seed(Seek { path: rest, ..self })?;
                return Ok(());
            }
            entries.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Tells whether a key is the wanted one, or stops at it.
#[derive(Clone, Copy)]
struct WantedKey<'p> {
    wanted: &'p str,
    stop: bool,
    reached: &'p RefCell<Option<()>>,
}

impl<'de> DeserializeSeed<'de> for WantedKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for WantedKey<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text as the key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> std::result::Result<bool, E> {
        if key == self.wanted && self.stop {
            *self.reached.borrow_mut() = Some(());
            return Err(E::custom("here"));
        }
        Ok(key == self.wanted)
    }
}

/// Stops at a value.
struct Here;

impl Visitor<'_> for Here {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the value that is looked for")
    }

    fn visit_str<E: serde::de::Error>(self, _text: &str) -> std::result::Result<(), E> {
        Err(E::custom("here"))
    }
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
        assert_eq!(error.message(), "lsrun.yml:4:3: not valid YAML: `x` is there twice");
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
