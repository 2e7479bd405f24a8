//! Compares a restored copy with a live image, in constant memory.

use std::fs::File;
use std::ops::Range;

use std::os::unix::fs::FileExt;

use super::live::{Image, read_padded};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::ltx::{ENTRY, Header, digest, lock_page};

/// How many differing pages are named.
const SHOWN: usize = 5;
/// Bytes of each side that are compared at once.
const CHUNK: usize = 1 << 20;
/// From this size on two threads share the work, in bytes.
const LARGE: u64 = 64 << 20;

/// What a comparison of all pages found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// At which transaction.
    pub txid: u64,
    /// How many pages the live database had there.
    pub pages: u64,
    /// How many the copy has.
    pub copied: u64,
    /// How many are not the same; those that only one side has among them.
    pub differing: u64,
    /// The numbers of the first of them, counted from 1.
    pub first: Vec<u64>,
}

/// Compares a copy with the live database at each of these transactions, in their order,
/// until it finds the one that the copy is of. Else what differs from the one that it
/// is nearest to.
///
/// While others write, litestream restores more than it reports: it plans once to report
/// it, and once more to do it (0.5.17). So the copy is of the reported transaction, or of a
/// later one; `headers` are all of these.
pub(crate) fn find(
    image: &mut Image<'_>,
    headers: &[Header],
    copy: &impl Copied,
    unwanted: &(dyn Fn() -> bool + Sync),
) -> Result<Comparison> {
    let mut nearest: Option<Comparison> = None;
    let mut unseen = None;
    for header in headers {
        if let Some(why) = image.advance(header, unwanted)? {
            unseen.get_or_insert(why);
            continue;
        }
        // The pages that differed before say at once that it is not this one.
        if let Some(nearest) = &nearest
            && differ(image, copy, &nearest.first)?
        {
            continue;
        }
        let found = Comparison { txid: header.max_txid, ..compare(image, copy, unwanted)? };
        if found.differing == 0 {
            return Ok(found);
        }
        if nearest.as_ref().is_none_or(|nearest| found.differing < nearest.differing) {
            nearest = Some(found);
        }
    }
    match (unseen, nearest) {
        (None, Some(nearest)) => Ok(nearest),
        (Some(why), _) => Err(why),
        (None, None) => Err(Error::inconclusive("there is no transaction to compare with")),
    }
}

/// Whether one of these pages is not the same; pages that only one side has are not.
fn differ(image: &Image<'_>, copy: &impl Copied, pages: &[u64]) -> Result<bool> {
    let part = Part { live: image, copy, unwanted: &|| false };
    for page in pages.iter().filter_map(|page| u32::try_from(*page).ok()) {
        let there = page <= image.pages();
        if there && part.compare(page..page + 1)?.count > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a copy is compared with.
trait Original: Sync {
    /// In bytes.
    fn page_size(&self) -> u32;
    /// How many pages it has.
    fn pages(&self) -> u32;
    /// Reads the pages from `first` on into `buffer`, a multiple of a page long.
    fn read(&self, first: u32, buffer: &mut [u8]) -> std::io::Result<()>;
    /// Fails if it is not what it was when the comparison began.
    fn is_the_same(&self) -> Result<()>;
}

impl Original for Image<'_> {
    fn page_size(&self) -> u32 {
        self.page_size()
    }

    fn pages(&self) -> u32 {
        self.pages()
    }

    fn read(&self, first: u32, buffer: &mut [u8]) -> std::io::Result<()> {
        self.read(first, buffer)
    }

    fn is_the_same(&self) -> Result<()> {
        self.verify_log()
    }
}

/// A copy that nobody writes to.
struct Still<'a> {
    file: &'a File,
    page_size: u32,
    pages: u32,
}

impl<'a> Still<'a> {
    fn open(file: &'a File) -> Result<Self> {
        let size = file.metadata().map_err(|error| unreadable(&error))?.len();
        let mut header = [0; 2];
        // Where SQLite's file header has the page size; 1 means 65536.
        file.read_exact_at(&mut header, 16).map_err(|error| unreadable(&error))?;
        let page_size = match u32::from(u16::from_be_bytes(header)) {
            1 => 65536,
            size if size >= 512 => size,
            _ => return Err(Error::inconclusive("the copy is not an SQLite database")),
        };
        let pages = size.div_ceil(u64::from(page_size));
        Ok(Self { file, page_size, pages: u32::try_from(pages).unwrap_or(u32::MAX) })
    }
}

impl Original for Still<'_> {
    fn page_size(&self) -> u32 {
        self.page_size
    }

    fn pages(&self) -> u32 {
        self.pages
    }

    fn read(&self, first: u32, buffer: &mut [u8]) -> std::io::Result<()> {
        let at = u64::from(first - 1) * u64::from(self.page_size);
        read_padded(self.file, buffer, at)
    }

    fn is_the_same(&self) -> Result<()> {
        Ok(())
    }
}

/// What was restored, or what is known of it.
pub(crate) trait Copied: Sync {
    /// Its size in pages of this size: all, with one that is cut, and the whole ones.
    fn pages(&self, page_size: u32) -> Result<(u64, u64)>;
    /// Says which of the pages from `first` on, whose content should be `wanted`, are not
    /// the same. The buffer is the caller's, to be used again.
    fn differing(
        &self,
        first: u32,
        wanted: &[u8],
        page_size: u32,
        buffer: &mut Vec<u8>,
    ) -> Result<Vec<u32>>;
}

impl Copied for File {
    fn pages(&self, page_size: u32) -> Result<(u64, u64)> {
        let size = self.metadata().map_err(|error| unreadable(&error))?.len();
        Ok((size.div_ceil(page_size.into()), size / u64::from(page_size)))
    }

    fn differing(
        &self,
        first: u32,
        wanted: &[u8],
        page_size: u32,
        buffer: &mut Vec<u8>,
    ) -> Result<Vec<u32>> {
        buffer.resize(wanted.len(), 0);
        let at = u64::from(first - 1) * u64::from(page_size);
        read_padded(self, buffer, at).map_err(|error| unreadable(&error))?;
        if buffer == wanted {
            return Ok(Vec::new());
        }
        let size = page_size as usize;
        let sides = wanted.chunks_exact(size).zip(buffer.chunks_exact(size));
        let differ = (first..).zip(sides).filter(|(_, (wanted, found))| wanted != found);
        Ok(differ.map(|(number, _)| number).collect())
    }
}

/// The digests of a database's pages.
#[derive(Debug)]
pub(crate) struct PageTable {
    /// Entries of [`ENTRY`] bytes.
    pub(crate) file: File,
    /// Where in the file they begin.
    pub(crate) at: u64,
    /// In bytes.
    pub(crate) page_size: u32,
    /// How many there are.
    pub(crate) pages: u32,
}

impl Copied for PageTable {
    fn pages(&self, page_size: u32) -> Result<(u64, u64)> {
        if page_size != self.page_size {
            return Err(Error::inconclusive("the database has pages of another size now"));
        }
        Ok((self.pages.into(), self.pages.into()))
    }

    fn differing(
        &self,
        first: u32,
        wanted: &[u8],
        page_size: u32,
        buffer: &mut Vec<u8>,
    ) -> Result<Vec<u32>> {
        let pages = wanted.chunks_exact(page_size as usize);
        buffer.resize(pages.len() * ENTRY, 0);
        let at = self.at + u64::from(first - 1) * ENTRY as u64;
        read_padded(&self.file, buffer, at).map_err(|error| unreadable(&error))?;
        let sides = pages.zip(buffer.chunks_exact(ENTRY));
        let same = |wanted: &[u8], entry: &[u8]| entry.starts_with(&digest(wanted));
        let differ = (first..).zip(sides).filter(|(_, (wanted, entry))| !same(wanted, entry));
        Ok(differ.map(|(number, _)| number).collect())
    }
}

/// Compares every page of two copies but the one that SQLite's locks are in.
pub(crate) fn compare_copies(
    one: &File,
    other: &File,
    unwanted: &(dyn Fn() -> bool + Sync),
) -> Result<Comparison> {
    compare(&Still::open(one)?, other, unwanted)
}

/// Compares every page but the one that SQLite's locks are in. Fails with
/// `inconclusive` if the live side changed or cannot be read.
fn compare<O: Original>(
    image: &O,
    copy: &impl Copied,
    unwanted: &(dyn Fn() -> bool + Sync),
) -> Result<Comparison> {
    let (page_size, pages) = (u64::from(image.page_size()), u64::from(image.pages()));
    let (copied, whole) = copy.pages(image.page_size())?;
    // A page that is cut is not the same, whatever is in it.
    let both = u32::try_from(pages.min(whole)).unwrap_or(u32::MAX);
    let part = Part { live: image, copy, unwanted };
    let mut found = if u64::from(both) * page_size < LARGE {
        part.compare(1..both + 1)?
    } else {
        let middle = both / 2 + 1;
        std::thread::scope(|scope| {
            let second = scope.spawn(|| part.compare(middle..both + 1));
            let mut found = part.compare(1..middle)?;
            let broke = |_panic| Error::inconclusive("the comparison ended unexpectedly");
            found.add(second.join().map_err(broke)??);
            Ok::<_, Error>(found)
        })?
    };
    image.is_the_same()?;
    let rest = u64::from(both) + 1..=pages.max(copied);
    found.add(Differences {
        count: pages.max(copied) - u64::from(both),
        first: rest.take(SHOWN).collect(),
    });
    Ok(Comparison { txid: 0, pages, copied, differing: found.count, first: found.first })
}

/// Pages that are not the same.
#[derive(Default)]
struct Differences {
    count: u64,
    first: Vec<u64>,
}

impl Differences {
    /// Those of pages that come after.
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.first.extend(other.first);
        self.first.truncate(SHOWN);
    }
}

struct Part<'a, O, C> {
    live: &'a O,
    copy: &'a C,
    unwanted: &'a (dyn Fn() -> bool + Sync),
}

impl<O: Original, C: Copied> Part<'_, O, C> {
    fn compare(&self, pages: Range<u32>) -> Result<Differences> {
        let page_size = self.live.page_size();
        let locks = lock_page(page_size);
        let at_once = (CHUNK / page_size as usize).max(1);
        let (mut live, mut copied) = (Vec::new(), Vec::new());
        let mut found = Differences::default();
        let mut next = pages.start;
        while next < pages.end {
            if (self.unwanted)() {
                return Err(Error::inconclusive("the comparison was stopped"));
            }
            let count = (pages.end - next).min(u32::try_from(at_once).unwrap_or(1));
            live.resize(count as usize * page_size as usize, 0);
            self.live.read(next, &mut live).map_err(|error| {
                Error::inconclusive("the live database cannot be read").cause(error)
            })?;
            let differing = self.copy.differing(next, &live, page_size, &mut copied)?;
            for number in differing.into_iter().filter(|number| *number != locks) {
                found.count += 1;
                if found.first.len() < SHOWN {
                    found.first.push(number.into());
                }
            }
            next += count;
        }
        Ok(found)
    }
}

fn unreadable(error: &std::io::Error) -> Error {
    Error::new(Code::Io, "the restored copy cannot be read").cause(error)
}
