//! The thread of a connection: it does one job after the other. Queries of several
//! connections run in parallel, and a guest that waits for rows does not block others.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot};

use super::authorizer::Access;
use super::content::{self, TableContent};
use super::errors::explain;
use super::identity::Identity;
use super::integrity::{self, Integrity, Level};
use super::open::{GivenUp, guard};
use super::rows::{Batch, query};
use super::statement::{Statement, shorten, transact};
use super::{limits, math};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::pages::Held;

/// What a connection is asked for, and where the answer goes.
pub(super) enum Job {
    Query(Statement, mpsc::Sender<Batch>),
    Transact(Vec<Statement>, oneshot::Sender<Result<u64>>),
    Content(Vec<String>, bool, mpsc::Sender<Result<TableContent>>),
    Integrity(Level, oneshot::Sender<Result<Integrity>>),
    Other(InsideWork),
}

/// Work of another module in the thread of a connection.
type InsideWork = Box<dyn FnOnce(Inside<'_>) + Send>;

/// A connection as its thread has it.
pub(super) struct Inside<'a> {
    pub(super) connection: &'a mut rusqlite::Connection,
    pub(super) access: Access,
    pub(super) path: &'a Path,
    /// Of the file that is open.
    pub(super) identity: Option<Identity>,
    pub(super) given_up: &'a GivenUp,
    /// Where the log was when the transaction began which is held now.
    pub(super) held: &'a mut Option<Held>,
}

/// What the thread of a connection has.
pub(super) struct Worker {
    pub(super) connection: rusqlite::Connection,
    pub(super) access: Access,
    pub(super) path: PathBuf,
    pub(super) identity: Option<Identity>,
    pub(super) given_up: GivenUp,
    pub(super) unwanted: Arc<AtomicBool>,
    pub(super) held: Option<Held>,
}

impl Worker {
    /// Does what is requested until no caller is left.
    pub(super) fn work(&mut self, jobs: &std::sync::mpsc::Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            self.unwanted.store(false, Ordering::Release);
            match job {
                Job::Query(statement, batches) => {
                    if let Err(error) = query(&self.connection, &statement, &batches) {
                        let error = self.refused(&error).cause(shorten(&statement.sql));
                        let _gone = batches.blocking_send(Batch::Failed(error));
                    }
                }
                Job::Transact(statements, answer) => {
                    let _gone = answer.send(self.transact(&statements));
                }
                Job::Content(tables, with_digest, answers) => {
                    self.content(&tables, with_digest, &answers);
                }
                Job::Integrity(level, answer) => {
                    let found = self.integrity(level);
                    let found = found.map_err(|error| explain(&error, "it cannot be checked"));
                    let _gone = answer.send(found);
                }
                Job::Other(work) => work(Inside {
                    connection: &mut self.connection,
                    access: self.access,
                    path: &self.path,
                    identity: self.identity,
                    given_up: &self.given_up,
                    held: &mut self.held,
                }),
            }
            // Another transaction begins at another place.
            if self.connection.is_autocommit() {
                self.held = None;
            }
        }
    }

    /// Why a query failed. What a reader may not do, SQLite calls read-only.
    fn refused(&self, error: &rusqlite::Error) -> Error {
        let readonly = error.sqlite_error_code() == Some(rusqlite::ErrorCode::ReadOnly);
        if readonly && self.access != Access::Write {
            let message = "the connection was opened for reading";
            return Error::new(Code::Denied, message).cause(error);
        }
        explain(error, "the query failed")
    }

    fn transact(&mut self, statements: &[Statement]) -> Result<u64> {
        if self.access == Access::Write {
            transact(&mut self.connection, statements)
                .map_err(|error| explain(&error, "the transaction failed"))
        } else {
            let message = "the connection was opened for reading";
            Err(Error::new(Code::Denied, message))
        }
    }

    fn content(
        &self,
        tables: &[String],
        with_digest: bool,
        answers: &mpsc::Sender<Result<TableContent>>,
    ) {
        let unwanted = || answers.is_closed();
        for table in tables {
            if unwanted() {
                break;
            }
            let content = limits::for_ourselves(&self.connection)
                .and_then(|()| content::read(&self.connection, table, with_digest, &unwanted))
                .map_err(|error| explain(&error, &format!("cannot read table {table}")));
            let _gone = answers.blocking_send(content);
        }
        let _closing = limits::for_guest(&self.connection);
    }

    fn integrity(&mut self, level: Level) -> rusqlite::Result<Integrity> {
        if self.access == Access::Copy {
            return integrity::of_copy(&self.path, level, &self.given_up);
        }
        // What it needs is not for a guest.
        type Nobody = fn(rusqlite::hooks::AuthContext<'_>) -> rusqlite::hooks::Authorization;
        self.connection.authorizer(None::<Nobody>)?;
        let found = self.integrity_unguarded(level);
        guard(&mut self.connection, self.access)?;
        found
    }

    /// The functions that an application may have as well are its own here.
    fn integrity_unguarded(&self, level: Level) -> rusqlite::Result<Integrity> {
        limits::for_ourselves(&self.connection)?;
        math::remove(&self.connection)?;
        let found = integrity::of_connection(&self.connection, level);
        math::add(&self.connection)?;
        limits::for_guest(&self.connection)?;
        found
    }
}
