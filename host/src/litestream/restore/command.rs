//! One `litestream restore`, planned or run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::config::Purpose;
use crate::error::Result;
use crate::litestream::Session;
use crate::litestream::binary::feature::{self, Feature};
use crate::litestream::process::child;
use crate::litestream::process::limit::Limit;
use crate::litestream::process::output::ProcessOutput;
use crate::litestream::replica::source::Source;
use crate::litestream::replica::txid::Txid;
use crate::litestream::replica::{listing, reach};
use crate::litestream::restore::request::{Request, size};
use crate::path::with_suffix;

/// With a timestamp litestream stops silently at the first gap of the backup.
pub(crate) async fn refuse_gap(
    session: &Session,
    request: &Request,
    reached: Option<Txid>,
) -> Result<()> {
    let (Some(timestamp), Some(reached)) = (request.timestamp, reached) else { return Ok(()) };
    let files = listing::list(session, &request.source, request.patience).await?;
    files.refuse_gap(timestamp, reached)
}

pub(crate) async fn run(
    session: &Session,
    request: &Request,
    output: &Path,
    more: &[&str],
) -> Result<ProcessOutput> {
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
    let limit = Limit::Stalled { patience: request.patience, progress: &written };
    let running = RunningRestore::count(session);
    // What the user has set is left as it is.
    let processors = match session.environment.get("GOMAXPROCS") {
        Some(_) => None,
        None => Some(("GOMAXPROCS", running.processors().to_string())),
    };
    child::capture_with(session, &arguments, config, limit, processors.as_slice()).await
}

/// One of the restores that run now.
struct RunningRestore {
    /// How many there are, with this one.
    all: usize,
    counted: Arc<AtomicUsize>,
}

impl RunningRestore {
    fn count(session: &Session) -> Self {
        let counted = Arc::clone(&session.restores);
        Self { all: counted.fetch_add(1, Ordering::Relaxed) + 1, counted }
    }

    /// How many processors litestream's Go runtime may use: half of them, shared with
    /// the others. Its restore hands each page from one goroutine to the next; over
    /// two of two processors that took a third more time of both than on one, and
    /// was slower (117 MB, litestream 0.5.17). The other half reads databases.
    fn processors(&self) -> usize {
        let all = std::thread::available_parallelism().map_or(2, usize::from);
        (all / 2 / self.all).max(1)
    }
}

impl Drop for RunningRestore {
    fn drop(&mut self) {
        self.counted.fetch_sub(1, Ordering::Relaxed);
    }
}

/// litestream writes to a name of its own and renames at the end.
pub(crate) fn partial(output: &Path) -> PathBuf {
    with_suffix(output, ".tmp")
}
