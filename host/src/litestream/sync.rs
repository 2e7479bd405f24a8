//! Brings what was committed to the replica, and knows when it is there: through
//! the daemon's control socket, by watching a daemon without one, or by
//! replicating once where none runs. Nothing sleeps a fixed time.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::Purpose;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::litestream::child::{self, Limit, Output};
use crate::litestream::daemon::{self, Control};
use crate::litestream::feature::{self, Feature};
use crate::litestream::gap::{Hold, Outlook};
use crate::litestream::reach;
use crate::litestream::runtime;
use crate::litestream::txid::Txid;
use crate::project::Database;
use crate::stop::Stop;

/// The method of a sync that had nobody to ask.
pub const NONE: &str = "none";

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Whose.
    pub database: Database,
    /// A replica that has only reached this is not enough.
    pub after: Option<Txid>,
    /// Ask a daemon or nobody: `replicate -once` writes to the database.
    pub read_only: bool,
}

/// What a sync reached.
#[derive(Debug, Clone)]
pub struct Synced {
    /// `socket`, `once`, `polling` or [`NONE`].
    pub method: &'static str,
    /// The replica is known to hold all that was committed before the request.
    pub certain: bool,
    /// The replica's transaction.
    pub txid: Option<Txid>,
    /// From the request until the replica had it.
    pub lag: Duration,
}

/// Waits until the replica holds what is committed in the database.
///
/// Fails with the code `timeout` at the deadline.
pub async fn sync(context: Arc<Context>, wanted: Wanted, deadline: Instant) -> Result<Synced> {
    let Wanted { database, after, read_only } = wanted;
    let started = Instant::now();
    for control in runtime::controls(&context) {
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = tokio::select! {
            answer = control.sync(&database.path, left) => answer,
            signal = context.stop.stopped() => return Err(Stop::error(signal)),
        };
        match answer {
            Ok(synced) => {
                return Ok(Synced {
                    method: "socket",
                    certain: true,
                    txid: synced.reached(),
                    lag: started.elapsed(),
                });
            }
            Err(error) => {
                if let Some(error) = error.explain(&database.name()) {
                    return Err(error);
                }
            }
        }
    }
    if !daemon::running(&database.path).is_empty() {
        poll(&context, &database, after, started, deadline).await
    } else if read_only {
        Ok(Synced { method: NONE, certain: false, txid: None, lag: Duration::ZERO })
    } else {
        once(&context, &database, started, deadline).await
    }
}

/// Fails where a daemon was told to leave the database alone: what is written then,
/// litestream 0.5.17 may never replicate. Nothing is written, and who gives no answer
/// within `timeout` says nothing about it.
pub async fn refuse_stopped(
    context: &Context,
    database: &Database,
    timeout: Duration,
) -> Result<()> {
    for control in runtime::controls(context) {
        if let Err(error) = control.replicates(&database.path, timeout).await
            && let Some(error) = error.explain(&database.name())
        {
            return Err(error);
        }
    }
    Ok(())
}

async fn once(
    context: &Context,
    database: &Database,
    started: Instant,
    deadline: Instant,
) -> Result<Synced> {
    let state = context.config()?.meta_path(database);
    let outlook = Outlook::of(&database.path, &state);
    replicate_once(context, database, outlook.is_gap(), deadline).await?;
    if outlook.was_overtaken(&state) {
        replicate_once(context, database, true, deadline).await?;
    }
    Ok(Synced { method: "once", certain: true, txid: local_txid(&state), lag: started.elapsed() })
}

/// `replicate -once` of one database; with a `whole` snapshot behind a gap.
async fn replicate_once(
    context: &Context,
    database: &Database,
    whole: bool,
    deadline: Instant,
) -> Result<()> {
    feature::require(&context.binary().await?.version, Feature::Once)?;
    let purpose = Purpose::Once { database: database.path.clone() };
    let private = context.config()?.for_child(&purpose, &context.environment)?;
    let mut arguments = vec![OsStr::new("replicate"), OsStr::new("-once")];
    if whole {
        context.terminal.note(&format!(
            "{} was written and its log started anew while nothing replicated it: litestream would leave that out, so a whole snapshot goes to the replica",
            database.name()
        ));
        arguments.push(OsStr::new("-force-snapshot"));
    }
    let output = child::capture(context, &arguments, Some(private), Limit::At(deadline)).await?;
    if output.code != Some(0) {
        return Err(explain(&output, &format!("replicate {}", database.name())));
    }
    Ok(())
}

/// Keeps the logs of databases as they are until the litestream that starts meanwhile
/// has looked at them.
#[derive(Default)]
pub struct Holds {
    databases: Vec<PathBuf>,
    holds: Vec<Hold>,
}

impl Holds {
    /// Lets go when the daemon at this socket has looked at the databases.
    pub async fn until_seen(self, socket: Option<PathBuf>) {
        /// How long a daemon without a socket may take to look.
        const FIRST_LOOK: Duration = Duration::from_secs(10);
        /// How long a daemon may take to listen, and then to look.
        const READY: Duration = Duration::from_secs(60);
        if self.holds.is_empty() {
            return;
        }
        let Some(socket) = socket else { return tokio::time::sleep(FIRST_LOOK).await };
        let deadline = Instant::now() + READY;
        while Instant::now() < deadline {
            let Some(control) = Control::at(&socket) else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let mut seen = true;
            for database in &self.databases {
                seen &= control.look(database, READY).await.is_ok();
            }
            if seen {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Before a litestream begins to replicate these databases: brings those whole to
/// their replicas that it would take up behind a gap. The logs stay as they are
/// until what is given back is dropped.
///
/// What does not come through is a warning: an application that waits for litestream
/// has to start also while the replica is away.
pub async fn close_gaps(context: &Context, databases: &[Database]) -> Result<Holds> {
    /// How long the upload of a snapshot may take.
    const UPLOAD: Duration = Duration::from_secs(600);
    /// How long the replica's place may take to answer.
    const ANSWER: Duration = Duration::from_secs(5);
    let config = context.config()?;
    let mut holds = Holds::default();
    if feature::require(&context.binary().await?.version, Feature::ForceSnapshot).is_err() {
        return Ok(holds);
    }
    for database in databases {
        let state = config.meta_path(database);
        // A daemon that runs goes on in its own log.
        if last_transaction(&state).is_none() || !daemon::running(&database.path).is_empty() {
            continue;
        }
        let path = database.path.clone();
        let hold = tokio::task::spawn_blocking(move || Hold::take(&path)).await.ok().flatten();
        if let Some(hold) = hold {
            holds.databases.push(database.path.clone());
            holds.holds.push(hold);
        }
        if !Outlook::of(&database.path, &state).is_gap() {
            continue;
        }
        let closed = async {
            reach::reach(context, database, ANSWER).await?;
            replicate_once(context, database, true, Instant::now() + UPLOAD).await
        };
        if let Err(error) = closed.await {
            if context.stop.signal().is_some() {
                return Err(error);
            }
            context.terminal.warning(&format!(
                "the backup of {0} lacks what was written while nothing replicated it: {1}; when the replica answers, run: lsrun replicate -once -force-snapshot",
                database.name(),
                error.one_line()
            ));
        }
    }
    Ok(holds)
}

/// Watches the daemon's local files until it has looked at the database since the
/// request, then the replica until it has what the daemon had.
async fn poll(
    context: &Context,
    database: &Database,
    after: Option<Txid>,
    started: Instant,
    deadline: Instant,
) -> Result<Synced> {
    let config = context.config()?;
    let meta = config.meta_path(database);
    let before = local_txid(&meta).max(after);
    // A daemon that finds nothing new writes nothing: after two of its rounds
    // what it has is current. A caller who names a transaction knows better.
    let rounds = config.monitor_interval(database) * 2 + Duration::from_millis(250);
    let mut pause = Pause::default();
    let target = loop {
        let now = local_txid(&meta);
        if now > before || (after.is_none() && started.elapsed() > rounds) {
            break now;
        }
        pause
            .wait(context, deadline, || {
                Error::inconclusive("the daemon has not looked at the database in time")
                    .code("timeout")
                    .hint("it may be stopped or stuck: look at its log")
            })
            .await?;
    };
    let mut pause = Pause::default();
    loop {
        let reached = replica_txid(context, database, deadline).await?;
        if reached.is_some() && reached >= target {
            return Ok(Synced {
                method: "polling",
                certain: false,
                txid: reached,
                lag: started.elapsed(),
            });
        }
        pause
            .wait(context, deadline, || {
                let at = reached.map_or("nothing".into(), |txid| format!("TXID {txid}"));
                let want = target.map_or("something".into(), |txid| format!("TXID {txid}"));
                Error::inconclusive(format!("the replica lags: it has {at}, the daemon {want}"))
                    .code("timeout")
                    .hint("look at the daemon's log; allow more time with --timeout")
            })
            .await?;
    }
}

/// Growing pauses between looks, from 5 to 250 milliseconds.
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Duration::from_millis(5))
    }
}

impl Pause {
    async fn wait(
        &mut self,
        context: &Context,
        deadline: Instant,
        late: impl FnOnce() -> Error,
    ) -> Result<()> {
        if Instant::now() + self.0 > deadline {
            return Err(late());
        }
        tokio::select! {
            () = tokio::time::sleep(self.0) => {}
            signal = context.stop.stopped() => return Err(Stop::error(signal)),
        }
        self.0 = (self.0 * 2).min(Duration::from_millis(250));
        Ok(())
    }
}

/// The last transaction in a folder that holds `ltx/0/<min>-<max>.ltx` files:
/// the daemon's local state, or a file replica.
#[must_use]
pub fn local_txid(folder: &Path) -> Option<Txid> {
    last_transaction(folder).map(|(txid, _file)| txid)
}

/// The last transaction of such a folder and its file.
pub(super) fn last_transaction(folder: &Path) -> Option<(Txid, PathBuf)> {
    transactions(folder).max()
}

/// The file of a transaction in such a folder.
pub(super) fn transaction(folder: &Path, txid: Txid) -> Option<PathBuf> {
    transactions(folder).find(|(other, _file)| *other == txid).map(|(_txid, file)| file)
}

fn transactions(folder: &Path) -> impl Iterator<Item = (Txid, PathBuf)> {
    let entries = std::fs::read_dir(folder.join("ltx").join("0")).into_iter().flatten();
    entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        let (_, max) = name.to_str()?.strip_suffix(".ltx")?.split_once('-')?;
        Some((max.parse::<Txid>().ok()?, entry.path()))
    })
}

async fn replica_txid(
    context: &Context,
    database: &Database,
    deadline: Instant,
) -> Result<Option<Txid>> {
    let config = context.config()?;
    if let Some(folder) = config.replica(database)?.folder {
        return Ok(local_txid(&folder));
    }
    let purpose = Purpose::Read { database: Some(database.path.clone()) };
    let private = config.for_child(&purpose, &context.environment)?;
    let arguments = [
        OsStr::new("ltx"),
        OsStr::new("-json"),
        OsStr::new("-level"),
        OsStr::new("0"),
        database.path.as_os_str(),
    ];
    let output = child::capture(context, &arguments, Some(private), Limit::At(deadline)).await?;
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
pub fn explain(output: &Output, what: &str) -> Error {
    let error = output.failure(what);
    let said = format!("{}\n{}", output.stderr, output.stdout);
    let any = |needles: &[&str]| needles.iter().any(|needle| said.contains(needle));
    // A signal, such as that of a system that is out of memory: whatever litestream
    // said before says nothing about the backup.
    if output.code.is_none() {
        return error
            .code("inconclusive")
            .hint("something killed litestream: look at the system's log");
    }
    if any(&["no matching backup", "timestamp does not exist", "no backup found"]) {
        return error.code("not-found").hint("lsrun ltx shows what the replica holds");
    }
    if any(&["SignatureDoesNotMatch", "InvalidAccessKeyId", "AccessDenied", "StatusCode: 403"]) {
        return error
            .code("unreachable")
            .hint("the storage refuses the credentials: check the keys and the clock");
    }
    if any(&["NoSuchBucket", "StatusCode: 404"]) {
        return error.code("unreachable").hint("the bucket does not exist: check its name");
    }
    if any(&["failed to refresh cached credentials", "no EC2 IMDS role"]) {
        return error
            .code("unreachable")
            .hint("no credentials: set LITESTREAM_ACCESS_KEY_ID and LITESTREAM_SECRET_ACCESS_KEY");
    }
    if any(&["connection refused", "no such host", "maximum number of attempts", "i/o timeout"]) {
        return error.code("unreachable").hint("the replica does not answer: check its address");
    }
    if any(&LOCAL) {
        return error.code("io");
    }
    if any(&["SQLITE_BUSY", "database is locked"]) {
        return error.code("busy").hint("another process holds the database locked");
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_transaction_of_a_folder_is_read_from_its_file_names() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(local_txid(folder.path()), None);
        let level = folder.path().join("ltx/0");
        std::fs::create_dir_all(&level).unwrap();
        for name in [
            "0000000000000001-0000000000000009.ltx",
            "000000000000000a-000000000000000a.ltx",
            "000000000000000b-000000000000000b.ltx.tmp",
            "notes.txt",
        ] {
            std::fs::write(level.join(name), "").unwrap();
        }
        assert_eq!(local_txid(folder.path()), Some(Txid(10)));
    }

    #[test]
    fn a_refusal_of_the_storage_is_told_from_a_bad_backup() {
        let output =
            |stderr: &str| Output { stdout: String::new(), stderr: stderr.into(), code: Some(1) };
        let code = |stderr: &str| explain(&output(stderr), "restore").plugin_code();
        assert_eq!(code("Error: no matching backup files available"), "not-found");
        assert_eq!(code("Error: StatusCode: 403 SignatureDoesNotMatch"), "unreachable");
        assert_eq!(code("Error: decode database: unexpected EOF"), "litestream");
        assert_eq!(code("Error: write x: no space left on device"), "io");
        let killed = Output { stdout: String::new(), stderr: String::new(), code: None };
        assert_eq!(explain(&killed, "restore").plugin_code(), "inconclusive");
    }
}
