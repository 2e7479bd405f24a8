//! The right to replicate a database: one lsrun at a time has it.

use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::code::Code;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::litestream::sync::pause::Pause;
use crate::project::Database;

/// How long another lsrun may take that replicates once.
pub(crate) const OTHERS: Duration = Duration::from_secs(120);

/// The right to replicate a database: of several lsrun one at a time has it. Two
/// litestream 0.5.17 that replicate one database at once write over each other's
/// files, and the backup may be damaged.
///
/// A lock on the folder of litestream's state, which ends with the process.
pub(crate) struct Turn {
    _lock: Option<File>,
}

impl Turn {
    /// One that blocks nothing.
    pub(crate) fn free() -> Self {
        Self { _lock: None }
    }

    /// Fails with the code `timeout` at the deadline.
    pub(crate) async fn take(
        session: &Session,
        database: &Database,
        state: &Path,
        deadline: Instant,
    ) -> Result<Self> {
        make_folder(&database.path, state);
        // What cannot be opened is left to litestream to report.
        let Ok(folder) = File::open(state) else { return Ok(Self { _lock: None }) };
        let mut pause = Pause::default();
        loop {
            match folder.try_lock() {
                Ok(()) => return Ok(Self { _lock: Some(folder) }),
                Err(TryLockError::WouldBlock) => {}
                // Some file systems have no such locks.
                Err(TryLockError::Error(_)) => return Ok(Self { _lock: None }),
            }
            pause
                .wait(session, deadline, || {
                    let name = database.name();
                    Error::new(Code::Timeout, format!("another lsrun replicates {name}"))
                        .hint("run it again later; allow more time with --timeout")
                })
                .await?;
        }
    }
}

/// Like litestream's own: with the mode and the owner of the database's folder.
fn make_folder(database: &Path, state: &Path) {
    let parent = database.parent().and_then(|folder| std::fs::metadata(folder).ok());
    let Some(parent) = parent.filter(|_| !state.exists()) else { return };
    let made = DirBuilder::new().recursive(true).mode(parent.mode() & 0o777).create(state);
    if made.is_ok() && rustix::process::geteuid().is_root() {
        let _stays = std::os::unix::fs::chown(state, Some(parent.uid()), Some(parent.gid()));
    }
}
