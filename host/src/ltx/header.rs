//! The header of an LTX file of litestream 0.5: which transactions, how large the
//! database is after them, and where in the write-ahead log they end.
//!
//! 100 bytes: 0 `LTX1`, 4 flags, 8 page size, 12 pages after it, 16 first and 24 last
//! TXID, 32 time in milliseconds, 40 checksum of the database before it, 48 offset and 56
//! size in the log (8 bytes each), 64 two salts of the log (4 bytes each), 72 node, and
//! 20 bytes that are zero. The position is zero in files that were merged from others.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::fault::LtxFault;

/// The flag of a file without the rolling checksum of the database.
const NO_CHECKSUM: u32 = 2;

/// What the header of an LTX file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// In bytes.
    pub(crate) page_size: u32,
    /// How many pages the database has after it.
    pub(crate) commit: u32,
    /// The first transaction in it.
    pub(crate) min_txid: u64,
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
    pub(crate) salts: [u32; 2],
}

impl Header {
    /// In bytes.
    pub(crate) const LENGTH: usize = 100;

    /// None if there is no LTX file.
    pub(crate) fn read(file: &Path) -> Option<Self> {
        let mut bytes = [0; Self::LENGTH];
        File::open(file).ok()?.read_exact_at(&mut bytes, 0).ok()?;
        Self::parse(&bytes)
    }

    /// That of a file which begins with these bytes; none if they are not of LTX.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..Self::LENGTH)?;
        let short = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let long = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        if bytes.get(..4)? != b"LTX1" {
            return None;
        }
        let end = long(48)?.checked_add(long(56)?)?;
        let place = Place { end, salts: [short(64)?, short(68)?] };
        Some(Self {
            page_size: short(8)?,
            commit: short(12)?,
            min_txid: long(16)?,
            max_txid: long(24)?,
            place: (place.end > 0).then_some(place),
        })
    }

    /// The header of a file whose pages are going to be used: nothing in it may be
    /// unknown.
    pub(super) fn checked(bytes: &[u8; Self::LENGTH]) -> Result<Self, LtxFault> {
        let unknown = |what: &str| Err(LtxFault::unknown(format!("its header has {what}")));
        let Some(header) = Self::parse(bytes) else {
            return unknown("no valid beginning");
        };
        let flags = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        if flags != NO_CHECKSUM {
            return unknown(&format!("the flags {flags:#x}"));
        }
        let size = header.page_size;
        if !size.is_power_of_two() || !(512..=65536).contains(&size) {
            return unknown(&format!("the page size {size}"));
        }
        if header.min_txid == 0 || header.min_txid > header.max_txid {
            return unknown("transactions that are out of order");
        }
        if header.commit == 0 {
            return unknown("a database without pages");
        }
        if bytes[40..48] != [0; 8] || bytes[80..] != [0; 20] {
            return unknown("fields that litestream does not use");
        }
        Ok(header)
    }
}
