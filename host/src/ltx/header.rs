//! The header of an LTX file of litestream 0.5: which transaction, how large the
//! database is after it, and where in the write-ahead log it ends.
//!
//! 100 bytes, integers big endian: 0 `LTX1`, 8 page size, 12 pages after it, 16 first
//! and 24 last TXID, 48 offset and 56 size in the log (8 bytes each), 64 two salts of the
//! log (4 bytes each). The position is zero in files that were merged from others.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::wal::{self, Salts};

const LENGTH: usize = 100;

/// What the header of an LTX file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// In bytes.
    pub(crate) page_size: u32,
    /// The last transaction in it.
    pub(crate) max_txid: u64,
    /// Where in the log that ends; none in a file that was merged from others.
    pub(crate) place: Option<Place>,
}

/// A place in a write-ahead log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The end of what was read, in bytes.
    pub(crate) end: u64,
    /// Of which log.
    pub(crate) salts: Salts,
}

impl Header {
    /// None if there is no LTX file.
    pub(crate) fn read(file: &Path) -> Option<Self> {
        let mut bytes = [0; LENGTH];
        File::open(file).ok()?.read_exact_at(&mut bytes, 0).ok()?;
        Self::parse(&bytes)
    }

    /// That of a file which begins with these bytes; none if they are not of LTX.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..LENGTH)?;
        let short = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let long = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        if bytes.get(..4)? != b"LTX1" {
            return None;
        }
        let end = long(48)?.checked_add(long(56)?)?;
        let place = Place { end, salts: wal::salts(bytes.get(64..)?)? };
        Some(Self {
            page_size: short(8)?,
            max_txid: long(24)?,
            place: (place.end > 0).then_some(place),
        })
    }
}
