//! Compares a restored copy, page by page, with the live database as it was at the
//! copy's transaction: conclusive even while others write.
//!
//! Litestream writes into each LTX file where in the write-ahead log its transaction
//! ends ([`Header`](crate::ltx::Header)). The live database at that transaction is, for each page, its
//! newest frame of the log up to that place, else the page in the database file
//! ([`live`]). This holds because of a read transaction that began earlier:
//!
//! - A checkpoint copies frames of the log into the database file up to the oldest
//!   frame that a reader may need, but no further. So while the reader is held, the file
//!   has no page that is newer than the frame at which the reader began, and that one is
//!   at or before the place ([`Held`] has an upper bound of it). What is copied while it
//!   is read here is in the log as well, and is taken from there.
//! - Nobody restarts the log while a reader needs frames of it. A reader that began
//!   when the whole log was in the file needs none: then the log may be restarted
//!   once, but nothing is copied out of the new one, as that needs the lock which this
//!   reader holds (`WAL_READ_LOCK(0)` of SQLite's `wal.c`). The salts of the log, which
//!   change each time, are compared with those in the LTX file before and after.
//! - A frame that was committed does not change until the log is restarted.
//!
//! Formats: <https://www.sqlite.org/fileformat2.html#walformat>; LTX files as
//! litestream 0.5 writes them.

mod compare;
mod live;
pub(crate) mod wal;

pub(crate) use compare::Comparison;
pub(crate) use compare::{Copied, PageTable, compare_copies, find};
pub(crate) use live::{Held, Image};

#[cfg(test)]
mod tests;
