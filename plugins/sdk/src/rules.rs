//! Rules that content has to keep, as SQL: those of the project file, and SQLite's own
//! about references.

use crate::host::settings;
use crate::host::sqlite::{Connection, Value};
use crate::host::types::Error;
use crate::json;
use crate::sql::Query;

const FOREIGN_KEYS: &str =
    "SELECT \"table\", count(*), parent FROM pragma_foreign_key_check GROUP BY 1, 3 ORDER BY 1, 3";

/// Nothing when the SQL returns a value that is true in SQL, else what it returned.
pub fn holds(connection: &Connection, sql: &str) -> Result<Option<String>, Error> {
    let Some(value) = connection.value(sql, &[])? else {
        return Ok(Some(format!("returned no row, expected a true value: {sql}")));
    };
    let judge = "SELECT CASE WHEN ?1 THEN NULL ELSE quote(?1) END";
    match connection.value(judge, &[value])? {
        Some(Value::Text(value)) => {
            Ok(Some(format!("returned {value}, expected a true value: {sql}")))
        }
        _ => Ok(None),
    }
}

/// A line for each table and each table that its broken references name.
pub fn broken_references(connection: &Connection) -> Result<Vec<String>, Error> {
    let rows = connection.rows(FOREIGN_KEYS, &[])?;
    let line = |row: &Vec<Value>| match row.as_slice() {
        [Value::Text(table), Value::Integer(count), Value::Text(parent)] => {
            format!("{table}: {count} rows refer to missing rows of {parent}")
        }
        _ => "a row refers to a missing row".to_owned(),
    };
    Ok(rows.iter().map(line).collect())
}

/// Name and SQL of each of `verify.assertions` for a database, for a built-in command
/// whose settings have them.
pub fn assertions(database: &str) -> Vec<(String, String)> {
    let at = |number: usize, key: &str| {
        settings::at(&json::pointer(&["assertions", database, &number.to_string(), key]))
    };
    (0..).map_while(|number| Some((at(number, "name")?, at(number, "sql")?))).collect()
}
