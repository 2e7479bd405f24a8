//! A replica in a folder, read by lsrun's own reader: what the equality suite holds
//! against litestream.

use std::path::{Path, PathBuf};

use crate::litestream::replica::chain::Until;
use crate::litestream::replica::listing;
use crate::litestream::replica::store::Store;
use crate::litestream::replica::txid::Txid;
use crate::litestream::restore::reader;
use crate::ltx::Reading;

/// The points that the files of a replica reach, newest first, each with the number of
/// files of its plan.
#[must_use]
pub fn points(replica: &Path) -> Vec<(u64, usize)> {
    let files = listing::read(replica);
    let points = files.points().points.into_iter().rev();
    let length = |txid| files.plan(Until::Txid(txid)).map_or(0, |plan| plan.len());
    points.map(|point| (point.txid.0, length(point.txid))).collect()
}

/// The files that the newest state is restored from; none if there is no plan.
#[must_use]
pub fn plan(replica: &Path) -> Vec<PathBuf> {
    let plan = listing::read(replica).plan(Until::Newest).unwrap_or_default();
    plan.iter().map(|file| file.path_in(replica)).collect()
}

/// Restores a transaction, or the newest one, into the file `copy`. Gives the transaction.
/// Fails with the reason, as far as the reader has one of its own.
pub fn restore(replica: &Path, txid: Option<u64>, copy: &Path) -> Result<u64, String> {
    let files = listing::read(replica);
    let until = txid.map_or(Until::Newest, |txid| Until::Txid(Txid(txid)));
    let plan = files.plan(until).ok_or("there is no plan")?;
    let store = Store::in_folder(replica.to_owned());
    let read = reader::read(&store, &plan, copy, false, &Reading::default());
    read.map(|txid| txid.0).map_err(|(file, fault)| format!("{file}: {fault}"))
}
