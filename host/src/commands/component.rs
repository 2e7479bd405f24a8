//! Runs a command that is a component: selects databases, runs it for each of
//! them side by side, merges and prints the reports.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::arguments::{self, Parsed};
use super::selection::{Target, select};
use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::plugin::{
    Builtin, Call, Hooks, InvocationData, Origin, Plugin, Role, Sink, manifest, run_command,
};
use crate::project::Database;
use crate::report::event::Event;
use crate::report::{DatabaseReport, NOT_REPLICATED, Outcome, Report};
use crate::results::{Delivery, Destinations};
use crate::stop::{Signal, Stop};
use crate::{create, figures};

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
    // What the project file says of lsrun's own command is not for a plugin of its name.
    let settings = match plugin.origin {
        Origin::Builtin => context.project.proof(&parsed.name),
        Origin::File(_) => None,
    };
    let destinations = match described.records {
        true => {
            let set = settings.map(|settings| &settings.results);
            Some(Destinations::of(context, &parsed.results, set)?)
        }
        false => None,
    };
    let deadline = parsed.deadline.or_else(|| settings.and_then(|settings| settings.deadline));
    let _alarm = deadline.map(|deadline| Alarm::set(context.stop.clone(), clock + deadline));
    let delivery = destinations
        .map(|destinations| Delivery::begin(&context.session, &context.reporter, destinations));
    let work = Work { plugin, described, parsed, started, clock };
    match work.run(context, delivery.as_ref()).await {
        Ok(Done::Exit(exit)) => Ok(exit),
        Ok(Done::Report { report, data, verbose }) => {
            let stopped = context.stop.signal().map(|signal| signal.exit());
            let exit = stopped.unwrap_or(Exit::Success).worst(report.exit());
            let event = Event::RunReported { report: &report, data: &data, verbose };
            context.reporter.report(event);
            let own = match delivery {
                Some(delivery) => delivery.finish(&report, exit).await,
                None => Exit::Success,
            };
            let exit = exit.worst(own);
            context.reporter.report(Event::RunFinished { report: &report, exit });
            Ok(exit)
        }
        Err(error) => {
            if let Some(delivery) = delivery {
                delivery.gave_up(&error).await;
            }
            Err(error)
        }
    }
}

/// Stops the run at its deadline, unless it is dropped before.
struct Alarm(tokio::task::JoinHandle<()>);

impl Alarm {
    fn set(stop: Stop, at: Instant) -> Self {
        Self(tokio::spawn(async move {
            tokio::time::sleep_until(at.into()).await;
            stop.request(Signal::Deadline);
        }))
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// For `replicate -restore-if-db-not-exists`: restores every database that is not
/// there and has a backup, with the hooks and checks of `lsrun restore`. What was
/// restored is told on stderr; stdout is the application's.
pub(super) async fn restore_missing(context: &Arc<Context>) -> Result<Exit> {
    let Some(builtin) = Builtin::named("restore") else { return Ok(Exit::Success) };
    let words = ["--if-db-not-exists", "--if-replica-exists", "--all"].map(Into::into);
    let parsed = arguments::parse(builtin.name, &builtin.manifest()?, &words)?;
    let (started, clock) = (jiff::Timestamp::now(), Instant::now());
    let plugin = builtin.load(context)?;
    let described = plugin.manifest.command.clone().unwrap_or_default();
    let work = Work { plugin, described, parsed, started, clock };
    match work.run(context, None).await? {
        Done::Exit(exit) => Ok(exit),
        Done::Report { report, verbose, .. } => {
            if report.outcome() != Outcome::Skipped {
                context.reporter.report(Event::Beside { report: &report, verbose });
            }
            Ok(report.exit())
        }
    }
}

/// A command line and what it is run with.
struct Work {
    plugin: Arc<Plugin>,
    described: manifest::Command,
    parsed: Parsed,
    started: jiff::Timestamp,
    clock: Instant,
}

/// What came of it.
enum Done {
    Exit(Exit),
    Report { report: Report, data: Vec<u8>, verbose: bool },
}

impl Work {
    async fn run(self, context: &Arc<Context>, delivery: Option<&Delivery>) -> Result<Done> {
        let Self { plugin, described, parsed, started, clock } = self;
        let targets = select(context, &described, &parsed)?;
        if targets.is_empty()
            && let Some(shard) = parsed.shard
        {
            context.notes.note(&format!("no database is in shard {shard}: nothing to do"));
        }
        let hooks = match plugin.imports("hooks") {
            true => Hooks::load(context, &plugin)?,
            false => Hooks::default(),
        };
        let verbose = parsed.verbose;
        let whole = matches!(targets.as_slice(), [Target::Whole]);
        context.reporter.report(Event::RunStarted {
            command: &parsed.name,
            started,
            databases: targets.len(),
            whole,
        });
        let jobs = parsed.jobs.unwrap_or_else(parallelism).max(1);
        let left_out = left_out(&parsed, &targets, delivery, started);
        let mut base = Prepared {
            context: Arc::clone(context),
            plugin,
            hooks: Arc::new(hooks),
            parsed: Arc::new(parsed),
            needs_databases: described.needs_databases,
            records: described.records,
            success: Arc::from(described.success.as_str()),
            failure: described.failure.as_deref().map(Arc::from),
            done: Arc::default(),
            of: targets.len(),
        };
        let done = all(&mut base, targets, left_out, jobs).await?;
        context.connections.settle(Duration::from_secs(2));
        context.reporter.report(Event::Idle);
        let (databases, data): (Vec<_>, Vec<_>) = done.into_iter().unzip();
        let data = data.concat();
        if whole && databases.iter().all(|database| database.checks.is_empty()) {
            context.reporter.report(match base.plugin.reveals_secrets() {
                true => Event::Secrets(&data),
                false => Event::Data(&data),
            });
            let stopped = context.stop.signal().map(|signal| signal.exit());
            return match databases.into_iter().find_map(|database| database.error) {
                Some(error) => Err(error),
                None => Ok(Done::Exit(stopped.unwrap_or(Exit::Success))),
            };
        }
        let mut report = Report {
            command: base.parsed.name.clone(),
            metrics: metrics(&base),
            success: described.success,
            records: described.records,
            started,
            duration: clock.elapsed(),
            databases,
        };
        if let Some(delivery) = delivery {
            delivery.recall(&mut report);
        }
        Ok(Done::Report { report, data, verbose })
    }
}

/// What the names of the run's metrics begin with. Those of lsrun's own commands are
/// theirs alone.
fn metrics(base: &Prepared) -> String {
    let name = base.parsed.name.replace('-', "_");
    match base.plugin.origin {
        Origin::Builtin => format!("lsrun_{name}"),
        Origin::File(_) => format!("lsrun_plugin_{name}"),
    }
}

/// For each target, why nothing is to be done: nothing replicates it, or its newest
/// result is good and not old (`--if-older-than`).
fn left_out(
    parsed: &Parsed,
    targets: &[Target],
    delivery: Option<&Delivery>,
    now: jiff::Timestamp,
) -> Vec<Option<String>> {
    let newest = match (parsed.if_older_than, delivery) {
        (Some(_limit), Some(delivery)) => delivery.newest(&parsed.name),
        _ => HashMap::new(),
    };
    let of = |target: &Target| {
        let Target::Database(database) = target else { return None };
        if parsed.selected.is_empty() && database.entry.is_none() {
            return Some(NOT_REPLICATED.to_owned());
        }
        let limit = parsed.if_older_than?;
        let newest = newest.get(&database.path.display().to_string())?;
        // A clock that was set back makes nothing fresh.
        let age = Duration::try_from(now.duration_since(newest.started)).ok()?;
        (newest.outcome == Outcome::Passed && age < limit).then(|| {
            let (age, limit) = (figures::duration(age), figures::duration(limit));
            format!("a good result is {age} old, less than {limit}")
        })
    };
    targets.iter().map(of).collect()
}

/// What every call shares.
#[derive(Clone)]
struct Prepared {
    context: Arc<Context>,
    plugin: Arc<Plugin>,
    hooks: Arc<Hooks>,
    parsed: Arc<Parsed>,
    needs_databases: bool,
    /// A run that proves nothing is not a good one.
    records: bool,
    /// The word for a good outcome.
    success: Arc<str>,
    /// The word for work that could not be done.
    failure: Option<Arc<str>>,
    /// How many databases are done, of so many.
    done: Arc<AtomicUsize>,
    of: usize,
}

/// Runs all calls, at most `jobs` at once, and gives their results in order.
async fn all(
    base: &mut Prepared,
    targets: Vec<Target>,
    fresh: Vec<Option<String>>,
    jobs: usize,
) -> Result<Vec<(DatabaseReport, Vec<u8>)>> {
    let turns = Arc::new(Semaphore::new(jobs));
    let mut running = JoinSet::new();
    let places: Vec<Place> = targets.iter().map(Place::of).collect();
    let stop = base.context.stop.clone();
    let given_up = stop.stopped_for(GIVE_UP);
    tokio::pin!(given_up);
    for (index, (target, fresh)) in targets.into_iter().zip(fresh).enumerate() {
        // Waited for here, so that databases have their turns in order, and only
        // those at work take memory.
        let turn = tokio::select! {
            biased;
            turn = Arc::clone(&turns).acquire_owned() => turn,
            _signal = &mut given_up => break,
        };
        let base = base.clone();
        let sink = Arc::clone(&places[index].sink);
        running.spawn(async move {
            let _turn = turn;
            (index, one(base, target, fresh, &sink).await)
        });
    }
    let mut done: Vec<Option<(DatabaseReport, Vec<u8>)>> = Vec::new();
    done.resize_with(places.len(), || None);
    loop {
        let result = tokio::select! {
            biased;
            result = running.join_next() => result,
            // What finished is reported, whatever the others are stuck in.
            _signal = &mut given_up, if !running.is_empty() => break,
        };
        let Some(result) = result else { break };
        let (index, result) = result.map_err(|error| {
            Error::new(Code::Unexpected, "a database's run broke off").cause(error)
        })?;
        if let Some(place) = done.get_mut(index) {
            *place = Some(result);
        }
    }
    running.abort_all();
    let done = done.into_iter().zip(places);
    Ok(done.map(|(done, place)| done.unwrap_or_else(|| place.unfinished(base))).collect())
}

/// How long everything may take to end after the run was stopped; what has not ended
/// then is reported as far as it got.
const GIVE_UP: Duration = Duration::from_secs(10);

/// A target of the run, for the report of one that does not come to its end.
struct Place {
    name: String,
    path: String,
    sink: Arc<OnceLock<Arc<Sink>>>,
}

impl Place {
    fn of(target: &Target) -> Self {
        let (name, path) = match target {
            Target::Database(database) => (database.name(), database.path.display().to_string()),
            Target::Url(url) => {
                let shown = crate::litestream::replica::source::redact(url);
                (shown.clone(), shown)
            }
            Target::Whole => (String::new(), String::new()),
        };
        Self { name, path, sink: Arc::default() }
    }

    fn unfinished(self, base: &Prepared) -> (DatabaseReport, Vec<u8>) {
        let error = base.context.stop.signal().map(Stop::error);
        let (report, data) = match self.sink.get() {
            Some(sink) => sink.finish(error),
            None => {
                let mut report = DatabaseReport::new(self.name, self.path);
                report.error = error;
                (report, Vec::new())
            }
        };
        let event = Event::DatabaseFinished { report: &report, success: &base.success, done: None };
        base.context.reporter.report(event);
        (report, data)
    }
}

async fn one(
    base: Prepared,
    target: Target,
    fresh: Option<String>,
    place: &OnceLock<Arc<Sink>>,
) -> (DatabaseReport, Vec<u8>) {
    let context = Arc::clone(&base.context);
    let (success, count, of) = (Arc::clone(&base.success), Arc::clone(&base.done), base.of);
    let whole = matches!(target, Target::Whole);
    let (report, data) = work(base, target, fresh, place).await;
    let done = count.fetch_add(1, Ordering::Relaxed) + 1;
    if whole {
        return (report, data);
    }
    context.reporter.report(Event::DatabaseFinished {
        report: &report,
        success: &success,
        done: Some((done, of)),
    });
    (report, data)
}

async fn work(
    base: Prepared,
    target: Target,
    fresh: Option<String>,
    place: &OnceLock<Arc<Sink>>,
) -> (DatabaseReport, Vec<u8>) {
    let Prepared { context, plugin, hooks, parsed, needs_databases, records, failure, .. } = base;
    let Place { name, path, .. } = Place::of(&target);
    let sink = Sink::new(Arc::clone(&context), name, path);
    let sink = Arc::clone(place.get_or_init(|| sink));
    if let Some(reason) = fresh {
        sink.skipped(reason);
        return sink.finish(None);
    }
    if let Some(signal) = context.stop.signal() {
        return sink.finish(Some(Stop::error(signal)));
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
    let stop = context.stop.clone();
    let call = Call {
        run: context.session.run(),
        context,
        plugin,
        sink: Arc::clone(&sink),
        databases,
        patience,
        hooks,
        prefix: String::new(),
        role: Role::Command,
        verbose: parsed.verbose,
    };
    let result = run_command(call, Arc::new(invocation)).await;
    let (mut report, data) = sink.finish(result.err());
    if records && report.proves_nothing() {
        report.error = Some(
            Error::inconclusive(format!("{} proved nothing: no check passed", parsed.name))
                .hint("a command that records has to report what it checked"),
        );
    }
    // What a signal cut off may have been told as something that did not work.
    if let Some(signal) = stop.signal()
        && report.outcome() == Outcome::Inconclusive
    {
        report.error = Some(Stop::error(signal));
    }
    if report.error.is_some() && report.target.is_none() {
        report.undone = failure.as_deref().map(str::to_owned);
    }
    (report, data)
}

fn invocation(
    parsed: &Parsed,
    target: &Target,
    context: &Context,
    databases: Vec<Database>,
    timeout: Duration,
) -> InvocationData {
    let mut arguments = parsed.values.clone();
    arguments.insert("format".into(), vec![context.reporter.format_of_answers().into()]);
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

/// One database for each processor: the work is litestream's and SQLite's.
fn parallelism() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}
