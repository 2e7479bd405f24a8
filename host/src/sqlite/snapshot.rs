//! A read transaction that is kept open, and the comparison of a restored copy with the
//! state of the database that it sees.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{OpenFlags, TransactionState};

use super::connection::Connection;
use super::descriptors::{self, Opened};
use super::errors::explain;
use super::identity;
use super::jobs::Running;
use super::worker::Inside;
use crate::code::Code;
use crate::error::{Error, Result};
use crate::ltx::Header;
use crate::pages::{self, Comparison, Copied, Held, Image, PageTable};
use crate::path::Sidecar;

/// How long the second connection waits for a lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

impl Connection {
    /// Begins a read transaction: what this connection reads is the database as it is
    /// now, until the transaction or the connection ends. Fails if the database is
    /// not in WAL mode, in which a reader keeps writers out.
    pub(crate) async fn hold(&self) -> Result<()> {
        self.run(|inside, _unwanted| {
            hold(inside)
                .map_err(|error| explain(&error, "cannot hold the state of the database"))?
        })?
        .wait()
        .await
    }

    /// Starts to compare a restored copy with the database at the places in the log that
    /// `headers` name, one of which the copy should be of. The connection is busy until
    /// the end.
    pub(crate) fn pages(&self, copy: PathBuf, headers: Vec<Header>) -> Result<Running<Comparison>> {
        self.run(move |inside, unwanted| {
            let copy = File::open(copy).map_err(|error| {
                Error::new(Code::Io, "the restored copy cannot be read").cause(error)
            })?;
            compare(&inside, &copy, &headers, unwanted)
        })
    }

    /// The same with a table of the pages' digests.
    pub(crate) fn pages_of_table(
        &self,
        table: Arc<PageTable>,
        headers: Vec<Header>,
    ) -> Result<Running<Comparison>> {
        self.run(move |inside, unwanted| compare(&inside, &*table, &headers, unwanted))
    }

    /// Starts to compare the copy that this connection is of with another one. Both are of
    /// transaction `txid`.
    pub(crate) fn pages_of_copies(&self, copy: PathBuf, txid: u64) -> Result<Running<Comparison>> {
        self.run(move |inside, unwanted| {
            let open = |path: &Path| {
                File::open(path).map_err(|error| {
                    Error::new(Code::Io, "the restored copy cannot be read").cause(error)
                })
            };
            // Nobody else has a copy open, so that no lock is lost with a descriptor.
            let found = pages::compare_copies(&open(inside.path)?, &open(&copy)?, unwanted)?;
            Ok(Comparison { txid, ..found })
        })
    }
}

fn hold(inside: Inside<'_>) -> rusqlite::Result<Result<()>> {
    let connection = &*inside.connection;
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode != "wal" {
        return Ok(Err(Error::inconclusive(format!(
            "the database is in {mode} mode: only one in WAL mode can be read while others write"
        ))));
    }
    connection.execute_batch("BEGIN")?;
    // The state is that of the first statement that reads.
    connection.query_row("PRAGMA schema_version", [], |_row| Ok(()))?;
    // Without a place only the rows can be compared.
    *inside.held = frames(inside.path)
        .ok()
        .flatten()
        .map(|frames| Held::now(&Sidecar::Wal.of(inside.path), frames));
    Ok(Ok(()))
}

/// How many frames the log has. SQLite says it through a checkpoint that does nothing,
/// which a connection in a transaction cannot ask for.
fn frames(path: &Path) -> rusqlite::Result<Option<u32>> {
    let _counted = Opened::count(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = rusqlite::Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.query_row("PRAGMA schema_version", [], |_row| Ok(()))?;
    let frames: i64 =
        connection.query_row("PRAGMA main.wal_checkpoint(noop)", [], |row| row.get(1))?;
    Ok(u32::try_from(frames).ok())
}

fn compare(
    inside: &Inside<'_>,
    copy: &impl Copied,
    headers: &[Header],
    unwanted: &(dyn Fn() -> bool + Sync),
) -> Result<Comparison> {
    let state = inside.connection.transaction_state(Some("main"));
    let (Some(held), Ok(TransactionState::Read)) = (*inside.held, state) else {
        return Err(Error::inconclusive("no snapshot of the database is held"));
    };
    // Closed after the connection, which would lose its locks.
    let file = File::open(inside.path).map(|file| descriptors::keep(inside.path, file));
    let file = file
        .map_err(|error| Error::new(Code::Io, "the database's file cannot be read").cause(error))?;
    let same = |file: &&File| file.metadata().ok().map(|it| identity::of(&it)) == inside.identity;
    let Some(file) = file.file().filter(same) else {
        return Err(Error::inconclusive("the database's path now names another file"));
    };
    let log = Sidecar::Wal.of(inside.path);
    let mut image = Image::open(file, &log, held)?;
    pages::find(&mut image, headers, copy, unwanted)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::ltx::Place;
    use crate::pages::wal::Log;
    use crate::sqlite::{Access, Slots, Threads};
    use crate::stop::Stop;

    struct Case {
        folder: tempfile::TempDir,
        user: rusqlite::Connection,
    }

    impl Case {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let user = rusqlite::Connection::open(folder.path().join("db")).unwrap();
            user.execute_batch(
                "PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 5;
                 CREATE TABLE t (id INTEGER PRIMARY KEY, x);
                 INSERT INTO t (x) VALUES (randomblob(90000)), (1)",
            )
            .unwrap();
            Self { folder, user }
        }

        async fn reader(&self) -> Connection {
            let deadline = Instant::now() + Duration::from_secs(60);
            let path = self.folder.path().join("db");
            Connection::open(
                &path,
                Access::Read,
                deadline,
                Stop::default(),
                &Slots::of(&Threads::default()),
            )
            .await
            .unwrap()
        }

        fn write(&self, times: usize) {
            for _ in 0..times {
                let sql = "UPDATE t SET x = randomblob(9000) WHERE id = 2;
                    INSERT INTO t (x) VALUES (randomblob(3000))";
                self.user.execute_batch(sql).unwrap();
            }
        }

        fn fold(&self) {
            self.user.query_row("PRAGMA wal_checkpoint(passive)", [], |_row| Ok(())).unwrap();
        }

        /// What a restore would give of the state that is now, and what litestream would
        /// have written about it.
        fn state(&self) -> (PathBuf, Header) {
            let copy = self.folder.path().join("copy");
            let _first = std::fs::remove_file(&copy);
            self.user.backup("main", &copy, None::<fn(rusqlite::backup::Progress)>).unwrap();
            // Only the backup's own connection counts as one that has changed it.
            let frames = frames(&self.folder.path().join("db")).unwrap().unwrap();
            let log = Log::open(&self.folder.path().join("db-wal")).unwrap();
            let end = 32 + u64::from(frames) * log.frame_size();
            let place = Some(Place { end, salts: log.salts() });
            (
                copy,
                Header { page_size: log.page_size(), commit: 1, min_txid: 1, max_txid: 1, place },
            )
        }
    }

    /// A backup by SQLite differs in the first page, in the counters of changes.
    #[track_caller]
    fn assert_same(found: Result<Comparison>) {
        let found = found.unwrap();
        assert!(found.first.iter().all(|page| *page == 1), "{found:?}");
        assert_eq!(found.pages, found.copied);
    }

    #[tokio::test]
    async fn a_state_is_compared_while_others_write_and_fold() {
        let case = Case::new();
        let reader = case.reader().await;
        reader.hold().await.unwrap();
        case.write(20);
        case.fold();
        let (copy, header) = case.state();
        case.write(50);
        case.fold();
        assert_same(reader.pages(copy.clone(), vec![header.clone()]).unwrap().wait().await);
        case.write(5);
        assert_same(reader.pages(copy.clone(), vec![header]).unwrap().wait().await);
        // What came later is another state.
        let (_, header) = case.state();
        std::fs::copy(case.folder.path().join("db"), &copy).unwrap();
        let found = reader.pages(copy, vec![header]).unwrap().wait().await.unwrap();
        assert!(found.differing > 1, "{found:?}");
    }

    #[tokio::test]
    async fn a_state_whose_log_was_wholly_folded_is_compared() {
        let case = Case::new();
        case.write(3);
        case.fold();
        let reader = case.reader().await;
        reader.hold().await.unwrap();
        // This starts the log again, once, as the reader needs none of it.
        let salts = || Log::open(&case.folder.path().join("db-wal")).unwrap().salts();
        let before = salts();
        case.write(1);
        assert_ne!(salts(), before);
        let (copy, header) = case.state();
        let now = salts();
        for _ in 0..10 {
            case.write(3);
            case.fold();
        }
        assert_eq!(salts(), now);
        assert_same(reader.pages(copy, vec![header]).unwrap().wait().await);
    }

    #[tokio::test]
    async fn without_a_held_state_nothing_is_compared() {
        let case = Case::new();
        let reader = case.reader().await;
        let (copy, header) = case.state();
        let fails = async |reader: &Connection| {
            let error = reader.pages(copy.clone(), vec![header.clone()]).unwrap().wait().await;
            error.unwrap_err().one_line()
        };
        assert!(fails(&reader).await.contains("no snapshot"));
        reader.hold().await.unwrap();
        assert_same(reader.pages(copy.clone(), vec![header.clone()]).unwrap().wait().await);
        // The one that is held is not the one that was.
        for sql in ["COMMIT", "BEGIN", "SELECT count(*) FROM t"] {
            let statement = crate::sqlite::Statement { sql: sql.into(), parameters: vec![] };
            let mut rows = reader.query(statement).unwrap();
            while !rows.next(9).await.unwrap().is_empty() {}
        }
        assert!(fails(&reader).await.contains("no snapshot"));
    }

    #[tokio::test]
    async fn a_copy_that_is_older_than_what_is_held_is_not_compared() {
        let case = Case::new();
        let first = case.reader().await;
        first.hold().await.unwrap();
        case.write(1);
        let (copy, header) = case.state();
        case.write(1);
        let reader = case.reader().await;
        reader.hold().await.unwrap();
        case.fold();
        let error = reader.pages(copy, vec![header]).unwrap().wait().await.unwrap_err();
        assert!(error.one_line().contains("older than the snapshot"), "{error:?}");
    }

    /// How many locks this process has on the database and its index.
    #[cfg(target_os = "linux")]
    fn locks(case: &Case) -> [usize; 2] {
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        let own = format!(" {} ", std::process::id());
        ["db", "db-shm"].map(|name| {
            let (_, inode) = identity::identity(&case.folder.path().join(name)).unwrap();
            let of = |line: &&str| line.contains(&own) && line.contains(&format!(":{inode} "));
            locks.lines().filter(of).count()
        })
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_locks_stay_where_the_file_was_read() {
        let case = Case::new();
        let reader = case.reader().await;
        reader.hold().await.unwrap();
        let before = locks(&case);
        assert!(before.iter().all(|count| *count > 0), "{before:?}");
        let (copy, header) = case.state();
        assert_same(reader.pages(copy.clone(), vec![header.clone()]).unwrap().wait().await);
        assert_same(reader.pages(copy, vec![header]).unwrap().wait().await);
        assert_eq!(locks(&case), before);
    }

    #[tokio::test]
    async fn another_file_of_the_name_is_not_compared() {
        let case = Case::new();
        let reader = case.reader().await;
        reader.hold().await.unwrap();
        let (copy, header) = case.state();
        let path = case.folder.path().join("db");
        std::fs::rename(&path, case.folder.path().join("old")).unwrap();
        std::fs::copy(&copy, &path).unwrap();
        let error = reader.pages(copy, vec![header]).unwrap().wait().await.unwrap_err();
        assert!(error.one_line().contains("another file"), "{error:?}");
    }

    #[tokio::test]
    async fn a_database_in_another_mode_is_not_held() {
        let case = Case::new();
        case.user.pragma_update(None, "journal_mode", "delete").unwrap();
        let error = case.reader().await.hold().await.unwrap_err();
        assert!(error.one_line().contains("delete mode"), "{error:?}");
        case.write(1);
    }

    #[tokio::test]
    async fn one_thing_at_a_time_and_what_is_dropped_ends() {
        let case = Case::new();
        let reader = case.reader().await;
        reader.hold().await.unwrap();
        let (copy, header) = case.state();
        let running = reader.pages(copy.clone(), vec![header.clone()]).unwrap();
        assert_eq!(
            reader.pages(copy.clone(), vec![header.clone()]).err().unwrap().code().as_str(),
            "busy"
        );
        drop(running);
        let mut running = reader.pages(copy, vec![header]).unwrap();
        assert_same(running.wait().await);
        assert_eq!(running.wait().await.unwrap_err().code().as_str(), "invalid");
    }
}
