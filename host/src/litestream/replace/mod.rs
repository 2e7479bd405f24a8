//! Puts a restored copy in the place of a database so that whoever looks at any
//! moment, also after a crash, finds the old database or the new one, whole.
//!
//! A daemon that replicates the database is stopped meanwhile, and started. It would
//! not survive another file under the name: litestream 0.5.17 remembers how far it
//! has read the write-ahead log, also from `stop` to `start`, and takes the new file
//! for the old one with some more changes; without its local state (`litestream
//! reset`) it fails for good. What is written through SQLite stays in the log for it.

mod daemon;
mod folder;
mod kept;
mod links;
mod rights;
mod swap;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::code::Code;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::litestream::daemon::{self as litestream, identity};
use crate::litestream::restore::{Copy, Place, Point, Request};
use crate::litestream::runtime;
use crate::litestream::txid::Txid;
use crate::path::Sidecar;
use crate::stop::Stop;
use swap::{Swap, Swapped};

pub(super) use daemon::settle;
pub(super) use folder::Folder;
pub(crate) use folder::refuse_special;
pub(super) use links::locate;
pub(super) use rights::Rights;

/// What was done.
#[derive(Debug, Clone)]
pub(crate) struct Replaced {
    /// The database as it now stands.
    pub path: PathBuf,
    /// The old one.
    pub kept: Option<PathBuf>,
    /// The last transaction that was restored; none for a backup of litestream 0.3,
    /// and for a kept database that was brought back.
    pub txid: Option<Txid>,
    /// The size of the database as it now stands.
    pub bytes: u64,
}

/// Puts the copy in place of its target.
///
/// An existing target needs `force` and must not be open elsewhere. It is kept as
/// `<name>.before-restore-<time>`.
pub(crate) async fn replace(session: Arc<Session>, copy: Copy, force: bool) -> Result<Replaced> {
    let Some(given) = copy.target.clone() else {
        return Err(Error::usage("the copy was restored without a target"));
    };
    // The file behind a link is replaced, not the link.
    let target = locate(&given)?;
    refuse_special(&target)?;
    let stands = std::fs::metadata(&target).is_ok_and(|metadata| metadata.len() > 0);
    if stands && !force {
        return Err(exists(&target));
    }
    if let Some(signal) = session.stop.signal() {
        return Err(Stop::error(signal));
    }
    if stands {
        // What is written while the daemon is stopped, litestream 0.5.17 may never
        // replicate: so an application that is seen to be there is no reason to stop it.
        let (target, even_if_in_use) = (target.clone(), copy.even_if_in_use);
        tokio::task::spawn_blocking(move || swap::refuse_in_use(&target, even_if_in_use, true))
            .await
            .map_err(broke_off)??;
    }
    let (txid, bytes) = (copy.txid, copy.bytes);
    let private = copy.path.parent().unwrap_or_else(|| Path::new("/"));
    let mut stopped = daemon::stop(&session, &given, &target, private).await?;
    // Its memory of a file that is gone would be applied to the new one.
    if let Some(stopped) = stopped.take_if(|stopped| !stands && stopped.left.txid > 0) {
        stopped.start(&session).await;
        return Err(remembered(&target));
    }
    swap::point(0);
    if let Some(signal) = session.stop.signal() {
        if let Some(stopped) = stopped {
            stopped.start(&session).await;
        }
        return Err(Stop::error(signal));
    }
    let job = Swap {
        target: target.clone(),
        force,
        replicated: stopped.is_some(),
        even_if_in_use: copy.even_if_in_use,
        keep: session.project.restore().keep,
    };
    let swapped = tokio::task::spawn_blocking(move || {
        let done = job.run(&copy.path);
        // Its folder has to stay until the daemon goes on: it holds the note of that.
        (done, copy)
    })
    .await;
    swap::point(7);
    let was_stopped = stopped.is_some();
    if let Some(stopped) = stopped {
        stopped.start(&session).await;
    }
    let (swapped, _folder) = swapped.map_err(broke_off)?;
    if was_stopped && swapped.is_err() {
        session.notes.note(
            "the daemon was stopped for a moment and goes on; lsrun verify shows whether its backup is right",
        );
    }
    let Swapped { kept, notes, warnings, guard } = swapped?;
    // Only now may the log be checkpointed.
    drop(guard);
    for note in notes {
        session.notes.note(&note);
    }
    for warning in warnings {
        session.notes.warning(&warning);
    }
    Ok(Replaced { path: target, kept, txid, bytes })
}

/// Fails as [`replace`] would, as far as that can be known without touching anything:
/// what is there and may not be replaced, or is in use. Blocks for half a second before
/// it fails.
pub(crate) async fn check_target(session: &Session, request: &Request, force: bool) -> Result<()> {
    let Some(given) = &request.target else { return Ok(()) };
    refuse_special(given)?;
    if !request.target_exists() {
        return Ok(());
    }
    let target = locate(given)?;
    if !force {
        return Err(exists(&target));
    }
    if let Some(pid) = litestream::running(&target).first()
        && runtime::controls(session).next().is_none()
    {
        return Err(busy(&target, format!("a litestream daemon (process {pid}) replicates it")));
    }
    let even_if_in_use = request.even_if_in_use;
    tokio::task::spawn_blocking(move || swap::refuse_in_use(&target, even_if_in_use, true))
        .await
        .map_err(broke_off)?
}

fn broke_off(error: tokio::task::JoinError) -> Error {
    Error::new(Code::Unexpected, "the swap broke off").cause(error)
}

/// A database that a restore has replaced.
pub(super) struct Kept {
    /// Where it lies.
    pub(super) path: PathBuf,
    /// What it is brought back to.
    target: PathBuf,
}

/// The newest one of the request's target.
pub(super) fn newest_kept(request: &Request) -> Result<Kept> {
    let Some(given) = &request.target else {
        return Err(Error::usage("a kept database is brought back to a target"));
    };
    let target = locate(given)?;
    // A second name of the database itself is what a killed restore has left.
    let own = identity(&target);
    let mut all = kept::all(&target);
    all.retain(|kept| identity(kept) != own);
    let Some(path) = all.pop() else {
        return Err(Error::new(
            Code::NotFound,
            format!("there is no kept copy of {}", target.display()),
        )
        .hint("restore -force keeps the database that it replaces"));
    };
    for sidecar in [Sidecar::Wal, Sidecar::Journal] {
        if std::fs::metadata(sidecar.of(&path)).is_ok_and(|it| it.len() > 0) {
            return Err(Error::new(
                Code::Sqlite,
                format!(
                    "{} was kept with a log that SQLite could not fold into it",
                    path.display()
                ),
            )
            .cause(sidecar.of(&path).display())
            .hint("copy both to another place and try sqlite3's .recover there"));
        }
    }
    Ok(Kept { path, target })
}

impl Kept {
    /// Its size, and when it was last written to.
    pub(super) fn point(&self) -> Point {
        let metadata = std::fs::metadata(&self.path).ok();
        let written = metadata.as_ref().and_then(|it| it.modified().ok());
        Point {
            txid: None,
            timestamp: written.and_then(|time| time.try_into().ok()),
            bytes: metadata.map(|it| it.len()),
        }
    }

    /// A copy of it, staged for [`replace`].
    pub(super) fn copy_to(self, path: PathBuf, request: Request, place: Place) -> Result<Copy> {
        let started = Instant::now();
        let from = self.open()?;
        folder::create(&path)
            .and_then(|mut to| std::io::copy(&mut &from, &mut to))
            .map_err(|error| io("copy", &self.path, &error))?;
        let written = from.metadata().and_then(|it| it.modified()).ok();
        let written = written.and_then(|time| time.try_into().ok());
        Ok(Copy::made(path, request, written, started.elapsed(), place))
    }

    /// Opens it with the rights of the one whose database it is: who can put a file of
    /// root's under its name must not get to read it.
    fn open(&self) -> Result<std::fs::File> {
        use std::os::unix::fs::MetadataExt;
        let failed = |error: std::io::Error| io("open", &self.path, &error);
        let folder = Folder::of(&self.path).map_err(failed)?;
        let held = |path: &Path| folder.at(&folder::name_of(path));
        let target = folder::Pinned::at(&held(&self.target), &self.target)?;
        let rights = Rights::in_folder(&folder, &self.target, target.as_ref())?;
        let path = held(&self.path);
        let file = rights.run(|| folder::open_regular(&path)).map_err(failed)?.map_err(failed)?;
        let kept = file.metadata().map_err(failed)?;
        // A restore gives what it keeps the owner and the mode of what it replaces.
        let alike = match &target {
            Some(target) => {
                let of = |it: &std::fs::Metadata| (it.uid(), it.mode() & 0o777);
                of(&kept) == of(&target.metadata)
            }
            None => kept.uid() == folder.owner().0,
        };
        match alike || folder.is_own() {
            true => Ok(file),
            false => Err(Error::new(Code::Io, format!(
                "{} was not kept by a restore as it is now",
                self.path.display()
            ))
            .cause("its owner or its mode is not that of the database, and others can rename files in its folder")
            .hint("examine the file; copy it to the database's path yourself, if it is what you want")),
        }
    }
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or_else(|| Path::new("/"))
}

fn io(what: &str, target: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::new(Code::Io, format!("cannot {what} {}", target.display())).cause(error)
}

fn busy(target: &Path, holder: String) -> Error {
    Error::new(Code::Busy, format!("{} is in use", target.display()))
        .cause(holder)
        .hint("stop what uses it, restore, and start it again")
}

/// The refusal where a daemon has replicated a database that is missing now.
fn remembered(target: &Path) -> Error {
    busy(target, "a litestream daemon remembers the database that was there".to_owned())
        .hint("stop the daemon, restore, and start it again")
}

/// The refusal to replace a database without `-force`.
fn exists(target: &Path) -> Error {
    Error::new(Code::Exists, format!("{} exists", target.display()))
        .hint("use -o FILE, or -force (the old one is kept)")
}
