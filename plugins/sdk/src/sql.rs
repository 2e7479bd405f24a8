//! Shortcuts for simple SQL queries.

use crate::error;
use crate::host::sqlite::{Connection, Value};
use crate::host::types::Error;

/// How many rows are fetched at once.
const BATCH: u32 = 512;

/// Questions to a connection, or to [`Answers`](crate::testing::Answers) in a test.
pub trait Query {
    /// The first `most` rows.
    fn first(&self, sql: &str, parameters: &[Value], most: u32) -> Result<Vec<Vec<Value>>, Error>;

    /// All rows. For results of a size that is known.
    fn rows(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, Error>;

    /// The first column of the first row; none when there is no row.
    fn value(&self, sql: &str, parameters: &[Value]) -> Result<Option<Value>, Error> {
        let rows = self.first(sql, parameters, 1)?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()))
    }

    /// [`Query::value`] as an integer.
    fn integer(&self, sql: &str) -> Result<i64, Error> {
        match self.value(sql, &[])? {
            Some(value) => integer(&value),
            None => Err(error("invalid", format!("{sql} returned no row"))),
        }
    }
}

impl Query for Connection {
    fn first(&self, sql: &str, parameters: &[Value], most: u32) -> Result<Vec<Vec<Value>>, Error> {
        self.query(sql, parameters)?.next(most)
    }

    fn rows(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, Error> {
        let rows = self.query(sql, parameters)?;
        let mut all = Vec::new();
        loop {
            let some = rows.next(BATCH)?;
            if some.is_empty() {
                return Ok(all);
            }
            all.extend(some);
        }
    }
}

/// Whether an error says that a file is damaged. Everything else, such as a lock, a
/// full disk, a lack of memory or of a function that only the application has, says
/// nothing about it.
#[must_use]
pub fn is_damage(error: &Error) -> bool {
    error.code == "damaged"
}

/// The integer in a value.
pub fn integer(value: &Value) -> Result<i64, Error> {
    match value {
        Value::Integer(integer) => Ok(*integer),
        other => Err(error("invalid", format!("{} is not an integer", kind(other)))),
    }
}

/// The text in a value.
pub fn text(value: &Value) -> Result<&str, Error> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(error("invalid", format!("{} is not text", kind(other)))),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Integer(_) => "an integer",
        Value::Real(_) => "a real",
        Value::Text(_) => "a text",
        Value::Blob(_) => "a blob",
    }
}
