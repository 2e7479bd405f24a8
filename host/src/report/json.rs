//! The JSON report, `schema_version: 1`. Fields are added, never renamed or removed.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Check, DatabaseReport, Fault, Outcome, Report};
use crate::figures::{milliseconds, time};

#[derive(Serialize)]
struct JsonReport<'a> {
    schema_version: u32,
    command: &'a str,
    started_at: String,
    duration_ms: u64,
    outcome: &'a str,
    databases: Vec<JsonDatabase<'a>>,
}

#[derive(Serialize)]
pub(super) struct JsonDatabase<'a> {
    alias: &'a str,
    path: &'a str,
    /// The file that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    outcome: &'a str,
    duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_good: Option<JsonLastGood<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    txid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replication: Option<JsonReplication<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restore: Option<JsonRestore>,
    checks: Vec<JsonCheck<'a>>,
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    facts: &'a serde_json::Map<String, serde_json::Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metrics: &'a BTreeMap<String, BTreeMap<String, f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<JsonError<'a>>,
}

#[derive(Serialize)]
struct JsonLastGood<'a> {
    started_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    txid: Option<&'a str>,
}

#[derive(Serialize)]
struct JsonReplication<'a> {
    method: &'a str,
    lag_ms: u64,
}

#[derive(Serialize)]
struct JsonRestore {
    duration_ms: u64,
    bytes: u64,
}

#[derive(Serialize)]
pub(super) struct JsonCheck<'a> {
    id: &'a str,
    outcome: &'a str,
    duration_ms: u64,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    plugin: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
}

#[derive(Serialize)]
struct JsonError<'a> {
    exit_code: u8,
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    causes: &'a [String],
}

/// The report as one line of JSON, without a line end.
#[must_use]
pub(crate) fn render(report: &Report) -> String {
    let json = JsonReport {
        schema_version: 1,
        command: &report.command,
        started_at: time(report.started),
        duration_ms: milliseconds(report.duration),
        outcome: report.word(),
        databases: report
            .databases
            .iter()
            .map(|database| of_database(database, report.word_of(database)))
            .collect(),
    };
    // Maps with string keys and plain values always serialise.
    serde_json::to_string(&json).unwrap_or_default()
}

/// One database of a report, as one line of JSON; `outcome` is its word in the report.
#[must_use]
pub(crate) fn render_database(database: &DatabaseReport, outcome: &str) -> String {
    serde_json::to_string(&of_database(database, outcome)).unwrap_or_default()
}

/// `outcome` is its word in this report.
pub(super) fn of_database<'a>(database: &'a DatabaseReport, outcome: &'a str) -> JsonDatabase<'a> {
    JsonDatabase {
        alias: &database.name,
        path: &database.path,
        target: database.target.as_deref(),
        outcome,
        duration_ms: milliseconds(database.duration),
        fault: database.fault().map(Fault::word),
        last_good: database.last_good.as_ref().map(|last| JsonLastGood {
            started_at: time(last.started),
            txid: last.txid.as_deref(),
        }),
        txid: database.txid.as_deref(),
        replication: database.replication.as_ref().map(|replication| JsonReplication {
            method: &replication.method,
            lag_ms: milliseconds(replication.lag),
        }),
        restore: database.restore.as_ref().map(|restore| JsonRestore {
            duration_ms: milliseconds(restore.duration),
            bytes: restore.bytes,
        }),
        checks: database.checks.iter().map(of_check).collect(),
        facts: &database.facts,
        metrics: &database.metrics,
        remark: database.remark.as_deref(),
        skipped: database.skipped.as_deref(),
        error: database.error.as_ref().map(|error| JsonError {
            exit_code: error.exit().code(),
            code: error.code().as_str(),
            message: error.message(),
            hint: error.hint_text(),
            causes: error.causes(),
        }),
    }
}

pub(super) fn of_check(check: &Check) -> JsonCheck<'_> {
    JsonCheck {
        id: &check.id,
        outcome: check.outcome.word(),
        duration_ms: milliseconds(check.duration),
        message: &check.message,
        hint: check.hint.as_deref(),
        code: check.code.as_deref(),
        plugin: &check.plugin,
        // What it is about matters if it did not come out well.
        kind: (check.outcome > Outcome::Passed).then(|| check.kind.word()),
        fault: check.fault().map(Fault::word),
        optional: check.optional,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    #[test]
    fn the_report_has_the_shape_that_is_promised() {
        let report = report(&["default"]);
        assert_eq!(
            render(&report),
            concat!(
                r#"{"schema_version":1,"command":"verify","started_at":"1970-01-01T00:00:00Z","#,
                r#""duration_ms":153,"outcome":"verified","databases":[{"alias":"default","#,
                r#""path":"/default","outcome":"verified","duration_ms":150,"#,
                r#""txid":"0000000000000005","replication":{"method":"socket","lag_ms":9},"#,
                r#""restore":{"duration_ms":61,"bytes":20480},"checks":[{"id":"sentinel","#,
                r#""outcome":"passed","duration_ms":1,"message":"","plugin":"verify"}]}]}"#
            )
        );
    }
}
