//! Descriptors of a database's files that this process holds besides SQLite's own.
//!
//! When a process closes any descriptor of a file, the kernel drops all POSIX locks
//! that it has on that file (<https://www.sqlite.org/howtocorrupt.html>, 2.2). So what
//! is opened here is closed only while no connection of this process has the database
//! open.
//!
//! The kernel knows the process, not a run within it: what is counted here is counted for
//! the whole process.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// Of each database: how many connections have it open, and what waits for their end.
///
/// Process-wide, because a POSIX lock is the process's own: closing any descriptor of a
/// file drops it, whichever part of the process has opened that.
static USES: LazyLock<Mutex<HashMap<PathBuf, Uses>>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Uses {
    connections: usize,
    waiting: Vec<File>,
}

fn uses() -> MutexGuard<'static, HashMap<PathBuf, Uses>> {
    USES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One name for each database, whatever links lead to it.
fn name(database: &Path) -> PathBuf {
    std::fs::canonicalize(database).unwrap_or_else(|_missing| database.to_owned())
}

/// Counts a connection. Made before it is opened, and dropped when it is closed.
#[derive(Debug)]
pub(crate) struct Opened(PathBuf);

impl Opened {
    /// A connection to `database` is about to be opened.
    pub(crate) fn count(database: &Path) -> Self {
        let name = name(database);
        uses().entry(name.clone()).or_default().connections += 1;
        Self(name)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut uses = uses();
        if let Some(own) = uses.get_mut(&self.0) {
            own.connections -= 1;
            if own.connections == 0 {
                uses.remove(&self.0);
            }
        }
    }
}

/// Whether this process has a connection to any database.
#[must_use]
pub(crate) fn any_open() -> bool {
    !uses().is_empty()
}

/// A file of a database. Dropped, it is closed as soon as that takes no lock away.
#[derive(Debug)]
pub(crate) struct Kept {
    database: PathBuf,
    /// Taken when it is dropped.
    file: Option<File>,
}

impl Kept {
    /// None only while it is being dropped.
    pub(crate) fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }
}

/// Keeps `file`, a file of `database`.
pub(crate) fn keep(database: &Path, file: File) -> Kept {
    Kept { database: name(database), file: Some(file) }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        let mut uses = uses();
        match uses.get_mut(&self.database) {
            Some(uses) => uses.waiting.push(file),
            None => drop(file),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Whether this process has a lock on the file.
    fn is_locked(file: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let Ok(metadata) = std::fs::metadata(file) else { return false };
        let (own, end) = (std::process::id().to_string(), format!(":{}", metadata.ino()));
        let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
        locks.lines().any(|line| {
            let mut fields = line.split_whitespace();
            fields.any(|field| field == own) && fields.any(|field| field.ends_with(&end))
        })
    }

    #[test]
    fn a_descriptor_is_closed_when_no_connection_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("db");
        let count = Opened::count(&database);
        let connection = rusqlite::Connection::open(&database).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode = wal; CREATE TABLE t (x); BEGIN; SELECT * FROM t")
            .unwrap();
        let shm = folder.path().join("db-shm");
        assert!(is_locked(&shm));
        drop(keep(&database, File::open(&shm).unwrap()));
        assert!(is_locked(&shm), "the connection keeps its locks");
        drop(connection);
        drop(count);
        assert!(!uses().contains_key(&name(&database)), "nothing waits any more");
        // The purpose of this module.
        let connection = rusqlite::Connection::open(&database).unwrap();
        connection.execute_batch("BEGIN; SELECT * FROM t").unwrap();
        assert!(is_locked(&shm));
        drop(File::open(&shm).unwrap());
        assert!(!is_locked(&shm));
    }
}
