//! `integrity_check` of a whole database, also of one that needs functions,
//! collations or modules that only its application has.
//!
//! What SQLite can check in one pass is checked in one pass. When it cannot, or when a
//! large copy is faster that way, the check goes table by table, each as far as SQLite
//! can compile it here, with a `quick_check` of the whole in addition: only that finds
//! faults of the freelist, unused pages and pages that are used twice.

mod pragma;
mod stand_ins;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};

use self::pragma::{Ran, run, table, whole};
use super::errors::{is_damage, message};
use super::open::{COPY_CACHE, GivenUp, watch};

/// Copies from this size on, in bytes, are checked by several connections. Below it
/// all of them together take less than opening the others.
const LARGE: u64 = 32 << 20;
/// Connections that check one copy.
const CONNECTIONS: usize = 2;

/// How much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// `quick_check`: the pages and rows, not whether indexes and rows agree.
    Quick,
    /// `integrity_check`.
    Full,
}

impl Level {
    fn pragma(self) -> &'static str {
        match self {
            Self::Quick => "quick_check",
            Self::Full => "integrity_check",
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Integrity {
    /// What is wrong, one line each, sorted, without duplicates; empty when nothing is.
    pub problems: Vec<String>,
    /// What could not be checked in full and why, a line for each table.
    pub limited: Vec<String>,
    /// The pages themselves are damaged, and not only an index or a rule.
    pub pages: bool,
}

/// Checks a private file that nobody else has open, with connections of its own. It
/// stays as it is, byte by byte.
pub(super) fn of_copy(
    path: &Path,
    level: Level,
    given_up: &GivenUp,
) -> rusqlite::Result<Integrity> {
    let first = match open(path, given_up) {
        Err(error) if is_damage(&error) => {
            let problems = vec![message(&error)];
            return Ok(Integrity { problems, pages: true, ..Integrity::default() });
        }
        opened => opened?,
    };
    let large = std::fs::metadata(path).is_ok_and(|file| file.len() >= LARGE);
    let parallel = std::thread::available_parallelism().is_ok_and(|threads| threads.get() > 1);
    if level == Level::Full && large && parallel {
        return by_table(&first, level, &|| open(path, given_up));
    }
    of_connection(&first, level)
}

/// Checks what this connection sees, with it alone.
pub(super) fn of_connection(connection: &Connection, level: Level) -> rusqlite::Result<Integrity> {
    let whole = run(connection, &format!("PRAGMA {}", level.pragma()))?;
    if whole.problems.is_empty() && whole.lacks.is_none() {
        return Ok(Integrity { limited: not_writable(connection), ..Integrity::default() });
    }
    // Also where something is wrong: a list that was cut in another place could not
    // be compared with that of another copy.
    let no_more = || Err(rusqlite::Error::InvalidQuery);
    by_table(connection, level, &no_more)
}

/// SQLite leaves CHECK constraints out of a schema that it cannot write.
fn not_writable(connection: &Connection) -> Vec<String> {
    let readonly = connection.is_readonly(rusqlite::MAIN_DB).unwrap_or(true);
    let line = "CHECK constraints were not evaluated: the file cannot be written".to_owned();
    readonly.then_some(line).into_iter().collect()
}

/// Opens a private copy for writing and forbids that: opened for reading, SQLite
/// drops its CHECK constraints without a word. The wal-index is in memory, and the log
/// that is next to the file meanwhile stays empty.
fn open(path: &Path, given_up: &GivenUp) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags_and_vfs(path, flags, "unix-excl")?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cache_size", -COPY_CACHE)?;
    watch(&mut connection, given_up, None)?;
    Ok(connection)
}

/// What one check is about.
enum Subject {
    Whole,
    Table(String),
}

/// Checks every table, and the whole beside them; `another` opens a further connection
/// to the same file.
fn by_table(
    connection: &Connection,
    level: Level,
    another: &(dyn Fn() -> rusqlite::Result<Connection> + Sync),
) -> rusqlite::Result<Integrity> {
    let mut subjects = vec![Subject::Whole];
    let found = Mutex::new(Integrity { limited: not_writable(connection), ..Integrity::default() });
    match tables(connection) {
        Ok(names) => subjects.extend(names.into_iter().map(Subject::Table)),
        Err(error) if is_damage(&error) => {
            let problems = vec![message(&error)];
            keep(&found, Ran { problems, pages: true, lacks: None }, None);
        }
        Err(error) => return Err(error),
    }
    let next = AtomicUsize::new(0);
    let work = |connection: &Connection| -> rusqlite::Result<()> {
        while let Some(subject) = subjects.get(next.fetch_add(1, Ordering::Relaxed)) {
            match subject {
                Subject::Whole => keep(&found, whole(connection)?, None),
                Subject::Table(name) => keep(&found, table(connection, level, name)?, Some(name)),
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..CONNECTIONS)
            // One that cannot be opened leaves its part to the others.
            .map(|_| scope.spawn(|| another().map_or(Ok(()), |connection| work(&connection))))
            .collect();
        let own = work(connection);
        let others = helpers.into_iter().map(|it| it.join().unwrap_or(Ok(())));
        others.fold(own, Result::and)
    })?;
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.problems.sort();
    found.problems.dedup();
    found.limited.sort();
    Ok(found)
}

fn keep(found: &Mutex<Integrity>, ran: Ran, table: Option<&str>) {
    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
    found.problems.extend(ran.problems);
    found.pages |= ran.pages;
    if let Some(reason) = ran.lacks {
        found.limited.push(match table {
            Some(table) => format!("{table}: {reason}"),
            None => reason,
        });
    }
}

/// Every table that has pages or a check of its own, the schema's included.
fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type <> 'view' ORDER BY name",
    )?;
    let mut rows = statement.query([])?;
    let mut names = Vec::new();
    while let Some(row) = rows.next()? {
        names.push(String::from_utf8_lossy(row.get_ref(0)?.as_bytes()?).into_owned());
    }
    Ok(names)
}
