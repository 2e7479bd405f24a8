//! `--last-good`: the newest point whose copy passes what `verify` checks without a live
//! database: integrity, foreign keys, and the assertions of the project file.

use lsrun_plugin::integrity::integrity;
use lsrun_plugin::prelude::*;
use lsrun_plugin::{is_damage, rules, words};

use crate::found::{Answer, Search};
use crate::probe::Probe;
use crate::search::{Bad, Last, Verdict, bisect};
use crate::true_at::unusable;

/// Finds it: from the newest backwards, each step twice as long as the one before, then by
/// bisection between the good point and the bad one after it.
pub(crate) fn last(probe: &mut Probe<'_>) -> Result<Answer, Error> {
    let assertions = rules::assertions(&probe.backup.name());
    let mut look = |copy: &RestoredCopy| verdict(copy, &assertions);
    let mut bad: Option<Bad> = None;
    let mut index = probe.points.len().checked_sub(1);
    let mut step = 1;
    let last = loop {
        let Some(at) = index else {
            let Some((newest, why)) = bad else { return Err(unusable(probe)) };
            return Err(nowhere(probe, newest, &why));
        };
        match probe.look(at, at + 1, look)? {
            Some(Verdict::Good) => {
                break match bad {
                    None => Last { index: at, next: None },
                    Some(bad) => bisect(probe, at, bad, &mut look)?,
                };
            }
            Some(Verdict::Bad(why)) => bad = Some((at, why)),
            // Its neighbour is tried.
            None => step = 1,
        }
        // The oldest is the last.
        index = if at == 0 { None } else { Some(at.saturating_sub(step)) };
        step *= 2;
    };
    Ok(Answer { search: Search::Good, last, failures: 0 })
}

/// The first thing that is wrong, the quick checks before the slow one.
fn verdict(copy: &RestoredCopy, assertions: &[(String, String)]) -> Result<Verdict, Error> {
    match wrong(copy, assertions) {
        Ok(None) => Ok(Verdict::Good),
        Ok(Some(why)) => Ok(Verdict::Bad(why)),
        // An assertion about a table that is missing is not kept.
        Err(error) if error.code == "sqlite" || is_damage(&error) => {
            Ok(Verdict::Bad(words::reasons(&error)))
        }
        Err(error) => Err(error),
    }
}

fn wrong(copy: &RestoredCopy, assertions: &[(String, String)]) -> Result<Option<String>, Error> {
    for (name, sql) in assertions {
        if let Some(why) = rules::holds(&sqlite::open_copy(copy)?, sql)? {
            return Ok(Some(format!("assertion:{name} {why}")));
        }
    }
    let connection = sqlite::open_copy(copy)?;
    match rules::broken_references(&connection) {
        Ok(broken) if broken.is_empty() => {}
        Ok(broken) => return Ok(Some(format!("foreign_key_check: {}", broken.join("; ")))),
        // What integrity_check says of it is more precise.
        Err(error) if is_damage(&error) => {}
        Err(error) => return Err(error),
    }
    let found = integrity(&connection, "full")?;
    Ok((!found.is_sound()).then(|| format!("integrity_check: {}", found.text())))
}

fn nowhere(probe: &Probe<'_>, at: usize, why: &str) -> Error {
    let name = probe.backup.name();
    let mut error =
        error("not-found", format!("no point of {name} that was tried passes the checks"));
    error.causes.push(format!("TXID {}: {why}", probe.points[at].txid));
    error
}
