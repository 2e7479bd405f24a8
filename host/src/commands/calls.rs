//! The calls of a command: one for each database, in parallel, and the result of each.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::arguments::Parsed;
use super::selection::Target;
use crate::code::Code;
use crate::context::Context;
use crate::create;
use crate::error::{Error, Result};
use crate::plugin::{Call, Hooks, InvocationData, Plugin, Role, Sink, run_command};
use crate::project::Database;
use crate::report::event::Event;
use crate::report::{DatabaseReport, Outcome};
use crate::stop::Stop;

/// What every call shares.
#[derive(Clone)]
pub(super) struct PreparedCall {
    pub(super) context: Arc<Context>,
    pub(super) plugin: Arc<Plugin>,
    pub(super) hooks: Arc<Hooks>,
    pub(super) parsed: Arc<Parsed>,
    pub(super) needs_databases: bool,
    /// A run that proves nothing is not a good one.
    pub(super) records: bool,
    /// The word for a good outcome.
    pub(super) success: Arc<str>,
    /// The word for work that could not be done.
    pub(super) failure: Option<Arc<str>>,
    /// How many databases are done, and of how many.
    pub(super) done: Arc<AtomicUsize>,
    pub(super) of: usize,
}

/// Runs all calls, at most `jobs` at once, and gives their results in order.
pub(super) async fn all(
    base: &mut PreparedCall,
    targets: Vec<Target>,
    fresh: Vec<Option<String>>,
    jobs: usize,
) -> Result<Vec<(DatabaseReport, Vec<u8>)>> {
    let turns = Arc::new(Semaphore::new(jobs));
    let mut running = JoinSet::new();
    let places: Vec<TargetPlace> = targets.iter().map(TargetPlace::of).collect();
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
            Error::new(Code::Unexpected, "a database's run ended unexpectedly").cause(error)
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
/// by then is reported as far as it got.
const GIVE_UP: Duration = Duration::from_secs(10);

/// A target of the run, for the report of one that does not finish.
struct TargetPlace {
    name: String,
    path: String,
    sink: Arc<OnceLock<Arc<Sink>>>,
}

impl TargetPlace {
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

    fn unfinished(self, base: &PreparedCall) -> (DatabaseReport, Vec<u8>) {
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
    base: PreparedCall,
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
    base: PreparedCall,
    target: Target,
    fresh: Option<String>,
    place: &OnceLock<Arc<Sink>>,
) -> (DatabaseReport, Vec<u8>) {
    let PreparedCall { context, plugin, hooks, parsed, needs_databases, records, failure, .. } =
        base;
    let TargetPlace { name, path, .. } = TargetPlace::of(&target);
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
    // What a signal cut off may have been reported as something that did not work.
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
pub(super) fn parallelism() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}
