//! The rows of a query: how the thread of a connection hands them over, in batches, and
//! how a guest takes them.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use super::limits;
use super::statement::Statement;
use super::turn::JobTurn;
use super::value::{Value, size};
use crate::error::{Error, Result};

/// Rows and bytes that are handed over at once.
const BATCH_ROWS: usize = 512;
const BATCH_BYTES: usize = 256 << 10;
/// Batches that wait for the guest before the query pauses.
const BATCHES: usize = 4;

/// What the thread hands over.
pub(super) enum Batch {
    Columns(Vec<String>),
    Rows(Vec<Vec<Value>>),
    Failed(Error),
}

/// The rows of a running query. Dropped, the query ends at its next batch.
pub(crate) struct Rows {
    batches: mpsc::Receiver<Batch>,
    columns: Option<Vec<String>>,
    waiting: VecDeque<Vec<Value>>,
    failed: Option<Error>,
    /// None at the end. Given back after the thread can see that the channel is closed.
    turn: Option<JobTurn>,
}

impl Rows {
    /// Where the thread sends them.
    pub(super) fn channel(turn: JobTurn) -> (mpsc::Sender<Batch>, Self) {
        let (sender, batches) = mpsc::channel(BATCHES);
        let (waiting, turn) = (VecDeque::new(), Some(turn));
        (sender, Self { batches, columns: None, waiting, failed: None, turn })
    }

    /// The names of the columns.
    pub(crate) async fn columns(&mut self) -> Result<Vec<String>> {
        while self.columns.is_none() && self.failed.is_none() {
            if !self.receive().await {
                break;
            }
        }
        match (&self.columns, &self.failed) {
            (Some(columns), _) => Ok(columns.clone()),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Ok(Vec::new()),
        }
    }

    /// The next rows, at most `max` (at least one); empty at the end.
    pub(crate) async fn next(&mut self, max: usize) -> Result<Vec<Vec<Value>>> {
        while self.waiting.is_empty() {
            if let Some(error) = &self.failed {
                return Err(error.clone());
            }
            if !self.receive().await {
                return Ok(Vec::new());
            }
        }
        let count = max.max(1).min(self.waiting.len());
        Ok(self.waiting.drain(..count).collect())
    }

    async fn receive(&mut self) -> bool {
        match self.batches.recv().await {
            Some(Batch::Columns(columns)) => self.columns = Some(columns),
            Some(Batch::Rows(rows)) => self.waiting.extend(rows),
            Some(Batch::Failed(error)) => self.failed = Some(error),
            None => {
                self.turn = None;
                return false;
            }
        }
        true
    }
}

/// Runs a query and hands over its columns and rows, as long as they are wanted.
pub(super) fn query(
    connection: &rusqlite::Connection,
    statement: &Statement,
    batches: &mpsc::Sender<Batch>,
) -> rusqlite::Result<()> {
    let mut prepared = connection.prepare(&statement.sql)?;
    let columns: Vec<String> = prepared.column_names().map(str::to_owned).collect();
    let width = columns.len();
    if batches.blocking_send(Batch::Columns(columns)).is_err() {
        return Ok(());
    }
    let mut rows = prepared.query(rusqlite::params_from_iter(&statement.parameters))?;
    let mut batch = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let mut values = Vec::with_capacity(width);
        let mut of_row = 0;
        for column in 0..width {
            let value = row.get_ref(column)?;
            of_row += size(value);
            if of_row > limits::MAX_ROW {
                return Err(too_big());
            }
            values.push(Value::from(value));
        }
        bytes += of_row;
        batch.push(values);
        // The first row goes at once: many queries have only one.
        if batch.len() >= BATCH_ROWS || bytes >= BATCH_BYTES {
            bytes = 0;
            if batches.blocking_send(Batch::Rows(std::mem::take(&mut batch))).is_err() {
                return Ok(());
            }
        }
    }
    if !batch.is_empty() {
        let _gone = batches.blocking_send(Batch::Rows(batch));
    }
    Ok(())
}

/// As SQLite says it of a single value.
fn too_big() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_TOOBIG);
    let most = limits::MAX_ROW >> 20;
    rusqlite::Error::SqliteFailure(code, Some(format!("a row has more than {most} MiB")))
}
