//! The proof without a copy: the files of the replica are read and checked, and their pages
//! compared with the live database.
//!
//! Incremental, it reads only what is new since the last one; the checks of a copy are those
//! of the last whole proof, which `verify.full_every` of the project file has at most so long
//! ago. Whatever does not come out well is proved again, whole: nothing is called wrong here.

use lsrun_plugin::host::litestream::{Proof, ProofRequest, SyncResult};
use lsrun_plugin::host::report::Check;
use lsrun_plugin::host::sqlite::PageComparison;
use lsrun_plugin::prelude::*;
use lsrun_plugin::words;

use crate::limits;
use crate::live::Live;
use crate::options::{Depth, Id, Options};

/// How a database is proved.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By its files and pages, all of them or those that are new; the last whole proof was
    /// so long ago, in milliseconds, as far as that counts here.
    Files { incremental: bool, whole_age: Option<u64> },
    /// By a copy.
    Copy,
}

/// A copy is made when a check needs one.
pub(crate) fn way(database: &Database, options: &Options) -> Way {
    if options.at.is_some() || options.keep || options.self_test {
        return Way::Copy;
    }
    if options.only_names(Id::Pages) {
        let incremental = options.depth == Depth::Incremental;
        let whole_age = incremental.then(|| whole_age(database)).flatten();
        return Way::Files { incremental, whole_age };
    }
    if options.only_some() || options.depth == Depth::Full {
        return Way::Copy;
    }
    let every = every_ms();
    if every.is_none() && options.depth != Depth::Incremental {
        return Way::Copy;
    }
    match whole_age(database).filter(|_age| last_passed(database)) {
        Some(age) if every.is_none_or(|every| age < every) => {
            Way::Files { incremental: true, whole_age: Some(age) }
        }
        _ => Way::Copy,
    }
}

/// `verify.full_every` of the project file, in milliseconds.
fn every_ms() -> Option<u64> {
    settings::at("/full_every_ms")?.parse().ok()
}

/// Whether the last run did not find anything wrong.
fn last_passed(database: &Database) -> bool {
    let last = history::results(database, 1).unwrap_or_default();
    last.first().is_some_and(|last| last.outcome() == "passed")
}

/// How long ago the last whole proof was.
fn whole_age(database: &Database) -> Option<u64> {
    let whole = history::last_passed(database, WHOLE).ok()??;
    Some(whole.age_ms())
}

/// Proves the files and compares the pages, if that is the way. False if that is not how it
/// can be told: then a copy has to.
///
/// The state that is held has the sentinel, and no state before it can be compared: so what
/// has the same pages has the sentinel.
pub(crate) fn by_files(
    way: Way,
    database: &Database,
    first: &SyncResult,
    live: Option<&Live>,
    sentinel: bool,
    options: &Options,
) -> bool {
    let (Way::Files { incremental, whole_age }, Some(live)) = (way, live) else { return false };
    let mut lag = (first.method() != "none").then(|| first.lag_ms());
    let mut later: Option<SyncResult> = None;
    let files = Check::new("files");
    let mut pages: Option<Check> = None;
    let proved = loop {
        let synced = later.as_ref().unwrap_or(first);
        let error = match compared(database, synced, live, incremental, &mut pages) {
            Ok(proved) => break Ok(proved),
            Err(error) => error,
        };
        if error.code != "inconclusive" || !sentinel || synced.certain() {
            break Err(error);
        }
        // The daemon had not seen the sentinel yet.
        let Ok(next) = crate::synced(database, synced.txid().as_deref(), false) else {
            break Err(error);
        };
        lag = lag.map(|lag| lag + next.lag_ms());
        later = Some(next);
    };
    let (found, pages) = match (proved, pages) {
        (Ok((proof, found)), Some(pages)) => {
            files.passed(&said(&proof));
            (found, pages)
        }
        (proved, pages) => {
            let why = proved.err().map(|error| words::reasons(&error)).unwrap_or_default();
            let why = format!("{why}: a copy is restored instead");
            [Some(files), pages].into_iter().flatten().for_each(|check| check.skipped(&why));
            return false;
        }
    };
    if found.differing() > 0 {
        let differ = words::count(found.differing(), "page");
        pages.skipped(&format!("{differ} differ: a copy is restored and compared instead"));
        return false;
    }
    pages.passed(&format!("{}, each as in the live database", words::count(found.pages(), "page")));
    if sentinel {
        Check::new("sentinel").passed("the row written a moment ago is in these pages");
    }
    limits::lag(lag, options);
    if let Some(age) = whole_age {
        remark(age);
    }
    true
}

fn compared(
    database: &Database,
    synced: &SyncResult,
    live: &Live,
    incremental: bool,
    check: &mut Option<Check>,
) -> Result<(Proof, PageComparison), Error> {
    report::progress("reading the files of the replica", None);
    let proof = read(database, incremental)?;
    if let Some(txid) = synced.txid().filter(|txid| *txid > proof.txid()) {
        return Err(error("inconclusive", format!("TXID {txid} is not there yet")));
    }
    report::progress("comparing each page with the live database", None);
    check.get_or_insert_with(|| Check::new(Id::Pages.name()));
    let found = live.pages_of_proof(&proof)?;
    Ok((proof, found))
}

/// The check of a whole proof that later ones continue; its time is the second clock.
const WHOLE: &str = "whole";

/// At the end of a whole proof: reads everything once more, so that the next proofs need
/// not.
pub(crate) fn remember(database: &Database, options: &Options) {
    let wanted = every_ms().is_some() || options.depth == Depth::Incremental;
    if !wanted || options.only_some() || options.at.is_some() {
        return;
    }
    report::progress("reading the files of the replica", None);
    let check = Check::new(WHOLE);
    match read(database, false) {
        Ok(proof) => check.passed(&said(&proof)),
        Err(error) => {
            check.skipped(&format!("the next proof is whole as well: {}", words::reasons(&error)));
        }
    }
}

fn read(database: &Database, incremental: bool) -> Result<Proof, Error> {
    let request = ProofRequest::new(database);
    if incremental {
        request.set_incremental();
    }
    request.start()?.wait()
}

fn said(proof: &Proof) -> String {
    let files = |count: u32| words::count(u64::from(count), "file");
    let read = format!(
        "{} read in full and checked, {}",
        files(proof.files()),
        words::bytes(proof.read_bytes())
    );
    match proof.known_age_ms() {
        Some(age) => format!(
            "{read}; {} known, {}, the oldest read {} ago",
            files(proof.known_files()),
            words::bytes(proof.known_bytes()),
            words::duration(age)
        ),
        None => read,
    }
}

/// Both clocks: this proof, and the last whole one.
fn remark(whole_age: u64) {
    report::remark(&format!("incremental, whole {} ago", words::duration(whole_age)));
    report::fact("incremental", "true");
    report::fact("whole_proof_age_ms", &whole_age.to_string());
}
