//! Restores with lsrun's own reader of LTX files: litestream's plan, read once and
//! written once. Whatever it does not know for certain it leaves to litestream.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use crate::litestream::Session;
use crate::litestream::replica::chain::Until;
use crate::litestream::replica::listing::LtxFile;
use crate::litestream::replica::reading::{self, FileFault, FilesRead};
use crate::litestream::replica::source::Source;
use crate::litestream::replica::store::{Declined, Store};
use crate::litestream::replica::txid::Txid;
use crate::litestream::restore::request::Request;
use crate::ltx::{Assembly, Form, LtxFault, PageFile, Reading};

/// What was restored.
#[derive(Debug)]
pub(super) struct ReadCopy {
    /// The last transaction.
    pub(super) txid: Txid,
    /// From the listing to the last byte.
    pub(super) duration: Duration,
    /// What of the replica.
    pub(super) read: FilesRead,
}

/// Restores into the file `path`, which is made new.
pub(super) async fn restore(
    session: &Session,
    request: &Request,
    path: &Path,
) -> Result<ReadCopy, Declined> {
    let until = match (request.txid, request.timestamp, &request.source) {
        (Some(txid), _, _) => Until::Txid(txid),
        // With a URL litestream refuses a time after the last file.
        (None, Some(_), Source::Url(_)) => return Err(Declined::Unknown),
        (None, Some(time), Source::Database(_)) => Until::Before(time),
        (None, None, _) => Until::Newest,
    };
    // What replaces a database has to be on the disk before.
    let (path, durable) = (path.to_owned(), request.target.is_some());
    let work = move |store: &Store, plan: &[LtxFile], reading: &Reading| {
        // A backup of litestream 0.3 may be the newer one.
        let old = store.has_generations().unwrap_or(true);
        if old && !matches!(until, Until::Txid(_)) {
            return Err((store.describe(), LtxFault::Undecided));
        }
        let txid = read(store, plan, &path, durable, reading)?;
        Ok((txid, u32::try_from(plan.len()).unwrap_or(u32::MAX)))
    };
    let worked = reading::work(session, &request.source, until, request.patience, work).await?;
    let (txid, files) = worked.done;
    let read = FilesRead { files, bytes: worked.bytes };
    Ok(ReadCopy { txid, duration: worked.duration, read })
}

/// Reads the files of a plan into the file `path`, which is made new.
pub(crate) fn read(
    store: &Store,
    plan: &[LtxFile],
    path: &Path,
    durable: bool,
    reading: &Reading,
) -> Result<Txid, FileFault> {
    let at_copy = |fault| (format!("the copy {}", path.display()), fault);
    let new = |()| OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let removed = match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    let copy = removed.and_then(new).and_then(|file| PageFile::new(file, Form::Content));
    let mut copy = copy.map_err(|error| at_copy(LtxFault::Unwritable(error)))?;
    // What the database once was may be larger than the disk.
    if let Some(header) = plan.last().and_then(|last| store.header(last)) {
        copy.end_at(header.commit);
    }
    let mut assembly = Assembly::default();
    for file in plan {
        let added = store
            .open(file)
            .and_then(|opened| assembly.add(file.next(opened.source), &mut copy, reading));
        added.map_err(|fault| (store.name(file), fault))?;
    }
    copy.finish(durable).map_err(at_copy)?;
    Ok(Txid(assembly.txid))
}
