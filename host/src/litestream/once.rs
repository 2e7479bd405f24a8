//! `litestream replicate -once`, and what has to be done before any litestream begins
//! to replicate a database, so that nothing is left out of its backup.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::code::Code;
use crate::config::Purpose;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::litestream::child::{self, Limit};
use crate::litestream::daemon::{self, Control, Presence};
use crate::litestream::feature::{self, Feature};
use crate::litestream::gap::{self, Hold, Outlook};
use crate::litestream::ltx::local_txid;
use crate::litestream::sync::{self, Pause, explain};
use crate::litestream::txid::Txid;
use crate::project::Database;
use crate::stop::Stop;

/// How long a `-once` may take that nobody has given a time.
const UPLOAD: Duration = Duration::from_secs(600);
/// How long another lsrun may take that replicates once.
const OTHERS: Duration = Duration::from_secs(120);

/// Replicates what is committed and gives the transaction that the replica then has.
pub(super) async fn replicate(
    session: &Session,
    database: &Database,
    deadline: Instant,
) -> Result<Option<Txid>> {
    let prepared = Prepared::of(session, database, deadline).await?;
    // One may have come since it was looked for.
    if sync::presence(database).await != Presence::Nobody {
        return Err(sync::unseen(database));
    }
    run(session, database, deadline).await?;
    prepared.finish(session, deadline).await?;
    Ok(local_txid(&session.config()?.meta_path(database)))
}

/// Whether somebody who cannot be seen reads the database all the time, as a litestream
/// in another container does.
pub(crate) async fn replicates_unseen(database: &Path) -> bool {
    let path = database.to_owned();
    let found = tokio::task::spawn_blocking(move || daemon::replicates_unseen(&path)).await;
    found.unwrap_or(true)
}

async fn run(session: &Session, database: &Database, deadline: Instant) -> Result<()> {
    feature::require(&session.binary().await?.version, Feature::Once)?;
    let purpose = Purpose::Once { database: database.path.clone() };
    let private = session.config()?.for_child(&purpose, &session.environment)?;
    let arguments = [OsStr::new("replicate"), OsStr::new("-once")];
    let output = child::capture(session, &arguments, Some(private), Limit::At(deadline)).await?;
    if output.code != Some(0) {
        return Err(explain(&output, &format!("replicate {}", database.name())));
    }
    Ok(())
}

/// A database that litestream can replicate with nothing left out.
pub(crate) struct Prepared {
    database: Database,
    state: PathBuf,
    outlook: Outlook,
    turn: Turn,
}

/// Prepares these databases, which nobody else replicates, for a `replicate -once` of
/// all of them.
pub(crate) async fn prepare(session: &Session, databases: &[Database]) -> Result<Vec<Prepared>> {
    let mut prepared = Vec::new();
    for database in databases.iter().filter(|database| database.path.exists()) {
        let mut one = Prepared::of(session, database, Instant::now() + OTHERS).await?;
        if prepared.len() >= most_held() {
            one.turn = Turn { _lock: None };
        }
        prepared.push(one);
    }
    Ok(prepared)
}

/// Behind that `replicate -once`: what has to be done again.
pub(crate) async fn finish(session: &Session, prepared: Vec<Prepared>) -> Result<()> {
    for one in prepared {
        one.finish(session, Instant::now() + UPLOAD).await?;
    }
    Ok(())
}

impl Prepared {
    async fn of(session: &Session, database: &Database, deadline: Instant) -> Result<Self> {
        if let Some(signal) = session.stop.signal() {
            return Err(Stop::error(signal));
        }
        let state = session.config()?.meta_path(database);
        let turn = Turn::take(session, database, &state, deadline).await?;
        let mut outlook = Outlook::of(&database.path, &state);
        if outlook.is_gap() {
            reveal(session, database, &state).await?;
            outlook = Outlook::Snapshot;
        }
        Ok(Self { database: database.clone(), state, outlook, turn })
    }

    async fn finish(self, session: &Session, deadline: Instant) -> Result<()> {
        if self.outlook.was_overtaken(&self.state) {
            reveal(session, &self.database, &self.state).await?;
            run(session, &self.database, deadline).await?;
        }
        Ok(())
    }

    /// None where there is nothing to hold any more. Fails where the database is too busy.
    async fn held(self, session: &Session) -> Result<Option<Held>> {
        let path = self.database.path.clone();
        let taken = tokio::task::spawn_blocking(move || Hold::take(&path)).await;
        let taken = taken.map_err(anyhow::Error::from).and_then(|it| it.map_err(Into::into));
        let hold = taken.map_err(|error| {
            Error::inconclusive(format!(
                "{}: what is written just now may be left out of its backup; lsrun verify shows whether it was",
                self.database.name()
            ))
            .cause(error)
        })?;
        let Some(hold) = hold else { return Ok(None) };
        // Its frame may have started the log anew.
        if Outlook::of(&self.database.path, &self.state).is_gap() {
            drop(hold);
            reveal(session, &self.database, &self.state).await?;
            return Ok(None);
        }
        Ok(Some(Held { path: self.database.path, _hold: hold, _turn: self.turn }))
    }
}

/// Makes litestream send the whole database.
async fn reveal(session: &Session, database: &Database, state: &Path) -> Result<()> {
    let (path, folder) = (database.path.clone(), state.to_owned());
    let done = tokio::task::spawn_blocking(move || gap::reveal(&path, &folder)).await;
    let what = format!(
        "{} was written, and its write-ahead log was restarted, while nothing replicated it",
        database.name()
    );
    if done.is_ok_and(|done| done) {
        session
            .notes
            .note(&format!("{what}: litestream sends it whole, as it would leave something out"));
        return Ok(());
    }
    Err(Error::new(Code::Busy, format!("{what}: litestream would leave something out"))
        .cause("the database is too busy to be made ready")
        .hint("run it again when the database is less busy"))
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
        session: &Session,
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
                .wait(session, deadline, || {
                    let name = database.name();
                    Error::new(Code::Timeout, format!("another lsrun replicates {name}"))
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

/// A database whose log stays as it is.
pub(crate) struct Held {
    path: PathBuf,
    _hold: Hold,
    _turn: Turn,
}

/// Before a daemon starts to replicate these databases: what it would leave out it
/// will see, and the logs stay as they are until [`until_seen`] lets them go.
///
/// What cannot be done is a warning: an application that waits for litestream has
/// to start nevertheless.
pub(crate) async fn hold(session: &Session, databases: &[Database]) -> Result<Vec<Held>> {
    let mut held = Vec::new();
    let most = most_held();
    let mut left = 0;
    for database in databases.iter().filter(|database| database.path.exists()) {
        let prepared = match Prepared::of(session, database, Instant::now() + OTHERS).await {
            Ok(prepared) => prepared,
            Err(error) if error.code() == Code::Busy => {
                session.notes.warning(&error.one_line());
                continue;
            }
            Err(error) => return Err(error),
        };
        if !prepared.outlook.goes_on() {
            continue;
        }
        if held.len() == most {
            left += 1;
            continue;
        }
        match prepared.held(session).await {
            Ok(one) => held.extend(one),
            Err(error) => session.notes.warning(&error.one_line()),
        }
    }
    if left > 0 {
        session.notes.note(&format!(
            "{left} of the databases are not guarded while litestream starts: too few files may be open (ulimit -n)"
        ));
    }
    Ok(held)
}

/// So many that litestream can still be started: each has the database, its log, its
/// index and a lock open, and asks the daemon.
fn most_held() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(4096, |limit| usize::try_from(limit / 16).unwrap_or(usize::MAX))
}

/// Lets each go when the daemon at this socket has looked at it.
pub(crate) async fn until_seen(held: Vec<Held>, socket: Option<PathBuf>) {
    /// How long a daemon without a socket may take to look.
    const FIRST_LOOK: Duration = Duration::from_secs(10);
    /// How long any daemon may take.
    const READY: Duration = Duration::from_secs(60);
    let Some(socket) = socket else { return tokio::time::sleep(FIRST_LOOK).await };
    let until = Instant::now() + READY;
    let looks = held.into_iter().map(|held| async {
        let held = held;
        let mut pause = Duration::from_millis(5);
        loop {
            if let Some(control) = Control::at(&socket)
                && control.look(&held.path, until).await.is_ok()
            {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(250));
        }
    });
    let _late = tokio::time::timeout(READY, join_all(looks)).await;
}
