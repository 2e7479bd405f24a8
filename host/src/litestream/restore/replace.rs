//! Puts a restored copy in place of a database so that
//! at any moment, even after a crash, either the old database or the new one is there, whole.
//!
//! A daemon that replicates the database is stopped meanwhile, and started. It would
//! not survive another file under the name: litestream 0.5.17 remembers how far it
//! has read the write-ahead log, also from `stop` to `start`, and treats the new file
//! as the old one with some more changes; without its local state (`litestream
//! reset`) it fails permanently. What is written through SQLite stays in the log for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::code::Code;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::litestream::daemon::{running, sockets};
use crate::litestream::replica::txid::Txid;
use crate::litestream::restore::copy::RestoredCopy;
use crate::litestream::restore::folder::refuse_special;
use crate::litestream::restore::links::locate;
use crate::litestream::restore::refusal::{busy, exists, remembered};
use crate::litestream::restore::request::Request;
use crate::litestream::restore::swap::{Swap, Swapped};
use crate::litestream::restore::{pause, swap};
use crate::stop::Stop;

/// What was done.
#[derive(Debug, Clone)]
pub(crate) struct Replaced {
    /// The database as it is now.
    pub path: PathBuf,
    /// The old one.
    pub kept: Option<PathBuf>,
    /// The last transaction that was restored; none for a backup of litestream 0.3,
    /// and for a kept database that was brought back.
    pub txid: Option<Txid>,
    /// The size of the database now.
    pub bytes: u64,
}

/// Puts the copy in place of its target.
///
/// An existing target needs `force` and must not be open elsewhere. It is kept as
/// `<name>.before-restore-<time>`.
pub(crate) async fn replace(
    session: Arc<Session>,
    copy: RestoredCopy,
    force: bool,
) -> Result<Replaced> {
    let Some(given) = copy.target.clone() else {
        return Err(Error::usage("the copy was restored without a target"));
    };
    // The target of a link is replaced, not the link.
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
    let mut stopped = pause::stop(&session, &given, &target, private).await?;
    // What it remembers of a file that is gone would be applied to the new one.
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
        // Its folder has to stay until the daemon continues: it holds the note of that.
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
            "the daemon was stopped briefly and replicates again; lsrun verify shows whether its backup is right",
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
    if let Some(pid) = running(&target).first()
        && sockets::controls(session).next().is_none()
    {
        return Err(busy(&target, format!("a litestream daemon (process {pid}) replicates it")));
    }
    let even_if_in_use = request.even_if_in_use;
    tokio::task::spawn_blocking(move || swap::refuse_in_use(&target, even_if_in_use, true))
        .await
        .map_err(broke_off)?
}

fn broke_off(error: tokio::task::JoinError) -> Error {
    Error::new(Code::Unexpected, "the swap ended unexpectedly").cause(error)
}
