//! Work under way in the thread of a connection, as the waiting caller sees it: each job
//! keeps the connection busy, and ends when it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot};

use super::content::TableContent;
use super::integrity::Integrity;
use super::turn::JobTurn;
use crate::error::{Error, Result};

/// Work in the thread of a connection. Dropped, it ends.
pub(crate) struct Running<T> {
    /// None when it was waited for.
    answer: Option<(oneshot::Receiver<Result<T>>, JobTurn)>,
}

impl<T> Running<T> {
    pub(super) fn new(answer: oneshot::Receiver<Result<T>>, turn: JobTurn) -> Self {
        Self { answer: Some((answer, turn)) }
    }

    /// Its result, once.
    pub(crate) async fn wait(&mut self) -> Result<T> {
        let Some((answer, _turn)) = &mut self.answer else {
            return Err(Error::usage("the job was already waited for"));
        };
        let result = answer.await;
        self.answer = None;
        result.unwrap_or_else(|_gone| Err(Error::inconclusive("SQLite gave up")))
    }
}

/// An integrity check under way. Dropped, it ends.
pub(crate) struct IntegrityJob {
    running: Running<Integrity>,
    abandoned: Arc<AtomicBool>,
}

impl IntegrityJob {
    /// It says in `abandoned` when it is not wanted any more.
    pub(super) fn new(running: Running<Integrity>, abandoned: Arc<AtomicBool>) -> Self {
        Self { running, abandoned }
    }

    /// What was found, once.
    pub(crate) async fn wait(&mut self) -> Result<Integrity> {
        self.running.wait().await
    }
}

impl Drop for IntegrityJob {
    fn drop(&mut self) {
        if self.running.answer.is_some() {
            self.abandoned.store(true, Ordering::Release);
        }
    }
}

/// Tables being read. Dropped, the reading ends.
pub(crate) struct Contents {
    tables: mpsc::Receiver<Result<TableContent>>,
    /// None at the end. Given back after the thread can see that the channel is closed.
    turn: Option<JobTurn>,
}

impl Contents {
    pub(super) fn new(tables: mpsc::Receiver<Result<TableContent>>, turn: JobTurn) -> Self {
        Self { tables, turn: Some(turn) }
    }

    /// The next table; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<TableContent>> {
        match self.tables.recv().await {
            Some(content) => content.map(Some),
            None => {
                self.turn = None;
                Ok(None)
            }
        }
    }
}
