//! `lsrun verify`: proves, for one database, that its backup restores to what the
//! application wrote. A row is written, waited for, restored and looked for; then
//! the restored copy is checked.

mod checks;
mod sentinel;

use lsrun_plugin::host::litestream::{RestoreRequest, SyncRequest, SyncResult};
use lsrun_plugin::host::report::Check;
use lsrun_plugin::prelude::*;

use sentinel::Sentinel;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::command!(run);

/// How long the replica's place may take to answer a connection.
const PROBE_MS: u64 = 3000;

/// A step ended the proof.
enum Ended {
    /// Its check says why.
    Told,
    /// Nothing could be proved with a project file that is wrong.
    Project(Error),
}

fn run(invocation: &Invocation) -> Result<(), Error> {
    let databases = invocation.databases();
    let Some(database) = databases.first() else {
        return Err(error("invalid", "no database was given"));
    };
    // Found, or fetched on first use, before anything is written.
    litestream::version()?;
    // What happened is in the checks; the host makes the outcome of them.
    match prove(database) {
        Ok(()) | Err(Ended::Told) => Ok(()),
        Err(Ended::Project(error)) => Err(error),
    }
}

fn prove(database: &Database) -> Result<(), Ended> {
    preflight(database)?;
    report::progress("writing the sentinel");
    let sentinel =
        Sentinel::write(database).map_err(|error| could_not(&Check::new("sentinel"), error))?;
    let copy = restored(database, &sentinel)?;
    report::progress("checking the copy");
    checks::run(database, &copy);
    Ok(())
}

/// Everything that can be known to be in the way before anything is written.
fn preflight(database: &Database) -> Result<(), Ended> {
    report::progress("looking at the database and its replica");
    let check = Check::new("preflight");
    let looked = || -> Result<String, Error> {
        if !database.exists() {
            let mut error = error("not-found", format!("there is no file {}", database.path()));
            error.hint =
                Some("check the path in lsrun.yml; lsrun restore brings a backup back".into());
            return Err(error);
        }
        let connection = sqlite::open(database)?;
        if connection.integer("PRAGMA page_count")? == 0 {
            return Err(error(
                "not-found",
                format!("{} is empty: no database yet", database.path()),
            ));
        }
        litestream::probe(database, PROBE_MS)?;
        Ok(database.replica())
    };
    match looked() {
        Ok(replica) => {
            check.passed(&replica);
            Ok(())
        }
        Err(error) => Err(could_not(&check, error)),
    }
}

/// Waits until the replica has the sentinel and restores it.
///
/// A sync that is not certain may have come before the row: then the copy lacks
/// it, and the next transaction is waited for until the time is over.
fn restored(database: &Database, sentinel: &Sentinel) -> Result<RestoredCopy, Ended> {
    let mut after = None;
    loop {
        report::progress("waiting for the replica");
        let synced = synced(database, after.as_deref())?;
        report::progress("restoring");
        let copy = restore(database, &synced)?;
        let check = Check::new("sentinel");
        match sentinel.is_in(&copy) {
            Ok(true) => {
                check.passed("the row written a moment ago came back");
                return Ok(copy);
            }
            Ok(false) if synced.certain() => {
                check.failed("the row that was replicated is not in the restored copy");
                return Err(Ended::Told);
            }
            Ok(false) => {
                check.skipped("not yet there, the daemon had not seen it");
                after = synced.txid();
            }
            Err(error) => {
                check.failed(&told(&error));
                return Err(Ended::Told);
            }
        }
    }
}

fn synced(database: &Database, after: Option<&str>) -> Result<SyncResult, Ended> {
    let check = Check::new("sync");
    let request = SyncRequest::new(database);
    if let Some(txid) = after {
        request.set_after_txid(txid);
    }
    match request.start().and_then(|job| job.wait()) {
        Ok(synced) => {
            check.passed("");
            Ok(synced)
        }
        Err(error) => Err(could_not(&check, error)),
    }
}

fn restore(database: &Database, synced: &SyncResult) -> Result<RestoredCopy, Ended> {
    let check = Check::new("restore");
    let copy = match RestoreRequest::new(database).start().and_then(|job| job.wait()) {
        Ok(copy) => copy,
        Err(error) => {
            // The replica has just been brought up to date and it answers: what
            // cannot be restored now is no backup.
            if matches!(error.code.as_str(), "litestream" | "not-found") {
                check.failed(&told(&error));
                return Err(Ended::Told);
            }
            return Err(could_not(&check, error));
        }
    };
    // TXIDs have 16 digits: their order is that of their text.
    if let (Some(want), Some(got)) = (synced.txid(), copy.txid())
        && got < want
    {
        check.failed(&format!("restored TXID {got}, but the replica was said to have {want}"));
        return Err(Ended::Told);
    }
    check.passed("");
    Ok(copy)
}

/// Reports that a step could not be carried out.
fn could_not(check: &Check, error: Error) -> Ended {
    if error.code == "project" {
        check.skipped("");
        return Ended::Project(error);
    }
    check.inconclusive(&told(&error));
    Ended::Told
}

/// An error as the message of a check.
fn told(error: &Error) -> String {
    let mut text = error.message.clone();
    for cause in &error.causes {
        text.push_str(": ");
        text.push_str(cause);
    }
    if let Some(hint) = &error.hint {
        text.push_str("\nhint: ");
        text.push_str(hint);
    }
    text
}
