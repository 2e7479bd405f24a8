//! The proof of a replica's files: every file of litestream's present plan was read in
//! full, its checksum verified, and its pages put together into a table of their digests,
//! to be compared with the live database. Nothing is restored.
//!
//! An incremental one reads only the files that are not known: those that an earlier proof
//! has read, and that have not changed since, are not read again. It is sound because of
//! three things:
//!
//! - A file is known by what nobody can set ([`Store::identity`]).
//! - The table remembers of each page the last transaction of the file that it came from.
//!   Let the files of the plan that are known, from its beginning on, reach transaction
//!   P. A page that changed after P is in one of the files that follow: they hold all
//!   transactions after P. So each page whose remembered transaction is after P has to be
//!   in one of the files that are read now; else a file that was merged from others lacks
//!   a page. Then, as whenever anything does not fit, everything is read.
//! - A page that is in none of the files that are read now did not change after P, and is
//!   in the table as it was at P: a digest of what was read then.

mod state;

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::NamedTempFile;

use self::state::{HEADER, Known, KnownFile};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::litestream::replica::chain::Until;
use crate::litestream::replica::engine::Engine;
use crate::litestream::replica::listing::LtxFile;
use crate::litestream::replica::reading::{self, FileFault, FilesRead};
use crate::litestream::replica::source::Source;
use crate::litestream::replica::store::{Declined, Store};
use crate::litestream::replica::txid::Txid;
use crate::ltx::{Assembly, ENTRY, Finished, Form, LtxFault, PageFile, Reading, lock_page};
use crate::pages::PageTable;
use crate::project::Database;

/// What is to be proved.
#[derive(Debug, Clone)]
pub(crate) struct ProofRequest {
    /// Whose backup.
    pub(crate) database: Database,
    /// Whether known files are not read again.
    pub(crate) incremental: bool,
    /// How long the replica may give nothing.
    pub(crate) patience: Duration,
}

/// The files of a replica, proved.
#[derive(Debug)]
pub(crate) struct Proof {
    /// The last transaction.
    pub(crate) txid: Txid,
    /// Of each page.
    pub(crate) table: Arc<PageTable>,
    /// What was read now.
    pub(crate) read: FilesRead,
    /// What was read earlier, and is as it was.
    pub(crate) known: FilesRead,
    /// When the oldest of that was read.
    pub(crate) known_since: Option<Timestamp>,
    /// From the listing to the end.
    pub(crate) duration: Duration,
}

/// Reads the files and checks them. Fails with `litestream` if a file is not as it should
/// be, and with `inconclusive` where only litestream can tell.
pub(crate) async fn prove(session: Arc<Session>, request: ProofRequest) -> Result<Proof> {
    let ProofRequest { database, incremental, patience } = request;
    if Engine::of(&session.environment)? == Engine::Litestream {
        return Err(Error::inconclusive("LSRUN_ENGINE names litestream"));
    }
    let source = Source::Database(database.clone());
    let place = source.describe(&session)?;
    // Without a folder nothing is known, and nothing remembered.
    let folder = session.project.state_folder(&session.environment).ok();
    let state = folder.map(|folder| state::file(&folder, &database.path));
    let scratch = session.scratch()?.path().to_owned();
    let work = move |store: &Store, plan: &[LtxFile], reading: &Reading| {
        let proving = Proving { store, plan, reading, scratch: &scratch, state: state.as_deref() };
        let known = state.as_deref().filter(|_path| incremental);
        let known = known.and_then(|path| Known::read(path, &place));
        let proved = match known.map(|known| proving.incremental(&known)).transpose()?.flatten() {
            Some(proved) => proved,
            None => proving.whole()?,
        };
        Ok(proved.remember(state.as_deref(), &place))
    };
    let worked = reading::work(&session, &source, Until::Newest, patience, work).await;
    let worked = worked.map_err(|declined| match declined {
        Declined::Failed(error) => error,
        Declined::Faulty(why) => {
            Error::new(Code::Litestream, "a file of the backup cannot be used").cause(why)
        }
        Declined::Unknown => {
            Error::inconclusive("only litestream can tell what it would restore from this replica")
        }
    })?;
    Ok(Proof { duration: worked.duration, ..worked.done })
}

struct Proving<'a> {
    store: &'a Store,
    plan: &'a [LtxFile],
    reading: &'a Reading,
    scratch: &'a Path,
    /// Where the state is.
    state: Option<&'a Path>,
}

/// The files of a plan, all of them known.
struct Proved {
    file: NamedTempFile,
    table: PageTable,
    txid: u64,
    /// The known ones, and then those that were read.
    files: Vec<KnownFile>,
    /// How many of them were known.
    known: usize,
}

impl Proving<'_> {
    /// Everything, from nothing.
    fn whole(&self) -> Result<Proved, FileFault> {
        let temporary = self.new_table()?;
        let file = temporary.reopen().map_err(|error| self.unwritable(error))?;
        let form = Form::Digests { at: HEADER };
        let table = PageFile::new(file, form).map_err(|error| self.unwritable(error))?;
        self.read(temporary, table, Assembly::default(), Vec::new()).map(|(proved, _)| proved)
    }

    /// Only what is not known. None if it does not fit together.
    fn incremental(&self, known: &Known) -> Result<Option<Proved>, FileFault> {
        let find = |file: &LtxFile| known.find(file, &self.store.identity(file)?).cloned();
        let files: Vec<KnownFile> = self.plan.iter().map_while(find).collect();
        let reached = self.plan.last().map_or(0, |file| file.max.0);
        let Some(start) = files.last().map(|file| file.max).filter(|_| known.txid <= reached)
        else {
            return Ok(None);
        };
        let mut temporary = self.new_table()?;
        let copied = known.copy_to(temporary.as_file_mut()).and_then(|()| temporary.reopen());
        let file = copied.map_err(|error| self.unwritable(error))?;
        let PageTable { page_size, pages, .. } = known.table;
        let table = PageFile::after(file, Form::Digests { at: HEADER }, page_size, pages);
        let table = table.map_err(|error| self.unwritable(error))?;
        let assembly = Assembly { page_size, pages, txid: start };
        let (proved, finished) = match self.read(temporary, table, assembly, files) {
            Err((_file, LtxFault::Unknown(_))) => return Ok(None),
            read => read?,
        };
        let lacks = known.txid > start
            && lacks(&proved.table, &finished, start).map_err(|error| self.unwritable(error))?;
        Ok((!lacks).then_some(proved))
    }

    /// Reads what follows the files that are known.
    fn read(
        &self,
        temporary: NamedTempFile,
        mut table: PageFile,
        mut assembly: Assembly,
        mut files: Vec<KnownFile>,
    ) -> Result<(Proved, Finished), FileFault> {
        let known = files.len();
        for file in &self.plan[known..] {
            let added = self.store.open(file).and_then(|opened| {
                assembly.add(file.next(opened.source), &mut table, self.reading)?;
                Ok(opened.identity)
            });
            let identity = added.map_err(|fault| (self.store.name(file), fault))?;
            files.push(KnownFile {
                level: file.level,
                min: file.min.0,
                max: file.max.0,
                size: file.size,
                identity,
                read_ms: Timestamp::now().as_millisecond(),
            });
        }
        let finished = table.finish(false).map_err(|fault| (self.store.describe(), fault))?;
        let file = finished.file.try_clone().map_err(|error| self.unwritable(error))?;
        let Assembly { page_size, pages, txid } = assembly;
        let table = PageTable { file, at: HEADER, page_size, pages };
        Ok((Proved { file: temporary, table, txid, files, known }, finished))
    }

    fn new_table(&self) -> Result<NamedTempFile, FileFault> {
        state::new(self.state, self.scratch).map_err(|error| self.unwritable(error))
    }

    fn unwritable(&self, error: io::Error) -> FileFault {
        let folder = self.state.and_then(Path::parent).unwrap_or(self.scratch);
        (format!("a table of pages in {}", folder.display()), LtxFault::Unwritable(error))
    }
}

/// Whether a page that changed after transaction `start` was in none of the files that
/// were read.
fn lacks(table: &PageTable, finished: &Finished, start: u64) -> io::Result<bool> {
    /// Entries that are read at once.
    const ENTRIES: u32 = 16 << 10;
    let locks = lock_page(table.page_size);
    let mut buffer = Vec::new();
    for first in (1..=table.pages).step_by(ENTRIES as usize) {
        let count = ENTRIES.min(table.pages - first + 1) as usize;
        buffer.resize(count * ENTRY, 0);
        let at = table.at + u64::from(first - 1) * ENTRY as u64;
        table.file.read_exact_at(&mut buffer, at)?;
        for (number, entry) in (first..).zip(buffer.chunks_exact(ENTRY)) {
            let mut last = [0; 8];
            last.copy_from_slice(&entry[16..]);
            let changed = u64::from_be_bytes(last) > start;
            if changed && !finished.written.has(number) && number != locks {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

impl Proved {
    /// Remembers it, so that the next proof does not read the files again. One that cannot
    /// be remembered is as good.
    fn remember(self, state: Option<&Path>, place: &str) -> Proof {
        let Self { file, table, txid, files, known } = self;
        let sum = |files: &[KnownFile]| FilesRead {
            files: u32::try_from(files.len()).unwrap_or(u32::MAX),
            bytes: files.iter().map(|file| file.size).sum(),
        };
        let (earlier, now) = files.split_at(known);
        let since = earlier.iter().map(|file| file.read_ms).min();
        let (known, read) = (sum(earlier), sum(now));
        if let Some(path) = state {
            let _the_next_one_reads_more = state::remember(file, path, place, &table, txid, files);
        }
        Proof {
            txid: Txid(txid),
            table: Arc::new(table),
            read,
            known,
            known_since: since.and_then(|since| Timestamp::from_millisecond(since).ok()),
            duration: Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests;
