//! Makes litestream begin with a snapshot when it would leave something out.

use std::path::Path;
use std::time::Duration;

use crate::litestream::sync::hold::{FRAME, LogHold, open};
use crate::litestream::sync::outlook::Outlook;

/// Makes a litestream that starts now begin with a snapshot of the database: the frame
/// that it remembers is not to be found any more. Blocks. False if the database is
/// too busy for that; nothing is worse then.
///
/// `-force-snapshot` would not do: it adds a snapshot, but leaves the transaction
/// that lacks something in the replica, and litestream compacts that into files
/// which are restored on top of the snapshot minutes later.
#[must_use]
pub(crate) fn reveal(database: &Path, state: &Path) -> bool {
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
            // In the log that litestream read last there is no other way.
            Outlook::GoOn(..) => {}
        }
    }
    is_seen()
}

/// If no process reads.
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
    // Else it might restart again and again, and never get that long.
    let Some(_hold) = LogHold::take(database)? else { return Ok(()) };
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

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::litestream::replica::txid::Txid;
    use crate::pages::wal::Log;

    /// A database in WAL mode that nothing checkpoints automatically, and the folder of
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

        /// This many transactions.
        fn write(&self, times: usize) {
            for _ in 0..times {
                self.user.execute("INSERT INTO t VALUES (1)", []).unwrap();
            }
        }

        /// After it the next write restarts the log.
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
            // After the last frame of this log there may be frames of an earlier one.
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
        assert!(LogHold::take(&database).unwrap().is_none(), "litestream does not know it");
        case.user
            .execute_batch("CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)")
            .unwrap();
        case.checkpoint();
        let salts = || Log::open(&case.log()).unwrap().salts();
        let hold = LogHold::take(&database).unwrap().unwrap();
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
