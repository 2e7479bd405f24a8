//! `lsrun sync`: asks the daemon to replicate a database now, with the flags and the
//! output of `litestream sync`. It is lsrun's own because litestream's sends a timeout,
//! which costs the daemon its read lock: see [`crate::litestream::daemon`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, FromArgMatches};
use serde::Serialize;

use super::passthrough;
use crate::cli;
use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::litestream::binary::feature::{self, Feature};
use crate::litestream::daemon::{Control, sockets};
use crate::report::event::Event;
use crate::stop::Stop;

/// The options that are accepted with one dash as well.
const LONG: [&str; 5] = ["wait", "timeout", "socket", "json", "help"];

#[derive(Debug, Args)]
struct SyncArguments {
    /// An alias or a path of a database
    #[arg(value_name = "DATABASE")]
    database: OsString,
    /// Wait until the replica has what is committed now
    #[arg(long)]
    wait: bool,
    /// Longest wait: seconds, or 30s, 5m
    #[arg(long, value_name = "TIME", default_value = "30")]
    timeout: String,
    /// The daemon's control socket
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  lsrun sync default            read what is committed into litestream's local files
  lsrun sync -wait default      and wait until the replica has it";

/// What is printed, as `litestream sync` prints it.
#[derive(Serialize)]
struct Printed {
    db_path: String,
    txid: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    replica_txid: Option<u64>,
    duration_ms: u64,
}

/// Runs the command.
pub(super) async fn run(context: &Context, words: &[OsString]) -> Result<u8> {
    let command = SyncArguments::augment_args(clap::Command::new("sync"))
        .bin_name("lsrun sync")
        .about("Replicate a database now, through the running daemon")
        .no_binary_name(true)
        .after_help(EXAMPLES);
    let words = cli::two_dashes(words.to_vec(), &LONG);
    let words = cli::go_booleans(words, &["wait", "json"]);
    let matches = match command.try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) if error.kind() == clap::error::ErrorKind::DisplayHelp => {
            context.reporter.report(Event::Data(error.render().to_string().as_bytes()));
            return Ok(Exit::Success.code());
        }
        Err(error) => return Err(super::arguments::usage(&error, "sync")),
    };
    let arguments = SyncArguments::from_arg_matches(&matches)
        .map_err(|error| super::arguments::usage(&error, "sync"))?;
    feature::require(&context.binary().await?.version, Feature::Sync)?;
    let (name, path) = passthrough::database(context, &arguments.database)?;
    let started = Instant::now();
    let deadline = started + timeout(&arguments.timeout)?;
    let asked = ask(context, &arguments, &name, &path, deadline);
    let (txid, replica_txid) = tokio::select! {
        answer = asked => answer?,
        signal = context.stop.stopped() => return Err(Stop::error(signal)),
    };
    let printed = Printed {
        db_path: path.display().to_string(),
        txid,
        replica_txid: replica_txid.filter(|_| arguments.wait),
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    context.reporter.report(Event::Data(printed.render(arguments.json).as_bytes()));
    Ok(Exit::Success.code())
}

/// Asks the first daemon that knows the database.
async fn ask(
    context: &Context,
    arguments: &SyncArguments,
    name: &str,
    path: &Path,
    deadline: Instant,
) -> Result<(u64, Option<u64>)> {
    let sockets = match &arguments.socket {
        Some(socket) => vec![context.cwd.join(socket)],
        None => sockets::sockets(context),
    };
    for control in sockets.iter().filter_map(|socket| Control::at(socket)) {
        let asked = match arguments.wait {
            true => control.sync(path, deadline).await,
            false => control.look(path, deadline).await,
        };
        match asked {
            Ok(answer) => return Ok((answer.txid, answer.replicated_txid)),
            Err(error) => {
                if let Some(error) = error.explain(name) {
                    return Err(error);
                }
            }
        }
    }
    let mut error = Error::new(
        Code::Litestream,
        format!("no litestream daemon with a control socket replicates {name}"),
    );
    for socket in &sockets {
        error = error.cause(format!("tried {}", socket.display()));
    }
    Err(error.hint("start one with lsrun replicate; lsrun replicate -once needs none"))
}

/// Seconds as litestream takes them, or a duration.
fn timeout(text: &str) -> Result<Duration> {
    let timeout = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_not_a_number) => cli::duration(text)?,
    };
    match timeout.is_zero() {
        true => Err(Error::usage("the timeout must be greater than 0")),
        false => Ok(timeout),
    }
}

impl Printed {
    fn render(&self, json: bool) -> String {
        if json {
            // Plain structs always serialise.
            return format!("{}\n", serde_json::to_string_pretty(self).unwrap_or_default());
        }
        let mut text = format!("db_path: {}\ntxid: {}\n", self.db_path, self.txid);
        if let Some(txid) = self.replica_txid {
            text.push_str(&format!("replica_txid: {txid}\n"));
        }
        text.push_str(&format!("duration_ms: {}\n", self.duration_ms));
        text
    }
}
