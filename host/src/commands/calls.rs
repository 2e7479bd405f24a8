//! The calls of a command: one for each database, in parallel, and the result of each.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::arguments::Parsed;
use super::selection::Target;
use crate::code::Code;
use crate::context::Context;
use crate::create;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::litestream::replica::source::Source;
use crate::plugin::events::{Verification, VerifyPlan};
use crate::plugin::{Call, Hooks, InvocationData, Plugin, Sink, VERIFIED, run_command};
use crate::project::Database;
use crate::report::event::Event;
use crate::report::{DatabaseReport, Outcome};
use crate::results::History;
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
    /// Set if data is written as it comes; true as soon as some was.
    pub(super) streams: Option<Arc<AtomicBool>>,
    /// The word for a good outcome.
    pub(super) success: Arc<str>,
    /// The word for work that could not be done.
    pub(super) failure: Option<Arc<str>>,
    /// When the run began.
    pub(super) started: jiff::Timestamp,
    /// The worst code of the hooks that were called when a database was done.
    pub(super) afterwards: Arc<Mutex<Exit>>,
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
    Ok(join_all(done.map(async |(done, place)| match done {
        Some(done) => done,
        None => place.unfinished(base).await,
    }))
    .await)
}

/// How long everything may take to end after the run was stopped; what has not ended
/// by then is reported as far as it got.
const GIVE_UP: Duration = Duration::from_secs(10);

/// A target of the run, for the report of one that does not finish.
struct TargetPlace {
    name: String,
    path: String,
    source: Option<Source>,
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
        let source = match target {
            Target::Database(database) => Some(Source::Database(database.clone())),
            Target::Url(url) => Some(Source::Url(url.clone())),
            Target::Whole => None,
        };
        Self { name, path, source, sink: Arc::default() }
    }

    async fn unfinished(self, base: &PreparedCall) -> (DatabaseReport, Vec<u8>) {
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
        let aside = Sink::aside(Arc::clone(&base.context));
        let call = base.call(aside, Vec::new(), Duration::ZERO);
        base.verified(&call, self.source, &report).await;
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
    let context = Arc::clone(&base.context);
    let PreparedCall { parsed, hooks, .. } = &base;
    let TargetPlace { name, path, source, .. } = TargetPlace::of(&target);
    let sink = Sink::new(Arc::clone(&context), name, path);
    let sink = Arc::clone(place.get_or_init(|| sink));
    if let Some(written) = &base.streams {
        sink.stream(Arc::clone(written));
    }
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
    if base.needs_databases
        && let Target::Database(database) = &target
        && let Err(error) = create::if_missing(&context, database)
    {
        return sink.finish(Some(error));
    }
    let patience = parsed.timeout.unwrap_or(context.project.verify().timeout);
    let invocation = invocation(parsed, &target, &context, databases.clone(), patience);
    let stop = context.stop.clone();
    let call = base.call(Arc::clone(&sink), databases, patience);
    let allowed = base.pre_verify(&call, source.as_ref()).await;
    let result = match &allowed {
        Ok(()) => run_command(call.clone(), Arc::new(invocation)).await,
        Err(refused) => Err(refused.clone()),
    };
    hooks.settle(&call, result.as_ref().err()).await;
    hooks.report_left_out(&sink, &parsed.name);
    let (mut report, data) = sink.finish(result.err());
    if base.records && report.proves_nothing() {
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
        report.undone = base.failure.as_deref().map(str::to_owned);
    }
    base.verified(&call, source, &report).await;
    (report, data)
}

impl PreparedCall {
    fn call(&self, sink: Arc<Sink>, databases: Vec<Database>, patience: Duration) -> Call {
        Call {
            databases,
            patience,
            verbose: self.parsed.verbose,
            ..Call::of_command(&self.context, &self.plugin, &self.hooks, sink)
        }
    }

    /// Asks the hooks before a proof, if it is one.
    async fn pre_verify(&self, call: &Call, source: Option<&Source>) -> Result<()> {
        match source {
            Some(source) if self.records => {
                let plan = VerifyPlan { command: self.parsed.name.clone(), source: source.clone() };
                self.hooks.pre_verify(call, &Arc::new(plan)).await
            }
            _ => Ok(()),
        }
    }

    /// Calls the hooks that follow a proof, if it is one, and waits for them also when the
    /// run is being stopped.
    async fn verified(&self, call: &Call, source: Option<Source>, report: &DatabaseReport) {
        let Some(source) = source.filter(|_| self.records && self.hooks.has(VERIFIED)) else {
            return;
        };
        let _hold = self.context.stop.hold();
        let (project, environment) = (&self.context.project, &self.context.environment);
        let command = self.parsed.name.clone();
        // A history that cannot be read is a warning of the run.
        let last = History::of(project, environment)
            .and_then(|history| history.last_good(&command, &report.path))
            .unwrap_or_default();
        let mut report = report.clone();
        let last_proved = match report.outcome() {
            Outcome::Passed => Some(self.started),
            _ => last.as_ref().map(|last| last.started),
        };
        if report.outcome() == Outcome::Failed {
            report.last_good = last;
        }
        let verification = Verification {
            plan: VerifyPlan { command, source },
            started: self.started,
            word: report.word(&self.success).to_owned(),
            report,
            last_proved,
        };
        let exit = self.hooks.verified(call, &Arc::new(verification)).await;
        let mut afterwards = self.afterwards.lock().unwrap_or_else(PoisonError::into_inner);
        *afterwards = afterwards.worst(exit);
    }
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
