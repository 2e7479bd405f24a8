//! The pages of a live database at a position in its write-ahead log.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::wal::{FrameIndex, LOG_HEADER, Log, Salts, Unreadable};
use crate::error::{Error, Result};
use crate::ltx::Header;

/// Where the log was when a read transaction had just begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    /// Of which log; none if it was empty.
    pub(crate) salts: Option<Salts>,
    /// The transaction sees no frame after this one.
    pub(crate) frames: u32,
}

/// A live database at a transaction of litestream's. Only as good as the read
/// transaction which has to be held as long as this is read; see [`super`].
pub(crate) struct Image<'a> {
    database: &'a File,
    log: Log,
    index: FrameIndex,
    held: Held,
}

impl Held {
    /// `frames` as SQLite counts them, after the transaction has begun.
    pub(crate) fn now(log: &Path, frames: u32) -> Self {
        Self { salts: Log::open(log).map(|log| log.salts()), frames }
    }
}

impl<'a> Image<'a> {
    /// At no transaction yet. Fails if there is no log.
    pub(crate) fn open(database: &'a File, log: &Path, held: Held) -> Result<Self> {
        let log =
            Log::open(log).ok_or_else(|| cannot("the database has no write-ahead log now"))?;
        Ok(Self { database, index: log.index(), log, held })
    }

    /// Advances to the place that the header names. None if that is not possible, and
    /// why; an error ends the work.
    pub(crate) fn advance(
        &mut self,
        header: &Header,
        unwanted: &dyn Fn() -> bool,
    ) -> Result<Option<Error>> {
        let last = match self.frame(header) {
            Ok(last) => last,
            Err(why) => return Ok(Some(why)),
        };
        self.log.advance(&mut self.index, last, unwanted).map_err(|error| match error {
            Unreadable::Unwanted => cannot("the comparison was stopped"),
            other => cannot("the write-ahead log cannot be read").cause(other),
        })?;
        Ok(None)
    }

    /// The last frame of a transaction.
    fn frame(&self, header: &Header) -> Result<u32> {
        let Some(place) = &header.place else {
            return Err(cannot("litestream's file does not say where in the log it ends"));
        };
        if self.log.salts() != place.salts {
            return Err(restarted());
        }
        if self.log.page_size() != header.page_size {
            return Err(cannot("litestream's file and the log have different page sizes"));
        }
        let (bytes, size) = (place.end.saturating_sub(LOG_HEADER), self.log.frame_size());
        let last = u32::try_from(bytes / size).unwrap_or(u32::MAX);
        if last == 0 || bytes % size != 0 {
            return Err(cannot("litestream's file names no valid position in the log"));
        }
        // In a log that was started again since, every frame is newer than the reader.
        if self.held.salts == Some(self.log.salts()) && self.held.frames > last {
            return Err(cannot("the copy is older than the snapshot of the live database"));
        }
        Ok(last)
    }

    /// In bytes.
    pub(super) fn page_size(&self) -> u32 {
        self.log.page_size()
    }

    /// How many pages the database has.
    pub(super) fn pages(&self) -> u32 {
        self.index.pages
    }

    /// Reads the pages from `first` on into `buffer`, which is a multiple of a page
    /// long. The file may end before a page that was never written: that is zeros.
    pub(super) fn read(&self, first: u32, buffer: &mut [u8]) -> io::Result<()> {
        let page_size = self.page_size() as usize;
        let at = u64::from(first - 1) * u64::from(self.page_size());
        read_padded(self.database, buffer, at)?;
        for (page, content) in (first..).zip(buffer.chunks_exact_mut(page_size)) {
            if let Some(frame) = self.index.frame(page) {
                self.log.read_page(frame, content)?;
            }
        }
        Ok(())
    }

    /// Fails if the log was started again since.
    pub(super) fn verify_log(&self) -> Result<()> {
        if self.log.is_the_same() { Ok(()) } else { Err(restarted()) }
    }
}

/// Fills the buffer. What is behind the end of the file is zeros.
pub(super) fn read_padded(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], at + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer[done..].fill(0);
    Ok(())
}

fn cannot(why: &str) -> Error {
    Error::inconclusive(why)
}

fn restarted() -> Error {
    cannot("the write-ahead log has restarted since the transaction that was restored")
}
