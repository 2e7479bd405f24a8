//! Talks to the control socket of a litestream daemon.
//!
//! A sync request has only the path. A request with `wait` or `timeout` runs
//! in a context that ends with it, and with that context litestream 0.5.17 loses the
//! read lock that keeps an application from restarting the write-ahead log: what is
//! written from then on may never reach the replica, without a warning. So the
//! waiting is done here, by asking again.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::Deserialize;

use crate::code::Code;
use crate::error::Error;
use crate::litestream::replica::txid::Txid;
use crate::trust;

/// How long a daemon may take to stop or to start a database.
const SWITCH: Duration = Duration::from_secs(60);

const CHECK_ITS_LOG: &str = "check the daemon's log; its replica may not answer";

/// A daemon's control socket.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    socket: PathBuf,
}

/// What `POST /sync` answers.
#[derive(Debug, Deserialize)]
pub(crate) struct SyncAnswer {
    /// The local transaction.
    pub txid: u64,
    /// The replica's.
    #[serde(default)]
    pub replicated_txid: Option<u64>,
}

/// What `GET /list` answers.
#[derive(Deserialize)]
struct KnownDatabases {
    databases: Vec<KnownDatabase>,
}

#[derive(Deserialize)]
struct KnownDatabase {
    path: PathBuf,
    status: String,
}

#[derive(Deserialize)]
struct DaemonState {
    status: String,
    #[serde(default)]
    txid: u64,
}

/// What a daemon was doing with a database that it leaves alone now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
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
pub(crate) enum ControlError {
    /// Nobody listens, or the daemon does not know this database.
    NotThere,
    /// It was told to stop replicating this database.
    Stopped,
    /// The daemon refuses.
    Refused(Error),
}

impl ControlError {
    /// Why the daemon does not replicate `database`; none if it is not the one
    /// to ask.
    #[must_use]
    pub(crate) fn explain(self, database: &str) -> Option<Error> {
        match self {
            Self::NotThere => None,
            Self::Stopped => Some(
                Error::new(Code::Daemon, format!("the litestream daemon was stopped for {database}"))
                    // Litestream 0.5.17 remembers how far it had read the log.
                    .hint(format!(
                        "restart the daemon; lsrun start {} is enough only if nothing was written meanwhile",
                        shell_words::quote(database)
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
    /// Nothing is connected yet. None if there is no such file.
    #[must_use]
    pub(crate) fn at(socket: &Path) -> Option<Self> {
        socket.exists().then(|| Self { socket: socket.to_owned() })
    }

    /// Where it is.
    #[must_use]
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Fails with [`ControlError::Stopped`] where the daemon was told to leave the
    /// database alone. That nobody answers in time, or not as expected, is not a failure.
    pub(crate) async fn replicates(
        &self,
        database: &Path,
        timeout: Duration,
    ) -> std::result::Result<(), ControlError> {
        match self.status(database, timeout).await.as_deref() {
            Some("stopped") => Err(ControlError::Stopped),
            _ => Ok(()),
        }
    }

    /// Whether the daemon has the database, also one that it was told to leave alone.
    pub(crate) async fn knows(&self, database: &Path, timeout: Duration) -> bool {
        self.status(database, timeout).await.is_some()
    }

    /// What the daemon says of the database; none if it does not know it or gives no
    /// answer in time.
    async fn status(&self, database: &Path, timeout: Duration) -> Option<String> {
        let asked = tokio::time::timeout(timeout, self.ask::<KnownDatabases>("/list", None)).await;
        let known = asked.ok()?.ok()?;
        known.databases.into_iter().find(|it| it.path == database).map(|it| it.status)
    }

    /// Asks the daemon to replicate everything committed so far, and waits until the
    /// replica has it.
    ///
    /// What was committed is what the daemon's first answer names: later answers run
    /// ahead of the replica for as long as anything is written. Fails with the code
    /// `timeout` at the deadline. A daemon that does not say what its replica has
    /// (before 0.5.10) gives an answer without it, and there was nothing to wait for.
    pub(crate) async fn sync(
        &self,
        database: &Path,
        deadline: Instant,
    ) -> std::result::Result<SyncAnswer, ControlError> {
        let first = self.look(database, deadline).await?;
        let mut latest = first.replicated_txid;
        let mut pace = Pace::default();
        while let Some(replicated) = latest.filter(|replicated| *replicated < first.txid) {
            let lags = || {
                let (has, wanted) = (Txid(replicated), Txid(first.txid));
                Error::new(
                    Code::Timeout,
                    format!("the replica lags: it has TXID {has}, the daemon {wanted}"),
                )
                .hint(CHECK_ITS_LOG)
            };
            if !pace.wait(deadline).await {
                return Err(lags().into());
            }
            latest = match self.look(database, deadline).await {
                Ok(answer) => answer.replicated_txid,
                Err(ControlError::Refused(error)) if error.code() == Code::Timeout => {
                    return Err(lags().into());
                }
                Err(error) => return Err(error),
            };
        }
        Ok(SyncAnswer { txid: first.txid, replicated_txid: latest })
    }

    /// Asks the daemon to read what was committed so far, and does not wait for the
    /// replica. While an application holds the database locked, it is asked again.
    pub(crate) async fn look(
        &self,
        database: &Path,
        deadline: Instant,
    ) -> std::result::Result<SyncAnswer, ControlError> {
        let body = serde_json::json!({ "path": database }).to_string();
        let mut pace = Pace::default();
        loop {
            let asked = self.post("/sync", body.clone());
            let answer = match tokio::time::timeout_at(deadline.into(), asked).await {
                Ok(answer) => answer,
                Err(_late) => return Err(self.late().into()),
            };
            match answer {
                Err(ControlError::Refused(error)) if error.code() == Code::Busy => {
                    if !pace.wait(deadline).await {
                        return Err(error.into());
                    }
                }
                other => return other,
            }
        }
    }

    /// Tells the daemon to leave the database alone.
    pub(crate) async fn stop(&self, database: &Path) -> std::result::Result<Left, ControlError> {
        let answer: DaemonState = self.switch("/stop", database).await?;
        Ok(Left { running: answer.status == "stopped", txid: answer.txid })
    }

    /// Tells the daemon to replicate the database again.
    pub(crate) async fn start(&self, database: &Path) -> std::result::Result<(), ControlError> {
        let _started: DaemonState = self.switch("/start", database).await?;
        Ok(())
    }

    async fn switch(
        &self,
        path: &str,
        database: &Path,
    ) -> std::result::Result<DaemonState, ControlError> {
        let body = serde_json::json!({ "path": database });
        match tokio::time::timeout(SWITCH, self.post(path, body.to_string())).await {
            Ok(answer) => answer,
            Err(_late) => Err(self.late().into()),
        }
    }

    /// Litestream 0.5.17 keeps no deadline while it waits for its replica.
    fn late(&self) -> Error {
        Error::new(Code::Timeout, "the litestream daemon does not answer in time")
            .cause(format!("control socket {}", self.socket.display()))
            .hint(CHECK_ITS_LOG)
    }

    /// A process of another user could answer anything.
    fn stranger(&self) -> Error {
        Error::new(Code::Daemon, "another user's process listens at the litestream control socket")
            .cause(format!("control socket {}", self.socket.display()))
            .hint(
                "lsrun does not ask it; if it is your daemon, put its socket in a folder that only \
                 its user and root can write, such as /run/litestream",
            )
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
        if !trust::peer_is_trusted(&stream, &self.socket) {
            return Err(self.stranger().into());
        }
        let (status, text) = exchange(stream, path, body).await.map_err(|error| {
            Error::new(Code::Daemon, "the litestream daemon ended the connection")
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
            let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
            let code = if says(&["deadline exceeded"]) {
                Code::Timeout
            } else if says(&["database is locked", "SQLITE_BUSY"]) {
                Code::Busy
            } else {
                Code::Litestream
            };
            return Err(Error::new(code, "the litestream daemon cannot replicate")
                .cause(reason)
                .hint(CHECK_ITS_LOG)
                .into());
        }
        serde_json::from_slice(&text).map_err(|error| {
            Error::new(Code::Litestream, "the litestream daemon gave an unexpected answer")
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

/// The pauses between two questions: 20 ms, which no folder's replica is slower than by
/// much, and longer ones for a replica that takes long, as each question makes a
/// transaction of its own if anything is written.
#[derive(Default)]
struct Pace {
    asked: u32,
}

impl Pace {
    /// False when the deadline has passed.
    async fn wait(&mut self, deadline: Instant) -> bool {
        let pause = match self.asked {
            0..25 => Duration::from_millis(20),
            25..50 => Duration::from_millis(50),
            _ => Duration::from_millis(250),
        };
        self.asked += 1;
        let now = Instant::now();
        if now >= deadline {
            return false;
        }
        tokio::time::sleep(pause.min(deadline - now)).await;
        true
    }
}

impl SyncAnswer {
    /// The transaction that the replica is known to hold.
    #[must_use]
    pub(crate) fn reached(&self) -> Option<Txid> {
        self.replicated_txid.filter(|txid| *txid >= self.txid && *txid > 0).map(Txid)
    }
}
