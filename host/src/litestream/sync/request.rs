//! The options of a sync, and its result.

use std::time::{Duration, Instant};

use crate::litestream::replica::txid::Txid;
use crate::project::Database;

/// The method of a sync that had no daemon to ask.
pub(crate) const NONE: &str = "none";

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct SyncRequest {
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
    pub(crate) fn by(
        method: &'static str,
        certain: bool,
        txid: Option<Txid>,
        started: Instant,
    ) -> Self {
        Self { method, certain, txid, lag: started.elapsed(), warning: None }
    }
}
