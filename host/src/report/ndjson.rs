//! `--format ndjson`: the run as events, one line of JSON each, written when it
//! happens. `schema_version: 1`; events and fields are added, never renamed or
//! removed.

use serde::Serialize;

use super::json::{JsonCheck, JsonDatabase, of_check, of_database};
use super::{Outcome, event};
use crate::figures::{milliseconds, time};

#[derive(Serialize)]
struct EventLine<'a> {
    schema_version: u32,
    #[serde(flatten)]
    event: JsonEvent<'a>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum JsonEvent<'a> {
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

fn line(event: JsonEvent<'_>) -> String {
    // Maps with string keys and plain values always serialise.
    let mut line =
        serde_json::to_string(&EventLine { schema_version: 1, event }).unwrap_or_default();
    line.push('\n');
    line
}

/// The line for what happened; none for what is shown to people only.
#[must_use]
pub(crate) fn line_of(event: &event::Event<'_>) -> Option<String> {
    Some(line(match *event {
        event::Event::RunStarted { command, started, databases, whole: false } => {
            JsonEvent::RunStarted { command, started_at: time(started), databases }
        }
        event::Event::DatabaseStarted { name, path } if !name.is_empty() => {
            JsonEvent::DatabaseStarted { alias: name, path }
        }
        event::Event::CheckFinished { name, path, check } if !name.is_empty() => {
            JsonEvent::CheckFinished { alias: name, path, check: of_check(check) }
        }
        event::Event::DatabaseFinished { report, success, .. } if !report.name.is_empty() => {
            JsonEvent::DatabaseFinished { database: of_database(report, report.word(success)) }
        }
        event::Event::RunReported { data, .. } if !data.is_empty() => {
            return Some(line(JsonEvent::Data { text: &String::from_utf8_lossy(data) }));
        }
        event::Event::RunFinished { report, exit } => JsonEvent::RunFinished {
            command: &report.command,
            started_at: time(report.started),
            duration_ms: milliseconds(report.duration),
            outcome: report.word(),
            exit_code: exit.code(),
            good: report.count(Outcome::Passed),
            inconclusive: report.count(Outcome::Inconclusive),
            failed: report.count(Outcome::Failed),
            skipped: report.count(Outcome::Skipped),
        },
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    #[test]
    fn an_event_is_one_line_with_its_name_and_the_version() {
        let run = report(&["a"]);
        assert_eq!(
            line_of(&event::Event::CheckFinished {
                name: "a",
                path: "/a",
                check: &run.databases[0].checks[0]
            })
            .unwrap(),
            concat!(
                r#"{"schema_version":1,"event":"check-finished","alias":"a","path":"/a","#,
                r#""id":"sentinel","outcome":"passed","duration_ms":1,"message":"","#,
                r#""plugin":"verify"}"#,
                "\n"
            )
        );
        assert_eq!(
            line_of(&event::Event::RunFinished { report: &run, exit: crate::exit::Exit::Success })
                .unwrap(),
            concat!(
                r#"{"schema_version":1,"event":"run-finished","command":"verify","#,
                r#""started_at":"1970-01-01T00:00:00Z","duration_ms":153,"outcome":"verified","#,
                r#""exit_code":0,"good":1,"inconclusive":0,"failed":0,"skipped":0}"#,
                "\n"
            )
        );
    }
}
