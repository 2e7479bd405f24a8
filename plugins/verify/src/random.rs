//! `--random-point`: any of the points that the backup can be restored to, chosen evenly. What
//! a backup promises is every one of them, and over time each gets its turn.

use lsrun_plugin::host::litestream::RestoreRequest;
use lsrun_plugin::host::report::Check;
use lsrun_plugin::host::sqlite::{Connection, Value};
use lsrun_plugin::host::types::RestorePoint;
use lsrun_plugin::prelude::*;
use lsrun_plugin::{json, words};

use crate::options::Point;
use crate::{Ended, could_not, judged, restored_copy, told};

/// How often a point may be compacted away between the listing and the restore.
const ATTEMPTS: u32 = 3;
/// A guest has no source of randomness; SQLite has.
const CHOOSE: &str = "SELECT (random() & 9223372036854775807) % ?";

/// Restores one.
pub(crate) fn restored(database: &Database) -> Result<RestoredCopy, Ended> {
    for attempt in 1.. {
        report::progress("choosing a point", None);
        let check = Check::new("point");
        let (chosen, of) = match chosen(database) {
            Ok(chosen) => chosen,
            // The replica answers, and holds nothing.
            Err(error) if error.code == "not-found" || error.code == "litestream" => {
                check.failed(&told(&check, &error));
                return Err(Ended::Told);
            }
            Err(error) => return Err(could_not(&check, error)),
        };
        let point = Point::Txid(chosen.txid.clone());
        report::progress("restoring", None);
        let restore = Check::new("restore");
        let copy = restored_copy(database, Some(&point));
        if attempt < ATTEMPTS && matches!(&copy, Err(error) if error.code == "not-found") {
            check.skipped(&format!("TXID {} was compacted meanwhile", chosen.txid));
            restore.skipped("another point is chosen");
            continue;
        }
        let written = chosen.written.local.as_ref().unwrap_or(&chosen.written.rfc3339);
        let points = words::count(of, "point");
        check.passed(&format!("TXID {}, written {written}, one of {points}", chosen.txid));
        report::remark(&format!("at a random point, TXID {}", chosen.txid));
        report::fact("random_point", &json::string(&chosen.txid));
        report::fact("random_point_written", &json::string(&chosen.written.rfc3339));
        report::fact("points", &of.to_string());
        return judged(restore, copy, None, Some(&point));
    }
    Err(Ended::Told)
}

/// One of the points, and how many there are.
fn chosen(database: &Database) -> Result<(RestorePoint, u64), Error> {
    let mut points = RestoreRequest::new(database).points()?.points;
    let of = points.len() as u64;
    let at = if of > 1 { below(database, of, points.first())? } else { 0 };
    let at = usize::try_from(at).unwrap_or_default();
    if at >= points.len() {
        return Err(error("not-found", "the backup has no point"));
    }
    Ok((points.swap_remove(at), of))
}

/// A random number below `end`: of the live database's SQLite, or, on a machine without
/// one, of that of a copy of the oldest point, which is the cheapest to restore.
fn below(database: &Database, end: u64, oldest: Option<&RestorePoint>) -> Result<u64, Error> {
    let live = || -> Result<u64, Error> {
        if !database.exists() {
            return Err(error("not-found", "there is no live database"));
        }
        number(&sqlite::open(database)?, end)
    };
    if let Ok(number) = live() {
        return Ok(number);
    }
    let oldest = oldest.map(|point| Point::Txid(point.txid.clone()));
    match restored_copy(database, oldest.as_ref()) {
        Ok(copy) => number(&sqlite::open_copy(&copy)?, end),
        // It is restored again, and its check says what is wrong with it.
        Err(error) if error.code == "litestream" => Ok(0),
        Err(error) => Err(error),
    }
}

fn number(connection: &Connection, end: u64) -> Result<u64, Error> {
    let end = i64::try_from(end).unwrap_or(i64::MAX);
    let number = connection.value(CHOOSE, &[Value::Integer(end)])?;
    let number = number.map(|number| integer(&number)).transpose()?;
    number
        .and_then(|number| u64::try_from(number).ok())
        .ok_or_else(|| error("sqlite", "SQLite returned no random number"))
}
