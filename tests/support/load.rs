//! Applications that write continuously, and what their backup holds at rest.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// Makes the database that is written to.
pub(crate) fn create(database: &Path) {
    let connection = Connection::open(database).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = wal;
             CREATE TABLE rows (id INTEGER PRIMARY KEY, writer INTEGER, number INTEGER, note TEXT);
             CREATE INDEX rows_by_number ON rows (number);
             CREATE TABLE counters (writer INTEGER PRIMARY KEY, number INTEGER);",
        )
        .unwrap();
}

/// Threads that commit again and again, as two workers of an application do: each with
/// SQLite's own checkpoints, so that the log is restarted whenever it can be.
pub(crate) struct Writers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<u64>>,
}

impl Writers {
    /// So many threads, each with this many commits a second, as far as the machine
    /// allows.
    pub(crate) fn start(database: &Path, writers: u32, commits_a_second: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..writers).map(|writer| {
            let (stop, database) = (Arc::clone(&stop), database.to_owned());
            std::thread::spawn(move || write(&database, writer, commits_a_second, &stop))
        });
        let threads = threads.collect();
        Self { stop, threads }
    }

    /// Ends them and gives the number of their commits.
    pub(crate) fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).map(|thread| thread.join().unwrap()).sum()
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn write(database: &Path, writer: u32, commits_a_second: u32, stop: &AtomicBool) -> u64 {
    let mut connection = Connection::open(database).unwrap();
    connection.busy_timeout(Duration::from_secs(60)).unwrap();
    connection.pragma_update(None, "synchronous", "NORMAL").unwrap();
    let started = Instant::now();
    let mut number: i64 = 0;
    while !stop.load(Ordering::Relaxed) {
        let transaction =
            connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
        transaction
            .execute(
                "INSERT INTO rows (writer, number, note) VALUES (?1, ?2, hex(randomblob(100)))",
                (writer, number),
            )
            .unwrap();
        transaction
            .execute("INSERT OR REPLACE INTO counters VALUES (?1, ?2)", (writer, number))
            .unwrap();
        transaction.commit().unwrap();
        number += 1;
        let due = Duration::from_secs(number.unsigned_abs()) / commits_a_second;
        std::thread::sleep(due.saturating_sub(started.elapsed()));
    }
    number.unsigned_abs()
}

/// How a copy differs from the live database, at rest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Rows of the live database.
    pub(crate) rows: i64,
    /// Those that the copy lacks or has with other values; all if it cannot be read.
    pub(crate) lost: i64,
    /// What `integrity_check` says of the copy.
    pub(crate) integrity: String,
}

impl Difference {
    /// Whether the copy is as it should be.
    pub(crate) fn is_none(&self) -> bool {
        self.lost == 0 && self.integrity == "ok"
    }
}

/// Compares them.
fn compare(live: &Path, copy: &Path) -> Difference {
    let connection = Connection::open(live).unwrap();
    let rows = count(&connection);
    let lost = || -> rusqlite::Result<i64> {
        connection.execute("ATTACH ? AS copy", [copy.to_str()])?;
        let lost = connection.query_row(
            "SELECT (SELECT count(*) FROM (SELECT * FROM main.rows EXCEPT SELECT * FROM copy.rows))
                  + (SELECT count(*) FROM (SELECT * FROM main.counters EXCEPT SELECT * FROM copy.counters))",
            [],
            |row| row.get(0),
        )?;
        connection.execute("DETACH copy", [])?;
        Ok(lost)
    };
    let lost = lost().unwrap_or(rows);
    let integrity = Connection::open(copy)
        .and_then(|copy| copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)))
        .unwrap_or_else(|error| error.to_string());
    Difference { rows, lost, integrity }
}

/// How often litestream has sent the database whole: the snapshots in a folder.
pub(crate) fn snapshots(replica: &Path) -> usize {
    std::fs::read_dir(replica.join("ltx/9")).map_or(0, |files| files.flatten().count())
}

/// Restores a folder's backup with litestream alone, and compares it with the live
/// database; one that cannot be restored has lost everything.
pub(crate) fn restored(litestream: &Path, live: &Path, replica: &Path, copy: &Path) -> Difference {
    for suffix in ["", "-wal", "-shm"] {
        let _missing = std::fs::remove_file(format!("{}{suffix}", copy.display()));
    }
    let mut command = std::process::Command::new(litestream);
    command.args(["restore", "-o"]).arg(copy).arg(format!("file://{}", replica.display()));
    let output = command.output().unwrap();
    if output.status.success() {
        return compare(live, copy);
    }
    let rows = count(&Connection::open(live).unwrap());
    let integrity = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Difference { rows, lost: rows, integrity }
}

fn count(connection: &Connection) -> i64 {
    connection.query_row("SELECT count(*) FROM rows", [], |row| row.get(0)).unwrap()
}
