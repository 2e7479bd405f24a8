//! Statements: what they are, how long one may be, and running several of them, each to
//! its end.

use rusqlite::TransactionBehavior;

use super::limits;
use super::value::Value;
use crate::code::Code;
use crate::error::{Error, Result};

/// SQL and its parameters.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    /// One statement.
    pub sql: String,
    /// In order.
    pub parameters: Vec<Value>,
}

/// A text that is longer than a statement may be.
pub(super) fn bounded(statement: &Statement) -> Result<()> {
    if statement.sql.len() <= limits::MAX_SQL {
        return Ok(());
    }
    let most = limits::MAX_SQL;
    Err(Error::new(Code::Limit, format!("a statement may have {most} bytes")))
}

/// Runs all of them in one IMMEDIATE transaction, and gives the number of changed rows.
pub(super) fn transact(
    connection: &mut rusqlite::Connection,
    statements: &[Statement],
) -> rusqlite::Result<u64> {
    let before = connection.total_changes();
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    execute(&transaction, statements)?;
    transaction.commit()?;
    Ok(connection.total_changes().saturating_sub(before))
}

/// Runs them one after the other, each to its end.
pub(super) fn execute(
    connection: &rusqlite::Connection,
    statements: &[Statement],
) -> rusqlite::Result<()> {
    for statement in statements {
        let mut prepared = connection.prepare(&statement.sql)?;
        let mut rows = prepared.query(rusqlite::params_from_iter(&statement.parameters))?;
        while rows.next()?.is_some() {}
    }
    Ok(())
}

/// For messages: one line of at most 200 characters.
pub(super) fn shorten(sql: &str) -> String {
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
