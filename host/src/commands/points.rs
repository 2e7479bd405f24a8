//! `lsrun points`: what a backup can be restored to.

use std::fmt::Write;
use std::time::Duration;

use clap::{Args, FromArgMatches};
use jiff::Timestamp;
use serde::Serialize;

use super::arguments::is_url;
use super::{Failed, Start, context, terminal};
use crate::cli::{self, Global, POINTS};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::litestream::points::{self, Gap, Point, Points};
use crate::litestream::restore::Source;
use crate::terminal::Format;

#[derive(Debug, Args)]
struct Arguments {
    /// An alias or a path of a database, or a replica URL
    #[arg(value_name = "DATABASE")]
    database: String,
    /// At most one point for each such stretch of time, its last: 30s, 5m, 1h
    #[arg(long, value_name = "TIME")]
    every: Option<String>,
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
  lsrun points default               every point, gaps marked
  lsrun points --every 1h default    the last one of each hour
  lsrun restore -o copy.sqlite3 -txid 0000000000000005 default";

/// Runs the command.
pub(super) async fn run(start: &Start) -> std::result::Result<Exit, Failed> {
    let failed = |error: Error, global: &Global| (Box::new(terminal(global, start)), error);
    let command = Arguments::augment_args(clap::Command::new("points"))
        .bin_name("lsrun points")
        .about(POINTS)
        .no_binary_name(true)
        .after_help(EXAMPLES);
    let command = cli::with_config(command);
    let words = cli::two_dashes(start.arguments.clone(), &cli::long_options(&command));
    let matches = match command.try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) if error.kind() == clap::error::ErrorKind::DisplayHelp => {
            terminal(&start.global, start).data(error.render().to_string().as_bytes());
            return Ok(Exit::Success);
        }
        Err(error) => return Err(failed(super::arguments::usage(&error, "points"), &start.global)),
    };
    let arguments = Arguments::from_arg_matches(&matches)
        .map_err(|error| failed(super::arguments::usage(&error, "points"), &start.global))?;
    let global = arguments.global.clone().or(&start.global);
    let shown = async {
        let context = context(&global, start, is_url(&arguments.database))?;
        show(&context, &arguments).await
    };
    shown.await.map_err(|error| failed(error, &global))
}

async fn show(context: &Context, arguments: &Arguments) -> Result<Exit> {
    let every = arguments.every.as_deref().map(cli::duration).transpose()?;
    let timeout = arguments.timeout.as_deref().map(cli::duration).transpose()?;
    let source = if is_url(&arguments.database) {
        Source::Url(arguments.database.clone())
    } else {
        Source::Database(context.project.database(&arguments.database)?)
    };
    let patience = timeout.unwrap_or(context.project.verify().timeout);
    let place = source.describe(context)?;
    let mut found = points::list(context, &source, patience).await?.points();
    if found.points.is_empty() {
        return Err(Error::inconclusive(format!("there is nothing to restore in {place}"))
            .code("not-found")
            .hint("lsrun ltx shows what the replica holds"));
    }
    if let Some(every) = every {
        thin(&mut found, every);
    }
    if arguments.json || context.terminal.format != Format::Human {
        context.terminal.json(&json(&place, &found));
    } else {
        context.terminal.text(&human(&crate::shown::line(&place), &found));
    }
    Ok(Exit::Success)
}

/// Keeps the oldest point, the newest, and the last one of each stretch of time.
fn thin(found: &mut Points, every: Duration) {
    let every = i128::try_from(every.as_nanos()).unwrap_or(i128::MAX).max(1);
    let stretch = |point: &Point| point.time.as_nanosecond().div_euclid(every);
    let all = std::mem::take(&mut found.points);
    let last = |index: usize, point: &Point| {
        all.get(index + 1).is_none_or(|next| stretch(next) != stretch(point))
    };
    let kept = all.iter().enumerate().filter(|(index, point)| *index == 0 || last(*index, point));
    found.points = kept.map(|(_, point)| *point).collect();
}

/// A `-timestamp` has to be later than this: down to the millisecond.
fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn human(place: &str, found: &Points) -> String {
    let mut text = format!("{place}\n{:<16}  WRITTEN\n", "TXID");
    let mut gaps = found.gaps.iter().peekable();
    let gap_line = |gap: &Gap| {
        let until = gap.until.map_or("now".to_owned(), time);
        format!(
            "{:<16}  gap: nothing between TXID {} and {}, from {} until {until}\n",
            "-",
            gap.after,
            gap.before,
            time(gap.from)
        )
    };
    for point in &found.points {
        while let Some(gap) = gaps.next_if(|gap| gap.after < point.txid) {
            text.push_str(&gap_line(gap));
        }
        let _infallible = writeln!(text, "{}  {}", point.txid, time(point.time));
    }
    for gap in gaps {
        text.push_str(&gap_line(gap));
    }
    if let (Some(oldest), Some(newest)) = (found.points.first(), found.points.last()) {
        let count = found.points.len();
        let (oldest, newest) = (time(oldest.time), time(newest.time));
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
    let gaps = found.gaps.iter();
    let document = JsonPoints {
        schema_version: 1,
        command: "points",
        source: place,
        oldest: found.points.first().map(|point| time(point.time)),
        newest: found.points.last().map(|point| time(point.time)),
        points: points
            .map(|point| JsonPoint { txid: point.txid.to_string(), timestamp: time(point.time) })
            .collect(),
        gaps: gaps
            .map(|gap| JsonGap {
                after_txid: gap.after.to_string(),
                before_txid: gap.before.to_string(),
                from: time(gap.from),
                until: gap.until.map(time),
            })
            .collect(),
    };
    // Plain structs always serialise.
    format!("{}\n", serde_json::to_string(&document).unwrap_or_default())
}
