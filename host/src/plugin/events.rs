//! What hooks are called with, besides what restores: a proof before and after, and a
//! replication before and after.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::exit::Exit;
use crate::litestream::replica::source::Source;
use crate::project::Database;
use crate::report::DatabaseReport;

/// A proof that is about to begin.
#[derive(Debug, Clone)]
pub struct VerifyPlan {
    /// The command.
    pub(crate) command: String,
    /// Whose backup.
    pub(crate) source: Source,
}

/// How a proof ended.
#[derive(Debug)]
pub struct Verification {
    /// What was to be proved.
    pub(crate) plan: VerifyPlan,
    /// When the run began.
    pub(crate) started: jiff::Timestamp,
    /// What was found.
    pub(crate) report: DatabaseReport,
    /// The word for the outcome in the report.
    pub(crate) word: String,
    /// When this backup was last found good.
    pub(crate) last_proved: Option<jiff::Timestamp>,
}

/// A replication that is about to begin.
#[derive(Debug, Clone)]
pub(crate) struct ReplicatePlan {
    /// What the daemon replicates.
    pub(crate) databases: Vec<Database>,
    /// The program beside it.
    pub(crate) application: Option<String>,
}

/// How a replication ended.
#[derive(Debug)]
pub struct EndedReplication {
    /// What was to be replicated.
    pub(crate) plan: Arc<ReplicatePlan>,
    /// `signal`, `application`, `daemon` or `error`.
    pub(crate) reason: &'static str,
    /// The exit code of lsrun.
    pub(crate) code: u8,
    /// What went wrong.
    pub(crate) error: Option<Error>,
    /// From the start of the daemon.
    pub(crate) duration: Duration,
}

impl Verification {
    /// The exit code for this database alone.
    #[must_use]
    pub(crate) fn exit(&self) -> Exit {
        self.report.exit()
    }
}

impl VerifyPlan {
    /// The database, if it is one of the project.
    #[must_use]
    pub(crate) fn database(&self) -> Option<&Database> {
        match &self.source {
            Source::Database(database) => Some(database),
            Source::Url(_) => None,
        }
    }
}
