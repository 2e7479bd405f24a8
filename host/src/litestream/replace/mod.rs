//! Puts a restored copy in the place of a database so that whoever looks at any
//! moment, also after a crash, finds the old database or the new one, whole.
//!
//! A daemon that replicates the database is stopped meanwhile, and started. It would
//! not survive another file under the name: litestream 0.5.17 remembers how far it
//! has read the write-ahead log, also from `stop` to `start`, and takes the new file
//! for the old one with some more changes; without its local state (`litestream
//! reset`) it fails for good. What is written through SQLite stays in the log for it.

mod daemon;
mod kept;
mod swap;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::litestream::daemon::identity;
use crate::litestream::restore::{Copy, Place, Point, Request};
use crate::litestream::txid::Txid;
use crate::stop::Stop;
use crate::suffix::with_suffix;
use swap::{Swap, Swapped};

pub(super) use daemon::settle;

/// What was done.
#[derive(Debug, Clone)]
pub struct Replaced {
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
pub async fn replace(context: Arc<Context>, copy: Copy, force: bool) -> Result<Replaced> {
    let Some(given) = copy.target.clone() else {
        return Err(Error::usage("the copy was restored without a target").code("invalid"));
    };
    let target = behind_links(&given);
    if target.is_dir() {
        return Err(Error::usage(format!("{} is a folder", target.display()))
            .hint("name the file that is to be written"));
    }
    let stands = std::fs::metadata(&target).is_ok_and(|metadata| metadata.len() > 0);
    if stands && !force {
        return Err(exists(&target));
    }
    if let Some(signal) = context.stop.signal() {
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
    let mut stopped = daemon::stop(&context, &given, &target, private).await?;
    // Its memory of a file that is gone would be applied to the new one.
    if let Some(stopped) = stopped.take_if(|stopped| !stands && stopped.left.txid > 0) {
        stopped.start(&context).await;
        return Err(remembered(&target));
    }
    swap::point(0);
    if let Some(signal) = context.stop.signal() {
        if let Some(stopped) = stopped {
            stopped.start(&context).await;
        }
        return Err(Stop::error(signal));
    }
    let job = Swap {
        target: target.clone(),
        force,
        replicated: stopped.is_some(),
        even_if_in_use: copy.even_if_in_use,
        keep: context.project.restore().keep,
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
        stopped.start(&context).await;
    }
    let (swapped, _folder) = swapped.map_err(broke_off)?;
    if was_stopped && swapped.is_err() {
        context.terminal.note(
            "the daemon was stopped for a moment and goes on; lsrun verify shows whether its backup is right",
        );
    }
    let Swapped { kept, notes, warnings, guard } = swapped?;
    // Only now may the log be checkpointed.
    drop(guard);
    for note in notes {
        context.terminal.note(&note);
    }
    for warning in warnings {
        context.terminal.warning(&warning);
    }
    Ok(Replaced { path: target, kept, txid, bytes })
}

fn broke_off(error: tokio::task::JoinError) -> Error {
    Error::new(Exit::Unexpected, "the swap broke off").cause(error)
}

/// A database that a restore has replaced.
pub(super) struct Kept {
    /// Where it lies.
    pub(super) path: PathBuf,
}

/// The newest one of the request's target.
pub(super) fn newest_kept(request: &Request) -> Result<Kept> {
    let Some(given) = &request.target else {
        return Err(Error::usage("a kept database is brought back to a target").code("invalid"));
    };
    let target = behind_links(given);
    // A second name of the database itself is what a killed restore has left.
    let own = identity(&target);
    let mut all = kept::all(&target);
    all.retain(|kept| identity(kept) != own);
    let Some(path) = all.pop() else {
        return Err(Error::inconclusive(format!("there is no kept copy of {}", target.display()))
            .code("not-found")
            .hint("restore -force keeps the database that it replaces"));
    };
    for suffix in ["-wal", "-journal"] {
        let sidecar = with_suffix(&path, suffix);
        if std::fs::metadata(&sidecar).is_ok_and(|it| it.len() > 0) {
            return Err(Error::inconclusive(format!(
                "{} was kept with a log that SQLite could not fold into it",
                path.display()
            ))
            .code("sqlite")
            .cause(sidecar.display())
            .hint("copy both to another place and try sqlite3's .recover there"));
        }
    }
    Ok(Kept { path })
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
        std::fs::copy(&self.path, &path).map_err(|error| io("copy", &self.path, &error))?;
        Ok(Copy::made(path, request, started.elapsed(), place))
    }
}

/// The file behind a symbolic link is replaced, not the link; also one that is
/// missing, where the link leads nowhere.
#[must_use]
pub fn behind_links(path: &Path) -> PathBuf {
    if let Ok(file) = std::fs::canonicalize(path) {
        return file;
    }
    let mut file = path.to_owned();
    // As many as Linux follows.
    for _ in 0..40 {
        let Ok(to) = std::fs::read_link(&file) else { break };
        file = file.parent().unwrap_or_else(|| Path::new("/")).join(to);
    }
    match (file.parent().map(std::fs::canonicalize), file.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => file,
    }
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

/// The refusal to replace a database without `-force`.
fn exists(target: &Path) -> Error {
    Error::new(Exit::Inconclusive, format!("{} exists already", target.display()))
        .code("exists")
        .hint("restore to another file with -o, or replace it with -force (the old one is kept)")
}
