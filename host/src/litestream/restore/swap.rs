//! The swap itself: what is done with the files, in which order, and what is synced
//! to disk when.
//!
//! An existing database is written through SQLite, under its exclusive lock and in
//! one transaction. Renaming another file over it would be cheaper, and wrong: a
//! process that has the old file open opens log and index by name, which would be
//! those of the new database, and writes old pages into it. This process need not
//! be visible: it may be another user's, or in a container. Through SQLite it waits
//! for the lock and then sees the new content; owner, mode and links stay as
//! well. The copy is renamed only over what is not a database, or to a free name.
//!
//! The folder may belong to another user, who can put anything under any name at any
//! moment: see [`super::folder`] and [`super::rights`].

use std::fs::{File, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{Error, Result};
use crate::litestream::daemon::{self, Holder};
use crate::litestream::restore::folder::{Folder, Pinned};
use crate::litestream::restore::refusal::{busy, exists, io};
use crate::litestream::restore::rights::Rights;
use crate::litestream::restore::{folder, retention};
use crate::path::Sidecar;

/// The result.
#[derive(Default)]
pub(crate) struct Swapped {
    /// The old database.
    pub(crate) kept: Option<PathBuf>,
    pub(crate) notes: Vec<String>,
    pub(crate) warnings: Vec<String>,
    /// Keeps the write-ahead log as it is until the daemon has read it.
    pub(crate) guard: Option<Guard>,
}

/// A connection that is closed with the rights that it was opened with.
pub(crate) struct Guard(Option<Connection>, Rights);

impl Drop for Guard {
    fn drop(&mut self) {
        let connection = self.0.take();
        let _closed = self.1.run(move || drop(connection));
    }
}

/// What is to be done.
pub(crate) struct Swap {
    /// Canonical.
    pub(crate) target: PathBuf,
    pub(crate) force: bool,
    /// A daemon replicates the target, and has stopped for the moment.
    pub(crate) replicated: bool,
    pub(crate) even_if_in_use: bool,
    /// How many old databases stay; all without.
    pub(crate) keep: Option<u32>,
}

/// What a swap works on.
struct SwapWork<'a> {
    swap: &'a Swap,
    folder: &'a Folder,
    /// The target in the held folder.
    target: PathBuf,
    /// What has its name.
    old: Option<&'a Pinned>,
    rights: Rights,
}

/// The restored copy, opened while no other process can reach it.
struct SwapSource<'a> {
    path: &'a Path,
    file: File,
    connection: Connection,
}

impl Swap {
    /// Does it. Blocks.
    pub(crate) fn run(&self, copy: &Path) -> Result<Swapped> {
        let target = &self.target;
        let folder =
            Folder::of(target).map_err(|error| io("open the folder of", target, &error))?;
        let held = folder.at(&folder::name_of(target));
        // Two restores at the same time take turns. The lock ends with the process.
        take_turns(folder.file(), target)?;
        let before = Pinned::at(&held, target)?;
        let rights = Rights::in_folder(&folder, target, before.as_ref())?;
        let cannot = |error: std::io::Error| io("take the rights of the user of", target, &error);
        let notes = rights.run(|| retention::tidy(&held, target)).map_err(cannot)?;
        drop(before);
        let old = Pinned::at(&held, target)?;
        // An empty file is nothing, as it is for litestream.
        let replaces = old.as_ref().is_some_and(|old| old.metadata.len() > 0);
        // It may have come while this one waited.
        if replaces && !self.force {
            return Err(exists(target));
        }
        if replaces {
            refuse_in_use(target, self.even_if_in_use, self.replicated)?;
        }
        let unreadable = |error: &dyn std::fmt::Display| io("open the copy for", target, error);
        let source = SwapSource {
            path: copy,
            file: folder::open_regular(copy).map_err(|error| unreadable(&error))?,
            connection: open_copy(copy).map_err(|error| unreadable(&error))?,
        };
        let work =
            SwapWork { swap: self, folder: &folder, target: held, old: old.as_ref(), rights };
        let mut swapped = Swapped { notes, ..Swapped::default() };
        let done = rights.run(move || {
            work.run(source, replaces, &mut swapped)?;
            Ok(swapped)
        });
        done.map_err(cannot)?
    }
}

impl SwapWork<'_> {
    fn run(&self, source: SwapSource<'_>, replaces: bool, swapped: &mut Swapped) -> Result<()> {
        let aside = retention::name(&self.target);
        let old = match self.old {
            Some(old) if replaces => old,
            _ => return self.by_rename(&source, None, &aside, swapped),
        };
        point(1);
        match readable(&source.connection).and_then(|()| self.exclusively(old)) {
            Ok(live) => self.through_sqlite(live, source.connection, old, &aside, swapped)?,
            // No process can use what is not a database; SQLite cannot write it either, such
            // as a broken one that is brought back.
            Err(SwapFailure::Sqlite(error)) if is_no_database(&error) && !self.swap.replicated => {
                self.instead_of(&source, old, &aside, swapped)?;
            }
            Err(SwapFailure::Sqlite(error)) => return Err(self.cannot(&error)),
            Err(SwapFailure::Exchanged) => return Err(self.exchanged()),
        }
        if let Some(keep) = self.swap.keep {
            swapped.notes.extend(retention::retain(&self.target, &self.swap.target, keep));
        }
        swapped.kept = Some(self.folder.shown(&aside));
        Ok(())
    }

    /// Another user puts other files under the names of the folder.
    fn exchanged(&self) -> Error {
        busy(&self.swap.target, "another user is replacing files in its folder".to_owned())
    }

    /// Nothing was replaced.
    fn cannot(&self, error: &rusqlite::Error) -> Error {
        let target = &self.swap.target;
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                busy(target, error.to_string())
            }
            Some(ErrorCode::ReadOnly) if self.swap.replicated => io("replace", target, error)
                .hint("the page size differs: stop the daemon, restore, and start it again"),
            _ => io("replace", target, error),
        }
    }

    /// The copy takes the name: one that is free, or that of what is not a database.
    fn by_rename(
        &self,
        source: &SwapSource<'_>,
        old: Option<&Pinned>,
        aside: &Path,
        swapped: &mut Swapped,
    ) -> Result<()> {
        let (target, shown) = (&self.target, &self.swap.target);
        point(2);
        // Left over from a database that is gone, they would be replayed into the new one.
        retention::move_sidecars(target, aside)
            .map_err(|error| io("move a sidecar aside for", shown, &error))?;
        point(3);
        let part = retention::part(aside);
        let ready = self.stage(source, &part, old, swapped);
        let ready = ready.and_then(|ready| {
            self.folder.file().sync_all()?;
            Ok(ready)
        });
        point(4);
        let renamed =
            ready.map_err(|error| io("write the copy for", shown, &error)).and_then(|ready| {
                std::fs::rename(ready, target).map_err(|error| io("replace", shown, &error))
            });
        if let Err(error) = renamed {
            let _mostly_missing = std::fs::remove_file(&part);
            return Err(error);
        }
        point(5);
        if let Err(error) = self.folder.file().sync_all() {
            let error = io("sync the folder of", shown, &error);
            swapped.warnings.push(format!("the database is replaced, but {}", error.one_line()));
        }
        point(6);
        Ok(())
    }

    /// The copy with its owner and mode, on the disk and under a name from which it can
    /// be renamed: its own, or that of a part beside the target.
    fn stage(
        &self,
        source: &SwapSource<'_>,
        part: &Path,
        old: Option<&Pinned>,
        swapped: &mut Swapped,
    ) -> std::io::Result<PathBuf> {
        let own =
            self.rights == Rights::Own && source.file.metadata()?.dev() == self.folder.device();
        let (file, path) = if own {
            (source.file.try_clone()?, source.path.to_owned())
        } else {
            let mut file = folder::create(part)?;
            std::io::copy(&mut &source.file, &mut file)?;
            (file, part.to_owned())
        };
        match old {
            Some(old) => {
                let shown = &self.swap.target;
                swapped.warnings.extend(like(&file, shown, &old.metadata)?);
            }
            None => {
                self.owned_like_its_folder(&file);
                file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
            }
        }
        file.sync_all()?;
        Ok(path)
    }

    /// A database that root restores to a new path gets the owner of its folder, as
    /// SQLite does it with the log: the application has to write to it.
    fn owned_like_its_folder(&self, file: &File) {
        if rustix::process::geteuid().is_root() {
            let (user, group) = self.folder.owner();
            let _stays = fchown(file, Some(user), Some(group));
        }
    }

    /// The copy takes the name of what is not a database, which gets another one first.
    fn instead_of(
        &self,
        source: &SwapSource<'_>,
        old: &Pinned,
        aside: &Path,
        swapped: &mut Swapped,
    ) -> Result<()> {
        let (target, shown) = (&self.target, &self.swap.target);
        let kept = std::fs::hard_link(target, aside)
            .or_else(|_no_links| {
                let mut from = folder::open_regular(target)?;
                let mut file = folder::create(aside)?;
                std::io::copy(&mut from, &mut file)?;
                like(&file, shown, &from.metadata()?)?;
                file.sync_all()
            })
            .map_err(|error| io("keep the old version of", shown, &error));
        let done = kept.and_then(|()| match old.is_at(target) {
            true => self.by_rename(source, Some(old), aside, swapped),
            false => Err(self.exchanged()),
        });
        if done.is_err() {
            // It is unchanged.
            let _either = (retention::move_sidecars(aside, target), std::fs::remove_file(aside));
        }
        done
    }

    /// Keeps the old content, and writes the new one in one transaction, which is there
    /// whole or not at all.
    fn through_sqlite(
        &self,
        mut live: Connection,
        source: Connection,
        old: &Pinned,
        aside: &Path,
        swapped: &mut Swapped,
    ) -> Result<()> {
        let shown = &self.swap.target;
        let part = retention::part(aside);
        point(2);
        let copied = self.copy_aside(&live, &part);
        point(3);
        let named = copied.and_then(|file| {
            let keep = || -> std::io::Result<Option<String>> {
                let warning = like(&file, &self.folder.shown(aside), &old.metadata)?;
                file.sync_all()?;
                std::fs::rename(&part, aside)?;
                self.folder.file().sync_all()?;
                Ok(warning)
            };
            keep().map_err(|error| io("keep the old version of", shown, &error))
        });
        point(4);
        let written = named.and_then(|warning| {
            swapped.warnings.extend(warning);
            self.write(&mut live, &source).map_err(|error| self.cannot(&error))
        });
        drop(source);
        if let Err(error) = written {
            // Nothing was replaced, so nothing is kept.
            let _either = (std::fs::remove_file(&part), std::fs::remove_file(aside));
            return Err(error);
        }
        point(5);
        if self.swap.replicated {
            // Others may read and write again. The lock goes with the end of a read, and
            // the next reader keeps the log from being taken from the start.
            let shared = live.pragma_update(None, "locking_mode", "NORMAL").and_then(|()| {
                live.execute_batch("SELECT count(*) FROM sqlite_schema")?;
                live.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")
            });
            match shared {
                Ok(()) => swapped.guard = Some(Guard(Some(live), self.rights)),
                Err(error) => {
                    swapped.warnings.push(format!("the database is replaced, but {error}"))
                }
            }
        } else {
            // A database of one file, where the disk has room for that; else it stays in
            // the log, which is as good.
            let _folded = live.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_row| Ok(()));
            // If there is one, the commit has emptied it, and has not removed it because
            // the lock is kept.
            let _mostly_missing = std::fs::remove_file(Sidecar::Journal.of(&self.target));
        }
        point(6);
        Ok(())
    }

    fn write(&self, live: &mut Connection, source: &Connection) -> rusqlite::Result<()> {
        let size = |of: &Connection| of.pragma_query_value(None, "page_size", |row| row.get(0));
        let (new, old): (i64, i64) = (size(source)?, size(live)?);
        if new != old && !self.swap.replicated {
            // SQLite never writes pages of another size into a log.
            live.query_row("PRAGMA journal_mode = delete", [], |_row| Ok(()))?;
        }
        all_pages(source, live)
    }

    /// A connection that nobody else has beside it, to the exact file that `old` is.
    fn exclusively(&self, old: &Pinned) -> std::result::Result<Connection, SwapFailure> {
        /// A connection of a check that ends at the same moment can hide one that begins.
        const ATTEMPTS: u32 = 20;
        let path = self.folder.shown(&self.target);
        for _ in 0..ATTEMPTS {
            let before = old.opened();
            let live = open(&path)?;
            if before.is_some() && old.opened() <= before || !old.is_at(&self.target) {
                drop(live);
                std::thread::sleep(Duration::from_millis(10));
                continue;
            }
            if self.swap.replicated {
                // What is checkpointed now, the daemon never sees.
                live.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            }
            // Before it is exclusive: so it can be shared again, and what a crashed
            // application has left in a journal is rolled back and the journal removed.
            live.query_row("SELECT count(*) FROM sqlite_schema", [], |_row| Ok(()))?;
            live.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            live.execute_batch("BEGIN EXCLUSIVE; COMMIT")?;
            live.pragma_update(None, "wal_autocheckpoint", 0)?;
            live.pragma_update(None, "synchronous", "FULL")?;
            return Ok(live);
        }
        Err(SwapFailure::Exchanged)
    }

    /// Writes what `live` holds to a new file that only this user can read, whose
    /// syncing is the caller's.
    fn copy_aside(&self, live: &Connection, part: &Path) -> Result<File> {
        let shown = &self.swap.target;
        let keep = |error: &std::io::Error| io("keep the old version of", shown, error);
        let file = folder::create(part).map_err(|error| keep(&error))?;
        let copy = || -> rusqlite::Result<()> {
            let mut aside = open(&self.folder.shown(part))?;
            // A file that is not whole is removed, by the next restore if not by this one.
            aside.pragma_update(None, "synchronous", "OFF")?;
            aside.query_row("PRAGMA journal_mode = off", [], |_row| Ok(()))?;
            all_pages(live, &mut aside)?;
            aside.close().map_err(|(_connection, error)| error)
        };
        copy().map_err(|error| self.cannot(&error))?;
        let own = file.metadata().map_err(|error| keep(&error))?;
        let named = std::fs::symlink_metadata(part);
        match named.is_ok_and(|it| folder::same(&it, &own)) && own.len() > 0 {
            true => Ok(file),
            false => Err(self.exchanged()),
        }
    }
}

/// Why SQLite could not take the database.
enum SwapFailure {
    Sqlite(rusqlite::Error),
    Exchanged,
}

impl From<rusqlite::Error> for SwapFailure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Waits for another restore in the same folder. If locks are not supported there
/// is nothing to wait for.
fn take_turns(folder: &File, target: &Path) -> Result<()> {
    /// The longest swap is that of a large database.
    const PATIENCE: Duration = Duration::from_secs(600);
    let until = Instant::now() + PATIENCE;
    while let Err(std::fs::TryLockError::WouldBlock) = folder.try_lock() {
        if Instant::now() > until {
            let holder = "another restore holds the lock of its folder".to_owned();
            return Err(busy(target, holder).hint("run it again when the other restore has ended"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Between fork and exec a process has what its parent had open, for a moment.
const FORKED: Duration = Duration::from_millis(500);

/// Refuses while a process has the target open, as far as this user may know. Blocks
/// for half a second before it does.
/// `but_litestream`: a daemon that was stopped may keep the file open.
pub(crate) fn refuse_in_use(
    target: &Path,
    even_if_in_use: bool,
    but_litestream: bool,
) -> Result<()> {
    if even_if_in_use {
        return Ok(());
    }
    match holder(target, but_litestream, FORKED) {
        None => Ok(()),
        Some(Holder { name, pid }) => {
            Err(busy(target, format!("{name} (process {pid}) has it open")))
        }
    }
}

/// One that still has it open when `patience` is over.
fn holder(target: &Path, but_litestream: bool, patience: Duration) -> Option<Holder> {
    let until = Instant::now() + patience;
    loop {
        let mut holders = daemon::holders(target).into_iter();
        let found = holders.find(|holder| !(but_litestream && holder.is_litestream()))?;
        if Instant::now() > until {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Opens what exists.
fn open(database: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(database, flags)
}

/// Opens the copy, which nobody changes: SQLite looks for no log next to it, and needs
/// nothing more of its folder, which others cannot enter.
fn open_copy(copy: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(crate::sqlite::immutable(copy), flags)
}

/// Fails for what is not a database at all.
fn readable(copy: &Connection) -> std::result::Result<(), SwapFailure> {
    match copy.query_row("SELECT count(*) FROM sqlite_schema", [], |_row| Ok(())) {
        // Its pages can be copied.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => Ok(()),
        other => Ok(other?),
    }
}

fn all_pages(from: &Connection, to: &mut Connection) -> rusqlite::Result<()> {
    match Backup::new(from, to)?.step(-1)? {
        StepResult::Done => Ok(()),
        other => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            Some(format!("the copy did not finish ({other:?})")),
        )),
    }
}

fn is_no_database(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

/// Gives a file the mode and the owner of another one, and says where it may not.
fn like(file: &File, shown: &Path, other: &Metadata) -> std::io::Result<Option<String>> {
    // The owner first: a change of it clears the set-id bits.
    let owned = fchown(file, Some(other.uid()), Some(other.gid()))
        .or_else(|_not_root| fchown(file, None, Some(other.gid())));
    file.set_permissions(std::fs::Permissions::from_mode(other.mode() & 0o7777))?;
    let own = file.metadata()?;
    let same = owned.is_ok() && (own.uid(), own.gid()) == (other.uid(), other.gid());
    Ok((!same).then(|| {
        format!(
            "{} belongs to {}:{}, not to {}:{} as before",
            shown.display(),
            own.uid(),
            own.gid(),
            other.uid(),
            other.gid()
        )
    }))
}

/// If a test asks for it: ends the process as if it had been killed, or makes the
/// file that the test names and waits until it is gone.
#[cfg(debug_assertions)]
pub(crate) fn point(number: u32) {
    let here = |variable: &str| {
        let value = std::env::var(variable).ok()?;
        let (wanted, rest) = value.split_once(' ').unwrap_or((&value, ""));
        (wanted == number.to_string()).then(|| PathBuf::from(rest))
    };
    if here("LSRUN_TEST_ABORT_AT").is_some() {
        std::process::abort();
    }
    if let Some(file) = here("LSRUN_TEST_PAUSE_AT") {
        let _seen_by_the_test = std::fs::write(&file, "");
        while file.exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

#[cfg(not(debug_assertions))]
pub(crate) fn point(_number: u32) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn who_has_it_open_for_a_moment_only_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let target = std::fs::canonicalize(folder.path()).unwrap().join("db.sqlite3");
        std::fs::write(&target, "content").unwrap();
        let mut user = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stderr(File::open(&target).unwrap())
            .spawn()
            .unwrap();
        let found = holder(&target, false, Duration::ZERO).unwrap();
        assert_eq!(found.pid, user.id());
        let waiting = std::thread::spawn(move || holder(&target, false, Duration::from_secs(60)));
        drop(user.stdin.take());
        user.wait().unwrap();
        assert_eq!(waiting.join().unwrap(), None);
    }
}
