//! Whether litestream itself restores the same: what lsrun's own reader restored is what a
//! user gets from litestream, page for page.
//!
//! It takes several times as long as the reader, so it is done when the last time is longer
//! ago than `verify.litestream_every` of the project file, or was with another litestream.

use lsrun_plugin::host::litestream::{RestoreJob, RestoreRequest};
use lsrun_plugin::host::report::Check;
use lsrun_plugin::prelude::*;
use lsrun_plugin::words;

use crate::options::{Id, Options};
use crate::wanted;

/// A restore by litestream, under way.
pub(crate) struct Litestreams<'a> {
    copy: &'a RestoredCopy,
    version: String,
    check: Check,
    job: Result<RestoreJob, Error>,
}

/// Starts it if it is due. Nothing if it is not, or if litestream had restored the copy.
pub(crate) fn start<'a>(
    database: &Database,
    copy: &'a RestoredCopy,
    options: &Options,
) -> Option<Litestreams<'a>> {
    if !wanted(options, Id::Litestream) || copy.engine() == "litestream" {
        return None;
    }
    let version = litestream::version().ok()?;
    if !options.names(Id::Litestream) && !is_due(database, &version) {
        return None;
    }
    let job = match copy.txid() {
        Some(txid) => again(database, &txid),
        None => Err(error("inconclusive", "the copy has no TXID")),
    };
    Some(Litestreams { copy, version, check: Check::new(Id::Litestream.name()), job })
}

fn again(database: &Database, txid: &str) -> Result<RestoreJob, Error> {
    let request = RestoreRequest::new(database);
    request.set_txid(txid)?;
    request.set_engine("litestream")?;
    request.start()
}

fn is_due(database: &Database, version: &str) -> bool {
    let every = settings::at("/litestream_every_ms").and_then(|every| every.parse::<u64>().ok());
    // A history that cannot be read says nothing.
    let Ok(Some(last)) = history::last_passed(database, Id::Litestream.name()) else {
        return true;
    };
    last.message() != same(version) || every.is_none_or(|every| last.age_ms() >= every)
}

/// What is said, and recognized the next time.
fn same(version: &str) -> String {
    format!("litestream {version} restores the same, page for page")
}

impl Litestreams<'_> {
    /// Waits for it and compares.
    pub(crate) fn finish(self) {
        let Self { copy, version, check, job } = self;
        let other = match job.and_then(|job| job.wait()) {
            Ok(other) => other,
            // Single transactions are compacted in time, and that is no fault.
            Err(error) if error.code == "not-found" => {
                let why = "this transaction was compacted meanwhile: the next run tries again";
                return check.skipped(why);
            }
            // The first copy has been proved; there is no room for a second one.
            Err(error) if error.code == "io" => {
                return check
                    .skipped(&format!("there is no second copy: {}", words::reasons(&error)));
            }
            Err(error) if error.code == "litestream" => {
                let text = format!(
                    "lsrun restores it, and litestream does not: {}",
                    words::reasons(&error)
                );
                return check.failed(&text);
            }
            Err(error) => return check.ended(&error),
        };
        let compared = sqlite::open_copy(copy).and_then(|opened| opened.pages(&other)?.wait());
        match compared {
            Ok(found) if found.differing() == 0 => check.passed(&same(&version)),
            Ok(found) => check.failed(&format!(
                "litestream {version} restores {} of {} otherwise",
                found.differing(),
                words::count(found.pages().max(found.copied()), "page")
            )),
            Err(error) => check.ended(&error),
        }
    }
}
