//! What a restore would do, and what it would replace.

use std::path::Path;

use crate::code::Code;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::litestream::binary::feature::{self, Feature};
use crate::litestream::process::said::explain;
use crate::litestream::replica::listing;
use crate::litestream::replica::ltx::local_txid;
use crate::litestream::replica::points::{Points, RestorePoint};
use crate::litestream::replica::source::{Source, redact};
use crate::litestream::replica::txid::Txid;
use crate::litestream::restore::attempts::{no_backup, settled};
use crate::litestream::restore::command::{refuse_gap, run};
use crate::litestream::restore::kept::newest_kept;
use crate::litestream::restore::request::{PlannedPoint, Request, log_of};

/// What a restore would do.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Where from, for people; no secret.
    pub source: String,
    /// The last transaction.
    pub txid: Option<Txid>,
    /// When it was written.
    pub timestamp: Option<jiff::Timestamp>,
    /// The size of the files that would be fetched.
    pub bytes: Option<u64>,
    /// The database that exists at the target.
    pub present: Option<Present>,
}

/// A database that a restore would replace.
#[derive(Debug, Clone)]
pub(crate) struct Present {
    /// Its size with its log.
    pub bytes: u64,
    /// When it was last written to.
    pub written: Option<jiff::Timestamp>,
    /// The last transaction that litestream has seen of it.
    pub txid: Option<Txid>,
    /// How many transactions that is ahead of the plan's.
    pub ahead: Option<u64>,
}

/// Says what would be restored, and what it would replace.
///
/// A backup of litestream 0.3 cannot be planned, and a binary that is older than
/// `-dry-run` plans nothing: both give a plan without a point.
pub(crate) async fn plan(session: &Session, request: &Request) -> Result<Plan> {
    let (source, PlannedPoint { txid, timestamp, bytes }) = if request.kept {
        let kept = newest_kept(request)?;
        (kept.path.display().to_string(), kept.point())
    } else {
        (request.source.describe(session)?, point(session, request).await?)
    };
    Ok(Plan { source, txid, timestamp, bytes, present: present(session, request, txid) })
}

/// The points before the one that is asked for, newest first, at most `max`.
pub(crate) async fn older(
    session: &Session,
    request: &Request,
    max: u32,
) -> Result<Vec<RestorePoint>> {
    let files = listing::list(session, &request.source, request.patience).await?;
    let mut points = files.points().points;
    match (request.txid, request.timestamp) {
        (Some(txid), _) => points.retain(|point| point.txid < txid),
        (None, Some(time)) => points.retain(|point| point.time < time),
        (None, None) => {}
    }
    // Without a TXID the last one is what was asked for.
    let asked = usize::from(request.txid.is_none());
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    Ok(points.into_iter().rev().skip(asked).take(max).collect())
}

/// Where the backup is, and every point that it can be restored to; at least one.
pub(crate) async fn points(session: &Session, request: &Request) -> Result<(String, Points)> {
    let place = request.source.describe(session)?;
    let files = listing::list(session, &request.source, request.patience).await?;
    let found = files.points();
    if !found.points.is_empty() {
        return Ok((place, found));
    }
    let name = match &request.source {
        Source::Database(database) => database.name(),
        Source::Url(url) => redact(url),
    };
    if files.files.is_empty() {
        return Err(no_backup(&name).cause(place));
    }
    Err(Error::new(Code::NotFound, format!("no point of the backup of {name} can be restored"))
        .cause("it has files, but no snapshot that they continue from")
        .hint(format!("`lsrun ltx {}` lists the files", shell_words::quote(&name))))
}

/// What exists at the target.
fn present(session: &Session, request: &Request, planned: Option<Txid>) -> Option<Present> {
    let target = request.target.as_ref().filter(|_target| request.target_exists())?;
    let log = log_of(target);
    let files = [target.as_path(), &log].map(|file| std::fs::metadata(file).ok());
    let written = files.iter().flatten().filter_map(|file| file.modified().ok()).max();
    let txid = match &request.source {
        Source::Database(database) if database.path == *target => {
            let config = session.config().ok();
            config.and_then(|config| local_txid(&config.meta_path(database)))
        }
        _ => None,
    };
    Some(Present {
        bytes: files.iter().flatten().map(std::fs::Metadata::len).sum(),
        written: written.and_then(|time| time.try_into().ok()),
        txid,
        ahead: txid.zip(planned).map(|(own, planned)| own.0.saturating_sub(planned.0)),
    })
}

/// Asks litestream (`restore -dry-run`).
async fn point(session: &Session, request: &Request) -> Result<PlannedPoint> {
    if feature::require(&session.binary().await?.version, Feature::DryRun).is_err() {
        return Ok(PlannedPoint::default());
    }
    // litestream checks the output path also when it writes nothing.
    let folder = tempfile::Builder::new().prefix("plan-").tempdir_in(session.scratch()?.path())?;
    let output = folder.path().join("planned.sqlite3");
    settled(session, request, || planned(session, request, &output)).await
}

async fn planned(session: &Session, request: &Request, output: &Path) -> Result<PlannedPoint> {
    let output = run(session, request, output, &["-dry-run"]).await?;
    if output.code != Some(0) {
        let error = explain(&output, "plan the restore");
        if error.code() == Code::NotFound && request.is_of_03(session) {
            return Ok(PlannedPoint::default());
        }
        return Err(error);
    }
    let json = output.json().unwrap_or_default();
    let txid = json["max_txid"].as_str().and_then(|txid| txid.parse().ok());
    refuse_gap(session, request, txid).await?;
    let files = json["files"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(PlannedPoint {
        txid,
        timestamp: files.last().and_then(|file| file["timestamp"].as_str()?.parse().ok()),
        bytes: Some(files.iter().filter_map(|file| file["size"].as_u64()).sum()),
    })
}
