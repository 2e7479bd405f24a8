//! Brings what was committed to the replica, and knows when it is there: through
//! the daemon's control socket, by watching a daemon without one, or by
//! replicating once where none runs. Nothing sleeps a fixed time.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::code::Code;
use crate::config::Purpose;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::litestream::child::{self, Limit, Output};
use crate::litestream::daemon::{self, Presence, ReadLock};
use crate::litestream::ltx::local_txid;
use crate::litestream::once;
use crate::litestream::runtime;
use crate::litestream::sound;
use crate::litestream::txid::Txid;
use crate::project::Database;
use crate::stop::Stop;

/// The method of a sync that had nobody to ask.
pub(crate) const NONE: &str = "none";

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Whose.
    pub database: Database,
    /// A replica that has only reached this is not enough.
    pub after: Option<Txid>,
    /// Ask a daemon or nobody: `replicate -once` writes to the database.
    pub read_only: bool,
}

/// What a sync reached.
#[derive(Debug, Clone)]
pub(crate) struct Synced {
    /// `socket`, `once`, `polling` or [`NONE`].
    pub method: &'static str,
    /// The replica is known to hold all that was committed before the request.
    pub certain: bool,
    /// The replica's transaction.
    pub txid: Option<Txid>,
    /// From the request until the replica had it.
    pub lag: Duration,
    /// What the user has to know about the daemon.
    pub warning: Option<String>,
}

impl Synced {
    fn by(method: &'static str, certain: bool, txid: Option<Txid>, started: Instant) -> Self {
        Self { method, certain, txid, lag: started.elapsed(), warning: None }
    }
}

/// Waits until the replica holds what is committed in the database.
///
/// Fails with the code `timeout` at the deadline.
pub(crate) async fn sync(
    session: Arc<Session>,
    wanted: Wanted,
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
    wanted: &Wanted,
    deadline: Instant,
) -> Result<Synced> {
    let Wanted { database, after, read_only } = wanted;
    let started = Instant::now();
    for control in runtime::controls(session) {
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
            // Where nothing replicates it, waiting longer would show nothing more.
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

/// Whether a litestream replicates the database.
pub(super) async fn presence(database: &Database) -> Presence {
    let path = database.path.clone();
    let found = tokio::task::spawn_blocking(move || daemon::presence(&path)).await;
    found.unwrap_or(Presence::Unknown)
}

/// The error where somebody who cannot be seen has the database open, and it cannot be
/// told whether that is a litestream.
pub(super) fn unseen(database: &Database) -> Error {
    Error::new(Code::Busy, format!(
        "{} is open in another container, and whether a litestream replicates it there cannot be seen from here",
        database.name()
    ))
    .hint(
        "run lsrun where litestream runs, or let both see its control socket: litestream.socket: {enabled: true, path: …} on a volume that they share",
    )
}

/// Everything about replication that can be known to be in the way before anything is
/// written: variables that are not set, and a daemon that was told to leave the
/// database alone, as what is written then litestream 0.5.17 may never replicate.
///
/// A daemon that gives no answer within `timeout` is no failure here.
pub(crate) async fn check(session: &Session, database: &Database, timeout: Duration) -> Result<()> {
    let purpose = Purpose::Once { database: database.path.clone() };
    session.config()?.for_child(&purpose, &session.environment)?;
    for control in runtime::controls(session) {
        if let Err(error) = control.replicates(&database.path, timeout).await
            && let Some(error) = error.explain(&database.name())
        {
            return Err(error);
        }
    }
    Ok(())
}

/// A warning where the daemon that replicates the database has lost its read lock.
///
/// Nothing is written, and the verdict on the backup does not rest on it: what the
/// daemon misses from now on is in no file that could be looked at.
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

/// A daemon that finds nothing new writes nothing: after two of its rounds what it has
/// is current.
fn rounds(session: &Session, database: &Database) -> Result<Duration> {
    Ok(session.config()?.monitor_interval(database) * 2 + Duration::from_millis(250))
}

/// Watches the daemon's local files until it has looked at the database since the
/// request, then the replica until it has what the daemon had.
async fn poll(
    session: &Session,
    database: &Database,
    after: Option<Txid>,
    started: Instant,
    deadline: Instant,
) -> Result<Synced> {
    let config = session.config()?;
    let meta = config.meta_path(database);
    let before = local_txid(&meta).max(after);
    // A caller who names a transaction knows better than its rounds.
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
async fn until_replicated(
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

/// Growing pauses between looks, from 5 to 250 milliseconds.
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Duration::from_millis(5))
    }
}

impl Pause {
    /// Fails with `late` when the next look would be behind the deadline.
    pub(super) async fn wait(
        &mut self,
        session: &Session,
        deadline: Instant,
        late: impl FnOnce() -> Error,
    ) -> Result<()> {
        if Instant::now() + self.0 > deadline {
            return Err(late());
        }
        tokio::select! {
            () = tokio::time::sleep(self.0) => {}
            signal = session.stop.stopped() => return Err(Stop::error(signal)),
        }
        self.0 = (self.0 * 2).min(Duration::from_millis(250));
        Ok(())
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

/// What is wrong with this machine, and not with a backup.
const LOCAL: [&str; 7] = [
    "no space left",
    "disk quota exceeded",
    "file too large",
    "read-only file system",
    "permission denied",
    "too many open files",
    "cannot allocate memory",
];

/// The error of a litestream that failed, under the code that says whose fault it
/// is. The messages are those of litestream 0.5.17.
#[must_use]
pub(crate) fn explain(output: &Output, what: &str) -> Error {
    let failed = output.failure(what);
    let said = format!("{}\n{}", output.stderr, output.stdout);
    let any = |needles: &[&str]| needles.iter().any(|needle| said.contains(needle));
    // A signal, such as that of a system that is out of memory: whatever litestream
    // said before says nothing about the backup.
    if output.code.is_none() {
        return failed
            .with_code(Code::Inconclusive)
            .hint("something killed litestream: check the system's log");
    }
    if any(&["no matching backup", "timestamp does not exist", "no backup found"]) {
        return failed.with_code(Code::NotFound).hint("lsrun ltx shows what the replica holds");
    }
    if any(&["SignatureDoesNotMatch", "InvalidAccessKeyId", "AccessDenied", "StatusCode: 403"]) {
        return failed
            .with_code(Code::Unreachable)
            .hint("the storage refuses the credentials: check the keys and the clock");
    }
    if any(&["NoSuchBucket", "StatusCode: 404"]) {
        return failed
            .with_code(Code::Unreachable)
            .hint("the bucket does not exist: check its name");
    }
    if any(&["failed to refresh cached credentials", "no EC2 IMDS role"]) {
        return failed
            .with_code(Code::Unreachable)
            .hint("no credentials: set LITESTREAM_ACCESS_KEY_ID and LITESTREAM_SECRET_ACCESS_KEY");
    }
    if any(&["connection refused", "no such host", "maximum number of attempts", "i/o timeout"]) {
        return failed
            .with_code(Code::Unreachable)
            .hint("the replica does not answer: check its address");
    }
    if any(&LOCAL) {
        return failed.with_code(Code::Io);
    }
    if any(&["SQLITE_BUSY", "database is locked"]) {
        return failed.with_code(Code::Busy).hint("another process holds the database locked");
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_the_storage_is_told_from_a_bad_backup() {
        let output =
            |stderr: &str| Output { stdout: String::new(), stderr: stderr.into(), code: Some(1) };
        let code = |stderr: &str| explain(&output(stderr), "restore").code().as_str();
        assert_eq!(code("Error: no matching backup files available"), "not-found");
        assert_eq!(code("Error: StatusCode: 403 SignatureDoesNotMatch"), "unreachable");
        assert_eq!(code("Error: decode database: unexpected EOF"), "litestream");
        assert_eq!(code("Error: write x: no space left on device"), "io");
        let killed = Output { stdout: String::new(), stderr: String::new(), code: None };
        assert_eq!(explain(&killed, "restore").code().as_str(), "inconclusive");
    }
}
