//! `--self-test`: whether this proof would have noticed. Private copies are damaged in known
//! ways, and the check that has to find it is asked.

use lsrun_plugin::host::report::Check;
use lsrun_plugin::prelude::*;
use lsrun_plugin::{is_damage, rules, words};

use crate::options::{Id, Options};
use crate::wanted;

/// What has to find a damage.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finder {
    Check(Id),
    /// The restore, or, where it gives a copy, a comparison of its pages.
    Restore,
}

/// The damages, and what has to find each.
const DAMAGES: [(&str, Finder); 7] = [
    ("flipped-page", Finder::Check(Id::Pages)),
    ("missing-row", Finder::Check(Id::Pages)),
    ("missing-index-entry", Finder::Check(Id::IntegrityCheck)),
    ("broken-reference", Finder::Check(Id::ForeignKeyCheck)),
    ("older-point", Finder::Check(Id::Pages)),
    ("truncated-file", Finder::Restore),
    ("swapped-files", Finder::Restore),
];

/// Does all of them, one after the other: one damaged copy exists at a time.
pub(crate) fn run(copy: &RestoredCopy, options: &Options) {
    report::progress("testing what would be noticed", None);
    for (kind, finder) in DAMAGES {
        let check = Check::new(&format!("self_test:{kind}"));
        if let Finder::Check(id) = finder
            && !wanted(options, id)
        {
            check.skipped(&format!("not looked for, as {} is left out", id.name()));
            continue;
        }
        match found(copy, kind, finder) {
            Ok(Some(what)) => check.passed(&what),
            Ok(None) => check.inconclusive(&unnoticed(kind)),
            Err(error) => check.ended(&error),
        }
    }
}

/// Nothing is known of a backup by a proof that notices nothing.
fn unnoticed(kind: &str) -> String {
    format!("verify would not have noticed it ({kind}): its other results here prove nothing")
}

/// By what the damage was found, if it was.
fn found(copy: &RestoredCopy, kind: &str, finder: Finder) -> Result<Option<String>, Error> {
    let damaged = match litestream::damage(copy, kind) {
        Ok(damaged) => damaged,
        Err(error) if finder == Finder::Restore && error.code == "litestream" => {
            return Ok(Some("found by restore".to_owned()));
        }
        Err(error) => return Err(error),
    };
    let id = match finder {
        Finder::Check(id) => id,
        Finder::Restore => Id::Pages,
    };
    let noticed = match id {
        Id::IntegrityCheck => integrity(copy, &damaged),
        Id::ForeignKeyCheck => references(copy, &damaged),
        _ => pages(copy, &damaged),
    };
    let noticed = match noticed {
        Err(error) if is_damage(&error) => Some(words::reasons(&error)),
        noticed => noticed?,
    };
    Ok(noticed.map(|what| format!("found by {}: {what}", id.name())))
}

fn pages(copy: &RestoredCopy, damaged: &RestoredCopy) -> Result<Option<String>, Error> {
    let found = sqlite::open_copy(copy)?.pages(damaged)?.wait()?;
    let differing = found.differing();
    Ok((differing > 0).then(|| format!("{} differing", words::count(differing, "page"))))
}

/// What is wrong that was not wrong in the copy.
fn integrity(copy: &RestoredCopy, damaged: &RestoredCopy) -> Result<Option<String>, Error> {
    let problems = |copy: &RestoredCopy| -> Result<Vec<String>, Error> {
        Ok(sqlite::open_copy(copy)?.integrity("full")?.wait()?.problems())
    };
    let before = problems(copy)?;
    Ok(problems(damaged)?.into_iter().find(|problem| !before.contains(problem)))
}

fn references(copy: &RestoredCopy, damaged: &RestoredCopy) -> Result<Option<String>, Error> {
    let broken = |copy: &RestoredCopy| rules::broken_references(&sqlite::open_copy(copy)?);
    let before = broken(copy)?;
    Ok(broken(damaged)?.into_iter().find(|broken| !before.contains(broken)))
}
