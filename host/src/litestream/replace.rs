//! Puts a restored copy in the place of a database so that whoever looks at any
//! moment, also after a crash, finds the old database or the new one, whole.

use std::fs::File;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::litestream::daemon;
use crate::litestream::restore::Copy;

/// What SQLite keeps beside a database.
const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// What was done.
#[derive(Debug)]
pub struct Replaced {
    /// The database as it now stands.
    pub path: PathBuf,
    /// The old one.
    pub kept: Option<PathBuf>,
}

/// Renames the copy to its target.
///
/// An existing target needs `force` and must not be open elsewhere. It is kept as
/// `<name>.before-restore-<time>`: first its write-ahead log is folded into it, so
/// that it is one file; then it gets its second name; then one rename replaces it.
pub fn replace(copy: Copy, force: bool) -> Result<Replaced> {
    let Some(target) = copy.target.clone() else {
        return Err(Error::usage("the copy was restored without a target").code("invalid"));
    };
    // The file behind a symbolic link is replaced, not the link.
    let target = std::fs::canonicalize(&target).unwrap_or(target);
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        Error::inconclusive(format!("cannot {what} {}", target.display())).code("io").cause(error)
    };
    if target.is_dir() {
        return Err(Error::usage(format!("{} is a folder", target.display()))
            .hint("name the file that is to be written"));
    }
    let kept_name = kept_name(&target);
    let old = std::fs::metadata(&target).ok().filter(|metadata| metadata.len() > 0);
    let kept = match &old {
        None => None,
        Some(_) if !force => return Err(exists(&target)),
        Some(metadata) => {
            let copied = std::fs::Permissions::from_mode(metadata.mode() & 0o7777);
            std::fs::set_permissions(&copy.path, copied)
                .map_err(|error| failed("keep the mode of", &error))?;
            let _without_privilege =
                std::os::unix::fs::chown(&copy.path, Some(metadata.uid()), Some(metadata.gid()));
            Some(set_aside(&target, &kept_name)?)
        }
    };
    // Left by a database that is gone, they would be replayed into the new one.
    for suffix in SIDECARS {
        let sidecar = with_suffix(&target, suffix);
        if sidecar.exists() {
            std::fs::rename(&sidecar, with_suffix(&kept_name, suffix))
                .map_err(|error| failed("move a sidecar aside for", &error))?;
        }
    }
    File::open(&copy.path)
        .and_then(|file| file.sync_all())
        .map_err(|error| failed("sync the copy for", &error))?;
    std::fs::rename(&copy.path, &target).map_err(|error| failed("replace", &error))?;
    sync_folder(&target).map_err(|error| failed("sync the folder of", &error))?;
    Ok(Replaced { path: target, kept })
}

/// The refusal to replace a database without `-force`.
#[must_use]
pub fn exists(target: &Path) -> Error {
    Error::new(Exit::Inconclusive, format!("{} exists already", target.display()))
        .code("exists")
        .hint("restore to another file with -o, or replace it with -force (the old one is kept)")
}

/// Gives the database a second name, after folding its log into it.
fn set_aside(target: &Path, kept: &Path) -> Result<PathBuf> {
    let busy = |holder: String| {
        Error::inconclusive(format!("{} is in use", target.display()))
            .code("busy")
            .cause(holder)
            .hint("stop what uses it, restore, and start it again")
    };
    if let Some(pid) = daemon::running(target).first() {
        return Err(busy(format!("a litestream daemon (process {pid}) replicates it")));
    }
    fold(target).map_err(|error| busy(error.to_string()))?;
    std::fs::hard_link(target, kept)
        .or_else(|_no_links| std::fs::copy(target, kept).map(|_bytes| ()))
        .and_then(|()| sync_folder(target))
        .map_err(|error| {
            Error::inconclusive(format!("cannot keep the old database as {}", kept.display()))
                .code("io")
                .cause(error)
        })?;
    Ok(kept.to_owned())
}

/// Makes the database one file. Fails when another connection is open. What is
/// not a database any more is left as it is.
fn fold(target: &Path) -> rusqlite::Result<()> {
    use rusqlite::{Connection, ErrorCode, OpenFlags};
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let exclusive = || -> rusqlite::Result<()> {
        let connection = Connection::open_with_flags(target, flags)?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.execute_batch("BEGIN EXCLUSIVE; COMMIT")?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_row| Ok(()))?;
        connection.close().map_err(|(_connection, error)| error)
    };
    match exclusive() {
        Err(error)
            if matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
            ) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}

fn kept_name(target: &Path) -> PathBuf {
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ").to_string();
    with_suffix(target, &format!(".before-restore-{time}"))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn sync_folder(file: &Path) -> std::io::Result<()> {
    File::open(file.parent().unwrap_or_else(|| Path::new("/")))?.sync_all()
}
