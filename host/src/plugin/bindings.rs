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
        "lsrun:host/types.database": handles::Database,
        "lsrun:host/types.restored-copy": handles::RestoredCopy,
        "lsrun:host/types.restore-plan": handles::RestorePlan,
        "lsrun:host/types.present-database": handles::PresentDatabase,
        "lsrun:host/types.replaced": handles::Replaced,
        "lsrun:host/types.invocation": handles::Invocation,
        "lsrun:host/config.problem": handles::Problem,
        "lsrun:host/litestream.sync-request": handles::SyncRequest,
        "lsrun:host/litestream.sync-job": handles::SyncJob,
        "lsrun:host/litestream.sync-result": handles::SyncResult,
        "lsrun:host/litestream.restore-request": handles::RestoreRequest,
        "lsrun:host/litestream.restore-job": handles::RestoreJob,
        "lsrun:host/litestream.process": handles::Process,
        "lsrun:host/sqlite.connection": handles::Connection,
        "lsrun:host/sqlite.rows": handles::Rows,
        "lsrun:host/sqlite.content-job": handles::ContentJob,
        "lsrun:host/sqlite.integrity-job": handles::IntegrityJob,
        "lsrun:host/sqlite.integrity": handles::Integrity,
        "lsrun:host/sqlite.table-content": handles::TableContent,
        "lsrun:host/sqlite.pages-job": handles::PagesJob,
        "lsrun:host/sqlite.page-comparison": handles::PageComparison,
        "lsrun:host/report.check": handles::Check,
    },
});

pub use lsrun::host::{config, databases, hooks, litestream, report, settings, sqlite, types};
