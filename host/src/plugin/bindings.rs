//! The imports of `lsrun:host` as Rust traits, generated from `wit/deps/host`.
//! Every function may wait and may fail with [`Failure`].

use super::failure::Failure;
use super::handles;

wasmtime::component::bindgen!({
    path: "../wit/deps/host",
    world: "imports",
    imports: { default: async | trappable },
    trappable_error_type: { "lsrun:host/types.error" => Failure },
    with: {
        "lsrun:host/types.database": handles::DatabaseHandle,
        "lsrun:host/types.restored-copy": handles::RestoredCopyHandle,
        "lsrun:host/types.proof": handles::ProofHandle,
        "lsrun:host/types.restore-plan": handles::RestorePlanHandle,
        "lsrun:host/types.present-database": handles::PresentDatabaseHandle,
        "lsrun:host/types.replaced": handles::ReplacedHandle,
        "lsrun:host/types.invocation": handles::InvocationHandle,
        "lsrun:host/types.verify-plan": handles::VerifyPlanHandle,
        "lsrun:host/types.verification": handles::VerificationHandle,
        "lsrun:host/types.check-result": handles::CheckResultHandle,
        "lsrun:host/types.replicate-plan": handles::ReplicatePlanHandle,
        "lsrun:host/types.replication": handles::ReplicationHandle,
        "lsrun:host/types.process": handles::ProcessHandle,
        "lsrun:host/hooks.check-job": handles::CheckJobHandle,
        "lsrun:host/history.passed-check": handles::PassedCheckHandle,
        "lsrun:host/history.past-result": handles::PastResultHandle,
        "lsrun:host/tasks.task-request": handles::TaskRequestHandle,
        "lsrun:host/config.problem": handles::ProblemHandle,
        "lsrun:host/litestream.sync-request": handles::SyncRequestHandle,
        "lsrun:host/litestream.sync-job": handles::SyncJobHandle,
        "lsrun:host/litestream.sync-result": handles::SyncResultHandle,
        "lsrun:host/litestream.restore-request": handles::RestoreRequestHandle,
        "lsrun:host/litestream.restore-job": handles::RestoreJobHandle,
        "lsrun:host/litestream.proof-request": handles::ProofRequestHandle,
        "lsrun:host/litestream.proof-job": handles::ProofJobHandle,
        "lsrun:host/sqlite.connection": handles::ConnectionHandle,
        "lsrun:host/sqlite.rows": handles::RowsHandle,
        "lsrun:host/sqlite.content-job": handles::ContentJobHandle,
        "lsrun:host/sqlite.integrity-job": handles::IntegrityJobHandle,
        "lsrun:host/sqlite.integrity": handles::IntegrityHandle,
        "lsrun:host/sqlite.table-content": handles::TableContentHandle,
        "lsrun:host/sqlite.pages-job": handles::PagesJobHandle,
        "lsrun:host/sqlite.page-comparison": handles::PageComparisonHandle,
        "lsrun:host/http.request": handles::HttpRequestHandle,
        "lsrun:host/http.response": handles::HttpResponseHandle,
        "lsrun:host/report.check": handles::CheckHandle,
    },
});

pub use lsrun::host::{
    config, databases, history, hooks, http, litestream, report, settings, sqlite, tasks, types,
};
