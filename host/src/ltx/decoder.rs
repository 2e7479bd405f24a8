//! Reads one LTX file from its beginning to its end, in constant memory.

use std::io::Read;

use crc_fast::{CrcAlgorithm, Digest};

use super::fault::LtxFault;
use super::header::Header;
use super::lock_page;

/// The beginning of a frame: page number, flags and size.
const FRAME: usize = 10;
/// What ends the frames: a frame's page number and flags, all zero.
const END: usize = 6;
/// Bytes that are asked for at once.
const BUFFER: usize = 256 << 10;
/// Bytes of the index that are added to the checksum at once.
const INDEX: usize = 4 << 10;
/// A size follows the flags of a frame.
const SIZED: u16 = 1;
/// Set in every checksum, so that none is zero.
const IS_CHECKSUM: u64 = 1 << 63;

/// A file that is being read.
pub(crate) struct Decoder<R> {
    input: Input<R>,
    header: Header,
    digest: Digest,
    page: Vec<u8>,
    /// Bytes of the index that are not in the checksum yet.
    index: Vec<u8>,
    /// The last page that was read.
    last: u32,
    /// How many were read.
    count: u64,
}

impl<R: Read> Decoder<R> {
    /// Reads the header.
    pub(crate) fn open(source: R) -> Result<Self, LtxFault> {
        let mut input = Input { source, buffer: vec![0; BUFFER], start: 0, end: 0, taken: 0 };
        let mut bytes = [0; Header::LENGTH];
        bytes.copy_from_slice(input.peek(Header::LENGTH)?);
        input.take(Header::LENGTH);
        let header = Header::checked(&bytes)?;
        let mut digest = Digest::new(CrcAlgorithm::Crc64GoIso);
        digest.update(&bytes);
        let page = vec![0; header.page_size as usize];
        Ok(Self { input, header, digest, page, index: Vec::new(), last: 0, count: 0 })
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// The next page and its number, counted from 1; none after the last one. Nothing that
    /// it gives may be relied on before [`Self::finish`].
    pub(crate) fn next(&mut self) -> Result<Option<(u32, &[u8])>, LtxFault> {
        let start = self.input.peek(END)?;
        let number = u32::from_be_bytes([start[0], start[1], start[2], start[3]]);
        let flags = u16::from_be_bytes([start[4], start[5]]);
        if number == 0 && flags == 0 {
            self.digest.update(&[0; END]);
            self.input.take(END);
            return Ok(None);
        }
        if flags != SIZED {
            return Err(LtxFault::unknown(format!("page {number} has the flags {flags:#x}")));
        }
        if number <= self.last {
            return Err(LtxFault::damaged(format!("page {number} comes after page {}", self.last)));
        }
        if number == lock_page(self.header.page_size) {
            return Err(LtxFault::unknown("it has the page of SQLite's locks"));
        }
        let start = self.input.peek(FRAME)?;
        let size = u32::from_be_bytes([start[6], start[7], start[8], start[9]]) as usize;
        // What LZ4 makes of a page that it cannot compress is no longer than this.
        if size > self.page.len() + self.page.len() / 255 + 16 {
            return Err(LtxFault::damaged(format!("page {number} is too long")));
        }
        let frame = self.input.peek(FRAME + size)?;
        self.digest.update(&frame[..FRAME]);
        let length = lz4_flex::block::decompress_into(&frame[FRAME..], &mut self.page).map_err(
            |_reason| LtxFault::damaged(format!("page {number} cannot be decompressed")),
        )?;
        if length != self.page.len() {
            return Err(LtxFault::damaged(format!("page {number} has {length} bytes")));
        }
        self.input.take(FRAME + size);
        self.digest.update(&self.page);
        self.last = number;
        self.count += 1;
        Ok(Some((number, &self.page)))
    }

    /// Reads what follows the last page, and compares the checksum of the file with what
    /// was read. Gives the checksum.
    pub(crate) fn finish(mut self) -> Result<u64, LtxFault> {
        let index = self.input.taken;
        let mut listed = 0;
        while self.number()? != 0 {
            let (_place, _length) = (self.number()?, self.number()?);
            listed += 1;
        }
        self.digest_index();
        if listed != self.count {
            return Err(LtxFault::damaged(format!(
                "it has {} pages, {listed} in its index",
                self.count
            )));
        }
        let index = self.input.taken - index;
        if self.long()? != index {
            return Err(LtxFault::damaged("its index has another length than it says"));
        }
        if self.long()? != 0 {
            return Err(LtxFault::unknown("it has a checksum of the database"));
        }
        let wanted = self.digest.finalize() | IS_CHECKSUM;
        let found = self.long()?;
        if found != wanted {
            return Err(LtxFault::damaged("its checksum is wrong"));
        }
        if !self.input.is_at_end()? {
            return Err(LtxFault::damaged("there is something behind its end"));
        }
        Ok(found)
    }

    /// A variable-length integer of the index: seven bits a byte, the lowest first.
    fn number(&mut self) -> Result<u64, LtxFault> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.input.peek(1)?[0];
            self.input.take(1);
            self.index.push(byte);
            if self.index.len() == INDEX {
                self.digest_index();
            }
            number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(LtxFault::damaged("its index has a number that is too long"))
    }

    /// Adds to the checksum what was read of the index: byte by byte that takes as long as
    /// the pages.
    fn digest_index(&mut self) {
        self.digest.update(&self.index);
        self.index.clear();
    }

    fn long(&mut self) -> Result<u64, LtxFault> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.input.peek(8)?);
        self.digest.update(&bytes);
        self.input.take(8);
        Ok(u64::from_be_bytes(bytes))
    }
}

/// A source with a buffer that is long enough for any frame.
struct Input<R> {
    source: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// How many bytes were taken.
    taken: u64,
}

impl<R: Read> Input<R> {
    /// The next `length` bytes, which stay where they are.
    fn peek(&mut self, length: usize) -> Result<&[u8], LtxFault> {
        if self.end - self.start < length {
            self.fill(length)?;
        }
        Ok(&self.buffer[self.start..self.start + length])
    }

    fn take(&mut self, length: usize) {
        self.start += length;
        self.taken += length as u64;
    }

    fn fill(&mut self, length: usize) -> Result<(), LtxFault> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while self.end < length {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Err(LtxFault::damaged("the file ends too early")),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(LtxFault::of_reading(error)),
            }
        }
        Ok(())
    }

    fn is_at_end(&mut self) -> Result<bool, LtxFault> {
        if self.start < self.end {
            return Ok(false);
        }
        let mut byte = [0];
        loop {
            match self.source.read(&mut byte) {
                Ok(read) => return Ok(read == 0),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(LtxFault::of_reading(error)),
            }
        }
    }
}
