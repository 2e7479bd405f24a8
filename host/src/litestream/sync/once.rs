//! `litestream replicate -once`, and what has to be done before any litestream begins
//! to replicate a database, so that nothing is left out of its backup.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::code::Code;
use crate::config::Purpose;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::litestream::binary::feature::{self, Feature};
use crate::litestream::daemon::Presence;
use crate::litestream::process::child;
use crate::litestream::process::limit::Limit;
use crate::litestream::process::said::explain;
use crate::litestream::replica::ltx::local_txid;
use crate::litestream::replica::txid::Txid;
use crate::litestream::sync::outlook::Outlook;
use crate::litestream::sync::turn::{OTHERS, Turn};
use crate::litestream::sync::{reveal, unseen};
use crate::project::Database;
use crate::stop::Stop;

/// How long a `-once` without a given time may take.
const UPLOAD: Duration = Duration::from_secs(600);

/// Replicates what is committed and gives the transaction that the replica then has.
pub(crate) async fn replicate(
    session: &Session,
    database: &Database,
    deadline: Instant,
) -> Result<Option<Txid>> {
    let prepared = PreparedDatabase::of(session, database, deadline).await?;
    // One may have come since it was looked for.
    if unseen::presence(database).await != Presence::Nobody {
        return Err(unseen::unseen(database));
    }
    run(session, database, deadline).await?;
    prepared.finish(session, deadline).await?;
    Ok(local_txid(&session.config()?.meta_path(database)))
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
pub(crate) struct PreparedDatabase {
    pub(crate) database: Database,
    pub(crate) state: PathBuf,
    pub(crate) outlook: Outlook,
    pub(crate) turn: Turn,
}

/// Prepares these databases, which nobody else replicates, for a `replicate -once` of
/// all of them.
pub(crate) async fn prepare(
    session: &Session,
    databases: &[Database],
) -> Result<Vec<PreparedDatabase>> {
    let mut prepared = Vec::new();
    for database in databases.iter().filter(|database| database.path.exists()) {
        let mut one = PreparedDatabase::of(session, database, Instant::now() + OTHERS).await?;
        if prepared.len() >= most_held() {
            one.turn = Turn::free();
        }
        prepared.push(one);
    }
    Ok(prepared)
}

/// After that `replicate -once`: what has to be done again.
pub(crate) async fn finish(session: &Session, prepared: Vec<PreparedDatabase>) -> Result<()> {
    for one in prepared {
        one.finish(session, Instant::now() + UPLOAD).await?;
    }
    Ok(())
}

impl PreparedDatabase {
    pub(crate) async fn of(
        session: &Session,
        database: &Database,
        deadline: Instant,
    ) -> Result<Self> {
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
}

/// Makes litestream send the whole database.
pub(crate) async fn reveal(session: &Session, database: &Database, state: &Path) -> Result<()> {
    let (path, folder) = (database.path.clone(), state.to_owned());
    let done = tokio::task::spawn_blocking(move || reveal::reveal(&path, &folder)).await;
    let what = format!(
        "{} was written, and its write-ahead log was restarted, while nothing replicated it",
        database.name()
    );
    if done.is_ok_and(|done| done) {
        session
            .notes
            .note(&format!("{what}: litestream sends the whole database, since it would otherwise leave something out"));
        return Ok(());
    }
    Err(Error::new(Code::Busy, format!("{what}: litestream would leave something out"))
        .cause("the database is too busy to be prepared")
        .hint("run it again when the database is less busy"))
}

/// As many as leave room to start litestream: each has the database, its log, its
/// index and a lock open, and asks the daemon.
pub(crate) fn most_held() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(4096, |limit| usize::try_from(limit / 16).unwrap_or(usize::MAX))
}
