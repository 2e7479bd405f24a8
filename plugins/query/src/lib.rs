//! `lsrun query`: asks a backup at a point by SQL, on a private copy that is dropped
//! afterwards.

mod csv;
mod document;
// The one filter for text from outside is the host's; a copy of it would go another way.
#[path = "../../../host/src/shown.rs"]
#[allow(dead_code, reason = "the host uses all of it")]
mod foreign;
mod out;
mod table;

use lsrun_plugin::backup::{Backup, only_reads};
use lsrun_plugin::host::litestream::RestoreRequest;
use lsrun_plugin::prelude::*;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::command!(run);

fn run(invocation: &Invocation) -> Result<(), Error> {
    let value = |name: &str| invocation.argument(name).into_iter().next();
    let sql = value("sql").unwrap_or_default();
    sensible(&sql)?;
    let for_machines = invocation.flag("json") || value("format").as_deref() == Some("json");
    if invocation.flag("csv") && invocation.flag("json") {
        return Err(error("invalid", "use either --csv or --json, not both"));
    }
    let backup = Backup::of(invocation)?;
    let request = backup.request()?;
    point(&request, value("at").as_deref().unwrap_or("latest"))?;
    report::progress("restoring a private copy", None);
    let copy = request.start()?.wait()?;
    say(&backup, &copy);
    let connection = sqlite::open_copy(&copy)?;
    report::progress("asking", None);
    let rows = connection.query(&sql, &[]).map_err(wrong)?;
    let columns = rows.columns().map_err(wrong)?;
    if columns.is_empty() {
        // One that writes fails when it runs; a comment alone cannot be run.
        if let Err(error) = rows.next(1)
            && error.code != "sqlite"
        {
            return Err(wrong(error));
        }
        let mut error = error("invalid", "this SQL returns nothing");
        error.hint = Some("write a statement that reads, such as SELECT".into());
        return Err(error);
    }
    if invocation.flag("csv") {
        csv::write(&columns, &rows)
    } else if for_machines {
        document::write(&backup, &copy, &columns, &rows)
    } else {
        table::write(&columns, &rows, invocation.flag("full"))
    }
    .map_err(wrong)
}

/// A single word is no statement: most likely it is a database, and the SQL is missing.
fn sensible(sql: &str) -> Result<(), Error> {
    let of_name = |letter: char| letter.is_alphanumeric() || "_-./:".contains(letter);
    if !sql.trim().chars().all(of_name) {
        return Ok(());
    }
    let mut error = error("invalid", format!("\"{sql}\" is not an SQL statement"));
    error.hint = Some("write the SQL last: lsrun query DATABASE 'SELECT …'".into());
    Err(error)
}

/// Has the request ask for this point.
fn point(request: &RestoreRequest, at: &str) -> Result<(), Error> {
    let number = at.bytes().all(|byte| byte.is_ascii_digit());
    let digits = at.len() == 16 && at.bytes().all(|byte| byte.is_ascii_hexdigit());
    match at {
        "latest" => Ok(()),
        _ if number || digits => request.set_txid(at),
        _ => request.set_timestamp(at),
    }
}

/// Says which point is asked.
fn say(backup: &Backup, copy: &RestoredCopy) {
    let txid = copy.txid().map(|txid| format!("TXID {txid}"));
    let written = copy.written().map(|time| format!("written {}", report::local_time(&time)));
    let point: Vec<String> = [txid, written].into_iter().flatten().collect();
    report::log("info", &format!("{} at {}", backup.name(), point.join(", ")));
}

/// What is wrong with the SQL is wrong with the command line.
fn wrong(error: Error) -> Error {
    match error.code.as_str() {
        "sqlite" => {
            Error { code: "invalid".into(), message: "the SQL cannot be run".into(), ..error }
        }
        "denied" => only_reads(error),
        _ => error,
    }
}
