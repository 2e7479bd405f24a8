//! Attempts to plan or restore a backup whose files change meanwhile.
//!
//! A daemon adds, compacts and removes files while litestream lists and reads them, so
//! that a planned file may be gone when it is read (upstream #1270). Such an attempt
//! says nothing about the backup and is repeated. What fails although no file went away
//! during the attempt is a real fault, and fails permanently.

use std::time::{Duration, Instant};

use crate::code::Code;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::litestream::replica::listing::Listing;
use crate::litestream::replica::source::{Source, redact};
use crate::litestream::replica::{listing, moment};
use crate::litestream::restore::request::Request;
use crate::stop::Stop;

/// Time before an attempt is repeated.
const PAUSE: Duration = Duration::from_millis(50);

/// Repeats `attempt` while files of the replica vanish during it, for as long as the
/// request's patience after the first failure; then it is inconclusive.
pub(crate) async fn settled<T, F: Future<Output = Result<T>>>(
    session: &Session,
    request: &Request,
    mut attempt: impl FnMut() -> F,
) -> Result<T> {
    let mut failed: Option<(Instant, Listing)> = None;
    for count in 1_u32.. {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        if !matches!(error.code(), Code::Litestream | Code::Daemon | Code::NotFound) {
            return Err(error);
        }
        // A replica that cannot be asked now says nothing else about the failure.
        let Ok(now) = listing::list(session, &request.source, request.patience).await else {
            return Err(error);
        };
        if error.code() == Code::NotFound && !holds(&now, request) {
            return Err(nothing(&now, request, error));
        }
        let since = match failed {
            Some((_, before)) if !before.lost(&now) => return Err(error),
            Some((since, _)) => since,
            None => Instant::now(),
        };
        if since.elapsed() > request.patience {
            return Err(vanishing(&error, count));
        }
        failed = Some((since, now));
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            signal = session.stop.stopped() => return Err(Stop::error(signal)),
        }
    }
    Err(Error::inconclusive("too many attempts"))
}

fn vanishing(error: &Error, count: u32) -> Error {
    Error::inconclusive("files of the backup were removed while they were read, every time")
        .cause(format!("{count} attempts; the last one: {}", error.one_line()))
        .hint("find out what removes files from the replica (retention, a lifecycle rule), or allow more time with --timeout")
}

/// Whether what the request asks for is among the files.
fn holds(files: &Listing, request: &Request) -> bool {
    match (request.txid, request.timestamp) {
        (Some(txid), _) => files.files.iter().any(|file| file.min <= txid && txid <= file.max),
        (None, Some(time)) => files.newest(|file| file.created < time).is_some(),
        (None, None) => files.newest(|_file| true).is_some(),
    }
}

/// The error for what is not in the backup.
fn nothing(files: &Listing, request: &Request, error: Error) -> Error {
    let name = match &request.source {
        Source::Database(database) => database.name(),
        Source::Url(url) => redact(url),
    };
    let see = format!("see `lsrun points {}`", shell_words::quote(&name));
    if files.files.is_empty() {
        return no_backup(&name);
    }
    let first = files.points().points.into_iter().next();
    match (request.txid, request.timestamp, first) {
        (Some(txid), _, _) => {
            let last = files.files.iter().map(|file| file.max).max();
            let cause = last.map(|last| format!("its last one is TXID {last}")).unwrap_or_default();
            Error::new(Code::NotFound, format!("the backup of {name} has no TXID {txid}"))
                .cause(cause)
                .hint(see)
        }
        (None, Some(_), Some(first)) => Error::new(
            Code::NotFound,
            format!("the backup of {name} begins at {}", moment::shown(first.time)),
        )
        .hint(see),
        _ => error,
    }
}

/// The error if a replica holds nothing.
pub(crate) fn no_backup(name: &str) -> Error {
    Error::new(Code::NotFound, format!("no backup of {name} yet"))
        .hint("has `lsrun replicate` run?")
}
