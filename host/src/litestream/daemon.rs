//! Finds out whether a litestream daemon replicates a database, without opening
//! the database, and talks to its control socket.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::litestream::txid::Txid;
use crate::project::Database;
#[cfg(target_os = "linux")]
use crate::suffix::with_suffix;

/// How long a daemon may take to say that its time is over.
const ANSWER: Duration = Duration::from_millis(1500);

const LOOK_AT_ITS_LOG: &str = "look at the daemon's log; its replica may not answer";

/// A daemon's control socket.
#[derive(Debug, Clone)]
pub struct Control {
    socket: PathBuf,
}

/// What `POST /sync` answers.
#[derive(Debug, Deserialize)]
pub struct Synced {
    /// The local transaction.
    pub txid: u64,
    /// The replica's.
    #[serde(default)]
    pub replicated_txid: Option<u64>,
}

/// What `GET /list` answers.
#[derive(Deserialize)]
struct Known {
    databases: Vec<KnownDatabase>,
}

#[derive(Deserialize)]
struct KnownDatabase {
    path: PathBuf,
    status: String,
}

#[derive(Deserialize)]
struct State {
    status: String,
    #[serde(default)]
    txid: u64,
}

/// What a daemon was doing with a database that it leaves alone now.
#[derive(Debug, Clone, Copy)]
pub struct Left {
    /// It replicated it.
    pub running: bool,
    /// How far it had come; 0 when it has never seen it.
    pub txid: u64,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// Why the control socket gave no answer to a request.
#[derive(Debug)]
pub enum ControlError {
    /// Nobody listens, or the daemon does not know this database.
    NotThere,
    /// It was told to leave this database alone.
    Stopped,
    /// The daemon says no.
    Refused(Error),
}

impl ControlError {
    /// Why the daemon does not replicate `database`; none where it is not the one
    /// to ask.
    #[must_use]
    pub fn explain(self, database: &str) -> Option<Error> {
        match self {
            Self::NotThere => None,
            Self::Stopped => Some(
                Error::inconclusive(format!("the litestream daemon was stopped for {database}"))
                    .code("litestream")
                    // Litestream 0.5.17 remembers how far it had read the log.
                    .hint(format!(
                        "start the daemon anew; lsrun start {database} is as good only if nothing was written meanwhile"
                    )),
            ),
            Self::Refused(error) => Some(error),
        }
    }
}

impl From<Error> for ControlError {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Control {
    /// Nothing is connected yet. None where there is no such file.
    #[must_use]
    pub fn at(socket: &Path) -> Option<Self> {
        socket.exists().then(|| Self { socket: socket.to_owned() })
    }

    /// Where it is.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Fails with [`ControlError::Stopped`] where the daemon was told to leave the
    /// database alone. That nobody answers in time, or not as expected, is no failure.
    pub async fn replicates(
        &self,
        database: &Path,
        timeout: Duration,
    ) -> std::result::Result<(), ControlError> {
        let asked = tokio::time::timeout(timeout, self.ask::<Known>("/list", None)).await;
        let Ok(Ok(known)) = asked else { return Ok(()) };
        match known.databases.iter().find(|it| it.path == database) {
            Some(it) if it.status == "stopped" => Err(ControlError::Stopped),
            _ => Ok(()),
        }
    }

    /// Asks the daemon to replicate everything committed so far and waits.
    pub async fn sync(
        &self,
        database: &Path,
        timeout: Duration,
    ) -> std::result::Result<Synced, ControlError> {
        self.ask_to_sync(database, timeout, true).await
    }

    /// Asks the daemon to read what was committed so far, and does not wait for the
    /// replica.
    pub async fn look(
        &self,
        database: &Path,
        timeout: Duration,
    ) -> std::result::Result<Synced, ControlError> {
        self.ask_to_sync(database, timeout, false).await
    }

    async fn ask_to_sync(
        &self,
        database: &Path,
        timeout: Duration,
        wait: bool,
    ) -> std::result::Result<Synced, ControlError> {
        // The daemon takes whole seconds. Its own deadline comes first: its answer says
        // more.
        let seconds = (timeout + Duration::from_millis(500)).as_secs().max(1);
        let body = serde_json::json!({ "path": database, "wait": wait, "timeout": seconds });
        let all = Duration::from_secs(seconds) + ANSWER;
        match tokio::time::timeout(all, self.post("/sync", body.to_string())).await {
            Ok(answer) => answer,
            Err(_late) => Err(self.late().into()),
        }
    }

    /// Tells the daemon to leave the database alone.
    pub async fn stop(&self, database: &Path) -> std::result::Result<Left, ControlError> {
        let answer: State = self.switch("/stop", database).await?;
        Ok(Left { running: answer.status == "stopped", txid: answer.txid })
    }

    /// Tells the daemon to replicate the database again.
    pub async fn start(&self, database: &Path) -> std::result::Result<(), ControlError> {
        let _started: State = self.switch("/start", database).await?;
        Ok(())
    }

    async fn switch(
        &self,
        path: &str,
        database: &Path,
    ) -> std::result::Result<State, ControlError> {
        let timeout = Duration::from_secs(30);
        let body = serde_json::json!({ "path": database, "timeout": timeout.as_secs() });
        match tokio::time::timeout(timeout * 2, self.post(path, body.to_string())).await {
            Ok(answer) => answer,
            Err(_late) => Err(self.late().into()),
        }
    }

    /// Litestream 0.5.17 keeps no deadline while it waits for its replica.
    fn late(&self) -> Error {
        Error::inconclusive("the litestream daemon does not answer in time")
            .code("timeout")
            .cause(format!("control socket {}", self.socket.display()))
            .hint(LOOK_AT_ITS_LOG)
    }

    async fn post<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
        body: String,
    ) -> std::result::Result<T, ControlError> {
        self.ask(path, Some(body)).await
    }

    /// A POST of the body, or a GET without one.
    async fn ask<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
        body: Option<String>,
    ) -> std::result::Result<T, ControlError> {
        let Ok(stream) = tokio::net::UnixStream::connect(&self.socket).await else {
            return Err(ControlError::NotThere);
        };
        let (status, text) = exchange(stream, path, body).await.map_err(|error| {
            Error::inconclusive("the litestream daemon broke off")
                .code("litestream")
                .cause(format!("control socket {}", self.socket.display()))
                .cause(format!("{error:#}"))
        })?;
        if status == hyper::StatusCode::NOT_FOUND {
            return Err(ControlError::NotThere);
        }
        if !status.is_success() {
            let text = String::from_utf8_lossy(&text).into_owned();
            let reason = serde_json::from_str::<Refusal>(&text).map_or(text, |body| body.error);
            // `/stop` and `/start` say so under another status.
            if reason.starts_with("database not found") {
                return Err(ControlError::NotThere);
            }
            if reason.starts_with("database not open") {
                return Err(ControlError::Stopped);
            }
            let late = reason.contains("deadline exceeded");
            return Err(Error::inconclusive("the litestream daemon cannot replicate")
                .code(if late { "timeout" } else { "litestream" })
                .cause(reason)
                .hint(LOOK_AT_ITS_LOG)
                .into());
        }
        serde_json::from_slice(&text).map_err(|error| {
            Error::new(Exit::Litestream, "the litestream daemon gave an answer nobody expects")
                .cause(error)
                .into()
        })
    }
}

/// One request and its answer.
async fn exchange(
    stream: tokio::net::UnixStream,
    path: &str,
    body: Option<String>,
) -> anyhow::Result<(hyper::StatusCode, Bytes)> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let method = if body.is_some() { hyper::Method::POST } else { hyper::Method::GET };
    let request = hyper::Request::builder()
        .method(method)
        .uri(path)
        .header(hyper::header::HOST, "litestream")
        .header(hyper::header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body.unwrap_or_default())))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok((status, body))
}

impl Synced {
    /// The transaction that the replica is known to hold.
    #[must_use]
    pub fn reached(&self) -> Option<Txid> {
        self.replicated_txid.filter(|txid| *txid >= self.txid && *txid > 0).map(Txid)
    }
}

/// The process ids of litestream daemons that have `database` open.
///
/// A daemon keeps a read transaction open, whose lock on the `-shm` file the
/// kernel lists. Nothing is opened here: closing a database's file would drop
/// the POSIX locks of this process's own connections.
#[cfg(target_os = "linux")]
#[must_use]
pub fn running(database: &Path) -> Vec<u32> {
    let Ok(metadata) = std::fs::metadata(with_suffix(database, "-shm")) else { return Vec::new() };
    let Ok(locks) = std::fs::read_to_string("/proc/locks") else { return Vec::new() };
    let mut found: Vec<u32> = locks
        .lines()
        .filter_map(|line| holder(line, metadata.ino()))
        .filter(|pid| is_litestream(*pid))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The process of a line of `/proc/locks` on the file with this inode:
/// `1: POSIX  ADVISORY  READ 4711 08:01:1234 123 123`.
#[cfg(target_os = "linux")]
fn holder(line: &str, inode: u64) -> Option<u32> {
    let mut fields = line.split_whitespace().skip(4);
    let pid = fields.next()?.parse().ok()?;
    let file = fields.next()?;
    (file.rsplit(':').next()?.parse::<u64>().ok()? == inode).then_some(pid)
}

#[cfg(target_os = "linux")]
fn is_litestream(pid: u32) -> bool {
    // The name is cut at 15 characters and can be read for any user's process.
    std::fs::read_to_string(format!("/proc/{pid}/comm"))
        .is_ok_and(|name| name.trim_end().contains("litestream"))
}

/// Fails while a litestream daemon has the database open; `hint` says what to do.
pub fn refuse_running(database: &Database, hint: &str) -> Result<()> {
    match running(&database.path).first() {
        None => Ok(()),
        Some(pid) => Err(Error::project(format!(
            "a litestream daemon (process {pid}) replicates {} already",
            database.name()
        ))
        .hint(hint)),
    }
}

/// A process that has a database open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// Its name, at most 15 characters.
    pub name: String,
}

impl Holder {
    /// Whether it is a litestream.
    #[must_use]
    pub fn is_litestream(&self) -> bool {
        self.name.contains("litestream")
    }
}

/// Device and inode: what a file is, whatever its name and whoever mounted it where.
/// None for what is not there.
#[must_use]
pub fn identity(file: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(file).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// The other processes that have the database or its write-ahead log open, as far
/// as this user may know. `database` is canonical.
#[cfg(target_os = "linux")]
#[must_use]
pub fn holders(database: &Path) -> Vec<Holder> {
    let log = with_suffix(database, "-wal");
    let files: Vec<_> = [database, &log].into_iter().filter_map(identity).collect();
    let name = database.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let mut found = Vec::new();
    for process in processes.flatten() {
        let pid = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        let Some(pid) = pid.filter(|pid| *pid != std::process::id()) else { continue };
        let Ok(open) = std::fs::read_dir(process.path().join("fd")) else { continue };
        let one_of_them = |file: std::fs::DirEntry| {
            // Only what has the name is looked at: a look at a file of a server that
            // has gone takes for ever.
            let link = std::fs::read_link(file.path()).unwrap_or_default();
            let named = link.file_name().and_then(std::ffi::OsStr::to_str);
            named.is_some_and(|link| link.starts_with(name))
                && identity(&file.path()).is_some_and(|file| files.contains(&file))
        };
        if open.flatten().any(one_of_them) {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            found.push(Holder { pid, name: name.trim_end().to_owned() });
        }
    }
    found
}

/// Elsewhere the system is not asked; SQLite's locks are.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn holders(_database: &Path) -> Vec<Holder> {
    Vec::new()
}

/// Elsewhere the system is not asked; `-once` is safe beside a daemon.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn running(_database: &Path) -> Vec<u32> {
    Vec::new()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::holder;

    #[test]
    fn a_line_of_the_kernels_lock_table_is_read() {
        let line = "3: POSIX  ADVISORY  READ  4711 fe:00:131078 123 123";
        assert_eq!(holder(line, 131_078), Some(4711));
        assert_eq!(holder(line, 131_079), None);
        assert_eq!(holder("3: -> POSIX  ADVISORY  READ 1 00:01:5 0 EOF", 9), None);
    }
}
