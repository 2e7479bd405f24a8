//! The points in time that a backup can be restored to: what litestream's own plan
//! reaches with the files that exist, which is less than a list of the files.

use jiff::Timestamp;

use crate::code::Code;
use crate::error::{Error, Result};
use crate::litestream::replica::listing::{Listing, LtxFile, SNAPSHOT};
use crate::litestream::replica::moment::shown;
use crate::litestream::replica::txid::Txid;

/// A point that can be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RestorePoint {
    /// Its transaction.
    pub txid: Txid,
    /// Any `-timestamp` later than this, and not later than the next point, gives it.
    pub time: Timestamp,
}

/// A range in which there is no point: a hole, or transactions that were compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The last one before it.
    pub after: Txid,
    /// The first one after it.
    pub before: Txid,
    /// From here on a `-timestamp` gives something older than it says.
    pub from: Timestamp,
    /// To here, if there is a later point.
    pub until: Option<Timestamp>,
}

/// What can be restored, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Points {
    /// The points.
    pub points: Vec<RestorePoint>,
    /// Holes: transactions of which no file is there.
    pub gaps: Vec<Gap>,
    /// Transactions that are there together only: their single files were compacted into
    /// a later one, as Litestream does it in time.
    pub compacted: Vec<Gap>,
}

/// How far litestream's plan comes, and where it stops.
struct Reach {
    txid: Option<Txid>,
    /// The first transaction of the nearest file that does not connect.
    next: Option<Txid>,
}

impl Listing {
    /// Replays litestream's `CalcRestorePlan`: it starts with the newest snapshot
    /// and continues with any file that connects and reaches furthest. `usable` says
    /// which files are early enough.
    fn reach(&self, sorted: &[LtxFile], usable: impl Fn(&LtxFile) -> bool) -> Reach {
        let files = || sorted.iter().filter(|file| usable(file));
        let snapshot = files().filter(|file| file.level == SNAPSHOT).map(|file| file.max).max();
        let mut end = snapshot.map_or(0, |txid| txid.0);
        let mut next = None;
        for file in files() {
            if file.min.0 > end + 1 {
                next = Some(file.min);
                break;
            }
            end = end.max(file.max.0);
        }
        Reach { txid: (end > 0).then_some(Txid(end)), next }
    }

    /// The last transaction that can be restored from the files that are `usable`.
    #[must_use]
    pub(crate) fn newest(&self, usable: impl Fn(&LtxFile) -> bool) -> Option<Txid> {
        self.reach(&self.sorted(), usable).txid
    }

    /// When the transaction was written, as far as the files say.
    #[must_use]
    pub(crate) fn written(&self, txid: Txid) -> Option<Timestamp> {
        self.files.iter().filter(|file| file.max == txid).map(|file| file.created).min()
    }

    /// Whether a file of these is not in a later listing as it was.
    #[must_use]
    pub(crate) fn lost(&self, later: &Self) -> bool {
        let later: std::collections::HashSet<&LtxFile> = later.files.iter().collect();
        self.files.iter().any(|file| !later.contains(file))
    }

    /// Whether files of any time connect one transaction with a later one: what lies
    /// between them was compacted and is not lost. A snapshot connects nothing: it has
    /// what was there before it, and not how it came about.
    fn connects(sorted: &[LtxFile], after: Txid, before: Txid) -> bool {
        let mut end = after.0;
        for file in sorted.iter().filter(|file| file.level != SNAPSHOT) {
            if file.min.0 > end.saturating_add(1) {
                break;
            }
            end = end.max(file.max.0);
        }
        end.saturating_add(1) >= before.0
    }

    fn sorted(&self) -> Vec<LtxFile> {
        let mut files = self.files.clone();
        files.sort_unstable_by_key(|file| (file.min, file.max));
        files
    }

    /// Every point, and every stretch without one.
    #[must_use]
    pub(crate) fn points(&self) -> Points {
        let sorted = self.sorted();
        let mut times: Vec<Timestamp> = sorted.iter().map(|file| file.created).collect();
        times.sort_unstable();
        times.dedup();
        let mut found = Points::default();
        for time in times {
            // litestream takes what is strictly older than the time it is given.
            let reach = self.reach(&sorted, |file| file.created <= time);
            let Some(txid) = reach.txid else { continue };
            if found.points.last().is_none_or(|last| last.txid < txid) {
                found.points.push(RestorePoint { txid, time });
                for gap in found.gaps.last_mut().into_iter().chain(found.compacted.last_mut()) {
                    gap.until.get_or_insert(time);
                }
            }
            let Some(before) = reach.next else { continue };
            let into = match Self::connects(&sorted, txid, before) {
                true => &mut found.compacted,
                false => &mut found.gaps,
            };
            if into.last().is_none_or(|gap| gap.after < txid) {
                into.push(Gap { after: txid, before, from: time, until: None });
            }
        }
        found
    }

    /// Refuses a restore to `time` that would silently end at `reached`, because
    /// the files after it, older than `time`, do not connect.
    ///
    /// litestream itself restores what it can and reports success.
    pub(crate) fn refuse_gap(&self, time: Timestamp, reached: Txid) -> Result<()> {
        let early =
            |file: &&LtxFile| file.created.saturating_add(self.blur).is_ok_and(|it| it < time);
        let behind = self.files.iter().filter(early).filter(|file| file.max > reached);
        let Some(next) = behind.min_by_key(|file| file.min) else { return Ok(()) };
        let hint = format!(
            "lsrun points shows what can be restored; -txid {reached} restores what came before it"
        );
        if Self::connects(&self.sorted(), reached, next.min) {
            return Err(Error::new(
                Code::NotFound,
                format!("no single points are kept just before {}", shown(time)),
            )
            .cause(format!(
                "what was written after TXID {reached} was compacted into files of a later time"
            ))
            .hint(hint));
        }
        Err(Error::new(Code::NotFound, format!("the backup has a gap before {}", shown(time)))
            .cause(format!(
                "it can be restored to TXID {reached}; the next file begins with TXID {} and was written {}",
                next.min, shown(next.created)
            ))
            .hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn listing(files: &[(u8, u64, u64, i64)]) -> Listing {
        let files = files.iter().map(|(level, min, max, second)| LtxFile {
            level: *level,
            min: Txid(*min),
            max: Txid(*max),
            created: at(*second),
            size: 100,
        });
        Listing { files: files.collect(), blur: SignedDuration::ZERO }
    }

    fn points(listing: &Listing) -> Vec<(u64, i64)> {
        let points = listing.points().points.into_iter();
        points.map(|point| (point.txid.0, point.time.as_second())).collect()
    }

    #[test]
    fn a_chain_gives_a_point_for_each_file() {
        let chain = listing(&[(0, 1, 1, 10), (0, 2, 2, 20), (0, 3, 3, 30)]);
        assert_eq!(points(&chain), [(1, 10), (2, 20), (3, 30)]);
        assert!(chain.points().compacted.is_empty());
        assert!(chain.points().gaps.is_empty());
    }

    #[test]
    fn what_is_older_than_the_oldest_snapshot_cannot_be_restored() {
        let kept = listing(&[(1, 3, 5, 20), (9, 1, 9, 40), (1, 6, 9, 30), (0, 10, 10, 50)]);
        assert_eq!(points(&kept), [(9, 40), (10, 50)]);
    }

    #[test]
    fn a_gap_is_marked_until_a_snapshot_closes_it() {
        let torn = listing(&[(0, 1, 1, 10), (0, 3, 3, 30), (0, 4, 4, 40), (9, 1, 4, 50)]);
        let found = torn.points();
        assert_eq!(points(&torn), [(1, 10), (4, 50)]);
        assert_eq!(
            found.gaps,
            [Gap { after: Txid(1), before: Txid(3), from: at(30), until: Some(at(50)) }]
        );
        assert!(torn.refuse_gap(at(45), Txid(1)).is_err());
        assert!(torn.refuse_gap(at(30), Txid(1)).is_ok(), "strictly older");
        assert!(torn.refuse_gap(at(60), Txid(4)).is_ok());
    }

    #[test]
    fn what_was_compacted_into_a_later_file_is_not_lost() {
        let edge = listing(&[(9, 1, 4, 10), (0, 8, 8, 30), (0, 9, 9, 40), (1, 5, 7, 50)]);
        let found = edge.points();
        assert_eq!(points(&edge), [(4, 10), (9, 50)]);
        assert!(found.gaps.is_empty(), "{found:?}");
        assert_eq!(
            found.compacted,
            [Gap { after: Txid(4), before: Txid(8), from: at(30), until: Some(at(50)) }]
        );
        let error = edge.refuse_gap(at(45), Txid(4)).unwrap_err();
        assert!(error.message().contains("no single points"), "{error:?}");
        // Without the file it is a hole.
        let torn = listing(&[(9, 1, 4, 10), (0, 8, 8, 30), (0, 9, 9, 40)]);
        assert_eq!(torn.points().gaps.len(), 1);
        assert!(torn.points().compacted.is_empty());
    }

    #[test]
    fn a_file_that_went_away_is_seen_and_one_that_came_is_not() {
        let before = listing(&[(0, 1, 1, 10), (0, 2, 2, 20)]);
        let more = listing(&[(0, 2, 2, 20), (0, 1, 1, 10), (0, 3, 3, 30)]);
        assert!(!before.lost(&more) && more.lost(&before));
        let mut rewritten = before.clone();
        rewritten.files[0].size += 1;
        assert!(before.lost(&rewritten));
    }

    #[test]
    fn files_that_overlap_connect() {
        let overlapping = listing(&[(0, 1, 1, 10), (1, 1, 4, 20), (0, 3, 6, 30)]);
        assert_eq!(points(&overlapping), [(1, 10), (4, 20), (6, 30)]);
        assert!(overlapping.points().gaps.is_empty());
    }

    #[test]
    fn a_time_without_its_fraction_accuses_nobody() {
        let mut remote = listing(&[(0, 1, 1, 10), (0, 3, 3, 30)]);
        remote.blur = SignedDuration::from_secs(1);
        assert!(remote.refuse_gap(at(31), Txid(1)).is_ok());
        assert!(remote.refuse_gap(at(32), Txid(1)).is_err());
    }
}
