//! The swap itself: what is done with the files, in which order, and what is synced
//! to disk when. Everything up to the one rename, or the one commit, can be undone
//! by the next restore ([`kept::tidy`]); everything behind it only adds safety.

use std::fs::{File, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::kept::{self, SIDECARS, with_suffix};
use super::{busy, exists, io};
use crate::error::{Error, Result};
use crate::litestream::daemon::{self, Holder};

/// What came of it.
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
        let mut notes = kept::tidy(target);
        let old = std::fs::metadata(target).ok().filter(|metadata| metadata.len() > 0);
        match &old {
            Some(old) => {
                // It may have come while this one waited.
                if !self.force {
                    return Err(exists(target));
                }
                self.refuse_in_use()?;
                like(copy, old).map_err(|error| io("keep the mode of", target, &error))?;
            }
            None => owned_like_its_folder(copy, target),
        }
        let kept_name = kept::name(target);
        let mut warnings = Vec::new();
        let (kept, guard) = match &old {
            Some(old) if self.replicated => {
                let guard = self.through_sqlite(copy, old, &kept_name)?;
                (Some(kept_name), Some(guard))
            }
            _ => {
                self.by_rename(copy, old.is_some(), &kept_name)?;
                if old.is_some() {
                    warnings.extend(left_behind(target, &kept_name));
                }
                (old.is_some().then_some(kept_name), None)
            }
        };
        if let (Some(_), Some(keep)) = (&kept, self.keep) {
            notes.extend(kept::retain(target, keep));
        }
        Ok(Swapped { kept, notes, warnings, guard })
    }

    fn refuse_in_use(&self) -> Result<()> {
        if self.even_if_in_use {
            return Ok(());
        }
        // The daemon that was stopped may keep the file open.
        let holders = daemon::holders(&self.target).into_iter();
        let mut holders = holders.filter(|holder| !(self.replicated && holder.is_litestream()));
        match holders.next() {
            None => Ok(()),
            Some(Holder { name, pid }) => {
                Err(busy(&self.target, format!("{name} (process {pid}) has it open")))
            }
        }
    }

    /// The copy takes the name of the target; the old database has another one by
    /// then.
    fn by_rename(&self, copy: &Path, stands: bool, kept: &Path) -> Result<()> {
        point(1);
        // From here to the end nobody else can read or write the old database.
        let held = if stands { hold(&self.target)? } else { None };
        let exchanged = self.exchange(copy, stands, kept, held.as_ref());
        if exchanged.is_err() {
            // It is as it was.
            let _what_was_begun = kept::tidy(&self.target);
        }
        drop(held);
        exchanged
    }

    fn exchange(
        &self,
        copy: &Path,
        stands: bool,
        kept: &Path,
        held: Option<&Connection>,
    ) -> Result<()> {
        let target = &self.target;
        if stands {
            set_aside(target, kept, held)?;
        }
        point(2);
        // Left by a database that is gone, they would be replayed into the new one.
        for suffix in SIDECARS {
            let sidecar = with_suffix(target, suffix);
            if sidecar.exists() {
                std::fs::rename(&sidecar, with_suffix(kept, suffix))
                    .map_err(|error| io("move a sidecar aside for", target, &error))?;
            }
        }
        point(3);
        File::open(copy)
            .and_then(|file| file.sync_all())
            .map_err(|error| io("sync the copy for", target, &error))?;
        point(4);
        if stands {
            // It may have been opened meanwhile.
            self.refuse_in_use()?;
        }
        std::fs::rename(copy, target).map_err(|error| io("replace", target, &error))?;
        point(5);
        sync_folder(target).map_err(|error| io("sync the folder of", target, &error))?;
        point(6);
        // An empty log says nothing: the kept database is one file.
        for suffix in SIDECARS {
            let sidecar = with_suffix(kept, suffix);
            if std::fs::metadata(&sidecar).is_ok_and(|it| it.len() == 0 || suffix == "-shm") {
                let _stays = std::fs::remove_file(sidecar);
            }
        }
        Ok(())
    }

    /// Writes the content in one transaction, which is there whole or not at all.
    fn through_sqlite(&self, copy: &Path, old: &Metadata, kept: &Path) -> Result<Connection> {
        let target = &self.target;
        let part = kept::part(kept);
        let failed = |error: &rusqlite::Error| {
            if is_busy(error) {
                busy(target, error.to_string())
            } else {
                io("replace", target, error)
            }
        };
        point(1);
        let mut live = self.exclusively().map_err(|error| failed(&error))?;
        point(2);
        copy_aside(&live, &part).map_err(|error| failed(&error))?;
        point(3);
        like(&part, old)
            .and_then(|()| File::open(&part)?.sync_all())
            .and_then(|()| std::fs::rename(&part, kept))
            .and_then(|()| sync_folder(target))
            .map_err(|error| io("keep the old one of", target, &error))?;
        point(4);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let written = Connection::open_with_flags(copy, flags)
            .and_then(|source| all_pages(&source, &mut live));
        if let Err(error) = written {
            // Nothing was replaced, so nothing is kept.
            let _left = std::fs::remove_file(kept);
            return Err(failed(&error).hint("stop the daemon, restore, and start it again"));
        }
        point(5);
        // Others may read and write again, and a reader keeps the log from being
        // taken from the start.
        live.pragma_update(None, "locking_mode", "NORMAL")
            .and_then(|()| live.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema"))
            .map_err(|error| failed(&error))?;
        point(6);
        Ok(live)
    }

    /// A connection that nobody else has beside it, and that leaves the log as it
    /// is: what is checkpointed now, the daemon never sees.
    fn exclusively(&self) -> rusqlite::Result<Connection> {
        let live = open(&self.target)?;
        // Before it is exclusive, so that it can be shared again.
        live.query_row("SELECT count(*) FROM sqlite_schema", [], |_row| Ok(()))?;
        live.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        live.execute_batch("BEGIN EXCLUSIVE; COMMIT")?;
        live.pragma_update(None, "wal_autocheckpoint", 0)?;
        live.pragma_update(None, "synchronous", "FULL")?;
        Ok(live)
    }
}

/// Opens an existing database. The connection leaves the log alone when it is
/// closed: by then it may be that of another database.
fn open(target: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(target, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

/// Makes the database one file, and keeps everybody else out of it while the
/// connection lives. Fails when another connection is open. None for what is not a
/// database any more; it is left as it is.
fn hold(target: &Path) -> Result<Option<Connection>> {
    let exclusive = || -> rusqlite::Result<Connection> {
        let connection = open(target)?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.execute_batch("BEGIN EXCLUSIVE; COMMIT")?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_row| Ok(()))?;
        Ok(connection)
    };
    match exclusive() {
        Ok(connection) => Ok(Some(connection)),
        Err(error) if is_busy(&error) => Err(busy(target, error.to_string())),
        Err(_no_database) => Ok(None),
    }
}

/// Gives the database a second name, or makes a copy where a file has only one.
fn set_aside(target: &Path, kept: &Path, held: Option<&Connection>) -> Result<()> {
    let cannot = |error: &dyn std::fmt::Display| {
        Error::inconclusive(format!("cannot keep the old database as {}", kept.display()))
            .code("io")
            .cause(error)
    };
    if std::fs::hard_link(target, kept).is_err() {
        let part = kept::part(kept);
        // Whoever closes a file of this process gives up its locks: while it is held,
        // only SQLite reads it.
        let copied = match held {
            Some(held) => copy_aside(held, &part).map_err(|error| cannot(&error)),
            None => std::fs::copy(target, &part).map(|_bytes| ()).map_err(|error| cannot(&error)),
        };
        let named = copied.and_then(|()| {
            std::fs::metadata(target)
                .and_then(|old| like(&part, &old))
                .and_then(|()| File::open(&part)?.sync_all())
                .and_then(|()| std::fs::rename(&part, kept))
                .map_err(|error| cannot(&error))
        });
        if named.is_err() {
            let _half = std::fs::remove_file(&part);
        }
        named?;
    }
    sync_folder(target).map_err(|error| cannot(&error))
}

/// A process that has the old database open goes on with it under its new name, and
/// nobody else will ever see what it writes.
fn left_behind(target: &Path, kept: &Path) -> Vec<String> {
    let warning = |Holder { name, pid }: Holder| {
        format!(
            "{name} (process {pid}) still has the old database open, which is {} now: restart it",
            kept.display()
        )
    };
    let name = target.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
    let old: Vec<_> = daemon::identity(kept).into_iter().collect();
    daemon::holding(&old, name).into_iter().map(warning).collect()
}

fn copy_aside(live: &Connection, part: &Path) -> rusqlite::Result<()> {
    let mut aside = Connection::open(part)?;
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

/// Gives a file the mode and, where that is allowed, the owner of another one.
fn like(file: &Path, other: &Metadata) -> std::io::Result<()> {
    // The owner first: a change of it clears the set-id bits.
    let _without_privilege = std::os::unix::fs::chown(file, Some(other.uid()), Some(other.gid()));
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(other.mode() & 0o7777))
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

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
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
