//! The points in time that a backup can be restored to: what litestream's own plan
//! reaches with the files that are there, which is less than a list of the files.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::config::{Purpose, Replica};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::litestream::restore::{Source, redact};
use crate::litestream::sync::explain;
use crate::litestream::txid::Txid;
use crate::litestream::{child, reach};

/// The level of snapshots, which need nothing before them.
const SNAPSHOT: u8 = 9;

/// An LTX file of a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File {
    /// 0 to 9.
    pub level: u8,
    /// Its first transaction.
    pub min: Txid,
    /// Its last transaction.
    pub max: Txid,
    /// When litestream says that it was made.
    pub created: Timestamp,
}

/// The files of a replica.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// In any order.
    pub files: Vec<File>,
    /// By how much a time may be later than [`File::created`] says: `ltx -json`
    /// leaves out the fraction of a second.
    pub blur: SignedDuration,
}

/// A point that can be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Its transaction.
    pub txid: Txid,
    /// Any `-timestamp` later than this, and not later than the next point, gives it.
    pub time: Timestamp,
}

/// Transactions of which no file is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The last one before it.
    pub after: Txid,
    /// The first one behind it.
    pub before: Txid,
    /// From here on a `-timestamp` gives something older than it says.
    pub from: Timestamp,
    /// To here, where there is a later point.
    pub until: Option<Timestamp>,
}

/// What can be restored, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Points {
    /// The points.
    pub points: Vec<Point>,
    /// The gaps.
    pub gaps: Vec<Gap>,
}

/// How far litestream's plan comes, and where it stops.
struct Reach {
    txid: Option<Txid>,
    /// The first transaction of the nearest file that does not connect.
    next: Option<Txid>,
}

impl Listing {
    /// Replays litestream's `CalcRestorePlan`: it starts with the newest snapshot
    /// and goes on with any file that connects and comes furthest. `usable` says
    /// which files are early enough.
    fn reach(&self, sorted: &[File], usable: impl Fn(&File) -> bool) -> Reach {
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

    fn sorted(&self) -> Vec<File> {
        let mut files = self.files.clone();
        files.sort_unstable_by_key(|file| (file.min, file.max));
        files
    }

    /// Every point, and every gap.
    #[must_use]
    pub fn points(&self) -> Points {
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
                found.points.push(Point { txid, time });
                if let Some(gap) = found.gaps.last_mut() {
                    gap.until.get_or_insert(time);
                }
            }
            if let Some(before) = reach.next
                && found.gaps.last().is_none_or(|gap| gap.after < txid)
            {
                found.gaps.push(Gap { after: txid, before, from: time, until: None });
            }
        }
        found
    }

    /// Refuses a restore to `time` that would silently end at `reached`, because
    /// the files behind it, older than `time`, do not connect.
    ///
    /// litestream itself restores what it can and says that all went well.
    pub fn refuse_gap(&self, time: Timestamp, reached: Txid) -> Result<()> {
        let early = |file: &&File| file.created.saturating_add(self.blur).is_ok_and(|it| it < time);
        let behind = self.files.iter().filter(early).filter(|file| file.max > reached);
        let Some(next) = behind.min_by_key(|file| file.min) else { return Ok(()) };
        Err(Error::inconclusive(format!("the backup has a gap before {time}"))
            .code("not-found")
            .cause(format!(
                "it can be restored to TXID {reached}; the next file begins with TXID {} and was written {}",
                next.min, next.created
            ))
            .hint(format!(
                "lsrun points shows what can be restored; -txid {reached} restores what is before the gap"
            )))
    }
}

/// Lists the files of a replica.
pub async fn list(context: &Context, source: &Source, patience: Duration) -> Result<Listing> {
    let folder = match source {
        Source::Database(database) => context.config()?.replica(database)?.folder,
        Source::Url(url) => Replica::of_url(url, &context.environment).folder,
    };
    if let Some(folder) = folder {
        return Ok(Listing { files: read(&folder), blur: SignedDuration::ZERO });
    }
    let probe = patience.min(Duration::from_secs(5));
    let (what, config) = match source {
        Source::Database(database) => {
            reach::reach(context, database, probe).await?;
            let purpose = Purpose::Read { database: Some(database.path.clone()) };
            let config = context.config()?.for_child(&purpose, &context.environment)?;
            (database.path.clone().into_os_string(), Some(config))
        }
        Source::Url(url) => {
            reach::reach_url(context, url, probe).await?;
            (url.into(), None)
        }
    };
    let arguments = ["ltx", "-json", "-level", "all"].map(OsStr::new);
    let arguments: Vec<&OsStr> = arguments.into_iter().chain([what.as_os_str()]).collect();
    let deadline = child::Limit::At(std::time::Instant::now() + patience);
    let output = child::capture(context, &arguments, config, deadline).await?;
    if output.code != Some(0) {
        let name = match source {
            Source::Database(database) => database.name(),
            Source::Url(url) => redact(url),
        };
        return Err(explain(&output, &format!("list the replica of {name}")));
    }
    let json = output.json().unwrap_or_default();
    let files = json.as_array().map(Vec::as_slice).unwrap_or_default();
    let file = |file: &serde_json::Value| {
        Some(File {
            level: u8::try_from(file["level"].as_u64()?).ok()?,
            min: file["min_txid"].as_str()?.parse().ok()?,
            max: file["max_txid"].as_str()?.parse().ok()?,
            created: file["timestamp"].as_str()?.parse().ok()?,
        })
    };
    Ok(Listing {
        files: files.iter().filter_map(file).collect(),
        blur: SignedDuration::from_secs(1),
    })
}

/// The files of a replica in a folder; litestream, too, takes their times from the
/// file system.
fn read(replica: &Path) -> Vec<File> {
    let mut files = Vec::new();
    for level in 0..=SNAPSHOT {
        let Ok(entries) = std::fs::read_dir(replica.join("ltx").join(level.to_string())) else {
            continue;
        };
        files.extend(entries.flatten().filter_map(|entry| {
            let name = entry.file_name();
            let (min, max) = name.to_str()?.strip_suffix(".ltx")?.split_once('-')?;
            let modified = entry.metadata().ok()?.modified().ok()?;
            Some(File {
                level,
                min: min.parse().ok()?,
                max: max.parse().ok()?,
                created: Timestamp::try_from(modified).ok()?,
            })
        }));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn listing(files: &[(u8, u64, u64, i64)]) -> Listing {
        let files = files.iter().map(|(level, min, max, second)| File {
            level: *level,
            min: Txid(*min),
            max: Txid(*max),
            created: at(*second),
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
