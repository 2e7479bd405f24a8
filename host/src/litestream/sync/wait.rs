//! Replicates what was committed, and knows when the replica has it: through
//! the daemon's control socket, by watching a daemon without one, or by
//! replicating once if none runs. There are no fixed sleeps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::code::Code;
use crate::config::Purpose;
use crate::error::Result;
use crate::litestream::daemon::{Presence, ReadLock, sockets};
use crate::litestream::replica::txid::Txid;
use crate::litestream::sync::request::{NONE, SyncRequest, Synced};
use crate::litestream::sync::unseen::{presence, unseen};
use crate::litestream::sync::watch::{poll, rounds, until_replicated};
use crate::litestream::sync::{once, sound};
use crate::litestream::{Session, daemon};
use crate::project::Database;
use crate::stop::Stop;

/// Waits until the replica holds what is committed in the database.
///
/// Fails with the code `timeout` at the deadline.
pub(crate) async fn sync(
    session: Arc<Session>,
    wanted: SyncRequest,
    deadline: Instant,
) -> Result<Synced> {
    let before = read_lock(&wanted.database).await;
    let mut synced = sync_somehow(&session, &wanted, deadline).await?;
    synced.warning = match before {
        Some(warning) => Some(warning),
        None => read_lock(&wanted.database).await,
    };
    Ok(synced)
}

async fn sync_somehow(
    session: &Arc<Session>,
    wanted: &SyncRequest,
    deadline: Instant,
) -> Result<Synced> {
    let SyncRequest { database, after, read_only } = wanted;
    let started = Instant::now();
    for control in sockets::controls(session) {
        let answer = tokio::select! {
            answer = control.sync(&database.path, deadline) => answer,
            signal = session.stop.stopped() => return Err(Stop::error(signal)),
        };
        match answer {
            Ok(answer) => {
                // Of a daemon that does not say what its replica has.
                let reached = match answer.replicated_txid {
                    Some(_) => answer.reached(),
                    None => {
                        until_replicated(session, database, Some(Txid(answer.txid)), deadline)
                            .await?
                    }
                };
                return Ok(Synced::by("socket", true, reached, started));
            }
            Err(error) => {
                if let Some(error) = error.explain(&database.name()) {
                    return Err(error);
                }
            }
        }
    }
    match presence(database).await {
        Presence::Daemon => poll(session, database, *after, started, deadline).await,
        Presence::Unknown => {
            // If nothing replicates it, waiting longer would show nothing more.
            let patience = rounds(session, database)? * 2 + UNSEEN;
            poll(session, database, *after, started, deadline.min(started + patience))
                .await
                .map_err(|error| match error.code() {
                    Code::Timeout => unseen(database).cause(error.one_line()),
                    _ => error,
                })
        }
        Presence::Nobody if *read_only => Ok(Synced::by(NONE, false, None, started)),
        Presence::Nobody => {
            sound::refuse_damaged(session, database, deadline).await?;
            let started = Instant::now();
            let txid = once::replicate(session, database, deadline).await?;
            Ok(Synced::by("once", true, txid, started))
        }
    }
}

/// What a daemon that cannot be seen may take beyond its own rounds.
const UNSEEN: Duration = Duration::from_secs(3);

/// Every obstacle to replication that can be known before anything is
/// written: variables that are not set, and a daemon that was told to leave the
/// database alone, as what is written then litestream 0.5.17 may never replicate.
///
/// A daemon that gives no answer within `timeout` is not a failure here.
pub(crate) async fn check(session: &Session, database: &Database, timeout: Duration) -> Result<()> {
    let purpose = Purpose::Once { database: database.path.clone() };
    session.config()?.for_child(&purpose, &session.environment)?;
    for control in sockets::controls(session) {
        if let Err(error) = control.replicates(&database.path, timeout).await
            && let Some(error) = error.explain(&database.name())
        {
            return Err(error);
        }
    }
    Ok(())
}

/// A warning if the daemon that replicates the database has lost its read lock.
///
/// Nothing is written, and the verdict on the backup does not depend on it: what the
/// daemon misses from now on is in no file that could be examined.
async fn read_lock(database: &Database) -> Option<String> {
    /// Longer than a checkpoint takes, during which the daemon is without it.
    const PATIENCE: Duration = Duration::from_millis(1500);
    let path = database.path.clone();
    let looked = tokio::task::spawn_blocking(move || daemon::read_lock(&path, PATIENCE));
    let Ok(ReadLock::Lost(pid)) = looked.await else { return None };
    let name = database.name();
    Some(format!(
        "the litestream daemon (process {pid}) has lost its read lock on {name}: what is written from now on may be missing from the backup, without an error. Restart the daemon, then run lsrun verify {name}; `litestream sync` takes the lock away, lsrun sync does not"
    ))
}
