//! A connection as its user sees it: what can be asked of its thread, one thing at a time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rusqlite::InterruptHandle;
use tokio::sync::{mpsc, oneshot};

use super::authorizer::Access;
use super::descriptors::Opened;
use super::errors::explain;
use super::identity::identity;
use super::integrity::Level;
use super::jobs::{Contents, IntegrityJob, Running};
use super::open::{GivenUp, open};
use super::rows::Rows;
use super::slots::Slots;
use super::statement::{Statement, bounded};
use super::turn::JobTurns;
use super::worker::{Inside, Job, Worker};
use crate::error::{Error, Result};
use crate::stop::Stop;

/// A connection in its thread. Dropped, it interrupts what runs and closes.
pub(crate) struct Connection {
    jobs: std::sync::mpsc::Sender<Job>,
    interrupt: InterruptHandle,
    closing: Arc<AtomicBool>,
    /// The job under way is not wanted any more.
    abandoned: Arc<AtomicBool>,
    turns: JobTurns,
}

impl Connection {
    /// Opens `path`, which must exist, and looks into it, so that a file that is
    /// no database fails here. Statements end at `deadline` and when `stop` says so.
    /// Waits for one of the `slots`.
    pub(crate) async fn open(
        path: &Path,
        access: Access,
        deadline: Instant,
        stop: Stop,
        slots: &Slots,
    ) -> Result<Self> {
        let path = path.to_owned();
        let slot = slots.take().await;
        let (jobs, receiver) = std::sync::mpsc::channel();
        let (opened, answer) = oneshot::channel();
        let closing = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&closing);
        let abandoned = Arc::new(AtomicBool::new(false));
        let unwanted = Arc::clone(&abandoned);
        let counted = Opened::count(&path);
        std::thread::Builder::new()
            .name("sqlite".into())
            .spawn(move || {
                let (_slot, _counted) = (slot, counted);
                let identity = identity(&path);
                let job = Arc::clone(&unwanted);
                let given_up: GivenUp = Arc::new(move || {
                    ending.load(Ordering::Relaxed)
                        || job.load(Ordering::Relaxed)
                        || stop.signal().is_some()
                        || Instant::now() > deadline
                });
                match open(&path, access, &given_up) {
                    Ok(connection) => {
                        let handle = connection.get_interrupt_handle();
                        let held = None;
                        let mut worker =
                            Worker { connection, access, path, identity, given_up, unwanted, held };
                        if opened.send(Ok(handle)).is_ok() {
                            worker.work(&receiver);
                        }
                    }
                    Err(error) => {
                        let _gone = opened
                            .send(Err(explain(&error, &format!("cannot open {}", path.display()))));
                    }
                }
            })
            .map_err(|error| Error::inconclusive("cannot start a thread").cause(error))?;
        let interrupt = answer.await.map_err(|_gone| Error::inconclusive("SQLite gave up"))??;
        Ok(Self { jobs, interrupt, closing, abandoned, turns: JobTurns::default() })
    }

    /// Starts a query.
    pub(crate) fn query(&self, statement: Statement) -> Result<Rows> {
        bounded(&statement)?;
        let (sender, rows) = Rows::channel(self.turns.take()?);
        self.ask(Job::Query(statement, sender))?;
        Ok(rows)
    }

    /// Runs all statements in one IMMEDIATE transaction and gives the number of
    /// changed rows.
    pub(crate) async fn transact(&self, statements: Vec<Statement>) -> Result<u64> {
        statements.iter().try_for_each(bounded)?;
        let turn = self.turns.take()?;
        let (sender, answer) = oneshot::channel();
        self.ask(Job::Transact(statements, sender))?;
        Running::new(answer, turn).wait().await
    }

    /// Starts reading the content of tables, in this order.
    pub(crate) fn content(&self, tables: Vec<String>, with_digest: bool) -> Result<Contents> {
        let turn = self.turns.take()?;
        let (sender, receiver) = mpsc::channel(tables.len().max(1));
        self.ask(Job::Content(tables, with_digest, sender))?;
        Ok(Contents::new(receiver, turn))
    }

    /// Starts checking what this connection sees; of a copy, with further connections.
    pub(crate) fn integrity(&self, level: Level) -> Result<IntegrityJob> {
        let turn = self.turns.take()?;
        let (sender, answer) = oneshot::channel();
        self.ask(Job::Integrity(level, sender))?;
        Ok(IntegrityJob::new(Running::new(answer, turn), Arc::clone(&self.abandoned)))
    }

    /// Does `work` in the thread of this connection. Dropping the answer ends the work,
    /// if it checks its second argument.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(Inside<'_>, &(dyn Fn() -> bool + Sync)) -> Result<T> + Send + 'static,
    ) -> Result<Running<T>> {
        let turn = self.turns.take()?;
        let (sender, answer) = oneshot::channel();
        let job = move |inside: Inside<'_>| {
            let given_up = Arc::clone(inside.given_up);
            let result = work(inside, &|| given_up() || sender.is_closed());
            let _gone = sender.send(result);
        };
        self.ask(Job::Other(Box::new(job)))?;
        Ok(Running::new(answer, turn))
    }

    fn ask(&self, job: Job) -> Result<()> {
        self.jobs.send(job).map_err(|_gone| Error::inconclusive("the connection is closed"))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        self.interrupt.interrupt();
    }
}

#[cfg(test)]
mod tests;
