//! What is remembered of a proof: the files that were read, and the table of the pages.
//!
//! 16 bytes (`LSPROOF1`, page size, pages), the entries of the table, JSON, its length in 8
//! bytes, and a BLAKE3 digest of all that. Numbers are big endian. Written under another
//! name and renamed: whoever reads it sees a whole one. Whatever is not as it should be is
//! as if it were not there: then everything is read.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::litestream::replica::listing::LtxFile;
use crate::ltx::ENTRY;
use crate::pages::PageTable;
use crate::trust::{self, Trust};

/// Where the table begins.
pub(super) const HEADER: u64 = 16;

const MAGIC: &[u8; 8] = b"LSPROOF1";
const DIGEST: u64 = 32;
/// More JSON than this is not of lsrun.
const MOST_JSON: u64 = 256 << 20;

/// A file that was read in full, and whose checksum was right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownFile {
    pub(super) level: u8,
    pub(super) min: u64,
    pub(super) max: u64,
    /// In bytes.
    pub(super) size: u64,
    /// See [`Store::identity`](crate::litestream::replica::store::Store::identity).
    pub(super) identity: String,
    /// When it was read, in milliseconds since the beginning of 1970 in UTC.
    pub(super) read_ms: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Facts {
    place: String,
    txid: u64,
    files: Vec<KnownFile>,
}

/// What an earlier proof has left.
pub(super) struct Known {
    /// The table is of this transaction.
    pub(super) txid: u64,
    pub(super) table: PageTable,
    /// By level, first and last transaction.
    files: HashMap<(u8, u64, u64), KnownFile>,
}

/// Where the state of a database is, in the project's folder.
pub(super) fn file(folder: &Path, database: &Path) -> PathBuf {
    let name = blake3::hash(database.as_os_str().as_encoded_bytes()).to_hex();
    folder.join(format!("proof-{}", &name[..16]))
}

impl Known {
    /// None if there is nothing that can be relied on, or if it is of another place.
    pub(super) fn read(path: &Path, place: &str) -> Option<Self> {
        let file = Trust::mine().file(path).ok()?;
        Self::parse(file, place).ok().flatten()
    }

    fn parse(mut file: File, place: &str) -> io::Result<Option<Self>> {
        let length = file.metadata()?.len();
        let Some(digested) = length.checked_sub(DIGEST).filter(|it| *it > HEADER + 8) else {
            return Ok(None);
        };
        let mut digest = [0; DIGEST as usize];
        file.read_exact_at(&mut digest, digested)?;
        if self::digest(&mut file, digested)? != digest {
            return Ok(None);
        }
        let mut header = [0; HEADER as usize];
        file.read_exact_at(&mut header, 0)?;
        let number = |at: usize| {
            u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let (page_size, pages) = (number(8), number(12));
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, digested - 8)?;
        let json = u64::from_be_bytes(bytes);
        let table = HEADER + u64::from(pages) * ENTRY as u64;
        if !header.starts_with(MAGIC) || json > MOST_JSON || table + json + 8 != digested {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(json).unwrap_or_default()];
        file.read_exact_at(&mut bytes, table)?;
        let Ok(facts) = serde_json::from_slice::<Facts>(&bytes) else { return Ok(None) };
        if facts.place != place {
            return Ok(None);
        }
        let table = PageTable { file, at: HEADER, page_size, pages };
        let named = facts.files.into_iter().map(|file| ((file.level, file.min, file.max), file));
        Ok(Some(Self { txid: facts.txid, table, files: named.collect() }))
    }

    /// What is known of a file that is there now.
    pub(super) fn find(&self, file: &LtxFile, identity: &str) -> Option<&KnownFile> {
        let known = self.files.get(&(file.level, file.min.0, file.max.0))?;
        (known.size == file.size && known.identity == identity).then_some(known)
    }

    /// Copies the table into a file that is empty.
    pub(super) fn copy_to(&self, to: &mut File) -> io::Result<()> {
        let length = HEADER + u64::from(self.table.pages) * ENTRY as u64;
        let mut from = &self.table.file;
        from.seek(SeekFrom::Start(0))?;
        io::copy(&mut from.take(length), to)?;
        Ok(())
    }
}

/// A new file for a table: where it can take the place of the last one, else in `scratch`.
pub(super) fn new(state: Option<&Path>, scratch: &Path) -> io::Result<NamedTempFile> {
    let folder = state.and_then(Path::parent).filter(|it| trust::private_folder(it).is_ok());
    NamedTempFile::with_prefix_in("proof-new-", folder.unwrap_or(scratch))
}

/// Completes a file that has a table, and puts it in the place of the last one.
pub(super) fn remember(
    mut file: NamedTempFile,
    path: &Path,
    place: &str,
    table: &PageTable,
    txid: u64,
    files: Vec<KnownFile>,
) -> io::Result<()> {
    let header = [MAGIC, &[0; 8][..]].concat();
    let own = file.as_file_mut();
    own.write_all_at(&header, 0)?;
    own.write_all_at(&table.page_size.to_be_bytes(), 8)?;
    own.write_all_at(&table.pages.to_be_bytes(), 12)?;
    let json = serde_json::to_vec(&Facts { place: place.to_owned(), txid, files })?;
    let end = HEADER + u64::from(table.pages) * ENTRY as u64;
    own.seek(SeekFrom::Start(end))?;
    own.write_all(&json)?;
    own.write_all(&(json.len() as u64).to_be_bytes())?;
    let length = own.stream_position()?;
    let digest = digest(own, length)?;
    own.write_all_at(&digest, length)?;
    own.sync_data()?;
    file.persist(path)?;
    Ok(())
}

fn digest(file: &mut File, length: u64) -> io::Result<[u8; DIGEST as usize]> {
    let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; 1 << 20]);
    file.seek(SeekFrom::Start(0))?;
    let mut rest = file.take(length);
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().into()),
            read => hasher.update(&buffer[..read]),
        };
    }
}
