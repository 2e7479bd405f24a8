//! Reads checked values of a YAML file, with errors that give the position.

use std::fmt;

use serde_yaml::Value;

use super::document::Document;
use super::step::Step;
use crate::error::{Error, Result};
use crate::nearest::nearest;

/// A value and the way to it.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    document: &'a Document,
    path: Vec<Step>,
    value: &'a Value,
}

impl Document {
    /// A cursor at the root.
    pub(crate) fn root(&self) -> Cursor<'_> {
        Cursor::at_root(self, &self.value)
    }

    /// The value at `path`, or `None` when there is nothing or a null.
    pub(crate) fn at(&self, path: &[Step]) -> Option<Cursor<'_>> {
        path.iter().try_fold(self.root(), |cursor, step| cursor.step(step))
    }
}

impl<'a> Cursor<'a> {
    /// At the root of `document`, whose value this is.
    pub(super) fn at_root(document: &'a Document, value: &'a Value) -> Self {
        Self { document, path: Vec::new(), value }
    }

    /// The value itself.
    pub(crate) fn value(&self) -> &'a Value {
        self.value
    }

    /// `databases.default.path`, `litestream.dbs[0]`.
    pub(crate) fn dotted(&self) -> String {
        dotted(&self.path)
    }

    pub(super) fn step(&self, step: &Step) -> Option<Self> {
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

    /// Where this value's key is: `lsrun.yml:3:5`.
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
        let error = Error::project(format!("{place}: {} is not a key of {of}", self.dotted()));
        match nearest(key, known.clone()) {
            Some(close) => error.hint(format!("did you mean `{close}`?")),
            None => {
                let all = known.into_iter().collect::<Vec<_>>().join("`, `");
                error.hint(format!("the keys are `{all}`"))
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

    /// A text; a number or a truth value counts, as written in the file.
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
