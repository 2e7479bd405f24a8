//! The checks of the restored copy.

use lsrun_plugin::host::report::Check;
use lsrun_plugin::host::sqlite::IntegrityJob;
use lsrun_plugin::integrity::{Integrity, lines};
use lsrun_plugin::prelude::*;
use lsrun_plugin::{is_damage, rules};

use crate::compared::{self, Known};
use crate::live::Live;
use crate::options::{ASSERTION, Id, Options};
use crate::whose_fault::{Failures, Question, Side};
use crate::{limits, litestreams, told, wanted};

/// Runs all that are wanted; each reports its outcome. `missing` says why there is no
/// live database to compare with, if there is none.
pub(crate) fn run(
    database: &Database,
    copy: &RestoredCopy,
    lag: Option<u64>,
    live: Option<Live>,
    missing: &str,
    options: &Options,
) {
    let mut failures = Failures::new(database, copy);
    // Long work starts first, each on a connection of its own, and continues in
    // the host meanwhile.
    let integrity = wanted(options, Id::IntegrityCheck).then(|| Check::new("integrity_check"));
    let integrity = integrity.map(|check| (check, started(copy)));
    let plugins = plugins(database, copy, options);
    let litestreams = litestreams::start(database, copy, options);
    let compared = compared::start(copy, live, missing, options, &mut failures);
    if wanted(options, Id::ForeignKeyCheck) {
        foreign_keys(copy, &mut failures);
    }
    limits::check(copy, lag, options);
    assertions(database, copy, options, &mut failures);
    let known = compared.finish(&mut failures);
    if let Some((check, (_connection, job))) = integrity {
        match job.and_then(|job| job.wait()) {
            Ok(found) => {
                let found = Integrity { problems: found.problems(), limited: found.limited() };
                failures.copy_is(&found);
                if found.is_sound() {
                    check.passed(&found.note());
                } else {
                    failures.push(check, found.text(), Question::Damaged);
                }
            }
            Err(error) => damaged(check, &error, &mut failures),
        }
    }
    if let Some(litestreams) = litestreams {
        litestreams.finish();
    }
    failures.settle(match &known {
        _ if options.at.is_some() => Side::Absent,
        Known::Same => Side::Same,
        Known::Held(live) => Side::Held { reader: live.reader(), sure: live.is_current() },
        Known::Nothing => Side::Now,
    });
    // The last: what a slow plugin takes is not the time of another check.
    if let Err(error) = plugins.and_then(|job| job.wait()) {
        Check::new("plugins").ended(&error);
    }
}

/// A check that runs in the background, and the connection that it needs.
type Started = (Option<sqlite::Connection>, Result<IntegrityJob, Error>);

fn started(copy: &RestoredCopy) -> Started {
    match sqlite::open_copy(copy) {
        Ok(connection) => {
            let job = connection.integrity("full");
            (Some(connection), job)
        }
        Err(error) => (None, Err(error)),
    }
}

/// Ends a check of the copy that cannot be read.
pub(crate) fn damaged(check: Check, error: &Error, failures: &mut Failures<'_>) {
    let text = told(&check, error);
    if is_damage(error) {
        failures.push(check, text, Question::Damaged);
    } else {
        check.inconclusive(&text);
    }
}

fn foreign_keys(copy: &RestoredCopy, failures: &mut Failures<'_>) {
    let check = Check::new("foreign_key_check");
    match sqlite::open_copy(copy).and_then(|connection| rules::broken_references(&connection)) {
        Ok(broken) if broken.is_empty() => check.passed(""),
        Ok(broken) => failures.push(check, lines(&broken), Question::References(broken)),
        Err(error) => damaged(check, &error, failures),
    }
}

/// Starts the project's own checks.
fn plugins(
    database: &Database,
    copy: &RestoredCopy,
    options: &Options,
) -> Result<hooks::CheckJob, Error> {
    let all = hooks::checks(Some(database));
    let chosen: Vec<String> =
        all.into_iter().filter(|name| options.wants_named(name, Id::Plugins)).collect();
    hooks::check(Some(database), copy, Some(&chosen))
}

/// The SQL of `verify.assertions` in the project file, each with its name.
fn assertions(
    database: &Database,
    copy: &RestoredCopy,
    options: &Options,
    failures: &mut Failures<'_>,
) {
    let list = rules::assertions(&database.name());
    // One that is named but does not exist should have been checked.
    for id in options.assertions_named() {
        if !list.iter().any(|(name, _)| id.strip_prefix(ASSERTION) == Some(name)) {
            assertion(id).inconclusive("this database has no assertion of this name");
        }
    }
    for (name, sql) in list {
        let id = format!("{ASSERTION}{name}");
        if !options.wants_named(&id, Id::Assertions) {
            continue;
        }
        let check = assertion(&id);
        match sqlite::open_copy(copy).and_then(|connection| rules::holds(&connection, &sql)) {
            Ok(None) => check.passed(""),
            Ok(Some(problem)) => failures.push(check, problem, Question::Assertion(sql)),
            Err(error) => damaged(check, &error, failures),
        }
    }
}

/// The check of an assertion.
fn assertion(id: &str) -> Check {
    let check = Check::new(id);
    check.set_kind("assertion");
    check
}
