//! What to do when the newest backup cannot be used: older points, and the commands
//! that try them.

use lsrun_plugin::host::litestream::RestoreRequest;
use lsrun_plugin::prelude::*;
use lsrun_plugin::words;

/// How many points are named.
const SHOWN: u32 = 3;

/// Adds the points before the one that was asked for to the error of a backup that is
/// damaged, and how to try one.
pub(crate) fn suggest(invocation: &Invocation, request: &RestoreRequest, error: Error) -> Error {
    if !["failed", "litestream"].contains(&error.code.as_str()) {
        return error;
    }
    let points = request.older_points(SHOWN).unwrap_or_default();
    let Some(first) = points.first().map(|point| point.txid.clone()) else {
        let hint = "the backup has no older point: keep what is there".to_owned();
        return Error { hint: error.hint.or(Some(hint)), ..error };
    };
    let databases = invocation.databases();
    let name = databases.first().map(Database::name);
    let source = words::shell(&name.or_else(|| crate::one(invocation, "url")).unwrap_or_default());
    let mut causes = error.causes;
    causes.extend(points.iter().map(|point| {
        format!("older point: TXID {}, {}", point.txid, report::local_time(&point.written.rfc3339))
    }));
    let hint = format!(
        "try an older point in a new file: lsrun restore -txid {first} -o restored-copy.sqlite3 {source}; lsrun points {source} lists all of them"
    );
    Error { causes, hint: Some(hint), ..error }
}
