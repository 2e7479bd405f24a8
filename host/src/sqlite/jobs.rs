//! Work under way in the thread of a connection, as who waits for it has it: each keeps
//! the connection busy, and ends when it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot};

use super::content::TableContent;
use super::integrity::Integrity;
use crate::error::{Error, Result};

/// Work in the thread of a connection. Dropped, it ends.
pub(crate) struct Running<T> {
    answer: Option<oneshot::Receiver<Result<T>>>,
    busy: Arc<AtomicBool>,
}

impl<T> Running<T> {
    pub(super) fn new(answer: oneshot::Receiver<Result<T>>, busy: Arc<AtomicBool>) -> Self {
        Self { answer: Some(answer), busy }
    }

    /// Its result, once.
    pub(crate) async fn wait(&mut self) -> Result<T> {
        let Some(answer) = &mut self.answer else {
            return Err(Error::usage("the job was waited for already"));
        };
        let result = answer.await;
        self.answer = None;
        self.busy.store(false, Ordering::Release);
        result.unwrap_or_else(|_gone| Err(Error::inconclusive("SQLite gave up")))
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        if self.answer.take().is_some() {
            self.busy.store(false, Ordering::Release);
        }
    }
}

/// An integrity check under way. Dropped, it ends.
pub(crate) struct IntegrityJob {
    answer: Option<oneshot::Receiver<Result<Integrity>>>,
    abandoned: Arc<AtomicBool>,
    busy: Arc<AtomicBool>,
}

impl IntegrityJob {
    /// It says in `abandoned` when it is not wanted any more.
    pub(super) fn new(
        answer: oneshot::Receiver<Result<Integrity>>,
        abandoned: Arc<AtomicBool>,
        busy: Arc<AtomicBool>,
    ) -> Self {
        Self { answer: Some(answer), abandoned, busy }
    }

    /// What was found, once.
    pub(crate) async fn wait(&mut self) -> Result<Integrity> {
        let Some(answer) = &mut self.answer else {
            return Err(Error::usage("the job was waited for already"));
        };
        let result = answer.await;
        self.answer = None;
        self.busy.store(false, Ordering::Release);
        result.unwrap_or_else(|_gone| Err(Error::inconclusive("SQLite gave up")))
    }
}

impl Drop for IntegrityJob {
    fn drop(&mut self) {
        if self.answer.is_some() {
            self.abandoned.store(true, Ordering::Release);
            self.busy.store(false, Ordering::Release);
        }
    }
}

/// Tables being read. Dropped, the reading ends.
pub(crate) struct Contents {
    tables: mpsc::Receiver<Result<TableContent>>,
    busy: Arc<AtomicBool>,
}

impl Contents {
    pub(super) fn new(tables: mpsc::Receiver<Result<TableContent>>, busy: Arc<AtomicBool>) -> Self {
        Self { tables, busy }
    }

    /// The next table; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<TableContent>> {
        match self.tables.recv().await {
            Some(content) => content.map(Some),
            None => {
                self.busy.store(false, Ordering::Release);
                Ok(None)
            }
        }
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        self.tables.close();
        self.busy.store(false, Ordering::Release);
    }
}
