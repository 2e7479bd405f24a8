//! The file of a history: where it is, and that it is this user's and of a version that
//! this lsrun knows.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::code::Code;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::project::Project;
use crate::redact::Redactor;
use crate::trust::{self, Distrust, Trust};

/// How long another run may hold the file.
const PATIENCE: Duration = Duration::from_secs(5);
/// What this lsrun writes; a file of a later one is left alone.
const VERSION: i64 = 2;

const CREATE: &str = "
CREATE TABLE IF NOT EXISTS results (
  id INTEGER PRIMARY KEY,
  command TEXT NOT NULL,
  name TEXT NOT NULL,
  path TEXT NOT NULL,
  started_ms INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  txid TEXT,
  method TEXT,
  lag_ms INTEGER,
  restore_ms INTEGER,
  bytes INTEGER,
  duration_ms INTEGER NOT NULL,
  not_passed TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS passed (
  path TEXT NOT NULL,
  check_id TEXT NOT NULL,
  started_ms INTEGER NOT NULL,
  message TEXT NOT NULL,
  PRIMARY KEY (path, check_id)
) STRICT;
CREATE INDEX IF NOT EXISTS results_path ON results (path, command, started_ms);
PRAGMA user_version = 2;
";

/// The history of one project.
#[derive(Debug)]
pub(crate) struct History {
    path: PathBuf,
    /// What passes it is kept for long.
    pub(super) redactor: Redactor,
}

impl History {
    /// The one of `project`. Nothing is created yet.
    ///
    /// Fails when there is no folder for it at all.
    pub(crate) fn of(project: &Project, environment: &Environment) -> Result<Self> {
        let path = project.state_folder(environment)?.join("history.sqlite3");
        Ok(Self { path, redactor: environment.redactor().clone() })
    }

    /// Where it is.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, if it is there.
    pub(super) fn open(&self) -> Result<Option<Connection>> {
        match Trust::mine().file(&self.path) {
            Ok(_mine) => {}
            Err(distrust) if distrust.is_missing() => return Ok(None),
            Err(distrust) => {
                return Err(self.failed("cannot be read", &distrust.into()));
            }
        }
        // Not read-only: the journal of a run that was killed has to be undone.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || -> anyhow::Result<Connection> {
            let connection = Connection::open_with_flags(&self.path, flags)?;
            connection.busy_timeout(PATIENCE)?;
            version(&connection)?;
            Ok(connection)
        };
        open().map(Some).map_err(|error| self.failed("cannot be read", &error))
    }

    /// The file, created when it is missing, for this user alone.
    pub(super) fn create(&self) -> anyhow::Result<Connection> {
        if let Some(folder) = self.path.parent() {
            trust::private_folder(folder)?;
        }
        // SQLite gives its journal the mode of the database.
        std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&self.path)?;
        Trust::mine().file(&self.path)?;
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(PATIENCE)?;
        // A power cut costs one row of a history.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        if version(&connection)? < VERSION {
            connection.execute_batch(&format!("BEGIN IMMEDIATE; {CREATE} COMMIT"))?;
        }
        Ok(connection)
    }

    /// That it `what`, and what can be done about that.
    pub(super) fn failed(&self, what: &str, error: &anyhow::Error) -> Error {
        let mut own =
            Error::new(Code::Unexpected, format!("the history {} {what}", self.path.display()));
        for cause in error.chain() {
            own = own.cause(cause);
        }
        if error.is::<Later>() {
            return own.hint("use that lsrun, or name another folder with LSRUN_STATE_DIR");
        }
        match error.downcast_ref::<Distrust>().and_then(Distrust::fix) {
            Some(fix) => own.hint(format!("{fix}, or name another folder with LSRUN_STATE_DIR")),
            None => own.hint(
                "move it away and lsrun starts another one, or name another folder with \
                 LSRUN_STATE_DIR",
            ),
        }
    }
}

/// The file is of a version that this lsrun does not know.
#[derive(Debug, thiserror::Error)]
#[error("it was written by a later lsrun")]
struct Later;

/// The version of the file; 0 of a new one.
fn version(connection: &Connection) -> anyhow::Result<i64> {
    let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    anyhow::ensure!(version <= VERSION, Later);
    Ok(version)
}
