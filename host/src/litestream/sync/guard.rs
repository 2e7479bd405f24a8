//! Keeping the logs of databases from being restarted while a daemon starts.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::code::Code;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::litestream::daemon::Control;
use crate::litestream::sync::hold::LogHold;
use crate::litestream::sync::once::{PreparedDatabase, most_held, reveal};
use crate::litestream::sync::outlook::Outlook;
use crate::litestream::sync::turn::{OTHERS, Turn};
use crate::project::Database;

/// None if there is nothing to hold any more. Fails if the database is too busy.
async fn held(prepared: PreparedDatabase, session: &Session) -> Result<Option<HeldLog>> {
    let path = prepared.database.path.clone();
    let taken = tokio::task::spawn_blocking(move || LogHold::take(&path)).await;
    let taken = taken.map_err(anyhow::Error::from).and_then(|it| it.map_err(Into::into));
    let hold = taken.map_err(|error| {
        Error::inconclusive(format!(
            "{}: what is written at this moment may be missing from its backup; lsrun verify shows whether it is",
            prepared.database.name()
        ))
        .cause(error)
    })?;
    let Some(hold) = hold else { return Ok(None) };
    // Its frame may have restarted the log.
    if Outlook::of(&prepared.database.path, &prepared.state).is_gap() {
        drop(hold);
        reveal(session, &prepared.database, &prepared.state).await?;
        return Ok(None);
    }
    Ok(Some(HeldLog { database: prepared.database, _hold: hold, _turn: prepared.turn }))
}

/// A database whose log stays as it is.
pub(crate) struct HeldLog {
    database: Database,
    _hold: LogHold,
    _turn: Turn,
}

/// Before a daemon starts to replicate these databases: what it would leave out it
/// will see, and the logs stay as they are until [`until_seen`] lets them go.
///
/// A failure is a warning: an application that waits for litestream has to start
/// anyway.
pub(crate) async fn hold(session: &Session, databases: &[Database]) -> Result<Vec<HeldLog>> {
    let mut held = Vec::new();
    let most = most_held();
    let mut left = 0;
    for database in databases.iter().filter(|database| database.path.exists()) {
        let prepared = match PreparedDatabase::of(session, database, Instant::now() + OTHERS).await
        {
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
        match self::held(prepared, session).await {
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

/// Lets each go when the daemon at this socket has examined it.
pub(crate) async fn until_seen(held: Vec<HeldLog>, socket: Option<PathBuf>) {
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
                && control.look(&held.database.path, until).await.is_ok()
            {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(250));
        }
    });
    let _late = tokio::time::timeout(READY, join_all(looks)).await;
}
