//! A stand-in for a database: what a check decides is tested with `cargo test`, without
//! WebAssembly and without lsrun.
//!
//! ```
//! use lsrun_plugin::prelude::*;
//! use lsrun_plugin::testing::Answers;
//!
//! fn has_users(copy: &impl Query) -> Result<(), Error> {
//!     match copy.integer("SELECT count(*) FROM users")? {
//!         0 => Err(failed("there are no users")),
//!         _ => Ok(()),
//!     }
//! }
//!
//! let empty = Answers::default().to("SELECT count(*) FROM users", [[0]]);
//! assert_eq!(has_users(&empty).unwrap_err().code, "failed");
//! ```

use crate::error;
use crate::host::sqlite::Value;
use crate::host::types::Error;
use crate::sql::Query;

/// The rows that each query gives.
#[derive(Debug, Default)]
pub struct Answers {
    known: Vec<(String, Result<Vec<Vec<Value>>, Error>)>,
}

impl Answers {
    /// This query gives these rows, whatever its parameters.
    #[must_use]
    pub fn to<V: Into<Cell>, const COLUMNS: usize>(
        mut self,
        sql: &str,
        rows: impl IntoIterator<Item = [V; COLUMNS]>,
    ) -> Self {
        let row = |row: [V; COLUMNS]| row.into_iter().map(|value| value.into().0).collect();
        self.known.push((sql.to_owned(), Ok(rows.into_iter().map(row).collect())));
        self
    }

    /// This query fails with this error.
    #[must_use]
    pub fn fails(mut self, sql: &str, error: Error) -> Self {
        self.known.push((sql.to_owned(), Err(error)));
        self
    }
}

impl Query for Answers {
    fn first(&self, sql: &str, parameters: &[Value], most: u32) -> Result<Vec<Vec<Value>>, Error> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Ok(self.rows(sql, parameters)?.into_iter().take(most).collect())
    }

    fn rows(&self, sql: &str, _parameters: &[Value]) -> Result<Vec<Vec<Value>>, Error> {
        match self.known.iter().find(|(known, _)| known == sql) {
            Some((_, answer)) => answer.clone(),
            None => Err(error("sqlite", format!("the test has no answer to {sql}"))),
        }
    }
}

/// A value of a row.
#[derive(Debug, Clone)]
pub struct Cell(Value);

impl From<Value> for Cell {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

impl From<i64> for Cell {
    fn from(integer: i64) -> Self {
        Self(Value::Integer(integer))
    }
}

impl From<f64> for Cell {
    fn from(real: f64) -> Self {
        Self(Value::Real(real))
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self(Value::Text(text.to_owned()))
    }
}
