//! Finds out whether litestream, when it starts, would go on at a wrong place of
//! the write-ahead log and leave out of the backup what was written while nothing
//! replicated the database.
//!
//! Litestream 0.5.17 remembers with each transaction where in the log it was. Where
//! an application has meanwhile checkpointed the log and started it anew, it
//! takes the remembered frame, as long as that is still there, for a proof that it
//! has read all, and goes on at the start of the log: what was behind that frame is
//! in no file of the replica, and no check of the restored copy sees it. Seen with
//! `replicate -once` and with daemons. [`reveal`] makes it take a whole snapshot.
//!
//! The formats are those of [`crate::pages`].

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::litestream::ltx::{last_transaction, transaction};
use crate::litestream::txid::Txid;
use crate::pages::ltx_header::{Header, Place};
use crate::pages::wal::{Log, Salts};
use crate::path::Sidecar;
use crate::sqlite::descriptors::Opened;

/// What a litestream that starts now will do.
pub(super) enum Outlook {
    /// Begin with a snapshot, whatever others do.
    Snapshot,
    /// Go on in this log, behind this transaction, with all that was written.
    GoOn(Salts, Txid),
    /// Leave something out.
    Gap,
}

impl Outlook {
    /// For `database`, whose state litestream keeps in `state`. What cannot be read is
    /// litestream's to complain about.
    #[must_use]
    pub(super) fn of(database: &Path, state: &Path) -> Self {
        let Some((txid, file)) = last_transaction(state) else { return Self::Snapshot };
        let log = Log::open(&Sidecar::Wal.of(database));
        let (Some(place), Some(log)) = (place(&file), log) else { return Self::Snapshot };
        if log.salts() == place.salts {
            return Self::GoOn(log.salts(), txid);
        }
        let remembered =
            place.end.checked_sub(log.frame_size()).and_then(|at| log.salts_of_frame(at));
        if remembered != Some(place.salts) {
            return Self::Snapshot;
        }
        // Only the very next log, behind a frame that was the last one, has all the rest.
        let next = place.salts[0].wrapping_add(1) == log.salts()[0];
        if next && log.salts_of_frame(place.end) != Some(place.salts) {
            return Self::GoOn(log.salts(), txid);
        }
        Self::Gap
    }

    #[must_use]
    pub(super) fn goes_on(&self) -> bool {
        matches!(self, Self::GoOn(..))
    }

    #[must_use]
    pub(super) fn is_gap(&self) -> bool {
        matches!(self, Self::Gap)
    }

    /// Whether the log was started anew before litestream came, behind this look: it
    /// has read another one than this.
    #[must_use]
    pub(super) fn was_overtaken(&self, state: &Path) -> bool {
        let Self::GoOn(salts, txid) = self else { return false };
        transaction(state, Txid(txid.0 + 1))
            .and_then(|file| place(&file))
            .is_some_and(|place| place.salts != *salts)
    }
}

/// Keeps the log from being started anew while it lives; everybody can read and write.
pub(super) struct Hold {
    _reader: Open,
}

impl Hold {
    /// Blocks. None where there is nothing to hold: no log, or a database that
    /// litestream does not know. Fails where it is too busy.
    ///
    /// A reader of a log that is wholly in the database holds nothing. So the log gets
    /// one more frame.
    pub(super) fn take(database: &Path) -> rusqlite::Result<Option<Self>> {
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
            // Whoever checkpoints does it behind a commit of its own.
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

/// Makes a litestream that starts now begin with a snapshot of the database: the frame
/// that it remembers is not to be found any more. Blocks. False where the database is
/// too busy for that; nothing is worse then.
///
/// `-force-snapshot` would not do: it adds a snapshot, but leaves the transaction
/// that lacks something in the replica, and litestream compacts that into files
/// which are restored on top of the snapshot minutes later.
#[must_use]
pub(super) fn reveal(database: &Path, state: &Path) -> bool {
    const ATTEMPTS: usize = 10;
    let is_seen = || matches!(Outlook::of(database, state), Outlook::Snapshot);
    for _ in 0..ATTEMPTS {
        let _busy = empty_the_log(database);
        match Outlook::of(database, state) {
            Outlook::Snapshot => return true,
            Outlook::Gap => {
                let _busy = write_over(database, is_seen);
                break;
            }
            // In the log that litestream has read last there is no other way.
            Outlook::GoOn(..) => {}
        }
    }
    is_seen()
}

/// Where nobody reads.
fn empty_the_log(database: &Path) -> rusqlite::Result<()> {
    let connection = open(database)?;
    // Writers wait meanwhile.
    connection.busy_timeout(Duration::from_millis(200))?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_row| Ok(()))
}

/// Appends to the log, which has to be another one than the remembered one, until it is
/// as long as that one was.
fn write_over(database: &Path, is_seen: impl Fn() -> bool) -> rusqlite::Result<()> {
    /// More than a log of a gigabyte has, at pages of 4 KiB.
    const MOST: usize = 300_000;
    const AT_ONCE: usize = 64;
    // Else it might start anew again and again, and never get so long.
    let Some(_hold) = Hold::take(database)? else { return Ok(()) };
    let writer = open(database)?;
    let mut frame = writer.prepare(FRAME)?;
    for _ in 0..MOST / AT_ONCE {
        if is_seen() {
            break;
        }
        for _ in 0..AT_ONCE {
            frame.execute([])?;
        }
    }
    Ok(())
}

/// Where litestream was in the log after the last transaction of this file.
fn place(ltx: &Path) -> Option<Place> {
    Header::read(ltx)?.place
}

/// A commit of one page, to a table of litestream's own, which writes the same to it.
const FRAME: &str = "INSERT INTO _litestream_seq (id, seq) VALUES (1, 1) \
    ON CONFLICT (id) DO UPDATE SET seq = seq + 1";

/// A connection, counted until it is closed.
struct Open {
    connection: Connection,
    _counted: Opened,
}

impl std::ops::Deref for Open {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

fn open(database: &Path) -> rusqlite::Result<Open> {
    let _counted = Opened::count(database);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.busy_timeout(Duration::from_secs(1))?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    // A frame that is lost with the power held nothing then either.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(Open { connection, _counted })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database in WAL mode that nobody checkpoints by himself, and the folder of
    /// a litestream's state.
    struct Case {
        folder: tempfile::TempDir,
        user: Connection,
    }

    impl Case {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let user = Connection::open(folder.path().join("db")).unwrap();
            user.execute_batch(
                "PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x)",
            )
            .unwrap();
            let case = Self { folder, user };
            case.write(20);
            case
        }

        /// So many transactions.
        fn write(&self, times: usize) {
            for _ in 0..times {
                self.user.execute("INSERT INTO t VALUES (1)", []).unwrap();
            }
        }

        /// Behind it the next write starts the log anew.
        fn checkpoint(&self) {
            let all: bool = self
                .user
                .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
                    Ok(row.get::<_, i64>(1)? == row.get::<_, i64>(2)?)
                })
                .unwrap();
            assert!(all);
        }

        fn log(&self) -> std::path::PathBuf {
            self.folder.path().join("db-wal")
        }

        /// What litestream leaves when it has read the log as it is.
        fn replicate(&self) {
            self.replicate_as(1);
        }

        fn replicate_as(&self, txid: u64) {
            let log = std::fs::read(self.log()).unwrap();
            // Behind the last frame of this log may be those of an earlier one.
            let frames = log[32..].chunks_exact(24 + 4096);
            let read = frames.take_while(|frame| frame[8..16] == log[16..24]).count();
            let mut header = vec![0; 100];
            header[..4].copy_from_slice(b"LTX1");
            header[48..56].copy_from_slice(&32_u64.to_be_bytes());
            header[56..64].copy_from_slice(&(read as u64 * (24 + 4096)).to_be_bytes());
            header[64..72].copy_from_slice(&log[16..24]);
            let level = self.folder.path().join("state/ltx/0");
            std::fs::create_dir_all(&level).unwrap();
            let name = Txid(txid);
            std::fs::write(level.join(format!("{name}-{name}.ltx")), header).unwrap();
        }

        fn has_gap(&self) -> bool {
            self.outlook().is_gap()
        }

        fn outlook(&self) -> Outlook {
            Outlook::of(&self.folder.path().join("db"), &self.state())
        }

        fn state(&self) -> std::path::PathBuf {
            self.folder.path().join("state")
        }
    }

    #[test]
    fn what_is_appended_is_no_gap() {
        let case = Case::new();
        assert!(!case.has_gap(), "nothing was ever replicated");
        case.replicate();
        assert!(!case.has_gap());
        case.write(3);
        assert!(!case.has_gap());
        case.checkpoint();
        assert!(!case.has_gap());
    }

    #[test]
    fn a_log_that_was_read_to_its_end_and_starts_anew_is_no_gap() {
        let case = Case::new();
        case.replicate();
        case.checkpoint();
        case.write(3);
        assert!(!case.has_gap());
        // And once more.
        case.replicate();
        case.checkpoint();
        case.write(1);
        assert!(!case.has_gap());
    }

    #[test]
    fn what_was_written_before_the_log_started_anew_is_one() {
        let case = Case::new();
        case.replicate();
        case.write(1);
        case.checkpoint();
        case.write(3);
        assert!(case.has_gap());
        case.replicate();
        assert!(!case.has_gap());
    }

    #[test]
    fn a_log_that_came_and_went_unseen_is_one() {
        let case = Case::new();
        case.replicate();
        case.checkpoint();
        case.write(3);
        case.checkpoint();
        case.write(1);
        assert!(case.has_gap());
    }

    #[test]
    fn what_litestream_sees_itself_is_none() {
        let overwritten = Case::new();
        overwritten.replicate();
        overwritten.write(1);
        overwritten.checkpoint();
        overwritten.write(40);
        assert!(!overwritten.has_gap());
        let shorter = Case::new();
        shorter.replicate();
        shorter.write(1);
        shorter.user.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_row| Ok(())).unwrap();
        assert!(!shorter.has_gap(), "the log is empty");
        shorter.write(1);
        assert!(!shorter.has_gap());
    }

    #[test]
    fn a_log_that_starts_anew_behind_the_look_is_found_out() {
        let case = Case::new();
        case.replicate();
        case.write(1);
        let outlook = case.outlook();
        assert!(!outlook.is_gap());
        assert!(!outlook.was_overtaken(&case.state()), "nothing was read");
        case.replicate_as(2);
        assert!(!outlook.was_overtaken(&case.state()));
        let outlook = case.outlook();
        case.write(1);
        case.checkpoint();
        case.write(1);
        case.replicate_as(3);
        assert!(outlook.was_overtaken(&case.state()));
    }

    #[test]
    fn a_log_that_is_held_does_not_start_anew() {
        let case = Case::new();
        let database = case.folder.path().join("db");
        assert!(Hold::take(&database).unwrap().is_none(), "litestream does not know it");
        case.user
            .execute_batch("CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)")
            .unwrap();
        case.checkpoint();
        let salts = || Log::open(&case.log()).unwrap().salts();
        let hold = Hold::take(&database).unwrap().unwrap();
        let before = salts();
        for _ in 0..3 {
            case.write(1);
            case.user.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_row| Ok(())).unwrap();
        }
        assert_eq!(salts(), before);
        drop(hold);
        case.checkpoint();
        case.write(1);
        assert_ne!(salts(), before);
    }

    /// A gap, and what litestream writes to.
    fn gap() -> Case {
        let case = Case::new();
        case.user
            .execute_batch("CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)")
            .unwrap();
        case.replicate();
        case.write(1);
        case.checkpoint();
        case.write(1);
        assert!(case.has_gap());
        case
    }

    #[test]
    fn a_gap_is_revealed_by_an_empty_log() {
        let case = gap();
        assert!(reveal(&case.folder.path().join("db"), &case.state()));
        assert_eq!(std::fs::metadata(case.log()).unwrap().len(), 0);
        // Whatever is written then.
        for _ in 0..50 {
            case.write(1);
            assert!(matches!(case.outlook(), Outlook::Snapshot));
        }
    }

    #[test]
    fn beside_a_reader_a_gap_is_revealed_by_a_longer_log() {
        let case = gap();
        let database = case.folder.path().join("db");
        let reader = Connection::open(&database).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
        assert!(reveal(&database, &case.state()));
        assert!(std::fs::metadata(case.log()).unwrap().len() > 0);
        assert!(matches!(case.outlook(), Outlook::Snapshot));
    }

    #[test]
    fn beside_a_long_transaction_nothing_is_revealed_and_nothing_is_worse() {
        let case = gap();
        let database = case.folder.path().join("db");
        let other = Connection::open(&database).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert!(!reveal(&database, &case.state()));
        assert!(case.has_gap());
    }

    #[test]
    fn what_is_no_ltx_file_or_no_log_is_none() {
        let case = Case::new();
        case.replicate();
        case.write(1);
        case.checkpoint();
        case.write(3);
        std::fs::write(case.log(), "short").unwrap();
        assert!(!case.has_gap());
        let file = "state/ltx/0/0000000000000001-0000000000000001.ltx";
        std::fs::write(case.folder.path().join(file), "short").unwrap();
        assert!(!case.has_gap());
    }
}
