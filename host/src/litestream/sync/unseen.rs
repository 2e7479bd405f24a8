//! Daemons that are not visible from here.

use std::path::Path;

use crate::code::Code;
use crate::error::Error;
use crate::litestream::daemon::{self, Presence};
use crate::project::Database;

/// Whether an invisible process reads the database continuously, as a litestream
/// in another container does.
pub(crate) async fn replicates_unseen(database: &Path) -> bool {
    let path = database.to_owned();
    let found = tokio::task::spawn_blocking(move || daemon::replicates_unseen(&path)).await;
    found.unwrap_or(true)
}

/// Whether a litestream replicates the database.
pub(crate) async fn presence(database: &Database) -> Presence {
    let path = database.path.clone();
    let found = tokio::task::spawn_blocking(move || daemon::presence(&path)).await;
    found.unwrap_or(Presence::Unknown)
}

/// The error when an invisible process has the database open, and it cannot be
/// determined whether that is a litestream.
pub(crate) fn unseen(database: &Database) -> Error {
    Error::new(Code::Busy, format!(
        "{} is open in another container, and whether a litestream replicates it there cannot be seen from here",
        database.name()
    ))
    .hint(
        "run lsrun where litestream runs, or let both see its control socket: litestream.socket: {enabled: true, path: …} on a volume that they share",
    )
}
