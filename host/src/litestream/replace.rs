//! Puts a restored copy in the place of a database so that whoever looks at any
//! moment, also after a crash, finds the old database or the new one, whole.
//!
//! Where nobody replicates the database, the copy is renamed into place. Where a
//! running daemon does, that would damage the backup: litestream 0.5.17 remembers
//! how far it has read the write-ahead log, also from `stop` to `start`, and takes
//! the new file for the old one with some more changes; without its local state
//! (`litestream reset`) it fails for good. So the daemon is stopped, the content is
//! written through SQLite in one transaction, the log is left for the daemon to
//! read, and the daemon is started.

use std::fs::File;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::litestream::daemon::{self, Control, ControlError, Left};
use crate::litestream::restore::Copy;
use crate::litestream::runtime;
use crate::project::Database;
use crate::scratch::Scratch;

/// What SQLite keeps beside a database.
const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];
/// What stands between a database's name and the time in that of a kept one.
const KEPT: &str = ".before-restore-";
/// `20260131T120000.000Z`
const TIME_LENGTH: usize = 20;
/// How long a daemon may take to look at the new database.
const PATIENCE: Duration = Duration::from_secs(30);
/// A kept copy that is being written.
const PART: &str = ".part";

/// What was done.
#[derive(Debug)]
pub struct Replaced {
    /// The database as it now stands.
    pub path: PathBuf,
    /// The old one.
    pub kept: Option<PathBuf>,
}

/// Puts the copy in place of its target.
///
/// An existing target needs `force` and must not be open elsewhere. It is kept as
/// `<name>.before-restore-<time>`.
pub async fn replace(context: Arc<Context>, copy: Copy, force: bool) -> Result<Replaced> {
    let Some(given) = copy.target.clone() else {
        return Err(Error::usage("the copy was restored without a target").code("invalid"));
    };
    // The file behind a symbolic link is replaced, not the link.
    let target = std::fs::canonicalize(&given).unwrap_or_else(|_missing| given.clone());
    if target.is_dir() {
        return Err(Error::usage(format!("{} is a folder", target.display()))
            .hint("name the file that is to be written"));
    }
    let stands = std::fs::metadata(&target).is_ok_and(|metadata| metadata.len() > 0);
    if stands && !force {
        return Err(exists(&target));
    }
    let mut stopped = stop(&context, &given, &target).await?;
    // Its memory of a file that is gone would be applied to the new one.
    if let Some(stopped) = stopped.take_if(|stopped| !stands && stopped.left.txid > 0) {
        stopped.start(&context).await;
        return Err(remembered(&target));
    }
    let job = Swap {
        target: target.clone(),
        force,
        replicated: stopped.is_some(),
        even_if_in_use: copy.even_if_in_use,
        keep: context.project.restore().keep,
    };
    let swapped = tokio::task::spawn_blocking(move || {
        // All of it: its folder has to stay until the end.
        let copy = copy;
        job.run(&copy.path)
    })
    .await;
    if let Some(stopped) = stopped {
        stopped.start(&context).await;
    }
    let Swapped { kept, notes, guard } = swapped
        .map_err(|error| Error::new(Exit::Unexpected, "the swap broke off").cause(error))??;
    // Only now may the log be checkpointed.
    drop(guard);
    for note in notes {
        context.terminal.note(&note);
    }
    Ok(Replaced { path: target, kept })
}

/// Brings the newest kept database back; the present one is kept in turn.
pub async fn undo(context: Arc<Context>, database: &Database) -> Result<Replaced> {
    let given = database.path.clone();
    let target = std::fs::canonicalize(&given).unwrap_or_else(|_missing| given.clone());
    let Some(newest) = kept_ones(&target).pop() else {
        return Err(Error::inconclusive(format!("there is no kept copy of {}", target.display()))
            .code("not-found")
            .hint("restore -force keeps the database that it replaces"));
    };
    let scratch = Scratch::beside(&target)?;
    let path = scratch.path().join("restored.sqlite3");
    std::fs::copy(&newest, &path).map_err(|error| io("copy the kept one of", &target, &error))?;
    context.terminal.note(&format!("bringing {} back", newest.display()));
    replace(context, Copy::staged(path, given, scratch), true).await
}

/// A daemon that was told to leave a database alone.
struct Stopped {
    control: Control,
    path: PathBuf,
    left: Left,
}

impl Stopped {
    async fn start(self, context: &Context) {
        if !self.left.running {
            context.terminal.note("the daemon had been stopped for this database and stays so");
            return;
        }
        let started = match self.control.start(&self.path).await {
            // It opens the database when it first looks at it, and until then nothing
            // keeps others from checkpointing what it has not read.
            Ok(()) if !self.path.exists() => Ok(()),
            Ok(()) => self.control.sync(&self.path, PATIENCE).await.map(|_synced| ()),
            Err(error) => Err(error),
        };
        if let Err(error) = started {
            let error = match error {
                ControlError::NotThere => "it is gone".to_owned(),
                ControlError::Refused(error) => error.one_line(),
            };
            context.terminal.warning(&format!(
                "the litestream daemon does not replicate {} again: {error}; run: lsrun start {}",
                self.path.display(),
                self.path.display()
            ));
        }
    }
}

/// Stops the daemon that replicates the target, if there is one.
async fn stop(context: &Context, given: &Path, target: &Path) -> Result<Option<Stopped>> {
    // Without a project there is no configured socket.
    let configured = context.config().ok().and_then(|config| config.socket());
    let sockets = configured.into_iter().chain(runtime::sockets(context));
    for control in sockets.filter_map(|socket| Control::at(&socket)) {
        for path in [given, target] {
            match control.stop(path).await {
                Ok(left) => {
                    return Ok(Some(Stopped { control, path: path.to_owned(), left }));
                }
                Err(ControlError::NotThere) => {}
                // It fails over the missing file.
                Err(ControlError::Refused(error)) if !target.exists() => {
                    return Err(remembered(target).cause(error.one_line()));
                }
                Err(ControlError::Refused(error)) => return Err(error),
            }
        }
    }
    match daemon::running(target).first() {
        Some(pid) => {
            Err(busy(target, format!("a litestream daemon (process {pid}) replicates it")))
        }
        None => Ok(None),
    }
}

/// What came of it.
struct Swapped {
    kept: Option<PathBuf>,
    notes: Vec<String>,
    /// Keeps the write-ahead log as it is until the daemon has read it.
    guard: Option<Connection>,
}

/// What is done with the files.
struct Swap {
    target: PathBuf,
    force: bool,
    replicated: bool,
    even_if_in_use: bool,
    keep: Option<u32>,
}

impl Swap {
    fn run(&self, copy: &Path) -> Result<Swapped> {
        let target = &self.target;
        // Two restores at once take turns. Gone with the process.
        let folder = File::open(target.parent().unwrap_or_else(|| Path::new("/")))
            .map_err(|error| io("open the folder of", target, &error))?;
        let _where_supported = folder.lock();
        let mut notes = tidy(target);
        let old = std::fs::metadata(target).ok().filter(|metadata| metadata.len() > 0);
        if let Some(metadata) = &old {
            // It may have come while this one waited.
            if !self.force {
                return Err(exists(target));
            }
            if !self.even_if_in_use {
                self.refuse_in_use()?;
            }
            like(copy, metadata).map_err(|error| io("keep the mode of", target, &error))?;
        }
        let kept_name = kept_name(target);
        let (kept, guard) = match &old {
            Some(metadata) if self.replicated => {
                let guard = self.through_sqlite(copy, metadata, &kept_name)?;
                (Some(kept_name), Some(guard))
            }
            _ => (self.by_rename(copy, old.is_some(), kept_name)?, None),
        };
        if let (Some(_), Some(keep)) = (&kept, self.keep) {
            notes.extend(retain(target, keep));
        }
        Ok(Swapped { kept, notes, guard })
    }

    fn refuse_in_use(&self) -> Result<()> {
        // The daemon that was stopped may keep the file open.
        let holders = daemon::holders(&self.target).into_iter();
        let mut holders = holders.filter(|holder| !(self.replicated && holder.is_litestream()));
        match holders.next() {
            None => Ok(()),
            Some(holder) => {
                let cause = format!("{} (process {}) has it open", holder.name, holder.pid);
                Err(busy(&self.target, cause))
            }
        }
    }

    fn by_rename(&self, copy: &Path, stands: bool, kept: PathBuf) -> Result<Option<PathBuf>> {
        let target = &self.target;
        abort_at(1);
        if stands {
            set_aside(target, &kept)?;
        }
        abort_at(2);
        // Left by a database that is gone, they would be replayed into the new one.
        for suffix in SIDECARS {
            let sidecar = with_suffix(target, suffix);
            if sidecar.exists() {
                std::fs::rename(&sidecar, with_suffix(&kept, suffix))
                    .map_err(|error| io("move a sidecar aside for", target, &error))?;
            }
        }
        abort_at(3);
        File::open(copy)
            .and_then(|file| file.sync_all())
            .map_err(|error| io("sync the copy for", target, &error))?;
        abort_at(4);
        std::fs::rename(copy, target).map_err(|error| io("replace", target, &error))?;
        abort_at(5);
        sync_folder(target).map_err(|error| io("sync the folder of", target, &error))?;
        abort_at(6);
        Ok(stands.then_some(kept))
    }

    /// Writes the content in one transaction, which is there whole or not at all.
    fn through_sqlite(
        &self,
        copy: &Path,
        old: &std::fs::Metadata,
        kept: &Path,
    ) -> Result<Connection> {
        let target = &self.target;
        let part = with_suffix(kept, PART);
        let failed = |error: &rusqlite::Error| {
            if is_busy(error) {
                busy(target, error.to_string())
            } else {
                io("replace", target, error)
            }
        };
        abort_at(1);
        let mut live = self.exclusively().map_err(|error| failed(&error))?;
        abort_at(2);
        Connection::open(&part)
            .and_then(|mut aside| {
                all_pages(&live, &mut aside)?;
                aside.close().map_err(|(_connection, error)| error)
            })
            .map_err(|error| failed(&error))?;
        abort_at(3);
        like(&part, old)
            .and_then(|()| File::open(&part)?.sync_all())
            .and_then(|()| std::fs::rename(&part, kept))
            .and_then(|()| sync_folder(target))
            .map_err(|error| io("keep the old one of", target, &error))?;
        abort_at(4);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let written = Connection::open_with_flags(copy, flags)
            .and_then(|source| all_pages(&source, &mut live));
        if let Err(error) = written {
            // Nothing was replaced, so nothing is kept.
            let _left = std::fs::remove_file(kept);
            return Err(failed(&error).hint("stop the daemon, restore, and start it again"));
        }
        abort_at(5);
        // Others may read and write again, and a reader keeps the log from being
        // taken from the start.
        live.pragma_update(None, "locking_mode", "NORMAL")
            .and_then(|()| live.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema"))
            .map_err(|error| failed(&error))?;
        abort_at(6);
        Ok(live)
    }

    /// A connection that nobody else has beside it, and that leaves the log as it
    /// is: what is checkpointed now, the daemon never sees.
    fn exclusively(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let live = Connection::open_with_flags(&self.target, flags)?;
        live.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // Before it is exclusive, so that it can be shared again.
        live.query_row("SELECT count(*) FROM sqlite_schema", [], |_row| Ok(()))?;
        live.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        live.execute_batch("BEGIN EXCLUSIVE; COMMIT")?;
        live.pragma_update(None, "wal_autocheckpoint", 0)?;
        live.pragma_update(None, "synchronous", "FULL")?;
        Ok(live)
    }
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

/// Removes what a restore that was killed has left, and says so.
fn tidy(target: &Path) -> Vec<String> {
    let mut notes = Vec::new();
    let inode = std::fs::metadata(target).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    for path in kept_ones(target) {
        // The second name was given, and the database not replaced.
        let own = std::fs::metadata(&path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        if own.is_some() && own == inode && std::fs::remove_file(&path).is_ok() {
            notes.push(format!(
                "an earlier restore broke off before it replaced the database; removed {}",
                path.display()
            ));
        }
    }
    for path in beside(target, |rest| rest.ends_with(PART)) {
        if std::fs::remove_file(&path).is_ok() {
            notes.push(format!(
                "an earlier restore broke off while it kept the database; removed {}",
                path.display()
            ));
        }
    }
    notes
}

/// Removes all kept databases but the newest ones; the newest is never removed.
fn retain(target: &Path, keep: u32) -> Vec<String> {
    let kept = kept_ones(target);
    let keep = usize::try_from(keep).unwrap_or(usize::MAX).max(1);
    let mut notes = Vec::new();
    for old in kept.iter().take(kept.len().saturating_sub(keep)) {
        if std::fs::remove_file(old).is_ok() {
            notes.push(format!("removed {} (restore.keep: {keep})", old.display()));
        }
        for suffix in SIDECARS {
            let _mostly_missing = std::fs::remove_file(with_suffix(old, suffix));
        }
    }
    notes
}

/// The kept databases, oldest first.
fn kept_ones(target: &Path) -> Vec<PathBuf> {
    beside(target, |time| time.len() == TIME_LENGTH && time.ends_with('Z'))
}

/// The files beside the target that have its name, [`KEPT`], and a fitting rest.
fn beside(target: &Path, fits: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Some(folder) = target.parent() else { return Vec::new() };
    let Some(name) = target.file_name().and_then(std::ffi::OsStr::to_str) else {
        return Vec::new();
    };
    let prefix = format!("{name}{KEPT}");
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            name.to_str().and_then(|name| name.strip_prefix(&prefix)).is_some_and(&fits)
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// Gives a file the mode and, where that is allowed, the owner of another one.
fn like(file: &Path, other: &std::fs::Metadata) -> std::io::Result<()> {
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(other.mode() & 0o7777))?;
    let _without_privilege = std::os::unix::fs::chown(file, Some(other.uid()), Some(other.gid()));
    Ok(())
}

fn io(what: &str, target: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::inconclusive(format!("cannot {what} {}", target.display())).code("io").cause(error)
}

fn busy(target: &Path, holder: String) -> Error {
    Error::inconclusive(format!("{} is in use", target.display()))
        .code("busy")
        .cause(holder)
        .hint("stop what uses it, restore, and start it again")
}

/// The refusal where a daemon has replicated a database that is missing now.
fn remembered(target: &Path) -> Error {
    busy(target, "a litestream daemon remembers the database that was there".to_owned())
        .hint("stop the daemon, restore, and start it again")
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Ends the process as if it had been killed, where a test says so.
#[cfg(debug_assertions)]
fn abort_at(point: u32) {
    if std::env::var("LSRUN_TEST_ABORT_AT").is_ok_and(|wanted| wanted == point.to_string()) {
        std::process::abort();
    }
}

#[cfg(not(debug_assertions))]
fn abort_at(_point: u32) {}

/// The refusal to replace a database without `-force`.
#[must_use]
pub fn exists(target: &Path) -> Error {
    Error::new(Exit::Inconclusive, format!("{} exists already", target.display()))
        .code("exists")
        .hint("restore to another file with -o, or replace it with -force (the old one is kept)")
}

/// Gives the database a second name, after folding its log into it.
fn set_aside(target: &Path, kept: &Path) -> Result<()> {
    fold(target).map_err(|error| busy(target, error.to_string()))?;
    std::fs::hard_link(target, kept)
        .or_else(|_no_links| std::fs::copy(target, kept).map(|_bytes| ()))
        .and_then(|()| sync_folder(target))
        .map_err(|error| {
            Error::inconclusive(format!("cannot keep the old database as {}", kept.display()))
                .code("io")
                .cause(error)
        })
}

/// Makes the database one file. Fails when another connection is open. What is
/// not a database any more is left as it is.
fn fold(target: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let exclusive = || -> rusqlite::Result<()> {
        let connection = Connection::open_with_flags(target, flags)?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.execute_batch("BEGIN EXCLUSIVE; COMMIT")?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_row| Ok(()))?;
        connection.close().map_err(|(_connection, error)| error)
    };
    match exclusive() {
        Err(error) if is_busy(&error) => Err(error),
        _ => Ok(()),
    }
}

fn kept_name(target: &Path) -> PathBuf {
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ").to_string();
    with_suffix(target, &format!("{KEPT}{time}"))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn sync_folder(file: &Path) -> std::io::Result<()> {
    File::open(file.parent().unwrap_or_else(|| Path::new("/")))?.sync_all()
}
