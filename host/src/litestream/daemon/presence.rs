//! Whether a litestream replicates a database, whoever started it and wherever it
//! runs; and whether a daemon still holds its read lock.

use std::path::Path;
use std::time::Duration;
#[cfg(target_os = "linux")]
use std::time::Instant;

use super::locks::{Owner, Shm};
use super::{holders, locks};

/// For how long to check whether another process reads continuously.
const READER: Duration = Duration::from_millis(700);

/// Whether a litestream replicates a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// One that is visible.
    Daemon,
    /// A process has the database open that is not visible from here, or whose name is
    /// not: it may be one.
    Unknown,
    /// Certainly none.
    Nobody,
}

/// Finds out whether a litestream replicates `database`. Blocks for 0.7 s if it is
/// not plain to see.
pub(crate) fn presence(database: &Path) -> Presence {
    if !holders::running(database).is_empty() {
        return Presence::Daemon;
    }
    let Some(shm) = Shm::open(database) else { return Presence::Nobody };
    match shm.somebody() {
        None => Presence::Nobody,
        Some(Owner::Hidden) => Presence::Unknown,
        Some(Owner::Visible(_)) if all_named(database) && sees_everybody() => Presence::Nobody,
        // A lock shows one of its owners; there may be others besides it.
        Some(Owner::Visible(_)) => match shm.readers(READER).any {
            true => Presence::Unknown,
            false => Presence::Nobody,
        },
    }
}

/// Whether a process that cannot be seen from here reads `database` all the time, as
/// litestream does. Blocks for 0.7 s if a process that may be one has it open.
pub(crate) fn replicates_unseen(database: &Path) -> bool {
    let Some(shm) = Shm::open(database) else { return false };
    match shm.somebody() {
        None => false,
        Some(Owner::Visible(_)) if sees_everybody() => false,
        Some(_one_of_them) => shm.readers(READER).hidden,
    }
}

/// Whether the names of all visible processes that have the database open are known.
#[cfg(target_os = "linux")]
fn all_named(database: &Path) -> bool {
    locks::listed(database).iter().all(|lock| holders::is_litestream(lock.pid).is_some())
}

/// Elsewhere names of processes are not known.
#[cfg(not(target_os = "linux"))]
fn all_named(_database: &Path) -> bool {
    false
}

/// Whether every process of the machine is visible: in its first PID namespace, whose
/// number the kernel fixes (`PROC_PID_INIT_INO`).
fn sees_everybody() -> bool {
    std::fs::read_link("/proc/self/ns/pid").is_ok_and(|it| it.as_os_str() == "pid:[4026531836]")
}

/// The read lock of a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadLock {
    /// It has it.
    Held,
    /// The daemon of this process id does not have it. An application may restart the
    /// log before litestream has read it.
    Lost(u32),
    /// No daemon is visible.
    Unknown,
}

/// Whether the daemon that replicates `database` holds its read lock. It lets go of it
/// for a moment at each checkpoint, so `Lost` is returned only after `patience` without it.
/// Blocks.
#[cfg(target_os = "linux")]
pub(crate) fn read_lock(database: &Path, patience: Duration) -> ReadLock {
    const LOOK: Duration = Duration::from_millis(20);
    let until = Instant::now() + patience;
    loop {
        let daemons = holders::running(database);
        let Some(pid) = daemons.first() else { return ReadLock::Unknown };
        let reads = |lock: &locks::ListedLock| {
            daemons.contains(&lock.pid)
                && lock.bytes.0 <= *locks::READ_MARKS.end()
                && lock.bytes.1 >= *locks::READ_MARKS.start()
        };
        if locks::listed(database).iter().any(reads) {
            return ReadLock::Held;
        }
        if Instant::now() > until {
            return ReadLock::Lost(*pid);
        }
        std::thread::sleep(LOOK);
    }
}

/// Elsewhere the kernel does not list locks.
#[cfg(not(target_os = "linux"))]
pub(crate) fn read_lock(_database: &Path, _patience: Duration) -> ReadLock {
    ReadLock::Unknown
}
