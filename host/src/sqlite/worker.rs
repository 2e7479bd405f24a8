//! One connection, one thread: queries of several connections run side by side,
//! and a guest that waits for rows blocks nobody else.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{InterruptHandle, OpenFlags, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::authorizer::authorize;
use super::content::{self, TableContent};
use super::descriptors::Opened;
use super::integrity::{self, GivenUp, Integrity, Level};
use super::slots::Slots;
use super::snapshot::{Identity, identity};
use super::{explain, limits};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::pages::Held;
use crate::path::Sidecar;
use crate::stop::Stop;

/// How long a statement waits for a lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Rows and bytes that are handed over at once.
const BATCH_ROWS: usize = 512;
const BATCH_BYTES: usize = 256 << 10;
/// Batches that wait for the guest before the query pauses.
const BATCHES: usize = 4;
/// Memory for the pages of a copy, in KiB. With SQLite's own 2 MB, `integrity_check`
/// of 117 MB reads each page of an index eight times over and takes twice as long;
/// more than this gains nothing.
const COPY_CACHE: i32 = 8000;
/// Virtual machine instructions between two looks at whether to stop.
const PROGRESS_STEPS: i32 = 10_000;

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

/// A value of SQLite's storage classes. Text that is not UTF-8 is a blob.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// NULL.
    Null,
    /// A signed integer of up to 64 bits.
    Integer(i64),
    /// A double.
    Real(f64),
    /// UTF-8.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// SQL and its parameters.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    /// One statement.
    pub sql: String,
    /// In order.
    pub parameters: Vec<Value>,
}

enum Job {
    Query(Statement, mpsc::Sender<Batch>),
    Transact(Vec<Statement>, oneshot::Sender<Result<u64>>),
    Content(Vec<String>, bool, mpsc::Sender<Result<TableContent>>),
    Integrity(Level, oneshot::Sender<Result<Integrity>>),
    Other(Work),
}

/// Work of another module in the thread of a connection.
type Work = Box<dyn FnOnce(Inside<'_>) + Send>;

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

enum Batch {
    Columns(Vec<String>),
    Rows(Vec<Vec<Value>>),
    Failed(Error),
}

/// A connection in its thread. Dropped, it interrupts what runs and closes.
pub(crate) struct Connection {
    jobs: std::sync::mpsc::Sender<Job>,
    interrupt: InterruptHandle,
    closing: Arc<AtomicBool>,
    /// The job under way is not wanted any more.
    abandoned: Arc<AtomicBool>,
    busy: Arc<AtomicBool>,
}

/// An integrity check under way. Dropped, it ends.
pub(crate) struct IntegrityJob {
    answer: Option<oneshot::Receiver<Result<Integrity>>>,
    abandoned: Arc<AtomicBool>,
    busy: Arc<AtomicBool>,
}

/// Tables being read. Dropped, the reading ends.
pub(crate) struct Contents {
    tables: mpsc::Receiver<Result<TableContent>>,
    busy: Arc<AtomicBool>,
}

/// The rows of a running query. Dropped, the query ends.
pub(crate) struct Rows {
    batches: mpsc::Receiver<Batch>,
    columns: Option<Vec<String>>,
    waiting: std::collections::VecDeque<Vec<Value>>,
    failed: Option<Error>,
    busy: Arc<AtomicBool>,
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
        let open = (Open::count(), Opened::count(&path));
        std::thread::Builder::new()
            .name("sqlite".into())
            .spawn(move || {
                let (_open, _slot) = (open, slot);
                let identity = identity(&path);
                let job = Arc::clone(&unwanted);
                let given_up: GivenUp = Arc::new(move || {
                    ending.load(Ordering::Relaxed)
                        || job.load(Ordering::Relaxed)
                        || stop.signal().is_some()
                        || Instant::now() > deadline
                });
                match prepare(&path, access, &given_up) {
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
        Ok(Self { jobs, interrupt, closing, abandoned, busy: Arc::default() })
    }

    /// Starts a query.
    pub(crate) fn query(&self, statement: Statement) -> Result<Rows> {
        bounded(&statement)?;
        self.take()?;
        let (sender, batches) = mpsc::channel(BATCHES);
        self.jobs
            .send(Job::Query(statement, sender))
            .map_err(|_gone| Error::inconclusive("the connection is closed"))?;
        Ok(Rows {
            batches,
            columns: None,
            waiting: std::collections::VecDeque::new(),
            failed: None,
            busy: Arc::clone(&self.busy),
        })
    }

    /// Runs all statements in one IMMEDIATE transaction and gives the number of
    /// changed rows.
    pub(crate) async fn transact(&self, statements: Vec<Statement>) -> Result<u64> {
        statements.iter().try_for_each(bounded)?;
        self.take()?;
        let (sender, answer) = oneshot::channel();
        let sent = self.jobs.send(Job::Transact(statements, sender));
        let result = match sent {
            Ok(()) => {
                answer.await.unwrap_or_else(|_gone| Err(Error::inconclusive("SQLite gave up")))
            }
            Err(_gone) => Err(Error::inconclusive("the connection is closed")),
        };
        self.busy.store(false, Ordering::Release);
        result
    }

    /// Starts reading the content of tables, in this order.
    pub(crate) fn content(&self, tables: Vec<String>, with_digest: bool) -> Result<Contents> {
        self.take()?;
        let (sender, receiver) = mpsc::channel(tables.len().max(1));
        self.jobs
            .send(Job::Content(tables, with_digest, sender))
            .map_err(|_gone| Error::inconclusive("the connection is closed"))?;
        Ok(Contents { tables: receiver, busy: Arc::clone(&self.busy) })
    }

    /// Starts checking what this connection sees; of a copy, with further connections.
    pub(crate) fn integrity(&self, level: Level) -> Result<IntegrityJob> {
        self.take()?;
        let (sender, answer) = oneshot::channel();
        self.jobs
            .send(Job::Integrity(level, sender))
            .map_err(|_gone| Error::inconclusive("the connection is closed"))?;
        Ok(IntegrityJob {
            answer: Some(answer),
            abandoned: Arc::clone(&self.abandoned),
            busy: Arc::clone(&self.busy),
        })
    }

    /// Does `work` in the thread of this connection. Whoever drops the answer ends the
    /// work, if it looks at its second argument.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(Inside<'_>, &(dyn Fn() -> bool + Sync)) -> Result<T> + Send + 'static,
    ) -> Result<Running<T>> {
        self.take()?;
        let (sender, answer) = oneshot::channel();
        let job = move |inside: Inside<'_>| {
            let given_up = Arc::clone(inside.given_up);
            let result = work(inside, &|| given_up() || sender.is_closed());
            let _gone = sender.send(result);
        };
        let running = Running { answer: Some(answer), busy: Arc::clone(&self.busy) };
        self.jobs
            .send(Job::Other(Box::new(job)))
            .map_err(|_gone| Error::inconclusive("the connection is closed"))?;
        Ok(running)
    }

    fn take(&self) -> Result<()> {
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err(Error::new(
                Code::Busy,
                "the last query of this connection is not at its end",
            )
            .hint("read it to its end, drop it, or open a second connection"));
        }
        Ok(())
    }
}

/// Work in the thread of a connection. Dropped, it ends.
pub(crate) struct Running<T> {
    answer: Option<oneshot::Receiver<Result<T>>>,
    busy: Arc<AtomicBool>,
}

impl<T> Running<T> {
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

impl Drop for Connection {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        self.interrupt.interrupt();
    }
}

/// A text that is longer than a statement may be.
fn bounded(statement: &Statement) -> Result<()> {
    if statement.sql.len() <= limits::MAX_SQL {
        return Ok(());
    }
    let most = limits::MAX_SQL;
    Err(Error::new(Code::Limit, format!("a statement may have {most} bytes")))
}

impl IntegrityJob {
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

impl Contents {
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

impl Rows {
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
                self.busy.store(false, Ordering::Release);
                return false;
            }
        }
        true
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        // The thread sees the closed channel at its next batch.
        self.batches.close();
        self.busy.store(false, Ordering::Release);
    }
}

/// How many connections have a thread.
static OPEN: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// Counts a connection from its start until it is closed.
struct Open;

impl Open {
    fn count() -> Self {
        *OPEN.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        *OPEN.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        OPEN.1.notify_all();
    }
}

/// Whether this process has a connection to any database.
#[must_use]
pub(crate) fn any_open() -> bool {
    *OPEN.0.lock().unwrap_or_else(PoisonError::into_inner) > 0
}

/// Waits until every dropped connection is closed, at most for `patience`: a
/// process that ends before leaves the log and its index beside the database.
pub(crate) fn settle(patience: Duration) {
    let open = OPEN.0.lock().unwrap_or_else(PoisonError::into_inner);
    let _late = OPEN.1.wait_timeout_while(open, patience, |open| *open > 0);
}

fn prepare(
    path: &Path,
    access: Access,
    given_up: &GivenUp,
) -> rusqlite::Result<rusqlite::Connection> {
    // Others have written it, and what is folded before a daemon has read it may never
    // reach the replica: it is not for a guest to fold.
    let log_was_there = std::fs::metadata(Sidecar::Wal.of(path)).is_ok_and(|it| it.len() > 0);
    let mut connection = match access {
        // Reading too: the last connection that may write takes the log and its
        // index away when it closes, one that may not leaves them behind. Writing
        // is the authorizer's to forbid. SQLite opens what cannot be written for
        // reading.
        Access::Read | Access::Write => rusqlite::Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?,
        Access::Copy => rusqlite::Connection::open_with_flags(
            immutable(path),
            OpenFlags::SQLITE_OPEN_READ_ONLY
                | OpenFlags::SQLITE_OPEN_NO_MUTEX
                | OpenFlags::SQLITE_OPEN_URI,
        )?,
    };
    connection.busy_timeout(BUSY_TIMEOUT)?;
    if log_was_there {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    }
    if access == Access::Write {
        // A reader that begins behind a commit of this connection keeps the log from being
        // started anew, which it does not when the log is checkpointed at once.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    }
    limits::hold(&connection)?;
    if access != Access::Write {
        // `BEGIN IMMEDIATE` takes the write lock and keeps every writer out, and the
        // authorizer cannot tell it from `BEGIN`.
        connection.pragma_update(None, "query_only", true)?;
    }
    if access == Access::Copy {
        connection.pragma_update(None, "cache_size", -COPY_CACHE)?;
    }
    // A schema made by an attacker must not run functions with side effects.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.query_row("PRAGMA schema_version", [], |_row| Ok(()))?;
    watch(&mut connection, given_up, None)?;
    guard(&mut connection, access)?;
    Ok(connection)
}

/// Ends what the connection does when it is wanted no more, or at `limit`.
pub(super) fn watch(
    connection: &mut rusqlite::Connection,
    given_up: &GivenUp,
    limit: Option<Instant>,
) -> rusqlite::Result<()> {
    let given_up = Arc::clone(given_up);
    let over = move || given_up() || limit.is_some_and(|limit| Instant::now() > limit);
    connection.progress_handler(PROGRESS_STEPS, Some(over))
}

/// From here on a statement may do what `access` allows.
fn guard(connection: &mut rusqlite::Connection, access: Access) -> rusqlite::Result<()> {
    connection.authorizer(Some(move |context: rusqlite::hooks::AuthContext<'_>| {
        authorize(access, &context)
    }))
}

/// The URI of a file that nobody changes.
pub(crate) fn immutable(path: &Path) -> String {
    use std::fmt::Write;
    use std::os::unix::ffi::OsStrExt;
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(*byte));
            }
            other => {
                let _infallible = write!(uri, "%{other:02X}");
            }
        }
    }
    uri.push_str("?immutable=1");
    uri
}

/// What the thread of a connection has.
struct Worker {
    connection: rusqlite::Connection,
    access: Access,
    path: PathBuf,
    identity: Option<Identity>,
    given_up: GivenUp,
    unwanted: Arc<AtomicBool>,
    held: Option<Held>,
}

impl Worker {
    fn work(&mut self, jobs: &std::sync::mpsc::Receiver<Job>) {
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
        // What is needed for it is nothing for a guest.
        type Nobody = fn(rusqlite::hooks::AuthContext<'_>) -> rusqlite::hooks::Authorization;
        self.connection.authorizer(None::<Nobody>)?;
        limits::for_ourselves(&self.connection)?;
        let found = integrity::of_connection(&self.connection, level);
        limits::for_guest(&self.connection)?;
        guard(&mut self.connection, self.access)?;
        found
    }
}

fn query(
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

fn transact(
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

fn shorten(sql: &str) -> String {
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// What a value takes on its way to a guest, in bytes.
fn size(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => 16,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len() + 16,
    }
}

/// As SQLite says it of a single value.
fn too_big() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_TOOBIG);
    let most = limits::MAX_ROW >> 20;
    rusqlite::Error::SqliteFailure(code, Some(format!("a row has more than {most} MiB")))
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(integer) => Self::Integer(integer),
            ValueRef::Real(real) => Self::Real(real),
            ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Self::Text(text.to_owned()),
                Err(_) => Self::Blob(bytes.to_owned()),
            },
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_owned()),
        }
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::ToSqlOutput;
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Integer(integer) => ToSqlOutput::Borrowed(ValueRef::Integer(*integer)),
            Self::Real(real) => ToSqlOutput::Borrowed(ValueRef::Real(*real)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a database.sqlite3");
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = wal; CREATE TABLE t (id INTEGER PRIMARY KEY, x);
                 INSERT INTO t (x) VALUES (1), (2.5), ('a'), (x'00ff'), (NULL), (CAST(x'ff' AS TEXT));",
            )
            .unwrap();
        (folder, path)
    }

    async fn open(path: &Path, access: Access) -> Result<Connection> {
        let deadline = Instant::now() + Duration::from_secs(20);
        Connection::open(path, access, deadline, Stop::default(), &Slots::default()).await
    }

    fn statement(sql: &str) -> Statement {
        Statement { sql: sql.into(), parameters: Vec::new() }
    }

    async fn all(connection: &Connection, sql: &str) -> Result<Vec<Vec<Value>>> {
        let mut rows = connection.query(statement(sql))?;
        let mut found = Vec::new();
        loop {
            let some = rows.next(2).await?;
            if some.is_empty() {
                return Ok(found);
            }
            assert!(some.len() <= 2);
            found.extend(some);
        }
    }

    #[tokio::test]
    async fn every_storage_class_comes_through() {
        let (_folder, path) = database();
        let connection = open(&path, Access::Read).await.unwrap();
        let values: Vec<Value> = all(&connection, "SELECT x FROM t ORDER BY id")
            .await
            .unwrap()
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(
            values,
            [
                Value::Integer(1),
                Value::Real(2.5),
                Value::Text("a".into()),
                Value::Blob(vec![0, 255]),
                Value::Null,
                Value::Blob(vec![255]),
            ]
        );
    }

    #[tokio::test]
    async fn a_reader_cannot_change_anything() {
        let (folder, path) = database();
        let connection = open(&path, Access::Read).await.unwrap();
        let attach = format!("ATTACH '{}' AS y", folder.path().join("y").display());
        for sql in [
            "INSERT INTO t (x) VALUES (1)",
            "DELETE FROM t",
            "CREATE TABLE u (x)",
            "CREATE TEMP TABLE u (x)",
            "PRAGMA journal_mode = delete",
            "PRAGMA user_version = 3",
            "PRAGMA wal_checkpoint(TRUNCATE)",
            "PRAGMA writable_schema = 1",
            "PRAGMA temp_store_directory = '/tmp'",
            "SELECT load_extension('x')",
            "VACUUM INTO '/tmp/lsrun-must-not-exist'",
            attach.as_str(),
        ] {
            let error = all(&connection, sql).await.expect_err(sql);
            assert!(["denied", "sqlite"].contains(&error.code().as_str()), "{sql}: {error:?}");
        }
        assert!(!folder.path().join("y").exists());
        let error = connection.transact(vec![statement("SELECT 1")]).await.unwrap_err();
        assert_eq!(error.code().as_str(), "denied");
        for sql in ["PRAGMA integrity_check", "PRAGMA table_info(t)", "SELECT count(*) FROM t"] {
            all(&connection, sql).await.expect(sql);
        }
    }

    #[tokio::test]
    async fn a_reader_takes_no_lock_that_keeps_writers_out() {
        let (_folder, path) = database();
        let connection = open(&path, Access::Read).await.unwrap();
        let application = rusqlite::Connection::open(&path).unwrap();
        for begin in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"] {
            all(&connection, begin).await.expect_err(begin);
            application.execute("INSERT INTO t (x) VALUES (7)", []).expect(begin);
        }
        all(&connection, "BEGIN").await.unwrap();
        all(&connection, "SELECT count(*) FROM t").await.unwrap();
        for sql in ["PRAGMA query_only = 0", "PRAGMA query_only", "PRAGMA temp_store = 1"] {
            assert_eq!(all(&connection, sql).await.unwrap_err().code().as_str(), "denied", "{sql}");
        }
        application.execute("INSERT INTO t (x) VALUES (7)", []).unwrap();
    }

    #[tokio::test]
    async fn a_live_database_is_checked_and_the_guest_has_nothing_of_it() {
        let (_folder, path) = database();
        let application = rusqlite::Connection::open(&path).unwrap();
        application
            .execute_batch(
                "CREATE TABLE c (n INT CHECK (n > 0)); PRAGMA ignore_check_constraints = on;
                 INSERT INTO c VALUES (-1); CREATE TABLE words (w TEXT);",
            )
            .unwrap();
        application.create_collation("german", |a, b| a.cmp(b)).unwrap();
        application.execute_batch("CREATE INDEX w ON words (w COLLATE german)").unwrap();
        let connection = open(&path, Access::Read).await.unwrap();
        all(&connection, "BEGIN").await.unwrap();
        let mut job = connection.integrity(Level::Full).unwrap();
        assert_eq!(connection.integrity(Level::Full).err().unwrap().code().as_str(), "busy");
        let found = job.wait().await.unwrap();
        assert_eq!(found.problems, ["CHECK constraint failed in c"]);
        assert_eq!(found.limited, ["words: quick_check only (no such collation sequence: german)"]);
        for (sql, code) in [
            ("SELECT 'a' < 'b' COLLATE german", "sqlite"),
            ("PRAGMA ignore_check_constraints = 1", "denied"),
            ("BEGIN IMMEDIATE", "denied"),
        ] {
            assert_eq!(all(&connection, sql).await.unwrap_err().code().as_str(), code, "{sql}");
        }
        // A job that nobody waits for leaves the connection free.
        drop(connection.integrity(Level::Full).unwrap());
        all(&connection, "SELECT count(*) FROM t").await.unwrap();
    }

    #[tokio::test]
    async fn a_row_and_a_value_are_bounded() {
        let (_folder, path) = database();
        let connection = open(&path, Access::Read).await.unwrap();
        let wide = vec!["randomblob(6000000)"; 20].join(", ");
        for sql in [
            format!("SELECT {wide}"),
            "SELECT length(randomblob(60000000))".into(),
            "SELECT randomblob(16000000), randomblob(16000000)".into(),
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) \
             SELECT group_concat(hex(randomblob(100000))) FROM n"
                .into(),
        ] {
            let error = all(&connection, &sql).await.unwrap_err();
            assert_eq!(error.code().as_str(), "limit", "{}: {error:?}", &sql[..40]);
        }
        let long = format!("SELECT {}1", "1 + ".repeat(300_000));
        assert_eq!(all(&connection, &long).await.unwrap_err().code().as_str(), "limit");
        all(&connection, "SELECT length(randomblob(10000000)), randomblob(10000000)")
            .await
            .unwrap();
    }

    /// A sort of more than SQLite may have fails, and fills no disk; in a process of its
    /// own, whose limit of memory is nobody else's.
    #[test]
    fn a_sort_takes_no_disk_and_no_more_memory_than_it_may() {
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sqlite::worker::tests::child_that_sorts", "--ignored"])
            .args(["--test-threads", "1"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && said.contains("1 passed"), "{run:?}");
    }

    #[tokio::test]
    #[ignore = "run by the one before, alone"]
    async fn child_that_sorts() {
        let (_folder, path) = database();
        let holder = rusqlite::Connection::open_in_memory().unwrap();
        holder.query_row("PRAGMA hard_heap_limit = 50000000", [], |_row| Ok(())).unwrap();
        let connection = open(&path, Access::Read).await.unwrap();
        let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
             SELECT randomblob(100000) AS x FROM n";
        for sql in [
            format!("SELECT length(x) FROM ({rows} ORDER BY x)"),
            format!("SELECT count(DISTINCT x) FROM ({rows})"),
        ] {
            let error = all(&connection, &sql).await.unwrap_err();
            assert_eq!(error.code().as_str(), "limit", "{error:?}");
        }
        let temporary = std::fs::read_dir("/proc/self/fd").unwrap().flatten().filter(|it| {
            std::fs::read_link(it.path()).is_ok_and(|to| to.to_string_lossy().contains("etilqs"))
        });
        assert_eq!(temporary.count(), 0);
        // What is over leaves room for the next.
        all(&connection, "SELECT x FROM t ORDER BY x").await.unwrap();
    }

    #[tokio::test]
    async fn what_the_database_holds_is_read_whatever_its_length() {
        let (_folder, path) = database();
        let application = rusqlite::Connection::open(&path).unwrap();
        application.execute("INSERT INTO t (x) VALUES (randomblob(20000000))", []).unwrap();
        let connection = open(&path, Access::Read).await.unwrap();
        let mut contents = connection.content(vec!["t".into()], true).unwrap();
        assert_eq!(contents.next().await.unwrap().unwrap().rows, 7);
        assert_eq!(contents.next().await.unwrap(), None);
        let found = connection.integrity(Level::Full).unwrap().wait().await.unwrap();
        assert_eq!(found, Integrity::default());
        let error = all(&connection, "SELECT x FROM t").await.unwrap_err();
        assert_eq!(error.code().as_str(), "limit");
    }

    #[tokio::test]
    async fn threads_are_counted_until_they_end() {
        let (_folder, path) = database();
        let slots = Slots::default();
        let deadline = Instant::now() + Duration::from_secs(60);
        for _ in 0..100 {
            Connection::open(&path, Access::Read, deadline, Stop::default(), &slots).await.unwrap();
        }
        assert!(slots.free() <= 16);
    }

    #[tokio::test]
    async fn a_transaction_is_all_or_nothing() {
        let (_folder, path) = database();
        let connection = open(&path, Access::Write).await.unwrap();
        let changed = connection
            .transact(vec![
                statement("INSERT INTO t (x) VALUES (7)"),
                statement("DELETE FROM t WHERE id = 1"),
            ])
            .await
            .unwrap();
        assert_eq!(changed, 2);
        connection
            .transact(vec![statement("DELETE FROM t"), statement("SELECT * FROM nowhere")])
            .await
            .unwrap_err();
        let count = all(&connection, "SELECT count(*) FROM t").await.unwrap();
        assert_eq!(count, [[Value::Integer(6)]]);
    }

    #[tokio::test]
    async fn one_query_at_a_time_and_a_dropped_one_ends() {
        let (_folder, path) = database();
        let connection = open(&path, Access::Read).await.unwrap();
        let endless =
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
        let mut rows = connection.query(statement(endless)).unwrap();
        assert_eq!(rows.next(1).await.unwrap(), [[Value::Integer(1)]]);
        let second = connection.query(statement("SELECT 1")).err().unwrap();
        assert_eq!(second.code().as_str(), "busy");
        drop(rows);
        assert_eq!(all(&connection, "SELECT 1").await.unwrap(), [[Value::Integer(1)]]);
    }

    #[tokio::test]
    async fn a_deadline_ends_a_query() {
        let (_folder, path) = database();
        let deadline = Instant::now() + Duration::from_millis(50);
        let (stop, slots) = (Stop::default(), Slots::default());
        let connection =
            Connection::open(&path, Access::Read, deadline, stop, &slots).await.unwrap();
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        let error = all(&connection, endless).await.unwrap_err();
        assert_eq!(error.code().as_str(), "timeout");
    }

    #[tokio::test]
    async fn a_copy_is_read_without_touching_its_folder() {
        let (folder, path) = database();
        let connection = open(&path, Access::Copy).await.unwrap();
        assert_eq!(
            all(&connection, "SELECT count(*) FROM t").await.unwrap(),
            [[Value::Integer(6)]]
        );
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1);
    }

    #[tokio::test]
    async fn a_log_that_was_there_stays() {
        let (_folder, path) = database();
        let log = || std::fs::read(Sidecar::Wal.of(&path)).unwrap_or_default();
        assert!(log().is_empty());
        // Left by one that ended without closing.
        let user = rusqlite::Connection::open(&path).unwrap();
        user.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        user.execute("INSERT INTO t (x) VALUES (7)", []).unwrap();
        drop(user);
        let before = log();
        assert!(!before.is_empty());
        let connection = open(&path, Access::Read).await.unwrap();
        let count = all(&connection, "SELECT count(*) FROM t").await.unwrap();
        assert_eq!(count, [[Value::Integer(7)]]);
        drop(connection);
        settle(Duration::from_secs(20));
        assert_eq!(log(), before);
    }

    #[tokio::test]
    async fn what_is_no_database_is_refused_and_nothing_is_created() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        assert!(open(&path, Access::Write).await.is_err());
        assert!(!path.exists());
        std::fs::write(&path, "this is a text file, longer than the header of SQLite ".repeat(40))
            .unwrap();
        let error = open(&path, Access::Read).await.err().unwrap();
        assert!(error.one_line().contains("not a database"), "{error:?}");
    }
}
