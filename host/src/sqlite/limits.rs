//! What a guest's SQL may cost: the length of its text and of a value, the bytes of
//! a row, memory, temporary files. A statement that needs more fails; SQLite's own
//! work for lsrun (digests, `integrity_check`) is limited only in memory.

use rusqlite::Connection;
use rusqlite::limits::Limit;

/// The longest string or blob that a guest's statement makes or reads, in bytes.
const MAX_VALUE: i32 = 16 << 20;
/// What SQLite itself allows, and what a database may therefore hold.
const MAX_VALUE_OF_SQLITE: i32 = 1_000_000_000;
/// The values of one row on their way to a guest, in bytes.
pub(super) const MAX_ROW: usize = 16 << 20;
/// The longest text of a statement, in bytes. Not a limit of SQLite: that would hold
/// for the schema as well, and one that is longer would look damaged.
pub(super) const MAX_SQL: usize = 1 << 20;
/// What all of SQLite in this process may allocate, in bytes: a value of the greatest
/// length, and some room.
const MAX_HEAP: i64 = 1280 << 20;

/// Holds a connection to them. Sorts and temporary tables stay in memory, so that the
/// limit of memory holds for them, and no disk is filled.
pub(super) fn hold(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.set_limit(Limit::SQLITE_LIMIT_WORKER_THREADS, 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.query_row(&format!("PRAGMA hard_heap_limit = {MAX_HEAP}"), [], |_row| Ok(()))?;
    for_guest(connection)
}

/// For a statement of a guest.
pub(super) fn for_guest(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE).map(|_before| ())
}

/// For lsrun's own reading, which meets whatever the database holds.
pub(super) fn for_ourselves(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE_OF_SQLITE).map(|_before| ())
}
