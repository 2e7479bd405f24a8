//! Private folders for what must not outlive the process: generated
//! configurations and restored copies.
//!
//! Each folder has mode 0700 and holds a locked file. The kernel drops the lock
//! with the process, however it ended, so that the next run can distinguish the folders
//! of running processes from those of dead ones and remove the latter.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::code::Code;
use crate::error::{Error, Result};

/// What every scratch folder's name starts with.
const PREFIX: &str = "lsrun-";
const LOCK: &str = ".lock";
/// What the name starts with until the lock is taken.
const HALF_MADE: &str = ".new-";
/// What its process wants the next one to know if it is killed.
const NOTE: &str = ".note";

/// A private folder, removed when dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    swept: Swept,
    _lock: File,
}

/// What was removed because its process is dead.
#[derive(Debug, Default)]
struct Swept {
    folders: usize,
    notes: Vec<String>,
}

impl Scratch {
    /// Creates a folder in the system's temporary folder, after removing what
    /// dead processes left there.
    pub(crate) fn temporary() -> Result<Self> {
        Self::within(&std::env::temp_dir(), PREFIX)
    }

    /// Creates a folder beside `target`, on the same file system, so that a file
    /// in it can be renamed to `target`. What dead processes left is removed.
    pub(crate) fn beside(target: &Path) -> Result<Self> {
        let folder = target.parent().unwrap_or_else(|| Path::new("/"));
        let name = target.file_name().and_then(OsStr::to_str).unwrap_or("database");
        Self::within(folder, &format!(".{name}.{PREFIX}"))
    }

    /// Creates a folder in `parent`.
    pub(crate) fn within(parent: &Path, prefix: &str) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::new(Code::Io, format!("cannot create a private folder in {}", parent.display()))
                .cause(error)
        };
        // The lock is taken before the folder gets the name that the sweeper
        // looks for, so that no other process can see it unlocked.
        let hidden = tempfile::Builder::new()
            .prefix(&format!("{HALF_MADE}{prefix}"))
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .tempdir_in(parent)
            .map_err(failed)?;
        let lock = File::create_new(hidden.path().join(LOCK)).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let name = hidden.path().file_name().and_then(OsStr::to_str).unwrap_or_default();
        let path = parent.join(name.strip_prefix(HALF_MADE).unwrap_or(name));
        std::fs::rename(hidden.path(), &path).map_err(failed)?;
        // The folder has its final name now; the guard has nothing to remove.
        let _moved = hidden.keep();
        let swept = sweep(parent, prefix, &path);
        Ok(Self { path, swept, _lock: lock })
    }

    /// The folder.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How many folders of dead processes were removed when it was created.
    #[must_use]
    pub(crate) fn swept(&self) -> usize {
        self.swept.folders
    }

    /// What their processes had [left](Self::leave) for the process that finds it.
    #[must_use]
    pub(crate) fn found(&self) -> &[String] {
        &self.swept.notes
    }

    /// Leaves a note in a scratch folder for the process that sweeps it when this one
    /// is killed, or drops it meanwhile; an empty one takes it back. One line per note.
    /// It survives the process, not the machine.
    pub(crate) fn leave(folder: &Path, note: &str) {
        let file = folder.join(NOTE);
        // Without it the next run only knows less.
        let _ignored =
            if note.is_empty() { std::fs::remove_file(file) } else { std::fs::write(file, note) };
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing can be done about a failure here; the next run sweeps.
        if !self.path.join(NOTE).exists() {
            let _ignored = std::fs::remove_dir_all(&self.path);
            return;
        }
        // It was cut off, and the next one has to know.
        for entry in std::fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if entry.file_name() != LOCK && entry.file_name() != NOTE {
                let path = entry.path();
                let _ignored =
                    std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
            }
        }
    }
}

/// Removes the folders in `parent` whose process is dead. What they note, is noted in
/// the folder `own` before they are gone.
fn sweep(parent: &Path, prefix: &str, own: &Path) -> Swept {
    let mut swept = Swept::default();
    let Ok(entries) = std::fs::read_dir(parent) else { return swept };
    let me = rustix::process::geteuid().as_raw();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let half_made = name.strip_prefix(HALF_MADE).is_some_and(|name| name.starts_with(prefix));
        if !half_made && !name.starts_with(prefix) {
            continue;
        }
        let path = entry.path();
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
        if !metadata.is_dir() || metadata.uid() != me {
            continue;
        }
        if half_made {
            // It may be a living process that is about to take the lock.
            let age = metadata.modified().ok().and_then(|time| time.elapsed().ok());
            if age.is_some_and(|age| age > std::time::Duration::from_secs(60)) {
                let _ignored = std::fs::remove_dir_all(&path);
            }
        } else if File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok()) {
            let note = std::fs::read_to_string(path.join(NOTE)).unwrap_or_default();
            if !note.is_empty() {
                swept.notes.extend(note.lines().map(str::to_owned));
                Scratch::leave(own, &swept.notes.join("\n"));
            }
            swept.folders += usize::from(std::fs::remove_dir_all(&path).is_ok());
        }
    }
    swept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folders_of_the_dead_are_swept_and_those_of_the_living_stay() {
        let parent = tempfile::tempdir().unwrap();
        let alive = Scratch::within(parent.path(), PREFIX).unwrap();
        let dead = parent.path().join("lsrun-dead");
        std::fs::create_dir(&dead).unwrap();
        File::create(dead.join(LOCK)).unwrap();
        Scratch::leave(&dead, "start the daemon");
        let foreign = parent.path().join("lsrun-foreign");
        std::fs::create_dir(&foreign).unwrap();

        let second = Scratch::within(parent.path(), PREFIX).unwrap();
        assert!(!dead.exists(), "a folder whose lock is free belongs to a dead process");
        assert_eq!(second.found(), ["start the daemon"]);
        assert!(foreign.exists(), "a folder without a lock is not lsrun's");
        assert!(alive.path().exists() && second.path().exists());
        Scratch::leave(second.path(), "");
        let (first, second_path) = (alive.path().to_owned(), second.path().to_owned());
        drop((alive, second));
        assert!(!first.exists() && !second_path.exists());
    }

    #[test]
    fn a_note_that_was_not_taken_back_is_found_and_handed_on() {
        let parent = tempfile::tempdir().unwrap();
        let cut_off = Scratch::within(parent.path(), PREFIX).unwrap();
        std::fs::write(cut_off.path().join("large"), "copy").unwrap();
        Scratch::leave(cut_off.path(), "one");
        let path = cut_off.path().to_owned();
        drop(cut_off);
        assert!(path.join(NOTE).exists() && !path.join("large").exists());
        let next = Scratch::within(parent.path(), PREFIX).unwrap();
        assert!(!path.exists());
        assert_eq!(next.found(), ["one"]);
        // It was cut off as well, before it did anything about it.
        drop(next);
        let last = Scratch::within(parent.path(), PREFIX).unwrap();
        assert_eq!(last.found(), ["one"]);
        Scratch::leave(last.path(), "");
    }

    #[test]
    fn a_name_that_begins_like_a_half_made_one_is_kept_whole() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::beside(&parent.path().join("new-db.sqlite3")).unwrap();
        let name = scratch.path().file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with(".new-db.sqlite3.lsrun-"), "{name}");
    }

    #[test]
    fn a_folder_is_private() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::within(parent.path(), PREFIX).unwrap();
        assert_eq!(std::fs::metadata(scratch.path()).unwrap().mode() & 0o777, 0o700);
    }
}
