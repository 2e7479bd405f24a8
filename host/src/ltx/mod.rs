//! LTX files as litestream 0.5 writes them: read, checked, and put together into the
//! database that they hold.
//!
//! Integers are big endian. A file is
//!
//! - a header of 100 bytes ([`Header`]),
//! - frames: page number (4 bytes), flags (2, always 1: a size follows), size (4), and
//!   the page as an LZ4 block of that size; in ascending order, without the page that
//!   SQLite's locks are in; six zero bytes end them,
//! - an index: page number, place and length of each frame as variable-length integers,
//!   a zero, and the length of all that in 8 bytes,
//! - two checksums of 8 bytes: of the database, always zero in a file without the rolling
//!   checksum, and of the file: the CRC-64 of Go's `hash/crc64` (ISO) with its first bit
//!   set, over the header, for each frame its first 10 bytes and the page as it is
//!   uncompressed, the six zeros, the index, and the checksum before.
//!
//! Litestream writes every file without the rolling checksum (flag 2), and nothing but
//! names and transaction numbers ties a file to the one before it. Whatever else a file
//! may have is refused ([`LtxFault`]): a reader that guesses gives a wrong database.
//!
//! The format: <https://github.com/superfly/ltx>, read at its version 0.5.2.

mod assemble;
mod decoder;
mod fault;
mod header;
mod image;

pub(crate) use assemble::{Assembly, NextFile, Reading};
pub(crate) use decoder::Decoder;
pub(crate) use fault::LtxFault;
pub(crate) use header::{Header, Place};
pub(crate) use image::{ENTRY, Finished, Form, PageFile, digest};

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod written;

/// The first byte that SQLite locks. The page with it is never stored.
const LOCKS: u32 = 0x4000_0000;

/// The number of the page that SQLite's locks are in.
pub(crate) fn lock_page(page_size: u32) -> u32 {
    LOCKS / page_size + 1
}
