//! A guest's own standard output and error: its start and its end are kept, up to a
//! limit that never ends the guest.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// How many bytes a guest may write in one piece.
const PIECE: usize = 64 << 10;

/// One of the two streams. Clones share what was written.
#[derive(Debug, Clone)]
pub(super) struct Stream(Arc<Mutex<KeptOutput>>);

#[derive(Debug)]
struct KeptOutput {
    /// The first bytes, and the last ones.
    start: Vec<u8>,
    end: VecDeque<u8>,
    /// How many each of them may be.
    room: usize,
    left_out: u64,
}

impl Stream {
    /// Keeps about `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(KeptOutput {
            start: Vec::new(),
            end: VecDeque::new(),
            room: limit / 2,
            left_out: 0,
        })))
    }

    fn kept(&self) -> MutexGuard<'_, KeptOutput> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, bytes: &[u8]) {
        let mut kept = self.kept();
        let room = kept.room.saturating_sub(kept.start.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        kept.start.extend_from_slice(first);
        kept.end.extend(rest);
        let over = kept.end.len().saturating_sub(kept.room);
        kept.end.drain(..over);
        kept.left_out += over as u64;
    }

    /// What is kept, with a line that says how much is not.
    pub(super) fn text(&self) -> String {
        let kept = self.kept();
        let mut text = String::from_utf8_lossy(&kept.start).into_owned();
        if kept.left_out > 0 {
            text.push_str(&format!("\n… {} bytes are left out …\n", kept.left_out));
        }
        let end: Vec<u8> = kept.end.iter().copied().collect();
        text.push_str(&String::from_utf8_lossy(&end));
        text
    }

    /// The last lines that are not empty, at most `count`.
    pub(super) fn last_lines(&self, count: usize) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().rev().filter(|line| !line.trim().is_empty()).take(count);
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        lines.reverse();
        lines
    }
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only for wasip1 and wasip3, which are not linked.
        Box::new(tokio::io::sink())
    }
}

impl OutputStream for Stream {
    fn write(&mut self, bytes: hyper::body::Bytes) -> StreamResult<()> {
        self.add(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PIECE)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_and_the_end_are_kept_and_a_line_says_what_is_not() {
        let stream = Stream::new(20);
        stream.add(b"first line");
        assert_eq!(stream.text(), "first line");
        for _ in 0..1000 {
            stream.add(b"0123456789abcdef");
        }
        stream.add(b"\nthe panic");
        let text = stream.text();
        assert!(text.starts_with("first line\n… 16000 bytes are left out …\n"), "{text}");
        assert_eq!(stream.last_lines(1), ["the panic"]);
    }
}
