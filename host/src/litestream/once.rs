//! `litestream replicate -once`, and what has to be done before any litestream begins
//! to replicate a database, so that nothing is left out of its backup.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::Purpose;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::litestream::child::{self, Limit};
use crate::litestream::daemon::{self, Control};
use crate::litestream::feature::{self, Feature};
use crate::litestream::gap::{Hold, Outlook};
use crate::litestream::ltx::{last_transaction, local_txid};
use crate::litestream::reach;
use crate::litestream::sync::{Pause, explain};
use crate::litestream::txid::Txid;
use crate::project::Database;

/// Replicates what is committed and gives the transaction that the replica then has.
pub(super) async fn replicate(
    context: &Context,
    database: &Database,
    deadline: Instant,
) -> Result<Option<Txid>> {
    let state = context.config()?.meta_path(database);
    let _turn = Turn::take(context, database, &state, deadline).await?;
    let outlook = Outlook::of(&database.path, &state);
    run(context, database, outlook.is_gap(), deadline).await?;
    if outlook.was_overtaken(&state) {
        run(context, database, true, deadline).await?;
    }
    Ok(local_txid(&state))
}

/// `replicate -once` of one database; with a `whole` snapshot behind a gap.
async fn run(context: &Context, database: &Database, whole: bool, deadline: Instant) -> Result<()> {
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

/// The right to replicate a database: of several lsrun one at a time has it. Two
/// litestream 0.5.17 that replicate one database at once write over each other's
/// files, and the backup may be damaged.
///
/// A lock on the folder of litestream's state, which ends with the process.
struct Turn {
    _lock: Option<File>,
}

impl Turn {
    async fn take(
        context: &Context,
        database: &Database,
        state: &Path,
        deadline: Instant,
    ) -> Result<Self> {
        make_folder(&database.path, state);
        // What cannot be opened is litestream's to complain about.
        let Ok(folder) = File::open(state) else { return Ok(Self { _lock: None }) };
        let mut pause = Pause::default();
        loop {
            match folder.try_lock() {
                Ok(()) => return Ok(Self { _lock: Some(folder) }),
                Err(TryLockError::WouldBlock) => {}
                // Some file systems have no such locks.
                Err(TryLockError::Error(_)) => return Ok(Self { _lock: None }),
            }
            pause
                .wait(context, deadline, || {
                    let name = database.name();
                    Error::inconclusive(format!("another lsrun replicates {name}"))
                        .code("timeout")
                        .hint("run it again later; allow more time with --timeout")
                })
                .await?;
        }
    }
}

/// Like litestream's own: with the mode and the owner of the database's folder.
fn make_folder(database: &Path, state: &Path) {
    let parent = database.parent().and_then(|folder| std::fs::metadata(folder).ok());
    let Some(parent) = parent.filter(|_| !state.exists()) else { return };
    let made = DirBuilder::new().recursive(true).mode(parent.mode() & 0o777).create(state);
    if made.is_ok() && rustix::process::geteuid().is_root() {
        let _stays = std::os::unix::fs::chown(state, Some(parent.uid()), Some(parent.gid()));
    }
}

/// Keeps the logs of databases as they are until the litestream that starts meanwhile
/// has looked at them.
#[derive(Default)]
pub struct Holds {
    databases: Vec<PathBuf>,
    holds: Vec<Hold>,
    turns: Vec<Turn>,
}

impl Holds {
    /// Lets go when the daemon at this socket has looked at the databases.
    pub async fn until_seen(self, socket: Option<PathBuf>) {
        /// How long a daemon without a socket may take to look.
        const FIRST_LOOK: Duration = Duration::from_secs(10);
        /// How long a daemon may take to listen, and then to look.
        const READY: Duration = Duration::from_secs(60);
        if self.databases.is_empty() {
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
    /// How long another lsrun may take that replicates once.
    const OTHERS: Duration = Duration::from_secs(120);
    /// How long the replica's place may take to answer.
    const ANSWER: Duration = Duration::from_secs(5);
    let config = context.config()?;
    let mut holds = Holds::default();
    if feature::require(&context.binary().await?.version, Feature::ForceSnapshot).is_err() {
        return Ok(holds);
    }
    for database in databases {
        // A daemon that runs goes on in its own log.
        if !database.path.exists() || !daemon::running(&database.path).is_empty() {
            continue;
        }
        let state = config.meta_path(database);
        let soon = Instant::now() + OTHERS;
        holds.turns.push(Turn::take(context, database, &state, soon).await?);
        if last_transaction(&state).is_none() {
            continue;
        }
        let path = database.path.clone();
        let hold = tokio::task::spawn_blocking(move || Hold::take(&path)).await.ok().flatten();
        holds.databases.push(database.path.clone());
        holds.holds.extend(hold);
        if !Outlook::of(&database.path, &state).is_gap() {
            continue;
        }
        let closed = async {
            reach::reach(context, database, ANSWER).await?;
            run(context, database, true, Instant::now() + UPLOAD).await
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
