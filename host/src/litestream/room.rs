//! Room on the disk for restored copies. Copies are made in parallel, and each of
//! them sees the same free space: so what the others have yet to write is counted,
//! and a copy waits until one of them is gone.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::code::Code;
use crate::error::{Error, Result};
use crate::figures;
use crate::stop::Stop;

/// A run: one database that is worked on. What belongs to the same run does not wait for
/// its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunId(u64);

/// What every copy of a session has yet to write.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    claims: Mutex<Vec<Claim>>,
    /// A copy is gone.
    freed: Notify,
    /// How many ids were given.
    runs: AtomicU64,
}

#[derive(Debug)]
struct Claim {
    id: u64,
    /// Whose.
    owner: RunId,
    device: u64,
    bytes: u64,
    /// The copy while it is written, and when it is.
    files: [PathBuf; 2],
}

/// Room for one copy, given back when dropped.
#[derive(Debug)]
pub(crate) struct Room {
    id: u64,
    of: Arc<Rooms>,
}

impl Rooms {
    /// An id that no other run of this session has.
    pub(crate) fn run(&self) -> RunId {
        RunId(self.runs.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes room in `folder` for a database of `size` bytes that is written to one of
    /// `files`; waits while only copies of other runs are in the way.
    ///
    /// Fails with the code `io` when there is not enough without them.
    pub(crate) async fn take(
        self: &Arc<Self>,
        stop: &Stop,
        owner: RunId,
        folder: &Path,
        size: u64,
        files: [PathBuf; 2],
    ) -> Result<Room> {
        // Litestream writes the file once; a tenth more and some room for others.
        let bytes = size.saturating_add(size / 10).saturating_add(8 << 20);
        loop {
            let freed = self.freed.notified();
            match self.claim(owner, folder, bytes, &files) {
                Answer::Taken(room) => return Ok(room),
                Answer::Never(free) => return Err(none(folder, bytes, free)),
                Answer::Later => {}
            }
            tokio::select! {
                () = freed => {}
                signal = stop.stopped() => return Err(Stop::error(signal)),
            }
        }
    }

    fn claim(
        self: &Arc<Self>,
        owner: RunId,
        folder: &Path,
        bytes: u64,
        files: &[PathBuf; 2],
    ) -> Answer {
        let mut claims = self.claims();
        let device = std::fs::metadata(folder).map_or(0, |metadata| metadata.dev());
        let others = || claims.iter().filter(|claim| claim.device == device);
        if let Ok(disk) = rustix::fs::statvfs(folder) {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            if free.saturating_sub(others().map(Claim::outstanding).sum()) < bytes {
                // Who has a copy already does not wait for others, who might wait for it.
                let wait = others().count() > 0 && others().all(|claim| claim.owner != owner);
                return if wait { Answer::Later } else { Answer::Never(free) };
            }
        }
        let id = claims.iter().map(|claim| claim.id).max().unwrap_or_default() + 1;
        claims.push(Claim { id, owner, device, bytes, files: files.clone() });
        Answer::Taken(Room { id, of: Arc::clone(self) })
    }

    fn claims(&self) -> MutexGuard<'_, Vec<Claim>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.of.claims().retain(|claim| claim.id != self.id);
        self.of.freed.notify_waiters();
    }
}

enum Answer {
    Taken(Room),
    /// Another run's copy is in the way.
    Later,
    /// Only this many bytes are free.
    Never(u64),
}

impl Claim {
    fn outstanding(&self) -> u64 {
        let size = |file: &PathBuf| std::fs::metadata(file).map_or(0, |metadata| metadata.len());
        self.bytes.saturating_sub(self.files.iter().map(size).max().unwrap_or_default())
    }
}

fn none(folder: &Path, needed: u64, free: u64) -> Error {
    Error::new(
        Code::Io,
        format!(
            "no room for the restored copy in {}: it takes {}, {} are free",
            folder.display(),
            figures::bytes(needed),
            figures::bytes(free)
        ),
    )
    .hint("make room there; for a private copy, TMPDIR names a folder on another disk")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path, name: &str) -> [PathBuf; 2] {
        [folder.join(format!("{name}.tmp")), folder.join(name)]
    }

    #[test]
    fn copies_side_by_side_share_what_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let disk = rustix::fs::statvfs(folder).unwrap();
        let free = disk.f_bavail * disk.f_frsize;
        let more_than_half = free / 5 * 3;
        let rooms = Arc::new(Rooms::default());
        let (one, two) = (rooms.run(), rooms.run());
        let of = |owner, bytes| rooms.claim(owner, folder, bytes, &files(folder, "copy"));
        let Answer::Taken(first) = of(one, more_than_half) else {
            panic!("there is room for the first");
        };
        assert!(matches!(of(two, more_than_half), Answer::Later), "the first has yet to write");
        assert!(matches!(of(one, more_than_half), Answer::Never(_)), "it would wait for itself");
        drop(first);
        let Answer::Taken(_second) = of(two, more_than_half) else { panic!("the first is gone") };
        assert!(matches!(of(one, 1), Answer::Taken(_)));
    }

    #[test]
    fn a_disk_without_room_is_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let rooms = Arc::new(Rooms::default());
        let files = files(folder.path(), "a");
        let none_at_all = rooms.claim(rooms.run(), folder.path(), u64::MAX / 2, &files);
        match none_at_all {
            Answer::Never(free) => {
                let error = none(folder.path(), u64::MAX / 2, free);
                assert_eq!(error.code().as_str(), "io");
                assert!(error.message().contains("no room"), "{error}");
            }
            Answer::Later | Answer::Taken(_) => panic!("there is not so much"),
        }
    }
}
