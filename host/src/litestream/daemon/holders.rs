//! Which processes have a database open, and which of them are litestream, as far as
//! this user may see them. What runs in another container is not among them: see
//! [`mod@super::presence`].

use std::os::unix::fs::MetadataExt;
use std::path::Path;

#[cfg(target_os = "linux")]
use super::locks;
use crate::error::{Error, Result};
use crate::path::Sidecar;
#[cfg(target_os = "linux")]
use crate::project::Database;

/// The process ids of litestream daemons that have `database` open.
///
/// A daemon has locks on the `-shm` file, which the kernel lists. Nothing is opened
/// here: closing a database's file would drop the POSIX locks of this process's own
/// connections.
#[cfg(target_os = "linux")]
#[must_use]
pub fn running(database: &Path) -> Vec<u32> {
    let mut found: Vec<u32> = locks::listed(database)
        .into_iter()
        .map(|lock| lock.pid)
        .filter(|pid| is_litestream(*pid) == Some(true))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether a process is a litestream; none if its name cannot be read.
#[cfg(target_os = "linux")]
pub(super) fn is_litestream(pid: u32) -> Option<bool> {
    // The name is cut at 15 characters.
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().contains("litestream"))
}

/// Fails while a litestream daemon has the database open.
pub(crate) fn refuse_running(database: &Database) -> Result<()> {
    match running(&database.path).first() {
        None => Ok(()),
        Some(pid) => Err(Error::project(format!(
            "a litestream daemon (process {pid}) already replicates {}",
            database.name()
        ))),
    }
}

/// A process that has a database open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Its id.
    pub pid: u32,
    /// Its name, at most 15 characters.
    pub name: String,
}

impl Holder {
    /// Whether it is a litestream.
    #[must_use]
    pub(crate) fn is_litestream(&self) -> bool {
        self.name.contains("litestream")
    }
}

/// Device and inode: the identity of a file, whatever its name and mount.
/// None for what does not exist.
#[must_use]
pub(crate) fn identity(file: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(file).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// The other processes that have the database or its write-ahead log open, as far
/// as this user may know. `database` is canonical.
#[cfg(target_os = "linux")]
#[must_use]
pub(crate) fn holders(database: &Path) -> Vec<Holder> {
    let log = Sidecar::Wal.of(database);
    let files: Vec<_> = [database, &log].into_iter().filter_map(identity).collect();
    let name = database.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let mut found = Vec::new();
    for process in processes.flatten() {
        let pid = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        let Some(pid) = pid.filter(|pid| *pid != std::process::id()) else { continue };
        let one_of_them = |file: std::fs::DirEntry| {
            // Only what has the name is examined: examining a file of a server that
            // has gone takes forever.
            let link = std::fs::read_link(file.path()).unwrap_or_default();
            let named = link.file_name().and_then(std::ffi::OsStr::to_str);
            named.is_some_and(|link| link.starts_with(name))
                && identity(&file.path()).is_some_and(|file| files.contains(&file))
        };
        let folder = process.path().join("fd");
        let has_one =
            || std::fs::read_dir(&folder).is_ok_and(|open| open.flatten().any(one_of_them));
        if !has_one() {
            continue;
        }
        let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        // One that was being started had the files of its parent, and now has another name.
        if has_one() {
            found.push(Holder { pid, name: name.trim_end().to_owned() });
        }
    }
    found
}

/// Elsewhere the system is not asked; SQLite's locks are.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn holders(_database: &Path) -> Vec<Holder> {
    Vec::new()
}

/// Elsewhere the system cannot be asked for the names of processes.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn running(_database: &Path) -> Vec<u32> {
    Vec::new()
}
