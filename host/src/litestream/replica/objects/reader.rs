//! A file of a store as a blocking reader: a few chunks are on their way, and no more.

use std::io::{self, Read};
use std::time::Duration;

use futures_util::StreamExt as _;
use hyper::body::Bytes;
use object_store::GetResult;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::error::Error;

/// How many chunks wait to be read; one is at most some hundred KB.
const AHEAD: usize = 8;

/// What arrives of a file. Dropped, it lets go of its connection.
pub(super) struct ObjectReader {
    chunks: mpsc::Receiver<Result<Bytes, Error>>,
    chunk: Bytes,
    /// How many bytes are still to come.
    left: u64,
    whole: u64,
    what: String,
}

impl ObjectReader {
    /// Reads `got`, which has to be `whole` bytes and of which something has to arrive
    /// within `limit`. `explain` makes the error of what failed, or of nothing.
    pub(super) fn new(
        runtime: &Handle,
        got: GetResult,
        whole: u64,
        what: String,
        limit: Duration,
        explain: impl Fn(Option<&object_store::Error>) -> Error + Send + 'static,
    ) -> Self {
        let (sender, chunks) = mpsc::channel(AHEAD);
        let forward = async move {
            let mut stream = got.into_stream();
            loop {
                let next = tokio::time::timeout(limit, stream.next()).await;
                let (chunk, ended) = match next {
                    Ok(None) => return,
                    Ok(Some(Ok(bytes))) => (Ok(bytes), false),
                    Ok(Some(Err(error))) => (Err(explain(Some(&error))), true),
                    Err(_late) => (Err(explain(None)), true),
                };
                if sender.send(chunk).await.is_err() || ended {
                    return;
                }
            }
        };
        runtime.spawn(forward);
        Self { chunks, chunk: Bytes::new(), left: whole, whole, what }
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            let Some(chunk) = self.chunks.blocking_recv() else {
                if self.left == 0 {
                    return Ok(0);
                }
                let (done, whole) = (self.whole - self.left, self.whole);
                let message = format!("{} ended after {done} of {whole} bytes", self.what);
                return Err(io::Error::other(Error::inconclusive(message)));
            };
            self.chunk = chunk.map_err(io::Error::other)?;
            let length = self.chunk.len() as u64;
            self.left = self.left.checked_sub(length).ok_or_else(|| {
                let message = format!("{} has more than {} bytes", self.what, self.whole);
                io::Error::other(Error::inconclusive(message))
            })?;
        }
        let length = self.chunk.len().min(buffer.len());
        let part = self.chunk.split_to(length);
        if let Some(into) = buffer.get_mut(..length) {
            into.copy_from_slice(&part);
        }
        Ok(length)
    }
}

/// The error of lsrun that an error of [`ObjectReader`] is, whoever passed it on.
pub(crate) fn cause(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(own) => own,
        Err(other) => other.into(),
    }
}
