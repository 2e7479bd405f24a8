//! SQL for plugins: each connection lives in a thread of its own and is held to
//! its grant by SQLite's authorizer.

mod authorizer;
mod content;
pub(crate) mod descriptors;
mod distrust;
mod integrity;
mod limits;
mod slots;
mod snapshot;
mod stand_ins;
mod worker;

pub(crate) use content::TableContent;
pub(crate) use integrity::{Integrity, Level};
pub(crate) use slots::{MOST_CONNECTIONS, Slots};
pub(crate) use worker::immutable;
pub(crate) use worker::{
    Access, Connection, Contents, IntegrityJob, Rows, Running, Statement, Value, any_open, settle,
};

use crate::code::Code;
use crate::error::Error;

/// The error of a statement or of opening, with what can be done about it.
#[must_use]
pub(crate) fn explain(error: &rusqlite::Error, what: &str) -> Error {
    use rusqlite::ErrorCode;
    let own = Error::new(Code::Sqlite, what).cause(error);
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            own.with_code(Code::Busy).hint("another process holds the database locked")
        }
        Some(ErrorCode::DatabaseCorrupt) => own.with_code(Code::Damaged),
        Some(ErrorCode::NotADatabase) => own
            .with_code(Code::Damaged)
            .hint("the file is not a SQLite database, or it is encrypted"),
        Some(ErrorCode::CannotOpen) => own.hint("check the path and its permissions"),
        Some(ErrorCode::ReadOnly) => own
            .with_code(Code::Io)
            .hint("the database, or its folder, cannot be written: run lsrun as its user; --read-only writes no row"),
        Some(ErrorCode::OutOfMemory) => {
            own.with_code(Code::Limit).hint("it needs more memory than lsrun lets SQLite have")
        }
        Some(ErrorCode::TooBig) => own.with_code(Code::Limit),
        Some(ErrorCode::DiskFull) => own.with_code(Code::Io).hint("the disk is full"),
        Some(ErrorCode::AuthorizationForStatementDenied) => own.with_code(Code::Denied),
        Some(ErrorCode::OperationInterrupted) => own.with_code(Code::Timeout),
        _ => own,
    }
}
