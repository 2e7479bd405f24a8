//! A check of a database before lsrun itself replicates it: pages that are damaged must
//! not become the newest state of its backup. A daemon has replicated them already.

use std::time::{Duration, Instant};

use crate::code::Code;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::project::Database;
use crate::sqlite::{Access, Connection, Level, Slots};

/// The part of the remaining time that the check may take: one that has not ended by
/// then is left, and the restored copy has to show it.
const PART: u32 = 3;

/// Fails with the code `damaged` when `quick_check` finds pages that are damaged.
/// Whatever else it finds (an index that lacks a row, a broken rule) is in the data,
/// which is replicated as it is.
pub(crate) async fn refuse_damaged(
    session: &Session,
    database: &Database,
    deadline: Instant,
) -> Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    let patience = (left / PART).min(Duration::from_secs(600));
    let (until, stop) = (Instant::now() + patience, session.stop.clone());
    let found = async {
        let slots = Slots::of(&session.connections);
        let connection =
            Connection::open(&database.path, Access::Read, until, stop, &slots).await?;
        connection.integrity(Level::Quick)?.wait().await
    };
    let damaged = |cause: &str| {
        let message = "the live database is damaged: it was not replicated";
        Error::new(Code::Damaged, message).cause(cause)
    };
    match found.await {
        Ok(found) if found.pages => {
            let first = found.problems.first().map_or("", String::as_str);
            Err(damaged(first))
        }
        Err(error) if error.code() == Code::Damaged => Err(damaged(&error.one_line())),
        // What cannot be examined here is left to litestream.
        _ => Ok(()),
    }
}
