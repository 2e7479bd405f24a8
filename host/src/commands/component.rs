//! Runs a command that is a component: selects databases, runs it for each of
//! them side by side, merges and prints the reports.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::arguments::{Parsed, is_url};
use crate::context::Context;
use crate::create;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::plugin::{Call, Hooks, InvocationData, Plugin, Sink, manifest, run_command};
use crate::project::Database;
use crate::report::{DatabaseReport, Report, human, json};
use crate::terminal::Format;

/// One call of the component.
enum Target {
    Database(Database),
    Url(String),
    /// The command is not run per database.
    Whole,
}

/// Runs the command to its end.
pub(super) async fn run(
    context: &Arc<Context>,
    load: impl FnOnce(&Context) -> Result<Arc<Plugin>>,
    parsed: Parsed,
) -> Result<Exit> {
    let started = jiff::Timestamp::now();
    let clock = Instant::now();
    let plugin = load(context)?;
    let described = plugin.manifest.command.clone().unwrap_or_default();
    let targets = select(context, &described, &parsed)?;
    let hooks = if plugin.imports("hooks") { Hooks::load(context)? } else { Hooks::default() };
    let mut base = Prepared {
        context: Arc::clone(context),
        plugin,
        hooks: Arc::new(hooks),
        parsed: Arc::new(parsed),
        needs_databases: described.needs_databases,
    };
    let whole = matches!(targets.as_slice(), [Target::Whole]);
    let jobs = base.parsed.jobs.unwrap_or_else(parallelism).max(1);
    let done = all(&mut base, targets, jobs).await?;
    crate::sqlite::settle(Duration::from_secs(2));
    context.terminal.clear();
    let (databases, data): (Vec<_>, Vec<_>) = done.into_iter().unzip();
    let data = data.concat();
    let stopped = context.stop.signal().map(|signal| signal.exit());
    if whole && databases.iter().all(|database| database.checks.is_empty()) {
        context.terminal.data(&data);
        return match databases.into_iter().find_map(|database| database.error) {
            Some(error) => Err(error),
            None => Ok(stopped.unwrap_or(Exit::Success)),
        };
    }
    let report = Report {
        command: base.parsed.name.clone(),
        success: described.success,
        started,
        duration: clock.elapsed(),
        databases,
    };
    print(context, &report, &data);
    Ok(stopped.unwrap_or(Exit::Success).worst(report.exit()))
}

/// What every call shares.
#[derive(Clone)]
struct Prepared {
    context: Arc<Context>,
    plugin: Arc<Plugin>,
    hooks: Arc<Hooks>,
    parsed: Arc<Parsed>,
    needs_databases: bool,
}

/// Runs all calls, at most `jobs` at once, and gives their results in order.
async fn all(
    base: &mut Prepared,
    targets: Vec<Target>,
    jobs: usize,
) -> Result<Vec<(DatabaseReport, Vec<u8>)>> {
    let turns = Arc::new(Semaphore::new(jobs));
    let mut running = JoinSet::new();
    let count = targets.len();
    for (index, target) in targets.into_iter().enumerate() {
        let (base, turns) = (base.clone(), Arc::clone(&turns));
        running.spawn(async move {
            let _turn = turns.acquire_owned().await;
            (index, one(base, target).await)
        });
    }
    let mut done: Vec<Option<(DatabaseReport, Vec<u8>)>> = Vec::new();
    done.resize_with(count, || None);
    while let Some(result) = running.join_next().await {
        let (index, result) = result.map_err(|error| {
            Error::new(Exit::Unexpected, "a database's run broke off").cause(error)
        })?;
        if let Some(place) = done.get_mut(index) {
            *place = Some(result);
        }
    }
    Ok(done.into_iter().flatten().collect())
}

async fn one(base: Prepared, target: Target) -> (DatabaseReport, Vec<u8>) {
    let Prepared { context, plugin, hooks, parsed, needs_databases } = base;
    let (name, path) = match &target {
        Target::Database(database) => (database.name(), database.path.display().to_string()),
        Target::Url(url) => {
            let shown = crate::litestream::restore::redact(url);
            (shown.clone(), shown)
        }
        Target::Whole => (String::new(), String::new()),
    };
    let sink = Sink::new(Arc::clone(&context), name, path);
    if let Some(signal) = context.stop.signal() {
        return sink.finish(Some(crate::stop::Stop::error(signal)));
    }
    let databases = match &target {
        Target::Database(database) => vec![database.clone()],
        Target::Url(_) | Target::Whole => Vec::new(),
    };
    if needs_databases
        && let Target::Database(database) = &target
        && let Err(error) = create::if_missing(&context, database)
    {
        return sink.finish(Some(error));
    }
    let patience = parsed.timeout.unwrap_or(context.project.verify().timeout);
    let invocation = invocation(&parsed, &target, &context, databases.clone(), patience);
    let call = Call {
        context,
        plugin,
        sink: Arc::clone(&sink),
        databases,
        patience,
        hooks,
        prefix: String::new(),
    };
    let result = run_command(call, Arc::new(invocation)).await;
    sink.finish(result.err())
}

fn invocation(
    parsed: &Parsed,
    target: &Target,
    context: &Context,
    databases: Vec<Database>,
    timeout: Duration,
) -> InvocationData {
    let mut arguments = parsed.values.clone();
    let format = if context.terminal.format == Format::Json { "json" } else { "human" };
    arguments.insert("format".into(), vec![format.into()]);
    if let Target::Url(url) = target {
        arguments.insert("url".into(), vec![url.clone()]);
    }
    InvocationData {
        name: parsed.name.clone(),
        arguments,
        flags: parsed.flags.clone(),
        databases,
        timeout,
    }
}

fn select(
    context: &Context,
    described: &manifest::Command,
    parsed: &Parsed,
) -> Result<Vec<Target>> {
    if !described.per_database {
        return Ok(vec![Target::Whole]);
    }
    if parsed.selected.is_empty() {
        if described.requires_selection && !parsed.all {
            return Err(Error::usage(format!("lsrun {} needs a database", parsed.name))
                .hint("name one, or say --all"));
        }
        let databases = context.project.databases()?;
        if databases.is_empty() {
            return Err(Error::new(Exit::NothingSelected, "the project has no SQLite database")
                .hint("add one under databases in lsrun.yml"));
        }
        return Ok(databases.into_iter().map(Target::Database).collect());
    }
    let mut targets = Vec::with_capacity(parsed.selected.len());
    let mut seen = std::collections::BTreeSet::new();
    for word in &parsed.selected {
        if is_url(word) {
            if !described.takes_urls {
                return Err(Error::usage(format!(
                    "lsrun {} takes databases, not replica URLs: {word}",
                    parsed.name
                )));
            }
            targets.push(Target::Url(word.clone()));
            continue;
        }
        let database = context.project.database(word)?;
        if seen.insert(database.path.clone()) {
            targets.push(Target::Database(database));
        }
    }
    Ok(targets)
}

/// One database for each processor: the work is litestream's and SQLite's.
fn parallelism() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

fn print(context: &Context, report: &Report, data: &[u8]) {
    let terminal = &context.terminal;
    if !data.is_empty() {
        // The command's own output; the report goes beside it.
        terminal.data(data);
        if report.exit() != Exit::Success {
            terminal.warning(human::render(report, false).trim_end());
        }
        return;
    }
    match terminal.format {
        Format::Json => terminal.data(format!("{}\n", json::render(report)).as_bytes()),
        Format::Human => terminal.data(human::render(report, terminal.color()).as_bytes()),
    }
}
