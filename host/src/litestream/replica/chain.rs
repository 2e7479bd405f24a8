//! Which files litestream restores from, and in which order.

use jiff::Timestamp;

use crate::litestream::replica::listing::{Listing, LtxFile, SNAPSHOT};
use crate::litestream::replica::txid::Txid;

/// Up to where a backup is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// To its end.
    Newest,
    /// To this transaction.
    Txid(Txid),
    /// To the last file that is older than this.
    Before(Timestamp),
}

impl Until {
    /// Whether a file may be used.
    fn allows(self, file: &LtxFile) -> bool {
        match self {
            Self::Newest => true,
            Self::Txid(txid) => file.max <= txid,
            Self::Before(time) => file.created < time,
        }
    }
}

impl Listing {
    /// The files that litestream restores from, in their order: the newest snapshot, and
    /// then always the file that continues what is there and reaches furthest. None where
    /// litestream would not restore, or is not known to.
    ///
    /// As `CalcRestorePlan` of litestream 0.5.17.
    pub(crate) fn plan(&self, until: Until) -> Option<Vec<LtxFile>> {
        let snapshots = self.files.iter().filter(|file| file.level == SNAPSHOT);
        let newest = snapshots.filter(|file| until.allows(file)).max_by_key(|file| file.max);
        let mut plan: Vec<LtxFile> = newest.copied().into_iter().collect();
        let reached = newest.map_or(Txid(0), |snapshot| snapshot.max);
        plan.extend(self.continuation(reached, until)?);
        match (plan.last()?.max, until) {
            (last, Until::Txid(txid)) if last != txid => None,
            _ => Some(plan),
        }
    }

    /// The files that continue a copy of transaction `after`; empty if there are none.
    /// None if a file of the newest does not connect.
    fn continuation(&self, after: Txid, until: Until) -> Option<Vec<LtxFile>> {
        let mut files: Vec<&LtxFile> =
            self.files.iter().filter(|file| file.level < SNAPSHOT).collect();
        files.sort_unstable_by_key(|file| file.min);
        let mut plan: Vec<LtxFile> = Vec::new();
        let mut reached = after;
        let mut best: Option<&LtxFile> = None;
        let mut files = files.into_iter().peekable();
        loop {
            let connects = |file: &&&LtxFile| file.min.0 <= reached.0.saturating_add(1);
            while let Some(file) = files.next_if(|file| connects(&file)) {
                if until.allows(file) && best.is_none_or(|best| better(file, best)) {
                    best = Some(file);
                }
            }
            match best.take() {
                Some(file) if file.max > reached => {
                    plan.push(*file);
                    reached = file.max;
                }
                _ => break,
            }
        }
        // Whatever is left begins too late.
        let torn = until == Until::Newest && files.peek().is_some();
        (!torn).then_some(plan)
    }
}

/// Which of two files that both connect is taken.
fn better(file: &LtxFile, than: &LtxFile) -> bool {
    let order = |file: &LtxFile| {
        let early = std::cmp::Reverse(file.min);
        (file.max, early, file.level, std::cmp::Reverse(file.created))
    };
    order(file) > order(than)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn listing(files: &[(u8, u64, u64, i64)]) -> Listing {
        let files = files.iter().map(|(level, min, max, second)| LtxFile {
            level: *level,
            min: Txid(*min),
            max: Txid(*max),
            created: Timestamp::from_second(*second).unwrap(),
            size: 100,
        });
        Listing { files: files.collect(), blur: SignedDuration::ZERO }
    }

    fn plan(files: &[(u8, u64, u64, i64)], until: Until) -> Option<Vec<(u8, u64, u64)>> {
        let plan = listing(files).plan(until)?;
        Some(plan.iter().map(|file| (file.level, file.min.0, file.max.0)).collect())
    }

    #[test]
    fn it_begins_with_the_newest_snapshot_and_takes_what_reaches_furthest() {
        let files = [
            (0, 1, 1, 1),
            (9, 1, 1, 1),
            (0, 2, 2, 2),
            (0, 3, 3, 3),
            (1, 2, 4, 4),
            (9, 1, 4, 5),
            (0, 5, 5, 5),
            (0, 6, 6, 6),
            (1, 5, 6, 6),
        ];
        let all = |until| plan(&files, until);
        assert_eq!(all(Until::Newest).unwrap(), [(9, 1, 4), (1, 5, 6)]);
        assert_eq!(all(Until::Txid(Txid(5))).unwrap(), [(9, 1, 4), (0, 5, 5)]);
        assert_eq!(all(Until::Txid(Txid(3))).unwrap(), [(9, 1, 1), (0, 2, 2), (0, 3, 3)]);
        assert_eq!(all(Until::Txid(Txid(7))), None);
        let before = |second| all(Until::Before(Timestamp::from_second(second).unwrap()));
        assert_eq!(before(5).unwrap(), [(9, 1, 1), (1, 2, 4)]);
        assert_eq!(before(3).unwrap(), [(9, 1, 1), (0, 2, 2)]);
        assert_eq!(before(1), None);
    }

    #[test]
    fn of_equal_reach_the_one_that_begins_first_and_the_higher_level_is_taken() {
        let files = [(0, 1, 1, 1), (0, 2, 2, 2), (0, 3, 3, 3), (1, 2, 3, 3), (2, 2, 3, 3)];
        assert_eq!(plan(&files, Until::Newest).unwrap(), [(0, 1, 1), (2, 2, 3)]);
    }

    #[test]
    fn what_litestream_does_not_restore_has_no_plan() {
        let torn = [(0, 1, 1, 1), (0, 2, 2, 2), (0, 4, 4, 4)];
        assert_eq!(plan(&torn, Until::Newest), None);
        assert_eq!(plan(&torn, Until::Txid(Txid(4))), None);
        assert_eq!(plan(&torn, Until::Txid(Txid(2))).unwrap(), [(0, 1, 1), (0, 2, 2)]);
        // With a time it restores what comes before the hole.
        let late = Until::Before(Timestamp::from_second(9).unwrap());
        assert_eq!(plan(&torn, late).unwrap(), [(0, 1, 1), (0, 2, 2)]);
        assert_eq!(plan(&[], Until::Newest), None);
        // A snapshot behind the hole closes it.
        let closed = [(0, 1, 1, 1), (0, 3, 3, 3), (9, 1, 3, 4)];
        assert_eq!(plan(&closed, Until::Newest).unwrap(), [(9, 1, 3)]);
    }
}
