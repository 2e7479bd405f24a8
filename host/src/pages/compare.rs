//! Compares a restored copy with a live image, in constant memory.

use std::fs::File;
use std::ops::Range;

use super::live::{Image, read_to_end};
use super::ltx_header::Header;
use crate::code::Code;
use crate::error::{Error, Result};

/// How many differing pages are named.
const SHOWN: usize = 5;
/// Bytes of each side that are compared at once.
const CHUNK: usize = 1 << 20;
/// From this size on two threads share the work, in bytes.
const LARGE: u64 = 64 << 20;
/// SQLite locks bytes from here on; the page that they are in has no content.
const LOCKS: u32 = 0x4000_0000;

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
    copy: &File,
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
fn differ(image: &Image<'_>, copy: &File, pages: &[u64]) -> Result<bool> {
    let part = Part { image, copy, unwanted: &|| false };
    for page in pages.iter().filter_map(|page| u32::try_from(*page).ok()) {
        let there = page <= image.pages();
        if there && part.compare(page..page + 1)?.count > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Compares every page but the one that SQLite's locks are in. Fails with
/// `inconclusive` if the live side changed or cannot be read.
fn compare(
    image: &Image<'_>,
    copy: &File,
    unwanted: &(dyn Fn() -> bool + Sync),
) -> Result<Comparison> {
    let size = copy.metadata().map_err(|error| unreadable(&error))?.len();
    let (page_size, pages) = (u64::from(image.page_size()), u64::from(image.pages()));
    let copied = size.div_ceil(page_size);
    // A page that is cut is not the same, whatever is in it.
    let both = u32::try_from(pages.min(size / page_size)).unwrap_or(u32::MAX);
    let part = Part { image, copy, unwanted };
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
    image.verify_log()?;
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

struct Part<'a> {
    image: &'a Image<'a>,
    copy: &'a File,
    unwanted: &'a (dyn Fn() -> bool + Sync),
}

impl Part<'_> {
    fn compare(&self, pages: Range<u32>) -> Result<Differences> {
        let page_size = self.image.page_size();
        let at_once = (CHUNK / page_size as usize).max(1);
        let (mut live, mut copied) = (Vec::new(), Vec::new());
        let mut found = Differences::default();
        let mut next = pages.start;
        while next < pages.end {
            if (self.unwanted)() {
                return Err(Error::inconclusive("the comparison was stopped"));
            }
            let count = (pages.end - next).min(u32::try_from(at_once).unwrap_or(1));
            let length = count as usize * page_size as usize;
            live.resize(length, 0);
            copied.resize(length, 0);
            let at = u64::from(next - 1) * u64::from(page_size);
            let read = read_to_end(self.copy, &mut copied, at).map_err(|it| unreadable(&it))?;
            copied[read..].fill(0);
            self.image.read(next, &mut live).map_err(|error| {
                Error::inconclusive("the live database cannot be read").cause(error)
            })?;
            if live != copied {
                self.pages(next, &live, &copied, &mut found);
            }
            next += count;
        }
        Ok(found)
    }

    /// Which pages of a chunk are not the same.
    fn pages(&self, first: u32, live: &[u8], copied: &[u8], found: &mut Differences) {
        let page_size = self.image.page_size();
        let locks = LOCKS / page_size + 1;
        let sides =
            live.chunks_exact(page_size as usize).zip(copied.chunks_exact(page_size as usize));
        for (page, (live, copied)) in (first..).zip(sides) {
            if page != locks && live != copied {
                found.count += 1;
                if found.first.len() < SHOWN {
                    found.first.push(page.into());
                }
            }
        }
    }
}

fn unreadable(error: &std::io::Error) -> Error {
    Error::new(Code::Io, "the restored copy cannot be read").cause(error)
}
