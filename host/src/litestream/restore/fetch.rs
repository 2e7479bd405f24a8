//! Restores a backup into a private folder: never over a database, never with
//! litestream's `-force`.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::litestream::process::said::explain;
use crate::litestream::replica::engine::Engine;
use crate::litestream::replica::reading::FilesRead;
use crate::litestream::replica::source::{Source, redact};
use crate::litestream::replica::store::Declined;
use crate::litestream::replica::txid::Txid;
use crate::litestream::restore::attempts::settled;
use crate::litestream::restore::command::{partial, refuse_gap, run};
use crate::litestream::restore::copy::{CopyOrigin, RestoredCopy};
use crate::litestream::restore::kept::newest_kept;
use crate::litestream::restore::pause::settle;
use crate::litestream::restore::place::{CopyPlace, Home, home};
use crate::litestream::restore::reader::{self, ReadCopy};
use crate::litestream::restore::request::{Request, log_of, size};

/// Time between two checks of how far a restore has come.
const LOOK: Duration = Duration::from_millis(100);

/// Restores into a private folder.
///
/// If anybody watches, `progress` is called every 100 ms: the bytes that are there,
/// about how many there will be, and the time since the start.
pub(crate) async fn restore(
    session: Arc<Session>,
    request: Request,
    progress: impl Fn(u64, Option<u64>, Duration) + Send,
) -> Result<RestoredCopy> {
    let (home, folder) = home(&session, &request)?;
    if let Home::Beside(scratch) = &home {
        settle(&session, scratch).await;
    }
    let path = folder.join("restored.sqlite3");
    let partial = partial(&path);
    let kept = request.kept.then(|| newest_kept(&request)).transpose()?;
    // What is in the log may not be in the file yet. The size of an older point is
    // unknown.
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
    let room = session.rooms.take(&session.stop, request.run, &folder, needed, files).await?;
    let place = CopyPlace { home, room };
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
    let Attempted { txid, duration, read } = tokio::select! {
        done = settled(&session, &request, attempt) => done?,
        never = watch => match never {},
        never = flush(&partial) => match never {},
    };
    let bytes = std::fs::metadata(&path)
        .map_err(|error| {
            Error::inconclusive("litestream reported success, but wrote no database").cause(error)
        })?
        .len();
    Ok(RestoredCopy {
        path,
        txid,
        bytes,
        duration,
        read,
        target: request.target,
        even_if_in_use: request.even_if_in_use,
        requested: match (request.txid, request.timestamp) {
            (Some(txid), _) => Some(txid.to_string()),
            (None, time) => time.map(|time| time.to_string()),
        },
        from: CopyOrigin::Replica { source: request.source, patience: request.patience },
        place,
    })
}

/// What an attempt has restored.
struct Attempted {
    /// The last transaction.
    txid: Option<Txid>,
    /// The time that it took.
    duration: Duration,
    read: Option<FilesRead>,
}

/// One attempt to restore; what an earlier one has left is removed.
async fn fetched(session: &Session, request: &Request, path: &Path) -> Result<Attempted> {
    for left in [path, &partial(path)] {
        let _mostly_missing = std::fs::remove_file(left);
    }
    let mut faulty = None;
    let engine = request.engine.map_or_else(|| Engine::of(&session.environment), Ok)?;
    if engine == Engine::Auto {
        match reader::restore(session, request, path).await {
            Ok(read) => {
                refuse_gap(session, request, Some(read.txid)).await?;
                let ReadCopy { txid, duration, read } = read;
                return Ok(Attempted { txid: Some(txid), duration, read: Some(read) });
            }
            Err(Declined::Failed(error)) => return Err(error),
            Err(Declined::Faulty(why)) => faulty = Some(why),
            Err(Declined::Unknown) => {}
        }
        let _mostly_missing = std::fs::remove_file(path);
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
    if let Some(why) = faulty {
        session
            .notes
            .warning(&format!("litestream restored what lsrun's own reader refuses: {why}"));
    }
    let json = output.json().unwrap_or_default();
    let txid = json["txid"].as_str().and_then(|txid| txid.parse().ok());
    refuse_gap(session, request, txid).await?;
    Ok(Attempted { txid, duration, read: None })
}

/// Writes a growing file to disk while it grows. litestream syncs the whole of it at
/// its end and waits for that, 0.27 of 1.4 s for 117 MB; so it finds little to do.
async fn flush(partial: &Path) -> Infallible {
    /// Bytes between two times, and the time between two checks.
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

/// A backup takes about as much room as the live database. None if
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
