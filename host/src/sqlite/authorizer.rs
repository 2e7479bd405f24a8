//! What a plugin's SQL may do. SQLite asks for every action of a statement while
//! it compiles it, so the wording of the text does not matter.

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// What a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read a database that others use.
    Read,
    /// Read and write it.
    Write,
    /// Read a private copy that nobody changes: no locks, no sidecars.
    Copy,
}

/// Pragmas that tell and change nothing, with or without an argument.
const READING_PRAGMAS: &[&str] = &[
    "application_id",
    "collation_list",
    "compile_options",
    "data_version",
    "encoding",
    "foreign_key_check",
    "foreign_key_list",
    "freelist_count",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "journal_mode",
    "module_list",
    "page_count",
    "page_size",
    "pragma_list",
    "quick_check",
    "schema_version",
    "table_info",
    "table_list",
    "table_xinfo",
    "user_version",
];

/// Those of them whose argument is a table or a number of errors to show; with
/// any other one the argument would be a new value.
const TAKING_AN_ARGUMENT: &[&str] = &[
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// The answer to one action under this access.
pub(super) fn authorize(access: Access, context: &AuthContext<'_>) -> Authorization {
    let allowed = match &context.action {
        AuthAction::Select | AuthAction::Recursive | AuthAction::Read { .. } => true,
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => true,
        AuthAction::Function { function_name } => {
            !function_name.eq_ignore_ascii_case("load_extension")
        }
        AuthAction::Pragma { pragma_name, pragma_value } => {
            let listed =
                |list: &[&str]| list.iter().any(|one| pragma_name.eq_ignore_ascii_case(one));
            let reads = listed(READING_PRAGMAS);
            // Litestream needs the database in this mode, and would set it itself.
            let to_wal = access == Access::Write
                && pragma_name.eq_ignore_ascii_case("journal_mode")
                && pragma_value.is_some_and(|value| value.eq_ignore_ascii_case("wal"));
            reads && (pragma_value.is_none() || listed(TAKING_AN_ARGUMENT) || to_wal)
        }
        // An R-Tree compiles what it would write as soon as it is read. A copy is
        // opened for reading: nothing of it can run.
        AuthAction::Insert { .. } | AuthAction::Update { .. } | AuthAction::Delete { .. } => {
            access != Access::Read
        }
        AuthAction::Attach { .. } | AuthAction::Detach { .. } | AuthAction::Unknown { .. } => false,
        // Everything else changes something.
        _ => access == Access::Write,
    };
    if allowed { Authorization::Allow } else { Authorization::Deny }
}
