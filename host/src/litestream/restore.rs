//! Restores a backup into a private place: never over a database, never with
//! litestream's `-force`.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::code::Code;
use crate::config::Purpose;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::litestream::attempts::settled;
use crate::litestream::feature::{self, Feature};
use crate::litestream::ltx::local_txid;
use crate::litestream::replace::{self, Folder, Rights, locate, settle};
use crate::litestream::room::Room;
use crate::litestream::sync::explain;
use crate::litestream::txid::Txid;
use crate::litestream::{child, points, reach};
use crate::path::Sidecar;
use crate::path::with_suffix;
use crate::project::Database;
use crate::scratch::Scratch;

/// Whose backup.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// That of a database of the project.
    Database(Database),
    /// The one at a replica URL.
    Url(String),
}

/// Which backup, up to where, for what.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Whose backup.
    pub source: Source,
    /// Up to this transaction.
    pub txid: Option<Txid>,
    /// Up to the last transaction before this time.
    pub timestamp: Option<jiff::Timestamp>,
    /// Files fetched side by side; litestream's default without one.
    pub parallelism: Option<u32>,
    /// The absolute path that the copy is to replace; none for a private copy.
    pub target: Option<PathBuf>,
    /// Not from the replica: the newest database that a restore has kept.
    pub kept: bool,
    /// A target that a process has open may be replaced, where SQLite's own locks
    /// allow it.
    pub even_if_in_use: bool,
    /// How long litestream may go without writing before it is given up.
    pub patience: Duration,
    /// The same for all requests of one run for one database.
    pub owner: usize,
}

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

/// A restored database in a private folder, removed when dropped.
#[derive(Debug)]
pub(crate) struct Copy {
    /// The database file.
    pub path: PathBuf,
    /// What was restored; none for a backup of litestream 0.3.
    pub txid: Option<Txid>,
    /// Its size.
    pub bytes: u64,
    /// The time litestream took.
    pub duration: Duration,
    /// What it is to replace.
    pub target: Option<PathBuf>,
    /// As in the request.
    pub even_if_in_use: bool,
    /// The point that was asked for: a TXID, or a time in RFC 3339; none for the newest.
    pub requested: Option<String>,
    /// What it was restored from.
    from: Origin,
    _place: Place,
}

/// Where the content of a copy comes from, for what is asked about it later.
#[derive(Debug)]
enum Origin {
    Replica {
        source: Source,
        patience: Duration,
    },
    /// A file that a restore had kept, last written to at this time.
    Kept(Option<jiff::Timestamp>),
}

impl Copy {
    /// One that was not restored by litestream, and took this time.
    pub(super) fn made(
        path: PathBuf,
        request: Request,
        written: Option<jiff::Timestamp>,
        duration: Duration,
        place: Place,
    ) -> Self {
        Self {
            requested: None,
            from: Origin::Kept(written),
            bytes: std::fs::metadata(&path).map_or(0, |metadata| metadata.len()),
            path,
            txid: None,
            duration,
            target: request.target,
            even_if_in_use: request.even_if_in_use,
            _place: place,
        }
    }

    /// When its last transaction was written, as far as the backup says.
    pub(crate) async fn written(&self, session: &Session) -> Option<jiff::Timestamp> {
        match &self.from {
            Origin::Kept(written) => *written,
            Origin::Replica { source, patience } => {
                let files = points::list(session, source, *patience).await.ok()?;
                files.written(self.txid?)
            }
        }
    }
}

/// Where a copy lies, and the room that it has there.
#[derive(Debug)]
#[expect(dead_code, reason = "held for their destructors")]
pub(super) struct Place {
    home: Home,
    room: Room,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held for their destructors")]
enum Home {
    Temporary(tempfile::TempDir),
    Beside(Scratch),
}

impl Request {
    /// Whether something stands at the target; an empty file is nothing, as it
    /// is for litestream.
    #[must_use]
    pub(crate) fn target_exists(&self) -> bool {
        let target = self.target.as_ref();
        target.is_some_and(|path| std::fs::metadata(path).is_ok_and(|it| it.len() > 0))
    }
}

impl Request {
    /// Whether a file replica holds a backup of litestream 0.3, which can be
    /// restored and not planned.
    fn is_of_03(&self, session: &Session) -> bool {
        let Source::Database(database) = &self.source else { return false };
        let replica = session.config().and_then(|config| config.replica(database));
        replica.is_ok_and(|it| it.folder.is_some_and(|it| it.join("generations").is_dir()))
    }
}

impl Source {
    /// For people; no secret.
    pub(crate) fn describe(&self, session: &Session) -> Result<String> {
        Ok(match self {
            Self::Database(database) => session.config()?.replica(database)?.description,
            Self::Url(url) => redact(url),
        })
    }
}

/// A URL without its password and its secret parameters.
#[must_use]
pub(crate) fn redact(url: &str) -> String {
    crate::redact::hide_in_url(url)
}

/// Says what would be restored, and what it would replace.
///
/// A backup of litestream 0.3 cannot be planned, and a binary that is older than
/// `-dry-run` plans nothing: both give a plan without a point.
pub(crate) async fn plan(session: &Session, request: &Request) -> Result<Plan> {
    let (source, Point { txid, timestamp, bytes }) = if request.kept {
        let kept = replace::newest_kept(request)?;
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
) -> Result<Vec<points::Point>> {
    let files = points::list(session, &request.source, request.patience).await?;
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

/// Where a restore would end.
#[derive(Default)]
pub(super) struct Point {
    pub(super) txid: Option<Txid>,
    pub(super) timestamp: Option<jiff::Timestamp>,
    pub(super) bytes: Option<u64>,
}

/// What stands at the target.
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
async fn point(session: &Session, request: &Request) -> Result<Point> {
    if feature::require(&session.binary().await?.version, Feature::DryRun).is_err() {
        return Ok(Point::default());
    }
    // litestream checks the output path also when it writes nothing.
    let folder = tempfile::Builder::new().prefix("plan-").tempdir_in(session.scratch()?.path())?;
    let output = folder.path().join("planned.sqlite3");
    settled(session, request, || planned(session, request, &output)).await
}

async fn planned(session: &Session, request: &Request, output: &Path) -> Result<Point> {
    let output = run(session, request, output, &["-dry-run"]).await?;
    if output.code != Some(0) {
        let error = explain(&output, "plan the restore");
        if error.code() == Code::NotFound && request.is_of_03(session) {
            return Ok(Point::default());
        }
        return Err(error);
    }
    let json = output.json().unwrap_or_default();
    let txid = json["max_txid"].as_str().and_then(|txid| txid.parse().ok());
    refuse_gap(session, request, txid).await?;
    let files = json["files"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(Point {
        txid,
        timestamp: files.last().and_then(|file| file["timestamp"].as_str()?.parse().ok()),
        bytes: Some(files.iter().filter_map(|file| file["size"].as_u64()).sum()),
    })
}

/// Time between two looks at how far a restore has come.
const LOOK: Duration = Duration::from_millis(100);

/// Restores into a private place.
///
/// Where somebody watches, `progress` is told every 100 ms: the bytes that are there,
/// about how many there will be, and the time since the start.
pub(crate) async fn restore(
    session: Arc<Session>,
    request: Request,
    progress: impl Fn(u64, Option<u64>, Duration) + Send,
) -> Result<Copy> {
    let (home, folder) = home(&session, &request)?;
    if let Home::Beside(scratch) = &home {
        settle(&session, scratch).await;
    }
    let path = folder.join("restored.sqlite3");
    let partial = partial(&path);
    let kept = request.kept.then(|| replace::newest_kept(&request)).transpose()?;
    // What is in the log may not be in the file yet. How large an older point is,
    // nobody knows.
    let needed = match (&kept, &request.source) {
        (Some(kept), _) => size(&kept.path),
        (None, Source::Database(database))
            if request.txid.is_none() && request.timestamp.is_none() =>
        {
            size(&database.path).saturating_add(size(&log_of(&database.path)))
        }
        (None, Source::Database(_) | Source::Url(_)) => 0,
    };
    let files = [partial.clone(), path.clone()];
    let room = Room::take(&session, request.owner, &folder, needed, files).await?;
    let place = Place { home, room };
    let started = Instant::now();
    if let Some(kept) = kept {
        return kept.copy_to(path, request, place);
    }
    let watch = async {
        if session.notes.is_watched() {
            let of = expected_bytes(&request);
            let look = || progress(size(&partial).max(size(&path)), of, started.elapsed());
            every(LOOK, look).await
        } else {
            std::future::pending().await
        }
    };
    let attempt = || fetched(&session, &request, &path);
    let (txid, duration) = tokio::select! {
        done = settled(&session, &request, attempt) => done?,
        never = watch => match never {},
        never = flush(&partial) => match never {},
    };
    let bytes = std::fs::metadata(&path)
        .map_err(|error| {
            Error::inconclusive("litestream reported success, but wrote no database").cause(error)
        })?
        .len();
    Ok(Copy {
        path,
        txid,
        bytes,
        duration,
        target: request.target,
        even_if_in_use: request.even_if_in_use,
        requested: match (request.txid, request.timestamp) {
            (Some(txid), _) => Some(txid.to_string()),
            (None, time) => time.map(|time| time.to_string()),
        },
        from: Origin::Replica { source: request.source, patience: request.patience },
        _place: place,
    })
}

/// One attempt to restore; what an earlier one has left is removed. Gives the last
/// transaction, and the time litestream took.
async fn fetched(
    session: &Session,
    request: &Request,
    path: &Path,
) -> Result<(Option<Txid>, Duration)> {
    for left in [path, &partial(path)] {
        let _mostly_missing = std::fs::remove_file(left);
    }
    let started = Instant::now();
    let output = run(session, request, path, &[]).await?;
    let duration = started.elapsed();
    if output.code != Some(0) {
        let what = match &request.source {
            Source::Database(database) => format!("restore the backup of {}", database.name()),
            Source::Url(url) => format!("restore {}", redact(url)),
        };
        return Err(explain(&output, &what));
    }
    let json = output.json().unwrap_or_default();
    let txid = json["txid"].as_str().and_then(|txid| txid.parse().ok());
    refuse_gap(session, request, txid).await?;
    Ok((txid, duration))
}

/// Writes a growing file to disk while it grows. litestream syncs the whole of it at
/// its end and waits for that, 0.27 of 1.4 s for 117 MB; so it finds little to do.
async fn flush(partial: &Path) -> Infallible {
    /// Bytes between two times, and the time between two looks.
    const STEP: u64 = 16 << 20;
    const LOOK: Duration = Duration::from_millis(20);
    if !cfg!(target_os = "linux") {
        // What it costs elsewhere was not measured.
        std::future::pending::<()>().await;
    }
    let mut flushed = 0;
    loop {
        tokio::time::sleep(LOOK).await;
        let size = size(partial);
        if size >= flushed + STEP {
            flushed = size;
            if let Ok(file) = std::fs::File::open(partial) {
                let sync = tokio::task::spawn_blocking(move || file.sync_data());
                let _its_own_sync_counts = sync.await;
            }
        }
    }
}

/// Does something again and again.
async fn every(time: Duration, work: impl Fn()) -> Infallible {
    loop {
        tokio::time::sleep(time).await;
        work();
    }
}

/// With a timestamp litestream stops silently at the first gap of the backup.
async fn refuse_gap(session: &Session, request: &Request, reached: Option<Txid>) -> Result<()> {
    let (Some(timestamp), Some(reached)) = (request.timestamp, reached) else { return Ok(()) };
    let files = points::list(session, &request.source, request.patience).await?;
    files.refuse_gap(timestamp, reached)
}

/// Gives a copy a second life in the temporary folder, readable by this user.
pub(crate) fn keep(copy: &Copy) -> Result<PathBuf> {
    let mut names = tempfile::Builder::new();
    names.prefix("kept-by-lsrun-").suffix(".sqlite3");
    let keep = || -> std::io::Result<PathBuf> {
        let mut from = std::fs::File::open(&copy.path)?;
        from.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        // A second name costs nothing; another file system needs a second file. Neither is
        // made under a name that somebody else has taken.
        match names.make(|name| std::fs::hard_link(&copy.path, name)) {
            Ok(link) => Ok(link.into_temp_path().keep()?),
            Err(_apart) => {
                let (mut file, path) = names.tempfile()?.keep()?;
                std::io::copy(&mut from, &mut file)?;
                Ok(path)
            }
        }
    };
    keep().map_err(|error| {
        Error::new(Code::Io, "cannot keep the copy in the temporary folder").cause(error)
    })
}

async fn run(
    session: &Session,
    request: &Request,
    output: &Path,
    more: &[&str],
) -> Result<child::Output> {
    let mut arguments: Vec<OsString> = vec!["restore".into(), "-o".into(), output.into()];
    if feature::require(&session.binary().await?.version, Feature::Json).is_ok() {
        arguments.push("-json".into());
    }
    arguments.extend(more.iter().map(Into::into));
    if let Some(txid) = request.txid {
        arguments.extend(["-txid".into(), txid.to_string().into()]);
    }
    if let Some(timestamp) = request.timestamp {
        arguments.extend(["-timestamp".into(), timestamp.to_string().into()]);
    }
    if let Some(files) = request.parallelism {
        arguments.extend(["-parallelism".into(), files.to_string().into()]);
    }
    // Litestream would try a dead server for minutes.
    let probe = request.patience.min(Duration::from_secs(5));
    let config = match &request.source {
        Source::Database(database) => {
            reach::reach(session, database, probe).await?;
            arguments.push(database.path.clone().into());
            let purpose = Purpose::Read { database: Some(database.path.clone()) };
            Some(session.config()?.for_child(&purpose, &session.environment)?)
        }
        Source::Url(url) => {
            reach::reach_url(session, url, probe).await?;
            arguments.push(url.into());
            None
        }
    };
    let arguments: Vec<_> = arguments.iter().map(OsString::as_os_str).collect();
    let partial = partial(output);
    let written = move || size(&partial);
    let limit = child::Limit::Stalled { patience: request.patience, progress: &written };
    let running = Running::count();
    // What the user has set is left as it is.
    let processors = match session.environment.get("GOMAXPROCS") {
        Some(_) => None,
        None => Some(("GOMAXPROCS", running.processors().to_string())),
    };
    child::capture_with(session, &arguments, config, limit, processors.as_slice()).await
}

/// One of the restores that run now.
struct Running(usize);

static RUNNING: AtomicUsize = AtomicUsize::new(0);

impl Running {
    fn count() -> Self {
        Self(RUNNING.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// How many processors litestream's Go runtime may use: half of them, shared with
    /// the others. Its restore hands each page from one goroutine to the next; over
    /// two of two processors that took a third more time of both than on one, and
    /// was slower (117 MB, litestream 0.5.17). The other half reads databases.
    fn processors(&self) -> usize {
        let all = std::thread::available_parallelism().map_or(2, usize::from);
        (all / 2 / self.0).max(1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// litestream writes to a name of its own and renames at the end.
fn partial(output: &Path) -> PathBuf {
    with_suffix(output, ".tmp")
}

fn size(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |metadata| metadata.len())
}

/// What the live database takes is what its backup takes, give or take. None where
/// there is none.
fn expected_bytes(request: &Request) -> Option<u64> {
    match &request.source {
        // What is in the log may not be in the file yet.
        Source::Database(database) => {
            Some(size(&database.path).max(size(&log_of(&database.path)))).filter(|size| *size > 0)
        }
        Source::Url(_) => None,
    }
}

/// Where the copy goes: a folder beside its target, else a temporary one.
fn home(session: &Session, request: &Request) -> Result<(Home, PathBuf)> {
    if let Some(target) = &request.target {
        let scratch = beside(target)?;
        if scratch.swept() > 0 {
            session.notes.note(&format!(
                "an earlier restore of {} broke off before it was done; its copy was removed",
                target.display()
            ));
        }
        let folder = scratch.path().to_owned();
        return Ok((Home::Beside(scratch), folder));
    }
    let folder = tempfile::Builder::new().prefix("copy-").tempdir_in(session.scratch()?.path())?;
    let path = folder.path().to_owned();
    Ok((Home::Temporary(folder), path))
}

/// A private folder for a copy that is to replace `target`: on the file system of the
/// file behind a link, or in the temporary folder where others could exchange it.
fn beside(target: &Path) -> Result<Scratch> {
    let target = &locate(target)?;
    let io = |what: &str, path: &Path, error: &dyn std::fmt::Display| {
        Error::new(Code::Io, format!("cannot {what} {}", path.display())).cause(error)
    };
    let folder = target.parent().unwrap_or_else(|| Path::new("/"));
    make(folder).map_err(|error| io("make the folder", folder, &error))?;
    let held = Folder::of(target).map_err(|error| io("open the folder of", target, &error))?;
    if held.keeps_ours() {
        return Scratch::beside(target);
    }
    // The same folder for every restore of this target, so that the next one finds what
    // a killed one has left.
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let key = blake3::hash(target.as_os_str().as_encoded_bytes()).to_hex();
    Scratch::within(&std::env::temp_dir(), &format!(".{name}.{}.lsrun-", &key[..16]))
}

/// Makes a folder and those above it that are missing, with the rights for the first
/// of them that is there.
fn make(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let make = || std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let missing = folder.ancestors().take_while(|it| std::fs::symlink_metadata(it).is_err());
    let rights = match missing.last() {
        Some(first) => Rights::in_folder(&Folder::of(first)?, first, None)?,
        None => Rights::Own,
    };
    Ok(rights.run(make)??)
}

/// The write-ahead log of a database.
fn log_of(database: &Path) -> PathBuf {
    Sidecar::Wal.of(database)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        assert_eq!(redact("sftp://me:secret@host:22/a"), "sftp://me:***@host:22/a");
        assert_eq!(redact("s3://bucket/path"), "s3://bucket/path");
        assert_eq!(redact("s3://bucket?x=a@b"), "s3://bucket?x=a@b");
    }
}
