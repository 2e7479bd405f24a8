//! Serves how the backups stand: `GET /health` and `GET /metrics` over HTTP/1.1, next to the
//! daemon. It runs in the process that replicates, so whoever asks can take little of it: a
//! few connections of a few seconds, one answer on each, and nothing of a body is read.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use super::standing::Standings;
use crate::error::{Error, Result};
use crate::project::listen_address;

/// How many connections there are at most. A new one ends the oldest, so that those who
/// only hold theirs do not keep out those who ask.
const CONNECTIONS: usize = 64;

/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(5);

/// How long a connection may take in all.
const WHOLE: Duration = Duration::from_secs(10);

/// The least that hyper takes.
const BUFFER: usize = 8192;

const HEADERS: usize = 64;

/// A server that listens, and answers when it is [run](Self::run).
pub(crate) struct Server {
    listener: TcpListener,
    standings: Arc<Standings>,
}

impl Server {
    /// Listens at `HOST:PORT`.
    ///
    /// Fails (exit 20) where that is not an address of this machine, or taken.
    pub(crate) async fn listen(address: &str, standings: Arc<Standings>) -> Result<Self> {
        let Some(place) = listen_address(address) else {
            return Err(Error::project(format!(
                "verify.listen is `{address}`, which is not an address and a port"
            ))
            .hint("write it like `127.0.0.1:9091`, or `:9091` for every address of the machine"));
        };
        match TcpListener::bind(place).await {
            Ok(listener) => Ok(Self { listener, standings }),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                Err(Error::project(format!("the address of verify.listen is in use: {address}"))
                    .cause(error)
                    .hint("another process listens there; stop it, or choose another port"))
            }
            Err(error) => Err(Error::project(format!(
                "cannot listen at the address of verify.listen: {address}"
            ))
            .cause(error)
            .hint("choose an address of this machine, and a port above 1023")),
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Answers until it is dropped.
    pub(crate) async fn run(self) {
        let mut open: VecDeque<ServedConnection> = VecDeque::new();
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                // No descriptor is left, or the other side has gone.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            open.retain(|connection| !connection.0.is_finished());
            if open.len() >= CONNECTIONS {
                open.pop_front();
            }
            let serving = tokio::spawn(serve(stream, Arc::clone(&self.standings)));
            open.push_back(ServedConnection(serving.abort_handle()));
        }
    }
}

/// One that is served. Dropped, it is closed.
struct ServedConnection(AbortHandle);

impl Drop for ServedConnection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn serve(stream: TcpStream, standings: Arc<Standings>) {
    let answer = service_fn(|request: Request<Incoming>| {
        let standings = Arc::clone(&standings);
        async move { Ok::<_, Infallible>(answer(&request, &standings).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER)
        .max_headers(HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    // Whatever is wrong is the other side's to notice.
    let _gone = tokio::time::timeout(WHOLE, connection).await;
}

async fn answer(request: &Request<Incoming>, standings: &Arc<Standings>) -> Response<Full<Bytes>> {
    let asks = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, kind, text) = match request.uri().path() {
        "/health" if asks => {
            let health = standings.health().await;
            let status = if health.good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            (status, "application/json", health.text)
        }
        "/metrics" if asks => match standings.metrics().await {
            Ok(text) => (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text),
            Err(error) => {
                (StatusCode::INTERNAL_SERVER_ERROR, PLAIN, format!("{}\n", error.one_line()))
            }
        },
        _ => (StatusCode::NOT_FOUND, PLAIN, "there are /health and /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

const PLAIN: &str = "text/plain; charset=utf-8";
