//! Reading the files of litestream's present plan, while a daemon adds, compacts and
//! removes files.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::code::Code;
use crate::error::Error;
use crate::litestream::Session;
use crate::litestream::process::limit::Limit;
use crate::litestream::replica::chain::Until;
use crate::litestream::replica::listing::LtxFile;
use crate::litestream::replica::objects;
use crate::litestream::replica::source::Source;
use crate::litestream::replica::store::{Declined, Store};
use crate::ltx::{LtxFault, Reading};
use crate::stop::Stop;

/// How often files may go away while they are read before litestream is asked.
const ATTEMPTS: u32 = 3;

/// What was read of a replica.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FilesRead {
    /// How many files.
    pub files: u32,
    /// Their size.
    pub bytes: u64,
}

/// What came of a plan.
pub(crate) struct Worked<T> {
    pub(crate) done: T,
    /// Bytes that were read.
    pub(crate) bytes: u64,
    /// From the listing to the last byte.
    pub(crate) duration: Duration,
}

/// A fault, and the name of the file that has it.
pub(crate) type FileFault = (String, LtxFault);

/// Does `work` with litestream's present plan, in a thread of its own. When a file goes
/// away meanwhile it begins again with the plan that is then.
pub(crate) async fn work<T: Send + 'static>(
    session: &Session,
    source: &Source,
    until: Until,
    patience: Duration,
    work: impl Fn(&Store, &[LtxFile], &Reading) -> Result<T, FileFault> + Clone + Send + 'static,
) -> Result<Worked<T>, Declined> {
    let store = Store::of(session, source, patience).ok_or(Declined::Unknown)?;
    let started = Instant::now();
    for _attempt in 0..ATTEMPTS {
        let listed = store.list(session, source, until, patience).await;
        let (store, files) = listed.map_err(|error| store.declined(error))?;
        let plan = files.plan(until).ok_or(Declined::Unknown)?;
        let reading = Arc::new(Reading::default());
        // A future that is dropped takes its thread with it.
        let _unwanted = Unwanted(Arc::clone(&reading));
        let thread = {
            let (store, reading, work) = (store.clone(), Arc::clone(&reading), work.clone());
            tokio::task::spawn_blocking(move || work(&store, &plan, &reading))
        };
        let progress = || reading.bytes.load(Ordering::Relaxed);
        let limit = Limit::Stalled { patience, progress: &progress };
        let done = tokio::select! {
            done = thread => done,
            signal = session.stop.stopped() => return Err(Declined::Failed(Stop::error(signal))),
            () = limit.passed() => return Err(Declined::Failed(stalled(&store))),
        };
        let (file, fault) = match done {
            Ok(Ok(done)) => {
                return Ok(Worked { done, bytes: progress(), duration: started.elapsed() });
            }
            Ok(Err(fault)) => fault,
            Err(_panic) => return Err(Declined::Unknown),
        };
        match fault {
            LtxFault::Unreadable(error) if error.kind() == io::ErrorKind::NotFound => {}
            LtxFault::Unreadable(error) => match objects::cause(error) {
                // It went away, or another one has its name now.
                gone if matches!(gone.code(), Code::NotFound | Code::Inconclusive) => {}
                error => {
                    return Err(store.declined(error.context(format!("cannot read {file}"))));
                }
            },
            LtxFault::Unwritable(error) => return Err(Declined::Failed(unwritable(&file, &error))),
            LtxFault::Undecided => return Err(Declined::Unknown),
            fault => return Err(Declined::Faulty(format!("{file}: {fault}"))),
        }
    }
    Err(Declined::Unknown)
}

/// Says that nobody waits for a reading any more.
struct Unwanted(Arc<Reading>);

impl Drop for Unwanted {
    fn drop(&mut self) {
        self.0.unwanted.store(true, Ordering::Relaxed);
    }
}

fn stalled(store: &Store) -> Error {
    Error::new(Code::Timeout, format!("the replica in {} gives nothing more", store.describe()))
        .hint("check that the replica answers; --timeout allows more time")
}

fn unwritable(path: &str, error: &io::Error) -> Error {
    let why = match error.kind() {
        io::ErrorKind::StorageFull => "no space left on the disk".to_owned(),
        _ => error.to_string(),
    };
    Error::new(Code::Io, format!("cannot write {path}")).cause(why)
}
