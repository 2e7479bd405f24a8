//! What SQLite's errors mean here: their codes, and what can be done about them.

use crate::code::Code;
use crate::error::Error;

/// The error of a statement or of opening, with what can be done about it.
#[must_use]
pub(super) fn explain(error: &rusqlite::Error, what: &str) -> Error {
    use rusqlite::ErrorCode;
    let own = Error::new(Code::Sqlite, what).cause(error);
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            own.with_code(Code::Busy).hint("another process has locked the database: run this again when it is done")
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
            own.with_code(Code::Limit).hint("it needs more memory than lsrun allows SQLite")
        }
        Some(ErrorCode::TooBig) => own.with_code(Code::Limit),
        Some(ErrorCode::DiskFull) => own.with_code(Code::Io).hint("the disk is full"),
        Some(ErrorCode::AuthorizationForStatementDenied) => own.with_code(Code::Denied),
        Some(ErrorCode::OperationInterrupted) => own.with_code(Code::Timeout),
        _ => own,
    }
}

/// Whether SQLite says that the file is damaged, and not that it could not look.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// Whether SQLite cannot compile or compute something, as what only the application
/// has: `SQLITE_ERROR` and nothing more precise.
pub(super) fn is_about_sql(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqlInputError { .. } => true,
        // The extended codes of SQLITE_ERROR have it in their lowest byte.
        other => other
            .sqlite_extended_error_code()
            .is_some_and(|code| code & 0xff == rusqlite::ffi::SQLITE_ERROR),
    }
}

/// What SQLite says, without what rusqlite puts around it.
pub(super) fn message(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    }
}
