//! `lsrun history`: the results of earlier verifications.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use clap::Args;
use serde::Serialize;

use super::Run;
use super::native::Native;
use crate::cli::Global;
use crate::code::Code;
use crate::config::first_of;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::figures::{bytes, duration, milliseconds, time};
use crate::litestream::replica::moment;
use crate::plugin::proofs;
use crate::report::Outcome;
use crate::report::event::Event;
use crate::results::{History, Past};

#[derive(Debug, Args)]
struct HistoryArguments {
    /// An alias or a path; every database if none is given
    #[arg(value_name = "DATABASE")]
    databases: Vec<String>,
    /// Number of runs to show for each database
    #[arg(long, value_name = "N", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    global: Global,
}

const EXAMPLES: &str = "Examples:
  lsrun history                    one line for each database
  lsrun history default            its runs
  lsrun --format json history      for machines";

/// The command.
pub(super) const COMMAND: Native = Native {
    name: "history",
    about: "Show the results of earlier verifications",
    examples: EXAMPLES,
    run: |run| Box::pin(async move { history(run) }),
};

fn history(run: &Run) -> Result<Exit> {
    let Some(arguments) = COMMAND.parse::<HistoryArguments>(run)? else { return Ok(Exit::Success) };
    let context = run.context(arguments.global.project.as_deref(), false)?;
    show(&context, &arguments)
}

fn show(context: &Context, arguments: &HistoryArguments) -> Result<Exit> {
    let history = History::of(&context.project, &context.environment)?;
    let mut past = history.past(&proofs(), arguments.limit)?;
    if !arguments.databases.is_empty() {
        past = selected(context, past, &arguments.databases)?;
    }
    let never = if arguments.databases.is_empty() { never(context, &past) } else { Vec::new() };
    if past.is_empty() {
        let named = arguments.databases.join(", ");
        let of = if named.is_empty() { "this project".to_owned() } else { named };
        let mut error = Error::new(Code::NothingSelected, format!("there is no history of {of}"));
        let names: Vec<&str> = never.iter().map(|(name, _)| name.as_str()).collect();
        if !names.is_empty() {
            error = error.cause(format!("never verified: {}", first_of(&names)));
        }
        return Err(error
            .cause(format!("it would be in {}", history.path().display()))
            .hint("run `lsrun verify` first"));
    }
    let answer = match arguments.databases.is_empty() {
        true => overview(&history, &past, &never)?,
        false => runs(&history, &past)?,
    };
    let document = format!("{}\n", json(&history, &past, &never)?);
    let of_lines = || past.iter().map(|one| format!("{}\n", line(&JsonNamed::of(one)))).collect();
    context.reporter.report(Event::Answer {
        human: &|| answer.clone(),
        json: &|| document.clone(),
        lines: Some(&of_lines),
    });
    Ok(Exit::Success)
}

/// The names and paths of the project's databases that were never verified, those
/// that are not replicated among them.
fn never(context: &Context, past: &[Past]) -> Vec<(String, String)> {
    let known: HashSet<&str> = past.iter().map(|one| one.path.as_str()).collect();
    let project = &context.project;
    // Other commands report a wrong configuration.
    let databases = project.every_database().unwrap_or_default();
    let all = databases.iter().chain(project.unlisted());
    all.map(|database| (database.name(), database.path.display().to_string()))
        .filter(|(_, path)| !known.contains(path.as_str()))
        .collect()
}

/// The databases that are named; also those that the project has no more.
fn selected(context: &Context, past: Vec<Past>, words: &[String]) -> Result<Vec<Past>> {
    let mut wanted = Vec::new();
    for word in words {
        match context.project.database(word) {
            Ok(database) => wanted.push(database.path.display().to_string()),
            Err(_gone) if past.iter().any(|one| one.name == *word || one.path == *word) => {
                wanted.push(word.clone());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(past
        .into_iter()
        .filter(|one| wanted.contains(&one.path) || wanted.contains(&one.name))
        .collect())
}

/// The runs of each database, newest first; the databases by name.
fn grouped(past: &[Past]) -> BTreeMap<(&str, &str), Vec<&Past>> {
    let mut groups: BTreeMap<(&str, &str), Vec<&Past>> = BTreeMap::new();
    // Under the name that it has now.
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    for one in past {
        let name = names.entry(&one.path).or_insert(&one.name);
        groups.entry((name, &one.path)).or_default().push(one);
    }
    groups
}

/// When a database was last proved good, also when that is not among the runs shown.
fn last_success(history: &History, path: &str, runs: &[&Past]) -> Result<Option<jiff::Timestamp>> {
    match runs.iter().find(|run| run.outcome == Outcome::Passed) {
        Some(run) => Ok(Some(run.started)),
        None => history.last_success(&proofs(), path),
    }
}

fn mark(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "✓",
        Outcome::Failed => "✗",
        Outcome::Inconclusive => "?",
        Outcome::Skipped => "-",
    }
}

/// One line for each database, its runs as marks, the newest last.
fn overview(history: &History, past: &[Past], never: &[(String, String)]) -> Result<String> {
    let mut rows =
        vec![["DATABASE", "LAST GOOD", "LAG", "RESTORE", "SIZE", "RUNS"].map(str::to_owned)];
    for ((name, path), runs) in grouped(past) {
        let newest = runs.iter().find(|run| run.restore.is_some());
        rows.push([
            name.to_owned(),
            ago(last_success(history, path, &runs)?),
            newest.and_then(|run| run.lag).map(duration).unwrap_or_default(),
            newest.and_then(|run| run.restore).map(duration).unwrap_or_default(),
            newest.and_then(|run| run.bytes).map(bytes).unwrap_or_default(),
            runs.iter().rev().map(|run| mark(run.outcome)).collect(),
        ]);
    }
    for (name, _) in never {
        let mut row = <[String; 6]>::default();
        row[0].clone_from(name);
        row[1] = ago(None);
        rows.push(row);
    }
    Ok(table(&rows))
}

/// A table of runs for each database.
fn runs(history: &History, past: &[Past]) -> Result<String> {
    let mut text = String::new();
    for ((name, path), runs) in grouped(past) {
        let last = ago(last_success(history, path, &runs)?);
        let _infallible = writeln!(text, "{name}  {path}\nlast good: {last}");
        let head = ["WHEN", "OUTCOME", "LAG", "RESTORE", "SIZE", "TOOK", "TXID", "NOT PASSED"];
        let mut rows = vec![head.map(str::to_owned)];
        for run in runs {
            rows.push([
                moment::shown(run.started),
                format!("{} {}", mark(run.outcome), word(run.outcome)),
                run.lag.map(duration).unwrap_or_default(),
                run.restore.map(duration).unwrap_or_default(),
                run.bytes.map(bytes).unwrap_or_default(),
                duration(run.duration),
                run.txid.clone().unwrap_or_default(),
                run.not_passed.join(", "),
            ]);
        }
        text.push_str(&table(&rows));
    }
    Ok(text)
}

fn word(outcome: Outcome) -> &'static str {
    if outcome == Outcome::Passed { "verified" } else { outcome.word() }
}

fn ago(time: Option<jiff::Timestamp>) -> String {
    let Some(time) = time else { return "never".to_owned() };
    let seconds = jiff::Timestamp::now().duration_since(time).as_secs();
    match seconds {
        ..60 => "a moment ago".to_owned(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// Columns as wide as their widest cell.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _infallible = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[derive(Serialize)]
struct JsonHistory<'a> {
    schema_version: u32,
    command: &'a str,
    databases: Vec<JsonDatabaseRuns<'a>>,
}

#[derive(Serialize)]
struct JsonDatabaseRuns<'a> {
    alias: &'a str,
    path: &'a str,
    last_success_at: Option<String>,
    runs: Vec<JsonRun<'a>>,
}

#[derive(Serialize)]
struct JsonNamed<'a> {
    schema_version: u32,
    alias: &'a str,
    path: &'a str,
    #[serde(flatten)]
    run: JsonRun<'a>,
}

#[derive(Serialize)]
struct JsonRun<'a> {
    started_at: String,
    outcome: &'a str,
    txid: Option<&'a str>,
    method: Option<&'a str>,
    lag_ms: Option<u64>,
    restore_ms: Option<u64>,
    bytes: Option<u64>,
    duration_ms: u64,
    not_passed: &'a [String],
}

impl<'a> JsonNamed<'a> {
    fn of(past: &'a Past) -> Self {
        Self { schema_version: 1, alias: &past.name, path: &past.path, run: JsonRun::of(past) }
    }
}

impl<'a> JsonRun<'a> {
    fn of(past: &'a Past) -> Self {
        Self {
            started_at: time(past.started),
            outcome: word(past.outcome),
            txid: past.txid.as_deref(),
            method: past.method.as_deref(),
            lag_ms: past.lag.map(milliseconds),
            restore_ms: past.restore.map(milliseconds),
            bytes: past.bytes,
            duration_ms: milliseconds(past.duration),
            not_passed: &past.not_passed,
        }
    }
}

fn json(history: &History, past: &[Past], never: &[(String, String)]) -> Result<String> {
    let mut databases = Vec::new();
    for ((alias, path), runs) in grouped(past) {
        let last_success_at = last_success(history, path, &runs)?.map(time);
        let runs = runs.into_iter().map(JsonRun::of).collect();
        databases.push(JsonDatabaseRuns { alias, path, last_success_at, runs });
    }
    for (alias, path) in never {
        databases.push(JsonDatabaseRuns { alias, path, last_success_at: None, runs: Vec::new() });
    }
    Ok(line(&JsonHistory { schema_version: 1, command: "history", databases }))
}

fn line(value: &impl Serialize) -> String {
    // Maps with string keys and plain values always serialise.
    serde_json::to_string(value).unwrap_or_default()
}
