//! `lsrun points`: what a backup can be restored to.

use std::fmt::Write;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::Run;
use super::arguments::is_url;
use super::native::Native;
use crate::cli::{self, Global};
use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::litestream::replica::points::{Gap, Points, RestorePoint};
use crate::litestream::replica::source::Source;
use crate::litestream::replica::txid::Txid;
use crate::litestream::replica::{listing, moment};
use crate::litestream::restore::attempts;
use crate::project::Database;
use crate::terminal::Format;

#[derive(Debug, Args)]
struct Arguments {
    /// An alias or a path of a database, or a replica URL; a project's only database
    /// without
    #[arg(value_name = "DATABASE")]
    database: Option<String>,
    /// Show only the last point of each interval: 30s, 5m, 1h
    #[arg(long, value_name = "TIME")]
    every: Option<String>,
    /// Show only this many points, the newest
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// For machines
    #[arg(long)]
    json: bool,
    /// How long to wait for the replica, such as 30s or 5m
    #[arg(long, value_name = "TIME")]
    timeout: Option<String>,
    #[command(flatten)]
    global: Global,
}

const EXAMPLES: &str = "Examples:
  lsrun points default               every point, and what is missing between them
  lsrun points --every 1h default    the last one of each hour
  lsrun points --limit 10 default    the newest ten
  lsrun restore -o copy.sqlite3 -txid 0000000000000005 default";

/// What it is for.
pub(super) const ABOUT: &str = "Show the points in time that a backup can be restored to";

/// Runs the command.
pub(super) async fn run(run: &Run) -> Result<Exit> {
    let native = Native { name: "points", about: ABOUT, examples: EXAMPLES };
    let Some(arguments) = native.parse::<Arguments>(run)? else { return Ok(Exit::Success) };
    let url = arguments.database.as_deref().is_some_and(is_url);
    let context = run.context(arguments.global.project.as_deref(), url)?;
    show(&context, &arguments).await
}

async fn show(context: &Context, arguments: &Arguments) -> Result<Exit> {
    let every = arguments.every.as_deref().map(cli::duration).transpose()?;
    let timeout = arguments.timeout.as_deref().map(cli::duration).transpose()?;
    let source = match &arguments.database {
        Some(url) if is_url(url) => Source::Url(url.clone()),
        Some(name) => Source::Database(context.project.database(name)?),
        None => Source::Database(only(context)?),
    };
    let patience = timeout.unwrap_or(context.project.verify().timeout);
    let place = source.describe(context)?;
    let files = listing::list(context, &source, patience).await?;
    let mut found = files.points();
    if found.points.is_empty() {
        let name = match &source {
            Source::Database(database) => database.name(),
            Source::Url(_) => place.clone(),
        };
        if files.files.is_empty() {
            return Err(attempts::no_backup(&name).cause(place));
        }
        let word = match &source {
            Source::Database(_) => name.clone(),
            Source::Url(url) => crate::litestream::replica::source::redact(url),
        };
        return Err(Error::new(
            Code::NotFound,
            format!("no point of the backup of {name} can be restored"),
        )
        .cause("it has files, and no snapshot from which they go on")
        .hint(format!("`lsrun ltx {}` lists the files", shell_words::quote(&word))));
    }
    if let Some(every) = every {
        thin(&mut found, every);
    }
    let shown = arguments.limit.and_then(|limit| usize::try_from(limit).ok());
    if let Some(limit) = shown.filter(|limit| *limit < found.points.len()) {
        newest(&mut found, limit);
    }
    if arguments.json || context.terminal.format != Format::Human {
        context.terminal.json(&json(&place, &found));
    } else {
        context.terminal.text(&human(&crate::shown::line(&place), &found));
    }
    Ok(Exit::Success)
}

/// The database that is meant where none is named.
fn only(context: &Context) -> Result<Database> {
    let mut databases = context.project.every_database()?;
    match databases.len() {
        1 => Ok(databases.remove(0)),
        0 => Err(super::selection::nothing(context)),
        count => {
            let names: Vec<String> = databases.iter().take(5).map(Database::name).collect();
            let more = if count > names.len() { ", …" } else { "" };
            Err(Error::usage("lsrun points needs the name of a database")
                .hint(format!("name one of {}{more}", names.join(", "))))
        }
    }
}

/// Keeps the newest points, and what is missing after the first of them.
fn newest(found: &mut Points, limit: usize) {
    let all = std::mem::take(&mut found.points);
    found.points = all.into_iter().rev().take(limit).rev().collect();
    let first = found.points.first().map(|point| point.txid);
    for gaps in [&mut found.gaps, &mut found.compacted] {
        gaps.retain(|gap| first.is_none_or(|first| gap.after >= first));
    }
}

/// Keeps the oldest point, the newest, and the last one of each stretch of time.
fn thin(found: &mut Points, every: Duration) {
    let every = i128::try_from(every.as_nanos()).unwrap_or(i128::MAX).max(1);
    let stretch = |point: &RestorePoint| point.time.as_nanosecond().div_euclid(every);
    let all = std::mem::take(&mut found.points);
    let last = |index: usize, point: &RestorePoint| {
        all.get(index + 1).is_none_or(|next| stretch(next) != stretch(point))
    };
    let kept = all.iter().enumerate().filter(|(index, point)| *index == 0 || last(*index, point));
    found.points = kept.map(|(_, point)| *point).collect();
}

/// A `-timestamp` has to be later than this: down to the millisecond.
fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A time in a table: UTC, and the local time before it where that is another one.
fn cells(at: Timestamp) -> String {
    match moment::local(at) {
        Some(local) => format!("{local}  {}", time(at)),
        None => time(at),
    }
}

fn human(place: &str, found: &Points) -> String {
    let local = found.points.first().and_then(|point| moment::local(point.time));
    let head = match local {
        Some(local) => format!("{:<width$}  UTC", "LOCAL TIME", width = local.chars().count()),
        None => "WRITTEN".to_owned(),
    };
    let mut text = format!("{place}\n{:<16}  {head}\n", "TXID");
    let hole = |gap: &Gap| {
        let until = gap.until.map_or("now".to_owned(), moment::shown);
        format!(
            "{:<16}  gap: nothing between TXID {} and {}, from {} until {until}\n",
            "-",
            gap.after,
            gap.before,
            moment::shown(gap.from)
        )
    };
    let compacted = |gap: &Gap| {
        let until = gap.until.map_or("now".to_owned(), moment::shown);
        let from = moment::shown(gap.from);
        format!("{:<16}  no single points kept between {from} and {until}\n", "-")
    };
    let mut missing: Vec<(Txid, String)> = Vec::new();
    missing.extend(found.gaps.iter().map(|gap| (gap.after, hole(gap))));
    missing.extend(found.compacted.iter().map(|gap| (gap.after, compacted(gap))));
    missing.sort_by_key(|(after, _line)| *after);
    let mut missing = missing.into_iter().peekable();
    for point in &found.points {
        while let Some((_after, line)) = missing.next_if(|(after, _line)| *after < point.txid) {
            text.push_str(&line);
        }
        let _infallible = writeln!(text, "{}  {}", point.txid, cells(point.time));
    }
    text.extend(missing.map(|(_after, line)| line));
    if let (Some(oldest), Some(newest)) = (found.points.first(), found.points.last()) {
        let count = found.points.len();
        let (oldest, newest) = (moment::shown(oldest.time), moment::shown(newest.time));
        let _infallible = writeln!(text, "{count} shown; oldest {oldest}, newest {newest}");
    }
    text
}

#[derive(Serialize)]
struct JsonPoints<'a> {
    schema_version: u32,
    command: &'a str,
    source: &'a str,
    oldest: Option<String>,
    newest: Option<String>,
    points: Vec<JsonPoint>,
    gaps: Vec<JsonGap>,
    /// As `gaps`, where nothing is lost: the single points were compacted.
    compacted: Vec<JsonGap>,
}

#[derive(Serialize)]
struct JsonPoint {
    txid: String,
    timestamp: String,
}

#[derive(Serialize)]
struct JsonGap {
    after_txid: String,
    before_txid: String,
    from: String,
    until: Option<String>,
}

fn json(place: &str, found: &Points) -> String {
    let points = found.points.iter();
    let gaps = |of: &[Gap]| {
        of.iter()
            .map(|gap| JsonGap {
                after_txid: gap.after.to_string(),
                before_txid: gap.before.to_string(),
                from: time(gap.from),
                until: gap.until.map(time),
            })
            .collect()
    };
    let document = JsonPoints {
        schema_version: 1,
        command: "points",
        source: place,
        oldest: found.points.first().map(|point| time(point.time)),
        newest: found.points.last().map(|point| time(point.time)),
        points: points
            .map(|point| JsonPoint { txid: point.txid.to_string(), timestamp: time(point.time) })
            .collect(),
        gaps: gaps(&found.gaps),
        compacted: gaps(&found.compacted),
    };
    // Plain structs always serialise.
    format!("{}\n", serde_json::to_string(&document).unwrap_or_default())
}
