//! Puts files that follow each other together.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::decoder::Decoder;
use super::fault::LtxFault;
use super::image::Pages;

/// A file, to be read.
pub(crate) struct NextFile<R> {
    /// The first transaction that its name has.
    pub(crate) min_txid: u64,
    /// The last one.
    pub(crate) max_txid: u64,
    /// What is in it.
    pub(crate) source: R,
}

/// How far a reading has come, seen from another thread.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Bytes that were read of the files.
    pub(crate) bytes: AtomicU64,
    /// Set when nobody wants the result any more.
    pub(crate) unwanted: AtomicBool,
}

/// The database that the files read so far make up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Assembly {
    /// In bytes; 0 before the first file.
    pub(crate) page_size: u32,
    /// How many pages it has.
    pub(crate) pages: u32,
    /// Its last transaction.
    pub(crate) txid: u64,
}

impl Assembly {
    /// Reads the next file to its end, checks it, and hands its pages on. Gives the
    /// checksum of the file. The pages are handed on before the file is known to be whole:
    /// after a fault nothing of the image may be used.
    pub(crate) fn add<R: Read>(
        &mut self,
        part: NextFile<R>,
        image: &mut impl Pages,
        reading: &Reading,
    ) -> Result<u64, LtxFault> {
        let mut decoder = Decoder::open(CountedSource { source: part.source, reading })?;
        let header = decoder.header().clone();
        if (header.min_txid, header.max_txid) != (part.min_txid, part.max_txid) {
            return Err(LtxFault::unknown(format!(
                "it has the transactions {} to {}, and its name others",
                header.min_txid, header.max_txid
            )));
        }
        if self.txid == 0 {
            if header.min_txid != 1 {
                return Err(LtxFault::unknown("it does not begin with the first transaction"));
            }
            self.page_size = header.page_size;
        }
        if header.page_size != self.page_size {
            return Err(LtxFault::unknown("it has pages of another size than the file before"));
        }
        if header.min_txid > self.txid + 1 || header.max_txid <= self.txid {
            return Err(LtxFault::unknown(format!(
                "it does not continue transaction {}",
                self.txid
            )));
        }
        image.begin(&header);
        while let Some((number, page)) = decoder.next()? {
            if reading.unwanted.load(Ordering::Relaxed) {
                return Err(LtxFault::Stopped);
            }
            // What is behind the end of the database is not part of it.
            if number <= header.commit {
                image.page(number, page)?;
            }
        }
        let checksum = decoder.finish()?;
        image.commit(header.commit)?;
        (self.pages, self.txid) = (header.commit, header.max_txid);
        Ok(checksum)
    }
}

/// Counts what is read.
struct CountedSource<'a, R> {
    source: R,
    reading: &'a Reading,
}

impl<R: Read> Read for CountedSource<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.reading.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
