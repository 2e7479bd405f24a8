//! The swap itself: what is done with the files, in which order, and what is synced
//! to disk when.
//!
//! A database that stands is written through SQLite, under its exclusive lock and in
//! one transaction. Renaming another file over it would be cheaper, and wrong: a
//! process that has the old file open opens log and index by name, which would be
//! those of the new database, and writes old pages into it. Such a process need not
//! be visible: it may be another user's, or in a container. Through SQLite it waits
//! for the lock and finds the new content behind it; owner, mode and links stay as
//! well. Only what is no database, and a name that is free, is taken by renaming.

use std::fs::{File, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::kept;
use super::{busy, exists, io};
use crate::error::{Error, Result};
use crate::litestream::daemon::{self, Holder};
use crate::suffix::with_suffix;

/// What came of it.
#[derive(Default)]
pub(super) struct Swapped {
    /// The old database.
    pub(super) kept: Option<PathBuf>,
    pub(super) notes: Vec<String>,
    pub(super) warnings: Vec<String>,
    /// Keeps the write-ahead log as it is until the daemon has read it.
    pub(super) guard: Option<Connection>,
}

/// What is to be done.
pub(super) struct Swap {
    /// Canonical.
    pub(super) target: PathBuf,
    pub(super) force: bool,
    /// A daemon replicates the target, and has stopped for the moment.
    pub(super) replicated: bool,
    pub(super) even_if_in_use: bool,
    /// How many old databases stay; all without.
    pub(super) keep: Option<u32>,
}

impl Swap {
    /// Does it. Blocks.
    pub(super) fn run(&self, copy: &Path) -> Result<Swapped> {
        let target = &self.target;
        // Two restores at once take turns. Gone with the process.
        let folder = File::open(folder_of(target))
            .map_err(|error| io("open the folder of", target, &error))?;
        let _where_supported = folder.lock();
        let mut swapped = Swapped { notes: kept::tidy(target), ..Swapped::default() };
        let old = std::fs::metadata(target).ok().filter(|metadata| metadata.len() > 0);
        let Some(old) = old else {
            owned_like_its_folder(copy, target);
            self.by_rename(copy, &kept::name(target), &mut swapped)?;
            return Ok(swapped);
        };
        // It may have come while this one waited.
        if !self.force {
            return Err(exists(target));
        }
        refuse_in_use(target, self.even_if_in_use, self.replicated)?;
        let kept = kept::name(target);
        point(1);
        match readable(copy).and_then(|()| self.exclusively()) {
            Ok(live) => self.through_sqlite(live, copy, &old, &kept, &mut swapped)?,
            // Nobody can use what is no database; SQLite cannot write what is none either,
            // such as a broken one that is brought back.
            Err(error) if is_no_database(&error) && !self.replicated => {
                self.instead_of(copy, &old, &kept, &mut swapped)?;
            }
            Err(error) => return Err(self.cannot(&error)),
        }
        if let Some(keep) = self.keep {
            swapped.notes.extend(kept::retain(target, keep));
        }
        swapped.kept = Some(kept);
        Ok(swapped)
    }

    /// Nothing was replaced.
    fn cannot(&self, error: &rusqlite::Error) -> Error {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                busy(&self.target, error.to_string())
            }
            Some(ErrorCode::ReadOnly) if self.replicated => io("replace", &self.target, error)
                .hint("pages of another size: stop the daemon, restore, and start it again"),
            _ => io("replace", &self.target, error),
        }
    }

    /// The copy takes a name that is free.
    fn by_rename(&self, copy: &Path, aside: &Path, swapped: &mut Swapped) -> Result<()> {
        let target = &self.target;
        point(2);
        // Left by a database that is gone, they would be replayed into the new one.
        kept::move_sidecars(target, aside)
            .map_err(|error| io("move a sidecar aside for", target, &error))?;
        point(3);
        File::open(copy)
            .and_then(|file| file.sync_all())
            .and_then(|()| sync_folder(target))
            .map_err(|error| io("sync the copy for", target, &error))?;
        point(4);
        std::fs::rename(copy, target).map_err(|error| io("replace", target, &error))?;
        point(5);
        if let Err(error) = sync_folder(target) {
            let error = io("sync the folder of", target, &error);
            swapped.warnings.push(format!("it is replaced, and {}", error.one_line()));
        }
        point(6);
        Ok(())
    }

    /// The copy takes the name of what is no database, and has another one by then.
    fn instead_of(
        &self,
        copy: &Path,
        old: &Metadata,
        kept: &Path,
        swapped: &mut Swapped,
    ) -> Result<()> {
        let target = &self.target;
        swapped.warnings.extend(like(copy, old).map_err(|error| io("write", target, &error))?);
        let aside = std::fs::hard_link(target, kept)
            .or_else(|_no_links| {
                std::fs::copy(target, kept).and_then(|_bytes| File::open(kept)?.sync_all())
            })
            .map_err(|error| io("keep the old one of", target, &error));
        let done = aside.and_then(|()| self.by_rename(copy, kept, swapped));
        if done.is_err() {
            // It is as it was.
            let _either = (kept::move_sidecars(kept, target), std::fs::remove_file(kept));
        }
        done
    }

    /// Keeps the old content, and writes the new one in one transaction, which is there
    /// whole or not at all.
    fn through_sqlite(
        &self,
        mut live: Connection,
        copy: &Path,
        old: &Metadata,
        kept: &Path,
        swapped: &mut Swapped,
    ) -> Result<()> {
        let target = &self.target;
        let part = kept::part(kept);
        point(2);
        let copied = copy_aside(&live, &part).map_err(|error| self.cannot(&error));
        point(3);
        let named = copied.and_then(|()| {
            let keep = || -> std::io::Result<Option<String>> {
                let warning = like(&part, old)?;
                File::open(&part)?.sync_all()?;
                std::fs::rename(&part, kept)?;
                sync_folder(target)?;
                Ok(warning)
            };
            keep().map_err(|error| io("keep the old one of", target, &error))
        });
        point(4);
        let written = named.and_then(|warning| {
            swapped.warnings.extend(warning);
            self.write(&mut live, copy).map_err(|error| self.cannot(&error))
        });
        if let Err(error) = written {
            // Nothing was replaced, so nothing is kept.
            let _either = (std::fs::remove_file(&part), std::fs::remove_file(kept));
            return Err(error);
        }
        point(5);
        if self.replicated {
            // Others may read and write again. The lock goes with the end of a read, and
            // the next reader keeps the log from being taken from the start.
            let shared = live.pragma_update(None, "locking_mode", "NORMAL").and_then(|()| {
                live.execute_batch("SELECT count(*) FROM sqlite_schema")?;
                live.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")
            });
            match shared {
                Ok(()) => swapped.guard = Some(live),
                Err(error) => swapped.warnings.push(format!("it is replaced, and {error}")),
            }
        } else {
            // A database of one file, where the disk has room for that; else it stays in
            // the log, which is as good.
            let _folded = live.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_row| Ok(()));
            // Where there is one, the commit has emptied it, and has not removed it because
            // the lock is kept.
            let _mostly_missing = std::fs::remove_file(with_suffix(target, "-journal"));
        }
        point(6);
        Ok(())
    }

    fn write(&self, live: &mut Connection, copy: &Path) -> rusqlite::Result<()> {
        let source = open(copy)?;
        let size = |of: &Connection| of.pragma_query_value(None, "page_size", |row| row.get(0));
        let (new, old): (i64, i64) = (size(&source)?, size(live)?);
        if new != old && !self.replicated {
            // SQLite writes pages of another size into a log by no means.
            live.query_row("PRAGMA journal_mode = delete", [], |_row| Ok(()))?;
        }
        all_pages(&source, live)
    }

    /// A connection that nobody else has beside it.
    fn exclusively(&self) -> rusqlite::Result<Connection> {
        let live = open(&self.target)?;
        if self.replicated {
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
        Ok(live)
    }
}

/// Between fork and exec a process has what its parent had open, for a moment.
const FORKED: Duration = Duration::from_millis(500);

/// Refuses while a process has the target open, as far as this user may know. Blocks
/// for half a second before it does.
/// `but_litestream`: a daemon that was stopped may keep the file open.
pub(super) fn refuse_in_use(
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

/// Fails for what is no database at all.
fn readable(copy: &Path) -> rusqlite::Result<()> {
    match open(copy)?.query_row("SELECT count(*) FROM sqlite_schema", [], |_row| Ok(())) {
        // Its pages can be copied.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => Ok(()),
        other => other,
    }
}

/// Writes what `live` holds to a new file, whose syncing is the caller's.
fn copy_aside(live: &Connection, part: &Path) -> rusqlite::Result<()> {
    let mut aside = Connection::open(part)?;
    // A file that is not whole is removed, by the next restore if not by this one.
    aside.pragma_update(None, "synchronous", "OFF")?;
    aside.query_row("PRAGMA journal_mode = off", [], |_row| Ok(()))?;
    all_pages(live, &mut aside)?;
    aside.close().map_err(|(_connection, error)| error)
}

fn all_pages(from: &Connection, to: &mut Connection) -> rusqlite::Result<()> {
    match Backup::new(from, to)?.step(-1)? {
        StepResult::Done => Ok(()),
        other => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            Some(format!("the copy came to no end ({other:?})")),
        )),
    }
}

fn is_no_database(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

/// Gives a file the mode and the owner of another one, and says where it may not.
fn like(file: &Path, other: &Metadata) -> std::io::Result<Option<String>> {
    use std::os::unix::fs::chown;
    // The owner first: a change of it clears the set-id bits.
    let owned = chown(file, Some(other.uid()), Some(other.gid()))
        .or_else(|_not_root| chown(file, None, Some(other.gid())));
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(other.mode() & 0o7777))?;
    let own = std::fs::metadata(file)?;
    let same = owned.is_ok() && (own.uid(), own.gid()) == (other.uid(), other.gid());
    Ok((!same).then(|| {
        format!(
            "{} belongs to {}:{}, not to {}:{} as before",
            file.display(),
            own.uid(),
            own.gid(),
            other.uid(),
            other.gid()
        )
    }))
}

/// A database that root restores where none stood belongs to whom its folder
/// belongs to, as SQLite does it with the log: the application has to write to it.
fn owned_like_its_folder(copy: &Path, target: &Path) {
    if rustix::process::geteuid().is_root()
        && let Ok(folder) = std::fs::metadata(folder_of(target))
    {
        let _stays = std::os::unix::fs::chown(copy, Some(folder.uid()), Some(folder.gid()));
    }
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or_else(|| Path::new("/"))
}

fn sync_folder(file: &Path) -> std::io::Result<()> {
    File::open(folder_of(file))?.sync_all()
}

/// Where a test says so: ends the process as if it had been killed, or makes the
/// file that the test names and waits until it is gone.
#[cfg(debug_assertions)]
pub(super) fn point(number: u32) {
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
pub(super) fn point(_number: u32) {}

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
