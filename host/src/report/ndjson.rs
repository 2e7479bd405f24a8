//! `--format ndjson`: the run as events, one line of JSON each, written when it
//! happens. `schema_version: 1`; events and fields are added, never renamed or
//! removed.

use serde::Serialize;

use super::json::{JsonCheck, JsonDatabase, of_check, of_database};
use super::{Check, DatabaseReport, Outcome, Report};
use crate::figures::{milliseconds, time};

#[derive(Serialize)]
struct Line<'a> {
    schema_version: u32,
    #[serde(flatten)]
    event: Event<'a>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event<'a> {
    RunStarted {
        command: &'a str,
        started_at: String,
        databases: usize,
    },
    DatabaseStarted {
        alias: &'a str,
        path: &'a str,
    },
    CheckFinished {
        alias: &'a str,
        path: &'a str,
        #[serde(flatten)]
        check: JsonCheck<'a>,
    },
    DatabaseFinished {
        #[serde(flatten)]
        database: JsonDatabase<'a>,
    },
    Data {
        text: &'a str,
    },
    RunFinished {
        command: &'a str,
        started_at: String,
        duration_ms: u64,
        outcome: &'a str,
        exit_code: u8,
        good: usize,
        inconclusive: usize,
        failed: usize,
        skipped: usize,
    },
}

fn line(event: Event<'_>) -> String {
    // Maps with string keys and plain values always serialise.
    let mut line = serde_json::to_string(&Line { schema_version: 1, event }).unwrap_or_default();
    line.push('\n');
    line
}

/// The run begins, with so many databases.
#[must_use]
pub(crate) fn run_started(command: &str, started: jiff::Timestamp, databases: usize) -> String {
    line(Event::RunStarted { command, started_at: time(started), databases })
}

/// It is a database's turn.
#[must_use]
pub(crate) fn database_started(alias: &str, path: &str) -> String {
    line(Event::DatabaseStarted { alias, path })
}

/// A check has an outcome.
#[must_use]
pub(crate) fn check_finished(alias: &str, path: &str, check: &Check) -> String {
    line(Event::CheckFinished { alias, path, check: of_check(check) })
}

/// A database is done; `success` is the word for a good outcome.
#[must_use]
pub(crate) fn database_finished(database: &DatabaseReport, success: &str) -> String {
    line(Event::DatabaseFinished { database: of_database(database, database.word(success)) })
}

/// What the command itself wrote.
#[must_use]
pub(crate) fn data(bytes: &[u8]) -> String {
    line(Event::Data { text: &String::from_utf8_lossy(bytes) })
}

/// Everything is done.
#[must_use]
pub(crate) fn run_finished(report: &Report, exit: crate::exit::Exit) -> String {
    line(Event::RunFinished {
        command: &report.command,
        started_at: time(report.started),
        duration_ms: milliseconds(report.duration),
        outcome: report.word(),
        exit_code: exit.code(),
        good: report.count(Outcome::Passed),
        inconclusive: report.count(Outcome::Inconclusive),
        failed: report.count(Outcome::Failed),
        skipped: report.count(Outcome::Skipped),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    #[test]
    fn an_event_is_one_line_with_its_name_and_the_version() {
        assert_eq!(
            check_finished("a", "/a", &report(&["a"]).databases[0].checks[0]),
            concat!(
                r#"{"schema_version":1,"event":"check-finished","alias":"a","path":"/a","#,
                r#""id":"sentinel","outcome":"passed","duration_ms":1,"message":"","#,
                r#""plugin":"verify"}"#,
                "\n"
            )
        );
        assert_eq!(
            run_finished(&report(&["a"]), crate::exit::Exit::Success),
            concat!(
                r#"{"schema_version":1,"event":"run-finished","command":"verify","#,
                r#""started_at":"1970-01-01T00:00:00Z","duration_ms":153,"outcome":"verified","#,
                r#""exit_code":0,"good":1,"inconclusive":0,"failed":0,"skipped":0}"#,
                "\n"
            )
        );
    }
}
