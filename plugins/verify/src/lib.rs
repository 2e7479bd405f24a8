//! `lsrun verify`: proves, for one database, that its backup restores to what the
//! application wrote. A row is written, waited for, restored and looked for; then
//! the restored copy is checked, and compared with the live database as it was at the
//! copy's transaction.

mod checks;
mod compared;
mod damaged;
mod limits;
mod litestreams;
mod live;
mod options;
mod proved;
mod random;
mod self_test;
mod sentinel;
mod whose_fault;

use lsrun_plugin::host::litestream::{RestoreRequest, SyncRequest, SyncResult};
use lsrun_plugin::host::report::Check;
use lsrun_plugin::prelude::*;
use lsrun_plugin::{is_damage, json, words};

use damaged::Damage;
use live::Live;
use options::{Id, Options, Point};
use sentinel::Sentinel;
use whose_fault::{Failures, Question, Side};

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::command!(run);

/// How long the replica's storage may take to answer a connection.
const PROBE_MS: u64 = 3000;
/// How long a daemon may take to report its state. One that waits for its replica says
/// nothing.
const DAEMON_MS: u64 = 1000;

/// Why there is nothing to compare the copy with, unless there is another reason.
const TOO_BUSY: &str = "the database was too busy, or is not in WAL mode: nothing was compared";

/// A step ended the proof.
pub(crate) enum Ended {
    /// Its check says why.
    Told,
    /// Nothing could be proved with a project file that is wrong.
    Project(Error),
    /// The live database is damaged; its backup may be good.
    Damaged(Damage),
}

fn run(invocation: &Invocation) -> Result<(), Error> {
    let databases = invocation.databases();
    let Some(database) = databases.first() else {
        return Err(error("invalid", "no database was given"));
    };
    let options = Options::of(invocation, database)?;
    // Found, or fetched on first use, before anything is written.
    litestream::version()?;
    // What happened is in the checks; the host makes the outcome of them.
    match prove(database, &options) {
        Ok(()) | Err(Ended::Told | Ended::Damaged(_)) => Ok(()),
        Err(Ended::Project(error)) => Err(error),
    }
}

fn prove(database: &Database, options: &Options) -> Result<(), Ended> {
    match attempt(database, options) {
        Err(Ended::Damaged(damage)) => damage.prove(database, options),
        other => other,
    }
}

fn attempt(database: &Database, options: &Options) -> Result<(), Ended> {
    preflight(database, options)?;
    let way = proved::way(database, options);
    let (copy, lag, live) = if let Some(point) = &options.at {
        (restored_at(database, point)?, None, None)
    } else if options.read_only {
        let live = live::without_sentinel(database, options)?;
        let synced = synced(database, None, true)?;
        let lag = (synced.method() != "none").then(|| synced.lag_ms());
        if proved::by_files(way, database, &synced, live.as_ref(), false, options) {
            return Ok(());
        }
        (restore(database, Some(&synced), None)?, lag, live)
    } else {
        let (sentinel, live) = with_sentinel(database, options)?;
        let synced = synced(database, None, false)?;
        if proved::by_files(way, database, &synced, live.as_ref(), true, options) {
            return Ok(());
        }
        let (copy, lag) = restored(database, &sentinel, synced)?;
        (copy, Some(lag), live)
    };
    checked(database, &copy, lag, live, TOO_BUSY, options);
    proved::remember(database, options);
    Ok(())
}

/// Checks a restored copy and, if that is wanted, keeps it.
pub(crate) fn checked(
    database: &Database,
    copy: &RestoredCopy,
    lag: Option<u64>,
    live: Option<Live>,
    missing: &str,
    options: &Options,
) {
    report::progress(&format!("checking the copy, {}", words::bytes(copy.bytes())), None);
    checks::run(database, copy, lag, live, missing, options);
    if options.self_test {
        self_test::run(copy, options);
    }
    if options.keep {
        match litestream::keep(copy) {
            Ok(path) => {
                report::log("info", &format!("the restored copy is kept as {path}"));
                report::fact("kept", &json::string(&path));
            }
            Err(error) => report::log("warning", &words::reasons(&error)),
        }
    }
}

/// Every obstacle that can be known before anything is written.
fn preflight(database: &Database, options: &Options) -> Result<(), Ended> {
    report::progress("examining the database and its replica", None);
    let check = Check::new("preflight");
    let looked = || -> Result<String, Error> {
        // An older point is proved without the live database.
        if options.at.is_none() {
            if !database.exists() {
                let mut error = error("not-found", format!("there is no file {}", database.path()));
                error.hint =
                    Some("check the path in lsrun.yml; lsrun restore brings a backup back".into());
                return Err(error);
            }
            litestream::check_daemon(database, DAEMON_MS)?;
            let connection = sqlite::open(database)?;
            if connection.integer("PRAGMA page_count")? == 0 {
                let message = format!("{} is empty: no database yet", database.path());
                return Err(error("not-found", message));
            }
            // Reads the schema: a database whose schema is damaged can be opened.
            connection.integer("SELECT count(*) FROM sqlite_schema")?;
        }
        litestream::probe(database, PROBE_MS)?;
        Ok(database.replica())
    };
    match looked() {
        Ok(replica) => {
            check.passed(&replica);
            Ok(())
        }
        Err(error) => Err(Damage::or_could_not(check, error)),
    }
}

/// Writes the sentinel and holds the state that it made.
fn with_sentinel(
    database: &Database,
    options: &Options,
) -> Result<(Sentinel, Option<Live>), Ended> {
    report::progress("writing the sentinel", None);
    let written = Sentinel::write(database, options);
    let (sentinel, snapshot) =
        written.map_err(|error| Damage::or_could_not(Check::new("sentinel"), error))?;
    Ok((sentinel, snapshot.map(|snapshot| Live::start(snapshot, options))))
}

/// Waits until the replica has the sentinel and restores it; also gives the time
/// that was waited, in milliseconds.
///
/// A sync that is not certain may have come before the row: then the copy lacks
/// it, and the next transaction is waited for until the time is over.
fn restored(
    database: &Database,
    sentinel: &Sentinel,
    first: SyncResult,
) -> Result<(RestoredCopy, u64), Ended> {
    let (mut lag, mut next) = (0, Some(first));
    let mut after = None;
    loop {
        let synced = match next.take() {
            Some(first) => first,
            None => synced(database, after.as_deref(), false)?,
        };
        lag += synced.lag_ms();
        let copy = restore(database, Some(&synced), None)?;
        let check = Check::new("sentinel");
        match sentinel.is_in(&copy) {
            Ok(true) => {
                check.passed("the row written a moment ago came back");
                return Ok((copy, lag));
            }
            Ok(false) if synced.certain() => {
                check.failed("the row that was replicated is not in the restored copy");
                return Err(Ended::Told);
            }
            Ok(false) => {
                check.skipped("not there yet: the daemon had not seen it");
                after = synced.txid();
            }
            Err(error) if is_damage(&error) => {
                let mut failures = Failures::new(database, &copy);
                let text = told(&check, &error);
                failures.push(check, text, Question::Damaged);
                failures.settle(Side::Now);
                return Err(Ended::Told);
            }
            Err(error) => return Err(could_not(&check, error)),
        }
    }
}

fn synced(database: &Database, after: Option<&str>, read_only: bool) -> Result<SyncResult, Ended> {
    report::progress("waiting for the replica", None);
    let check = Check::new("sync");
    let request = SyncRequest::new(database);
    if let Some(txid) = after {
        request.set_after_txid(txid);
    }
    if read_only {
        request.set_read_only();
    }
    match request.start().and_then(|job| job.wait()) {
        Ok(synced) if synced.method() == "none" => {
            check.skipped("no daemon runs, and --read-only replicates nothing");
            Ok(synced)
        }
        Ok(synced) => {
            check.passed("");
            Ok(synced)
        }
        Err(error) => Err(Damage::or_could_not(check, error)),
    }
}

fn restored_at(database: &Database, point: &Point) -> Result<RestoredCopy, Ended> {
    match point {
        Point::Random => random::restored(database),
        point => restore(database, None, Some(point)),
    }
}

pub(crate) fn restore(
    database: &Database,
    synced: Option<&SyncResult>,
    point: Option<&Point>,
) -> Result<RestoredCopy, Ended> {
    report::progress("restoring", None);
    let check = Check::new("restore");
    judged(check, restored_copy(database, point), synced, point)
}

/// Ends the check of a restore.
pub(crate) fn judged(
    check: Check,
    copy: Result<RestoredCopy, Error>,
    synced: Option<&SyncResult>,
    point: Option<&Point>,
) -> Result<RestoredCopy, Ended> {
    // The replica answers: what cannot be restored now is not a backup. A point that does
    // not exist says nothing about those that do.
    let some_point = synced.is_some_and(|synced| synced.method() != "none")
        || matches!(point, Some(Point::Latest));
    let wrong =
        |error: &Error| error.code == "litestream" || (error.code == "not-found" && some_point);
    let copy = match copy {
        Ok(copy) => copy,
        Err(error) if wrong(&error) => {
            check.failed(&told(&check, &error));
            return Err(Ended::Told);
        }
        Err(error) => return Err(could_not(&check, error)),
    };
    let want = match point {
        Some(Point::Txid(txid)) => Some(txid.clone()),
        _ => synced.and_then(SyncResult::txid),
    };
    // TXIDs have 16 digits: their order is that of their text.
    if let (Some(want), Some(got)) = (want, copy.txid())
        && got < want
    {
        check.failed(&format!("restored TXID {got}, but the replica should have {want}"));
        return Err(Ended::Told);
    }
    check.passed(&restored_by(&copy));
    Ok(copy)
}

/// What was read for a copy, and by whom.
fn restored_by(copy: &RestoredCopy) -> String {
    match (copy.files(), copy.read_bytes()) {
        (Some(files), Some(bytes)) => {
            let files = words::count(u64::from(files), "file");
            format!("{files} read in full and checked, {}", words::bytes(bytes))
        }
        _ => "by litestream".to_owned(),
    }
}

pub(crate) fn restored_copy(
    database: &Database,
    point: Option<&Point>,
) -> Result<RestoredCopy, Error> {
    let request = RestoreRequest::new(database);
    match point {
        Some(Point::Txid(txid)) => request.set_txid(txid)?,
        Some(Point::Time(time)) => request.set_timestamp(time)?,
        Some(Point::Latest | Point::Random) | None => {}
    }
    request.start()?.wait()
}

/// Reports that a step could not be carried out.
pub(crate) fn could_not(check: &Check, error: Error) -> Ended {
    if error.code == "project" {
        check.skipped("");
        return Ended::Project(error);
    }
    check.ended(&error);
    Ended::Told
}

/// An error as the message of a check, which gets its hint as well.
pub(crate) fn told(check: &Check, error: &Error) -> String {
    if let Some(hint) = &error.hint {
        check.set_hint(hint);
    }
    words::reasons(error)
}

/// Whether a check is to be run; the chosen ones are in the options.
pub(crate) fn wanted(options: &Options, id: Id) -> bool {
    options.wants(id)
}
