//! Keeps a write-ahead log from being restarted.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::sqlite::descriptors::Opened;

/// Keeps the log from being restarted while it lives; others can read and write.
pub(crate) struct LogHold {
    _reader: CountedConnection,
}

impl LogHold {
    /// Blocks. None if there is nothing to hold: no log, or a database that
    /// litestream does not know. Fails if it is too busy.
    ///
    /// A reader of a log that is wholly in the database holds nothing. So the log gets
    /// one more frame.
    pub(crate) fn take(database: &Path) -> rusqlite::Result<Option<Self>> {
        const ATTEMPTS: usize = 5;
        let (writer, reader) = (open(database)?, open(database)?);
        let mode: String = writer.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        if mode != "wal" || !writer.table_exists(None, "_litestream_seq")? {
            return Ok(None);
        }
        let version = || -> rusqlite::Result<i64> {
            writer.pragma_query_value(None, "data_version", |row| row.get(0))
        };
        for _ in 0..ATTEMPTS {
            writer.execute_batch(&format!("BEGIN IMMEDIATE; {FRAME}"))?;
            let before = version()?;
            // Whoever checkpoints does it after a commit of its own.
            writer.execute_batch("COMMIT; BEGIN IMMEDIATE")?;
            let alone = version()? == before;
            if alone {
                reader.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")?;
            }
            writer.execute_batch("ROLLBACK")?;
            if alone {
                return Ok(Some(Self { _reader: reader }));
            }
        }
        Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            None,
        ))
    }
}

/// A commit of one page, to a table of litestream's own, which writes the same to it.
pub(crate) const FRAME: &str = "INSERT INTO _litestream_seq (id, seq) VALUES (1, 1) \
    ON CONFLICT (id) DO UPDATE SET seq = seq + 1";

/// A connection, counted until it is closed.
pub(crate) struct CountedConnection {
    connection: Connection,
    _counted: Opened,
}

impl std::ops::Deref for CountedConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

pub(crate) fn open(database: &Path) -> rusqlite::Result<CountedConnection> {
    let _counted = Opened::count(database);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.busy_timeout(Duration::from_secs(1))?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    // A frame that is lost with the power held nothing then either.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(CountedConnection { connection, _counted })
}
