//! SQLite's write-ahead log as a file: its header, its frames and their checksums.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The header of the log, in bytes.
pub(crate) const LOG_HEADER: u64 = 32;
/// The header of each frame, in bytes; a page follows.
pub(crate) const FRAME_HEADER: u64 = 24;
/// Bytes that are read at once.
const READ: u64 = 1 << 20;

/// What makes a log another one than before.
pub(crate) type Salts = [u32; 2];

/// The log as it was when it was opened. SQLite keeps its locks on other files: this one
/// may be opened and closed at any time.
pub(crate) struct Log {
    file: File,
    header: LogHeader,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LogHeader {
    /// Whether checksums take the content as big-endian numbers.
    big_endian: bool,
    page_size: u32,
    salts: Salts,
    checksum: [u32; 2],
}

/// Which pages are in the log up to a place.
#[derive(Debug)]
pub(crate) struct FrameIndex {
    /// The newest frame of each page, counted from 1.
    frames: HashMap<u32, u32>,
    /// How many frames were read.
    done: u32,
    /// Of all that was read.
    checksum: [u32; 2],
    /// The size of the database after the last frame, in pages.
    pub(crate) pages: u32,
}

impl FrameIndex {
    /// The newest frame of a page.
    pub(crate) fn frame(&self, page: u32) -> Option<u32> {
        self.frames.get(&page).copied()
    }
}

/// Why a log cannot be read up to a place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("its frame {0} does not belong to this log")]
    Foreign(u32),
    #[error("its frame {0} is damaged")]
    Damaged(u32),
    #[error("its frame {0} does not end a transaction")]
    NoCommit(u32),
    #[error("nothing waits for it any more")]
    Unwanted,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Log {
    /// None if there is no log, or an empty one.
    pub(crate) fn open(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let header = LogHeader::read(&file)?;
        Some(Self { file, header })
    }

    pub(crate) fn salts(&self) -> Salts {
        self.header.salts
    }

    /// In bytes.
    pub(crate) fn page_size(&self) -> u32 {
        self.header.page_size
    }

    /// The size of a frame, in bytes.
    pub(crate) fn frame_size(&self) -> u64 {
        FRAME_HEADER + u64::from(self.header.page_size)
    }

    /// Of the frame at this offset; none if no frame is.
    pub(crate) fn salts_of_frame(&self, at: u64) -> Option<Salts> {
        let mut header = [0; FRAME_HEADER as usize];
        self.file.read_exact_at(&mut header, at).ok()?;
        salts(header.get(8..)?)
    }

    /// Whether the file still has the header that it was opened with.
    pub(crate) fn is_the_same(&self) -> bool {
        LogHeader::read(&self.file) == Some(self.header)
    }

    /// The page of a frame, as long as `page` is.
    pub(crate) fn read_page(&self, frame: u32, page: &mut [u8]) -> io::Result<()> {
        let at = LOG_HEADER + u64::from(frame - 1) * self.frame_size() + FRAME_HEADER;
        self.file.read_exact_at(page, at)
    }

    /// An empty one.
    pub(crate) fn index(&self) -> FrameIndex {
        FrameIndex { frames: HashMap::new(), done: 0, checksum: self.header.checksum, pages: 0 }
    }

    /// Reads on up to the frame `last`, which has to end a transaction, and verifies
    /// that each is of this log and that the checksums, which go on from frame to
    /// frame, are right. After a failure it cannot be used any more.
    pub(crate) fn advance(
        &self,
        index: &mut FrameIndex,
        last: u32,
        unwanted: &dyn Fn() -> bool,
    ) -> Result<(), Unreadable> {
        let size = usize::try_from(self.frame_size()).unwrap_or(usize::MAX);
        let at_once = u32::try_from(READ / self.frame_size()).unwrap_or(1).max(1);
        let mut buffer = Vec::new();
        while index.done < last {
            if unwanted() {
                return Err(Unreadable::Unwanted);
            }
            let count = at_once.min(last - index.done);
            buffer.resize(size * count as usize, 0);
            let at = LOG_HEADER + u64::from(index.done) * self.frame_size();
            self.file.read_exact_at(&mut buffer, at).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => Unreadable::Foreign(last),
                _ => error.into(),
            })?;
            for frame in buffer.chunks_exact(size) {
                index.done += 1;
                let number = |at: usize| word(frame, at);
                if [number(8), number(12)] != self.header.salts {
                    return Err(Unreadable::Foreign(index.done));
                }
                index.checksum = self.header.sum(index.checksum, &frame[..8]);
                index.checksum = self.header.sum(index.checksum, &frame[FRAME_HEADER as usize..]);
                if [number(16), number(20)] != index.checksum {
                    return Err(Unreadable::Damaged(index.done));
                }
                index.frames.insert(number(0), index.done);
                index.pages = number(4);
            }
        }
        if index.done == last && index.pages > 0 { Ok(()) } else { Err(Unreadable::NoCommit(last)) }
    }
}

impl LogHeader {
    fn read(file: &File) -> Option<Self> {
        let mut bytes = [0; LOG_HEADER as usize];
        file.read_exact_at(&mut bytes, 0).ok()?;
        let number = |at: usize| word(&bytes, at);
        let header = Self {
            big_endian: match number(0) {
                0x377f_0682 => false,
                0x377f_0683 => true,
                _ => return None,
            },
            page_size: number(8),
            salts: [number(16), number(20)],
            checksum: [number(24), number(28)],
        };
        // One that is being written, or that a crash has left.
        let is_whole = header.sum([0, 0], &bytes[..24]) == header.checksum;
        let is_page = header.page_size.is_power_of_two() && header.page_size >= 512;
        (is_whole && is_page && header.page_size <= 65536).then_some(header)
    }

    /// SQLite's checksum of pairs of numbers, continued; a multiple of 8 bytes.
    fn sum(&self, [mut one, mut two]: [u32; 2], bytes: &[u8]) -> [u32; 2] {
        let (pairs, _rest) = bytes.as_chunks::<8>();
        for &[a, b, c, d, e, f, g, h] in pairs {
            let (first, second) = ([a, b, c, d], [e, f, g, h]);
            let (first, second) = if self.big_endian {
                (u32::from_be_bytes(first), u32::from_be_bytes(second))
            } else {
                (u32::from_le_bytes(first), u32::from_le_bytes(second))
            };
            one = one.wrapping_add(first).wrapping_add(two);
            two = two.wrapping_add(second).wrapping_add(one);
        }
        [one, two]
    }
}

/// The salts at the start of `bytes`.
pub(crate) fn salts(bytes: &[u8]) -> Option<Salts> {
    (bytes.len() >= 8).then(|| [word(bytes, 0), word(bytes, 4)])
}

/// A big-endian number; zero past the end.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_be_bytes)
}
