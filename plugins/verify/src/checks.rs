//! The checks of the restored copy.

use lsrun_plugin::host::report::Check;
use lsrun_plugin::host::sqlite::{Rows, Value};
use lsrun_plugin::prelude::*;

use crate::told;

/// How many problems SQLite lists, and how many the report shows.
const INTEGRITY: &str = "PRAGMA integrity_check(100)";
const SHOWN: usize = 5;

/// Runs all of them; each says how it came out.
pub(crate) fn run(database: &Database, copy: &RestoredCopy) {
    // The longest one starts first and goes on in the host meanwhile.
    let integrity = Check::new("integrity_check");
    let connection = sqlite::open_copy(copy);
    let rows = connection.as_ref().map_err(Clone::clone);
    let rows = rows.and_then(|connection| connection.query(INTEGRITY, &[]));
    assertions(database, copy);
    if let Err(error) = hooks::check(database, copy) {
        Check::new("hooks").inconclusive(&told(&error));
    }
    match rows.and_then(|rows| problems(&rows)) {
        Ok(problems) if problems.is_empty() => integrity.passed(""),
        Ok(problems) => integrity.failed(&problems.join("\n")),
        Err(error) => integrity.failed(&told(&error)),
    }
}

/// What `integrity_check` found; nothing when its one row is `ok`.
fn problems(rows: &Rows) -> Result<Vec<String>, Error> {
    let mut problems = Vec::new();
    let mut count = 0;
    loop {
        let some = rows.next(100)?;
        if some.is_empty() {
            break;
        }
        for value in some.iter().filter_map(|row| row.first()) {
            match text(value)? {
                "ok" => {}
                problem => {
                    count += 1;
                    if count <= SHOWN {
                        problems.push(problem.to_owned());
                    }
                }
            }
        }
    }
    if count > SHOWN {
        problems.push(format!("and {} more", count - SHOWN));
    }
    Ok(problems)
}

/// The SQL of `verify.assertions` in the project file, each with its name.
fn assertions(database: &Database, copy: &RestoredCopy) {
    let list = match assertions_of(database, copy) {
        Ok(list) => list,
        Err(error) => {
            Check::new("assertions").inconclusive(&told(&error));
            return;
        }
    };
    for (name, sql) in list {
        let check = Check::new(&format!("assertion:{name}"));
        match holds(copy, &sql) {
            Ok(None) => check.passed(""),
            Ok(Some(problem)) => check.failed(&problem),
            Err(error) => check.inconclusive(&told(&error)),
        }
    }
}

/// SQLite reads the JSON of the settings: a guest with a reader of its own would
/// be half as large again.
fn assertions_of(database: &Database, copy: &RestoredCopy) -> Result<Vec<(String, String)>, Error> {
    let settings = settings::get();
    let sql = "SELECT one.value ->> 'name', one.value ->> 'sql' \
        FROM json_each(?1, '$.assertions') AS list, json_each(list.value) AS one \
        WHERE list.key = ?2";
    let parameters = [Value::Text(settings), Value::Text(database.name())];
    let rows = sqlite::open_copy(copy)?.rows(sql, &parameters)?;
    rows.iter()
        .map(|row| match row.as_slice() {
            [name, sql] => Ok((text(name)?.to_owned(), text(sql)?.to_owned())),
            _ => Err(error("invalid", "an assertion has a name and an sql")),
        })
        .collect()
}

/// Nothing when the SQL gives what SQL takes for true, else what it gave.
fn holds(copy: &RestoredCopy, sql: &str) -> Result<Option<String>, Error> {
    let connection = sqlite::open_copy(copy)?;
    let Some(value) = connection.value(sql, &[])? else {
        return Ok(Some("it gave no row".into()));
    };
    let judge = "SELECT CASE WHEN ?1 THEN NULL ELSE 'it gave ' || quote(?1) END";
    match connection.value(judge, &[value])? {
        Some(Value::Text(problem)) => Ok(Some(problem)),
        _ => Ok(None),
    }
}
