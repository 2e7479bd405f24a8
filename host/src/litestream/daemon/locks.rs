//! SQLite's locks on a database's `-shm` file: who has it open in WAL mode, and who
//! reads.
//!
//! The bytes are those of <https://www.sqlite.org/walformat.html#wal_locks>: 123 to 127
//! are the read marks, of which litestream holds one all the time, and 128 is held by
//! every process that has the database open. `/proc/locks` lists only the locks of
//! processes that are visible in this PID namespace; `fcntl(F_GETLK)` finds the others
//! as well, those of another container among them, and gives them no process id.

use std::fs::File;
#[cfg(target_os = "linux")]
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Flock, FlockType, fcntl_getlk};

use crate::path::Sidecar;
use crate::sqlite::descriptors::{self, Kept};

/// The bytes of the read marks.
pub(super) const READ_MARKS: std::ops::RangeInclusive<u64> = 123..=127;
/// The byte that every process holds which has the database open.
const OPEN: u64 = 128;

/// Who holds a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// A process of this PID namespace.
    Visible(u32),
    /// A process that is not visible from here.
    Hidden,
}

/// Who reads a database for more than half of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Readers {
    /// A process; those that are visible are listed.
    pub(super) any: bool,
    /// A process that is not visible from here.
    pub(super) hidden: bool,
}

/// The `-shm` file of a database.
#[derive(Debug)]
pub(super) struct Shm(Kept);

impl Shm {
    /// None if the file does not exist, or cannot be read: then nobody that
    /// this user can know of has the database open in WAL mode.
    pub(super) fn open(database: &Path) -> Option<Self> {
        let file = File::open(Sidecar::Shm.of(database)).ok()?;
        Some(Self(descriptors::keep(database, file)))
    }

    /// Another process that has the database open.
    pub(super) fn somebody(&self) -> Option<Owner> {
        self.owner(OPEN)
    }

    /// Whether another process reads continuously, as litestream does: for `time`, checks
    /// how often another process holds a read mark. Blocks.
    ///
    /// Litestream lets go of its mark for a moment at each checkpoint and may take another
    /// one then; so neither a single mark nor a single check counts.
    pub(super) fn readers(&self, time: Duration) -> Readers {
        const LOOK: Duration = Duration::from_millis(5);
        let until = Instant::now() + time;
        let (mut looks, mut hidden, mut any) = (0_u32, 0_u32, 0_u32);
        loop {
            let owners: Vec<Owner> = READ_MARKS.filter_map(|byte| self.owner(byte)).collect();
            looks += 1;
            any += u32::from(!owners.is_empty());
            hidden += u32::from(owners.contains(&Owner::Hidden));
            if Instant::now() > until {
                return Readers { any: any * 2 > looks, hidden: hidden * 2 > looks };
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Who keeps this process from taking the byte; its own locks do not count.
    fn owner(&self, byte: u64) -> Option<Owner> {
        let mut wanted = Flock::from(FlockType::WriteLock);
        (wanted.start, wanted.length) = (byte, 1);
        let found = fcntl_getlk(self.0.file()?, &wanted).ok().flatten()?;
        Some(match found.pid {
            Some(pid) => Owner::Visible(pid.as_raw_nonzero().get().unsigned_abs()),
            None => Owner::Hidden,
        })
    }
}

/// A lock of a visible process on a `-shm` file.
#[cfg(target_os = "linux")]
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ListedLock {
    pub(super) pid: u32,
    /// Its first and its last byte.
    pub(super) bytes: (u64, u64),
}

/// The locks that `/proc/locks` lists for a database.
#[cfg(target_os = "linux")]
pub(super) fn listed(database: &Path) -> Vec<ListedLock> {
    let Ok(metadata) = std::fs::metadata(Sidecar::Shm.of(database)) else { return Vec::new() };
    let Ok(locks) = std::fs::read_to_string("/proc/locks") else { return Vec::new() };
    locks.lines().filter_map(|line| read(line, metadata.ino())).collect()
}

/// A line of `/proc/locks` about the file with this inode:
/// `1: POSIX  ADVISORY  READ 4711 08:01:1234 123 123`.
#[cfg(target_os = "linux")]
fn read(line: &str, inode: u64) -> Option<ListedLock> {
    let mut fields = line.split_whitespace().skip(4);
    let pid = fields.next()?.parse().ok()?;
    let file = fields.next()?;
    let (first, last) = (fields.next()?.parse().ok()?, fields.next()?.parse().unwrap_or(u64::MAX));
    let this = file.rsplit(':').next()?.parse::<u64>().ok()? == inode;
    this.then_some(ListedLock { pid, bytes: (first, last) })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernels_lock_table_is_read() {
        let line = "3: POSIX  ADVISORY  READ  4711 fe:00:131078 123 123";
        assert_eq!(read(line, 131_078), Some(ListedLock { pid: 4711, bytes: (123, 123) }));
        assert_eq!(read(line, 131_079), None);
        assert_eq!(read("3: -> POSIX  ADVISORY  READ 1 00:01:5 0 EOF", 9), None);
    }

    #[test]
    fn this_processes_own_connections_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("db");
        let _counted = descriptors::Opened::count(&database);
        let own = rusqlite::Connection::open(&database).unwrap();
        own.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE t (x); BEGIN; SELECT * FROM t")
            .unwrap();
        let shm = Shm::open(&database).unwrap();
        assert_eq!(shm.somebody(), None);
        assert_eq!(shm.readers(Duration::ZERO), Readers { any: false, hidden: false });
    }
}
