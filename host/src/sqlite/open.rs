//! Opening a database for SQL that is not lsrun's own, limited to what it may do.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::OpenFlags;
use rusqlite::config::DbConfig;

use super::authorizer::{Access, authorize};
use super::{limits, math};
use crate::path::Sidecar;

/// Whether the work is not wanted any more.
pub(super) type GivenUp = Arc<dyn Fn() -> bool + Send + Sync>;

/// How long a statement waits for a lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Memory for the pages of a copy, in KiB. With SQLite's own 2 MB, `integrity_check`
/// of 117 MB reads each page of an index eight times over and takes twice as long;
/// more than this gains nothing.
pub(super) const COPY_CACHE: i32 = 8000;
/// Virtual machine instructions between two checks of whether to stop.
const PROGRESS_STEPS: i32 = 10_000;

/// Opens a database, which must exist, and looks into it.
pub(super) fn open(
    path: &Path,
    access: Access,
    given_up: &GivenUp,
) -> rusqlite::Result<rusqlite::Connection> {
    // Others have written it, and what is checkpointed before a daemon has read it may never
    // reach the replica: a guest must not checkpoint it.
    let log_was_there = std::fs::metadata(Sidecar::Wal.of(path)).is_ok_and(|it| it.len() > 0);
    let mut connection = match access {
        // Reading too: the last connection that may write takes the log and its
        // index away when it closes, one that may not leaves them behind. The
        // authorizer forbids writing. SQLite opens what cannot be written for
        // reading.
        Access::Read | Access::Write => rusqlite::Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?,
        Access::Copy => rusqlite::Connection::open_with_flags(
            immutable(path),
            OpenFlags::SQLITE_OPEN_READ_ONLY
                | OpenFlags::SQLITE_OPEN_NO_MUTEX
                | OpenFlags::SQLITE_OPEN_URI,
        )?,
    };
    connection.busy_timeout(BUSY_TIMEOUT)?;
    if log_was_there {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    }
    if access == Access::Write {
        // A reader that begins after a commit of this connection keeps the log from being
        // restarted, which it does not when the log is checkpointed at once.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    }
    limits::hold(&connection)?;
    if access != Access::Write {
        // `BEGIN IMMEDIATE` takes the write lock and keeps every writer out, and the
        // authorizer cannot tell it from `BEGIN`.
        connection.pragma_update(None, "query_only", true)?;
    }
    if access == Access::Copy {
        connection.pragma_update(None, "cache_size", -COPY_CACHE)?;
    }
    // A schema made by an attacker must not run functions with side effects.
    connection.pragma_update(None, "trusted_schema", false)?;
    math::add(&connection)?;
    connection.query_row("PRAGMA schema_version", [], |_row| Ok(()))?;
    watch(&mut connection, given_up, None)?;
    guard(&mut connection, access)?;
    Ok(connection)
}

/// Ends what the connection does when it is wanted no more, or at `limit`.
pub(super) fn watch(
    connection: &mut rusqlite::Connection,
    given_up: &GivenUp,
    limit: Option<Instant>,
) -> rusqlite::Result<()> {
    let given_up = Arc::clone(given_up);
    let over = move || given_up() || limit.is_some_and(|limit| Instant::now() > limit);
    connection.progress_handler(PROGRESS_STEPS, Some(over))
}

/// From here on, a statement may do what `access` allows.
pub(super) fn guard(connection: &mut rusqlite::Connection, access: Access) -> rusqlite::Result<()> {
    connection.authorizer(Some(move |context: rusqlite::hooks::AuthContext<'_>| {
        authorize(access, &context)
    }))
}

/// The URI of a file that nobody changes.
pub(crate) fn immutable(path: &Path) -> String {
    use std::fmt::Write;
    use std::os::unix::ffi::OsStrExt;
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(*byte));
            }
            other => {
                let _infallible = write!(uri, "%{other:02X}");
            }
        }
    }
    uri.push_str("?immutable=1");
    uri
}
