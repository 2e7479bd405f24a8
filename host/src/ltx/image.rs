//! What is made of the pages: a database file, or a table of their digests.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use twox_hash::XxHash3_128;

use super::fault::LtxFault;
use super::header::Header;
use super::lock_page;

/// Takes the pages of files that follow each other.
pub(crate) trait Pages {
    /// Before the first page of each file.
    fn begin(&mut self, header: &Header);
    /// A page, counted from 1; a later one of the same number takes its place.
    fn page(&mut self, number: u32, page: &[u8]) -> Result<(), LtxFault>;
    /// A file has ended, and the database has this many pages.
    fn commit(&mut self, pages: u32) -> Result<(), LtxFault>;
}

/// Bytes that are written at once.
const CHUNK: usize = 1 << 20;
/// Chunks between the thread that reads and the one that writes.
const QUEUE: usize = 4;

/// The length of an entry of a [table](Form::Digests) in bytes: the digest, and the last
/// transaction of the file that the page came from.
pub(crate) const ENTRY: usize = 24;

/// What is written for each page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The page: the file is a database.
    Content,
    /// An entry of [`ENTRY`] bytes, the first one at this place in the file.
    Digests { at: u64 },
}

/// A file that is being made of pages: a second thread writes it, so that decompressing
/// goes on meanwhile.
pub(crate) struct PageFile {
    form: Form,
    page_size: u32,
    /// The last page that is needed.
    last: u32,
    /// The last transaction of the file that is being read.
    txid: u64,
    chunk: Chunk,
    present: PageSet,
    /// Those that were written since it was opened.
    written: PageSet,
    queue: Option<SyncSender<Chunk>>,
    used: Receiver<Vec<u8>>,
    writer: Option<JoinHandle<io::Result<File>>>,
}

/// A file that was made of pages.
pub(crate) struct Finished {
    pub(crate) file: File,
    /// Which pages were written since it was opened.
    pub(crate) written: PageSet,
}

/// The digest of a page: XXH3 of 128 bits. It is to find what went wrong by itself; nobody
/// attacks here.
pub(crate) fn digest(page: &[u8]) -> [u8; 16] {
    XxHash3_128::oneshot(page).to_be_bytes()
}

/// Pages that follow each other.
#[derive(Default)]
struct Chunk {
    /// Where they begin, in bytes.
    at: u64,
    bytes: Vec<u8>,
    /// The file is cut to this length first.
    cut: Option<u64>,
}

impl PageFile {
    /// Nothing is in `file` yet, or nothing behind the place where the table begins.
    pub(crate) fn new(file: File, form: Form) -> io::Result<Self> {
        Self::after(file, form, 0, 0)
    }

    /// `file` has this many pages of this size already.
    pub(crate) fn after(file: File, form: Form, page_size: u32, pages: u32) -> io::Result<Self> {
        let (queue, chunks) = sync_channel::<Chunk>(QUEUE);
        let (back, used) = sync_channel(QUEUE + 2);
        let write = move || {
            for Chunk { at, mut bytes, cut } in chunks {
                if let Some(length) = cut {
                    file.set_len(length)?;
                }
                file.write_all_at(&bytes, at)?;
                bytes.clear();
                let _the_reader_may_have_ended = back.try_send(bytes);
            }
            Ok(file)
        };
        let writer = std::thread::Builder::new().name("copy".to_owned()).spawn(write)?;
        let mut present = PageSet::default();
        (1..=pages).for_each(|number| present.add(number));
        present.cut(pages);
        Ok(Self {
            form,
            page_size,
            last: u32::MAX,
            txid: 0,
            chunk: Chunk::default(),
            present,
            written: PageSet::default(),
            queue: Some(queue),
            used,
            writer: Some(writer),
        })
    }

    /// Nothing behind this page is written: the database that comes of the files ends there.
    pub(crate) fn end_at(&mut self, last: u32) {
        self.last = last;
    }

    /// Waits until all is written. Fails if a page was in none of the files: what
    /// litestream does not restore is not a backup. With `durable` it is on the disk then.
    pub(crate) fn finish(mut self, durable: bool) -> Result<Finished, LtxFault> {
        self.flush()?;
        if let Some(number) = self.present.missing(self.page_size) {
            return Err(LtxFault::unknown(format!("page {number} is in none of the files")));
        }
        let length = self.place(self.present.pages + 1);
        let file = self.end()?;
        // The page of SQLite's locks may be the last one.
        file.set_len(length).map_err(LtxFault::Unwritable)?;
        if durable {
            file.sync_all().map_err(LtxFault::Unwritable)?;
        }
        Ok(Finished { file, written: std::mem::take(&mut self.written) })
    }

    /// Where in the file a page is.
    fn place(&self, number: u32) -> u64 {
        let (at, width) = match self.form {
            Form::Content => (0, u64::from(self.page_size)),
            Form::Digests { at } => (at, ENTRY as u64),
        };
        at + u64::from(number - 1) * width
    }

    fn flush(&mut self) -> Result<(), LtxFault> {
        if self.chunk.bytes.is_empty() && self.chunk.cut.is_none() {
            return Ok(());
        }
        let bytes = self.used.try_recv().unwrap_or_else(|_none| Vec::with_capacity(CHUNK));
        let chunk = std::mem::replace(&mut self.chunk, Chunk { bytes, ..Chunk::default() });
        match self.queue.as_ref().map(|queue| queue.send(chunk)) {
            Some(Ok(())) => Ok(()),
            // It has ended: with the reason.
            _ => match self.end() {
                Err(fault) => Err(fault),
                Ok(_file) => Err(LtxFault::Unwritable(io::Error::other("the writing ended"))),
            },
        }
    }

    /// Ends the second thread.
    fn end(&mut self) -> Result<File, LtxFault> {
        self.queue = None;
        let broke = || io::Error::other("the writing ended unexpectedly");
        let writer = self.writer.take().ok_or_else(broke).map_err(LtxFault::Unwritable)?;
        let ended = writer.join().unwrap_or_else(|_panic| Err(broke()));
        ended.map_err(LtxFault::Unwritable)
    }
}

impl Drop for PageFile {
    /// Nothing is written to the file once it is dropped.
    fn drop(&mut self) {
        if self.writer.is_some() {
            let _nobody_reads_it = self.end();
        }
    }
}

impl Pages for PageFile {
    fn begin(&mut self, header: &Header) {
        (self.page_size, self.txid) = (header.page_size, header.max_txid);
    }

    fn page(&mut self, number: u32, page: &[u8]) -> Result<(), LtxFault> {
        if number > self.last {
            return Ok(());
        }
        let at = self.place(number);
        let next = self.chunk.at + self.chunk.bytes.len() as u64;
        if at != next || self.chunk.bytes.len() + page.len() > CHUNK {
            self.flush()?;
        }
        if self.chunk.bytes.is_empty() {
            self.chunk.at = at;
        }
        match self.form {
            Form::Content => self.chunk.bytes.extend_from_slice(page),
            Form::Digests { .. } => {
                self.chunk.bytes.extend_from_slice(&digest(page));
                self.chunk.bytes.extend_from_slice(&self.txid.to_be_bytes());
            }
        }
        self.present.add(number);
        self.written.add(number);
        Ok(())
    }

    fn commit(&mut self, pages: u32) -> Result<(), LtxFault> {
        if pages < self.present.pages {
            self.flush()?;
            self.chunk.cut = Some(self.place(pages + 1));
        }
        self.present.cut(pages);
        self.written.cut(pages);
        Ok(())
    }
}

/// Which pages are there, a bit for each.
#[derive(Debug, Default)]
pub(crate) struct PageSet {
    bits: Vec<u64>,
    /// The size of the database in pages.
    pages: u32,
}

impl PageSet {
    fn place(number: u32) -> (usize, u64) {
        ((number / 64) as usize, 1 << (number % 64))
    }

    fn add(&mut self, number: u32) {
        let (word, bit) = Self::place(number);
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        self.bits[word] |= bit;
    }

    /// The database has this many pages now.
    fn cut(&mut self, pages: u32) {
        self.pages = pages;
        let (word, bit) = Self::place(pages);
        self.bits.truncate(word + 1);
        if let Some(last) = self.bits.get_mut(word) {
            *last &= bit | (bit - 1);
        }
    }

    pub(crate) fn has(&self, number: u32) -> bool {
        let (word, bit) = Self::place(number);
        self.bits.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// The first page that is not there and should be.
    fn missing(&self, page_size: u32) -> Option<u32> {
        let locks = lock_page(page_size);
        (1..=self.pages).find(|number| !self.has(*number) && *number != locks)
    }
}
