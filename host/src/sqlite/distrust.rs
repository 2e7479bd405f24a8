//! Writing to a database whose schema is not trusted: none of the schema's code runs, and
//! the lock that blocks other writers is held for a bounded time.

use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;

use super::authorizer::Access;
use super::connection::Connection;
use super::errors::explain;
use super::open::watch;
use super::statement::{Statement, execute};
use super::worker::Inside;
use crate::code::Code;
use crate::error::{Error, Result};

/// The longest pattern of LIKE and GLOB: while SQLite is in one function, nothing
/// interrupts it.
const MAX_PATTERN: i32 = 64;

impl Connection {
    /// From now on no trigger, view or cascade runs on this connection.
    pub(crate) async fn distrust_schema(&self) -> Result<()> {
        self.run(|inside, _unwanted| {
            distrust(inside.connection).map_err(|error| explain(&error, "cannot turn off triggers"))
        })?
        .wait()
        .await
    }

    /// Like [`Self::transact`], and rolls back when the write lock was held for `limit`.
    pub(crate) async fn transact_within(
        &self,
        statements: Vec<Statement>,
        limit: Duration,
    ) -> Result<u64> {
        self.run(move |inside, _unwanted| within(inside, &statements, limit))?.wait().await
    }
}

fn distrust(connection: &rusqlite::Connection) -> rusqlite::Result<()> {
    use DbConfig::{
        SQLITE_DBCONFIG_DEFENSIVE, SQLITE_DBCONFIG_ENABLE_FKEY, SQLITE_DBCONFIG_ENABLE_TRIGGER,
        SQLITE_DBCONFIG_ENABLE_VIEW,
    };
    connection.set_db_config(SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.set_db_config(SQLITE_DBCONFIG_ENABLE_FKEY, false)?;
    connection.set_db_config(SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, MAX_PATTERN)?;
    Ok(())
}

fn within(inside: Inside<'_>, statements: &[Statement], limit: Duration) -> Result<u64> {
    if inside.access != Access::Write {
        return Err(Error::new(Code::Denied, "the connection was opened for reading"));
    }
    let Inside { connection, given_up, .. } = inside;
    let failed = |error: &rusqlite::Error| explain(error, "the transaction failed");
    let before = connection.total_changes();
    connection.execute_batch("BEGIN IMMEDIATE").map_err(|error| failed(&error))?;
    let over = Instant::now() + limit;
    let done =
        watch(connection, given_up, Some(over)).and_then(|()| execute(connection, statements));
    // Ending it is not limited in time.
    let ended = watch(connection, given_up, None)
        .and(done)
        .and_then(|()| connection.execute_batch("COMMIT"));
    if ended.is_err() && !connection.is_autocommit() {
        let _what_failed_counts = connection.execute_batch("ROLLBACK");
    }
    match ended {
        Ok(()) => Ok(connection.total_changes().saturating_sub(before)),
        Err(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted)
                && Instant::now() > over =>
        {
            Err(failed(&error).with_code(Code::Timeout).cause(format!(
                "it blocked other writers for {} ms and was rolled back",
                limit.as_millis()
            )))
        }
        Err(error) => Err(failed(&error)),
    }
}
