//! Watching a daemon's local files and the replica, when no socket answers.

use std::ffi::OsStr;
use std::time::{Duration, Instant};

use crate::code::Code;
use crate::config::Purpose;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::litestream::process::child;
use crate::litestream::process::limit::Limit;
use crate::litestream::process::said::explain;
use crate::litestream::replica::ltx::local_txid;
use crate::litestream::replica::txid::Txid;
use crate::litestream::sync::pause::Pause;
use crate::litestream::sync::request::Synced;
use crate::project::Database;

/// A daemon that finds nothing new writes nothing: after two of its rounds what it has
/// is current.
pub(crate) fn rounds(session: &Session, database: &Database) -> Result<Duration> {
    Ok(session.config()?.monitor_interval(database) * 2 + Duration::from_millis(250))
}

/// Watches the daemon's local files until it has examined the database since the
/// request, then the replica until it has what the daemon had.
pub(crate) async fn poll(
    session: &Session,
    database: &Database,
    after: Option<Txid>,
    started: Instant,
    deadline: Instant,
) -> Result<Synced> {
    let config = session.config()?;
    let meta = config.meta_path(database);
    let before = local_txid(&meta).max(after);
    // A caller that names a transaction knows better than its rounds.
    let rounds = rounds(session, database)?;
    let mut pause = Pause::default();
    let target = loop {
        let now = local_txid(&meta);
        if now > before || (after.is_none() && started.elapsed() > rounds) {
            break now;
        }
        pause
            .wait(session, deadline, || {
                Error::new(Code::Timeout, "the daemon has not checked the database in time")
                    .hint("it may be stopped or stuck: check its log")
            })
            .await?;
    };
    let reached = until_replicated(session, database, target, deadline).await?;
    Ok(Synced::by("polling", false, reached, started))
}

/// Watches the replica until it has this transaction, or any.
pub(crate) async fn until_replicated(
    session: &Session,
    database: &Database,
    target: Option<Txid>,
    deadline: Instant,
) -> Result<Option<Txid>> {
    let mut pause = Pause::default();
    loop {
        let reached = replica_txid(session, database, deadline).await?;
        if reached.is_some() && reached >= target {
            return Ok(reached);
        }
        pause
            .wait(session, deadline, || {
                let at = reached.map_or("nothing".into(), |txid| format!("TXID {txid}"));
                let want = target.map_or("something".into(), |txid| format!("TXID {txid}"));
                Error::new(
                    Code::Timeout,
                    format!("the replica lags: it has {at}, the daemon {want}"),
                )
                .hint("check the daemon's log; allow more time with --timeout")
            })
            .await?;
    }
}

async fn replica_txid(
    session: &Session,
    database: &Database,
    deadline: Instant,
) -> Result<Option<Txid>> {
    let config = session.config()?;
    if let Some(folder) = config.replica(database)?.folder {
        return Ok(local_txid(&folder));
    }
    let purpose = Purpose::Read { database: Some(database.path.clone()) };
    let private = config.for_child(&purpose, &session.environment)?;
    let arguments = [
        OsStr::new("ltx"),
        OsStr::new("-json"),
        OsStr::new("-level"),
        OsStr::new("0"),
        database.path.as_os_str(),
    ];
    let output = child::capture(session, &arguments, Some(private), Limit::At(deadline)).await?;
    if output.code != Some(0) {
        return Err(explain(&output, &format!("list the replica of {}", database.name())));
    }
    let files = output.json().unwrap_or_default();
    let files = files.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(files.iter().filter_map(|file| file["max_txid"].as_str()?.parse().ok()).max())
}
