//! The options of a restore.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::litestream::Session;
use crate::litestream::replica::engine::Engine;
use crate::litestream::replica::source::Source;
use crate::litestream::replica::txid::Txid;
use crate::litestream::room::RunId;
use crate::path::Sidecar;

/// Which backup, up to where, for what.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Whose backup.
    pub source: Source,
    /// Up to this transaction.
    pub txid: Option<Txid>,
    /// Up to the last transaction before this time.
    pub timestamp: Option<jiff::Timestamp>,
    /// Files fetched in parallel; litestream's default if none.
    pub parallelism: Option<u32>,
    /// The absolute path that the copy is to replace; none for a private copy.
    pub target: Option<PathBuf>,
    /// Not from the replica: the newest database that a restore has kept.
    pub kept: bool,
    /// A target that a process has open may be replaced, where SQLite's own locks
    /// allow it.
    pub even_if_in_use: bool,
    /// Who restores; if it says nothing, the one of the environment.
    pub engine: Option<Engine>,
    /// How long litestream may go without writing before it is given up.
    pub patience: Duration,
    /// For which run.
    pub run: RunId,
}

impl Request {
    /// A private copy of the newest point; nothing more is asked for.
    pub(crate) fn of(source: Source, patience: Duration, run: RunId) -> Self {
        Self {
            source,
            txid: None,
            timestamp: None,
            parallelism: None,
            target: None,
            kept: false,
            even_if_in_use: false,
            engine: None,
            patience,
            run,
        }
    }

    /// Whether something exists at the target; an empty file is nothing, as it
    /// is for litestream.
    #[must_use]
    pub(crate) fn target_exists(&self) -> bool {
        let target = self.target.as_ref();
        target.is_some_and(|path| std::fs::metadata(path).is_ok_and(|it| it.len() > 0))
    }

    /// Whether a file replica holds a backup of litestream 0.3, which can be
    /// restored and not planned.
    pub(crate) fn is_of_03(&self, session: &Session) -> bool {
        let Source::Database(database) = &self.source else { return false };
        let replica = session.config().and_then(|config| config.replica(database));
        replica.is_ok_and(|it| it.folder.is_some_and(|it| it.join("generations").is_dir()))
    }
}

/// Where a restore would end.
#[derive(Default)]
pub(crate) struct PlannedPoint {
    pub(crate) txid: Option<Txid>,
    pub(crate) timestamp: Option<jiff::Timestamp>,
    pub(crate) bytes: Option<u64>,
}

pub(crate) fn size(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |metadata| metadata.len())
}

/// The write-ahead log of a database.
pub(crate) fn log_of(database: &Path) -> PathBuf {
    Sidecar::Wal.of(database)
}
