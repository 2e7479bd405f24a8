//! Finds out whether litestream, when it starts, would continue at a wrong position in
//! the write-ahead log and leave out of the backup what was written while nothing
//! replicated the database.
//!
//! Litestream 0.5.17 remembers for each transaction where in the log it was. If
//! an application has meanwhile checkpointed and restarted the log, it
//! treats the remembered frame, as long as it is still there, as proof that it
//! has read everything, and continues at the start of the log: what came after that frame is
//! in no file of the replica, and no check of the restored copy sees it. Seen with
//! `replicate -once` and with daemons. [`super::reveal`] makes it take a full snapshot.
//!
//! The formats are those of [`crate::pages`].

use std::path::Path;

use crate::litestream::replica::ltx::{last_transaction, transaction};
use crate::litestream::replica::txid::Txid;
use crate::ltx::{Header, Place};
use crate::pages::wal::{Log, Salts};
use crate::path::Sidecar;

/// What a litestream that starts now will do.
pub(crate) enum Outlook {
    /// Begin with a snapshot, whatever others do.
    Snapshot,
    /// Continue in this log, after this transaction, with all that was written.
    GoOn(Salts, Txid),
    /// Leave something out.
    Gap,
}

impl Outlook {
    /// For `database`, whose state litestream keeps in `state`. What cannot be read is
    /// left to litestream to report.
    #[must_use]
    pub(crate) fn of(database: &Path, state: &Path) -> Self {
        let Some((txid, file)) = last_transaction(state) else { return Self::Snapshot };
        let log = Log::open(&Sidecar::Wal.of(database));
        let (Some(place), Some(log)) = (place(&file), log) else { return Self::Snapshot };
        if log.salts() == place.salts {
            return Self::GoOn(log.salts(), txid);
        }
        let remembered =
            place.end.checked_sub(log.frame_size()).and_then(|at| log.salts_of_frame(at));
        if remembered != Some(place.salts) {
            return Self::Snapshot;
        }
        // Only the very next log, after a frame that was the last one, has all the rest.
        let next = place.salts[0].wrapping_add(1) == log.salts()[0];
        if next && log.salts_of_frame(place.end) != Some(place.salts) {
            return Self::GoOn(log.salts(), txid);
        }
        Self::Gap
    }

    #[must_use]
    pub(crate) fn goes_on(&self) -> bool {
        matches!(self, Self::GoOn(..))
    }

    #[must_use]
    pub(crate) fn is_gap(&self) -> bool {
        matches!(self, Self::Gap)
    }

    /// Whether the log was restarted after this check and before litestream came: it
    /// has read another one than this.
    #[must_use]
    pub(crate) fn was_overtaken(&self, state: &Path) -> bool {
        let Self::GoOn(salts, txid) = self else { return false };
        transaction(state, Txid(txid.0 + 1))
            .and_then(|file| place(&file))
            .is_some_and(|place| place.salts != *salts)
    }
}

/// Where litestream was in the log after the last transaction of this file.
fn place(ltx: &Path) -> Option<Place> {
    Header::read(ltx)?.place
}
