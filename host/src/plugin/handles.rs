//! What the handles that guests hold refer to.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::events::{EndedReplication, ReplicatePlan, Verification, VerifyPlan};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::litestream::proof::{Proof, ProofRequest};
use crate::litestream::replica::places::Places;
use crate::litestream::replica::txid::Txid;
use crate::litestream::restore::plan::{Plan, Present};
use crate::litestream::restore::request::Request;
use crate::litestream::restore::{copy, replace};
use crate::litestream::sync::request::Synced;
use crate::project;
use crate::report::Outcome;
use crate::results::{PassedCheck, Past};

/// `types.database`.
#[derive(Clone)]
pub struct DatabaseHandle(pub project::Database);

/// `types.restored-copy`.
#[derive(Clone)]
pub struct RestoredCopyHandle(pub Arc<copy::RestoredCopy>);

/// `types.restore-plan`.
#[derive(Clone)]
pub struct RestorePlanHandle {
    /// What would be restored.
    pub request: Request,
    /// What litestream says about it.
    pub plan: Plan,
    /// How long it took when this backup was last restored here.
    pub expected: Option<Duration>,
}

/// `types.present-database`.
pub struct PresentDatabaseHandle(pub Present);

/// `types.replaced`.
#[derive(Clone)]
pub struct ReplacedHandle(pub replace::Replaced);

/// `types.verify-plan`.
pub struct VerifyPlanHandle(pub Arc<VerifyPlan>);

/// `types.verification`.
pub struct VerificationHandle(pub Arc<Verification>);

/// `types.check-result`: a check of a verification, by its number.
pub struct CheckResultHandle(pub Arc<Verification>, pub usize);

/// `types.replicate-plan`.
pub struct ReplicatePlanHandle(pub(crate) Arc<ReplicatePlan>);

/// `types.replication`.
pub struct ReplicationHandle(pub Arc<EndedReplication>);

/// `types.invocation`.
#[derive(Clone)]
pub struct InvocationHandle(pub Arc<InvocationData>);

/// How a command was called.
#[derive(Debug)]
pub struct InvocationData {
    /// The command.
    pub name: String,
    /// The values by argument name.
    pub arguments: std::collections::BTreeMap<String, Vec<String>>,
    /// The flags that were given.
    pub flags: std::collections::BTreeSet<String>,
    /// The databases of this call.
    pub databases: Vec<project::Database>,
    /// What the call may take.
    pub timeout: Duration,
}

/// `config.problem`.
pub struct ProblemHandle(pub crate::config::Problem);

/// `litestream.sync-request`.
pub struct SyncRequestHandle {
    /// Whose.
    pub database: project::Database,
    /// Instead of the invocation's.
    pub timeout: Option<Duration>,
    /// Later than this.
    pub after: Option<Txid>,
    /// Ask a daemon or nobody.
    pub read_only: bool,
}

/// `litestream.sync-job`.
pub struct SyncJobHandle(pub HostJob<Synced>, #[expect(dead_code, reason = "counted")] pub Token);

/// `litestream.sync-result`.
pub struct SyncResultHandle(pub Synced);

/// `litestream.restore-request`.
pub struct RestoreRequestHandle(pub Request);

/// `litestream.proof-request`.
pub struct ProofRequestHandle(pub(crate) ProofRequest);

/// `litestream.proof-job`.
pub struct ProofJobHandle(
    pub(crate) HostJob<Proof>,
    #[expect(dead_code, reason = "counted")] pub Token,
);

/// `types.proof`.
pub struct ProofHandle(pub(crate) Proof);

/// `litestream.restore-job`: whether it is one by litestream of what was restored already.
pub struct RestoreJobHandle(
    pub HostJob<copy::RestoredCopy>,
    pub bool,
    #[expect(dead_code, reason = "counted")] pub Token,
);

/// `types.process`.
pub struct ProcessHandle(
    pub super::process::Process,
    #[expect(dead_code, reason = "counted")] pub Token,
);

/// `sqlite.connection`.
pub struct ConnectionHandle {
    /// In its thread.
    pub sql: Arc<crate::sqlite::Connection>,
    /// To which database; none for a copy.
    pub database: Option<project::Database>,
    /// The transaction of the copy that it is of; none if it is of a live database, or of a
    /// copy that has no number.
    pub(super) copied: Option<Txid>,
    /// Litestream's transactions since the state was held.
    pub(super) places: Option<Places>,
}

/// `sqlite.rows`.
pub struct RowsHandle {
    /// The rows.
    pub rows: crate::sqlite::Rows,
    /// How many of them were read.
    pub read: u64,
    /// What they come from stays open for them: languages that collect garbage drop the
    /// handle of a connection at any time.
    pub connection: Arc<crate::sqlite::Connection>,
}

impl RowsHandle {
    /// Whether they alone keep their connection open.
    pub(super) fn is_orphan(&self) -> bool {
        Arc::strong_count(&self.connection) == 1
    }
}

/// `sqlite.content-job`.
pub struct ContentJobHandle(pub crate::sqlite::Contents);

/// `sqlite.integrity-job`.
pub struct IntegrityJobHandle(pub crate::sqlite::IntegrityJob);

/// `sqlite.integrity`.
pub struct IntegrityHandle(pub crate::sqlite::Integrity);

/// `sqlite.table-content`.
pub struct TableContentHandle(pub crate::sqlite::TableContent);

/// `sqlite.pages-job`.
pub struct PagesJobHandle(pub crate::sqlite::Running<crate::pages::Comparison>);

/// `sqlite.page-comparison`.
pub struct PageComparisonHandle(pub crate::pages::Comparison);

/// `http.request`.
pub struct HttpRequestHandle {
    /// As the guest has it, and its URL; nothing if they are longer than any can be.
    pub(super) method: String,
    pub(super) url: String,
    /// Checked.
    pub(super) headers: reqwest::header::HeaderMap,
    /// At most what may be sent.
    pub(super) body: Vec<u8>,
    /// Until the answer is complete.
    pub(super) timeout: Duration,
    /// All of it.
    pub(super) held: super::http::HeldBytes,
}

/// `http.response`.
pub struct HttpResponseHandle(pub(super) super::http::HttpAnswer);

/// `hooks.check-job`.
pub struct CheckJobHandle(pub(crate) HostJob<Outcome>);

/// `history.past-result`.
pub struct PastResultHandle(pub(crate) Past);

/// `history.passed-check`.
pub struct PassedCheckHandle(pub(crate) PassedCheck);

/// `tasks.task-request`.
pub struct TaskRequestHandle {
    /// Of the project file.
    pub name: String,
    /// More of its environment.
    pub variables: Vec<(String, String)>,
    /// What it reads.
    pub input: Vec<u8>,
}

/// `report.check`.
pub struct CheckHandle(pub super::sink::Started);

/// Counts its own clones.
#[derive(Debug, Clone, Default)]
pub struct Token(Arc<()>);

impl Token {
    /// One more, unless there are `most` already.
    pub fn take(&self, most: usize, what: &str) -> Result<Self> {
        if Arc::strong_count(&self.0) > most {
            return Err(Error::new(Code::Busy, format!("the plugin has {most} {what} already"))
                .hint("drop one before the next"));
        }
        Ok(self.clone())
    }
}

/// Work that runs in the host. Dropped, it is stopped.
pub struct HostJob<T>(Option<JoinHandle<Result<T>>>);

impl<T: Send + 'static> HostJob<T> {
    /// Starts the work.
    pub fn start(work: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        Self(Some(tokio::spawn(work)))
    }

    /// Its result, once.
    pub async fn wait(&mut self) -> Result<T> {
        let Some(handle) = &mut self.0 else {
            return Err(Error::usage("the job was already waited for"));
        };
        let result = handle.await;
        self.0 = None;
        result.unwrap_or_else(|error| {
            Err(Error::new(Code::Unexpected, "a job ended unexpectedly").cause(error))
        })
    }
}

impl<T> Drop for HostJob<T> {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn a_handle_that_is_dropped_makes_room_for_the_next() {
        let all = Token::default();
        let one = all.take(2, "jobs").unwrap();
        let _another = all.take(2, "jobs").unwrap();
        let error = all.take(2, "jobs").unwrap_err();
        assert_eq!(error.hint_text(), Some("drop one before the next"));
        drop(one);
        let _again = all.take(2, "jobs").unwrap();
    }
}
